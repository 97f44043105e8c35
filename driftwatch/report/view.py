"""Everything a report shows, gathered from the store: values and coordinates, no markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.domain import (
    Baseline,
    Incident,
    Kind,
    KindEvidence,
    SeriesRow,
    State,
    Target,
    Transition,
    Verdict,
)
from driftwatch.report import words
from driftwatch.report.canaries import Pair, Table, pairs, table
from driftwatch.report.cost import Cost, cost
from driftwatch.report.dates import dated_evidence
from driftwatch.report.failures import Failures, failures
from driftwatch.report.figures import ChannelPlot, EvidencePlot, Window, channel_plots, evidence_plot
from driftwatch.report.plot import Axis
from driftwatch.report.sure import how_sure
from driftwatch.report.timeline import Mark, marks, moments
from driftwatch.score import KindOfChange
from driftwatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The channels of one kind and how the kind stands."""

    title: str
    standing: str
    is_drifted: bool
    plots: tuple[ChannelPlot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is shown of one target: of one incident of it, or of its present state."""

    title: str
    subtitle: str
    """Which target and since when; empty without an incident."""
    kinds: tuple[str, ...]
    """Why the title says what it says."""
    is_intermittent: bool
    """Whether only some of the replies changed; the pairs show these."""
    state: str
    """Incident or target state, one word."""
    sentences: tuple[str, ...]
    target: Target
    baseline: Baseline | None
    incident: Incident | None
    evidence: IncidentEvidence
    verdict: Verdict | None
    """The latest that tells about it; its channels are those of ``groups``."""
    transitions: tuple[Transition, ...]
    sure: tuple[str, ...]
    """How sure the alarm is, in sentences; empty without an incident."""
    failures: Failures | None
    """Of an availability incident, or of one of the watch itself that is about a target."""
    marks: tuple[Mark, ...]
    """What happened when; empty without an incident."""
    plot: EvidencePlot | None
    groups: tuple[Group, ...]
    affected: Table | None
    pairs: tuple[Pair, ...]
    cost: Cost | None

    @property
    def name(self) -> str:
        """The target's."""
        return self.target.name

    @property
    def heading(self) -> str:
        """What tells it from the other sections of a report."""
        return f"{self.name} ({self.incident.kind.value})" if self.incident else self.name


def gather(store: Store, target: Target, incident: Incident | None) -> View:
    """Read everything the page shows.

    Args:
        store: read only.
        target: what the page is about.
        incident: None for the target's present state.
    """
    runs = store.runs(target.name)
    baseline = _baseline(store, target, incident)
    rows = store.series(baseline.id) if baseline else []
    verdicts = [v for v in store.verdicts(target.name, newest_first=False) if baseline and v.baseline_id == baseline.id]
    is_early = incident is not None and any(
        v.at == incident.opened_at and v.state is State.CALIBRATING for v in verdicts
    )
    # evidence while calibrating is provisional: shown only where it raised the alarm
    shown = [v for v in verdicts if is_early or v.state is not State.CALIBRATING]
    verdict = _telling(verdicts, incident, is_early=is_early)
    kind = _kind(incident, verdict)
    found = verdict.kind(kind) if verdict else None
    window = Window(
        onset_at=incident.onset_at if incident else found.onset_at if found else None,
        end_at=incident.resolved_at if incident else None,
    )
    alarm_at = incident.opened_at if incident else found.alarm_at if found else None
    axis = _axis(rows, verdicts)
    evidence = IncidentEvidence.from_json(incident.evidence if incident else {})
    if incident:
        evidence = dated_evidence(evidence, incident.opened_at)
    transitions = tuple(store.transitions(incident.id)) if incident else ()
    is_about_replies = incident is None or incident.kind not in {Kind.AVAILABILITY, Kind.WATCH_ITSELF}
    affected = table(verdict, kind) if verdict and is_about_replies else None
    is_intermittent = bool(evidence.kind_of_change) and evidence.kind_of_change[0].kind == KindOfChange.INTERMITTENT
    shown_pairs = (
        pairs(store, target, baseline, rows, canary_ids=named, window=window, far_only=is_intermittent)
        if baseline and (named := _named(affected, evidence, kind))
        else ()
    )
    if incident:
        state, sentences = incident.state.value, words.about_incident(incident, evidence, verdict, transitions)
    else:
        latest = verdicts[-1] if verdicts else None
        state = latest.state.value if latest else "no verdict yet"
        open_incidents = store.incidents(target=target.name, open_only=True)
        sentences = words.about_target(target, baseline, latest, open_incidents)
    alarm = next((v for v in verdicts if v.at == alarm_at), None)
    return View(
        title=words.title(target, incident, evidence),
        subtitle=words.subtitle(target, incident, evidence),
        kinds=tuple(words.kinds(evidence)),
        is_intermittent=is_intermittent,
        state=state,
        sentences=tuple(sentences),
        target=target,
        baseline=baseline,
        incident=incident,
        evidence=evidence,
        verdict=verdict,
        transitions=transitions,
        sure=tuple(how_sure(incident, evidence, alarm, budget=evidence.alarm_budget or target.alarm_budget))
        if incident
        else (),
        failures=None if is_about_replies else failures(store, runs, window),
        marks=_marks(store, target, incident, transitions, axis) if incident and axis else (),
        plot=evidence_plot(axis, shown, rows, kind, onset_at=window.onset_at, alarm_at=alarm_at) if axis else None,
        groups=_groups(axis, rows, verdicts, verdict, kind=kind, window=window)
        if axis and verdict and is_about_replies
        else (),
        affected=affected,
        pairs=shown_pairs,
        cost=cost(runs, window),
    )


def _named(affected: Table | None, evidence: IncidentEvidence, kind: Kind) -> tuple[str, ...]:
    """Canaries whose replies are shown; the message's own example when no canary stands out by itself."""
    found = affected.told_by_replies if affected else ()
    return found or ((evidence.pair.canary_id,) if evidence.pair and kind is Kind.BEHAVIOUR else ())


def _baseline(store: Store, target: Target, incident: Incident | None) -> Baseline | None:
    if incident is None:
        return store.current_baseline(target.name)
    return next((b for b in store.baselines(target.name) if b.id == incident.baseline_id), None)


def _telling(verdicts: Sequence[Verdict], incident: Incident | None, *, is_early: bool) -> Verdict | None:
    """The latest conclusive verdict; for an incident, the latest that still saw it: the most evidence about it."""
    until = incident.resolved_at if incident else None
    telling = {State.STABLE, State.DRIFTED, *([State.CALIBRATING] if is_early else [])}
    conclusive = [v for v in verdicts if v.state in telling and (until is None or v.at <= until)]
    if incident is not None:
        drifted = [v for v in conclusive if (found := v.kind(incident.kind)) is not None and found.is_drifted]
        conclusive = drifted or conclusive
    return conclusive[-1] if conclusive else None


def _axis(rows: Sequence[SeriesRow], verdicts: Sequence[Verdict]) -> Axis | None:
    """From the first scored run to the latest verdict, which may be one without scores; None for a single moment."""
    times = [*(row.scheduled_at for row in rows), *(v.at for v in verdicts if v.state is not State.CALIBRATING)]
    return Axis(start=min(times), end=max(times)) if len(set(times)) > 1 else None


def _kind(incident: Incident | None, verdict: Verdict | None) -> Kind:
    """Whose evidence the page draws: the incident's, else what has drifted, behaviour first."""
    if incident is not None:
        return incident.kind if incident.kind in {Kind.BEHAVIOUR, Kind.PERFORMANCE} else Kind.BEHAVIOUR
    drifted = {found.kind for found in verdict.kinds if found.is_drifted} if verdict else set()
    return Kind.PERFORMANCE if drifted == {Kind.PERFORMANCE} else Kind.BEHAVIOUR


def _groups(
    axis: Axis, rows: Sequence[SeriesRow], verdicts: Sequence[Verdict], verdict: Verdict, *, kind: Kind, window: Window
) -> tuple[Group, ...]:
    """One group per kind, the page's first."""
    gaps = [v.at for v in verdicts if v.state is State.INCONCLUSIVE]

    def group(found: KindEvidence) -> Group:
        return Group(
            title=words.KINDS[found.kind],
            standing=words.verdict_on(found),
            is_drifted=found.is_drifted,
            plots=channel_plots(axis, rows, verdict, found, window=window, gaps=gaps),
        )

    groups = [group(found) for found in sorted(verdict.kinds, key=lambda found: found.kind is not kind)]
    return tuple(group for group in groups if group.plots)


def _marks(
    store: Store, target: Target, incident: Incident, transitions: Sequence[Transition], axis: Axis
) -> tuple[Mark, ...]:
    others = [i for i in store.incidents(target=target.name) if axis.start <= i.opened_at <= axis.end]
    found = moments(
        incident,
        transitions,
        baselines=store.baselines(target.name),
        others=others,
        harness=store.harness_changes(since=axis.start, until=axis.end),
    )
    return marks(found, axis)
