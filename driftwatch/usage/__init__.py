"""What watching costs: requests, tokens and dollars, estimated before they are spent, and capped."""

from __future__ import annotations

from driftwatch.usage.budget import STOPPED, Amount, Cap, Expectation, Period, Purse, bounds, is_stopped, of, read_caps
from driftwatch.usage.estimate import Estimate, Price, cost_usd, estimate, find_price
from driftwatch.usage.per_run import Cost, Tokens, cost_of, cost_per_run, measured_tokens

__all__ = [
    "STOPPED",
    "Amount",
    "Cap",
    "Cost",
    "Estimate",
    "Expectation",
    "Period",
    "Price",
    "Purse",
    "Tokens",
    "bounds",
    "cost_of",
    "cost_per_run",
    "cost_usd",
    "estimate",
    "find_price",
    "is_stopped",
    "measured_tokens",
    "of",
    "read_caps",
]
