"""Write changed copies of a model's weight file: what a provider's silent swap of a checkpoint looks like.

Every function reads one GGUF file and writes another that answers the same requests under the same name: tokenizer,
chat template, embedding and norms stay, the matrices of the transformer's blocks change. All chance is seeded: the
same arguments write the same bytes.

Run as ``python -m benchmarks.lab.variants ORIGINAL.gguf VARIANT.gguf --noise 0.08 [--seed 1]`` for one with noise.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize, quantize

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""One block matrix (rows, columns) of float32 → the changed one."""

QUANTISED = frozenset({GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0})
_BLOCK = 32
"""Values that share a scale in these formats. Source: the GGML quantisation formats Q4_0, Q4_1, Q5_0, Q8_0."""


def requantise(original: Path, variant: Path, *, to: GGMLQuantizationType) -> int:
    """Write ``variant`` with the blocks' matrices in another format, and return the number of matrices rewritten."""
    return _rewrite(original, variant, to=to)


def resave(original: Path, variant: Path) -> int:
    """Write the same weights into a new file, and return 0: nothing is changed but the file."""
    return _rewrite(original, variant, to=None)


def add_noise(original: Path, variant: Path, *, noise: float, seed: int) -> int:
    """Write ``variant``: Gaussian noise of ``noise`` times each matrix's own standard deviation on the blocks.

    Args:
        original: A GGUF file with quantised matrices.
        variant: Written or overwritten; as large as the original.
        noise: In units of each matrix's own standard deviation, 0 or more.
        seed: The same seed writes the same bytes.

    Returns:
        The number of matrices changed.
    """

    def change(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return weights + (noise * weights.std()) * rng.standard_normal(weights.shape, dtype=np.float32)

    return _in_place(original, variant, change=change, seed=seed)


def round_bits(original: Path, variant: Path, *, bits: int) -> int:
    """Write ``variant`` with every block of 32 weights rounded to 2^bits levels between its extremes."""
    levels = 2**bits - 1

    def change(weights: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
        blocks = weights.reshape(-1, _BLOCK)
        low, high = blocks.min(axis=1, keepdims=True), blocks.max(axis=1, keepdims=True)
        step = np.where(high > low, (high - low) / levels, 1.0)
        return (low + np.round((blocks - low) / step) * step).reshape(weights.shape).astype(np.float32)

    return _in_place(original, variant, change=change, seed=0)


def write_lora(original: Path, adapter: Path, *, rank: int, strength: float, seed: int) -> int:
    """Write a random low-rank adapter for the query and value matrices: a fine-tune nobody announced.

    Args:
        original: The model it is for.
        adapter: The GGUF file written.
        rank: Rank of each update.
        strength: Standard deviation of the update B·A in units of the matrix's own.
        seed: The same seed writes the same bytes.

    Returns:
        The number of matrices it adapts.
    """
    rng = np.random.default_rng(seed)
    writer = GGUFWriter(adapter, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))  # llama.cpp scales the update by alpha / rank: by 1
    n_adapted = 0
    for tensor in GGUFReader(original, "r").tensors:
        if not tensor.name.startswith("blk.") or not tensor.name.endswith(("attn_q.weight", "attn_v.weight")):
            continue
        spread = float(dequantize(tensor.data, tensor.tensor_type).std())
        n_in, n_out = (int(n) for n in tensor.shape)
        scale = np.sqrt(strength * spread / np.sqrt(rank))
        for name, shape in (("lora_a", (rank, n_in)), ("lora_b", (n_out, rank))):
            factor = (scale * rng.standard_normal(shape)).astype(np.float32)
            writer.add_tensor(f"{tensor.name}.{name}", factor)
        n_adapted += 1
    _finish(writer)
    return n_adapted


def _in_place(original: Path, variant: Path, *, change: Change, seed: int) -> int:
    """Copy the file and assign the changed matrices through a memory map: every format stays what it was."""
    rng = np.random.default_rng(seed)
    shutil.copyfile(original, variant)
    n_changed = 0
    for tensor in GGUFReader(variant, "r+").tensors:
        if not tensor.name.startswith("blk.") or tensor.tensor_type not in QUANTISED:
            continue
        weights = dequantize(tensor.data, tensor.tensor_type)
        tensor.data[:] = quantize(change(weights, rng), tensor.tensor_type)
        n_changed += 1
    return n_changed


def _rewrite(original: Path, variant: Path, *, to: GGMLQuantizationType | None) -> int:
    """Write a new file: the original's fields, its tensors in the format ``to`` where they are quantised matrices."""
    reader = GGUFReader(original, "r")
    architecture = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(variant, architecture)
    for field in reader.fields.values():
        if field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        element: Any = field.types[-1] if kind is GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=element)
    n_changed = 0
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if to is not None and tensor.name.startswith("blk.") and kind in QUANTISED:
            data, kind = quantize(dequantize(data, kind), to), to
            n_changed += 1
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    _finish(writer)
    return n_changed


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Write one variant with noise, as the tests with a real model do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original", type=Path)
    parser.add_argument("variant", type=Path)
    parser.add_argument("--noise", type=float, default=0.08)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    add_noise(options.original, options.variant, noise=options.noise, seed=options.seed)


if __name__ == "__main__":
    main()
