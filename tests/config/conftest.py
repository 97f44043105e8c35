"""Configurations written into a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from driftwatch.config import Settings, load

WriteConfig = Callable[..., Path]
LoadText = Callable[..., Settings]


@pytest.fixture
def write(tmp_path: Path) -> WriteConfig:
    """Write a file below the test's folder and return its path."""

    def write_file(text: str, name: str = "driftwatch.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def load_text(write: WriteConfig) -> LoadText:
    """Load a configuration that holds this text."""

    def load_it(text: str, env: Mapping[str, str] | None = None) -> Settings:
        return load(write(text), env or {})

    return load_it


@pytest.fixture
def target() -> str:
    """The least that a configuration says."""
    return "targets:\n  support:\n    provider: openai\n    model: gpt-4o-mini\n"
