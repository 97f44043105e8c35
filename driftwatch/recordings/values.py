"""The values of one line: of the right type and range, or refused in a sentence that names the line."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from driftwatch.domain import Json, Message, Outcome
from driftwatch.errors import UsageError

LONGEST_NAME = 500
"""Characters of a prompt's, run's or outcome's name."""

_SHOWN = 60
_MILLISECONDS = 1e11
"""Seconds since 1970 that no recording has reached (the year 5138): such a number counts milliseconds."""


class Line:
    """The object of one line, asked for its values by name; every refusal names the line."""

    def __init__(self, file: str, number: int, text: str) -> None:
        self.file, self.number = file, number
        self.values = self._parsed(text)

    def wrong(self, problem: str, instead: str) -> UsageError:
        """Make the error of this line, to be raised."""
        return UsageError(f"{self.file}:{self.number}: {problem}; {instead}")

    def _parsed(self, text: str) -> dict[str, Json]:
        try:
            value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except _NotFiniteError as error:
            raise self.wrong(f"{error} is no JSON number", "write null, or leave the key out") from None
        except json.JSONDecodeError as error:
            problem = error.msg.lower().removesuffix(" at")
            raise self.wrong(
                f"is not JSON ({problem} at column {error.colno})",
                "write one whole JSON object per line",
            ) from None
        except ValueError:
            raise self.wrong("holds a number with thousands of digits", "write a shorter one") from None
        except RecursionError:
            raise self.wrong("is nested too deeply", "write one flat JSON object per line") from None
        if not isinstance(value, dict):
            kind = "a JSON list" if isinstance(value, list) else "no JSON object"
            raise self.wrong(f"is {kind}", 'write one object per line, e.g. {"prompt_id": "a", "output": "…"}')
        return value

    def either(self, *names: str) -> tuple[str, Json]:
        """The value under one of several names, and the name; (first name, None) when there is none."""
        given = [(name, self.values[name]) for name in names if self.values.get(name) is not None]
        if any(value != given[0][1] for _, value in given[1:]):
            raise self.wrong(f"{given[0][0]} and {given[1][0]} differ", "keep one of the two")
        return given[0] if given else (names[0], None)

    def text(self, *names: str) -> str | None:
        """Text under one of the names, None when absent."""
        name, value = self.either(*names)
        if value is not None and not isinstance(value, str):
            raise self.wrong(f"{name} is {shown(value)}", "write a text in quotes")
        return None if value is None else _whole(value)

    def label(self, *names: str) -> str | None:
        """A text or number that names something."""
        name, value = self.either(*names)
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise self.wrong(f"{name} is {shown(value)}", "write a text or a number")
        label = None if value is None else _whole(str(value)).strip()
        if label is not None and not 0 < len(label) <= LONGEST_NAME:
            raise self.wrong(
                f"{name} is {'longer than ' + str(LONGEST_NAME) + ' characters' if label else 'empty'}",
                "write a short name",
            )
        return label

    def whole(self, *names: str) -> int | None:
        """Whole number, 0 or more, None when absent."""
        name, value = self.either(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
            raise self.wrong(f"{name} is {shown(value)}", "write a whole number, 0 or more")
        return int(value)

    def number_of(self, name: str) -> float | None:
        """Number, 0 or more and finite, None when absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise self.wrong(f"{name} is {shown(value)}", "write a number, 0 or more")
        try:
            return float(value)
        except OverflowError:
            raise self.wrong(f"{name} is far too large", "write a number, 0 or more") from None

    def time(self) -> datetime | None:
        """When the request was sent, in UTC; None when absent. A reader without need of times may go on without."""
        name, value = self.either("ts", "at")
        if value is None:
            return None
        instead = "write it like 2026-03-16T09:00:00Z, or as seconds since 1970"
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.wrong(f"{name} is {shown(value)}, which is no time", instead)
        if not isinstance(value, str):
            if value >= _MILLISECONDS:
                raise self.wrong(f"{name} is {shown(value)}, which looks like milliseconds", "write seconds")
            try:
                return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
            except OverflowError:
                raise self.wrong(f"{name} is {shown(value)}, which is no time", instead) from None
        try:
            parsed = datetime.fromisoformat(value.strip())
            if parsed.tzinfo is None:
                raise self.wrong(f"{name} is {shown(value)}, without a time zone", "add Z or an offset like +01:00")
            return parsed.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.wrong(f"{name} is {shown(value)}, which is no time", instead) from None

    def messages(self) -> tuple[Message, ...] | None:
        """The prompt, None when the line does not tell it."""
        value = self.values.get("prompt")
        if value is None:
            return None
        if isinstance(value, str):
            return (Message(role="user", content=_whole(value)),)
        if isinstance(value, list) and value:
            parts = [(m.get("role"), m.get("content")) if isinstance(m, dict) else (None, None) for m in value]
            if all(isinstance(role, str) and isinstance(content, str) for role, content in parts):
                return tuple(Message(role=_whole(str(role)), content=_whole(str(content))) for role, content in parts)
        raise self.wrong(f"prompt is {shown(value)}", 'write a text, or a list of {"role": "user", "content": "…"}')

    def failure(self) -> tuple[Outcome, str | None]:
        """How the request ended, and why."""
        error, named = self.values.get("error"), self.label("outcome")
        told = _sentence(error)
        if named is None:
            return (Outcome.ERROR_BODY, told) if told else (Outcome.OK, None)
        try:
            outcome = Outcome(named.lower())
        except ValueError:
            raise self.wrong(f"outcome is {shown(named)}", f"write one of: {', '.join(Outcome)}") from None
        if outcome is Outcome.OK and told:
            raise self.wrong("outcome is ok and there is an error", "leave one of the two out")
        return outcome, None if outcome is Outcome.OK else told or outcome.value.replace("_", " ")


class _NotFiniteError(Exception):
    """A number that JSON does not have; not a ValueError, which the parser's own errors are."""


def _no_constant(name: str) -> NoReturn:
    raise _NotFiniteError(name)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _NotFiniteError(digits[:_SHOWN])
    return value


def shown(value: Json) -> str:
    """A value as the file has it, shortened."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _whole(text: str) -> str:
    """Half a surrogate pair, as replies cut between two bytes leave, is no text that can be hashed or printed."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _sentence(error: Json) -> str | None:
    """What an ``error`` says; None for null, false and nothing."""
    told: Json = (error.get("message") or error) if isinstance(error, dict) else error
    if not told:
        return None
    return _whole(told) if isinstance(told, str) else _whole(json.dumps(told, ensure_ascii=False))
