"""An endpoint that exists only in a script, so that months of drift can be rehearsed without a key or a socket.

Every completion is a pure function of (seed, target name, canary hash, repeat, at): asking again gives the same reply,
other repeats and runs are independent of it. Nothing is drawn from a stream of random numbers; each draw is a hash of
what it is for, so the order of requests does not matter.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from statistics import NormalDist

from driftwatch.domain import Canary, Completion, Json, Outcome, Target, ToolCall
from driftwatch.errors import (
    ConfigError,
    ModelGone,
    ProviderConnection,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    ReplyUnreadable,
)
from driftwatch.providers.connection import Connection
from driftwatch.providers.lexicon import REFUSALS, Draw, made_up, n_variants
from driftwatch.providers.script import Fault, Persona, ToolAnswer, load_script, validate_script

__all__ = ["Simulated", "load_script", "validate_script"]

TOKENS_PER_WORD = 1.3
"""Source: OpenAI, "What are tokens", https://help.openai.com/en/articles/4936856, 2026-11: about ¾ word a token."""
TTFT_SHARE = 0.3
"""Time to the first token as a share of the latency, for targets that stream; an arbitrary round figure."""

_ERRORS: Mapping[Outcome, type[ProviderError]] = {
    Outcome.TIMEOUT: ProviderTimeout,
    Outcome.CONNECTION: ProviderConnection,
    Outcome.RATE_LIMITED: RateLimited,
    Outcome.UNAVAILABLE: ProviderUnavailable,
    Outcome.AUTH: ProviderRejected,
    Outcome.QUOTA: ProviderRejected,
    Outcome.FILTERED: ProviderRejected,
    Outcome.REJECTED: ProviderRejected,
    Outcome.MODEL_GONE: ModelGone,
}
"""Outcomes not named here are a ReplyUnreadable."""


class Simulated:
    """A scripted endpoint.

    Args:
        connection: only ``script`` is read.

    Raises:
        ConfigError: the script is missing or not valid.
    """

    unsent: frozenset[str] = frozenset()

    def __init__(self, connection: Connection) -> None:
        if connection.script is None:
            raise ConfigError(
                "a simulated target needs a script", key="script", instead="write script: path/to/script.yaml"
            )
        self._script = validate_script(connection.script)

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        """Ask one canary once; see ``driftwatch.providers.connection.Provider``."""
        canary_hash = canary.content_hash
        draw = _drawing(self._script.seed, target.name, canary_hash, repeat, at.isoformat())
        self._fail_if_scripted(at, draw)
        name = self._persona_at(at, draw)
        persona = self._script.personas[name]
        # NormalDist.inv_cdf is not defined at 0.
        z = NormalDist().inv_cdf(max(draw("latency"), 2.0**-53))
        latency_s = persona.latency_s * math.exp(persona.latency_spread * z)
        answer = self._answer(persona, name, canary, at, draw)
        if self._script.wait:
            await asyncio.sleep(latency_s)
        text, calls = _served(answer, draw)
        words_out = text or "".join(call.name + call.arguments for call in calls)
        return Completion(
            canary_id=canary.id,
            canary_hash=canary_hash,
            repeat=repeat,
            outcome=Outcome.OK,
            at=at,
            latency_s=latency_s,
            text=text,
            finish_reason="tool_calls" if calls else "stop",
            tool_calls=calls,
            input_tokens=persona.extra_input_tokens + _tokens(" ".join(m.content for m in canary.messages)),
            output_tokens=_tokens(words_out),
            ttft_s=latency_s * TTFT_SHARE if target.stream else None,
            served_model=persona.served_model or target.model,
            fingerprint=persona.fingerprint,
            request_id=f"sim-{int(draw('request') * 2**48):012x}",
        )

    async def aclose(self) -> None:
        """Nothing to close."""

    def _fail_if_scripted(self, at: datetime, draw: Draw) -> None:
        for index, fault in enumerate(self._script.faults):
            is_on = fault.start_at <= at and (fault.end_at is None or at < fault.end_at)
            if is_on and draw(f"fault/{index}") < fault.share:
                raise _error(fault)

    def _persona_at(self, at: datetime, draw: Draw) -> str:
        # Every change takes its share from whatever was served before it.
        name = self._script.start
        for index, change in enumerate(self._script.changes):
            if change.at <= at and draw(f"change/{index}") < change.share:
                name = change.persona
        return name

    def _answer(self, persona: Persona, name: str, canary: Canary, at: datetime, draw: Draw) -> str | ToolAnswer:
        if draw("refusal") < persona.refusal_rate:
            return REFUSALS[int(draw("which refusal") * len(REFUSALS))]
        scripted = persona.answers.get(canary.id)
        # The answers belong to canary and persona: the same ones for every target, repeat and run.
        invent = _drawing(self._script.seed, name, canary.id)
        n = len(scripted) if scripted else n_variants(invent)
        variant = _variant(persona, n, at, draw)
        answer: Json = scripted[variant] if scripted else made_up(canary, variant, invent)
        if isinstance(answer, dict):
            answer = ToolAnswer.model_validate(answer)
        if isinstance(answer, str) and draw("json") < persona.json_broken_rate and _is_json(answer):
            return answer.rstrip()[:-1]  # without its closing bracket
        return answer  # type: ignore[no-any-return]  # made_up returns a text or the mapping handled above


def _variant(persona: Persona, n: int, at: datetime, draw: Draw) -> int:
    # diurnal: the share of requests that get the last variant swings between 0 (18 h UTC) and `diurnal` (6 h UTC).
    hour = at.hour + at.minute / 60
    if draw("diurnal") < persona.diurnal * (1 + math.sin(2 * math.pi * hour / 24)) / 2:
        return n - 1
    return int(draw("variant") * n) if draw("variety") < persona.variety else 0


def _served(answer: str | ToolAnswer, draw: Draw) -> tuple[str, tuple[ToolCall, ...]]:
    if isinstance(answer, str):
        return answer, ()
    call = ToolCall(
        name=answer.tool, arguments=json.dumps(answer.arguments), id=f"call_{int(draw('call') * 2**48):012x}"
    )
    return "", (call,)


def _error(fault: Fault) -> ProviderError:
    kind = _ERRORS.get(fault.outcome, ReplyUnreadable)
    sentence = f"the script says: {fault.outcome.value.replace('_', ' ')}"
    # 0 s unless the script asks otherwise: a simulated week must not wait out real back-offs.
    return kind(sentence, outcome=fault.outcome, retry_after_s=fault.retry_after_s)


def _drawing(*what: Json) -> Draw:
    """Make a source of independent uniform numbers in [0, 1), one for each label."""
    key = hashlib.blake2b(json.dumps(what).encode(), digest_size=32).digest()

    def draw(label: str) -> float:
        digest = hashlib.blake2b(label.encode(), key=key, digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) / 2**53  # 53 bits: every value is an exact float below 1

    return draw


def _tokens(text: str) -> int:
    return max(1, round(len(text.split()) * TOKENS_PER_WORD))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def open_provider(connection: Connection) -> Simulated:
    """Open it.

    Raises:
        ConfigError: there is no script, or it is wrong.
    """
    return Simulated(connection)
