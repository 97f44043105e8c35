"""Spend a budget on finding prompts whose first token is nearly tied, and one-word prompts whose answers vary.

With log-probabilities one request tells a prompt's gap exactly. Without, prompts are asked repeatedly at temperature 1,
where two first tokens of equal weight are answered equally often; the budget goes to the more promising half of them,
round by round (successive halving).
Source: Karnin, Koren & Somekh (2013), Almost Optimal Exploration in Multi-Armed Bandits, ICML, algorithm 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from driftwatch.domain import Json
from driftwatch.probes.abilities import Abilities, find_abilities
from driftwatch.probes.asking import Asker
from driftwatch.probes.candidates import candidate
from driftwatch.score.channels.label import label_of
from driftwatch.score.channels.logprob import first_token

KINDS = ("border", "words", "logprob")

MAX_GAP_NATS = 0.5
"""A border input's two likeliest answers are at most this far apart. Changes of weights that nothing else shows (4-bit
rounding, a small LoRA) moved the first token's log-probabilities by .12 to .14 nats on SmolLM2-135M; what lies beyond
.5 would hardly ever flip. Source: docs/detection.md, "Why prefix agreement"."""

VARIETY = (0.2, 0.85)
"""A one-word prompt is worth its repeats when the chance that two answers differ lies in this range: below, a change
has nothing to move; above, the answers are so many that a run's share of each is mostly chance."""

BEST_VARIETY = 2 / 3
"""That of three even answers, which five repeats can still tell from other shares. Chosen, not tuned."""

FIRST_SAMPLES = 2
"""Answers of each candidate in the first round of halving: the fewest that can differ."""

FINALISTS = 2
"""Prompts that reach the last round of halving, for each probe that is kept."""

GREEDY_CHECKS = 2
"""Requests at temperature 0 that each border input is confirmed with."""

WORD_REPEATS, WORD_ANCHORS = 5, 50
"""How often a run asks a one-word prompt, and accepted answers it needs: a share known from 8 answers is known to ±.35.
Source: docs/detection.md, "Evidence per run"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One prompt that was found, ready to be a canary."""

    kind: str
    """A key of KINDS."""
    prompt: str
    reason: str
    parameters: Mapping[str, Json]
    gap_nats: float | None
    """Between the two likeliest answers, 0 or more; None where no log-probability told it."""
    repeats: int | None = None
    anchors: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What a search found, and what it took."""

    abilities: Abilities
    probes: tuple[Probe, ...] = ()
    n_candidates: int = 0
    n_requests: int = 0
    trouble: str | None = None
    """Why the search ended early: the endpoint's failure in one sentence."""
    unspent: str | None = None
    """Why requests are left, as half a sentence; None when none are, or trouble or abilities say it."""


@dataclass(slots=True)
class _Tried:
    """What is known of one prompt's first word."""

    prompt: str
    told: Mapping[str, float] = field(default_factory=dict)
    """Token → log-probability in nats, where the endpoint tells them."""
    counts: Counter[str] = field(default_factory=Counter)
    """Answer → how often it came, at random."""
    greedy: Counter[str] = field(default_factory=Counter)
    """Answer → how often it came at temperature 0."""

    def rivals(self) -> tuple[str, str]:
        """The two likeliest answers; fewer than two known ones are filled up with the empty answer."""
        ranked = [*self._ranked(), ("", 0.0), ("", 0.0)]
        return ranked[0][0], ranked[1][0]

    def gap_nats(self) -> float:
        """Between the two likeliest answers; infinite when nothing is known of two."""
        ranked = self._ranked()
        if self.told:
            return ranked[0][1] - ranked[1][1] if len(ranked) > 1 else math.inf
        # Half a count is added, so that an answer that has not come yet is unlikely and not impossible.
        first, second = [*(n for _, n in ranked), 0, 0][:2]
        return math.log((first + 0.5) / (second + 0.5)) if first else math.inf

    def variety(self) -> float:
        """The chance that two answers differ, 0 … 1; NaN when too little is known."""
        if self.told:
            shares: Counter[str] = Counter()
            for token, logprob in self.told.items():
                shares[label_of(token)] += math.exp(logprob)  # type: ignore[assignment]  # a share, not a count
            total = math.fsum(shares.values())
            return 1.0 - math.fsum((share / total) ** 2 for share in shares.values())
        n = self.counts.total()
        same = sum(count * (count - 1) for count in self.counts.values())
        return 1.0 - same / (n * (n - 1)) if n > 1 else math.nan

    def _ranked(self) -> list[tuple[str, float]]:
        """Answers with their log-probability or count, the likeliest first.

        An answer is as near as its likeliest token: that is the one that a greedy reply would begin with.
        """
        found: dict[str, float] = dict(self.counts)
        for token, logprob in self.told.items():
            word = label_of(token)
            found[word] = max(logprob, found.get(word, -math.inf))
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))


async def discover(asker: Asker, *, kinds: Collection[str], n_probes: int, seed: int) -> Discovery:
    """Find out what the endpoint takes, then spend what is left on finding probes.

    Args:
        asker: the endpoint and the budget.
        kinds: which of KINDS are wanted.
        n_probes: how many of each kind, at most.
        seed: decides the prompts that are tried.

    Returns:
        No probe when nothing was found; the notes and the trouble say why.

    Raises:
        CannotProbe: the endpoint does not answer.
    """
    abilities = await find_abilities(asker)
    tried: list[_Tried] = []
    n_checks = 0
    if abilities.bound:
        n_checks = GREEDY_CHECKS * n_probes if "border" in kinds and abilities.greedy is not None else 0
        room = max(0, asker.left - n_checks)
        if abilities.logprobs is not None:
            tried = await _look(asker, abilities.logprobs, room, seed)
        elif not {"border", "words"}.isdisjoint(kinds):
            tried = await _halve(asker, abilities, room, FINALISTS * n_probes, seed)
    probes = await _choose(asker, abilities, tried, kinds, n_probes)
    return Discovery(
        abilities=abilities,
        probes=tuple(probes),
        n_candidates=len(tried),
        n_requests=asker.spent,
        trouble=asker.trouble,
        unspent=_why_unspent(asker.left, n_checks, tried, probes) if abilities.bound else None,
    )


def _why_unspent(left: int, n_checks: int, tried: Sequence[_Tried], probes: Sequence[Probe]) -> str | None:
    """Why a search that ended by itself left requests over."""
    if not left:
        return None
    n_border = sum(probe.kind == "border" for probe in probes)
    if n_checks > GREEDY_CHECKS * n_border:
        wanted = n_checks // GREEDY_CHECKS
        return f"they were kept to confirm {wanted} border inputs at temperature 0, and {n_border} were found"
    if not tried:
        return "nothing more of what is wanted can be asked of this endpoint"
    if any(one.told for one in tried):
        return "prompts that came up twice were asked once"
    return "they are too few for one more round of answers"


async def _look(asker: Asker, parameters: Mapping[str, Json], room: int, seed: int) -> list[_Tried]:
    """One request for each candidate: its log-probabilities tell everything."""
    replies = await asker.ask([candidate(i, seed) for i in range(room)], parameters)
    told = {prompt: first_token(reply.logprobs) for prompt, found in replies.items() for reply in found}
    return [_Tried(prompt=prompt, told=listed) for prompt, listed in told.items() if listed]


async def _halve(asker: Asker, abilities: Abilities, room: int, n_keep: int, seed: int) -> list[_Tried]:
    """Successive halving by the gap, at temperature 1; returns every candidate that was asked."""
    n = n_keep
    while _cost(n + 1, n_keep) <= room:
        n += 1
    n = min(n, room // FIRST_SAMPLES)
    everything = [_Tried(prompt=prompt) for prompt in dict.fromkeys(candidate(i, seed) for i in range(n))]
    alive, times, reserve = everything, FIRST_SAMPLES, asker.left - room
    while alive and asker.left - reserve >= times:
        is_last = len(alive) <= n_keep
        if is_last:
            # What the halving did not use up goes to those that are compared in the end.
            times = max(times, (asker.left - reserve) // len(alive))
        replies = await asker.ask([one.prompt for one in alive], {**abilities.bound, **abilities.sampling}, times=times)
        for one in alive:
            one.counts.update(label_of(completion.text) for completion in replies.get(one.prompt, ()))
        if is_last:
            break
        alive = sorted(alive, key=_Tried.gap_nats)[: max(n_keep, len(alive) // 2)]
        times *= 2
    return [one for one in everything if one.counts]


def _cost(n: int, n_keep: int) -> int:
    """Requests that halving ``n`` candidates down to ``n_keep`` takes."""
    total, times = 0, FIRST_SAMPLES
    while True:
        total += n * times
        if n <= n_keep:
            return total
        n, times = max(n_keep, n // 2), times * 2


async def _choose(
    asker: Asker, abilities: Abilities, tried: Sequence[_Tried], kinds: Collection[str], n_probes: int
) -> list[Probe]:
    probes: list[Probe] = []
    if "border" in kinds and abilities.greedy is not None:
        # Two answers that differ look like a tie and are none yet: only those that were asked longest are compared.
        longest = max((one.counts.total() for one in tried), default=0)
        sure = [one for one in tried if one.counts.total() == longest and one.gap_nats() <= MAX_GAP_NATS]
        near = sorted(sure, key=_Tried.gap_nats)[:n_probes]
        replies = await asker.ask(
            [one.prompt for one in near], {**abilities.bound, **abilities.greedy}, times=GREEDY_CHECKS
        )
        for one in near:
            one.greedy.update(label_of(completion.text) for completion in replies.get(one.prompt, ()))
        with_logprobs = "logprob" in kinds and abilities.logprobs_when_greedy
        probes += [_border(abilities, one, with_logprobs=with_logprobs) for one in near]
    if "words" in kinds:
        taken = {probe.prompt for probe in probes}
        varied = [one for one in tried if VARIETY[0] <= one.variety() <= VARIETY[1] and one.prompt not in taken]
        varied.sort(key=lambda one: (abs(one.variety() - BEST_VARIETY), one.prompt))
        probes += [_words(abilities, one) for one in varied[:n_probes]]
    if "logprob" in kinds and abilities.logprobs is not None and not any(_tells(probe) for probe in probes):
        flattest = sorted(tried, key=lambda one: (-one.variety(), one.prompt))[:n_probes]
        probes += [_logprob(abilities, one) for one in flattest]
    return probes


def _tells(probe: Probe) -> bool:
    return probe.parameters.get("logprobs") is True


def _border(abilities: Abilities, one: _Tried, *, with_logprobs: bool) -> Probe:
    first, second = one.rivals()
    parameters = {**abilities.bound, **(abilities.greedy or {})}
    if with_logprobs:
        parameters = dict(abilities.logprobs or {})
    flips = len(one.greedy) > 1
    if one.told:
        reason = f"The answers {first!r} and {second!r} are {one.gap_nats():.2f} nats apart by their log-probabilities"
    else:
        # A handful of answers is no measurement of a gap, though it is what the search ranks by.
        reason = f"Both {first!r} and {second!r} came, in {one.counts.total()} answers at random"
    reason += ", and both came at temperature 0." if flips else "; a small change of weights flips the greedy one."
    return Probe(
        kind="border",
        prompt=one.prompt,
        reason=reason,
        parameters=parameters,
        gap_nats=one.gap_nats() if one.told else None,
        # Where the endpoint itself wavers, a single answer says little and eight do not tell how often it does.
        repeats=WORD_REPEATS if flips else 1,
        anchors=WORD_ANCHORS if flips else None,
    )


def _words(abilities: Abilities, one: _Tried) -> Probe:
    first, second = one.rivals()
    return Probe(
        kind="words",
        prompt=one.prompt,
        reason=f"Answers such as {first!r} and {second!r}: two of them differ with a chance of {one.variety():.0%}.",
        parameters={**abilities.bound, **abilities.sampling},
        gap_nats=one.gap_nats() if one.told else None,
        repeats=WORD_REPEATS,
        anchors=WORD_ANCHORS,
    )


def _logprob(abilities: Abilities, one: _Tried) -> Probe:
    return Probe(
        kind="logprob",
        prompt=one.prompt,
        reason=f"What the endpoint says of its {len(one.told)} likeliest first tokens moves with the weights.",
        parameters=abilities.logprobs or {},
        gap_nats=one.gap_nats() if one.told else None,
        repeats=1,
    )
