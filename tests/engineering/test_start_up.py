"""``driftwatch --help`` answers at once because nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "alembic",
    "apscheduler",
    "genai_prices",
    "httpx",
    "jsonschema",
    "numpy",
    "py3langid",
    "scipy",
    "sentence_transformers",
    "slack_sdk",
    "sqlalchemy",
    "sqlmodel",
    "starlette",
    "torch",
    "transformers",
    "uvicorn",
)
MAIN = """\
import sys
from driftwatch.cli import main
sys.argv = ["driftwatch", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
print("loaded:", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["serve", "--help"]], ids=" ".join)
def test_a_question_about_usage_imports_nothing_heavy(arguments):
    done = run(sys.executable, "-c", MAIN.format(arguments=arguments))

    assert done.returncode == 0, done.stderr
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert "typer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_the_package_runs_as_a_module():
    done = run(sys.executable, "-m", "driftwatch", "--help")

    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout
    assert done.stderr == ""
