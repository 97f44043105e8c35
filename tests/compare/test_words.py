"""The sentences of a comparison say what they count, and nothing of what is not compared."""

from __future__ import annotations

from dataclasses import replace

from driftwatch.compare import compare

N = 12


def both(say, before, after):
    return [[c for i in range(N) for c in say(f"p{i:02d}", *texts)] for texts in (before, after)]


def test_speed_and_billing_are_not_told(say):
    left, right = both(
        say, ["It is four.", "Four it is."], ["Yes, it is four, I am quite sure.", "Four, I am very sure."]
    )
    left = [replace(c, latency_s=9.0, output_tokens=100) for c in left]
    right = [replace(c, latency_s=1.0, output_tokens=5) for c in right]

    changes = compare(left, right).changes

    assert changes
    assert not [told for told in changes if "latency" in told or "output tokens" in told]


def test_a_length_says_that_it_is_counted_in_words(say):
    short, long = ["It is four.", "Four it is."], ["It is four, as you can see here.", "Four it is, as all can see."]

    longer = compare(*both(say, short, long)).changes
    shorter = compare(*both(say, long, short)).changes

    assert any(" % longer in words" in told for told in longer)
    assert any(" % shorter in words" in told for told in shorter)


def test_a_structure_that_comes_or_goes_says_which_prompts_it_counts(say):
    plain, listed = ["One and two.", "Two and one."], ["- One\n- Two", "- Two\n- One"]

    gone = next(told for told in compare(*both(say, listed, plain)).changes if told.startswith("lists"))
    come = next(told for told in compare(*both(say, plain, listed)).changes if told.startswith("lists"))

    assert gone.startswith("lists disappear: 100 % → 0 %")
    assert gone.endswith(", counting only prompts that mostly showed it before")
    assert come.endswith(", counting only prompts that mostly did not show it before")
