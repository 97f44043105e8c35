"""model-equality-testing from PyPI (Gao, Liang & Guestrin, arXiv 2410.20247), in an environment of its own.

The package wants torch and matplotlib, which driftwatch does not. Its environment is made once in a cache folder
(``$DRIFTWATCH_BENCH_CACHE``, by default ``~/.cache/driftwatch-bench``) and asked over pipes, one JSON object a line.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

PACKAGE, VERSION = "model-equality-testing", "0.0.2"
NEEDS = ("torch==2.13.0", "tqdm", "transformers")
"""A torch that exists for processors alone, and what the package imports without declaring it."""
LONGEST = 1000
"""Characters of a completion that are compared, as in the paper's section 4.1."""

_SERVANT = """
import contextlib, io, json, sys, time
import numpy as np, torch
from model_equality_testing.algorithm import run_two_sample_test
from model_equality_testing.distribution import CompletionSample
from model_equality_testing.utils import tokenize_unicode
torch.set_num_threads(1)
torch.manual_seed(0)
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    torch.manual_seed(asked["seed"])
    start = time.process_time()
    texts = [t[: asked["longest"]] for t in asked["left"] + asked["right"]]
    codes = tokenize_unicode([t or " " for t in texts])
    n = len(asked["left"])
    prompts = np.array(asked["left_prompts"] + asked["right_prompts"])
    m = int(prompts.max()) + 1
    one = CompletionSample(prompts[:n], codes[:n], m)
    other = CompletionSample(prompts[n:], codes[n:], m)
    silent = io.StringIO()
    with contextlib.redirect_stderr(silent), contextlib.redirect_stdout(silent), np.errstate(all="ignore"):
        p, statistic = run_two_sample_test(one, other, stat_type="mmd_hamming", b=asked["b"])
    answer = {"p": p, "statistic": float(statistic), "seconds": time.process_time() - start}
    print(json.dumps(answer), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the package says."""

    p_value: float
    """NaN where its statistic is undefined: without two completions of one prompt on a side."""
    seconds: float
    """Processor seconds of its own, from texts to p, without starting Python."""


class ModelEqualityTesting:
    """The package behind a pipe; use it as a context manager.

    Args:
        cache: where its environment is made.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
            [str(_environment(cache or _cache())), "-c", _SERVANT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
        )
        if self._read().strip() != "ready":
            raise RuntimeError(f"{PACKAGE} does not start; delete {cache or _cache()} and try again")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def test(
        self, left: Mapping[str, Sequence[str]], right: Mapping[str, Sequence[str]], *, b: int = 1000, seed: int = 0
    ) -> Answer:
        """Run its two-sample permutation test with the Hamming kernel.

        Args:
            left: prompt → completions.
            right: likewise, of the same prompts.
            b: permutations; 1,000 is the package's default.
            seed: of the permutations.
        """
        prompts = {prompt: number for number, prompt in enumerate(sorted(left))}
        sides = [[(prompts[p], text) for p in prompts for text in side[p]] for side in (left, right)]
        asked = {
            "left": [text for _, text in sides[0]],
            "right": [text for _, text in sides[1]],
            "left_prompts": [prompt for prompt, _ in sides[0]],
            "right_prompts": [prompt for prompt, _ in sides[1]],
            "b": b,
            "seed": seed,
            "longest": LONGEST,
        }
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._read())
        p = math.nan if math.isnan(answer["statistic"]) else float(answer["p"])
        return Answer(p_value=p, seconds=float(answer["seconds"]))

    def _read(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        return self._process.stdout.readline()


def is_installed(cache: Path | None = None) -> bool:
    """Whether the environment is there already, so that asking costs no installation."""
    return ((cache or _cache()) / "met" / "ready").exists()


def _cache() -> Path:
    given = os.environ.get("DRIFTWATCH_BENCH_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "driftwatch-bench"


def _environment(cache: Path) -> Path:
    """The interpreter of the package's environment, which is made when it is not there."""
    folder = cache / "met"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {PACKAGE} {VERSION} into {folder} (about a minute)", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        wanted = [f"{PACKAGE}=={VERSION}", *NEEDS]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)  # noqa: S603 - as above
        (folder / "ready").write_text(f"{PACKAGE}=={VERSION}\n")
    return python
