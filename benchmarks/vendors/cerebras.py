"""Cerebras's server of chat completions, as the compatible one.

Source: the request types of Cerebras' SDK 1.91; 2026-11.
"""

from __future__ import annotations

from benchmarks.vendors.openai_compatible import ChatVendor

VENDOR = ChatVendor()
