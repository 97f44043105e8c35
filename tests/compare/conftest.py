"""Completions of small simulated endpoints."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from driftwatch.domain import Completion, Outcome

WORDS = ["the", "of", "and", "to", "in", "is", "you", "that", "it", "was", "for", "on", "are", "with", "they", "had"]


def completion(canary_id, text="", *, repeat=0, error=None, canary_hash="h"):
    return Completion(
        canary_id=canary_id,
        canary_hash=canary_hash,
        repeat=repeat,
        outcome=Outcome.TIMEOUT if error else Outcome.OK,
        at=datetime(2026, 3, 1, tzinfo=UTC),
        latency_s=1.0,
        text=text,
        error=error,
    )


@pytest.fixture
def say():
    """``say("p", "a", "b")`` → the completions of one prompt."""

    def make(canary_id, *texts):
        return [completion(canary_id, text, repeat=i) for i, text in enumerate(texts)]

    return make


@pytest.fixture
def side():
    """``side(n_prompts, n_replies, seed=…, length=…, tail=…)`` → replies whose topic depends on the prompt only."""

    def make(n_prompts, n_replies, *, seed, length=40, tail="", jitter=1.0):
        rng = np.random.default_rng(seed)
        found = []
        for prompt in range(n_prompts):
            topic = np.random.default_rng(prompt).permutation(WORDS)
            for repeat in range(n_replies):
                loose = rng.choice(WORDS, length)
                words = [
                    t if rng.random() > jitter else w for t, w in zip(np.resize(topic, length), loose, strict=True)
                ]
                found.append(completion(f"p{prompt:02d}", " ".join(words) + tail, repeat=repeat))
        return found

    return make


@pytest.fixture
def failed():
    return lambda canary_id: completion(canary_id, error="timed out")
