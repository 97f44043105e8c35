"""pydantic's validation errors → problems in a person's words, without values that may be secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from driftwatch.config.alerting import Alerts, Escalation, Heartbeat, Maintenance, Match, QuietHours, Route
from driftwatch.config.problems import KeyPath, Problem, nearest, suggest
from driftwatch.config.receivers import RECEIVERS
from driftwatch.config.settings import (
    AlarmBudget,
    BaselineSettings,
    EmbedderSettings,
    HttpSettings,
    LogSettings,
    Settings,
    Simulation,
    TargetSettings,
    TripwireSettings,
)
from driftwatch.config.spending import Budget, FleetBudget, Limits, Price
from driftwatch.domain import Json

SECTIONS: Mapping[KeyPath, type[BaseModel]] = {
    (): Settings,
    ("alarm_budget",): AlarmBudget,
    ("baseline",): BaselineSettings,
    ("budget",): FleetBudget,
    ("embedder",): EmbedderSettings,
    ("http",): HttpSettings,
    ("log",): LogSettings,
    ("alerts",): Alerts,
    ("alerts", "routes", "*"): Route,
    ("alerts", "quiet_hours", "*"): QuietHours,
    ("alerts", "escalation", "*"): Escalation,
    ("alerts", "maintenance", "*"): Maintenance,
    **{("alerts", key, "*", "match"): Match for key in ("routes", "escalation", "maintenance")},
    ("heartbeat",): Heartbeat,
    **{("receivers", "*", name): section for name, section in RECEIVERS.items()},
    ("simulation",): Simulation,
    ("targets", "*"): TargetSettings,
    ("targets", "*", "budget"): Budget,
    ("targets", "*", "limits"): Limits,
    ("targets", "*", "price"): Price,
    ("targets", "*", "tripwires"): TripwireSettings,
}
"""Which settings class reads which section; ``*`` is a name or a place in a list, and a receiver's type follows its
name."""

_WORDS = {
    "bool_type": "must be true or false",
    "date_from_datetime_parsing": "not a time",
    "datetime_from_date_parsing": "not a time",
    "datetime_object_invalid": "not a time",
    "datetime_parsing": "not a time",
    "datetime_type": "not a time",
    "dict_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "finite_number": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "mapping_type": "must be a mapping",
    "missing": "missing",
    "model_type": "must be a mapping",
    "path_type": "must be text",
    "string_pattern_mismatch": "must not be blank",
    "string_too_long": "too long",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "timezone_aware": "has no time zone",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}
"""pydantic's error types → what is wrong. Source: docs.pydantic.dev, Validation Errors, 2.14."""

_SHORTHANDS: Mapping[KeyPath, tuple[str, str]] = {
    ("tripwires",): ("unknown value", "write page, notice or off, or one of them per wire"),
}
"""Key of a target that takes one word instead of a mapping → what is wrong with a value that is neither."""


def problems_of(error: ValidationError, origins: Mapping[KeyPath, KeyPath]) -> list[Problem]:
    """Translate every error.

    Args:
        error: what validating the merged configuration raised.
        origins: inherited key → where it was written; the problem is told there, once.
    """
    return list(_translate(error.errors(include_url=False), origins))


def _translate(details: list[ErrorDetails], origins: Mapping[KeyPath, KeyPath]) -> Iterator[Problem]:
    for detail in details:
        if detail["type"] == "default_factory_not_called":
            continue  # follows from another error of the same section, which is told itself
        loc: KeyPath = tuple(part for part in detail["loc"] if part != "[key]")
        path = _without_tag(loc)
        if detail["type"].startswith("union_tag"):
            path = (*path, "type")
        told = origins.get(path[:3])
        problem, instead = _words(detail, loc)
        yield Problem(path=told + path[3:] if told else path, problem=problem, instead=instead)


def _words(detail: ErrorDetails, loc: KeyPath) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "driftwatch":
        return context["problem"], context["instead"]
    if kind == "extra_forbidden":
        return "unknown key", suggest(str(loc[-1]), _keys(loc[:-1]), "keys here")
    if kind in {"literal_error", "union_tag_invalid"}:
        known = re.findall(r"'([^']+)'", context.get("expected", context.get("expected_tags", "")))
        word = detail["input"].get("type") if kind == "union_tag_invalid" else detail["input"]
        return _unknown_word(word, known)
    if kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return "out of range", _range(kind, context)
    if kind == "union_tag_not_found":
        return "missing", "write type: slack or type: console"
    is_unquoted = kind == "string_type" and isinstance(detail["input"], int | float)
    instead = "put the value in quotes" if is_unquoted else _example(loc)
    return _SHORTHANDS.get(loc[2:], (_WORDS.get(kind, "not usable here"), instead))


def _unknown_word(word: Json, known: list[str]) -> tuple[str, str]:
    if isinstance(word, str) and nearest(word, known):
        return f"unknown value {word!r}", suggest(word, known, "values here")
    return "unknown value", f"write {' or '.join(known)}"


def _range(kind: str, context: Mapping[str, Json]) -> str:
    bound = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}[kind]
    words = {"gt": "a number above", "ge": "at least", "lt": "a number below", "le": "at most"}[bound]
    return f"write {words} {context[bound]:g}"


def _example(loc: KeyPath) -> str:
    """What the key looks like when it is right, from the examples of its field."""
    field = _fields(loc[:-1]).get(str(loc[-1]))
    if field is None or not field.examples:
        return "compare it with config/driftwatch.yaml"
    return f"write {loc[-1]}: {_yaml(field.examples[0])}"


def _yaml(value: Json) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value)


def _fields(loc: KeyPath) -> dict[str, FieldInfo]:
    """The fields of the section at ``loc`` by the key they have in the file."""
    named = loc[0] if loc and loc[0] in {"targets", "receivers"} else None
    section = SECTIONS.get(
        tuple(
            "*" if isinstance(part, int) or (place == 1 and named is not None) else part
            for place, part in enumerate(loc)
        )
    )
    return {field.alias or name: field for name, field in section.model_fields.items()} if section else {}


def _keys(loc: KeyPath) -> list[str]:
    return [*_fields(loc), *([] if loc else ["defaults"])]


def _without_tag(loc: KeyPath) -> KeyPath:
    """Drop the type pydantic puts after a receiver's name: it is not a key of the file."""
    return loc[:2] + loc[3:] if loc[:1] == ("receivers",) else loc
