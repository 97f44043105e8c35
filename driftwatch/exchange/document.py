"""What a baseline's file holds, and the one way to write it: the same baseline is the same bytes everywhere.

One JSON document in UTF-8. Every reply is a block of its own with its text as a list of lines, so that a comparison
of two files shows what a reviewer wants to see. Numbers are written as Python's shortest text that reads back as the
same float: a rounded score could tie with one it was above, and the watch would judge otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from driftwatch.domain import Json, Outcome

FORMAT: Literal[1] = 1
"""Of the file; another number is another format."""

LARGEST_COUNT = 2**31 - 1
"""Of replies in a run."""

LARGEST = 2**63 - 1
"""What an endpoint says of tokens is stored up to it. Source: https://sqlite.org/datatype3.html, section 2."""

MOST_TOLD = 100
"""Replies with the same metadata that are counted; a tripwire asks for four at most. Source: tripwires.ENOUGH."""

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _plain(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("driftwatch", "it must not hold control or invisible characters")
    return text


def _moment(at: datetime) -> datetime:
    if not _FIRST <= at < _LAST:
        raise PydanticCustomError("driftwatch", "it must be a time of this century or the next")
    return at.astimezone(UTC)


Word = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_plain)]
Sentence = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_plain)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")]
Moment = Annotated[AwareDatetime, AfterValidator(_moment)]
Share = Annotated[FiniteFloat, Field(ge=0.0, le=1.0)]
Seconds = Annotated[FiniteFloat, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Tokens = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Asked(_Part):
    """Who is asked."""

    name: Word
    provider: Word
    model: Word
    definition: Hash
    """``Target.definition_hash``: address, parameters, options and repeats too."""


class Suite(_Part):
    """What is asked."""

    hash: Hash
    canaries: dict[Word, Hash]


class Scoring(_Part):
    """How it is measured."""

    version: Count
    channels: list[Word]
    embedder: Word | None


class Accepted(_Part):
    """Who accepted it, when and why; ``scope`` names the canaries whose new behaviour it was, none: all."""

    author: Word
    at: Moment
    reason: Sentence
    scope: list[Word]


class Call(_Part):
    """One tool call of a reply."""

    name: str
    arguments: str
    id: str | None = None


class Token(_Part):
    """One token's log-probabilities, in nats."""

    token: str | None = None
    logprob: FiniteFloat | None = None
    top: list[tuple[str | None, FiniteFloat | None]] | None = None


class Anchor(_Part):
    """One accepted reply, with all that a run is measured by."""

    canary: Word
    at: Moment
    repeat: Count
    text: list[str]
    tool_calls: list[Call] = []
    finish_reason: str | None = None
    finish_detail: str | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    latency_s: Seconds
    ttft_s: Seconds | None = None
    gap_median_s: Seconds | None = None
    gap_max_s: Seconds | None = None
    served_model: str | None = None
    fingerprint: str | None = None
    upstream: str | None = None
    headers: dict[str, str] = {}
    """Those that announce an end."""
    logprobs: list[Token] | None = None


class Measured(_Part):
    """One channel's score of one calibration run; ``value`` is null where it could not be measured."""

    value: Share | None
    canaries: dict[Word, Share]


class CalibrationRun(_Part):
    """One calibration run, without its replies."""

    at: Moment
    ok: Count
    failed: Count
    scores: dict[Word, Measured]


class Metadata(_Part):
    """What replies of the baseline's runs tell of the endpoint, and how many tell it (100 stands for more)."""

    canary: Word
    n: Annotated[int, Field(ge=1, le=MOST_TOLD)]
    outcome: Outcome
    served_model: str | None = None
    fingerprint: str | None = None
    upstream: str | None = None
    input_tokens: Tokens | None = None
    deprecation: str | None = None


class Document(_Part):
    """A baseline's file."""

    driftwatch_baseline: Literal[1]
    series_key: Hash
    target: Asked
    suite: Suite
    scoring: Scoring
    accepted: Accepted
    anchors_wanted: Annotated[int, Field(ge=1, le=10_000)]
    calibration_wanted: Annotated[int, Field(ge=1, le=1_000_000)]
    private: list[Word] = []
    """Canaries that the suite marks private and whose replies are in here all the same."""
    anchors: list[Anchor]
    calibration: list[CalibrationRun]
    told: list[Metadata]


def dump(document: Document) -> str:
    """The file's text: the same document is the same text."""
    content = document.model_dump(mode="json", exclude_defaults=True)
    for anchor, model in zip(content["anchors"], document.anchors, strict=True):
        anchor["at"] = model.at.isoformat()
    for run, calibrated in zip(content["calibration"], document.calibration, strict=True):
        run["at"] = calibrated.at.isoformat()
    content["accepted"]["at"] = document.accepted.at.isoformat()
    return "".join(_written(content, 0)) + "\n"


_EXPANDED = {"suite", "canaries", "anchors", "text", "tool_calls", "calibration", "scores", "told"}
"""Keys whose parts stand on lines of their own; any other value is one line."""


def _written(value: Json, depth: int, *, key: str = "") -> Iterator[str]:
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, dict) and value and (depth == 0 or key in _EXPANDED):
        yield "{\n"
        for n, (name, item) in enumerate(value.items()):
            yield f"{',' + chr(10) if n else ''}{pad}{_text(name)}: "
            # A channel's canaries are one line: there is one for each run, and nobody reads them one by one.
            yield from [_text(item)] if key == "scores" else _written(item, depth + 1, key=name)
        yield f"\n{end}}}"
    elif isinstance(value, list) and value and key in _EXPANDED:
        yield "[\n"
        for n, item in enumerate(value):
            yield f"{',' + chr(10) if n else ''}{pad}"
            # Blocks of replies and runs; one line each of all else.
            block = key in {"anchors", "calibration"}
            yield from _written(item, depth + 1, key="suite") if block else [_text(item)]
        yield f"\n{end}]"
    else:
        yield _text(value)


def _text(value: Json) -> str:
    r"""One line of JSON in which nothing acts on a terminal or hides from a reviewer.

    >>> _text({"a": "caf\u00e9 \u202e"})
    '{"a": "café \\u202e"}'
    """
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return plain if plain.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in plain)
