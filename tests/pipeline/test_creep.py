"""How far accepted replies are from the first baseline: measured as runs, and in both directions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from driftwatch.creep import ChannelCreep, Creep, creep
from driftwatch.domain import Purpose, SeriesRow
from driftwatch.score import Reference, score

N = 6


def stored(watch, n_runs):
    """The latest runs' replies, oldest run first."""
    runs = watch.store.runs(watch.target.name, limit=n_runs, newest_first=True)[::-1]
    found = watch.store.completions([run.id for run in runs])
    return [found[run.id] for run in runs]


def measure(watch, runs, **changes):
    anchors = {
        canary.id: [c for run in runs for c in run if c.canary_id == canary.id] for canary in watch.target.canaries
    }
    key = watch.baseline().series_key
    found = creep(
        watch.store, replace(watch.target, **changes), watch.pipeline.embedder, series_key=key, anchors=anchors
    )
    return {channel.channel: channel for channel in found.channels}


def mean_score(watch, runs, **changes):
    anchors = watch.store.anchors(1)
    reference = Reference.from_anchors(replace(watch.target, **changes), anchors, watch.pipeline.embedder)
    each = [{s.channel: s.value for s in score(reference, run)} for run in runs]
    return {name: sum(values[name] for values in each) / len(each) for name in each[0]}


def test_accepted_replies_are_measured_as_the_runs_they_make(armed):
    armed.run(N)
    runs = stored(armed, N)
    found = measure(armed, runs)

    expected, pooled = mean_score(armed, runs), mean_score(armed, [[c for run in runs for c in run]])
    assert {name: channel.now for name, channel in found.items()} == pytest.approx(
        {name: expected[name] for name in found}
    )
    assert found["novelty"].now != pytest.approx(pooled["novelty"]), "one run of many repeats is another distance"


def test_runs_ask_as_often_as_the_target_does_and_what_fills_none_is_left_out(armed):
    armed.run(N - 1)
    *whole, _ = runs = stored(armed, N - 1)
    pairs = [[replace(c, repeat=repeat) for repeat, run in enumerate(whole[i : i + 2]) for c in run] for i in (0, 2)]
    found = measure(armed, runs, repeats=2)
    expected = mean_score(armed, pairs, repeats=2)
    assert {name: c.now for name, c in found.items()} == pytest.approx({name: expected[name] for name in found})

    few = measure(armed, runs[:1], repeats=2)
    assert few["wording"].now == pytest.approx(mean_score(armed, runs[:1], repeats=2)["wording"]), "better than nothing"


def test_a_canary_with_fewer_replies_stands_in_again(armed):
    armed.run(2)
    first, second = stored(armed, 2)
    lost = second[0].canary_id
    found = measure(armed, [first, [c for c in second if c.canary_id != lost]])
    whole = [first, [next(c for c in first if c.canary_id == lost), *(c for c in second if c.canary_id != lost)]]
    assert found["wording"].now == pytest.approx(mean_score(armed, whole)["wording"])


def test_a_fall_is_far_only_where_a_fall_is_drift():
    rise = ChannelCreep(channel="wording", first=0.2, usual=0.3, now=0.35)
    none = ChannelCreep(channel="wording", first=0.2, usual=0.3, now=0.0)
    fall = ChannelCreep(channel="spread", first=0.2, usual=0.3, now=0.0, usual_low=0.1)
    inside = ChannelCreep(channel="spread", first=0.2, usual=0.3, now=0.1, usual_low=0.1)
    assert [c.is_far for c in (rise, none, fall, inside)] == [True, False, True, False]


def test_replies_that_vary_less_than_at_first_are_told(armed, monkeypatch):
    armed.serve("terse")
    armed.run(4)
    rows = [
        SeriesRow(**{**{f: getattr(row, f) for f in row.__dataclass_fields__}, "values": {**row.values, "spread": s}})
        for row, s in zip(
            [row for row in armed.store.series(1) if row.purpose is Purpose.CALIBRATION],
            [0.2, 0.3] * 10,
            strict=True,
        )
    ]
    monkeypatch.setattr(armed.store, "series", lambda _: rows)
    spread = measure(armed, stored(armed, 4), repeats=2)["spread"]
    assert (spread.now, spread.usual_low, spread.is_far) == (0.0, pytest.approx(0.2), True)
    told = Creep(first_id=1, since=armed.now, n_between=1, channels=(spread,)).in_words()
    assert told.endswith(": 0.25 → 0.00 in spread")
    assert measure(armed, stored(armed, 4), repeats=2)["wording"].usual_low == -math.inf
