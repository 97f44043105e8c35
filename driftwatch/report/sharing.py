"""What may leave the team: a report without people, addresses, secrets, and texts that a suite keeps private."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.text import count, quote
from driftwatch.briefing import shown
from driftwatch.domain import Canary, Json, Target
from driftwatch.providers.masking import MASK, mask
from driftwatch.report import words
from driftwatch.report.canaries import MAX_CHARACTERS, Pair
from driftwatch.report.diff import Piece, compare
from driftwatch.report.dossier import Report
from driftwatch.report.failures import Failures
from driftwatch.report.view import View

_ADDRESSES = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+"  # any URL
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"  # IPv4
    r"|\[[0-9a-f:]*:[0-9a-f:]*\](?::\d+)?"  # IPv6
    r"|\b[\w-]+(?:\.[\w-]+)*\.(?:internal|local|localdomain|lan|corp|home|intranet|svc)\b(?::\d+)?"
    r"|\blocalhost\b(?::\d+)?"
    r"|\b[\w-]+(?:\.[\w-]+)+:\d{2,5}\b"  # any name with a port
    r"|\b[a-z][\w-]*:\d{4,5}\b",
    re.IGNORECASE,
)
_PATHS = re.compile(
    r"(?<![\w/])(?:~|/(?:home|Users|root|var|tmp|etc|opt|srv|mnt|usr|data|app|work))/[^\s'\":;,]*|\b[A-Z]:\\[^\s'\"]*"
)
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")


_NAMES_A_SECRET = re.compile(
    r"authori[sz]ation|cookie|credential|passw|secret|signature|bearer|api[-_ ]?key|(?:^|[-_])(?:key|token|auth)$",
    re.IGNORECASE,
)
"""Names of parameters whose value is hidden whatever it looks like; ``max_tokens`` is none."""

LEFT_OUT = "(left out: it may quote a private text)"
"""What stands in the place of an error that a canary drew which is private or not known any more."""


def shareable(report: Report, *, errors: Collection[str] = ()) -> Report:
    """The report for somebody outside: what happened and what proves it, not who owns it or was told.

    Args:
        report: for the team.
        errors: sentences of failures that may leave it, as they are stored: those that canaries drew which are not
            private. Others may quote a prompt or a reply.
    """
    every = {host for view in report.members for host in hosts_of(view.target)}
    return replace(
        report,
        title=cleansed(report.title, every),
        members=tuple(_member(view, errors) for view in report.members),
        record=(),
        steps=(),
        at=None,
    )


def hosts_of(target: Target) -> set[str]:
    """Names of the hosts that a target is asked at and through, as far as the config and HTTPS_PROXY name them."""
    urls = [target.base_url or "", *getproxies_environment().values()]
    return {host for url in urls if (host := _host(url))}


def _host(url: str) -> str | None:
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:  # e.g. half an IPv6 address; whoever asks there is told so
        return None


def cleansed(said: str, hosts: Collection[str] = ()) -> str:
    """A sentence without secrets, addresses, paths and mail addresses.

    Args:
        said: by the endpoint, or by driftwatch of it.
        hosts: names that are addresses though nothing about them says so.

    >>> cleansed("cannot reach http://10.0.0.7:8000/v1, see /srv/watch/watch.log")
    'cannot reach (address left out) see (path left out)'
    """
    said = _MAIL.sub("(address left out)", _ADDRESSES.sub("(address left out)", mask(said)))
    for host in sorted(hosts, key=len, reverse=True):  # no name before one that it is part of
        found = re.compile(rf"(?<![\w.-]){re.escape(host)}(?::\d+)?(?![\w-])", re.IGNORECASE)
        said = found.sub("(address left out)", said)
    return _PATHS.sub("(path left out)", said)


def cleansed_value(value: Json, hosts: Collection[str] = ()) -> Json:
    """A request's parameter without secrets and addresses: a tool may carry its server's, with a key in a header.

    >>> cleansed_value({"headers": {"Authorization": "Basic dTpw"}, "url": "http://mcp/x", "max_tokens": 9})
    {'headers': {'Authorization': '***'}, 'url': '(address left out)', 'max_tokens': 9}
    """
    if isinstance(value, str):
        return cleansed(value, hosts)
    if isinstance(value, Mapping):
        return {
            name: MASK if isinstance(inner, str) and _NAMES_A_SECRET.search(str(name)) else cleansed_value(inner, hosts)
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [cleansed_value(inner, hosts) for inner in value]
    return value


def fingerprint(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def prompt_of(canary: Canary) -> str:
    """A canary's messages as canonical JSON: what is hashed as its prompt."""
    messages: list[Json] = [
        {
            "role": message.role,
            "content": message.content,
            **({"tool_calls": [[c.name, c.arguments, c.id] for c in message.tool_calls]} if message.tool_calls else {}),
            **({"tool_call_id": message.tool_call_id} if message.tool_call_id else {}),
        }
        for message in canary.messages
    ]
    return json.dumps(messages, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _member(view: View, errors: Collection[str]) -> View:
    incident, hosts = view.incident, hosts_of(view.target)
    evidence = _evidence(view.evidence, errors, hosts)
    sentences = words.about_incident(incident, evidence, view.verdict, ()) if incident else view.sentences
    return replace(
        view,
        title=cleansed(view.title, hosts),
        subtitle=cleansed(view.subtitle, hosts),
        marks=tuple(
            replace(mark, moment=replace(mark.moment, text=cleansed(mark.moment.text, hosts))) for mark in view.marks
        ),
        sentences=tuple(cleansed(sentence, hosts) for sentence in sentences),
        kinds=tuple(cleansed(sentence, hosts) for sentence in view.kinds),
        target=replace(view.target, base_url=None, owner=None, feature=None, options={}),
        baseline=replace(view.baseline, author="", reason="") if view.baseline else None,
        evidence=evidence,
        transitions=(),
        failures=_failures(view.failures, errors, hosts) if view.failures else None,
        pairs=tuple(_pair(pair) for pair in view.pairs),
    )


def _evidence(kept: IncidentEvidence, errors: Collection[str], hosts: Collection[str]) -> IncidentEvidence:
    found = kept.attribution
    is_open = kept.last_error is not None and kept.last_error in errors
    return replace(
        kept,
        headline=cleansed(kept.headline, hosts),
        kind_of_change=tuple(
            replace(each, text=cleansed(each.text, hosts), why=cleansed(each.why, hosts))
            for each in kept.kind_of_change
        ),
        changes=tuple(cleansed(sentence, hosts) for sentence in kept.changes),
        pair=None,
        owner=None,
        feature=None,
        baseline=None,
        last_error=cleansed(kept.last_error, hosts) if kept.last_error and is_open else None,
        attribution=replace(
            found,
            summary=cleansed(found.summary, hosts),
            reasons=tuple(replace(reason, text=cleansed(reason.text, hosts)) for reason in found.reasons),
        )
        if found
        else None,
        steps=(),
    )


def _failures(found: Failures, errors: Collection[str], hosts: Collection[str]) -> Failures:
    said = {e.error: cleansed(e.error, hosts) if e.error in errors or not e.error else LEFT_OUT for e in found.errors}
    return replace(found, errors=tuple(replace(error, error=said[error.error]) for error in found.errors))


def _pair(pair: Pair) -> Pair:
    was, is_now = (shown(reply) for reply in pair.replies)
    if pair.is_private:
        before, after = (hidden(text) for text in (was, is_now))
        return replace(
            pair,
            reason="",
            prompt=hidden(pair.prompt),
            before=(Piece(text=before, is_changed=True),),
            after=(Piece(text=after, is_changed=True),),
            replies=(
                replace(pair.replies[0], text=before, tool_calls=()),
                replace(pair.replies[1], text=after, tool_calls=()),
            ),
        )
    before, after = mask(was), mask(is_now)
    pieces = compare(quote(before, MAX_CHARACTERS), quote(after, MAX_CHARACTERS))
    return replace(
        pair,
        reason=cleansed(pair.reason),
        prompt=mask(pair.prompt),
        before=pieces[0],
        after=pieces[1],
        replies=(
            replace(pair.replies[0], text=before, tool_calls=()),
            replace(pair.replies[1], text=after, tool_calls=()),
        ),
    )


def hidden(text: str) -> str:
    """What stands in the place of a private text: its length and hash."""
    return f"(private: {count(len(text), 'character')}, sha256 {fingerprint(text)})"
