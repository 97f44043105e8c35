"""One thread for each group of incidents, through the real slack_sdk against a server of this machine's own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from driftwatch.alert.message import compose, compose_digest, present
from driftwatch.alert.receivers import NOTIFIERS, ReceiverConnection, slack
from driftwatch.alert.receivers.slack import MOST_UPDATES
from driftwatch.alert.receivers.slack_actions import buttons
from driftwatch.alert.receivers.slack_blocks import blocks, notification_text
from driftwatch.domain import Event, IncidentState
from driftwatch.errors import ConfigError, DeliveryError

OK = '{"ok":true}'
POSTED = '{"ok":true,"channel":"C1","ts":"1.2","message":{"thread_ts":"1.1"}}'
PLACE = {"channel": "C1", "ts": "1.1"}
RESOLVED = IncidentState.RESOLVED
WITH_BUTTONS = {"app_token": "xapp-1"}


def bot(url: str, **secrets: str) -> ReceiverConnection:
    held = {"bot_token": "xoxb-secret"} | secrets
    return ReceiverConnection(
        name="oncall",
        secrets={name: partial(str, value) for name, value in held.items()},
        options={"base_url": f"{url}/api", "channel": "#alerts"},
        timeout_s=0.3,
    )


def send(connection: ReceiverConnection, announcement: Any) -> Any:
    return asyncio.run(NOTIFIERS["slack"](connection).send(announcement))


def refused(code: str) -> str:
    return json.dumps({"ok": False, "error": code})


def later(tell: Any, event: Event = Event.COMMENTED, **more: Any) -> Any:
    return replace(tell(event, **more), receipt=PLACE)


def bodies(slack: Any) -> list[dict[str, Any]]:
    return [body for _, _, body in slack.requests]


def test_the_first_message_gives_a_receipt(tell, local_slack):
    local_slack.says(200, POSTED)
    assert send(bot(local_slack.url), tell(Event.OPENED)) == {"channel": "C1", "ts": "1.2"}
    assert local_slack.paths == ["/api/chat.postMessage"]
    assert "thread_ts" not in local_slack.received


@pytest.mark.parametrize("answer", [OK, '{"ok":true,"ts":1.2,"channel":"C1"}'])
def test_a_look_alike_of_slack_that_names_no_message_gets_each_edge_by_itself(tell, local_slack, answer):
    local_slack.says(200, answer)
    assert send(bot(local_slack.url), tell(Event.OPENED)) is None


@pytest.mark.parametrize("receipt", [{}, {"channel": "C1"}, {"channel": 1, "ts": "1.1"}, {"pagerduty": "x"}])
def test_a_receipt_that_cannot_be_read_begins_a_thread(tell, local_slack, receipt):
    local_slack.says(200, POSTED)
    assert send(bot(local_slack.url), replace(tell(Event.REMINDED), receipt=receipt)) == {"channel": "C1", "ts": "1.2"}
    assert local_slack.paths == ["/api/chat.postMessage"]


def test_a_later_edge_updates_the_first_message_and_goes_below_it(tell, local_slack):
    local_slack.says(200, POSTED)
    announcement = later(tell, Event.ACKNOWLEDGED, author="ana", reason="looking", state=IncidentState.ACKNOWLEDGED)
    assert send(bot(local_slack.url), announcement) is None, "the receipt stays as it is"
    assert local_slack.paths == ["/api/chat.update", "/api/chat.postMessage"]
    update, reply = bodies(local_slack)
    shown = present(announcement)
    assert update == PLACE | {"text": notification_text(shown), "blocks": blocks(shown)}
    assert "Acknowledged by ana" in update["text"]
    assert (reply["channel"], reply["thread_ts"], reply["reply_broadcast"]) == ("C1", "1.1", False)
    assert reply["blocks"] == blocks(compose(announcement))


@pytest.mark.parametrize(
    ("event", "state", "is_loud"),
    [
        (Event.RESOLVED, RESOLVED, True),
        (Event.ESCALATED, IncidentState.OPEN, True),
        (Event.REOPENED, IncidentState.OPEN, True),
        (Event.REMINDED, IncidentState.OPEN, False),
        (Event.JOINED, IncidentState.OPEN, False),
        (Event.COMMENTED, RESOLVED, False),
    ],
)
def test_only_what_everybody_must_see_leaves_the_thread(tell, local_slack, event, state, is_loud):
    local_slack.says(200, POSTED)
    send(bot(local_slack.url), later(tell, event, state=state))
    assert bodies(local_slack)[-1]["reply_broadcast"] is is_loud


def test_the_end_of_one_of_many_stays_in_the_thread(tell, make_group, local_slack):
    local_slack.says(200, POSTED)
    send(bot(local_slack.url), later(tell, Event.RESOLVED, group=make_group(is_open=4)))
    assert bodies(local_slack)[-1]["reply_broadcast"] is False


@pytest.mark.parametrize(
    "code",
    [
        "message_not_found",
        "cant_update_message",
        "thread_not_found",
        "is_archived",
        "channel_not_found",
        "not_in_channel",
    ],
)
def test_a_thread_that_is_gone_is_begun_anew_in_the_configured_channel(tell, local_slack, code):
    local_slack.says_in_turn(refused(code), POSTED)
    assert send(bot(local_slack.url), later(tell)) == {"channel": "C1", "ts": "1.2"}
    assert local_slack.paths == ["/api/chat.update", "/api/chat.postMessage"]
    anew = bodies(local_slack)[-1]
    assert (anew["channel"], "thread_ts" in anew) == ("#alerts", False)


def test_a_thread_that_goes_between_update_and_reply_is_begun_anew(tell, local_slack):
    local_slack.says_in_turn(OK, refused("thread_not_found"), POSTED)
    assert send(bot(local_slack.url), later(tell)) == {"channel": "C1", "ts": "1.2"}
    assert [path.rpartition(".")[2] for path in local_slack.paths] == ["update", "postMessage", "postMessage"]


def test_a_reply_that_slack_put_into_the_channel_becomes_the_first_message(tell, local_slack):
    local_slack.says_in_turn(OK, '{"ok":true,"channel":"C1","ts":"1.7","message":{"text":"x"}}')
    assert send(bot(local_slack.url), later(tell)) == {"channel": "C1", "ts": "1.7"}


def test_an_answer_without_its_message_leaves_the_receipt(tell, local_slack):
    local_slack.says_in_turn(OK, OK)
    assert send(bot(local_slack.url), later(tell)) is None


def test_a_message_that_may_not_be_edited_keeps_its_thread(tell, local_slack):
    local_slack.says_in_turn(refused("edit_window_closed"), POSTED)
    assert send(bot(local_slack.url), later(tell)) is None
    assert bodies(local_slack)[-1]["thread_ts"] == "1.1"


@pytest.mark.parametrize(
    ("answers", "is_retryable", "words"),
    [
        ((refused("ratelimited"),), True, "is asked too often"),
        ((OK, refused("ratelimited")), True, "is asked too often"),
        ((OK, refused("token_revoked")), False, "check the bot token"),
        ((refused("is_archived"), refused("is_archived")), False, "the channel is archived: choose another one"),
    ],
)
def test_a_failure_on_the_way_is_told_as_ever(tell, local_slack, answers, is_retryable, words):
    local_slack.says_in_turn(*answers)
    with pytest.raises(DeliveryError, match=words) as failed:
        send(bot(local_slack.url), later(tell))
    assert failed.value.retryable is is_retryable


# ---------------------------------------------------------------- buttons


def test_only_a_bot_with_an_app_token_shows_buttons(tell, local_slack):
    local_slack.says(200, POSTED)
    send(bot(local_slack.url), tell(Event.OPENED))
    send(bot(local_slack.url, **WITH_BUTTONS), tell(Event.OPENED))
    plain, with_buttons = (body["blocks"] for body in bodies(local_slack))
    assert [block["type"] for block in plain].count("actions") == 0
    assert with_buttons[2:3] == buttons(tell(Event.OPENED), "oncall"), "below the summary"


def test_the_buttons_are_in_the_first_message_alone_and_go_with_the_incident(tell, local_slack):
    local_slack.says(200, POSTED)
    send(bot(local_slack.url, **WITH_BUTTONS), later(tell, Event.REMINDED))
    send(bot(local_slack.url, **WITH_BUTTONS), later(tell, Event.RESOLVED, state=RESOLVED))
    kinds = [[block["type"] for block in body["blocks"]] for body in bodies(local_slack)]
    assert [("actions" in types) for types in kinds] == [True, False, False, False]


def test_a_page_does_not_wait_for_an_app_token_that_cannot_be_read(tell, local_slack):
    def read() -> str:
        raise ConfigError("the secret is empty", file="/run/secrets/slack-app")

    local_slack.says(200, POSTED)
    connection = bot(local_slack.url)
    send(replace(connection, secrets={**connection.secrets, "app_token": read}), tell(Event.OPENED))
    assert "actions" not in [block["type"] for block in local_slack.received["blocks"]]


# ---------------------------------------------------------------- the webhook stands in


@pytest.mark.parametrize("code", ["token_revoked", "missing_scope", "not_in_channel", "is_archived"])
def test_the_webhook_stands_in_for_a_bot_that_is_refused_and_says_so(tell, local_slack, code):
    local_slack.says_in_turn(refused(code), "ok")
    connection = bot(local_slack.url, webhook_url=f"{local_slack.url}/services/secret")
    assert send(connection, tell(Event.OPENED)) is None, "the thread, if there is one, is kept for the bot's return"
    assert local_slack.paths == ["/api/chat.postMessage", "/services/secret"]
    shown = json.dumps(bodies(local_slack)[-1]["blocks"])
    assert "This came through the webhook, because the bot was refused" in shown
    assert code in shown
    assert "secret" not in shown


def test_the_webhook_does_not_stand_in_for_a_slack_in_trouble(tell, local_slack):
    local_slack.says(200, refused("internal_error"))
    with pytest.raises(DeliveryError) as failed:
        send(bot(local_slack.url, webhook_url=f"{local_slack.url}/services/secret"), tell(Event.OPENED))
    assert failed.value.retryable
    assert local_slack.paths == ["/api/chat.postMessage"]


def test_a_webhook_that_fails_as_well_is_told(tell, local_slack):
    local_slack.says_in_turn(refused("token_revoked"), "no_service")
    with pytest.raises(DeliveryError, match="create a new incoming webhook"):
        send(bot(local_slack.url, webhook_url=f"{local_slack.url}/services/secret"), tell(Event.OPENED))


# ---------------------------------------------------------------- a digest


def digest(connection: ReceiverConnection, announcements: list[Any]) -> None:
    asyncio.run(NOTIFIERS["slack"](connection).send_digest(announcements))


def test_a_digest_is_one_message_and_the_threads_it_tells_of_are_brought_up_to_date(tell, local_slack):
    local_slack.says(200, POSTED)
    over = later(tell, Event.RESOLVED, state=RESOLVED)
    new = tell(Event.OPENED, id=13)
    digest(bot(local_slack.url), [over, new])
    assert local_slack.paths == ["/api/chat.postMessage", "/api/chat.update"]
    posted, update = bodies(local_slack)
    assert update["blocks"] == blocks(present(over))
    assert posted["blocks"] == blocks(compose_digest([over, new]))


def threads(tell: Any, n: int) -> list[Any]:
    return [replace(tell(Event.REMINDED, id=i), receipt={"channel": "C1", "ts": f"{i}.1"}) for i in range(1, n + 1)]


def test_a_digest_of_sixty_threads_is_posted_once_and_leaves_slacks_limit_to_others(tell, local_slack):
    local_slack.says(200, POSTED)
    digest(replace(bot(local_slack.url), timeout_s=5.0), threads(tell, 60))
    assert local_slack.paths == ["/api/chat.postMessage"] + ["/api/chat.update"] * MOST_UPDATES
    assert [body["ts"] for body in bodies(local_slack)[1:]] == [f"{i}.1" for i in range(60, 40, -1)], "the latest first"


def test_several_edges_of_one_thread_update_it_once_with_the_latest(tell, local_slack):
    local_slack.says(200, POSTED)
    before, now = later(tell, Event.OPENED), later(tell, Event.RESOLVED, state=RESOLVED)
    digest(bot(local_slack.url), [before, now])
    assert [body["blocks"] for body in bodies(local_slack)[1:]] == [blocks(present(now))]


@pytest.mark.parametrize(
    ("answers", "n_updates"),
    [
        ([OK, refused("ratelimited")], 2),
        ([refused("invalid_blocks")], 3),
        ([refused("message_not_found"), OK], 3),
    ],
)
def test_an_update_that_fails_is_no_failure_of_the_digest(tell, local_slack, answers, n_updates):
    local_slack.says_in_turn(POSTED, *answers)
    digest(bot(local_slack.url), threads(tell, 3))
    assert local_slack.paths == ["/api/chat.postMessage"] + ["/api/chat.update"] * n_updates


def test_a_slack_that_grows_slow_after_the_digest_does_not_make_it_a_failure(tell, local_slack, answer_of, monkeypatch):
    monkeypatch.setattr(slack, "UPDATES_S", 0.1)
    local_slack.routes["/api/chat.update"] = answer_of("", hangs=True)
    local_slack.says(200, POSTED)
    digest(bot(local_slack.url), threads(tell, 3))
    local_slack.closing.set()
    assert local_slack.paths == ["/api/chat.postMessage", "/api/chat.update"]


def test_after_the_time_is_up_nothing_more_is_posted(tell, local_slack, answer_of):
    """The thread goes on: after an update that took too long it must not post what is going to be sent again."""
    local_slack.routes["/api/chat.update"] = answer_of(OK, waits_s=0.2)
    local_slack.says(200, POSTED)
    notifier = NOTIFIERS["slack"](bot(local_slack.url))

    async def attempt() -> None:
        async with asyncio.timeout(0.1):  # as the outbox does
            await notifier.send(later(tell))

    with pytest.raises(TimeoutError):
        asyncio.run(attempt())  # waits for the thread
    assert local_slack.paths == ["/api/chat.update"]


def test_a_digest_goes_through_a_webhook_too(tell, local_slack):
    connection = ReceiverConnection(name="oncall", secrets={"webhook_url": lambda: local_slack.url})
    digest(connection, [tell(Event.OPENED)])
    assert local_slack.received["blocks"] == blocks(compose_digest([tell(Event.OPENED)]))


def test_a_digest_needs_a_channel_as_well(tell, local_slack):
    connection = replace(bot(local_slack.url), options={"base_url": f"{local_slack.url}/api"})
    with pytest.raises(DeliveryError, match="add 'channel'"):
        digest(connection, [tell(Event.OPENED)])
    assert local_slack.requests == []
