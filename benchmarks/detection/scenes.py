"""Endpoints and where some of their answers may come from, read off the recordings: what routing is measured on."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lab import recordings as lab_recordings

N_CANARIES = 20
MOST_ANSWERS = 108
"""Of a prompt's 250 recorded answers that are used: 8 anchors and a hundred to draw runs from."""
BEGUN, LEAST, CUT = 100, 250, 340
"""The T = 1 prompts end after 100 characters of an article; 50 tokens more, what the model was given, are about 240.
Articles that are recorded with fewer than 250 are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An endpoint, and where some of its answers come from."""

    name: str
    temperature: float
    natural: Mapping[str, Sequence[str]]
    """Canary → its own answers, anchors first."""
    foreign: Mapping[str, Sequence[str]]
    n_anchors: int


def scenes(recorded: Path, *, temperature_one: Sequence[int]) -> Iterator[Scene]:
    """The scenes from the recorded real outputs.

    Args:
        recorded: the folder.
        temperature_one: which of the hundred T = 1 prompts may be used, by position.
    """
    answers, texts = defaultdict(list), {}
    for row in rows_in(recorded / "audit_wikipedia.jsonl.gz"):
        answers[row["prompt_id"]].append(row["output"])
        if "prompt" in row:
            texts[row["prompt_id"]] = row["prompt"].split(") ", 1)[1]
    prompts = [list(answers)[i] for i in temperature_one]
    authored = {p: [texts[p][BEGUN:CUT]] for p in prompts if len(texts[p]) > LEAST}
    chosen = list(authored)[:N_CANARIES]
    yield Scene(
        name="Llama-3-70B at T = 1 · Wikipedia's authors",
        temperature=1.0,
        natural={p: answers[p][:MOST_ANSWERS] for p in chosen},
        foreign={p: authored[p] for p in chosen},
        n_anchors=8,
    )
    away = {p: prompts[(prompts.index(p) + 7) % len(prompts)] for p in chosen}
    yield Scene(
        name="Llama-3-70B at T = 1 · its answers to other prompts",
        temperature=1.0,
        natural={p: answers[p][:MOST_ANSWERS] for p in chosen},
        foreign={p: answers[away[p]][:30] for p in chosen},
        n_anchors=8,
    )
    yield from _summaries(recorded)
    yield from _problems(recorded)


def _summaries(recorded: Path) -> Iterator[Scene]:
    by_model: dict[str, dict[str, list[str]]] = {"gpt-4": defaultdict(list), "gemma2-9b": defaultdict(list)}
    for row in rows_in(recorded / "repro_summarization.jsonl.gz"):
        if row["temperature"] == 0 or row["model"] == "gemma2-9b":
            by_model[row["model"]][row["prompt_id"]].append(row["output"])
    own, other = by_model["gpt-4"], by_model["gemma2-9b"]
    # Ten prompts, asked twice a run: two canaries each, which share the recorded answers.
    pairs = [(f"{p}#{i}", p) for p in own if p in other for i in range(2)]
    yield Scene(
        name="GPT-4 at T = 0 · gemma2-9b",
        temperature=0.0,
        natural={name: own[p] for name, p in pairs},
        foreign={name: other[p] for name, p in pairs},
        n_anchors=4,
    )


def _problems(recorded: Path) -> Iterator[Scene]:
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows_in(recorded / "zeroeval_gsm.jsonl.gz"):
        answers[row["snapshot_or_provider"]][row["prompt_id"]] = row["output"]
    own, near = answers["gpt-4o-2024-08-06"], answers["gpt-4o-2024-05-13"]
    mini = answers["gpt-4o-mini-2024-07-18"]
    chosen = [p for p in own if p in near and p in mini][1::2][:N_CANARIES]
    for n_forks, name in ((0, "an endpoint that repeats itself"), (10, "one answer in ten forks")):
        # A fork is the same problem's answer of the snapshot before: the nearest recorded text that is not the same.
        yield Scene(
            name=f"GPT-4o at T = 0, {name} · GPT-4o mini",
            temperature=0.0,
            natural={p: [own[p]] * (108 - n_forks) + [near[p]] * n_forks for p in chosen},
            foreign={p: [mini[p]] for p in chosen},
            n_anchors=8,
        )


def lab_scenes(folder: Path) -> Iterator[Scene]:
    """SmolLM2-135M at T = .8, routed to each recorded variant of it; nothing where there are no recordings."""
    try:
        variants = lab_recordings.load(folder)
    except FileNotFoundError:
        return
    texts = {name: by_prompt(row for row in rows if row.task == "sampled") for name, rows in variants.items()}
    own = texts.pop("original", {})
    for name, other in texts.items():
        chosen = [p for p in own if p in other][:N_CANARIES]
        if name == "restart" or len(chosen) < N_CANARIES:
            continue
        yield Scene(
            name=f"lab: SmolLM2-135M at T = .8 · {name}",
            temperature=0.8,
            natural={p: own[p] for p in chosen},
            foreign={p: other[p] for p in chosen},
            n_anchors=8,
        )


def by_prompt(rows: Iterable[lab_recordings.Row]) -> dict[str, list[str]]:
    """Prompt → its replies that came, in the order of the rows."""
    grouped = defaultdict(list)
    for row in rows:
        if row.outcome == "ok":
            grouped[row.prompt_id].append(row.output)
    return grouped


def rows_in(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a recorded file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)
