"""Whose a change is, as an incident keeps it: the verdict, its words, and everything that was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from driftwatch.domain import Json


class Whose(StrEnum):
    """Where a change comes from, as far as the evidence goes; also what a single reason points to."""

    PROVIDER = "provider"
    """What the provider serves under the model's name, wherever it is served."""
    ENDPOINT = "this endpoint"
    """This host or deployment: the same model elsewhere stayed as it was."""
    OURS = "our side"
    """driftwatch, its machine or network, its settings, or the team's own feature."""
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that was looked at to tell whose a change is."""

    text: str
    """One sentence."""
    points_to: Whose
    """UNKNOWN: it says nothing, and the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Whose a change is, with everything that was looked at."""

    verdict: Whose
    summary: str
    """One or two sentences: the verdict in words and, where nothing could be told, what would be needed."""
    reasons: tuple[Reason, ...] = ()
    """The deciding ones first."""

    def to_json(self) -> dict[str, Json]:
        """The stored form: ``verdict``, ``summary`` and ``reasons``, each a ``text`` with what it ``points_to``."""
        return {
            "verdict": self.verdict.value,
            "summary": self.summary,
            "reasons": [{"text": reason.text, "points_to": reason.points_to.value} for reason in self.reasons],
        }

    @classmethod
    def from_json(cls, stored: Json) -> Attribution | None:
        """Read the stored form; None without a known verdict or without words. Half a reason is left out."""
        if not isinstance(stored, Mapping):
            return None
        verdict, summary, reasons = _whose(stored.get("verdict")), stored.get("summary"), stored.get("reasons")
        if verdict is None or not isinstance(summary, str) or not summary:
            return None
        items = reasons if isinstance(reasons, list | tuple) else ()
        read = (_reason(item) for item in items if isinstance(item, Mapping))
        return cls(verdict=verdict, summary=summary, reasons=tuple(reason for reason in read if reason is not None))


def _reason(stored: Mapping[str, Json]) -> Reason | None:
    text, points_to = stored.get("text"), _whose(stored.get("points_to"))
    return Reason(text=text, points_to=points_to) if isinstance(text, str) and text and points_to else None


def _whose(value: Json) -> Whose | None:
    return next((whose for whose in Whose if whose.value == value), None)
