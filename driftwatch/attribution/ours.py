"""What changed or went wrong on our side around an onset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from driftwatch import provenance
from driftwatch.alert.evidence import Reason, Whose
from driftwatch.alert.text import duration
from driftwatch.attribution.facts import OwnCause, Scope
from driftwatch.attribution.witnesses import baseline_at
from driftwatch.domain import BaselineState, HarnessChange, Kind, Target
from driftwatch.store import Store

MEMORY = timedelta(days=30)
"""How far back changes are counted, to know how often something changes anyway."""

CHANCE = 0.1
"""Something that changes so often that a window around any time holds a change with this chance says nothing."""

DOUBT = 0.05
"""Changes where the onset most likely is that chance alone puts there, from which on one there proves nothing."""

ALWAYS = 3.0
"""Changes that such a window holds by chance, from which on one is no news even at the onset: 95 % of windows hold one
(1 - exp(-3)), as with a CI system that runs every job on another machine. Said of keys of which one value is as good
as another, and of values that were in force before; a new version or setting may be the cause however many there
were."""

INTERCHANGEABLE = frozenset({"machine"})
"""Keys that name and do not decide: which machine of a fleet it was. What a machine decides, its system, libraries and
way out, has keys of its own."""

FEWEST = 3
"""Earlier changes of a key at least, before it can be said to change often."""

SURE = 0.82
"""Subtracted from the square root of a count of changes, it leaves that of how many there are to be with 95 %: half of
the normal quantile 1.645, since the square root of a Poisson count has a standard deviation of a half (Bartlett 1936,
"The square root transformation in analysis of variance"). Three in a row may be chance; a week is a short record."""

HARMLESS = ("suite.", "scoring", "embedder")
"""Keys whose change begins new baselines, so that nothing is compared across it."""

_SCOPES = {"way out": Scope.NETWORK}
"""Keys that do not move everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a cause must have begun."""

    since: datetime
    until: datetime
    onset_at: datetime
    near_since: datetime
    """When it most likely began, at the earliest: a cause before that may be one, and may be a coincidence."""
    near_until: datetime

    def is_near(self, at: datetime) -> bool:
        """Whether a time is where the onset most likely is."""
        return self.near_since <= at <= self.near_until

    def holds(self, at: datetime) -> bool:
        """Whether a time is in it."""
        return self.since <= at <= self.until

    def told(self, at: datetime) -> str:
        """How far before or after the onset a time is."""
        seconds = (self.onset_at - at).total_seconds()
        if abs(seconds) < 60:  # noqa: PLR2004 - s; nobody reads less than a minute
            return "at the onset"
        return f"{duration(abs(seconds))} {'before' if seconds > 0 else 'after'} the onset"


def recorded(store: Store, target: Target, window: Window) -> tuple[list[OwnCause], list[Reason], bool]:
    """What the record of our side says.

    Args:
        store: read only.
        target: that moved.
        window: around its onset.

    Returns:
        Changes that explain it, or would if such were not usual; those that say nothing (usual ones
        away from where the onset most likely is, and constant ones without a new value); and whether there is a record
        of the time before.
    """
    changes = store.harness_changes(until=window.until)
    # A record that begins in the window, as after the first upgrade that keeps one, tells of its later part alone.
    is_recorded = bool(changes) and changes[0].at < window.since
    causes, notes = [], []
    for before, change in pairwise(changes):
        if not window.holds(change.at):
            continue
        for key in change.changed:
            if key.startswith(HARMLESS) or (key.startswith("target.") and key != f"target.{target.name}"):
                continue
            said = provenance.words(key, before.facts.get(key), change.facts.get(key))
            near = window.is_near(change.at)
            times, known = _counted(key, changes, window)
            expected = _often(times, known, window)
            # Doubt is cheap, and asks for less than passing over: it makes "cannot tell", and blames nobody.
            by_chance = times * (window.near_until - window.near_since) / known if known else 0.0
            is_usual = expected > CHANCE or (near and by_chance > DOUBT)
            is_no_news = expected > ALWAYS and (key in INTERCHANGEABLE or _was_so(key, change, changes, window))
            if (is_usual and not near) or is_no_news:
                text = f"{said}, {window.told(change.at)}: it changes so often that this says nothing"
                notes.append(Reason(text=text, points_to=Whose.UNKNOWN))
                continue
            scope = Scope.ONE if key.startswith("target.") else _SCOPES.get(key, Scope.ALL)
            text = f"{said}, {window.told(change.at)}"
            causes.append(OwnCause(text=text, scope=scope, is_near=near, is_usual=is_usual))
    return causes, notes, is_recorded


def rebaselined(store: Store, target: Target, window: Window) -> Iterator[OwnCause]:
    """A baseline that a person chose shortly before the onset: what moved may be the measure."""
    baseline = baseline_at(store, target.name, window.onset_at)
    if baseline is None:
        return
    chosen = baseline.parent_id is not None and baseline.activated_at is not None
    if chosen and baseline.activated_at is not None and window.holds(baseline.activated_at):
        text = f"{baseline.author} replaced the baseline {window.told(baseline.activated_at)}"
        yield OwnCause(text=text, scope=Scope.ONE, is_near=window.is_near(baseline.activated_at))
        return
    for change in store.baseline_changes(target.name):
        if change.before is BaselineState.SUPERSEDED and window.holds(change.at):
            text = f"{change.author} put an earlier baseline back {window.told(change.at)}"
            yield OwnCause(text=text, scope=Scope.ONE, is_near=window.is_near(change.at))


def clock(store: Store, target: Target, window: Window, kind: Kind) -> tuple[list[OwnCause], list[Reason]]:
    """A clock that went back: it stretches what is measured in seconds, and shifts the rhythm of the day."""
    runs = sorted(store.runs(target.name, since=window.since, until=window.until), key=lambda run: run.id)
    back = max((a.scheduled_at - b.scheduled_at for a, b in pairwise(runs)), default=timedelta(0))
    if back <= timedelta(minutes=1):
        return [], []
    said = f"the clock of this machine went back by {duration(back.total_seconds())}"
    if kind is Kind.PERFORMANCE:
        return [OwnCause(text=f"{said} around the onset", scope=Scope.ALL)], []
    return [], [Reason(text=f"{said} around the onset, which does not change replies", points_to=Whose.UNKNOWN)]


def _was_so(key: str, change: HarnessChange, changes: Sequence[HarnessChange], window: Window) -> bool:
    """Whether a value that came into force was so before, in the time that is remembered: it then did nothing."""
    earlier = [one for one in changes if window.since - MEMORY <= one.at < window.since]
    return any(one.facts.get(key) == change.facts.get(key) for one in earlier)


def _counted(key: str, changes: Sequence[HarnessChange], window: Window) -> tuple[int, timedelta]:
    """How often a key changed before the window, in how much time; in none where the record begins later."""
    since = max(window.since - MEMORY, changes[0].at)
    times = sum(key in change.changed and since < change.at < window.since for change in changes[1:])
    return times, max(window.since - since, timedelta(0))


def _often(times: int, known: timedelta, window: Window) -> float:
    """How many changes a window of this length holds by chance at least; 0 where too few are known."""
    if times < FEWEST:
        return 0.0
    return float((times**0.5 - SURE) ** 2) * ((window.until - window.since) / known)
