"""A whole report: groups, the record, the timeline, the watch itself, and the three formats' agreement."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from markdown_it import MarkdownIt

from driftwatch import rebaseline
from driftwatch.alert import incidents
from driftwatch.alert.whose import Attribution, Reason, Whose
from driftwatch.domain import WATCH, Event, IncidentState, Kind, Severity, Step
from driftwatch.report import about_incident, document, gather, markdown, page
from driftwatch.report.canaries import fold
from driftwatch.report.diff import Piece
from driftwatch.report.plot import Axis
from driftwatch.report.timeline import Moment, Tone, marks


def headings(text: str) -> list[str]:
    tokens = MarkdownIt("commonmark").parse(text)
    return [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open" and t.tag == "h2"]


def opened(world, **changes) -> Step:
    lead = world.incident()
    values = {
        "incident_id": None,
        "target": "other",
        "kind": Kind.BEHAVIOUR,
        "before": None,
        "after": IncidentState.OPEN,
        "at": lead.opened_at + timedelta(hours=1),
        "author": "driftwatch",
        "reason": "moves too",
        "onset_at": lead.onset_at,
        "baseline_id": lead.baseline_id,
        "run_id": lead.run_id,
        "event": Event.JOINED,
        "severity": Severity.WARNING,
        "evidence": {"headline": "other behaves differently"},
        "part_of": lead.id,
    }
    return Step(**{**values, **changes})


# ---------------------------------------------------------------- formats agree


def test_markdown_and_json_say_what_the_page_says(drifted, read):
    report = drifted.report(drifted.incident())
    shown, told, data = read(page(report)), markdown(report), document(report)
    assert headings(told) == ["Timeline" if h == "Evidence over time" else h for h in markdown_order(shown.sections())]
    assert data["title"] == shown.inside("h1")[0]
    for change in report.lead.evidence.changes:
        assert change in shown.text
        assert change in data["targets"][0]["changes"]
    view = report.lead
    pairs = data["targets"][0]["pairs"]
    assert [pair["canary"] for pair in pairs] == [pair.canary_id for pair in view.pairs]
    for pair in pairs:
        assert pair["after"]["text"] in told
        assert pair["after"]["request_id"] in told
        assert pair["after"]["request_id"] in shown.text
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["format"] == "driftwatch-report/1"


def markdown_order(sections: list[str]) -> list[str]:
    """Without a drawing the timeline stands behind what it is about."""
    order = [
        "Where it comes from",
        "What changed",
        "Before and after",
        "How sure this is",
        "Evidence over time",
        "Channels",
    ]
    return [*order, *sections[len(order) :]]


def test_the_markdown_marks_differences_word_by_word(drifted):
    report = drifted.report(drifted.incident())
    before = (Piece(text="You have ", is_changed=False), Piece(text="30 days", is_changed=True))
    after = (Piece(text="You have ", is_changed=False), Piece(text="no right", is_changed=True))
    pair = replace(report.lead.pairs[0], before=before, after=after)
    told = markdown(replace(report, members=(replace(report.lead, pairs=(pair,)),)))
    assert "You have [-30 days-]{+no right+}" in told
    nothing_common = replace(pair, before=before[1:], after=after[1:])
    assert "Word by word" not in markdown(replace(report, members=(replace(report.lead, pairs=(nothing_common,)),)))


def test_a_long_reply_is_folded_and_complete(drifted, read):
    report = drifted.report(drifted.incident())
    text = "\n".join(f"line {n}" for n in range(300))
    pair = replace(report.lead.pairs[0], after=(Piece(text=text, is_changed=True),))
    shown = read(page(replace(report, members=(replace(report.lead, pairs=(pair,)),))))
    assert "characters more" in shown.text
    assert "line 0 line 1 " in shown.text
    assert "line 299" in shown.text
    folded = fold(pair.after)
    assert "".join(p.text for p in (*folded.head, *folded.rest)) == text
    assert fold((Piece(text="short", is_changed=False),)).rest == ()


def test_a_replys_beginning_stands_open_even_without_a_line_end():
    folded = fold((Piece(text="a" * 100, is_changed=False), Piece(text="b" * 5000, is_changed=True)))
    assert sum(len(p.text) for p in folded.head) == 600
    assert folded.n_characters == 4500
    assert [p.is_changed for p in folded.head] == [False, True]


# ---------------------------------------------------------------- groups


def test_a_group_is_one_report_with_a_section_for_each_target(drifted, read):
    drifted.store.commit_judgement(None, [opened(drifted)], at=drifted.slot(drifted.n_runs))
    lead, other = drifted.store.group(1)
    targets = {"support": drifted.target, "other": replace(drifted.target, name="other")}
    reports = [about_incident(drifted.store, targets, one, at=drifted.slot(50)) for one in (lead, other)]
    assert reports[0] == reports[1], "whoever asks for a member gets the group"
    report = reports[0]
    assert (report.number, report.severity, report.is_group) == (1, Severity.CRITICAL, True)
    shown = read(page(report))
    assert shown.sections() == ["support (behaviour)", "other (behaviour)", "What was told and done", "Next"]
    assert shown.inside("h1")[0].startswith("2 targets at once: ")
    assert "seen on 2 targets: support (behaviour) and other (behaviour)" in shown.text
    assert [a["id"] for tag, a in shown.tags if tag == "section" and "id" in a] == ["part-1", "part-2"]
    assert "driftwatch rebaseline other --reason" in shown.text
    assert shown.text.count("driftwatch ack 1") == 1
    assert [member["target"] for member in document(report)["targets"]] == ["support", "other"]
    assert headings(markdown(report)) == shown.sections()


def test_a_member_that_left_the_config_is_told_by_what_is_stored(drifted, read):
    step = opened(drifted, target="gone", evidence={"headline": "x", "model": "m-old", "provider": "openai"})
    drifted.store.commit_judgement(None, [step], at=drifted.slot(50))
    report = about_incident(drifted.store, {"support": drifted.target}, drifted.store.group(1)[0])
    assert report.members[1].target.model == "m-old"
    assert "m-old" in read(page(report)).text


def test_a_group_is_open_for_as_long_as_any_of_it_is(drifted):
    drifted.store.commit_judgement(None, [opened(drifted)], at=drifted.slot(50))
    at = drifted.slot(51)
    steps = incidents.resolve([drifted.store.incident(1)], author="ana", reason="known", at=at)
    drifted.store.commit_judgement(None, steps, at=at)
    report = about_incident(drifted.store, {}, drifted.store.incident(1))
    assert (report.state, report.severity) == ("open", Severity.WARNING)
    assert not any("rebaseline support" in command for command, _ in report.steps)


# ---------------------------------------------------------------- the record


def test_the_record_tells_who_was_told_when_and_what_held_it_back(drifted, read):
    store, at = drifted.store, drifted.slot(50)
    store.commit_judgement(
        None,
        [replace(opened(drifted), receivers=("slack", "mail", "pager", "console"))],
        at=at,
    )
    told = {n.receiver: n for n in store.notifications(2)}
    store.mark_sent(told["slack"].id, at=at)
    store.mark_dead(told["mail"].id, error="no such address")
    store.mute(told["pager"].id, reason="silence 1: planned work")
    until = at + timedelta(hours=2)
    store.add_silence(match={"target": ["other"]}, starts_at=at, ends_at=until, author="bo", reason="planned", at=at)
    store.add_silence(match={"target": ["third"]}, starts_at=at, ends_at=until, author="bo", reason="unrelated", at=at)
    report = about_incident(store, {"support": drifted.target}, store.incident(1))
    shown = read(page(report)).text
    assert "→ slack at Sat 14 Mar 2026 12:00 UTC" in shown
    assert "→ mail: could not be told (no such address)" in shown
    assert "→ pager: not told (silence 1: planned work)" in shown
    assert "→ console: not told yet" in shown
    assert "silence 1 until Sat 14 Mar 2026 14:00 UTC · bo" in shown
    assert "unrelated" not in shown
    assert "mail: could not be told (no such address)" in markdown(report)
    states = {told["receiver"]: told["state"] for deed in document(report)["record"] for told in deed["told"]}
    assert states == {
        "slack": "told",
        "mail": "could not be told",
        "pager": "not told",
        "console": "not told yet",
    }


# ---------------------------------------------------------------- the timeline


def test_everything_that_happened_is_marked_in_order(drifted, read):
    store = drifted.store
    facts = {"driftwatch": "1.0", "target.support": "a"}
    store.note_harness(facts, at=drifted.slot(1))
    store.note_harness({**facts, "driftwatch": "1.1"}, at=drifted.slot(30))
    at = drifted.slot(40)
    steps = incidents.acknowledge([drifted.incident()], author="ana", reason="on it", at=at)
    store.commit_judgement(None, steps, at=at)
    outage = opened(
        drifted,
        target="support",
        kind=Kind.AVAILABILITY,
        part_of=None,
        onset_at=drifted.slot(26),
        at=drifted.slot(27),
        event=Event.OPENED,
    )
    (lasting,) = store.commit_judgement(None, [outage], at=drifted.slot(27))
    steps = incidents.resolve([store.incident(lasting.id)], author="ana", reason="over", at=drifted.slot(29))
    store.commit_judgement(None, steps, at=drifted.slot(29))
    end = drifted.slot(drifted.n_runs)
    rebaseline.accept(
        store, drifted.target, None, canary_ids=(), since=None, author="ana", reason="the new normal", at=end
    )
    view = gather(store, drifted.target, store.incident(1))
    assert [mark.moment.text for mark in view.marks] == [
        *("outage", "our side changed: driftwatch", "onset", "alarm", "acknowledged", "ended", "new baseline 2"),
    ]
    assert [mark.number for mark in view.marks] == list(range(1, 8))
    band = view.marks[0]
    assert band.width == pytest.approx(view.plot.axis.x(drifted.slot(29)) - band.x, abs=0.2)
    page_ = read(drifted.page(store.incident(1)))
    assert "outage Sun 8 Mar 2026 12:00 UTC to Mon 9 Mar 2026 06:00 UTC" in page_.text
    (plot,) = [a for tag, a in page_.tags if tag == "svg" and a.get("class") == "evidence"]
    assert "Tue 10 Mar 2026 06:00 UTC: onset" in plot["aria-label"]


def test_marks_that_would_overlap_are_stacked(drifted):
    start = drifted.slot(0)
    axis = Axis(start=start, end=drifted.slot(100))
    found = [Moment(at=start + timedelta(hours=n), text=str(n), tone=Tone.OURS) for n in (0, 1, 2, 300)]
    placed = marks([*found, Moment(at=drifted.slot(200), text="later", tone=Tone.GOOD)], axis)
    assert [mark.row for mark in placed] == [0, 1, 2, 0, 0]
    assert placed[-1].x is None


# ---------------------------------------------------------------- attribution, certainty, cost


def test_the_origin_is_told_with_every_reason(drifted, read):
    found = Attribution(
        verdict=Whose.PROVIDER,
        summary="The control moved too.",
        reasons=(Reason(text="a-control moved", points_to=Whose.PROVIDER), Reason(text="no", points_to=Whose.UNKNOWN)),
    )
    incident = drifted.incident()
    incident = replace(incident, evidence={**incident.evidence, "attribution": found.to_json()})
    report = drifted.report(incident)
    shown = read(page(report))
    assert "Provider : The control moved too." in shown.text
    assert shown.rows("Where it comes from") == [
        ["What was looked at", "Points to"],
        ["a-control moved", "provider"],
        ["no", "–"],
    ]
    assert "a-control moved (provider)" in markdown(report)
    assert document(report)["targets"][0]["attribution"] == found.to_json()


def test_the_page_says_how_unlikely_the_alarm_is_without_a_change(drifted):
    view = gather(drifted.store, drifted.target, drifted.incident())
    said = " ".join(view.sure)
    alarm = next(v for v in drifted.store.verdicts("support") if v.at == drifted.incident().opened_at)
    bound = alarm.n_monitored / 1461
    assert f"within the {alarm.n_monitored} runs watched up to it was at most" in said
    percent = float(said.split("was at most ")[1].split(" %")[0])
    assert bound * 100 <= percent <= bound * 100 + 0.1
    assert "not that they are worse" in said


def test_cost_since_the_onset_is_a_part_of_the_whole(drifted):
    view = gather(drifted.store, drifted.target, drifted.incident())
    runs = drifted.store.runs("support")
    since = [run for run in runs if run.scheduled_at >= drifted.incident().onset_at]
    assert view.cost.since.n_tokens == sum(run.n_tokens for run in since)
    assert view.cost.since.cost_usd == pytest.approx(sum(run.cost_usd for run in since))
    assert view.cost.total.n_requests == sum(run.n_requests for run in runs)


# ---------------------------------------------------------------- the watch itself


def test_an_incident_of_the_watch_itself_has_a_short_report(drifted, read):
    step = opened(
        drifted,
        target=WATCH,
        kind=Kind.WATCH_ITSELF,
        baseline_id=None,
        run_id=None,
        part_of=None,
        event=Event.OPENED,
        evidence={"headline": "The disk is full since noon", "changes": ["Make room: df -h"]},
    )
    (incident,) = drifted.store.commit_judgement(None, [step], at=drifted.slot(50))
    report = about_incident(drifted.store, {"support": drifted.target}, incident)
    shown = read(page(report))
    assert shown.inside("h1") == ["The disk is full since noon"]
    assert shown.sections() == ["What to do", "What was told and done", "Next"]
    assert "This is about driftwatch itself" in shown.text
    assert "rebaseline" not in shown.text
    assert "--bundle" not in shown.text
    assert headings(markdown(report)) == shown.sections()
    assert document(report)["targets"][0]["baseline"] is None
