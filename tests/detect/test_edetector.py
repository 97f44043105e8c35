from __future__ import annotations

import numpy as np
import pytest

from driftwatch.detect import rank
from driftwatch.detect.edetector import (
    BACKSTOP_WEIGHTS,
    SET_WEIGHTS,
    ChannelScores,
    Counts,
    detect,
    evidence_per_run,
    lay_out,
)


def channel(name, calibration, monitored, *, two_sided=False):
    return ChannelScores(
        name=name,
        two_sided=two_sided,
        calibration=np.array(calibration),
        monitored=np.array(monitored),
    )


def nothing_seen(bets):
    return Counts(hits=np.zeros_like(bets.sizes), runs=np.zeros_like(bets.sizes))


@pytest.fixture
def mixed(steady):
    return lay_out(
        [
            channel("a", steady(1, 40), steady(2, 60)),
            channel("b", steady(3, 30), np.where(np.arange(60) % 7 == 0, np.nan, steady(4, 60)), two_sided=True),
        ],
        seed=5,
    )


def test_the_sixteen_weights_of_a_channel_are_positive_and_sum_to_one():
    assert SET_WEIGHTS.shape == (len(rank.SHARES), len(rank.STAKES))
    assert min(SET_WEIGHTS.min(), BACKSTOP_WEIGHTS.min()) > 0
    assert SET_WEIGHTS.sum() + BACKSTOP_WEIGHTS.sum() == pytest.approx(1.0)


def test_every_channel_weighs_the_same(mixed):
    assert mixed.weights.size == 16 + 32
    assert np.bincount(mixed.channel, weights=mixed.weights) == pytest.approx([0.5, 0.5])
    assert mixed.fine_weights.sum() == pytest.approx(1.0)


def test_columns_weights_and_owners_line_up(mixed):
    e = evidence_per_run(mixed, 0, 1, nothing_seen(mixed), learns=True)
    assert e.shape == (1, mixed.weights.size) == mixed.counted[:1].shape
    # The first run of b is a gap: its bets are void, those of a are not.
    assert (e[0][mixed.channel == 1] == 1.0).all()
    assert (mixed.counted[0] == (mixed.channel == 0)).all()
    assert (e[0][mixed.channel == 0] != 1.0).all()


def test_evidence_is_the_shiryaev_roberts_sum_over_all_starts(mixed):
    e = evidence_per_run(mixed, 0, 20, nothing_seen(mixed), learns=True)
    by_hand = []
    for t in range(20):
        starts = [np.prod(e[j : t + 1], axis=0) * mixed.counted[j] for j in range(t + 1)]
        by_hand.append(float(mixed.weights @ np.sum(starts, axis=0)))
    got = detect(mixed, threshold=1e9)
    assert got.evidence[:20].tolist() == pytest.approx(by_hand)
    assert got.by_channel.sum() == pytest.approx(got.evidence[-1])


def test_learning_in_two_parts_is_learning_at_once(mixed):
    whole = evidence_per_run(mixed, 0, 60, nothing_seen(mixed), learns=True)
    seen = Counts(hits=mixed.hits[:25].sum(axis=0), runs=mixed.measured[:25].sum(axis=0))
    np.testing.assert_array_equal(whole[25:], evidence_per_run(mixed, 25, 60, seen, learns=True))


def test_a_frozen_watch_gives_equal_ranks_equal_evidence():
    bets = lay_out([channel("a", np.linspace(0.1, 0.2, 40), np.full(9, 0.9))], seed=0)
    frozen = evidence_per_run(bets, 0, 9, nothing_seen(bets), learns=False)
    assert (frozen == frozen[0]).all()
    learning = evidence_per_run(bets, 0, 9, nothing_seen(bets), learns=True)
    assert (np.diff(learning[:, :12], axis=0) < 0).all()


def test_the_first_run_by_hand():
    bets = lay_out([channel("a", np.linspace(0.1, 0.2, 19), [0.9])], seed=0)
    stakes, sizes = np.array(rank.STAKES), np.array([1, 1, 3, 6])
    of_rank = (SET_WEIGHTS * (1 - stakes + stakes * 20 / sizes[:, None])).sum()
    mean = np.linspace(0.1, 0.2, 19)
    allowed = max(0.15 + 3 * mean.std(ddof=1) / np.sqrt(19), (19 * 0.15 + 1) / 20)
    of_mean = (BACKSTOP_WEIGHTS * (1 + np.array([0.2, 0.5, 0.8, 0.95]) * (0.9 / allowed - 1))).sum()
    assert detect(bets, threshold=1e9).evidence.tolist() == pytest.approx([of_rank + of_mean])


def test_an_alarm_needs_the_threshold_to_be_reached_not_passed():
    bets = lay_out([channel("a", np.linspace(0.1, 0.2, 40), np.full(6, 0.9))], seed=0)
    evidence = detect(bets, threshold=1e12).evidence
    assert detect(bets, threshold=float(evidence[3])).episodes[0].alarm == 3
    assert detect(bets, threshold=float(np.nextafter(evidence[3], np.inf))).episodes[0].alarm == 4


def test_no_score_makes_the_detector_overflow():
    bets = lay_out([channel("a", np.zeros(500), np.ones(3000), two_sided=True)], seed=0)
    for threshold in (2.0, 1e6, 1e300):
        assert np.isfinite(detect(bets, threshold=threshold).evidence).all()


def test_a_false_alarm_ends_and_leaves_what_was_known_before_its_onset(steady):
    scores = steady(7, 300)
    scores[100:103] = 0.9
    bets = lay_out([channel("a", steady(6, 168), scores)], seed=0)
    trace = detect(bets, threshold=2000.0)
    episode = trace.episodes[0]
    assert (episode.onset, episode.alarm) == (100, 101)
    first = episode.recovery + 1
    known = Counts(hits=bets.hits[:100].sum(axis=0), runs=bets.measured[:100].sum(axis=0))
    e = evidence_per_run(bets, first, first + 1, known, learns=True)
    assert trace.evidence[first] == pytest.approx(float(bets.weights @ e[0]))
