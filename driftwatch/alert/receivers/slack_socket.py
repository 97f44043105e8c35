"""Listens to the buttons in Slack's messages through Socket Mode, and does at the desk what a click asks for.

slack_sdk's own client, which needs no further package and answers Slack's pings by itself. A connection that is lost
is opened again; the watch goes on without it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import structlog

from driftwatch.alert.message import Message, details
from driftwatch.alert.receiver import Notifier, ReceiverConnection
from driftwatch.alert.receivers import slack_permission
from driftwatch.alert.receivers.failing import required, unreached
from driftwatch.alert.receivers.slack import SlackNotifier
from driftwatch.alert.receivers.slack_actions import (
    SILENCE_FOR,
    Action,
    Desk,
    Wish,
    acknowledgement,
    read,
    refusal,
    view,
)
from driftwatch.alert.receivers.slack_blocks import blocks, literal, notification_text
from driftwatch.alert.receivers.slack_wire import Wire
from driftwatch.alert.text import line, when
from driftwatch.domain import Json
from driftwatch.errors import BaselineMissing, DeliveryError, DriftwatchError, UsageError

if TYPE_CHECKING:
    from slack_sdk.socket_mode import SocketModeClient
    from slack_sdk.socket_mode.client import BaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

log = structlog.get_logger()

LOOK_S = 5.0
"""How often it is looked whether the connection stands, in seconds."""
PATIENCE = 2
"""Looks in a row that find it down before it is opened anew: for a moment it is, whenever Slack asks to move it."""
LONGEST_WAIT_S = 300.0
"""Seconds between attempts to connect at most; the first waits ``LOOK_S``, each further one twice as long."""
STOP_S = 5.0
"""Seconds that a stop waits for slack_sdk's threads."""
GLANCE_S = 1.0
"""Seconds for a look whether the incident is still open, before the view is opened: Slack allows 3 in all."""

_IN_STEPS = frozenset({Wish.SILENCE, Wish.ACCEPTED})
"""What the desk does one thing after another, so that a failure may leave the first done and the rest not."""

_BY_BUTTON = "with the button in Slack"
_LONGEST_ANSWER = 1_000
_LONGEST_CODE = 60

Deliver: TypeAlias = Callable[[], Awaitable[object]]


class Listening:
    """The open connections; ``start`` and ``stop`` are called once each, in the same event loop."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = list(listeners)

    async def start(self) -> None:
        """Begin to connect, and return at once: a Slack that is out of reach must not hold the watch."""
        for listener in self._listeners:
            listener.start()

    async def stop(self) -> None:
        """Close the connections; within about ``STOP_S`` whatever they are waiting for."""
        await asyncio.gather(*(listener.stop() for listener in self._listeners))


def listen(notifiers: Iterable[Notifier], desk: Desk, *, now: Callable[[], datetime], deliver: Deliver) -> Listening:
    """Listen for every Slack app that the receivers name, once for each.

    Args:
        notifiers: all; those that are not Slack, or have no app token, have no buttons.
        desk: does what is asked for.
        now: the time that an action is written down with.
        deliver: sends what an action has caused.
    """
    found: dict[str, Listener] = {}
    connections = [notifier.connection for notifier in notifiers if isinstance(notifier, SlackNotifier)]
    for connection in connections:
        try:
            app = connection.secret("app_token")
        except DriftwatchError:
            app = f"unread, of {connection.name}"  # the listener says why, and tries again
        if app:
            # A second connection of one app would be handed every other click. Each knows all receivers all the same:
            # who may click is for the receiver to say whose message was clicked, whichever connection brings it.
            found.setdefault(app, Listener(connection, connections, desk, now=now, deliver=deliver))
    return Listening(found.values())


class Listener:
    """One app's connection."""

    def __init__(
        self,
        connection: ReceiverConnection,
        all_of_slack: Iterable[ReceiverConnection],
        desk: Desk,
        *,
        now: Callable[[], datetime],
        deliver: Deliver,
    ) -> None:
        self._connection, self._wire = connection, Wire(connection)
        self._connections = {each.name: each for each in all_of_slack}
        self._lists = slack_permission.lists_of(self._connections.values())
        self._desk, self._now, self._deliver = desk, now, deliver
        self._client: SocketModeClient | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._acting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Keep a connection from now on."""
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Close it, and let actions that are under way come to their end."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        if self._acting:
            await asyncio.wait(self._acting, timeout=STOP_S)
        await self._close()

    # ------------------------------------------------------------ the connection

    async def _keep(self) -> None:
        wait_s = LOOK_S
        while True:
            try:
                await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever the library raises, the watch goes on without buttons
                why = _why(error, self._connection.timeout_s)
                log.warning("slack.buttons_unavailable", receiver=self._connection.name, error=why, again_in_s=wait_s)
                await self._close()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                continue
            log.info("slack.buttons_connected", receiver=self._connection.name)
            wait_s = LOOK_S
            await self._until_lost()
            log.warning("slack.buttons_lost", receiver=self._connection.name)
            await self._close()

    async def _connect(self) -> None:
        from slack_sdk.socket_mode import SocketModeClient  # noqa: PLC0415 - loaded when first needed

        from driftwatch.alert.receivers.slack_client import WIRE_LOG  # noqa: PLC0415 - likewise

        loop = asyncio.get_running_loop()
        token = self._connection.secret("app_token") or ""
        client = SocketModeClient(
            app_token=token,
            web_client=self._wire.client(),
            logger=WIRE_LOG,
            # Opened again by _keep, which asks less and less often; slack_sdk would ask every few seconds for ever.
            auto_reconnect_enabled=False,
            ping_interval=LOOK_S,
            concurrency=2,
        )
        self._client = client

        def on_request(connected: BaseSocketModeClient, request: SocketModeRequest) -> None:
            from slack_sdk.socket_mode.response import SocketModeResponse  # noqa: PLC0415 - as above

            payload = acknowledgement(request.payload) if request.type == "interactive" else None
            # Before anything else: Slack waits 3 s, and shows an error beside the button otherwise.
            connected.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))
            action = read(request.payload) if request.type == "interactive" else None
            if action is not None:
                loop.call_soon_threadsafe(self._begin, action)

        client.socket_mode_request_listeners.append(on_request)
        await asyncio.to_thread(client.connect)
        if not client.is_connected():
            # slack_sdk keeps to itself why the WebSocket was refused.
            raise ConnectionError

    async def _until_lost(self) -> None:
        n_down = 0
        while n_down < PATIENCE:
            await asyncio.sleep(LOOK_S)
            is_up = self._client is not None and await asyncio.to_thread(self._client.is_connected)
            n_down = 0 if is_up else n_down + 1

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            # Its threads may wait on a Slack that does not answer; they end with the process.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(STOP_S):
                    await asyncio.to_thread(_hang_up, client)

    # ------------------------------------------------------------ what is asked for

    def _begin(self, action: Action) -> None:
        task = asyncio.create_task(self._act(action))
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def _act(self, action: Action) -> None:
        fields = {
            "receiver": self._receiver(action).name,
            "incident": action.number,
            "author": action.author,
            "user": action.user,  # names can be changed by who bears them
            "wish": action.wish.value,
        }
        closed = slack_permission.refused_by(action, self._lists)
        if closed is not None:
            log.warning("slack.action_forbidden", allowed_by=closed, **fields)
            with contextlib.suppress(DeliveryError):
                await self._show(action, {"text": slack_permission.answer(action, closed, self._lists)})
            return
        has_begun = False
        try:
            said: Message | str | None = await self._refused(action)
            if said is None:
                has_begun = action.wish in _IN_STEPS
                said = await self._done(action)
            if said is not None:
                await self._answer(action, said)
            log.info("slack.action", **fields)
        except DeliveryError as error:
            # What was asked for is done, or could not be begun; only the answer did not arrive.
            log.warning("slack.answer_failed", error=str(error), **fields)
        except DriftwatchError as error:
            log.warning("slack.action_refused", error=str(error), **fields)
            await self._try_to_answer(action, _why_not(action, error) if has_begun else f"Nothing was done: {error}")
        except Exception as error:  # one click must not end the listening
            log.exception("slack.action_failed", error=type(error).__name__, **fields)
            wrong = "something went wrong, driftwatch's log says what."
            await self._try_to_answer(action, _in_part(action, wrong) if has_begun else f"Nothing was done: {wrong}")

    async def _done(self, action: Action) -> Message | str | None:
        """Do it; what to answer who asked, None when a view was opened instead."""
        by, at, number = action.author, self._now(), action.number
        if action.wish is Wish.ACCEPT:
            await self._call(action, "views.open", {"trigger_id": action.trigger, "view": view(action)})
            return None
        if action.wish is Wish.EVIDENCE:
            group = await asyncio.to_thread(self._desk.evidence, number)
            return details(group) if group else None
        if action.wish is Wish.ACKNOWLEDGE:
            await asyncio.to_thread(self._desk.acknowledge, number, author=by, reason=_BY_BUTTON, at=at)
            said = f"Incident {number} is yours. It ends by itself when all is back."
        elif action.wish is Wish.SILENCE:
            await asyncio.to_thread(self._desk.silence, number, length=SILENCE_FOR, author=by, reason=_BY_BUTTON, at=at)
            until = when(at + SILENCE_FOR)
            said = f"Incident {number} is silent until {until}. What still stands then is told."
        else:
            await asyncio.to_thread(self._desk.accept, number, author=by, reason=action.reason, at=at)
            said = f"The new behaviour of incident {number} is accepted: {action.reason}"
        try:
            await self._deliver()
        except DriftwatchError as error:
            # What was asked for is done; the next delivery tells it.
            log.warning("slack.delivery_failed", receiver=self._connection.name, error=str(error))
        return said

    async def _refused(self, action: Action) -> str | None:
        """Why nothing is done; None when it can be, or when there is no time to look."""
        looking = asyncio.to_thread(self._desk.evidence, action.number)
        if action.wish is not Wish.ACCEPT:
            return refusal(action, await looking)
        try:
            async with asyncio.timeout(GLANCE_S):
                return refusal(action, await looking)
        except TimeoutError:
            return None  # it is looked at again when the view is sent off

    async def _try_to_answer(self, action: Action, said: str) -> None:
        with contextlib.suppress(DeliveryError):
            await self._answer(action, said)

    async def _answer(self, action: Action, said: Message | str) -> None:
        """Show it to who asked, and to nobody else."""
        if isinstance(said, str):
            await self._show(action, {"text": literal(line(said, _LONGEST_ANSWER)), "mrkdwn": False})
        else:
            await self._show(action, {"text": notification_text(said), "blocks": blocks(said)})

    async def _show(self, action: Action, said: Mapping[str, Json]) -> None:
        await self._call(action, "chat.postEphemeral", {"channel": action.channel, "user": action.user, **said})

    async def _call(self, action: Action, method: str, arguments: Mapping[str, Json]) -> None:
        """As the bot that posted the button: receivers that share an app may have bots in several workspaces."""
        connection = self._receiver(action)
        wire, token = Wire(connection), required(connection, "Slack", "bot_token", "bot token")
        wire.check(await asyncio.to_thread(wire.call, token, method, arguments))

    def _receiver(self, action: Action) -> ReceiverConnection:
        return self._connections.get(action.receiver, self._connection)


def _why_not(action: Action, error: DriftwatchError) -> str:
    """What is known: the desk finds out what is wrong with a wish before it does anything, or says what it has done."""
    if not isinstance(error, UsageError | BaselineMissing):
        return _in_part(action, str(error))
    return f"Not done as asked: {error}" if action.wish is Wish.ACCEPTED else f"Nothing was done: {error}"


def _in_part(action: Action, why: str) -> str:
    return f"Part of it may have been done; see: driftwatch incidents show {action.number}. It broke off: {why}"


def _hang_up(client: SocketModeClient) -> None:
    """Close for good and at once, where slack_sdk would wait out its readers' limits of 1 and 3 s."""
    client.closed = True
    client.current_session_state.terminated = True
    session = client.current_session
    if session is not None and session.sock is not None:
        with contextlib.suppress(OSError):
            session.sock.shutdown(socket.SHUT_RDWR)
    client.message_queue.put(None)
    client.close()
    client.disconnect()  # whatever a thread of it opened meanwhile


def _why(error: Exception, timeout_s: float) -> str:
    """In words, without what the library says: that may hold the token."""
    from slack_sdk.errors import SlackApiError  # noqa: PLC0415 - loaded when first needed

    if isinstance(error, SlackApiError):
        data = error.response.data
        code = str(data.get("error") or "") if isinstance(data, dict) else ""
        known = code if code.replace("_", "").isalpha() and len(code) < _LONGEST_CODE else "no reason given"
        return f"Slack refused the app token ({known}): check it, and that it has the scope connections:write"
    if isinstance(error, DriftwatchError):
        return str(error)
    if isinstance(error, (OSError, http.client.HTTPException, TimeoutError)):
        return f"Slack {unreached(error, timeout_s=timeout_s)}"
    return f"an unexpected {type(error).__name__}"
