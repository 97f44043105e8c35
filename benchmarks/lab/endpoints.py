"""Endpoints made of recordings: ask one, and it answers as the recorded variant did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from benchmarks.lab.asking import GREEDY_TOKENS, SAMPLED_TEMPERATURE, SAMPLED_TOKENS
from benchmarks.lab.recordings import Row
from driftwatch.domain import Canary, Completion, Message, Outcome
from driftwatch.score import Embedder
from driftwatch.score.reading import Reading, read

Pool = Mapping[tuple[str, str], Sequence[Row]]
"""(task, prompt id) → what was recorded."""

AT = datetime(2026, 1, 1, tzinfo=UTC)
CONSTANT = frozenset({"greedy", "probe"})
"""Tasks at temperature 0: the server gives the same reply to the last bit, whatever it was asked before, so one
recorded reply stands for any number of requests. Where several were recorded and differ, because the server was
warmer than asked, each request gets any of them."""

PARAMETERS = {
    "greedy": {"temperature": 0, "max_tokens": GREEDY_TOKENS},
    "probe": {"temperature": 0, "max_tokens": 1},
    "word": {"temperature": 1, "max_tokens": 1},
    "sampled": {"temperature": SAMPLED_TEMPERATURE, "max_tokens": SAMPLED_TOKENS},
}
"""Task → what the client asks for."""


class TooFew(ValueError):
    """More completions were wanted than were recorded."""


@dataclass(frozen=True)
class Endpoint:
    """One name behind which one or more recorded variants answer. Not slotted: views are cached on it."""

    name: str
    shares: tuple[tuple[float, Pool], ...]
    """(share of the requests, who answers them); shares sum to 1."""

    @classmethod
    def of(cls, name: str, rows: Iterable[Row]) -> Endpoint:
        """An endpoint that is one variant."""
        return cls(name, ((1.0, pool(rows)),))

    def mixed(self, other: Endpoint, share: float, *, name: str) -> Endpoint:
        """This endpoint with a share of its requests, drawn one by one, answered by another."""
        return Endpoint(name, ((1.0 - share, self.shares[0][1]), (share, other.shares[0][1])))

    @cached_property
    def prompts(self) -> frozenset[tuple[str, str]]:
        """(task, prompt id) that every variant behind the name can answer."""
        return frozenset.intersection(*(frozenset(key for key, rows in p.items() if rows) for _, p in self.shares))

    def n(self, task: str, prompt_id: str) -> int:
        """Independent completions there are at the least; many where the task's replies are constant."""
        if task in CONSTANT:
            return 1_000_000 if (task, prompt_id) in self.prompts else 0
        return min(len(p.get((task, prompt_id), ())) for _, p in self.shares)

    def draw(self, task: str, prompt_id: str, n: int, rng: np.random.Generator) -> list[Row]:
        """Ask n times. No recorded completion is used twice, except where replies are constant.

        Args:
            task: As in ``Row.task``.
            prompt_id: Which prompt.
            n: 0 or more.
            rng: Who answers, and with which of the recorded completions.

        Raises:
            TooFew: not as many were recorded.
        """
        who = rng.choice(len(self.shares), size=n, p=[share for share, _ in self.shares])
        drawn: list[Row] = []
        for k, (_, rows_of) in enumerate(self.shares):
            wanted = int((who == k).sum())
            rows = rows_of.get((task, prompt_id), ())
            if task in CONSTANT:
                if wanted and not rows:
                    raise TooFew(f"{self.name} has no {task} reply to {prompt_id}")
                kinds = {(row.outcome, row.output, row.logprobs) for row in rows}
                drawn += (
                    [rows[i] for i in rng.integers(len(rows), size=wanted)] if len(kinds) > 1 else [rows[0]] * wanted
                )
                continue
            if wanted > len(rows):
                raise TooFew(f"{self.name} has {len(rows)} {task} replies to {prompt_id}, {wanted} are wanted")
            places = rng.permutation(len(rows))[:wanted]
            drawn += [rows[i] for i in places]
        return [drawn[i] for i in rng.permutation(n)]


def halves(endpoint: Endpoint, seed: int) -> tuple[Endpoint, Endpoint]:
    """One endpoint as two that share no sampled completion: the same behaviour, known to be the same."""
    rng = np.random.default_rng(seed)
    sides: tuple[list[tuple[float, Pool]], list[tuple[float, Pool]]] = ([], [])
    for share, rows_of in endpoint.shares:
        first: dict[tuple[str, str], Sequence[Row]] = {}
        second: dict[tuple[str, str], Sequence[Row]] = {}
        for key, rows in rows_of.items():
            if key[0] in CONSTANT:
                first[key] = second[key] = rows
                continue
            order = rng.permutation(len(rows))
            first[key] = [rows[i] for i in order[: len(rows) // 2]]
            second[key] = [rows[i] for i in order[len(rows) // 2 :]]
        sides[0].append((share, first))
        sides[1].append((share, second))
    return Endpoint(endpoint.name, tuple(sides[0])), Endpoint(endpoint.name, tuple(sides[1]))


def pool(rows: Iterable[Row]) -> Pool:
    """Rows by task and prompt, failures among them: an endpoint in trouble answers with those too."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.task, row.prompt_id), []).append(row)
    return grouped


def canary_id(row: Row) -> str:
    """The same prompt under another temperature is another canary."""
    return f"{row.task}/{row.prompt_id}"


def canary(row: Row, *, repeats: int | None = None) -> Canary:
    """The canary that a row answers."""
    return Canary(
        id=canary_id(row),
        suite=row.task,
        messages=(Message(role="user", content=row.prompt),),
        parameters=PARAMETERS[row.task],
        repeats=repeats,
    )


def completion(row: Row, *, repeat: int = 0) -> Completion:
    """The row as driftwatch stores it."""
    listed = [[token, value] for token, value in row.logprobs or ()]
    return Completion(
        canary_id=canary_id(row),
        canary_hash="",
        repeat=repeat,
        outcome=Outcome(row.outcome),
        at=AT,
        latency_s=row.latency_s,
        text=row.output,
        finish_reason=row.finish_reason,
        input_tokens=row.in_tokens,
        output_tokens=row.out_tokens,
        logprobs=[{"token": listed[0][0], "logprob": listed[0][1], "top": listed}] if listed else None,
        error=None if row.outcome == "ok" else row.outcome,
    )


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Readings of rows, each prepared once. Not slotted: it holds a cache."""

    embedder: Embedder | None = None
    _known: dict[int, tuple[Row, Reading]] = field(default_factory=dict)

    def prepare(self, rows: Sequence[Row]) -> None:
        """Prepare many rows, their texts embedded together."""
        new = [row for row in rows if id(row) not in self._known and row.outcome == "ok"]
        for row, reading in zip(new, read([completion(row) for row in new], self.embedder), strict=True):
            self._known[id(row)] = (row, reading)  # the row is kept: an id is its own only while it lives

    def of(self, rows: Sequence[Row]) -> list[Reading]:
        """The rows' readings, in order."""
        self.prepare(rows)
        return [self._known[id(row)][1] for row in rows]
