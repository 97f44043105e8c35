"""How often the right side is blamed: scenes whose cause is known, judged by the product's own code.

Run ``python -m benchmarks.alerts.attribution [--write] [--quick] [--tune]``; about six minutes on one quiet core.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.detection.simulate import MODELS, Floats, K, noise, share
from benchmarks.page import publish
from driftwatch.attribution import Whose, attribute
from driftwatch.detect import ChannelSpec, budget, judge
from driftwatch.domain import (
    Baseline,
    BaselineState,
    Canary,
    Control,
    HarnessChange,
    Incident,
    IncidentState,
    Kind,
    Message,
    Purpose,
    Run,
    RunState,
    SeriesRow,
    Target,
)
from driftwatch.score import CHANNELS
from driftwatch.store import Store

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
A = budget.threshold(runs_per_year=8766, chance_of_any_per_year=0.1)
LATER = 12
"""Runs after the alarm at which the question is asked again, as a report does."""
LONGEST = 48
"""Runs since the change within which it must be found for the scene to count."""
SIZES = (1.0, 1.5, 2.5, 5.0)
"""Size of the change in standard deviations of each moved channel: found after about 20, 8, 4 and 2 runs."""
SEED = 2312
WHEN = ("at the alarm", "later")

CANARY = Canary(id="a/1", suite="a", messages=(Message(role="user", content="?"),))


def _target(name: str, host: str, model: str) -> Target:
    return Target(
        name=name, provider="openai_compatible", model=model, base_url=f"https://{host}/v1", canaries=(CANARY,)
    )


FLEET = {
    target.name: target
    for target in (
        _target("support", "one.example", "large"),
        _target("azure", "two.example", "large"),
        _target("small", "one.example", "small"),
        _target("beta", "three.example", "beta"),
        _target("gamma", "four.example", "gamma"),
        _target("delta", "five.example", "delta"),
        _target("frozen", "127.0.0.1", "weights"),
    )
}
WATCHES: Mapping[str, tuple[tuple[str, ...], Mapping[str, Control]]] = {
    "nothing else": ((), {}),
    "same model": (("azure",), {"azure": Control.SAME_MODEL}),
    "frozen": (("frozen",), {"frozen": Control.FROZEN}),
    "both controls": (("azure", "frozen"), {"azure": Control.SAME_MODEL, "frozen": Control.FROZEN}),
    "others": (("small", "beta", "gamma"), {}),
    "everything": (
        ("azure", "small", "beta", "gamma", "delta", "frozen"),
        {"azure": Control.SAME_MODEL, "frozen": Control.FROZEN},
    ),
}
"""What is watched beside the target that moved, and what of it is declared as a control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A cause, and what it moves."""

    name: str
    whose: Collection[Whose]
    """Verdicts that are right; "cannot tell" is never wrong."""
    moved: Collection[str]
    """Targets beside ``support``."""
    kind: Kind = Kind.BEHAVIOUR
    recorded: str | None = None
    """Key of the record of our side that changes at the change."""
    is_staggered: bool = False
    """Whether the others move up to six hours later."""
    unrelated: int = 0
    """Changes on our side at other times within four days."""
    unrelated_key: str = "target.support"
    """What they change."""
    usual: tuple[str, float] | None = None
    """Key of the record that changes anyway, and how many hours apart."""


PROVIDER, ENDPOINT, OURS = Whose.PROVIDER, Whose.ENDPOINT, Whose.OURS
THEIRS = frozenset({PROVIDER, ENDPOINT})
EVERYTHING = frozenset(FLEET) - {"support"}
SCENES = (
    Scene(name="the model changes at both hosts", whose=THEIRS, moved={"azure"}),
    Scene(name="… at the second up to 6 h later", whose=THEIRS, moved={"azure"}, is_staggered=True),
    Scene(name="this endpoint alone changes", whose={ENDPOINT}, moved=()),
    Scene(name="… while we deploy at other times", whose={ENDPOINT}, moved=(), unrelated=3),
    Scene(name="… and an unrelated target by chance", whose={ENDPOINT}, moved={"gamma"}),
    Scene(name="all of this host change", whose={ENDPOINT}, moved={"small"}),
    Scene(name="this endpoint gets slow", whose={ENDPOINT}, moved=(), kind=Kind.PERFORMANCE),
    Scene(name="our upgrade moves everything", whose={OURS}, moved=EVERYTHING, recorded="driftwatch"),
    Scene(name="our upgrade moves this target alone", whose={OURS}, moved=(), recorded="driftwatch"),
    Scene(name="our setting moves this target alone", whose={OURS}, moved=(), recorded="target.support"),
    Scene(name="our machine measures otherwise, unrecorded", whose={OURS}, moved=EVERYTHING),
    Scene(name="our proxy rewrites everything, unrecorded", whose={OURS}, moved=EVERYTHING - {"frozen"}),
    Scene(name="our network gets slow", whose={OURS}, moved=EVERYTHING - {"frozen"}, kind=Kind.PERFORMANCE),
    Scene(
        name="this endpoint alone, an upgrade of ours within days",
        whose={ENDPOINT},
        moved=(),
        unrelated=1,
        unrelated_key="driftwatch",
    ),
    Scene(name="this endpoint alone, each run on another machine", whose={ENDPOINT}, moved=(), usual=("machine", 1.0)),
    Scene(
        name="one of our daily upgrades moves this target alone",
        whose={OURS},
        moved=(),
        recorded="driftwatch",
        usual=("driftwatch", 24.0),
    ),
    Scene(
        name="one of our hourly settings moves this target alone",
        whose={OURS},
        moved=(),
        recorded="target.support",
        usual=("target.support", 1.0),
    ),
)


class Memory:
    """What ``attribute`` reads of a store, without a database: thousands of scenes in minutes."""

    def __init__(self, rows: Mapping[str, Sequence[SeriesRow]], incidents: Sequence[Incident]) -> None:
        self._rows, self._incidents = rows, incidents
        self._ids = {name: number for number, name in enumerate(rows, start=1)}
        self.record: list[HarnessChange] = []

    def incidents(self, *, target: str, limit: int) -> list[Incident]:
        """Those of a target that moved."""
        found = [incident for incident in self._incidents if incident.target == target]
        return sorted(found, key=lambda incident: incident.opened_at, reverse=True)[:limit]

    def baselines(self, target: str) -> list[Baseline]:
        """One for each target, in force for good."""
        return [
            Baseline(
                id=self._ids[target],
                target=target,
                series_key="ab",
                state=BaselineState.ACTIVE,
                author="driftwatch",
                reason="first",
                created_at=T0 - HOUR,
                activated_at=T0 + K * HOUR,
            )
        ]

    def series(self, baseline_id: int, *, after: datetime) -> list[SeriesRow]:
        """The runs after a time."""
        name = next(name for name, number in self._ids.items() if number == baseline_id)
        return [row for row in self._rows[name] if row.scheduled_at > after]

    def runs(self, target: str, *, since: datetime = T0, until: datetime, **_: object) -> list[Run]:
        """The latest run of a stretch of time, which is all that is asked for."""
        found = [row for row in self._rows[target] if since <= row.scheduled_at <= until]
        return [
            Run(
                id=row.run_id,
                target=target,
                scheduled_at=row.scheduled_at,
                purpose=row.purpose,
                state=RunState.JUDGED,
                baseline_id=1,
                started_at=row.scheduled_at,
            )
            for row in found[-1:]
        ]

    def verdicts(self, _: str, **__: object) -> list[Any]:
        """None: no scene has tripwires."""
        return []

    def baseline_changes(self, _: str) -> list[Any]:
        """None."""
        return []

    def harness_changes(self, *, until: datetime) -> list[HarnessChange]:
        """The record of our side."""
        return [change for change in self.record if change.at <= until]


@dataclass(slots=True)
class Played:
    """One scene as it was played."""

    memory: Memory
    onset_at: datetime
    alarm_at: datetime
    verdicts: dict[tuple[str, str], Whose] = field(default_factory=dict)
    """(watch, when) → what was said."""


def played(scene: Scene, number: int) -> Played | None:
    """Play a scene once; None when the change is not found in time, or something was found before it."""
    rng = np.random.default_rng([SEED, SCENES.index(scene), number])
    model = MODELS[number % len(MODELS)]
    size = SIZES[number // len(MODELS) % len(SIZES)]
    names = [name for name, channel in CHANNELS.items() if channel.kind is scene.kind]
    names = names[: 8 if scene.kind is Kind.BEHAVIOUR else 2]
    specs = [ChannelSpec(name=name, kind=scene.kind, two_sided=CHANNELS[name].two_sided) for name in names]
    quiet = int(rng.integers(24, 97))
    n = K + quiet + LONGEST + LATER
    wanted = min(len(names), int(rng.integers(1, 4)))
    where = rng.choice(len(names), wanted, replace=False)
    rows, incidents, alarm = {}, [], None
    for target in FLEET:
        scores = noise(rng, n, model, n_channels=len(names))
        begins = n
        if target == "support" or target in scene.moved:
            late = int(rng.integers(0, 7)) if scene.is_staggered and target != "support" else 0
            begins = K + quiet + late
            # Hosts differ: the same change is not as large everywhere.
            reach = 1.0 if target == "support" else rng.uniform(0.7, 1.3)
            scores[begins:, where] += size * reach * float(scores[:K].std())
        rows[target] = _rows(np.clip(scores, 0, 1), names)
        if begins == n:
            continue
        found = _alarm(np.clip(scores, 0, 1), names, specs, scene.kind, number)
        if found is None:
            if target == "support":
                return None
            continue
        onset, at = found
        if target == "support":
            if at < quiet or at >= quiet + LONGEST:
                return None
            alarm = onset, at
        incidents.append(_incident(target, scene.kind, T0 + (K + onset) * HOUR, T0 + (K + at) * HOUR))
    if alarm is None:
        return None
    result = Played(
        memory=Memory(rows, incidents), onset_at=T0 + (K + alarm[0]) * HOUR, alarm_at=T0 + (K + alarm[1]) * HOUR
    )
    result.memory.record = _record(scene, rng, T0 + (K + quiet) * HOUR)
    return result


def _rows(scores: Floats, names: Sequence[str]) -> list[SeriesRow]:
    return [
        SeriesRow(
            run_id=number,
            scheduled_at=T0 + number * HOUR,
            purpose=Purpose.CALIBRATION if number < K else Purpose.WATCH,
            failure_share=0.0,
            values=dict(zip(names, run.tolist(), strict=True)),
        )
        for number, run in enumerate(scores)
    ]


def _alarm(
    scores: Floats, names: Sequence[str], specs: Sequence[ChannelSpec], kind: Kind, seed: int
) -> tuple[int, int] | None:
    """Onset and alarm of the first episode, counted from the end of calibration."""
    columns = dict(zip(names, scores.T, strict=True))
    finding = judge(
        {name: column[:K] for name, column in columns.items()},
        {name: column[K:] for name, column in columns.items()},
        specs,
        threshold=A,
        seed=seed,
    )[kind]
    return (finding.episodes[0].onset, finding.episodes[0].alarm) if finding.episodes else None


def _incident(target: str, kind: Kind, onset_at: datetime, opened_at: datetime) -> Incident:
    return Incident(
        id=1,
        target=target,
        kind=kind,
        state=IncidentState.OPEN,
        opened_at=opened_at,
        onset_at=onset_at,
        baseline_id=1,
        run_id=1,
        evidence={},
    )


def _record(scene: Scene, rng: np.random.Generator, changed_at: datetime) -> list[HarnessChange]:
    """The record of our side: as it was at the beginning, with what the scene changes."""
    times = [(changed_at - timedelta(minutes=float(rng.uniform(0, 60))), scene.recorded)] if scene.recorded else []
    for _ in range(scene.unrelated):
        away_h = float(rng.uniform(-96, 12))
        times.append((changed_at + away_h * HOUR, scene.unrelated_key))
    if scene.usual is not None:
        key, apart_h = scene.usual
        first_h = float(rng.uniform(0, apart_h))
        times += [(T0 + (first_h + n * apart_h) * HOUR, key) for n in range(int((K + 96 + LONGEST) / apart_h))]
    facts, record = {"driftwatch": "0", "machine": "0", "target.support": "timeout 0"}, []
    record.append(HarnessChange(at=T0, facts=dict(facts), changed=()))
    for version, (at, key) in enumerate(sorted(times, key=lambda pair: pair[0]), start=1):
        facts[str(key)] = f"timeout {version}" if key == "target.support" else f"{version}"
        record.append(HarnessChange(at=at, facts=dict(facts), changed=(str(key),)))
    return record


def ask(scene: Scene, one: Played) -> None:
    """Ask whose it is in every watch, at the alarm and later."""
    for watch, (others, controls) in WATCHES.items():
        target = replace(FLEET["support"], controls=controls)
        for when, at in (("at the alarm", one.alarm_at), ("later", one.alarm_at + LATER * HOUR)):
            found = attribute(
                cast("Store", one.memory),
                target,
                [target, *(FLEET[name] for name in others)],
                kind=scene.kind,
                onset_at=one.onset_at,
                alarm_at=one.alarm_at,
                at=at,
            )
            one.verdicts[watch, when] = found.verdict


def scenes(n: int, *, tuned_on: bool) -> Iterator[tuple[Scene, list[Mapping[tuple[str, str], Whose]]]]:
    """What was said of every scene, played ``n`` times: on the half that rules were tuned on, or on the other."""
    for scene in SCENES:
        done: list[Mapping[tuple[str, str], Whose]] = []
        number = 0 if tuned_on else 100_000
        while len(done) < n:
            one = played(scene, number)
            number += 1
            if one is not None:
                ask(scene, one)
                done.append(one.verdicts)
        yield scene, done


def tables(n: int, *, tuned_on: bool) -> list[str]:
    """What was said in each scene, and how often our side's doing was called the API's."""
    lines = [
        f"Each scene {n} times, on seeds that nothing was tuned on" if not tuned_on else f"Each scene {n} times",
        f"(seed {SEED}): hourly runs, K = {K}, the four noise models in turn, changes of {SIZES[0]:g} to {SIZES[-1]:g}",
        "standard deviations on one to three channels, .7 to 1.3 times as large on other hosts, found by the detector",
        f"at its default. Said at the alarm → {LATER} runs later, in per cent.",
        "",
        "| what happened | watched beside it | provider | this endpoint | our side | cannot tell |",
        "|---|---|---|---|---|---|",
    ]
    wrong: Counter[tuple[str, str]] = Counter()
    total: Counter[str] = Counter()
    overlooked: Counter[tuple[str, str]] = Counter()
    theirs: Counter[str] = Counter()
    for scene, done in scenes(n, tuned_on=tuned_on):
        for watch in WATCHES:
            said = {when: Counter(said_of[watch, when] for said_of in done) for when in WHEN}
            cells = [" → ".join(f"{100 * said[when][whose] / len(done):.0f}" for when in said) for whose in Whose]
            lines.append(f"| {scene.name} | {watch} | {' | '.join(cells)} |")
            is_ours = Whose.OURS in scene.whose
            (total if is_ours else theirs)[watch] += len(done)
            for when in said:
                blamed = sum(said[when][whose] for whose in THEIRS)
                wrong[watch, when] += blamed if is_ours else 0
                overlooked[watch, when] += 0 if is_ours else said[when][Whose.OURS]
    heads = ("watched beside it", "the API blamed for our doing", "… later", "we blamed for theirs", "… later")
    lines += ["", f"| {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for watch in WATCHES:
        cells = [share(wrong[watch, when], total[watch]) for when in WHEN]
        cells += [share(overlooked[watch, when], theirs[watch]) for when in WHEN]
        lines.append(f"| {watch} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Play and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/attribution.md")
    parser.add_argument("--quick", action="store_true", help="two of each scene, to see that it works")
    parser.add_argument("--tune", action="store_true", help="the half of the scenes that rules may be tuned on")
    options = parser.parse_args()
    text = "\n".join(tables(2 if options.quick else 200, tuned_on=options.tune))
    publish("attribution", text, write=options.write, page=Path(__file__).parents[2] / "docs" / "attribution.md")


if __name__ == "__main__":
    main()
