"""Which tripwires a stored run trips, in the light of the verdicts before it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from driftwatch import lifecycle, tripwires
from driftwatch.alert.text import when
from driftwatch.domain import Baseline, Level, Purpose, Run, Target, Told, Tripwire, Verdict, Wire
from driftwatch.errors import DriftwatchError
from driftwatch.providers import Provider
from driftwatch.providers.listing import WITHOUT, Lists
from driftwatch.providers.masking import loggable
from driftwatch.replay import Gate
from driftwatch.store import Store

log = structlog.get_logger()

LOOKED_BACK = 3
"""Verdicts among which the one before a run is looked for; more only when runs are judged out of order."""

LOOK_EVERY = timedelta(days=1)
"""How often an endpoint's list of models is read on behalf of one target: ends are announced weeks ahead."""

LOOK_S = 10.0
"""The longest a run waits for that list, s."""


async def look(store: Store, target: Target, provider: Provider, *, gate: Gate, at: datetime) -> None:
    """Look the target's model up in the endpoint's list of models, once a day at most; never fails.

    One GET that no vendor charges for: it is no canary, and counts in no budget. Made before a run's canaries, so that
    nothing paid for is lost when the process is stopped meanwhile, and on a connection that none of them uses.

    Args:
        store: remembers what was told, and when somebody looked, told or not.
        target: whose model.
        provider: of the target.
        gate: of the target. The list counts towards none of its limits, and is left for the next run while the endpoint
            wants to be left alone.
        at: aware; the run's time.
    """
    is_off = target.tripwires.get(Wire.RETIREMENT, Level.OFF) is Level.OFF
    if is_off or target.provider in WITHOUT or not isinstance(provider, Lists) or gate.is_held:
        return
    source = f"{target.provider} {target.base_url or ''}".partition("?")[0].strip()
    try:
        known = await asyncio.to_thread(store.lookup, target.name)
        is_same = known is not None and (known.model, known.source) == (target.model, source)
        if known is not None and is_same and timedelta() <= at - known.looked_at < LOOK_EVERY:
            return
        listing = None
        try:
            async with asyncio.timeout(LOOK_S):
                listing = await provider.listed(target)
        except (DriftwatchError, TimeoutError) as error:
            log.debug("listing.unread", target=target.name, error=str(error) or "no answer in time")
        except Exception as error:  # noqa: BLE001 - a bug in one provider must not take a claimed run with it
            _unexpected(target, error)
        await asyncio.to_thread(store.looked, target.name, model=target.model, source=source, listing=listing, at=at)
    except DriftwatchError as error:
        log.debug("listing.not_kept", target=target.name, error=str(error))
    except Exception as error:  # noqa: BLE001 - nor one in what keeps it
        _unexpected(target, error)


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
        known: what the baseline tells, from ``known_to``. An anchor run is what is known, and trips only what does not
            depend on it: an announced end, and another upstream than the pinned one.
    """
    levels = {wire: level for wire, level in target.tripwires.items() if level is not Level.OFF}
    pinned = target.options.get("upstream")
    pinned = pinned if isinstance(pinned, str) else None
    if run.purpose is Purpose.ANCHOR:
        # What is known is being collected; an end is announced, and a pin broken, whatever is known.
        levels = {w: lv for w, lv in levels.items() if w in tripwires.ANNOUNCED or (pinned and w is Wire.UPSTREAM)}
    if not levels:
        return verdict
    told = store.told(run_ids=[run.id])
    standing, is_restored = _standing(store, baseline, run)
    trip = partial(
        tripwires.trip,
        known if run.purpose is Purpose.WATCH else tripwires.without(known, told),
        told,
        levels=levels,
        standing=standing,
        at=run.scheduled_at,
        pinned=pinned,
        ending=_ending(store, target, run) if Wire.RETIREMENT in levels else None,
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


def _unexpected(target: Target, error: Exception) -> None:
    log.error("listing.unexpected", target=target.name, **loggable(error))


def _ending(store: Store, target: Target, run: Run) -> str | None:
    return lifecycle.ending(
        store.lookup(target.name),
        model=target.model,
        at=run.scheduled_at,
        notice_days=target.retirement_notice_days,
    )


def _standing(store: Store, baseline: Baseline, run: Run) -> tuple[tuple[Tripwire, ...], bool]:
    """The tripwires of the verdict before a run, and whether that one was about another baseline."""
    recent = store.verdicts(run.target, limit=LOOKED_BACK)
    before = next((verdict for verdict in recent if verdict.at < run.scheduled_at), None)
    if before is None:
        return (), False
    if before.baseline_id != baseline.id:
        # Whatever the baseline: what was announced stays announced, and has been told.
        return tuple(tripped for tripped in before.tripwires if tripped.wire in tripwires.ANNOUNCED), True
    return before.tripwires, False


def log_new(verdict: Verdict) -> None:
    """Log the wires that tripped in the verdict's own run; the others have been said."""
    for tripped in verdict.tripwires:
        if tripped.since == verdict.at:
            log.warning(
                "tripwire.tripped",
                target=verdict.target,
                wire=str(tripped.wire),
                level=str(tripped.level),
                before=tripped.before,
                after=tripped.after,
                since=tripped.since.isoformat(),
            )
