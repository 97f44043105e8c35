"""``--format markdown``: what a job summary or a comment on a pull request shows."""

from __future__ import annotations

from driftwatch.cli.checked import Checked, Finding
from driftwatch.cli.formats.outcome import Outcome
from driftwatch.cli.grades import Grade
from driftwatch.report.escape import cell, text

LONGEST = 2_000
"""Characters of one cell or sentence; a reply can be as long as a book."""

_SIGNS = {Grade.DRIFT: "🔴", Grade.UNMEASURED: "⚪", Grade.WARNING: "🟠", None: "🟢"}
_WORDS = {Grade.DRIFT: "drift", Grade.UNMEASURED: "not measured", Grade.WARNING: "warning", None: "ok"}


def to_markdown(outcome: Outcome) -> str:
    """GitHub-flavoured Markdown; everything that is not driftwatch's own stands there literally."""
    parts = [f"## driftwatch: {_title(outcome)}", _table(outcome)]
    parts.extend(f"👀 **{text(check.target)}**: {text(check.notable)}" for check in outcome.checks if check.notable)
    parts.extend(_target(check) for check in outcome.checks if check.findings)
    if outcome.watch:
        parts.append("\n".join(["### The watch itself", "", *map(_told, outcome.watch)]))
    parts.append(f"<sub>driftwatch {outcome.version} · {outcome.at:%Y-%m-%d %H:%M} UTC</sub>")
    return "\n\n".join(parts) + "\n"


def _title(outcome: Outcome) -> str:
    counted = [(grade, outcome.count(grade)) for grade in (*Grade, None)]
    said = [f"{n} {_WORDS[grade]}" for grade, n in counted if n]
    return ", ".join(said) or "nothing to check"


def _table(outcome: Outcome) -> str:
    rows = ["| | target | model | state | this time | why |", "|---|---|---|---|---|---|"]
    for check in outcome.checks:
        did = "paused" if check.paused else "ran" if check.ran else "not due"
        state = check.state.value if check.state else "never run"
        cells = (check.target, check.model, state, did, check.paused or check.reason)
        rows.append(f"| {_SIGNS[check.grade]} | {' | '.join(cell(said, LONGEST) for said in cells)} |")
    return "\n".join(rows)


def _target(check: Checked) -> str:
    return "\n".join([f"### {text(check.target)}", "", *(_told(found) for found in check.findings)])


def _told(found: Finding) -> str:
    said = [f"- {_SIGNS[found.grade]} **{found.rule}**: {text(found.headline)}"]
    said.extend(f"  - {text(detail)}" for detail in found.details)
    if found.incident is not None:
        said.append(f"  - all the evidence: `driftwatch report {found.incident}`")
    return "\n".join(said)
