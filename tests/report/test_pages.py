"""Pages about real stores: what they show, and that it is what the store holds."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from driftwatch import rebaseline
from driftwatch.alert import incidents
from driftwatch.domain import IncidentState, Kind, State
from driftwatch.report import gather
from driftwatch.report.canaries import pairs
from driftwatch.report.figures import Window
from driftwatch.report.page import like
from driftwatch.usage import Price

# ---------------------------------------------------------------- an incident


def test_a_behaviour_page_says_what_where_and_since_when(drifted, read):
    page = read(drifted.page(drifted.incident()))
    (heading,) = page.inside("h1")
    assert re.fullmatch(
        r"A different model likely answers on 4 of 4 canaries "
        r"since Tue 10 Mar 2026 06:00 UTC \(\d+ runs until the alarm\)",
        heading,
    )
    assert "support behaves differently since Tue 10 Mar 2026 06:00 UTC The same requests" in page.text
    assert "as before. Figures: on 4 of 4 canaries replies lie" in page.text
    assert '<a href="#next">What you can do now</a>' in page.html
    assert page.text.count("JSON: 100 % → 0 %") == 1
    assert "JSON replies are broken" not in page.text, "what changed tells it below"
    told = page.html.split("<h2>What changed</h2>")[1].split("<h2>")[0]
    assert "moved beyond chance" not in told, "the heading tells on how many canaries it shows"
    (lead,) = re.findall(r'class="lead">(.*?)</p>', page.html)
    assert re.fullmatch(
        r"The same requests to the same model name get replies unlike the accepted ones\. "
        r"It shows most in \w+ \(\d+ % of the evidence\)(?:,| and)? .*; speed and length are as before\.",
        lead,
    )
    assert page.sections() == [
        *(
            "Where it comes from",
            "What changed",
            "Evidence over time",
            "Before and after",
            "How sure this is",
            "Channels",
        ),
        *("Affected canaries", "What was told and done", "Next"),
    ]
    assert "incident 1 · behaviour · open critical" in page.text
    assert "The alarm A is set from the alarm budget: one false alarm a year." in page.text


def test_every_figure_can_be_found_in_the_store(drifted, read):
    page, store, incident = read(drifted.page(drifted.incident())), drifted.store, drifted.incident()
    runs = store.runs("support")
    n_requests = sum(run.n_ok + run.n_failed for run in runs)
    completions = [c for found in store.completions([run.id for run in runs]).values() for c in found]
    assert (len(runs), n_requests) == (drifted.n_runs, len(completions))
    cost = sum(run.cost_usd for run in runs)
    assert f"{len(runs)} runs and {n_requests:,} requests from 2 Mar 2026 to 13 Mar 2026, 0 failed" in page.text
    n_tokens, n_sent = sum(run.n_tokens for run in runs), sum(run.n_requests for run in runs)
    spent = f"in total {len(runs)} runs, {n_sent:,} requests, {n_tokens:,} tokens, about ${cost:,.2f}, by list price"
    assert spent in page.text
    verdict = store.latest_verdict("support")
    for channel in verdict.channels:
        if channel.kind is Kind.BEHAVIOUR:
            share = f"{100 * channel.share:.0f} %" if channel.share >= 0.01 else "under 1 %"
            mean, low, high, now = (
                like(value, channel)
                for value in (
                    *(channel.calibration_mean, channel.calibration_low),
                    *(channel.calibration_high, channel.since_onset_mean),
                )
            )
            moved = f"{mean} ({low}–{high}) → {now} · {share} of the evidence"
            assert moved in page.text
    found = verdict.kind(Kind.BEHAVIOUR)
    assert f"over {found.runs_since_onset} runs" in page.text
    alarm = next(v for v in store.verdicts("support", newest_first=False) if v.state is State.DRIFTED)
    assert incident.opened_at == alarm.at
    assert f"{incident.opened_at:%H:%M} UTC" in page.text
    assert f"the bar is A = {found.threshold:,.0f}" in page.text


def test_the_replies_shown_are_stored_completions(drifted, read):
    view = gather(drifted.store, drifted.target, drifted.incident())
    stored = {c.text for found in drifted.store.completions(range(1, drifted.n_runs + 1)).values() for c in found}
    anchors = drifted.store.anchors(view.baseline.id)
    assert view.pairs
    for pair in view.pairs:
        before, after = ("".join(piece.text for piece in side) for side in (pair.before, pair.after))
        assert before in {c.text for c in anchors[pair.canary_id]}
        assert after in stored
        assert before != after
    page = read(drifted.page(drifted.incident()))
    assert "why capital matters" in page.text
    assert "What is the capital of France?" in page.text


def test_the_affected_canaries_are_a_table_of_canaries_by_channel(drifted, read):
    verdict = drifted.store.latest_verdict("support")
    page = read(drifted.page(drifted.incident()))
    header, *rows = page.rows("Affected canaries")
    listing = {c.channel: {x.canary_id: x for x in c.canaries if x.is_affected} for c in verdict.channels if c.canaries}
    assert header == ["Canary", *(name for name, listed in listing.items() if listed)]
    assert {row[0] for row in rows} == {name for listed in listing.values() for name in listed}
    for canary_id, *cells in rows:
        for channel, cell in zip(header[1:], cells, strict=True):
            x = listing[channel].get(canary_id)
            assert cell == ("" if x is None else f"{x.calibration_mean:.2f} → {x.since_onset_mean:.2f}")
    strengths = [max(listed[row[0]].evidence for listed in listing.values() if row[0] in listed) for row in rows]
    assert strengths == sorted(strengths, reverse=True)


def test_a_kind_that_has_not_drifted_claims_no_evidence(drifted, read):
    page = read(drifted.page(drifted.incident()))
    assert page.inside("h3") == ["Behaviour", "Performance"]
    behaviour, performance = page.html.split("<h3>")[1:]
    assert "of the evidence" in behaviour
    performance = performance.split("<h2>")[0]
    assert "within calibration" in performance
    assert "of the evidence" not in performance
    assert "usually 0.5" in performance
    assert performance.count('<path d="" stroke="var(--since)"') == performance.count('class="channel"') == 2


def test_every_channels_drawing_names_its_scale_and_no_edge_is_beyond_the_scores(drifted, read):
    view = gather(drifted.store, drifted.target, drifted.incident())
    html = read(drifted.page(drifted.incident())).html
    plots = [plot for group in view.groups for plot in group.plots]
    assert plots
    for plot in plots:
        assert 0.0 <= plot.low < plot.high <= 1.0
        assert f"<span>{plot.high:.2f}</span><span>{plot.low:.2f}</span>" in html
    assert "evidence M</text>" in html


def test_the_alarm_and_the_onset_are_drawn_where_they_were(drifted):
    incident = drifted.incident()
    plot = gather(drifted.store, drifted.target, incident).plot
    assert plot.onset_x == plot.axis.x(incident.onset_at)
    assert plot.alarm[0] == plot.axis.x(incident.opened_at)
    assert plot.alarm[1] <= plot.alarm_y
    assert plot.calibration_x == plot.axis.x(drifted.slot(24))


def test_speed_that_is_about_to_raise_an_alarm_is_not_called_as_before(make_world, read, script, longer):
    world = make_world(is_quiet=True)
    world.script = script(longer, change_at=world.slot(world.n_runs))
    world.run(3)
    performance = world.store.latest_verdict("support").kind(Kind.PERFORMANCE)
    assert performance.threshold / 10 < performance.evidence < performance.threshold
    page = read(world.page(world.incident()))
    assert "; speed and length raise no alarm yet." in page.text
    assert "no alarm yet, evidence" in page.text
    assert "within calibration" not in page.text


def test_a_page_says_when_speed_or_length_changed_as_well(make_world, read, script, longer):
    world = make_world(is_quiet=True)
    world.script = script(longer, change_at=world.slot(world.n_runs))
    world.run(12)
    page = read(world.page(world.incident()))
    assert "; speed or length changed as well." in page.text
    performance = page.html.split("<h3>")[2]
    assert "of the evidence" in performance
    header = page.rows("Affected canaries")[0]
    assert "tokens" not in header, "a behaviour page lists what tells of behaviour"


def test_an_acknowledged_incident_names_who_is_on_it(drifted, read):
    steps = incidents.acknowledge([drifted.incident()], author="ana", reason="asked the vendor", at=drifted.slot(50))
    drifted.store.commit_judgement(None, steps, at=drifted.slot(50))
    page = read(drifted.page(drifted.incident()))
    assert "ana has been on it since Sat 14 Mar 2026 12:00 UTC: asked the vendor." in page.text
    assert "driftwatch ack" not in page.text
    assert "incidents resolve 1" in page.text


def test_a_page_after_the_change_was_accepted_still_shows_the_old_baseline(drifted, read):
    at = drifted.slot(drifted.n_runs)
    accepted = rebaseline.accept(
        drifted.store, drifted.target, None, canary_ids=(), since=None, author="ana", reason="the new prompt", at=at
    )
    incident = drifted.incident()
    assert incident.state is IncidentState.RESOLVED
    assert accepted.baseline.id != incident.baseline_id
    page = read(drifted.page(incident))
    assert "got replies unlike the accepted ones" in page.text
    assert "It ended on Fri 13 Mar 2026 06:00 UTC: new baseline accepted by ana" in page.text
    assert "baseline 1 by driftwatch, 2 Mar 2026; replaced since" in page.text
    assert "Next" not in page.sections()
    assert "Before and after" in page.sections()
    present = read(drifted.page())
    assert "baseline 2 by ana" in present.text


def test_what_came_after_an_incident_is_not_drawn_as_part_of_it(drifted):
    until = drifted.slot(drifted.n_runs - 5)
    steps = incidents.resolve([drifted.incident()], author="ana", reason="known", at=until)
    drifted.store.commit_judgement(None, steps, at=until)
    incident = drifted.incident()
    view = gather(drifted.store, drifted.target, incident)
    since = view.groups[0].plots[0].since_onset
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", since)]
    assert view.plot.axis.x(incident.onset_at) == min(xs)
    assert max(xs) == view.plot.axis.x(until)


def test_a_canary_that_has_left_the_suite_is_shown_without_its_prompt(drifted, read, without_canary):
    drifted.target = without_canary(drifted.target, "support/greeting")
    page = read(drifted.page(drifted.incident()))
    assert "support/greeting" in page.text
    assert "no longer in the target's suites" in page.text
    assert "Greet a customer." not in page.text
    assert "why capital matters" in page.text


def test_a_performance_page_says_that_the_replies_are_as_accepted(make_world, read, script):
    world = make_world(is_quiet=True)
    same = script()["personas"]["before"]["answers"]
    world.script = script(same, change_at=world.slot(world.n_runs), latency_s=4.0)
    world.run(14)
    incident = world.incident()
    assert incident.kind is Kind.PERFORMANCE
    page = read(world.page(incident))
    assert page.inside("h1")[0].startswith("Replies take ")
    assert "support answers more slowly since" in page.text
    assert "What the replies say is as accepted; how fast they come or how long they are is not." in page.text
    assert "It shows most in latency" in page.text
    assert page.inside("h3") == ["Performance", "Behaviour"]
    assert "Evidence M that the performance has changed" in page.text
    assert "Before and after" not in page.sections()


# ---------------------------------------------------------------- trouble that is no drift


def outage(world_slot, first: int, n: int) -> dict[str, object]:
    start = world_slot(first) - timedelta(hours=1)
    return {"from": start.isoformat(), "until": (start + timedelta(hours=6 * n)).isoformat(), "outcome": "unavailable"}


def test_an_availability_page_tells_the_failures_and_no_drift(make_world, read, script):
    world = make_world(is_quiet=True)
    world.script = script(faults=(outage(world.slot, world.n_runs, 5),))
    world.run(5)
    incident = world.incident()
    assert incident.kind is Kind.AVAILABILITY
    page = read(world.page(incident))
    assert "support cannot be measured since" in page.inside("h1")[0]
    assert "This is not drift" in page.text
    assert "More than 20 % of the requests failed" in page.text
    assert page.sections() == [
        *("Where it comes from", "How the requests failed", "Last errors", "Evidence over time", "How sure this is"),
        *("What was told and done", "Next"),
    ]
    header, *rows = page.rows("How the requests failed")
    failing = [run for run in world.store.runs("support", newest_first=True) if run.n_failed]
    assert header == ["Run", "unavailable", "answered", ""]
    assert [row[1:3] for row in rows] == [[str(run.n_failed), str(run.n_ok)] for run in failing]
    error, *_ = page.rows("Last errors")[1:]
    assert "unavailable: the script says: unavailable" in error[1]
    assert f"{sum(run.n_failed for run in failing)} failed" in page.text
    assert gather(world.store, world.target, incident).plot.gaps.startswith("M")
    assert "driftwatch doctor support" in page.text
    assert "rebaseline" not in page.text


def test_an_endpoint_that_never_answered_has_a_page(make_world, read, script):
    world = make_world()
    world.script = script(faults=(outage(world.slot, 0, 10),))
    world.run(4)
    page = read(world.page(world.incident()))
    assert "Evidence over time" not in page.sections()
    assert "How the requests failed" in page.sections()
    assert "list price" not in page.text
    failing = world.store.runs("support")
    assert f"{sum(run.n_failed for run in failing)} failed in these runs" in page.text


def test_lines_break_where_runs_have_no_verdict(make_world, read, script):
    world = make_world(is_quiet=True)
    world.script = script(faults=(outage(world.slot, world.n_runs, 2),))
    world.run(6)
    assert world.store.incidents() == []
    view = gather(world.store, world.target, None)
    assert view.plot.gaps.count("M") == 2
    assert view.plot.line.count("M") == 2
    assert all(plot.watched.count("M") == 2 for group in view.groups for plot in group.plots)
    assert "Marks along the bottom: runs without a verdict" in read(world.page()).text


# ---------------------------------------------------------------- a target's present state


def test_a_target_that_never_ran_has_a_page(make_world, read):
    page = read(make_world(owner="team-a").page())
    assert page.inside("h1") == ["support"]
    assert "It has no verdict yet" in page.text
    assert "team-a" in page.text
    assert page.sections() == []
    assert "Made by driftwatch" in page.text
    assert "0 runs" not in page.text


@pytest.mark.parametrize(
    ("n_runs", "says"),
    [
        (1, "Calibrating: 0 of 24 runs."),
        (
            2,
            "The watch is armed after 24 calibration runs, which takes at least another 5 d 18 h.",
        ),
        (24, "Calibrating: 23 of 24 runs."),
        (25, "Calibrated on 24 runs; the next run is judged."),
    ],
)
def test_a_page_during_calibration_says_how_far_it_is(make_world, read, n_runs, says):
    world = make_world()
    world.run(n_runs)
    page = read(world.page())
    assert says in page.text
    assert ">calibrating</span>" in page.html
    assert page.sections() == []
    assert f"{n_runs} run{'s' if n_runs > 1 else ''} and" in page.text


@pytest.mark.parametrize("n_watched", [1, 2])
def test_the_first_watched_runs_are_drawn(make_world, read, n_watched):
    world = make_world()
    world.run(25 + n_watched)
    page = read(world.page())
    assert ">stable</span>" in page.html
    runs = {1: "1 watched run", 2: "2 watched runs"}[n_watched]
    assert re.search(rf"It behaves as accepted: after {runs}, evidence against that is [\d.]+ of the 1,461", page.text)
    assert page.sections() == ["Evidence over time", "Channels"]
    view = gather(world.store, world.target, None)
    assert view.plot.line.endswith("h4") is (n_watched == 1)
    assert view.plot.line.count("L") == n_watched - 1
    assert "of the evidence" not in page.text
    assert page.text.count("within calibration") == 2


def test_the_present_state_of_a_drifted_target_points_to_its_incident(drifted, read):
    page = read(drifted.page())
    assert ">drifted</span>" in page.html
    assert "Behaviour has drifted since 2026-03-10 06:00 UTC" in page.text
    assert "Incident 1 (behaviour) is open; driftwatch report 1 explains it." in page.text
    assert "Affected canaries" in page.sections()


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (None, None),
        (Price(input_usd=0.0, output_usd=0.0, source="config"), None),
        (Price(input_usd=0.001, output_usd=0.001, source="config"), "under $0.01, by list price"),
        (Price(input_usd=1e3, output_usd=1e5, source="config"), "about $"),
    ],
)
def test_dollars_are_told_when_there_are_any(make_world, read, price, said):
    world = make_world()
    world.price = price
    world.run(2)
    text = read(world.page()).text
    assert said in text if said else "list price" not in text


def test_long_lists_are_cut_and_say_so(drifted, read, monkeypatch):
    whole = gather(drifted.store, drifted.target, drifted.incident())
    monkeypatch.setattr("driftwatch.report.canaries.MAX_ROWS", 3)
    monkeypatch.setattr("driftwatch.report.canaries.MAX_PAIRS", 2)
    page = read(drifted.page(drifted.incident()))
    assert [row[0] for row in page.rows("Affected canaries")[1:]] == [row.canary_id for row in whole.affected.rows[:3]]
    assert f"{len(whole.affected.rows) - 3} more left out." in page.text
    assert page.html.count('<section class="pair">') == 2


def test_requests_that_failed_singly_are_not_shown_as_replies(make_world, script):
    world = make_world(is_quiet=True)
    at = world.slot(world.n_runs)
    fault = {"from": at.isoformat(), "outcome": "timeout", "share": 0.1}
    world.script = script(change_at=at, faults=(fault,))
    world.run(8)
    view = gather(world.store, world.target, world.incident())
    assert view.cost.n_failed > 0
    assert all("".join(piece.text for piece in pair.after) for pair in view.pairs)


def test_the_same_store_gives_the_same_page(drifted):
    assert drifted.page(drifted.incident()) == drifted.page(drifted.incident())


def test_the_lines_of_a_long_watch_are_thinned(drifted, monkeypatch):
    whole = len(drifted.page(drifted.incident()))
    monkeypatch.setattr("driftwatch.report.plot.MAX_POINTS", 10)
    assert len(drifted.page(drifted.incident())) < whole - 1000


def test_an_intermittent_fault_is_shown_by_its_own_replies_not_by_the_typical_ones(make_world, script):
    world = make_world(is_quiet=True)
    before = script()["personas"]["before"]["answers"]
    mixed = {name: [*those * 3, "Bananas grow in the tropics, nobody asked"] for name, those in before.items()}
    world.script = script(mixed, change_at=world.slot(world.n_runs))
    world.run(12)
    baseline = world.store.current_baseline(world.target.name)
    rows = world.store.series(baseline.id)
    window = Window(onset_at=world.slot(world.n_runs - 12), end_at=None)
    names = [canary.id for canary in world.target.canaries]
    shown = pairs(world.store, world.target, baseline, rows, canary_ids=names, window=window, far_only=True)
    assert shown
    assert all("Bananas grow" in "".join(piece.text for piece in pair.after) for pair in shown)
    usual = pairs(world.store, world.target, baseline, rows, canary_ids=names, window=window)
    assert not any("Bananas grow" in "".join(piece.text for piece in pair.after) for pair in usual)
