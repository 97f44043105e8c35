"""Ollama's server of chat completions, as the compatible one."""

from __future__ import annotations

from benchmarks.vendors.openai_compatible import ChatVendor

VENDOR = ChatVendor()
