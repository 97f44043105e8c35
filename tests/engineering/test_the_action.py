"""The GitHub Action's own script, run by bash as a runner does, against a simulated endpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())


def step(name: str) -> dict:
    return next(step for step in ACTION["runs"]["steps"] if step["name"] == name)


@pytest.fixture
def runner(tmp_path):
    """Runs the step ``Check`` with these inputs; answers exit code, summary and outputs."""
    (tmp_path / "canaries").mkdir()
    (tmp_path / "canaries" / "core.yaml").write_text(
        "suite: core\ncanaries: [{id: capital, prompt: What is the capital of France, reason: Known to every model.}]\n"
    )
    summary, output = tmp_path / "summary.md", tmp_path / "output"

    def run(config: str, **inputs: str):
        (tmp_path / "driftwatch.yaml").write_text(config)
        defaults = {name: found.get("default", "") for name, found in ACTION["inputs"].items()}
        given = defaults | {name.replace("_", "-"): value for name, value in inputs.items()}
        env = {
            key: given[value.removeprefix("${{ inputs.").removesuffix(" }}")]
            for key, value in step("Check")["env"].items()
        }
        summary.write_text("")
        output.write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step("Check")["run"]],
            cwd=tmp_path,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("DRIFTWATCH")},
                **env,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_OUTPUT": str(output),
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return done.returncode, summary.read_text(), outputs, done.stderr

    return run


def config_of(url: str) -> str:
    return (
        f"targets:\n  support: {{provider: openai_compatible, base_url: '{url}', model: m, attempts: 1, timeout: 2s}}\n"
        "embedder: 'off'\n"
    )


def test_what_could_not_be_measured_fails_the_step_unless_told_otherwise(runner):
    nobody = config_of("http://127.0.0.1:9/v1")

    code, summary, outputs, _ = runner(nobody)
    forgiven, _, _, _ = runner(nobody, fail_when_unmeasured="false")

    assert (code, forgiven) == (3, 0)
    assert outputs == {"outcome": "unmeasured", "exit-code": "3"}
    assert summary.startswith("## driftwatch: 1 not measured")


def test_files_are_written_where_the_inputs_say(runner, tmp_path):
    runner(config_of("http://127.0.0.1:9/v1"), junit_file="out/drift.xml", sarif_file="out/drift.sarif")

    root = ET.fromstring((tmp_path / "out/drift.xml").read_text())  # noqa: S314 - what driftwatch has just written
    assert root.get("errors") == "1"
    assert (tmp_path / "out/drift.sarif").exists()


@pytest.mark.parametrize("hostile", ["$(touch pwned)", "; touch pwned", "`touch pwned`", "--help", "* ../*"])
def test_an_input_is_never_a_command(runner, tmp_path, hostile):
    code, summary, outputs, said = runner(config_of("http://127.0.0.1:9/v1"), targets=hostile)

    assert code == 2
    assert "unknown target" in said
    assert outputs == {"outcome": "error", "exit-code": "2"}
    assert not (tmp_path / "pwned").exists()
    assert summary.strip() == ""


@pytest.mark.parametrize("n", [1, 1_200_000])
def test_the_summary_stays_below_a_mebibyte_and_ends_with_a_whole_character(runner, tmp_path, monkeypatch, n):
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "driftwatch"
    fake.write_text(f"#!/bin/sh\nprintf 'abc'; head -c {n} /dev/zero | sed 's/\\x00/😀/g'\n")
    fake.chmod(0o755)
    script = step("Check")["run"]
    monkeypatch.setitem(step("Check"), "run", f'PATH="{fake.parent}:$PATH"\n{script}')
    code, summary, _, said = runner(config_of("http://127.0.0.1:9/v1"))
    assert (code, said) == (0, "")
    assert len(summary.encode()) <= 1_048_576
    assert set(summary.strip()) == set("abc😀")
    assert len(summary.strip()) == min(n, 249_999) + 3


def test_no_step_writes_an_input_into_its_script():
    for found in ACTION["runs"]["steps"]:
        assert "${{" not in found["run"], found["name"]


def test_no_other_action_is_used_that_would_have_to_be_pinned():
    assert [found for found in ACTION["runs"]["steps"] if "uses" in found] == []


def test_every_input_is_used_and_described():
    used = " ".join(str(found["env"]) for found in ACTION["runs"]["steps"])
    for name, found in ACTION["inputs"].items():
        assert f"inputs.{name} " in used, name
        assert found["description"], name


def test_the_installation_asks_for_what_the_installer_knows():
    script = step("Install driftwatch")["run"]

    assert "scripts/install runtime" in script
    assert (ROOT / "scripts/install").exists()
