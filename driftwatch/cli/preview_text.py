"""A preview of an acceptance in words: for a terminal, for a comment on a pull request, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from driftwatch.alert.text import count, line, listing, uncapped, when

if TYPE_CHECKING:
    from datetime import datetime

    from driftwatch.domain import Json
    from driftwatch.preview import Backtest, CanaryPreview, Preview

SHORT = 160
"""Characters of a reply that a preview shows; the report of the incident shows all."""

SHOWN = 20
"""Canaries that are shown with their replies, those that changed first; a number stands for the rest."""


def as_text(preview: Preview) -> str:
    """For a terminal: every reply is made safe to print."""
    said = [_heading(preview), "", *(row for fact in _before(preview) for row in _wrapped(*fact))]
    changed, rest = _canaries(preview)
    for canary in changed:
        said += ["", f"  {canary.canary_id}{'' if canary.is_accepted else ' (not accepted)'}: {_kinds(canary)}"]
        said += [
            f"    - {line(canary.before or '(no reply)', SHORT)}",
            f"    + {line(canary.after or '(no reply)', SHORT)}",
        ]
    if rest:
        said += ["", f"  {rest}"]
    said += ["", *(row for fact in _after(preview) for row in _wrapped(*fact))]
    return "\n".join([*said, "", "Nothing was written. To accept it:", f"  {command(preview)}"])


def as_markdown(preview: Preview) -> str:
    """For a comment on a pull request: what an endpoint said stands in code spans, which neither render nor notify."""
    rows = [f"| **{name}** | {escaped(text)} |" for name, text in (*_before(preview), *_after(preview))]
    changed, rest = _canaries(preview)
    said = [f"### {escaped(_heading(preview))}", "", "| | |", "|---|---|", *rows, ""]
    if changed:
        said += ["| canary | typical reply before | typical reply since | change |", "|---|---|---|---|"]
        said += [f"| {' | '.join(_cells(canary))} |" for canary in changed]
        said.append("")
    if rest:
        said += [escaped(rest), ""]
    return "\n".join([*said, "Nothing was written. To accept it:", "", "```sh", command(preview), "```"])


def as_json(preview: Preview) -> dict[str, Json]:
    """Every figure of it; replies whole, as data, but for those of private canaries."""
    proposal = preview.proposal
    return {
        "target": preview.target,
        "since": _iso(proposal.since),
        "replaces": {"id": proposal.current.id, "author": proposal.current.author},
        "scope": list(proposal.canary_ids),
        "expires_at": _iso(preview.expires_at),
        "runs": preview.n_runs,
        "replies": preview.n_replies,
        "anchor_runs": proposal.n_anchor_runs,
        "anchors": sum(map(len, proposal.anchors.values())),
        "calibration_runs": len(proposal.calibration),
        "calibration_wanted": proposal.calibration_wanted,
        "missing_runs": proposal.missing_runs,
        "is_armed": preview.armed_at is None,
        "armed_at": _iso(preview.armed_at),
        "change": list(preview.overall),
        "canaries": [
            {
                "id": canary.canary_id,
                "is_accepted": canary.is_accepted,
                "replies": canary.n_replies,
                "is_private": canary.is_private,
                "before": None if canary.is_private else canary.before,
                "after": None if canary.is_private else canary.after,
                "changes": list(canary.changes),
            }
            for canary in preview.canaries
        ],
        "unusual": [{"what": found.what, "why": found.why} for found in preview.unusual],
        "backtest": {
            "threshold": preview.threshold,
            "alarm_budget": preview.alarm_budget,
            "new_baseline": _backtest_json(preview.own),
            "replaced_baseline": _backtest_json(preview.replaced),
        },
        "creep": None
        if proposal.creep is None
        else {
            "first_baseline": proposal.creep.first_id,
            "since": _iso(proposal.creep.since),
            "acceptances_between": proposal.creep.n_between,
            "channels": {
                c.channel: {"first": c.first, "usual": c.usual, "now": c.now, "is_far": c.is_far}
                for c in proposal.creep.channels
            },
        },
        "resolves": [
            {
                "incident": found.incident_id,
                "number": found.number,
                "kind": found.kind.value,
                "headline": found.headline,
                "attribution": found.attribution,
                "other_targets": list(found.others),
            }
            for found in preview.resolved
        ],
        "command": command(preview),
    }


def command(preview: Preview) -> str:
    """What accepts exactly this."""
    proposal = preview.proposal
    words = ["driftwatch rebaseline", preview.target, *proposal.canary_ids]
    if not proposal.rows:
        words.append("--collect")
    elif not preview.resolved and proposal.since:
        words.append(f"--since {proposal.since:%Y-%m-%dT%H:%M:%SZ}")
    if preview.expires_at is not None:
        words.append(f"--expires {preview.expires_at:%Y-%m-%dT%H:%M:%SZ}")
    return " ".join([*words, '--reason "…"'])


def _heading(preview: Preview) -> str:
    replaced = preview.proposal.current
    return (
        f"{preview.target}: what would replace baseline {replaced.id} "
        f"(of {replaced.created_at:%Y-%m-%d}, accepted by {line(replaced.author, 60)})"
    )


def _before(preview: Preview) -> list[tuple[str, str]]:
    """What is accepted: name and sentence, to stand above the canaries."""
    facts = [("Accepted", _accepted(preview)), ("Baseline", _baseline(preview))]
    if preview.proposal.rows:
        kinds = "; ".join(map(line, preview.overall))
        facts.append(("Change", kinds or "no kind of change is borne out over all canaries"))
    return facts


def _after(preview: Preview) -> list[tuple[str, str]]:
    """What follows from it: name and sentence, to stand below the canaries."""
    facts = [("Unusual", _unusual(preview))] if preview.proposal.rows else []
    facts.append(("Backtest", " ".join(_alarms(preview))))
    if preview.proposal.creep is not None:
        facts.append(("Creep", preview.proposal.creep.in_words()))
    return [*facts, *(("Resolves", resolved) for resolved in _resolved(preview))]


def _accepted(preview: Preview) -> str:
    proposal = preview.proposal
    until = ""
    if preview.expires_at is not None:
        until = f"; until {when(preview.expires_at)}, then baseline {proposal.measured.id} comes back"
    if not proposal.rows or proposal.since is None:
        return f"nothing that is stored: the next runs begin a baseline anew{until}"
    whose = f", of {listing(proposal.canary_ids)} alone" if proposal.canary_ids else ""
    return (
        f"what was served since {when(proposal.since)}: {count(preview.n_runs, 'run')}, "
        f"{preview.n_replies:,} {'reply' if preview.n_replies == 1 else 'replies'}{whose}{until}"
    )


def _baseline(preview: Preview) -> str:
    proposal = preview.proposal
    n = len(proposal.calibration)
    within = f"within the hour by `driftwatch baseline {preview.target}`"
    if preview.armed_at is not None and not proposal.rows:
        wanted = count(proposal.calibration_wanted, "calibration run")
        return f"anchors, then {wanted}: armed by schedule around {when(preview.armed_at)}, or {within}"
    made = f"anchors from {count(proposal.n_anchor_runs, 'run')}, {count(n, 'calibration run')}"
    if preview.armed_at is None:
        return f"{made}; armed at once"
    missing = count(proposal.missing_runs, "calibration run")
    return f"{made}; {missing} missing: armed by schedule around {when(preview.armed_at)}, or {within}"


def _unusual(preview: Preview) -> str:
    return "; ".join(f"{found.what} {found.why}" for found in preview.unusual) or "nothing that is known"


def _alarms(preview: Preview) -> list[str]:
    """Both tests, and what so few runs can tell."""
    own, replaced = preview.own, preview.replaced
    said = [
        *([_tested("the new baseline over runs since the change", own)] if preview.proposal.rows else []),
        _tested(f"baseline {preview.proposal.measured.id} over the weeks before it", replaced),
    ]
    budget = preview.alarm_budget or f"one in {preview.threshold:,.0f} runs at most"
    if own.n_runs or replaced.n_runs:
        n = max(own.n_runs, replaced.n_runs)
        said.append(
            f"The alarm budget is {uncapped(budget)}; {count(n, 'run')} can show a gross misfit and prove no rate."
        )
    return said


def _tested(what: str, found: Backtest) -> str:
    if found.problem is not None:
        return f"{what[0].upper()}{what[1:]}: cannot be told, {found.problem}."
    assert found.since is not None  # noqa: S101 - a test without runs has a problem
    said = ", ".join(f"{kind} on {when(at)}" for kind, at in found.alarms)
    alarms = f"{count(len(found.alarms), 'alarm')} ({said})" if said else "no alarm"
    return f"{what[0].upper()}{what[1:]}: {alarms} in {count(found.n_runs, 'run')} since {when(found.since)}."


def _resolved(preview: Preview) -> list[str]:
    said = []
    for found in preview.resolved:
        others = (
            f"; the part of {listing(found.others)} stays open unless --group accepts it too" if found.others else ""
        )
        whose = f". {line(found.attribution)}" if found.attribution else ""
        said.append(f"incident {found.number} ({found.kind}): {line(found.headline)}{others}{whose}")
    return said or ["no incident: none is open"]


def _canaries(preview: Preview) -> tuple[Sequence[CanaryPreview], str]:
    """Those to show, those that changed first, and what is said of the rest."""
    changed = [canary for canary in preview.canaries if canary.changes or canary.before is None or canary.after is None]
    quiet = [canary for canary in preview.canaries if canary not in changed]
    shown = changed[:SHOWN]
    more = [f"{count(len(changed) - SHOWN, 'more canary')} with a change"] if len(changed) > SHOWN else []
    same = [f"{count(len(quiet), 'canary')} without a change beyond chance"] if quiet else []
    return shown, "; ".join([*more, *same])


def _kinds(canary: CanaryPreview) -> str:
    if canary.after is None:
        return "no reply since the change"
    if canary.before is None:
        return "had no accepted reply"
    return "; ".join(map(line, canary.changes))


def _wrapped(name: str, text: str) -> list[str]:
    import textwrap  # noqa: PLC0415 - beside its use

    indent = " " * 14
    return textwrap.wrap(
        text,
        118,
        initial_indent=f"{name:<14}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _backtest_json(found: Backtest) -> dict[str, Json]:
    return {
        "runs": found.n_runs,
        "since": _iso(found.since),
        "until": _iso(found.until),
        "alarms": [{"kind": kind.value, "at": at.isoformat()} for kind, at in found.alarms],
        "problem": found.problem,
    }


def escaped(text: str) -> str:
    """Text as Markdown shows it, in one line: nothing in it links, notifies, or ends a table's cell.

    A comment keeps an at sign apart from the name behind it: GitHub looks for names in what is rendered.
    """
    safe = re.sub(r"[\\`*_{}\[\]#!|~<>&]|(?<=\bwww)\.|:(?=//)", _entity, line(text, 2000), flags=re.IGNORECASE)
    return safe.replace("@", "@<!-- -->")


def _code(text: str) -> str:
    """Text in the type of code. Not in backticks: a backslash before a pipe would end the table's cell even there."""
    safe = re.sub(r"[!-/:-@\[-`{-~]", _entity, line(text, SHORT))
    return f"<code>{safe}</code>"


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found.group())};"


def _cells(canary: CanaryPreview) -> list[str]:
    name = _code(canary.canary_id) + ("" if canary.is_accepted else " (not accepted)")
    return [name, _reply(canary, canary.before), _reply(canary, canary.after), escaped(_kinds(canary))]


def _reply(canary: CanaryPreview, text: str | None) -> str:
    if text is None:
        return "(no reply)"
    if canary.is_private:
        return "(private)"
    return _code(text) if text.strip() else "(empty)"
