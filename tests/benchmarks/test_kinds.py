"""The benchmark of kinds runs, counts right, and reads what a recording holds."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import kinds

WORDS = ("order", "parcel", "refund", "window", "return", "policy", "within", "days", "after", "delivery", "because")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording of one behaviour: eight prompts, twelve replies each."""
    rng = random.Random(1)
    rows = []
    for prompt in range(8):
        stem = [rng.choice(WORDS) for _ in range(30)]
        for i in range(12):
            said = " ".join(rng.choice(WORDS) if rng.random() < 0.2 else word for word in stem)
            row = {
                "prompt_id": f"p:{prompt}",
                "model": "gpt-4",
                "temperature": 0.0,
                "sample_idx": i,
                "output": f"{said}.",
            }
            rows.append(json.dumps(row))
    with gzip.open(tmp_path / "repro_summarization.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(rows))
    return tmp_path


def test_the_quick_benchmark_prints_its_tables(recorded):
    text = kinds.report(recorded, half="odd", quick=True)
    assert text.startswith("### Kind of change")
    assert "Right kind first: " in text
    assert "| all refused | 1 | 100% [2, 100] | – |" in text
    assert "| nothing | 1 | 100% [2, 100] | – |" in text


def test_the_halves_share_no_prompt(recorded):
    odd, even = (set(kinds.load(recorded, half)["gpt-4 T=0"]) for half in ("odd", "even"))
    assert odd.isdisjoint(even)
    assert len(odd | even) == 8


def test_no_reply_is_on_both_sides(recorded):

    pool = kinds.load(recorded, "odd")["gpt-4 T=0"]
    before, after = kinds.draw(pool, np.random.default_rng(1))
    for prompt, replies in before.items():
        assert not {id(r) for r in replies} & {id(r) for r in after[prompt]}
        assert len(replies) + len(after[prompt]) == 12


def test_a_wrong_name_is_counted_as_wrong():
    tally = kinds.Tally()
    case = kinds.Case(name="x", source="s", right=frozenset({"longer"}), before={}, after={})
    tally.add(case, "longer")
    tally.add(case, "nothing")
    assert (tally.n("x"), tally.right["x"]) == (2, 1)
    assert kinds.share(1, 2) == "50% [1, 99]"
