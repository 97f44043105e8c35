"""How each target is reached: which of them share a provider, and which a gate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack

from driftwatch import wiring
from driftwatch.clock import Clock, SimulatedClock
from driftwatch.config import Settings, TargetSettings
from driftwatch.domain import Target, content_hash
from driftwatch.pipeline import Line
from driftwatch.providers import Provider
from driftwatch.replay import Gate, Limits, RetryPolicy, SimulatedTime

_WHOSE = frozenset({"provider", "base_url", "api_key_env", "api_key_file"})
_REACHED_BY = _WHOSE | {
    "headers", "options", "timeout_s", "connect_timeout_s", "read_timeout_s", "proxy_env", "ca_file",
    "requests_per_connection", "script",
}  # fmt: skip
"""Keys of a target that its connection is made of."""
_WHERE = frozenset({"region", "project", "location", "profile", "auth"})
"""Options that choose the account or the endpoint; versions, upstreams and templates do not."""


class Lines:
    """Opens what the targets need, once each.

    Args:
        settings: say how the targets are reached and paced.
        env: where secrets are read from when they are used.
        clock: of the watch; a simulated one makes the gates' waits take no time.
    """

    def __init__(self, settings: Settings, env: Mapping[str, str], clock: Clock) -> None:
        self._settings, self._env, self._clock = settings, env, clock
        self._providers: dict[str, Provider] = {}
        self._gates: dict[str, Gate] = {}

    def of(self, target: Target) -> Line:
        """The line of a target.

        Raises:
            ConfigError: its provider cannot be opened as configured.
        """
        wanted = self._settings.targets[target.name]
        return Line(
            provider=self._provider(target),
            gate=self._gate(target),
            retry=RetryPolicy(attempts=wanted.attempts),
            deadline_s=max(120.0, 0.8 * target.interval_s),
            price=wiring.price(wanted, target),
        )

    async def close(self) -> None:
        """Release all connections."""
        async with AsyncExitStack() as each:  # one that fails leaves no other open
            for provider in self._providers.values():
                each.push_async_callback(provider.aclose)

    def _provider(self, target: Target) -> Provider:
        # Targets that are reached alike share a provider: its connections and its certificates are what a target costs
        # in memory, and there may be a thousand of them.
        reached = _named_by(self._settings.targets[target.name], _REACHED_BY)
        if reached not in self._providers:
            self._providers[reached] = wiring.provider(target, self._settings, self._env)
        return self._providers[reached]

    def _gate(self, target: Target) -> Gate:
        """One gate for all targets of an endpoint and key, as wide and as fast as the most careful of them asks."""
        whom = _limited_by(self._settings.targets[target.name])
        if whom not in self._gates:
            siblings = [other for other in self._settings.targets.values() if _limited_by(other) == whom]
            requests = [s.limits.requests_per_minute for s in siblings if s.limits.requests_per_minute is not None]
            tokens = [s.limits.tokens_per_minute for s in siblings if s.limits.tokens_per_minute is not None]
            self._gates[whom] = Gate(
                min(sibling.concurrency for sibling in siblings),
                limits=Limits(
                    requests_per_minute=min(requests, default=None), tokens_per_minute=min(tokens, default=None)
                ),
                timing=SimulatedTime(self._clock) if isinstance(self._clock, SimulatedClock) else None,
            )
        return self._gates[whom]


def _limited_by(wanted: TargetSettings) -> str:
    """Names those whose limits a target's requests count towards: an endpoint and a key.

    Extra headers divide nothing unless they are all there is to hold a key: two gates over one account would ask twice
    as fast as it allows, one gate over two only asks more slowly than it could.
    """
    has_key = wanted.api_key_env or wanted.api_key_file
    whose = wanted.model_dump(mode="json", include=set(_WHOSE if has_key else _WHOSE | {"headers"}))
    return content_hash({**whose, "options": {name: wanted.options[name] for name in _WHERE & wanted.options.keys()}})


def _named_by(wanted: TargetSettings, keys: Collection[str]) -> str:
    return content_hash(wanted.model_dump(mode="json", include=set(keys)))
