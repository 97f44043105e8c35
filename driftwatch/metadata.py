"""Which tripwires a stored run trips, in the light of the verdicts before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from driftwatch import tripwires
from driftwatch.alert.text import when
from driftwatch.domain import Baseline, Level, Purpose, Run, Target, Told, Tripwire, Verdict
from driftwatch.store import Store

LOOKED_BACK = 3
"""Verdicts among which the one before a run is looked for; more only when runs are judged out of order."""


def with_tripwires(
    store: Store, target: Target, baseline: Baseline, run: Run, verdict: Verdict, *, known: Sequence[Told]
) -> Verdict:
    """The verdict with the tripwires of its run, noted in its reason.

    Args:
        store: read only.
        target: says what each wire causes.
        baseline: what the run is compared to.
        run: stored with its completions.
        verdict: of the run.
        known: what the baseline tells, from ``known_to``. An anchor run trips nothing: it is what is known.
    """
    if run.purpose is Purpose.ANCHOR or all(level is Level.OFF for level in target.tripwires.values()):
        return verdict
    told = store.told(run_ids=[run.id])
    standing, is_restored = _standing(store, baseline, run)
    trip = partial(
        tripwires.trip,
        tripwires.without(known, told) if run.purpose is Purpose.CALIBRATION else known,
        told,
        levels=target.tripwires,
        standing=standing,
        at=run.scheduled_at,
    )
    found = trip()
    stood = {(tripped.wire, value) for tripped in standing for value in tripped.after}
    # All verdicts are looked through for news alone. After a baseline was put back, what stands against it is news.
    if not is_restored and {(tripped.wire, value) for tripped in found for value in tripped.after} - stood:
        found = trip(seen=store.tripped(target.name, baseline.id))
    if not found:
        return verdict
    noted = [f"the endpoint {tripwires.words(tripped)} since {when(tripped.since)}" for tripped in found]
    return replace(verdict, tripwires=found, reason="; ".join([verdict.reason, *noted]))


def known_to(store: Store, baseline: Baseline) -> list[Told]:
    """What a baseline's anchors and calibration runs tell; fixed once it is active."""
    return store.told(baseline_id=baseline.id)


def _standing(store: Store, baseline: Baseline, run: Run) -> tuple[tuple[Tripwire, ...], bool]:
    """The tripwires of the verdict before a run, and whether that one was about another baseline."""
    recent = store.verdicts(run.target, limit=LOOKED_BACK)
    before = next((verdict for verdict in recent if verdict.at < run.scheduled_at), None)
    if before is None:
        return (), False
    if before.baseline_id != baseline.id:
        return (), True
    return before.tripwires, False
