"""Reads the script of a simulated endpoint: personas, dated changes of persona, and dated faults.

::

    seed: 7
    origin: 2026-03-02T00:00:00Z            # what offsets such as 14d9h count from; default: the first change
    wait: false                             # true: really sleep the latency, for load and kill trials
    start: march
    personas:
      march:
        served_model: support-1-0305        # default: the model that was asked for
        fingerprint: fp_a1
        latency_s: 0.8                      # median, seconds
        latency_spread: 0.25                # sigma of its lognormal
        variety: 1.0                        # 0: always the first variant … 1: all variants alike
        diurnal: 0.0                        # how much of the choice swings with the hour of the day, 0 … 1
        refusal_rate: 0.0
        json_broken_rate: 0.0
        extra_input_tokens: 0               # as a hidden system prompt would add
        answers:                            # canary id → variants; canaries without an entry get made-up answers
          support/refund-window: ["Within 30 days.", "You have 30 days."]
          tools/weather: [{tool: get_weather, arguments: {city: Oslo}}]
    changes:
      - {at: 14d9h, persona: swapped, share: 0.16}     # the other requests stay with what was served before
    faults:
      - {from: 2026-03-12T02:00:00Z, until: 2026-03-12T08:00:00Z, share: 0.3, outcome: rate_limited}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from driftwatch.domain import Json, Outcome
from driftwatch.errors import ConfigError

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


def _moment(value: Any) -> Any:
    if isinstance(value, datetime | date | str):
        return value
    raise ValueError("is no time; write 2026-03-16T09:00:00Z, or an offset such as 14d9h")


Moment = Annotated[Any, AfterValidator(_moment)]
"""A datetime, a date (midnight UTC), or a str: ISO 8601 or an offset."""
Variants = BeforeValidator(lambda value: value if isinstance(value, list) else [value])


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ToolAnswer(_Strict):
    """A tool call in place of a text."""

    tool: str = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)


class Persona(_Strict):
    """One way for the endpoint to behave."""

    served_model: str | None = None
    fingerprint: str | None = None
    latency_s: float = Field(default=0.8, gt=0.0, allow_inf_nan=False)
    latency_spread: float = Field(default=0.25, ge=0.0, allow_inf_nan=False)
    variety: Share = 1.0
    diurnal: Share = 0.0
    refusal_rate: Share = 0.0
    json_broken_rate: Share = 0.0
    extra_input_tokens: int = Field(default=0, ge=0)
    answers: dict[str, Annotated[list[str | ToolAnswer], Variants, Field(min_length=1)]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From ``at`` on, ``share`` of the requests are answered by ``persona``; the rest stay as they were."""

    at: datetime
    persona: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """From ``start_at`` until ``end_at`` (None: for good), ``share`` of the requests fail with ``outcome``.

    Asking again gives the same failure, as all that is simulated is a function of the request.
    """

    start_at: datetime
    end_at: datetime | None
    share: float
    outcome: Outcome
    retry_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole script, with every time resolved to an aware UTC datetime."""

    seed: int
    wait: bool
    start: str
    personas: Mapping[str, Persona]
    changes: tuple[Change, ...]
    faults: tuple[Fault, ...]


def load_script(path: Path) -> Mapping[str, Json]:
    """Read and validate a script file.

    Returns:
        The parsed mapping, ready for ``Connection.script``.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or is no valid script.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - a script already parsed needs no YAML
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - as above

    try:
        parsed = YAML().load(path)
    except OSError as error:
        instead = "name the file that says how the endpoint behaves"
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path), instead=instead) from error
    except (YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        problem = getattr(error, "problem", None) or "it is not UTF-8"
        raise ConfigError(
            f"is not YAML: {problem}",
            file=str(path),
            line=None if line is None else line + 1,
            instead="save it as UTF-8, indent with spaces, close brackets and quotes",
        ) from error
    validate_script(parsed, file=str(path))
    return dict(parsed)


def validate_script(script: Mapping[str, Json] | None, *, file: str | None = None) -> Script:
    """Check a parsed script and resolve its times.

    Args:
        script: the parsed YAML; line numbers are told when it came from ruamel.yaml's round-trip loader.
        file: what to call it in errors.

    Raises:
        ConfigError: with file, line, key and what to write instead.
    """
    wrong = partial(_wrong, script, file)
    if not isinstance(script, Mapping):
        raise ConfigError(
            "a script is a mapping",
            file=file,
            key=None if script is not None or file else "script",
            instead="write at least personas: {name: {}} and start: name",
        )
    try:
        document = _Document.model_validate(_plain(script))
    except ValidationError as error:
        raise _from_pydantic(error, wrong) from error

    known = list(document.personas)
    named: list[tuple[_Place, str]] = [(("start",), document.start)]
    named += [(("changes", i, "persona"), change.persona) for i, change in enumerate(document.changes)]
    for place, name in named:
        if name not in document.personas:
            raise wrong(place, f"there is no persona '{name}'", _meant(name, known))
    origin = _origin(document, wrong)
    return Script(
        seed=document.seed,
        wait=document.wait,
        start=document.start,
        personas=document.personas,
        changes=_changes(document, origin, wrong),
        faults=_faults(document, origin, wrong),
    )


# ---------------------------------------------------------------- the document as written


class _ChangeEntry(_Strict):
    at: Moment
    persona: str
    share: Share = 1.0


class _FaultEntry(_Strict):
    from_: Moment = Field(alias="from")
    until: Moment | None = None
    share: Share = 1.0
    outcome: str
    retry_after_s: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)


class _Document(_Strict):
    seed: int = 0
    origin: Moment | None = None
    wait: bool = False
    start: str
    personas: dict[str, Persona] = Field(min_length=1)
    changes: list[_ChangeEntry] = Field(default_factory=list)
    faults: list[_FaultEntry] = Field(default_factory=list)


_PARTS: dict[str, type[_Strict]] = {"personas": Persona, "changes": _ChangeEntry, "faults": _FaultEntry}
_OFFSET = re.compile(r"(?=.)(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_Place = Sequence[int | str]


def _origin(document: _Document, wrong: partial[ConfigError]) -> datetime | None:
    if document.origin is not None:
        return _absolute(document.origin, wrong, ("origin",))
    first = document.changes[0].at if document.changes else None
    return None if first is None or _is_offset(first) else _absolute(first, wrong, ("changes", 0, "at"))


def _changes(document: _Document, origin: datetime | None, wrong: partial[ConfigError]) -> tuple[Change, ...]:
    changes: list[Change] = []
    for index, entry in enumerate(document.changes):
        place = ("changes", index, "at")
        at = _resolve(entry.at, origin, wrong, place)
        if changes and at < changes[-1].at:
            raise wrong(place, "is earlier than the change before it", "put the changes in order of time")
        changes.append(Change(at=at, persona=entry.persona, share=entry.share))
    return tuple(changes)


def _faults(document: _Document, origin: datetime | None, wrong: partial[ConfigError]) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    outcomes = [outcome.value for outcome in Outcome if outcome not in {Outcome.OK, Outcome.NOT_ASKED}]
    for index, entry in enumerate(document.faults):
        start_at = _resolve(entry.from_, origin, wrong, ("faults", index, "from"))
        end_at = None
        if entry.until is not None:
            end_at = _resolve(entry.until, origin, wrong, ("faults", index, "until"))
            if end_at <= start_at:
                raise wrong(("faults", index, "until"), "is not after from", "write a later time, or leave until out")
        if entry.outcome not in outcomes:
            raise wrong(
                ("faults", index, "outcome"),
                f"there is no failure called '{entry.outcome}'",
                _meant(entry.outcome, outcomes),
            )
        faults.append(
            Fault(
                start_at=start_at,
                end_at=end_at,
                share=entry.share,
                outcome=Outcome(entry.outcome),
                retry_after_s=entry.retry_after_s,
            )
        )
    return tuple(faults)


def _is_offset(moment: Moment) -> bool:
    return isinstance(moment, str) and _OFFSET.fullmatch(moment) is not None


def _resolve(moment: Moment, origin: datetime | None, wrong: partial[ConfigError], place: _Place) -> datetime:
    if not _is_offset(moment):
        return _absolute(moment, wrong, place)
    if origin is None:
        raise wrong(place, f"'{moment}' counts from an origin and there is none", "add origin: 2026-03-02T00:00:00Z")
    match = _OFFSET.fullmatch(str(moment))
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0,) * 5
    return origin + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def _absolute(moment: Moment, wrong: partial[ConfigError], place: _Place) -> datetime:
    try:
        at = datetime.fromisoformat(moment if isinstance(moment, str) else moment.isoformat())
    except ValueError as error:
        raise wrong(
            place, f"'{moment}' is no time", "write 2026-03-16T09:00:00Z, or an offset such as 14d9h"
        ) from error
    # A timestamp without a zone is UTC. Source: https://yaml.org/type/timestamp.html, 2005-01-18.
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


# ---------------------------------------------------------------- errors


def _wrong(script: Json, file: str | None, place: _Place, problem: str, instead: str | None = None) -> ConfigError:
    return ConfigError(problem, file=file, line=_line(script, place), key=_dotted(place), instead=instead)


def _from_pydantic(error: ValidationError, wrong: partial[ConfigError]) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = tuple(first["loc"])
    if "answers" in place[2:3] and len(place) > 3:  # noqa: PLR2004 - personas, its name, answers, a canary
        return wrong(
            place[:4], "an answer is a text or a tool call", 'write ["a text"] or [{tool: name, arguments: {}}]'
        )
    if first["type"] == "extra_forbidden":
        part = _PARTS.get(str(place[0]), _Document) if len(place) > 1 else _Document
        known = [field.alias or name for name, field in part.model_fields.items()]
        return wrong(place, f"unknown key '{place[-1]}'", _meant(str(place[-1]), known))
    if first["type"] == "too_short":
        return wrong(place, "must not be empty", f"write {place[-1]}: {{name: {{}}}}")
    if first["type"] == "missing":
        return wrong(place, "is missing", f"add {place[-1]}:")
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return wrong(place, message[:1].lower() + message[1:])


def _meant(written: str, known: Sequence[str]) -> str:
    from rapidfuzz import process  # noqa: PLC0415 - only an error needs it

    match = process.extractOne(written, known, score_cutoff=60)
    return f"did you mean '{match[0]}'?" if match else f"known are {', '.join(known)}"


def _dotted(place: _Place) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def _line(script: Json, place: _Place) -> int | None:
    # ruamel.yaml's round-trip mappings know where each key stood; the deepest known place is told.
    line: int | None = None
    here = script
    for part in place:
        known = getattr(here, "lc", None)
        try:
            line = (known.key(part) if isinstance(here, Mapping) else known.item(part))[0] + 1 if known else line
            here = here[part]
        except (KeyError, IndexError, TypeError):
            break
    return line


def _plain(value: Json) -> Json:
    # ruamel.yaml's round-trip scalars are subclasses, which strict validation would refuse.
    if isinstance(value, Mapping):
        return {(str(key) if isinstance(key, str) else key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    for kind in (bool, str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, datetime):
        return datetime.combine(value.date(), value.timetz())
    return value
