"""How a recording looks, in words for a command's help."""

from __future__ import annotations

FORMAT_EXAMPLE = '{"prompt_id": "capital", "prompt": "…", "output": "…", "ts": "2026-03-02T09:00:00Z"}'
"""One line of a recording; ``read_recording`` tells every key."""

FORMAT_HELP = (
    "A file holds one JSON object per line, one line per reply:\n\n"
    f"{FORMAT_EXAMPLE}\n\n"
    "Only prompt_id and output are needed. Optional: prompt (a text, or a list of messages), ts (with a time zone, or "
    "seconds since 1970), run, sample_idx, model, temperature, latency_s, out_tokens, in_tokens, finish_reason, "
    "served_model, fingerprint, logprobs, outcome, and error for a request that failed. Other keys are passed over."
)
"""Paragraphs for ``-h``, without any markup."""
