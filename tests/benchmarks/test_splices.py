"""The benchmark of spliced recordings runs, and its tables tell what it found."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pytest

from benchmarks.detection import splices

WORDS = ["the", "bank", "was", "founded", "in", "a", "river", "town", "and", "kept", "its", "old", "name"]


def reply(rng, *, shouting):
    text = " ".join(rng.choices(WORDS, k=12))
    return f"ANSWER: {text.upper()}!!!" if shouting else text


@pytest.fixture
def recorded(tmp_path):
    """A folder as the recorded outputs come: one pair that changed, one model that did not."""
    rng = random.Random(3)
    pair = [
        {"task": "t", "prompt_id": f"t:{i}", "model": model, "output": reply(rng, shouting=model == "new")}
        for model in ("old", "new")
        for i in range(450)
    ]
    still = [
        {"task": "h", "prompt_id": f"h:{p}", "model": "m", "output": reply(rng, shouting=False)}
        for p in range(20)
        for _ in range(40)
    ]
    for name, rows in (("pair", pair), (splices.HUMANEVAL, still)):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    pairs = [
        {"pair_id": "t/swap", "file": "pair.jsonl.gz", "tasks": ["t"], "label": label, "n_prompts": n}
        | {"left": {"model": "old"}, "right": {"model": "new"}}
        for label, n in (("unchanged", 450), ("changed", 50), ("changed", 450))
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return tmp_path


def test_only_documented_changes_with_prompts_enough_become_splices(recorded):
    assert [(name, len(before), len(after)) for name, before, after in splices.changed_pairs(recorded)] == [
        ("t/swap", 450, 450)
    ]


def test_a_splice_is_found_where_it_is_and_the_section_tells_it_beside_the_goal(recorded):
    few, many = splices.splices(recorded, 1, None)

    for found in (few, many):
        assert (found.false_alarms, found.onset_error) == (0, 0)
        assert found.delay is not None
    section = splices.text(recorded, quick=True)
    assert f"| t/swap, 5 a run | {few.n_calibration} | 1 | 1 | {few.delay} ({few.delay}) | 1 of 1 |" in section
    assert "Found: 100.0 % [15.8, 100.0] (goal: all)" in section
    assert "Unchanged series with a false alarm: 0 of 3 (goal: none)." in section


@pytest.mark.skipif("DRIFTWATCH_RECORDED" not in os.environ, reason="DRIFTWATCH_RECORDED names no recorded outputs")
def test_a_real_change_is_found_and_real_repeats_are_quiet():
    section = splices.text(Path(os.environ["DRIFTWATCH_RECORDED"]), quick=True)

    assert "Found: 100.0 %" in section
    assert "Unchanged series with a false alarm: 0 of 3 (goal: none)." in section
