"""JSON Schema of the configuration, for editors."""

from __future__ import annotations

from driftwatch.config.settings import Settings
from driftwatch.domain import Json
from driftwatch.providers import PROVIDERS


def json_schema() -> dict[str, Json]:
    """Export the schema of one configuration file.

    It says what a single file may hold: `defaults:` supplies what a target leaves out, and in a folder the other
    files do, so no key of a target or of the root is required here. ``load`` decides.
    """
    schema = _plain(Settings.model_json_schema(by_alias=True))
    target = schema["$defs"]["TargetSettings"]
    target.pop("required")
    target["properties"]["provider"]["enum"] = sorted(PROVIDERS)
    target["properties"]["options"]["properties"] = _options()
    target["properties"]["tripwires"] = {
        "anyOf": [{"enum": ["page", "notice", "off"]}, {"$ref": "#/$defs/TripwireSettings"}],
        "description": target["properties"]["tripwires"]["description"],
    }
    schema.pop("required")
    schema["properties"]["defaults"] = {
        "$ref": "#/$defs/TargetSettings",
        "description": "Keys for every target; a target's own key replaces the default.",
    }
    schema["properties"]["embedder"] = {
        "anyOf": [{"enum": ["all-MiniLM-L6-v2", "off"]}, {"$ref": "#/$defs/EmbedderSettings"}],
        "description": schema["properties"]["embedder"]["description"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "driftwatch configuration",
        "description": "What driftwatch watches, how often, and whom it tells.",
    }


def _options() -> dict[str, Json]:
    """Every option of every provider, each described with whose it is; which go together, ``load`` knows."""
    types: dict[type, str] = {str: "string", dict: "object"}
    found: dict[str, Json] = {}
    for provider, entry in PROVIDERS.items():
        for name, option in entry.options.items():
            told = found.setdefault(name, {"description": "", "type": types.get(type(option.example), "number")})
            told["description"] = f"{told['description']} {provider}: {option.about}".strip()
    return dict(sorted(found.items()))


def _plain(value: Json) -> Json:
    """Leave out what editors do not need: null as a value, which ``load`` rejects, and titles made from names."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kept = {k: _plain(v) for k, v in value.items() if not (k == "title" and isinstance(v, str))}
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    kept.pop("discriminator", None)  # OpenAPI's word; editors choose by `const`
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = {**choices[0], **kept}
    elif choices:
        kept["anyOf"] = choices
    return kept
