"""Slack's documented limits, checked strictly, on every message and on hostile ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from driftwatch.alert.evidence import Pair
from driftwatch.alert.message import Message, NextStep, Section, Tone, compose
from driftwatch.alert.receivers.slack_actions import buttons
from driftwatch.alert.receivers.slack_blocks import blocks, notification_text
from driftwatch.domain import Event, IncidentState, Kind

# Source: docs.slack.dev/reference/block-kit (blocks, rich-text-block, composition-objects/text-object), 2025.
MAX_BLOCKS = 50
HEADER_TEXT = 150
TEXT_OBJECT = 3_000
SECTION_FIELDS, FIELD_TEXT = 10, 2_000
CONTEXT_ELEMENTS = 10
ACTIONS_ELEMENTS, BUTTON_TEXT, BUTTON_VALUE, ACTION_ID = 25, 75, 2_000, 255
# Not documented; the largest sum that Slack is known to refuse is 11,341 characters of text, 13,200 of JSON.
ALL_BLOCKS = 11_341

HOSTILE = [
    "```\n*bold* <!here> <!channel> <@U123> <https://evil.example|click me> @channel :rotating_light:\n```",
    "&lt;!here&gt; & < > \\u003c!here\\u003e",
    "\u202egnp.exe \u200b\u2066 \ufeff hidden",
    "\x00\x1b[31m\ud800",
    "שלום <!everyone> مرحبا",
    "👩‍👩‍👧🇩🇪👍🏽" * 3_000,
    "a" * 100_000,
    '"\\' * 50_000,
    "\n" * 100_000,
    "",
]


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def problems(payload: list[dict[str, Any]]) -> list[str]:
    """What Slack would refuse, in words; empty when it would take the blocks."""
    found = [] if 1 <= len(payload) <= MAX_BLOCKS else [f"{len(payload)} blocks"]
    if utf16(json.dumps(payload, ensure_ascii=False)) > ALL_BLOCKS:
        found.append("the blocks together are too long")
    for block in payload:
        found.extend(PROBLEMS[block["type"]](block))
    return found


def text_object_problems(text: dict[str, Any], longest: int) -> list[str]:
    found = [] if 1 <= utf16(text["text"]) <= longest else [f"text of {utf16(text['text'])}"]
    allowed = {"type", "text", "emoji"} if text["type"] == "plain_text" else {"type", "text", "verbatim"}
    return found + [f"unknown key {key}" for key in text.keys() - allowed]


def header_problems(block: dict[str, Any]) -> list[str]:
    is_plain = block["text"]["type"] == "plain_text"
    return ([] if is_plain else ["a header takes plain_text only"]) + text_object_problems(block["text"], HEADER_TEXT)


def context_problems(block: dict[str, Any]) -> list[str]:
    found = [] if 1 <= len(block["elements"]) <= CONTEXT_ELEMENTS else ["elements of a context"]
    return found + [p for element in block["elements"] for p in text_object_problems(element, TEXT_OBJECT)]


def section_problems(block: dict[str, Any]) -> list[str]:
    fields = block.get("fields", [])
    found = [] if len(fields) <= SECTION_FIELDS else ["too many fields"]
    found += [] if "text" in block or fields else ["neither text nor fields"]
    found += text_object_problems(block["text"], TEXT_OBJECT) if "text" in block else []
    return found + [p for field in fields for p in text_object_problems(field, FIELD_TEXT)]


def rich_text_problems(block: dict[str, Any]) -> list[str]:
    found = [] if block["elements"] else ["rich_text without elements"]
    for element in block["elements"]:
        if element["type"] == "rich_text_list":
            found += [] if element["style"] in {"bullet", "ordered"} else ["style of a list"]
            parts = [part for row in element["elements"] for part in row["elements"]]
            found += [row["type"] for row in element["elements"] if row["type"] != "rich_text_section"]
        elif element["type"] in {"rich_text_section", "rich_text_preformatted"}:
            parts = element["elements"]
        else:
            parts, found = [], [*found, f"unknown element {element['type']}"]
        for part in parts:
            found += [] if part["type"] == "text" else [f"unexpected {part['type']}"]
            found += [] if 1 <= utf16(part["text"]) <= TEXT_OBJECT else [f"rich text of {utf16(part['text'])}"]
            found += [f"style {s}" for s in part.get("style", {}) if s not in {"bold", "italic", "strike", "code"}]
    return found


def actions_problems(block: dict[str, Any]) -> list[str]:
    elements = block["elements"]
    found = [] if 1 <= len(elements) <= ACTIONS_ELEMENTS else ["elements of actions"]
    for element in elements:
        found += text_object_problems(element["text"], BUTTON_TEXT)
        found += (
            [] if len(element["action_id"]) <= ACTION_ID and len(element["value"]) <= BUTTON_VALUE else ["a button"]
        )
    return found if len({element["action_id"] for element in elements}) == len(elements) else [*found, "an id twice"]


PROBLEMS = {
    "actions": actions_problems,
    "header": header_problems,
    "context": context_problems,
    "section": section_problems,
    "rich_text": rich_text_problems,
}


def rich_texts(payload: list[dict[str, Any]]) -> Iterator[str]:
    """Every string that Slack shows literally."""
    for block in payload:
        if block["type"] == "rich_text":
            yield from (part["text"] for part in walk(block) if part.get("type") == "text")


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def parsed_texts(payload: list[dict[str, Any]]) -> Iterator[str]:
    """Every string that goes through a text object, where Slack's control characters could count."""
    yield from (part["text"] for part in walk(payload) if part.get("type") in {"plain_text", "mrkdwn"})


def test_the_validator_refuses_what_slack_refuses():
    plain = {"type": "plain_text", "text": "x"}
    for bad in (
        [],
        [{"type": "header", "text": plain}] * 51,
        [{"type": "header", "text": plain | {"text": "x" * 151}}],
        [{"type": "header", "text": plain | {"type": "mrkdwn"}}],
        [{"type": "header", "text": plain | {"text": ""}}],
        [{"type": "section", "text": plain | {"text": "x" * 3_001}}],
        [{"type": "section", "fields": [plain] * 11}],
        [{"type": "section", "fields": [plain | {"text": "x" * 2_001}]}],
        [{"type": "section"}],
        [{"type": "context", "elements": [plain | {"style": "bold"}]}],
        [{"type": "context", "elements": []}],
        [{"type": "rich_text", "elements": []}],
        [
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": ""}]}],
            }
        ],
        [{"type": "section", "text": plain | {"text": "x" * 2_900}}] * 4,
    ):
        assert problems(bad), bad


@pytest.mark.parametrize("after", list(IncidentState))
@pytest.mark.parametrize("kind", list(Kind))
def test_slack_takes_every_kind_of_message(announce, kind, after):
    message = compose(announce(kind, after))
    assert problems(blocks(message)) == []
    assert 1 <= utf16(notification_text(message)) <= 4_000


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_slack_takes_any_reply_and_shows_it_literally(announce, text):
    pair = {"canary_id": "support/refund", "prompt": text, "before": text, "after": text}
    payload = blocks(compose(announce(evidence={"pair": pair})))
    assert problems(payload) == []
    assert not [shown for shown in parsed_texts(payload) if set("<>&") & set(shown)]
    assert not [shown for shown in rich_texts(payload) if {"\x00", "\x1b", "\u202e", "\u200b", "\ud800"} & set(shown)]


def test_a_code_fence_in_a_reply_ends_nothing(announce):
    text = "before\n```\n*Recovered*\n```"
    payload = blocks(compose(announce(evidence={"pair": {"canary_id": "a/1", "before": "b", "after": text}})))
    preformatted = [part for part in walk(payload) if part.get("type") == "rich_text_preformatted"]
    assert [part["elements"] for part in preformatted] == [
        [{"type": "text", "text": "(nothing)"}],
        [{"type": "text", "text": "b"}],
        [{"type": "text", "text": text}],
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_slack_takes_any_name_and_any_sentence_from_outside(announce, text):
    evidence = {
        "headline": text,
        "changes": [text] * 20,
        "channels": [{"name": text or "x", "share": 0.5, "calibration_mean": 0.1, "since_onset_mean": 0.2}] * 20,
        "canaries": [{"id": text or "x", "channel": text or "x", "is_affected": True}] * 20,
        "pair": {"canary_id": text or "x", "prompt": text, "before": text, "after": text},
        "served_model": {"before": text, "after": text},
        "baseline": {"id": 3, "author": text},
        "model": text,
        "provider": text,
        "alarm_budget": text,
        "evidence": 9e300,
        "threshold": 9e300,
    }
    for kind in Kind:
        for after in IncidentState:
            message = compose(announce(kind, after, author=text, reason=text, target=text, evidence=evidence))
            payload = blocks(message)
            assert problems(payload) == []
            assert not [shown for shown in parsed_texts(payload) if set("<>&") & set(shown)]


def test_the_longest_message_there_can_be_fits(tell):
    line = "&" * 400
    message = Message(
        title="T" * 400,
        tone=Tone.ALARM,
        summary=(line,) * 12,
        changes=(line,) * 5,
        sections=(*(Section(title="S" * 90, lines=(line,) * 5),) * 3, Section(title="S" * 90, lines=(line,) * 11)),
        pair=Pair(canary_id=line, prompt=line, before='"' * 5_000, after="\n" * 5_000, before_completion_id=10**9),
        fields=(("Baseline", line),) * 8,
        steps=(NextStep(command="c" * 300, meaning="m" * 300),) * 9,
        footer=line,
    )
    payload = blocks(message, buttons(tell(Event.OPENED)))
    assert problems(payload) == []


def test_the_longest_digest_fits():
    lines = tuple("&" * 400 for _ in range(13))
    sections = (Section(title="Still open (99)", lines=lines), Section(title="Over (99)", lines=lines))
    message = Message(title="T" * 400, tone=Tone.ALARM, summary=("s" * 400,), sections=sections, footer="f" * 400)
    assert problems(blocks(message)) == []


def test_a_reply_is_quoted_generously_where_there_is_room(announce):
    reply = "a sentence of the reply. " * 40
    assert reply in set(rich_texts(blocks(compose(announce(evidence={"pair": {"canary_id": "a/1", "after": reply}})))))


@given(st.text(max_size=300))
def test_the_notification_text_mentions_nobody(text):
    message = Message(title=text, tone=Tone.ALARM, summary=(f"{text} <!here> @channel",))
    shown = notification_text(message)
    assert not {"<", ">"} & set(shown)
    assert "@" not in shown.replace("@\u2060", "")


def test_a_message_without_extras_is_a_header_and_its_sentences(announce):
    message = replace(
        compose(announce()), changes=(), sections=(), pair=None, fields=(), steps=(), footer="", summary=("One.",)
    )
    assert [block["type"] for block in blocks(message)] == ["header", "rich_text"]
