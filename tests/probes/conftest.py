"""An endpoint whose weights are known: every prompt has a distribution over first tokens that tests can look up."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from driftwatch.domain import Canary, Completion, Outcome, Target
from driftwatch.errors import ProviderRejected, ProviderTimeout, ProviderUnavailable
from driftwatch.probes import Asker, Discovery, discover
from driftwatch.replay import Gate

AT = datetime(2026, 3, 2, tzinfo=UTC)
WORDS = ("Heads", "Tails", "The", "A", "It", "One")


def uniform(*what: object) -> float:
    """A number in [0, 1) that depends on what it is for alone."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8]) / 2**64


def logprobs_of(prompt: str, weights: int = 0) -> dict[str, float]:
    """The model: first token → log-probability; other weights move every logit by up to ±.15."""
    logits = {w: 6 * uniform(prompt, w) + 0.3 * (uniform(weights, prompt, w) - 0.5) * bool(weights) for w in WORDS}
    total = math.log(math.fsum(math.exp(logit) for logit in logits.values()))
    return {word: logit - total for word, logit in logits.items()}


@dataclass
class Model:
    """A provider that serves it, with the limits that real endpoints have."""

    takes: Collection[str] = ("max_tokens", "max_completion_tokens", "temperature", "logprobs")
    """Parameters that are not refused."""
    most_logprobs: int = 20
    least_tokens: int = 1
    """With fewer to answer in, the reply is empty: the model thinks first."""
    words: Callable[[str], dict[str, float]] = logprobs_of
    says_why: bool = True
    """Whether a refusal names the parameter."""
    answers_temperature_first: bool = False
    """Log-probabilities are told after the temperature: at 0 the first token is certain."""
    ends_after: int = 10**9
    """Requests after which it is down."""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        sent = target.parameters_for(canary)
        prompt = canary.messages[-1].content
        self.asked.append((prompt, sent))
        if len(self.asked) > self.ends_after:
            raise ProviderUnavailable("it is down", outcome=Outcome.UNAVAILABLE)
        for name in sent:
            if name.removeprefix("top_") not in self.takes:
                said = f"unsupported parameter: {name}" if self.says_why else "bad request"
                raise ProviderRejected(said, outcome=Outcome.REJECTED)
        if sent.get("top_logprobs", 0) > self.most_logprobs:
            raise ProviderRejected("top_logprobs is too large", outcome=Outcome.REJECTED)
        told = self.words(prompt)
        text = max(told, key=lambda word: told[word])
        temperature = sent.get("temperature", 1)
        if temperature:
            drawn, text = uniform("draw", prompt, repeat, at), ""
            for word, logprob in told.items():
                drawn -= math.exp(logprob)
                if drawn < 0:
                    text = word
                    break
        elif self.answers_temperature_first:
            told = {word: 0.0 if word == text else -9999.0 for word in told}
        room = sent.get("max_tokens", sent.get("max_completion_tokens", 10**6))
        top = sorted(told.items(), key=lambda item: -item[1])[: sent.get("top_logprobs", 0)]
        return Completion(
            canary_id=canary.id,
            canary_hash=canary.content_hash,
            repeat=repeat,
            outcome=Outcome.OK,
            at=at,
            latency_s=0.0,
            text=text if room >= self.least_tokens else "",
            finish_reason="length",
            logprobs=[{"token": text, "logprob": told[text], "top": list(map(list, top))}] if top else None,
        )

    async def aclose(self) -> None:
        """Nothing to close."""

    @property
    def n_requests(self) -> int:
        return len(self.asked)


class Slow(Model):
    """It answers nobody in time."""

    async def complete(self, _target: Target, canary: Canary, **_: object) -> Completion:
        self.asked.append((canary.id, {}))
        raise ProviderTimeout("no reply", outcome=Outcome.TIMEOUT)


@pytest.fixture
def target() -> Target:
    return Target(name="support", provider="openai_compatible", model="m", canaries=())


@pytest.fixture
def model() -> type[Model]:
    return Model


@pytest.fixture
def slow() -> Model:
    return Slow()


@pytest.fixture
def words_of() -> Callable[..., dict[str, float]]:
    return logprobs_of


@pytest.fixture
def asker_for(target: Target) -> Callable[..., Asker]:
    def make(endpoint: Model, n_requests: int, **changed: Any) -> Asker:
        who = changed.pop("target", target)
        return Asker(who, endpoint, Gate(8), at=AT, deadline_s=30.0, n_requests=n_requests)

    return make


@pytest.fixture
def find(asker_for: Callable[..., Asker]) -> Callable[..., Discovery]:
    """``find(endpoint, 100)``: a discovery with so many requests."""

    def run(endpoint: Model, n_requests: int, **options: Any) -> Discovery:
        changed = {"target": options.pop("target")} if "target" in options else {}
        settings = {"kinds": ("border", "words", "logprob"), "n_probes": 8, "seed": 1, **options}

        async def work() -> Discovery:
            return await discover(asker_for(endpoint, n_requests, **changed), **settings)

        return asyncio.run(work())

    return run
