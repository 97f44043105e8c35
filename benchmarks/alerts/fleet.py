"""A simulated fleet: hourly scores of targets with realistic noise, and what happens to their endpoints in a year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.simulate import HOUR_S, HOURLY, K, noise
from driftwatch.detect import Episode, budget, watchers
from driftwatch.domain import Canary, Kind, Message, Outcome, Target
from driftwatch.judgement import specs

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday: the first watched run. The calibration is the week before."""

OWNERS = ("ana", "ben", "chen", "dora", "eli", "fay")
PROVIDERS = ("openai", "anthropic", "gemini", "mistral", "groq")
NOISES = ("1.6 × overdispersed", "AR(.7) run effects")
SHIFT = 0.2
"""What a change adds to three behaviour channels: three standard deviations of one run's score."""
SINGLE_FAILURES = 0.002
"""Share of runs that fail for no reason that lasts: nobody should hear of these."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that really happens: what a message may be about without being a false alarm."""

    name: str
    kind: Kind
    targets: Sequence[str]
    since: datetime
    until: datetime
    outcome: Outcome | None = None
    """How requests end; None: they are answered otherwise."""
    every: tuple[timedelta, timedelta] | None = None
    """How long it is there and away in turn; None: all the time."""
    is_accepted: bool = False
    """Whether the owner makes it normal, a working day after hearing of it."""

    def is_on(self, target: str, at: datetime) -> bool:
        """Whether it is there."""
        if target not in self.targets or not self.since <= at < self.until:
            return False
        return self.every is None or (at - self.since) % sum(self.every, timedelta()) < self.every[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """A fleet and what happens to it."""

    targets: Sequence[Target]
    n_hours: int
    troubles: Sequence[Trouble]
    slack_is_dead: tuple[datetime, datetime]
    """Nothing is delivered between these."""

    @property
    def end(self) -> datetime:
        """After the last run."""
        return BEGIN + timedelta(hours=self.n_hours)

    def runs_at(self, number: int, hour: int) -> datetime:
        """When a target's run of an hour is due; targets are spread over the hour."""
        return BEGIN + timedelta(hours=hour, seconds=HOUR_S * number / len(self.targets))


def plan(n_targets: int, n_days: int, *, is_one_channel: bool = False) -> Year:
    """A fleet over some days, its troubles spread over them: seven weeks at least.

    Each owner has a channel of their own, or all share one.
    """
    canaries = tuple(
        Canary(id=f"shop/{name}", suite="shop", messages=(Message(role="user", content=f"about {name}"),))
        for name in ("refund", "greeting")
    )
    targets = [
        Target(
            name=f"{OWNERS[n % len(OWNERS)]}-{n:02}",
            provider=PROVIDERS[n % len(PROVIDERS)],
            model="m-1",
            canaries=canaries,
            threshold=budget.threshold(runs_per_year=HOURLY, chance_of_any_per_year=0.1, n_kinds=2),
            owner=OWNERS[n % len(OWNERS)],
            receivers=("slack-all" if is_one_channel else f"slack-{OWNERS[n % len(OWNERS)]}",),
        )
        for n in range(n_targets)
    ]
    by_provider = {provider: [t.name for t in targets if t.provider == provider] for provider in PROVIDERS}

    def on(share: float, weekday: int, hour: float) -> datetime:
        """That weekday, Monday 0, of the week at a share of the time."""
        return BEGIN + timedelta(days=7 * int(share * n_days / 7) + weekday, hours=hour)

    saturday = on(0.75, 5, 0)
    troubles = (
        Trouble(
            name="a provider serves eight targets a smaller model for four days",
            kind=Kind.BEHAVIOUR,
            targets=by_provider["openai"][:8],
            since=on(0.15, 1, 10),
            until=on(0.15, 5, 10),
        ),
        Trouble(
            name="the key of three targets expires, and is renewed in the morning",
            kind=Kind.WATCH_ITSELF,
            targets=[name for name in by_provider["gemini"] if name.startswith(("ana", "ben", "chen"))][:3],
            since=on(0.3, 2, 3),
            until=on(0.3, 2, 9.5),
            outcome=Outcome.AUTH,
        ),
        Trouble(
            name="a provider is down for three hours",
            kind=Kind.AVAILABILITY,
            targets=by_provider["anthropic"],
            since=on(0.45, 3, 13),
            until=on(0.45, 3, 16),
            outcome=Outcome.UNAVAILABLE,
        ),
        Trouble(
            name="a provider is down for twenty minutes",
            kind=Kind.AVAILABILITY,
            targets=by_provider["mistral"],
            since=on(0.55, 0, 11),
            until=on(0.55, 0, 11.34),
            outcome=Outcome.UNAVAILABLE,
        ),
        Trouble(
            name="one target is served another model for good",
            kind=Kind.BEHAVIOUR,
            targets=by_provider["mistral"][1:2],
            since=on(0.62, 0, 15),
            until=BEGIN + timedelta(days=n_days),
            is_accepted=True,
        ),
        Trouble(
            name="a provider comes and goes for a day, on the weekend of the dead Slack",
            kind=Kind.AVAILABILITY,
            targets=by_provider["groq"],
            since=saturday + timedelta(hours=2),
            until=saturday + timedelta(hours=26),
            outcome=Outcome.TIMEOUT,
            every=(timedelta(hours=3), timedelta(hours=2)),
        ),
    )
    return Year(
        targets=targets,
        n_hours=24 * n_days,
        troubles=troubles,
        slack_is_dead=(saturday - timedelta(hours=6), saturday + timedelta(hours=55)),
    )


@dataclass(slots=True, kw_only=True)
class Watched:
    """A target's year, judged in memory: what the pipeline would find at each run."""

    target: Target
    at: Sequence[datetime]
    outcomes: Sequence[Outcome | None]
    """Of the run's requests; None where they were answered."""
    evidence: Mapping[Kind, Floats]
    episodes: Mapping[Kind, Sequence[Episode]]
    scores: Mapping[str, Floats]
    calibration: Mapping[str, Floats]
    leading: Sequence[str]
    """Channels that a change moves."""
    drifted: Mapping[Kind, NDArray[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        """Unfold the episodes into runs."""
        self.drifted = {}
        for kind, episodes in self.episodes.items():
            flags = np.zeros(len(self.at), dtype=np.bool_)
            for episode in episodes:
                flags[episode.alarm : episode.recovery] = True
            self.drifted = {**self.drifted, kind: flags}

    def episode(self, kind: Kind, hour: int) -> Episode | None:
        """The stretch of drift that stands after a run."""
        found = self.episodes[kind]
        return next((e for e in found if e.alarm <= hour and (e.recovery is None or hour < e.recovery)), None)


def watch(year: Year, number: int, *, seed: int, accepted_at: datetime | None = None) -> Watched:
    """A target's year.

    Args:
        year: the plan.
        number: of the target.
        seed: of the noise.
        accepted_at: when its owner makes what it serves by then normal; the week after is the new calibration, in which
            nothing alarms.
    """
    target = year.targets[number]
    channels = specs()
    rng = np.random.default_rng([seed, number])
    drawn = noise(rng, K + year.n_hours, NOISES[number % len(NOISES)], n_channels=len(channels))
    at = [year.runs_at(number, hour) for hour in range(year.n_hours)]
    behaviour = [n for n, spec in enumerate(channels) if spec.kind is Kind.BEHAVIOUR][:3]
    outcomes: list[Outcome | None] = [None] * year.n_hours
    fails = rng.random(year.n_hours) < SINGLE_FAILURES
    for hour, moment in enumerate(at):
        on = [trouble for trouble in year.troubles if trouble.is_on(target.name, moment)]
        outcomes[hour] = next((t.outcome for t in on if t.outcome), Outcome.TIMEOUT if fails[hour] else None)
        if any(trouble.outcome is None for trouble in on):
            drawn[K + hour, behaviour] += SHIFT
        if outcomes[hour] is not None:
            drawn[K + hour] = np.nan
    scores = {spec.name: np.clip(drawn[:, n], 0, 1) for n, spec in enumerate(channels)}
    times = np.array([BEGIN.timestamp() + HOUR_S * hour for hour in range(-K, year.n_hours)])
    cut = year.n_hours if accepted_at is None else sum(moment < accepted_at for moment in at)
    evidence = {kind: np.zeros(year.n_hours) for kind in {spec.kind for spec in channels}}
    episodes: dict[Kind, list[Episode]] = {kind: [] for kind in evidence}
    for begin, end in ((0, cut), (cut + K, year.n_hours)):
        if begin >= end:
            continue
        found = watchers(
            {name: column[begin : begin + K] for name, column in scores.items()},
            channels,
            threshold=target.threshold,
            seed=seed,
            calibrated_at=times[begin : begin + K],
        )
        for kind, watcher in found.items():
            window = {name: column[begin + K : end + K] for name, column in scores.items()}
            evidence[kind][begin:end] = watcher.extend(window, times[begin + K : end + K])
            episodes[kind] += [_moved(episode, begin, end) for episode in watcher.episodes]
    return Watched(
        target=target,
        at=at,
        outcomes=outcomes,
        evidence=evidence,
        episodes=episodes,
        scores={name: column[K:] for name, column in scores.items()},
        calibration={name: column[:K] for name, column in scores.items()},
        leading=[channels[n].name for n in behaviour],
    )


def _moved(episode: Episode, begin: int, end: int) -> Episode:
    """As positions in the year; what an acceptance cuts off is over."""
    over = end if episode.recovery is None else begin + episode.recovery
    return replace(episode, onset=begin + episode.onset, alarm=begin + episode.alarm, recovery=over)
