"""The shape of a suite file, as pydantic models, and its violations in words."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from driftwatch.canaries.argument import describe
from driftwatch.canaries.document import Document, Place, did_you_mean
from driftwatch.domain import Json
from driftwatch.errors import ConfigError

Role = Literal["system", "developer", "user", "assistant", "tool"]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", max_length=64)]
Text = Annotated[str, Field(pattern=r"\S")]
COUNTS = {"repeats": (1, 20), "anchors": (2, 1000)}
"""Key → its range: that of the config's own ``repeats`` and ``anchors``."""

Repeats = Annotated[int, Field(ge=COUNTS["repeats"][0], le=COUNTS["repeats"][1])]
Anchors = Annotated[int, Field(ge=COUNTS["anchors"][0], le=COUNTS["anchors"][1])]


class Strict(BaseModel):
    """What every part of the file has in common: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ToolCallEntry(Strict):
    """A tool call of an earlier assistant message; ``arguments`` as a mapping or as the JSON text itself."""

    id: Text
    name: Text
    arguments: Json = Field(default_factory=dict)


class MessageEntry(Strict):
    """One message of a conversation of several turns."""

    role: Role
    content: str = ""
    tool_calls: list[ToolCallEntry] = Field(default_factory=list)
    tool_call_id: Text | None = None


class DefaultsEntry(Strict):
    """What every canary of the suite starts from."""

    parameters: dict[str, Json] = Field(default_factory=dict)
    repeats: Repeats | None = None
    anchors: Anchors | None = None


class CanaryEntry(Strict):
    """One canary: either ``prompt`` (one user message) or ``messages``, a reason, and checks."""

    id: Slug
    reason: Text
    prompt: Text | None = None
    messages: list[MessageEntry] | None = None
    system: Text | None = None
    tools: list[dict[str, Json]] = Field(default_factory=list)
    tool_choice: Json = None
    response_format: dict[str, Json] | None = None
    parameters: dict[str, Json] = Field(default_factory=dict)
    repeats: Repeats | None = None
    """How often one run asks it, where that is not the target's ``repeats``."""
    anchors: Anchors | None = None
    """Accepted completions it needs, where that is not the baseline's ``anchors``."""
    private: bool | None = None
    """Whether its texts stay in the team, where that is not what the suite says."""
    checks: list[dict[str, Json]] = Field(default_factory=list)


class SuiteEntry(Strict):
    """The whole file."""

    suite: Slug
    description: str = ""
    private: bool = False
    """Whether the texts of all its canaries stay in the team."""
    defaults: DefaultsEntry = DefaultsEntry()
    canaries: Annotated[list[CanaryEntry], Field(min_length=1)]


def read_suite(document: Document) -> SuiteEntry:
    """The document as a suite file.

    Raises:
        ConfigError: for the violation that stands first in the file; a missing key last, since a misspelt one is both
            unknown and missing.
    """
    try:
        return SuiteEntry.model_validate(document.value)
    except ValidationError as error:
        violations = error.errors(include_url=False)
    first = min(violations, key=lambda v: (v["type"] == "missing", document.line(_path(v, document))))
    raise _in_words(first, document)


_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_MISSING = {
    "suite": "name the suite, 'suite: core'",
    "canaries": "list at least one canary",
    "id": "give the canary a short name, 'id: capital-france'",
    "reason": "say in one sentence why a drift would show here",
    "role": "write one of " + ", ".join(repr(role) for role in get_args(Role)),
    "name": "name the tool",
}
_KNOWN: dict[str, type[Strict]] = {
    "": SuiteEntry,
    "defaults": DefaultsEntry,
    "canaries": CanaryEntry,
    "messages": MessageEntry,
    "tool_calls": ToolCallEntry,
}


def _path(violation: ErrorDetails, document: Document) -> Place:
    """Map pydantic's location to the file, without the names of union branches, which are not in the file."""
    path: Place = ()
    for part in violation["loc"]:
        if (*path, part) in document.lines or violation["type"] in ("missing", "extra_forbidden"):
            path = (*path, part)
    return path


def _in_words(violation: ErrorDetails, document: Document) -> ConfigError:
    path = _path(violation, document)
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    found: Any = violation["input"]
    match violation["type"]:
        case "missing":
            problem, instead = f"missing key {name!r}", _MISSING.get(name, f"add {name!r}")
            return document.error(problem, path[:-1], instead=instead)
        case "extra_forbidden":
            around = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "")
            problem, instead = f"unknown key {name!r}", did_you_mean(name, list(_KNOWN[around].model_fields))
        case "literal_error":
            problem = f"unknown {name} {found!r}"
            instead = did_you_mean(found, get_args(Role)) if isinstance(found, str) else _MISSING["role"]
        case "string_pattern_mismatch" | "string_too_long" if name in ("id", "suite"):
            problem = f"{found!r} is not a name"
            instead = "write up to 64 lower-case letters, digits and single hyphens, such as 'capital-france'"
        case "string_pattern_mismatch":
            problem, instead = "expected text, found none", "write some text"
        case "too_short":
            problem, instead = "the list is empty", "list at least one canary"
        case "string_type" if isinstance(found, bool | int | float):
            written = str(found).lower() if isinstance(found, bool) else str(found)
            problem, instead = f"expected text, found {describe(found)}", f'put it in quotes: "{written}"'
        case "dict_type" if "checks" in path:
            problem, instead = f"expected a check, found {describe(found)}", "write '- contains: Paris'"
        case kind:
            expected = _expected(kind, name)
            problem, instead = f"expected {expected}, found {describe(found)}", f"write {expected}"
    return document.error(problem, path, instead=instead)


def _expected(kind: str, name: str) -> str:
    if name in COUNTS:
        return "a whole number from {} to {}".format(*COUNTS[name])
    return _EXPECTED.get(kind, "something else")
