"""Who can be told of incidents: one section for each kind of receiver.

A key that ends with ``_env`` or ``_file`` names where a secret is; the notifier in ``driftwatch.alert`` reads it as
``connection.secret("NAME")`` and every other key as ``connection.options["NAME"]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from driftwatch.config.fields import EnvName, FilePath, HeaderName, Text, Timeout, Url, fail
from driftwatch.config.section import Section

_LIKE_A_MEMBER = "write the member ID from the profile's menu, e.g. U0123ABC456"
_MEMBER = re.compile(r"[UW][A-Z0-9]{7,19}")
"""Source: docs.slack.dev/tools/node-slack-sdk/reference/types/interfaces/CallUserSlack (U1234ABCD), 2026-11. Those of
Enterprise organisations begin with W."""
_MENTION = re.compile(r"<@([A-Z0-9]+)(\|[^>]*)?>")
_GROUP = re.compile(r"S[A-Z0-9]{7,19}")
_MISWRITTEN = re.compile(r"[UW][0-9][A-Z0-9]{6,18}")
"""Where another way of writing is taken for an ID: a name in capital letters would pass for one else."""


def _member(value: str) -> str:
    """A Slack user by ID: a name can be taken by whoever wants it, an ID cannot."""
    if not _MEMBER.fullmatch(value):
        mention = _MENTION.fullmatch(value)
        likely = mention[1] if mention else value.strip().upper()
        if _MISWRITTEN.fullmatch(likely):
            fail("not a member ID of Slack", f"did you mean '{likely}'?")
        if value.startswith("@"):
            fail("a name, which people can change, not a member ID of Slack", _LIKE_A_MEMBER)
        if _GROUP.fullmatch(value):
            fail("a user group, not a member ID of Slack", "write the ID of each of its members")
        fail("not a member ID of Slack", _LIKE_A_MEMBER)
    return value


def _members(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        fail("allows nobody", "write who may act, e.g. [U0123ABC456], or remove it to let all who see the buttons act")
    if len(set(value)) < len(value):
        fail("names the same person twice", "keep one of the two")
    return value


_Member = Annotated[str, AfterValidator(_member), WithJsonSchema({"type": "string", "pattern": f"^{_MEMBER.pattern}$"})]

SlackUsers = Annotated[tuple[_Member, ...], AfterValidator(_members)]
"""People in Slack, by their IDs."""


class _Receiver(Section):
    send_on_resolved: bool = Field(default=True, examples=[True])
    """Whether this receiver is told of the end of an incident too."""
    timeout_s: Timeout = Field(default=10.0, alias="timeout", examples=["10s"])
    """Longest silence of the other side. Default 10s."""


class SlackReceiver(_Receiver):
    """A Slack channel, reached by a bot or by an incoming webhook; with both, the webhook stands in for the bot."""

    type: Literal["slack"] = Field(examples=["slack"])
    """`slack`."""
    webhook_url_env: EnvName | None = Field(default=None, examples=["SLACK_WEBHOOK_URL"])
    """Environment variable that holds the URL of an incoming webhook."""
    webhook_url_file: FilePath | None = Field(default=None, examples=["/run/secrets/slack-webhook"])
    """File that holds the URL of an incoming webhook."""
    bot_token_env: EnvName | None = Field(default=None, examples=["SLACK_BOT_TOKEN"])
    """Environment variable that holds a bot token: one thread for each incident, its first message kept up to date."""
    bot_token_file: FilePath | None = Field(default=None, examples=["/run/secrets/slack-bot"])
    """File that holds a bot token."""
    channel: Text | None = Field(default=None, examples=["C0123456789"])
    """Channel ID or name the bot posts to; a webhook brings its own."""
    app_token_env: EnvName | None = Field(default=None, examples=["SLACK_APP_TOKEN"])
    """Environment variable that holds an app-level token: buttons in the message, answered through Socket Mode."""
    app_token_file: FilePath | None = Field(default=None, examples=["/run/secrets/slack-app"])
    """File that holds an app-level token."""
    allowed_users: SlackUsers | None = Field(default=None, examples=[["U0123ABC456"]])
    """Member IDs of those who may acknowledge, silence and accept with the buttons. Default: all who see them."""
    base_url: Url | None = Field(default=None, examples=["https://slack.com/api"])
    """Where Slack's API begins, when it is reached through a proxy."""


class PagerDutyReceiver(_Receiver):
    """A PagerDuty service, through Events API v2."""

    type: Literal["pagerduty"] = Field(examples=["pagerduty"])
    """`pagerduty`."""
    routing_key_env: EnvName | None = Field(default=None, examples=["PAGERDUTY_ROUTING_KEY"])
    """Environment variable that holds the integration (routing) key."""
    routing_key_file: FilePath | None = Field(default=None, examples=["/run/secrets/pagerduty"])
    """File that holds the integration (routing) key."""
    base_url: Url | None = Field(default=None, examples=["https://events.eu.pagerduty.com"])
    """Where the events API begins. Default https://events.pagerduty.com."""


class AlertmanagerReceiver(_Receiver):
    """Prometheus' Alertmanager, through its API v2; it routes further."""

    type: Literal["alertmanager"] = Field(examples=["alertmanager"])
    """`alertmanager`."""
    base_url: Url = Field(examples=["http://127.0.0.1:9093"])
    """Where Alertmanager is reached."""
    labels: Mapping[str, Text] = Field(default_factory=dict, examples=[{"env": "production"}])
    """Labels that every alert carries besides its own."""
    authorization_env: EnvName | None = Field(default=None, examples=["ALERTMANAGER_AUTHORIZATION"])
    """Environment variable that holds the whole Authorization header, e.g. `Bearer …`."""
    authorization_file: FilePath | None = Field(default=None, examples=["/run/secrets/alertmanager"])
    """File that holds the whole Authorization header."""


class TeamsReceiver(_Receiver):
    """A Microsoft Teams channel, through a Workflows webhook."""

    type: Literal["teams"] = Field(examples=["teams"])
    """`teams`."""
    webhook_url_env: EnvName | None = Field(default=None, examples=["TEAMS_WEBHOOK_URL"])
    """Environment variable that holds the workflow's URL."""
    webhook_url_file: FilePath | None = Field(default=None, examples=["/run/secrets/teams"])
    """File that holds the workflow's URL."""


class DiscordReceiver(_Receiver):
    """A Discord channel, through its webhook."""

    type: Literal["discord"] = Field(examples=["discord"])
    """`discord`."""
    webhook_url_env: EnvName | None = Field(default=None, examples=["DISCORD_WEBHOOK_URL"])
    """Environment variable that holds the webhook's URL."""
    webhook_url_file: FilePath | None = Field(default=None, examples=["/run/secrets/discord"])
    """File that holds the webhook's URL."""


class WebhookReceiver(_Receiver):
    """Any HTTP endpoint: a JSON document, signed as Standard Webhooks describes."""

    type: Literal["webhook"] = Field(examples=["webhook"])
    """`webhook`."""
    url_env: EnvName | None = Field(default=None, examples=["ALERT_WEBHOOK_URL"])
    """Environment variable that holds the URL."""
    url_file: FilePath | None = Field(default=None, examples=["/run/secrets/webhook-url"])
    """File that holds the URL."""
    signing_key_env: EnvName | None = Field(default=None, examples=["ALERT_WEBHOOK_KEY"])
    """Environment variable that holds the key to sign with, `whsec_` and base64. Without one nothing is signed."""
    signing_key_file: FilePath | None = Field(default=None, examples=["/run/secrets/webhook-key"])
    """File that holds the key to sign with."""
    headers: Mapping[HeaderName, EnvName] = Field(default_factory=dict, examples=[{"X-Token": "ALERT_TOKEN"}])
    """Extra request headers: header name → environment variable that holds its value."""


class EmailReceiver(_Receiver):
    """E-mail through an SMTP server, as text and HTML; one thread for each incident."""

    type: Literal["email"] = Field(examples=["email"])
    """`email`."""
    host: Text = Field(examples=["smtp.example.com"])
    """The SMTP server."""
    port: int = Field(default=587, ge=1, le=65_535, examples=[587])
    """Its port. Default 587."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is protected: `starttls` (default), `tls` from the first byte, or `none`."""
    sender: Text = Field(alias="from", examples=["driftwatch <driftwatch@example.com>"])
    """Address that messages come from."""
    to: tuple[Text, ...] = Field(min_length=1, examples=[["oncall@example.com"]])
    """Addresses that messages go to."""
    user: Text | None = Field(default=None, examples=["driftwatch"])
    """User to log in as. Default: no log-in."""
    password_env: EnvName | None = Field(default=None, examples=["SMTP_PASSWORD"])
    """Environment variable that holds the password."""
    password_file: FilePath | None = Field(default=None, examples=["/run/secrets/smtp"])
    """File that holds the password."""
    ca_file: FilePath | None = Field(default=None, examples=["/etc/ssl/company-ca.pem"])
    """Certificates in PEM that are trusted instead of the public ones."""


class CommandReceiver(_Receiver):
    """A program of yours: started once for each message, with the JSON document of `webhook` on standard input."""

    type: Literal["command"] = Field(examples=["command"])
    """`command`."""
    command: tuple[Text, ...] = Field(min_length=1, examples=[["/usr/local/bin/page", "--team", "support"]])
    """The program and its arguments; no shell reads them. Exit code 0: taken; 75: try again later; other: refused."""


class ConsoleReceiver(_Receiver):
    """Announcements on standard output."""

    type: Literal["console"] = Field(examples=["console"])
    """`console`."""


Receiver = Annotated[
    SlackReceiver
    | PagerDutyReceiver
    | AlertmanagerReceiver
    | TeamsReceiver
    | DiscordReceiver
    | WebhookReceiver
    | EmailReceiver
    | CommandReceiver
    | ConsoleReceiver,
    Field(discriminator="type"),
]

RECEIVERS: Mapping[str, type[Section]] = {
    "alertmanager": AlertmanagerReceiver,
    "command": CommandReceiver,
    "console": ConsoleReceiver,
    "discord": DiscordReceiver,
    "email": EmailReceiver,
    "pagerduty": PagerDutyReceiver,
    "slack": SlackReceiver,
    "teams": TeamsReceiver,
    "webhook": WebhookReceiver,
}
"""``type`` → the section that it is written in."""


def secrets_of(receiver: Section) -> dict[str, tuple[str | None, Path | None]]:
    """Secret → the environment variable or the file that the section names for it, what it names nothing for left out.

    The value of an extra request header is the secret ``headers.NAME``.

    >>> secrets_of(TeamsReceiver(type="teams", webhook_url_env="TEAMS"))
    {'webhook_url': ('TEAMS', None)}
    """
    places = {name: (getattr(receiver, f"{name}_env"), getattr(receiver, f"{name}_file")) for name in _secret(receiver)}
    headers = {f"headers.{name}": (variable, None) for name, variable in getattr(receiver, "headers", {}).items()}
    return {name: place for name, place in {**places, **headers}.items() if place != (None, None)}


def options_of(receiver: Section) -> dict[str, Any]:
    """Every other key that has a value, under its name in this file.

    >>> options_of(AlertmanagerReceiver(type="alertmanager", base_url="http://127.0.0.1:9093", labels={"env": "test"}))
    {'send_on_resolved': True, 'base_url': 'http://127.0.0.1:9093', 'labels': {'env': 'test'}}
    """
    left_out = {"type", "timeout_s", *(f"{name}_{place}" for name in _secret(receiver) for place in ("env", "file"))}
    values = {key: getattr(receiver, key) for key in type(receiver).model_fields if key not in left_out}
    return {key: value for key, value in values.items() if value is not None}


def _secret(receiver: Section) -> list[str]:
    """Names of the secrets that a section of this type can name a place for."""
    return sorted({key.removesuffix("_env") for key in type(receiver).model_fields if key.endswith("_env")})
