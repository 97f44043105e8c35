"""Write another set of weights for the same model: what a provider's silent swap of a checkpoint looks like.

Run as ``python variants.py ORIGINAL.gguf VARIANT.gguf [--noise 0.08] [--seed 1]``. Every matrix of the
transformer's blocks gets Gaussian noise whose standard deviation is ``noise`` times the matrix's own; embedding,
norms, tokenizer and chat template stay, so that the file answers the same requests under the same name.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize, quantize

QUANTISED = (GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0)


def write_variant(original: Path, variant: Path, *, noise: float, seed: int) -> int:
    """Write ``variant``: ``original`` with noise on its blocks' matrices.

    Args:
        original: A GGUF file with quantised matrices.
        variant: Written or overwritten; as large as the original.
        noise: Standard deviation of the noise in units of each matrix's own, 0 or more.
        seed: The same seed writes the same bytes.

    Returns:
        The number of matrices changed.
    """
    rng = np.random.default_rng(seed)
    shutil.copyfile(original, variant)
    n_changed = 0
    for tensor in GGUFReader(variant, "r+").tensors:  # a memory map: what is assigned is in the file
        if not tensor.name.startswith("blk.") or tensor.tensor_type not in QUANTISED:
            continue
        weights = dequantize(tensor.data, tensor.tensor_type)
        weights += (noise * weights.std()) * rng.standard_normal(weights.shape, dtype=np.float32)
        tensor.data[:] = quantize(weights, tensor.tensor_type)
        n_changed += 1
    return n_changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original", type=Path)
    parser.add_argument("variant", type=Path)
    parser.add_argument("--noise", type=float, default=0.08)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_variant(options.original, options.variant, noise=options.noise, seed=options.seed)


if __name__ == "__main__":
    main()
