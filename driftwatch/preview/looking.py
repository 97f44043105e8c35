"""A proposal from all sides: what it accepts, what stays unusual, what it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.text import amount, count, listing
from driftwatch.briefing import MAX_RUNS_COMPARED, shown
from driftwatch.detect import Finding, canary_evidence
from driftwatch.domain import Completion, Kind, Purpose, Target
from driftwatch.judgement import EXPLAINED_CHANNELS, examine
from driftwatch.preview import backtests
from driftwatch.preview.backtests import Backtest
from driftwatch.rebaseline import MINIMUM_RUNS, Proposal
from driftwatch.score import CHANNELS, explain, medoid
from driftwatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPreview:
    """What would become of one canary."""

    canary_id: str
    is_accepted: bool
    """False: its old anchors and calibration stay."""
    before: str | None
    """The typical accepted reply; None where there is none."""
    after: str | None
    """The typical reply since the change."""
    changes: tuple[str, ...]
    """Kinds of change that its replies bear out, the largest first; empty when none is beyond chance."""
    n_replies: int
    """Since the change."""
    is_private: bool
    """Whether its suite marks it private: its replies are for this terminal, and leave it in no other form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusual:
    """Something that would still lie outside the new baseline, or would not be watched."""

    what: str
    """A canary's id, or a kind of drift."""
    why: str
    """Half a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """An open incident that the acceptance would end."""

    incident_id: int
    number: int
    """By which people know it: its group's."""
    kind: Kind
    headline: str
    attribution: str | None
    """Whose it is, as far as was found; None when nothing was."""
    others: tuple[str, ...]
    """Further targets of its group, whose part stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """All that a person looks at before accepting."""

    target: str
    proposal: Proposal
    at: datetime
    expires_at: datetime | None
    canaries: tuple[CanaryPreview, ...]
    overall: tuple[str, ...]
    """Kinds of change over all canaries, the headline first."""
    unusual: tuple[Unusual, ...]
    own: Backtest
    """The new baseline over runs since the change."""
    replaced: Backtest
    """The replaced baseline over the weeks before."""
    threshold: float
    alarm_budget: str
    resolved: tuple[Resolved, ...]

    @property
    def n_runs(self) -> int:
        """Stored runs since the change that would be used."""
        return len(self.proposal.rows)

    @property
    def n_replies(self) -> int:
        """Their good replies."""
        return sum(len(self.proposal.replies[row.run_id]) for row in self.proposal.rows)

    @property
    def armed_at(self) -> datetime | None:
        """When the schedule alone would have armed it; None: at once."""
        missing = self.proposal.missing_runs + (0 if self.proposal.anchors else 1)
        return self.at + timedelta(seconds=missing * self.proposal.target.interval_s) if missing else None


def preview(store: Store, proposal: Proposal, *, at: datetime, expires_at: datetime | None = None) -> Preview:
    """Look at a proposal from all sides.

    Args:
        store: read only.
        proposal: what would be accepted.
        at: now.
        expires_at: until when it would be accepted; None: for good.
    """
    target = proposal.target
    old = store.anchors(proposal.measured.id)
    runs = [proposal.replies[row.run_id] for row in proposal.rows[:MAX_RUNS_COMPARED]]
    since = [completion for replies in runs for completion in replies]
    seed = int(proposal.current.series_key, 16) % 2**32
    before = [completion for those in old.values() for completion in those]
    own, findings = backtests.own(store, proposal)
    return Preview(
        target=target.name,
        proposal=proposal,
        at=at,
        expires_at=expires_at,
        canaries=tuple(_canary(proposal, canary_id, old, since, seed) for canary_id in _ids(target)) if since else (),
        overall=tuple(change.text for change in explain(before, since, target.canaries, seed=seed).changes),
        unusual=(*_not_accepted(store, proposal), *_unwatched(proposal), *_moving(proposal, findings)),
        own=own,
        replaced=backtests.replaced(store, proposal),
        threshold=target.threshold,
        alarm_budget=target.alarm_budget,
        resolved=tuple(_resolved(store, proposal)),
    )


def _ids(target: Target) -> list[str]:
    return [canary.id for canary in target.canaries]


def _canary(
    proposal: Proposal,
    canary_id: str,
    old: Mapping[str, Sequence[Completion]],
    since: Sequence[Completion],
    seed: int,
) -> CanaryPreview:
    canary = next(canary for canary in proposal.target.canaries if canary.id == canary_id)
    was, has_become = old.get(canary_id, ()), [reply for reply in since if reply.canary_id == canary_id]
    found = explain(was, has_become, [canary], seed=seed) if was and has_become else None
    # Where only some replies changed the typical one is as before: the others are what is accepted.
    typical = (found.far if found else ()) or has_become
    return CanaryPreview(
        canary_id=canary_id,
        is_private=canary.is_private,
        is_accepted=not proposal.canary_ids or canary_id in proposal.canary_ids,
        before=shown(medoid(was)) if was else None,
        after=shown(medoid(typical)) if typical else None,
        changes=tuple(change.text for change in found.changes) if found else (),
        n_replies=sum(reply.canary_id == canary_id for row in proposal.rows for reply in proposal.replies[row.run_id]),
    )


def _not_accepted(store: Store, proposal: Proposal) -> list[Unusual]:
    """Canaries outside the acceptance that differ from the calibration which stays theirs."""
    if not proposal.canary_ids:
        return []
    calibration = [row for row in store.series(proposal.measured.id) if row.purpose is Purpose.CALIBRATION]
    findings = examine(proposal.target, proposal.measured, calibration, proposal.rows)
    before, since = [row.run_id for row in calibration], [row.run_id for row in proposal.rows]
    moved: dict[str, list[str]] = {}
    # As incidents tell it: speed beside a change of behaviour has the same cause.
    kind = next((kind for kind in (Kind.BEHAVIOUR, *findings) if kind in findings and findings[kind].is_drifted), None)
    for name in _leading(findings[kind]) if kind is not None else ():
        values = store.canary_values(proposal.measured.id, name, [*before, *since])
        found = canary_evidence(
            _columns(values, before),
            _columns(values, since),
            two_sided=CHANNELS[name].two_sided,
            seed=int(proposal.measured.series_key, 16),
        )
        for canary in found:
            if canary.is_affected and canary.canary_id not in proposal.canary_ids:
                moved.setdefault(canary.canary_id, []).append(name)
    return [
        Unusual(what=canary_id, why=f"is not accepted, and differs in {listing(channels)}; it can page again")
        for canary_id, channels in sorted(moved.items())
    ]


def _leading(finding: Finding) -> list[str]:
    """The channels that carry an alarm, as many as a verdict explains, strongest first."""
    ranked = sorted(finding.shares.items(), key=lambda item: (-item[1], item[0]))
    return [name for name, share in ranked if share > 0][:EXPLAINED_CHANNELS]


def _columns(values: Mapping[int, Mapping[str, float]], run_ids: Sequence[int]) -> dict[str, np.ndarray]:
    names = sorted({canary for run_id in run_ids for canary in values.get(run_id, {})})
    return {
        name: np.array([values.get(run_id, {}).get(name, np.nan) for run_id in run_ids], dtype=np.float64)
        for name in names
    }


def _unwatched(proposal: Proposal) -> list[Unusual]:
    n = {canary_id: len(those) for canary_id, those in proposal.anchors.items()}
    return [
        Unusual(what=canary_id, why=f"would not be watched: it has answered {count(n.get(canary_id, 0), 'time')} only")
        for canary_id in proposal.left_out
    ]


def _moving(proposal: Proposal, findings: Mapping[Kind, Finding]) -> list[Unusual]:
    """Kinds that the runs since the change do not agree on."""
    since = [row for row in proposal.rows if row.run_id in proposal.fresh]
    if not proposal.canary_ids:
        since = since[MINIMUM_RUNS:]
    found = []
    for finding in findings.values():
        if finding.problem is None and finding.is_drifted:
            episode = finding.episodes[-1]
            found.append(
                Unusual(
                    what=finding.kind.value,
                    why=f"still lies outside since {since[episode.onset].scheduled_at:%Y-%m-%d %H:%M} UTC, mostly in "
                    f"{listing(_leading(finding))} (evidence {amount(float(finding.evidence[-1]))} of "
                    f"{amount(finding.threshold)}): what was served since the change is not one behaviour, or part of "
                    "it is not accepted",
                )
            )
    return found


def _resolved(store: Store, proposal: Proposal) -> list[Resolved]:
    result = []
    for incident in proposal.incidents:
        evidence = IncidentEvidence.from_json(incident.evidence)
        group = store.group(incident.id)
        result.append(
            Resolved(
                incident_id=incident.id,
                number=incident.lead_id,
                kind=incident.kind,
                headline=evidence.headline,
                attribution=evidence.attribution.summary if evidence.attribution else None,
                others=tuple(
                    dict.fromkeys(other.target for other in group if other.is_open and other.target != incident.target)
                ),
            )
        )
    return result
