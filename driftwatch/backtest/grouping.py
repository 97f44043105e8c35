"""From recorded completions to runs: which completions were one pass over the prompts, and in which order."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from driftwatch.domain import Canary, Completion, Message
from driftwatch.errors import UsageError
from driftwatch.recordings import UNDATED, Record, Recording

DEFAULT_INTERVAL_S = 3600.0
"""Assumed where the recording does not tell how far its runs lie apart; the daemon's default interval."""

LEAST_INTERVAL_S = 60.0
"""Nobody watches faster: runs closer to each other were recorded in one go, and a year of them means nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class By(StrEnum):
    """What makes completions one run."""

    RUN = "run"
    """The same ``run`` key."""
    TIME = "time"
    """The same slot of time."""
    SAMPLE = "sample"
    """The same ``sample_idx``, or place among the prompt's lines where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """One pass over the prompts."""

    name: str
    """As the recording names it, for people."""
    at: datetime
    """When it began; made up, evenly spaced, where the recording has no times."""
    completions: tuple[Completion, ...]

    @property
    def failure_share(self) -> float:
        """Failed completions as a share of all, 0 … 1; 1 without any."""
        n = len(self.completions)
        return sum(not c.is_ok for c in self.completions) / n if n else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """The runs of one or more recordings, oldest first."""

    runs: tuple[RecordedRun, ...]
    canaries: tuple[Canary, ...]
    model: str
    by: By
    interval_s: float
    """Between two runs: the median, or DEFAULT_INTERVAL_S where there are no times or less than a minute."""
    has_times: bool
    has_latency: bool
    """Whether every reply tells its latency; a channel of some that do would compare the telling."""
    has_some_latency: bool
    """Whether some replies tell their latency and others do not."""
    can_split: bool
    """Whether the same lines would make more runs: with shorter slots of time, or fewer repeats in a run."""
    notes: tuple[str, ...]
    """What a reader must know of the grouping, sentences without a full stop."""


def group(recordings: Sequence[Recording], *, by: By | None, every_s: float | None, repeats: int) -> Grouping:
    """Sort the completions of one or more files into runs.

    By the ``run`` key if the lines have one, else by slots of time if they have times, else by ``sample_idx``. Files
    without times follow each other in the order given. A clock that goes backwards inside a file is sorted.

    Args:
        recordings: at least one.
        by: what makes a run; None chooses as above, or TIME when ``every_s`` is given.
        every_s: length of a slot of time in seconds, above 0; None takes an hour.
        repeats: how many samples of a prompt make one run when they are grouped by sample, 1 or more.

    Raises:
        UsageError: the files do not have what they are to be grouped by, or it cannot be used, or they tell different
            prompts under one id.
    """
    chosen = by or (By.TIME if every_s else _natural(recordings))
    _refuse_unless_possible(recordings, chosen, every_s)
    has_times = all(recording.has_times for recording in recordings)
    notes: list[str] = []
    if chosen is By.TIME:
        keyed = _by_time(recordings, every_s or DEFAULT_INTERVAL_S, notes)
    elif chosen is By.RUN:
        keyed = _by_name(recordings)
    else:
        keyed = _by_sample(recordings, repeats, notes)
    problem = next((one.time_problem for one in recordings if one.time_problem), None)
    if problem:
        notes.append(f"the times are not used: {problem}")
    runs = _dated(keyed) if has_times else _undated(keyed)
    if has_times and chosen is not By.TIME and [run.name for run in runs] != list(keyed):
        notes.append("the runs are sorted by their times; the files hold them in another order")
    models = tuple(dict.fromkeys(model for recording in recordings for model in recording.models))
    if len(models) > 1:
        notes.append(
            f"the lines name {len(models)} models: {', '.join(models[:4])}{' …' if len(models) > 4 else ''}; "  # noqa: PLR2004 - four names fill the line
            "--where model=NAME reads one of them"
        )
    interval_s = _interval_s(runs) if has_times else DEFAULT_INTERVAL_S
    if interval_s < LEAST_INTERVAL_S:
        notes.append(
            "the runs lie less than a minute apart, recorded in one go; the alarm budget counts them as hourly"
        )
        interval_s = DEFAULT_INTERVAL_S
    told = [not math.isnan(c.latency_s) for recording in recordings for c in recording.completions if c.is_ok]
    return Grouping(
        runs=runs,
        canaries=_canaries(recordings),
        model=models[0] if models else "",
        by=chosen,
        interval_s=interval_s,
        has_times=has_times,
        has_latency=bool(told) and all(told),
        has_some_latency=any(told) and not all(told),
        can_split=repeats > 1 if chosen is By.SAMPLE else chosen is By.TIME and _has_times_apart(runs),
        notes=tuple(notes),
    )


def _natural(recordings: Sequence[Recording]) -> By:
    if all(recording.has_runs for recording in recordings):
        return By.RUN
    return By.TIME if all(recording.has_times or recording.time_problem for recording in recordings) else By.SAMPLE


def _refuse_unless_possible(recordings: Sequence[Recording], by: By, every_s: float | None) -> None:
    if every_s and by is not By.TIME:
        raise UsageError(f"--every needs times, and the runs are told by {by.value}; leave out --every or --by")
    unusable = any(recording.time_problem for recording in recordings)
    for recording in recordings:
        if by is By.TIME and recording.time_problem:
            raise UsageError(f"{recording.time_problem}, or write --by sample")
        if by is By.TIME and not recording.has_times:
            raise UsageError(f"{recording.file}: the lines have no ts; add one, or write --by sample")
        if by is By.RUN and not recording.has_runs:
            raise UsageError(f"{recording.file}: the lines name no run; add one, or write --by time or --by sample")
        if recording.has_times != recordings[0].has_times and not unusable:
            raise UsageError(
                f"{recording.file} and {recordings[0].file}: only one of them has times; give both files their ts"
            )


def _by_time(recordings: Sequence[Recording], every_s: float, notes: list[str]) -> dict[str, list[Completion]]:
    records = [record for recording in recordings for record in recording.records]
    backwards = sum(later.completion.at < earlier.completion.at for earlier, later in pairwise(records))
    if backwards:
        notes.append(f"time goes backwards {backwards:,} times from line to line; the lines are sorted by their times")
    slots: dict[int, list[Completion]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.completion.at):
        slots[math.floor((record.completion.at - _EPOCH).total_seconds() / every_s)].append(record.completion)
    return {f"{_EPOCH + timedelta(seconds=slot * every_s):%Y-%m-%d %H:%M:%S}": slots[slot] for slot in sorted(slots)}


def _by_name(recordings: Sequence[Recording]) -> dict[str, list[Completion]]:
    """Runs of files without times never span two files: both may well be numbered from 1."""
    keyed: dict[str, list[Completion]] = {}
    for recording in recordings:
        own: dict[str, list[Completion]] = defaultdict(list)
        for record in recording.records:
            own[record.run or ""].append(record.completion)
        # Numbered runs are in the order of their numbers, whatever the order of the lines.
        names = sorted(own, key=int) if all(name.isdecimal() for name in own) else list(own)
        for name in names:
            keyed[_named(recording, recordings, name)] = own[name]
    return keyed


def _by_sample(recordings: Sequence[Recording], repeats: int, notes: list[str]) -> dict[str, list[Completion]]:
    keyed: dict[str, list[Completion]] = {}
    for recording in recordings:
        own: dict[int, list[Completion]] = defaultdict(list)
        for sample, record in _samples(recording.records):
            own[sample // repeats].append(record.completion)
        if any(record.sample is None for record in recording.records):
            notes.append(f"{recording.file}: without sample_idx, a prompt's first line is its first run, and so on")
        for number in sorted(own):
            keyed[_named(recording, recordings, str(number))] = own[number]
    return keyed


def _samples(records: Sequence[Record]) -> Iterable[tuple[int, Record]]:
    if all(record.sample is not None for record in records):
        return [(record.sample or 0, record) for record in records]
    so_far: Counter[str] = Counter()
    counted = []
    for record in records:
        counted.append((so_far[record.completion.canary_id], record))
        so_far[record.completion.canary_id] += 1
    return counted


def _named(recording: Recording, recordings: Sequence[Recording], name: str) -> str:
    """A file's own name for a run, with the file's number where there are several."""
    if len(recordings) == 1:
        return name
    return f"{next(n for n, other in enumerate(recordings, start=1) if other is recording)}/{name}"


def _dated(keyed: dict[str, list[Completion]]) -> tuple[RecordedRun, ...]:
    runs = [
        RecordedRun(name=name, at=min(c.at for c in completions), completions=_numbered(completions))
        for name, completions in keyed.items()
    ]
    return tuple(sorted(runs, key=lambda run: run.at))


def _undated(keyed: dict[str, list[Completion]]) -> tuple[RecordedRun, ...]:
    return tuple(
        RecordedRun(
            name=name,
            at=UNDATED + timedelta(seconds=position * DEFAULT_INTERVAL_S),
            completions=_numbered(completions),
        )
        for position, (name, completions) in enumerate(keyed.items())
    )


def _numbered(completions: Sequence[Completion]) -> tuple[Completion, ...]:
    """Repeats count from 0 within the run, whatever they were in the file."""
    so_far: Counter[str] = Counter()
    numbered = []
    for completion in completions:
        numbered.append(replace(completion, repeat=so_far[completion.canary_id]))
        so_far[completion.canary_id] += 1
    return tuple(numbered)


def _has_times_apart(runs: Sequence[RecordedRun]) -> bool:
    """Whether any run holds replies to one prompt that the shortest slot of time, a second, would part."""
    for run in runs:
        first: dict[str, datetime] = {}
        for completion in run.completions:
            begun = first.setdefault(completion.canary_id, completion.at)
            if abs((completion.at - begun).total_seconds()) >= 1:
                return True
    return False


def _interval_s(runs: Sequence[RecordedRun]) -> float:
    gaps = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(runs)]
    positive = [gap for gap in gaps if gap > 0]
    return statistics.median(positive) if positive else DEFAULT_INTERVAL_S


def _canaries(recordings: Sequence[Recording]) -> tuple[Canary, ...]:
    """The prompts of all files; a file that tells only ids takes the texts of the others.

    Greedy replies are measured as such only when every file says temperature 0.
    """
    messages: dict[str, tuple[Message, ...]] = {}
    for recording in recordings:
        for prompt_id, told in recording.prompts.items():
            known = messages.get(prompt_id, ())
            if known and told and known != told:
                raise UsageError(
                    f"{recording.file}: prompt_id '{prompt_id}' has another prompt than in the files before; "
                    "give every prompt an id of its own"
                )
            messages[prompt_id] = known or told
    greedy = all(recording.temperature == 0 for recording in recordings)
    first = recordings[0]
    together = replace(first, prompts=messages, temperature=0.0 if greedy else None)
    return together.canaries()
