"""scripts/install says what it cannot do, asks before it downloads gigabytes, and does nothing twice."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The shape of PyPI's torch 2.13.0 for Linux and of the CPU build of the same version.
CUDA_BUILD = [
    "filelock",
    'cuda-bindings<14,>=13.0.3; platform_system == "Linux" and python_version < "3.15"',
    'nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"',
    'triton==3.7.1; platform_system == "Linux" and python_version < "3.15"',
    'optree>=0.13.0; extra == "optree"',
]
CPU_BUILD = ["filelock", "sympy>=1.13.3", 'optree>=0.13.0; extra == "optree"']


@pytest.fixture
def installer():
    specification = importlib.util.spec_from_file_location("install", ROOT / "scripts" / "install.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def pip_answers(installer, monkeypatch):
    """Stand in for pip: record what it is asked, and report ``requires_dist`` for torch."""
    asked = []

    def answer(requires_dist, returncode=0):
        def pip(arguments):
            asked.append(arguments)
            report = {"install": [{"metadata": {"version": "2.13.0", "requires_dist": requires_dist}}]}
            return subprocess.CompletedProcess(arguments, returncode, json.dumps(report), "no such release")

        monkeypatch.setattr(installer, "pip", pip)
        return asked

    return answer


def test_the_cuda_packages_of_a_wheel_are_found_where_they_apply(installer):
    linux, mac = {"platform_system": "Linux", "python_version": "3.13"}, {"platform_system": "Darwin"}

    assert installer.cuda_packages(CUDA_BUILD, linux) == ["cuda-bindings", "nvidia-cudnn-cu13", "triton"]
    assert installer.cuda_packages(CUDA_BUILD, mac) == []
    assert installer.cuda_packages(CPU_BUILD, linux) == []


def test_a_cuda_build_is_refused_with_both_ways_on(installer, pip_answers):
    asked = pip_answers(["nvidia-cudnn-cu13==9.20.0.48"])

    with pytest.raises(installer.InstallError) as refusal:
        installer.refuse_cuda("2.13.0", [], command="make demo")

    assert "make demo TORCH_INDEX=URL" in str(refusal.value)
    assert "make demo CUDA=1" in str(refusal.value)
    assert [argument for argument in asked[0] if argument == "--dry-run"] == ["--dry-run"]


def test_a_cpu_build_is_taken_and_the_extra_index_is_asked(installer, pip_answers):
    asked = pip_answers(CPU_BUILD)

    installer.refuse_cuda("2.13.0", ["--extra-index-url", "somewhere"], command="make demo")

    assert asked[0][-3:] == ["--extra-index-url", "somewhere", "torch==2.13.0"]


def test_a_platform_without_a_build_of_torch_is_one_sentence(installer, pip_answers):
    pip_answers([], returncode=1)

    with pytest.raises(installer.InstallError, match=r"^pip failed to find torch 2.13.0 .*\nno such release$"):
        installer.refuse_cuda("2.13.0", [], command="make demo")


def test_nothing_is_done_when_nothing_changed(installer, monkeypatch, tmp_path, capsys):
    stamp = tmp_path / "driftwatch-installed"
    stamp.write_text(f"{installer.fingerprint(is_editable=True)} runtime dev\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(installer, "pip", lambda _: pytest.fail("pip was asked"))

    assert installer.main(["runtime"]) == 0
    assert installer.main(["dev"]) == 0
    assert capsys.readouterr().out == ""


def test_a_failed_step_shows_the_end_of_what_pip_said_and_leaves_no_stamp(installer, monkeypatch, tmp_path, capsys):
    (tmp_path / "driftwatch-installed").write_text("an older fingerprint runtime\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(installer, "pip", lambda asked: subprocess.CompletedProcess(asked, 1, "", "disk full"))

    assert installer.main(["runtime"]) == 1

    assert "disk full" in capsys.readouterr().err
    assert "disk full" in (tmp_path / "install.log").read_text()
    assert not (tmp_path / "driftwatch-installed").exists()


def test_a_machine_without_a_fitting_python_is_told_what_to_install(tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "VENV": str(tmp_path / "venv"), "PYTHON": "python2.7"}
    done = subprocess.run(
        ["sh", str(ROOT / "scripts" / "install"), "runtime"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("driftwatch needs Python 3.11 or newer with its venv module, and none of python2.7")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "venv").exists()


@pytest.fixture
def apt(installer, monkeypatch, tmp_path):
    """Stand in for apt and dpkg: record what they are told, and put a package where it is downloaded to."""
    commands = []

    def run(command, **options):
        commands.append([str(word) for word in command])
        if "download" in command:
            (options["cwd"] / "prometheus_1_amd64.deb").write_bytes(b"")
        return subprocess.CompletedProcess(
            command, 1 if "broken" in str(installer.DEBIAN_PACKAGES) else 0, "", "no net"
        )

    monkeypatch.setattr(installer, "run", run)
    monkeypatch.setattr(installer.shutil, "which", lambda name: f"/usr/bin/{name}")
    return commands


def test_debian_packages_are_unpacked_below_the_environment_and_installed_nowhere(installer, apt, tmp_path):
    place, log = tmp_path / "debian", tmp_path / "log"

    installer.debian_packages("Prometheus", log, place)

    update, download, extract = apt
    assert [update[0], update[-1]] == ["apt-get", "update"]
    assert download[-3:] == ["download", "prometheus", "prometheus-alertmanager"]
    assert extract[:2] == ["dpkg-deb", "--extract"]
    assert extract[-1] == str(place)
    for command in (update, download):
        assert f"Dir::State::Lists={place / 'apt' / 'lists'}" in command, "no right to the system's lists is needed"
        assert "install" not in command
    assert not (place / "apt").exists(), "lists and packages are not kept"


def test_unpacked_debian_packages_are_not_fetched_again(installer, apt, tmp_path):
    programs = tmp_path / "debian" / "usr" / "bin"
    programs.mkdir(parents=True)
    for program in installer.DEBIAN_PROGRAMS:
        (programs / program).touch()

    installer.debian_packages("Prometheus", tmp_path / "log", tmp_path / "debian")

    assert apt == []


def test_a_system_without_apt_is_told_that_a_part_is_left_out(installer, apt, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(installer.shutil, "which", lambda _: None)

    installer.debian_packages("Prometheus", tmp_path / "log", tmp_path / "debian")

    assert capsys.readouterr().out == "  Prometheus: left out, this system has no apt\n"
    assert apt == []


def test_an_apt_that_fails_shows_the_end_of_its_words(installer, apt, tmp_path, monkeypatch):
    monkeypatch.setattr(installer, "DEBIAN_PACKAGES", ("broken",))

    with pytest.raises(installer.InstallError, match=r"apt failed at: Prometheus[\s\S]*no net"):
        installer.debian_packages("Prometheus", tmp_path / "log", tmp_path / "debian")

    assert [command[-1] for command in apt] == ["update"]


@pytest.mark.parametrize("name", ["promtool", "amtool", "prometheus", "prometheus-alertmanager"])
def test_the_programs_of_the_debian_packages_run_here(debian_program, name):
    done = subprocess.run([debian_program(name), "--version"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0
    assert "version 0." in done.stdout + done.stderr or "version 2." in done.stdout + done.stderr
