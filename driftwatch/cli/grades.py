"""How findings count, and in which formats they are told; apart, because ``--help`` names them."""

from __future__ import annotations

from enum import StrEnum


class Grade(StrEnum):
    """How a finding counts."""

    DRIFT = "drift"
    """Something that pages: drift of behaviour or performance, or a tripwire that is set to page."""
    UNMEASURED = "unmeasured"
    """Nothing can be said: the endpoint failed, a budget is used up, or there was no run yet."""
    WARNING = "warning"
    """Worth a look: a tripwire that is set to notice, a watch that is not armed yet, trouble of the watch itself."""


class FailOn(StrEnum):
    """From where on ``check`` leaves with something else than 0."""

    WARNING = "warning"
    DRIFT = "drift"
    BEHAVIOUR = "behaviour"
    NEVER = "never"


class CheckFormat(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    SARIF = "sarif"
