"""A watcher follows a series run by run, puts channels together, and says when it cannot judge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from driftwatch.detect import ChannelSpec, finding_of, judge, watchers
from driftwatch.domain import Kind

A = 175_320.0
K = 168
HOUR_S = 3600.0
SPECS = [ChannelSpec(name=f"c{i}", kind=Kind.BEHAVIOUR, two_sided=i == 3) for i in range(4)]


def draw(seed, n):
    """channel → (n,) scores; the channels of a run are correlated by one half."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(n)
    return {spec.name: np.clip(0.3 + 0.04 * (common + rng.standard_normal(n)) / np.sqrt(2), 0, 1) for spec in SPECS}


def split(scores, n=K):
    return {c: v[:n] for c, v in scores.items()}, {c: v[n:] for c, v in scores.items()}


def found(scores, *, seed=0, threshold=A):
    return judge(*split(scores), SPECS, threshold=threshold, seed=seed)[Kind.BEHAVIOUR]


def test_a_watcher_fed_run_by_run_says_what_judging_at_once_says():
    scores = draw(1, K + 400)
    scores["c1"][K + 300 :] += 0.2
    scores["c2"][K + 50] = np.nan
    whole = found(scores)
    calibration, monitored = split(scores)
    watcher = watchers(calibration, SPECS, threshold=A, seed=0)[Kind.BEHAVIOUR]
    evidence = np.concatenate(
        [
            watcher.extend({c: v[t : t + 1] for c, v in monitored.items()}, np.array([HOUR_S * (K + t)]))
            for t in range(400)
        ],
    )
    got = finding_of(watcher, evidence)
    assert whole.is_drifted
    assert got.episodes == whole.episodes
    np.testing.assert_allclose(got.evidence, whole.evidence)
    assert got.shares == pytest.approx(whole.shares)


def test_a_change_of_few_channels_is_found_as_soon_as_one_of_all():
    delays = []
    for moved in (["c0"], ["c0", "c1", "c2", "c3"]):
        scores = draw(2, K + 60)
        for channel in moved:
            scores[channel][K + 50 :] += 0.4
        delays.append(found(scores).episodes[0].alarm - 50 + 1)
    assert delays[0] <= 4
    assert delays[1] <= delays[0]


def test_a_swapped_model_is_found_by_the_fourth_run_at_the_default_budget():
    """One scheduled run and a burst of three: within half an hour."""
    late = 0
    for seed in range(30):
        scores = draw(seed, K + 60)
        scores["c0"][K + 40 :] += 0.4
        scores["c2"][K + 40 :] += 0.4
        late += found(scores, seed=seed).episodes[0].alarm > 43
    assert late <= 2


def test_the_outermost_run_in_a_hundred_is_suspicious_and_the_next_ordinary_one_is_not():
    scores = draw(3, K + 20)
    assert not found(scores).is_suspicious
    scores["c0"][-1] = 0.9
    assert found(scores).is_suspicious


def test_a_single_two_sided_channel_suspects_both_ends():
    spec = SPECS[3]
    for last in (0.0, 1.0):
        scores = draw(4, K + 5)[spec.name]
        scores[-1] = last
        got = judge({spec.name: scores[:K]}, {spec.name: scores[K:]}, [spec], threshold=A, seed=0)
        assert got[Kind.BEHAVIOUR].is_suspicious


def test_about_one_unchanged_run_in_a_hundred_is_suspicious():
    n_suspicious = 0
    for seed in range(6):
        calibration, monitored = split(draw(seed, K + 300))
        watcher = watchers(calibration, SPECS, threshold=A, seed=seed)[Kind.BEHAVIOUR]
        for t in range(300):
            watcher.extend({c: v[t : t + 1] for c, v in monitored.items()}, np.array([HOUR_S * (K + t)]))
            n_suspicious += watcher.is_suspicious
    assert 3 <= n_suspicious <= 45


def test_a_run_without_any_score_changes_nothing_and_is_not_suspicious():
    scores = draw(5, K + 10)
    for values in scores.values():
        values[-1] = np.nan
    got = found(scores)
    assert got.evidence[-1] == got.evidence[-2]
    assert not got.is_suspicious


def test_a_rhythm_of_the_day_does_not_eat_the_budget():
    """A wave of 20 % of the variance broke the budget before it was taken out."""
    evidence = []
    for seed in range(6):
        scores = draw(seed, K + 1500)
        wave = 0.04 * np.sqrt(0.5) * np.sin(2 * np.pi * np.arange(K + 1500) / 24)
        got = found({c: np.clip(v + wave, 0, 1) for c, v in scores.items()}, seed=seed)
        assert not got.episodes
        evidence.append(got.evidence.max())
    assert np.median(evidence) < A / 20


def test_a_baseline_that_was_itself_drifting_says_so():
    scores = draw(6, K + 10)
    scores["c1"][K // 2 :] += 0.2
    assert found(scores).problem == "the calibration runs themselves drifted, most clearly in c1"
    assert found(draw(6, K + 10)).problem is None


def test_too_little_calibration_is_a_problem_and_no_evidence():
    scores = {c: v[:30] for c, v in draw(7, 30).items()}
    got = judge(*split(scores, 19), SPECS, threshold=A, seed=0)[Kind.BEHAVIOUR]
    assert got.problem == "no channel has 20 calibration scores to compare with"
    assert got.evidence.tolist() == [0.0] * 11


@pytest.mark.parametrize("level", [0.0, 0.37, 1.0])
def test_constant_channels_never_alarm(level):
    scores = {c: np.full(K + 2000, level) for c in ("c0", "c1", "c2", "c3")}
    got = found(scores)
    assert not got.episodes
    assert got.problem is None


def test_one_odd_run_of_an_endpoint_that_never_varied_does_not_page():
    """An isolated natural fork at temperature 0 is worth one run's evidence, not an alarm."""
    scores = {c: np.zeros(K + 200) for c in ("c0", "c1", "c2", "c3")}
    scores["c0"][K + 100] = 0.04
    got = found(scores)
    assert not got.episodes
    assert got.evidence[100] > got.evidence[99]


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"calibration channels have unequal numbers of runs: \[20, 21\]"):
        judge({"c0": np.zeros(20), "c1": np.zeros(21)}, {}, SPECS, threshold=A, seed=0)
    with pytest.raises(ValueError, match=r"monitored channels have unequal numbers of runs: \[3, 4\]"):
        judge({"c0": np.zeros(20)}, {"c0": np.zeros(3)}, SPECS, threshold=A, seed=0, monitored_at=np.zeros(4))


def forks(rng, n):
    """A channel that is 0 in four runs of five: 20 canaries, each apart from its anchors once in a hundred."""
    return ((rng.random((n, 20)) < 0.01) * rng.uniform(0.3, 1.0, (n, 20))).mean(axis=1)


def dependent(seed, n):
    """``draw`` with an AR(.7) in common."""
    rng = np.random.default_rng(seed)
    common = lfilter([np.sqrt(1 - 0.49)], [1, -0.7], rng.standard_normal(n + 100))[100:]
    return {spec.name: np.clip(0.3 + 0.04 * (common + rng.standard_normal(n)) / np.sqrt(2), 0, 1) for spec in SPECS}


def test_a_long_quiet_stretch_of_a_channel_that_seldom_moves_is_no_drift():
    """A filter orders equal values by the time since the last unequal one: unless ties are replaced by noise, most of
    these series page."""
    alarmed = 0
    for seed in range(25):
        scores = dependent(seed, K + 800)
        scores["c0"] = forks(np.random.default_rng(1000 + seed), K + 800)
        alarmed += bool(found(scores, seed=seed, threshold=20_000.0).episodes)
    assert alarmed <= 3


def test_a_change_of_a_channel_that_seldom_moves_is_found_at_once_all_the_same():
    scores = dependent(3, K + 60)
    scores["c0"] = forks(np.random.default_rng(3), K + 60)
    scores["c0"][K + 40 :] = 0.4
    episode = found(scores).episodes[0]
    assert episode.alarm <= 44


def test_a_channel_that_begins_to_be_measured_late_does_not_make_later_runs_look_extreme():
    """As when an endpoint begins to tell its token usage: more channels make larger maxima."""
    alarmed = 0
    for seed in range(20):
        scores = draw(seed, K + 800)
        for name in ("c1", "c2"):
            scores[name][: K - 20] = np.nan
        alarmed += bool(found(scores, seed=seed, threshold=20_000.0).episodes)
    assert alarmed <= 3


def burst_of(size, step_s):
    """Runs after the calibration that follow each other sooner than it did, all ``size`` deviations out."""
    scores = draw(9, K + 4)
    for values in scores.values():
        values[K:] = 0.3 + size * 0.04
    at = HOUR_S * np.arange(K + 4)
    at[K + 1 :] = at[K] + step_s * np.arange(1, 4)
    calibration, monitored = split(scores)
    return judge(calibration, monitored, SPECS, threshold=A, seed=0, calibrated_at=at[:K], monitored_at=at[K:])[
        Kind.BEHAVIOUR
    ]


def test_a_burst_confirms_another_model_and_not_what_minutes_explain():
    assert burst_of(12, 600.0).is_drifted
    assert burst_of(3, 600.0).evidence[-1] < burst_of(3, HOUR_S).evidence[-1] / 5


def test_a_rhythm_shared_by_one_channel_alone_needs_its_own_proof():
    spec = SPECS[0]
    waves = sum(
        bool(watchers({"c0": draw(seed, K)["c0"]}, [spec], threshold=A, seed=0)[Kind.BEHAVIOUR].rhythm.periods_s)
        for seed in range(120)
    )
    assert waves <= 2
