"""Writes the tables of docs/providers.md from the code: ``python -m benchmarks.vendors.page --write``.

What a wire tells and lacks is what its vendor's side here says, so that the page cannot promise more than is tested.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.page import publish
from benchmarks.vendors.wire import vendor
from driftwatch.config import yaml_of
from driftwatch.providers import PROVIDERS
from driftwatch.providers.asked import COMMON_PARAMETERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.md"

SERVED = {name: entry for name, entry in PROVIDERS.items() if name != "simulated"}

TOLD = {
    "model": "model",
    "tokens": "output_tokens",
    "cached": "cached_tokens",
    "reasoning": "reasoning_tokens",
    "fingerprint": "fingerprint",
    "upstream": "upstream",
    "logprobs": "logprobs",
}
"""Column → field of what a vendor says."""

NOTHING = "–"


def providers() -> str:
    """Which there are, and what each brings along."""

    def row(name: str) -> list[str]:
        entry = SERVED[name]
        address, key = _code(entry.base_url), _code(entry.key_env)
        return [f"`{name}`", entry.about, address, key, entry.extra or NOTHING]

    return _table(["provider", "whose API", "address", "key", "extra"], map(row, SERVED))


def facts() -> str:
    """What each tells, and what has no place."""

    def row(name: str) -> list[str]:
        if name == "http":  # what its vendor's options show is one template of many
            paths, template = "if a path says where", "what the request has no place for"
            return ["`http`", paths, paths, *[NOTHING] * 5, "with `stream_text`", template, template]
        spoken = vendor(name)
        told = ["yes" if field in spoken.tells else NOTHING for field in TOLD.values()]
        streams = NOTHING if "stream" in spoken.cannot else "yes"
        return [f"`{name}`", *told, streams, _codes(spoken.lacks), _codes(spoken.cannot - {"stream"})]

    return _table(["provider", *TOLD, "stream", "not sent", "cannot ask"], map(row, SERVED))


def options() -> str:
    """What each needs beside the common keys."""
    rows = (
        [
            f"`{name}`",
            f"`{key}`{' (required)' if option.is_required else ''}",
            re.sub(r"(\{\{[\w.]+\}\})", r"`\1`", option.about),
            f"`{yaml_of(option.example)}`",
        ]
        for name, entry in SERVED.items()
        for key, option in entry.options.items()
    )
    return _table(["provider", "option", "what it says", "example"], rows)


def parameters() -> str:
    """The vocabulary in which sampling is configured."""
    return f"{_codes(COMMON_PARAMETERS)}."


MADE: Mapping[str, Callable[[], str]] = {
    "providers": providers,
    "facts": facts,
    "options": options,
    "parameters": parameters,
}
"""Name of a pair of markers in the page → what stands between them."""


def _code(text: str | None) -> str:
    return f"`{text}`" if text else NOTHING


def _codes(words: Iterable[str]) -> str:
    return ", ".join(map(_code, sorted(words))) or NOTHING


def _table(heads: list[str], body: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *body])


if __name__ == "__main__":
    for name, make in MADE.items():
        publish(name, make(), write="--write" in sys.argv, page=PAGE)
