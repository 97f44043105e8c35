"""A receiver that forgets is told again what stands: no more than it was told, and never against a later word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import time, timedelta

import pytest
from structlog.testing import capture_logs

from driftwatch.alert import repeating
from driftwatch.alert.policy import Policy, QuietHours
from driftwatch.alert.receiver import FOR_PEOPLE, is_repeating
from driftwatch.domain import Announcement, Event, Severity
from driftwatch.errors import DeliveryError
from tests.alert.mailing import Post, Recorder


class Forgetful(Recorder):
    """A receiver that is told again every minute, and whose receipt is what it was told."""

    repeats_every = timedelta(minutes=1)

    def __init__(self) -> None:
        super().__init__(events=FOR_PEOPLE, shows_each=True)
        self.repeated: list[list[Announcement]] = []
        self.failures: list[Exception | None] = []
        self.during: asyncio.Event | None = None
        self.n_begun = 0

    async def send(self, announcement: Announcement):
        await super().send(announcement)
        return _receipt(announcement)

    async def send_digest(self, announcements: Sequence[Announcement]):
        await super().send_digest(announcements)
        return {a.key: _receipt(a) for a in announcements}

    async def repeat(self, announcements: Sequence[Announcement]) -> None:
        self.n_begun += 1
        if self.during is not None:
            await self.during.wait()
        error = self.failures.pop(0) if self.failures else None
        if error:
            raise error
        self.repeated.append(list(announcements))

    @property
    def again(self) -> list[list[int]]:
        """Numbers of the groups that each repeat told of."""
        return [[a.lead.id for a in said] for said in self.repeated]


def _receipt(announcement: Announcement):
    return {"open": [f"{m.id} {m.severity}" for m in announcement.members if m.is_open]}


def refusal(retry_after_s: float | None = None, *, retryable: bool = True) -> DeliveryError:
    return DeliveryError("it did not", receiver="oncall", retryable=retryable, retry_after_s=retry_after_s)


@pytest.fixture
def post(tmp_path):
    """One receiver, ``oncall``, that forgets."""
    post = Post(tmp_path / "watch.db", oncall=Forgetful())
    yield post
    post.store.close()


def deliver(post: Post, minutes: float, courier=None):
    return asyncio.run((courier or post.courier).deliver(at=post.at(minutes), repeats=True))


async def until(holds) -> None:
    while not holds():  # noqa: ASYNC110 - until a receiver was asked
        await asyncio.sleep(0.01)


def state(post: Post):
    return post.store.notifications(), [post.store.told_of("oncall", n.id)[1].receipt for n in post.store.incidents()]


# ---------------------------------------------------------------- what, and how often


def test_what_stands_is_told_again_in_one_request_at_most_once_an_interval_and_nothing_is_written(post):
    oncall = post.receivers["oncall"]
    post.open("a"), post.open("b")
    deliver(post, 0)
    before = state(post)
    for minute in (0.5, 0.9, 1.0, 1.5, 3.0):
        deliver(post, minute)
    assert oncall.again == [[1, 2]] * 3
    assert [a.transition.event for a in oncall.repeated[0]] == ["opened", "opened"]
    assert state(post) == before
    assert (oncall.asked, oncall.digests) == (2, []), "no message to anybody"


def test_without_repeats_nothing_is_told_again(post):
    post.open()
    post.deliver(0)
    post.deliver(60)
    assert post.receivers["oncall"].again == []


def test_a_receiver_that_remembers_is_told_nothing_again(tmp_path):
    post = Post(tmp_path / "watch.db", oncall=Recorder())
    post.open()
    deliver(post, 0)
    deliver(post, 60)
    assert not is_repeating(post.receivers["oncall"])
    assert post.receivers["oncall"].asked == 1
    post.store.close()


def test_who_forgets_hears_what_it_was_told_and_not_what_has_happened_since(post):
    lead = post.open("a")
    post.deliver(0)
    post.silence(0, 600, target="b")
    post.open("b", 1, part_of=lead.id)
    deliver(post, 2)
    [[told]] = post.receivers["oncall"].repeated
    assert (told.transition.event, told.incident.target, told.receipt) == ("opened", "a", {"open": ["1 critical"]})


def test_a_new_process_tells_at_once_what_stands(post):
    post.open()
    post.deliver(0)
    deliver(post, 0.1, post.another())
    assert post.receivers["oncall"].again == [[1]]


def test_a_clock_that_was_ahead_holds_back_no_repeat(post):
    post.open()
    post.deliver(0)
    deliver(post, 600_000)
    deliver(post, 1)
    assert post.receivers["oncall"].again == [[1], [1]]


# ---------------------------------------------------------------- what is not told again


def test_an_end_is_not_told_again(post):
    incident = post.open()
    post.deliver(0)
    post.move(incident, Event.RESOLVED, 1)
    for minute in (1, 3, 5):
        deliver(post, minute)
    assert post.receivers["oncall"].taken == ["opened 1", "resolved 1"]
    assert (post.receivers["oncall"].again, post.receivers["oncall"].digests) == ([], [])


def test_what_was_reopened_and_not_told_yet_is_not_told_again(post):
    incident = post.open()
    post.deliver(0)
    post.move(incident, Event.RESOLVED, 1)
    deliver(post, 1)
    post.silence(2, 60)
    post.move(incident, Event.REOPENED, 2)
    deliver(post, 3)
    assert post.receivers["oncall"].again == []


@pytest.mark.parametrize("reason", ["silenced", "refused", "failed", "another's"])
def test_what_the_receiver_was_never_told_is_not_told_again(post, reason):
    oncall = post.receivers["oncall"]
    post.silence(0, 60) if reason == "silenced" else None
    oncall.errors = [refusal(retryable=reason == "failed")] * (reason in {"refused", "failed"})
    post.open(receivers=("nobody",) if reason == "another's" else ("oncall",))
    deliver(post, 0)
    deliver(post, 0.2)
    assert oncall.again == []


def test_what_is_silenced_is_not_told_again_until_the_silence_ends(post):
    post.open("a")
    post.deliver(0)
    post.silence(1, 10, target="a")
    deliver(post, 9)
    assert post.receivers["oncall"].again == []
    deliver(post, 10)
    assert post.receivers["oncall"].again == [[1]]


def test_in_quiet_hours_only_what_is_grave_is_told_again(tmp_path):
    quiet = QuietHours(begin=time(22), end=time(7), timezone="UTC", let_through=frozenset({Severity.CRITICAL}))
    post = Post(tmp_path / "watch.db", policy=Policy(quiet_hours=(quiet,)), oncall=Forgetful())
    post.open("a", severity=Severity.WARNING), post.open("b")
    post.deliver(0)
    deliver(post, 9 * 60)
    assert post.receivers["oncall"].again == [[2]]
    post.store.close()


def test_what_another_process_is_telling_is_not_told_again_meanwhile(post):
    lead = post.open("a")
    post.deliver(0)
    post.open("b", 1, part_of=lead.id)

    async def both():
        oncall = post.receivers["oncall"]
        oncall.gate = asyncio.Event()
        first = asyncio.create_task(post.courier.deliver(at=post.at(1)))
        await until(lambda: oncall.asked == 2)
        await post.another().deliver(at=post.at(1), repeats=True)
        assert oncall.n_begun == 0
        oncall.gate.set()
        await first
        await post.another().deliver(at=post.at(2), repeats=True)

    asyncio.run(both())
    assert post.receivers["oncall"].again == [[1]]


def test_a_receiver_that_asked_for_time_is_not_asked_to_take_a_repeat(post):
    post.open("a")
    post.deliver(0)
    post.open("b", 1)
    post.receivers["oncall"].errors = [refusal(600)]
    deliver(post, 1)
    deliver(post, 10)
    assert post.receivers["oncall"].n_begun == 0
    deliver(post, 11)
    assert post.receivers["oncall"].again == [[1, 2]]


# ---------------------------------------------------------------- a receiver that is down, or hangs


def test_a_repeat_that_fails_is_logged_once_an_outage_and_changes_nothing(post):
    oncall = post.receivers["oncall"]
    post.open()
    post.deliver(0)
    before = state(post)
    oncall.failures = [refusal(), refusal(retryable=False), None, ZeroDivisionError("https://secret")]
    with capture_logs() as logs:
        for minute in (2, 4, 6, 8, 10):
            deliver(post, minute)
    said = [(entry["event"], entry["log_level"], entry["error"]) for entry in logs]
    failed = "receiver 'oncall': an unexpected ZeroDivisionError while sending"
    assert said == [("repeat.failed", "warning", "it did not"), ("repeat.failed", "warning", failed)]
    assert (oncall.again, state(post)) == ([[1], [1]], before)
    post.open("b", 10)
    assert deliver(post, 10).n_sent == 1, "and holds back nobody"


def test_a_repeat_leaves_a_receiver_the_time_that_it_asks_for(post):
    oncall = post.receivers["oncall"]
    post.open()
    post.deliver(0)
    oncall.failures = [refusal(600)]
    for minute in (1, 5, 10, 11, 12):
        deliver(post, minute)
    assert oncall.n_begun == 3


def test_a_repeat_that_hangs_delays_no_message_and_is_given_up(post, monkeypatch):
    post.open("a")
    post.deliver(0)

    async def work():
        oncall = post.receivers["oncall"]
        oncall.during = asyncio.Event()
        monkeypatch.setattr(repeating, "REPEAT_S", 0.5)
        hanging = asyncio.create_task(post.courier.deliver(at=post.at(1), repeats=True))
        await until(lambda: oncall.n_begun)
        post.open("b", 2)
        report = await post.courier.deliver(at=post.at(2), repeats=True)
        await post.courier.deliver(at=post.at(3), repeats=True)
        assert (report.n_sent, oncall.n_begun, hanging.done()) == (1, 1, False)
        with capture_logs() as logs:
            await hanging
        return logs

    [entry] = asyncio.run(work())
    assert entry["error"] == "receiver 'oncall': it did not answer within 0.5 s"
    assert post.receivers["oncall"].taken == ["opened 1", "opened 2"]


# ---------------------------------------------------------------- a repeat that is overtaken


def overtake(post: Post, *moves, minutes: float = 2.0) -> None:
    """Something is told by another process while a repeat is under way."""

    async def work():
        oncall = post.receivers["oncall"]
        oncall.during = asyncio.Event()
        telling = asyncio.create_task(post.courier.deliver(at=post.at(minutes), repeats=True))
        begun = oncall.n_begun
        await until(lambda: oncall.n_begun > begun)
        for move in moves:
            await asyncio.to_thread(move)
        await post.another().deliver(at=post.at(minutes))
        oncall.during.set()
        await telling
        oncall.during = None

    asyncio.run(work())


def corrections(post: Post):
    return [[(a.lead.id, a.is_over, a.receipt["open"]) for a in digest] for digest in post.receivers["oncall"].digests]


def test_an_alert_that_a_repeat_may_have_revived_is_ended_at_once_and_only_once(post):
    incident = post.open()
    post.deliver(0)
    overtake(post, lambda: post.move(incident, Event.RESOLVED, 1))
    assert post.receivers["oncall"].taken == ["opened 1", "resolved 1"]
    assert corrections(post) == [[(1, True, ["1 critical"])]]
    deliver(post, 4), deliver(post, 6)
    assert (len(corrections(post)), post.receivers["oncall"].again) == (1, [[1]])


def test_what_has_got_graver_during_a_repeat_is_told_as_it_is_and_its_receipt_stays(post):
    incident = post.open(severity=Severity.WARNING)
    post.deliver(0)
    overtake(post, lambda: post.move(incident, Event.ESCALATED, 1, severity=Severity.CRITICAL))
    assert corrections(post) == [[(1, False, ["1 warning"])]], "the labels that may stand beside the right ones"
    assert post.store.told_of("oncall", 1)[1].receipt == {"open": ["1 critical"]}
    deliver(post, 4)
    [_, [again]] = post.receivers["oncall"].repeated
    assert again.receipt == {"open": ["1 critical"]}
    assert len(corrections(post)) == 1


def test_an_alert_whose_repeat_failed_unseen_is_ended_once_more_after_its_end(post):
    """The receiver may have read the repeat after all, later."""
    incident = post.open()
    post.deliver(0)
    post.receivers["oncall"].failures = [refusal()]
    deliver(post, 1)
    post.move(incident, Event.RESOLVED, 2)
    deliver(post, 2.5)
    assert post.receivers["oncall"].taken == ["opened 1", "resolved 1"]
    deliver(post, 4), deliver(post, 6)
    assert corrections(post) == [[(1, True, ["1 critical"])]]


def test_what_is_in_doubt_waits_for_the_message_that_is_under_way(post):
    incident, other = post.open("a"), post.open("b")
    post.deliver(0)

    async def work():
        oncall, another = post.receivers["oncall"], post.another()
        oncall.during, oncall.gate = asyncio.Event(), asyncio.Event()
        telling = asyncio.create_task(post.courier.deliver(at=post.at(2), repeats=True))
        await until(lambda: oncall.n_begun)
        post.move(incident, Event.RESOLVED, 1)
        ending = asyncio.create_task(another.deliver(at=post.at(2)))
        await until(lambda: oncall.asked == 3)
        oncall.during.set()
        await telling
        assert oncall.digests == [], "the end may come after the repeat, or before"
        oncall.gate.set()
        await ending

    asyncio.run(work())
    deliver(post, 4)
    assert corrections(post) == [[(incident.id, True, ["1 critical"])]]
    assert post.receivers["oncall"].again == [[incident.id, other.id], [other.id]]


def test_what_gets_graver_while_the_message_of_it_is_under_way_is_in_doubt(post):
    """Until that is written down the receipt is the same, and the receiver may have read the repeat after it."""
    incident = post.open(severity=Severity.WARNING)
    post.deliver(0)

    async def work():
        oncall, another = post.receivers["oncall"], post.another()
        oncall.during, oncall.gate = asyncio.Event(), asyncio.Event()
        telling = asyncio.create_task(post.courier.deliver(at=post.at(2), repeats=True))
        await until(lambda: oncall.n_begun)
        post.move(incident, Event.ESCALATED, 1, severity=Severity.CRITICAL)
        escalating = asyncio.create_task(another.deliver(at=post.at(2)))
        await until(lambda: oncall.asked == 2)
        oncall.during.set()
        await telling
        oncall.gate.set()
        await escalating

    asyncio.run(work())
    deliver(post, 4)
    assert corrections(post) == [[(1, False, ["1 warning"])]]


def test_what_a_silence_holds_back_puts_nothing_right(post):
    incident = post.open()
    post.deliver(0)
    overtake(post, lambda: post.silence(1, 10), lambda: post.move(incident, Event.RESOLVED, 1))
    deliver(post, 5)
    assert corrections(post) == [], "the receiver was not told of an end yet"
    deliver(post, 11)
    assert post.receivers["oncall"].taken == ["opened 1", "resolved 1"]


def test_who_is_not_told_of_ends_is_not_told_of_one_by_a_repeat(tmp_path):
    post = Post(tmp_path / "watch.db", policy=Policy(untold_ends=frozenset({"oncall"})), oncall=Forgetful())
    incident = post.open()
    post.deliver(0)
    overtake(post, lambda: post.move(incident, Event.RESOLVED, 1))
    deliver(post, 4)
    assert (corrections(post), post.receivers["oncall"].taken) == ([], ["opened 1"])
    post.store.close()


def test_what_could_not_be_put_right_is_the_next_time(post):
    incident, _ = post.open("a"), post.open("b")
    post.deliver(0)

    def end():
        post.move(incident, Event.RESOLVED, 1)
        post.receivers["oncall"].errors = [None, refusal()]

    overtake(post, end)
    assert corrections(post) == []
    deliver(post, 4)
    assert corrections(post) == [[(1, True, ["1 critical"])]]
    assert post.receivers["oncall"].again == [[1, 2], [2]]
