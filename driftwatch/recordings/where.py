"""Which lines of a file are read: those whose keys have the values asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftwatch.domain import Json
from driftwatch.errors import UsageError

_NAMED = 6
"""Values or keys that an error names."""

_LONGEST = 40
"""Characters of a value that an error names."""

_KEPT = 100
"""Values remembered per key; an error counts no further."""


def parse_where(given: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE`` as a command line gives it, each key once; the value may hold further equals signs.

    Raises:
        UsageError: one of them has no ``=`` or no key, or a key is given twice.

    >>> parse_where(["model=gpt-4", "task=gsm"])
    {'model': 'gpt-4', 'task': 'gsm'}
    """
    asked: dict[str, str] = {}
    for one in given:
        key, equals, value = one.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"--where {one!r} is no filter; write KEY=VALUE, e.g. model=gpt-4")
        if key in asked:
            raise UsageError(f"--where names {key} twice; a line has one value of it, so write each key once")
        asked[key] = value.strip()
    return asked


class Filter:
    """Says of a row whether it is asked for, and remembers what there was for the case that nothing is."""

    def __init__(self, where: Mapping[str, str]) -> None:
        self.where = where
        self.keys: dict[str, None] = {}
        self.values: dict[str, dict[str, None]] = {key: {} for key in where}
        self.matched: set[str] = set()
        """The keys for which some row has the value asked for."""
        self.n_rows = 0

    def takes(self, row: Mapping[str, Json]) -> bool:
        """Whether every key asked for has its value; numbers compare as numbers, null and lists are no value."""
        self.n_rows += 1
        if not self.where:
            return True
        if len(self.keys) < _KEPT:
            self.keys.update(dict.fromkeys(row))
        taken = True
        for key, wanted in self.where.items():
            value = row.get(key)
            if (text := _text(value)) is not None and len(self.values[key]) < _KEPT:
                self.values[key][text] = None
            if _is(value, wanted):
                self.matched.add(key)
            else:
                taken = False
        return taken

    def nothing(self, file: str) -> UsageError:
        """Make the error of a file in which no row is taken, to be raised."""
        for key, wanted in self.where.items():
            if not self.values[key]:
                return UsageError(f"{file}: no line has a value of {key}; --where can use {_listed(self.keys)}")
            if key not in self.matched:
                return UsageError(f"{file}: no line has {key}={wanted}; there are {_listed(self.values[key])}")
        together = " and ".join(f"{key}={wanted}" for key, wanted in self.where.items())
        return UsageError(f"{file}: no line has {together} together; leave one of them out")


def _text(value: Json) -> str | None:
    if value is None or isinstance(value, list | dict):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is(value: Json, wanted: str) -> bool:
    text = _text(value)
    if text is None:
        return False
    if text.strip() == wanted:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return value == float(wanted)
    except ValueError:
        return False


def _listed(names: Mapping[str, None]) -> str:
    shown = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in list(names)[:_NAMED]]
    clean = ["".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name) for name in shown]
    return ", ".join(clean) + (" …" if len(names) > _NAMED else "")
