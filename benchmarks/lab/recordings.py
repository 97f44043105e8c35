"""The lab's recordings: one row per completion, one compressed file per variant, in the columns of the shared data."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATASET = "driftwatch-lab"
DECIMALS = 5
"""Of a logprob. llama.cpp's are 32-bit floats; a restart repeats them to the last bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One completion, or one failure with its outcome in place of a text."""

    task: str
    """``greedy`` · ``sampled`` · ``probe`` (T = 0, one token, logprobs) · ``word`` (T = 1, one token)."""
    prompt_id: str
    prompt: str
    variant: str
    temperature: float
    sample_idx: int
    output: str
    latency_s: float
    in_tokens: int
    out_tokens: int
    finish_reason: str | None = None
    outcome: str = "ok"
    logprobs: tuple[tuple[str, float], ...] | None = None
    """(token, logprob) of the first place, likeliest first; None where not asked for."""

    @property
    def n_tokens(self) -> int:
        """Tokens sent and received: what a budget counts."""
        return self.in_tokens + self.out_tokens


def write(path: Path, rows: Iterable[Row], *, model: str) -> int:
    """Write rows, the same bytes for the same rows, and return how many."""
    lines = [json.dumps(_to_json(row, model), ensure_ascii=False, separators=(",", ":")) for row in rows]
    raw = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(raw, compresslevel=9, mtime=0))
    return len(lines)


def read(path: Path) -> list[Row]:
    """Read what ``write`` wrote."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [_from_json(json.loads(line)) for line in stream]


def load(folder: Path) -> dict[str, list[Row]]:
    """Variant → its rows, of every ``*.jsonl.gz`` in a folder, in order of the names.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = sorted(folder.glob("*.jsonl.gz"))
    if not paths:
        raise FileNotFoundError(f"no recordings (*.jsonl.gz) in {folder}; python -m benchmarks.lab.record makes them")
    return {path.name.removesuffix(".jsonl.gz"): read(path) for path in paths}


def _to_json(row: Row, model: str) -> dict[str, Any]:
    line: dict[str, Any] = {
        "dataset": DATASET,
        "task": row.task,
        "prompt_id": row.prompt_id,
        "prompt": row.prompt,
        "model": model,
        "snapshot_or_provider": row.variant,
        "temperature": row.temperature,
        "sample_idx": row.sample_idx,
        "output": row.output,
        "latency_s": round(row.latency_s, 3),
        "in_tokens": row.in_tokens,
        "out_tokens": row.out_tokens,
        "extra": {"finish_reason": row.finish_reason, "outcome": row.outcome},
    }
    if row.logprobs is not None:
        line["logprobs"] = [[token, round(value, DECIMALS)] for token, value in row.logprobs]
    return line


def _from_json(line: dict[str, Any]) -> Row:
    listed = line.get("logprobs")
    return Row(
        task=line["task"],
        prompt_id=line["prompt_id"],
        prompt=line["prompt"],
        variant=line["snapshot_or_provider"],
        temperature=line["temperature"],
        sample_idx=line["sample_idx"],
        output=line["output"],
        latency_s=line["latency_s"],
        in_tokens=line["in_tokens"],
        out_tokens=line["out_tokens"],
        finish_reason=line["extra"]["finish_reason"],
        outcome=line["extra"]["outcome"],
        logprobs=None if listed is None else tuple((token, value) for token, value in listed),
    )
