"""Micro probes: find, within a stated number of requests, the one-token prompts on which an endpoint shows a change."""

from __future__ import annotations

from driftwatch.probes.abilities import Abilities
from driftwatch.probes.asking import Asker
from driftwatch.probes.candidates import candidate
from driftwatch.probes.search import KINDS, Discovery, Probe, discover
from driftwatch.probes.writing import suite_name, suite_text

__all__ = [
    "KINDS",
    "Abilities",
    "Asker",
    "Discovery",
    "Probe",
    "candidate",
    "discover",
    "suite_name",
    "suite_text",
]
