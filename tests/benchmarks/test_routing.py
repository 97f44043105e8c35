"""The benchmark of intermittent routing runs, and its rules decide what they should."""

from __future__ import annotations

import gzip
import json
import random

import numpy as np
import pytest

from benchmarks.detection import routing, scenes

OWN = [f"own{i}" for i in range(9)]
OTHER = [f"else{i}" for i in range(9)]


def text(rng, words, n=12):
    return " ".join(rng.choices(words, k=n))


def write(path, rows):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def recorded(tmp_path):
    """A folder as the recorded outputs come, with three short texts in place of the real ones."""
    rng = random.Random(4)
    article = "(continue the Wikipedia paragraph) " + "x" * 100 + text(rng, OTHER, 40)
    write(
        tmp_path / "audit_wikipedia.jsonl.gz",
        [
            {"prompt_id": f"w:{p}", "output": text(rng, OWN)} | ({"prompt": article} if not i else {})
            for p in range(100)
            for i in range(12)
        ],
    )
    write(
        tmp_path / "repro_summarization.jsonl.gz",
        [
            {"prompt_id": f"s:{p}", "model": model, "temperature": 0.0, "output": text(rng, words)}
            for p in range(10)
            for model, words in (("gpt-4", OWN), ("gemma2-9b", OTHER))
            for _ in range(7)
        ],
    )
    write(
        tmp_path / "zeroeval_gsm.jsonl.gz",
        [
            {"prompt_id": f"g:{p}", "snapshot_or_provider": snapshot, "output": text(rng, OWN)}
            for p in range(40)
            for snapshot in ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18")
        ],
    )
    return tmp_path


def test_the_benchmark_prints_a_row_for_every_scene_and_rule(recorded, tmp_path, capsys):
    routing.main(["--recorded", str(recorded), "--lab", str(tmp_path / "none"), "--quick"])
    table = capsys.readouterr().out
    for rule in routing.DECIDERS:
        assert table.count(f"| {rule} |") == 5
    assert table.count("\n| 10 |") == 1


def test_a_scene_has_as_many_canaries_as_the_goals_speak_of(recorded):
    found = list(scenes.scenes(recorded, temperature_one=range(1, 100, 2)))
    assert {len(scene.natural) for scene in found} == {20}
    assert all(scene.natural.keys() == scene.foreign.keys() for scene in found)


def test_nothing_is_routed_at_a_share_of_0_and_everything_at_1(recorded):
    scene = next(scenes.scenes(recorded, temperature_one=range(1, 100, 2)))
    rng = np.random.default_rng(1)
    _, pools = routing.measure(scene, rng)
    n_natural = np.array([pool.n_natural for pool in pools.values()])
    assert (routing.draw(pools, 30, 0.0, rng) < n_natural).all()
    assert (routing.draw(pools, 30, 1.0, rng) >= n_natural).all()


def test_delays_are_told_by_median_and_90th_percentile():
    assert routing.delay_words([3, 1, 2, 4, 5, 6, 7, 8, 9, None]) == "5 (9)"
    assert routing.delay_words([None, None, 1]) == "– (–)"
    assert routing.share_words([None] * 24) == "0 % [0, 14]"


def test_foreign_answers_ten_deviations_out_meet_the_goals():
    for share, at_most in ((0.16, 4), (0.05, 12), (0.01, 100)):
        found = routing.simulate(10.0, share, n_series=5, n_watched=120, seed=3)
        assert sorted(200 if delay is None else delay for delay in found)[2] <= at_most
