"""The benchmark of prefix agreement runs, and tells a change from none."""

from __future__ import annotations

import gzip
import json
import random

import numpy as np
import pytest

from benchmarks.detection import prefix

WORDS = [f"word{i}" for i in range(9)]


def text(rng, n=30):
    return " ".join(rng.choices(WORDS, k=n))


def write(path, rows):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def recorded(tmp_path):
    rng = random.Random(5)
    write(
        tmp_path / "repro_summarization.jsonl.gz",
        [
            {"prompt_id": f"s:{p}", "model": model, "temperature": temperature, "output": text(rng)}
            for p in range(22)
            for model, temperature in (("gpt-4", 0.0), ("gpt-4", 0.3), ("gemma2-9b", 0.0))
            for _ in range(7)
        ],
    )
    write(
        tmp_path / "zeroeval_gsm.jsonl.gz",
        [
            {"prompt_id": f"g:{p}", "snapshot_or_provider": snapshot, "output": text(rng)}
            for p in range(4)
            for snapshot in ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18")
        ],
    )
    write(
        tmp_path / "llm_stability_gpt4o.jsonl.gz",
        [
            {
                "task": "college_mathematics",
                "prompt_id": f"m:{p}",
                "snapshot_or_provider": f"gpt-4o_OAI-0.0-college_mathematics-{name}_2025-07-23_14-55-27",
                "output": text(rng),
            }
            for p in range(4)
            for name in ("0", "chomsky", "str_chomsky")
            for _ in range(2)
        ],
    )
    return tmp_path


def test_the_benchmark_prints_both_tables(recorded, tmp_path, capsys):
    prefix.main(["--recorded", str(recorded), "--lab", str(tmp_path / "none"), "--quick"])
    table = capsys.readouterr().out
    assert "| GPT-4, summaries · T = 0 becomes .3 |" in table
    assert "| GPT-4o, the same again, no prefix | 4 | 0.00 |" in table


def test_a_change_has_power_1_and_no_change_has_the_level():
    rng = random.Random(6)
    own = {f"p{i}": [text(rng)] * 9 for i in range(22)}
    changed = {"swap": {p: [text(rng)] for p in own}, "none": {p: t[:1] for p, t in own.items()}}
    case = prefix.Case(name="x", own=own, changed=changed, n_anchors=1)
    told = prefix.compare(case, "swap", np.random.default_rng(1), n_runs=500, n_series=3)
    assert told["prefix"] == ["1.00", "1.00", "3"]
    told = prefix.compare(case, "none", np.random.default_rng(1), n_runs=500, n_series=3)
    assert all(float(power) < 0.04 for power in told["prefix"][:2])
    assert told["prefix"][2] == "–"


def test_a_forked_answer_keeps_its_beginning():
    own = {"p": [" ".join(f"w{i}" for i in range(60))]}
    forked = prefix._forking(own, [" ".join(f"v{i}" for i in range(60))], np.random.default_rng(2))["p"]
    assert 0.3 < np.mean([answer != own["p"][0] for answer in forked]) < 0.8  # 1 − (1 − .0135)^60 = .56
    for answer in forked:
        kinds = [piece[0] for piece in answer.split()]
        assert kinds == sorted(kinds, reverse=True), "w… and then v…"
