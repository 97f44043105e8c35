"""Column types that no text a model can utter, and no NaN, can break."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from sqlalchemy import Dialect, Text, types

from driftwatch.domain import Json


def storable(text: str) -> str:
    r"""Make any Python string one that UTF-8 can hold: lone surrogates become U+FFFD, pairs become their character.

    A reply's JSON may hold ``"\ud83d"`` alone, which Python reads without complaint and SQLite refuses.

    >>> storable("caf\u00e9 \ud83d\ude00 \ud83d!") == "caf\u00e9 \U0001f600 \ufffd!"
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def without_nan(value: Json) -> Json:
    """The same JSON value with null in place of NaN and the infinities, which JSON does not have.

    >>> without_nan({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value


class Words(types.TypeDecorator[str]):
    """TEXT that takes every Python string; NUL characters are kept."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Called by SQLAlchemy on the way in."""
        return None if value is None else storable(value)


class JsonText(types.TypeDecorator[Json]):
    """A JSON value as TEXT; None is NULL, NaN and the infinities become null."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Called by SQLAlchemy on the way in."""
        if value is None:
            return None
        return storable(json.dumps(without_nan(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:  # noqa: ARG002 - SQLAlchemy's signature
        """Called by SQLAlchemy on the way out."""
        return None if value is None else json.loads(value)
