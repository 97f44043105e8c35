"""``/metrics`` of a running program: what it counts, that it goes on after a restart, and what it must not tell."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from starlette.testclient import TestClient

from driftwatch import __version__
from driftwatch.domain import Event, IncidentState, Kind, Purpose, Severity, Step
from driftwatch.web import health
from driftwatch.web.metrics import BUCKETS_S, Metrics

MINUTE = timedelta(minutes=1)


def scrape(metrics):
    """(name, labels) → value."""
    body, _ = metrics.text()
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in plain_text(body.decode())
        for one in family.samples
    }


def value(found, name, **labels):
    return found.get((name, tuple(sorted(labels.items()))))


async def tick(app, place, *, times=1, step=MINUTE):
    for _ in range(times):
        await app._tick(place.clock.now())
        await asyncio.gather(*(task for _, task in app._in_flight.values()))
        place.clock.at += step


def test_what_a_run_asked_is_counted(place, local, endpoint):
    app = place.app({"a": {**local, "price": {"input": 1000, "output": 1000}}})
    metrics = Metrics(app)

    async def work():
        before = scrape(metrics)
        await tick(app, place, times=2)
        return before, scrape(metrics)

    before, found = place.use(app, work)
    assert value(before, "driftwatch_runs_total", target="a", outcome="measured") == 0
    assert value(before, "driftwatch_last_success_timestamp_seconds", target="a") is None
    assert value(found, "driftwatch_runs_total", target="a", outcome="measured") == 2
    assert value(found, "driftwatch_runs_total", target="a", outcome="failed") == 0
    assert value(found, "driftwatch_completions_total", target="a", outcome="ok") == len(endpoint.asked) == 6
    # The endpoint counts nine tokens of each question and two of each answer, at a dollar per thousand.
    assert value(found, "driftwatch_tokens_total", target="a", type="input") == 6 * 9
    assert value(found, "driftwatch_tokens_total", target="a", type="output") == 6 * 2
    assert value(found, "driftwatch_cost_usd_total", target="a") == pytest.approx(6 * 11 / 1000)
    assert value(found, "driftwatch_request_duration_seconds_count", target="a") == 6
    assert value(found, "driftwatch_request_duration_seconds_bucket", target="a", le="+Inf") == 6
    assert value(found, "driftwatch_request_duration_seconds_sum", target="a") > 0
    # Some seconds after the slot at 12:01.
    since = value(found, "driftwatch_last_success_timestamp_seconds", target="a") - place.clock.at.timestamp()
    assert -60 <= since <= 60
    assert value(found, "driftwatch_state", target="a", state="calibrating") == 1
    assert value(found, "driftwatch_state", target="a", state="drifted") == 0
    assert value(found, "driftwatch_interval_seconds", target="a") == 60
    assert value(found, "driftwatch_budget_paused", target="a") == 0
    assert value(found, "driftwatch_build_info", version=__version__) == 1
    assert value(found, "driftwatch_store_up") == 1
    assert value(found, "driftwatch_store_free_bytes") > 0


def test_a_run_whose_requests_fail_is_no_success(place, local, endpoint):
    endpoint.status = 500
    app = place.app({"a": local})

    async def work():
        await tick(app, place)
        return scrape(Metrics(app))

    found = place.use(app, work)
    assert value(found, "driftwatch_runs_total", target="a", outcome="failed") == 1
    assert value(found, "driftwatch_runs_total", target="a", outcome="measured") == 0
    assert value(found, "driftwatch_last_success_timestamp_seconds", target="a") is None
    assert value(found, "driftwatch_completions_total", target="a", outcome="failed") == len(endpoint.asked)


def test_after_a_restart_the_counters_of_the_database_go_on(place, local, endpoint):
    first = place.app({"a": local})

    async def work(app):
        await tick(app, place, times=2)
        return scrape(Metrics(app))

    before = place.use(first, lambda: work(first))
    second = place.app({"a": local})
    after = place.use(second, lambda: work(second))
    for name in ("driftwatch_runs_total", "driftwatch_completions_total", "driftwatch_cost_usd_total"):
        for key in before:
            if key[0] == name:
                assert after[key] >= before[key]
    assert value(after, "driftwatch_runs_total", target="a", outcome="measured") == 4


def test_a_run_under_way_is_counted_once_when_it_ends_whatever_ended_before(place, local):
    app = place.app({"a": local})
    metrics = Metrics(app)
    store = app.store
    at = place.clock.at
    baseline = store.start_baseline(
        target="a", series_key="0" * 16, author="ana", reason="first", at=at, anchors_wanted=2, calibration_wanted=20
    )

    def claim(minutes):
        when = at + minutes * MINUTE
        return store.claim_run(target="a", scheduled_at=when, purpose=Purpose.ANCHOR, baseline_id=baseline.id, at=when)

    def end(run):
        store.record_measurement(run.id, completions=(), scores=(), finished_at=at, cost_usd=None)
        store.mark_judged(run.id)

    def counted():
        found = scrape(metrics)
        return [value(found, "driftwatch_runs_total", target="a", outcome=o) for o in ("failed", "interrupted")]

    async def work():
        early, late = claim(0), claim(1)
        seen = [counted()]
        end(late)
        seen.append(counted())
        store.interrupt_stale_runs("a", before=at + MINUTE)
        assert store.runs("a")[0].id == early.id
        seen += [counted(), counted()]
        end(claim(2))
        return [*seen, counted()]

    assert place.use(app, work) == [[0, 0], [1, 0], [1, 1], [1, 1], [2, 1]]


def test_verdict_and_evidence_are_told(place, simulated):
    app = place.app({"a": simulated})

    async def work():
        await tick(app, place, times=24, step=timedelta(hours=1))
        return scrape(Metrics(app))

    found = place.use(app, work)
    assert value(found, "driftwatch_state", target="a", state="stable") == 1
    assert 0 <= value(found, "driftwatch_evidence_ratio", target="a", kind="behaviour") < 1
    channels = {dict(labels)["channel"] for name, labels in found if name == "driftwatch_channel_score"}
    assert {"wording", "shape"} <= channels


def test_a_scrape_asks_once_for_all_verdicts(place, local, endpoint, monkeypatch):
    app = place.app(dict.fromkeys("abc", local))
    metrics = Metrics(app)

    async def work():
        await tick(app, place)
        asked, original = [], app.store.latest_verdicts
        monkeypatch.setattr(app.store, "latest_verdicts", lambda names: asked.append(names) or original(names))
        monkeypatch.setattr(app.store, "latest_verdict", lambda name: pytest.fail(f"asked for {name} alone"))
        return scrape(metrics), asked

    found, asked = place.use(app, work)
    assert asked == [["a", "b", "c"]]
    assert [value(found, "driftwatch_state", target=name, state="calibrating") for name in "abc"] == [1, 1, 1]


def test_incidents_and_deliveries_are_told(place, local):
    app = place.app({"a": local}, "receivers: {me: {type: console}, pager: {type: console}}")
    at = place.clock.at
    app.store.commit_judgement(
        None,
        [
            Step(
                incident_id=None,
                target="driftwatch",
                kind=Kind.WATCH_ITSELF,
                before=None,
                after=IncidentState.OPEN,
                at=at,
                author="driftwatch",
                reason="the disk is low",
                onset_at=at,
                baseline_id=None,
                run_id=None,
                event=Event.OPENED,
                severity=Severity.CRITICAL,
                receivers=("me", "pager"),
                trouble="disk",
            )
        ],
        at=at,
    )
    mine, pagers = app.store.notifications()
    app.store.mark_failed(mine.id, error="no", next_attempt_at=at)
    app.store.mark_sent(mine.id, at=at)
    app.store.mark_failed(pagers.id, error="no", next_attempt_at=at)

    async def work():
        return scrape(Metrics(app))

    found = place.use(app, work)
    assert value(found, "driftwatch_incidents_open", kind="watch-itself", severity="critical") == 1
    assert value(found, "driftwatch_incidents_unacknowledged", kind="watch-itself", severity="critical") == 1
    assert value(found, "driftwatch_incidents_open", kind="behaviour", severity="critical") == 0
    assert value(found, "driftwatch_notifications_total", receiver="me", outcome="sent") == 1
    assert value(found, "driftwatch_notifications_total", receiver="me", outcome="failed") == 1
    assert value(found, "driftwatch_notifications_total", receiver="pager", outcome="failed") == 1
    assert value(found, "driftwatch_notifications_total", receiver="pager", outcome="dead") == 0
    assert value(found, "driftwatch_notifications_waiting", receiver="pager") == 1


def test_a_database_that_cannot_be_read_is_told_and_the_program_goes_on(place, local):
    app = place.app({"a": local})

    async def work():
        app.store.close()
        return scrape(Metrics(app))

    found = place.use(app, work)
    assert value(found, "driftwatch_store_up") == 0
    assert value(found, "driftwatch_build_info", version=__version__) == 1
    assert not any(name == "driftwatch_runs_total" for name, _ in found)


def test_no_label_holds_a_prompt_a_reply_or_a_key(place, local, endpoint):
    place.env["A_KEY"] = "sk-5ecre7"
    app = place.app({"a": {**local, "api_key_env": "A_KEY"}})

    async def work():
        await tick(app, place, times=2)
        return Metrics(app).text()[0].decode()

    text = place.use(app, work)
    assert "5ecre7" not in text
    assert "capital of France" not in text
    assert "Paris" not in text


# ---------------------------------------------------------------- over HTTP


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain; version=", plain_text),
        ("text/html", "text/plain; version=", plain_text),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0", openmetrics),
    ],
)
def test_the_other_side_says_which_format_it_reads(place, local, accept, content_type, parse):
    app = place.app({"a": local})

    async def work():
        def ask():
            with TestClient(health.build(app.health, Metrics(app).endpoint)) as client:
                return client.get("/metrics", headers={"Accept": accept}), client.get("/")

        return await asyncio.to_thread(ask)

    answer, front = place.use(app, work)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.headers["Cache-Control"] == "no-store"
    names = {family.name for family in parse(answer.text)}
    assert {"driftwatch_build_info", "driftwatch_store_up"} <= names
    assert "/metrics" in front.text


def test_without_metrics_there_is_no_page(place, local):
    app = place.app({"a": local})

    async def work():
        def ask():
            with TestClient(health.build(app.health)) as client:
                return client.get("/metrics").status_code, client.get("/").text

        return await asyncio.to_thread(ask)

    status, front = place.use(app, work)
    assert status == 404
    assert "/metrics" not in front


def test_the_buckets_are_in_order():
    assert list(BUCKETS_S) == sorted(set(BUCKETS_S))
