"""Write what was found as a suite file that a person can read and review."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime

from driftwatch.canaries import parse_suite
from driftwatch.domain import Json, Target
from driftwatch.probes.search import Discovery, Probe

_HEADINGS = {
    "border": "Border inputs: two first tokens are nearly tied; a small change of weights flips the greedy one.",
    "words": "One-word prompts: the answer is drawn anew each time, and how often each one comes is compared.",
    "logprob": "Log-probability probes: what the endpoint says of its likeliest first tokens is compared.",
}

_LONGEST_NAME = 57
"""A suite's name has 64 characters at most, ``probes-`` included."""


def suite_name(target: str) -> str:
    """The name of the suite with a target's probes.

    >>> suite_name("Support_bot.EU")
    'probes-support-bot-eu'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", target.lower())[:_LONGEST_NAME].strip("-")
    return f"probes-{slug or 'target'}"


def suite_text(discovery: Discovery, target: Target, *, seed: int, at: datetime) -> str:
    """The suite as YAML, with comments on why each probe is there. It is loaded once before it is returned.

    Args:
        discovery: with one probe at least.
        target: whose endpoint was asked.
        seed: the search's.
        at: when it was made, aware UTC.
    """
    lines = [
        f"# One-token probes for the endpoint of target {target.name}, model {target.model}.",
        f"# Found by `driftwatch probes discover` on {at:%Y-%m-%d} with {discovery.n_requests} requests, seed {seed}.",
        "# They belong to the weights they were found on: after a swap, discover new ones.",
        *(f"# - {_comment(note)}" for note in discovery.abilities.notes),
        f"suite: {suite_name(target.name)}",
        f"description: {_quoted(f'One-token probes discovered on {target.model}.')}",
        "canaries:",
    ]
    for kind, heading in _HEADINGS.items():
        found = [probe for probe in discovery.probes if probe.kind == kind]
        lines += ["", f"  # {heading}"] if found else []
        for number, probe in enumerate(found, 1):
            lines += _entry(f"{kind}-{number}", probe)
    text = "\n".join(lines) + "\n"
    parse_suite(text, "the discovered suite")
    return text


def _entry(name: str, probe: Probe) -> list[str]:
    counts = {"repeats": probe.repeats, "anchors": probe.anchors}
    return [
        f"  - id: {name}",
        f"    reason: {_quoted(probe.reason)}",
        f"    prompt: {_quoted(probe.prompt)}",
        f"    parameters: {_flow(probe.parameters)}",
        *(f"    {key}: {count}" for key, count in counts.items() if count is not None),
    ]


def _flow(parameters: Mapping[str, Json]) -> str:
    return "{" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in parameters.items()) + "}"


def _quoted(text: str) -> str:
    # JSON's text is YAML's double-quoted text; escaped, so that what an endpoint said cannot break the line.
    return json.dumps(text)


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
