"""Taking an acceptance back: by a person, or by itself when it was made for a while."""

from __future__ import annotations

from datetime import datetime

import structlog

from driftwatch.alert import incidents
from driftwatch.domain import Baseline, Target
from driftwatch.errors import UsageError
from driftwatch.rebaseline.proposal import incidents_of
from driftwatch.store import Store

log = structlog.get_logger()


def undo(store: Store, target: Target, *, author: str, reason: str, at: datetime) -> Baseline:
    """Put the baseline back that the current one replaced; what was found against the current one is closed.

    Again and again it goes back step by step, to the first. Drift that stands against the restored baseline opens an
    incident again with the next run.

    Raises:
        UsageError: there is none, it belongs to another question, or somebody has changed the baseline meanwhile.
    """
    current = store.current_baseline(target.name)
    if current is None or current.parent_id is None:
        raise UsageError(f"{target.name}: the current baseline replaced none, so there is nothing to undo")
    parent = _parent(store, current)
    if parent.series_key != current.series_key:
        raise UsageError(
            f"{target.name}: the baseline before this one was made when the target or its canaries were others; "
            "configure them as they were, and it comes back by itself"
        )
    restored = store.restore_baseline(parent.id, author=author, reason=reason, at=at, replacing=current)
    _close(store, target, current, f"was taken back: {reason}", author=author, at=at)
    return restored


def keep(store: Store, target: Target, *, author: str, reason: str, at: datetime) -> Baseline:
    """Make a provisional acceptance one for good.

    Raises:
        UsageError: it is for good, its time is over, or somebody has changed the baseline meanwhile.
    """
    current = store.current_baseline(target.name)
    if current is None or current.expires_at is None:
        raise UsageError(f"{target.name}: the current baseline does not expire, so there is nothing to keep")
    if current.expires_at <= at:
        raise UsageError(
            f"{target.name}: the acceptance expired on {current.expires_at:%Y-%m-%d %H:%M} UTC, and the next run "
            f"brings the replaced baseline back; accept anew: driftwatch rebaseline {target.name} --reason …"
        )
    why = f"for good, no longer until {current.expires_at:%Y-%m-%d %H:%M} UTC: {reason}"
    return store.set_expiry(current, None, author=author, reason=why, at=at)


def expire(store: Store, target: Target, baseline: Baseline, at: datetime) -> Baseline:
    """The baseline that runs from now on are compared to: the given one, or what it replaced once its time is over.

    Harmless when repeated, and when two processes do it at once: the second finds it done.

    Args:
        store: written to only where one has expired.
        target: whose.
        baseline: the current one.
        at: of the run that is about to be made; the moment of expiry itself is over.
    """
    while baseline.expires_at is not None and baseline.expires_at <= at and baseline.parent_id is not None:
        parent = _parent(store, baseline)
        if parent.series_key != baseline.series_key:
            break  # a baseline from a file can have replaced one of another question, which cannot come back
        accepted = f"the acceptance by {baseline.author} of {baseline.created_at:%Y-%m-%d %H:%M} UTC"
        try:
            restored = store.restore_baseline(
                parent.id, author=incidents.DRIFTWATCH, reason=f"{accepted} expired", at=at, replacing=baseline
            )
        except UsageError:
            # Another process was first; whatever it or a person made current meanwhile counts.
            now = store.current_baseline(baseline.target)
            if now is None or now.id == baseline.id or now.series_key != baseline.series_key:
                break
            baseline = now
            continue
        log.warning("baseline.expired", target=target.name, baseline=baseline.id, restored=restored.id)
        why = f"expired, which was accepted by {baseline.author} for a while"
        _close(store, target, baseline, why, author=incidents.DRIFTWATCH, at=at)
        baseline = restored
    return baseline


def _parent(store: Store, baseline: Baseline) -> Baseline:
    return next(other for other in store.baselines(baseline.target) if other.id == baseline.parent_id)


def _close(store: Store, target: Target, gone: Baseline, what: str, *, author: str, at: datetime) -> None:
    """End what was found against a baseline that is no longer in use."""
    found = [incident for incident in incidents_of(store, target.name) if incident.baseline_id == gone.id]
    if found:
        why = f"baseline {gone.id}, which it was found against, {what}"
        steps = incidents.resolve(found, author=author, reason=why, at=at, receivers=target.receivers)
        store.commit_judgement(None, steps, at=at)
