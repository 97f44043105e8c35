"""Who changed a target's baseline, when and why: the stored edges as acts that people know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftwatch.domain import Baseline, BaselineState, Event
from driftwatch.store import BaselineChange, Store


class Act(StrEnum):
    """What was done to a baseline."""

    BEGUN = "begun"
    """It took the place of the one before, if there was one."""
    BROUGHT_IN = "brought in"
    """It was measured elsewhere and came from a file."""
    ARMED = "armed"
    RESTORED = "restored"
    """It came back: by undo, by an expiry, or because the question is again what it was."""
    KEPT = "kept"
    """Until when it is accepted was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act."""

    at: datetime
    author: str
    act: Act
    reason: str
    baseline: Baseline
    """As it is now."""
    replaced: int | None
    """The baseline that was current before, None where there was none or it stayed."""
    resolved: tuple[int, ...]
    """The numbers by which people know the incidents that it ended."""


def audit(store: Store, target: str) -> list[Entry]:
    """Every act on a target's baselines, oldest first.

    Args:
        store: read only.
        target: the target's name; it need not be in the config any more.
    """
    known = {baseline.id: baseline for baseline in store.baselines(target)}
    ended = [
        (edge.at, edge.author, incident.lead_id)
        for incident in store.incidents(target=target)
        for edge in store.transitions(incident.id)
        if edge.event is Event.RESOLVED
    ]
    entries = []
    replaced: int | None = None
    for change in store.baseline_changes(target):
        if change.after is BaselineState.SUPERSEDED:
            replaced = change.baseline_id  # what took its place is the next edge
            continue
        act = _act(change, known[change.baseline_id])
        took = act in {Act.BEGUN, Act.BROUGHT_IN, Act.RESTORED}
        entries.append(
            Entry(
                at=change.at,
                author=change.author,
                act=act,
                reason=change.reason,
                baseline=known[change.baseline_id],
                replaced=replaced if took else None,
                resolved=_resolved(ended, change) if took else (),
            )
        )
        replaced = None
    return entries


def _act(change: BaselineChange, baseline: Baseline) -> Act:
    if change.before is None:
        # What was measured elsewhere keeps the name of whoever accepted it there, and the day.
        own = (baseline.author, baseline.reason, baseline.created_at)
        return Act.BEGUN if own == (change.author, change.reason, change.at) else Act.BROUGHT_IN
    if change.before is BaselineState.SUPERSEDED:
        return Act.RESTORED
    return Act.KEPT if change.before is change.after else Act.ARMED


def _resolved(ended: Sequence[tuple[datetime, str, int]], change: BaselineChange) -> tuple[int, ...]:
    return tuple(sorted({number for at, author, number in ended if (at, author) == (change.at, change.author)}))
