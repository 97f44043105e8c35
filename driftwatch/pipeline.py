"""One run of one target: replay → score → store → detect → alert. The file to read first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from driftwatch import usage
from driftwatch.alert import grouping
from driftwatch.alert.policy import Policy
from driftwatch.collecting import anchoring, baseline_for, gives_anchors, waiting
from driftwatch.domain import (
    Baseline,
    BaselineState,
    Completion,
    Purpose,
    Run,
    RunState,
    State,
    Target,
    Told,
    Verdict,
)
from driftwatch.errors import DriftwatchError
from driftwatch.following import Follower
from driftwatch.judgement import MAX_FAILURE_SHARE, conclude, stopped
from driftwatch.metadata import known_to, log_new, look, with_tripwires
from driftwatch.providers import Provider
from driftwatch.provisional import calibration, protect
from driftwatch.rebaseline import series_key
from driftwatch.replay import Gate, RetryPolicy, replay
from driftwatch.score import Embedder, Reference, score
from driftwatch.spending import Account, Grant, OverBudget, Pause, weigh
from driftwatch.store import Store
from driftwatch.telling import steps

log = structlog.get_logger()

CLAIM_GRACE_S = 600.0
"""How long after its deadline a claimed run may still be about to store its evidence, s: scoring on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How one target is reached: the outermost seam of a run."""

    provider: Provider
    gate: Gate
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    deadline_s: float = 1800.0
    """After this long a run stops asking; what is left becomes timeouts."""
    price: usage.Price | None = None


class Pipeline:
    """Runs targets, one run at a time each, against one store.

    Args:
        store: where evidence and judgement are kept.
        lines: target name → how to reach it.
        embedder: for the meaning channel; None leaves that channel out.
        failure_threshold: runs in a row without a verdict before an availability incident opens.
        accounts: target name → how it is paid; nothing is capped for the others.
        policy: what the operator decided about alerts.
        fleet: all targets under watch; those beside a target tell whose side a change is on.
    """

    def __init__(
        self,
        *,
        store: Store,
        lines: Mapping[str, Line],
        embedder: Embedder | None,
        failure_threshold: int = 3,
        accounts: Mapping[str, Account] | None = None,
        policy: Policy | None = None,
        fleet: Sequence[Target] = (),
    ) -> None:
        self._store, self._lines, self.embedder = store, lines, embedder
        self._follower = Follower(store)
        self._failure_threshold = failure_threshold
        self._accounts = accounts or {}
        self._policy = policy or Policy()
        self._fleet = fleet
        self._references: dict[str, tuple[int, Reference]] = {}
        """Target name → its baseline's id, and the reference made of it."""
        self._told: dict[str, tuple[int, list[Told]]] = {}
        """Target name → its active baseline's id, and the metadata that it tells."""

    async def run(
        self,
        target: Target,
        *,
        scheduled_at: datetime,
        at: datetime,
        on_completion: Callable[[Completion], None] | None = None,
    ) -> Verdict | None:
        """Make one run, whatever its purpose has to be, and return its verdict.

        Args:
            target: what is asked.
            scheduled_at: names the run together with the target.
            at: when it starts.
            on_completion: told of each completion as it comes in.

        Returns:
            None when somebody else has claimed the run.

        Raises:
            OverBudget: it could not be paid in full; the slot is not claimed.
        """
        baseline = await asyncio.to_thread(self.baseline_for, target, at)
        purpose, asked, repeats = await asyncio.to_thread(self._plan, target, baseline)
        begin = partial(self._begin, baseline, purpose, scheduled_at=scheduled_at, at=at)
        begun = await asyncio.to_thread(begin, asked, repeats)
        if begun is None:
            log.info("run.claimed_elsewhere", target=target.name, scheduled_at=scheduled_at.isoformat())
            return None
        run, grant = begun
        line = self._lines[target.name]
        try:
            # Until it is judged: replies that wait to be measured are memory too.
            async with line.gate.run(line.deadline_s) as elapsed_s:
                await look(self._store, target, line.provider, gate=line.gate, at=at)
                completions = await replay(
                    asked,
                    line.provider,
                    at=at,
                    gate=line.gate,
                    retry=line.retry,
                    deadline_s=line.deadline_s,
                    waited_s=elapsed_s(),
                    repeats=grant.asks,
                    allowance=grant.purse,
                    on_completion=on_completion,
                )
                # Embedding and the database are blocking work: in a thread, /healthz and other targets go on meanwhile.
                measured = (target, baseline, run, completions, grant.purse)
                return await asyncio.to_thread(self._measure_and_judge, *measured)
        except BaseException:
            # It will not be measured: what it has taken counts, what was set aside beyond that is free again.
            if grant.purse is not None:
                with contextlib.suppress(DriftwatchError):
                    self._store.record_spending(run.id, grant.purse.spent)
            raise

    def baseline_for(self, target: Target, at: datetime) -> Baseline:
        """The baseline that the target is compared to; see ``collecting.baseline_for``."""
        return baseline_for(self._store, target, self.series_key(target), at)

    def series_key(self, target: Target) -> str:
        """What makes two scores of a target comparable."""
        return series_key(target, self.embedder)

    def recover(self, targets: Sequence[Target], at: datetime) -> int:
        """Finish what a killed process left: judge runs whose evidence is stored, give up runs never measured.

        Harmless beside runs in flight, here or in another process: each step is written once, whoever comes first.

        Returns:
            How many runs were judged.
        """
        judged = 0
        for target in targets:
            self._give_up_killed([target.name], at)
            baseline = self._store.current_baseline(target.name)
            if baseline is not None and baseline.series_key != self.series_key(target):
                baseline = None
            for run in self._store.runs(target.name, states=(RunState.MEASURED,)):
                if baseline is None or run.baseline_id != baseline.id:
                    self._store.mark_judged(run.id)
                    continue
                log.info("run.recovered", target=target.name, scheduled_at=run.scheduled_at.isoformat())
                if run.purpose is Purpose.ANCHOR:
                    self._accept(target, baseline, run, self._store.completions([run.id])[run.id])
                self._judge(target, baseline, run)
                judged += 1
            if baseline is not None and baseline.state is BaselineState.COLLECTING:
                self.arm(target, baseline, at)
        return judged

    def longest(self, target: str) -> timedelta:
        """How long after its beginning a run that is not measured was killed."""
        return timedelta(seconds=self._lines[target].deadline_s + CLAIM_GRACE_S)

    def reference_for(self, target: Target, baseline: Baseline) -> Reference:
        """The baseline's anchors prepared for measuring, kept until another baseline takes its place.

        Its target has the canaries that are watched: those with enough anchors.
        """
        known = self._references.get(target.name)
        if known is None or known[0] != baseline.id:
            watched = replace(target, canaries=anchoring(self._store, target, baseline).canaries)
            reference = Reference.from_anchors(watched, self._store.anchors(baseline.id), self.embedder)
            known = self._references[target.name] = (baseline.id, reference)
        return known[1]

    def missing_anchors(self, target: Target, baseline: Baseline) -> Mapping[str, int]:
        """Canary id → how many more completions it needs; empty when none are collected any more."""
        return anchoring(self._store, target, baseline).missing

    def _plan(self, target: Target, baseline: Baseline) -> tuple[Purpose, Target, Mapping[str, int] | None]:
        """What the next run is for, what it asks, and how often (None: as often as any run does)."""
        if baseline.state is BaselineState.COLLECTING:
            repeats = anchoring(self._store, target, baseline).repeats
            if repeats:
                return Purpose.ANCHOR, target, repeats
        # Before anything is asked and paid for: without the embedder's weights no reply could be measured.
        watched = self.reference_for(target, baseline).target
        return (Purpose.WATCH if baseline.state is BaselineState.ACTIVE else Purpose.CALIBRATION), watched, None

    def _begin(
        self,
        baseline: Baseline,
        purpose: Purpose,
        asked: Target,
        repeats: Mapping[str, int] | None,
        *,
        scheduled_at: datetime,
        at: datetime,
    ) -> tuple[Run, Grant] | None:
        """Claim a run that can be paid; it asks for fewer anchors than are missing where there is room for no more."""
        account = self._accounts.get(asked.name, Account())
        asks = repeats or {canary.id: asked.repeats_for(canary) for canary in asked.canaries}
        while True:
            grant = weigh(self._store, account, asked, asks, at=at, may_split=purpose is Purpose.ANCHOR)
            if isinstance(grant, Pause):
                claimed = {run.target for run in self._store.runs(states=(RunState.CLAIMED,))}
                if grant.is_passing and self._give_up_killed(claimed & self._lines.keys(), at):
                    continue  # nobody waits for what was set aside for a run that was killed
                raise OverBudget(grant)
            run = self._store.claim_run(
                target=asked.name,
                scheduled_at=scheduled_at,
                purpose=purpose,
                baseline_id=baseline.id,
                at=at,
                reserved=grant.reserved,
                ceilings=grant.ceilings,
            )
            if run is not None:
                return run, grant
            if not grant.ceilings or self._store.runs(asked.name, since=scheduled_at, until=scheduled_at):
                return None
            # Another run has meanwhile taken some of the room: there may be enough left all the same.

    def _give_up_killed(self, targets: Iterable[str], at: datetime) -> int:
        found = [(target, self.longest(target)) for target in targets]
        return sum(self._store.interrupt_stale_runs(t, before=at - long, after=at + long) for t, long in found)

    def _measure_and_judge(
        self,
        target: Target,
        baseline: Baseline,
        run: Run,
        completions: Sequence[Completion],
        purse: usage.Purse | None = None,
    ) -> Verdict:
        n_failed = sum(not completion.is_ok for completion in completions)
        usable = bool(completions) and n_failed <= MAX_FAILURE_SHARE * len(completions)
        measured = run.purpose is not Purpose.ANCHOR and usable
        scores = score(self.reference_for(target, baseline), completions) if measured else ()
        finished_at = max((c.at + timedelta(seconds=c.latency_s) for c in completions), default=run.started_at)
        price = self._lines[target.name].price
        charged = None if purse is None else purse.charged(completions)
        cost_usd = usage.cost_usd(completions, price) if charged is None or price is None else charged.usd
        # Evidence first, in a transaction of its own: whatever happens to the judgement, it can be made again.
        stored = self._store.record_measurement(
            run.id,
            completions=completions,
            scores=scores,
            finished_at=max(finished_at, run.started_at),
            cost_usd=cost_usd,
            n_tokens=None if charged is None else charged.tokens,
        )
        finished = replace(run, n_ok=len(completions) - n_failed, n_failed=n_failed)
        if run.purpose is Purpose.ANCHOR:
            self._accept(target, baseline, finished, stored)
        log.info(
            "run.measured",
            target=target.name,
            purpose=str(run.purpose),
            scheduled_at=run.scheduled_at.isoformat(),
            n_ok=finished.n_ok,
            n_failed=n_failed,
        )
        return self._judge(target, baseline, finished)

    def _accept(self, target: Target, baseline: Baseline, run: Run, completions: Sequence[Completion]) -> None:
        """Make an anchor run's good completions anchors, up to the wanted number for each canary."""
        # Once something was measured against the anchors they must not change, however late this run comes.
        if gives_anchors(self._store, run) and not self._store.series(baseline.id):
            anchors = self._store.anchors(baseline.id)
            accepted: list[int] = []
            for canary in target.canaries:
                room = baseline.anchors_for(canary) - len(anchors.get(canary.id, ()))
                good = [c.id for c in completions if c.canary_id == canary.id and c.is_ok and c.id is not None]
                accepted += good[: max(0, room)]
            self._store.accept_anchors(baseline.id, accepted)
        found = anchoring(self._store, target, baseline)
        if found.left_out:
            log.warning("canaries.left_out", target=target.name, canaries=found.left_out, baseline=baseline.id)

    def _judge(self, target: Target, baseline: Baseline, run: Run) -> Verdict:
        if run.purpose is Purpose.WATCH:
            seen = self._follower.see(target, baseline, run)
            verdict = conclude(self._store, target, baseline, run, left_out=self._left_out(target, baseline), seen=seen)
        else:
            anchors = anchoring(self._store, target, baseline)
            found = calibration(self._store, target, baseline)
            verdict = waiting(
                baseline,
                target,
                run,
                anchors=anchors,
                n_calibration=len(found.counted),
                gives=gives_anchors(self._store, run),
                stop=stopped(self._store, run),
            )
            verdict = protect(self._store, target, baseline, run, waits=verdict, found=found)
        verdict = with_tripwires(self._store, target, baseline, run, verdict, known=self._known_to(baseline))
        log_new(verdict)
        current = self._store.current_baseline(target.name)
        is_current = current is not None and current.id == baseline.id
        # Incidents follow the newest run alone: a late judgement about yesterday must not end today's incident, nor
        # one about a baseline that a person has replaced meanwhile open another.
        is_newest = not any(
            later.id > run.id
            for later in self._store.runs(target.name, since=run.scheduled_at, states=(RunState.JUDGED,))
        )
        edges = partial(steps, self._store, target, baseline, run, verdict, policy=self._policy, fleet=self._fleet)
        told = edges(failure_threshold=self._failure_threshold) if is_current and is_newest else []
        join = partial(grouping.join, within=self._policy.group_within)
        moved = self._store.commit_judgement(verdict, told, at=run.scheduled_at, join=join)
        if is_current and verdict.state is State.CALIBRATING:
            self.arm(target, baseline, run.scheduled_at)
        for incident in moved:
            log.warning("incident.changed", target=target.name, incident=incident.id, state=str(incident.state))
        return verdict

    def _left_out(self, target: Target, baseline: Baseline) -> tuple[str, ...]:
        """Ids of the canaries that are not watched; from the reference where there is one, which saves a reading."""
        known = self._references.get(target.name)
        if known is None or known[0] != baseline.id:
            return anchoring(self._store, target, baseline).left_out
        watched = {canary.id for canary in known[1].target.canaries}
        return tuple(canary.id for canary in target.canaries if canary.id not in watched)

    def _known_to(self, baseline: Baseline) -> list[Told]:
        """What the baseline tells; kept once it is active and changes no more."""
        known = self._told.get(baseline.target)
        if known is not None and known[0] == baseline.id:
            return known[1]
        told = known_to(self._store, baseline)
        if baseline.state is BaselineState.ACTIVE:
            self._told[baseline.target] = (baseline.id, told)
        return told

    def arm(self, target: Target, baseline: Baseline, at: datetime, *, wanted: int | None = None) -> bool:
        """Activate a collecting baseline when it is complete and shows one behaviour.

        Calibration runs of a time at which the endpoint was provisionally another count as nothing from then on. While
        it still is, nothing is activated: the normal would be a mixture.

        Args:
            target: whose baseline.
            baseline: collecting.
            at: when.
            wanted: calibration runs that are enough; the baseline's own number when None.

        Returns:
            Whether the baseline is active now.
        """
        if anchoring(self._store, target, baseline).repeats:
            return False
        found = calibration(self._store, target, baseline)
        enough = baseline.calibration_wanted if wanted is None else wanted
        if found.is_away or len(found.counted) < enough:
            return False
        reason = "calibration is complete"
        if found.left_out:
            reason += f", without {len(found.left_out)} runs at which the endpoint was another"
            self._store.set_members(baseline.id, [row.run_id for row in found.left_out], None)
        self._store.activate_baseline(baseline.id, at=at, reason=reason)
        return True
