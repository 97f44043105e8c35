"""DeepSeek's server of chat completions.

Source: DeepSeek, "Your First API Call", https://api-docs.deepseek.com; 2026-11.
"""

from __future__ import annotations

from benchmarks.vendors.openai_compatible import ChatVendor


class DeepSeekVendor(ChatVendor):
    """The compatible one at the root."""

    base_path = ""


VENDOR = DeepSeekVendor()
