"""What the runs, verdicts and incidents before a verdict say: how long it has been so, and what was told already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from driftwatch.alert import advancing, incidents
from driftwatch.alert.policy import Policy
from driftwatch.domain import (
    BaselineState,
    Incident,
    IncidentState,
    Kind,
    Level,
    Run,
    RunState,
    State,
    Target,
    Verdict,
)
from driftwatch.judgement import MAX_FAILURE_SHARE, stopped
from driftwatch.store import Store
from driftwatch.usage import is_stopped

PASSED_OVER = 10
"""Runs that a budget ended early, among which the failing ones are still looked for."""

LOOKED_BACK = 4
"""Times as many verdicts are read as must be quiet: those that concluded nothing are among them."""

LEFT_OVER = 4
"""Runs after the end of a behaviour incident that decide whether performance, which was told with it, is still off."""

JOINS_BEHAVIOUR = frozenset({Kind.PERFORMANCE, Kind.TRIPWIRE})
"""Kinds that are told in a standing incident of behaviour instead of one of their own, and are closed with it."""


def streaks(
    store: Store,
    target: Target,
    run: Run,
    verdict: Verdict,
    *,
    failing: Sequence[Run],
    standing: Sequence[Incident],
    policy: Policy,
) -> advancing.Streaks:
    """What the runs up to this one say; nothing is read that no open incident asks for."""
    outcomes: Counter[str] = Counter()
    troubles = set()
    for replies in store.completions([earlier.id for earlier in failing]).values() if failing else ():
        of_run = Counter(reply.outcome.value for reply in replies if not reply.is_ok and not is_stopped(reply))
        troubles.add(advancing.trouble_of(of_run))
        outcomes.update(of_run)
    waited_for = [advancing.measured_runs(i, policy) for i in standing if i.kind in incidents.UNMEASURED]
    returned = max((advancing.quiet_runs(i) for i in standing if i.n_reopened), default=1)
    return advancing.Streaks(
        failed=len(failing),
        measured=_measured(store, target, run, limit=max(waited_for)) if waited_for else int(not failing),
        quiet=_quiet(store, target, verdict, limit=returned),
        outcomes=outcomes,
        is_alike=len(troubles) <= 1,
    )


def recent(store: Store, target: Target, verdict: Verdict, policy: Policy) -> list[Incident]:
    """The target's incidents whose end driftwatch itself found not too long ago, latest end first."""
    since = verdict.at - policy.reopen_within
    over = [i for i in store.incidents(target=target.name) if i.resolved_at is not None and i.resolved_at >= since]
    found = [i for i in over if store.transitions(i.id)[-1].author == incidents.DRIFTWATCH]
    return sorted(found, key=lambda incident: incident.resolved_at or verdict.at, reverse=True)


def settled(store: Store, target: Target, verdict: Verdict, standing: Collection[Incident]) -> set[Kind]:
    """Kinds whose standing drift has had its incident, which is over or was resolved by a person."""
    is_open = {incident.kind for incident in standing if incident.baseline_id == verdict.baseline_id}
    alarms = {kind.kind: kind.alarm_at for kind in verdict.kinds if kind.is_drifted and kind.kind not in is_open}
    paged = [tripped.since for tripped in verdict.tripwires if tripped.level is Level.PAGE]
    if paged and Kind.TRIPWIRE not in is_open:
        alarms[Kind.TRIPWIRE] = max(paged)
    if not alarms:
        return set()
    # What was closed before the baseline was put back was closed because it was replaced; now it stands again.
    restored = [
        change.at
        for change in store.baseline_changes(target.name)
        if change.baseline_id == verdict.baseline_id and change.before is BaselineState.SUPERSEDED
    ]
    behaviour = verdict.kind(Kind.BEHAVIOUR)
    is_ending = Kind.BEHAVIOUR in is_open and behaviour is not None and not behaviour.is_drifted
    settled: set[Kind] = {Kind.PERFORMANCE} if is_ending else set()
    for incident in store.incidents(target=target.name):
        if incident.resolved_at is None or not _counts(incident, verdict, alarms.get(Kind.TRIPWIRE)):
            continue
        if restored and incident.resolved_at <= restored[-1]:
            continue
        for kind, alarm_at in alarms.items():
            joined = kind in JOINS_BEHAVIOUR and incident.kind is Kind.BEHAVIOUR
            # A second wire that trips while the first stands is told in its incident too.
            is_whole = joined or kind is Kind.TRIPWIRE
            until = incident.resolved_at if is_whole else _opened_last(store, incident)
            if alarm_at is None or not (joined or kind is incident.kind) or alarm_at > until:
                continue
            if kind is Kind.PERFORMANCE and joined and _outlasts(store, verdict, incident):
                continue
            settled.add(kind)
    return settled


def closed_outage(store: Store, target: Target, run: Run) -> frozenset[Kind]:
    """Kinds of an outage that a person has resolved and that has not ended since: no run was measured meanwhile."""
    stored = [i for i in store.incidents(target=target.name) if advancing.is_ours(i, target.name)]
    over = [i for i in stored if i.kind in incidents.UNMEASURED and not i.is_open]
    last = max(over, key=lambda incident: incident.resolved_at or incident.opened_at, default=None)
    if last is None or store.transitions(last.id)[-1].author == incidents.DRIFTWATCH:
        return frozenset()
    since = store.runs(
        target.name, since=last.resolved_at, until=run.scheduled_at, states=(RunState.MEASURED, RunState.JUDGED)
    )
    is_measured = any(earlier.failure_share <= MAX_FAILURE_SHARE for earlier in since)
    return frozenset() if is_measured else incidents.UNMEASURED


def failing_runs(store: Store, target: Target, run: Run, *, limit: int) -> list[Run]:
    """The latest runs in a row, up to and with this one, that had too many failures to be judged; oldest first.

    A run that a budget ended early is passed over: it neither failed nor was it measured.
    """
    failing: list[Run] = []
    for earlier in _before(store, target, run, limit=limit):
        if earlier.failure_share <= MAX_FAILURE_SHARE:
            break
        if stopped(store, earlier) is None:
            failing.insert(0, earlier)
        if len(failing) == limit:
            break
    return failing


def _measured(store: Store, target: Target, run: Run, *, limit: int) -> int:
    """How many runs in a row, up to and with this one, were measured; ``limit`` at most.

    A run that a budget ended early is passed over, as among the failing ones.
    """
    n = 0
    for earlier in _before(store, target, run, limit=limit):
        if earlier.failure_share <= MAX_FAILURE_SHARE:
            n += 1
        elif stopped(store, earlier) is None:
            break
        if n == limit:
            break
    return n


def _quiet(store: Store, target: Target, verdict: Verdict, *, limit: int) -> dict[Kind, int]:
    """Kind → verdicts in a row, this one included, that found no drift; those that did not judge it are passed over."""
    earlier: Sequence[Verdict] = ()
    if limit > 1:
        recent = store.verdicts(target.name, limit=LOOKED_BACK * limit)
        earlier = [v for v in recent if v.at < verdict.at and v.baseline_id == verdict.baseline_id]
    quiet: dict[Kind, int] = {}
    for kind in (found.kind for found in verdict.kinds):
        judged = (v.kind(kind) for v in (verdict, *earlier) if v.state is not State.INCONCLUSIVE)
        quiet[kind] = 0
        for found in judged:
            if found is None or found.problem is not None:
                continue
            if found.is_drifted:
                break
            quiet[kind] += 1
    return quiet


def _before(store: Store, target: Target, run: Run, *, limit: int) -> list[Run]:
    """The latest runs with evidence, up to and with this one, newest first: enough to find so many among them."""
    return store.runs(
        target.name,
        until=run.scheduled_at,
        states=(RunState.MEASURED, RunState.JUDGED),
        limit=limit + PASSED_OVER,
        newest_first=True,
    )


def _opened_last(store: Store, incident: Incident) -> datetime:
    """When it opened, the last time."""
    if not incident.n_reopened:
        return incident.opened_at
    began = {None, IncidentState.RESOLVED}
    return [edge.at for edge in store.transitions(incident.id) if edge.before in began][-1]


def _counts(incident: Incident, verdict: Verdict, tripped_at: datetime | None) -> bool:
    """Whether an incident that is over can have been about what stands against the verdict's baseline."""
    if incident.baseline_id == verdict.baseline_id:
        return True
    # An announced end stays announced through a change of baseline; all else that stands began after it.
    if incident.kind is not Kind.TRIPWIRE or tripped_at is None or incident.resolved_at is None:
        return False
    return tripped_at <= incident.resolved_at


def _outlasts(store: Store, verdict: Verdict, incident: Incident) -> bool:
    """Whether performance is still off after the behaviour that it was told with has come back by itself.

    Evidence falls more slowly than a change ends: an alarm that only has not recovered yet is no news. It is news when
    the runs since then lie outside calibration on average.
    """
    if incident.resolved_at is None or store.transitions(incident.id)[-1].author != incidents.DRIFTWATCH:
        return False
    leading = max((c for c in verdict.channels if c.kind is Kind.PERFORMANCE), key=lambda c: c.share, default=None)
    if leading is None:
        return False
    since = [
        row.values[leading.channel]
        for row in store.series(verdict.baseline_id)
        if incident.resolved_at <= row.scheduled_at <= verdict.at and leading.channel in row.values
    ]
    if len(since) < LEFT_OVER:
        return False
    mean = sum(since) / len(since)
    return not leading.calibration_low <= mean <= leading.calibration_high
