"""Discord's messages: within its limits, without markup of others, the first kept up to date."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from driftwatch.alert.message import Message, NextStep, Tone, compose
from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.discord import DiscordNotifier, body, code, escaped
from driftwatch.alert.text import units
from driftwatch.domain import Event, Kind
from driftwatch.errors import DeliveryError


@pytest.fixture
def vendor(http_server):
    """Answers as discord.com/developers/docs/resources/webhook says, and checks an embed's limits."""
    http_server.messages = {}

    def decide(request):
        said = request.json
        (embed,) = said["embeds"]
        whole = units(embed["title"]) + units(embed["description"]) + units(embed["footer"]["text"])
        for field in embed["fields"]:
            assert 1 <= units(field["name"]) <= 256
            assert 1 <= units(field["value"]) <= 1024
            whole += units(field["name"]) + units(field["value"])
        assert 1 <= units(embed["title"]) <= 256
        assert 1 <= units(embed["description"]) <= 4096
        assert len(embed["fields"]) <= 25
        assert whole <= 6000
        assert said["allowed_mentions"] == {"parse": []}
        if request.method == "POST":
            assert request.path.endswith("wait=true")
            id_ = str(1_000 + len(http_server.messages))
            http_server.messages[id_] = embed
            return 200, {"id": id_, "embeds": [embed]}
        path, _, id_ = request.path.rpartition("/")
        assert path == "/api/webhooks/1/token/messages"
        if id_ not in http_server.messages:
            return 404, {"message": "Unknown Message", "code": 10008}
        http_server.messages[id_] = embed
        return 200, {"id": id_}

    http_server.decide = decide
    return http_server


def notifier(url, query=""):
    address = f"{url}/api/webhooks/1/token{query}"
    return DiscordNotifier(ReceiverConnection(name="d", secrets={"webhook_url": lambda: address}, timeout_s=5.0))


def send(vendor, announcement, **more):
    return asyncio.run(notifier(vendor.url, **more).send(announcement))


def test_a_life_is_one_message_each_and_the_first_shows_how_it_stands(vendor, edges):
    receipt = send(vendor, edges["opened"])
    assert receipt == {"message_id": "1000"}
    assert send(vendor, replace(edges["acknowledged"], receipt=receipt)) is None
    assert len(vendor.messages) == 1, "an acknowledgement is no message of its own"
    assert "Acknowledged by ana" in vendor.messages["1000"]["title"]
    assert send(vendor, replace(edges["resolved"], receipt=receipt)) is None
    assert list(vendor.messages) == ["1000", "1001"]
    assert vendor.messages["1001"]["title"].startswith("Recovered")
    assert vendor.messages["1000"]["title"].startswith("Recovered")
    assert vendor.messages["1000"]["color"] == vendor.messages["1001"]["color"]


def test_an_acknowledgement_of_what_was_never_told_here_is_nothing(vendor, edges):
    assert send(vendor, edges["acknowledged"]) is None
    assert vendor.requests == []


def test_a_first_message_that_somebody_deleted_holds_no_news_up(vendor, edges):
    assert send(vendor, replace(edges["resolved"], receipt={"message_id": "999"})) is None
    assert list(vendor.messages) == ["1000"]


@pytest.mark.parametrize("id_", ["../../secret", 7, ""])
def test_a_receipt_of_another_form_changes_no_address(vendor, edges, id_):
    assert send(vendor, replace(edges["resolved"], receipt={"message_id": id_})) == {"message_id": "1000"}
    assert len(vendor.requests) == 1


def test_an_answer_without_an_id_is_thanks_all_the_same(http_server, announce):
    http_server.says(200, "{}")
    assert send(http_server, announce()) is None


def test_a_thread_that_the_address_names_stays_named(vendor, announce):
    send(vendor, announce(), query="?thread_id=5")
    assert vendor.requests[0].path == "/api/webhooks/1/token?thread_id=5&wait=true"


def test_an_address_that_cannot_be_read_is_said(announce):
    connection = ReceiverConnection(name="d", secrets={"webhook_url": lambda: "http://[::1"})
    with pytest.raises(DeliveryError, match=r"no http\(s\) address"):
        asyncio.run(DiscordNotifier(connection).send(announce()))


def test_the_wait_in_the_body_is_passed_on(http_server, announce):
    http_server.says(429, '{"message": "You are being rate limited.", "retry_after": 0.65, "global": false}')
    with pytest.raises(DeliveryError) as failed:
        send(http_server, announce())
    assert (failed.value.retryable, failed.value.retry_after_s) == (True, 0.65)


def test_a_webhook_that_is_gone(http_server, announce):
    http_server.says(404, '{"message": "Unknown Webhook", "code": 10015}')
    with pytest.raises(DeliveryError, match=r"\(status 404, Unknown Webhook\): the webhook is gone: create a new one"):
        send(http_server, announce())


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("event", [Event.OPENED, Event.REMINDED, Event.RESOLVED])
def test_every_message_keeps_to_the_limits(vendor, announce, kind, event):
    send(vendor, announce(kind, event=event))
    (embed,) = vendor.messages.values()
    assert "driftwatch report 12" in embed["description"]


def test_a_hundred_kilobytes_of_everything_stay_within_the_limits(vendor, announce):
    text = "😀*_`" * 25_000
    pair = {"canary_id": text, "prompt": text, "before": text, "after": text}
    evidence = {"headline": text, "changes": [text] * 50, "pair": pair, "last_error": text, "model": text}
    send(vendor, announce(evidence=evidence, target=text, told={"owner": text}))
    asyncio.run(notifier(vendor.url).send_digest([announce(target=text, evidence=evidence)] * 3))
    assert len(vendor.messages) == 2


def test_many_fields_leave_room_for_what_happened(vendor):
    message = Message(
        title="*" * 500,
        tone=Tone.ALARM,
        summary=("s" * 9_000,),
        fields=tuple((f"{n}" * 300, "v" * 2_000) for n in range(30)),
        footer="f" * 500,
    )
    (embed,) = body(message)["embeds"]
    assert len(embed["fields"]) < 25
    assert embed["description"].endswith("…")
    assert units(embed["description"]) > 900
    assert not embed["title"].endswith("\\…")


def test_a_command_with_a_backtick_is_no_code():
    steps = (NextStep(command="driftwatch history 'a`b'", meaning="x"), NextStep(command="driftwatch", meaning="y"))
    (embed,) = body(Message(title="A", tone=Tone.GOOD, summary=("B.",), steps=steps, footer="c"))["embeds"]
    assert embed["description"] == "**B.**\n\n**Next**\n- driftwatch history 'a\\`b' x\n- `driftwatch` y"


def test_nothing_of_a_reply_is_obeyed(announce):
    reply = "```\n@everyone <@1> <#2> [log in](https://evil.test) # big\n> quote ||spoiler|| `code` https://evil.test"
    pair = {"canary_id": reply, "prompt": reply, "before": reply, "after": reply}
    message = compose(announce(evidence={"pair": pair, "headline": reply, "changes": [reply], "model": reply}))
    said = json.dumps(body(message), ensure_ascii=False)
    outside = "".join(said.split("```")[::2])
    for markup in ("@everyone", "<@", "](", "||spoiler", "://"):
        assert markup not in outside.replace("\\\\", "\\").replace("\\@", "").replace("\\<", "").replace(
            "\\]", ""
        ).replace("\\|", "").replace(":\\//", "")
    assert "```" not in code(reply)[3:-3]
    assert escaped("a_b") == "a\\_b"


@pytest.mark.parametrize("n", range(1, 12))
def test_no_number_of_backticks_ends_a_code_block(n):
    """Five in a row did: three were broken up, and the last of them made three again with the other two."""
    shown = code(f"a{'`' * n}\n# *b* @everyone{'`' * n}")
    assert shown.count("```") == 2
    assert (shown.startswith("```\n"), shown.endswith("\n```")) == (True, True)
    assert shown.count("`") == 2 * n + 6, "none is lost"
