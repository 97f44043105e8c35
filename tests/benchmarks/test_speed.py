"""The speed benchmark times both tools on the same texts and says honestly when its goal is missed."""

from __future__ import annotations

import pytest

from benchmarks.detection import speed
from benchmarks.peers.met import Answer, is_installed


class Slow:
    """A peer that takes .1 s, and ``per`` more for each permutation."""

    def __init__(self, per):
        self.per = per

    def test(self, left, right, *, b, seed):  # noqa: ARG002 - the peer's signature
        return Answer(p_value=0.5, seconds=0.1 + b * self.per)


@pytest.mark.parametrize(("per", "verdict"), [(1e6, "| met |"), (1e-6, "| missed by a factor of")])
def test_the_ratio_is_told_beside_the_goal(per, verdict):
    text = speed.measure(Slow(per), sizes=((3, 3, 60),), probe=2, rounds=1)

    assert text.count(verdict) == 2
    assert "| 3 × 3 + 3 | equal: 999 and 1,000 |" in text


def test_the_peers_time_is_a_straight_line():
    before, per = speed._slope(Slow(0.25), {"p": ["a"]}, {"p": ["b"]}, 4)

    assert (before, per) == (pytest.approx(0.1), pytest.approx(0.25))


def test_the_texts_are_of_the_size_asked_and_the_same_for_a_seed():
    made = speed.texts(4, 3, 200, seed=1)

    assert [len(texts) for texts in made.values()] == [3] * 4
    assert all(len(text) == 200 for texts in made.values() for text in texts)
    assert made == speed.texts(4, 3, 200, seed=1)


@pytest.mark.slow
@pytest.mark.skipif(not is_installed(), reason="model-equality-testing's environment is not there")
def test_a_quick_run_asks_the_real_peer(capsys):
    speed.main(["--quick"])

    assert "### Speed of a verdict" in capsys.readouterr().out
