"""Teams' cards: small enough, of known elements, and no text in an element that reads Markdown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from driftwatch.alert.message import Message, Tone, compose
from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.teams import LARGEST, TeamsNotifier, body
from driftwatch.alert.text import units
from driftwatch.domain import Kind
from driftwatch.errors import DeliveryError

KNOWN = {
    "AdaptiveCard": {"$schema", "version", "msteams", "body"},
    "Container": {"style", "bleed", "items", "spacing"},
    "ColumnSet": {"spacing", "columns"},
    "Column": {"width", "items"},
    "RichTextBlock": {"inlines", "spacing"},
    "TextRun": {"text", "weight", "size", "isSubtle", "fontType"},
}
"""Elements and their keys. Source: adaptivecards.io/explorer, schema 1.4."""


def elements(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "type" in value:
            yield value
        for entry in value.values():
            yield from elements(entry)
    if isinstance(value, list):
        for entry in value:
            yield from elements(entry)


def card(message):
    said = body(message)
    assert said["type"] == "message"
    (attachment,) = said["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert units(json.dumps(said, ensure_ascii=False, separators=(",", ":"))) <= LARGEST
    return attachment["content"]


def texts(message):
    return [element["text"] for element in elements(card(message)) if element["type"] == "TextRun"]


def send(url, announcement):
    connection = ReceiverConnection(name="t", secrets={"webhook_url": lambda: url + "/flow?sig=x"}, timeout_s=5.0)
    return asyncio.run(TeamsNotifier(connection).send(announcement))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_card_has_only_elements_that_teams_knows(announce, kind):
    for element in elements(card(compose(announce(kind)))):
        assert set(element) - {"type"} <= KNOWN[element["type"]]


def test_a_card_says_what_happened_what_to_do_and_shows_the_replies(announce):
    said = texts(compose(announce()))
    assert said[0] == "Drift: support-bot"
    assert "driftwatch report 12" in said
    assert any("31 → 66 words" in text for text in said)
    assert '{"decision": "refuse", "reason": "The 30-day window has passed."}' in said
    assert "team-support" in said


def test_text_is_as_it_came_and_never_where_markdown_is_read(announce):
    reply = "**bold** [log in](https://evil.test) <at>ana</at> {{DATE(2017-02-14T06:00:00Z, SHORT)}}"
    pair = {"canary_id": "a/1", "prompt": reply, "before": reply, "after": ""}
    message = compose(announce(evidence={"pair": pair}))
    assert {element["type"] for element in elements(card(message))} == set(KNOWN)
    whole = "".join(texts(message))
    assert reply in whole, "nothing is lost"
    assert not any("{{" in text for text in texts(message)), "Teams would put a date there"
    assert "(nothing)" in whole


def test_a_hundred_kilobytes_leave_out_what_matters_least(announce):
    text = "😀" * 100_000
    pair = {"canary_id": text, "prompt": text, "before": text, "after": "\n" * 5_000}
    evidence = {"headline": text, "changes": [text] * 50, "pair": pair, "model": text}
    said = texts(compose(announce(evidence=evidence)))
    assert said[0] == "Drift: support-bot"
    assert "driftwatch report 12" in said
    assert said[-1].startswith("driftwatch incident 12")


def test_a_message_of_two_sentences_is_a_card_of_them():
    assert texts(Message(title="A", tone=Tone.GOOD, summary=("B.", "C."), footer="d")) == ["A", "B.", "C.", "d"]


def test_a_workflow_is_posted_to(http_server, announce):
    http_server.says(202)
    assert send(http_server.url, announce()) is None
    assert http_server.requests[0].path == "/flow?sig=x"


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (400, '{"error": {"code": "TriggerInputSchemaMismatch", "message": "The input is invalid."}}', "invalid."),
        (404, '{"error": "none"}', "(status 404): the workflow is gone or switched off"),
        (401, "", "let anyone trigger the workflow"),
    ],
)
def test_refusals_in_words(http_server, announce, status, said, words):
    http_server.says(status, said)
    with pytest.raises(DeliveryError) as failed:
        send(http_server.url, announce())
    assert words in str(failed.value)
    assert not failed.value.retryable
