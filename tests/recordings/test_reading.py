"""Recorded completions: what is read, and one sentence for everything that cannot be."""

from __future__ import annotations

import gzip
import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from driftwatch.domain import Message, Outcome
from driftwatch.errors import UsageError
from driftwatch.recordings import FORMAT_EXAMPLE, FORMAT_HELP, lines, parse_where, read_recording

GOOD = {"prompt_id": "a", "output": "x"}


@pytest.fixture
def written(tmp_path):
    """Lines (objects or text) → the file of them."""

    def write(*lines, name="r.jsonl"):
        path = tmp_path / name
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return path

    return write


def refusal(path, where=None):
    with pytest.raises(UsageError) as refused:
        read_recording(path, where)
    assert refused.value.exit_code == 2
    return str(refused.value).replace(f"{path}", "FILE")


def test_two_keys_are_enough(written):
    [record] = read_recording(written(GOOD)).records

    completion = record.completion
    assert (completion.canary_id, completion.text, completion.outcome, completion.repeat) == ("a", "x", Outcome.OK, 0)
    assert math.isnan(completion.latency_s)
    assert completion.at.tzinfo is UTC
    assert (record.run, record.sample, record.model, record.line) == (None, None, None, 1)


def test_every_column_is_read(written):
    path = written(
        {
            "prompt_id": "a",
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "output": "Hello",
            "ts": "2026-03-16T10:00:00+01:00",
            "run": 7,
            "sample_idx": 3,
            "model": "m",
            "temperature": 0,
            "latency_s": 1.5,
            "out_tokens": 4,
            "in_tokens": 9,
            "finish_reason": "stop",
            "served_model": "m-2",
            "fingerprint": "fp",
            "logprobs": [{"token": "H", "logprob": -0.1, "top": []}],
            "gold": "ignored",
        }
    )

    recording = read_recording(path)

    [record] = recording.records
    completion = record.completion
    assert completion.at == datetime(2026, 3, 16, 9, tzinfo=UTC)
    assert (completion.repeat, completion.latency_s, completion.input_tokens, completion.output_tokens) == (
        3,
        1.5,
        9,
        4,
    )
    assert (completion.finish_reason, completion.served_model, completion.fingerprint) == ("stop", "m-2", "fp")
    assert completion.logprobs == [{"token": "H", "logprob": -0.1, "top": []}]
    assert (record.run, record.sample, record.model) == ("7", 3, "m")
    assert recording.prompts["a"] == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hi"),
    )
    assert (recording.has_times, recording.has_runs, recording.temperature) == (True, True, 0)
    assert (recording.run_names, recording.models) == (("7",), ("m",))


def test_the_other_names_of_columns_mean_the_same(written):
    one = {"prompt_id": "a", "output": "x", "ts": 1_000_000_000, "sample_idx": 1, "out_tokens": 2, "in_tokens": 3}
    two = {"canary": "a", "text": "x", "at": 1_000_000_000.0, "repeat": 1, "output_tokens": 2, "input_tokens": 3}

    [first], [second] = read_recording(written(one)).completions, read_recording(written(two)).completions

    assert repr(first) == repr(second)  # NaN is not equal to itself
    assert first.at == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)


@pytest.mark.parametrize("name", ["r.jsonl.gz", "r.jsonl"], ids=["named so", "told by its bytes"])
def test_a_compressed_file_reads_the_same(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))

    assert [c.text for c in read_recording(path).completions] == ["x"]


def test_empty_lines_a_byte_order_mark_and_a_missing_last_newline_do_not_matter(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n\n  \n" + json.dumps(GOOD).encode())

    assert [record.line for record in read_recording(path).records] == [1, 4]


def test_null_counts_as_absent(written):
    nulls = dict.fromkeys(
        ("ts", "run", "sample_idx", "model", "temperature", "latency_s", "error", "outcome", "prompt")
    )

    recording = read_recording(written(GOOD | nulls))

    assert (recording.has_times, recording.has_runs, recording.temperature) == (False, False, None)


@pytest.mark.parametrize(
    ("told", "outcome", "error"),
    [
        ({"error": "overloaded"}, Outcome.ERROR_BODY, "overloaded"),
        ({"error": {"message": "slow down", "code": 429}}, Outcome.ERROR_BODY, "slow down"),
        ({"error": {"code": 429}}, Outcome.ERROR_BODY, '{"code": 429}'),
        ({"outcome": "timeout"}, Outcome.TIMEOUT, "timeout"),
        ({"outcome": "rate_limited", "error": "429", "output": "half"}, Outcome.RATE_LIMITED, "429"),
    ],
)
def test_a_failure_needs_no_output_and_has_no_text(written, told, outcome, error):
    [completion] = read_recording(written({"prompt_id": "a"} | told)).completions

    assert (completion.outcome, completion.error, completion.text) == (outcome, error, "")
    assert not completion.is_ok


def test_an_empty_reply_is_a_reply(written):
    [completion] = read_recording(written({"prompt_id": "a", "output": "", "error": False})).completions

    assert completion.is_ok


def test_a_prompt_told_once_counts_for_all_its_lines(written):
    recording = read_recording(written(GOOD, GOOD | {"prompt": "Hi"}, GOOD))

    assert len({c.canary_hash for c in recording.completions}) == 1
    assert recording.prompts == {"a": (Message(role="user", content="Hi"),)}


def test_the_hash_names_the_prompts_text_and_nothing_else(written):
    def hashed(**more):
        return read_recording(written(GOOD | more)).completions[0].canary_hash

    assert hashed(prompt="Hi") == hashed(prompt="Hi", model="other", temperature=1) != hashed(prompt="Ho")


@pytest.mark.parametrize(
    ("temperatures", "uniform", "parameters"),
    [([0, 0.0], 0, {"temperature": 0}), ([0.7, 0.7], 0.7, {}), ([0, 1], None, {}), ([0, None], None, {})],
)
def test_canaries_are_greedy_only_when_every_line_says_so(written, temperatures, uniform, parameters):
    recording = read_recording(written(*(GOOD | {"temperature": t} for t in temperatures)))

    assert recording.temperature == uniform
    assert [dict(canary.parameters) for canary in recording.canaries()] == [parameters]


def test_half_a_character_in_a_reply_is_replaced_and_can_be_hashed(written):
    recording = read_recording(written('{"prompt_id": "a", "prompt": "\\ud83d", "output": "cut \\ud83d"}'))

    assert recording.completions[0].text == "cut \ufffd"
    assert recording.canaries()[0].content_hash


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON (expecting property name enclosed in double quotes at column 2); write one whole JSON "),
        ('{"prompt_id": "a", "output": "x"', "is not JSON"),
        ('{"prompt_id": "a", "output": "x', "is not JSON (unterminated string starting at column 30); write one whole"),
        ("[1]", "is a JSON list; write one object per line"),
        ("7", "is no JSON object; write one object per line"),
        ('{"prompt_id": "a", "output": "x", "latency_s": NaN}', "NaN is no JSON number; write null, or leave the key"),
        ('{"prompt_id": "a", "output": "x", "latency_s": 1e999}', "1e999 is no JSON number"),
        ('{"prompt_id": "a", "output": "x", "latency_s": -Infinity}', "-Infinity is no JSON number"),
        ('{"n": ' + "9" * 5000 + "}", "holds a number with thousands of digits"),
        ("[" * 100_000, "is nested too deeply"),
        ({"output": "x"}, 'has no prompt_id; write "prompt_id": "…" (or "canary"), which names the prompt'),
        ({"prompt_id": None, "output": "x"}, "has no prompt_id"),
        ({"prompt_id": " ", "output": "x"}, "prompt_id is empty; write a short name"),
        ({"prompt_id": "a" * 501, "output": "x"}, "prompt_id is longer than 500 characters"),
        ({"prompt_id": True, "output": "x"}, "prompt_id is true; write a text or a number"),
        ({"prompt_id": "a", "canary": "b", "output": "x"}, "prompt_id and canary differ; keep one of the two"),
        ({"prompt_id": "a"}, 'has no output; write "output": "…" (or "text"), or "error": "…" for a failure'),
        ({"prompt_id": "a", "output": 3}, "output is 3; write a text in quotes"),
        (GOOD | {"prompt": 3}, 'prompt is 3; write a text, or a list of {"role": "user", "content": "…"}'),
        (GOOD | {"prompt": [{"role": "user"}]}, 'prompt is [{"role": "user"}]; write a text'),
        (GOOD | {"prompt": []}, "prompt is []; write a text"),
        (GOOD | {"sample_idx": -1}, "sample_idx is -1; write a whole number, 0 or more"),
        (GOOD | {"repeat": 1.5}, "repeat is 1.5; write a whole number, 0 or more"),
        (GOOD | {"out_tokens": "4"}, 'out_tokens is "4"; write a whole number, 0 or more'),
        (GOOD | {"latency_s": -1}, "latency_s is -1; write a number, 0 or more"),
        (GOOD | {"temperature": "hot"}, 'temperature is "hot"; write a number, 0 or more'),
        (GOOD | {"latency_s": 10**400}, "latency_s is far too large"),
        (GOOD | {"run": [1]}, "run is [1]; write a text or a number"),
        (GOOD | {"model": 4}, "model is 4; write a text in quotes"),
        (GOOD | {"outcome": "meh"}, 'outcome is "meh"; write one of: ok, timeout, connection,'),
        (GOOD | {"outcome": "ok", "error": "x"}, "outcome is ok and there is an error; leave one of the two out"),
    ],
)
def test_a_bad_line_gets_one_sentence_with_its_place(written, line, said):
    sentence = refusal(written(GOOD, line))

    assert sentence.startswith(f"FILE:2: {said}")
    assert "\n" not in sentence
    assert len(sentence) < 300


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ({"ts": "yesterday"}, 'ts is "yesterday", which is no time; write it like 2026-03-16T09:00:00Z'),
        ({"ts": "07/25/2023, 16:23:27"}, 'ts is "07/25/2023, 16:23:27", which is no time'),
        ({"ts": "2025-07-23_14-55-27"}, 'ts is "2025-07-23_14-55-27", which is no time'),
        ({"ts": "2026-03-16T09:00:00"}, 'ts is "2026-03-16T09:00:00", without a time zone; add Z or an offset'),
        ({"ts": "0001-01-01T00:00:00+14:00"}, 'ts is "0001-01-01T00:00:00+14:00", which is no time'),
        ({"ts": 1_773_651_600_000}, "ts is 1773651600000, which looks like milliseconds; write seconds"),
        ({"at": -1e18}, "at is -1e+18, which is no time"),
        ({"ts": True}, "ts is true, which is no time"),
        ({"ts": 1, "at": 2}, "ts and at differ; keep one of the two"),
    ],
)
def test_a_time_that_cannot_be_used_is_remembered_and_refuses_nothing(written, time, said):
    path = written(GOOD | {"ts": 1_773_651_600}, GOOD | time, GOOD | {"ts": "not this one"})

    recording = read_recording(path)

    assert recording.time_problem is not None
    assert recording.time_problem.replace(f"{path}", "FILE").startswith(f"FILE:2: {said}")
    assert not recording.has_times
    assert [c.at.isoformat() for c in recording.completions] == [f"2000-01-01T00:00:0{n}+00:00" for n in range(3)]


def test_times_that_can_be_used_are_no_problem(written):
    assert read_recording(written(GOOD | {"ts": 1})).time_problem is None
    assert read_recording(written(GOOD)).time_problem is None


def test_the_same_repeat_at_another_unreadable_time_is_no_duplicate(written):
    monday, tuesday = (GOOD | {"sample_idx": 0, "ts": day} for day in ("Monday", "Tuesday"))

    assert len(read_recording(written(monday, tuesday)).records) == 2
    assert "with sample_idx 0 is in line 1 already" in refusal(written(monday, monday))


@pytest.mark.parametrize(
    ("given", "outputs"),
    [
        (["model=gpt-4"], ["a", "b"]),
        (["model=gpt-4", "task=gsm"], ["a"]),
        (["temperature=0.70"], ["a"]),
        (["temperature=1"], ["b", "c"]),
        (["cached=true"], ["c"]),
        (["note=a=b"], ["b"]),
        ([], ["a", "b", "c"]),
    ],
)
def test_only_the_lines_asked_for_are_read(written, given, outputs):
    path = written(
        {"prompt_id": "p", "output": "a", "model": "gpt-4", "task": "gsm", "temperature": 0.7},
        {"prompt_id": "p", "output": "b", "model": "gpt-4", "task": "qa", "temperature": 1, "note": "a=b"},
        {"prompt_id": "p", "output": "c", "model": "llama", "task": "gsm", "temperature": 1.0, "cached": True},
    )

    assert [c.text for c in read_recording(path, parse_where(given)).completions] == outputs


def test_a_line_that_is_not_asked_for_may_be_anything_but_broken(written):
    other = {"model": "b", "prompt_id": [], "output": 3}

    assert len(read_recording(written(other, GOOD | {"model": "a"}), {"model": "a"}).records) == 1
    assert "is not JSON" in refusal(written("{", GOOD | {"model": "a"}), {"model": "a"})


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"model": "m9"}, "FILE: no line has model=m9; there are m0, m1, m2, m3, m4, m5 …"),
        ({"modell": "m1"}, "FILE: no line has a value of modell; --where can use prompt_id, output, model, run, task"),
        ({"model": "m1", "run": "2"}, "FILE: no line has model=m1 and run=2 together; leave one of them out"),
        ({"task": "y"}, "FILE: no line has task=y; there are \ufffd[31mred"),
    ],
)
def test_a_filter_that_leaves_nothing_says_what_there_is(written, where, said):
    path = written(*(GOOD | {"model": f"m{n}", "run": n, "task": "\x1b[31mred"} for n in range(8)))

    assert refusal(path, where) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["model"], "--where 'model' is no filter; write KEY=VALUE, e.g. model=gpt-4"),
        (["=gpt-4"], "--where '=gpt-4' is no filter"),
        (["model=a", "model=b"], "--where names model twice; a line has one value of it"),
    ],
)
def test_what_is_no_filter_is_told(given, said):
    with pytest.raises(UsageError) as refused:
        parse_where(given)

    assert str(refused.value).startswith(said)


def test_an_empty_file_is_empty_whatever_the_filter(written):
    assert refusal(written(), {"model": "a"}) == "FILE: is empty; write one JSON object per line"


def test_the_example_of_the_format_is_a_line_that_can_be_read(written):
    [record] = read_recording(written(FORMAT_EXAMPLE)).records

    assert record.completion.canary_id == "capital"
    assert FORMAT_EXAMPLE in FORMAT_HELP


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"prompt": "Hi"}, {"prompt": "Ho"}, 'prompt_id "a" has another prompt here than in line 1; give every prompt'),
        ({"ts": 1}, {}, "line 1 has ts and this line has none; give every line its ts, or none"),
        ({}, {"ts": 1}, "this line has ts and line 1 has none; give every line its ts, or none"),
        ({"run": 1}, {}, "line 1 has run and this line has none; give every line its run, or none"),
        ({"sample_idx": 4}, {"sample_idx": 4}, 'prompt "a" with sample_idx 4 is in line 1 already; number the repeats'),
        ({"run": 1, "repeat": 0}, {"run": 1, "repeat": 0}, 'prompt "a" with sample_idx 0 is in line 1 already'),
    ],
)
def test_lines_that_contradict_each_other_are_told_with_both_places(written, first, second, said):
    assert refusal(written(GOOD | first, GOOD | second)).startswith(f"FILE:2: {said}")


def test_the_same_repeat_in_another_run_is_no_duplicate(written):
    recording = read_recording(written(*(GOOD | {"run": run, "repeat": 0} for run in "ab")))

    assert recording.run_names == ("a", "b")


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"], ids=["no byte", "empty lines"])
def test_an_empty_file_is_told(tmp_path, content):
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)

    assert refusal(path) == "FILE: is empty; write one JSON object per line"


def test_what_is_no_readable_file_is_told(tmp_path):
    assert refusal(tmp_path) == "FILE: is a directory; name a .jsonl or .jsonl.gz file in it"
    assert refusal(tmp_path / "none") == "FILE: there is no such file; name a .jsonl or .jsonl.gz file"


def test_a_compressed_file_that_is_cut_off_or_damaged_is_told(tmp_path):
    whole = gzip.compress("".join(json.dumps(GOOD | {"sample_idx": i}) + "\n" for i in range(3000)).encode())
    path = tmp_path / "r.jsonl.gz"
    for broken in (whole[: len(whole) // 2], whole[:-6], whole[:200] + bytes(40) + whole[240:], whole[:2]):
        path.write_bytes(broken)
        assert refusal(path).endswith("the compressed data is damaged or cut off; compress the file again")
    path.write_bytes(json.dumps(GOOD).encode())
    assert refusal(path) == "FILE: is named .gz and is not compressed by gzip; name it .jsonl, or compress it"


def test_bytes_that_are_no_utf8_are_told_with_their_place(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"prompt_id": "\xe9"}\n')

    assert refusal(path) == "FILE:2: byte 16 is not UTF-8; save the file as UTF-8"


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 2**20)
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(8 * 2**20)))

    assert refusal(path) == "FILE:1: the line is longer than 1 MiB; one reply per line"


def test_more_lines_than_memory_holds_are_refused(written, monkeypatch):
    monkeypatch.setattr(lines, "MOST_LINES", 3)

    assert len(read_recording(written(*[GOOD] * 3)).records) == 3
    assert refusal(written(*[GOOD] * 4)) == "FILE:4: there are more than 3 lines; split the file"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
KEYS = ("prompt_id", "output", "prompt", "ts", "run", "sample_idx", "temperature", "latency_s", "error", "outcome")


@given(lines=st.lists(st.dictionaries(st.sampled_from(KEYS), JSON_VALUES), max_size=3))
def test_whatever_json_a_file_holds_it_is_read_or_refused_in_one_sentence(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "r.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))

    try:
        recording = read_recording(path)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - refusing is right, and so is reading
    else:
        assert len(recording.records) == len(lines)
        assert all(canary.content_hash for canary in recording.canaries())


@given(content=st.binary(max_size=60))
def test_whatever_bytes_a_file_holds_it_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "r.jsonl"
    path.write_bytes(content)

    with pytest.raises(UsageError):
        read_recording(path)
