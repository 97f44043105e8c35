"""Looks after the watch once per tick: gathers what is wrong with it, and opens and ends the incidents of that."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import structlog

from driftwatch.alert import troubles, watching
from driftwatch.alert.policy import Policy
from driftwatch.alert.troubles import Finding, Reach, Space, Trouble
from driftwatch.clock import stopwatch
from driftwatch.domain import WATCH, Incident, Kind, RunState, Target
from driftwatch.errors import ConfigError, StoreError
from driftwatch.spending import Pause
from driftwatch.store import Store

log = structlog.get_logger()

Key: TypeAlias = tuple[str, str]
"""(target, name of the trouble)."""

FULL = "the disk is full"
"""How the store says it; a test holds the two together."""

LONG = timedelta(minutes=2)
"""How long the database may be locked or out of reach before somebody is told: backups lock it, and end."""

PROOF_EVERY_S = 15.0
"""How often it is proved that the database can be written, s: ticks come faster where many runs end."""

LOOK_BACK = timedelta(hours=24)
"""How old a refusal may be to be told; later, somebody has been told or nobody is there."""

RESOLVED_LOOKED_AT = 50
"""The latest incidents of a target among which an earlier one of the same trouble is looked for."""


@dataclass(slots=True)
class _Breaks:
    """Runs of one target that broke off in a row."""

    slots: list[datetime]
    sentence: str
    is_setting: bool


class Upkeep:
    """The troubles of one watch; safe to use from several threads.

    Args:
        store: where incidents go.
        path: of its file.
        targets: what is watched.
        policy: what the operator decided about alerts.
        receivers: names of those that are configured.
        at: when the watch began.
        is_simulated: whether time is: then the machine's disk, clock and speed are no part of the story.
        space: the room on the file system of a directory, by ``shutil.disk_usage``.
        timer: starts a stopwatch that no change of the clock touches.
    """

    def __init__(
        self,
        store: Store,
        *,
        path: Path,
        targets: Sequence[Target],
        policy: Policy,
        receivers: Sequence[str],
        at: datetime,
        is_simulated: bool = False,
        space: Callable[[Path], Space] | None = None,
        timer: Callable[[], Callable[[], float]] = stopwatch,
    ) -> None:
        self._store, self._directory, self._policy = store, path.absolute().parent, policy
        self._targets = {target.name: target for target in targets}
        self._receivers, self._is_simulated = frozenset(receivers), is_simulated
        self._space, self._timer = space or disk_space, timer
        self._lock = threading.Lock()
        self._measured: dict[str, tuple[datetime, Callable[[], float]]] = {}
        self._began = (at, timer())
        self._breaks: dict[str, _Breaks] = {}
        self._problems: dict[str, str] = {}
        self._paused_since: dict[str, datetime] = {}
        self._failing_since: dict[str, datetime] = {}
        self._clock: tuple[datetime, Callable[[], float]] | None = None
        self._jumped: tuple[Finding, Callable[[], float]] | None = None
        self._since_proof: Callable[[], float] | None = None
        self._unwritable: tuple[datetime, str] | None = None

    # ------------------------------------------------------------ what the program tells

    def went_well(self, target: str, at: datetime, *, is_ours: bool = True) -> None:
        """A run did not break off; ``is_ours`` is False when another process had its slot."""
        with self._lock:
            self._problems.pop(target, None)
            if is_ours:
                self._measured[target] = (at, self._timer())
                self._breaks.pop(target, None)

    def broke_off(self, target: str, slot: datetime, error: BaseException, sentence: str) -> None:
        """A run raised."""
        with self._lock:
            self._problems[target] = f"the run of {target} of {slot:%Y-%m-%d %H:%M} UTC broke off: {sentence}"
            if isinstance(error, StoreError):
                return  # the proof below finds out, for all targets at once
            known = self._breaks.get(target)
            slots = [*(known.slots if known else []), slot]
            self._breaks[target] = _Breaks(
                slots=sorted(set(slots)), sentence=sentence, is_setting=isinstance(error, ConfigError)
            )

    def tell_unwatched(self) -> None:
        """Incidents of targets that have left the config stay open: only a person can say that they are over."""
        for incident in self._store.incidents(open_only=True):
            if incident.target not in self._targets and incident.target != WATCH:
                log.warning(
                    "incident.unwatched",
                    target=incident.target,
                    incident=incident.id,
                    instead=f"the target is not in the config; close it: driftwatch incidents resolve {incident.id}",
                )

    # ------------------------------------------------------------ what is looked at

    def problem(self) -> str | None:
        """Why no run can be made or stored, or did break off lately; None when all is well. From any thread."""
        try:
            self._store.ping()
        except StoreError as error:
            return str(error)
        return self.unwritable or next(iter(reversed(list(self._problems.values()))), None)

    @property
    def unwritable(self) -> str | None:
        """Why the database cannot be written, as far as is known; None when it can."""
        return self._unwritable[1] if self._unwritable else None

    def prove(self, at: datetime) -> Finding | None:
        """Prove that the database can be written, unless that was just done.

        Returns:
            What somebody has to be told without the database; None while it works, or has not failed for long.
        """
        with self._lock:
            if self._unwritable is None and self._since_proof is not None and self._since_proof() < PROOF_EVERY_S:
                return None
            self._since_proof = self._timer()
            try:
                self._store.check_writable()
            except StoreError as error:
                since = self._unwritable[0] if self._unwritable else at
                if self._unwritable is None:
                    log.error("store.unwritable", sentence=str(error))  # noqa: TRY400 - a sentence, no traceback
                self._unwritable = (since, str(error))
                if FULL in str(error):
                    return troubles.disk_full(str(self._directory), since=since)
                return troubles.store(str(error), since=since) if at - since >= LONG else None
            if self._unwritable is not None:
                log.info("store.writable")
            self._unwritable = None
            return None

    def look(
        self, at: datetime, *, last: Mapping[str, datetime], paused: Mapping[str, Pause] | None = None
    ) -> list[Incident]:
        """Look at everything once, and open, escalate and end incidents accordingly.

        Args:
            at: now.
            last: target → its latest slot, whatever became of the run.
            paused: target → the pause of its budget.

        Returns:
            The incidents that moved.

        Raises:
            StoreError: the database cannot be used.
        """
        with self._lock:
            standing = self._standing()
            found: list[Finding] = []
            over: dict[Key, str] = {(WATCH, Trouble.STALLED): "the scheduler is at work again"}
            if not self._is_simulated:
                over[WATCH, Trouble.STORE] = "the database can be written again"
                self._look_at_disk(standing, found, over, at)
                self._look_at_clock(standing, found, over, at)
                self._look_at_receivers(standing, found, over, at)
            self._look_at_budgets(standing, found, over, at=at, last=last, paused=paused or {})
            self._look_at_runs(found, over, at=at, paused=paused or {})
            return self._commit(watching.Noticed(found=found, over=over), at)

    def stalled(self, age_s: float, at: datetime) -> list[Incident]:
        """Store that the scheduler stands still; called from the watchdog's thread.

        Raises:
            StoreError: the database cannot be used.
        """
        finding = troubles.stalled(age_s, since=at - timedelta(seconds=age_s))
        # Without the lock: what stands still may hold it.
        return self._commit(watching.Noticed(found=[finding]), at)

    # ------------------------------------------------------------ one by one

    def _look_at_disk(
        self, standing: Mapping[Key, Incident], found: list[Finding], over: dict[Key, str], at: datetime
    ) -> None:
        key = (WATCH, Trouble.DISK.value)
        space = self._space(self._directory)
        finding = troubles.disk(space, is_standing=key in standing, at=at)
        if finding is not None:
            found.append(finding)
        else:
            over[key] = f"the disk of {self._directory} has {troubles.size(space.free_bytes)} free again"

    def _look_at_clock(
        self, standing: Mapping[Key, Incident], found: list[Finding], over: dict[Key, str], at: datetime
    ) -> None:
        key = (WATCH, Trouble.CLOCK.value)
        if self._clock is not None:
            before, elapsed_s = self._clock
            jump = at - before - timedelta(seconds=elapsed_s())
            if abs(jump) > troubles.JUMP:
                self._jumped = (troubles.clock(jump, at=at), self._timer())
        self._clock = (at, self._timer())
        if self._jumped is not None and self._jumped[1]() < troubles.JUMP.total_seconds():
            found.append(self._jumped[0])
        elif self._jumped is not None or (key in standing and abs(at - standing[key].opened_at) > troubles.JUMP):
            over[key] = "the clock has been steady for an hour"
            self._jumped = None

    def _look_at_receivers(
        self, standing: Mapping[Key, Incident], found: list[Finding], over: dict[Key, str], at: datetime
    ) -> None:
        prefix = f"{Trouble.RECEIVER.value}:"
        open_ = {
            key[1].removeprefix(prefix): incident for key, incident in standing.items() if key[1].startswith(prefix)
        }
        seen = self._store.undelivered(since=at - LOOK_BACK, also=tuple(open_))
        self._failing_since = {
            name: self._failing_since.get(name, at)
            for name, one in seen.items()
            if one.n_waiting and (one.sent_at is None or one.sent_at <= self._failing_since.get(name, at))
        }
        for name, one in seen.items():
            if name not in self._receivers:
                over[WATCH, prefix + name] = f"receiver {name} is not in the config any more"
                continue
            reach = Reach(
                receiver=name,
                n_waiting=one.n_waiting,
                waiting_since=one.waiting_since,
                attempts=one.attempts,
                failing_since=self._failing_since.get(name),
                refused_at=one.refused_at,
                sent_at=one.sent_at,
                last_error=one.last_error,
                is_grave=one.is_grave,
            )
            incident = open_.get(name)
            if (
                incident is not None
                and one.sent_at is not None
                and one.sent_at > incident.onset_at
                and not one.n_waiting
            ):
                over[WATCH, prefix + name] = f"receiver {name} takes messages again"
            elif (finding := troubles.receiver(reach, at=at)) is not None:
                found.append(finding)

    def _look_at_budgets(
        self,
        standing: Mapping[Key, Incident],
        found: list[Finding],
        over: dict[Key, str],
        *,
        at: datetime,
        last: Mapping[str, datetime],
        paused: Mapping[str, Pause],
    ) -> None:
        self._paused_since = {name: self._paused_since.get(name, at) for name in paused}
        fleet: dict[str, tuple[datetime, Pause]] = {}
        for name, pause in paused.items():
            interval = timedelta(seconds=self._targets[name].interval_s)
            # Of a target that ran before, the first slot that was left out: the same in every process.
            since = last[name] + interval if name in last else self._paused_since[name]
            if at - since <= interval:
                continue
            if pause.cap.target is None:
                fleet[name] = (since, pause)
            else:
                found.append(troubles.budget(name, pause.sentence, key=pause.cap.key, since=since))
        if fleet:
            since, pause = min(fleet.values(), key=lambda one: one[0])
            found.append(troubles.fleet_budget(list(fleet), pause.sentence, key=pause.cap.key, since=since))
        for (target, name), incident in standing.items():
            if name != Trouble.BUDGET:
                continue
            # Not "is not paused": a process that has just started has tried nothing yet.
            names = self._targets if target == WATCH else [target]
            ran = any(one in last and last[one] >= incident.onset_at for one in names if one not in paused)
            if ran:
                over[target, name] = "the budget has room again, and runs are made"

    def _look_at_runs(
        self, found: list[Finding], over: dict[Key, str], *, at: datetime, paused: Mapping[str, Pause]
    ) -> None:
        for name, target in self._targets.items():
            breaks = self._breaks.get(name)
            if breaks is not None and breaks.is_setting and len(breaks.slots) >= troubles.UNSET_RUNS:
                found.append(troubles.secret_missing(name, breaks.sentence, since=breaks.slots[0]))
            elif breaks is not None and len(breaks.slots) >= troubles.BROKEN_RUNS:
                found.append(troubles.broken(name, breaks.sentence, len(breaks.slots), since=breaks.slots[0]))
            elif breaks is None and name in self._measured:
                over[name, Trouble.BROKEN] = "its runs are made again"  # a key, the next measured run ends
            if breaks is None and name not in paused and not self._is_simulated:
                finding = self._overdue(target, at)
                if finding is not None:
                    found.append(finding)
                    over.pop((name, Trouble.BROKEN), None)

    def _overdue(self, target: Target, at: datetime) -> Finding | None:
        # By a stopwatch: a clock that jumps must not make the whole fleet overdue.
        since, elapsed_s = self._measured.get(target.name, self._began)
        since = max(since, at - timedelta(seconds=elapsed_s()))
        if troubles.overdue(target, since=since, at=at) is None:
            return None
        # Another process may have measured it.
        latest = self._store.runs(target.name, states=(RunState.MEASURED, RunState.JUDGED), limit=1, newest_first=True)
        if latest and latest[0].finished_at is not None and since < latest[0].finished_at <= at:
            since = latest[0].finished_at
        return troubles.overdue(target, since=since, at=at)

    # ------------------------------------------------------------ to the store

    def _standing(self) -> dict[Key, Incident]:
        return {
            (incident.target, incident.trouble): incident
            for incident in self._store.incidents(open_only=True)
            if incident.kind is Kind.WATCH_ITSELF
        }

    def _commit(self, noticed: watching.Noticed, at: datetime) -> list[Incident]:
        moved: list[Incident] = []
        # More than once, since those that join a group need it to be there.
        for _ in range(2):
            standing = self._standing()
            new = [finding for finding in noticed.found if (finding.target, finding.name) not in standing]
            steps = watching.advance(
                noticed,
                standing=list(standing.values()),
                ended=[ended for finding in new for ended in self._ended(finding)],
                targets=self._targets,
                policy=self._policy,
                at=at,
            )
            if not steps:
                break
            for incident in self._store.commit_judgement(None, steps, at=at):
                log.warning(
                    "incident.changed",
                    target=incident.target,
                    incident=incident.id,
                    state=str(incident.state),
                    trouble=incident.trouble,
                )
                moved.append(incident)
        return moved

    def _ended(self, finding: Finding) -> list[watching.Ended]:
        """The latest resolved incident of a trouble, and whether a person closed it."""
        for incident in self._store.incidents(target=finding.target, limit=RESOLVED_LOOKED_AT):
            if incident.trouble == finding.name and not incident.is_open:
                last = self._store.transitions(incident.id)[-1]
                return [watching.Ended(incident=incident, by_hand=last.author != WATCH)]
        return []


def disk_space(directory: Path) -> Space:
    """The room on the file system of a directory, for this user."""
    usage = shutil.disk_usage(directory)
    return Space(directory=str(directory), free_bytes=usage.free, total_bytes=usage.total)
