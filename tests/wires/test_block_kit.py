"""Everything that is sent to Slack, checked by TypeScript's compiler against Slack's own types of its blocks.

The types know nothing of lengths; those are checked in ``tests/alert/receivers/test_slack_blocks.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from driftwatch.alert.message import compose, compose_digest, details, present
from driftwatch.alert.receivers.slack_actions import Action, Wish, buttons, view
from driftwatch.alert.receivers.slack_blocks import blocks
from driftwatch.domain import Announcement, Event, Incident, IncidentState, Kind, Severity, Transition

TYPES = {"package": "@slack/types", "types": "@slack/types/dist/index.d.ts"}
AT = datetime(2026, 3, 16, 14, tzinfo=UTC)
HOSTILE = [
    "```\n*bold* <!here> <@U123> <https://evil.example|click me> @channel :rotating_light:\n```",
    "\u202egnp.exe \x00\x1b[31m\ud800 \u2028 `${process.exit()}` </script> שלום",
    "😀" * 50_000,
    "",
]


def evidence(text: str) -> dict[str, Any]:
    return {
        "headline": f"shop-bot names another model: {text} → b, since Mon 16 Mar 09:00 UTC",
        "kind_of_change": [{"kind": "longer", "text": text or "Replies got longer", "why": text}],
        "changes": [text, "12 MB are left"],
        "evidence": 40_000.0,
        "threshold": 17_532.0,
        "channels": [{"name": "wording", "share": 0.6, "calibration_mean": 0.2, "since_onset_mean": 0.4}],
        "canaries": [{"id": text or "a/1", "channel": "wording", "is_affected": True}],
        "pair": {"canary_id": "a/1", "prompt": text, "before": text, "after": text, "after_completion_id": 7},
        "served_model": {"before": text, "after": "m-2"},
        "outcomes": {"timeout": 3},
        "last_error": text,
        "attribution": {
            "verdict": "provider",
            "summary": text or "x",
            "reasons": [{"text": "y", "points_to": "provider"}],
        },
        "steps": [{"command": f"df -h {text}", "meaning": text}],
        "provider": "openai",
    }


def announcement(kind: Kind, event: Event, text: str, *, n: int = 1, state: IncidentState) -> Announcement:
    members = tuple(
        Incident(
            id=12 + place,
            target=f"{text}-{place}",
            kind=kind,
            state=state,
            opened_at=AT,
            onset_at=AT - timedelta(hours=5),
            baseline_id=3,
            run_id=9,
            evidence=evidence(text),
            severity=Severity.CRITICAL,
            part_of=12 if place else None,
        )
        for place in range(n)
    )
    edge = Transition(
        id=1,
        incident_id=12,
        before=None,
        after=state,
        at=AT + timedelta(hours=1),
        author=text,
        reason=text,
        event=event,
    )
    return Announcement(incident=members[0], transition=edge, dedup_key="1:oncall", group=members, key="watch/12")


def variants() -> dict[str, list[dict[str, Any]]]:
    """Every kind and edge, plainly and with hostile strings everywhere, alone and as a group."""
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in Kind:
        for event in Event:
            state = {
                Event.ACKNOWLEDGED: IncidentState.ACKNOWLEDGED,
                Event.RESOLVED: IncidentState.RESOLVED,
            }.get(event, IncidentState.OPEN)
            told = announcement(kind, event, "shop-bot", n=7 if event is Event.JOINED else 1, state=state)
            found[f"{kind}_{event}"] = blocks(compose(told))
            found[f"{kind}_{event}_present"] = blocks(present(told), buttons(told))
    for place, text in enumerate(HOSTILE):
        for event in (Event.OPENED, Event.RESOLVED):
            for n in (1, 7):
                told = announcement(Kind.BEHAVIOUR, event, text, n=n, state=IncidentState.OPEN)
                found[f"hostile_{place}_{event}_{n}"] = blocks(compose(told), buttons(told))
                found[f"hostile_{place}_{event}_{n}_details"] = blocks(details(told))
                found[f"hostile_{place}_{event}_{n}_digest"] = blocks(compose_digest([told] * 3))
    over = announcement(Kind.BEHAVIOUR, Event.RESOLVED, "shop-bot", state=IncidentState.RESOLVED)
    many = [replace(over, group=(replace(over.incident, id=number),)) for number in range(40)]
    found["digest"] = blocks(compose_digest([*many, told]))
    return found


def modal(text: str = "shop-bot") -> dict[str, Any]:
    action = Action(wish=Wish.ACCEPT, number=12, key=text, author=text, user="U1", channel="C1", ts="1.1", trigger="t")
    return view(action)


def typed(messages: dict[str, list[dict[str, Any]]], views: list[dict[str, Any]]) -> str:
    """These as TypeScript, typed as what Slack takes; one line each after the first."""
    names = {name.replace("-", "_"): said for name, said in messages.items()}
    lines = ['import type { KnownBlock, ModalView } from "@slack/types";']
    lines += [f"export const {name}: KnownBlock[] = {json.dumps(said)};" for name, said in names.items()]
    lines += [f"export const view_{place}: ModalView = {json.dumps(said)};" for place, said in enumerate(views)]
    return "\n".join(lines)


@pytest.mark.timeout(120)
def test_slacks_own_types_take_every_message_and_view(type_errors):
    found = variants()
    assert len(found) > 100
    assert type_errors(typed(found, [modal(), modal(HOSTILE[0])]), **TYPES) == []


@pytest.mark.timeout(120)
def test_the_compiler_refuses_what_slack_refuses(type_errors):
    plain = {"type": "plain_text", "text": "x"}
    wrong = {
        "unknown_block": [{"type": "headline", "text": plain}],
        "mrkdwn_header": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
        "misspelt_key": [{"type": "header", "txt": plain}],
        "excess_key": [{"type": "header", "text": plain, "colour": "red"}],
        "unknown_style": [{"type": "actions", "elements": [{"type": "button", "text": plain, "style": "loud"}]}],
        "rich_text_list": [
            {"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "dash", "elements": []}]}
        ],
    }
    found = type_errors(typed(wrong, [{"type": "modal", "title": plain}]), **TYPES)
    refused = {line.partition("(")[2].partition(",")[0] for line in found}
    assert refused == {str(number) for number in range(2, 2 + len(wrong) + 1)}, found
