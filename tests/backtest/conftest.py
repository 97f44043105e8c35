"""Recordings small enough to be judged in a moment: four prompts, replies of a few words."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.recordings import read_recording

PROMPTS = ("p1", "p2", "p3", "p4")
WORDS = ["bank", "river", "town", "old", "name", "ninety", "years", "market", "bridge", "stone", "north", "mill"]
START = datetime(2026, 3, 2, tzinfo=UTC)


def usual(rng):
    return " ".join(rng.choices(WORDS, k=8))


def changed(rng):
    return "I'm sorry, but I can't help with that " + " ".join(rng.choices(WORDS, k=3))


@pytest.fixture
def lines():
    """``lines(70, change=(60, 66))`` → one line per prompt and run; ``more(run)`` adds keys."""

    def make(n_runs, *, change=(0, 0), seed=5, more=lambda run: {"sample_idx": run}, prompts=PROMPTS):
        rng = random.Random(seed)
        return [
            {"prompt_id": prompt, "output": changed(rng) if change[0] <= run < change[1] else usual(rng)} | more(run)
            for run in range(n_runs)
            for prompt in prompts
        ]

    return make


@pytest.fixture
def recording(tmp_path):
    """Lines → the recording read from a file of them."""

    def write(rows, name="r.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read_recording(path)

    return write


@pytest.fixture
def hourly():
    """Run number → the key of its time, an hour apart."""
    return lambda run: {"ts": (START + timedelta(hours=run)).isoformat()}
