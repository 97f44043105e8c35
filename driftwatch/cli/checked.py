"""What one ``check`` found of each target, graded, for every format it is told in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftwatch.alert.evidence import IncidentEvidence, told
from driftwatch.alert.text import line
from driftwatch.cli.grades import FailOn, Grade
from driftwatch.cli.standing import Standing, notable
from driftwatch.domain import WATCH, Incident, Kind, KindEvidence, Level, State
from driftwatch.store import Store

LINES = 8
"""Details of one finding; the report has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    rule: str
    """``behaviour``, ``performance``, ``tripwire``, ``availability``, ``budget``, ``calibration``, ``watch-itself``."""
    grade: Grade
    headline: str
    """One sentence, safe to show."""
    details: tuple[str, ...] = ()
    """Further sentences, safe to show."""
    incident: int | None = None
    """The number of the open incident about it, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One target after a check."""

    target: str
    ran: bool
    state: State | None
    """None: never run."""
    measured: bool
    reason: str
    at: datetime | None
    """scheduled_at of the run that the verdict is about."""
    paused: str | None
    """Why its budget keeps it from being asked."""
    findings: tuple[Finding, ...]
    place: str | None
    """Where the config names the target, ``driftwatch.yaml:7``."""
    model: str
    evidence: tuple[KindEvidence, ...] = ()
    """Of the run that the verdict is about."""
    notable: str | None = None
    """One sentence on evidence that has come far without an alarm: it counts as nothing."""

    @property
    def grade(self) -> Grade | None:
        """The gravest of its findings; None when all is well."""
        return next((grade for grade in Grade if any(found.grade is grade for found in self.findings)), None)


def check_of(
    store: Store,
    name: str,
    standing: Standing,
    *,
    ran: bool,
    paused: str | None,
    place: str | None,
    model: str,
) -> Checked:
    """Grade what is known of a target.

    Args:
        store: read only.
        name: of the target.
        standing: where it stands.
        ran: whether this check has made a run of it.
        paused: why its budget keeps it from being asked; None when it does not.
        place: where the config names it.
        model: what is asked.
    """
    incidents = store.incidents(target=name, open_only=True)
    return Checked(
        target=name,
        ran=ran,
        state=standing.state,
        measured=standing.is_measured,
        reason=standing.reason,
        at=standing.verdict.at if standing.verdict else None,
        paused=paused,
        findings=tuple(_findings(standing, incidents, paused)),
        place=place,
        model=model,
        evidence=standing.verdict.kinds if standing.verdict else (),
        notable=notable(standing.verdict),
    )


def of_the_watch(store: Store) -> list[Finding]:
    """Open trouble of the watch as a whole, which no target stands for."""
    return [_trouble(incident) for incident in store.incidents(target=WATCH, open_only=True)]


def exit_code(checks: Sequence[Checked], fail_on: FailOn, *, watch: Iterable[Finding] = ()) -> int:
    """0 ok, 1 drift (or what ``fail_on`` asks for), 3 could not measure.

    Args:
        checks: every target looked at.
        fail_on: from where on it is a failure.
        watch: trouble of the watch as a whole.
    """
    if fail_on is FailOn.NEVER:
        return 0
    findings = [found for check in checks for found in check.findings] + list(watch)
    if any(_fails(found, fail_on) for found in findings):
        return 1
    return 3 if any(found.grade is Grade.UNMEASURED for found in findings) else 0


def _fails(found: Finding, fail_on: FailOn) -> bool:
    if fail_on is FailOn.BEHAVIOUR:
        return found.grade is Grade.DRIFT and found.rule == Kind.BEHAVIOUR.value
    return found.grade is Grade.DRIFT or (fail_on is FailOn.WARNING and found.grade is Grade.WARNING)


def _findings(standing: Standing, incidents: Sequence[Incident], paused: str | None) -> Iterable[Finding]:
    by_kind = {incident.kind: incident for incident in incidents}
    verdict = standing.verdict
    if standing.state is State.DRIFTED and verdict is not None:
        drifted = [found.kind for found in verdict.kinds if found.is_drifted] or [Kind.BEHAVIOUR]
        if Kind.BEHAVIOUR in drifted and Kind.PERFORMANCE not in by_kind:
            # A slowdown beside a change of behaviour is told in its incident: one finding, not the same one twice.
            drifted = [kind for kind in drifted if kind is not Kind.PERFORMANCE]
        for kind in drifted:
            yield _drift(kind, by_kind, standing)
    for tripped in verdict.tripwires if verdict else ():
        before, after = (", ".join(map(line, values)) or "none" for values in (tripped.before, tripped.after))
        yield Finding(
            rule=Kind.TRIPWIRE.value,
            grade=Grade.DRIFT if tripped.level is Level.PAGE else Grade.WARNING,
            headline=f"{tripped.wire.value.replace('_', ' ')}: {before} → {after}",
            details=(f"On {len(tripped.canaries)} canaries since {tripped.since:%Y-%m-%d %H:%M} UTC.",),
            incident=_number(by_kind.get(Kind.TRIPWIRE)),
        )
    if paused is not None:
        yield Finding(rule="budget", grade=Grade.UNMEASURED, headline=line(paused))
    elif not standing.is_measured:
        about = by_kind.get(Kind.AVAILABILITY) or by_kind.get(Kind.WATCH_ITSELF)
        yield Finding(
            rule=Kind.AVAILABILITY.value,
            grade=Grade.UNMEASURED,
            headline=line(standing.reason),
            incident=_number(about),
        )
    elif standing.state is State.CALIBRATING:
        yield Finding(rule="calibration", grade=Grade.WARNING, headline=f"not armed yet: {line(standing.reason)}")
    if standing.is_measured and Kind.WATCH_ITSELF in by_kind:
        yield _trouble(by_kind[Kind.WATCH_ITSELF])


def _drift(kind: Kind, by_kind: dict[Kind, Incident], standing: Standing) -> Finding:
    # A slowdown beside a change of behaviour is told in its incident.
    incident = by_kind.get(kind) or by_kind.get(Kind.BEHAVIOUR)
    if incident is None:
        return Finding(rule=kind.value, grade=Grade.DRIFT, headline=line(standing.reason))
    evidence = IncidentEvidence.from_json(incident.evidence)
    details = [*map(line, evidence.changes)]
    if evidence.affected is not None and evidence.affected.names:
        details.append(f"Canaries: {', '.join(line(name, 100) for name in evidence.affected.names)}")
    return Finding(
        rule=kind.value,
        grade=Grade.DRIFT,
        headline=line(told(evidence) or evidence.headline or standing.reason),
        details=tuple(details[:LINES]),
        incident=incident.lead_id,
    )


def _trouble(incident: Incident) -> Finding:
    headline = IncidentEvidence.from_json(incident.evidence).headline or "the watch is impaired"
    return Finding(
        rule=Kind.WATCH_ITSELF.value, grade=Grade.WARNING, headline=line(headline), incident=incident.lead_id
    )


def _number(incident: Incident | None) -> int | None:
    return None if incident is None else incident.lead_id
