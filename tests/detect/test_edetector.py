from __future__ import annotations

import numpy as np
import pytest

from driftwatch.detect import backstop, rank
from driftwatch.detect.edetector import LOOK_BACK, EDetector
from driftwatch.detect.layout import BACKSTOP_WEIGHTS, SET_WEIGHTS, Column, Layout


def column(name, calibration, *, two_sided=False, weight=1.0, is_bounded=True):
    values = np.array(calibration)
    return Column(
        ruler=rank.Ruler.of(values, seed=5, channel=name),
        two_sided=two_sided,
        weight=weight,
        allowed=backstop.Allowed.by(values, two_sided=two_sided) if is_bounded else None,
    )


def follow(layout, scores, *, threshold=1e9):
    """A detector that has seen scores (T,) or (T, columns), and its evidence."""
    scores = np.array(scores, dtype=float).reshape(len(scores), -1)
    detector = EDetector(layout, threshold=threshold)
    return detector, detector.extend(layout.places(scores, start=0), scores)


@pytest.fixture
def mixed(steady):
    """Two columns, one of them two-sided, and 60 runs in which the second has gaps."""
    layout = Layout.of([column("a", steady(1, 40)), column("b", steady(3, 30), two_sided=True)])
    gaps = np.where(np.arange(60) % 7 == 0, np.nan, steady(4, 60))
    return layout, np.stack([steady(2, 60), gaps], axis=1)


def rows_of(layout, scores):
    return layout.rows(layout.places(scores, start=0), scores)


def test_the_sixteen_weights_of_a_channel_are_positive_and_sum_to_one():
    assert SET_WEIGHTS.shape == (len(rank.SHARES), len(rank.STAKES))
    assert min(SET_WEIGHTS.min(), BACKSTOP_WEIGHTS.min()) > 0
    assert SET_WEIGHTS.sum() + BACKSTOP_WEIGHTS.sum() == pytest.approx(1.0)


def test_columns_share_the_average_by_their_weights(steady):
    layout = Layout.of(
        [
            column("a", steady(1, 40), weight=1.0),
            column("b", steady(2, 40), weight=1.0, two_sided=True),
            column("together", steady(3, 40), weight=2.0, is_bounded=False),
        ],
    )
    assert layout.weights.size == 16 + 32 + 12
    assert np.bincount(layout.column, weights=layout.weights) == pytest.approx([0.25, 0.25, 0.5])
    assert layout.fine_weights.sum() == pytest.approx(1.0)


def test_columns_weights_and_owners_line_up(mixed):
    layout, scores = mixed
    rows = rows_of(layout, scores[:1])
    e = layout.e_values(rows, layout.nothing_seen, learns=True)
    assert e.shape == (1, layout.weights.size) == rows.counted.shape
    # The first run of b is a gap: its bets are void, those of a are not.
    assert (e[0][layout.column == 1] == 1.0).all()
    assert (rows.counted[0] == (layout.column == 0)).all()
    assert (e[0][layout.column == 0] != 1.0).all()


def test_evidence_is_the_shiryaev_roberts_sum_over_all_starts(mixed):
    layout, scores = mixed
    rows = rows_of(layout, scores)
    e = layout.e_values(rows, layout.nothing_seen, learns=True)
    by_hand = []
    for t in range(20):
        starts = [np.prod(e[j : t + 1], axis=0) * rows.counted[j] for j in range(t + 1)]
        by_hand.append(float(layout.weights @ np.sum(starts, axis=0)))
    detector, evidence = follow(layout, scores)
    assert evidence[:20].tolist() == pytest.approx(by_hand)
    assert float(layout.weights @ detector.held) == pytest.approx(evidence[-1])


def test_learning_in_two_parts_is_learning_at_once(mixed):
    layout, scores = mixed
    rows = rows_of(layout, scores)
    whole = layout.e_values(rows, layout.nothing_seen, learns=True)
    seen = layout.nothing_seen.after(rows.part(0, 25))
    np.testing.assert_array_equal(whole[25:], layout.e_values(rows.part(25), seen, learns=True))
    before = seen.before(rows.part(10, 25))
    np.testing.assert_array_equal(before.hits, layout.nothing_seen.after(rows.part(0, 10)).hits)


def test_a_frozen_watch_gives_equal_ranks_equal_evidence():
    layout = Layout.of([column("a", np.linspace(0.1, 0.2, 40))])
    rows = rows_of(layout, np.full((9, 1), 0.9))
    frozen = layout.e_values(rows, layout.nothing_seen, learns=False)
    assert (frozen == frozen[0]).all()
    learning = layout.e_values(rows, layout.nothing_seen, learns=True)
    assert (np.diff(learning[:, :12], axis=0) < 0).all()


def test_the_first_run_by_hand():
    layout = Layout.of([column("a", np.linspace(0.1, 0.2, 19))])
    stakes, sizes = np.array(rank.STAKES), np.array([1, 1, 3, 6])
    of_rank = (SET_WEIGHTS * (1 - stakes + stakes * 20 / sizes[:, None])).sum()
    mean = np.linspace(0.1, 0.2, 19)
    allowed = max(0.15 + 3 * mean.std(ddof=1) / np.sqrt(19), (19 * 0.15 + 1) / 20)
    of_mean = (BACKSTOP_WEIGHTS * (1 + np.array([0.2, 0.5, 0.8, 0.95]) * (0.9 / allowed - 1))).sum()
    assert follow(layout, [0.9])[1].tolist() == pytest.approx([of_rank + of_mean])


def test_an_alarm_needs_the_threshold_to_be_reached_not_passed():
    layout = Layout.of([column("a", np.linspace(0.1, 0.2, 40))])
    evidence = follow(layout, np.full(6, 0.9))[1]
    assert follow(layout, np.full(6, 0.9), threshold=float(evidence[3]))[0].episodes[0].alarm == 3
    above = float(np.nextafter(evidence[3], np.inf))
    assert follow(layout, np.full(6, 0.9), threshold=above)[0].episodes[0].alarm == 4


@pytest.mark.parametrize("threshold", [2.0, 1e6, 1e300])
def test_no_score_makes_the_detector_overflow(threshold):
    layout = Layout.of([column("a", np.zeros(500), two_sided=True)])
    assert np.isfinite(follow(layout, np.ones(3000), threshold=threshold)[1]).all()


def test_a_false_alarm_ends_and_leaves_what_was_known_before_its_onset(steady):
    scores = steady(7, 300)
    scores[100:103] = 0.9
    layout = Layout.of([column("a", steady(6, 168))])
    detector, evidence = follow(layout, scores, threshold=2000.0)
    episode = detector.episodes[0]
    assert (episode.onset, episode.alarm) == (100, 101)
    first = episode.recovery + 1
    rows = rows_of(layout, scores[:, None])
    known = layout.nothing_seen.after(rows.part(0, 100))
    e = layout.e_values(rows.part(first, first + 1), known, learns=True)
    assert evidence[first] == pytest.approx(float(layout.weights @ e[0]))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_series_followed_in_parts_is_the_series_followed_at_once(steady, step):
    """Alarms, recoveries and a second episode, whatever the number of runs that come in together."""
    scores = steady(8, 2600)
    scores[1100:1130] = 0.6
    scores[2000:2400] += 0.12
    layout = Layout.of([column("a", steady(6, 168))])
    whole, evidence = follow(layout, scores, threshold=17532.0)
    parts = EDetector(layout, threshold=17532.0)
    got = [
        parts.extend(layout.places(scores[i : i + step, None], start=i), scores[i : i + step, None])
        for i in range(0, len(scores), step)
    ]
    assert len(whole.episodes) == 2
    assert parts.episodes == whole.episodes
    np.testing.assert_allclose(np.concatenate(got), evidence, rtol=1e-9)


def test_an_onset_is_sought_among_the_latest_runs_only(steady):
    """What has to be kept in memory per target is bounded."""
    layout = Layout.of([column("a", steady(6, 168))])
    detector, _ = follow(layout, np.concatenate([steady(9, 3000), np.full(5, 0.9)]), threshold=17532.0)
    assert detector.episodes[0].onset == 3000
    assert len(detector._places) <= LOOK_BACK
