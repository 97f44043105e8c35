"""At least once, in order, never forgotten, and no flood: over a real store."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from driftwatch.alert import attempting
from driftwatch.alert.attempting import ATTEMPT_S, wait_s
from driftwatch.alert.outbox import DIGEST_ABOVE, LEASE_S, DeliveryReport
from driftwatch.domain import Event
from driftwatch.errors import ConfigError, DeliveryError
from tests.alert.mailing import Post, Recorder

MINUTE = 60.0


@pytest.fixture
def post(tmp_path):
    """One receiver, ``oncall``."""
    post = Post(tmp_path / "watch.db")
    yield post
    post.store.close()


@pytest.fixture
def two(tmp_path):
    """Two receivers, ``oncall`` and ``log``."""
    post = Post(tmp_path / "watch.db", oncall=Recorder(), log=Recorder())
    yield post
    post.store.close()


def refusal(*, retryable: bool, retry_after_s: float | None = None) -> DeliveryError:
    return DeliveryError("it did not", receiver="oncall", retryable=retryable, retry_after_s=retry_after_s)


def times(post: Post) -> list[float]:
    """Minutes until the next attempt at what is pending."""
    waits = [n.next_attempt_at - post.at() for n in post.store.notifications() if n.id in post.pending()]
    return [wait / timedelta(minutes=1) for wait in waits]


def test_what_is_due_is_sent_in_order_and_marked(post):
    for target in ("a", "b", "c"):
        post.open(target)
    with capture_logs() as logs:
        assert post.deliver(0) == DeliveryReport(n_sent=3)
    assert post.receivers["oncall"].taken == ["opened 1", "opened 2", "opened 3"]
    assert post.store.notifications()[0].sent_at == post.at()
    assert [entry["event"] for entry in logs] == ["notification.sent"] * 3
    expected = {"receiver": "oncall", "target": "a", "incident": 1, "dedup_key": "driftwatch/1/1/oncall", "attempt": 1}
    assert expected.items() <= logs[0].items()
    assert post.deliver(1) == DeliveryReport()


def test_a_receipt_comes_back_with_the_next_message_about_the_group(post):
    post.receivers["oncall"].receipt = {"ts": "17"}
    incident = post.open()
    post.deliver(0)
    post.move(incident, Event.RESOLVED, 5)
    post.deliver(5)
    assert [a.receipt for a in post.receivers["oncall"].told] == [None, {"ts": "17"}]
    assert len({a.key for a in post.receivers["oncall"].told}) == 1


def test_a_crash_between_acceptance_and_the_mark_repeats_the_same_key_when_the_lease_is_over(post, monkeypatch):
    post.open()
    with monkeypatch.context() as patched:
        patched.setattr(post.store, "mark_sent", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            post.deliver(0)
    restarted = post.another()
    assert post.deliver(LEASE_S / 60 - 0.1, restarted) == DeliveryReport()
    assert post.deliver(LEASE_S / 60 + 0.1, restarted) == DeliveryReport(n_sent=1)
    first, again = post.receivers["oncall"].told
    assert first.dedup_key == again.dedup_key


def test_where_time_stands_still_nothing_waits_for_a_lease(post, monkeypatch):
    post.open()
    simulated = post.another(lease_s=0)
    with monkeypatch.context() as patched:
        patched.setattr(post.store, "mark_sent", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            post.deliver(0, simulated)
    assert post.deliver(0, post.another(lease_s=0)) == DeliveryReport(n_sent=1)


def test_of_two_processes_one_tells(post):
    """The second looks while the first waits for its receiver."""
    post.open()

    async def both():
        post.receivers["oncall"].gate = asyncio.Event()
        first = asyncio.create_task(post.courier.deliver(at=post.at(1)))
        while not post.receivers["oncall"].asked:  # noqa: ASYNC110 - until it waits for its receiver
            await asyncio.sleep(0.01)
        second = await post.another().deliver(at=post.at(1))
        post.receivers["oncall"].gate.set()
        return await first, second

    assert asyncio.run(both()) == (DeliveryReport(n_sent=1), DeliveryReport())
    assert post.receivers["oncall"].taken == ["opened 1"]


def test_of_two_processes_that_read_the_same_one_gets_the_lease(post, monkeypatch):
    post.open()
    read = post.store.waiting(post.at(1))
    assert post.deliver(1) == DeliveryReport(n_sent=1)
    monkeypatch.setattr(post.store, "waiting", lambda _at: read)
    assert post.deliver(1, post.another()) == DeliveryReport()
    assert post.receivers["oncall"].asked == 1


def test_a_failure_that_may_pass_waits_longer_each_time_and_never_ends(post):
    post.open()
    post.receivers["oncall"].errors = [refusal(retryable=True)] * 40
    minutes, waits = 0.0, []
    for _ in range(40):
        assert post.deliver(minutes) == DeliveryReport(n_failed=1)
        [again] = times(post)
        waits.append((again - minutes) * MINUTE)
        assert post.deliver(again - 1 / MINUTE) == DeliveryReport()
        minutes = again
    assert waits[:9] == pytest.approx([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600])
    assert waits[9:] == pytest.approx([3_600] * 31)
    assert post.deliver(minutes) == DeliveryReport(n_sent=1)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (7.0, 7.0),
        (90_000.0, 3_600.0),
        (0.0, 30.0),
        (-5.0, 30.0),
        (float("nan"), 30.0),
        (float("inf"), 30.0),
        (None, 30.0),
    ],
)
def test_the_wait_a_receiver_asks_for_is_kept_up_to_an_hour(post, asked, expected):
    post.open()
    post.receivers["oncall"].errors = [refusal(retryable=True, retry_after_s=asked)]
    post.deliver(0)
    assert times(post) == [pytest.approx(expected / MINUTE)]
    assert wait_s(0, asked) == expected


def test_news_that_comes_while_a_receiver_asks_for_time_waits_too(post):
    post.open("a")
    post.receivers["oncall"].errors = [refusal(retryable=True, retry_after_s=600)]
    post.deliver(0)
    post.open("b", 1)
    assert post.deliver(2) == DeliveryReport()
    assert post.deliver(10) == DeliveryReport(n_sent=2)
    assert post.receivers["oncall"].asked == 3


def test_a_receiver_that_is_down_is_asked_once_per_pass_and_others_are_served(two):
    for target in ("a", "b", "c"):
        two.open(target)
    two.receivers["oncall"].errors = [refusal(retryable=True)]
    with capture_logs() as logs:
        assert two.deliver(0) == DeliveryReport(n_sent=3, n_failed=1)
    assert (two.receivers["oncall"].asked, two.receivers["log"].asked) == (1, 3)
    assert [e["event"] for e in logs if e["log_level"] == "warning"] == ["notification.failed"]
    assert times(two) == [0.5, 0.5, 0.5]
    assert two.why(3) == ("pending", "waits with an earlier notification to 'oncall', which failed")
    assert two.deliver(0.5) == DeliveryReport(n_sent=3)
    assert sorted(two.receivers["oncall"].taken) == ["opened 1", "opened 2", "opened 3"]


def test_one_message_that_a_receiver_cannot_take_does_not_stand_before_the_others(post):
    post.open("poison")
    post.receivers["oncall"].errors = [refusal(retryable=True)]
    post.deliver(0)
    post.open("a", 1)
    post.receivers["oncall"].errors = [None, refusal(retryable=True)]
    assert post.deliver(1) == DeliveryReport(n_sent=1, n_failed=1)
    assert post.receivers["oncall"].taken == ["opened 2"]


def test_what_a_receiver_takes_after_an_outage_wakes_all_that_failed_before(post):
    post.open("a")
    post.receivers["oncall"].errors = [refusal(retryable=True)] * 6
    minutes = 0.0
    for _ in range(6):
        post.deliver(minutes)
        [minutes] = times(post)
    post.open("b", minutes - 10)
    assert post.deliver(minutes - 10) == DeliveryReport(n_sent=2), "the first one waited for another ten minutes"


def test_a_receiver_that_hangs_delays_nobody_else(two):
    two.open("a")

    async def work():
        two.receivers["oncall"].gate = asyncio.Event()
        hanging = asyncio.create_task(two.courier.deliver(at=two.at(1)))
        while two.pending() != [1] or two.courier.is_telling("log"):  # noqa: ASYNC110 - the other pass is over
            await asyncio.sleep(0.01)
        two.open("b", 2)
        meanwhile = await two.courier.deliver(at=two.at(2))
        assert (two.receivers["oncall"].asked, two.receivers["log"].asked) == (1, 2)
        two.receivers["oncall"].gate.set()
        return meanwhile, await hanging

    meanwhile, hanging = asyncio.run(work())
    assert meanwhile == DeliveryReport(n_sent=1)
    assert hanging == DeliveryReport(n_sent=3), "what became due meanwhile is told by the same pass"
    assert two.receivers["oncall"].taken == ["opened 1", "opened 2"]


def test_what_comes_while_a_pass_reads_is_told_by_that_pass_to_which_it_is_left(post, monkeypatch):
    """The second call, at the same time, finds the receiver being told: it must not be left to the next tick."""
    post.open("a")
    original, later = post.store.waiting, []

    async def work():
        loop = asyncio.get_running_loop()

        def waiting(at, **changes):
            found = original(at, **changes)
            if changes and not later:
                later.append(post.open("b", 1))
                call = asyncio.run_coroutine_threadsafe(post.courier.deliver(at=post.at(1)), loop)
                assert call.result(30) == DeliveryReport()
            return found

        monkeypatch.setattr(post.store, "waiting", waiting)
        return await post.courier.deliver(at=post.at(1))

    assert asyncio.run(work()) == DeliveryReport(n_sent=2)


def test_a_clock_that_was_ahead_holds_back_no_news(post):
    post.open("a")
    post.receivers["oncall"].errors = [refusal(retryable=True)]
    post.deliver(600_000)
    post.open("b", 1)
    assert post.deliver(1) == DeliveryReport(n_sent=2)


def test_an_attempt_ends_before_its_lease(post, monkeypatch):
    monkeypatch.setattr(attempting, "ATTEMPT_S", 0.05)
    post.open()

    async def work():
        post.receivers["oncall"].gate = asyncio.Event()
        return await post.courier.deliver(at=post.at())

    assert asyncio.run(work()) == DeliveryReport(n_failed=1)
    assert post.why(1) == ("pending", "receiver 'oncall': it did not answer within 0.05 s")
    assert LEASE_S > ATTEMPT_S


def test_recovered_never_arrives_before_drift_and_both_in_one_message_after_an_outage(two):
    incident = two.open()
    two.receivers["oncall"].errors = [refusal(retryable=True)]
    two.deliver(0)
    two.move(incident, Event.RESOLVED, 0.1)
    assert two.deliver(0.6) == DeliveryReport(n_sent=2, n_muted=1)
    assert two.receivers["oncall"].taken == ["resolved 1"]
    assert [t.event for t in two.receivers["oncall"].told[0].history] == ["opened", "resolved"]
    assert two.why(1) == ("muted", "told with notification 3")
    assert two.receivers["log"].taken == ["opened 1", "resolved 1"]


def test_what_goes_along_with_a_failed_attempt_waits_as_long(post):
    lead = post.open("a")
    post.receivers["oncall"].errors = [refusal(retryable=True)] * 2
    post.deliver(0)
    post.open("b", 0.1, part_of=lead.id)
    assert post.deliver(0.5) == DeliveryReport(n_failed=1)
    assert times(post) == [1.5, 1.5]
    assert post.deliver(1.5) == DeliveryReport(n_sent=1, n_muted=1)
    assert [m.target for m in post.receivers["oncall"].told[0].members] == ["a", "b"]


def test_a_permanent_failure_is_given_up_loudly_and_holds_nothing_back(post):
    incident = post.open()
    post.receivers["oncall"].errors = [refusal(retryable=False)]
    with capture_logs() as logs:
        assert post.deliver(0) == DeliveryReport(n_dead=1)
        post.move(incident, Event.RESOLVED, 1)
        assert post.deliver(1) == DeliveryReport(n_sent=1)
    assert post.why(1) == ("dead", "it did not")
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("notification.dead", "error"),
        ("notification.sent", "info"),
    ]


def test_a_receiver_that_left_the_config_is_named(post):
    post.open(receivers=("renamed",))
    assert post.deliver(0) == DeliveryReport(n_dead=1)
    assert post.why(1)[1] == (
        "receiver 'renamed' is not in the config any more: add it under 'receivers' again, "
        "or name another one in the target's 'receivers'"
    )


def test_an_unexpected_error_keeps_the_page_and_hides_its_text(post):
    post.open()
    post.receivers["oncall"].errors = [ZeroDivisionError("https://secret")]
    with capture_logs() as logs:
        assert post.deliver(0) == DeliveryReport(n_failed=1)
    assert post.why(1) == ("pending", "receiver 'oncall': an unexpected ZeroDivisionError while sending")
    assert "secret" not in str(logs)


def test_a_driftwatch_error_keeps_its_sentence_and_the_page(post):
    post.open()
    post.receivers["oncall"].errors = [ConfigError("the file is empty", file="token.txt")]
    post.deliver(0)
    assert post.why(1) == ("pending", "receiver 'oncall': token.txt: the file is empty")


def test_a_store_that_fails_for_one_receiver_is_told_after_the_others_were_served(two, monkeypatch):
    two.open()
    original = two.store.lease

    def refuse(notifications, *, at: datetime, until: datetime, beside=()):
        if notifications[0].receiver == "log":
            raise RuntimeError("locked")
        return original(notifications, at=at, until=until, beside=beside)

    monkeypatch.setattr(two.store, "lease", refuse)
    with pytest.raises(RuntimeError, match="locked"):
        two.deliver(0)
    assert two.receivers["oncall"].taken == ["opened 1"]
    monkeypatch.undo()
    assert two.deliver(1) == DeliveryReport(n_sent=1)


# ---------------------------------------------------------------- what moves between deciding and sending


async def asked(receiver: Recorder, n: int) -> None:
    while receiver.asked < n:  # noqa: ASYNC110 - until it waits for its receiver
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("event", [Event.RESOLVED, Event.ACKNOWLEDGED])
def test_a_page_is_not_told_once_it_is_over_though_the_round_began_before(post, event):
    """The receiver takes its time over the first."""
    first, second = post.open("slow"), post.open("a")
    post.deliver(0, post.another()) if event is Event.ACKNOWLEDGED else None
    if event is Event.ACKNOWLEDGED:
        for incident in (first, second):
            post.move(incident, Event.REMINDED, 1)

    async def work():
        oncall = post.receivers["oncall"]
        oncall.gate, n = asyncio.Event(), oncall.asked
        telling = asyncio.create_task(post.courier.deliver(at=post.at(2)))
        await asked(oncall, n + 1)
        post.move(second, event, 2)
        oncall.gate.set()
        await telling

    asyncio.run(work())
    told = [a.transition.event for a in post.receivers["oncall"].told if a.lead.id == second.id]
    assert told == ([Event.RESOLVED] if event is Event.RESOLVED else [Event.OPENED])
    assert post.pending() == []


def test_what_is_silenced_while_the_round_is_under_way_is_not_told(post):
    post.open("slow")
    post.open("a")

    async def work():
        oncall = post.receivers["oncall"]
        oncall.gate = asyncio.Event()
        telling = asyncio.create_task(post.courier.deliver(at=post.at(2)))
        await asked(oncall, 1)
        post.silence(1, 60, target="a")
        oncall.gate.set()
        await telling

    asyncio.run(work())
    assert post.receivers["oncall"].taken == ["opened 1"]
    assert post.why(2) == ("pending", "silenced by ana until Mon 16 Mar 15:00 UTC: we know")


def test_of_two_processes_none_tells_of_a_beginning_after_the_end(post):
    """The first has decided to tell of the beginning, and is busy; the second tells of the end meanwhile."""
    post.open("slow")
    incident = post.open("a")

    async def work():
        oncall = post.receivers["oncall"]
        oncall.gate = asyncio.Event()
        first = asyncio.create_task(post.courier.deliver(at=post.at(0)))
        await asked(oncall, 1)
        post.move(incident, Event.RESOLVED, 1)
        second = asyncio.create_task(post.another().deliver(at=post.at(1)))
        await asked(oncall, 2)
        oncall.gate.set()
        await asyncio.gather(first, second)

    asyncio.run(work())
    assert sorted(post.receivers["oncall"].taken) == ["opened 1", "resolved 2"]


def test_the_loop_goes_on_while_the_store_is_read(post, monkeypatch):
    for i in range(20):
        post.open(f"t{i}")
    loops = []
    for name in ("waiting", "silences", "lease", "told_of", "mark_sent", "wake", "revive"):
        original = getattr(post.store, name)

        def call(*args, _original=original, **kwargs):
            try:
                loops.append(asyncio.get_running_loop())
            except RuntimeError:
                loops.append(None)
            return _original(*args, **kwargs)

        monkeypatch.setattr(post.store, name, call)
    assert post.deliver(0).n_sent == 20
    assert set(loops) == {None}, "never in the thread of the event loop"


def test_what_is_held_is_not_read_again_by_the_pass_that_sends(post, monkeypatch):
    post.silence(0, 60, target="held")
    post.open("held")
    post.open("told")
    read, original = [], post.store.waiting

    def waiting(*args, **kwargs):
        found = original(*args, **kwargs)
        read.append([a.lead.target for _, a in found])
        return found

    monkeypatch.setattr(post.store, "waiting", waiting)
    post.deliver(0)
    assert read == [["held", "told"], []]


# ---------------------------------------------------------------- refused for good


def test_a_page_that_was_refused_for_good_is_told_when_the_receiver_takes_something_again(post):
    post.open("a")
    over = post.open("b")
    post.receivers["oncall"].errors = [refusal(retryable=False)] * 2
    assert post.deliver(0) == DeliveryReport(n_dead=2)
    post.move(over, Event.RESOLVED, 1)
    assert post.deliver(1) == DeliveryReport(n_sent=2)
    assert post.receivers["oncall"].taken == ["resolved 2", "opened 1"]
    assert post.why(2)[0] == "dead", "nobody reads that it began"


def test_a_page_that_was_refused_for_good_is_tried_again_once_a_day_and_by_a_new_process(post):
    post.open("a")
    post.receivers["oncall"].errors = [refusal(retryable=False)] * 3
    for minute in range(0, 2 * 24 * 60, 60):
        post.deliver(minute)
    assert post.receivers["oncall"].asked == 2
    assert post.deliver(2 * 24 * 60 - 1, post.another()) == DeliveryReport(n_dead=1)
    assert post.deliver(2 * 24 * 60 - 1, post.another()) == DeliveryReport(n_sent=1)
    assert post.receivers["oncall"].taken == ["opened 1"]


def test_what_goes_along_with_what_is_refused_for_good_is_free_at_once(post):
    lead = post.open("a")
    post.open("b", part_of=lead.id)
    post.receivers["oncall"].errors = [refusal(retryable=False)]
    assert post.deliver(0) == DeliveryReport(n_dead=1, n_sent=1)


# ---------------------------------------------------------------- after a day without the receiver


def flood(post: Post, n: int = DIGEST_ABOVE + 1) -> float:
    """A receiver that is down while many groups open; returns the minute at which it is back."""
    for i in range(n):
        post.open(f"target-{i}", i)
    post.receivers["oncall"].errors = [refusal(retryable=True)] * 5
    for minute in (5, 6, 7, 8, 9):
        post.deliver(minute)
    assert post.receivers["oncall"].told == []
    return 24 * 60


def test_a_receiver_that_was_down_for_a_day_gets_one_message(post):
    back = flood(post)
    over = post.store.incidents()[-1]
    post.move(over, Event.RESOLVED, 600)
    assert post.deliver(back) == DeliveryReport(n_sent=4, n_muted=1)
    [digest] = post.receivers["oncall"].digests
    assert [(a.lead.target, a.transition.event, a.is_over) for a in digest] == [
        ("target-0", "resolved", True),
        ("target-1", "opened", False),
        ("target-2", "opened", False),
        ("target-3", "opened", False),
    ]
    assert post.receivers["oncall"].told == []
    assert post.pending() == []
    # What goes on afterwards is told as ever.
    post.move(post.store.incidents()[0], Event.RESOLVED, back + 1)
    post.deliver(back + 1)
    assert post.receivers["oncall"].taken == ["resolved 4"]


def test_few_that_wait_are_told_one_by_one(post):
    back = flood(post, DIGEST_ABOVE)
    assert post.deliver(back) == DeliveryReport(n_sent=3)
    assert post.receivers["oncall"].digests == []


def test_many_that_open_at_once_are_told_one_by_one(post):
    for i in range(6):
        post.open(f"target-{i}")
    assert post.deliver(0) == DeliveryReport(n_sent=6)
    assert post.receivers["oncall"].digests == []


def test_a_digest_that_fails_is_tried_again_whole(post):
    back = flood(post)
    post.receivers["oncall"].errors = [refusal(retryable=True)]
    assert post.deliver(back) == DeliveryReport(n_failed=4)
    assert post.deliver(back + 60) == DeliveryReport(n_sent=4)
    assert len(post.receivers["oncall"].digests) == 1


def test_a_digest_leaves_each_group_its_receipt(post):
    back = flood(post)
    first, second, *_ = post.store.incidents()
    key = post.store.announcement(first.id).key
    post.receivers["oncall"].receipts = {key: {"ts": "9"}}
    post.deliver(back)
    for incident in (first, second):
        post.move(incident, Event.RESOLVED, back + 1)
    post.deliver(back + 1)
    assert {a.lead.id: a.receipt for a in post.receivers["oncall"].told} == {first.id: {"ts": "9"}, second.id: None}


def test_a_digest_tells_what_is_so_by_then(post, monkeypatch):
    """One is over between deciding and leasing."""
    back = flood(post)
    over, original = post.store.incidents()[0], post.store.lease

    def lease(*args, **kwargs):
        monkeypatch.undo()
        post.move(over, Event.RESOLVED, back)
        return original(*args, **kwargs)

    monkeypatch.setattr(post.store, "lease", lease)
    assert post.deliver(back) == DeliveryReport(n_sent=4, n_muted=1)
    assert [a.transition.event for digest in post.receivers["oncall"].digests for a in digest] == ["opened"] * 3
    assert post.receivers["oncall"].taken == [f"resolved {over.id}"]


def test_a_digest_that_is_refused_for_good_is_told_one_by_one(post):
    back = flood(post)
    post.receivers["oncall"].errors = [refusal(retryable=False)]
    assert post.deliver(back) == DeliveryReport(n_sent=4)
    assert sorted(post.receivers["oncall"].taken) == [f"opened {n}" for n in (1, 2, 3, 4)]


def test_a_receiver_that_refused_all_and_not_the_digest_gets_one_when_it_is_mended(post):
    """A token that was revoked for two days: each day's attempt is refused, one by one too."""
    back = flood(post)
    post.receivers["oncall"].errors = [refusal(retryable=False)] * 5
    assert post.deliver(back) == DeliveryReport(n_dead=4)
    assert post.deliver(back + 24 * 60) == DeliveryReport(n_sent=4)
    assert (len(post.receivers["oncall"].digests), post.receivers["oncall"].taken) == (1, [])


def test_a_digest_of_what_another_process_is_telling_is_not_sent(post, monkeypatch):
    back = flood(post)
    monkeypatch.setattr(post.store, "lease", lambda *_, **__: [])
    assert post.deliver(back) == DeliveryReport()
    assert post.receivers["oncall"].digests == []


def test_waiting_survives_a_restart(post, tmp_path):
    back = flood(post)
    post.store.close()
    again = Post(tmp_path / "watch.db")
    assert again.deliver(back) == DeliveryReport(n_sent=4)
    assert len(again.receivers["oncall"].digests) == 1
    again.store.close()


def test_a_receiver_that_left_the_config_gets_no_digest(post):
    for i in range(5):
        post.open(f"target-{i}", receivers=("renamed",))
    assert post.deliver(24 * 60) == DeliveryReport(n_dead=5)
