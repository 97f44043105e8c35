"""Who may act with the buttons: those whom a receiver's ``allowed_users`` names, and what anybody else is answered.

Pure: no network. Looked at for each click and again when a view is sent off, since a view may have been opened under
another list. Who clicked is what Slack says of the payload, never what the button or the view holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.slack_actions import Action
from driftwatch.alert.receivers.slack_blocks import literal
from driftwatch.alert.text import line, listing

Lists: TypeAlias = Mapping[str, Sequence[str] | None]
"""Receiver → the user IDs that its config allows; None where everybody who sees the channel may act."""

_MOST_NAMED = 10
"""People that an answer names; more than that nobody asks one by one."""


def lists_of(connections: Iterable[ReceiverConnection]) -> Lists:
    """The lists of all Slack receivers, as the config has validated them."""
    return {each.name: each.options.get("allowed_users") for each in connections}


def refused_by(action: Action, lists: Lists) -> str | None:
    """The receiver whose list does not have who asked; None when the action may be done.

    What counts is the list of the receiver that posted the button. Where that is not known, as in a message older than
    a renamed receiver, who asked must be on every list there is.
    """
    if action.wish.is_a_look:
        return None
    asked = [action.receiver] if action.receiver in lists else sorted(lists)
    return next((name for name in asked if not _has(lists[name], action.user)), None)


def answer(action: Action, receiver: str, lists: Lists) -> str:
    """What somebody who is not on the list is told, as mrkdwn: who may, and how to be added."""
    users = lists[receiver] or ()
    named = [f"<@{user}>" for user in users[:_MOST_NAMED]]
    if len(users) > _MOST_NAMED:
        named.append(f"{len(users) - _MOST_NAMED} more")
    who = f"only {listing(named)}" if named else "nobody"
    yours = literal(line(action.user, 64))
    return (
        f"Nothing was done: {who} may act on incident {action.number} here. To be added, ask whoever runs driftwatch "
        f"to write your member ID, {yours}, into `receivers.{receiver}.allowed_users` of its config and to restart it."
    )


def _has(users: Sequence[str] | None, user: str) -> bool:
    return users is None or user in users
