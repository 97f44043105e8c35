"""Write constraints.txt: the exact version of every package that any part of driftwatch installs.

Run as ``make lock`` after a change of dependencies in pyproject.toml; with ``--upgrade`` to take newer releases.
Without it the versions already locked are kept wherever pyproject.toml still allows them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
EXTRAS = ("embedder", "azure", "bedrock", "vertex", "dev", "real-model", "wires")
HEADER = """\
# Exact versions of everything that driftwatch runs on, is tested with and is built with. Written by `make lock`.
#
# Use it as a constraint: pip install -c constraints.txt "driftwatch[embedder]"
#
# No hashes: torch's CPU and CUDA builds are different files under one version, and which one is wanted is the
# installer's choice (see scripts/install.py), so that a list of hashes would shut one of them out.
# No markers: locked for Linux; a package that another platform adds is left to pip.
"""
LOCAL_VERSION = re.compile(r"(?m)^(\S+==[^\s+;]+)\+\S+")


def main() -> int:
    """Resolve, strip what names this machine, and write the lock."""
    with tempfile.TemporaryDirectory() as scratch:
        resolved = Path(scratch) / "constraints.txt"
        if CONSTRAINTS.exists():  # pip-compile keeps what its output file already pins
            resolved.write_text(CONSTRAINTS.read_text())
        command = [sys.executable, "-m", "piptools", "compile", "--quiet", "--strip-extras", "--allow-unsafe"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--no-emit-trusted-host", "--no-emit-options", f"--output-file={resolved}"]
        command += [f"--extra={extra}" for extra in EXTRAS]
        command += [argument for argument in sys.argv[1:] if argument == "--upgrade"]
        done = subprocess.run([*command, "pyproject.toml"], cwd=ROOT, check=False)  # noqa: S603 - built above
        if done.returncode != 0:
            return done.returncode
        pins = sorted(line for line in resolved.read_text().splitlines() if "==" in line and line[0] != "#")
    # torch's CUDA build brings these, at versions of its own choice: the lock must not depend on the build met here.
    pins = [pin for pin in pins if not pin.startswith(("cuda-", "nvidia-", "triton=="))]
    CONSTRAINTS.write_text(HEADER + LOCAL_VERSION.sub(r"\1", "\n".join(pins)) + "\n")
    print(f"constraints.txt: {len(pins)} packages")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
