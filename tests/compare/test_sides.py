"""Only answers to the same questions are compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftwatch.compare.sides import Side, in_common, require_same_prompts
from driftwatch.domain import Message
from driftwatch.errors import UsageError


def asked(text):
    return (Message(role="user", content=text),) if text else ()


def side(name, prompts, hashes=None):
    return Side(
        name=name, completions=(), prompts={one: asked(text) for one, text in prompts.items()}, hashes=hashes or {}
    )


def test_the_same_prompts_are_accepted():
    require_same_prompts(side("a", {"p": "Hi", "q": "Ho"}), side("b", {"q": "Ho", "p": "Hi"}))


def test_a_text_that_one_side_does_not_tell_is_taken_on_trust():
    require_same_prompts(side("a", {"p": "Hi"}), side("b", {"p": ""}))


def test_what_is_missing_is_named_for_both_sides():
    with pytest.raises(UsageError) as refused:
        require_same_prompts(side("a", {"p": "", "q": "", "r": "", "s": "", "t": ""}), side("b", {"p": "", "x": ""}))

    assert str(refused.value) == (
        "the prompt sets differ: prompts 'q', 'r', 's' and 1 more only in a and prompt 'x' only in b; "
        "record the same prompts, or write --common to compare those that both sides have"
    )


def test_another_text_under_the_same_id_is_refused():
    with pytest.raises(UsageError, match="prompt 'p' was asked differently in a and b"):
        require_same_prompts(side("a", {"p": "Hi"}), side("b", {"p": "Hello"}))


def test_between_baselines_the_content_hash_decides():
    same = side("a", {"p": ""}, {"p": "1"}), side("b", {"p": ""}, {"p": "1"})
    other = side("a", {"p": "Hi"}, {"p": "1"}), side("b", {"p": "Hi"}, {"p": "2"})

    require_same_prompts(*same)
    with pytest.raises(UsageError, match="asked differently"):
        require_same_prompts(*other)


def test_what_both_sides_have_is_kept_and_the_rest_is_counted(say):
    left, right = side("a", {"p": "Hi", "q": "Ho"}), side("b", {"p": "Hi", "x": "", "y": ""})
    left = replace(left, completions=(*say("p", "1", "2"), *say("q", "3")))

    here, there, left_out = in_common(left, right)

    require_same_prompts(here, there)
    assert (set(here.prompts), set(there.prompts), left_out) == ({"p"}, {"p"}, (1, 2))
    assert [completion.text for completion in here.completions] == ["1", "2"]


def test_nothing_in_common_is_refused():
    with pytest.raises(UsageError, match="a and b have no prompt in common"):
        in_common(side("a", {"p": "Hi"}), side("b", {"q": "Hi"}))
