"""What is told, what waits and what is never told, over a real store; and that nothing is ever lost."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from driftwatch import reminding
from driftwatch.alert.correspondence import Correspondence
from driftwatch.alert.holding import Hold, Mute, Send, decide, is_answered
from driftwatch.alert.muting import is_covered
from driftwatch.alert.policy import Escalation, Facts, Policy, QuietHours, Route, Window
from driftwatch.alert.receiver import EVERY_EVENT, FOR_PEOPLE
from driftwatch.domain import Event, Incident, IncidentState, Notification, NotificationState, Severity
from tests.alert.mailing import AT, Post, Recorder

QUIET = Policy(quiet_hours=(QuietHours(begin=time(22), end=time(7)),))
NIGHT = 9 * 60
"""Minutes after two in the afternoon: eleven at night; quiet hours end at 17 * 60."""


@pytest.fixture
def make(tmp_path):
    """``make(policy, name=Recorder())`` → a post office."""
    made = []

    def build(policy=None, **receivers) -> Post:
        made.append(Post(tmp_path / f"{len(made)}.db", policy, **receivers))
        return made[-1]

    yield build
    for post in made:
        post.store.close()


def taken(post: Post, name: str = "oncall") -> list[str]:
    return post.receivers[name].taken


def decided(post: Post, minutes: float, events=FOR_PEOPLE):
    [(notifications, announcement)] = post.store.waiting(post.at(minutes))
    mail = Correspondence(notifications=tuple(notifications), announcement=announcement)
    return decide(mail, policy=post.policy, silences=post.store.silences(), events=events, at=post.at(minutes))


# ---------------------------------------------------------------- silences and planned work


def test_what_begins_under_a_silence_is_told_when_it_ends_if_it_still_stands(make):
    post = make()
    post.silence(0, 120, target="support")
    post.open(minutes=1)
    for minute in (1, 60, 119):
        assert post.deliver(minute).n_sent == 0
    assert post.why(1) == ("pending", "silenced by ana until Mon 16 Mar 16:00 UTC: we know")
    assert post.deliver(120).n_sent == 1
    assert taken(post) == ["opened 1"]


def test_what_begins_and_ends_under_a_silence_is_never_told(make):
    post = make()
    post.silence(0, 120, target="support")
    incident = post.open(minutes=1)
    post.deliver(1)
    post.move(incident, Event.RESOLVED, 60)
    assert post.deliver(60).n_muted == 2
    assert post.why(2) == ("muted", "it began and ended while it was muted")
    assert post.deliver(120).n_sent == 0


def test_what_was_over_after_the_silence_is_told_in_one_message(make):
    post = make()
    post.silence(0, 30, target="support")
    incident = post.open(minutes=1)
    post.receivers["oncall"].errors = [RuntimeError()] * 3
    post.deliver(30)
    post.move(incident, Event.RESOLVED, 31)
    post.receivers["oncall"].errors = []
    post.deliver(40)
    assert taken(post) == ["resolved 1"]


def test_the_end_of_what_was_told_waits_for_the_end_of_the_silence(make):
    post = make()
    incident = post.open()
    post.deliver(0)
    post.silence(1, 60, incident=str(incident.id))
    post.move(incident, Event.RESOLVED, 30)
    assert post.deliver(30).n_sent == 0
    post.deliver(60)
    assert taken(post) == ["opened 1", "resolved 1"]


def test_a_silence_that_ends_early_tells_at_once(make):
    post = make()
    silence = post.silence(0, 24 * 60, target="support")
    post.open(minutes=1)
    post.deliver(1)
    post.store.end_silence(silence.id, author="bo", at=post.at(10))
    post.deliver(10)
    assert taken(post) == ["opened 1"]


def test_a_silence_added_after_the_page_was_written_still_counts(make):
    post = make()
    post.open()
    post.silence(0, 60, kind="behaviour")
    assert post.deliver(0).n_sent == 0


def test_planned_work_mutes_like_a_silence(make):
    window = Window(author="ana", reason="deployment", cron="0 14 * * 1", duration=timedelta(hours=2))
    post = make(Policy(maintenance=(window,)))
    one, two = post.open("a"), post.open("b")
    post.move(two, Event.RESOLVED, 30)
    post.deliver(30)
    assert post.why(1) == ("pending", "planned work of ana until Mon 16 Mar 16:00 UTC: deployment")
    post.deliver(120)
    assert taken(post) == [f"opened {one.id}"]


def test_a_group_is_told_for_what_is_not_silenced_of_it(make):
    post = make()
    post.silence(0, 60, target="support")
    lead = post.open("support")
    post.open("sales", part_of=lead.id)
    post.deliver(1)
    assert taken(post) == ["opened 1"]
    assert post.deliver(60).n_sent == 1, "the lead still stands when its silence ends"


def test_about_the_whole_group_nothing_is_told_only_while_all_that_is_open_is_silenced(make):
    post = make()
    lead = post.open("support")
    other = post.open("sales", part_of=lead.id)
    post.deliver(0)
    post.silence(1, 600, target="support")
    post.move(lead, Event.REMINDED, 2)
    assert post.deliver(2).n_sent == 1
    post.silence(3, 300, target="sales")
    post.move(lead, Event.REMINDED, 4)
    assert post.deliver(4).n_sent == 0
    post.move(other, Event.RESOLVED, 5)
    assert post.deliver(301).n_sent == 0


# ---------------------------------------------------------------- quiet hours


def test_at_night_only_grave_things_are_told_and_the_rest_in_the_morning(make):
    post = make(QUIET)
    post.open("grave", NIGHT)
    post.open("lesser", NIGHT, severity=Severity.WARNING)
    post.deliver(NIGHT)
    assert taken(post) == ["opened 1"]
    assert post.why(2) == ("pending", "quiet hours until Tue 17 Mar 07:00 UTC")
    post.deliver(17 * 60)
    assert taken(post) == ["opened 1", "opened 2"]


def test_what_came_and_went_at_night_is_one_message_in_the_morning(make):
    post = make(QUIET)
    incident = post.open(minutes=NIGHT, severity=Severity.WARNING)
    post.deliver(NIGHT)
    post.move(incident, Event.RESOLVED, NIGHT + 30)
    post.deliver(NIGHT + 30)
    assert taken(post) == []
    post.deliver(17 * 60)
    assert taken(post) == ["resolved 1"]


def test_a_group_that_becomes_grave_at_night_is_told_at_night(make):
    post = make(QUIET)
    lead = post.open(minutes=NIGHT, severity=Severity.WARNING)
    post.deliver(NIGHT)
    post.open("sales", NIGHT + 5, part_of=lead.id, event=Event.ESCALATED)
    assert post.deliver(NIGHT + 5).n_sent == 1
    assert post.why(1) == ("muted", "told with notification 2")


def test_what_failed_waits_for_its_time_while_other_news_of_the_group_is_silenced(make):
    post = make()
    post.receivers["oncall"].errors = [RuntimeError()] * 3
    lead = post.open()
    for minute in (0, 0.5, 1.5):
        post.deliver(minute)
    post.silence(2, 60, target="sales")
    post.open("sales", 2, part_of=lead.id)
    assert post.deliver(2.1).n_sent == 0
    assert post.why(2)[1] == "silenced by ana until Mon 16 Mar 15:00 UTC: we know"
    assert post.deliver(3.5).n_sent == 1


def test_a_night_full_of_lesser_news_is_one_digest(make):
    post = make(QUIET)
    for i in range(5):
        post.open(f"t{i}", NIGHT + i, severity=Severity.INFO)
        post.deliver(NIGHT + i)
    post.deliver(17 * 60)
    assert (taken(post), [len(d) for d in post.receivers["oncall"].digests]) == ([], [5])


def test_who_is_called_in_because_nobody_answers_has_no_quiet_hours(make):
    escalation = Escalation(after=timedelta(minutes=30), receivers=("pager",), match={"severity": ("warning",)})
    policy = Policy(quiet_hours=QUIET.quiet_hours, escalations=(escalation,))
    post = make(policy, oncall=Recorder(), pager=Recorder())
    incident = post.open(minutes=NIGHT, severity=Severity.WARNING, receivers=("oncall",))
    post.deliver(NIGHT)
    post.move(incident, Event.ESCALATED, NIGHT + 30, receivers=("pager",))
    post.deliver(NIGHT + 30)
    assert (taken(post), taken(post, "pager")) == ([], ["escalated 1"])


# ---------------------------------------------------------------- one group, many edges


def test_the_first_page_goes_at_once_and_who_joins_is_collected(make):
    post = make()
    lead = post.open("a")
    post.deliver(0)
    for minute, name in ((1, "b"), (5, "c"), (14, "d")):
        post.open(name, minute, part_of=lead.id)
        assert post.deliver(minute).n_sent == 0
    assert post.why(2)[1] == "collected with what else joins until Mon 16 Mar 14:16 UTC"
    assert post.deliver(16).n_sent == 1
    assert taken(post) == ["opened 1", "joined 1"]
    assert len(post.receivers["oncall"].told[1].members) == 4


def test_the_more_often_a_receiver_was_told_who_joined_the_longer_the_next_are_collected(make):
    """Somebody joins every hour for three days: six messages, not 72."""
    post = make()
    lead = post.open("lead")
    post.deliver(0)
    told_at, n_open = [], []
    for minute in range(60, 72 * 60, 15):
        if minute % 60 == 0:
            post.open(f"t{minute}", minute, part_of=lead.id)
        if post.deliver(minute).n_sent:
            told_at.append(minute)
            n_open.append(len(post.receivers["oncall"].told[-1].members))
    hours = [minute / 60 for minute in told_at]
    assert n_open == [2, 4, 8, 16, 32, 56], "twice as many each time, or a day later"
    assert hours == [1.25, 3, 7, 15, 31, 55], "and not before 15 min, 1, 2, 4, 8, 16 h from the first to join"
    assert taken(post) == ["opened 1", *["joined 1"] * 6]
    assert post.deliver(55 * 60 + 25 * 60).n_sent == 1, "and the last ones are not lost"
    assert len(post.pending()) == 0


def test_runs_an_hour_apart_are_collected_too(make):
    """Not from the message before alone: by then the time would be over when the first joins."""
    post = make()
    lead = post.open("a")
    post.deliver(0)
    post.open("b", 120, part_of=lead.id)
    assert post.deliver(120).n_sent == 0
    post.open("c", 125, part_of=lead.id)
    assert post.deliver(135).n_sent == 1
    assert post.pending() == []


def test_a_reminder_takes_along_who_is_being_collected(make):
    post = make()
    lead = post.open("a")
    post.deliver(0)
    post.open("b", 60, part_of=lead.id)
    post.move(lead, Event.REMINDED, 61)
    post.deliver(61)
    assert (taken(post), post.pending()) == (["opened 1", "reminded 1"], [])


# ---------------------------------------------------------------- one's own who joins, and others'

OWN = Policy(target_receivers={**dict.fromkeys("abcd", ("oncall",)), **dict.fromkeys("xyz", ("team",))})
"""Whose the targets of one letter are."""
DAY = 24 * 60


def spread(make, policy=OWN, **receivers) -> tuple[Post, Incident]:
    """A group of ``a``, told at 0, and others' ``x``, told at 16."""
    post = make(policy, **(receivers or {"oncall": Recorder(), "team": Recorder()}))
    lead = post.open("a", receivers=("oncall",))
    post.deliver(0)
    joined(post, lead, "x", 1)
    post.deliver(1)
    post.deliver(16)
    return post, lead


def joined(post: Post, lead: Incident, target: str, minutes: float) -> Incident:
    return post.open(target, minutes, part_of=lead.id, receivers=post.policy.target_receivers[target])


def waiting(post: Post, name: str = "oncall") -> list[Notification]:
    return [n for n in post.store.notifications() if n.receiver == name and n.state is NotificationState.PENDING]


def deliver_for(post: Post, begin: int, end: int, step: int = 30) -> list[int]:
    """The minutes at which ``oncall`` was told something."""
    found = []
    for minute in range(begin, end, step):
        before = len(taken(post))
        post.deliver(minute)
        found += [minute] if len(taken(post)) > before else []
    return found


def test_the_first_word_of_how_far_it_reaches_is_told_whosever_the_targets_are(make):
    post, lead = spread(make)
    assert taken(post) == ["opened 1", "joined 1"]
    again = make(OWN, oncall=Recorder(), team=Recorder())
    lead = again.open("a", receivers=("oncall",))
    again.deliver(0)
    again.move(lead, Event.ACKNOWLEDGED, 1)
    joined(again, lead, "x", 2)
    assert deliver_for(again, 2, 60, 5) == [17], "also when somebody is on it"


def test_others_who_join_what_somebody_is_on_are_no_message_and_go_along_with_the_next(make):
    post, lead = spread(make)
    post.move(lead, Event.ACKNOWLEDGED, 20)
    other = joined(post, lead, "y", 60)
    assert deliver_for(post, 60, 30 * DAY, DAY) == []
    why = "others' targets, and somebody is on it: told with the next message about it"
    assert [(n.transition_id, n.last_error) for n in waiting(post)] == [(post.store.transitions(other.id)[0].id, why)]
    joined(post, lead, "b", 31 * DAY)
    assert deliver_for(post, 31 * DAY, 33 * DAY) == [31 * DAY + 60], "one of their own, as ever"
    assert waiting(post) == []
    assert {m.target for m in post.receivers["oncall"].told[-1].members} == {"a", "x", "y", "b"}


def test_others_who_joined_and_were_never_told_end_with_the_group(make):
    post, lead = spread(make)
    post.move(lead, Event.ACKNOWLEDGED, 20)
    other = joined(post, lead, "y", 60)
    post.deliver(60)
    for incident in post.store.group(lead.id):
        post.move(incident, Event.RESOLVED, 5 * DAY)
    post.deliver(5 * DAY)
    assert taken(post) == ["opened 1", "joined 1", "resolved 1"]
    assert post.pending() == []
    [late] = [n for n in post.store.group_notifications(other.id) if n.transition_id == 5 and n.receiver == "oncall"]
    assert (late.state, late.last_error.split(" ")[:2]) == (NotificationState.MUTED, ["told", "with"])


def test_others_who_join_what_nobody_is_on_are_told_once_a_day(make):
    post, lead = spread(make, replace(OWN, reminder_interval=timedelta(0)))
    joined(post, lead, "y", 60)
    joined(post, lead, "z", 120)
    assert deliver_for(post, 60, 3 * DAY, 2) == [16 + DAY]
    assert taken(post)[2:] == ["joined 1"]


def test_whoever_is_called_in_has_no_target_of_their_own(make):
    post, lead = spread(make, OWN, oncall=Recorder(), team=Recorder(), boss=Recorder())
    post.move(lead, Event.ESCALATED, 20, receivers=("boss",))
    post.deliver(20)
    joined(post, lead, "b", 25)
    assert deliver_for(post, 25, 41, 5) == []
    post.deliver(45)
    assert taken(post, "boss") == ["escalated 1", "joined 1"], "how far it reaches"
    post.move(lead, Event.ACKNOWLEDGED, 46)
    for n, target in enumerate("cdyz"):
        joined(post, lead, target, 50 + n)
    for day in range(1, 5):
        post.deliver(day * DAY)
    assert taken(post, "boss") == ["escalated 1", "joined 1"]


def test_routes_say_whose_a_target_is(make):
    """By severity: who is told of warnings only has no business with grave ones that join."""
    routes = (
        Route(match={"severity": ("warning",)}, receivers=("oncall",)),
        Route(receivers=("team",)),
    )
    post, lead = spread(make, replace(OWN, routes=routes))
    post.move(lead, Event.ACKNOWLEDGED, 20)
    joined(post, lead, "b", 60)
    assert deliver_for(post, 60, 3 * DAY) == []
    post.open("c", 3 * DAY, part_of=lead.id, receivers=("oncall",), severity=Severity.WARNING)
    assert deliver_for(post, 3 * DAY, 5 * DAY) == [3 * DAY + 60]


def test_one_channel_that_has_every_target_is_told_when_twice_as_many_have_it(make):
    names = [f"t{n}" for n in range(50)]
    post = make(Policy(target_receivers=dict.fromkeys(names, ("oncall",))))
    lead = post.open(names[0])
    post.deliver(0)
    told = []
    for n, name in enumerate(names[1:7], start=1):
        joined(post, lead, name, n * 180)
        told += deliver_for(post, n * 180, (n + 1) * 180, 15)
    told += deliver_for(post, 7 * 180, 4 * DAY, 15)
    assert told == [195, 540, 540 + DAY], "two, four, and a day later the other three"
    assert post.pending() == []


def test_what_has_ended_since_is_not_counted_as_known(make):
    """Four were told and three have ended: five that are open are twice as many as the two of the last message."""
    post = make()
    lead = post.open("a")
    post.deliver(0)
    parts = [post.open(name, 1, part_of=lead.id) for name in "bcd"]
    post.deliver(16)
    for part in parts:
        post.move(part, Event.RESOLVED, 17)
    for name in ("b", "c"):
        post.open(name, 30, part_of=lead.id)
    post.deliver(17)
    post.deliver(100)
    assert taken(post) == ["opened 1", "joined 1"], "three of the four that were told"
    post.deliver(16 + DAY)
    assert taken(post) == ["opened 1", "joined 1", "joined 1"]


def test_what_joined_under_a_silence_is_not_known_when_it_ends(make):
    post = make()
    lead = post.open("a")
    post.deliver(0)
    post.open("b", 1, part_of=lead.id)
    post.deliver(16)
    post.silence(17, 300, target="s*")
    for name in ("s1", "s2"):
        post.open(name, 18, part_of=lead.id)
    post.move(lead, Event.REMINDED, 200)
    post.deliver(200)
    assert post.deliver(299).n_sent == 0
    assert post.deliver(300).n_sent == 1, "two are four: the reminder told nothing of what was silenced"


def test_a_note_or_a_parts_end_waits_for_nobody_who_joins_and_takes_them_along(make):
    post, lead = spread(make, OWN, oncall=Recorder(events=EVERY_EVENT), team=Recorder())
    post.move(lead, Event.ACKNOWLEDGED, 20)
    post.deliver(20)
    other = joined(post, lead, "y", 30)
    post.deliver(30)
    post.move(lead, Event.COMMENTED, 31)
    post.deliver(31)
    mine = joined(post, lead, "b", 40)
    post.deliver(40)
    post.move(other, Event.RESOLVED, 41)
    post.deliver(41)
    assert taken(post) == ["opened 1", "joined 1", "acknowledged 1", "commented 1", "resolved 1"]
    assert waiting(post) == []
    assert mine.id in {m.id for m in post.receivers["oncall"].told[-1].members}


def test_who_shows_each_incident_by_itself_hears_at_once_of_others_too(make):
    post, lead = spread(make, OWN, oncall=Recorder(shows_each=True), team=Recorder())
    post.move(lead, Event.ACKNOWLEDGED, 20)
    joined(post, lead, "y", 60)
    post.deliver(60)
    assert taken(post) == ["opened 1", "joined 1", "joined 1"]
    assert post.receivers["oncall"].told[-1].incident.target == "y"


# ---------------------------------------------------------------- the first word of a group


def test_whose_target_joins_a_group_of_others_is_told_at_once_that_it_opened(make):
    post = make(fay=Recorder(), ana=Recorder())
    lead = post.open("fay-05", receivers=("fay",))
    post.deliver(0)
    joined = post.open("ana-10", 1, part_of=lead.id, receivers=("ana",))
    post.deliver(1)
    assert (taken(post, "fay"), taken(post, "ana")) == (["opened 1"], ["opened 1"])
    [told] = post.receivers["ana"].told
    assert (told.incident.id, told.lead.id, told.transition.id) == (joined.id, lead.id, 2)
    assert told.history[1].event is Event.JOINED, "what is stored is what happened"
    post.open("fay-11", 2, part_of=lead.id, receivers=("fay",))
    post.deliver(2)
    assert taken(post, "ana") == ["opened 1"], "from then on it is collected"
    post.deliver(17)
    assert taken(post, "ana") == ["opened 1", "joined 1"]


def test_who_has_been_told_of_nothing_else_has_nothing_collected_before(make):
    """What was told as the first word does not count as one that told who joined."""
    post = make(fay=Recorder(), ana=Recorder())
    lead = post.open("fay-05", receivers=("fay",))
    post.open("ana-10", 1, part_of=lead.id, receivers=("ana",))
    post.deliver(1)
    post.open("ana-16", 60, part_of=lead.id, receivers=("ana",))
    post.deliver(60)
    assert post.why(post.pending()[-1])[1] == "collected with what else joins until Mon 16 Mar 15:15 UTC"


def test_a_graver_target_of_a_group_nobody_here_heard_of_opened(make):
    post = make(fay=Recorder(), ana=Recorder())
    lead = post.open("fay-05", receivers=("fay",), severity=Severity.WARNING)
    post.deliver(0)
    post.open("ana-10", 1, part_of=lead.id, receivers=("ana",), event=Event.ESCALATED)
    post.deliver(1)
    assert (taken(post, "fay"), taken(post, "ana")) == (["opened 1", "escalated 1"], ["opened 1"])


def test_of_many_first_words_the_gravest_is_told_and_of_these_the_first(make):
    post = make()
    lead = post.open("a", severity=Severity.WARNING)
    for name in ("b", "c"):
        post.open(name, 1, part_of=lead.id)
    post.deliver(2)
    assert [a.incident.target for a in post.receivers["oncall"].told] == ["b"]
    assert post.pending() == []


def test_a_first_word_under_a_reminder_is_still_the_first_word(make):
    post = make()
    post.receivers["oncall"].errors = [RuntimeError()]
    incident = post.open()
    post.deliver(0)
    post.move(incident, Event.REMINDED, 24 * 60)
    post.deliver(24 * 60)
    assert taken(post) == ["opened 1"]


# ---------------------------------------------------------------- who shows each incident by itself


def test_who_shows_each_incident_by_itself_hears_at_once_who_joins_and_whose_part_ends(make):
    post = make(board=Recorder(shows_each=True), people=Recorder())
    lead = post.open("a")
    post.deliver(0)
    joined = post.open("b", 1, part_of=lead.id)
    post.deliver(1)
    post.move(joined, Event.RESOLVED, 2)
    post.deliver(2)
    assert taken(post, "board") == ["opened 1", "joined 1", "resolved 1"]
    assert taken(post, "people") == ["opened 1"]
    assert not post.receivers["board"].told[-1].is_over


def test_what_was_over_again_before_it_was_told_is_not(make):
    post = make()
    lead = post.open("a")
    post.deliver(0)
    joined = post.open("b", 1, part_of=lead.id)
    post.deliver(1)
    post.move(joined, Event.RESOLVED, 5)
    post.deliver(16)
    assert taken(post) == ["opened 1"]
    assert post.why(2) == ("muted", "this part of it was over before it could be told")
    assert post.why(3) == ("muted", "the incident goes on")


def test_a_target_that_was_told_as_over_and_has_it_again_is_told_at_once_as_back(make):
    post = make(oncall=Recorder(), hook=Recorder(events=EVERY_EVENT))
    lead = post.open("a")
    other = post.open("b", part_of=lead.id)
    post.deliver(0)
    post.move(other, Event.RESOLVED, 30)
    post.deliver(30)
    post.open("b", 60, part_of=lead.id)
    post.open("c", 60, part_of=lead.id)
    post.deliver(60)
    assert taken(post, "hook") == ["opened 1", "resolved 1", "reopened 1"], "c goes along"
    assert taken(post) == ["opened 1"], "who never heard that it was over hears of no return"


def test_the_end_of_a_part_is_told_to_who_keeps_a_state_and_the_end_of_all_to_everybody(make):
    post = make(oncall=Recorder(), hook=Recorder(events=EVERY_EVENT))
    lead = post.open("a")
    other = post.open("b", part_of=lead.id)
    post.deliver(0)
    post.move(lead, Event.RESOLVED, 30)
    post.deliver(30)
    post.move(other, Event.RESOLVED, 60)
    post.deliver(60)
    assert taken(post) == ["opened 1", "resolved 1"]
    assert taken(post, "hook") == ["opened 1", "resolved 1", "resolved 1"]
    assert [a.is_over for a in post.receivers["hook"].told] == [False, False, True]


def test_all_members_that_end_together_end_in_one_message(make):
    post = make()
    lead = post.open("a")
    other = post.open("b", part_of=lead.id)
    post.deliver(0)
    for member in (lead, other):
        post.move(member, Event.RESOLVED, 30)
    assert post.deliver(30).n_sent == 1
    assert taken(post) == ["opened 1", "resolved 1"]


def test_who_is_not_told_of_ends_is_not_unless_it_is_all_there_is_to_tell(make):
    post = make(Policy(untold_ends=frozenset({"oncall"})))
    one = post.open("a")
    post.deliver(0)
    post.move(one, Event.RESOLVED, 5)
    post.deliver(5)
    assert taken(post) == ["opened 1"]
    assert post.why(2) == ("muted", "this receiver is not told of the end of incidents")
    two = post.open("b", 10)
    post.receivers["oncall"].errors = [RuntimeError()]
    post.deliver(10)
    post.move(two, Event.RESOLVED, 11)
    post.deliver(20)
    assert taken(post) == ["opened 1", "resolved 2"]


def test_what_comes_back_before_its_end_was_told_is_told_as_that(make):
    post = make()
    incident = post.open()
    post.deliver(0)
    post.receivers["oncall"].errors = [RuntimeError()] * 9
    post.move(incident, Event.RESOLVED, 5)
    post.deliver(5)
    post.move(incident, Event.REOPENED, 6)
    post.receivers["oncall"].errors = []
    post.deliver(9)
    assert taken(post) == ["opened 1", "reopened 1"]


def test_what_came_back_and_went_under_a_silence_is_not_told_as_another_end(make):
    post = make()
    incident = post.open()
    post.deliver(0)
    post.move(incident, Event.RESOLVED, 5)
    post.deliver(5)
    post.silence(6, 60, target="support")
    post.move(incident, Event.REOPENED, 10)
    post.move(incident, Event.RESOLVED, 20)
    post.deliver(61)
    assert taken(post) == ["opened 1", "resolved 1"]


def test_an_end_that_was_muted_because_the_group_goes_on_is_told_with_the_last_one(make):
    """Whoever was told of the first is told that it is over, also when the second was never told."""
    post = make()
    lead = post.open("a")
    post.deliver(0)
    post.silence(1, 600, target="b")
    other = post.open("b", 2, part_of=lead.id)
    post.deliver(2)
    post.move(lead, Event.RESOLVED, 5)
    post.deliver(5)
    assert post.why(3) == ("muted", "the incident goes on")
    post.move(other, Event.RESOLVED, 10)
    post.deliver(10)
    post.deliver(700)
    assert taken(post) == ["opened 1", "resolved 1"]


def test_a_reminder_of_what_is_acknowledged_meanwhile_is_not_told(make):
    post = make()
    incident = post.open()
    post.deliver(0)
    post.move(incident, Event.REMINDED, 60)
    post.move(incident, Event.ACKNOWLEDGED, 61)
    post.deliver(61)
    assert taken(post) == ["opened 1"]
    assert post.why(2) == ("muted", "somebody has acknowledged it meanwhile")
    assert post.why(3) == ("muted", "a receiver of this kind is not told what was acknowledged")


def test_notes_are_told_in_order_and_acknowledging_many_targets_is_one(make):
    post = make(hook=Recorder(events=EVERY_EVENT))
    lead = post.open("a")
    other = post.open("b", part_of=lead.id)
    for member in (lead, other):
        post.move(member, Event.ACKNOWLEDGED, 1)
    post.move(lead, Event.COMMENTED, 2)
    post.move(lead, Event.COMMENTED, 3)
    post.deliver(4)
    assert taken(post, "hook") == ["opened 1", "acknowledged 1", "commented 1", "commented 1"]


def test_notes_pass_a_silence_since_they_ask_for_nothing(make):
    post = make(hook=Recorder(events=EVERY_EVENT))
    incident = post.open()
    post.deliver(0)
    post.silence(1, 60, target="support")
    post.move(incident, Event.ACKNOWLEDGED, 2)
    post.deliver(2)
    assert taken(post, "hook") == ["opened 1", "acknowledged 1"]


def test_a_note_waits_for_what_it_is_about(make):
    post = make(hook=Recorder(events=EVERY_EVENT))
    post.silence(0, 60, target="support")
    incident = post.open()
    post.move(incident, Event.COMMENTED, 1)
    post.deliver(1)
    assert taken(post, "hook") == []
    post.deliver(60)
    assert taken(post, "hook") == ["opened 1", "commented 1"]


def test_a_note_on_what_was_never_told_here_is_not(make):
    post = make(hook=Recorder(events=EVERY_EVENT))
    incident = post.open()
    post.deliver(-1)  # a new process tries again what was refused
    post.store.mark_dead(1, error="revoked")
    post.move(incident, Event.COMMENTED, 1)
    post.deliver(1)
    assert post.why(2) == ("muted", "the incident was not told here")


def test_an_acknowledgement_that_no_longer_holds_is_not_told(make):
    post = make(hook=Recorder(events=EVERY_EVENT))
    incident = post.open()
    post.deliver(0)
    post.move(incident, Event.ACKNOWLEDGED, 1)
    post.move(incident, Event.RESOLVED, 2)
    post.move(incident, Event.REOPENED, 3)
    post.deliver(3)
    assert taken(post, "hook") == ["opened 1", "reopened 1"]
    assert post.why(2) == ("muted", "it is not acknowledged any more")


def test_what_is_left_of_a_group_that_is_over_and_whose_end_was_refused_is_muted(make):
    post = make()
    incident = post.open()
    post.move(incident, Event.RESOLVED, 1)
    post.store.mark_dead(2, error="revoked")
    post.deliver(2)
    assert post.why(1) == ("muted", "it was over before it could be told")


def test_while_another_process_tells_of_a_group_nothing_is_decided(make):
    post = make()
    incident = post.open()
    post.store.lease(post.store.notifications(), at=post.at(0), until=post.at(2))
    post.move(incident, Event.RESOLVED, 1)
    assert decided(post, 1) == {}
    assert decided(post, 2) == {2: Send(along=(1,))}


def test_decisions_are_values(make):
    post = make()
    post.silence(0, 60, target="support")
    post.open()
    until = post.at(60)
    held = Hold(until=until, why="silenced by ana until Mon 16 Mar 15:00 UTC: we know")
    assert decided(post, 1) == decided(post, 1) == {1: held}
    assert decided(post, 1, events=frozenset({Event.RESOLVED})) == {
        1: Mute(why="a receiver of this kind is not told what was opened")
    }


def test_a_group_is_answered_when_the_gravest_of_it_is(make):
    post = make()
    lead = post.open("a", severity=Severity.WARNING)
    assert not is_answered(post.store.group(lead.id))
    post.move(lead, Event.ACKNOWLEDGED, 1)
    post.open("b", 2, part_of=lead.id, severity=Severity.INFO)
    assert is_answered(post.store.group(lead.id))
    post.open("c", 3, part_of=lead.id, event=Event.ESCALATED)
    assert not is_answered(post.store.group(lead.id))
    assert is_answered([])


def test_nobody_is_called_in_for_who_joins_what_somebody_is_on(make):
    call = Escalation(after=timedelta(minutes=30), receivers=("pager",))
    post = make(Policy(escalations=(call,)), oncall=Recorder(), pager=Recorder())
    lead = post.open("a", receivers=("oncall",))
    post.move(lead, Event.ACKNOWLEDGED, 5)
    post.open("b", 180, part_of=lead.id, receivers=("oncall",))
    assert is_answered(post.store.group(lead.id))
    assert reminding.remind(post.store, post.policy, at=post.at(181)) == []


def test_the_end_of_a_group_is_told_unless_all_of_it_is_silenced(make):
    """Whoever was told of one target is told that it is over, whichever target ended last."""
    post = make()
    lead = post.open("a")
    other = post.open("b", part_of=lead.id)
    post.deliver(0)
    post.silence(1, 600, target="b")
    post.move(lead, Event.RESOLVED, 5)
    post.move(other, Event.RESOLVED, 10)
    post.deliver(10)
    assert taken(post) == ["opened 1", "resolved 1"]
    again = make()
    lead = again.open("a")
    again.deliver(0)
    again.silence(1, 600, incident=str(lead.id))
    again.open("b", 2, part_of=lead.id)
    for member in again.store.group(lead.id):
        again.move(member, Event.RESOLVED, 10)
    assert again.deliver(10).n_sent == 0
    again.deliver(600)
    assert taken(again) == ["opened 1", "resolved 1"]


# ---------------------------------------------------------------- whatever happens

TARGETS = ("a", "b", "c")
ACTS = st.one_of(
    st.tuples(st.just("open"), st.sampled_from(TARGETS), st.sampled_from(Severity)),
    st.tuples(st.sampled_from(["end", "ack", "back", "remind"]), st.sampled_from(TARGETS), st.none()),
    st.tuples(st.just("silence"), st.sampled_from([*TARGETS, "*"]), st.sampled_from([1, 3, 9])),
    st.tuples(st.sampled_from(["down", "up", "wait", "wait"]), st.just(""), st.sampled_from([1, 7])),
)
HALF_HOURS = 30


@settings(max_examples=30, deadline=None)
@given(
    acts=st.lists(ACTS, max_size=20),
    grouped=st.booleans(),
    at_night=st.booleans(),
    ends=st.booleans(),
    own=st.sets(st.sampled_from(TARGETS)),
)
def test_nothing_is_lost_and_nothing_is_told_that_is_not_so(acts, grouped, at_night, ends, own):  # noqa: C901 - one act a branch
    with tempfile.TemporaryDirectory() as directory:
        policy = Policy(
            target_receivers={target: tuple(watching()) if target in own else ("somebody",) for target in TARGETS},
            quiet_hours=QUIET.quiet_hours if at_night else (),
            untold_ends=frozenset() if ends else frozenset({"people"}),
        )
        post = Post(Path(directory) / "watch.db", policy, **watching())
        now, standing, lead = 0, {}, None
        for verb, what, more in acts:
            now += 1
            if verb == "wait":
                now += more
            elif verb in {"down", "up"}:
                for receiver in post.receivers.values():
                    receiver.errors = [RuntimeError()] * 10_000 if verb == "down" else []
            elif verb == "silence":
                post.silence(now * HALF_HOURS, (now + more) * HALF_HOURS, target=what)
            elif verb == "open" and not (what in standing and standing[what].is_open):
                part_of = lead.id if grouped and lead is not None and what != lead.target else None
                if part_of is not None and not any(m.is_open for m in post.store.group(part_of)):
                    part_of = None
                standing[what] = post.open(what, now * HALF_HOURS, severity=more, part_of=part_of)
                lead = lead if part_of is not None else standing[what]
            elif what in standing:
                is_open, is_new = standing[what].is_open, standing[what].state is IncidentState.OPEN
                event, may = {
                    "end": (Event.RESOLVED, is_open),
                    "ack": (Event.ACKNOWLEDGED, is_new),
                    "back": (Event.REOPENED, not is_open),
                    "remind": (Event.REMINDED, is_open),
                }.get(verb, (Event.OPENED, False))
                if may:
                    standing[what] = post.move(standing[what], event, now * HALF_HOURS)
            post.deliver(now * HALF_HOURS)
        for receiver in post.receivers.values():
            receiver.errors = []
        now += 200
        for _ in range(3):
            now += 48  # past every silence, every pause, and not at night
            post.deliver(now // 48 * 48 * HALF_HOURS)
        try:
            check(post, policy)
            end_all(post, now // 48 * 48 * HALF_HOURS)  # not at night
            check(post, policy)
        finally:
            post.store.close()


def end_all(post: Post, minutes: float) -> None:
    for incident in post.store.incidents(open_only=True):
        post.move(incident, Event.RESOLVED, minutes)
    post.deliver(minutes)
    assert post.pending() == [], "nothing waits for ever"


def watching() -> dict[str, Recorder]:
    return {
        "people": Recorder(),
        "machine": Recorder(events=EVERY_EVENT),
        "board": Recorder(shows_each=True),
    }


def check(post: Post, policy: Policy) -> None:
    edges = {t.id: t for i in post.store.incidents() for t in post.store.transitions(i.id)}
    for notification in (n for n in post.store.notifications() if n.state is NotificationState.PENDING):
        incident = post.store.incident(edges[notification.transition_id].incident_id)
        assert edges[notification.transition_id].event is Event.JOINED
        assert not policy.is_for(notification.receiver, Facts.of_incident(incident)), "one's own is always told"
        assert is_answered(post.store.group(incident.lead_id))
        assert notification.receiver != "board"
    silences = post.store.silences()
    leads = {incident.lead_id for incident in post.store.incidents()}
    for name, receiver in post.receivers.items():
        told = [*receiver.told, *(a for digest in receiver.digests for a in digest)]
        keys = [a.dedup_key for a in told]
        assert len(keys) == len(set(keys)), "nothing is told twice"
        for lead in {a.lead.id for a in receiver.told}:
            first = next(a for a in receiver.told if a.lead.id == lead)
            was_digested = any(a.lead.id == lead for digest in receiver.digests for a in digest)
            assert was_digested or first.transition.event is not Event.JOINED, "nobody hears first of what others have"
        for announcement in told:
            event = announcement.transition.event
            if event in {Event.OPENED, Event.JOINED, Event.REOPENED}:
                assert announcement.incident.is_open, "a beginning is never told after its end"
            if event is Event.RESOLVED and name == "people":
                assert announcement.is_over
        for lead in leads:
            members = {m.id: m for m in post.store.group(lead)}
            sent = [n for n in post.store.group_notifications(lead) if n.receiver == name]
            was_told = any(n.state is NotificationState.SENT for n in sent)
            history = post.store.announcement(lead).history
            heard = [
                not is_covered(
                    Facts.of_incident(members[edge.incident_id]),
                    policy=policy,
                    silences=silences,
                    since=edge.at,
                    until=members[edge.incident_id].resolved_at or AT + timedelta(days=999),
                )
                for edge in history
                if edge.event in {Event.OPENED, Event.JOINED}
            ]
            if any(heard) and all(edge.event is not Event.REOPENED for edge in history):
                assert was_told, "what was open longer than it was silenced is told"
            is_over = not any(m.is_open for m in members.values())
            last = [a for a in told if a.lead.id == lead][-1:]
            if last and is_over and name not in policy.untold_ends and not receiver.digests:
                assert last[0].is_over, "whoever was told of a beginning is told of the end"
