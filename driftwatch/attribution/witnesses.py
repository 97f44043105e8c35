"""What another target saw when one moved: its own alarm, or its scores over the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from driftwatch.alert.text import count, duration, when
from driftwatch.attribution.facts import Movement, Role, Witness
from driftwatch.attribution.movement import LEAST_AFTER, MOST_AFTER, Part, leading, shown
from driftwatch.attribution.relations import Relation, host, reach
from driftwatch.domain import Baseline, Kind, Outcome, Run, RunState, SeriesRow, Target, Wire
from driftwatch.judgement import MAX_FAILURE_SHARE
from driftwatch.score import CHANNELS
from driftwatch.store import Store

MOST_BEFORE = 168
"""Runs before the onset that are read: a week of hourly runs."""

FOLLOWS_WITHIN = timedelta(hours=72)
"""A model that moves at another host so much later is the same rollout; everything else must move in the same hours."""

SHARED = 0.5
"""Share of the target's canaries, and of those that moved, that another must be asked too before its rest means
anything."""

UNANSWERED = frozenset(
    {Outcome.TIMEOUT, Outcome.CONNECTION, Outcome.CUT_OFF, Outcome.EMPTY_BODY, Outcome.NOT_JSON, Outcome.MALFORMED}
)
"""Failures in which the endpoint itself did not speak: the network, a proxy or a gateway may have."""

Said = tuple[Movement, str] | tuple[Movement, str, str]
"""What a target did, how it is told after its name, and what would make it tell more than more runs would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the other targets are asked about."""

    target: Target
    kind: Kind
    onset_at: datetime
    tolerance: timedelta
    """How far the onset may be from where it was estimated, to either side."""
    at: datetime
    """What happened later is not looked at."""
    moved_canaries: frozenset[str] = frozenset()
    """Content hashes of the canaries that moved beyond chance; empty when that is not known."""
    wires: frozenset[Wire] = frozenset()
    """Tripwire: what tripped."""
    is_unanswered: bool = False
    """Availability: whether most failures of the target were ``UNANSWERED``."""


class Gallery:
    """Asks one target after another. What they have in common is read once.

    Args:
        store: read only.
        question: what they are asked about.
    """

    def __init__(self, store: Store, question: Question) -> None:
        self._store, self._question = store, question
        self._change: dict[str, float] | None = None
        self._until = question.at

    def ask(self, relation: Relation) -> Witness:
        """What one target says."""
        movement, how, *needs = self._said(relation)
        return Witness(
            name=relation.target.name,
            role=relation.role,
            movement=movement,
            how=how,
            host=host(relation.target),
            is_remote=reach(relation.target) >= reach(self._question.target),
            is_declared=relation.is_declared,
            needs=needs[0] if needs else "",
        )

    def _said(self, relation: Relation) -> Said:
        kind = self._question.kind
        if kind is Kind.TRIPWIRE:
            return self._wires(relation)
        alarmed = self._alarmed(relation)
        if kind is Kind.AVAILABILITY and (alarmed is None or alarmed[0] is Movement.MOVED):
            # How it fails matters too, which an alarm does not say.
            return self._failures(relation.target)
        return self._scores(relation.target) if alarmed is None else alarmed

    def _alarmed(self, relation: Relation) -> Said | None:
        """By its own incidents of the same kind, None when it has none that matters."""
        asked = self._question
        earliest = asked.onset_at - asked.tolerance
        latest = asked.onset_at + asked.tolerance
        follows = relation.role is Role.SAME_MODEL and asked.kind is Kind.BEHAVIOUR
        for incident in self._store.incidents(target=relation.target.name, limit=INCIDENTS):
            if incident.kind is not asked.kind or incident.opened_at > asked.at:
                continue
            if earliest <= incident.onset_at <= latest:
                return Movement.MOVED, f"moved too: its own alarm, since {when(incident.onset_at)}"
            if follows and latest < incident.onset_at <= asked.onset_at + FOLLOWS_WITHIN:
                later = duration((incident.onset_at - asked.onset_at).total_seconds())
                return Movement.MOVED, f"moved {later} later: its own alarm, since {when(incident.onset_at)}"
            if incident.onset_at < earliest and (incident.resolved_at or asked.at) >= earliest:
                return Movement.UNKNOWN, f"says nothing: it was off already, since {when(incident.onset_at)}"
        return None

    # ------------------------------------------------------------ scores

    def _scores(self, other: Target) -> Said:
        asked = self._question
        mine = {canary.content_hash for canary in asked.target.canaries}
        theirs = {canary.content_hash for canary in other.canaries}
        if not _is_asked_enough(mine, theirs, asked.moved_canaries):
            needs = f"give {other.name} the suites of {asked.target.name}"
            return Movement.UNKNOWN, "says nothing: it is asked other canaries", needs
        if self._change is None:
            own = self._rows(asked.target)
            if own is not None and own[1]:
                self._until = own[1][-1].scheduled_at
            names = [name for name, channel in CHANNELS.items() if channel.kind is asked.kind]
            self._change = leading(_parts(names, *own)) if own is not None else {}
        if not self._change:
            return Movement.UNKNOWN, "says nothing: how large the change is here is not known"
        rows = self._rows(other)
        if rows is None:
            return Movement.UNKNOWN, "says nothing: it had no baseline then", f"leave {other.name} in the watch"
        found = shown(self._change, _parts(self._change, *rows), dilution=len(mine & theirs) / len(theirs))
        if isinstance(found, str):
            return Movement.UNKNOWN, f"says nothing: {found}"
        verb = {
            Movement.MOVED: "moved too",
            Movement.STILL: "did not move",
            Movement.UNKNOWN: "says nothing: it may or may not have moved",
        }[found.movement]
        return found.movement, f"{verb}: {found}"

    def _rows(self, target: Target) -> tuple[list[SeriesRow], list[SeriesRow]] | None:
        """A target's runs before the onset and since, None without a baseline at the time."""
        asked = self._question
        baseline = baseline_at(self._store, target.name, asked.onset_at)
        if baseline is None:
            return None
        interval = timedelta(seconds=target.interval_s)
        rows = self._store.series(baseline.id, after=asked.onset_at - MOST_BEFORE * interval - asked.tolerance)
        before = [row for row in rows if row.scheduled_at < asked.onset_at - min(asked.tolerance, 2 * interval)]
        after = [row for row in rows if asked.onset_at <= row.scheduled_at <= self._until]
        return before[-MOST_BEFORE:], after[:MOST_AFTER]

    # ------------------------------------------------------------ failures

    def _failures(self, other: Target) -> Said:
        asked = self._question
        since = self._store.runs(
            other.name,
            since=asked.onset_at - timedelta(seconds=other.interval_s) / 2,
            until=asked.at,
            states=(RunState.MEASURED, RunState.JUDGED),
            limit=MOST_AFTER,
        )
        if len(since) < LEAST_AFTER:
            return Movement.UNKNOWN, f"says nothing: {count(len(since), 'run')} since then, {LEAST_AFTER} are needed"
        failed = [run for run in since if run.failure_share > MAX_FAILURE_SHARE]
        if not failed:
            return Movement.STILL, f"did not fail: {count(len(since), 'run')} since then"
        if 2 * len(failed) < len(since):
            return Movement.UNKNOWN, f"says nothing: {len(failed)} of its {len(since)} runs since then failed"
        if asked.is_unanswered and not is_mostly_unanswered(self._store, failed):
            return Movement.UNKNOWN, "says nothing: it fails in another way"
        return Movement.MOVED, f"failed too: {len(failed)} of its {len(since)} runs since then"

    # ------------------------------------------------------------ tripwires

    def _wires(self, relation: Relation) -> Said:
        asked = self._question
        if relation.role is not Role.SAME_MODEL:
            return Movement.UNKNOWN, "says nothing: what an endpoint says of itself is its own"
        verdicts = self._store.verdicts(relation.target.name, since=asked.onset_at - asked.tolerance, limit=MOST_AFTER)
        seen = [verdict for verdict in verdicts if verdict.at <= asked.at]
        for tripped in (wire for verdict in seen for wire in verdict.tripwires if wire.wire in asked.wires):
            if abs(tripped.since - asked.onset_at) <= FOLLOWS_WITHIN:
                return Movement.MOVED, f"reports the like, since {when(tripped.since)}"
        n_since = sum(verdict.at >= asked.onset_at for verdict in seen)
        if n_since < LEAST_AFTER:
            return Movement.UNKNOWN, f"says nothing: {count(n_since, 'run')} since then, {LEAST_AFTER} are needed"
        return Movement.STILL, f"reports nothing of the kind: {count(n_since, 'run')} since then"


INCIDENTS = 50
"""Incidents of one target that are read, the newest: more than a year of any that is worth watching. Those of the
other targets are left alone: each holds its evidence, and the long history of a large watch takes as long to read as
all scores."""


def baseline_at(store: Store, target: str, at: datetime) -> Baseline | None:
    """The baseline that a target was compared to at a time, None when it had none."""
    begun = [baseline for baseline in store.baselines(target) if baseline.created_at <= at]
    stood = [b for b in begun if b.superseded_at is None or b.superseded_at > at]
    return stood[-1] if stood else None


def is_mostly_unanswered(store: Store, failed: Sequence[Run]) -> bool:
    """Whether most failures of some runs came without a word of the endpoint."""
    outcomes = outcomes_of(store, failed)
    return 2 * sum(outcomes.get(outcome, 0) for outcome in UNANSWERED) > sum(outcomes.values())


def outcomes_of(store: Store, runs: Sequence[Run]) -> Mapping[Outcome, int]:
    """How the failed requests of some runs ended → how many."""
    outcomes: dict[Outcome, int] = {}
    for told in store.told(run_ids=[run.id for run in runs]):
        if told.outcome not in {Outcome.OK, Outcome.NOT_ASKED}:
            outcomes[told.outcome] = outcomes.get(told.outcome, 0) + told.n
    return outcomes


def _is_asked_enough(mine: Collection[str], theirs: Collection[str], moved: frozenset[str]) -> bool:
    shared = set(mine) & set(theirs)
    return bool(mine) and len(shared) >= SHARED * len(mine) and len(shared & moved) >= SHARED * len(moved)


def _parts(names: Iterable[str], before: Sequence[SeriesRow], after: Sequence[SeriesRow]) -> dict[str, Part]:
    """Channel → its scores around the onset; channels that were never measured before it are left out."""
    return {
        name: Part(before=_column(before, name), after=_column(after, name))
        for name in names
        if any(name in row.values for row in before)
    }


def _column(rows: Iterable[SeriesRow], channel: str) -> np.ndarray:
    return np.array([row.values.get(channel, np.nan) for row in rows], dtype=np.float64)
