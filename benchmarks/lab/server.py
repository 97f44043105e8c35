"""Serve one GGUF file over the chat-completions wire on the loopback interface until told to stop.

Run as ``python server.py WEIGHTS.gguf --alias NAME --port PORT``: a real model behind a real socket, in a process of
its own so that it can be killed and started again with other weights, or other settings, under the same name and
address. The options beyond the weights are what a provider can change without a client noticing.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import xllamacpp
from gguf import GGUFReader

CACHE_TYPES = {
    "q8_0": xllamacpp.ggml_type.GGML_TYPE_Q8_0,
    "q4_0": xllamacpp.ggml_type.GGML_TYPE_Q4_0,
}
"""Formats of the key-value cache besides the default of 16-bit floats."""

TOKENS_PER_SLOT = 512


def parameters(options: argparse.Namespace) -> xllamacpp.CommonParams:
    """What llama.cpp's server is started with."""
    asked = xllamacpp.CommonParams()
    asked.model.path = str(options.weights)
    asked.model_alias = {options.alias}
    asked.hostnames = ["127.0.0.1"]
    asked.port = options.port
    asked.n_parallel = options.slots
    asked.n_ctx = max(4096, TOKENS_PER_SLOT * options.slots)
    asked.cpuparams.n_threads = options.threads
    asked.cpuparams_batch.n_threads = options.threads
    # A prompt that shares its beginning with an earlier one would else be continued from the cached state, whose
    # rounding depends on what was asked before: replies must depend on the request and the weights alone.
    asked.cache_prompt = False
    asked.cache_ram_mib = 0
    asked.ui = False
    asked.verbosity = 1
    if options.kv_cache:
        asked.cache_type_k = asked.cache_type_v = CACHE_TYPES[options.kv_cache]
    if options.plain_attention:
        asked.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if options.lora:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = str(options.lora), 1.0
        asked.lora_adapters = [adapter]
    if options.hidden_prompt:
        asked.chat_template = with_hidden_prompt(options.weights, options.hidden_prompt)
    return asked


def with_hidden_prompt(weights: Path, sentence: str) -> str:
    """The model's own chat template with a sentence more in the system prompt that it adds by itself.

    Raises:
        ValueError: the template adds no system prompt where this looks for it.
    """
    template = str(GGUFReader(weights, "r").fields["tokenizer.chat_template"].contents())
    end_of_system_prompt = "trained by Hugging Face<|im_end|>"
    if end_of_system_prompt not in template:
        raise ValueError("the chat template has no system prompt of its own to add to")
    return template.replace(end_of_system_prompt, f"trained by Hugging Face. {sentence}<|im_end|>")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    # Two threads wait for each other in busy loops: five times slower than one as soon as a neighbour needs a core.
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--lora", type=Path)
    parser.add_argument("--kv-cache", choices=sorted(CACHE_TYPES))
    parser.add_argument("--plain-attention", action="store_true", help="without the fused attention kernel")
    parser.add_argument("--hidden-prompt", help="a sentence added to the system prompt on the server's side")
    options = parser.parse_args()
    server = xllamacpp.Server(parameters(options))
    print(f"serving {options.alias} at {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
