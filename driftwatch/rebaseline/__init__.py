"""Accepting new behaviour: a person's decision, made from what was stored since the change began, or from a file.

``proposal`` reads what would be accepted, ``accepting`` writes it, ``undoing`` takes it back or lets it expire,
``audit`` tells who changed what.
"""

from __future__ import annotations

from driftwatch.rebaseline.accepting import Acceptance, accept, bring_in
from driftwatch.rebaseline.audit import Act, Entry, audit
from driftwatch.rebaseline.proposal import MINIMUM_RUNS, Proposal, incidents_of, propose, series_key
from driftwatch.rebaseline.undoing import expire, keep, undo

__all__ = [
    "MINIMUM_RUNS",
    "Acceptance",
    "Act",
    "Entry",
    "Proposal",
    "accept",
    "audit",
    "bring_in",
    "expire",
    "incidents_of",
    "keep",
    "propose",
    "series_key",
    "undo",
]
