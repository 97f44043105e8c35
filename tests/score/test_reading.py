"""The views of a completion that channels measure."""

from __future__ import annotations

import numpy as np
import pytest

from driftwatch.domain import ToolCall
from driftwatch.score.form import form_of, parses_as_json
from driftwatch.score.profile import distance_matrix, distances, profile, stack, word_profile
from driftwatch.score.reading import Anchors, read, render_tool_call
from driftwatch.score.scripts import script_shares


def test_a_profile_has_length_1_and_one_entry_per_3_gram():
    got = profile("abcabcab")
    assert got.buckets.size == 3
    assert np.sort(got.values**2) == pytest.approx([2 / 6, 2 / 6, 2 / 6])


def test_short_texts_have_profiles_that_differ():
    short = [profile(text) for text in ("", "A", "B", "AB", "ABC")]
    assert distance_matrix(short) == pytest.approx(1.0 - np.eye(5))


def test_a_word_profile_counts_words_without_their_case():
    one, other, none = word_profile(["It", "is", "It"]), word_profile(["it", "was", "it"]), word_profile([])
    assert np.sort(one.values**2) == pytest.approx([1 / 3, 2 / 3])
    assert distances(one, stack([other]))[0] == pytest.approx(1 / 3)
    assert distances(none, stack([word_profile([]), one])).tolist() == [0.0, 1.0]


def test_two_channels_that_ask_for_the_same_distances_share_them(make):
    anchors = Anchors(read([make.reply("abcd"), make.reply("xyz")]))
    (reading,) = read([make.reply("abce")])
    first = anchors.distances("wording", reading)
    assert first == pytest.approx([0.5, 1.0])
    assert anchors.distances("wording", reading) is first
    assert Anchors(read([make.reply("abce")])).distances("wording", reading) == [0.0], "other anchors, other distances"


def test_a_view_that_is_not_there_has_no_distances(make):
    anchors = Anchors(read([make.reply("abcd"), make.reply("xyz")], make.embedder()))
    (bare,) = read([make.reply("abcd")])
    assert anchors.has("meaning")
    assert len(anchors.to_others("meaning")) == 2
    assert anchors.distances("meaning", bare) == []
    assert not Anchors(read([make.reply("abcd")])).has("meaning")
    assert not Anchors([]).has("wording")


def test_a_distance_matrix_is_symmetric_with_an_exact_0_on_its_diagonal():
    matrix = distance_matrix([profile(text) for text in ("It is Paris.", "It is Rome, I think.", "Paris 🗼", "")])
    assert (matrix == matrix.T).all()
    assert (np.diag(matrix) == 0).all()


def test_a_text_measures_the_same_alone_and_in_company():
    one, other, third = (profile(text) for text in ("It is Paris.", "It is Rome, I think.", "x"))
    assert distances(one, stack([other]))[0] == distances(one, stack([third, other]))[1]


def test_lone_surrogates_and_decomposed_letters_are_made_readable(make):
    (reading,) = read([make.reply("a\ud800b e\u0301", tool_calls=(ToolCall(name="f", arguments='"\\ud800"'),))])
    assert reading.text == 'a?b \u00e9\nf("?")'


def test_the_opening_is_words_marks_and_unspaced_characters(make):
    (reading,) = read([make.reply("Don't: 12,5 % 東京 สวัส ok")])
    assert reading.opening == (
        "Don", "'", "t", ":", "12", ",", "5", "%", "東", "京", "ส", "ว", "ั", "ส", "ok",
    )  # fmt: skip


def test_words_are_counted_as_a_reader_counts_them(make):
    counts = [r.n_words for r in read([make.reply(text) for text in ("", "Don't do it.", "東京 ok")])]
    assert counts == [0, 3, 3]


def test_tool_calls_that_are_no_json_are_kept_as_served():
    assert render_tool_call(ToolCall(name="f", arguments='{"a": ')) == 'f({"a": )'
    assert render_tool_call(ToolCall(name="f", arguments="[" * 100_000)) == f"f({'[' * 100_000})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', True),
        (" [1, 2]\n", True),
        ("42", False),
        ('"Paris"', False),
        ("{not json}", False),
        ("", False),
        ("[" * 100_000, False),
    ],
)
def test_json_is_an_object_or_array_and_nothing_around_it(text, expected):
    assert parses_as_json(text) is expected


def test_code_is_neither_heading_nor_list():
    form = form_of("", "See:\n\n```python\n# not a heading\n- no\n- list\n```\n")
    assert (form.has_fence, form.has_heading, form.has_list) == (True, False, False)
    assert form.n_paragraphs == 2


def test_an_unfinished_fence_still_is_one():
    form = form_of("", "~~~\n# not a heading\n")
    assert (form.has_fence, form.has_heading) == (True, False)


def test_one_dash_is_no_list():
    assert not form_of("", "- well\nthat is it").has_list
    assert form_of("", "1. a\n2) b").has_list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"none": 1.0}),
        ("12 µ … 😀", {"none": 1.0}),
        ("café", {"Latin": 1.0}),
        ("日本の", {"Han": 2 / 3, "Hiragana": 1 / 3}),
        ("abв𠀀", {"Cyrillic": 0.25, "Han": 0.25, "Latin": 0.5}),
        ("한국", {"Hangul": 1.0}),
        ("\U0010ffff", {"none": 1.0}),
    ],
)
def test_scripts_are_shares_of_the_letters(text, expected):
    assert script_shares(text) == pytest.approx(expected)


def test_each_anchor_is_left_out_once(make):
    anchors = Anchors(read([make.reply(text) for text in ("abcd", "abce", "xyz")]))
    assert [(r.text, [o.text for o in others]) for r, others in anchors.left_out()] == [
        ("abcd", ["abce", "xyz"]),
        ("abce", ["abcd", "xyz"]),
        ("xyz", ["abcd", "abce"]),
    ]
    assert [others.to_others("wording") for _, others in anchors.left_out()] == [
        pytest.approx((1.0, 1.0)),
        pytest.approx((1.0, 1.0)),
        pytest.approx((0.5, 0.5)),
    ]
    assert anchors.to_others("wording") == pytest.approx((0.75, 0.75, 1.0))


def test_a_single_anchor_has_no_others(make):
    anchors = Anchors(read([make.reply("abcd")]))
    assert len(anchors) == 1
    assert (anchors.left_out(), anchors.to_others("wording"), anchors.embeddings) == ([], (), None)
