"""A database that cannot be written: SQLite's own errors, and a page that goes out all the same."""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.alert import troubles
from driftwatch.alert.policy import Policy, Route
from driftwatch.alert.receiver import EVERY_EVENT
from driftwatch.cli import context
from driftwatch.domain import Event, IncidentState, Kind, Severity
from driftwatch.errors import DeliveryError, StoreError
from driftwatch.store import Store
from driftwatch.upkeep import LastWords, Upkeep, caretaking
from driftwatch.upkeep.keeping import FULL

AT = datetime(2026, 3, 16, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB of this test's own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "driftwatch-test", str(directory)], check=False, capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("only root may mount a file system; the tests below use another limit")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(directory):
    """Until not a byte fits any more."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return ballast


def write_until_it_fails(store):
    for _ in range(1000):  # the room that the log has already is used up first
        store.check_writable()


@pytest.fixture
def small_files():
    """Let no file of this process grow beyond a size, until the test ends; SQLite meets a real error of the system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ---------------------------------------------------------------- the proof


def test_the_proof_writes_to_a_disk_that_has_room_and_fails_on_a_full_one(small_disk):
    with Store.open(small_disk / "watch.db") as store:
        store.check_writable()
        ballast = fill(small_disk)
        with pytest.raises(StoreError, match=FULL):
            write_until_it_fails(store)
        assert store.incidents() == [], "it can still be read"
        ballast.unlink()
        store.check_writable()


def keep(store, path):
    return Upkeep(store, path=path, targets=(), policy=Policy(), receivers=(), at=AT, timer=lambda: lambda: 999.0)


def test_a_full_disk_is_told_at_once_and_is_over_when_there_is_room(small_disk):
    path = small_disk / "watch.db"
    with Store.open(path) as store:
        upkeep = keep(store, path)
        assert upkeep.prove(AT) is None
        assert upkeep.unwritable is None
        ballast = fill(small_disk)
        found = next(filter(None, (upkeep.prove(AT + MINUTE) for _ in range(1000))))
        assert (found.trouble, found.severity) == ("disk", Severity.CRITICAL)
        assert FULL in upkeep.unwritable
        assert upkeep.prove(AT + 2 * MINUTE).since == AT + MINUTE
        ballast.unlink()
        assert upkeep.prove(AT + 3 * MINUTE) is None
        assert upkeep.unwritable is None


def test_an_error_of_the_system_is_told_when_it_lasts(tmp_path, small_files, logs):
    path = tmp_path / "watch.db"
    with Store.open(path) as store:
        upkeep = keep(store, path)
        small_files(1)
        assert upkeep.prove(AT) is None, "it may be a moment"
        assert "could not be" in upkeep.unwritable
        assert upkeep.prove(AT + MINUTE) is None
        found = upkeep.prove(AT + 2 * MINUTE)
        assert (found.trouble, found.since) == ("store", AT)
        assert found.headline.startswith("The database cannot be used since Mon 16 Mar 09:00 UTC")


def test_the_proof_is_not_made_at_every_tick(tmp_path):
    path = tmp_path / "watch.db"
    with Store.open(path) as store:
        upkeep = Upkeep(store, path=path, targets=(), policy=Policy(), receivers=(), at=AT, timer=lambda: lambda: 1.0)
        assert upkeep.prove(AT) is None
        store.close()
        assert upkeep.prove(AT + MINUTE) is None
        upkeep._since_proof = lambda: 15.0
        upkeep.prove(AT + MINUTE)
        assert upkeep.unwritable is not None


# ---------------------------------------------------------------- the words


class Ear:
    """A receiver that keeps what it is told."""

    events = EVERY_EVENT

    def __init__(self, error=None):
        self.heard = []
        self.error = error
        self.gate = None

    async def send(self, announcement):
        self.heard.append(announcement)
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error

    async def send_digest(self, _):
        raise AssertionError("last words are told one by one")


FINDING = troubles.disk_full("/data", since=AT)


def words(tmp_path, policy=None, **ears):
    policy = policy or Policy(receivers=tuple(ears))
    return LastWords(lambda: ears, policy=policy, path=tmp_path / "watch.db")


def test_they_are_told_to_everybody_once_and_again_after_a_day(tmp_path):
    one, two = Ear(), Ear()
    last = words(tmp_path, one=one, two=two)
    taken = [asyncio.run(last.say(FINDING, AT + hours * timedelta(hours=1))) for hours in (0, 1, 23, 24, 25)]
    assert taken == [2, 0, 0, 2, 0]
    assert [a.transition.event for a in one.heard] == [Event.OPENED, Event.REMINDED]
    first, again = one.heard
    assert first.key == again.key, "receivers that keep incidents see one"
    assert first.dedup_key != again.dedup_key
    assert first.incident.kind is Kind.WATCH_ITSELF
    assert first.incident.evidence["headline"] == FINDING.headline


def test_their_end_is_told_to_those_who_heard_them(tmp_path):
    one, quiet = Ear(), Ear()
    policy = Policy(receivers=("one", "quiet"), untold_ends=frozenset({"quiet"}))
    last = words(tmp_path, policy, one=one, quiet=quiet)
    assert asyncio.run(last.take_back("disk", "there is room again", AT)) == 0
    asyncio.run(last.say(FINDING, AT))
    assert last.is_told("disk")
    assert asyncio.run(last.take_back("disk", "there is room again", AT + MINUTE)) == 1
    assert not last.is_told("disk")
    end = one.heard[-1]
    assert (end.transition.event, end.incident.state) == (Event.RESOLVED, IncidentState.RESOLVED)
    assert end.key == one.heard[0].key
    assert len(quiet.heard) == 1


def test_one_receiver_that_fails_does_not_keep_the_others_from_hearing(tmp_path, logs):
    refused = DeliveryError("the hook is gone", receiver="a", retryable=False)
    secret = RuntimeError("https://hooks.example.org/T0/secret")
    ears = {"a": Ear(refused), "b": Ear(secret), "c": Ear()}
    assert asyncio.run(words(tmp_path, **ears).say(FINDING, AT)) == 1
    assert len(ears["c"].heard) == 1
    failures = [line for line in logs if line["event"] == "last_words.failed"]
    assert [(line["receiver"], line["error"]) for line in failures] == [
        ("a", "the hook is gone"),
        ("b", "an unexpected RuntimeError"),
    ]
    assert "secret" not in str(logs)


def test_routes_say_who_hears_them(tmp_path):
    ops, other = Ear(), Ear()
    policy = Policy(
        routes=(Route(match={"target": ("driftwatch",)}, receivers=("ops", "unknown")),), receivers=("ops", "other")
    )
    assert asyncio.run(words(tmp_path, policy, ops=ops, other=other).say(FINDING, AT)) == 1
    assert not other.heard


def test_a_receiver_that_cannot_use_an_edge_is_left_out(tmp_path):
    ear = Ear()
    ear.events = frozenset({Event.RESOLVED})
    assert asyncio.run(words(tmp_path, ear=ear).say(FINDING, AT)) == 0
    assert not ear.heard


AWAY = DeliveryError("the network is down", receiver="one", retryable=True)
REFUSED = DeliveryError("the hook is gone", receiver="one", retryable=False)


def edges(ear):
    return [announcement.transition.event for announcement in ear.heard]


def say(last, minutes, finding=FINDING):
    return asyncio.run(last.say(finding, AT + minutes * MINUTE))


def take_back(last, minutes):
    return asyncio.run(last.take_back("disk", "there is room again", AT + minutes * MINUTE))


def test_who_could_not_be_reached_is_told_later_and_the_others_not_again(tmp_path):
    one, two = Ear(AWAY), Ear()
    last = words(tmp_path, one=one, two=two)
    assert say(last, 0) == 1
    assert (say(last, 0.25), len(one.heard)) == (0, 1), "the outbox's waiting times"
    assert (say(last, 0.5), len(one.heard)) == (0, 2)
    one.error = None
    assert (say(last, 1), len(one.heard)) == (0, 2)
    assert (say(last, 1.5), len(one.heard)) == (1, 3)
    assert (say(last, 3), len(one.heard), len(two.heard)) == (0, 3, 1)
    assert len({announcement.dedup_key for announcement in one.heard}) == 1, "one message, tried three times"
    assert set(edges(one)) == {Event.OPENED}


def test_a_receiver_that_asks_for_time_gets_it(tmp_path):
    one = Ear(DeliveryError("too often", receiver="one", retryable=True, retry_after_s=600))
    last = words(tmp_path, one=one)
    for minutes in range(11):
        say(last, minutes)
    assert len(one.heard) == 2


def test_who_refuses_for_good_is_asked_once_a_day(tmp_path):
    one = Ear(REFUSED)
    last = words(tmp_path, one=one)
    for hours in range(25):
        say(last, 60 * hours)
    assert edges(one) == [Event.OPENED, Event.OPENED]


def test_an_end_is_told_until_it_is_taken(tmp_path):
    one, two = Ear(), Ear()
    last = words(tmp_path, one=one, two=two)
    say(last, 0)
    one.error = AWAY
    assert (take_back(last, 5), take_back(last, 5.25), take_back(last, 5.5)) == (1, 0, 0)
    assert last.is_told("disk")
    one.error = None
    assert (take_back(last, 6), take_back(last, 6.5), take_back(last, 9)) == (0, 1, 0)
    assert not last.is_told("disk")
    assert edges(one) == [Event.OPENED] + [Event.RESOLVED] * 3
    assert edges(two) == [Event.OPENED, Event.RESOLVED]


def test_nobody_hears_the_end_of_what_they_were_not_told(tmp_path):
    one, two = Ear(AWAY), Ear()
    last = words(tmp_path, one=one, two=two)
    say(last, 0)
    one.error = None
    assert take_back(last, 1) == 1
    assert edges(one) == [Event.OPENED]
    assert say(last, 60, troubles.disk_full("/data", since=AT + 60 * MINUTE)) == 2
    assert one.heard[-1].key != one.heard[0].key, "another trouble"


def test_a_trouble_that_comes_back_before_its_end_was_told_is_the_same_to_that_receiver(tmp_path):
    one = Ear()
    last = words(tmp_path, one=one)
    say(last, 0)
    one.error = AWAY
    take_back(last, 1)
    one.error = None
    assert say(last, 2, troubles.disk_full("/data", since=AT + 2 * MINUTE)) == 1
    assert edges(one) == [Event.OPENED, Event.RESOLVED, Event.REMINDED]
    assert len({announcement.key for announcement in one.heard}) == 1
    assert take_back(last, 3) == 1


def test_what_is_on_its_way_is_not_sent_beside_itself(tmp_path):
    one = Ear()
    last = words(tmp_path, one=one)

    async def scene():
        one.gate = asyncio.Event()
        first = asyncio.create_task(last.say(FINDING, AT))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = [await last.say(FINDING, AT + MINUTE), await last.take_back("disk", "there is room again", AT)]
        one.gate.set()
        return [await first, *others]

    assert asyncio.run(scene()) == [1, 0, 0]
    assert edges(one) == [Event.OPENED]
    assert take_back(last, 2) == 1, "the end is not forgotten"


def test_a_message_that_was_broken_off_is_tried_again(tmp_path):
    one = Ear()
    last = words(tmp_path, one=one)

    async def scene():
        one.gate = asyncio.Event()
        first = asyncio.create_task(last.say(FINDING, AT))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        one.gate.set()
        return await last.say(FINDING, AT + MINUTE)

    assert asyncio.run(scene()) == 1


# ---------------------------------------------------------------- in the running program

RECEIVER = "receivers: {me: {type: console}}"


def test_a_full_disk_is_told_once_straight_from_memory_and_taken_back(place, local, endpoint, small_disk, logs):
    app = place.app({"a": local}, f"{RECEIVER}\nstore: {small_disk}/watch.db")

    async def tick():
        app._caretaker.upkeep._since_proof = None
        await app._tick(place.clock.now())
        await asyncio.gather(*(task for _, task in app._in_flight.values()), return_exceptions=True)
        await asyncio.gather(*app._caretaker._under_way)
        await asyncio.gather(*app._deliveries.under_way)
        place.clock.at += MINUTE

    async def work():
        await tick()
        assert app.health().detail != "the scheduler is stalled"
        before = len(place.lines)
        ballast = fill(small_disk)
        for _ in range(8):  # the room that the log has already is used up first
            await tick()
        during, ready = place.lines[before:], app.health().is_ready
        ballast.unlink()
        await tick()
        return during, ready, place.lines[before + len(during) :], app.health()

    during, ready, after, _ = place.use(app, work)
    [told] = [text for text in during if "nothing can be stored, so nothing is watched" in text]
    assert "  df -h " in told
    assert "driftwatch report 0" not in told, "there is no incident to look up"
    assert not ready
    assert any("can be written again" in text for text in after)
    assert "last_words.failed" not in [line["event"] for line in logs]


def test_a_look_that_cannot_be_stored_is_logged_and_says_so(place, local, logs):
    app = place.app({"a": local})

    async def work():
        app.store.close()
        return await app._caretaker.look(place.clock.now(), last={})

    assert place.use(app, work) is False
    assert "upkeep.failed" in [line["event"] for line in logs]


def test_a_stop_waits_a_little_for_last_words_and_no_longer(place, local, monkeypatch):
    monkeypatch.setattr(caretaking, "SHUT_S", 0.05)
    app = place.app({"a": local})
    ended = []

    async def hang():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def work():
        app._caretaker._start(hang())
        await asyncio.sleep(0)
        await app._caretaker.stop()
        await asyncio.sleep(0)

    place.use(app, work, timeout_s=5)
    assert ended == [True]


def test_a_log_on_a_full_disk_does_not_stop_the_watch(monkeypatch):
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        with pytest.raises(OSError, match="No space left"):
            print("as it is", file=sys.stderr)  # noqa: T201 - the error that is met
        patient = context._Patient()
        patient.write("store.unwritable\n")
        patient.flush()
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
