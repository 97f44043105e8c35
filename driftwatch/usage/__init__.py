"""What watching costs: requests, tokens and dollars, estimated before they are spent."""

from __future__ import annotations

from driftwatch.usage.estimate import Estimate, Price, cost_usd, estimate, find_price
from driftwatch.usage.per_run import Cost, Tokens, cost_of, cost_per_run, measured_tokens

__all__ = [
    "Cost",
    "Estimate",
    "Price",
    "Tokens",
    "cost_of",
    "cost_per_run",
    "cost_usd",
    "estimate",
    "find_price",
    "measured_tokens",
]
