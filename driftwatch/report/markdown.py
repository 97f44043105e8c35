"""The report as Markdown, for a ticket, a chat or a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from driftwatch import __version__
from driftwatch.alert.meanings import meaning
from driftwatch.alert.text import amount, count, day, sentence
from driftwatch.report.canaries import MAX_CHARACTERS, Pair
from driftwatch.report.dates import when
from driftwatch.report.diff import Piece
from driftwatch.report.dossier import Report
from driftwatch.report.escape import cell, code, fence, text
from driftwatch.report.page import like, score
from driftwatch.report.record import Deed
from driftwatch.report.timeline import Mark
from driftwatch.report.view import Group, View

LEAST_SHARE = 0.01
"""A smaller part of the evidence is told as that."""

LEAST_COMMON_SHARE = 0.25
"""Replies that have less of their text in common are not shown word by word: every word would be marked."""


def markdown(report: Report) -> str:
    """The whole document; every foreign text is escaped or stands in a code block."""
    blocks = [f"# {text(report.title)}"]
    if report.number is not None and report.lead.incident is not None:
        grave = f" · {report.severity.value}" if report.severity else ""
        kind = report.lead.incident.kind.value
        blocks.append(f"**Incident {report.number}** · {kind}{grave} · {report.state}")
    else:
        blocks.append(f"**{text(report.state)}**")
    if report.is_group:
        blocks.append(text(report.extent))
        rows = [
            [view.heading, view.state, when(view.incident.onset_at), view.title]
            for view in report.members
            if view.incident
        ]
        blocks.append(_table(["Target", "State", "Since", "What"], rows))
    for view in report.members:
        blocks += [f"## {text(view.heading)}", *_section(view, "###")] if report.is_group else _section(view, "##")
    if report.record:
        blocks += ["## What was told and done", _list([_deed(deed) for deed in report.record])]
    if report.steps:
        blocks += ["## Next", _list([f"{code(command)}: {text(said)}" for command, said in report.steps])]
    made = f" on {day(report.at)}, {report.at:%H:%M} UTC" if report.at else ""
    blocks += ["---", f"Made by driftwatch {__version__}{made}."]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _section(view: View, h: str) -> list[str]:
    evidence, incident = view.evidence, view.incident
    blocks = [text(" ".join([*view.sentences, *view.kinds]), 4000), _list(_facts(view))]
    if evidence.attribution:
        found = evidence.attribution
        verdict = "" if found.verdict.value in found.summary.lower() else f"**{found.verdict.value.capitalize()}**: "
        blocks += [f"{h} Where it comes from", f"{verdict}{text(found.summary)}"]
        blocks.append(_list([f"{text(r.text)} ({r.points_to.value})" for r in found.reasons]))
    if evidence.changes:
        is_watch = incident is not None and incident.kind.value == "watch-itself"
        blocks.append(f"{h} {'What to do' if is_watch else 'What changed'}")
        if not is_watch:
            blocks.append("Accepted → since the onset; in brackets the 95 % interval of the difference.")
        blocks.append(_list([text(sentence) for sentence in evidence.changes]))
    if view.pairs:
        blocks.append(f"{h} Before and after")
        blocks += [block for pair in view.pairs for block in _pair(pair, f"{h}#")]
    blocks += _failures(view, h)
    if view.sure:
        blocks += [f"{h} How sure this is", text(" ".join(view.sure), 4000)]
    if view.marks:
        moments = [f"{when(m.moment.at)}: {text(m.moment.text)}{_until(m)}" for m in view.marks]
        blocks += [f"{h} Timeline", _list(moments)]
    if view.groups:
        blocks += [f"{h} Channels", "Mean score; in brackets the middle 90 % of calibration."]
        blocks += [block for group in view.groups for block in _channels(group)]
    if view.affected:
        table = view.affected
        blocks += [f"{h} Affected canaries", "Mean score in calibration → since the onset."]
        rows = [
            [
                row.canary_id,
                *(f"{score(c.calibration_mean)} → {score(c.since_onset_mean)}" if c else "" for c in row.cells),
            ]
            for row in table.rows
        ]
        blocks.append(_table(["Canary", *table.channels], rows))
        if table.n_left_out:
            blocks.append(f"{table.n_left_out} more left out.")
    return blocks


def _facts(view: View) -> list[str]:
    evidence, incident = view.evidence, view.incident
    facts = []
    if view.target.model:
        where = f", {code(view.target.base_url)}" if view.target.base_url else ""
        facts.append(f"Endpoint: {code(view.target.model)} at {text(view.target.provider)}{where}")
    if incident:
        facts += [f"Since: {when(incident.onset_at)}", f"Alarm: {when(incident.opened_at)}"]
    if evidence.evidence is not None and evidence.threshold is not None:
        facts.append(
            f"Evidence: M = {amount(evidence.evidence)} at the alarm; the bar is A = {evidence.threshold:,.0f}"
        )
    if view.target.owner:
        facts.append(f"Owner: {text(view.target.owner)}")
    if view.baseline:
        by = f" by {text(view.baseline.author)}" if view.baseline.author else ""
        facts.append(f"Compared to: baseline {view.baseline.id}{by}, {day(view.baseline.created_at)}")
    if view.cost:
        since = f"{view.cost.since.text} since the onset; " if view.cost.since else ""
        facts.append(f"Cost: {since}{view.cost.total.text} in total")
    return facts


def _pair(pair: Pair, h: str) -> list[str]:
    before, after = pair.replies
    private = " (private)" if pair.is_private else ""
    blocks = [f"{h} {text(pair.canary_id)}{private}", text(pair.reason)]
    if pair.prompt:
        blocks += ["Asked:", fence(pair.prompt, MAX_CHARACTERS)]
    blocks += [f"Accepted, {when(before.at)}:", fence(_joined(pair.before), MAX_CHARACTERS)]
    told = f", request {code(after.request_id)}" if after.request_id else ""
    blocks += [f"Since the onset, {when(after.at)}{told}:", fence(_joined(pair.after), MAX_CHARACTERS)]
    if word_by_word := _differences(pair):
        blocks += ["Word by word, `[-only before-]` and `{+only since+}`:", fence(word_by_word, 2 * MAX_CHARACTERS)]
    return blocks


def _differences(pair: Pair) -> str:
    """Both replies in one, marked as ``git diff --word-diff`` does; empty when they have too little in common."""
    common = sum(len(piece.text) for piece in pair.before if not piece.is_changed)
    if common < LEAST_COMMON_SHARE * len(_joined(pair.before)):
        return ""
    parts, old, new = [], list(pair.before), list(pair.after)
    while old or new:
        if old and old[0].is_changed:
            parts.append(f"[-{old.pop(0).text}-]")
        elif new and new[0].is_changed:
            parts.append(f"{{+{new.pop(0).text}+}}")
        else:  # what both have in common is one piece on either side
            parts.append((old or new)[0].text)
            old, new = old[1:], new[1:]
    return "".join(parts)


def _failures(view: View, h: str) -> list[str]:
    found = view.failures
    if found is None:
        return []
    rows = [[when(run.at), *(str(n) if n else "" for n in run.by_outcome), str(run.n_ok)] for run in found.runs]
    errors = [
        f"{when(e.at)}, {code(e.request_id) if e.request_id else 'no request id'}: {e.outcome}: {text(e.error)}"
        + (f" (and {count(e.n_alike - 1, 'request')} alike)" if e.n_alike > 1 else "")
        for e in found.errors
    ]
    return [
        f"{h} How the requests failed",
        _table(["Run", *found.outcomes, "answered"], rows),
        f"{h} Last errors",
        _list(errors),
    ]


def _channels(group: Group) -> list[str]:
    rows = []
    for plot in group.plots:
        c = plot.evidence
        usual = f"{like(c.calibration_mean, c)} ({like(c.calibration_low, c)}–{like(c.calibration_high, c)})"
        now = c.since_onset_mean if group.is_drifted else c.value
        share = [_share(c.share)] if group.is_drifted else []
        rows.append([c.channel, meaning(c.channel), usual, like(now, c), *share])
    header = ["Since the onset", "Share of the evidence"] if group.is_drifted else ["Latest"]
    return [
        f"**{group.title}**: {text(group.standing)}",
        _table(["Channel", "What it looks at", "Usual", *header], rows),
    ]


def _share(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= LEAST_SHARE else "under 1 %"


def _until(mark: Mark) -> str:
    if mark.moment.until:
        return f" to {when(mark.moment.until)}"
    return ", lasting" if mark.moment.is_outage else ""


def _deed(deed: Deed) -> str:
    told = f" Told: {text('; '.join(delivery.text for delivery in deed.told))}." if deed.told else ""
    what = text(f"{deed.target}: {deed.what}" if deed.target else deed.what)
    return f"{when(deed.at)}: {what}, by {text(deed.author, 100)}: {sentence(text(deed.reason))}{told}"


def _joined(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"* {item}" for item in items)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[cell(name) for name in header], ["---"] * len(header), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
