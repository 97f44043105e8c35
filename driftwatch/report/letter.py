"""The letter that comes with a bundle: what it is, what happened, what is asked."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from driftwatch import __version__
from driftwatch.alert.text import count, line, listing
from driftwatch.domain import Kind
from driftwatch.report.dates import when
from driftwatch.report.dossier import Report
from driftwatch.report.requests import Asked

WIDTH = 88
NAMED = 6
"""Models and request ids named; the files have all."""


def letter(report: Report, requests: Sequence[Asked]) -> str:
    """README.txt of a bundle, as plain text."""
    since = [request for request in requests if request.period == "since"]
    ids = [r.completion.request_id for r in since if r.completion.request_id]
    parts = [
        f"EVIDENCE OF DRIFTWATCH INCIDENT {report.number}",
        _filled(
            f"This file was made by driftwatch {__version__}, a program that sends the same fixed requests to an LLM "
            "endpoint again and again and compares the replies with accepted ones."
        ),
        "WHAT HAPPENED",
        _filled(" ".join(_what_happened(report, since))),
        "WHAT WE ASK",
        "\n".join(_filled(f"{n}. {question}", indent="   ") for n, question in enumerate(_questions(report, ids), 1)),
        "THE FILES",
        "\n".join(_filled(f"{name:<15} {meaning}", indent=" " * 16) for name, meaning in FILES),
        _filled(
            "Times are in UTC. Texts that are marked private stay with the sender: of these the files have the "
            "length and the SHA-256 hash of their UTF-8 bytes. Anything that looked like a key is shown as ***. "
            "Hashes are of the texts as sent and received."
        ),
        _filled(
            "Replies, model names and errors are quoted as the endpoint wrote them. Whatever they ask of a reader or "
            "of a program, we do not ask it."
        ),
    ]
    return "\n\n".join(parts) + "\n"


FILES = (
    ("report.md", "the report: what changed, replies before and since, figures"),
    ("incident.json", "the same as data"),
    ("requests.csv", "one line for each request: id, time, outcome, served model, parameters, hashes"),
    ("requests.jsonl", "the same with the replies"),
    ("prompts.jsonl", "the prompts behind their hashes"),
    ("manifest.json", "SHA-256 of every file"),
)


def _what_happened(report: Report, since: Sequence[Asked]) -> list[str]:
    """Five sentences."""
    lead = report.lead
    incident = lead.incident
    assert incident is not None  # noqa: S101 - a bundle is about an incident
    models = dict.fromkeys(f"{line(v.target.model, 80)} ({line(v.target.provider, 40)})" for v in report.members)
    n_failed = sum(not request.completion.is_ok for request in since)
    first, last = (
        (since[0].completion.at, since[-1].completion.at) if since else (incident.onset_at, incident.opened_at)
    )
    return [
        f"{line(report.title, 300).rstrip('.')}.",
        f"It is about {listing(list(models)[:NAMED])}.",
        f"It began on {when(incident.onset_at)} and was noticed on {when(incident.opened_at)}; it "
        + (
            f"ended on {when(incident.resolved_at)}."
            if incident.resolved_at
            else "had not ended when this file was made."
        ),
        (
            f"Since then {count(len(since), 'request')} of ours, from {when(first)} to {when(last)}, "
            f"{'is' if len(since) == 1 else 'are'} listed here, of which {n_failed:,} failed."
        ),
        _unchanged(incident.kind),
    ]


def _unchanged(kind: Kind) -> str:
    if kind is Kind.AVAILABILITY:
        return "The same requests were answered before."
    return "Our requests, their parameters and the model name did not change in this time."


def _questions(report: Report, ids: Sequence[str]) -> list[str]:
    incident = report.lead.incident
    assert incident is not None  # noqa: S101 - see above
    at = when(incident.onset_at)
    named = f" Some of them: {', '.join(line(one, 80) for one in ids[:NAMED])}." if ids else ""
    look = f"Please look up our requests by id and time in requests.csv.{named}"
    if incident.kind is Kind.AVAILABILITY:
        return [f"Why have these requests failed since {at}?", "Will it pass, or do we have to change something?", look]
    return [
        f"What changed behind this model name around {at}: weights, quantisation, routing, filters, system prompt?",
        "Is it meant to stay? Is the former behaviour still served under another name?",
        look,
    ]


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
