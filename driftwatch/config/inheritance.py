"""What a target does not say itself: the `defaults:` section, then what its provider implies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from driftwatch.config.fields import NAME
from driftwatch.config.problems import KeyPath, Problem
from driftwatch.config.reading import Document
from driftwatch.domain import Json
from driftwatch.providers import PROVIDERS

IMPLIED: Mapping[str, Mapping[str, str]] = {
    name: {
        key: value for key, value in (("base_url", entry.base_url), ("api_key_env", entry.key_env)) if value is not None
    }
    for name, entry in PROVIDERS.items()
}
"""Provider → keys it brings along."""

ALTERNATIVES = (frozenset({"api_key_env", "api_key_file"}),)
"""Keys of which one at most is given: naming one keeps the others from being inherited."""


def inherit(document: Document) -> tuple[Document, dict[KeyPath, KeyPath]]:
    """Fill every target from `defaults:` and remove that section.

    A key of a target replaces the default as a whole; mappings such as ``parameters`` are not mixed.

    Returns:
        The document, and for each inherited key where it was written: ``targets.x.key → defaults.key``.
    """
    values = dict(document.values)
    defaults, targets = values.pop("defaults", {}), values.get("targets")
    if not isinstance(defaults, dict):
        problem = Problem(path=("defaults",), problem="must be a mapping", instead="write defaults: {interval: 1h}")
        return dataclasses.replace(document, values=values, problems=(*document.problems, problem)), {}
    if not isinstance(targets, dict):
        return dataclasses.replace(document, values=values), {}
    origins: dict[KeyPath, KeyPath] = {}
    filled: dict[str, Json] = {}
    for name, target in targets.items():
        if not isinstance(target, dict):
            filled[name] = target
            continue
        inherited = {key: value for key, value in defaults.items() if not _is_given(key, target)}
        if isinstance(controls := inherited.get("controls"), dict):
            # What is a control for every target is one for every other target.
            inherited["controls"] = {control: role for control, role in controls.items() if control != name}
        origins |= {("targets", name, key): ("defaults", key) for key in inherited}
        filled[name] = _implied({**inherited, **target}, values.get("receivers"))
    values["targets"] = filled
    written = {path: origin for path, origin in origins.items() if origin in document.marks}
    marks = document.marks | {path: document.marks[origin] for path, origin in written.items()}
    return dataclasses.replace(document, values=values, marks=marks), origins


def _is_given(key: str, target: Mapping[str, Json]) -> bool:
    return key in target or any(key in group and group & target.keys() for group in ALTERNATIVES)


def _implied(target: dict[str, Json], receivers: Json) -> dict[str, Json]:
    """Nobody being told by omission is the failure to avoid: a target without receivers tells all of them."""
    if isinstance(receivers, dict) and "receivers" not in target:
        target["receivers"] = [name for name in receivers if NAME.fullmatch(name)]
    provider = target.get("provider")
    implied = IMPLIED.get(provider, {}) if isinstance(provider, str) else {}
    if _asks_without_key(target):
        implied = {key: value for key, value in implied.items() if key != "api_key_env"}
    return target | {key: value for key, value in implied.items() if not _is_given(key, target)}


def _asks_without_key(target: Mapping[str, Json]) -> bool:
    """Whether the options say that an identity takes the key's place."""
    options = target.get("options")
    return isinstance(options, dict) and options.get("auth", "api_key") != "api_key"
