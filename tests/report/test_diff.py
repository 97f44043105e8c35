"""Marking what is only in one of two replies."""

from __future__ import annotations

from hypothesis import given, strategies as st

from driftwatch.report.diff import MAX_WORDS, compare

prose = st.lists(
    st.sampled_from(["the", "refund", "30", "days", ",", ".", " ", "\n", "é", "日本", "😀", "<b>", "\x00"]),
    max_size=60,
).map(" ".join)


def text(pieces) -> str:
    return "".join(piece.text for piece in pieces)


@given(st.text(max_size=200) | prose, st.text(max_size=200) | prose)
def test_the_pieces_joined_are_the_replies(before, after):
    left, right = compare(before, after)
    assert (text(left), text(right)) == (before, after)
    assert all(piece.text for piece in (*left, *right))


@given(prose)
def test_equal_replies_have_nothing_marked(reply):
    left, right = compare(reply, reply)
    assert not any(piece.is_changed for piece in (*left, *right))


@given(prose, prose)
def test_what_is_not_marked_is_the_same_in_both(before, after):
    left, right = compare(before, after)
    assert [p.text for p in left if not p.is_changed] == [p.text for p in right if not p.is_changed]


def test_only_the_words_that_differ_are_marked():
    left, right = compare("Returns take 30 days.", "Returns take 14 days.")
    assert [p.text for p in left if p.is_changed] == ["30"]
    assert [p.text for p in right if p.is_changed] == ["14"]


def test_a_comma_in_common_does_not_tear_a_change_apart():
    left, _ = compare("Hello dear friend, how are you", "Good day, esteemed customer of ours")
    assert [p.is_changed for p in left] == [True]


def test_long_replies_are_cut_and_say_so():
    left, _ = compare("word " * 10_000, "other")
    assert text(left).endswith(" …")
    assert len(text(left).split()) == MAX_WORDS // 2 + 1
