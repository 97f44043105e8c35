"""Fireworks's server of chat completions.

Source: Fireworks, "OpenAI compatibility", https://docs.fireworks.ai/tools-sdks/openai-compatibility; 2026-11.
"""

from __future__ import annotations

from benchmarks.vendors.openai_compatible import ChatVendor


class FireworksVendor(ChatVendor):
    """The compatible one at another path."""

    base_path = "/inference/v1"


VENDOR = FireworksVendor()
