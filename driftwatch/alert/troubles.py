"""The troubles of the watch itself: what each is called, when it begins and ends, and what to do about it.

Pure: facts in, findings out. ``driftwatch.upkeep`` gathers the facts, ``watching`` makes edges of incidents of the
findings. A trouble of one target (its budget, its key) has the target's name; all others are about ``domain.WATCH``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from driftwatch.alert.kept import IncidentEvidence, NextStep
from driftwatch.alert.text import count, duration, line, when
from driftwatch.domain import WATCH, Json, Severity, Target

MB = 1_000_000

LOW_BYTES, LOW_SHARE = 200 * MB, 0.02
"""A disk is low below the larger of the two: a share, since a large disk fills as fast as what is written to it, and
an amount, since SQLite's write-ahead log and the copy before a migration need room."""

SMALL_DISK_SHARE = 0.2
"""But never more than this share: on a volume of 256 MB, 200 MB free is plenty."""

FULL_BYTES, FULL_SHARE = 50 * MB, 0.05
"""A disk is as good as full below the smaller of the two."""

ROOM = 1.25
"""A disk incident ends above its threshold times this."""

OVERDUE_INTERVALS, OVERDUE_LEAST = 3, timedelta(hours=2)
"""A target is overdue when nothing was measured for the longer of the two."""

BROKEN_RUNS = 3
"""Runs in a row that break off before a target counts as broken; one may meet a restart, two a deployment."""

UNSET_RUNS = 2
"""The same for a secret that is missing: nothing but a person brings it back, but a file may be replaced just then."""

OUT_OF_REACH = timedelta(hours=1)
"""How long a receiver may be out of reach before the others are told."""

OUT_OF_REACH_ATTEMPTS = 7
"""Attempts that take an hour with the outbox's pauses: 30 s · (2⁷ − 1)."""

JUMP = timedelta(hours=1)
"""A clock that moved further than this against the monotonic one has jumped; it is well after as long without one."""


class Trouble(StrEnum):
    """Names that stay: they are stored, routed by and documented in ``docs/operations.md``."""

    STALLED = "stalled"
    DISK = "disk"
    BUDGET = "budget"
    KEY = "key"
    """Also opened by runs whose requests are refused, as is ``quota``: see ``advancing``."""
    BROKEN = "broken"
    RECEIVER = "receiver"
    """Stored as ``receiver:NAME``: each is an incident of its own."""
    STORE = "store"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A trouble that stands."""

    trouble: Trouble
    target: str = WATCH
    receiver: str | None = None
    """RECEIVER: which."""
    severity: Severity = Severity.WARNING
    headline: str
    """One sentence: what is wrong, since when, what it means."""
    notes: tuple[str, ...] = ()
    """Sentences: what else there is to know."""
    steps: tuple[NextStep, ...] = ()
    """What to do, the first thing first."""
    since: datetime

    @property
    def name(self) -> str:
        """As an incident stores it."""
        return self.trouble.value if self.receiver is None else f"{self.trouble.value}:{self.receiver}"

    def evidence(self, target: Target | None = None) -> dict[str, Json]:
        """What the incident keeps."""
        kept = IncidentEvidence(
            headline=self.headline,
            changes=self.notes,
            steps=self.steps,
            onset_at=self.since,
            owner=target.owner if target else None,
            model=target.model if target else None,
            provider=target.provider if target else None,
        ).to_json()
        return {**kept, "feature": target.feature} if target and target.feature else kept


# ---------------------------------------------------------------- the troubles, one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Room on the file system of the database, in bytes."""

    directory: str
    free_bytes: int
    total_bytes: int

    @property
    def low_bytes(self) -> float:
        """Below this it is low."""
        return min(max(LOW_BYTES, LOW_SHARE * self.total_bytes), SMALL_DISK_SHARE * self.total_bytes)

    @property
    def full_bytes(self) -> float:
        """Below this it is as good as full."""
        return min(FULL_BYTES, FULL_SHARE * self.total_bytes)


def disk(space: Space, *, is_standing: bool, at: datetime) -> Finding | None:
    """Whether the disk is low, None when it is not.

    >>> from datetime import UTC
    >>> at = datetime(2026, 3, 16, 9, tzinfo=UTC)
    >>> low = disk(Space(directory="/data", free_bytes=150 * MB, total_bytes=8_000 * MB), is_standing=False, at=at)
    >>> low.headline
    'The disk of /data has 150 MB of 8.0 GB left; when it is full nothing can be stored, and nothing is watched'
    """
    if space.free_bytes >= space.low_bytes * (ROOM if is_standing else 1):
        return None
    is_full = space.free_bytes < space.full_bytes
    return Finding(
        trouble=Trouble.DISK,
        severity=Severity.CRITICAL if is_full else Severity.WARNING,
        headline=(
            f"The disk of {line(space.directory)} has {size(space.free_bytes)} of {size(space.total_bytes)} left; "
            "when it is full nothing can be stored, and nothing is watched"
        ),
        notes=_ROOM_NOTES,
        steps=_make_room(space.directory),
        since=at,
    )


def disk_full(directory: str, *, since: datetime) -> Finding:
    """The database could not be written for lack of space."""
    return Finding(
        trouble=Trouble.DISK,
        severity=Severity.CRITICAL,
        headline=(
            f"The disk of {line(directory)} is full since {when(since)}: nothing can be stored, so nothing is watched"
        ),
        notes=_ROOM_NOTES,
        steps=_make_room(directory),
        since=since,
    )


def store(sentence: str, *, since: datetime) -> Finding:
    """The database cannot be used for another reason."""
    return Finding(
        trouble=Trouble.STORE,
        severity=Severity.CRITICAL,
        headline=f"The database cannot be used since {when(since)}, so nothing is watched: {line(sentence)}",
        notes=("driftwatch goes on by itself once the database can be written.",),
        steps=(NextStep(command="driftwatch doctor", meaning="looks at the database and says what is wrong with it"),),
        since=since,
    )


def stalled(age_s: float, *, since: datetime) -> Finding:
    """The scheduler has not looked at the clock for ``age_s`` seconds."""
    return Finding(
        trouble=Trouble.STALLED,
        severity=Severity.CRITICAL,
        headline=(
            f"The watch stands still: its scheduler last looked at the clock at {when(since)}, "
            f"{duration(age_s)} ago; nothing is asked or judged meanwhile"
        ),
        notes=(
            "Look at the load and the memory of the machine, and at driftwatch's log.",
            "If this does not end by itself, restart `driftwatch serve`; it goes on where it stopped.",
            "An orchestrator that watches /healthz restarts it by itself.",
        ),
        steps=(
            NextStep(command="driftwatch status", meaning="shows from another process what was last done, and when"),
        ),
        since=since,
    )


def clock(jump: timedelta, *, at: datetime) -> Finding:
    """The wall clock moved by ``jump`` more than time went by."""
    way = "forward" if jump > timedelta(0) else "back"
    return Finding(
        trouble=Trouble.CLOCK,
        headline=(
            f"The clock of this machine jumped {way} by {duration(abs(jump.total_seconds()))}, to {when(at)}; "
            "runs are scheduled by it"
        ),
        notes=(
            "A machine that was suspended looks like a clock that jumped forward.",
            "Runs that were skipped stay gaps; none is made twice.",
        ),
        steps=(NextStep(command="timedatectl", meaning="shows the time and whether it is synchronised"),),
        since=at,
    )


def budget(target: str, sentence: str, *, key: str, since: datetime) -> Finding:
    """A target has been paused by a used-up cap for longer than its interval.

    Args:
        target: which.
        sentence: of the pause, as ``status`` shows it.
        key: of the cap in the config.
        since: of the first slot that was left out.
    """
    return Finding(
        trouble=Trouble.BUDGET,
        target=target,
        headline=f"{target} has not been watched since {when(since)}: {sentence}",
        notes=(f"Raise {key} in the config, or ask less: fewer canaries or repeats, or a longer interval.",),
        steps=_SPENDING,
        since=since,
    )


def fleet_budget(targets: Sequence[str], sentence: str, *, key: str, since: datetime) -> Finding:
    """Targets have been paused by a used-up cap on all targets together."""
    which = line(", ".join(sorted(targets)), 200)
    return Finding(
        trouble=Trouble.BUDGET,
        headline=(
            f"{count(len(targets), 'target')} ({which}) {'is' if len(targets) == 1 else 'are'} not watched "
            f"since {when(since)}: {sentence}"
        ),
        notes=(f"Raise {key} in the config, or ask less: fewer canaries or repeats, or a longer interval.",),
        steps=_SPENDING,
        since=since,
    )


def secret_missing(target: str, sentence: str, *, since: datetime) -> Finding:
    """Runs break off because a secret or a setting they need cannot be read."""
    return Finding(
        trouble=Trouble.KEY,
        target=target,
        headline=f"{target} is not watched since {when(since)}: {line(sentence)}",
        notes=("An environment variable is read when driftwatch starts, a file with every run.",),
        steps=_asking(target),
        since=since,
    )


def broken(target: str, sentence: str, n_runs: int, *, since: datetime) -> Finding:
    """Runs break off one after another."""
    return Finding(
        trouble=Trouble.BROKEN,
        target=target,
        headline=(
            f"{target} is not watched since {when(since)}: its last {count(n_runs, 'run')} broke off, {line(sentence)}"
        ),
        notes=_LOGGED,
        steps=_asking(target),
        since=since,
    )


def overdue(target: Target, *, since: datetime, at: datetime) -> Finding | None:
    """Whether nothing was measured for too long.

    Args:
        target: which.
        since: the latest of its last measured run and the start of the watch.
        at: now.
    """
    if at - since <= max(OVERDUE_INTERVALS * timedelta(seconds=target.interval_s), OVERDUE_LEAST):
        return None
    return Finding(
        trouble=Trouble.BROKEN,
        target=target.name,
        headline=(
            f"{target.name} is not watched: nothing was measured for {duration((at - since).total_seconds())}, "
            f"though a run is due every {duration(target.interval_s)}"
        ),
        notes=_LOGGED,
        steps=_asking(target.name),
        since=since,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How deliveries to a receiver go."""

    receiver: str
    n_waiting: int = 0
    """Pending notifications of which an attempt failed."""
    waiting_since: datetime | None = None
    """When the oldest of them arose."""
    attempts: int = 0
    """The most attempts at one of them."""
    failing_since: datetime | None = None
    """When this process first saw it fail, without a success since."""
    refused_at: datetime | None = None
    """When the latest that it refused for good arose."""
    sent_at: datetime | None = None
    """When it last took one."""
    last_error: str = ""
    is_grave: bool = False
    """Whether what it has not taken is about a critical incident that is open."""


def receiver(reach: Reach, *, at: datetime) -> Finding | None:
    """Whether a receiver refuses messages or is out of reach; None while there is hope."""
    sent_at = reach.sent_at
    if reach.refused_at is not None and (sent_at is None or sent_at < reach.refused_at):
        since, what, rest = (
            reach.refused_at,
            f"refuses messages: {line(reach.last_error)}",
            "What it refused is not sent to it again; `driftwatch incidents` lists what stands.",
        )
    elif _is_out_of_reach(reach, at):
        since = reach.waiting_since or at
        waiting = f"{count(reach.n_waiting, 'message')} {'waits' if reach.n_waiting == 1 else 'wait'}"
        what, rest = (
            f"is out of reach, and {waiting} since {when(since)}: {line(reach.last_error)}",
            "What waits is sent by itself once it answers.",
        )
    else:
        return None
    return Finding(
        trouble=Trouble.RECEIVER,
        receiver=reach.receiver,
        # Whoever should have been woken was not: the others must not hear of it in the morning only.
        severity=Severity.CRITICAL if reach.is_grave else Severity.WARNING,
        headline=f"Receiver {reach.receiver} {what}",
        notes=(rest, "What it did not take is critical, and still open.") if reach.is_grave else (rest,),
        steps=(
            NextStep(
                command=f"driftwatch alerts test {shlex.quote(reach.receiver)}",
                meaning="sends it a test message and says why it is not taken",
            ),
        ),
        since=since,
    )


def _is_out_of_reach(reach: Reach, at: datetime) -> bool:
    if reach.n_waiting == 0:
        return False
    seen_long = reach.failing_since is not None and at - reach.failing_since > OUT_OF_REACH
    # Of many short processes none sees it fail for an hour; the attempts are counted over all of them.
    tried_long = reach.attempts >= OUT_OF_REACH_ATTEMPTS and at - (reach.waiting_since or at) > OUT_OF_REACH
    return seen_long or tried_long


# ---------------------------------------------------------------- words


def size(n_bytes: float) -> str:
    """An amount of storage as people write it.

    >>> size(49_400_000), size(1_250_000_000), size(0)
    ('49 MB', '1.2 GB', '0 MB')
    """
    return f"{n_bytes / 1000 / MB:.1f} GB" if n_bytes >= 1000 * MB else f"{n_bytes / MB:.0f} MB"


_ROOM_NOTES = (
    "driftwatch goes on by itself once there is room.",
    "A lower retention_days in the config keeps the database from growing; the file itself does not shrink.",
)
_LOGGED = ("driftwatch's log has each run that broke off as the event run.failed.",)
_SPENDING = (
    NextStep(command="driftwatch status", meaning="shows what is spent of each budget, and until when"),
    NextStep(command="driftwatch plan", meaning="shows what each target costs, and what less would see"),
)


def _make_room(directory: str) -> tuple[NextStep, ...]:
    return (NextStep(command=f"df -h {shlex.quote(directory)}", meaning="shows the file system that needs room"),)


def _asking(target: str) -> tuple[NextStep, ...]:
    meaning = "asks the endpoint once and says what is wrong"
    return (NextStep(command=f"driftwatch doctor {shlex.quote(target)}", meaning=meaning),)
