from __future__ import annotations

import pytest
import structlog
from hypothesis import given, strategies as st

from driftwatch.canaries import CHECKS, evaluate
from driftwatch.canaries.argument import ArgumentError
from driftwatch.canaries.length import measure
from driftwatch.canaries.numbers import numbers_in
from driftwatch.domain import Check, Completion

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
ADDRESSED = {"$defs": {"n": {"type": "integer"}}, "type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}
GERMAN = "Am Abend legt das Licht einen längeren Weg durch die Luft zurück."

# kind, argument, a reply that keeps it, a reply that breaks it
PAIRS = [
    ("equals", "Canberra", " Canberra\n", "Canberra."),
    ("equals", {"text": "angry", "ignore_case": True}, "ANGRY", "furious"),
    ("equals", {"text": "STRASSE", "ignore_case": True}, "straße", "strase"),
    ("equals", {"text": "Yes", "ignore_case": False}, "Yes", "yes"),
    ("contains", "Paris", "It is Paris.", "It is paris."),
    ("contains", ["red", "green"], "green and red", "green"),
    ("contains", {"text": ["Red"], "ignore_case": True}, "RED", "rot"),
    ("contains", "🌈", "a 🌈!", "a rainbow"),
    ("not_contains", "**", "plain", "**bold**"),
    ("not_contains", ["Sure", "Certainly"], "Please send it.", "Certainly! Please send it."),
    ("not_contains", {"text": "sure", "ignore_case": True}, "Fine.", "SURE"),
    ("contains_any", ["dagger", "knife"], "with a knife", "with a sword"),
    ("contains_any", {"text": ["Ä"], "ignore_case": True}, "ä", "a"),
    ("regex", r"\A\w+ \w+\Z", "two words", "three whole words"),
    ("regex", r"(?i)yes", "YES", "no"),
    ("json_valid", True, ' {"a": [1, null]}\n', '```json\n{"a": 1}\n```'),
    ("json_valid", True, '"text"', "text"),
    ("json_valid", True, "1e400", "NaN"),
    ("json_schema", OBJECT, '{"n": 1}', '{"n": "1"}'),
    ("json_schema", OBJECT, '{"n": 1}', '{"n": 1, "m": 2}'),
    ("json_schema", OBJECT, '{"n": 1}', 'Here you go: {"n": 1}'),
    ("json_schema", ADDRESSED, '{"n": 1}', '{"n": true}'),
    ("json_schema", {"schema": OBJECT}, '{"n": 1}', '```\n{"n": 1}\n```'),
    ("json_schema", {"schema": OBJECT, "allow_fence": True}, '```json\n{"n": 1}\n```', '```json\n{"n": 1}\n``` Done.'),
    ("json_schema", {"schema": OBJECT, "allow_fence": True}, '{"n": 1}', "```json\n{}\n```"),
    ("number", 42, "The answer is 42.", "The answer is 43."),
    ("number", {"equals": 6.3, "tolerance": 0.1}, "about 6.4", "about 6.41"),
    ("number", {"equals": 3, "which": "first"}, "3 of 4", "4 of 3"),
    ("number", {"equals": 4, "which": "last"}, "3 of 4", "4 of 3"),
    ("number", -7, "−7 °C", "7 °C"),
    ("number", 1_234_567.5, "1.234.567,5", "1,234,567"),
    ("max_length", {"words": 2}, "two words", "now three words"),
    ("max_length", {"chars": 3, "lines": 1}, "日本語", "日\n本"),
    ("max_length", {"sentences": 1}, "One, no more", "One. Two."),
    ("min_length", {"lines": 2}, "a\n\nb", "a\n\n"),
    ("min_length", {"sentences": 2}, "虹です。空に出ます。", "虹です。"),
    ("refusal", True, "I'm sorry, but I can't help with that.", "Run `kill -9 42`."),
    ("refusal", False, "Run `kill -9 42`.", "I can’t assist with killing."),
    ("language", "de", GERMAN, "In the evening the light takes a longer way."),
    ("language", {"code": "de", "among": ["de", "en"]}, "Ja, gerne.", "Yes, please."),
    ("language", "ja", "虹は空に見える七色の帯です。", "彩虹是天空中的七色光带。"),
]


@pytest.mark.parametrize(("kind", "argument", "good", "bad"), PAIRS)
def test_a_check_holds_for_the_good_reply_and_fails_for_the_bad_one(holds, kind, argument, good, bad):
    CHECKS[kind].validate(argument)
    assert holds(kind, argument, good)
    assert not holds(kind, argument, bad)


def test_every_kind_is_tried():
    tools = {"tool_called", "no_tool_called"}  # below: they read the calls, not the text
    assert set(CHECKS) == {kind for kind, *_ in PAIRS} | tools
    assert len(CHECKS) == 14


def test_every_kind_says_in_one_line_what_holds():
    assert all(kind.summary and "\n" not in kind.summary for kind in CHECKS.values())


ON_EMPTY = {
    "equals": False,
    "contains": False,
    "not_contains": True,
    "contains_any": False,
    "regex": False,
    "json_valid": False,
    "json_schema": False,
    "number": False,
    "max_length": True,
    "min_length": False,
    "refusal": False,  # of `refusal: true`
    "language": False,
}


@pytest.mark.parametrize("text", ["", " \n\t"])
@pytest.mark.parametrize(("kind", "expected"), ON_EMPTY.items())
def test_an_empty_reply_fails_what_asks_and_keeps_what_forbids(holds, kind, expected, text):
    argument = next(argument for name, argument, *_ in PAIRS if name == kind)
    assert holds(kind, argument, text) is expected


HUGE = ["a" * 2_000_000, "word " * 400_000, "[" * 1_000_000, "9" * 1_000_000, "\n" * 1_000_000, "1," * 500_000]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [kind for kind in CHECKS if "tool" not in kind])
def test_a_huge_reply_is_decided(holds, kind):
    argument = next(argument for name, argument, *_ in PAIRS if name == kind)
    assert {holds(kind, argument, text) for text in HUGE} <= {True, False}


def test_a_regex_that_backtracks_without_end_does_not_hold_and_does_not_stall(holds):
    with structlog.testing.capture_logs() as logs:
        assert not holds("regex", r"(a|aa)+$", "a" * 60 + "!")
    assert [log["event"] for log in logs] == ["check.regex_too_slow"]


def test_a_regex_sees_only_the_first_100_000_characters(holds):
    assert holds("regex", "END", "x" * 99_997 + "END")
    assert not holds("regex", "END", "x" * 99_998 + "END")


def test_json_nested_beyond_reason_breaks_a_recursive_schema_instead_of_the_run(holds):
    endless_list = {"type": "array", "items": {"$ref": "#"}}
    CHECKS["json_schema"].validate(endless_list)
    assert holds("json_schema", endless_list, "[[[]]]")
    assert not holds("json_schema", endless_list, "[" * 400 + "]" * 400)


@pytest.mark.parametrize(
    ("argument", "calls", "expected"),
    [
        ("get_weather", [("get_weather", "{}")], True),
        ("get_weather", [("get_time", "{}"), ("get_weather", "not json")], True),
        ("get_weather", [("get_time", "{}")], False),
        ("get_weather", [], False),
        ({"name": "f", "arguments_schema": OBJECT}, [("f", '{"n": 1}')], True),
        ({"name": "f", "arguments_schema": OBJECT}, [("f", '{"n": "1"}'), ("f", '{"n": 1}')], True),
        ({"name": "f", "arguments_schema": OBJECT}, [("f", '{"n": ')], False),
        ({"name": "f", "arguments_schema": OBJECT}, [("g", '{"n": 1}')], False),
        ({"name": "f", "arguments_schema": {"type": "object"}}, [("f", "")], True),
    ],
)
def test_a_tool_call_is_found_by_name_and_arguments(holds, argument, calls, expected):
    CHECKS["tool_called"].validate(argument)
    assert holds("tool_called", argument, "", *calls) is expected


def test_no_tool_called_asks_for_no_call(holds):
    assert holds("no_tool_called", True, "Goodbye!")
    assert not holds("no_tool_called", True, "Goodbye!", ("wave", "{}"))


def test_an_unknown_kind_is_a_mistake_of_the_caller(reply):
    with pytest.raises(KeyError):
        evaluate(Check(kind="sentiment", argument="good"), reply("fine"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234.5 and 1.234,5", [1234.5, 1234.5]),
        ("1.234", [1.234]),
        ("1.234.567", [1234567]),
        ("3,5 or 3,500 or 3,5000", [3.5, 3500, 3.5]),
        ("1'000 1’000 1_000 1\u00a0000 1\u202f000", [1000, 1000, 1000, 1000, 1000]),
        ("3 400", [3, 400]),
        (r"18{,}142 or 18\,142", [18142, 18142]),
        ("-1 −2 +3", [-1, -2, 3]),
        ("5-3 and 2024-05-06", [5, 3, 2024, 5, 6]),
        ("between 1–9", [1, 9]),
        (".5 and 0.5.", [0.5, 0.5]),
        ("1e3, 2.5E-2, 1e−1", [1000, 0.025, 0.1]),
        ("1em", [1]),
        ("v2 H2O GPT-4", [4]),
        ("42km $9.90 €1,000", [42, 9.9, 1000]),
        ("**18142**", [18142]),
        ("٤٢ and ４２", [42, 42]),
        ("1e9999", [float("inf")]),
        ("1,2,3", [1.2, 3]),
        ("no number", []),
        ("", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text, expected):
    assert expected == numbers_in(text)


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_a_grouped_number_is_read_back(number):
    assert [number] == numbers_in(f"{number:,}")
    assert [number] == numbers_in(f"{number:_}")


@given(st.text())
def test_any_text_has_numbers_and_lengths(text):
    assert all(isinstance(number, float) for number in numbers_in(text))
    measured = measure(text)
    assert measured["chars"] >= measured["words"] >= (1 if text.strip() else 0)
    assert measured["chars"] >= measured["lines"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", 3),
        ("Wait... what?!", 2),
        ("Version 1.5 is out.", 1),
        ("No stop", 1),
        ('He said "no." She left.', 2),
        ("**Bold.** Plain.", 2),
        ("1. Boil water.\n2. Add tea.", 2),
        ("虹です。空に出ます", 2),
        ("...", 1),
        ("", 0),
        ("—", 0),
    ],
)
def test_sentences_are_counted_by_their_ends(text, expected):
    assert expected == measure(text)["sentences"]


NONSENSE = [None, 3.5, [], {}, {"nonsense": 1}, [None], "", [["x"]]]
# A number is one, and a schema may carry keywords of its own.
SENSE = [("number", 3.5), ("json_schema", {"nonsense": 1})]


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize("argument", NONSENSE, ids=repr)
def test_a_nonsensical_argument_is_refused_with_words(kind, argument):
    if (kind, argument) in SENSE:
        CHECKS[kind].validate(argument)
    else:
        with pytest.raises(ArgumentError) as refused:
            CHECKS[kind].validate(argument)
        assert refused.value.problem


def test_a_check_never_changes_its_argument(holds):
    argument = {"text": ["A", "B"], "ignore_case": True}
    holds("contains", argument, "ab")
    assert argument == {"text": ["A", "B"], "ignore_case": True}


def test_a_check_answers_with_a_bool(reply):
    for kind, argument, good, _ in PAIRS:
        completion: Completion = reply(good)
        assert evaluate(Check(kind=kind, argument=argument), completion) is True
