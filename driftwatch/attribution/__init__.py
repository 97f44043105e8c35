"""Whose is it: "provider", "this endpoint", "our side" or "cannot tell", with everything that was looked at.

``judge`` is the decision, pure; ``attribute`` gathers what it decides on from the store. Both can be asked again at
any later time: with more runs they can tell more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from driftwatch.alert.evidence import Attribution, Reason, Whose
from driftwatch.attribution import ours, words
from driftwatch.attribution.facts import Facts, Movement, OwnCause, Role, Scope, Witness
from driftwatch.attribution.relations import Relation, host, is_frozen, relations
from driftwatch.attribution.rules import judge
from driftwatch.attribution.witnesses import Gallery, Question, is_mostly_unanswered, outcomes_of
from driftwatch.domain import Kind, RunState, Target, Tripwire, Verdict
from driftwatch.judgement import MAX_FAILURE_SHARE
from driftwatch.store import Store

__all__ = [
    "Attribution",
    "Facts",
    "Movement",
    "OwnCause",
    "Reason",
    "Role",
    "Scope",
    "Whose",
    "Witness",
    "attribute",
    "judge",
]

WITNESSES = 6
"""Undeclared targets that are asked, at most: enough for a majority of hosts, and each takes about 10 ms to read."""

FAILED_RUNS = 6
"""Failed runs whose outcomes are counted: availability opens after three."""


def attribute(
    store: Store,
    target: Target,
    fleet: Sequence[Target],
    *,
    kind: Kind,
    onset_at: datetime,
    at: datetime,
    alarm_at: datetime | None = None,
    verdict: Verdict | None = None,
) -> Attribution:
    """Say whose a change is, from all that is stored by a time.

    Args:
        store: read only. Missing history makes "cannot tell", never an error.
        target: that changed.
        fleet: all targets under watch.
        kind: of the incident.
        onset_at: when it began, as estimated; availability: the first failing run.
        at: what happened later is not looked at. Later than the alarm, more is known.
        alarm_at: when it was noticed; the longer that took, the less is known of the onset. ``at`` when None.
        verdict: the one that raised the alarm; the target's latest stored one by ``at`` when None.
    """
    if kind is Kind.WATCH_ITSELF:
        text = "it is about driftwatch itself"
        return Attribution(
            verdict=Whose.OURS,
            summary=f"Our side: {text}.",
            reasons=(Reason(text=text, points_to=Whose.OURS),),
        )
    noticed_at = min(at if alarm_at is None else alarm_at, at)
    window, tolerance = _window(store, target, onset_at, noticed_at)
    if verdict is None:
        verdict = next((v for v in store.verdicts(target.name, limit=VERDICTS) if v.at <= at), None)
    tripped = _tripped(verdict, onset_at, tolerance)
    causes, notes, is_recorded = ours.recorded(store, target, window)
    causes += ours.rebaselined(store, target, window)
    clock_causes, clock_notes = ours.clock(store, target, window, kind)
    said, account = words.of_tripwires(tripped, target, kind)
    is_unanswered = False
    if kind is Kind.AVAILABILITY:
        failed = [
            run
            for run in store.runs(target.name, since=onset_at, until=at, limit=FAILED_RUNS, states=MEASURED)
            if run.failure_share > MAX_FAILURE_SHARE
        ]
        more, more_account = words.of_failures(outcomes_of(store, failed), target)
        said, account = [*more, *said], [*more_account, *account]
        is_unanswered = is_mostly_unanswered(store, failed)
    gallery = Gallery(
        store,
        Question(
            target=target,
            kind=kind,
            onset_at=onset_at,
            tolerance=tolerance,
            at=at,
            moved_canaries=_moved(target, verdict, kind),
            wires=frozenset(one.wire for one in tripped),
            is_unanswered=is_unanswered,
        ),
    )
    telling, silent = words.own_words(said)
    return judge(
        Facts(
            target=target.name,
            kind=kind,
            witnesses=tuple(gallery.ask(relation) for relation in _asked(target, fleet)),
            own_causes=(*account, *causes, *clock_causes),
            is_recorded=is_recorded,
            words=telling,
            notes=(*silent, *clock_notes),
            passed_over=tuple(notes),
            is_frozen=is_frozen(target, fleet),
        )
    )


MEASURED = (RunState.MEASURED, RunState.JUDGED)
VERDICTS = 24
"""Latest verdicts among which the one of a time is looked for."""


NEAR, NEAR_RUNS = 0.5, 2
FAR, FAR_RUNS = 1.5, 4
"""The doubt about an onset, as a share of the time from it to the alarm and in runs at least. Measured on simulated
changes of 1 to 5 standard deviations: 95 % began within the first, 99.7 % within the second."""


def _window(store: Store, target: Target, onset_at: datetime, noticed_at: datetime) -> tuple[ours.Window, timedelta]:
    """When a cause may have begun, and how far the onset may be off; after a gap also since the last run before it."""
    interval, delay = timedelta(seconds=target.interval_s), max(noticed_at - onset_at, timedelta(0))
    near, far = max(NEAR_RUNS * interval, NEAR * delay), max(FAR_RUNS * interval, FAR * delay)
    before = store.runs(target.name, until=onset_at - timedelta(seconds=1), states=MEASURED, limit=1, newest_first=True)
    last = [run.scheduled_at for run in before]
    latest = max(noticed_at, onset_at)
    window = ours.Window(
        since=min([onset_at - far, *last]),
        until=min(onset_at + far, latest),
        onset_at=onset_at,
        near_since=min([onset_at - near, *last]),
        near_until=min(onset_at + near, latest),
    )
    return window, far


def _tripped(verdict: Verdict | None, onset_at: datetime, tolerance: timedelta) -> list[Tripwire]:
    return [one for one in (verdict.tripwires if verdict else ()) if abs(one.since - onset_at) <= tolerance]


def _moved(target: Target, verdict: Verdict | None, kind: Kind) -> frozenset[str]:
    """Content hashes of the canaries that moved beyond chance, as far as the verdict says."""
    channels = [channel for channel in (verdict.channels if verdict else ()) if channel.kind is kind]
    names = {canary.canary_id for channel in channels for canary in channel.canaries if canary.is_affected}
    return frozenset(canary.content_hash for canary in target.canaries if canary.id in names)


def _asked(target: Target, fleet: Sequence[Target]) -> list[Relation]:
    """Every declared control, and so many others: one of each host before a second of any."""
    found = relations(target, fleet)
    declared = [relation for relation in found if relation.is_declared]
    rest: list[Relation] = []
    for role in (Role.SAME_MODEL, Role.HOST, Role.OTHER):
        seen: dict[str, int] = {}
        ranked = []
        for relation in found:
            if not relation.is_declared and relation.role is role:
                place = host(relation.target)
                seen[place] = seen.get(place, -1) + 1
                ranked.append((seen[place], relation))
        rest += [relation for _, relation in sorted(ranked, key=lambda pair: pair[0])]
    return declared + rest[:WITNESSES]
