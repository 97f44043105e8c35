"""The rules that span more than one key of a receiver. They read plain values, as those of ``rules`` do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import getaddresses

from driftwatch.config.problems import KeyPath, Problem
from driftwatch.config.rules import sections
from driftwatch.domain import Json

_NEEDED: Mapping[str, tuple[str, str, str]] = {
    "discord": ("Discord", "webhook_url", "DISCORD_WEBHOOK_URL"),
    "pagerduty": ("PagerDuty", "routing_key", "PAGERDUTY_ROUTING_KEY"),
    "teams": ("Teams", "webhook_url", "TEAMS_WEBHOOK_URL"),
    "webhook": ("the endpoint", "url", "ALERT_WEBHOOK_URL"),
}
"""Type of a receiver → whom it cannot reach without which secret, and a variable for it. Slack's are in ``rules``."""

_SECRETS: Mapping[str, str] = {
    "app_token": "app token",
    "authorization": "Authorization header",
    "bot_token": "bot token",
    "password": "password",
    "routing_key": "routing key",
    "signing_key": "signing key",
    "url": "URL",
    "webhook_url": "webhook URL",
}
"""What a receiver can name two places for, in words."""

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Source: prometheus.io/docs/concepts/data_model, Metric names and labels."""
_OWN_LABELS = frozenset(
    {"alertname", "severity", "target", "kind", "owner", "feature", "trouble", "incident", "part", "incident_key"}
)
"""What ``driftwatch.alert.receivers.alertmanager`` puts on every alert; a test compares the two."""
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ADDRESS = re.compile(r"[^@\s<>,;:\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def broken_receiver_rules(values: Mapping[str, Json]) -> list[Problem]:
    """Find every broken rule.

    Args:
        values: the merged configuration.
    """
    found: list[Problem] = []
    for path, receiver in sections(values, "receivers"):
        kind = receiver.get("type")
        found.extend(_places(path, receiver, kind))
        rule = _RULES.get(kind) if isinstance(kind, str) else None
        if rule is not None:
            found.extend(rule(path, receiver))
    return found


def _places(path: KeyPath, receiver: Mapping[str, Json], kind: Json) -> Iterator[Problem]:
    """Where secrets are: somewhere, where they must be, and in one place each."""
    if isinstance(kind, str) and kind in _NEEDED:
        whom, secret, variable = _NEEDED[kind]
        if not {f"{secret}_env", f"{secret}_file"} & set(receiver):
            yield Problem(path=path, problem=f"no way to reach {whom}", instead=f"write {secret}_env: {variable}")
    for secret, said in _SECRETS.items() if kind != "slack" else ():
        if f"{secret}_env" in receiver and f"{secret}_file" in receiver:
            instead = f"keep {secret}_env or {secret}_file"
            yield Problem(path=path, problem=f"the {said} has more than one place", instead=instead)


def _email(path: KeyPath, receiver: Mapping[str, Json]) -> Iterator[Problem]:
    has_password = "password_env" in receiver or "password_file" in receiver
    if "user" in receiver and not has_password:
        yield Problem(path=(*path, "user"), problem="has no password", instead="write password_env: SMTP_PASSWORD")
    if has_password and "user" not in receiver:
        yield Problem(path=path, problem="a password without its user", instead="write user: and the name to log in as")
    if has_password and receiver.get("security") == "none" and receiver.get("host") not in _LOOPBACK:
        yield Problem(
            path=(*path, "security"),
            problem="the password would cross the network in clear",
            instead="write security: starttls or security: tls",
        )
    written = receiver.get("to")
    places = [((*path, "from"), receiver.get("from"))]
    places += [((*path, "to", n), entry) for n, entry in enumerate(written if isinstance(written, list) else [])]
    for place, text in places:
        if isinstance(text, str) and not is_address(text):
            yield Problem(path=place, problem="not an e-mail address", instead="write one like oncall@example.com")


def _alertmanager(path: KeyPath, receiver: Mapping[str, Json]) -> Iterator[Problem]:
    labels = receiver.get("labels")
    for name in labels if isinstance(labels, dict) else ():
        place = (*path, "labels", name)
        if not _LABEL.fullmatch(name):
            yield Problem(
                path=place,
                problem="not a label name",
                instead="take letters, digits and '_', no digit first",
            )
        elif name in _OWN_LABELS:
            yield Problem(path=place, problem="driftwatch fills this label itself", instead="choose another name")


def _command(path: KeyPath, receiver: Mapping[str, Json]) -> Iterator[Problem]:
    words = receiver.get("command")
    first = words[0] if isinstance(words, list) and words else None
    if isinstance(first, str) and len(first.split()) > 1 and "/" not in first.split()[-1]:
        yield Problem(
            path=(*path, "command", 0),
            problem="a program and its arguments in one: no shell takes them apart",
            instead="write each as an entry of its own: command: [program, argument]",
        )


def _slack(path: KeyPath, receiver: Mapping[str, Json]) -> Iterator[Problem]:
    if "allowed_users" in receiver and not {"app_token_env", "app_token_file"} & set(receiver):
        yield Problem(
            path=(*path, "allowed_users"),
            problem="says who may use the buttons, and without an app token there are none",
            instead="write app_token_env: SLACK_APP_TOKEN, or remove it",
        )


def _webhook(path: KeyPath, receiver: Mapping[str, Json]) -> Iterator[Problem]:
    headers = receiver.get("headers")
    for name in headers if isinstance(headers, dict) else ():
        if name.lower().startswith("webhook-") or name.lower() in _OWN_HEADERS:
            yield Problem(
                path=(*path, "headers", name), problem="driftwatch fills this header itself", instead="remove it"
            )


_RULES: Mapping[str, Callable[[KeyPath, Mapping[str, Json]], Iterator[Problem]]] = {
    "alertmanager": _alertmanager,
    "command": _command,
    "email": _email,
    "slack": _slack,
    "webhook": _webhook,
}


def is_address(text: str) -> bool:
    """Whether a mail header can hold it as one address, with or without a name.

    >>> is_address("Team <oncall@example.com>"), is_address("oncall"), is_address("a@example.com, b@example.com")
    (True, False, False)
    """
    found = getaddresses([text])
    return text.isprintable() and len(found) == 1 and bool(_ADDRESS.fullmatch(found[0][1])) and found[0][1].isascii()
