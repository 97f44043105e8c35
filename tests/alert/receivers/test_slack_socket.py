"""Buttons through Socket Mode: slack_sdk's real client, a real WebSocket, a desk that writes down what is asked."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from driftwatch.alert.message import details
from driftwatch.alert.outbox import Courier
from driftwatch.alert.policy import Policy
from driftwatch.alert.receivers import NOTIFIERS, ReceiverConnection, slack_socket
from driftwatch.alert.receivers.slack_blocks import blocks
from driftwatch.desk import Desk
from driftwatch.domain import WATCH, Announcement, Event, IncidentState, Kind, Step
from driftwatch.errors import ConfigError, StoreError, UsageError
from driftwatch.store import Store

AT = datetime(2026, 3, 16, 20, 0, tzinfo=UTC)
APP_TOKEN = "xapp-this-is-the-secret"  # noqa: S105 - made up, to be looked for in the log
PATIENCE_S = 8.0
"""Longest wait for something that takes milliseconds on an idle machine."""
OPEN = "/api/apps.connections.open"


@dataclass
class LocalSocket:
    """Slack's end of the WebSocket."""

    url: str = ""
    connections: list[ServerConnection] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    server: Server | None = None

    def push(self, payload: Any, *, envelope: str = "e-1", kind: str = "interactive") -> None:
        """Send one envelope over the newest connection."""
        said = {"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": True}
        self.connections[-1].send(json.dumps(said))

    def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        connection.send(json.dumps({"type": "hello", "num_connections": 1}))
        try:
            for message in connection:
                self.answers.append(json.loads(message))
        except ConnectionClosed:
            pass


@pytest.fixture
def local_socket() -> Iterator[LocalSocket]:
    """A running WebSocket server."""
    local = LocalSocket()
    with serve(local.handle, "127.0.0.1", 0, logger=logging.getLogger("test.websockets")) as server:
        local.server, local.url = server, f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield local
        server.shutdown()
        thread.join()


@dataclass
class WritingDesk:
    """A desk that writes down what is asked of it."""

    group: Announcement | None
    numbers: list[int] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    takes_s: float = 0.0

    def _write(self, what: str, number: int, **words: Any) -> None:
        if self.error:
            raise self.error
        self.asked.append((what, number, words))

    def acknowledge(self, number: int, **words: Any) -> None:
        self._write("acknowledge", number, **words)

    def silence(self, number: int, **words: Any) -> None:
        self._write("silence", number, **words)

    def accept(self, number: int, **words: Any) -> None:
        self._write("accept", number, **words)

    def evidence(self, number: int) -> Announcement | None:
        self.numbers.append(number)
        time.sleep(self.takes_s)
        return self.group


@dataclass
class Place:
    """Everything around one listener."""

    slack: Any
    socket: LocalSocket
    desk: WritingDesk
    n_delivered: int = 0

    async def deliver(self) -> None:
        self.n_delivered += 1

    def bodies(self, method: str) -> list[dict[str, Any]]:
        return [body for path, _, body in self.slack.requests if path == f"/api/{method}"]

    def notifier(self, name: str = "oncall", *, allowed: tuple[str, ...] | None = None, **secrets: str) -> Any:
        held = {"bot_token": "xoxb-1", "app_token": APP_TOKEN} | secrets
        options = {"base_url": f"{self.slack.url}/api", "channel": "#alerts"}
        connection = ReceiverConnection(
            name=name,
            secrets={name: partial(str, value) for name, value in held.items()},
            options=options if allowed is None else options | {"allowed_users": allowed},
            timeout_s=2,
        )
        return NOTIFIERS["slack"](connection)

    @asynccontextmanager
    async def listening(self, *notifiers: Any) -> AsyncIterator[None]:
        listening = slack_socket.listen(notifiers or [self.notifier()], self.desk, now=lambda: AT, deliver=self.deliver)
        await listening.start()
        try:
            await until(lambda: bool(self.socket.connections))
            yield
        finally:
            await listening.stop()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - what it waits for happens in threads of others
            await asyncio.sleep(0.01)


@pytest.fixture
def place(tell, local_slack, local_socket, answer_of, monkeypatch) -> Place:
    """A Slack that takes everything, and a desk with one open incident."""
    monkeypatch.setattr(slack_socket, "LOOK_S", 0.05)
    local_slack.says(200, '{"ok":true}')
    local_slack.routes[OPEN] = answer_of(json.dumps({"ok": True, "url": local_socket.url}))
    return Place(local_slack, local_socket, WritingDesk(tell(Event.OPENED)))


def clicked(wish: str, *, user: str = "U1", receiver: str = "oncall") -> dict[str, Any]:
    value = json.dumps({"incident": 12, "key": "driftwatch-1f2e/12", "receiver": receiver})
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "ana"},
        "container": {"message_ts": "1.1", "channel_id": "C1"},
        "trigger_id": "12.34.abc",
        "actions": [{"action_id": f"driftwatch_{wish}", "value": value}],
    }


def sent_off(reason: str, kept: str, *, user: str = "U1") -> dict[str, Any]:
    values = {"reason": {"text": {"type": "plain_text_input", "value": reason}}}
    view = {"callback_id": "driftwatch_accept", "private_metadata": kept, "state": {"values": values}}
    return {"type": "view_submission", "user": {"id": user, "name": "ana"}, "view": view}


def click(place: Place, payload: Any, is_done: Callable[[], bool], *notifiers: Any) -> None:
    async def scene() -> None:
        async with place.listening(*notifiers):
            place.socket.push(payload)
            # The two ways out of the program are read by two threads here, in any order.
            await until(lambda: is_done() and bool(place.socket.answers))

    asyncio.run(scene())


def test_acknowledge_is_answered_done_told_and_delivered(place):
    click(place, clicked("acknowledge"), lambda: bool(place.bodies("chat.postEphemeral")))
    assert place.socket.answers == [{"envelope_id": "e-1"}], "Slack waits for this one"
    words = {"author": "ana (Slack)", "reason": "with the button in Slack", "at": AT}
    assert place.desk.asked == [("acknowledge", 12, words)]
    (answer,) = place.bodies("chat.postEphemeral")
    assert answer == {
        "channel": "C1",
        "user": "U1",
        "text": "Incident 12 is yours. It ends by itself when all is back.",
        "mrkdwn": False,
    }
    assert place.n_delivered == 1, "the first message is brought up to date at once"


def test_silence_lasts_a_day(place):
    click(place, clicked("silence"), lambda: bool(place.bodies("chat.postEphemeral")))
    words = {"length": timedelta(hours=24), "author": "ana (Slack)", "reason": "with the button in Slack", "at": AT}
    assert place.desk.asked == [("silence", 12, words)]
    (answer,) = place.bodies("chat.postEphemeral")
    assert answer["text"] == ("Incident 12 is silent until Tue 17 Mar 20:00 UTC. What still stands then is told.")


def test_the_evidence_is_shown_to_who_asked_alone(place):
    click(place, clicked("evidence"), lambda: bool(place.bodies("chat.postEphemeral")))
    (answer,) = place.bodies("chat.postEphemeral")
    assert answer["blocks"] == blocks(details(place.desk.group))
    assert (place.desk.asked, place.n_delivered) == ([], 0)


def test_accepting_asks_for_a_reason_first(place):
    async def scene() -> None:
        async with place.listening():
            place.socket.push(clicked("accept"))
            await until(lambda: bool(place.bodies("views.open")))
            (asked,) = place.bodies("views.open")
            assert asked["trigger_id"] == "12.34.abc"
            assert place.desk.asked == [], "nothing is accepted yet"
            kept = asked["view"]["private_metadata"]
            place.socket.push(sent_off("  ", kept), envelope="e-2")
            await until(lambda: len(place.socket.answers) == 2)
            assert place.socket.answers[1]["payload"]["response_action"] == "errors"
            place.socket.push(sent_off("the release of March", kept), envelope="e-3")
            await until(lambda: bool(place.bodies("chat.postEphemeral")))

    asyncio.run(scene())
    assert place.desk.asked == [("accept", 12, {"author": "ana (Slack)", "reason": "the release of March", "at": AT})]
    (answer,) = place.bodies("chat.postEphemeral")
    assert answer["text"] == "The new behaviour of incident 12 is accepted: the release of March"


def test_a_slow_desk_does_not_cost_the_three_seconds_in_which_a_view_must_open(place, monkeypatch):
    monkeypatch.setattr(slack_socket, "GLANCE_S", 0.05)
    place.desk.takes_s = 0.5
    click(place, clicked("accept"), lambda: bool(place.bodies("views.open")))


@pytest.mark.parametrize("wish", ["acknowledge", "silence", "accept"])
def test_a_stale_button_answers_with_a_sentence(place, tell, wish):
    place.desk.group = tell(Event.RESOLVED, state=IncidentState.RESOLVED)
    click(place, clicked(wish), lambda: bool(place.bodies("chat.postEphemeral")))
    (answer,) = place.bodies("chat.postEphemeral")
    assert answer["text"].startswith("Incident 12 is over, so nothing was done. Recovered after 5 h 10 min")
    assert (place.desk.asked, place.bodies("views.open")) == ([], [])


def test_the_evidence_of_an_unknown_incident_is_a_sentence(place):
    place.desk.group = None
    click(place, clicked("evidence"), lambda: bool(place.bodies("chat.postEphemeral")))
    assert "is not known" in place.bodies("chat.postEphemeral")[0]["text"]


def test_what_the_desk_refuses_is_told_to_who_asked(place):
    place.desk.error = UsageError("incident 12 is over <!channel>")
    with capture_logs() as logs:
        click(place, clicked("acknowledge"), lambda: bool(place.bodies("chat.postEphemeral")))
    (answer,) = place.bodies("chat.postEphemeral")
    assert answer["text"] == "Nothing was done: incident 12 is over &lt;!channel&gt;"
    assert "slack.action_refused" in [entry["event"] for entry in logs]


IN_PART = "Part of it may have been done; see: driftwatch incidents show 12. It broke off: "


@pytest.mark.parametrize(
    ("wish", "error", "said"),
    [
        ("acknowledge", StoreError("the disk is full"), "Nothing was done: the disk is full"),
        ("silence", UsageError("incident 12 is over"), "Nothing was done: incident 12 is over"),
        ("silence", StoreError("the disk is full"), f"{IN_PART}the disk is full"),
        ("accepted", UsageError("a is accepted, b is not"), "Not done as asked: a is accepted, b is not"),
        ("accepted", StoreError("the disk is full"), f"{IN_PART}the disk is full"),
        ("accepted", ZeroDivisionError("x"), f"{IN_PART}something went wrong, driftwatch's log says what."),
    ],
)
def test_nothing_was_done_is_said_only_where_that_is_known(place, wish, error, said):
    place.desk.error = error
    kept = json.dumps({"incident": 12, "key": "driftwatch-1f2e/12", "channel": "C1"})
    payload = sent_off("the release of March", kept) if wish == "accepted" else clicked(wish)
    click(place, payload, lambda: bool(place.bodies("chat.postEphemeral")))
    assert place.bodies("chat.postEphemeral")[0]["text"] == said


def test_an_error_before_anything_is_begun_is_sure_that_nothing_was_done(place):
    def broken(_: int) -> None:
        raise StoreError("the disk is full")

    place.desk.evidence = broken
    click(place, clicked("silence"), lambda: bool(place.bodies("chat.postEphemeral")))
    assert place.bodies("chat.postEphemeral")[0]["text"] == "Nothing was done: the disk is full"


def test_an_error_nobody_expected_ends_neither_the_listening_nor_the_watch(place):
    async def scene() -> None:
        async with place.listening():
            place.desk.error = ZeroDivisionError("this-is-the-secret")
            place.socket.push(clicked("acknowledge"))
            await until(lambda: bool(place.bodies("chat.postEphemeral")))
            place.desk.error = None
            place.socket.push(clicked("acknowledge"))
            await until(lambda: bool(place.desk.asked))

    with capture_logs() as logs:
        asyncio.run(scene())
    assert "this-is-the-secret" not in str(place.bodies("chat.postEphemeral"))
    (failed,) = [entry for entry in logs if entry["event"] == "slack.action_failed"]
    assert failed["error"] == "ZeroDivisionError"


def test_what_is_done_but_cannot_be_told_yet_is_still_done(place):
    async def deliver() -> None:
        raise StoreError("the disk is full")

    place.deliver = deliver
    click(place, clicked("acknowledge"), lambda: bool(place.bodies("chat.postEphemeral")))
    assert place.desk.asked
    assert "is yours" in place.bodies("chat.postEphemeral")[0]["text"]


def test_an_answer_that_slack_does_not_take_is_logged(place, answer_of):
    place.slack.routes["/api/chat.postEphemeral"] = answer_of('{"ok":false,"error":"user_not_in_channel"}')
    with capture_logs() as logs:
        click(place, clicked("acknowledge"), lambda: bool(place.bodies("chat.postEphemeral")))
    assert place.desk.asked
    assert [entry["log_level"] for entry in logs if entry["event"] == "slack.answer_failed"] == ["warning"]


def test_what_cannot_be_done_and_not_be_said_either_is_left(place, answer_of):
    place.slack.routes["/api/chat.postEphemeral"] = answer_of('{"ok":false,"error":"user_not_in_channel"}')
    place.desk.error = UsageError("no")
    click(place, clicked("acknowledge"), lambda: bool(place.bodies("chat.postEphemeral")))


@pytest.mark.parametrize(
    ("payload", "kind"),
    [({"type": "shortcut"}, "interactive"), ({"event": {"type": "message"}}, "events_api"), ({}, "slash_commands")],
)
def test_what_is_not_ours_is_acknowledged_and_left_alone(place, payload, kind):
    async def scene() -> None:
        async with place.listening():
            place.socket.push(payload, kind=kind)
            await until(lambda: bool(place.socket.answers))

    asyncio.run(scene())
    assert place.socket.answers == [{"envelope_id": "e-1"}]
    assert (place.desk.asked, place.bodies("chat.postEphemeral")) == ([], [])


# ---------------------------------------------------------------- who may


def forbidden(place: Place, logs: list[Any]) -> None:
    """Nothing was looked up, done or delivered; the answer is for the one person, and the log says who it was."""
    (answer,) = place.bodies("chat.postEphemeral")
    assert (answer["channel"], answer["user"]) == ("C1", "U666")
    assert "only <@U1> may act on incident 12 here" in answer["text"]
    assert "your member ID, U666, into `receivers.oncall.allowed_users`" in answer["text"]
    assert (place.desk.asked, place.desk.numbers, place.n_delivered, place.bodies("views.open")) == ([], [], 0, [])
    # What an allowed person did before may still be written down meanwhile.
    theirs = [entry for entry in logs if entry["event"].startswith("slack.action") and entry.get("user") != "U1"]
    assert [(one["event"], one["user"], one["incident"]) for one in theirs] == [("slack.action_forbidden", "U666", 12)]


@pytest.mark.parametrize("wish", ["acknowledge", "silence", "accept"])
def test_a_click_of_somebody_who_is_not_on_the_list_does_nothing(place, wish):
    with capture_logs() as logs:
        click(
            place,
            clicked(wish, user="U666"),
            lambda: bool(place.bodies("chat.postEphemeral")),
            place.notifier(allowed=("U1",)),
        )
    assert place.socket.answers == [{"envelope_id": "e-1"}], "Slack shows no error beside the button"
    forbidden(place, logs)


def test_a_view_sent_off_by_somebody_who_is_not_on_the_list_does_nothing(place):
    """Opened before the list was there, or by somebody else who was on it."""

    async def scene() -> None:
        async with place.listening(place.notifier(allowed=("U1",))):
            place.socket.push(clicked("accept"))
            await until(lambda: bool(place.bodies("views.open")))
            kept = place.bodies("views.open")[0]["view"]["private_metadata"]
            place.slack.requests.clear()
            place.desk.numbers.clear()
            with capture_logs() as logs:
                place.socket.push(sent_off("because", kept, user="U666"), envelope="e-2")
                await until(lambda: bool(place.bodies("chat.postEphemeral")))
            forbidden(place, logs)

    asyncio.run(scene())


def test_a_view_that_names_an_open_receiver_of_its_own_making_is_held_to_every_list(place):
    kept = json.dumps({"incident": 12, "key": "driftwatch-1f2e/12", "receiver": "made up", "channel": "C1"})
    with capture_logs() as logs:
        click(
            place,
            sent_off("because", kept, user="U666"),
            lambda: bool(place.bodies("chat.postEphemeral")),
            place.notifier("open"),
            place.notifier(allowed=("U1",)),
        )
    forbidden(place, logs)


def test_whoever_is_on_the_list_acts_and_whoever_is_not_may_look(place):
    async def scene() -> None:
        async with place.listening(place.notifier(allowed=("U1",))):
            place.socket.push(clicked("evidence", user="U666"))
            await until(lambda: bool(place.bodies("chat.postEphemeral")))
            assert "blocks" in place.bodies("chat.postEphemeral")[0]
            place.socket.push(clicked("silence"))
            await until(lambda: bool(place.desk.asked))

    asyncio.run(scene())


def test_receivers_that_share_an_app_have_lists_and_bots_of_their_own(place):
    async def scene() -> None:
        first = place.notifier(allowed=("U1",))
        async with place.listening(first, place.notifier("support", allowed=("U666",), bot_token="xoxb-2")):  # noqa: S106 - made up
            place.socket.push(clicked("acknowledge", user="U666", receiver="support"))
            await until(lambda: bool(place.desk.asked))
            await until(lambda: bool(place.bodies("chat.postEphemeral")))
            place.socket.push(clicked("acknowledge", receiver="support"))
            await until(lambda: len(place.bodies("chat.postEphemeral")) > 1)

    asyncio.run(scene())
    assert len(place.desk.asked) == 1
    assert "only <@U666> may act" in place.bodies("chat.postEphemeral")[1]["text"]
    sent = [headers["Authorization"] for path, headers, _ in place.slack.requests if path.endswith("postEphemeral")]
    assert sent == ["Bearer xoxb-2", "Bearer xoxb-2"]


def test_a_forbidden_click_that_cannot_be_answered_is_left(place, answer_of):
    place.slack.routes["/api/chat.postEphemeral"] = answer_of('{"ok":false,"error":"user_not_in_channel"}')
    with capture_logs() as logs:
        click(
            place,
            clicked("accept", user="U666"),
            lambda: bool(place.bodies("chat.postEphemeral")),
            place.notifier(allowed=("U1",)),
        )
    forbidden(place, logs)


def test_a_bot_token_that_cannot_be_read_takes_back_nothing_that_is_done(place):
    notifier = place.notifier()

    def unreadable() -> str:
        raise ConfigError("the secret cannot be read (Permission denied)", file="bot")

    notifier = NOTIFIERS["slack"](
        replace(notifier.connection, secrets={**notifier.connection.secrets, "bot_token": unreadable})
    )
    with capture_logs() as logs:
        click(
            place,
            clicked("acknowledge"),
            lambda: "slack.answer_failed" in [entry["event"] for entry in logs],
            notifier,
        )
    assert len(place.desk.asked) == 1
    assert "slack.action_refused" not in [entry["event"] for entry in logs]


# ---------------------------------------------------------------- the connection


def test_a_connection_that_slack_closes_is_opened_again(place):
    async def scene() -> None:
        async with place.listening():
            place.socket.connections[0].close()
            await until(lambda: len(place.socket.connections) > 1)
            place.socket.push(clicked("acknowledge"))
            await until(lambda: bool(place.desk.asked))

    asyncio.run(scene())


def test_slacks_own_notice_of_an_end_moves_to_a_new_connection(place):
    async def scene() -> None:
        async with place.listening():
            place.socket.connections[0].send(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))
            await until(lambda: len(place.socket.connections) > 1)

    asyncio.run(scene())


def test_an_app_token_that_is_refused_is_logged_without_it_and_tried_again(place, answer_of):
    taken = place.slack.routes[OPEN]
    place.slack.routes[OPEN] = answer_of('{"ok":false,"error":"invalid_auth"}')

    async def scene() -> None:
        listening = slack_socket.listen([place.notifier()], place.desk, now=lambda: AT, deliver=place.deliver)
        await listening.start()
        await until(lambda: bool(place.bodies("apps.connections.open")))
        place.slack.routes[OPEN] = taken
        await until(lambda: "slack.buttons_connected" in [entry["event"] for entry in logs])
        await listening.stop()

    with capture_logs() as logs:
        asyncio.run(scene())
    first = logs[0]
    assert first["event"] == "slack.buttons_unavailable"
    assert first["error"] == (
        "Slack refused the app token (invalid_auth): check it, and that it has the scope connections:write"
    )
    assert "this-is-the-secret" not in str(logs)
    assert "slack.buttons_connected" in [entry["event"] for entry in logs]


def test_a_websocket_that_is_refused_is_logged_as_out_of_reach(place, answer_of, free_port):
    place.slack.routes[OPEN] = answer_of(json.dumps({"ok": True, "url": f"ws://127.0.0.1:{free_port}/ticket=secret"}))

    async def scene() -> list[Any]:
        with capture_logs() as logs:
            listening = slack_socket.listen([place.notifier()], place.desk, now=lambda: AT, deliver=place.deliver)
            await listening.start()
            await until(lambda: bool(logs))
            await listening.stop()
        return logs

    first = asyncio.run(scene())[0]
    assert (first["event"], first["error"]) == (
        "slack.buttons_unavailable",
        "Slack could not be reached (ConnectionError)",
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}", "Slack refused the connection"),
        ("not an address", "an unexpected ValueError"),
    ],
)
def test_a_slack_out_of_reach_does_not_hold_the_watch(place, free_port, url, words):
    place.slack.url = url.format(port=free_port)

    async def scene() -> list[Any]:
        with capture_logs() as logs:
            listening = slack_socket.listen([place.notifier()], place.desk, now=lambda: AT, deliver=place.deliver)
            await listening.start()
            await until(lambda: len(logs) > 1)
            await listening.stop()
        return logs

    waits = asyncio.run(scene())
    assert waits[0]["error"] == words
    assert waits[1]["again_in_s"] == 2 * waits[0]["again_in_s"], "asked less and less often"


def test_an_app_token_that_cannot_be_read_is_asked_for_until_it_can_be(place):
    notifier = place.notifier()
    readings = iter([ConfigError("the secret is empty", file="app"), ConfigError("the secret is empty", file="app")])

    def read() -> str:
        for error in readings:
            raise error
        return APP_TOKEN

    secrets = {**notifier.connection.secrets, "app_token": read}
    notifier = NOTIFIERS["slack"](replace(notifier.connection, secrets=secrets))

    async def scene() -> None:
        listening = slack_socket.listen([notifier], place.desk, now=lambda: AT, deliver=place.deliver)
        await listening.start()
        await until(lambda: "slack.buttons_connected" in [entry["event"] for entry in logs])
        await listening.stop()

    with capture_logs() as logs:
        asyncio.run(scene())
    assert "the secret is empty" in logs[0]["error"]


def test_an_answer_of_slack_without_a_reason_is_refused_too(place, answer_of):
    place.slack.routes[OPEN] = answer_of('{"ok":false,"error":"<this-is-the-secret>"}')

    async def scene() -> list[Any]:
        with capture_logs() as logs:
            listening = slack_socket.listen([place.notifier()], place.desk, now=lambda: AT, deliver=place.deliver)
            await listening.start()
            await until(lambda: bool(logs))
            await listening.stop()
        return logs

    assert "(no reason given)" in asyncio.run(scene())[0]["error"]


def test_a_connection_that_stays_down_is_opened_as_soon_as_it_can_be(place, answer_of):
    taken = place.slack.routes[OPEN]

    async def scene() -> None:
        async with place.listening():
            await until(lambda: "slack.buttons_connected" in [entry["event"] for entry in logs])
            place.slack.routes[OPEN] = answer_of('{"ok":false,"error":"internal_error"}')
            place.socket.connections[0].close()
            await until(lambda: "slack.buttons_unavailable" in [entry["event"] for entry in logs])
            place.slack.routes[OPEN] = taken
            await until(lambda: len(place.socket.connections) > 1)

    with capture_logs() as logs:
        asyncio.run(scene())
    assert [entry["event"] for entry in logs][:3] == [
        "slack.buttons_connected",
        "slack.buttons_lost",
        "slack.buttons_unavailable",
    ]


def test_only_slack_receivers_with_an_app_token_listen_and_each_app_once(place):
    others = [
        NOTIFIERS["console"](ReceiverConnection(name="log")),
        NOTIFIERS["slack"](ReceiverConnection(name="plain")),
        place.notifier(),
        place.notifier(bot_token="xoxb-2"),  # noqa: S106 - made up
    ]

    async def scene() -> int:
        listening = slack_socket.listen(others, place.desk, now=lambda: AT, deliver=place.deliver)
        await listening.start()
        await until(lambda: bool(place.socket.connections))
        await asyncio.sleep(0.2)
        await listening.stop()
        return len(place.bodies("apps.connections.open"))

    assert asyncio.run(scene()) == 1


def test_what_was_never_started_can_be_stopped(place):
    listening = slack_socket.listen([place.notifier()], place.desk, now=lambda: AT, deliver=place.deliver)
    asyncio.run(listening.stop())
    assert place.slack.requests == []


def test_an_action_under_way_comes_to_its_end_before_the_stop(place):
    place.desk.takes_s = 0.3

    async def scene() -> None:
        async with place.listening():
            place.socket.push(clicked("acknowledge"))
            await until(lambda: bool(place.socket.answers))
            await asyncio.sleep(0.05)

    asyncio.run(scene())
    assert place.desk.asked


def test_no_token_is_logged_however_low_the_level(place, caplog):
    caplog.set_level(logging.DEBUG)
    click(place, clicked("acknowledge"), lambda: bool(place.bodies("chat.postEphemeral")))
    assert "this-is-the-secret" not in caplog.text
    assert [r.name for r in caplog.records if r.name.startswith(("slack", "driftwatch"))] == []


def test_the_same_group_is_not_mistaken_for_another_installations(place):
    place.desk.group = replace(place.desk.group, key="driftwatch-ffff/12")
    click(place, clicked("acknowledge"), lambda: bool(place.bodies("chat.postEphemeral")))
    assert "Each needs its own" in place.bodies("chat.postEphemeral")[0]["text"]
    assert place.desk.asked == []


# ---------------------------------------------------------------- the whole way


def test_a_click_goes_through_desk_store_and_outbox_back_into_the_message(tmp_path, place):
    place.slack.says(200, '{"ok":true,"channel":"C1","ts":"1.1","message":{"thread_ts":"1.1"}}')
    store = Store.open(tmp_path / "watch.db")
    opening = Step(
        incident_id=None,
        target=WATCH,
        kind=Kind.WATCH_ITSELF,
        before=None,
        after=IncidentState.OPEN,
        at=AT - timedelta(hours=1),
        author="driftwatch",
        reason="the disk is full",
        onset_at=AT - timedelta(hours=1),
        baseline_id=None,
        run_id=None,
        event=Event.OPENED,
        receivers=("oncall",),
        trouble="disk",
        cause="disk",
    )
    (incident,) = store.commit_judgement(None, [opening], at=opening.at)
    notifier = place.notifier()
    courier = Courier(store, {"oncall": notifier}, policy=Policy())

    async def scene() -> None:
        await courier.deliver(at=AT)
        (posted,) = place.bodies("chat.postMessage")
        (row,) = [block for block in posted["blocks"] if block["type"] == "actions"]
        button = {"action_id": "driftwatch_acknowledge", "value": row["elements"][0]["value"]}
        listening = slack_socket.listen(
            [notifier], Desk(store, {}), now=lambda: AT, deliver=lambda: courier.deliver(at=AT + timedelta(minutes=1))
        )
        await listening.start()
        await until(lambda: bool(place.socket.connections))
        place.socket.push(clicked("acknowledge") | {"actions": [button]})
        await until(lambda: bool(place.bodies("chat.postEphemeral")))
        await listening.stop()

    asyncio.run(scene())
    assert store.incident(incident.id).state is IncidentState.ACKNOWLEDGED
    (update,) = place.bodies("chat.update")
    assert (update["channel"], update["ts"]) == ("C1", "1.1")
    assert "Acknowledged by ana (Slack)" in update["text"]
    reply = place.bodies("chat.postMessage")[-1]
    assert (reply["thread_ts"], reply["reply_broadcast"]) == ("1.1", False)
    store.close()
