"""What a click asks for, read from payloads as Slack sends them and from anything else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from driftwatch.alert.receivers.slack_actions import Action, Wish, acknowledgement, buttons, read, refusal, view
from driftwatch.domain import Event, IncidentState, Kind

RESOLVED = IncidentState.RESOLVED
VALUE = '{"incident": 12, "key": "driftwatch-1f2e/12", "receiver": "oncall"}'
ACTION = Action(
    wish=Wish.ACKNOWLEDGE,
    number=12,
    key="driftwatch-1f2e/12",
    author="ana (Slack)",
    user="U1",
    channel="C1",
    ts="1.1",
    receiver="oncall",
)


def clicked(action_id: str = "driftwatch_acknowledge", **changes: Any) -> dict[str, Any]:
    """As in docs.slack.dev/reference/interaction-payloads/block_actions-payload, shortened."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ana", "name": "ana", "team_id": "T1"},
        "api_app_id": "A1",
        "container": {"type": "message", "message_ts": "1.1", "channel_id": "C1", "is_ephemeral": False},
        "trigger_id": "12.34.abc",
        "channel": {"id": "C1", "name": "alerts"},
        "message": {"type": "message", "ts": "1.1", "text": "…"},
        "response_url": "https://hooks.slack.example/actions/T1/2/3",
        "actions": [
            {
                "action_id": action_id,
                "block_id": "driftwatch_actions",
                "text": {"type": "plain_text", "text": "Acknowledge", "emoji": False},
                "value": VALUE,
                "type": "button",
                "action_ts": "1.5",
            }
        ],
    }
    return payload | changes


def sent_off(reason: Any = "the release of March", **changes: Any) -> dict[str, Any]:
    """As in docs.slack.dev/reference/interaction-payloads/view-interactions-payload, shortened."""
    kept = {"incident": 12, "key": "driftwatch-1f2e/12", "receiver": "oncall", "channel": "C1", "ts": "1.1"}
    payload = {
        "type": "view_submission",
        "user": {"id": "U1", "username": "ana", "name": "ana"},
        "view": {
            "id": "V1",
            "type": "modal",
            "callback_id": "driftwatch_accept",
            "private_metadata": json.dumps(kept),
            "state": {"values": {"reason": {"text": {"type": "plain_text_input", "value": reason}}}},
        },
    }
    return payload | changes


@pytest.mark.parametrize(
    ("action_id", "wish"),
    [
        ("driftwatch_acknowledge", Wish.ACKNOWLEDGE),
        ("driftwatch_silence", Wish.SILENCE),
        ("driftwatch_evidence", Wish.EVIDENCE),
        ("driftwatch_accept", Wish.ACCEPT),
    ],
)
def test_a_click_is_read_with_who_where_and_which(action_id, wish):
    assert read(clicked(action_id)) == replace(ACTION, wish=wish, trigger="12.34.abc")


def test_a_view_that_was_sent_off_is_an_acceptance_with_its_reason():
    assert read(sent_off()) == replace(ACTION, wish=Wish.ACCEPTED, reason="the release of March")


@pytest.mark.parametrize(
    ("user", "author"),
    [
        ({"id": "U1", "name": "ben"}, "ben (Slack)"),
        ({"id": "U1"}, "U1 (Slack)"),
        ({"id": "U1", "username": "a\u202eb\n<!channel>"}, "a⟨U+202E⟩b <!channel> (Slack)"),
    ],
)
def test_whoever_clicked_is_named_on_one_safe_line(user, author):
    action = read(clicked(user=user))
    assert action is not None
    assert action.author == author


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "block_actions",
        {},
        {"type": "shortcut"},
        clicked("another_apps_button"),
        clicked("driftwatch_accepted"),
        clicked(actions=[]),
        clicked(actions="x"),
        clicked(actions=[{"action_id": "driftwatch_silence", "value": "12"}]),
        clicked(actions=[{"action_id": "driftwatch_silence", "value": "no json"}]),
        clicked(actions=[{"action_id": "driftwatch_silence", "value": "[" * 100_000}]),
        clicked(actions=[{"action_id": "driftwatch_silence", "value": '{"incident": "12"}'}]),
        clicked(actions=[{"action_id": "driftwatch_silence", "value": '{"incident": true}'}]),
        clicked(actions=[{"action_id": "driftwatch_silence"}]),
        clicked(user={}),
        clicked(container={"type": "view"}),
        {"type": "view_submission", "view": {"callback_id": "another_apps_view"}},
        {"type": "view_submission", "view": {"callback_id": "driftwatch_accept"}},
        {"type": "view_closed", "view": {"callback_id": "driftwatch_accept"}},
        sent_off(""),
        sent_off(" \n "),
        sent_off(None),
        sent_off(view={"callback_id": "driftwatch_accept", "private_metadata": "no json"}),
    ],
)
def test_what_is_not_understood_is_no_action(payload):
    assert read(payload) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["user", "view", "container", "actions", "channel", "trigger_id"]), JSON))
def test_no_payload_breaks_the_reading(changes):
    for payload in (clicked(**changes), sent_off(**changes)):
        read(payload)
        acknowledgement(payload)


def test_only_a_view_without_a_reason_is_answered_with_an_error():
    assert acknowledgement(clicked()) is None
    assert acknowledgement(sent_off()) is None
    assert acknowledgement(sent_off("  ")) == {
        "response_action": "errors",
        "errors": {"reason": "Please say why this is the new normal."},
    }
    assert acknowledgement({"type": "view_submission", "view": {"callback_id": "another"}}) is None


# ---------------------------------------------------------------- buttons and view


def labels(announcement: Any) -> list[str]:
    return [element["text"]["text"] for block in buttons(announcement) for element in block["elements"]]


def test_the_buttons_are_those_that_make_sense(tell, make_group):
    every = ["Acknowledge", "Silence 24 h", "Show evidence", "Accept as new baseline"]
    assert labels(tell(Event.OPENED)) == every
    assert labels(tell(Event.OPENED, kind=Kind.AVAILABILITY)) == every[:3], "an outage is never the new normal"
    assert labels(tell(Event.ACKNOWLEDGED, state=IncidentState.ACKNOWLEDGED)) == every[1:]
    assert labels(tell(Event.RESOLVED, group=make_group(is_open=3))) == every
    assert labels(tell(Event.RESOLVED, state=RESOLVED)) == []
    assert labels(tell(Event.OPENED, kind=Kind.WATCH_ITSELF, id=0)) == [], "no store knows of it"


def test_a_button_says_which_incident_of_which_installation(tell):
    ((block),) = buttons(tell(Event.OPENED), "oncall")
    assert {element["value"] for element in block["elements"]} == {VALUE}
    action = read(clicked(actions=[block["elements"][1]]))
    assert action is not None
    assert (action.wish, action.number, action.key) == (Wish.SILENCE, 12, "driftwatch-1f2e/12")
    assert action.receiver == "oncall", "whose list counts"


def test_a_button_from_before_buttons_named_their_receiver_is_read_all_the_same():
    (old,) = clicked()["actions"]
    action = read(clicked(actions=[old | {"value": '{"incident": 12, "key": "driftwatch-1f2e/12"}'}]))
    assert action == replace(ACTION, receiver="", trigger="12.34.abc")


def test_what_a_view_keeps_comes_back_with_it():
    asked = view(replace(ACTION, wish=Wish.ACCEPT, trigger="12.34.abc"))
    payload = sent_off()
    payload["view"]["private_metadata"] = asked["private_metadata"]
    assert read(payload) == replace(ACTION, wish=Wish.ACCEPTED, reason="the release of March")
    (block,) = [block for block in asked["blocks"] if block["type"] == "input"]
    assert (block["block_id"], block["element"]["action_id"]) == ("reason", "text"), "where the reason is read"


# ---------------------------------------------------------------- what is not done


def test_an_open_incident_can_be_acted_on(tell):
    assert refusal(ACTION, tell(Event.OPENED)) is None
    assert refusal(replace(ACTION, key=""), tell(Event.OPENED)) is None


def test_a_stale_button_says_what_has_become_of_the_incident(tell):
    assert refusal(ACTION, tell(Event.RESOLVED, state=RESOLVED)) == (
        "Incident 12 is over, so nothing was done. "
        "Recovered after 5 h 10 min, Mon 16 Mar 19:10 UTC: behaviour is back within calibration."
    )


def test_the_evidence_of_what_is_over_can_be_seen(tell):
    assert refusal(replace(ACTION, wish=Wish.EVIDENCE), tell(Event.RESOLVED, state=RESOLVED)) is None


def test_another_installations_incident_is_left_alone(tell):
    other = replace(tell(Event.OPENED), key="driftwatch-ffff/12")
    for group in (None, other):
        assert "Incident 12 is not known to the driftwatch that answers here." in str(refusal(ACTION, group))
