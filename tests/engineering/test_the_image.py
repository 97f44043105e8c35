"""The Dockerfile keeps the rules of a daemon's image: not root, drained on SIGTERM, its health known, no secret."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def read_instructions():
    specification = importlib.util.spec_from_file_location("rehearsal", ROOT / "scripts" / "docker_rehearsal.py")
    rehearsal = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(rehearsal)
    return rehearsal.read_instructions((ROOT / "Dockerfile").read_text())


ALL = read_instructions()
FINAL = ALL[max(index for index, (name, _) in enumerate(ALL) if name == "FROM") :]


def only(name, instructions=FINAL):
    """The arguments of the one instruction of that name."""
    (arguments,) = [found for instruction, found in instructions if instruction == name]
    return arguments


def test_both_stages_stand_on_one_base_of_a_named_release():
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim-[a-z]+", ALL[0][1])
    assert [found for name, found in ALL if name == "FROM"] == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]


def test_the_python_of_the_image_is_one_that_the_package_supports():
    release = re.search(r"python:(3\.\d+)", ALL[0][1]).group(1)

    assert f"Programming Language :: Python :: {release}" in (ROOT / "pyproject.toml").read_text()
    assert all(found == release for _, line in ALL for found in re.findall(r"python(3\.\d+)", line))


def test_the_daemon_is_not_root_and_its_user_has_a_number_that_orchestrators_can_judge():
    names = [name for name, _ in FINAL]

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", only("USER"))
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD"])
def test_the_daemon_gets_its_signals_itself_because_no_shell_stands_between(name):
    assert json.loads(only(name))


def test_a_stop_is_the_signal_that_drains():
    assert only("STOPSIGNAL") == "SIGTERM"
    assert json.loads(only("ENTRYPOINT")) == ["driftwatch"]
    assert json.loads(only("CMD")) == ["serve"]


def test_the_image_asks_its_own_health_page_with_nothing_but_python():
    options, _, command = only("HEALTHCHECK").partition(" CMD ")
    program, flag, source = json.loads(command)

    assert {"--interval=30s", "--timeout=5s", "--start-period=60s", "--retries=3"} == set(options.split())
    assert (program, flag) == ("python", "-c")
    assert "http://127.0.0.1:8077/healthz" in source
    compile(source, "healthcheck", "exec")


def test_all_that_is_written_goes_to_the_volume():
    variables = dict(pair.split("=", 1) for pair in only("ENV").split())

    assert "/data" == only("VOLUME") == only("WORKDIR")
    assert variables["DRIFTWATCH_STORE"].startswith("/data/")
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert variables["DRIFTWATCH_HTTP"] == "0.0.0.0:8077"
    assert only("EXPOSE") == "8077"


def test_no_secret_can_be_baked_in():
    settable = [line.split("=")[0] for name, line in ALL if name == "ARG"]
    environment = [pair.split("=")[0] for name, line in ALL if name == "ENV" for pair in line.split()]

    assert {"PYTHON_IMAGE", "TORCH_INDEX", "CUDA"} == set(settable)
    assert [name for name in environment if re.search("KEY|TOKEN|SECRET|PASSWORD|WEBHOOK", name)] == []


def test_only_the_environment_is_taken_from_the_build_and_no_package_lists_stay_behind():
    assert [found for name, found in FINAL if name == "COPY"] == ["--from=build /opt/driftwatch /opt/driftwatch"]
    runs = [found for name, found in ALL if name == "RUN"]
    assert all("rm -rf /var/lib/apt/lists" in run for run in runs if re.search(r"\bapt(-get)? ", run))
    assert "PIP_NO_CACHE_DIR=1" in runs[0]


def test_an_unasked_for_cuda_build_is_refused_as_on_a_workstation():
    build = next(found for name, found in ALL if name == "RUN")

    assert "scripts/install runtime --no-editable" in build
    assert 'TORCH_INDEX="${TORCH_INDEX}"' in build
    assert 'CUDA="${CUDA}"' in build


def test_what_is_copied_is_what_the_builder_is_sent():
    copied = {
        source for name, found in ALL if name == "COPY" and "--from" not in found for source in found.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}

    assert "*" in lines
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
