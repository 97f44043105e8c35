"""The wheel holds the program with its types, migrations, pages and starter files, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    into = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--wheel-dir", str(into), str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = into.glob("driftwatch-*-py3-none-any.whl")
    return zipfile.ZipFile(built)


def files_below(directory: str) -> set[str]:
    """Paths below the checkout of what belongs to the source."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {path for path in listed.stdout.splitlines() if (ROOT / path).exists()}


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    packed = set(wheel.namelist())

    assert {"driftwatch/py.typed", "driftwatch/store/migrations/env.py"} <= packed
    assert set() == files_below("driftwatch") - packed


def test_the_starter_files_are_in_the_wheel_where_the_program_looks_for_them(wheel):
    shipped = {f"driftwatch/_shipped/{path}" for directory in ("config", "canaries") for path in files_below(directory)}

    assert "driftwatch/_shipped/config/demo.yaml" in shipped
    assert set() == shipped - set(wheel.namelist())


def test_nothing_but_the_package_and_its_papers_is_in_the_wheel(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert len(tops) == 2
    assert all(top == "driftwatch" or top.endswith(".dist-info") for top in tops)
    assert [name for name in wheel.namelist() if name.endswith((".pyc", ".db", ".log"))] == []


def test_the_wheel_installs_the_command_and_names_its_licence(wheel):
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    (papers,) = [name for name in wheel.namelist() if name.endswith("METADATA")]

    assert "driftwatch = driftwatch.cli:main" in wheel.read(entry_points).decode()
    assert "License-Expression: Apache-2.0" in wheel.read(papers).decode()
