"""What changed on our side: the record, a person's choice of baseline, the clock; over the real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.attribution import OwnCause, Scope
from driftwatch.attribution.ours import Window, clock, rebaselined, recorded
from driftwatch.domain import Kind, Purpose, Target
from driftwatch.store import Store

HOUR = timedelta(hours=1)
ONSET = datetime(2026, 3, 16, 9, tzinfo=UTC)
TARGET = Target(name="support", provider="openai", model="m", canaries=())
WINDOW = Window(
    since=ONSET - 8 * HOUR,
    until=ONSET + 4 * HOUR,
    onset_at=ONSET,
    near_since=ONSET - 2 * HOUR,
    near_until=ONSET + 2 * HOUR,
)
FACTS = {"driftwatch": "0.5.0", "target.support": "timeout 60", "way out": "aa"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "watch.db") as opened:
        yield opened


def baseline(store: Store, at: datetime, *, author: str = "driftwatch") -> int:
    begun = store.start_baseline(
        target="support", series_key="ab", author=author, reason="r", at=at, anchors_wanted=2, calibration_wanted=20
    )
    return store.activate_baseline(begun.id, at=at).id


def test_a_change_is_named_with_its_distance_and_its_reach(store: Store):
    store.note_harness(FACTS, at=ONSET - 400 * HOUR)
    store.note_harness(FACTS | {"driftwatch": "0.6.0", "way out": "bb"}, at=ONSET - 2 * HOUR)
    store.note_harness(FACTS | {"target.support": "timeout 9"}, at=ONSET + 3 * HOUR)
    causes, notes, is_recorded = recorded(store, TARGET, WINDOW)
    assert is_recorded
    assert notes == []
    assert OwnCause(text="driftwatch 0.5.0 → 0.6.0, 2 h before the onset", scope=Scope.ALL) in causes
    assert {(cause.scope, cause.is_near) for cause in causes} == {
        (Scope.ALL, True),
        (Scope.NETWORK, True),
        (Scope.ALL, False),  # back to 0.5.0
        (Scope.NETWORK, False),
        (Scope.ONE, False),
    }
    assert any(cause.text == "the settings of support: timeout 60 → 9, 3 h after the onset" for cause in causes)


def test_without_a_record_of_the_time_before_nothing_is_known(store: Store):
    assert recorded(store, TARGET, WINDOW) == ([], [], False)
    store.note_harness(FACTS, at=ONSET - HOUR)
    assert recorded(store, TARGET, WINDOW) == ([], [], False)


def test_a_record_that_begins_in_the_window_still_names_what_changed_since(store: Store):
    store.note_harness(FACTS, at=ONSET - 3 * HOUR)
    store.note_harness(FACTS | {"driftwatch": "0.6.0"}, at=ONSET - HOUR)
    said = "driftwatch 0.5.0 → 0.6.0, 1 h before the onset"
    assert recorded(store, TARGET, WINDOW) == ([OwnCause(text=said, scope=Scope.ALL)], [], False)


def test_changes_outside_the_window_and_those_that_begin_baselines_are_passed_over(store: Store):
    store.note_harness(FACTS, at=ONSET - 400 * HOUR)
    store.note_harness(FACTS | {"driftwatch": "0.6.0"}, at=ONSET - 9 * HOUR)
    later = FACTS | {"driftwatch": "0.6.0", "suite.core": "x", "embedder": "e", "scoring": "3", "target.beta": "y"}
    store.note_harness(later, at=ONSET)
    store.note_harness(FACTS, at=ONSET + 5 * HOUR)
    assert recorded(store, TARGET, WINDOW) == ([], [], True)


def test_a_new_version_or_setting_with_every_start_is_doubtful_at_the_onset(store: Store):
    for hour in range(200):
        changed = {"driftwatch": f"0.5.{hour}", "target.support": f"timeout {hour}"}
        store.note_harness(FACTS | changed, at=ONSET - (200 - hour) * HOUR)
    causes, _, _ = recorded(store, TARGET, WINDOW)
    assert {(cause.scope, cause.is_near, cause.is_usual) for cause in causes} == {
        (Scope.ALL, True, True),
        (Scope.ONE, True, True),
    }


def test_a_value_that_comes_and_goes_with_every_start_was_so_before_and_says_nothing(store: Store):
    for hour in range(200):
        store.note_harness(FACTS | {"way out": "ab"[hour % 2]}, at=ONSET - (200 - hour) * HOUR)
    causes, notes, _ = recorded(store, TARGET, WINDOW)
    assert causes == []
    assert all("another proxy" in note.text for note in notes)


def test_several_changes_in_the_days_before_make_the_one_at_the_onset_doubtful(store: Store):
    store.note_harness(FACTS, at=ONSET - 168 * HOUR)
    for n, hour in enumerate((72, 60, 50, 0.5), start=1):
        store.note_harness(FACTS | {"driftwatch": f"0.5.{n}"}, at=ONSET - hour * HOUR)
    ((cause,), _, _) = recorded(store, TARGET, WINDOW)
    assert cause.is_usual


def test_another_machine_with_every_start_says_nothing(store: Store):
    for hour in range(200):
        store.note_harness(FACTS | {"machine": str(hour)}, at=ONSET - (200 - hour) * HOUR)
    causes, notes, _ = recorded(store, TARGET, WINDOW)
    assert causes == []
    assert {note.text.partition(",")[0] for note in notes} == {"another machine"}
    assert notes[0].text.endswith("it changes so often that this says nothing")


@pytest.mark.parametrize("hours", [(72,), (72, 50), (500, 300, 200)])
def test_a_few_upgrades_before_do_not_excuse_the_one_at_the_onset(store: Store, hours: tuple[int, ...]):
    first = 168 if len(hours) < 3 else 700
    store.note_harness(FACTS, at=ONSET - first * HOUR)
    for n, hour in enumerate((*hours, 0.5), start=1):
        store.note_harness(FACTS | {"driftwatch": f"0.5.{n}"}, at=ONSET - hour * HOUR)
    (cause,), notes, _ = recorded(store, TARGET, WINDOW)
    said = f"driftwatch 0.5.{len(hours)} → 0.5.{len(hours) + 1}, 30 min before the onset"
    assert cause == OwnCause(text=said, scope=Scope.ALL)
    assert notes == []


def test_what_changes_often_is_doubtful_near_the_onset_and_says_nothing_away_from_it(store: Store):
    store.note_harness(FACTS, at=ONSET - 400 * HOUR)
    for n, hour in enumerate((*range(390, 20, -24), 6, 1), start=1):
        store.note_harness(FACTS | {"driftwatch": f"0.5.{n}"}, at=ONSET - hour * HOUR)
    causes, notes, _ = recorded(store, TARGET, WINDOW)
    assert [(cause.text.partition(", ")[2], cause.is_near, cause.is_usual) for cause in causes] == [
        ("1 h before the onset", True, True)
    ]
    assert [note.text.partition(", ")[2] for note in notes] == [
        "6 h before the onset: it changes so often that this says nothing"
    ]


def test_a_baseline_that_a_person_chose_shortly_before_is_a_cause(store: Store):
    baseline(store, ONSET - 400 * HOUR)
    assert list(rebaselined(store, TARGET, WINDOW)) == []
    baseline(store, ONSET - HOUR, author="ana")
    assert list(rebaselined(store, TARGET, WINDOW)) == [
        OwnCause(text="ana replaced the baseline 1 h before the onset", scope=Scope.ONE)
    ]


def test_a_baseline_that_was_put_back_shortly_before_is_a_cause(store: Store):
    first = baseline(store, ONSET - 400 * HOUR)
    baseline(store, ONSET - 300 * HOUR, author="ana")
    store.restore_baseline(first, author="ben", reason="too early", at=ONSET - 6 * HOUR)
    assert list(rebaselined(store, TARGET, WINDOW)) == [
        OwnCause(text="ben put an earlier baseline back 6 h before the onset", scope=Scope.ONE, is_near=False)
    ]


def test_a_target_without_a_baseline_has_none_that_was_replaced(store: Store):
    assert list(rebaselined(store, TARGET, WINDOW)) == []


@pytest.mark.parametrize("kind", [Kind.PERFORMANCE, Kind.BEHAVIOUR])
def test_a_clock_that_went_back_explains_seconds_and_no_replies(store: Store, kind: Kind):
    at = baseline(store, ONSET - 400 * HOUR)
    for hour in (-3, -2, 2, -1, 0):
        when = ONSET + hour * HOUR
        store.claim_run(target="support", scheduled_at=when, purpose=Purpose.WATCH, baseline_id=at, at=when)
    causes, notes = clock(store, TARGET, WINDOW, kind)
    said = [*(cause.text for cause in causes), *(note.text for note in notes)]
    assert said[0].startswith("the clock of this machine went back by 3 h around the onset")
    assert bool(causes) is (kind is Kind.PERFORMANCE)


def test_a_clock_that_goes_on_is_not_mentioned(store: Store):
    at = baseline(store, ONSET - 400 * HOUR)
    for hour in (-3, -2, 0):
        when = ONSET + hour * HOUR
        store.claim_run(target="support", scheduled_at=when, purpose=Purpose.WATCH, baseline_id=at, at=when)
    assert clock(store, TARGET, WINDOW, Kind.PERFORMANCE) == ([], [])
