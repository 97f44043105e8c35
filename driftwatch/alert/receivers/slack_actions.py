"""What a click in Slack asks for: payloads of Slack's interactivity into actions, and the views that answer them.

Pure: no network, no clock. Payloads come from outside; one that is not understood is no action.

Sources, all 2026-11: docs.slack.dev/reference/interaction-payloads/block_actions-payload,
docs.slack.dev/reference/interaction-payloads/view-interactions-payload,
docs.slack.dev/reference/block-kit/block-elements/button-element, docs.slack.dev/reference/views/modal-views.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from driftwatch.alert.edges import standing
from driftwatch.alert.text import line
from driftwatch.domain import Announcement, IncidentState, Json, Kind

SILENCE_FOR = timedelta(hours=24)
"""What the button promises."""

ACCEPTABLE = frozenset({Kind.BEHAVIOUR, Kind.PERFORMANCE, Kind.TRIPWIRE})
"""Kinds that can become normal; an outage or a full disk never does."""

_CALLBACK = "driftwatch_accept"
_REASON_BLOCK, _REASON_INPUT = "reason", "text"
_PREFIX = "driftwatch_"
_LONGEST_REASON = 500
"""Characters that the reason's input takes; Slack allows 3,000."""
_WHO = 80
"""Characters of a person's name."""


class Wish(StrEnum):
    """What somebody wants done with an incident. The value ends the button's ``action_id``."""

    ACKNOWLEDGE = "acknowledge"
    SILENCE = "silence"
    EVIDENCE = "evidence"
    ACCEPT = "accept"
    """Asks for a reason first."""
    ACCEPTED = "accepted"
    """The reason has been given."""

    @property
    def is_a_look(self) -> bool:
        """Whether it changes nothing."""
        return self is Wish.EVIDENCE


class Desk(Protocol):
    """What the buttons do; ``driftwatch.desk`` does it.

    Every method takes the number by which people know a group, may block, and is called in a thread of its own. A
    DriftwatchError is shown to who asked.
    """

    def acknowledge(self, number: int, *, author: str, reason: str, at: datetime) -> object:
        """Somebody is on it."""
        ...

    def silence(self, number: int, *, length: timedelta, author: str, reason: str, at: datetime) -> object:
        """Tell nobody of it for a while, and note who asked for that where everybody reads it."""
        ...

    def accept(self, number: int, *, author: str, reason: str, at: datetime) -> object:
        """Take the new behaviour of all its targets as normal."""
        ...

    def evidence(self, number: int) -> Announcement | None:
        """The group as it stands, with its latest edge; None when there is no such incident."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What one person has asked for."""

    wish: Wish
    number: int
    """By which people know the group."""
    key: str
    """Of the group: tells the incidents of two installations apart that share one Slack app."""
    author: str
    """E.g. ``ana (Slack)``."""
    user: str
    """Slack's id of who asked."""
    channel: str
    ts: str
    """Of the message with the button."""
    trigger: str = ""
    """Opens a view within 3 s; empty when a view has been sent off."""
    reason: str = ""
    receiver: str = ""
    """Whose message holds the button; empty in messages that were posted before buttons said it."""


def buttons(announcement: Announcement, receiver: str = "") -> list[dict[str, Json]]:
    """The row of buttons below the first message; none once the group is over, or where no store knows of it.

    Args:
        announcement: what the message is about.
        receiver: name of the receiver that posts it; a click brings it back.
    """
    if announcement.is_over or not announcement.lead.id:
        return []
    value = json.dumps({"incident": announcement.lead.id, "key": announcement.key, "receiver": receiver})
    wanted = [
        (Wish.ACKNOWLEDGE, "Acknowledge"),
        (Wish.SILENCE, "Silence 24 h"),
        (Wish.EVIDENCE, "Show evidence"),
        (Wish.ACCEPT, "Accept as new baseline"),
    ]
    is_taken = all(member.state is not IncidentState.OPEN for member in announcement.members)
    can_be_accepted = any(m.is_open and m.kind in ACCEPTABLE for m in announcement.members)
    shown = [
        (wish, label)
        for wish, label in wanted
        if not (wish is Wish.ACKNOWLEDGE and is_taken) and not (wish is Wish.ACCEPT and not can_be_accepted)
    ]
    elements: list[dict[str, Json]] = [
        {
            "type": "button",
            "action_id": f"{_PREFIX}{wish.value}",
            "text": {"type": "plain_text", "text": label, "emoji": False},
            "value": value,
            **({"style": "primary"} if wish is Wish.ACKNOWLEDGE else {}),
        }
        for wish, label in shown
    ]
    return [{"type": "actions", "block_id": "driftwatch_actions", "elements": elements}]


def read(payload: Json) -> Action | None:
    """The action that a payload asks for; None for everything that is not ours or cannot be read."""
    said = _mapping(payload)
    if said.get("type") == "block_actions":
        return _clicked(said)
    if said.get("type") == "view_submission" and _mapping(said.get("view")).get("callback_id") == _CALLBACK:
        return _sent_off(said)
    return None


def acknowledgement(payload: Json) -> dict[str, Json] | None:
    """What the envelope is answered with: an error shown in the view where no reason was given, else None.

    Slack waits 3 s for it, so that it is sent before anything is done.
    """
    said = _mapping(payload)
    is_ours = said.get("type") == "view_submission" and _mapping(said.get("view")).get("callback_id") == _CALLBACK
    if is_ours and not _reason(said):
        return {"response_action": "errors", "errors": {_REASON_BLOCK: "Please say why this is the new normal."}}
    return None


def view(action: Action) -> dict[str, Json]:
    """The modal view that asks for the reason of an acceptance."""
    kept = {
        "incident": action.number,
        "key": action.key,
        "receiver": action.receiver,
        "channel": action.channel,
        "ts": action.ts,
    }
    said = (
        f"Incident {action.number}: the replies since the change become what is normal from now on. It ends the "
        "incident, is kept with your name and reason, and can be undone."
    )
    return {
        "type": "modal",
        "callback_id": _CALLBACK,
        "private_metadata": json.dumps(kept),
        "title": {"type": "plain_text", "text": "Accept as new baseline", "emoji": False},
        "submit": {"type": "plain_text", "text": "Accept", "emoji": False},
        "close": {"type": "plain_text", "text": "Cancel", "emoji": False},
        "blocks": [
            {"type": "section", "text": {"type": "plain_text", "text": said, "emoji": False}},
            {
                "type": "input",
                "block_id": _REASON_BLOCK,
                "label": {"type": "plain_text", "text": "Why is this the new normal?", "emoji": False},
                "element": {
                    "type": "plain_text_input",
                    "action_id": _REASON_INPUT,
                    "multiline": True,
                    "min_length": 3,
                    "max_length": _LONGEST_REASON,
                },
            },
        ],
    }


def refusal(action: Action, announcement: Announcement | None) -> str | None:
    """Why nothing is done, as a sentence for who asked; None when it can be done."""
    if announcement is None or (action.key and announcement.key and action.key != announcement.key):
        return (
            f"Incident {action.number} is not known to the driftwatch that answers here. Is the same Slack app "
            "used by two of them? Each needs its own."
        )
    if action.wish is not Wish.EVIDENCE and announcement.is_over:
        _, _, (first, *_) = standing(announcement)
        return f"Incident {action.number} is over, so nothing was done. {first}"
    return None


def _clicked(said: Mapping[str, Json]) -> Action | None:
    clicked = next((_mapping(each) for each in _sequence(said.get("actions"))), {})
    action_id = _text(clicked.get("action_id"))
    wish = next((w for w in Wish if w is not Wish.ACCEPTED and action_id == f"{_PREFIX}{w.value}"), None)
    where = _mapping(said.get("container"))
    return _action(
        said, wish, _parsed(clicked.get("value")), channel=where.get("channel_id"), ts=where.get("message_ts")
    )


def _sent_off(said: Mapping[str, Json]) -> Action | None:
    kept = _parsed(_mapping(said.get("view")).get("private_metadata"))
    reason = _reason(said)
    if not reason:
        return None
    return _action(said, Wish.ACCEPTED, kept, channel=kept.get("channel"), ts=kept.get("ts"), reason=reason)


def _action(
    said: Mapping[str, Json],
    wish: Wish | None,
    kept: Mapping[str, Json],
    *,
    channel: Json,
    ts: Json,
    reason: str = "",
) -> Action | None:
    number, user = kept.get("incident"), _mapping(said.get("user"))
    if wish is None or type(number) is not int or not (_text(channel) and _text(user.get("id"))):
        return None
    # Slack names a person ``username`` in block_actions and ``name`` in both.
    name = _text(user.get("username")) or _text(user.get("name")) or _text(user.get("id"))
    return Action(
        wish=wish,
        number=number,
        key=_text(kept.get("key")),
        author=f"{line(name, _WHO)} (Slack)",
        user=_text(user.get("id")),
        channel=_text(channel),
        ts=_text(ts),
        trigger=_text(said.get("trigger_id")),
        reason=reason,
        receiver=_text(kept.get("receiver")),
    )


def _reason(said: Mapping[str, Json]) -> str:
    values = _mapping(_mapping(_mapping(said.get("view")).get("state")).get("values"))
    written = _mapping(_mapping(values.get(_REASON_BLOCK)).get(_REASON_INPUT)).get("value")
    return line(_text(written), _LONGEST_REASON)


def _parsed(value: Json) -> Mapping[str, Json]:
    try:
        return _mapping(json.loads(_text(value)))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else ()


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
