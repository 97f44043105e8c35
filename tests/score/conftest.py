"""Builders of canaries, completions and targets, and an embedder that needs no weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from driftwatch.domain import Canary, Completion, Message, Outcome, Target

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


class HashedEmbedder:
    """Unit vectors that depend on the text alone, 3 numbers each."""

    revision = "hashed@1"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.frombuffer(hashlib.sha256(text.encode()).digest()[:24], np.uint64) / 2**64 - 0.5 for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def make_canary(name="capital", **fields):
    return Canary(id=f"core/{name}", suite="core", messages=(Message(role="user", content="?"),), **fields)


def told(text):
    """Log-probabilities of a first token that depend on the text alone, as an endpoint tells them."""
    digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    top = [[word, -0.1 - digest[i] / 32] for i, word in enumerate(("It", "The", text[:3]))]
    return [{"token": top[0][0], "logprob": top[0][1], "top": top}]


def make_reply(text="", *, canary="capital", ok=True, **fields):
    return Completion(
        canary_id=f"core/{canary}",
        canary_hash="h",
        outcome=Outcome.OK if ok else Outcome.TIMEOUT,
        text=text,
        **{
            "repeat": 0,
            "at": AT,
            "latency_s": 1.0,
            "finish_reason": "stop",
            "output_tokens": 10,
            **fields,
        },
    )


def make_target(*canaries, **fields):
    settings = {"repeats": 2, "parameters": {"temperature": 0}, **fields}
    return Target(name="support", provider="openai", model="gpt", canaries=canaries or (make_canary(),), **settings)


@pytest.fixture(scope="session")
def make():
    """The builders: ``make.canary``, ``make.reply``, ``make.target``, ``make.embedder``, ``make.told``."""
    return SimpleNamespace(canary=make_canary, reply=make_reply, target=make_target, embedder=HashedEmbedder, told=told)
