"""Making a proposal, or a baseline from a file, the one that later runs are compared to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftwatch.alert import incidents
from driftwatch.creep import Creep
from driftwatch.domain import Baseline, Incident, Target
from driftwatch.errors import UsageError
from driftwatch.rebaseline.proposal import Proposal, incidents_of, propose
from driftwatch.score import Embedder
from driftwatch.store import BroughtIn, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What was accepted, and what is still missing before the watch is armed again."""

    baseline: Baseline
    resolved: tuple[Incident, ...]
    n_anchor_runs: int
    n_calibration: int
    creep: Creep | None
    """How far the accepted behaviour is from the first that was ever accepted; None when nothing was before."""

    @property
    def missing_runs(self) -> int:
        """Calibration runs still to be collected, 0 when the watch is armed."""
        return max(0, self.baseline.calibration_wanted - self.n_calibration)


def accept(
    store: Store,
    target: Target,
    embedder: Embedder | None,
    *,
    canary_ids: Sequence[str],
    since: datetime | None,
    author: str,
    reason: str,
    at: datetime,
    expires_at: datetime | None = None,
    collect: bool = False,
    proposal: Proposal | None = None,
) -> Acceptance:
    """Make what was served since a change began the new baseline, and end the incidents that were about it.

    Args:
        store: read and measured from first; the baseline is then written whole or not at all.
        target: the target.
        embedder: the one the target's scores are made with.
        canary_ids: accept only these canaries' new behaviour; all when empty.
        since: when the accepted behaviour began; the open incident's onset when None.
        author: who accepts.
        reason: why.
        at: when.
        expires_at: until when it is accepted; with the first run from then on the replaced baseline comes back. None:
            for good.
        collect: begin anew with the next runs instead of accepting stored ones.
        proposal: of the same arguments, for whoever has shown it already: exactly this is accepted.

    Raises:
        BaselineMissing: the target has no baseline that could be replaced.
        UsageError: there is nothing to accept (see ``propose``), single canaries were to be collected, it would have
            expired already, or another person has changed the baseline meanwhile.
    """
    require_future(expires_at, at)
    if collect and (canary_ids or since):
        raise UsageError("--collect begins anew with the next runs of the whole target; leave out canaries and --since")
    found = proposal or propose(store, target, embedder, canary_ids=canary_ids, since=since, collect=collect)
    created = store.replace_baseline(
        found.current,
        author=author,
        reason=reason,
        at=at,
        calibration_wanted=found.calibration_wanted,
        parent_id=found.measured.id,
        expires_at=expires_at,
        scope=found.canary_ids,
        anchor_ids=[c.id for accepted in found.anchors.values() for c in accepted if c.id is not None],
        scores=found.calibration,
    )
    # In a transaction of its own: after a crash between the two the next run ends what is left open.
    resolved = _resolve(store, target, created, author=author, reason=_with_creep(reason, found.creep), at=at)
    return Acceptance(
        baseline=created,
        resolved=resolved,
        n_anchor_runs=found.n_anchor_runs,
        n_calibration=len(found.calibration),
        creep=found.creep,
    )


def bring_in(store: Store, target: Target, brought: BroughtIn, *, author: str, reason: str, at: datetime) -> Acceptance:
    """Make a baseline that was measured elsewhere the current one, and end the incidents that were about the old.

    Args:
        store: written to.
        target: whose baseline it becomes; the caller has checked that it is for the same question.
        brought: the baseline, and the one it replaces.
        author: who brings it in.
        reason: why.
        at: when.

    Raises:
        UsageError: it would have expired already, or another person has changed the baseline meanwhile.
    """
    require_future(brought.expires_at, at)
    created = store.bring_in(brought, author=author, reason=reason, at=at)
    resolved = _resolve(store, target, created, author=author, reason=reason, at=at)
    return Acceptance(
        baseline=created,
        resolved=resolved,
        n_anchor_runs=1,
        n_calibration=len(brought.calibration),
        creep=None,
    )


def require_future(expires_at: datetime | None, at: datetime) -> None:
    """Refuse an acceptance that would be over before the next run."""
    if expires_at is not None and expires_at <= at:
        raise UsageError(f"--expires {expires_at:%Y-%m-%d %H:%M} UTC is over already; write a later time, or 7d")


def _resolve(
    store: Store, target: Target, baseline: Baseline, *, author: str, reason: str, at: datetime
) -> tuple[Incident, ...]:
    steps = incidents.superseded(
        incidents_of(store, target.name),
        baseline=baseline,
        author=author,
        reason=reason,
        at=at,
        receivers=target.receivers,
    )
    return tuple(store.commit_judgement(None, steps, at=at))


def _with_creep(reason: str, crept: Creep | None) -> str:
    """Receivers hear when many acceptances have added up; after a single one the incident has told them itself."""
    is_news = crept is not None and crept.n_between and any(channel.is_far for channel in crept.channels)
    return f"{reason.rstrip('.')}; {crept.in_words()}" if crept is not None and is_news else reason
