"""The sections on money and pace: what requests cost, how many are allowed, how fast."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from driftwatch.config.section import Section


class Price(Section):
    """What the endpoint charges, where the built-in price list does not know it."""

    input: float = Field(ge=0, le=100_000, examples=[0.15])
    """US dollars per million input tokens."""
    output: float = Field(ge=0, le=100_000, examples=[0.6])
    """US dollars per million output tokens."""


class FleetBudget(Section):
    """The most that all targets together may use; what is used up is not asked until the day or month is over."""

    usd_per_day: float | None = Field(default=None, gt=0, le=1_000_000, examples=[5])
    """US dollars in one UTC day, by list or configured price."""
    usd_per_month: float | None = Field(default=None, gt=0, le=10_000_000, examples=[50])
    """US dollars in one UTC calendar month, by list or configured price."""
    requests_per_day: int | None = Field(default=None, ge=1, le=100_000_000, examples=[2000])
    """Requests in one UTC day, repeated attempts included."""
    requests_per_month: int | None = Field(default=None, ge=1, le=1_000_000_000, examples=[50_000])
    """Requests in one UTC calendar month, repeated attempts included."""
    tokens_per_day: int | None = Field(default=None, ge=1, le=1_000_000_000_000, examples=[500_000])
    """Input and output tokens in one UTC day."""
    tokens_per_month: int | None = Field(default=None, ge=1, le=1_000_000_000_000, examples=[10_000_000])
    """Input and output tokens in one UTC calendar month."""

    @property
    def caps(self) -> Mapping[str, float]:
        """The caps that are set, by key: ``{"usd_per_day": 5}``."""
        named = ((key, getattr(self, key)) for key in type(self).model_fields)
        return {key: cap for key, cap in named if cap is not None}


class Budget(FleetBudget):
    """The most that one target may use; what is used up is not asked until the run, day or month is over."""

    usd_per_run: float | None = Field(default=None, gt=0, le=1_000_000, examples=[0.5])
    """US dollars in one run, by list or configured price."""
    requests_per_run: int | None = Field(default=None, ge=1, le=100_000_000, examples=[200])
    """Requests in one run, repeated attempts included."""
    tokens_per_run: int | None = Field(default=None, ge=1, le=1_000_000_000_000, examples=[100_000])
    """Input and output tokens in one run."""


class Limits(Section):
    """How fast the endpoint may be asked at most; targets that share an endpoint and key share the strictest."""

    requests_per_minute: float | None = Field(default=None, ge=1, le=1_000_000, examples=[60])
    """Requests begun in a minute, 1 or more. Default: what the endpoint's own headers allow."""
    tokens_per_minute: float | None = Field(default=None, ge=1, le=1_000_000_000, examples=[40_000])
    """Tokens in a minute, estimated before a request and put right after it. Default: what the headers allow."""
