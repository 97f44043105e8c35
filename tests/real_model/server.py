"""Serve one GGUF file over the chat-completions wire on the loopback interface until told to stop.

Run as ``python server.py WEIGHTS.gguf --alias NAME --port PORT``: a real model behind a real socket, in a process of
its own so that it can be killed and started again with other weights under the same name and address.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import xllamacpp


def serve(weights: Path, *, alias: str, port: int, n_threads: int) -> xllamacpp.Server:
    """Start llama.cpp's HTTP server; it answers as long as the returned object lives."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {alias}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = 4096
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = n_threads
    parameters.cpuparams_batch.n_threads = n_threads
    # A prompt that shares its beginning with an earlier one would else be continued from the cached state, whose
    # rounding depends on what was asked before: replies must depend on the request and the weights alone.
    parameters.cache_prompt = False
    parameters.cache_ram_mib = 0
    parameters.ui = False
    parameters.verbosity = 1
    return xllamacpp.Server(parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    # Two threads wait for each other in busy loops: five times slower than one as soon as a neighbour needs a core.
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    server = serve(options.weights, alias=options.alias, port=options.port, n_threads=options.threads)
    print(f"serving {options.alias} at {server.listening_address}", flush=True)  # noqa: T201 - a program of its own
    signal.pause()


if __name__ == "__main__":
    main()
