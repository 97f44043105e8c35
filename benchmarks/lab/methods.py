"""Ways to ask "has it changed?" within a budget of tokens: driftwatch's and its peers', on the same recordings."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.lab.endpoints import Endpoint, Readings, canary
from benchmarks.lab.recordings import Row
from benchmarks.peers import border_inputs, logprob_tracking
from benchmarks.peers.met import ModelEqualityTesting
from driftwatch.compare.measures import Measured, measure
from driftwatch.detect.permutation import Energy, Layout, permutation_test
from driftwatch.score.channels.logprob import first_token

PERMUTATIONS = 199
"""p is resolved to .005; the level here is .05."""
PEER_PERMUTATIONS = 100
"""For model-equality-testing, whose relabellings take a second each; enough for α = .05."""

Asked: TypeAlias = Mapping[tuple[str, str], int]
"""(task, prompt id) → how often it is asked on each side."""
Sides: TypeAlias = Mapping[tuple[str, str], tuple[Sequence[Row], Sequence[Row]]]
"""(task, prompt id) → replies of the left and of the right."""
Plan: TypeAlias = Callable[[Endpoint, int, np.random.Generator], Asked]
"""(reference endpoint, tokens per side, rng) → what to ask."""
Decide: TypeAlias = Callable[[Sides, Readings, int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to spend a budget and to decide."""

    name: str
    ours: bool
    at_zero: bool
    """Whether all it asks is asked at temperature 0."""
    is_slow: bool = False
    """Whether one answer takes so long that it is asked for the largest budget only, and half as often."""
    plan: Plan
    decide: Decide
    """(both sides, readings, seed) → p in (0, 1]."""


def ask(asked: Asked, left: Endpoint, right: Endpoint, rng: np.random.Generator) -> Sides:
    """Put a plan to both endpoints.

    Raises:
        TooFew: the recordings do not hold as much.
    """
    return {key: (left.draw(*key, n, rng), right.draw(*key, n, rng)) for key, n in asked.items() if n}


def tokens(sides: Sides) -> float:
    """Tokens sent and received per side, the mean of both."""
    return sum(row.n_tokens for pair in sides.values() for rows in pair for row in rows) / 2


# ---------------------------------------------------------------- what a budget buys


def cost(endpoint: Endpoint, task: str, prompt_id: str) -> float:
    """Mean tokens of one request, sent and received."""
    rows = endpoint.shares[0][1][task, prompt_id]
    return float(np.mean([row.n_tokens for row in rows]))


def spread_over(task: str, *, least: int, prefix: str = "") -> Plan:
    """Ask every prompt of a task equally often; where not all can be asked ``least`` times, as many as can, drawn."""

    def plan(endpoint: Endpoint, budget: int, rng: np.random.Generator) -> Asked:
        keys = sorted(key for key in endpoint.prompts if key[0] == task and key[1].startswith(prefix))
        price = {key: cost(endpoint, *key) for key in keys}
        repeats = int(budget // sum(price.values())) if keys else 0
        if repeats >= least:
            return dict.fromkeys(keys, repeats)
        chosen: dict[tuple[str, str], int] = {}
        left = float(budget)
        for i in rng.permutation(len(keys)):
            if left >= least * price[keys[i]]:
                chosen[keys[i]] = least
                left -= least * price[keys[i]]
        return chosen

    return plan


def suite(endpoint: Endpoint, budget: int, rng: np.random.Generator) -> Asked:
    """A third of the budget for greedy texts, a quarter for border inputs, the rest for texts at T = .8.

    The shares were set before anything was measured with them.
    """
    greedy = spread_over("greedy", least=2)(endpoint, budget // 3, rng)
    border = spread_over("probe", least=2, prefix="border")(endpoint, budget // 4, rng)
    spent = sum(n * cost(endpoint, *key) for those in (greedy, border) for key, n in those.items())
    return {**greedy, **border, **spread_over("sampled", least=1)(endpoint, int(budget - spent), rng)}


# ---------------------------------------------------------------- driftwatch


def comparison(*, with_logprobs: bool) -> Decide:
    """The test of ``driftwatch compare``; optionally with the log-probabilities as one more measure of its max-T."""

    def decide(sides: Sides, readings: Readings, seed: int) -> float:
        pairs = [(canary((left or right)[0]), readings.of(left), readings.of(right)) for left, right in sides.values()]
        measured = measure(pairs)
        statistics = measured.statistics()
        if with_logprobs:
            statistics.append(Energy(name="logprob", distances=[_apart([*a, *b]) for a, b in sides.values()]))
        return permutation_test(measured.layout, statistics, permutations=PERMUTATIONS, seed=seed).p_value

    return decide


_MEASURED: OrderedDict[tuple[int, ...], tuple[Sides, Measured]] = OrderedDict()
_KEPT = 64
"""Sides whose measures are kept: more than the draws of one variant, for the method that asks the same again."""


def _measured(sides: Sides, readings: Readings) -> Measured:
    key = (id(readings), *(id(row) for both in sides.values() for rows in both for row in rows))
    if key not in _MEASURED:
        pairs = [(canary(left[0]), readings.of(left), readings.of(right)) for left, right in sides.values()]
        _MEASURED[key] = (sides, measure(pairs))  # the sides are kept: an id is its own only while a row lives
        if len(_MEASURED) > _KEPT:
            _MEASURED.popitem(last=False)
    return _MEASURED[key][1]


def energy(name: str, between: Callable[[Sequence[Row], Readings], NDArray[np.float64]]) -> Decide:
    """One channel alone, as the energy of its distances within each canary."""

    def decide(sides: Sides, readings: Readings, seed: int) -> float:
        layout = Layout(
            n_left=np.array([len(left) for left, _ in sides.values()]),
            n_right=np.array([len(right) for _, right in sides.values()]),
        )
        distances = [between([*left, *right], readings) for left, right in sides.values()]
        asked = [Energy(name=name, distances=distances)]
        return permutation_test(layout, asked, permutations=PERMUTATIONS, seed=seed).p_value

    return decide


def prefixes(rows: Sequence[Row], readings: Readings) -> NDArray[np.float64]:
    """(n, n) 1 − the shared beginning as a share of the longer opening."""
    openings = [reading.opening for reading in readings.of(rows)]

    def fork(i: int, j: int) -> float:
        one, other = openings[i], openings[j]
        pairs = enumerate(zip(one, other, strict=False))
        shared = next((k for k, (a, b) in pairs if a != b), min(len(one), len(other)))
        return 1.0 - shared / max(len(one), len(other), 1)

    return _between_distinct(rows, fork)


def labels(rows: Sequence[Row], _readings: Readings) -> NDArray[np.float64]:
    """(n, n) 0 for equal replies, else 1."""
    return _between_distinct(rows, lambda i, j: float(rows[i].output != rows[j].output))


def logprobs(rows: Sequence[Row], _readings: Readings) -> NDArray[np.float64]:
    """(n, n) mean absolute difference of the first token's log-probabilities, nats."""
    return _apart(rows)


def _apart(rows: Sequence[Row]) -> NDArray[np.float64]:
    listed = [dict(row.logprobs or ()) for row in rows]
    if not all(listed):
        return np.zeros((len(rows), len(rows)))
    floors = [min(those.values()) for those in listed]

    def shift(i: int, j: int) -> float:
        union = {*listed[i], *listed[j]}
        return float(np.mean([abs(listed[i].get(t, floors[i]) - listed[j].get(t, floors[j])) for t in sorted(union)]))

    return _between_distinct(rows, shift)


def _between_distinct(rows: Sequence[Row], distance: Callable[[int, int], float]) -> NDArray[np.float64]:
    """Distances between rows, each pair of different rows measured once: constant replies are the same row."""
    places = {id(row): i for i, row in reversed(list(enumerate(rows)))}
    first = sorted(set(places.values()))
    small = np.zeros((len(first), len(first)))
    for a in range(len(first)):
        for b in range(a):
            small[a, b] = small[b, a] = distance(first[a], first[b])
    index = {place: k for k, place in enumerate(first)}
    kinds = np.array([index[places[id(row)]] for row in rows])
    return small[np.ix_(kinds, kinds)]


# ---------------------------------------------------------------- peers


def border_rule(sides: Sides, _readings: Readings, seed: int) -> float:
    """The border-input rule: mean total variation, permuted within inputs."""
    before = {key[1]: [row.output for row in left] for key, (left, _) in sides.items()}
    today = {key[1]: [row.output for row in right] for key, (_, right) in sides.items()}
    return border_inputs.p_value(before, today, permutations=PERMUTATIONS, seed=seed)


def tracking(sides: Sides, _readings: Readings, seed: int) -> float:
    """Logprob tracking on its one-letter prompt."""
    ((left, right),) = sides.values()
    before, after = ([first_token([{"top": row.logprobs}]) for row in rows] for rows in (left, right))
    return logprob_tracking.p_value(before, after, permutations=PERMUTATIONS, seed=seed)


def model_equality(package: ModelEqualityTesting) -> Decide:
    """model-equality-testing's own test, with the Hamming kernel."""

    def decide(sides: Sides, _readings: Readings, seed: int) -> float:
        left, right = ({"/".join(key): [row.output for row in pair[k]] for key, pair in sides.items()} for k in (0, 1))
        p = package.test(left, right, b=PEER_PERMUTATIONS, seed=seed).p_value
        return 1.0 if math.isnan(p) else max(p, 1 / (1 + PEER_PERMUTATIONS))

    return decide


# ---------------------------------------------------------------- all of them


def methods(package: ModelEqualityTesting | None) -> tuple[Method, ...]:
    """Every method compared; without ``package`` model-equality-testing is left out."""
    greedy, border = spread_over("greedy", least=2), spread_over("probe", least=2, prefix="border")
    sampled = spread_over("sampled", least=1)
    found = [
        Method(name="suite with logprobs", ours=True, at_zero=False, plan=suite, decide=comparison(with_logprobs=True)),
        Method(name="suite", ours=True, at_zero=False, plan=suite, decide=comparison(with_logprobs=False)),
        Method(name="prefix", ours=True, at_zero=True, plan=greedy, decide=energy("prefix", prefixes)),
        Method(name="label", ours=True, at_zero=True, plan=border, decide=energy("label", labels)),
        Method(name="logprob", ours=True, at_zero=True, plan=border, decide=energy("logprob", logprobs)),
        Method(name="compare, T = .8", ours=True, at_zero=False, plan=sampled, decide=comparison(with_logprobs=False)),
    ]
    if package is not None:
        test = model_equality(package)
        twice = spread_over("sampled", least=2)  # undefined with one completion a prompt
        found += [
            Method(name="MET, T = .8", ours=False, at_zero=False, is_slow=True, plan=twice, decide=test),
            Method(name="MET, T = 0", ours=False, at_zero=True, is_slow=True, plan=greedy, decide=test),
        ]
    bare = spread_over("probe", least=4, prefix="bare")
    return (
        *found,
        Method(name="border rule", ours=False, at_zero=True, plan=border, decide=border_rule),
        Method(name="logprob tracking", ours=False, at_zero=True, plan=bare, decide=tracking),
    )
