"""The only seam to the database: each method is one transaction and speaks domain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from driftwatch.clock import Clock, WallClock
from driftwatch.domain import (
    Announcement,
    Baseline,
    Ceiling,
    Completion,
    HarnessChange,
    Incident,
    Json,
    Listing,
    Lookup,
    Notification,
    Purpose,
    Run,
    RunState,
    Score,
    SeriesRow,
    Silence,
    Spending,
    Step,
    Told,
    Transition,
    Tripwire,
    Verdict,
)
from driftwatch.store import (
    baselines,
    brought_in,
    embeddings,
    harness,
    judgements,
    outbox,
    retention,
    runs,
    series,
    silences,
    tallies,
    told,
    unanswered,
)
from driftwatch.store.baselines import BaselineChange
from driftwatch.store.brought_in import BroughtIn
from driftwatch.store.database import Database
from driftwatch.store.migrate import migrate

NOTHING = Spending()


class Store:
    """What driftwatch remembers, in one SQLite file; open it with ``Store.open``.

    Synchronous and safe to use from several threads, and from several processes on one file: writers queue, readers
    never wait. Every datetime must be aware and comes back as UTC; a naive one raises ``ValueError``. Whatever the
    file or the disk refuses is raised as one ``StoreError`` sentence, and nothing of that call has been written.
    """

    def __init__(self, database: Database, *, schema_version: str, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.schema_version = schema_version
        """The revision of the schema, e.g. ``0001``."""

    @classmethod
    def open(
        cls, path: Path, *, create: bool = True, busy_timeout_s: float = 10.0, clock: Clock | None = None
    ) -> Store:
        """Open a database file; an older one is copied to ``NAME.bak-REVISION`` and migrated.

        Args:
            path: the file; its directory must exist.
            create: whether a missing file is created.
            busy_timeout_s: how long to wait for another process that writes, seconds.
            clock: tells on which day a cached embedding was of use; nothing else asks it. The wall clock by default.

        Raises:
            StoreError: it is missing, not writable, another program's, from a newer driftwatch, damaged or locked.
        """
        database = Database(Path(path), busy_timeout_s=busy_timeout_s)
        try:
            database.preflight(create=create)
            return cls(database, schema_version=migrate(database), clock=clock or WallClock())
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file; a later call of any other method raises StoreError."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def ping(self) -> None:
        """Check that the file still answers and was not removed or replaced, StoreError otherwise."""
        self._database.ping()

    # ------------------------------------------------------------ baselines

    def start_baseline(
        self,
        *,
        target: str,
        series_key: str,
        author: str,
        reason: str,
        at: datetime,
        anchors_wanted: int,
        calibration_wanted: int,
        parent_id: int | None = None,
        expires_at: datetime | None = None,
        scope: Sequence[str] = (),
    ) -> Baseline:
        """Begin a collecting baseline; the current one is superseded and becomes the parent unless one is named."""
        with self._database.writing() as session:
            return baselines.start(
                session,
                target=target,
                series_key=series_key,
                author=author,
                reason=reason,
                at=at,
                anchors_wanted=anchors_wanted,
                calibration_wanted=calibration_wanted,
                parent_id=parent_id,
                expires_at=expires_at,
                scope=scope,
            )

    def activate_baseline(self, baseline_id: int, *, at: datetime, reason: str = "calibration is complete") -> Baseline:
        """Move a collecting baseline to active; harmless when it is, StoreError when it is not current."""
        with self._database.writing() as session:
            return baselines.activate(session, baseline_id, at=at, reason=reason)

    def replace_baseline(
        self,
        replaced: Baseline,
        *,
        author: str,
        reason: str,
        at: datetime,
        calibration_wanted: int,
        parent_id: int,
        expires_at: datetime | None = None,
        scope: Sequence[str] = (),
        anchor_ids: Sequence[int] = (),
        scores: Mapping[int, Sequence[Score]] = MappingProxyType({}),
    ) -> Baseline:
        """Begin a baseline of the same question in the place of the current one, whole or not at all.

        Args:
            replaced: the baseline that was current when it was decided.
            author: who decided it.
            reason: why.
            at: when.
            calibration_wanted: it becomes active at once when there are as many calibration runs.
            parent_id: what an undo brings back.
            expires_at: when it comes back by itself.
            scope: the canaries that were accepted; empty: the whole target.
            anchor_ids: completions that become anchors.
            scores: calibration run → its scores against these anchors.

        Raises:
            UsageError: another baseline is current by now; nothing was written.
            StoreError: as for ``accept_anchors``.
        """
        with self._database.writing() as session:
            return baselines.replace(
                session,
                replaced,
                author=author,
                reason=reason,
                at=at,
                calibration_wanted=calibration_wanted,
                parent_id=parent_id,
                expires_at=expires_at,
                scope=scope,
                anchor_ids=anchor_ids,
                scores=scores,
            )

    def set_expiry(
        self, baseline: Baseline, expires_at: datetime | None, *, author: str, reason: str, at: datetime
    ) -> Baseline:
        """Say anew until when the current baseline is accepted, None: for good; UsageError when it is not current."""
        with self._database.writing() as session:
            return baselines.set_expiry(session, baseline, expires_at, author=author, reason=reason, at=at)

    def bring_in(self, baseline: BroughtIn, *, author: str, reason: str, at: datetime) -> Baseline:
        """Make a baseline that was measured elsewhere current, with runs of its own; see ``brought_in.BroughtIn``.

        Raises:
            UsageError: another baseline than the one to be replaced is current by now; nothing was written.
        """
        with self._database.writing() as session:
            return brought_in.bring_in(session, baseline, author=author, reason=reason, at=at)

    def restore_baseline(
        self, baseline_id: int, *, author: str, reason: str, at: datetime, replacing: Baseline | None = None
    ) -> Baseline:
        """Undo: supersede the current baseline and make this one current again.

        It becomes active, or collecting if it never was active. Its author and reason stay those of its beginning;
        who restored it and why is in ``baseline_changes``.

        Raises:
            UsageError: there is no such baseline, it is current, or ``replacing`` is current no more.
        """
        with self._database.writing() as session:
            return baselines.restore(session, baseline_id, author=author, reason=reason, at=at, replacing=replacing)

    def current_baseline(self, target: str) -> Baseline | None:
        """The target's collecting or active baseline."""
        with self._database.reading() as session:
            return baselines.current(session, target)

    def baselines(self, target: str | None = None) -> list[Baseline]:
        """All baselines, of one target or of all, oldest first."""
        with self._database.reading() as session:
            return baselines.listing(session, target)

    def baseline_changes(self, target: str) -> list[BaselineChange]:
        """Who changed the state of the target's baselines, when and why, oldest first."""
        with self._database.reading() as session:
            return baselines.changes(session, target)

    def accept_anchors(self, baseline_id: int, completion_ids: Sequence[int]) -> None:
        """Make stored completions anchors of a baseline; those that are already stay so.

        Raises:
            StoreError: one is not stored, is a failure, or belongs to a calibration or watch run of this baseline.
        """
        with self._database.writing() as session:
            baselines.accept_anchors(session, baseline_id, completion_ids)

    def anchors(self, baseline_id: int) -> dict[str, list[Completion]]:
        """A baseline's anchors by canary id, oldest first; canaries without any are absent."""
        with self._database.reading() as session:
            return baselines.anchors(session, baseline_id)

    # ------------------------------------------------------------ runs

    def claim_run(
        self,
        *,
        target: str,
        scheduled_at: datetime,
        purpose: Purpose,
        baseline_id: int,
        at: datetime,
        reserved: Spending = NOTHING,
        ceilings: Sequence[Ceiling] = (),
    ) -> Run | None:
        """Take the slot (target, scheduled_at); of many workers one gets it.

        Args:
            target: whose slot.
            scheduled_at: which one.
            purpose: what the run is made for.
            baseline_id: the baseline it belongs to.
            at: when it begins.
            reserved: what it may take; it counts as spent until the run is measured, and for good when it is killed.
            ceilings: what all runs of a time may take, this one included.

        Returns:
            None when somebody else has the slot, or has meanwhile taken the room under a ceiling.
        """
        with self._database.writing() as session:
            return runs.claim(
                session,
                target=target,
                scheduled_at=scheduled_at,
                purpose=purpose,
                baseline_id=baseline_id,
                at=at,
                reserved=reserved,
                ceilings=ceilings,
            )

    def record_spending(self, run_id: int, spending: Spending) -> None:
        """Say what a claimed run that breaks off has taken, in the place of what was set aside; later it is ignored."""
        with self._database.writing() as session:
            runs.record_spending(session, run_id, spending)

    def spent(
        self, *, since: datetime, until: datetime, target: str | None = None, settled_only: bool = False
    ) -> Spending:
        """What the runs that began in a stretch of time have taken.

        Args:
            since: inclusive.
            until: not included.
            target: of one target; None: of all, those that have left the config too.
            settled_only: without what is set aside for runs under way.
        """
        with self._database.reading() as session:
            return runs.spent(session, since=since, until=until, target=target, settled_only=settled_only)

    def record_measurement(
        self,
        run_id: int,
        *,
        completions: Sequence[Completion],
        scores: Sequence[Score],
        finished_at: datetime,
        cost_usd: float | None,
        n_tokens: int | None = None,
    ) -> tuple[Completion, ...]:
        """Store the evidence of a claimed run, which becomes measured and a member of its own baseline.

        Args:
            run_id: which run.
            completions: all of it.
            scores: made of them; none when it cannot be measured.
            finished_at: when the last reply came.
            cost_usd: what it counts for in dollars; None when the price is unknown.
            n_tokens: what it counts for in tokens; None: those that the completions report.

        Returns:
            The completions in the same order, with their ids.

        Raises:
            StoreError: the run is not claimed, e.g. interrupted or measured already.
        """
        with self._database.writing() as session:
            return runs.record_measurement(
                session,
                run_id,
                completions=completions,
                scores=scores,
                finished_at=finished_at,
                cost_usd=cost_usd,
                n_tokens=n_tokens,
            )

    def mark_judged(self, run_id: int) -> None:
        """Move a measured run, which needs no verdict, to judged; harmless when it is."""
        with self._database.writing() as session:
            runs.mark_judged(session, run_id)

    def interrupt_stale_runs(
        self, target: str | None = None, *, before: datetime, after: datetime | None = None
    ) -> int:
        """Give up claimed runs, of one target or of all, that nobody can be making any more; returns how many.

        What was set aside for them stays spent: how far they came before they were killed, nobody knows.

        Args:
            target: None for all.
            before: those that started earlier.
            after: those that started later too: claimed while the clock was ahead, they would never get too old.
        """
        with self._database.writing() as session:
            return runs.interrupt_stale(session, target, before=before, after=after)

    def runs(
        self,
        target: str | None = None,
        *,
        baseline_id: int | None = None,
        purposes: Collection[Purpose] | None = None,
        states: Collection[RunState] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Run]:
        """Runs that meet every condition given, in order of ``scheduled_at``.

        Args:
            target: of one target; None: of all.
            baseline_id: made for this baseline. What runs count as for another one is in ``series``.
            purposes: made for one of these.
            states: in one of these.
            since: earliest ``scheduled_at``, inclusive.
            until: latest ``scheduled_at``, inclusive.
            limit: the first so many in the order asked for.
            newest_first: latest first instead.
        """
        with self._database.reading() as session:
            return runs.listing(
                session,
                target,
                baseline_id=baseline_id,
                purposes=purposes,
                states=states,
                since=since,
                until=until,
                limit=limit,
                newest_first=newest_first,
            )

    def run_counts(self, run_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Run id → good replies and failures, of these runs."""
        with self._database.reading() as session:
            return brought_in.run_counts(session, run_ids)

    def last_scheduled(self, targets: Sequence[str]) -> dict[str, datetime]:
        """Each target's latest slot, whatever became of the run; targets that never ran are absent."""
        with self._database.reading() as session:
            return runs.last_scheduled(session, targets)

    def completions(self, run_ids: Sequence[int], *, canary_id: str | None = None) -> dict[int, list[Completion]]:
        """Per run asked for its completions, of one canary or of all, in the order recorded; [] when there are none."""
        with self._database.reading() as session:
            return runs.completions(session, run_ids, canary_id)

    # ------------------------------------------------------------ series

    def record_scores(self, baseline_id: int, by_run: Mapping[int, Sequence[Score]]) -> None:
        """Store scores of stored runs against a baseline, in place of those that the same channels had."""
        with self._database.writing() as session:
            series.record_scores(session, baseline_id, by_run)

    def set_members(self, baseline_id: int, run_ids: Sequence[int], purpose: Purpose | None) -> None:
        """Say what stored runs now count as for a baseline, None: as nothing; StoreError if one gave anchors."""
        with self._database.writing() as session:
            series.set_members(session, baseline_id, run_ids, purpose)

    def series(self, baseline_id: int, *, after: datetime | None = None) -> list[SeriesRow]:
        """The runs with scores and a membership for a baseline, by ``scheduled_at``; unmeasured channels are absent."""
        with self._database.reading() as session:
            return series.series(session, baseline_id, after=after)

    def series_length(self, baseline_id: int, *, until: datetime) -> int:
        """How many runs the series has up to and with a time."""
        with self._database.reading() as session:
            return series.length(session, baseline_id, until=until)

    def canary_values(self, baseline_id: int, channel: str, run_ids: Sequence[int]) -> dict[int, dict[str, float]]:
        """Per run the canaries' own values in [0, 1] in one channel; what was not measured is absent."""
        with self._database.reading() as session:
            return series.canary_values(session, baseline_id, channel, run_ids)

    def told(self, *, baseline_id: int | None = None, run_ids: Sequence[int] = ()) -> list[Told]:
        """The metadata of a baseline's anchors, anchor and calibration runs, or else of these runs, counted."""
        with self._database.reading() as session:
            return told.by_runs(session, run_ids) if baseline_id is None else told.by_baseline(session, baseline_id)

    def tripped(self, target: str, baseline_id: int) -> list[Tripwire]:
        """Every tripwire noted in the target's verdicts against a baseline, oldest first; one for each verdict."""
        with self._database.reading() as session:
            return told.tripped(session, target, baseline_id)

    def lookup(self, target: str) -> Lookup | None:
        """What is remembered of the endpoint's list of models; None before the first look."""
        with self._database.reading() as session:
            return told.lookup(session, target)

    def looked(self, target: str, *, model: str, source: str, listing: Listing | None, at: datetime) -> None:
        """Note a look at the endpoint's list of models.

        Args:
            target: on whose behalf.
            model: what was looked for.
            source: where.
            listing: what it told; None leaves what is known of this model and list.
            at: when.
        """
        with self._database.writing() as session:
            told.looked(session, target, model=model, source=source, listing=listing, at=at)

    # ------------------------------------------------------------ judgement

    def commit_judgement(
        self,
        verdict: Verdict | None,
        steps: Sequence[Step],
        *,
        at: datetime,
        join: judgements.Join | None = None,
    ) -> list[Incident]:
        """Write a verdict (its run becomes judged), incidents, transitions and pending notifications, all or nothing.

        Harmless when repeated: nothing is written for a run that has a verdict, no second incident is opened beside
        an open one of the same target, kind and trouble, and an edge is skipped when the incident is not where it
        begins. Whoever was told of a group before is told of every later edge.

        Args:
            verdict: about a run with evidence; None for edges that no run caused.
            steps: the edges.
            at: when the notifications become due.
            join: asked inside the transaction whether an incident that opens belongs to a group that is open by then;
                None: each stands alone.

        Returns:
            The incidents that were opened or moved.

        Raises:
            StoreError: the verdict's run has no evidence, or a step names an incident that is not stored.
        """
        with self._database.writing() as session:
            return judgements.commit(session, verdict, steps, at=at, join=join)

    def commit_unless_moved(self, steps: Sequence[Step], *, since: int, at: datetime) -> list[Incident]:
        """Write edges of one group, and what they tell, unless it has had another edge since the one with this number.

        For edges that time causes: of many processes that see the same group at the same time one writes them.
        """
        with self._database.writing() as session:
            if {outbox.latest_edge(session, step.incident_id or 0) for step in steps} != {since}:
                return []
            return judgements.commit(session, None, steps, at=at)

    def verdicts(
        self,
        target: str | None = None,
        *,
        since: datetime | None = None,
        limit: int | None = None,
        newest_first: bool = True,
    ) -> list[Verdict]:
        """Verdicts of one target or of all, by their runs' ``scheduled_at``; ``since`` is inclusive."""
        with self._database.reading() as session:
            return judgements.verdicts(session, target, since=since, limit=limit, newest_first=newest_first)

    def latest_verdict(self, target: str) -> Verdict | None:
        """The verdict of the target's latest judged run."""
        return next(iter(self.verdicts(target, limit=1)), None)

    def latest_verdicts(self, targets: Sequence[str]) -> dict[str, Verdict]:
        """Target → the verdict of its latest judged run; a target without one is absent."""
        with self._database.reading() as session:
            return judgements.latest_verdicts(session, targets)

    def name_causes(self, causes: Mapping[int, str]) -> None:
        """Give incidents that have no cause one: number → cause. Those that have one keep it."""
        with self._database.writing() as session:
            judgements.name_causes(session, causes)

    def incidents(
        self, *, target: str | None = None, open_only: bool = False, limit: int | None = None
    ) -> list[Incident]:
        """Incidents, newest first; ``open_only`` leaves out the resolved ones."""
        with self._database.reading() as session:
            return judgements.incidents(session, target=target, open_only=open_only, limit=limit)

    def incident(self, incident_id: int) -> Incident | None:
        """One incident, None when it is not stored."""
        with self._database.reading() as session:
            return judgements.incident(session, incident_id)

    def group(self, incident_id: int) -> list[Incident]:
        """All incidents of the group that one belongs to, the leading one first; empty when it is not stored."""
        with self._database.reading() as session:
            return judgements.group(session, incident_id)

    def transitions(self, incident_id: int) -> list[Transition]:
        """The edges of an incident, oldest first."""
        with self._database.reading() as session:
            return judgements.transitions(session, incident_id)

    # ------------------------------------------------------------ outbox

    def waiting(
        self, at: datetime, *, receiver: str | None = None, apart_from: Sequence[int] = ()
    ) -> list[tuple[list[Notification], Announcement]]:
        """For each receiver and group of which a pending notification is due: all that was or will be told.

        Args:
            at: when.
            receiver: of this one alone; None: of all.
            apart_from: numbers of the leads of groups to leave out.

        Returns:
            The receiver's notifications of the group, of every state and oldest first, with what a notifier needs to
            tell the first pending one; in order of that one.
        """
        with self._database.reading() as session:
            return outbox.waiting(session, at, receiver=receiver, apart_from=apart_from)

    def told_of(self, receiver: str, incident_id: int) -> tuple[list[Notification], Announcement]:
        """All that one receiver was or will be told of the group of an incident, and the group's latest edge.

        Raises:
            StoreError: the incident is not stored.
        """
        with self._database.reading() as session:
            return outbox.told_of(session, receiver, incident_id)

    def standing(self, receiver: str) -> list[tuple[list[Notification], Announcement]]:
        """The groups of which something is open and one receiver was told, by number.

        Returns:
            The receiver's notifications of the group, of every state and oldest first, with the group's latest edge.
        """
        with self._database.reading() as session:
            return outbox.standing(session, receiver)

    def announcement(self, incident_id: int) -> Announcement | None:
        """The latest edge of the group of an incident, for nobody in particular; None when it is not stored."""
        with self._database.reading() as session:
            return outbox.announcement(session, incident_id)

    def unanswered(self) -> list[unanswered.Unanswered]:
        """The groups of which something is open that nobody has acknowledged, by number."""
        with self._database.reading() as session:
            return unanswered.groups(session)

    def notifications(self, incident_id: int | None = None) -> list[Notification]:
        """Notifications of one incident or of all, oldest first."""
        with self._database.reading() as session:
            return outbox.listing(session, incident_id)

    def group_notifications(self, incident_id: int) -> list[Notification]:
        """Notifications of all incidents of a group, oldest first; empty when the incident is not stored."""
        with self._database.reading() as session:
            return outbox.of_group(session, incident_id)

    def lease(
        self,
        notifications: Sequence[Notification],
        *,
        at: datetime,
        until: datetime,
        beside: Sequence[Notification] = (),
    ) -> list[int]:
        """Take pending notifications, as they were read, to send them; nobody else will before ``until``.

        Args:
            notifications: one at least, all to one receiver about one group.
            at: now.
            until: when they are due again should this process die.
            beside: the others to that receiver about that group, as they were read.

        Returns:
            The ids of all; or none when another process has taken or put off one of them, settled one of them or beside
            them, or is telling that receiver of that group.
        """
        with self._database.writing() as session:
            return outbox.lease(session, notifications, at=at, until=until, beside=beside)

    def give_back(self, notifications: Sequence[Notification]) -> None:
        """Leave what was leased as it was read before the lease."""
        with self._database.writing() as session:
            outbox.give_back(session, notifications)

    def revive(self, receiver: str, *, at: datetime) -> int:
        """Let be due again what a receiver refused for good of groups that are open; returns how many.

        Not what is older than something that it took of the same group, and nothing of a group that is over.
        """
        with self._database.writing() as session:
            return outbox.revive(session, receiver, at=at)

    def mark_sent(
        self,
        notification_id: int,
        *,
        at: datetime,
        receipt: Mapping[str, Json] | None = None,
        along: Sequence[int] = (),
    ) -> None:
        """Note that the receiver took it, and its receipt for the group; harmless when it is settled.

        Args:
            notification_id: which.
            at: when.
            receipt: None leaves what is stored.
            along: pending ones that need not be told any more, since this one said it all.
        """
        with self._database.writing() as session:
            outbox.mark_sent(session, notification_id, at=at, receipt=receipt, along=along)

    def mute(self, notification_id: int, *, reason: str) -> None:
        """Note that a pending one is not worth telling any more."""
        with self._database.writing() as session:
            outbox.mute(session, notification_id, reason=reason)

    def hold(self, notification_id: int, *, reason: str) -> None:
        """Note why a pending one waits; it stays due, so that it is looked at again at every pass."""
        with self._database.writing() as session:
            outbox.hold(session, notification_id, reason=reason)

    def rest(self, receiver: str, *, until: datetime, reason: str, at: datetime) -> None:
        """Let all that is due for a receiver wait, without an attempt."""
        with self._database.writing() as session:
            outbox.rest(session, receiver, until=until, reason=reason, at=at)

    def wake(self, receiver: str, *, at: datetime) -> None:
        """Let all be due that waits for a receiver to come back."""
        with self._database.writing() as session:
            outbox.wake(session, receiver, at=at)

    def mark_failed(
        self, notification_id: int, *, error: str, next_attempt_at: datetime, along: Sequence[int] = ()
    ) -> None:
        """Note a failed attempt; it stays pending until ``next_attempt_at``, and those along with it."""
        with self._database.writing() as session:
            outbox.mark_failed(session, notification_id, error=error, next_attempt_at=next_attempt_at, along=along)

    def mark_dead(self, notification_id: int, *, error: str, along: Sequence[Notification] = ()) -> None:
        """Note that the receiver will never take it; those along are left as they were read before the lease."""
        with self._database.writing() as session:
            outbox.mark_dead(session, notification_id, error=error, along=along)

    # ------------------------------------------------------------ silences, and changes on our side

    def add_silence(
        self,
        *,
        match: Mapping[str, Sequence[str]],
        starts_at: datetime,
        ends_at: datetime,
        author: str,
        reason: str,
        at: datetime,
    ) -> Silence:
        """Begin a silence; see ``Silence.match``."""
        with self._database.writing() as session:
            return silences.add(
                session, match=match, starts_at=starts_at, ends_at=ends_at, author=author, reason=reason, at=at
            )

    def end_silence(self, silence_id: int, *, author: str, at: datetime) -> Silence:
        """End a silence before its time.

        Raises:
            UsageError: there is none, or it has ended.
        """
        with self._database.writing() as session:
            return silences.end(session, silence_id, author=author, at=at)

    def silences(self, *, ending_after: datetime | None = None) -> list[Silence]:
        """Silences in the order in which they were made, all or those that end after a time."""
        with self._database.reading() as session:
            return silences.listing(session, ending_after=ending_after)

    def note_harness(self, facts: Mapping[str, str], *, at: datetime) -> HarnessChange | None:
        """Remember what is so on our side from now on; None when it was so already."""
        with self._database.writing() as session:
            return harness.note(session, facts, at=at)

    def harness_changes(self, *, since: datetime | None = None, until: datetime | None = None) -> list[HarnessChange]:
        """Changes on our side, oldest first, the times inclusive."""
        with self._database.reading() as session:
            return harness.listing(session, since=since, until=until)

    # ------------------------------------------------------------ how much there is, and whether it can be more

    def check_writable(self) -> None:
        """Write four bytes that say nothing, as a proof; StoreError when the disk is full, read-only or locked."""
        with self._database.writing() as session:
            # Any change of the header page is a write like all others. Nobody else uses this number.
            session.connection().exec_driver_sql("PRAGMA user_version = 0")

    def run_sums(self, *, after_id: int, unfinished: Collection[int], failure_share: float) -> tallies.RunSums:
        """Sum up finished runs: those after an id, and those that were unfinished the last time.

        Args:
            after_id: ``last_id`` of the last answer, 0 for all.
            unfinished: those of the last answer.
            failure_share: a run with a larger share of failed requests, 0 … 1, counts as failed.
        """
        with self._database.reading() as session:
            return tallies.run_sums(session, after_id=after_id, unfinished=unfinished, failure_share=failure_share)

    def last_completion_id(self) -> int:
        """Up to which id there are completions; 0 when there are none."""
        with self._database.reading() as session:
            return tallies.last_completion_id(session)

    def asked(self, *, after_id: int, until_id: int) -> list[tallies.Asked]:
        """What completions with an id above the one and up to the other took."""
        with self._database.reading() as session:
            return tallies.asked(session, after_id=after_id, until_id=until_id)

    def deliveries(self) -> dict[str, tallies.Deliveries]:
        """Receiver → what became of its notifications; receivers without any are absent."""
        with self._database.reading() as session:
            return tallies.deliveries(session)

    def undelivered(self, *, since: datetime, also: Collection[str] = ()) -> dict[str, tallies.Undelivered]:
        """Receivers that have not taken something: refused it for good after ``since``, or failed to until now."""
        with self._database.reading() as session:
            return tallies.undelivered(session, since=since, also=also)

    # ------------------------------------------------------------ embeddings and retention

    def get_embeddings(self, revision: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Cached unit vectors, each (dim,), by content hash; what is not cached is absent."""
        today = self._clock.now().astimezone(UTC).date()
        with self._database.reading() as session:
            found = embeddings.get(session, revision, hashes)
        unused = [key for key, (_, used_on) in found.items() if used_on < today]
        if unused:  # at most one write per vector and day
            with self._database.writing() as session:
                embeddings.touch(session, revision, unused, today=today)
        return {key: vector for key, (vector, _) in found.items()}

    def put_embeddings(self, revision: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Cache unit vectors, each (dim,), by content hash."""
        today = self._clock.now().astimezone(UTC).date()
        with self._database.writing() as session:
            embeddings.put(session, revision, vectors, today=today)

    def prune(self, *, before: datetime) -> int:
        """Delete completions of watch runs scheduled before a time; returns how many.

        Anchors, runs inside an incident and runs that count as calibration for a baseline keep theirs; runs, scores
        and verdicts all stay. Embeddings unused since that day are deleted too.
        """
        with self._database.writing() as session:
            return retention.prune(session, before=before)
