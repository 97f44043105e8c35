"""The benchmark on recorded pairs reads its folder's filters and tells every pair, changed and unchanged."""

from __future__ import annotations

import gzip
import json
import os

import numpy as np
import pytest

from benchmarks.detection import recorded


def row(prompt, model, sample, output):
    return {"task": "t", "prompt_id": f"p{prompt:02d}", "model": model, "sample_idx": sample, "output": output}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    words = np.array(["red", "green", "blue", "black", "white", "grey"])
    rows = [
        row(p, model, k, f"{start} {' '.join(rng.choice(words, 6))}.")
        for p in range(12)
        for model, start in (("old", "It is"), ("new", "Sure! That is"))
        for k in range(4)
    ]
    with gzip.open(tmp_path / "t.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in rows)
    common = {"file": "t.jsonl.gz", "tasks": ["t"]}
    pairs = [
        {**common, "pair_id": "t/swap", "label": "changed", "left": {"model": "old"}, "right": {"model": ["new"]}},
        {
            **common,
            "pair_id": "t/halves",
            "label": "unchanged",
            "left": {"model": "old", "samples_lt": 2},
            "right": {"model": "old", "samples_ge": 2},
        },
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return tmp_path


def test_a_quick_run_prints_every_pair_with_its_verdict(folder, capsys):
    recorded.main(["--quick", "--recorded", str(folder)])

    out = capsys.readouterr().out
    assert "| all, as recorded | driftwatch compare | 1 of 1 [2, 100 %] | 0 of 1 [0, 98 %] |" in out
    assert "| t/swap | changed | tuned on | 12 | 0.0001 |" in out
    assert "| t/halves | unchanged | held out | 12 |" in out


def test_the_sides_of_a_pair_are_what_its_filters_keep(folder):
    swap, halves = recorded.read_pairs(folder)

    assert all(text.startswith("It is") for texts in swap.left.values() for text in texts)
    assert all(text.startswith("Sure!") for texts in swap.right.values() for text in texts)
    assert [len(side["p00"]) for side in (halves.left, halves.right)] == [2, 2]
    assert (swap.half, halves.half) == ("tuned on", "held out")


def test_an_unchanged_pair_is_split_anew_without_sharing_a_completion(folder):
    _, halves = recorded.read_pairs(folder)

    left, right = recorded.subsample(halves, 5, 3, np.random.default_rng(1))

    assert len(left) == 5
    for prompt, texts in left.items():
        assert sorted([*texts, *right[prompt]]) == sorted([*halves.left[prompt], *halves.right[prompt]])


def test_the_roc_area_counts_ties_half():
    assert recorded.area([3, 2], [1, 0]) == "1.000"
    assert recorded.area([1, 1], [1, 1]) == "0.500"
    assert recorded.area([], [1]) == "–"


def test_a_share_carries_its_exact_interval():
    assert recorded.share([True] * 19) == "19 of 19 [82, 100 %]"
    assert recorded.share([False] * 12) == "0 of 12 [0, 26 %]"
    assert recorded.share([]) == "–"


def test_without_a_folder_it_says_what_to_name(capsys, monkeypatch):
    monkeypatch.delenv("DRIFTWATCH_RECORDED", raising=False)

    with pytest.raises(SystemExit):
        recorded.main(["--quick"])

    assert "name the folder of recorded pairs with --recorded or $DRIFTWATCH_RECORDED" in capsys.readouterr().err


RECORDED = os.environ.get("DRIFTWATCH_RECORDED")


@pytest.mark.slow
@pytest.mark.skipif(RECORDED is None, reason="DRIFTWATCH_RECORDED names no recorded pairs")
def test_every_recorded_pair_is_judged_rightly():
    wrong = [
        pair.name
        for pair in recorded.read_pairs(recorded.Path(RECORDED))
        if (recorded.ours(pair.left, pair.right) <= recorded.ALPHA) != pair.is_changed
    ]

    assert wrong == []
