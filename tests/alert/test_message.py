"""What people are told, and that a reply cannot put words into driftwatch's mouth."""

from __future__ import annotations

import pytest

from driftwatch.alert.message import Severity, compose
from driftwatch.domain import IncidentState, Kind

RESOLVED, ACKNOWLEDGED = IncidentState.RESOLVED, IncidentState.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("kind", "after", "words", "title", "severity"),
    [
        (Kind.BEHAVIOUR, IncidentState.OPEN, {}, "Drift: support-bot", Severity.ALARM),
        (Kind.PERFORMANCE, IncidentState.OPEN, {}, "Slower: support-bot", Severity.WARNING),
        (Kind.AVAILABILITY, IncidentState.OPEN, {}, "Cannot measure: support-bot", Severity.WARNING),
        (Kind.BEHAVIOUR, RESOLVED, {}, "Recovered: support-bot", Severity.GOOD),
        (Kind.AVAILABILITY, RESOLVED, {}, "Recovered: support-bot", Severity.GOOD),
        (Kind.BEHAVIOUR, ACKNOWLEDGED, {"author": "ana"}, "Acknowledged: support-bot", Severity.NOTICE),
        (Kind.BEHAVIOUR, RESOLVED, {"author": "ana", "reason": "planned"}, "Closed: support-bot", Severity.NOTICE),
    ],
)
def test_the_title_says_what_happened_to_which_target(announce, *, kind, after, words, title, severity):
    message = compose(announce(kind, after, **words))
    assert (message.title, message.severity) == (title, severity)


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
        "support-bot: new baseline accepted by ana: all fine. It is watched against the new baseline from now on."
    )


def test_an_acknowledged_incident_names_the_person(announce):
    message = compose(announce(Kind.BEHAVIOUR, ACKNOWLEDGED, author="ana", reason="on it!"))
    assert message.summary[0] == "ana is looking at incident 12: on it!"


def commands(message):
    return [step.command for step in message.steps]


def test_the_next_steps_fit_the_incident(announce):
    report, history = "driftwatch report 12", "driftwatch history support-bot"
    ack = 'driftwatch incidents ack 12 --by you --reason "…"'
    rebaseline = 'driftwatch rebaseline support-bot --reason "…"'
    assert commands(compose(announce())) == [report, history, ack, rebaseline]
    assert commands(compose(announce(Kind.AVAILABILITY))) == [report, history, ack], "an outage is never the new normal"
    assert commands(compose(announce(Kind.BEHAVIOUR, ACKNOWLEDGED, author="ana"))) == [report, history, rebaseline]
    assert commands(compose(announce(Kind.BEHAVIOUR, RESOLVED))) == [report, history]


def test_a_command_can_be_copied_whatever_the_target_is_called(announce):
    assert "driftwatch history 'a b; rm -rf ~'" in commands(compose(announce(target="a b; rm -rf ~")))


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
        assert list(message.fields[:3]) == [("Incident", f"12 ({kind})"), ("Owner", "team-support"), ("Baseline", "3")]


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
        "Made-up (100%) carries the evidence.",
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


def test_the_kind_of_change_comes_first_then_its_figures_and_what_else_is_borne_out(announce):
    summary = compose(announce()).summary
    assert summary[1:3] == (
        "Figures: median 31 → 66 words.",
        "Also: the model refuses more (8 % → 21 %).",
    )


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
    assert "the model refuses more (8 % → 21 %)." in message.summary[2], "only lines that are shown count"


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
