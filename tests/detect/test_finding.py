from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from driftwatch.detect import ChannelSpec, Episode, judge
from driftwatch.domain import Kind

A = 17532.0
K = 168


def of_one(calibration, monitored, spec, *, threshold=A, seed=1):
    return judge({spec.name: calibration}, {spec.name: monitored}, [spec], threshold=threshold, seed=seed)[spec.kind]


@pytest.fixture
def step(steady):
    """(seed, n_before, n_drifted, n_after, rise) → calibration and monitored scores."""

    def draw(seed, n_before, n_drifted, n_after=0, rise=0.5):
        scores = steady(seed, K + n_before + n_drifted + n_after)
        start = K + n_before
        scores[start : start + n_drifted] += rise
        return scores[:K], scores[K:]

    return draw


def test_a_stable_series_has_evidence_and_no_episode(steady, wording):
    got = of_one(steady(0, K), steady(1, 500), wording)
    assert got.episodes == ()
    assert not got.is_drifted
    assert (got.evidence > 0).all()
    assert (got.evidence < A).all()
    assert got.shares == {"wording": 1.0}


@pytest.mark.parametrize("seed", range(5))
def test_a_large_step_alarms_within_four_runs(step, wording, seed):
    calibration, monitored = step(seed, 200, 10)
    got = of_one(calibration, monitored, wording)
    assert got.is_drifted
    assert 200 <= got.episodes[-1].alarm <= 203
    assert got.episodes[-1].recovery is None
    assert got.evidence[got.episodes[-1].alarm] >= A


def test_a_fall_is_drift_on_a_two_sided_channel_only(step, spread, wording):
    calibration, monitored = step(3, 50, 10, rise=-0.25)
    calibration, monitored = np.clip(calibration, 0, 1), np.clip(monitored, 0, 1)
    assert of_one(calibration, monitored, spread).is_drifted
    assert not of_one(calibration, monitored, wording).is_drifted


def test_behaviour_that_returns_is_recovered_and_can_alarm_again(step, wording):
    calibration, first = step(4, 60, 24, 60)
    _, second = step(5, 0, 10, 0)
    got = of_one(calibration, np.concatenate([first, second]), wording)
    assert [(episode.onset, episode.recovery is None) for episode in got.episodes] == [(60, False), (144, True)]
    recovery = got.episodes[0].recovery
    assert 84 <= recovery <= 84 + 15
    assert got.evidence[recovery] == 0.0
    assert got.evidence[recovery + 1] > 0.0


def test_a_drift_that_lasts_a_year_is_not_forgotten(step, wording):
    calibration, monitored = step(6, 100, 8760, rise=0.12)
    got = of_one(calibration, monitored, wording)
    assert len(got.episodes) == 1
    assert got.is_drifted
    assert np.isfinite(got.evidence).all()


def test_drifted_runs_do_not_teach_the_watch_to_expect_them(step, wording):
    calibration, first = step(7, 50, 2000, 50, rise=0.3)
    _, second = step(8, 0, 6, rise=0.3)
    got = of_one(calibration, np.concatenate([first, second]), wording)
    assert len(got.episodes) == 2
    assert got.episodes[1].alarm <= 2100 + 4


def test_evidence_while_drifted_is_capped(step, wording):
    calibration, monitored = step(9, 10, 500)
    got = of_one(calibration, monitored, wording)
    assert got.evidence.max() <= 16 * A


def test_a_channel_says_which_part_of_the_alarm_it_carried(steady, wording, spread):
    calm = steady(10, K + 30)
    moved = steady(11, K + 30)
    moved[K + 20 :] += 0.5
    calibration = {"wording": moved[:K], "spread": calm[:K]}
    monitored = {"wording": moved[K:], "spread": calm[K:]}
    got = judge(calibration, monitored, [wording, spread], threshold=A, seed=1)[Kind.BEHAVIOUR]
    assert got.shares["wording"] > 0.99
    assert sum(got.shares.values()) == pytest.approx(1.0)


def test_the_shares_of_an_alarm_stay_while_it_lasts(step, wording, steady, spread):
    calibration, monitored = step(12, 5, 60)
    calm = steady(13, K + 65)
    shares = [
        judge(
            {"wording": calibration, "spread": calm[:K]},
            {"wording": monitored[:n], "spread": calm[K : K + n]},
            [wording, spread],
            threshold=A,
            seed=1,
        )[Kind.BEHAVIOUR].shares
        for n in (20, 65)
    ]
    assert shares[0] == shares[1]


def test_kinds_are_judged_apart(step, steady, wording, latency):
    calibration, monitored = step(14, 20, 10)
    calm = steady(15, K + 30)
    got = judge(
        {"latency": calibration, "wording": calm[:K]},
        {"latency": monitored, "wording": calm[K:]},
        [wording, latency],
        threshold=A,
        seed=1,
    )
    assert {kind: finding.is_drifted for kind, finding in got.items()} == {
        Kind.BEHAVIOUR: False,
        Kind.PERFORMANCE: True,
    }


def test_without_channels_there_is_nothing_to_find():
    assert judge({}, {}, [], threshold=A, seed=0) == {}


@pytest.mark.parametrize("n_calibration", [0, 1, 19])
def test_fewer_than_twenty_calibration_runs_never_alarm(n_calibration, wording):
    got = of_one(np.full(n_calibration, 0.1), np.ones(50), wording)
    assert got.episodes == ()
    assert got.evidence.tolist() == [0.0] * 50
    assert got.shares == {"wording": 0.0}


def test_twenty_calibration_runs_are_enough(wording):
    assert of_one(np.linspace(0.1, 0.2, 20), np.full(20, 0.9), wording).is_drifted


def test_twenty_runs_with_a_gap_among_them_are_not_enough(wording):
    assert not of_one(np.append(np.linspace(0.1, 0.2, 19), np.nan), np.full(20, 0.9), wording).is_drifted


def test_an_uncalibrated_channel_takes_no_weight_from_the_others(step, wording, spread, latency):
    calibration, monitored = step(16, 20, 10)
    alone = of_one(calibration, monitored, wording)
    unmeasured = np.full(K, np.nan)
    for before in ({"wording": calibration, "spread": unmeasured}, {"wording": calibration}):
        got = judge(before, {"wording": monitored}, [wording, spread], threshold=A, seed=1)[Kind.BEHAVIOUR]
        np.testing.assert_array_equal(got.evidence, alone.evidence)
        assert got.shares == {"spread": 0.0, "wording": 1.0}


def test_no_runs_yet_give_no_evidence_yet(steady, wording):
    got = of_one(steady(0, K), np.array([]), wording)
    assert got.evidence.size == 0
    assert got.shares == {"wording": 0.0}


def test_a_gap_holds_the_evidence(step, wording):
    calibration, monitored = step(17, 6, 6, rise=0.1)
    gaps = np.insert(monitored, 4, [np.nan] * 3)
    whole, holed = of_one(calibration, monitored, wording), of_one(calibration, gaps, wording)
    assert holed.evidence[4:7].tolist() == [holed.evidence[3]] * 3
    assert (holed.evidence[:4] == whole.evidence[:4]).all()


def test_a_gap_is_skipped_by_the_predictive_ranks_too(wording):
    # No ties here, so that the tie-breakers' positions do not matter.
    calibration = np.linspace(0.1, 0.2, K)
    monitored = np.array([0.1501, 0.1777, 0.1999, 0.3, 0.31])
    holed = np.insert(monitored, [0, 2, 4], np.nan)
    whole, got = of_one(calibration, monitored, wording), of_one(calibration, holed, wording)
    assert got.evidence[np.isfinite(holed)].tolist() == whole.evidence.tolist()
    assert got.evidence[0] == 0.0


def test_a_gap_during_an_episode_neither_ends_nor_feeds_it(step, wording):
    calibration, monitored = step(18, 5, 10)
    got = of_one(calibration, np.append(monitored, [np.nan] * 400), wording)
    assert got.is_drifted
    assert len(set(got.evidence[-400:].tolist())) == 1


def test_a_channel_that_stops_being_measured_is_all_gaps(step, steady, wording, spread):
    calibration, monitored = step(19, 20, 20)
    got = judge(
        {"wording": calibration, "spread": steady(20, K)},
        {"wording": monitored},
        [wording, spread],
        threshold=A,
        seed=1,
    )[Kind.BEHAVIOUR]
    assert got.is_drifted
    assert got.shares["spread"] == 0.0


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("two_sided", [False, True])
def test_a_constant_channel_is_harmless(level, two_sided):
    spec = ChannelSpec(name="checks", kind=Kind.BEHAVIOUR, two_sided=two_sided)
    got = of_one(np.full(K, level), np.full(2000, level), spec)
    assert got.episodes == ()
    assert (got.evidence < A).all()


def test_checks_that_never_failed_and_now_do_are_found_at_once():
    spec = ChannelSpec(name="checks", kind=Kind.BEHAVIOUR, two_sided=False)
    monitored = np.append(np.zeros(50), np.full(10, 0.25))
    assert of_one(np.zeros(K), monitored, spec).episodes[-1].alarm <= 53


def test_the_order_of_channels_and_mappings_does_not_matter(steady):
    specs = [ChannelSpec(name=name, kind=Kind.BEHAVIOUR, two_sided=name == "b") for name in "abcde"]
    scores = {spec.name: steady(seed, K + 300) for seed, spec in enumerate(specs)}
    before = {name: values[:K] for name, values in scores.items()}
    since = {name: values[K:] for name, values in scores.items()}
    first = judge(before, since, specs, threshold=A, seed=3)[Kind.BEHAVIOUR]
    again = judge(
        dict(reversed(before.items())),
        dict(reversed(since.items())),
        specs[::-1],
        threshold=A,
        seed=3,
    )[Kind.BEHAVIOUR]
    np.testing.assert_array_equal(first.evidence, again.evidence)
    assert first.shares == again.shares


SCORES = st.lists(st.sampled_from([0.0, 0.2, 0.21, 0.22, 0.3, 0.9, 1.0, float("nan")]), max_size=70)


@settings(max_examples=60, deadline=None)
@given(scores=SCORES, others=SCORES, cut=st.integers(0, 70), seed=st.integers(0, 5))
def test_judging_a_longer_series_leaves_the_earlier_verdicts_as_they_were(scores, others, cut, seed):
    specs = [
        ChannelSpec(name="wording", kind=Kind.BEHAVIOUR, two_sided=False),
        ChannelSpec(name="spread", kind=Kind.BEHAVIOUR, two_sided=True),
    ]
    n = min(len(scores), len(others))
    cut = min(cut, n)
    before = {"wording": np.linspace(0.15, 0.25, 40), "spread": np.array([0.2, 0.3] * 20)}
    since = {"wording": np.array(scores[:n]), "spread": np.array(others[:n])}
    longer = judge(before, since, specs, threshold=50.0, seed=seed)[Kind.BEHAVIOUR]
    part = {name: values[:cut] for name, values in since.items()}
    shorter = judge(before, part, specs, threshold=50.0, seed=seed)[Kind.BEHAVIOUR]
    assert shorter.evidence.tolist() == longer.evidence[:cut].tolist()
    known = tuple(
        Episode(
            onset=episode.onset,
            alarm=episode.alarm,
            recovery=episode.recovery if episode.recovery is not None and episode.recovery < cut else None,
        )
        for episode in longer.episodes
        if episode.alarm < cut
    )
    assert shorter.episodes == known


def test_a_series_longer_than_one_block_is_judged_like_its_parts(steady, wording):
    calibration, monitored = steady(21, K), steady(22, 2500)
    monitored[1500:] += 0.15
    longer = of_one(calibration, monitored, wording)
    for n in (1023, 1024, 1025, 1502, 2100):
        assert of_one(calibration, monitored[:n], wording).evidence.tolist() == longer.evidence[:n].tolist()


def test_judging_leaves_its_input_alone(step, wording):
    calibration, monitored = step(23, 20, 10, 30)
    calibration[3], monitored[4] = np.nan, 1.0 + 1e-12
    kept = calibration.copy(), monitored.copy()
    of_one(calibration, monitored, wording)
    np.testing.assert_array_equal(calibration, kept[0])
    np.testing.assert_array_equal(monitored, kept[1])


@pytest.mark.parametrize("bad", [-0.01, 1.01, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["calibration", "monitored"])
def test_scores_outside_their_range_are_refused(steady, wording, bad, where):
    series = {"calibration": steady(0, K), "monitored": steady(1, 10)}
    series[where][5] = bad
    with pytest.raises(ValueError, match="channel wording has the score"):
        of_one(series["calibration"], series["monitored"], wording)


def test_rounding_past_one_is_forgiven(wording):
    assert of_one(np.full(K, 1 + 1e-12), np.array([1 + 1e-12, -1e-12]), wording).evidence.size == 2


def test_scores_must_be_one_number_a_run(steady, wording):
    with pytest.raises(ValueError, match="2 dimensions"):
        of_one(steady(0, K), np.zeros((3, 2)), wording)


def test_unequal_series_are_refused(steady, wording, spread):
    both = {"wording": steady(0, K), "spread": steady(1, K)}
    with pytest.raises(ValueError, match=r"unequal numbers of runs: \[3, 4\]"):
        judge(both, {"wording": np.zeros(3), "spread": np.zeros(4)}, [wording, spread], threshold=A, seed=0)


def test_a_channel_named_twice_is_refused(wording):
    with pytest.raises(ValueError, match="named twice"):
        judge({}, {}, [wording, wording], threshold=A, seed=0)


@pytest.mark.parametrize("threshold", [1.0, 0.0, float("nan"), float("inf")])
def test_a_threshold_that_means_nothing_is_refused(threshold, wording):
    with pytest.raises(ValueError, match="the threshold is"):
        judge({}, {}, [wording], threshold=threshold, seed=0)
