"""``driftwatch status`` and ``driftwatch history``: where things stand, and how they came to stand there."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.alert.policy import Policy
from driftwatch.alert.troubles import Space
from driftwatch.domain import Target
from driftwatch.store import Store
from driftwatch.upkeep import Upkeep, presence


def test_a_stable_target_is_told_with_its_evidence_and_its_next_run(stable, driftwatch):
    done = driftwatch("status")

    assert (done.code, done.err) == (0, "")
    assert "target state evidence last run (UTC) next run (UTC) open incidents" in done.words
    assert "of 29,220 2026-03-07 06:00 2026-03-07 12:00 - support: evidence" in done.words
    assert done.words.endswith("of 29,220 after 1 run")


def test_a_drifted_target_is_told_with_its_incident_and_the_next_step(drifted, driftwatch):
    done = driftwatch("status")

    assert "support drifted ██████████" in done.words
    assert "2026-03-15 06:00 2026-03-15 12:00 1 (behaviour)" in done.words
    assert done.out.endswith("  next: driftwatch report 1\n")


def test_the_json_has_the_documented_keys(drifted, driftwatch):
    [row] = driftwatch("status", "--format", "json").json

    assert list(row) == [
        "target",
        "state",
        "reason",
        "evidence",
        "last_run_at",
        "next_run_at",
        "baseline",
        "open_incidents",
        "budget",
        "paused",
    ]
    assert (row["state"], row["open_incidents"]) == ("drifted", [1])
    assert row["evidence"]["behaviour"]["m"] > row["evidence"]["behaviour"]["threshold"] == 29_220.0
    assert row["baseline"] == {"id": 1, "state": "active", "author": "driftwatch", "expires_at": None}
    assert row["last_run_at"] == "2026-03-15T06:00:00+00:00"


def test_a_target_that_never_ran_is_told_what_to_do(over_http, endpoint, driftwatch):
    over_http()
    driftwatch("doctor")

    done = driftwatch("status")

    assert done.out.endswith("support: never run\n  next: driftwatch baseline support\n")
    assert driftwatch("status", "--format", "json").json[0]["state"] is None


def test_a_watch_armed_early_is_not_called_calibrating_any_longer(over_http, endpoint, driftwatch):
    place = over_http()
    place.edit("driftwatch.yaml", "calibration_runs: 20", "calibration_runs: 100")
    driftwatch("baseline", "--yes")

    [row] = driftwatch("status", "--format", "json").json

    assert row["reason"] == "the baseline is armed with 20 calibration runs; the next run is judged"


def test_a_migration_on_the_way_leaves_the_json_clean(stable, driftwatch):
    (stable.root / "watch.db").unlink()
    stable.write("watch.db", b"")

    assert driftwatch("status", "--format", "json").json[0]["reason"] == "never run"


def trouble_the_watch(place):
    at = datetime(2026, 3, 7, 9, tzinfo=UTC)
    with Store.open(place.root / "watch.db") as store:
        upkeep = Upkeep(
            store,
            path=place.root / "watch.db",
            targets=[Target(name="support", provider="simulated", model="m", canaries=())],
            policy=Policy(),
            receivers=(),
            at=at,
            space=lambda _: Space(directory="/data", free_bytes=10**6, total_bytes=10**10),
        )
        for hours in range(3):
            upkeep.broke_off("support", at + timedelta(hours=hours), KeyError(), "an unexpected KeyError, see the log")
        upkeep.look(at, last={})


def test_troubles_of_the_watch_itself_are_told_beside_those_of_its_targets(stable, driftwatch):
    trouble_the_watch(stable)

    done = driftwatch("status")

    assert "driftwatch itself, incident 1: The disk of /data has 1 MB of 10.0 GB left" in done.words
    assert "2 (broken)" in done.words
    assert "support is not watched since Sat 7 Mar 09:00 UTC: its last 3 runs broke off" in done.words
    rows = driftwatch("status", "--format", "json").json
    assert [(row["target"], row["open_incidents"]) for row in rows] == [("support", [2]), ("driftwatch", [1])]
    assert rows[1]["reason"].startswith("The disk of /data")
    assert list(rows[0]) == list(rows[1])


def test_history_is_newest_first_and_says_what_moved(drifted, driftwatch):
    done = driftwatch("history", "support", "-n", "3")

    assert (done.code, done.err) == (0, "")
    heading, *rows = [line for line in done.out.splitlines() if not line.startswith(" ")]
    assert " ".join(heading.split()) == "scheduled (UTC) purpose state evidence outside calibration failed"
    assert "$" not in done.out, "a free endpoint has no column of costs"
    assert [row[:16] for row in rows] == ["2026-03-15 06:00", "2026-03-15 00:00", "2026-03-14 18:00"]
    assert all("watch" in row and "drifted" in row and "checks" in row for row in rows)


def test_where_something_was_paid_the_history_has_the_cost(over_http, endpoint, driftwatch):
    over_http("price: {input: 1000, output: 0}")
    driftwatch("baseline", "--yes")

    done = driftwatch("history", "support", "-n", "2")

    assert "failed cost" in done.words
    assert done.out.count("$0.0200") == 2, "two requests of ten tokens"


def test_the_history_as_json_has_the_documented_keys_and_no_nan(drifted, driftwatch):
    rows = driftwatch("history", "support", "--format", "json").json

    assert len(rows) == 20
    assert list(rows[0]) == [
        "scheduled_at",
        "purpose",
        "state",
        "reason",
        "evidence",
        "channels",
        "ok",
        "failed",
        "cost_usd",
    ]
    assert (rows[0]["ok"], rows[0]["failed"], rows[0]["cost_usd"]) == (4, 0, 0.0)
    assert rows[0]["channels"]["checks"] > 0.5
    assert not any(isinstance(v, float) and math.isnan(v) for row in rows for v in row["channels"].values())


@pytest.mark.parametrize("limit", [1, 7])
def test_the_limit_is_kept(drifted, driftwatch, limit):
    assert len(driftwatch("history", "support", "--limit", limit, "--format", "json").json) == limit


# ---------------------------------------------------------------- budgets


def test_what_was_spent_of_a_budget_is_told(over_http, endpoint, driftwatch):
    over_http("budget: {requests_per_day: 100, tokens_per_month: 100000}")
    driftwatch("check")

    done, [row] = driftwatch("status"), driftwatch("status", "--format", "json").json

    assert "  budget: 16 requests of 100 requests a day, 240 tokens of 100,000 tokens a month\n" in done.out
    assert [(cap["cap"], cap["limit"], cap["spent"]) for cap in row["budget"]] == [
        ("targets.support.budget.requests_per_day", 100, 16),
        ("targets.support.budget.tokens_per_month", 100_000, 240),
    ]
    assert row["paused"] is None


def test_a_paused_target_is_told_with_the_cap_and_when_it_goes_on(over_http, endpoint, driftwatch):
    place = over_http()
    place.config.write_text("budget: {requests_per_month: 17}\n" + place.config.read_text())
    driftwatch("check")

    done, [row] = driftwatch("status"), driftwatch("status", "--format", "json").json

    said = (
        "16 requests of all targets of 17 requests a month are spent, "
        "a run takes about 2 requests (budget.requests_per_month); it goes on by itself"
    )
    assert said in done.words
    assert row["paused"]["cap"] == "budget.requests_per_month"
    assert row["paused"]["reason"].endswith(said)
    assert row["paused"]["until"] <= row["next_run_at"]
    assert row["paused"]["until"][8:] == "01T00:00:00+00:00"


def test_a_target_whose_budget_allows_no_run_at_all_is_told_what_it_takes(over_http, endpoint, driftwatch):
    over_http("budget: {requests_per_run: 1}")
    driftwatch("check")

    [row] = driftwatch("status", "--format", "json").json

    assert endpoint.n_requests == 0
    assert row["paused"]["until"] is None
    assert row["paused"]["reason"] == (
        "paused by its budget: a run takes about 2 requests, targets.support.budget.requests_per_run allows 1 request"
    )


# ---------------------------------------------------------------- who watches


def test_who_watches_is_told_with_its_process(stable, driftwatch):
    with presence.announced(stable.root / "watch.db", datetime(2026, 3, 2, tzinfo=UTC)):
        done = driftwatch("status")

    assert f"\nwatched by `driftwatch serve`: process {os.getpid()} on " in done.out
    assert "stop all but one" not in done.out
    assert "watched by" not in driftwatch("status").out


def test_two_that_watch_with_one_database_are_told_as_too_many(stable, driftwatch):
    at, database = datetime(2026, 3, 2, tzinfo=UTC), stable.root / "watch.db"
    with presence.announced(database, at), presence.announced(database, at):
        done = driftwatch("status")

    assert done.out.count("watched by `driftwatch serve`: process") == 2
    assert done.out.endswith("  2 watch with one database; nobody is told twice, but stop all but one\n")
