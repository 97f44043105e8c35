"""What targets have in common: declared controls, hosts, models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from driftwatch.attribution.facts import Role
from driftwatch.attribution.relations import Reach, host, is_frozen, is_remote, reach, relations
from driftwatch.domain import Control, Target

SAME, FROZEN, FEATURE = Control.SAME_MODEL, Control.FROZEN, Control.FEATURE


def target(name: str, provider: str = "openai", model: str = "gpt-4o", **more: Any) -> Target:
    return Target(name=name, provider=provider, model=model, canaries=(), **more)


SUPPORT = target("support")
AZURE = target("azure", "azure_openai", "our-deployment", base_url="https://shop.openai.azure.com/openai/v1")
MINI = target("mini", model="gpt-4o-mini")
ROUTED = target("routed", "openrouter", "openai/GPT-4o")
CLAUDE = target("claude", "anthropic", "claude")
OLLAMA = target("own-weights", "ollama", "smollm2")
ASSISTANT = target("assistant", "http", "assistant", base_url="https://assistant.shop.example/chat")


def roles(of: Target, *fleet: Target) -> dict[str, tuple[Role, bool]]:
    return {found.target.name: (found.role, found.is_declared) for found in relations(of, fleet)}


def test_undeclared_targets_are_related_by_model_and_host():
    assert roles(SUPPORT, SUPPORT, CLAUDE, MINI, ROUTED) == {
        "routed": (Role.SAME_MODEL, False),
        "mini": (Role.HOST, False),
        "claude": (Role.OTHER, False),
    }


def test_what_is_declared_counts_and_comes_first():
    support = replace(SUPPORT, controls={"own-weights": FROZEN, "azure": SAME, "assistant": FEATURE, "gone": SAME})
    found = relations(support, [support, MINI, AZURE, ASSISTANT, OLLAMA])
    assert [(one.target.name, one.role) for one in found] == [
        ("own-weights", Role.FROZEN),
        ("azure", Role.SAME_MODEL),
        ("assistant", Role.FEATURE),
        ("mini", Role.HOST),
    ]


def test_the_same_model_is_a_relation_of_both():
    assert roles(AZURE, replace(SUPPORT, controls={"azure": SAME}), AZURE) == {"support": (Role.SAME_MODEL, True)}


def test_a_feature_is_told_by_what_it_asks_and_by_that_ones_controls():
    support = replace(SUPPORT, controls={"assistant": FEATURE, "azure": SAME, "own-weights": FROZEN})
    assert roles(ASSISTANT, support, AZURE, OLLAMA, ASSISTANT) == {
        "support": (Role.DIRECT, True),
        "azure": (Role.SAME_MODEL, True),
        "own-weights": (Role.FROZEN, True),
    }


def test_somebodys_feature_tells_nothing_undeclared():
    assert roles(SUPPORT, SUPPORT, ASSISTANT) == {}


def test_a_target_that_is_declared_frozen_is_known():
    support = replace(SUPPORT, controls={"own-weights": FROZEN, "azure": SAME})
    assert is_frozen(OLLAMA, [support, OLLAMA])
    assert not is_frozen(AZURE, [support, AZURE])
    assert roles(OLLAMA, support, OLLAMA) == {"support": (Role.OTHER, False)}


@pytest.mark.parametrize(
    ("one", "where", "remote"),
    [
        (SUPPORT, "api.openai.com", True),
        (AZURE, "shop.openai.azure.com", True),
        (OLLAMA, "127.0.0.1", False),
        (target("t", "bedrock", "m", options={"region": "eu-central-1"}), "bedrock eu-central-1", True),
        (target("t", "openrouter", "m", options={"upstream": "fireworks"}), "openrouter.ai fireworks", True),
        (target("t", "vllm", "m", base_url="http://gpu-1:8000/v1"), "gpu-1", False),
        (target("t", "vllm", "m", base_url="http://gpu.shop.internal/v1"), "gpu.shop.internal", False),
        (target("t", "vllm", "m", base_url="http://10.0.0.7:8000/v1"), "10.0.0.7", False),
        (target("t", "vllm", "m", base_url="http://8.8.8.8/v1"), "8.8.8.8", True),
        (target("t", "simulated", "m"), "simulated", False),
        (target("t", "of another release", "m"), "of another release", True),
        (target("t", "vllm", "m", base_url="http://[half/v1"), "vllm", False),
    ],
)
def test_where_a_target_is_asked(one: Target, where: str, remote: bool):
    assert (host(one), is_remote(one)) == (where, remote)


@pytest.mark.parametrize(
    ("base_url", "far"),
    [
        ("http://127.0.0.1:8000/v1", Reach.HERE),
        ("http://[::1]:8000/v1", Reach.HERE),
        ("http://localhost:8000/v1", Reach.HERE),
        ("http://10.0.0.7/v1", Reach.OWN),
        ("http://gpu.lan/v1", Reach.OWN),
        ("http://gateway/v1", Reach.OWN),
        ("https://api.one.example/v1", Reach.PUBLIC),
    ],
)
def test_how_far_away_a_target_is_asked_follows_from_its_address(base_url: str, far: Reach):
    assert reach(Target(name="t", provider="openai_compatible", model="m", canaries=(), base_url=base_url)) is far
