"""Say what is wrong with the argument of a check, in words the author of a suite can act on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from driftwatch.canaries.document import did_you_mean
from driftwatch.domain import Json


class ArgumentError(ValueError):
    """A check's argument is not one. The loader turns it into a ConfigError with file and line.

    Args:
        problem: what is wrong.
        instead: what to write instead.
        path: where inside the argument, from its top.
    """

    def __init__(self, problem: str, *, instead: str | None = None, path: tuple[str | int, ...] = ()) -> None:
        self.problem, self.instead, self.path = problem, instead, path
        super().__init__(problem)


def describe(value: Json) -> str:
    """Name a JSON value for a message.

    >>> describe(42), describe("x"), describe([1])
    ('the number 42', "the text 'x'", 'a list')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {_shortened(value)!r}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def expect_text(value: Json, *, path: tuple[str | int, ...] = ()) -> str:
    """The value as text with something in it.

    Raises:
        ArgumentError: for anything else.
    """
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, str):
        raise ArgumentError("expected text, found none", instead="write what the reply is compared to", path=path)
    written = "true" if value is True else "false" if value is False else value
    scalar = isinstance(value, bool | int | float)
    instead = f'put it in quotes: "{written}"' if scalar else "write the text itself"
    raise ArgumentError(f"expected text, found {describe(value)}", instead=instead, path=path)


def expect_texts(value: Json, *, path: tuple[str | int, ...] = ()) -> tuple[str, ...]:
    """The value as one or more texts.

    Raises:
        ArgumentError: when it is empty or holds anything else.
    """
    if not isinstance(value, list):
        return (expect_text(value, path=path),)
    if not value:
        raise ArgumentError("an empty list asserts nothing", instead="list at least one text", path=path)
    return tuple(expect_text(item, path=(*path, i)) for i, item in enumerate(value))


def expect_keys(value: Json, *, allowed: Collection[str], required: Collection[str]) -> Mapping[str, Json]:
    """The value as a mapping of known keys.

    Raises:
        ArgumentError: when it is none, a key is unknown, or a required one is missing.
    """
    if not isinstance(value, dict):
        keys = ", ".join(sorted(allowed))
        raise ArgumentError(f"expected a mapping, found {describe(value)}", instead=f"write a mapping of {keys}")
    for key in value:
        if key not in allowed:
            raise ArgumentError(f"unknown key {key!r}", instead=did_you_mean(key, sorted(allowed)), path=(key,))
    for key in required:
        if key not in value:
            raise ArgumentError(f"missing key {key!r}", instead=f"add {key!r}")
    return value


def expect_bool(value: Json, *, path: tuple[str | int, ...] = ()) -> bool:
    """The value as true or false.

    Raises:
        ArgumentError: for anything else.
    """
    if not isinstance(value, bool):
        raise ArgumentError(f"expected true or false, found {describe(value)}", instead="write true", path=path)
    return value


def expect_true(value: Json) -> None:
    """Accept only ``true``, the argument of a check that has nothing to say beyond its name.

    Raises:
        ArgumentError: for anything else.
    """
    if value is not True:
        raise ArgumentError(f"expected true, found {describe(value)}", instead="write true, or leave the check out")


def _shortened(text: str, width: int = 40) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
