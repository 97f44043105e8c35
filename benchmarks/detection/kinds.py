"""How often the right kind of change is named, and how often one is claimed where nothing changed.

Run ``python -m benchmarks.detection.kinds --recorded DIR [--half odd|even] [--write] [--quick]``; DRIFTWATCH_RECORDED
stands in for the option. Seeded, no network; about two minutes on an idle core.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page import publish
from driftwatch.domain import Completion, Kind, Outcome, content_hash
from driftwatch.score import KindOfChange as K, explain
from driftwatch.score.explain.effects import clopper_pearson

SEED = 20_260
AT = datetime(2026, 3, 2, tzinfo=UTC)
CANARIES, ANCHORS, SINCE = 12, 8, 12
"""Of one case where the recording holds as many: canaries, accepted replies each, replies since the onset each."""
CASES, QUICK_CASES = 4, 1
"""Cases per transformation and recording."""
GOAL = 0.70
NOTHING = "nothing"

Rng = np.random.Generator
Pool = Mapping[str, Sequence["Reply"]]
"""Prompt id → replies of one behaviour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One recorded reply and what is made of it."""

    text: str
    finish: str | None = "stop"
    input_tokens: int | None = None
    latency_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Two sides of one canary set, and the kinds that count as right."""

    name: str
    """The transformation."""
    source: str
    """The recording."""
    right: frozenset[str]
    before: Mapping[str, Sequence[Reply]]
    after: Mapping[str, Sequence[Reply]]
    about: Kind = Kind.BEHAVIOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A transformation of the replies since, the pools it applies to, and what it should be called."""

    name: str
    right: frozenset[str]
    apply: Callable[[list[Reply], Rng, str], list[Reply]]
    """(replies of one prompt, chance, prompt id) → what is served instead."""
    pools: tuple[str, ...] = ("wikipedia T=1", "humaneval T=1", "gpt-4 T=0", "gemma2 T=0")
    about: Kind = Kind.BEHAVIOUR


@dataclass(slots=True)
class Tally:
    """Headlines by truth."""

    named: dict[str, Counter[str]] = field(default_factory=dict)
    right: Counter[str] = field(default_factory=Counter)

    def add(self, case: Case, headline: str) -> None:
        """Count one case."""
        self.named.setdefault(case.name, Counter())[headline] += 1
        self.right[case.name] += headline in case.right

    def n(self, name: str) -> int:
        """Cases of one truth."""
        return sum(self.named[name].values())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recorded", type=Path, default=os.environ.get("DRIFTWATCH_RECORDED"), help="the recordings")
    parser.add_argument("--half", choices=["odd", "even"], default="odd", help="prompts used; tuned on the even ones")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/detection.md")
    parser.add_argument("--quick", action="store_true", help="one case of each")
    arguments = parser.parse_args()
    if arguments.recorded is None:
        parser.error("name the recordings: --recorded DIR or DRIFTWATCH_RECORDED")
    publish(
        "kinds", report(Path(arguments.recorded), half=arguments.half, quick=arguments.quick), write=arguments.write
    )


def report(recorded: Path, *, half: str, quick: bool) -> str:
    """The section as markdown.

    Args:
        recorded: folder with ``*.jsonl.gz`` and ``pairs.jsonl``.
        half: prompts with an ``odd`` or ``even`` place in the sorted list of their recording.
        quick: one case of each.
    """
    pools = load(recorded, half)
    tally = Tally()
    for case in simulated(pools, QUICK_CASES if quick else CASES):
        tally.add(case, headline(case))
    truths = [name for name in tally.named if name != NOTHING]
    n, right = sum(tally.n(t) for t in truths), sum(tally.right[t] for t in truths)
    quiet = tally.n(NOTHING)
    claimed = quiet - tally.right[NOTHING]
    about = (
        f"`python -m benchmarks.detection.kinds`, seed {SEED}, {half} prompts; thresholds were tuned on the even ones. "
        f"Recorded replies of {len(pools)} behaviours, up to {CANARIES} prompts × {ANCHORS} accepted replies and "
        f"{SINCE} since the onset, transformed as named; nothing else is compared. Intervals are 95 % Clopper–Pearson."
    )
    results = (
        f"Right kind first: {share(right, n)} of {n}; goal {GOAL:.0%}. "
        f"A kind is claimed where nothing changed: {share(claimed, quiet)} of {quiet}."
    )
    lines = [
        "### Kind of change",
        "",
        about,
        "",
        results,
        "",
        "| what was done | cases | named right | named instead |",
        "|---|---|---|---|",
    ]
    for truth in [*truths, NOTHING]:
        wrong = [f"{kind} {count}" for kind, count in tally.named[truth].most_common() if kind not in _rights[truth]]
        shown = ", ".join(wrong)
        lines.append(f"| {truth} | {tally.n(truth)} | {share(tally.right[truth], tally.n(truth))} | {shown or '–'} |")
    if not quick:
        lines += ["", *real(recorded, half)]
    return "\n".join(lines)


def headline(case: Case) -> str:
    """The kind named first, or ``nothing``."""
    before, after = _completions(case.before), _completions(case.after)
    found = explain(before, after, [], about=case.about, seed=SEED).headline
    return found.kind.value if found else NOTHING


def share(k: int, n: int) -> str:
    """A share with its exact interval."""
    if not n:
        return "–"
    low, high = clopper_pearson(k, n)
    return f"{k / n:.0%} [{100 * low:.0f}, {100 * high:.0f}]"


# ---------------------------------------------------------------- recordings


def rows(recorded: Path, name: str) -> Iterator[dict[str, Any]]:
    """The lines of one recording; none where it is missing."""
    if not (recorded / name).exists():
        return
    with gzip.open(recorded / name, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def load(recorded: Path, half: str) -> dict[str, Pool]:
    """Behaviours with several replies per prompt."""
    pools: dict[str, dict[str, list[Reply]]] = {}

    def add(pool: str, row: Mapping[str, Any]) -> None:
        # no recording holds the input tokens, so every prompt is given a count of its own
        tokens = 20 + int(content_hash(row["prompt_id"]), 16) % 150
        pools.setdefault(pool, {}).setdefault(row["prompt_id"], []).append(
            Reply(text=row["output"] or "", input_tokens=tokens, latency_s=row.get("latency_s") or 0.0)
        )

    for row in rows(recorded, "audit_wikipedia.jsonl.gz"):
        if row["sample_idx"] < 60:  # noqa: PLR2004 - enough for three cases without sharing a reply
            add("wikipedia T=1", row)
    for row in rows(recorded, "audit_humaneval.jsonl.gz"):
        add("humaneval T=1", row)
    for row in rows(recorded, "repro_summarization.jsonl.gz"):
        model = row["model"].removesuffix("-9b")
        add(f"{model} T={row['temperature']:g}".replace("0.", "."), row)
    for row in rows(recorded, "llm_stability_gpt4o.jsonl.gz"):
        if row.get("extra", {}).get("exp") == "strict_json_schema":
            add("gpt-4o JSON T=0", row)
        elif row["task"] == "college_mathematics":
            add("gpt-4o maths T=0" if "prefix" not in row["extra"] else "gpt-4o maths, prefixed", row)
    return {
        name: {prompt: those for i, (prompt, those) in enumerate(sorted(pool.items())) if i % 2 == (half == "odd")}
        for name, pool in pools.items()
    }


def draw(pool: Pool, rng: Rng) -> tuple[dict[str, list[Reply]], dict[str, list[Reply]]]:
    """Canaries with accepted replies and replies since; no reply is on both sides."""
    usable = [prompt for prompt, those in pool.items() if len(those) >= 3]  # noqa: PLR2004 - two before, one since
    before, after = {}, {}
    for prompt in rng.permutation(usable)[:CANARIES].tolist():
        those = [pool[prompt][i] for i in rng.permutation(len(pool[prompt])).tolist()]
        n = min(ANCHORS, (len(those) + 1) // 2)
        before[prompt], after[prompt] = those[:n], those[n : n + SINCE]
    return before, after


# ---------------------------------------------------------------- what is done to replies


def simulated(pools: Mapping[str, Pool], n: int) -> Iterator[Case]:
    """Every transformation on every pool it suits, ``n`` times."""
    rng = np.random.default_rng(SEED)
    for change in (*CHANGES, *_swaps(pools)):
        _rights[change.name] = change.right
        for pool in [name for name in change.pools if name in pools][: 1 if n == QUICK_CASES else None]:
            for _ in range(n):
                before, after = draw(pools[pool], rng)
                seed = int(rng.integers(2**32))
                changed = {
                    prompt: change.apply(list(those), np.random.default_rng([seed, i]), prompt)
                    for i, (prompt, those) in enumerate(after.items())
                }
                yield Case(
                    name=change.name,
                    source=pool,
                    right=change.right,
                    before=before,
                    after=changed,
                    about=change.about,
                )
    yield from _temperatures(pools, n, rng)


def _temperatures(pools: Mapping[str, Pool], n: int, rng: Rng) -> Iterator[Case]:
    """Real ones: the same prompts and model at two temperatures."""
    for name, kinds, pairs in (
        ("temperature raised", {K.HOTTER}, (("T=0", "T=.3"), ("T=0", "T=.7"), ("T=.3", "T=.7"))),
        ("temperature lowered", {K.COLDER, K.IDENTICAL}, (("T=.3", "T=0"), ("T=.7", "T=0"), ("T=.7", "T=.3"))),
    ):
        _rights[name] = frozenset(kind.value for kind in kinds)
        for model in ("gpt-4", "gemma2"):
            for low, high in pairs:
                if not {f"{model} {low}", f"{model} {high}"} <= pools.keys():
                    continue
                for _ in range(n):
                    before, _rest = draw_all(pools[f"{model} {low}"], rng)
                    after, _rest = draw_all(pools[f"{model} {high}"], rng)
                    both = [p for p in before if p in after]
                    yield Case(
                        name=name,
                        source=f"{model} {low} → {high}",
                        right=_rights[name],
                        before={p: before[p] for p in both},
                        after={p: after[p] for p in both},
                    )


def draw_all(pool: Pool, rng: Rng) -> tuple[dict[str, list[Reply]], None]:
    """Up to 8 replies of up to 12 canaries that do not change from draw to draw: the sides are different pools."""
    prompts = sorted(pool)[:40]
    chosen = {p: [pool[p][i] for i in rng.permutation(len(pool[p]))[:ANCHORS].tolist()] for p in prompts}
    return {p: those for p, those in chosen.items() if len(those) > 1}, None


def _each(make: Callable[[Reply, Rng], Reply], low: float, high: float) -> Callable[..., list[Reply]]:
    """Change a share of the replies, drawn once per canary between ``low`` and ``high``."""

    def apply(replies: list[Reply], rng: Rng, _prompt: str) -> list[Reply]:
        part = rng.uniform(low, high)
        return [make(reply, rng) if rng.random() < part else reply for reply in replies]

    return apply


def _cut(reply: Reply, rng: Rng) -> Reply:
    words = reply.text.split(" ")
    keep = max(1, int(len(words) * rng.uniform(0.35, 0.65)))
    return replace(reply, text=" ".join(words[:keep]), finish="length")


def _cut_silently(reply: Reply, rng: Rng) -> Reply:
    return replace(_cut(reply, rng), finish="stop")


def _lengthen(reply: Reply, rng: Rng) -> Reply:
    return replace(reply, text=f"{reply.text.rstrip()} {' '.join(rng.permutation(_FILLERS)[: rng.integers(2, 6)])}")


def _prepend(reply: Reply, rng: Rng) -> Reply:
    return replace(reply, text=f"{' '.join(rng.permutation(_FILLERS)[: rng.integers(2, 6)])} {reply.text}")


def _first_sentences(reply: Reply, _rng: Rng) -> Reply:
    sentences = re.split(r"(?<=[.!?])\s+", reply.text.strip())
    if len(sentences) > 1:
        return replace(reply, text=" ".join(sentences[: max(1, len(sentences) // 2)]))
    words = reply.text.split()
    return replace(reply, text=" ".join(words[: max(1, len(words) // 2)]).rstrip(",;") + ".")


def _refuse(reply: Reply, rng: Rng) -> Reply:
    return replace(reply, text=str(rng.choice(_REFUSALS)))


def _break_json(reply: Reply, rng: Rng) -> Reply:
    broken = (reply.text.rstrip("} \n"), f"Sure! Here is the answer: {reply.text}", reply.text.replace('"', "'"))
    return replace(reply, text=broken[int(rng.integers(3))])


def _fence(reply: Reply, _rng: Rng) -> Reply:
    return replace(reply, text=f"```text\n{reply.text}\n```")


def _list(reply: Reply, _rng: Rng) -> Reply:
    parts = [p for p in re.split(r"(?<=[.,;!?])\s+|\n", reply.text.strip()) if p.strip()]
    return replace(reply, text="\n".join(f"- {part}" for part in parts))


def _heading(reply: Reply, _rng: Rng) -> Reply:
    return replace(reply, text=f"## Answer\n\n{reply.text}")


def _cyrillic(reply: Reply, _rng: Rng) -> Reply:
    return replace(reply, text=reply.text.lower().translate(_CYRILLIC))


def _german(reply: Reply, rng: Rng) -> Reply:
    return replace(reply, text=" ".join(rng.permutation(_GERMAN)[: rng.integers(3, 6)]))


def _repeat(replies: list[Reply], rng: Rng, _prompt: str) -> list[Reply]:
    return [replies[int(rng.integers(len(replies)))]] * len(replies)


def _flip(replies: list[Reply], _rng: Rng, prompt: str) -> list[Reply]:
    """Another word early on, the same in every reply of a prompt, as when a nearly tied token flips at T=0."""
    chance = np.random.default_rng(list(prompt.encode()))
    place = int(chance.integers(1, 12))

    def other(text: str) -> str:
        words = text.split(" ")
        at = min(place, len(words) - 1)
        return " ".join([*words[:at], "rather", *words[at + 1 :]])

    return [replace(reply, text=other(reply.text)) for reply in replies]


def _offset(replies: list[Reply], _rng: Rng, _prompt: str) -> list[Reply]:
    return [replace(reply, input_tokens=(reply.input_tokens or 0) + 37) for reply in replies]


def _proportional(replies: list[Reply], rng: Rng, _prompt: str) -> list[Reply]:
    factor = 1.18 + rng.uniform(-0.03, 0.03)
    return [replace(reply, input_tokens=round((reply.input_tokens or 0) * factor)) for reply in replies]


def _slow(replies: list[Reply], rng: Rng, _prompt: str) -> list[Reply]:
    return [replace(r, latency_s=max(0.4, r.latency_s) * rng.uniform(1.6, 3.0)) for r in replies]


def _as_is(replies: list[Reply], _rng: Rng, _prompt: str) -> list[Reply]:
    return replies


def _swaps(pools: Mapping[str, Pool]) -> tuple[Change, ...]:
    """All or some replies by somebody else: another model on the same prompt, or a reply to another prompt."""

    def other(pool: str, low: float, high: float) -> Callable[..., list[Reply]]:
        def apply(replies: list[Reply], rng: Rng, prompt: str) -> list[Reply]:
            source = pools[pool].get(prompt) if not pool.endswith("T=1") else None
            if source is None:
                prompts = [p for p in pools[pool] if p != prompt]
                source = pools[pool][str(rng.choice(prompts))]
            part = rng.uniform(low, high)
            return [
                replace(r, text=source[int(rng.integers(len(source)))].text) if rng.random() < part else r
                for r in replies
            ]

        return apply

    def some(pool: str, by: str) -> Change:
        right = _kinds(K.INTERMITTENT)
        return Change(name="5–16 % from elsewhere", right=right, apply=other(by, 0.05, 0.16), pools=(pool,))

    def whole(pool: str, by: str) -> Change:
        right = _kinds(K.DIFFERENT_MODEL)
        return Change(name="all by another model", right=right, apply=other(by, 1, 1), pools=(pool,))

    swaps = (
        some("gpt-4 T=0", "gemma2 T=0"),
        some("gpt-4 T=0", "gemma2 T=.7"),
        some("gemma2 T=0", "gpt-4 T=0"),
        some("wikipedia T=1", "wikipedia T=1"),
        some("humaneval T=1", "humaneval T=1"),
        whole("gpt-4 T=0", "gemma2 T=0"),
        whole("gpt-4 T=0", "gemma2 T=.7"),
        whole("gemma2 T=0", "gpt-4 T=0"),
        whole("gemma2 T=0", "gpt-4 T=.7"),
    )
    return swaps if pools.keys() >= {"gpt-4 T=0", "gemma2 T=0", "wikipedia T=1", "humaneval T=1"} else ()


def _kinds(*kinds: K) -> frozenset[str]:
    return frozenset(kind.value for kind in kinds)


_REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot assist with this request.",
    "I'm unable to provide that. Is there anything else I can help with?",
)
_FILLERS = (
    "I hope this helps!",
    "Please note that the details above may depend on the circumstances.",
    "It is also worth mentioning that further information is available on request.",
    "If you have any other questions, do not hesitate to ask.",
    "In summary, this covers the main points that were asked about.",
    "Let me know whether you would like me to go into more detail on any of these aspects.",
)
_GERMAN = (
    "Der Text beschreibt die wichtigsten Ereignisse und nennt die beteiligten Personen.",
    "Danach wurde das Verfahren noch einmal von einer unabhängigen Stelle geprüft.",
    "Die Ergebnisse zeigen, dass sich der Ansatz in der Praxis bewährt hat.",
    "Es gibt jedoch einige Fragen, die noch nicht beantwortet werden konnten.",
    "Außerdem spielt die Größe der verwendeten Daten eine wesentliche Rolle.",
    "Im Jahr darauf kam es zu einer Änderung, die bis heute gültig ist.",
)
_CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувшхыз")

CHANGES = (
    Change(name="cut off, finish_reason length", right=_kinds(K.TRUNCATED), apply=_each(_cut, 0.6, 1)),
    Change(
        name="cut off, nothing said",
        right=_kinds(K.TRUNCATED),
        apply=_each(_cut_silently, 0.8, 1),
        pools=("gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(name="sentences added after", right=_kinds(K.LONGER), apply=_each(_lengthen, 0.8, 1)),
    Change(name="sentences added in front", right=_kinds(K.LONGER), apply=_each(_prepend, 0.8, 1)),
    Change(
        name="first half of the sentences",
        right=_kinds(K.SHORTER),
        apply=_each(_first_sentences, 1, 1),
        pools=("wikipedia T=1", "gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(name="15–40 % refused", right=_kinds(K.REFUSES_MORE), apply=_each(_refuse, 0.15, 0.4)),
    Change(name="all refused", right=_kinds(K.REFUSES_MORE), apply=_each(_refuse, 1, 1)),
    Change(
        name="JSON broken", right=_kinds(K.JSON_BROKEN), apply=_each(_break_json, 0.3, 1), pools=("gpt-4o JSON T=0",)
    ),
    Change(
        name="code fence around",
        right=_kinds(K.FORMAT),
        apply=_each(_fence, 0.7, 1),
        pools=("wikipedia T=1", "gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(
        name="as a list",
        right=_kinds(K.FORMAT),
        apply=_each(_list, 0.7, 1),
        pools=("wikipedia T=1", "gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(
        name="under a heading",
        right=_kinds(K.FORMAT),
        apply=_each(_heading, 0.7, 1),
        pools=("wikipedia T=1", "gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(
        name="Cyrillic letters",
        right=_kinds(K.LANGUAGE),
        apply=_each(_cyrillic, 0.3, 1),
        pools=("wikipedia T=1", "gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(
        name="answers in German",
        right=_kinds(K.LANGUAGE),
        apply=_each(_german, 0.3, 1),
        pools=("wikipedia T=1", "gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(
        name="one reply over and over",
        right=_kinds(K.IDENTICAL),
        apply=_repeat,
        pools=("wikipedia T=1", "humaneval T=1"),
    ),
    Change(
        name="one word flips early, T=0",
        right=_kinds(K.SLIGHT),
        apply=_flip,
        pools=("gpt-4 T=0", "gemma2 T=0"),
    ),
    Change(name="37 input tokens more", right=_kinds(K.HIDDEN_PROMPT), apply=_offset),
    Change(name="input tokens × 1.18", right=_kinds(K.TOKENIZER), apply=_proportional),
    Change(name="1.6–3 times as slow", right=_kinds(K.SLOWER), apply=_slow, about=Kind.PERFORMANCE),
    Change(
        name=NOTHING,
        right=frozenset({NOTHING}),
        apply=_as_is,
        pools=(
            "wikipedia T=1",
            "humaneval T=1",
            "gpt-4 T=0",
            "gpt-4 T=.3",
            "gpt-4 T=.7",
            "gemma2 T=0",
            "gemma2 T=.3",
            "gemma2 T=.7",
            "gpt-4o JSON T=0",
            "gpt-4o maths T=0",
        ),
    ),
)
_rights: dict[str, frozenset[str]] = {}


# ---------------------------------------------------------------- labelled pairs


def real(recorded: Path, half: str) -> list[str]:
    """The labelled pairs whose cause implies a kind, and the unchanged ones."""
    about = (
        "Recorded pairs. An instruction in front of the question stands for a hidden prompt, of which the recordings "
        "hold no token count; so *different model likely* (it adds: or a new system prompt) and what the instruction "
        "asks for, shorter replies or JSON, count as right. LLMDrift and ZeroEval hold one reply per prompt and side: "
        "what replies to the same prompt differ by anyway is unknown there."
    )
    lines = [
        about,
        "",
        "| pair | cause | named | right |",
        "|---|---|---|---|",
    ]
    files: dict[str, list[dict[str, Any]]] = {}
    hits = n = claims = quiet = 0
    for line in (recorded / "pairs.jsonl").read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        stored = files.setdefault(pair["file"], list(rows(recorded, pair["file"])))
        sides = [_side([r for r in stored if r.get("task") in pair["tasks"]], pair[s], half) for s in ("left", "right")]
        right = frozenset({NOTHING}) if pair["label"] == "unchanged" else _implied(pair)
        case = Case(name=pair["pair_id"], source=pair["file"], right=right, before=sides[0], after=sides[1])
        named = headline(case)
        if pair["label"] == "unchanged":
            quiet, claims = quiet + 1, claims + (named != NOTHING)
        else:
            n, hits = n + 1, hits + (named in right)
        verdict = "yes" if named in right else "no"
        lines.append(f"| {pair['pair_id']} | {pair['label']}: {pair['cause']} | {named} | {verdict} |")
    summary = (
        f"Changed pairs: {share(hits, n)} of {n} right; unchanged pairs: a kind claimed on {share(claims, quiet)} of "
        f"{quiet}."
    )
    return [*lines, "", summary]


def _implied(pair: Mapping[str, Any]) -> frozenset[str]:
    cause = pair["cause"]
    if cause.startswith("temperature"):
        return _kinds(K.HOTTER)
    new = _kinds(K.DIFFERENT_MODEL)
    if "instruction prefix" in cause:
        return new | _kinds(K.HIDDEN_PROMPT, K.SHORTER, K.FORMAT)
    longer = pair["mean_len_right"] > pair["mean_len_left"]
    factor = max(pair["mean_len_right"], pair["mean_len_left"]) / min(pair["mean_len_right"], pair["mean_len_left"])
    # a snapshot that answers in less than half or more than twice the words is told so as rightly
    return new | (_kinds(K.LONGER if longer else K.SHORTER) if factor >= 2 else frozenset())  # noqa: PLR2004 - twice


def _side(stored: Sequence[dict[str, Any]], wanted: Mapping[str, Any], half: str) -> dict[str, list[Reply]]:
    side: dict[str, list[Reply]] = {}
    places = {prompt: i for i, prompt in enumerate(sorted({r["prompt_id"] for r in stored}))}
    for row in stored:
        if places[row["prompt_id"]] % 2 == (half == "odd") and _keeps(row, wanted):
            side.setdefault(row["prompt_id"], []).append(Reply(text=row["output"] or "", finish=None))
    return side


def _keeps(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    place = row.get("sample_idx", 0)
    for key, value in wanted.items():
        if key == "samples_lt":
            fits = place < value
        elif key == "samples_ge":
            fits = place >= value
        elif key == "sample_mod":
            fits = place % value[0] == value[1]
        elif key == "extra":
            fits = all((row.get("extra") or {}).get(name) == said for name, said in value.items())
        else:
            fits = row.get(key) in (value if isinstance(value, list) else [value])
        if not fits:
            return False
    return True


def _completions(side: Mapping[str, Sequence[Reply]]) -> list[Completion]:
    return [
        Completion(
            canary_id=prompt,
            canary_hash="recorded",
            repeat=i,
            outcome=Outcome.OK,
            at=AT,
            latency_s=reply.latency_s,
            text=reply.text,
            finish_reason=reply.finish,
            input_tokens=reply.input_tokens,
        )
        for prompt, replies in side.items()
        for i, reply in enumerate(replies)
    ]


if __name__ == "__main__":
    main()
