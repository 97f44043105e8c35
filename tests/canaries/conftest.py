"""Replies to hold checks against."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from driftwatch.canaries import evaluate
from driftwatch.domain import Check, Completion, Json, Outcome, ToolCall

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def reply() -> Callable[..., Completion]:
    """Build a reply from its text and the (name, arguments) of its tool calls."""

    def build(text: str = "", *calls: tuple[str, str]) -> Completion:
        return Completion(
            canary_id="core/one",
            canary_hash="0123456789abcdef",
            repeat=0,
            outcome=Outcome.OK,
            at=datetime(2026, 3, 2, 12, tzinfo=UTC),
            latency_s=0.5,
            text=text,
            tool_calls=tuple(ToolCall(name=name, arguments=arguments) for name, arguments in calls),
        )

    return build


@pytest.fixture(scope="session")
def holds(reply) -> Callable[..., bool]:
    """Whether a check holds for a reply."""

    def decide(kind: str, argument: Json, text: str = "", *calls: tuple[str, str]) -> bool:
        return evaluate(Check(kind=kind, argument=argument), reply(text, *calls))

    return decide


@pytest.fixture(scope="session")
def read_yaml() -> Callable[[Path], Json]:
    """Parse a YAML file without the loader under trial."""

    def read(path: Path) -> Json:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))

    return read
