"""Secrets held in the configuration: reported without being repeated, and taken out before anything reads on."""

from __future__ import annotations

import dataclasses
import re

from driftwatch.config.credentials import has_secret_shape, names_secret, names_variable
from driftwatch.config.problems import KeyPath, Problem
from driftwatch.config.reading import Document
from driftwatch.domain import Json

_PLACEHOLDER = "REMOVED"
"""Stands where a variable's name belongs, so that one leaked secret is told once and not also as a missing key."""

_OF_A_RECEIVER = 3
"""Length of the path of a key of a receiver: ``receivers``, its name, the key."""

_FILLED_IN = re.compile(r"\{\{\s*[\w.]+\s*\}\}")


def without_secrets(document: Document) -> Document:
    """Take every secret out of the values and report each one.

    A credential is recognised by its key (``api_key``, ``bot_token`` …), by its shape (``sk-…``, ``xoxb-…`` …),
    or because it stands where the name of an environment variable belongs and cannot be one.
    """
    problems: list[Problem] = []
    values = _mapping(document.values, (), problems)
    return dataclasses.replace(document, values=values, problems=(*document.problems, *problems))


def _mapping(values: dict[str, Json], path: KeyPath, problems: list[Problem]) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for key, value in values.items():
        here = (*path, key)
        if not _is_leak(here, value):
            kept[key] = _value(value, here, problems)
            continue
        env_key, example = _right_key(here, values.get("type"))
        instead = f"name the environment variable: {env_key}: {example}"
        if _is_option(here):
            instead = "send it as a header, whose value a variable holds: headers: {X-Header: NAME_OF_A_VARIABLE}"
        problems.append(Problem(path=here, problem="a secret does not belong in this file", instead=instead))
        if _is_option(here):
            kept.setdefault(key, _PLACEHOLDER)
        elif _is_header(here):
            kept[key] = _PLACEHOLDER
        elif (env_key not in values or env_key == key) and not has_secret_shape(key):
            kept[env_key] = _PLACEHOLDER
    return kept


def _value(value: Json, path: KeyPath, problems: list[Problem]) -> Json:
    if isinstance(value, dict):
        return _mapping(value, path, problems)
    if isinstance(value, list):
        entries = [(position, entry, (*path, position)) for position, entry in enumerate(value)]
        leaks = [here for _, entry, here in entries if isinstance(entry, str) and has_secret_shape(entry)]
        instead = "name an environment variable where a secret is needed: api_key_env: OPENAI_API_KEY"
        problems += [
            Problem(path=here, problem="a secret does not belong in this file", instead=instead) for here in leaks
        ]
        return [_value(entry, here, problems) for _, entry, here in entries if here not in leaks]
    return value


def _is_leak(path: KeyPath, value: Json) -> bool:
    key = str(path[-1])
    if isinstance(value, dict | list) or (_is_option(path) and _is_filled_in(value)):
        return False
    if has_secret_shape(key) or (isinstance(value, str) and has_secret_shape(value)):
        return True
    if _is_header(path) or key.endswith("_env"):
        return isinstance(value, str) and not names_variable(value)
    if path[0] == "receivers" and len(path) == _OF_A_RECEIVER and key in _RECEIVERS_SECRETS:
        return True
    return names_secret(key)


def _is_header(path: KeyPath) -> bool:
    """Whether a path is an entry of a target's ``headers``, whose keys are header names and may say "token"."""
    return len(path) > 1 and path[-2] == "headers" and not {"parameters", "options"} & set(path)


def _is_option(path: KeyPath) -> bool:
    """Whether a path lies within a target's ``options``, whose keys are the provider's own."""
    return "options" in path[1:3] and path[0] in {"targets", "defaults"} and path[-1] != "options"


def _is_filled_in(value: Json) -> bool:
    """Whether a request template's value is only a placeholder, such as ``{{prompt}}``: its key may say "token"."""
    return isinstance(value, str) and _FILLED_IN.fullmatch(value) is not None


def _right_key(path: KeyPath, kind: Json) -> tuple[str, str]:
    """The key to write instead and a variable for it; ``kind`` is what stands beside it as ``type``."""
    key = str(path[-1])
    if key.startswith("proxy"):
        return "proxy_env", "WATCH_PROXY"
    if _is_header(path):
        return (key if not has_secret_shape(key) else "X-Header"), "NAME_OF_A_VARIABLE"
    if path[0] == "heartbeat":
        return "url_env", "HEARTBEAT_URL"
    if path[0] != "receivers":
        return "api_key_env", "OPENAI_API_KEY"
    if isinstance(kind, str) and kind in _BY_TYPE:
        named = [advice for advice in _BY_TYPE[kind] if key.lower().removesuffix("_env") in advice[0]]
        return (named or _BY_TYPE[kind])[0]
    return next((advice for word, advice in _RECEIVERS_KEYS.items() if word in key.lower()), _RECEIVERS_KEYS["webhook"])


_BY_TYPE = {
    "alertmanager": [("authorization_env", "ALERTMANAGER_AUTHORIZATION")],
    "discord": [("webhook_url_env", "DISCORD_WEBHOOK_URL")],
    "pagerduty": [("routing_key_env", "PAGERDUTY_ROUTING_KEY")],
    "teams": [("webhook_url_env", "TEAMS_WEBHOOK_URL")],
    "webhook": [("url_env", "ALERT_WEBHOOK_URL"), ("signing_key_env", "ALERT_WEBHOOK_KEY")],
}
"""Type of a receiver → the keys that its secrets are named by, and variables for them."""

_RECEIVERS_KEYS = {
    "app": ("app_token_env", "SLACK_APP_TOKEN"),
    "token": ("bot_token_env", "SLACK_BOT_TOKEN"),
    "password": ("password_env", "SMTP_PASSWORD"),
    "webhook": ("webhook_url_env", "SLACK_WEBHOOK_URL"),
}
"""Part of the key of any other receiver → the key to write instead, and a variable for it."""

_RECEIVERS_SECRETS = frozenset(
    {
        "authorization",
        "integration_key",
        "routing_key",
        "signing_key",
        "signing_secret",
        "url",
        "webhook",
        "webhook_url",
    }
)
"""Keys of a receiver that would hold a secret and whose names do not say so elsewhere."""
