"""xAI's server of chat completions, as the compatible one.

Source: xAI, "Overview", https://docs.x.ai/api; 2026-11.
"""

from __future__ import annotations

from benchmarks.vendors.openai_compatible import ChatVendor

VENDOR = ChatVendor()
