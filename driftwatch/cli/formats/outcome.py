"""What a check found, as every format is given it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftwatch.cli.checked import Checked, Finding
from driftwatch.cli.grades import Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One ``driftwatch check``."""

    at: datetime
    checks: Sequence[Checked]
    watch: Sequence[Finding]
    """Trouble of the watch as a whole."""
    version: str
    """Of driftwatch."""

    def count(self, grade: Grade | None) -> int:
        """How many targets are of a grade."""
        return sum(check.grade is grade for check in self.checks)
