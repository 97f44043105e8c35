"""Whose click is done: the list of the receiver that posted the button, and what the others are answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.slack_actions import Action, Wish
from driftwatch.alert.receivers.slack_permission import answer, lists_of, refused_by

ANA, BO = "U0123ABC456", "U0123ABC789"
CLICK = Action(
    wish=Wish.ACCEPT,
    number=12,
    key="driftwatch-1f2e/12",
    author="ana (Slack)",
    user=ANA,
    channel="C1",
    ts="1.1",
    receiver="oncall",
)
CHANGES = [wish for wish in Wish if wish is not Wish.EVIDENCE]


@pytest.mark.parametrize("wish", CHANGES)
def test_whatever_changes_something_needs_the_list(wish):
    asked = replace(CLICK, wish=wish)
    assert refused_by(asked, {"oncall": (BO,)}) == "oncall"
    assert refused_by(asked, {"oncall": (BO, ANA)}) is None
    assert refused_by(asked, {"oncall": None}) is None, "without a list all who see the button may"


def test_looking_is_free():
    assert refused_by(replace(CLICK, wish=Wish.EVIDENCE), {"oncall": (BO,)}) is None


def test_the_list_is_that_of_the_receiver_whose_button_it_is():
    lists = {"support": (BO,), "oncall": (ANA,), "open": None}
    assert refused_by(CLICK, lists) is None
    assert refused_by(replace(CLICK, receiver="support"), lists) == "support"
    assert refused_by(replace(CLICK, receiver="open"), lists) is None


@pytest.mark.parametrize("receiver", ["", "renamed since"])
def test_where_the_receiver_is_not_known_every_list_counts(receiver):
    asked = replace(CLICK, receiver=receiver)
    assert refused_by(asked, {"oncall": (ANA,), "support": (BO,), "open": None}) == "support"
    assert refused_by(asked, {"oncall": (ANA,), "support": (BO, ANA), "open": None}) is None


def test_an_empty_list_lets_nobody_and_says_so():
    lists = {"oncall": ()}
    assert refused_by(CLICK, lists) == "oncall"
    assert "Nothing was done: nobody may act on incident 12 here." in answer(CLICK, "oncall", lists)


def test_the_answer_says_who_may_and_how_to_be_added():
    assert answer(CLICK, "support", {"support": (BO, "U0123ABC000")}) == (
        "Nothing was done: only <@U0123ABC789> and <@U0123ABC000> may act on incident 12 here. To be added, ask "
        "whoever runs driftwatch to write your member ID, U0123ABC456, into `receivers.support.allowed_users` of its "
        "config and to restart it."
    )


def test_a_long_list_is_not_read_out():
    users = tuple(f"U0123ABC{n:03}" for n in range(12))
    said = answer(CLICK, "support", {"support": users})
    assert (said.count("<@"), "<@U0123ABC009> and 2 more may act" in said) == (10, True)


def test_whoever_asks_cannot_write_into_the_answer():
    said = answer(replace(CLICK, user="<!channel>\n*x*"), "support", {"support": (BO,)})
    assert "<!channel>" not in said
    assert "&lt;!channel&gt; *x*" in said


def test_the_lists_are_those_of_the_config():
    closed = ReceiverConnection(name="support", options={"allowed_users": (BO,)})
    assert lists_of([ReceiverConnection(name="oncall"), closed]) == {"oncall": None, "support": (BO,)}
