"""The simulated benchmarks run, in their smallest form, and what they simulate is what they say."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import page
from benchmarks.detection import daemon, delay, false_alarms
from benchmarks.detection.simulate import HARDER, MODELS, Probe, noise, share


@pytest.mark.parametrize(
    ("benchmark", "words"),
    [
        (daemon, "| iid |"),
        (false_alarms, "| AR(.7) run effects |"),
        (delay, "| 10 | iid | full swap |"),
    ],
    ids=["daemon", "false_alarms", "delay"],
)
def test_it_runs_and_prints_its_tables(benchmark, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--quick"])
    benchmark.main()
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("model", [m for m in (*MODELS, *HARDER) if "forks" not in m])
def test_every_noise_model_has_the_mean_and_spread_it_is_said_to_have(model):
    scores = noise(np.random.default_rng(1), 20_000, model)
    assert scores.mean() == pytest.approx(0.2, abs=0.01)
    binomial = 0.2 * 0.8 / 40
    assert scores.var() == pytest.approx(binomial * (1.6 if "over" in model else 1.0), rel=0.1)


def test_a_probe_shifts_by_the_total_variation_it_is_told():
    probe = Probe(n_answers=4000, overdispersion=1.0, n_anchors=200_000)
    label, _ = probe.scores(np.random.default_rng(2), 0.09, np.repeat([0.0, 1.0], 20))
    assert label[20:].mean() - label[:20].mean() == pytest.approx(0.09, abs=0.015)


def test_a_share_has_its_exact_interval():
    assert share(0, 1000) == "0.0 % [0.0, 0.4]"
    assert share(5, 100) == "5.0 % [1.6, 11.3]"


def test_a_section_of_the_page_is_put_in_its_place_and_only_when_asked(tmp_path, capsys):
    target = tmp_path / "page.md"
    target.write_text("# Page\n\n<!-- begin: a -->\nold\n<!-- end: a -->\n\nend\n", encoding="utf-8")
    page.publish("a", "new \\1", write=False, page=target)
    assert "old" in target.read_text(encoding="utf-8")
    page.publish("a", "new \\1", write=True, page=target)
    page.publish("b", "more", write=True, page=target)
    text = target.read_text(encoding="utf-8")
    assert "<!-- begin: a -->\n\nnew \\1\n\n<!-- end: a -->\n\nend" in text
    assert text.endswith("<!-- begin: b -->\n\nmore\n\n<!-- end: b -->\n")
    assert "old" not in text
    assert capsys.readouterr().out.count("new") == 2
