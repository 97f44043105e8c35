"""What watching costs: requests, tokens and dollars, estimated before they are spent."""

from __future__ import annotations

from driftwatch.usage.estimate import Estimate, Price, cost_usd, estimate, find_price

__all__ = ["Estimate", "Price", "cost_usd", "estimate", "find_price"]
