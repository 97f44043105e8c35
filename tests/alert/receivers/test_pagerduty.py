"""PagerDuty's events, against an endpoint that checks them as the vendor's documentation says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime

import pytest

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.pagerduty import PagerDutyNotifier
from driftwatch.domain import Event, IncidentState, Severity
from driftwatch.errors import DeliveryError

KEY = "0123456789abcdef0123456789abcdef"


def problems(event, body):
    """What developer.pagerduty.com/docs/events-api-v2/trigger-events would not take."""
    found = []
    if len(body) > 512 * 1024:
        found.append("Event is larger than 512 KB")
    if len(event.get("routing_key", "")) != 32:
        found.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
        found.append("'event_action' is invalid")
    if not 1 <= len(event.get("dedup_key", "")) <= 255:
        found.append("Length of 'dedup_key' is incorrect")
    if event.get("event_action") != "trigger":
        return found
    payload = event.get("payload", {})
    if not 1 <= len(payload.get("summary", "")) <= 1024:
        found.append("Length of 'payload.summary' is incorrect")
    if not payload.get("source"):
        found.append("'payload.source' is missing or blank")
    if payload.get("severity") not in {"critical", "error", "warning", "info"}:
        found.append("'payload.severity' is invalid (must be one of the following: …)")
    datetime.fromisoformat(payload["timestamp"])
    if not isinstance(payload.get("custom_details"), dict):
        found.append("'payload.custom_details' is no object")
    return found


@pytest.fixture
def vendor(http_server):
    """Keeps alerts by their key as PagerDuty does."""
    http_server.alerts = {}

    def decide(request):
        assert (request.method, request.path) == ("POST", "/v2/enqueue")
        event = request.json
        if found := problems(event, request.body):
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": found}
        key, action = event["dedup_key"], event["event_action"]
        if action == "trigger":
            http_server.alerts.setdefault(key, []).append(event["payload"])
        if action == "resolve":
            http_server.alerts.pop(key, None)
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    http_server.decide = decide
    return http_server


def notifier(url, key=KEY):
    return PagerDutyNotifier(
        ReceiverConnection(
            name="oncall", secrets={"routing_key": lambda: key}, options={"base_url": url}, timeout_s=5.0
        )
    )


def send(vendor, *announcements):
    receipt = None
    for announcement in announcements:
        told = replace(announcement, receipt=announcement.receipt or receipt)
        receipt = asyncio.run(notifier(vendor.url).send(told)) or receipt
    return receipt


def actions(vendor):
    return [request.json["event_action"] for request in vendor.requests]


def test_a_life_is_one_alert_that_is_triggered_acknowledged_and_resolved(vendor, edges):
    receipt = send(vendor, edges["opened"], edges["acknowledged"], edges["resolved"])
    assert actions(vendor) == ["trigger", "acknowledge", "resolve"]
    assert {request.json["dedup_key"] for request in vendor.requests} == {"driftwatch-1f2e/12"}
    assert vendor.alerts == {}
    assert receipt == {"dedup_key": "driftwatch-1f2e/12"}


def test_what_a_trigger_tells(vendor, announce):
    send(vendor, announce())
    event = vendor.requests[0].json
    payload = event["payload"]
    assert event["client"] == "driftwatch"
    assert payload["summary"].startswith("Drift: support-bot. Replies got 2.1 times as long on 12 of 14 canaries")
    assert (payload["source"], payload["severity"], payload["class"]) == ("support-bot", "critical", "behaviour")
    assert (payload["timestamp"], payload["group"]) == ("2026-03-16T14:00:00+00:00", "team-support")
    details = payload["custom_details"]
    assert "driftwatch report 12" in details["next"]
    assert details["reply before"] == '{"decision": "refuse", "reason": "The 30-day window has passed."}'
    assert details["incidents of the group"] == "support-bot (behaviour, open)"


@pytest.mark.parametrize(("severity", "expected"), [("critical", "critical"), ("warning", "warning"), ("info", "info")])
def test_severities_are_pagerdutys(vendor, announce, severity, expected):
    send(vendor, announce(severity=Severity(severity)))
    assert vendor.requests[0].json["payload"]["severity"] == expected


def test_the_alert_is_as_grave_as_the_gravest_of_the_group(vendor, edges):
    joined = edges["joined"]
    members = (replace(joined.members[0], severity=Severity.WARNING), *joined.members[1:])
    send(vendor, replace(joined, group=members, incident=members[0]))
    assert vendor.requests[0].json["payload"]["severity"] == "critical"
    assert vendor.requests[0].json["payload"]["custom_details"]["incidents of the group"].count("target-") == 3


def test_the_end_of_one_of_several_leaves_the_alert_as_people_left_it(vendor, edges):
    send(vendor, edges["opened"], edges["member resolved"])
    assert actions(vendor) == ["trigger"]


def test_a_page_that_comes_after_the_end_resolves(vendor, edges):
    over = edges["resolved"].incident
    send(vendor, replace(edges["opened"], incident=over))
    assert actions(vendor) == ["resolve"]


def test_reminders_and_comments_are_pagerdutys_own_business():
    assert {Event.REMINDED, Event.COMMENTED}.isdisjoint(PagerDutyNotifier.events)


def test_a_group_without_a_key_goes_by_the_notifications(vendor, announce):
    send(vendor, announce(told={"key": ""}))
    assert vendor.requests[0].json["dedup_key"] == "30:oncall"


def test_a_hundred_kilobytes_of_everything_stay_within_the_limits(vendor, announce):
    text = "😀" * 100_000
    pair = {"canary_id": text, "prompt": text, "before": text, "after": text}
    evidence = {"headline": text, "changes": [text] * 50, "pair": pair, "last_error": text, "model": text}
    send(vendor, announce(evidence=evidence, target=text, told={"key": text, "owner": text}))
    assert len(vendor.alerts) == 1


def test_a_digest_brings_each_alert_to_what_its_group_is_now(vendor, edges):
    other = replace(edges["group resolved"], key="driftwatch-1f2e/77")
    receipts = asyncio.run(notifier(vendor.url).send_digest([edges["opened"], other]))
    assert [(r.json["event_action"], r.json["dedup_key"]) for r in vendor.requests] == [
        ("trigger", "driftwatch-1f2e/12"),
        ("resolve", "driftwatch-1f2e/77"),
    ]
    assert list(vendor.alerts) == ["driftwatch-1f2e/12"]
    assert receipts == {key: {"dedup_key": key} for key in ("driftwatch-1f2e/12", "driftwatch-1f2e/77")}


def test_a_digest_does_not_page_for_what_somebody_has_taken_on_meanwhile(vendor, edges):
    asyncio.run(notifier(vendor.url).send_digest([edges["acknowledged"]]))
    assert actions(vendor) == ["trigger", "acknowledge"]
    lead = edges["acknowledged"].incident
    in_part = replace(edges["acknowledged"], group=(lead, replace(lead, id=99, state=IncidentState.OPEN)))
    asyncio.run(notifier(vendor.url).send_digest([in_part]))
    assert actions(vendor)[2:] == ["trigger"], "one of the group is nobody's"


def test_the_end_of_one_of_several_after_a_digest_leaves_the_alert_as_people_left_it(vendor, edges):
    receipts = asyncio.run(notifier(vendor.url).send_digest([edges["opened"]]))
    told = edges["member resolved"]
    assert asyncio.run(notifier(vendor.url).send(replace(told, receipt=receipts[told.key]))) is None
    assert actions(vendor) == ["trigger"]


def test_pagerdutys_own_words_are_shown_without_the_key(vendor, announce):
    with pytest.raises(DeliveryError) as failed:
        asyncio.run(notifier(vendor.url, key="too-short-to-be-a-key").send(announce()))
    assert str(failed.value) == (
        "receiver 'oncall' (PagerDuty) refused the message (status 400, Length of 'routing_key' is incorrect "
        "(should be 32 characters)): check the routing key: it is the 32 characters of an Events API v2 integration"
    )
    http_said = {"message": "too-short-to-be-a-key is unknown"}
    vendor.decide = lambda _: (403, http_said)
    with pytest.raises(DeliveryError, match=r"\(status 403, … is unknown\)"):
        asyncio.run(notifier(vendor.url, key="too-short-to-be-a-key").send(announce()))


def test_thanks_of_something_else_are_no_thanks(http_server, announce):
    http_server.says(200, json.dumps({"ok": True}))
    with pytest.raises(DeliveryError, match="answered, but not as PagerDuty does: check the address") as failed:
        asyncio.run(notifier(http_server.url).send(announce()))
    assert not failed.value.retryable


def test_a_refusal_in_another_form_has_no_words(http_server, announce):
    http_server.says(400, "[1, 2]")
    with pytest.raises(DeliveryError, match=r"refused the message \(status 400\)"):
        asyncio.run(notifier(http_server.url).send(announce(after=IncidentState.RESOLVED)))
