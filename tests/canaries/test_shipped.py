from __future__ import annotations

import collections
from pathlib import Path

import pytest

from driftwatch.canaries import evaluate, load_suites, verify_lock

ROOT = Path(__file__).parents[2]
SUITES = load_suites([ROOT / "canaries"])
CANARIES = {canary.id: canary for suite in SUITES.values() for canary in suite.canaries}


@pytest.fixture(scope="module")
def replies(root, read_yaml):
    return read_yaml(root / "tests" / "data" / "canaries_good_replies.yaml")


def broken_checks(canary, completion):
    return [check for check in canary.checks if not evaluate(check, completion)]


def completion_of(reply, written):
    if isinstance(written, str):
        return reply(written)
    calls = [(call["name"], call["arguments"]) for call in written.get("tool_calls", [])]
    return reply(written.get("text", ""), *calls)


def test_the_nine_suites_are_there():
    expected = {"core", "arithmetic", "instruction", "json", "refusal", "style", "multilingual", "code", "tools"}
    assert expected == set(SUITES)


def test_there_are_about_forty_canaries():
    assert 38 <= len(CANARIES) <= 46


def test_no_two_canaries_are_the_same():
    hashes = collections.Counter(canary.content_hash for canary in CANARIES.values())
    assert set(hashes.values()) == {1}


def test_the_lock_is_fresh(root):
    assert verify_lock(SUITES, root / "canaries" / "canaries.lock") == []


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_says_what_it_is_for(name):
    assert SUITES[name].description
    assert Path(SUITES[name].file).stem == name


@pytest.mark.parametrize("canary_id", CANARIES)
def test_every_canary_has_a_reason_and_a_check(canary_id):
    canary = CANARIES[canary_id]
    assert len(canary.reason.split()) >= 8
    assert canary.checks


@pytest.mark.parametrize("canary_id", CANARIES)
def test_every_canary_is_cheap_and_repeatable(canary_id):
    parameters = CANARIES[canary_id].parameters
    assert parameters["temperature"] == 0
    assert 16 <= parameters["max_tokens"] <= 160
    assert sum(len(message.content) for message in CANARIES[canary_id].messages) < 700


@pytest.mark.parametrize("canary_id", CANARIES)
def test_a_good_reply_keeps_every_check(reply, replies, canary_id):
    assert broken_checks(CANARIES[canary_id], completion_of(reply, replies[canary_id]["good"])) == []


@pytest.mark.parametrize("canary_id", CANARIES)
def test_a_bad_reply_breaks_a_check(reply, replies, canary_id):
    assert broken_checks(CANARIES[canary_id], completion_of(reply, replies[canary_id]["bad"])) != []


def test_replies_are_given_for_no_canary_that_is_gone(replies):
    assert set(replies) == set(CANARIES)


def test_refusals_are_asked_for_on_both_sides_of_the_line():
    sides = [check.argument for c in SUITES["refusal"].canaries for check in c.checks if check.kind == "refusal"]
    assert sides.count(False) >= 3
    assert sides.count(True) >= 3


def test_only_the_tools_suite_needs_tools():
    assert {canary.suite for canary in CANARIES.values() if canary.tools} == {"tools"}
    assert not any(canary.response_format for canary in CANARIES.values())
