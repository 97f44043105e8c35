"""When people are told and who: routes, reminders, quiet hours, maintenance windows, escalation, the heartbeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from driftwatch.config.fields import (
    Clocktime,
    Cron,
    EnvName,
    FilePath,
    Names,
    Patterns,
    Text,
    UtcTime,
    Wait,
    Weekdays,
    Zone,
    fail,
    one_or_more,
)
from driftwatch.config.section import Section

KindName = Literal["behaviour", "performance", "availability", "tripwire", "watch-itself"]
SeverityName = Literal["critical", "warning", "info"]


def _or_one(words: tuple[str, ...]) -> WithJsonSchema:
    one = {"enum": list(words)}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one}]})


Kinds = Annotated[tuple[KindName, ...], BeforeValidator(one_or_more), _or_one(get_args(KindName))]
"""A single one may stand without brackets, as in ``Patterns``."""

Severities = Annotated[tuple[SeverityName, ...], BeforeValidator(one_or_more), _or_one(get_args(SeverityName))]


class Match(Section):
    """Which incidents: all of the keys given must fit, each by one of its values."""

    target: Patterns = Field(default=(), examples=[["support-*"]])
    """Targets, by name or pattern: `*` stands for any characters. `driftwatch` is the watch itself."""
    owner: Patterns = Field(default=(), examples=[["team-support"]])
    """Owners, by name or pattern."""
    feature: Patterns = Field(default=(), examples=[["checkout"]])
    """Features, by name or pattern."""
    kind: Kinds = Field(default=(), examples=[["behaviour"]])
    """Kinds of incident: behaviour, performance, availability, tripwire, watch-itself."""
    severity: Severities = Field(default=(), examples=[["critical"]])
    """Severities: critical, warning, info."""


class Route(Section):
    """Who is told of which incidents, instead of a target's own receivers."""

    match: Match = Field(default_factory=Match, examples=[{"severity": ["critical"]}])
    """Which incidents; all when nothing is given."""
    receivers: Names = Field(examples=[["pager"]])
    """Who is told. An empty list tells nobody."""
    goes_on: bool = Field(default=False, alias="continue", examples=[False])
    """Whether routes below may add receivers; otherwise the first that fits decides."""


class QuietHours(Section):
    """Hours of the week in which only grave things are told; the rest waits until they are over."""

    begin: Clocktime = Field(alias="from", examples=["22:00"])
    """When they begin, in the time zone below."""
    end: Clocktime = Field(alias="to", examples=["07:00"])
    """When they end; earlier than `from` means the next day."""
    days: Weekdays = Field(default=(), examples=[["sat", "sun"]])
    """Days on which they begin: mon, tue, wed, thu, fri, sat, sun. Default: every day."""
    timezone: Zone = Field(default="UTC", examples=["Europe/Berlin"])
    """Time zone by its IANA name. Default UTC."""
    receivers: Names = Field(default=(), examples=[["mail"]])
    """Whose quiet hours they are. Default: every receiver's."""
    let_through: Severities = Field(default=("critical",), examples=[["critical"]])
    """Severities that are told all the same. Default critical."""


class Escalation(Section):
    """Who is told when nobody acknowledges."""

    after_s: Wait = Field(alias="after", examples=["30m"])
    """How long an incident may be open without being acknowledged."""
    receivers: Names = Field(min_length=1, examples=[["pager"]])
    """Who is told then, at any hour."""
    match: Match = Field(default_factory=lambda: Match(severity=("critical",)), examples=[{"severity": ["critical"]}])
    """Of which incidents. Default: the critical ones."""


class Maintenance(Section):
    """A window in which nothing is told: planned work."""

    reason: Text = Field(examples=["weekly deployment of the gateway"])
    """Why; shown with what was muted."""
    author: Text = Field(examples=["ana"])
    """Who planned it."""
    match: Match = Field(default_factory=Match, examples=[{"target": ["support-*"]}])
    """Which incidents; all when nothing is given."""
    start: UtcTime | None = Field(default=None, examples=["2026-12-24T18:00:00Z"])
    """When a single window begins, with time zone."""
    end: UtcTime | None = Field(default=None, examples=["2026-12-27T06:00:00Z"])
    """When a single window ends, with time zone."""
    cron: Cron | None = Field(default=None, examples=["0 2 * * sun"])
    """When a window that comes back begins: minute hour day month weekday. Instead of start and end."""
    duration_s: Wait | None = Field(default=None, alias="duration", examples=["2h"])
    """How long a window that comes back lasts."""
    timezone: Zone = Field(default="UTC", examples=["Europe/Berlin"])
    """Time zone of `cron`, by its IANA name. Default UTC."""

    @model_validator(mode="after")
    def _one_way(self) -> Maintenance:
        is_single = self.start is not None or self.end is not None
        if is_single == (self.cron is not None or self.duration_s is not None):
            fail("says its time twice or not at all", "write start and end, or cron and duration")
        if is_single and (self.start is None or self.end is None):
            fail("has a start or an end only", "write both")
        if not is_single and (self.cron is None or self.duration_s is None):
            fail("has a cron or a duration only", "write both")
        if self.start is not None and self.end is not None and self.start >= self.end:
            fail("ends before it starts", "write an end after the start")
        return self


class Alerts(Section):
    """How often people are told, by which ways, and when not."""

    routes: tuple[Route, ...] = Field(
        default=(), examples=[[{"match": {"severity": ["critical"]}, "receivers": ["pager"]}]]
    )
    """Who is told of what. The first that fits decides; without one the target's own receivers are told."""
    severities: Mapping[KindName, SeverityName] = Field(default_factory=dict, examples=[{"performance": "info"}])
    """How grave a kind of incident is, where the default is not right for you."""
    group_within_s: Wait = Field(default=6 * 3600.0, alias="group_within", examples=["6h"])
    """Targets of one endpoint that change within this time of each other are one incident. Default 6h."""
    reopen_within_s: Wait = Field(default=86_400.0, alias="reopen_within", examples=["24h"])
    """What comes back within this time of its end is the same incident again. Default 24h."""
    reminder_interval_s: Wait = Field(default=86_400.0, alias="minimum_reminder_interval", examples=["24h"])
    """Shortest time between reminders of an incident that nobody has acknowledged; 0 for none. Default 24h."""
    success_threshold: int = Field(default=2, ge=1, le=100, examples=[2])
    """Runs in a row that must be measured before an availability incident ends; more where it keeps coming back."""
    quiet_hours: tuple[QuietHours, ...] = Field(default=(), examples=[[{"from": "22:00", "to": "07:00"}]])
    """When only grave things are told."""
    escalation: tuple[Escalation, ...] = Field(default=(), examples=[[{"after": "30m", "receivers": ["pager"]}]])
    """Who else is told when nobody acknowledges."""
    maintenance: tuple[Maintenance, ...] = Field(
        default=(), examples=[[{"cron": "0 2 * * sun", "duration": "2h", "author": "ana", "reason": "deployment"}]]
    )
    """When nothing is told."""


class Heartbeat(Section):
    """A ping to a service that pages when the pings stop: who watches the watcher."""

    url_env: EnvName | None = Field(default=None, examples=["HEARTBEAT_URL"])
    """Environment variable that holds the URL to ask, e.g. one of healthchecks.io, Cronitor or Uptime Kuma."""
    url_file: FilePath | None = Field(default=None, examples=["/run/secrets/heartbeat"])
    """File that holds the URL."""
    method: Literal["GET", "POST", "HEAD"] = "GET"
    """HTTP method. Default GET."""
    interval_s: Wait = Field(default=60.0, alias="interval", examples=["1m"])
    """Shortest time between two pings. Default 1m."""
