"""What a person sees before accepting, and that looking changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from driftwatch.cli import preview_text
from driftwatch.domain import Kind
from driftwatch.preview import preview
from driftwatch.rebaseline import propose
from tests.pipeline.conftest import BEFORE


def look(watch, *canary_ids, since=None, collect=False, expires_at=None):
    found = propose(watch.store, watch.target, None, canary_ids=canary_ids, since=since, collect=collect)
    return preview(watch.store, found, at=watch.now, expires_at=expires_at)


def dumped(watch):
    return watch.path.read_bytes(), watch.store.baseline_changes("shop-bot"), watch.incidents()


def test_a_preview_says_what_accepting_then_does(long_drifted):
    before = dumped(long_drifted)
    found = look(long_drifted)
    assert dumped(long_drifted) == before, "looking writes nothing"
    [resolved] = found.resolved
    accepted = long_drifted.accept()
    assert found.proposal.n_anchor_runs == accepted.n_anchor_runs
    assert len(found.proposal.calibration) == accepted.n_calibration
    assert found.armed_at is None
    assert found.proposal.since == long_drifted.store.incident(resolved.incident_id).onset_at
    assert [incident.id for incident in accepted.resolved] == [resolved.incident_id]
    assert found.proposal.creep == accepted.creep


def test_every_canary_is_shown_with_its_typical_reply_before_and_since(long_drifted):
    found = look(long_drifted)
    assert (found.n_runs, found.n_replies) == (len(found.proposal.rows), 4 * len(found.proposal.rows))
    shown = {canary.canary_id: canary for canary in found.canaries}
    assert set(shown) == set(BEFORE)
    for canary_id, canary in shown.items():
        assert canary.before in BEFORE[canary_id]
        assert canary.after not in BEFORE[canary_id]
        assert canary.is_accepted
        assert canary.changes
    assert any("JSON replies are broken" in change for change in shown["shop/triage"].changes)


def test_with_too_few_runs_it_says_when_the_watch_would_be_armed(drifted):
    drifted.run(5)
    found = look(drifted)
    missing = found.proposal.missing_runs
    assert missing == drifted.accept().missing_runs
    assert found.armed_at == drifted.now + timedelta(hours=missing)
    said = " ".join(preview_text.as_text(found).split())
    assert f"{missing} calibration runs missing: armed by schedule around" in said
    assert "within the hour by `driftwatch baseline shop-bot`" in said


def test_what_is_not_accepted_and_drifted_stays_unusual(two_long_drifted):
    found = look(two_long_drifted, "shop/capital")
    accepted = {canary.canary_id for canary in found.canaries if canary.is_accepted}
    assert accepted == {"shop/capital"}
    assert "shop/refund" in {entry.what for entry in found.unusual}
    assert {"shop/greeting", "shop/triage", "shop/capital"}.isdisjoint(entry.what for entry in found.unusual)
    assert Kind.BEHAVIOUR in {kind for kind, _ in found.own.alarms}, "it would page again, and does"


def test_when_all_that_drifted_is_accepted_nothing_stays_unusual(two_long_drifted):
    found = look(two_long_drifted, "shop/capital", "shop/refund")
    assert found.unusual == ()
    assert found.own.alarms == ()
    assert found.own.n_runs == len(found.proposal.fresh)


def test_behaviour_that_moved_on_since_is_no_single_normal(long_drifted):
    since = long_drifted.open_incident().onset_at
    long_drifted.serve("before")
    long_drifted.run(10)
    found = look(long_drifted, since=since)
    assert [entry.what for entry in found.unusual] == ["behaviour", "performance"]
    assert "is not one behaviour" in found.unusual[0].why
    assert Kind.BEHAVIOUR in {kind for kind, _ in found.own.alarms}


def test_false_alarms_of_the_weeks_before_are_counted_against_the_replaced_baseline(armed):
    armed.run(40)
    begun = armed.now
    armed.serve("after")
    armed.until(lambda verdict: verdict.state == "drifted", at_most=12)
    found = look(armed, since=begun)
    assert (found.replaced.n_runs, found.replaced.alarms, found.replaced.problem) == (40, (), None)
    assert found.replaced.until < begun
    assert found.own.problem.endswith("a test against itself takes more than 20")
    said = " ".join(preview_text.as_text(found).split())
    assert "Baseline 1 over the weeks before it: no alarm in 40 runs since" in said
    assert "40 runs can show a gross misfit and prove no rate" in said


def test_without_runs_from_before_it_says_so(watch):
    watch.run(30)
    watch.edit()
    found = look(watch, since=watch.now - timedelta(hours=30))
    assert found.replaced.problem == "no watched run from before the change is stored"
    assert found.resolved == ()
    command = preview_text.command(found)
    assert "--since 2026-03-02T00:00:00Z" in command, "no incident says since when"


def test_collecting_anew_promises_nothing_that_is_stored(long_drifted):
    found = look(long_drifted, collect=True, expires_at=long_drifted.now + timedelta(days=7))
    assert (found.n_runs, found.canaries, found.proposal.creep) == (0, (), None)
    assert found.armed_at == long_drifted.now + timedelta(hours=21)
    said = " ".join(preview_text.as_text(found).split())
    assert "nothing that is stored: the next runs begin a baseline anew; until Wed 11 Mar 11:00 UTC, then" in said
    assert preview_text.command(found) == (
        'driftwatch rebaseline shop-bot --collect --expires 2026-03-11T11:00:00Z --reason "…"'
    )


def test_a_canary_that_stopped_answering_is_named(armed_with_five):
    armed_with_five.endpoint.rejected = {"shop/extra"}
    armed_with_five.change("after")
    armed_with_five.run(25)
    found = look(armed_with_five)
    assert [entry.what for entry in found.unusual] == ["shop/extra"]
    assert found.unusual[0].why == "would not be watched: it has answered 0 times only"
    extra = next(canary for canary in found.canaries if canary.canary_id == "shop/extra")
    assert (extra.after, extra.n_replies) == (None, 0)
    assert "shop/extra: no reply since the change" in preview_text.as_text(found)


def test_json_holds_every_figure(long_drifted):
    found = look(long_drifted)
    told = json.loads(json.dumps(preview_text.as_json(found)))
    assert told["is_armed"] is True
    assert told["replies"] == found.n_replies
    assert told["backtest"]["new_baseline"]["runs"] == found.own.n_runs
    assert [canary["id"] for canary in told["canaries"]] == list(BEFORE)
    assert told["resolves"][0]["number"] == 1
    assert told["creep"]["first_baseline"] == 1


HOSTILE = "@team | `x` <script>alert(1)</script> [a](https://evil.example) \x1b[31m \u202e www.evil.example\n\n# h\\|"


def test_hostile_replies_neither_move_the_cursor_nor_become_markdown(long_drifted):
    found = look(long_drifted)
    bad = [
        replace(canary, before=HOSTILE, after=HOSTILE, changes=(f"model is now {HOSTILE}",))
        for canary in found.canaries
    ]
    found = replace(found, canaries=tuple(bad), overall=(HOSTILE,))
    text = preview_text.as_text(found)
    assert "\x1b" not in text
    assert "\u202e" not in text
    markdown = preview_text.as_markdown(found)
    assert all(bit not in markdown for bit in ("\x1b", "\u202e", "<script", "](http", "@team", "www.evil", "https://"))
    rows = [row for row in markdown.splitlines() if row.startswith("| <code>")]
    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {5}, "no cell ends early"


def test_many_changed_canaries_are_shown_in_part(long_drifted):
    found = look(long_drifted)
    many = tuple(replace(found.canaries[0], canary_id=f"shop/{n:02}") for n in range(30))
    text = preview_text.as_text(replace(found, canaries=many))
    assert "shop/19:" in text
    assert "shop/20:" not in text
    assert "10 more canaries with a change" in text


def test_a_slowdown_is_previewed_too(slowed):
    slowed.run(12)
    found = look(slowed)
    assert found.resolved[0].kind is Kind.PERFORMANCE
    assert "Resolves      incident 1 (performance)" in preview_text.as_text(found)


def test_a_canary_is_as_private_as_its_suite_says(long_drifted):
    first, *rest = long_drifted.target.canaries
    long_drifted.target = replace(long_drifted.target, canaries=(replace(first, is_private=True), *rest))
    found = look(long_drifted)
    assert [canary.is_private for canary in found.canaries] == [True, *(False for _ in rest)]


def test_replies_of_private_canaries_stay_in_the_terminal(long_drifted):
    found = look(long_drifted)
    first, *rest = found.canaries
    found = replace(found, canaries=(replace(first, is_private=True), *rest))
    assert first.after in preview_text.as_text(found)
    assert first.after not in preview_text.as_markdown(found)
    assert "| (private) | (private) |" in preview_text.as_markdown(found)
    told = preview_text.as_json(found)["canaries"][0]
    assert (told["is_private"], told["before"], told["after"]) == (True, None, None)
