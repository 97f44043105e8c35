"""Recorded completions: a file of JSON lines becomes a Recording, or one sentence with file and line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftwatch.domain import Canary, Completion, Json, Message, Outcome, content_hash
from driftwatch.errors import UsageError
from driftwatch.recordings.format import FORMAT_EXAMPLE, FORMAT_HELP
from driftwatch.recordings.lines import read_lines
from driftwatch.recordings.values import Line, shown
from driftwatch.recordings.where import Filter, parse_where

__all__ = [
    "FORMAT_EXAMPLE",
    "FORMAT_HELP",
    "SUITE",
    "UNDATED",
    "Record",
    "Recording",
    "parse_where",
    "read_recording",
]

UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the times of a file without times begin; each line lies a second after the one before."""

SUITE = "recorded"
"""The suite of canaries that are built from a recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of a recording."""

    completion: Completion
    """Its ``canary_id`` is the prompt's id, its ``canary_hash`` names the prompt's text. ``latency_s`` is NaN where the
    file does not say, ``at`` one second after the line before where the file has no times."""
    run: str | None
    """The run that the file names, None when it names none."""
    sample: int | None
    """``sample_idx`` or ``repeat`` as written, None when absent; the completion's ``repeat`` is 0 then."""
    model: str | None
    line: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All of a file: at least one record, of at least one prompt."""

    file: str
    """As the user named it."""
    records: tuple[Record, ...]
    """In the file's order."""
    prompts: Mapping[str, tuple[Message, ...]]
    """Prompt id → its messages, in order of first appearance; no messages where the file tells only the id."""
    temperature: float | None
    """What every line says; None when any says nothing or another one."""
    has_times: bool
    """Whether the lines carry times that can be used: all do or none."""
    time_problem: str | None
    """Why the times that are there cannot be used, a sentence with the first such line; None without any problem."""
    has_runs: bool
    """Whether the lines name their runs: all do or none."""

    @property
    def completions(self) -> tuple[Completion, ...]:
        """The completions alone, in the file's order."""
        return tuple(record.completion for record in self.records)

    @property
    def run_names(self) -> tuple[str, ...]:
        """The named runs in order of first appearance; empty when the file names none."""
        return tuple(dict.fromkeys(record.run for record in self.records if record.run is not None))

    @property
    def models(self) -> tuple[str, ...]:
        """The models named, in order of first appearance."""
        return tuple(dict.fromkeys(record.model for record in self.records if record.model is not None))

    def canaries(self) -> tuple[Canary, ...]:
        """One canary per prompt, without checks; at temperature 0 it says so, for greedy replies are measured so."""
        parameters = {"temperature": 0} if self.temperature == 0 else {}
        return tuple(
            Canary(id=prompt_id, suite=SUITE, messages=messages, parameters=parameters)
            for prompt_id, messages in self.prompts.items()
        )


def read_recording(path: Path, where: Mapping[str, str] | None = None) -> Recording:
    """Read a file of recorded completions, ``.jsonl`` or compressed by gzip: one JSON object per line.

    A line needs ``prompt_id`` (or ``canary``) and ``output`` (or ``text``). It may have ``prompt`` (a text, or a list
    of messages), ``ts`` (or ``at``: ISO 8601 with a zone, or seconds since 1970), ``run``, ``sample_idx`` (or
    ``repeat``), ``model``, ``temperature``, ``latency_s``, ``out_tokens`` (or ``output_tokens``), ``in_tokens`` (or
    ``input_tokens``), ``finish_reason``, ``served_model``, ``fingerprint``, ``logprobs``, ``outcome`` and ``error``;
    a line with an error needs no output and is a failure. Null counts as absent. Other keys and empty lines are
    passed over. A time that cannot be used makes the whole file one without times, see ``Recording.time_problem``.

    Args:
        path: the file; compression is told by its first bytes.
        where: key → value as ``parse_where`` gives them; only lines that have them all are read, others only parsed.

    Raises:
        UsageError: the file cannot be read, a line is wrong, or no line is as ``where`` asks; one sentence with file,
            line and what to write.
    """
    gathered, chosen = _Gathered(str(path)), Filter(where or {})
    for number, text in read_lines(path):
        line = Line(str(path), number, text)
        if chosen.takes(line.values):
            gathered.add(line)
    if chosen.n_rows and not gathered.records:
        raise chosen.nothing(str(path))
    return gathered.recording()


# ---------------------------------------------------------------- all lines together


class _Gathered:
    """What has been read so far, and the rules that hold between lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.records: list[Record] = []
        self.temperatures: set[float | None] = set()
        self.prompts: dict[str, tuple[Message, ...]] = {}
        self.told_at: dict[str, int] = {}
        """Prompt id → the first line that tells its text."""
        self.seen: dict[tuple[str, str | None, datetime | str, int], int] = {}
        self.time_problem: str | None = None
        self.first: tuple[int, bool, bool] | None = None
        """The first line: its number, whether it has a time, whether it names its run."""

    def add(self, line: Line) -> None:
        prompt_id = line.label("prompt_id", "canary")
        if prompt_id is None:
            raise line.wrong("has no prompt_id", 'write "prompt_id": "…" (or "canary"), which names the prompt')
        self._add_prompt(line, prompt_id, line.messages())
        (at, written), run, sample = self._time(line), line.label("run"), line.whole("sample_idx", "repeat")
        self._agree(line, has_time=written is not None, has_run=run is not None)
        if sample is not None:
            self._once(line, (prompt_id, run, at or shown(written), sample))
        outcome, error = line.failure()
        text = line.text("output", "text")
        if text is None and outcome is Outcome.OK:
            raise line.wrong("has no output", 'write "output": "…" (or "text"), or "error": "…" for a failure')
        latency_s = line.number_of("latency_s")
        self.temperatures.add(line.number_of("temperature"))
        completion = Completion(
            canary_id=prompt_id,
            canary_hash="",
            repeat=sample or 0,
            outcome=outcome,
            at=at or _made_up(len(self.records)),
            latency_s=math.nan if latency_s is None else latency_s,
            text=text or "" if outcome is Outcome.OK else "",
            finish_reason=line.text("finish_reason"),
            input_tokens=line.whole("in_tokens", "input_tokens"),
            output_tokens=line.whole("out_tokens", "output_tokens"),
            served_model=line.text("served_model"),
            fingerprint=line.text("fingerprint"),
            logprobs=line.values.get("logprobs"),
            error=error,
        )
        record = Record(completion=completion, run=run, sample=sample, model=line.text("model"), line=line.number)
        self.records.append(record)

    def _time(self, line: Line) -> tuple[datetime | None, Json]:
        """The line's time, and as it is written. What is no time refuses nothing: few need one."""
        given = [line.values[name] for name in ("ts", "at") if line.values.get(name) is not None]
        try:
            return line.time(), given[0] if given else None
        except UsageError as error:
            self.time_problem = self.time_problem or str(error)
            return None, given[0]

    def _add_prompt(self, line: Line, prompt_id: str, messages: tuple[Message, ...] | None) -> None:
        known = self.prompts.setdefault(prompt_id, ())
        if messages is None:
            return
        if known and known != messages:
            raise line.wrong(
                f"prompt_id {shown(prompt_id)} has another prompt here than in line {self.told_at[prompt_id]}",
                "give every prompt an id of its own",
            )
        self.prompts[prompt_id] = messages
        self.told_at.setdefault(prompt_id, line.number)

    def _agree(self, line: Line, *, has_time: bool, has_run: bool) -> None:
        """A file that says when, or in which run, only here and there cannot be put in order."""
        self.first = self.first or (line.number, has_time, has_run)
        number, first_has_time, first_has_run = self.first
        for name, here, there in (("ts", has_time, first_has_time), ("run", has_run, first_has_run)):
            if here != there:
                having, lacking = ("this line", f"line {number}") if here else (f"line {number}", "this line")
                raise line.wrong(f"{having} has {name} and {lacking} has none", f"give every line its {name}, or none")

    def _once(self, line: Line, key: tuple[str, str | None, datetime | str, int]) -> None:
        if key in self.seen:
            raise line.wrong(
                f"prompt {shown(key[0])} with sample_idx {key[3]} is in line {self.seen[key]} already",
                "number the repeats, name the runs (run), or write one file per model (backtest: --where model=NAME)",
            )
        self.seen[key] = line.number

    def recording(self) -> Recording:
        if self.first is None:
            raise UsageError(f"{self.file}: is empty; write one JSON object per line")
        hashes = {prompt_id: _prompt_hash(messages) for prompt_id, messages in self.prompts.items()}
        [temperature] = self.temperatures if len(self.temperatures) == 1 else [None]
        records = _hashed(self.records, hashes)
        return Recording(
            file=self.file,
            records=records if self.time_problem is None else _undated(records),
            prompts=self.prompts,
            temperature=temperature,
            has_times=self.first[1] and self.time_problem is None,
            time_problem=self.time_problem,
            has_runs=self.first[2],
        )


def _made_up(position: int) -> datetime:
    return UNDATED + timedelta(seconds=position)


def _undated(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records in the file's order, with no time of their own."""
    return tuple(
        replace(record, completion=replace(record.completion, at=_made_up(position)))
        for position, record in enumerate(records)
    )


def _prompt_hash(messages: Sequence[Message]) -> str:
    return content_hash([[message.role, message.content] for message in messages])


def _hashed(records: Sequence[Record], hashes: Mapping[str, str]) -> tuple[Record, ...]:
    """The records with the names of their prompts' texts, which a later line may have told."""
    return tuple(
        replace(record, completion=replace(record.completion, canary_hash=hashes[record.completion.canary_id]))
        for record in records
    )
