"""Canaries: load suites from YAML, decide whether their checks hold, pin their content in a lock file."""

from __future__ import annotations

from driftwatch.canaries.checks import CHECKS, evaluate
from driftwatch.canaries.load import Suite, load_suites, parse_suite
from driftwatch.canaries.lock import verify_lock, write_lock
from driftwatch.canaries.refusal import looks_like_refusal

__all__ = [
    "CHECKS",
    "Suite",
    "evaluate",
    "load_suites",
    "looks_like_refusal",
    "parse_suite",
    "verify_lock",
    "write_lock",
]
