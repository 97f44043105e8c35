"""Probes discovered on a real model: silent after a restart, moved by a change of weights that prompts hardly show."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftwatch.canaries import parse_suite
from driftwatch.domain import Canary, Completion, Message, Target
from driftwatch.probes import Asker, discover, suite_text
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.replay import Gate, RetryPolicy, replay
from driftwatch.score import Reference, score

pytestmark = [pytest.mark.real_model, pytest.mark.slow]

AT = datetime(2026, 3, 2, tzinfo=UTC)
N_REQUESTS = 72
SLIGHT_NOISE = 0.003
"""In units of each matrix's own spread; far below what requantising to 4 bits does to a matrix of 16 bits."""

ORDINARY = (
    "Write one sentence about the sea.",
    "List three fruits.",
    "Why is the sky blue?",
    "Translate 'good morning' into French.",
    "What is the capital of France?",
    "How do I boil an egg?",
    "Write a short poem about autumn.",
    "Explain what a computer is.",
)


@pytest.fixture(scope="session")
def slightly_changed(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with the smallest other weights that its 4 bits can hold."""
    variant = tmp_path_factory.mktemp("weights") / "slight.gguf"
    program = Path(__file__).parents[2] / "benchmarks" / "lab" / "variants.py"
    command = [sys.executable, str(program), str(model_file), str(variant), "--noise", str(SLIGHT_NOISE)]
    subprocess.run(command, check=True, timeout=300)
    return variant


class Endpoint:
    """Whatever is served at an address, asked through the real provider."""

    def __init__(self, base_url: str, model: str) -> None:
        self.base_url = base_url
        self.target = Target(
            name="assistant", provider="openai_compatible", model=model, base_url=base_url, canaries=ordinary()
        )

    def discover(self) -> tuple[Canary, ...]:
        """The canaries of the suite that is written."""

        async def work() -> tuple[Canary, ...]:
            provider = PROVIDERS["openai_compatible"](Connection(base_url=self.base_url))
            asker = Asker(self.target, provider, Gate(2), at=AT, deadline_s=300.0, n_requests=N_REQUESTS)
            found = await discover(asker, kinds=("border", "logprob"), n_probes=8, seed=1)
            await provider.aclose()
            assert found.n_requests <= N_REQUESTS
            assert found.trouble is None
            return parse_suite(suite_text(found, self.target, seed=1, at=AT), "probes.yaml").canaries

        return asyncio.run(work())

    def ask(self, target: Target, repeats: int) -> tuple[Completion, ...]:
        async def work() -> tuple[Completion, ...]:
            provider = PROVIDERS["openai_compatible"](Connection(base_url=self.base_url))
            try:
                return await replay(
                    target,
                    provider,
                    at=AT,
                    gate=Gate(2),
                    retry=RetryPolicy(),
                    deadline_s=300.0,
                    repeats=repeats,
                )
            finally:
                await provider.aclose()

        return asyncio.run(work())


def ordinary() -> tuple[Canary, ...]:
    """Prompts as people write them, asked for their first token alone."""
    parameters = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20}
    return tuple(
        Canary(
            id=f"ordinary/{i}",
            suite="ordinary",
            messages=(Message(role="user", content=prompt),),
            parameters=parameters,
        )
        for i, prompt in enumerate(ORDINARY)
    )


def test_border_inputs_are_silent_after_a_restart_and_flip_where_ordinary_prompts_hardly_do(
    serve, model_file, slightly_changed, model_name
):
    def measured(base_url: str) -> dict[tuple[str, str], float]:
        """(which canaries, channel) → value of one run."""
        endpoint = Endpoint(base_url, model_name)
        return {
            (name, s.channel): s.value
            for name, reference in references.items()
            for s in score(reference, endpoint.ask(reference.target, 1))
        }

    with serve(model_file) as base_url:
        endpoint = Endpoint(base_url, model_name)
        probes = endpoint.discover()
        assert len(probes) == 8
        assert all(canary.parameters["logprobs"] is True for canary in probes)
        references = {}
        for name, canaries in (("probes", probes), ("ordinary", ordinary())):
            target = Target(name="a", provider="openai_compatible", model=model_name, canaries=canaries)
            anchors: dict[str, list[Completion]] = {canary.id: [] for canary in canaries}
            for completion in endpoint.ask(target, 2):
                assert completion.is_ok, completion.error
                anchors[completion.canary_id].append(completion)
            references[name] = Reference.from_anchors(target, anchors, None)

    with serve(model_file) as base_url:  # the same weights after a restart
        restarted = measured(base_url)
    for name in references:
        assert restarted[name, "label"] == 0.0
        assert restarted[name, "logprob"] == 0.0

    with serve(slightly_changed) as base_url:
        changed = measured(base_url)
    assert changed["probes", "label"] >= 0.25, changed
    assert changed["ordinary", "label"] <= 0.125, changed
    assert changed["probes", "logprob"] > 0.01, changed
    assert changed["ordinary", "logprob"] > 0.01, changed
