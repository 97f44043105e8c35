"""The settings of a watch: what a configuration says, validated, frozen, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from driftwatch.config.alerting import Alerts, Heartbeat
from driftwatch.config.fields import (
    Address,
    EnvName,
    FilePath,
    HeaderName,
    Interval,
    Jitter,
    Name,
    Names,
    Text,
    Timeout,
    UtcTime,
    fail,
)
from driftwatch.config.problems import KeyPath, Mark, Problem, as_error
from driftwatch.config.receivers import Receiver
from driftwatch.config.section import Section
from driftwatch.config.spending import Budget, FleetBudget, Limits, Price
from driftwatch.domain import Json
from driftwatch.errors import ConfigError

BUNDLED_EMBEDDER = "all-MiniLM-L6-v2"
"""The embedding model that comes with driftwatch's ``embedder`` extra."""

WEEK_S = 7 * 86_400.0
"""Seconds; a week of calibration has seen every hour of the day and every day of the week."""


class AlarmBudget(Section):
    """How many false alarms are acceptable; exactly one of the two figures is given."""

    false_alarms_per_year: float | None = Field(default=None, gt=0, le=366, examples=[1])
    """False alarms accepted in a year on average. Instead of chance_of_any_per_year."""
    chance_of_any_per_year: float | None = Field(
        default_factory=lambda given: None if given["false_alarms_per_year"] else 0.1, gt=0, lt=1, examples=[0.1]
    )
    """Chance of one or more false alarms in a year, between 0 and 1. Default 0.1."""
    scope: Literal["target", "fleet"] = "target"
    """Whether the figure holds for each target or for all targets together."""


class BaselineSettings(Section):
    """How much of today's behaviour is recorded before anything may alarm."""

    anchors: int = Field(default=8, ge=2, le=1000, examples=[8])
    """Accepted completions per canary that later replies are compared to, 2 or more."""
    calibration_runs: int | None = Field(default=None, ge=20, le=10_000, examples=[168])
    """Runs that learn the natural noise, 20 or more. Default: a week of runs, at least 20 and at most 168."""

    def calibration_runs_for(self, interval_s: float) -> int:
        """Runs wanted for a target that runs every ``interval_s`` seconds.

        >>> BaselineSettings().calibration_runs_for(3600), BaselineSettings().calibration_runs_for(86_400)
        (168, 20)
        """
        return self.calibration_runs or min(168, max(20, int(WEEK_S // interval_s)))


def _embedder(value: Json) -> Json:
    return {"model": value} if isinstance(value, str) else value


class EmbedderSettings(Section):
    """Which embedding model measures meaning."""

    model: Text = Field(default=BUNDLED_EMBEDDER, examples=[BUNDLED_EMBEDDER])
    """`all-MiniLM-L6-v2` (bundled), `off`, or the name or folder of another sentence-transformers model."""
    revision: Text | None = Field(default=None, examples=["4a1b2c3"])
    """Commit or version of a model that is not bundled: another revision starts a new baseline."""

    @property
    def is_off(self) -> bool:
        """Whether meaning is not measured at all."""
        return self.model == "off"


class HttpSettings(Section):
    """Where /healthz and /readyz listen."""

    host: Text = Field(default="127.0.0.1", examples=["127.0.0.1"])
    """Address to listen on; 0.0.0.0 for every interface. There is no log-in: put a proxy in front."""
    port: int = Field(default=8077, ge=0, le=65_535, examples=[8077])
    """Port to listen on; 0 takes any free one."""


class LogSettings(Section):
    """What driftwatch writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""
    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for log collectors."""


TripwireLevel = Literal["page", "notice", "off"]


class TripwireSettings(Section):
    """What a change in the metadata that comes with replies causes: page, notice or off."""

    served_model: TripwireLevel = Field(default="page", examples=["page"])
    """The endpoint names a model that it has never named before."""
    fingerprint: TripwireLevel = Field(default="notice", examples=["notice"])
    """The endpoint reports a system fingerprint that it has never reported before."""
    upstream: TripwireLevel = Field(default="notice", examples=["notice"])
    """A router asks a provider that it has never asked before."""
    input_tokens: TripwireLevel = Field(default="notice", examples=["notice"])
    """A canary's fixed request is counted as another number of tokens."""
    errors: TripwireLevel = Field(default="notice", examples=["notice"])
    """Requests are refused for a reason that asking again does not change, e.g. the model is gone."""
    deprecation: TripwireLevel = Field(default="notice", examples=["notice"])
    """A response header announces the end of the model or of the API version."""
    retirement: TripwireLevel = Field(default="notice", examples=["notice"])
    """The model is announced to be switched off soon, or has left the endpoint's list of models."""


def _one_level(value: Json) -> Json:
    """One word stands for all wires."""
    if not isinstance(value, str):
        return value
    if value not in get_args(TripwireLevel):
        fail("unknown value", "write page, notice or off")
    return dict.fromkeys(TripwireSettings.model_fields, value)


class TargetSettings(Section):
    """One endpoint under watch."""

    provider: Text = Field(examples=["openai"])
    """Whose API the endpoint speaks: one of the names in docs/providers.md."""
    model: Text = Field(examples=["gpt-4o-mini"])
    """Model name as the endpoint knows it."""
    suites: Names = Field(default=(), examples=[["core"]])
    """Names of the suites to replay. Default: every suite."""
    base_url: Address | None = Field(default=None, examples=["http://127.0.0.1:8000/v1"])
    """Where the API begins; a query is kept. Default: the provider's own address, where it has one."""
    api_key_env: EnvName | None = Field(default=None, examples=["OPENAI_API_KEY"])
    """Environment variable that holds the API key. Default: the one the provider's own tools read, e.g.
    OPENAI_API_KEY; none for servers of one's own."""
    api_key_file: FilePath | None = Field(default=None, examples=["/run/secrets/openai"])
    """File that holds the API key. Instead of api_key_env."""
    headers: Mapping[HeaderName, EnvName] = Field(
        default_factory=dict, examples=[{"OpenAI-Organization": "OPENAI_ORG"}]
    )
    """Extra request headers: header name → environment variable that holds its value."""
    parameters: Mapping[str, Any] = Field(default_factory=dict, examples=[{"temperature": 0}])
    """Sampling parameters sent with every canary, e.g. temperature, max_tokens, seed. A canary's own win, but a
    parameter set to null here is never sent."""
    interval_s: Interval = Field(default=3600.0, alias="interval", examples=["1h"])
    """Time from run to run, e.g. 15m, 1h, 1d; at least 60s. Default 1h."""
    jitter_s: Jitter = Field(default_factory=lambda given: given["interval_s"] / 10, alias="jitter", examples=["5m"])
    """A run starts up to this much after its slot. Default: a tenth of the interval. 0 for none."""
    repeats: int = Field(default=1, ge=1, le=20, examples=[1])
    """How many times each canary is asked in one run, 1 to 20."""
    timeout_s: Timeout = Field(default=60.0, alias="timeout", examples=["60s"])
    """Longest time one request may take, first byte to last. Default 60s."""
    connect_timeout_s: Timeout = Field(default=10.0, alias="connect_timeout", examples=["10s"])
    """Longest wait for a connection. Default 10s."""
    read_timeout_s: Timeout | None = Field(default=None, alias="read_timeout", examples=["20s"])
    """Longest silence before and within a reply. Default: no other limit than timeout."""
    stream: bool = Field(default=False, examples=[False])
    """Ask for replies as a stream: measures the time to the first token and the gaps. Changing it starts a new
    baseline."""
    options: Mapping[str, Any] = Field(default_factory=dict, examples=[{"location": "europe-west4"}])
    """What this provider needs beside the common keys; docs/providers.md lists them. Changing one starts a new
    baseline."""
    proxy_env: EnvName | None = Field(default=None, examples=["WATCH_PROXY"])
    """Environment variable that holds the URL of an HTTP proxy. Default: what HTTPS_PROXY and NO_PROXY say."""
    ca_file: FilePath | None = Field(default=None, examples=["/etc/ssl/company-ca.pem"])
    """Certificates in PEM that are trusted instead of the public ones."""
    requests_per_connection: int = Field(default=16, ge=0, le=1_000_000, examples=[16])
    """Requests after which a connection is closed, on average, so that every backend behind a balancer is asked.
    0 keeps connections for as long as the endpoint does."""
    limits: Limits = Field(default_factory=Limits, examples=[{"requests_per_minute": 60}])
    """How fast the endpoint may be asked at most."""
    budget: Budget = Field(default_factory=Budget, examples=[{"usd_per_day": 2}])
    """The most that this target may use in a run, a day or a month."""
    concurrency: int = Field(default=4, ge=1, le=256, examples=[4])
    """Requests to the endpoint at the same time, 1 to 256."""
    attempts: int = Field(default=3, ge=1, le=5, examples=[3])
    """Tries of one request when the endpoint is busy or unreachable, 1 to 5."""
    burst: bool = Field(default=True, examples=[True])
    """Look again after a suspicious run: up to three more runs, 10 minutes apart, at most 24 a day. About 2 % more
    runs while nothing changes. Not for intervals under 40m."""
    tripwires: Annotated[TripwireSettings, BeforeValidator(_one_level)] = Field(
        default_factory=TripwireSettings, examples=["notice"]
    )
    """What changed metadata causes: page, notice or off for all of it, or one word for each kind."""
    owner: Text | None = Field(default=None, examples=["team-support"])
    """Who answers for the endpoint; shown in alerts."""
    feature: Text | None = Field(default=None, examples=["checkout"])
    """What you ship on top of it; shown in alerts, and routes can name it."""
    controls: Mapping[Name, Literal["same_model", "frozen", "feature"]] = Field(
        default_factory=dict, examples=[{"support-azure": "same_model"}]
    )
    """Other targets that tell where a change comes from: same_model at another host, frozen weights of your own, or
    your feature on top of this endpoint."""
    receivers: Names = Field(default=(), examples=[["oncall"]])
    """Receivers that are told. Default: every receiver. An empty list tells nobody."""
    script: FilePath | None = Field(default=None, examples=["demo-script.yaml"])
    """Script of a simulated endpoint; for provider simulated only."""
    price: Price | None = None
    """Price per million tokens, where the built-in list does not know it."""

    @field_validator("base_url")
    @classmethod
    def _without_slash(cls, value: str | None, info: ValidationInfo) -> str | None:
        # Paths of an API are appended, so that a slash at the end says nothing; another's endpoint may insist on it.
        return value if value is None or info.data.get("provider") == "http" else value.rstrip("/")


class Simulation(Section):
    """Weeks in seconds: the clock jumps from slot to slot. Only when every target is simulated."""

    start: UtcTime = Field(examples=["2026-01-05T00:00:00Z"])
    """Time of the first slot, with time zone."""
    end: UtcTime = Field(examples=["2026-01-26T00:00:00Z"])
    """Time at which the simulation stops, with time zone."""

    @model_validator(mode="after")
    def _runs_forward(self) -> Simulation:
        if self.start >= self.end:
            fail("ends before it starts", "write an end after the start")
        return self


class Settings(Section):
    """Everything a configuration says."""

    targets: Mapping[Name, TargetSettings] = Field(
        min_length=1, examples=[{"support": {"provider": "openai", "model": "gpt-4o-mini"}}]
    )
    """The endpoints under watch, by name."""
    canaries: tuple[FilePath, ...] = Field(default=(Path("canaries"),), min_length=1, examples=[["canaries"]])
    """Suite files, or folders of them. Default: the folder canaries beside this file, else one folder up."""
    receivers: Mapping[Name, Receiver] = Field(default_factory=dict, examples=[{"console": {"type": "console"}}])
    """Who is told of incidents, by name."""
    alerts: Alerts = Field(default_factory=Alerts, examples=[{"minimum_reminder_interval": "24h"}])
    """How often people are told of incidents, by which ways, and when not."""
    heartbeat: Heartbeat | None = Field(default=None, examples=[{"url_env": "HEARTBEAT_URL"}])
    """A ping for as long as the watch works, to a service that pages when it stops."""
    store: FilePath = Field(default=Path("driftwatch.db"), examples=["driftwatch.db"])
    """Database file; created when missing. DRIFTWATCH_STORE overrides it. Default: beside this file."""
    alarm_budget: AlarmBudget = Field(default_factory=AlarmBudget, examples=[{"chance_of_any_per_year": 0.1}])
    """How many false alarms are acceptable."""
    baseline: BaselineSettings = Field(default_factory=BaselineSettings, examples=[{"anchors": 8}])
    """How much is recorded before anything may alarm."""
    embedder: Annotated[EmbedderSettings, BeforeValidator(_embedder)] = Field(
        default_factory=EmbedderSettings, examples=[BUNDLED_EMBEDDER]
    )
    """Embedding model that measures meaning: all-MiniLM-L6-v2, off, or {model, revision}."""
    failure_threshold: int = Field(default=3, ge=1, le=100, examples=[3])
    """Failed runs in a row that open an availability incident."""
    budget: FleetBudget = Field(default_factory=FleetBudget, examples=[{"usd_per_month": 50}])
    """The most that all targets together may use in a day or a month."""
    retirement_notice_days: int = Field(default=30, ge=0, le=3660, examples=[30])
    """Days before a model's announced end at which the retirement tripwire speaks."""
    retention_days: int = Field(default=90, ge=1, le=3660, examples=[90])
    """Days that replies are kept which are neither anchors nor part of an incident."""
    http: HttpSettings = Field(default_factory=HttpSettings, examples=[{"port": 8077}])
    """Where the API, the dashboard and the metrics listen. DRIFTWATCH_HTTP=host:port overrides it."""
    log: LogSettings = Field(default_factory=LogSettings, examples=[{"level": "info"}])
    """What is written to standard error. DRIFTWATCH_LOG_LEVEL overrides the level."""
    simulation: Simulation | None = Field(
        default=None, examples=[{"start": "2026-01-05T00:00:00Z", "end": "2026-01-26T00:00:00Z"}]
    )
    """Run through simulated time; only when every target's provider is simulated."""

    _file: Path = PrivateAttr(default=Path("driftwatch.yaml"))
    _marks: Mapping[KeyPath, Mark] = PrivateAttr(default_factory=dict)

    @property
    def file(self) -> Path:
        """The file or folder this was read from, as the user named it."""
        return self._file

    def error_at(self, path: KeyPath, problem: str, *, instead: str | None = None) -> ConfigError:
        """Say that what stands at ``path`` is wrong, with its file and line; for what is only known once all is built.

        Args:
            path: keys from the root, e.g. ``("targets", "support", "suites")``.
            problem: what is wrong.
            instead: what to write instead.
        """
        known = {(): Mark(file=str(self.file)), **self._marks}
        return as_error(Problem(path=path, problem=problem, instead=instead), known)

    def place_of(self, path: KeyPath) -> str | None:
        """Where a key is written, ``driftwatch.yaml:7``; None when no file says it.

        >>> Settings(targets={"t": TargetSettings(provider="simulated", model="m")}).place_of(("targets", "t")) is None
        True
        """
        mark = self._marks.get(path)
        return None if mark is None else f"{mark.file}:{mark.line}" if mark.line else mark.file

    def model_post_init(self, context: Mapping[str, Any] | None) -> None:
        """Remember where it was read from: no key of the file, so ``load`` passes it beside the values."""
        if context:
            self._file, self._marks = context["file"], context.get("marks", {})
