"""What /healthz and /readyz are answered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the daemon is doing."""

    is_alive: bool
    """The scheduler has looked at the clock lately."""
    is_ready: bool
    """The store answers as well and can be written, and no target's latest run broke off."""
    is_writable: bool = True
    """The store can be written, as far as was last seen."""
    detail: str
    """One sentence; ``ok`` when there is nothing to say."""
    last_tick_age_s: float | None
    targets: int
    runs_in_flight: int
    paused: Mapping[str, str] = field(default_factory=dict)
    """Target name → the sentence of the budget that it waits for; a watch that keeps to its budget is well."""
