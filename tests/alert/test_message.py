"""What people are told, and that a reply cannot put words into driftwatch's mouth."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.alert.message import Tone, compose, compose_digest, details, present
from driftwatch.alert.troubles import Trouble
from driftwatch.cli import main
from driftwatch.domain import Event, IncidentState, Kind, Severity

OPENED = datetime(2026, 3, 16, 14, 0, tzinfo=UTC)
ACK, SILENCE = 'driftwatch ack 12 --reason "…"', 'driftwatch silence add 12 --for 24h --reason "…"'
RESOLVED, ACKNOWLEDGED = IncidentState.RESOLVED, IncidentState.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("kind", "after", "words", "title", "tone"),
    [
        (Kind.BEHAVIOUR, IncidentState.OPEN, {}, "Drift: support-bot", Tone.ALARM),
        (Kind.PERFORMANCE, IncidentState.OPEN, {}, "Slower: support-bot", Tone.WARNING),
        (Kind.AVAILABILITY, IncidentState.OPEN, {}, "Cannot measure: support-bot", Tone.WARNING),
        (Kind.BEHAVIOUR, RESOLVED, {}, "Recovered: support-bot", Tone.GOOD),
        (Kind.AVAILABILITY, RESOLVED, {}, "Recovered: support-bot", Tone.GOOD),
        (Kind.BEHAVIOUR, ACKNOWLEDGED, {"author": "ana"}, "Acknowledged: support-bot", Tone.NOTICE),
        (Kind.BEHAVIOUR, RESOLVED, {"author": "ana", "reason": "planned"}, "Closed: support-bot", Tone.NOTICE),
    ],
)
def test_the_title_says_what_happened_to_which_target(announce, *, kind, after, words, title, tone):
    message = compose(announce(kind, after, **words))
    assert (message.title, message.tone) == (title, tone)


def test_the_first_sentence_is_enough_to_act_on(announce):
    assert (
        compose(announce()).summary[0]
        == "Replies got 2.1 times as long on 12 of 14 canaries since Mon 16 Mar 09:00 UTC (6 runs until the alarm)."
    )


def test_a_person_is_told_how_sure_driftwatch_is_and_what_the_figure_means(announce):
    assert (
        "How sure: evidence 41,000 against a bar of 17,532, "
        "set so that at most one false alarm per year is expected on this target."
    ) in compose(announce()).summary


def test_a_closed_incident_says_who_ended_it_and_what_it_was(announce):
    message = compose(announce(Kind.BEHAVIOUR, RESOLVED, author="ana", reason="a planned release"))
    assert message.summary == (
        "ana closed incident 12 of support-bot: a planned release.",
        (
            "What it was about: replies got 2.1 times as long on 12 of 14 canaries since Mon 16 Mar 09:00 UTC "
            "(6 runs until the alarm)."
        ),
        "Opened Mon 16 Mar 14:00 UTC, 5 h 10 min before this message.",
    )


def test_an_accepted_baseline_says_that_the_watch_goes_on(announce):
    message = compose(announce(Kind.BEHAVIOUR, RESOLVED, author="ana", reason="new baseline accepted by ana: all fine"))
    assert message.summary[0] == (
        "support-bot: new baseline accepted by ana: all fine. "
        "What comes next is held against it as soon as it is armed."
    )


def test_an_acknowledged_incident_names_the_person(announce):
    message = compose(announce(Kind.BEHAVIOUR, ACKNOWLEDGED, author="ana", reason="on it!"))
    assert message.summary[0] == "ana is looking at incident 12: on it!"


def commands(message):
    return [step.command for step in message.steps]


def test_the_next_steps_fit_the_incident(announce):
    report, ack, silence = "driftwatch report 12", ACK, SILENCE
    preview = "driftwatch rebaseline support-bot --preview"
    assert commands(compose(announce())) == [report, ack, silence, preview]
    assert commands(compose(announce(Kind.AVAILABILITY))) == [report, ack, silence], "an outage is never the new normal"
    assert commands(compose(announce(Kind.WATCH_ITSELF))) == ["df -h /var/lib/driftwatch", report, ack, silence]
    assert commands(compose(announce(Kind.BEHAVIOUR, ACKNOWLEDGED, author="ana"))) == [report, preview]
    assert commands(compose(announce(Kind.BEHAVIOUR, RESOLVED))) == [report]


def test_the_next_steps_are_commands_that_exist(announce, tell, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    digest = compose_digest([tell(Event.RESOLVED, state=RESOLVED)])
    asked = [*commands(compose(announce())), *commands(digest)]
    for command in asked:
        program, *arguments = shlex.split(command)
        assert program == "driftwatch"
        monkeypatch.setattr("sys.argv", [program, *arguments])
        with pytest.raises(SystemExit):
            main()
        said = capsys.readouterr().err
        assert "config" in said, f"{command}: only the config is missing here, but: {said}"
    assert len(asked) == 5


def test_a_command_can_be_copied_whatever_the_target_is_called(announce):
    assert "driftwatch rebaseline 'a b; rm -rf ~' --preview" in commands(compose(announce(target="a b; rm -rf ~")))


def test_an_outage_is_told_as_an_outage(announce):
    assert compose(announce(Kind.AVAILABILITY)).summary == (
        "support-bot cannot be measured since Mon 16 Mar 09:00 UTC.",
        "Failed requests: 30 × timeout and 12 × rate limited.",
        "Last error: the endpoint did not answer within 60 s.",
        "While this lasts, driftwatch cannot tell whether the behaviour changed; this is not drift.",
    )


def test_a_failure_that_does_not_pass_asks_for_somebody(announce):
    evidence = {"headline": "support-bot cannot be measured: the model is gone", "outcomes": {"model_gone": 42}}
    assert compose(announce(Kind.AVAILABILITY, evidence=evidence)).summary == (
        "support-bot cannot be measured: the model is gone.",
        "Failed requests: 42 × model gone.",
        "Asking again does not change that: somebody has to see to it.",
        "While this lasts, driftwatch cannot tell whether the behaviour changed; this is not drift.",
    )


def test_only_canaries_beyond_chance_are_named_unless_none_is(announce):
    def named(canaries):
        (section,) = compose(announce(evidence={"canaries": canaries})).sections
        return section.lines

    affected = {"id": "a/1", "channel": "wording", "before_mean": 0.2, "after_mean": 0.6, "is_affected": True}
    other = {"id": "a/2", "channel": "wording"}
    assert named([affected, other]) == ("a/1: wording 0.20 → 0.60",)
    assert named([other]) == ("a/2: wording",)


def test_a_message_without_evidence_still_says_what_and_since_when(announce):
    for kind, sentence in (
        (Kind.BEHAVIOUR, "support-bot behaves differently since Mon 16 Mar 09:00 UTC."),
        (Kind.PERFORMANCE, "support-bot answers at a different speed or length since Mon 16 Mar 09:00 UTC."),
        (Kind.AVAILABILITY, "support-bot cannot be measured since Mon 16 Mar 09:00 UTC."),
    ):
        message = compose(announce(kind, evidence={}))
        assert message.summary[0] == sentence
        assert (message.changes, message.sections, message.pair) == ((), (), None)
        grade = "critical" if kind is Kind.BEHAVIOUR else "warning"
        fields = [("Incident", f"12 ({kind}, {grade})"), ("Owner", "team-support"), ("Baseline", "3")]
        assert list(message.fields[:3]) == fields


def test_half_known_parts_are_told_by_halves(announce):
    message = compose(
        announce(
            evidence={
                "evidence": 20_000.0,
                "threshold": 8_766.0,
                "channels": [{"name": "made-up", "share": 1.0}],
                "fingerprint": {"after": "fp_2"},
                "baseline": {"id": 4},
                "model": "gpt-4o",
            },
        ),
    )
    assert message.summary[1:] == (
        "How sure: evidence 20,000 against a bar of 8,766.",
        "The endpoint reports another system fingerprint: none → fp_2.",
    )
    assert message.sections[0].lines == ("made-up: 100% of the evidence",)
    assert {("Model", "gpt-4o"), ("Baseline", "4")} <= set(message.fields)


def test_names_and_errors_from_outside_stay_on_one_harmless_line(announce):
    hostile = "x\n\nDrift: other\x1b[2J\u202e <!channel>"
    message = compose(
        announce(
            Kind.AVAILABILITY,
            target=hostile,
            evidence={"last_error": hostile, "model": hostile, "owner": hostile, "outcomes": {hostile: 1}},
        ),
    )
    texts = [message.title, *message.summary, *commands(message), *(value for _, value in message.fields)]
    assert not [text for text in texts if {"\n", "\x1b", "\u202e"} & set(text)]


def test_the_first_lines_are_what_how_sure_and_whose_side(announce, attribution):
    evidence = {**announce().incident.evidence, "attribution": attribution, "feature": "refunds"}
    message = compose(announce(evidence=evidence))
    assert [said.split(" ")[0] for said in message.summary[:4]] == ["Replies", "How", "Whose", "Also:"]
    assert message.summary[2] == (
        "Whose side: the provider's: the same model at another host moved too, and the frozen control did not."
    )
    (why, *_) = message.sections
    assert (why.title, len(why.lines)) == ("Why this side", 3)
    assert ("Feature", "refunds") in message.fields


def test_the_figures_behind_the_kind_are_told_once(announce):
    evidence = announce().incident.evidence
    assert compose(announce(evidence={**evidence, "changes": ()})).summary[2] == "Figures: median 31 → 66 words."
    assert not [said for said in compose(announce()).summary if said.startswith("Figures")]


def test_what_stands_under_what_changed_is_not_told_above_it_as_well(announce):
    evidence = announce().incident.evidence
    changes = ["refuses more: 8 % → 21 % (+13 points [2, 24])", "checks failing: 98 % → 21 % (−77 points)"]
    message = compose(announce(evidence={**evidence, "changes": changes}))
    assert message.changes == tuple(changes)
    assert [said for said in message.summary if said.startswith("Also")] == [
        "Also: JSON replies are broken (98 % → 61 % parse)."
    ]
    hidden = ["a"] * 5 + changes
    message = compose(announce(evidence={**evidence, "changes": hidden}))
    assert [said for said in message.summary if said.endswith("the model refuses more (8 % → 21 %).")], (
        "only lines that are shown count"
    )


def test_one_number_of_canaries_is_told(announce):
    evidence = announce().incident.evidence
    kinds = [{**evidence["kind_of_change"][0], "n_canaries": 10}]

    def said(kinds):
        message = compose(announce(evidence={**evidence, "kind_of_change": kinds}))
        return " ".join([*message.summary, *(section.title for section in message.sections)])

    assert "on 10 of 14 canaries" in said(kinds)
    assert "12 of 14" not in said(kinds)
    assert "Canaries that moved most (12 of 14 beyond chance)" in said([])


def test_a_kind_from_a_hostile_store_is_shown_in_one_safe_line(announce):
    kinds = [{"kind": "longer", "text": "Replies\x1b[31m got\nlonger", "why": "a\u202eb"}]
    summary = compose(announce(evidence={"kind_of_change": kinds})).summary
    assert summary[:2] == ("Replies⟨U+001B⟩[31m got longer.", "Figures: a⟨U+202E⟩b.")


# ---------------------------------------------------------------- every edge


def test_a_tripwires_title_names_the_wire_and_both_values(announce):
    message = compose(announce(Kind.TRIPWIRE))
    assert message.title == "Another model: m-1 → m-2 (support-bot)"
    assert message.summary == (
        "support-bot names another model: m-1 → m-2, since Mon 16 Mar 09:00 UTC.",
        "How sure: certain, the endpoint itself says so.",
    )


@pytest.mark.parametrize(
    ("evidence", "title"),
    [
        (
            {"wire": "errors", "headline": "support-bot fails in a way …: the key is not accepted, since x"},
            "Requests refused: the key is not accepted (support-bot)",
        ),
        (
            {"wire": "retirement", "headline": "support-bot announces the end of its model for 1 Apr 2026, since x"},
            "End of the model: announces the end of its model for 1 Apr 2026 (support-bot)",
        ),
        ({"wire": "deprecation", "headline": "support-bot announces an end, since x"}, "End announced: support-bot"),
        ({"headline": "from an earlier release: a → b, since x"}, "Other metadata: a → b (support-bot)"),
        ({}, "Other metadata: support-bot"),
    ],
)
def test_every_wire_has_a_title(announce, evidence, title):
    assert compose(announce(Kind.TRIPWIRE, evidence=evidence)).title == title


def test_a_gone_model_is_called_so(announce):
    evidence = {"outcomes": {"model_gone": 3}}
    assert compose(announce(Kind.AVAILABILITY, evidence=evidence)).title == "Model gone: support-bot"


@pytest.mark.parametrize(
    ("trouble", "title"),
    [
        ("disk", "Disk trouble: driftwatch"),
        ("key", "Key not accepted: driftwatch"),
        ("receiver:oncall", "Receiver out of reach: oncall (driftwatch)"),
        ("new", "Watch impaired: driftwatch"),
    ],
)
def test_trouble_of_the_watch_itself_is_named_with_what_to_do_first(announce, trouble, title):
    message = compose(announce(Kind.WATCH_ITSELF, trouble=trouble))
    assert message.title == title
    assert message.steps[0].command == "df -h /var/lib/driftwatch"
    assert message.changes == (), "a full disk changes nothing about replies"
    assert [(section.title, section.lines) for section in message.sections] == [
        ("What is known", ("12 MB are left of 20 GB.",))
    ]


def test_every_trouble_has_a_title(announce):
    titles = {compose(announce(Kind.WATCH_ITSELF, trouble=trouble.value)).title for trouble in Trouble}
    assert len(titles) == len(Trouble)
    assert "Watch impaired: driftwatch" not in titles


def test_what_is_told_from_memory_names_no_number_and_no_command_that_needs_one(announce):
    message = compose(announce(Kind.WATCH_ITSELF, id=0))
    assert commands(message) == ["df -h /var/lib/driftwatch"]
    assert message.footer == "driftwatch · notification 30:oncall"
    assert message.fields[0] == ("Incident", "without a number (watch-itself, warning)")
    assert commands(compose(announce(Kind.WATCH_ITSELF, RESOLVED, id=0))) == []


def test_a_change_that_never_was_is_not_told(announce):
    message = compose(announce(evidence={"headline": "x"}))
    assert [said for said in message.summary if "reports another" in said] == []


def test_severity_colours_the_message(announce):
    tones = [compose(announce(severity=severity)).tone for severity in Severity]
    assert tones == [Tone.ALARM, Tone.WARNING, Tone.NOTICE]


def test_a_group_is_told_as_one_with_five_targets_by_name(tell, make_group):
    message = compose(tell(Event.OPENED, group=make_group(n=8, is_open=8)))
    assert message.title == "Drift: target-0 and 7 more"
    assert message.summary[0].startswith("target-7: replies got 2.1 times as long on 12 of 14 canaries")
    named = "8 targets of openai: target-0, target-1, target-2, target-3, target-4 and 3 more"
    assert message.summary[1] == f"Seen on {named}."
    assert ("Targets", named) in message.fields
    assert message.fields[0] == ("Incident", "12 (behaviour, critical)"), "a group is known by its first number"
    assert commands(message)[:2] == ["driftwatch report 12", ACK]


def test_targets_of_several_providers_are_only_counted(tell, make_group):
    group = make_group(n=2, is_open=2)
    other = an_other(group[1], {**group[1].evidence, "provider": "azure"})
    assert "Seen on 2 targets: target-0 and target-1." in compose(tell(Event.OPENED, group=(group[0], other))).summary


def an_other(incident, evidence):
    return replace(incident, evidence=evidence)


def test_what_joins_is_told_as_more_of_the_same(tell, make_group):
    message = compose(tell(Event.JOINED, group=make_group(n=6)))
    assert message.title == "5 more targets of openai: drift, like target-0"
    assert message.summary[:2] == (
        "Incident 12, which began with target-0, is seen on 5 more targets of openai too.",
        "They are target-1, target-2, target-3, target-4 and target-5.",
    )
    assert message.pair is None, "the evidence was shown when it opened"
    one = compose(tell(Event.JOINED, group=make_group(n=2, is_open=2)))
    assert one.title == "1 more target of openai: drift, like target-0"


def test_whose_target_joins_reads_of_it_and_of_the_group_beside_it(tell, make_group):
    lead, *others = make_group(n=4)
    group = (an_other(lead, {**lead.evidence, "owner": "fay"}), *others)
    for_one = (*group[:3], an_other(group[3], {**group[3].evidence, "owner": "ana"}))
    message = compose(tell(Event.OPENED, group=for_one))
    assert (message.title, message.tone) == ("Drift: target-3", Tone.ALARM)
    assert message.summary[0].startswith("target-3: replies got 2.1 times as long")
    assert message.summary[1:3] == (
        "It belongs to incident 12, which began with target-0 on Mon 16 Mar 14:00 UTC.",
        "Seen on 4 targets of openai: target-0, target-1, target-2 and target-3.",
    )
    assert message.pair is not None, "all the evidence, since it is news here"
    assert commands(message)[-1] == "driftwatch rebaseline target-3 --preview"
    assert compose(tell(Event.OPENED, group=group)).title == "Drift: target-3 and 2 more", "all of the owner's"
    nobodys = tuple(an_other(m, {k: v for k, v in m.evidence.items() if k != "owner"}) for m in group)
    assert compose(tell(Event.OPENED, group=nobodys)).title == "Drift: target-3"


def test_a_second_kind_of_the_same_target_joins_without_counting_it_twice(tell, make_incident):
    gone, slow = make_incident(Kind.TRIPWIRE), make_incident(Kind.PERFORMANCE, id=13, part_of=12)
    message = compose(tell(Event.JOINED, group=(gone, slow)))
    assert message.title == "Also: slower, support-bot"
    assert message.summary[0] == "It belongs to incident 12, which is open."


def test_what_gets_graver_says_so_and_shows_the_evidence(tell, make_incident):
    group = (make_incident(Kind.TRIPWIRE), make_incident(Kind.BEHAVIOUR, id=13, part_of=12))
    message = compose(tell(Event.ESCALATED, group=group, before=None))
    assert (message.title, message.tone) == ("Now drift: support-bot", Tone.ALARM)
    assert message.summary[0] == "Incident 12, known since Mon 16 Mar 14:00 UTC, got graver."
    assert message.pair is not None


def test_what_nobody_acknowledged_in_time_says_how_long(tell):
    message = compose(tell(Event.ESCALATED, reason="nobody has acknowledged it for 30 min"))
    assert message.title == "Escalated: drift, support-bot"
    assert message.summary[0] == "Incident 12: nobody has acknowledged it for 30 min."
    assert ACK in commands(message)


def test_what_comes_back_says_for_which_time(tell):
    message = compose(tell(Event.REOPENED, n_reopened=2))
    assert message.title == "Back again: drift, support-bot"
    assert message.summary[0] == "It is back: the third time since Mon 16 Mar 14:00 UTC, all in incident 12."


def test_a_target_that_was_over_and_has_it_again_is_back_and_no_further_target(tell):
    message = compose(tell(Event.REOPENED, before=None))
    assert message.title == "Back again: drift, support-bot"
    assert message.summary[0] == "support-bot was over, and has it again; it belongs to incident 12."
    assert message.pair is not None


def test_whose_side_is_told_as_judged_for_who_joined_last(announce, attribution):
    first = announce()
    knows = {**first.incident.evidence, "attribution": attribution}
    joined = replace(first.incident, id=13, part_of=12, target="search-bot", opened_at=OPENED + timedelta(hours=1))
    alone, grown = (
        compose(replace(first, group=(first.incident, replace(joined, kind=kind, evidence=knows))))
        for kind in (Kind.PERFORMANCE, Kind.BEHAVIOUR)
    )
    assert not any("Whose side" in said for said in alone.summary), "a slowdown may have another cause"
    assert any(said.startswith("Whose side, judged for search-bot: ") for said in grown.summary)
    assert grown.sections[0].title == "Why this side"
    unjudged = replace(joined, id=14, target="ops-bot", opened_at=OPENED + timedelta(hours=2))
    later = compose(replace(first, group=(first.incident, replace(joined, evidence=knows), unjudged)))
    assert any(said.startswith("Whose side, judged for search-bot: ") for said in later.summary)


def test_a_reminder_says_how_long_and_who_is_on_it(tell, make_incident):
    at = OPENED + timedelta(hours=26)
    message = compose(tell(Event.REMINDED, at=at))
    assert message.title == "Still open: drift, support-bot"
    assert message.summary[0] == "Incident 12 is still open after 1 d 2 h; nobody has acknowledged it."
    assert SILENCE in commands(message)
    taken = tell(Event.ACKNOWLEDGED, author="ana", reason="looking").transition
    told = {"history": (taken,)}
    message = compose(tell(Event.REMINDED, at=at, state=ACKNOWLEDGED, told=told))
    assert message.summary[0].endswith("ana has been looking at it since Mon 16 Mar 19:10 UTC.")
    assert ACK not in commands(message)


def test_a_comment_is_told_with_its_author(tell):
    message = compose(tell(Event.COMMENTED, author="ana", reason="the provider confirms"))
    assert (message.title, message.tone) == ("Comment: support-bot", Tone.NOTICE)
    assert message.summary[0] == "ana on incident 12: the provider confirms."


def test_the_end_of_one_of_a_group_is_not_the_end(tell, make_group):
    group = make_group(n=6, is_open=4)
    message = compose(tell(Event.RESOLVED, group=(*group[1:], group[0])))
    assert (message.title, message.tone) == ("Recovered: target-0, 4 of 6 targets still open", Tone.NOTICE)
    assert message.summary[1] == "Still open: target-2, target-3, target-4 and target-5."


def test_the_end_of_the_last_is_the_end_of_all(tell, make_group):
    message = compose(tell(Event.RESOLVED, group=make_group(is_open=0)))
    assert (message.title, message.tone) == ("Recovered: target-0 and 5 more", Tone.GOOD)
    assert commands(message) == ["driftwatch report 12"]


# ---------------------------------------------------------------- as it stands


def test_the_present_state_of_a_group_nobody_attends_to(tell, make_group):
    assert present(tell(Event.OPENED)).title == "Drift: support-bot"
    assert present(tell(Event.OPENED)).summary[0] == compose(tell(Event.OPENED)).summary[0]
    shown = present(tell(Event.RESOLVED, group=make_group(is_open=4, n_reopened=1)))
    assert (shown.title, shown.tone) == ("Drift: target-0 and 5 more", Tone.ALARM)
    assert shown.summary[0] == (
        "Since Mon 16 Mar 14:00 UTC: came back for the second time, target-0 and target-1 recovered."
    )


def test_the_present_state_names_who_is_on_it(tell):
    shown = present(tell(Event.ACKNOWLEDGED, author="ana", reason="looking", state=ACKNOWLEDGED))
    assert (shown.title, shown.tone) == ("Acknowledged by ana: drift, support-bot", Tone.NOTICE)
    assert shown.summary[0] == "ana has been looking at it since Mon 16 Mar 19:10 UTC: looking."
    assert shown.pair is not None, "the evidence stays"


@pytest.mark.parametrize(
    ("author", "title", "first", "tone"),
    [
        (
            "driftwatch",
            "Recovered: drift, support-bot",
            "Recovered after 5 h 10 min, Mon 16 Mar 19:10 UTC: ",
            Tone.GOOD,
        ),
        ("ana", "Closed: drift, support-bot", "Closed after 5 h 10 min, Mon 16 Mar 19:10 UTC by ana: ", Tone.NOTICE),
    ],
)
def test_the_present_state_of_what_is_over(tell, *, author, title, first, tone):
    shown = present(tell(Event.RESOLVED, author=author, reason="planned", state=RESOLVED))
    assert (shown.title, shown.tone, shown.summary[0]) == (title, tone, f"{first}planned.")
    assert commands(shown) == ["driftwatch report 12"]
    assert (shown.pair, shown.sections) == (None, ()), "what is over takes little room"


def test_what_is_over_without_a_known_edge_counts_as_recovered(tell):
    shown = present(replace(tell(Event.COMMENTED, state=RESOLVED), history=()))
    assert shown.summary[0] == "Recovered after 5 h 10 min, Mon 16 Mar 19:10 UTC."


def test_the_gravest_open_incident_stands_for_its_group(tell, make_incident):
    wire, drift = make_incident(Kind.TRIPWIRE), make_incident(Kind.BEHAVIOUR, id=13, part_of=12)
    assert present(tell(Event.ESCALATED, group=(wire, drift), before=None)).title == "Drift: support-bot"
    over = replace(drift, state=RESOLVED)
    assert present(tell(Event.RESOLVED, group=(wire, over))).title == "Another model: m-1 → m-2 (support-bot)"


def test_the_details_list_what_became_of_each_target(tell, make_group):
    section = details(tell(Event.RESOLVED, group=make_group(n=12, is_open=11))).sections[-1]
    assert section.title == "Each of them"
    assert section.lines[:2] == (
        "target-0: behaviour, resolved, since Mon 16 Mar 09:00 UTC",
        "target-1: behaviour, open, since Mon 16 Mar 09:00 UTC",
    )
    assert section.lines[-1] == "and 2 more"
    assert len(details(tell(Event.OPENED)).sections[-1].lines) == 1


# ---------------------------------------------------------------- a digest


def numbered(announcement, number, **changes):
    incident = replace(announcement.incident, id=number, **changes)
    return replace(announcement, incident=incident, group=(incident,), dedup_key=f"{number}:oncall")


def test_a_digest_lists_what_is_open_before_what_is_over(tell):
    over = numbered(tell(Event.RESOLVED, state=RESOLVED), 14)
    closed = numbered(tell(Event.RESOLVED, state=RESOLVED, author="ana", reason="planned"), 15)
    minor = numbered(tell(Event.OPENED, kind=Kind.PERFORMANCE), 16)
    message = compose_digest([over, closed, minor, numbered(tell(Event.OPENED), 17)])
    assert (message.title, message.tone) == ("Not told until now: 4 incidents, 2 still open", Tone.ALARM)
    standing, ended = message.sections
    assert standing.title == "Still open (2)"
    assert standing.lines == (
        "17 · Drift: support-bot, since Mon 16 Mar 14:00 UTC; nobody has acknowledged it",
        "16 · Slower: support-bot, since Mon 16 Mar 14:00 UTC; nobody has acknowledged it",
    )
    assert ended.lines == (
        "14 · Drift: support-bot, Mon 16 Mar 14:00 UTC; recovered after 5 h 10 min",
        "15 · Drift: support-bot, Mon 16 Mar 14:00 UTC; closed by ana after 5 h 10 min",
    )
    assert commands(message) == ["driftwatch report 17", "driftwatch report 16"]
    assert message.footer == "driftwatch digest · notifications 14:oncall to 17:oncall"


def test_a_digest_of_what_is_over_alarms_nobody(tell):
    message = compose_digest([numbered(tell(Event.RESOLVED, state=RESOLVED), 14)])
    assert (message.title, message.tone) == ("Not told until now: 1 incident, none still open", Tone.GOOD)
    assert message.footer == "driftwatch digest · notifications 14:oncall"
    assert commands(message) == ["driftwatch incidents --all"]


def test_a_digest_of_a_week_is_no_flood(tell):
    message = compose_digest([numbered(tell(Event.OPENED), number) for number in range(100, 150)])
    (section,) = message.sections
    assert len(section.lines) == 13
    assert section.lines[-1] == "and 38 more: driftwatch incidents --all"


def test_two_edges_of_one_group_are_one_line_of_a_digest(tell):
    message = compose_digest([tell(Event.OPENED), tell(Event.REMINDED)])
    assert message.title == "Not told until now: 1 incident, 1 still open"
