"""``driftwatch compare``: two recordings or baselines, one answer, one exit code."""

from __future__ import annotations

import gzip
import json
import re

import pytest

PLAIN = ["Paris.", "It is Paris.", "Paris, of course.", "The capital is Paris."]
CHATTY = ["Great question! It is Paris.", "Great question! Paris.", "Great question! That would be Paris."]


def lines(texts, *, n_prompts=12, prompt="What is the capital of France? ({})", repeats=3, ids="p{}"):
    rows = [
        {"prompt_id": ids.format(i), "prompt": prompt.format(i), "output": texts[(i + k) % len(texts)]}
        for i in range(n_prompts)
        for k in range(repeats)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A directory with recordings; writes another one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "before.jsonl").write_text(lines(PLAIN))
    (tmp_path / "same.jsonl.gz").write_bytes(gzip.compress(lines(PLAIN[::-1]).encode()))
    (tmp_path / "after.jsonl").write_text(lines(CHATTY))
    return lambda name, content: (tmp_path / name).write_text(content)


def test_a_change_is_told_at_a_glance_and_exits_with_drift(recorded, driftwatch):
    done = driftwatch("compare", "before.jsonl", "after.jsonl")

    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("DIFFERENT  p = 0.0001, α = 0.01\n")
    assert "before.jsonl → after.jsonl" in done.words
    assert "12 prompts, 36 + 36 replies · seed 0, 9,999 exchanges" in done.words
    assert re.search(r"openings +\d+ % shared .* different", done.out)
    assert "Next: read a few prompts side by side" in done.words


def test_no_change_exits_with_zero_and_does_not_claim_sameness(recorded, driftwatch):
    done = driftwatch("compare", "before.jsonl", "same.jsonl.gz")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("NO DIFFERENCE FOUND  p = ")
    assert "No difference is not sameness" in done.words


def test_equal_recordings_are_said_to_be_equal(recorded, driftwatch):
    recorded("one.jsonl", lines(["Paris."]))

    done = driftwatch("compare", "one.jsonl", "one.jsonl")

    assert (done.code, done.out.splitlines()[-1]) == (
        0,
        "Every reply is the same on both sides, in every measure.",
    )


def test_json_holds_every_measure_and_no_nan(recorded, driftwatch):
    done = driftwatch("compare", "before.jsonl", "after.jsonl", "--format", "json", "--permutations", "499")

    assert done.code == 1
    answer = done.json
    assert (answer["left"], answer["is_different"], answer["p_value"]) == ("before.jsonl", True, 0.002)
    assert {"measure", "unit", "effect", "low", "high", "p_adjusted", "is_different"} == set(answer["differences"][0])
    assert "NaN" not in done.out
    assert "refusals" in answer["constant"]


def test_a_seed_repeats_an_answer(recorded, driftwatch):
    ask = ("compare", "before.jsonl", "same.jsonl.gz", "--seed", "5", "--format", "json", "--permutations", "299")

    assert driftwatch(*ask).out == driftwatch(*ask).out


def test_a_text_is_printed_as_it_is_and_never_as_markup(recorded, driftwatch):
    recorded("[bold]x.jsonl", lines(PLAIN))

    done = driftwatch("compare", "[bold]x.jsonl", "before.jsonl")

    assert "[bold]x.jsonl → before.jsonl" in done.words


@pytest.mark.parametrize(
    ("right", "sentence"),
    [
        (lines(PLAIN, n_prompts=11), "the prompt sets differ: prompt 'p11' only in before.jsonl;"),
        (lines(PLAIN, n_prompts=13), "the prompt sets differ: prompt 'p12' only in right.jsonl;"),
        (lines(PLAIN, ids="q{}"), "the prompt sets differ: prompts 'p0', 'p1', 'p10' and 9 more only in before.jsonl"),
        (lines(PLAIN, prompt="And of Spain? ({})"), "were asked differently in before.jsonl and right.jsonl;"),
        ("", "right.jsonl: is empty; write one JSON object per line"),
        ("{", "right.jsonl:1: is not JSON"),
    ],
    ids=["fewer", "more", "others", "other text", "empty", "broken"],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(recorded, driftwatch, right, sentence):
    recorded("right.jsonl", right)

    done = driftwatch("compare", "before.jsonl", "right.jsonl")

    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--alpha", "0"), "--alpha 0 is no chance; write one above 0 and below 1, e.g. 0.01"),
        (("--alpha", "nan"), "--alpha nan is no chance"),
        (("--alpha", "5"), "--alpha 5 is no chance"),
        (("--permutations", "98"), "98 permutations cannot show p ≤ 0.01; draw 99 or more"),
        (("--permutations", "0"), "--permutations"),
        (("--seed", "-1"), "--seed"),
        (("--format", "xml"), "--format"),
        (("--embedder", "no-such-model"), "no-such-model"),
    ],
)
def test_a_bad_option_is_refused_in_one_sentence(recorded, driftwatch, option, sentence):
    done = driftwatch("compare", "before.jsonl", "after.jsonl", *option)

    assert done.code == (3 if option[0] == "--embedder" else 2)
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


def test_too_few_replies_exit_with_could_not_measure(recorded, driftwatch):
    for name in ("few", "other"):
        recorded(f"{name}.jsonl", lines([name], n_prompts=4, repeats=1))

    done = driftwatch("compare", "few.jsonl", "other.jsonl")

    assert done.code == 3
    assert "4 and 4 replies to 4 prompts cannot show p below 0.12; record more replies" in done.err


def test_only_failures_exit_with_could_not_measure(recorded, driftwatch):
    rows = [{"prompt_id": f"p{i}", "prompt": f"What is the capital of France? ({i})", "error": "x"} for i in range(12)]
    recorded("down.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    done = driftwatch("compare", "before.jsonl", "down.jsonl")

    assert done.code == 3
    assert "12 of 12 prompts have no usable reply" in done.err


def test_a_file_that_is_not_there_is_named(recorded, driftwatch):
    done = driftwatch("compare", "before.jsonl", "nowhere.jsonl")

    assert (done.code, done.err) == (
        2,
        "driftwatch: nowhere.jsonl: there is no such file; name a .jsonl or .jsonl.gz file\n",
    )


# ---------------------------------------------------------------- baselines


def test_a_baseline_is_compared_to_itself_by_number_and_as_current(stable, driftwatch):
    done = driftwatch("compare", "support@1", "support@current", "--format", "json", "--alpha", "0.05")

    assert done.code == 0
    assert (done.json["n_canaries"], done.json["n_left"], done.json["n_right"]) == (2, 8, 8)
    assert done.json["p_value"] == 1.0


def test_a_baseline_is_compared_to_a_recording_of_the_same_prompts(stable, driftwatch):
    rows = [
        {"prompt_id": prompt_id, "prompt": prompt, "output": f"To my knowledge, {k} things."}
        for prompt_id, prompt in (
            ("support/capital", "What is the capital of France?"),
            ("support/triage", "Answer with JSON."),
        )
        for k in range(6)
    ]
    stable.write("new.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    done = driftwatch("compare", "support@current", "new.jsonl", "--format", "json")

    assert done.code == 1
    assert "failing checks" in {one["measure"] for one in done.json["differences"] if one["is_different"]}


def test_a_recording_of_another_prompt_is_not_compared_to_a_baseline(stable, driftwatch):
    rows = [{"prompt_id": one, "prompt": "Hi", "output": "Ho"} for one in ("support/capital", "support/triage")]
    stable.write("other.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    done = driftwatch("compare", "support@1", "other.jsonl")

    assert done.code == 2
    assert "prompts 'support/capital', 'support/triage' were asked differently" in done.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("support@7", "support has no baseline '7'; there are: 1, current"),
        ("support@latest", "support has no baseline 'latest'; there are: 1, current"),
        ("support@99999999999999999999999", "there are: 1, current"),
        ("suport@1", "unknown target 'suport'; did you mean 'support'?; a recording is named by its file"),
        ("support@", "support has no baseline ''"),
    ],
)
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(stable, driftwatch, name, sentence):
    done = driftwatch("compare", name, "support@1")

    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1
