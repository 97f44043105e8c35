"""The only seam to the database: each method is one transaction and speaks domain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from driftwatch.clock import Clock, WallClock
from driftwatch.domain import (
    Announcement,
    Baseline,
    Ceiling,
    Completion,
    Incident,
    Listing,
    Lookup,
    Notification,
    Purpose,
    Run,
    RunState,
    Score,
    SeriesRow,
    Spending,
    Step,
    Told,
    Transition,
    Tripwire,
    Verdict,
)
from driftwatch.store import baselines, embeddings, judgements, outbox, retention, runs, series, told
from driftwatch.store.baselines import BaselineChange
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
            )

    def activate_baseline(self, baseline_id: int, *, at: datetime, reason: str = "calibration is complete") -> Baseline:
        """Move a collecting baseline to active; harmless when it is, StoreError when it is not current."""
        with self._database.writing() as session:
            return baselines.activate(session, baseline_id, at=at, reason=reason)

    def restore_baseline(self, baseline_id: int, *, author: str, reason: str, at: datetime) -> Baseline:
        """Undo: supersede the current baseline and make this one current again.

        It becomes active, or collecting if it never was active. Its author and reason stay those of its beginning;
        who restored it and why is in ``baseline_changes``.

        Raises:
            UsageError: there is no such baseline, or it is current.
        """
        with self._database.writing() as session:
            return baselines.restore(session, baseline_id, author=author, reason=reason, at=at)

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

    def commit_judgement(self, verdict: Verdict | None, steps: Sequence[Step], *, at: datetime) -> list[Incident]:
        """Write a verdict (its run becomes judged), incidents, transitions and pending notifications, all or nothing.

        Harmless when repeated: nothing is written for a run that has a verdict, no second incident is opened beside
        an open one of the same target and kind, and an edge is skipped when the incident is not where it begins.

        Returns:
            The incidents that were opened or moved.

        Raises:
            StoreError: the verdict's run has no evidence, or a step names an incident that is not stored.
        """
        with self._database.writing() as session:
            return judgements.commit(session, verdict, steps, at=at)

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

    def transitions(self, incident_id: int) -> list[Transition]:
        """The edges of an incident, oldest first."""
        with self._database.reading() as session:
            return judgements.transitions(session, incident_id)

    # ------------------------------------------------------------ outbox

    def due_notifications(self, at: datetime) -> list[tuple[Notification, Announcement]]:
        """Pending notifications whose next attempt is due, oldest first, with incident, transition and its history.

        Never one whose earlier sibling for the same incident and receiver is still pending.
        """
        with self._database.reading() as session:
            return outbox.due(session, at)

    def notifications(self, incident_id: int | None = None) -> list[Notification]:
        """Notifications of one incident or of all, oldest first."""
        with self._database.reading() as session:
            return outbox.listing(session, incident_id)

    def mark_sent(self, notification_id: int, *, at: datetime) -> None:
        """Note that the receiver took it; harmless when it is settled."""
        with self._database.writing() as session:
            outbox.mark_sent(session, notification_id, at=at)

    def mark_failed(self, notification_id: int, *, error: str, next_attempt_at: datetime) -> None:
        """Note a failed attempt; it stays pending until ``next_attempt_at``."""
        with self._database.writing() as session:
            outbox.mark_failed(session, notification_id, error=error, next_attempt_at=next_attempt_at)

    def mark_dead(self, notification_id: int, *, error: str) -> None:
        """Note that the receiver will never take it; later ones of the incident are no longer held back."""
        with self._database.writing() as session:
            outbox.mark_dead(session, notification_id, error=error)

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
