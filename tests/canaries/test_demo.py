from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean

import pytest

from driftwatch.canaries import evaluate, load_suites
from driftwatch.domain import Outcome

ROOT = Path(__file__).parents[2]
CANARIES = {canary.id: canary for canary in load_suites([ROOT / "config" / "demo-canaries"])["support"].canaries}


@pytest.fixture(scope="module")
def demo(read_yaml):
    return read_yaml(ROOT / "config" / "demo.yaml")


@pytest.fixture(scope="module")
def script(read_yaml):
    return read_yaml(ROOT / "config" / "demo-script.yaml")


@pytest.fixture(scope="module")
def broken(reply):
    """The kinds of check that a text breaks for a canary."""
    return lambda canary_id, text: {c.kind for c in CANARIES[canary_id].checks if not evaluate(c, reply(text))}


def words(texts):
    return mean(len(text.split()) for text in texts)


def utc(moment):
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def slots(demo):
    start, end = utc(demo["simulation"]["start"]), utc(demo["simulation"]["end"])
    return [start + timedelta(hours=2) * n for n in range((end - start) // timedelta(hours=2))]


def test_the_demo_has_twelve_canaries_with_checks():
    assert len(CANARIES) == 12
    assert all(canary.checks and canary.reason for canary in CANARIES.values())


@pytest.mark.parametrize("persona", ["march", "swapped"])
def test_every_persona_answers_every_canary_in_short_variants(script, persona):
    answers = script["personas"][persona]["answers"]
    assert set(answers) == set(CANARIES)
    assert all(4 <= len(variants) <= 6 for variants in answers.values())
    assert all(len(text.split()) <= 60 for variants in answers.values() for text in variants)


@pytest.mark.parametrize("canary_id", CANARIES)
def test_the_steady_persona_keeps_every_check(script, broken, canary_id):
    for text in script["personas"]["march"]["answers"][canary_id]:
        assert broken(canary_id, text) == set(), text


@pytest.mark.parametrize(
    ("canary_id", "kind"),
    [
        ("support/triage-json", "json_schema"),  # the code fence
        ("support/stove-fuel", "refusal"),  # refused where it was answered
        ("support/shipping-steps", "not_contains"),  # bold type
        ("support/refund-window", "max_length"),  # a sentence more
    ],
)
def test_the_swapped_persona_breaks_what_it_shall_break(script, broken, canary_id, kind):
    for text in script["personas"]["swapped"]["answers"][canary_id]:
        assert kind in broken(canary_id, text), text


def test_the_swap_shows_in_behaviour_and_not_in_length(script):
    before, after = (script["personas"][persona]["answers"] for persona in ("march", "swapped"))
    ratios = [words(after[canary_id]) / words(before[canary_id]) for canary_id in CANARIES]
    assert sum(0.8 <= ratio <= 1.2 for ratio in ratios) >= 6
    assert 0.9 <= mean(ratios) <= 1.1
    assert not any(set(before[c]) & set(after[c]) for c in CANARIES if words(before[c]) > 2)
    same = ("served_model", "latency_s", "latency_spread")
    assert all(script["personas"]["march"][key] == script["personas"]["swapped"][key] for key in same)
    assert script["personas"]["march"]["fingerprint"] != script["personas"]["swapped"]["fingerprint"]


def test_the_change_comes_after_calibration_and_well_before_the_end(demo, script):
    baseline = demo["baseline"]
    runs_needed = baseline["anchors"] // demo["targets"]["support-bot"]["repeats"] + baseline["calibration_runs"]
    (change,) = script["changes"]
    before = [slot for slot in slots(demo) if slot < utc(change["at"])]
    assert len(before) > runs_needed + 50
    assert len(slots(demo)) - len(before) > 50
    assert change["persona"] == "swapped"


def test_the_outage_hits_two_runs_and_comes_while_the_watch_is_on(demo, script):
    outage, turned_away = script["faults"]
    assert Outcome(outage["outcome"]) is Outcome.UNAVAILABLE
    assert outage["share"] == 1.0
    hit = [slot for slot in slots(demo) if utc(outage["from"]) <= slot < utc(outage["until"])]
    assert hit == [datetime(2026, 3, 10, 14, tzinfo=UTC), datetime(2026, 3, 10, 16, tzinfo=UTC)]
    assert Outcome(turned_away["outcome"]) is Outcome.RATE_LIMITED
    assert turned_away["share"] <= 0.2
    assert utc(turned_away["until"]) < utc(script["changes"][0]["at"])


def test_the_demo_names_files_that_are_there_and_holds_no_secret(demo):
    folder = ROOT / "config"
    target = demo["targets"]["support-bot"]
    assert (folder / target["script"]).is_file()
    assert all((folder / path).is_dir() for path in demo["canaries"])
    assert demo["receivers"]["slack"] == {"type": "slack", "webhook_url_env": "DEMO_SLACK_WEBHOOK_URL"}
    assert target["suites"] == ["support"]
