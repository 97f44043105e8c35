from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from driftwatch.canaries import load_suites, parse_suite
from driftwatch.canaries.document import did_you_mean, parse_document
from driftwatch.domain import Check, Message, ToolCall

SHORT = """
suite: core
description: Facts.
defaults: {parameters: {temperature: 0, max_tokens: 16}}
canaries:
  - id: capital
    reason: >-
      Known
      to all.
    system: Be brief.
    prompt: What is the capital of Australia?
    parameters: {max_tokens: 8, seed: 1}
    checks:
      - contains: Canberra
      - max_length: {words: 2}
"""

LONG = """
suite: tools
canaries:
  - id: weather
    reason: Reports the result.
    system: Be brief.
    messages:
      - {role: user, content: How warm is it in Zürich?}
      - role: assistant
        tool_calls:
          - {id: a, name: get_weather, arguments: {city: Zürich}}
          - {id: b, name: get_time, arguments: "not json"}
      - {role: tool, tool_call_id: b, content: ""}
      - {role: tool, tool_call_id: a, content: "21"}
    tools: &tools
      - {type: function, function: {name: get_weather, parameters: {type: object}}}
      - {type: function, function: {name: get_time, parameters: {}}}
    tool_choice: {type: function, function: {name: get_time}}
    response_format: {type: json_object}
    checks: [{tool_called: get_time}]
  - {id: again, reason: Shares its tools., prompt: Hello?, tools: *tools, tool_choice: auto}
"""


def canary_of(text: str):
    return parse_suite(text, "suite.yaml").canaries[0]


def with_prompt(prompt: str):
    return canary_of(f"suite: s\ncanaries: [{{id: a, reason: r, prompt: {prompt}}}]")


def test_a_prompt_and_a_system_message_become_messages():
    canary = canary_of(SHORT)
    assert canary.id == "core/capital"
    assert canary.suite == "core"
    assert canary.reason == "Known to all."
    assert canary.messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="What is the capital of Australia?"),
    )
    assert canary.checks == (
        Check(kind="contains", argument="Canberra"),
        Check(kind="max_length", argument={"words": 2}),
    )


def test_a_canary_overrides_the_defaults_of_its_suite():
    assert dict(canary_of(SHORT).parameters) == {"temperature": 0, "max_tokens": 8, "seed": 1}


def test_a_suite_keeps_its_name_description_and_file():
    suite = parse_suite(SHORT, "some/core.yaml")
    assert (suite.name, suite.description, suite.file) == ("core", "Facts.", "some/core.yaml")


def test_a_conversation_with_tools_becomes_messages():
    canary = canary_of(LONG)
    assert [message.role for message in canary.messages] == ["system", "user", "assistant", "tool", "tool"]
    calls = canary.messages[2].tool_calls
    assert calls == (
        ToolCall(name="get_weather", arguments='{"city": "Zürich"}', id="a"),
        ToolCall(name="get_time", arguments="not json", id="b"),
    )
    assert canary.messages[4] == Message(role="tool", content="21", tool_call_id="a")
    assert canary.tool_choice == {"type": "function", "function": {"name": "get_time"}}
    assert canary.response_format == {"type": "json_object"}


def test_canaries_share_tools_through_an_alias():
    first, second = parse_suite(LONG, "suite.yaml").canaries
    assert first.tools == second.tools
    assert [tool["function"]["name"] for tool in second.tools] == ["get_weather", "get_time"]


@pytest.mark.parametrize("written", ["2026-03-02", "2026-03-02T10:00:00Z"])
def test_a_date_in_a_prompt_stays_text(written):
    assert with_prompt(written).messages[-1].content == written


def test_an_escaped_pair_is_one_character():
    assert with_prompt('"\\ud83c\\udf08?"').messages[-1].content == "🌈?"


def test_yes_and_no_are_text():
    assert with_prompt("no").messages[-1].content == "no"


def test_all_that_is_loaded_is_json():
    for canary in parse_suite(LONG, "suite.yaml").canaries:
        shape = [list(canary.tools), canary.tool_choice, canary.response_format, dict(canary.parameters)]
        assert json.loads(json.dumps(shape)) == shape


def test_files_and_directories_are_read_in_order_and_once(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.yml").write_text(SHORT.replace("suite: core", f"suite: {name}"))
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested" / "c.yaml").write_text(SHORT)
    suites = load_suites([tmp_path / "b.yml", tmp_path, tmp_path / "nested" / ".." / "a.yml"])
    assert list(suites) == ["b", "a"]
    assert suites["a"].file == str(tmp_path / "a.yml")


def test_nothing_named_is_nothing_loaded():
    assert load_suites([]) == {}


def test_a_byte_order_mark_is_no_part_of_the_suite(tmp_path):
    (tmp_path / "core.yaml").write_bytes(b"\xef\xbb\xbf" + SHORT.encode())
    assert list(load_suites([tmp_path])) == ["core"]


def test_the_reason_is_not_part_of_the_identity():
    assert canary_of(SHORT).content_hash == canary_of(SHORT.replace("Known", "Famous")).content_hash


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("What is the", "Which is the"),
        ("Be brief", "Be short"),
        ("max_tokens: 8", "max_tokens: 9"),
        ("temperature: 0", "temperature: 1"),
        ("words: 2", "words: 3"),
        ("- contains: Canberra", "- contains: Sydney"),
    ],
)
def test_what_is_sent_or_asserted_is_part_of_the_identity(before, after):
    assert before in SHORT
    assert canary_of(SHORT).content_hash != canary_of(SHORT.replace(before, after)).content_hash


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8)  # which JSON does not escape
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"x_[a-z]{4}", fullmatch=True), inner),
    max_leaves=8,
)


@given(st.data())
def test_the_order_of_keys_does_not_change_the_hash(data):
    parameters = data.draw(st.dictionaries(st.from_regex(r"x_[a-z]{4}", fullmatch=True), VALUES, max_size=4))
    entry = {"id": "one", "reason": "r", "prompt": "Hello?", "parameters": parameters, "checks": [{"contains": "a"}]}
    shuffled = shuffle(entry, data)
    first = canary_of(json.dumps({"suite": "s", "canaries": [entry]}))
    second = canary_of(json.dumps({"canaries": [shuffled], "suite": "s"}))
    assert first.content_hash == second.content_hash
    assert dict(first.parameters) == parameters


def shuffle(value, data):
    """The same JSON value with its keys in another order at every depth."""
    if isinstance(value, dict):
        return {key: shuffle(value[key], data) for key in data.draw(st.permutations(sorted(value)))}
    if isinstance(value, list):
        return [shuffle(item, data) for item in value]
    return value


def test_lines_are_those_of_the_keys():
    document = parse_document("a: 1\nb:\n  - c\n  - d: |\n      x\n      y\n", "a.yaml")
    assert document.value == {"a": 1, "b": ["c", {"d": "x\ny\n"}]}
    assert document.line(("b",)) == 2
    assert document.line(("b", 1, "d")) == 4
    assert document.line(("b", 1, "missing")) == 4
    assert document.line(("missing",)) == 1


def test_the_nearest_word_is_offered_and_otherwise_all_of_them():
    assert did_you_mean("contain", ["contains", "regex"]) == "did you mean 'contains'?"
    assert did_you_mean("sentiment", ["contains", "regex"]) == "write one of 'contains', 'regex'"


def test_loading_imports_neither_the_language_nor_the_schema_library_unless_asked(root):
    import subprocess  # noqa: PLC0415 - only this asks for another interpreter
    import sys  # noqa: PLC0415 - as above

    code = (
        "import sys; from driftwatch.canaries import parse_suite; "
        "parse_suite('{suite: s, canaries: [{id: a, reason: r, prompt: p, checks: [{language: de}]}]}', 's.yaml'); "
        "print(sorted({'jsonschema', 'py3langid', 'numpy'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


# ---------------------------------------------------------------- how often a canary is asked

COUNTED = """
suite: probes
defaults: {repeats: 5, anchors: 50}
canaries:
  - {id: plain, reason: r, prompt: Heads or tails?}
  - {id: own, reason: r, prompt: Heads or tails?, repeats: 1, anchors: 8}
"""


def test_repeats_and_anchors_are_the_suites_unless_the_canary_has_its_own():
    plain, own = parse_suite(COUNTED, "suite.yaml").canaries
    assert (plain.repeats, plain.anchors) == (5, 50)
    assert (own.repeats, own.anchors) == (1, 8)
    assert plain.parameters == {}


def test_a_suite_that_says_nothing_of_them_leaves_them_to_target_and_baseline():
    canary = canary_of(SHORT)
    assert (canary.repeats, canary.anchors) == (None, None)


# ---------------------------------------------------------------- what stays in the team

PRIVATE = """
suite: internal
{suite}
canaries:
  - {{id: plain, reason: r, prompt: p}}
  - {{id: own, reason: r, prompt: p, private: true}}
  - {{id: shown, reason: r, prompt: p, private: false}}
"""


@pytest.mark.parametrize(
    ("suite", "private"),
    [("", [False, True, False]), ("private: true", [True, True, False]), ("private: false", [False, True, False])],
)
def test_a_canary_is_as_private_as_its_suite_unless_it_says_otherwise(suite, private):
    canaries = parse_suite(PRIVATE.format(suite=suite), "suite.yaml").canaries
    assert [canary.is_private for canary in canaries] == private


def test_saying_that_a_canary_is_private_starts_no_new_baseline():
    before, after = (parse_suite(PRIVATE.format(suite=said), "suite.yaml").canaries for said in ("", "private: true"))
    assert [canary.content_hash for canary in before] == [canary.content_hash for canary in after]
    assert len({canary.content_hash for canary in before}) == 1
