"""Ask prompts of one endpoint, never more often than was agreed to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftwatch.domain import Canary, Completion, Json, Message, Target
from driftwatch.providers import Provider
from driftwatch.replay import Gate, RetryPolicy, replay

BATCH = 16
"""Requests after which it is seen whether the endpoint still answers; the most that an outage costs."""


class Asker:
    """One endpoint and what may still be spent on it.

    Args:
        target: whose model, address and parameters are used.
        provider: who is asked.
        gate: bounds the requests in flight.
        at: the time that stands for now, aware UTC.
        deadline_s: seconds for each batch.
        n_requests: how many requests may be made in all; a request that fails has been made.
        on_completion: called with every reply and failure as it comes.
    """

    def __init__(
        self,
        target: Target,
        provider: Provider,
        gate: Gate,
        *,
        at: datetime,
        deadline_s: float,
        n_requests: int,
        on_completion: Callable[[Completion], None] | None = None,
    ) -> None:
        self.target, self._provider, self._gate, self._at = target, provider, gate, at
        self._deadline_s = deadline_s
        self._n_requests = n_requests
        self._on_completion = on_completion
        self.spent = 0
        self.trouble: str | None = None
        """Why nothing more is asked, in one sentence: every request of a batch failed."""

    @property
    def left(self) -> int:
        """Requests that may still be made; 0 once the endpoint has stopped to answer."""
        return 0 if self.trouble else self._n_requests - self.spent

    async def one(self, prompt: str, parameters: Mapping[str, Json]) -> Completion | None:
        """Ask once; None when nothing may be spent any more. A failure is no trouble yet."""
        if self.left < 1:
            return None
        [completion] = await self._replay([_canary(prompt, parameters)], 1)
        return completion

    async def ask(
        self, prompts: Sequence[str], parameters: Mapping[str, Json], *, times: int = 1
    ) -> dict[str, list[Completion]]:
        """Ask every prompt so many times.

        Returns:
            Prompt → its replies, failures left out; a prompt that the budget has no room for is absent.
        """
        replies: dict[str, list[Completion]] = {}
        waiting = list(dict.fromkeys(prompts))
        per_batch = max(1, BATCH // times)
        while waiting and self.left >= times:
            batch = waiting[: min(per_batch, self.left // times)]
            waiting = waiting[len(batch) :]
            completions = await self._replay([_canary(prompt, parameters) for prompt in batch], times)
            for i, prompt in enumerate(batch):
                replies[prompt] = [c for c in completions[i * times : (i + 1) * times] if c.is_ok]
            if not any(completion.is_ok for completion in completions):
                self.trouble = completions[-1].error or completions[-1].outcome.value
        return replies

    async def _replay(self, canaries: Sequence[Canary], times: int) -> tuple[Completion, ...]:
        # A moment of its own for each batch: a simulated endpoint answers the same question of the same moment alike.
        at = self._at + timedelta(seconds=self.spent)
        self.spent += len(canaries) * times
        return await replay(
            replace(self.target, canaries=tuple(canaries)),
            self._provider,
            at=at,
            gate=self._gate,
            retry=RetryPolicy(attempts=1),  # a second attempt would be a request that nobody agreed to
            deadline_s=self._deadline_s,
            repeats=times,
            on_completion=self._on_completion,
        )


def _canary(prompt: str, parameters: Mapping[str, Json]) -> Canary:
    return Canary(
        id=f"probes/{prompt}", suite="probes", messages=(Message(role="user", content=prompt),), parameters=parameters
    )
