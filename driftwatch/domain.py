"""The values the whole program speaks in: frozen, plain, free of any import from the rest of it.

Every noun here is a word of ``docs/glossary.md`` and means what it says there. Outside input becomes
one of these at the edge (config, canaries, providers, store) and stays one until it leaves.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of Json, or dict from str to Json."""


def content_hash(value: Json) -> str:
    """Name a JSON value by its content: 16 hex digits of SHA-256 over its canonical JSON.

    Key order and insignificant white space do not change the hash; anything else does.

    >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


# ---------------------------------------------------------------- what is asked


class Wire(StrEnum):
    """A piece of metadata that comes free with every reply and should not change under an unchanged model name."""

    SERVED_MODEL = "served_model"
    FINGERPRINT = "fingerprint"
    UPSTREAM = "upstream"
    """Which provider a router asked on our behalf."""
    INPUT_TOKENS = "input_tokens"
    """How many tokens the endpoint counts in a canary's fixed request."""
    ERRORS = "errors"
    """Refusals that asking again does not change: model gone, key or request rejected, quota used up, filtered."""
    DEPRECATION = "deprecation"
    """A response header that announces the end of the model or of the API version."""
    RETIREMENT = "retirement"
    """The day the model is announced to be switched off, or its absence from the endpoint's list of models."""


class Level(StrEnum):
    """What a tripped wire causes: an incident, a note in verdict and log, or nothing."""

    PAGE = "page"
    NOTICE = "notice"
    OFF = "off"


DEFAULT_LEVELS: Mapping[Wire, Level] = {
    Wire.SERVED_MODEL: Level.PAGE,
    Wire.FINGERPRINT: Level.NOTICE,
    Wire.UPSTREAM: Level.NOTICE,
    Wire.INPUT_TOKENS: Level.NOTICE,
    Wire.ERRORS: Level.NOTICE,
    Wire.DEPRECATION: Level.NOTICE,
    Wire.RETIREMENT: Level.NOTICE,
}
"""Another model name is never chance; the others change with rollouts that need not touch behaviour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation, in the roles of the chat-completions wire."""

    role: str
    """``system``, ``developer``, ``user``, ``assistant`` or ``tool``."""
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function the model asked for. ``arguments`` is the JSON text as served, valid or not."""

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """An assertion the canary's author makes about every reply, e.g. kind ``contains``, argument ``"Paris"``."""

    kind: str
    argument: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Fixed messages, parameters and checks. Its identity is ``content_hash``: what is sent and what is asserted."""

    id: str
    """``suite/name``, unique in a watch."""
    suite: str
    messages: tuple[Message, ...]
    reason: str = ""
    """Why this canary is worth its tokens; shown beside it in reports. Not part of the hash."""
    checks: tuple[Check, ...] = ()
    tools: tuple[Json, ...] = ()
    tool_choice: Json = None
    response_format: Json = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """Sampling parameters that override the target's; ``max_tokens``, ``temperature`` …"""
    repeats: int | None = None
    """How often one run asks it, 1 or more; None takes the target's. A one-word answer needs many."""
    anchors: int | None = None
    """Accepted completions it needs before calibration, 2 or more; None takes the baseline's."""
    is_private: bool = False
    """Whether its prompt and replies stay in the team: of these a bundle for a support desk has only hashes and
    lengths. Not part of the hash."""
    _hash: str | None = field(default=None, init=False, repr=False, compare=False)
    """``content_hash`` once it was asked for: every request of a run names it."""

    @property
    def content_hash(self) -> str:
        """Changes exactly when the request, the assertions or how often it is asked change."""
        if self._hash is None:
            object.__setattr__(self, "_hash", self._hashed())
        return str(self._hash)

    def _hashed(self) -> str:
        # Only what is said: a canary that says nothing of them keeps the hash it had before they existed.
        counts = {"repeats": self.repeats, "anchors": self.anchors}
        return content_hash(
            {
                **{name: count for name, count in counts.items() if count is not None},
                "messages": [
                    [m.role, m.content, [[t.name, t.arguments, t.id] for t in m.tool_calls], m.tool_call_id]
                    for m in self.messages
                ],
                "checks": [[c.kind, c.argument] for c in self.checks],
                "tools": list(self.tools),
                "tool_choice": self.tool_choice,
                "response_format": self.response_format,
                "parameters": dict(self.parameters),
            },
        )


class Control(StrEnum):
    """What a control target has in common with the one it is a control for; everything else is meant to differ."""

    SAME_MODEL = "same_model"
    """The same model at another host or provider: moves with the model, not with this endpoint."""
    FROZEN = "frozen"
    """Weights that nobody changes, e.g. on a machine of one's own: moves only with our side."""
    FEATURE = "feature"
    """The same canaries through the team's own feature: moves with the endpoint, and with the feature alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A provider, model, endpoint and parameters under watch."""

    name: str
    provider: str
    """A key of ``driftwatch.providers.PROVIDERS``."""
    model: str
    canaries: tuple[Canary, ...]
    base_url: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    options: Mapping[str, Json] = field(default_factory=dict)
    """What this provider needs beside the common keys, e.g. ``api_version``; see ``driftwatch.providers.PROVIDERS``."""
    stream: bool = False
    """Whether replies are asked for as a stream, which measures ttft_s and the gaps between pieces."""
    interval_s: float = 3600.0
    jitter_s: float = 0.0
    """A run starts this long after its slot at most; the delay is a fixed function of target and slot."""
    repeats: int = 1
    """How many times each canary is asked in one run, 1 or more."""
    threshold: float = 175_320.0
    """A, the evidence at which an alarm is raised; see ``driftwatch.detect.budget``."""
    alarm_budget: str = ""
    """The operator's setting behind the threshold in words, e.g. ``at most one false alarm per year``."""
    burst: bool = True
    """Whether a suspicious run is followed by up to three more, ten minutes apart; see ``driftwatch.burst``."""
    tripwires: Mapping[Wire, Level] = field(default_factory=lambda: dict(DEFAULT_LEVELS))
    """What a change in each piece of free metadata causes; a wire that is absent is off."""
    retirement_notice_days: int = 30
    """How long before the announced end of the model Wire.RETIREMENT trips, in days, 0 or more."""
    anchors_wanted: int = 8
    """Accepted completions per canary before calibration starts."""
    calibration_wanted: int = 168
    """Runs scored against the anchors before the watch is STABLE or DRIFTED."""
    owner: str | None = None
    feature: str | None = None
    """What the team ships on top of it; routes and reports name it."""
    controls: Mapping[str, Control] = field(default_factory=dict)
    """Other targets that tell where a change comes from → what they have in common with this one."""
    receivers: tuple[str, ...] = ()
    """Names of the receivers that are told of this target's incidents, where no route says otherwise."""

    @property
    def definition_hash(self) -> str:
        """Changes when the question put to the endpoint changes, so that old evidence no longer compares."""
        asked: list[Json] = [self.provider, self.model, self.base_url, dict(self.parameters), self.repeats]
        # Only what is said: a target that says nothing of them keeps the hash it had before they existed.
        if self.options or self.stream:
            asked.append([dict(self.options), self.stream])
        return content_hash(asked)

    @property
    def suite_hash(self) -> str:
        """Changes when any canary of the target is added, removed or edited."""
        return content_hash(sorted([c.id, c.content_hash] for c in self.canaries))

    @property
    def runs_per_year(self) -> float:
        """Slots in a Julian year of 365.25 days."""
        return 365.25 * 86_400 / self.interval_s

    def repeats_for(self, canary: Canary) -> int:
        """How often one run asks a canary: its own number, else the target's."""
        return self.repeats if canary.repeats is None else canary.repeats

    def parameters_for(self, canary: Canary) -> dict[str, Json]:
        """The sampling parameters of one request: the target's, overridden by the canary's.

        A parameter that the target sets to None is never sent, whatever the canary says: that is how an endpoint
        which rejects ``temperature`` is asked a suite that sets it.
        """
        merged = {**self.parameters, **canary.parameters}
        return {name: value for name, value in merged.items() if self.parameters.get(name, value) is not None}


# ---------------------------------------------------------------- what comes back


class Outcome(StrEnum):
    """How one request ended. Everything but OK is a failure: stored, counted, never scored."""

    OK = "ok"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    """5xx or an overloaded notice."""
    AUTH = "auth"
    QUOTA = "quota"
    """The account's credit or plan is used up: only a person can help."""
    MODEL_GONE = "model_gone"
    FILTERED = "filtered"
    """A content filter refused the request, so that the model never answered. A reply cut by a filter is OK."""
    REJECTED = "rejected"
    """Any other 4xx: the request itself is not accepted."""
    EMPTY_BODY = "empty_body"
    NOT_JSON = "not_json"
    """HTML or other text where JSON was due, as gateways send."""
    MALFORMED = "malformed"
    """JSON that is not a reply of this wire."""
    TOO_LARGE = "too_large"
    """More bytes than any canary's answer has."""
    ERROR_BODY = "error_body"
    """Status 200 around an error object."""
    CUT_OFF = "cut_off"
    """The body or stream ended before it was complete."""
    NOT_ASKED = "not_asked"
    """No request was sent: a budget or the limit on repeated requests was reached first."""


LASTING: Mapping[Outcome, str] = {
    Outcome.MODEL_GONE: "the model is gone",
    Outcome.AUTH: "the key is not accepted",
    Outcome.QUOTA: "the account's quota is used up",
    Outcome.FILTERED: "a content filter refuses the requests",
    Outcome.REJECTED: "the requests are not accepted",
}
"""Failures that asking again does not change, in words. The others pass, and are availability's business alone."""


class Finish(StrEnum):
    """Why a reply ended, in one vocabulary for all wires. A word no wire documents is kept as served."""

    STOP = "stop"
    """The model ended by itself, or at a configured stop sequence."""
    LENGTH = "length"
    """At max_tokens or the context's end."""
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    """The endpoint's filter ended or withheld the reply."""
    REFUSAL = "refusal"
    """The model, or a classifier in its name, declined in the wire's own field for it."""
    PAUSE = "pause"
    """The endpoint wants to be asked again to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One reply or one failure. A failure has ``text == ""`` and says why in ``error``."""

    canary_id: str
    canary_hash: str
    repeat: int
    """0 … repeats − 1 within the run."""
    outcome: Outcome
    at: datetime
    """When the request was sent, aware UTC."""
    latency_s: float
    text: str = ""
    finish_reason: str | None = None
    """A value of ``Finish``, or the endpoint's own word where it is none of them."""
    finish_detail: str | None = None
    """The endpoint's own word where it says more than ``finish_reason``, e.g. ``RECITATION``."""
    tool_calls: tuple[ToolCall, ...] = ()
    input_tokens: int | None = None
    """All tokens of the request, those read from a cache included."""
    output_tokens: int | None = None
    """All tokens billed as output, reasoning included."""
    cached_tokens: int | None = None
    """Part of ``input_tokens`` that was read from the endpoint's cache."""
    reasoning_tokens: int | None = None
    """Part of ``output_tokens`` that the model thought and did not say."""
    ttft_s: float | None = None
    """From the request to the first piece of content; streams alone have it."""
    gap_median_s: float | None = None
    """Median time between two pieces of content of a stream; None below three pieces."""
    gap_max_s: float | None = None
    served_model: str | None = None
    fingerprint: str | None = None
    upstream: str | None = None
    """Which provider a router asked on our behalf."""
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Response headers that tell of rate limits and deprecation, by lower-case name."""
    logprobs: Json = None
    """As served: a list of {token, logprob, top: [[token, logprob], …]}; None when not asked or not given."""
    attempts: int = 1
    error: str | None = None
    """One sentence without secrets; None when the outcome is OK."""
    reply_began: bool = False
    """Of a failure: whether the model had begun to answer, so that it is billed. Known to its run, and not stored."""
    id: int | None = None
    """Given by the store."""

    @property
    def is_ok(self) -> bool:
        """Whether the completion may be scored."""
        return self.outcome is Outcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What some replies of one canary tell beside the reply: the columns that tripwires look at."""

    canary_id: str
    outcome: Outcome
    served_model: str | None = None
    fingerprint: str | None = None
    upstream: str | None = None
    input_tokens: int | None = None
    deprecation: str | None = None
    """What the deprecation headers of these replies say, joined; None when there are none."""
    n: int = 1
    """How many replies tell exactly this, 1 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What an endpoint's own list of models says of one of them."""

    is_listed: bool
    retires_on: date | None = None
    """The day of UTC from which it may be gone; None while none is announced."""
    is_deprecated: bool = False
    """Whether the list calls it deprecated, with or without a day."""
    replacement: str | None = None
    """The model that the list names in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What is remembered of the looks at an endpoint's list of models on behalf of one target."""

    model: str
    """What was looked for; of another model nothing is known."""
    source: str
    """Where the list is."""
    looked_at: datetime
    """The latest look, whether or not it told anything."""
    listing: Listing | None = None
    """What the latest look that told something told."""
    was_listed: bool = False
    """Whether any look has found the model."""


class Purpose(StrEnum):
    """What a run was made for. Anchors and calibration never share completions."""

    ANCHOR = "anchor"
    CALIBRATION = "calibration"
    WATCH = "watch"


class RunState(StrEnum):
    """How far a run has come; ``claimed → measured → judged``, or ``interrupted``."""

    CLAIMED = "claimed"
    MEASURED = "measured"
    JUDGED = "judged"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What requests take, before or after they are made; it adds up."""

    requests: int = 0
    """Attempts, the repeated ones included."""
    tokens: int = 0
    """Input and output."""
    usd: float = 0.0
    """By list prices; 0 where the price is unknown."""

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            requests=self.requests + other.requests, tokens=self.tokens + other.tokens, usd=self.usd + other.usd
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What the runs that begin in a stretch of time may take together."""

    since: datetime
    until: datetime
    """Not included."""
    target: str | None = None
    """None: of all targets."""
    requests: float = math.inf
    tokens: float = math.inf
    usd: float = math.inf

    def holds(self, spent: Spending) -> bool:
        """Whether it is not exceeded; what floating point adds to a sum of dollars does not count."""
        return spent.requests <= self.requests and spent.tokens <= self.tokens and spent.usd <= self.usd * (1 + 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One pass over one target, named by (target, scheduled_at)."""

    id: int
    target: str
    scheduled_at: datetime
    purpose: Purpose
    state: RunState
    baseline_id: int
    started_at: datetime
    finished_at: datetime | None = None
    n_ok: int = 0
    n_failed: int = 0
    n_requests: int = 0
    """Requests sent, repeated ones included."""
    n_tokens: int = 0
    """Input and output tokens that replies report."""
    cost_usd: float | None = None
    """An estimate from list prices; None when the price is unknown.

    With a budget these three are what the run counts for in it: while it is under way, and after it was killed, what
    was set aside for it; afterwards with what the replies that report no tokens are expected to have taken.
    """

    @property
    def failure_share(self) -> float:
        """Failed completions as a share of all, 0 … 1; 1 for a run without any."""
        total = self.n_ok + self.n_failed
        return self.n_failed / total if total else 1.0


# ---------------------------------------------------------------- what is measured


class Kind(StrEnum):
    """The kinds of incident. None but behaviour is ever called drift."""

    BEHAVIOUR = "behaviour"
    PERFORMANCE = "performance"
    AVAILABILITY = "availability"
    TRIPWIRE = "tripwire"
    """Free metadata changed: no statistics, and no proof that replies did."""
    WATCH_ITSELF = "watch-itself"
    """driftwatch cannot do its work: a full disk, an expired key, a used-up budget, a receiver that refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One channel's value for one run, in [0, 1]; NaN where the channel could not be measured."""

    channel: str
    value: float
    by_canary: Mapping[str, float] = field(default_factory=dict)
    """canary id → the canary's own value in [0, 1]; canaries without a reply are absent."""

    @property
    def is_measured(self) -> bool:
        """Whether there is a value at all."""
        return not math.isnan(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """The scores of one run as detection reads them; a series is these in order of ``scheduled_at``."""

    run_id: int
    scheduled_at: datetime
    purpose: Purpose
    failure_share: float
    """Failed completions as a share of the run's, 0 … 1."""
    values: Mapping[str, float]
    """channel → score in [0, 1]; a channel without a value is absent: gaps stay gaps."""


class BaselineState(StrEnum):
    """``collecting → active → superseded``."""

    COLLECTING = "collecting"
    ACTIVE = "active"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a target's behaviour is compared to: anchors and calibration runs, accepted by a person."""

    id: int
    target: str
    series_key: str
    """Hash of target definition, suite, scoring version and embedder revision: what makes scores comparable."""
    state: BaselineState
    author: str
    reason: str
    created_at: datetime
    activated_at: datetime | None = None
    superseded_at: datetime | None = None
    anchors_wanted: int = 8
    calibration_wanted: int = 168
    parent_id: int | None = None
    """The baseline this one replaced, if any."""
    expires_at: datetime | None = None
    """When an acceptance that was made for a while ends and the replaced baseline comes back; None: it does not."""
    scope: tuple[str, ...] = ()
    """Ids of the canaries whose new behaviour was accepted; empty: the whole target's."""

    def anchors_for(self, canary: Canary) -> int:
        """Accepted completions that a canary needs: its own number, else the baseline's."""
        return self.anchors_wanted if canary.anchors is None else canary.anchors

    def least_anchors(self, canary: Canary) -> int:
        """A canary with fewer anchors is left out of the watch: half of those wanted, 2 at least.

        With a single one nothing is known of how far the canary's replies lie apart.
        """
        return max(2, (self.anchors_for(canary) + 1) // 2)


# ---------------------------------------------------------------- what is concluded


class State(StrEnum):
    """What driftwatch concludes about a target after a run."""

    CALIBRATING = "calibrating"
    STABLE = "stable"
    DRIFTED = "drifted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelEvidence:
    """One channel's part in a verdict."""

    channel: str
    kind: Kind
    share: float
    """Part of its kind's evidence carried by this channel, 0 … 1."""
    value: float
    """The latest run's score; NaN when not measured."""
    calibration_mean: float
    calibration_low: float
    """5th percentile of the calibration scores."""
    calibration_high: float
    """95th percentile of the calibration scores."""
    since_onset_mean: float
    """Mean score since the onset; equals ``value`` when nothing has drifted."""
    canaries: tuple[CanaryEvidence, ...] = ()
    """The canaries that moved most in this channel since the onset, strongest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryEvidence:
    """One canary's part in a channel since the onset."""

    canary_id: str
    calibration_mean: float
    since_onset_mean: float
    evidence: float
    """e-value against "this canary is as calibrated"; 1 says nothing, 20 is strong on its own."""
    is_affected: bool
    """Whether e-BH at 5 % over the target's canaries lists it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindEvidence:
    """The evidence of one kind of drift after a run."""

    kind: Kind
    evidence: float
    """M, the e-detector's average."""
    threshold: float
    """A: an alarm is raised when M reaches it."""
    is_drifted: bool
    """Whether an alarm was raised and has not recovered since."""
    alarm_at: datetime | None = None
    """scheduled_at of the run that raised the alarm."""
    onset_at: datetime | None = None
    """scheduled_at of the first run that most likely belongs to the change."""
    runs_since_onset: int = 0
    is_suspicious: bool = False
    """Whether this run alone lies in the top 1 % of calibration: reason to look again soon, none to tell anybody."""
    problem: str | None = None
    """Why the kind cannot be judged, one sentence; None when it can. Its evidence then says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tripwire:
    """Free metadata that is not what it was, in one run."""

    wire: Wire
    level: Level
    """PAGE or NOTICE."""
    before: tuple[str, ...]
    """Values known from the baseline, sorted; empty when there were none."""
    after: tuple[str, ...]
    """Values that stand since ``since`` and were never seen before it, sorted; one at least."""
    canaries: tuple[str, ...]
    """Ids of the canaries whose replies tell them, sorted."""
    since: datetime
    """scheduled_at of the first run that told one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one run, in the light of all before it, says about its target."""

    run_id: int
    target: str
    baseline_id: int
    at: datetime
    """scheduled_at of the run."""
    state: State
    reason: str
    """One sentence for a person."""
    n_calibration: int
    n_monitored: int
    kinds: tuple[KindEvidence, ...] = ()
    channels: tuple[ChannelEvidence, ...] = ()
    tripwires: tuple[Tripwire, ...] = ()
    """Wires that are tripped, in the order of ``Wire``."""

    def kind(self, kind: Kind) -> KindEvidence | None:
        """The evidence of one kind, None when it is not watched or not measured yet."""
        return next((k for k in self.kinds if k.kind is kind), None)


# ---------------------------------------------------------------- what people are told


class IncidentState(StrEnum):
    """``open → acknowledged → resolved``; acknowledging may be skipped, and what comes back soon is opened again."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How much an incident matters, gravest first. The words are those of Prometheus' and PagerDuty's users."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the gravest.

        >>> Severity.CRITICAL.rank < Severity.INFO.rank
        True
        """
        return list(Severity).index(self)


class Event(StrEnum):
    """What a transition tells."""

    OPENED = "opened"
    JOINED = "joined"
    """Another target of an incident that is open already, no graver than it: worth knowing, not worth a page."""
    ESCALATED = "escalated"
    """The incident got graver, or nobody acknowledged it in time."""
    REOPENED = "reopened"
    REMINDED = "reminded"
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"
    RESOLVED = "resolved"


WATCH = "driftwatch"
"""Stands for the target of an incident that is about the watch as a whole. No target may be called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One target's part in a cause for alarm, from the alarm until it is resolved.

    Incidents of one cause, e.g. six targets of one provider, form a group and are told as one: the first leads, the
    others name it in ``part_of``. A group is open for as long as any of its incidents is.
    """

    id: int
    target: str
    """A target's name, or ``WATCH``."""
    kind: Kind
    state: IncidentState
    opened_at: datetime
    onset_at: datetime
    baseline_id: int | None
    """What it was found against; None for an incident of the watch itself."""
    run_id: int | None
    """The run whose verdict opened it; None for an incident of the watch itself."""
    evidence: Mapping[str, Json]
    """What the message and the report show, as JSON; see ``driftwatch.alert.evidence``."""
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    severity: Severity = Severity.WARNING
    part_of: int | None = None
    """Id of the incident that leads the group; None for one that leads or stands alone."""
    cause: str = ""
    """What incidents of one group have in common, e.g. ``served openai api.openai.com``; empty in those of before
    revision 0004."""
    trouble: str = ""
    """Watch-itself: which, e.g. ``disk``; empty otherwise."""
    n_reopened: int = 0
    """How often it came back after it was resolved."""

    @property
    def is_open(self) -> bool:
        """Whether it still asks for attention or an end."""
        return self.state is not IncidentState.RESOLVED

    @property
    def lead_id(self) -> int:
        """The number by which people know it: of the incident that leads its group."""
        return self.id if self.part_of is None else self.part_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One stored edge of the incident state machine."""

    id: int
    incident_id: int
    before: IncidentState | None
    """None for the edge that opened the incident."""
    after: IncidentState
    at: datetime
    author: str
    """A person's name, or ``driftwatch``."""
    reason: str
    event: Event = Event.OPENED


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An edge the incident state machine asks the store to write: a Transition that has no id yet."""

    incident_id: int | None
    """None opens a new incident."""
    target: str
    kind: Kind
    before: IncidentState | None
    after: IncidentState
    at: datetime
    author: str
    reason: str
    onset_at: datetime
    baseline_id: int | None
    run_id: int | None
    event: Event
    severity: Severity = Severity.WARNING
    """Stored with the incident when it opens, is opened again or escalates."""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    """Stored with the incident when it opens; replaces what is stored when it is not empty on a later edge."""
    receivers: tuple[str, ...] = ()
    """Who is told: one pending Notification each, in the same transaction. Whoever was told of the incident's
    beginning is told of its later edges too, named here or not."""
    part_of: int | None = None
    """The incident that leads its group, when it opens into one."""
    cause: str = ""
    trouble: str = ""


class NotificationState(StrEnum):
    """``pending → sent``; ``dead`` after a permanent failure, ``muted`` when it is not worth telling any more."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    MUTED = "muted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One delivery of one transition to one receiver; ``dedup_key`` stays the same over every attempt."""

    id: int
    transition_id: int
    receiver: str
    state: NotificationState
    dedup_key: str
    attempts: int
    next_attempt_at: datetime
    sent_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """All a notifier needs to tell one transition: values only, so that delivery reads nothing else."""

    incident: Incident
    """The one that moved."""
    transition: Transition
    dedup_key: str
    """Of this notification, the same over every attempt."""
    owner: str | None = None
    history: Sequence[Transition] = ()
    """Every edge of the group, oldest first."""
    group: Sequence[Incident] = ()
    """All incidents of the group as they stand now, the leading one first; empty stands for the incident alone."""
    key: str = ""
    """Of the group, the same over its whole life and in no other installation: what PagerDuty calls dedup_key."""
    receipt: Mapping[str, Json] | None = None
    """What the notifier returned when it told this receiver of the group before, e.g. the id of Slack's first message;
    None when it never did."""

    @property
    def members(self) -> tuple[Incident, ...]:
        """The group, the leading incident first."""
        return tuple(self.group) or (self.incident,)

    @property
    def lead(self) -> Incident:
        """The incident by whose number people know the group."""
        return self.members[0]

    @property
    def is_over(self) -> bool:
        """Whether no incident of the group is open."""
        return not any(member.is_open for member in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A time-boxed mute: what begins or goes on meanwhile is kept, and told afterwards if it still stands."""

    id: int
    match: Mapping[str, Sequence[str]]
    """``target``, ``kind``, ``owner``, ``feature``, ``severity`` or ``incident`` → accepted values, where a target may
    be a pattern (``support-*``); all must fit. Empty fits everything."""
    starts_at: datetime
    ends_at: datetime
    author: str
    reason: str
    created_at: datetime
    ended_by: str | None = None
    """Who ended it before its time."""

    def is_active(self, at: datetime) -> bool:
        """Whether it mutes at that time; its end is the first moment that it does not."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessChange:
    """Something on the operator's side that was not as before when a watch started: what attribution looks at."""

    at: datetime
    facts: Mapping[str, str]
    """What is so from then on, e.g. ``driftwatch`` → its version, ``target.support`` → a hash of its settings."""
    changed: Sequence[str]
    """Keys of ``facts`` that are new, gone or other than before; empty in the first of all."""
