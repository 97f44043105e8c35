"""The benchmark of attribution runs, in its smallest form, and what it plays is what it says."""

from __future__ import annotations

import sys

from benchmarks.alerts import attribution
from driftwatch.attribution import Whose


def test_it_runs_and_prints_its_tables(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--quick"])
    monkeypatch.setattr(attribution, "SCENES", (attribution.SCENES[2], attribution.SCENES[9]))
    attribution.main()
    told = capsys.readouterr().out
    assert "| this endpoint alone changes | nothing else | 0 → 0 | 0 → 0 | 0 → 0 | 100 → 100 |" in told
    assert "| everything | 0.0 % [0.0, 100.0]" not in told


def test_a_scene_moves_what_it_says_and_its_record_changes_within_the_hour_before():
    scene = next(scene for scene in attribution.SCENES if scene.recorded == "target.support")
    [one] = [one for one in (attribution.played(scene, number) for number in range(3, 4)) if one is not None]
    assert [name for name in attribution.FLEET if one.memory.incidents(target=name, limit=9)] == ["support"]
    [_, change] = one.memory.record
    assert change.changed == ("target.support",)
    attribution.ask(scene, one)
    assert one.verdicts["nothing else", "at the alarm"] in {Whose.OURS, Whose.UNKNOWN}
