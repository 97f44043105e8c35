"""What ``check`` writes: one file for each format, and the dict of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from driftwatch.cli.formats.document import to_json
from driftwatch.cli.formats.junit import to_junit
from driftwatch.cli.formats.markdown import to_markdown
from driftwatch.cli.formats.outcome import Outcome
from driftwatch.cli.formats.sarif import to_sarif

__all__ = ["FORMATS", "Outcome"]

FORMATS: Mapping[str, Callable[[Outcome], str]] = {
    "json": to_json,
    "junit": to_junit,
    "markdown": to_markdown,
    "sarif": to_sarif,
}
"""Name → what writes it; a terminal's table is not among them, it is for eyes only."""
