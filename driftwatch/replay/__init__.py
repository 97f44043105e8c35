"""Asks an endpoint a target's canaries and turns every reply, and every failure, into a Completion.

``asking`` makes a run, ``gate`` decides when a request may be sent, ``rates`` how many a minute, ``quotas`` how many
more the endpoint allows and ``headers`` how it tells, ``retries`` how often a failure may be asked again, ``timing`` by
which clock.
"""

from __future__ import annotations

from driftwatch.replay.asking import Allowance, replay
from driftwatch.replay.gate import Gate
from driftwatch.replay.rates import Limits
from driftwatch.replay.retries import RetryPolicy
from driftwatch.replay.timing import SimulatedTime, Timing

__all__ = ["Allowance", "Gate", "Limits", "RetryPolicy", "SimulatedTime", "Timing", "replay"]
