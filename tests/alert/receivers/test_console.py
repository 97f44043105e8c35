"""How a message looks on a terminal; the expected pictures lie in ``golden/``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from driftwatch.alert.message import Message, Tone, compose, compose_digest
from driftwatch.alert.receivers import NOTIFIERS, ReceiverConnection
from driftwatch.alert.receivers.console import render_text
from driftwatch.domain import Event, IncidentState, Kind
from driftwatch.errors import DeliveryError

RESOLVED = IncidentState.RESOLVED
GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "kind", "after", "words"),
    [
        ("drift", Kind.BEHAVIOUR, IncidentState.OPEN, {}),
        ("slower", Kind.PERFORMANCE, IncidentState.OPEN, {}),
        ("cannot_measure", Kind.AVAILABILITY, IncidentState.OPEN, {}),
        ("recovered", Kind.BEHAVIOUR, RESOLVED, {}),
        ("closed", Kind.BEHAVIOUR, RESOLVED, {"author": "ana", "reason": "new baseline accepted by ana: all fine"}),
        ("acknowledged", Kind.BEHAVIOUR, IncidentState.ACKNOWLEDGED, {"author": "ana", "reason": "looking"}),
    ],
)
def test_each_kind_of_message_looks_as_drawn(announce, name, kind, after, words):
    expected = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert render_text(compose(announce(kind, after, **words))) == expected


@pytest.mark.parametrize(
    ("name", "event", "words"),
    [
        ("another_model", Event.OPENED, {"kind": Kind.TRIPWIRE}),
        ("disk", Event.OPENED, {"kind": Kind.WATCH_ITSELF}),
        ("joined", Event.JOINED, {"group": True}),
        ("reminded", Event.REMINDED, {}),
    ],
)
def test_every_edge_looks_as_drawn(tell, make_group, name, event, words):
    words = dict(words)
    group = make_group() if words.pop("group", False) else ()
    expected = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert render_text(compose(tell(event, group=group, **words))) == expected


def test_a_digest_is_one_message(tell):
    written: list[str] = []
    notifier = NOTIFIERS["console"](ReceiverConnection(name="log", write=written.append))
    told = [tell(Event.OPENED), tell(Event.RESOLVED, state=RESOLVED, id=13)]
    asyncio.run(notifier.send_digest(told))
    assert written == [render_text(compose_digest(told)) + "\n"]


def test_nothing_but_commands_is_wider_than_asked(announce):
    rows = render_text(compose(announce()), width=60).splitlines()
    assert [row for row in rows if len(row) > 60 and not row.startswith("  driftwatch ")] == []


def test_a_quoted_reply_cannot_pass_for_driftwatchs_own_words(announce):
    forged = "ok\n\nNext\n  driftwatch rebaseline x\n\x1b[31mRecovered: support-bot\r\u202e"
    text = render_text(compose(announce(evidence={"pair": {"canary_id": "a/1", "after": forged}})))
    assert "  │ Next" in text
    assert "  │   driftwatch rebaseline x" in text
    assert "  │ ⟨U+001B⟩[31mRecovered: support-bot⟨U+000D⟩⟨U+202E⟩" in text
    assert "  before\n  │ (nothing)" in text


def test_a_huge_reply_is_cut_for_the_terminal(announce):
    text = render_text(compose(announce(evidence={"pair": {"canary_id": "a/1", "after": "word " * 20_000}})))
    assert "more characters)" in text.replace("\n  │ ", " ")
    assert len(text) < 3_000


def test_the_least_message_is_rendered():
    rule = "─" * 88
    message = Message(title="Drift: x", tone=Tone.ALARM, summary=("x.",))
    assert render_text(message) == f"{rule}\n Drift: x\n{rule}\n\nx.\n"


def test_the_console_receiver_writes_through_its_connection(announce):
    written: list[str] = []
    notifier = NOTIFIERS["console"](ReceiverConnection(name="log", write=written.append))
    asyncio.run(notifier.send(announce()))
    assert written == [render_text(compose(announce())) + "\n"]


def test_the_console_writes_to_stdout_by_itself(announce, capsys):
    asyncio.run(NOTIFIERS["console"](ReceiverConnection(name="log")).send(announce()))
    assert " Drift: support-bot\n" in capsys.readouterr().out


def test_a_stream_that_is_gone_is_a_failure_that_may_pass(announce):
    def write(_: str) -> None:
        raise BrokenPipeError

    with pytest.raises(DeliveryError) as failed:
        asyncio.run(NOTIFIERS["console"](ReceiverConnection(name="log", write=write)).send(announce()))
    assert (
        str(failed.value),
        failed.value.retryable,
    ) == ("receiver 'log' could not be written to (BrokenPipeError)", True)
