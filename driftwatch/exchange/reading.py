"""From a file that anybody may have written to a document, or one sentence about what is wrong with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from driftwatch.domain import Json
from driftwatch.errors import UsageError
from driftwatch.exchange.document import FORMAT, Document

LARGEST_BYTES = 64 * 1024 * 1024
"""A baseline of a thousand runs and a hundred canaries is half of it."""

_REWORDED = {
    "Input should": "it must",
    "Field required": "it is missing",
    "Extra inputs are not permitted": "it is unknown",
}


class _Refused(ValueError):
    """What JSON allows and a baseline file does not."""


def read(path: Path) -> Document:
    """Read a baseline's file. What it says of itself is checked; whether it fits a target is ``importing.fit``'s.

    Raises:
        UsageError: it cannot be read, or is no baseline's file; one sentence that names the place.
    """
    raw = _bytes(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        _refuse(path, f"it is not UTF-8 text (byte {error.start})")
    content = _json(path, text)
    if not isinstance(content, dict) or "driftwatch_baseline" not in content:
        _refuse(path, "it does not begin as one does, with driftwatch_baseline")
    if content["driftwatch_baseline"] != FORMAT:
        _refuse(path, f"its format is not {FORMAT}, the only one that this driftwatch reads")
    try:
        document = Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"]
        for theirs, ours in _REWORDED.items():
            said = said.replace(theirs, ours)
        rest = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        _refuse(path, f"{_shown(place)}: {said}{rest}")
    _check(path, document)
    return document


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise UsageError(f"{path}: {said}; name a file that `driftwatch baseline --export` has written") from None
    if len(raw) > LARGEST_BYTES:
        _refuse(path, f"it is larger than {LARGEST_BYTES // 1024**2} MB")
    return raw


def _json(path: Path, text: str) -> Json:
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        # A lone half of a pair can be written in JSON, and nowhere be stored.
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        _refuse(path, "it holds half a character (a lone surrogate)")
    except json.JSONDecodeError as error:
        _refuse(path, f"it is not JSON, or was cut short: line {error.lineno}, column {error.colno}: {error.msg}")
    except _Refused as error:
        _refuse(path, str(error))
    except RecursionError:
        _refuse(path, "it is nested too deeply")
    except ValueError:
        _refuse(path, "it holds a number of too many digits")
    return content


def _check(path: Path, document: Document) -> None:
    """What the parts must say of each other."""
    known = document.suite.canaries
    named = [
        *(("anchors", anchor.canary) for anchor in document.anchors),
        *(("told", told.canary) for told in document.told),
        *(("accepted.scope", canary) for canary in document.accepted.scope),
        *(("private", canary) for canary in document.private),
        *(
            (f"calibration.{n}", canary)
            for n, run in enumerate(document.calibration)
            for found in run.scores.values()
            for canary in found.canaries
        ),
    ]
    for place, canary in named:
        if canary not in known:
            _refuse(path, f"{place} names {_shown(canary)}, which is not among its suite's canaries")
    for n, run in enumerate(document.calibration):
        for channel in run.scores:
            if channel not in document.scoring.channels:
                _refuse(path, f"calibration.{n} names the channel {_shown(channel)}, which is not among its own")
    if not document.anchors:
        _refuse(path, "it has no anchors")
    _once(path, "reply", ((a.canary, a.at, a.repeat) for a in document.anchors))
    _once(path, "calibration run", (run.at for run in document.calibration))
    _once(path, "line of told", (told.model_copy(update={"n": 1}) for told in document.told))
    if [run.at for run in document.calibration] != sorted(run.at for run in document.calibration):
        _refuse(path, "its calibration runs are not in order of their times")


def _once(path: Path, what: str, keys: Iterable[Hashable]) -> None:
    [(most, n)] = Counter(keys).most_common(1) or [(None, 0)]
    if n > 1:
        where = f": {_shown(' '.join(map(str, most)))}" if isinstance(most, tuple) else ""
        _refuse(path, f"the same {what} is in it {n} times{where}")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise _Refused(f"it says {_shown(name)} twice in one place")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"it holds {name}, which is no number")


def _shown(text: str) -> str:
    """A name from the file, short and without anything that acts on a terminal."""
    plain = "".join(c if c.isprintable() else "�" for c in text)
    return plain if len(plain) <= 120 else f"{plain[:120]}…"  # noqa: PLR2004 - a line's width


def _refuse(path: Path, why: str) -> NoReturn:
    raise UsageError(f"{path}: not a baseline that can be read: {why}; write one with `driftwatch baseline --export`")
