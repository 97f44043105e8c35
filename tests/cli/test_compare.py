"""``driftwatch compare``: two recordings or baselines, one answer, one exit code."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
import time

import pytest
from rich.console import Console

from driftwatch.cli import compare_text
from driftwatch.cli.compare_text import _MEANINGS, _signed
from driftwatch.compare.measures import _DISTANCES, QUANTITIES
from driftwatch.errors import UsageError

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
    assert re.search(
        r"Next: read the replies to 'p\d+', 'p\d+', 'p\d+' side by side, they moved most; more", done.words
    )
    assert "baseline" not in done.words
    assert re.search(r"^measure +effect +95 % interval +p adjusted +verdict +what it is *$", done.out, re.MULTILINE)


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
        "The two sides hold the same replies.",
    )


def test_a_copy_is_said_to_be_one_although_its_replies_vary(recorded, driftwatch):
    done = driftwatch("compare", "before.jsonl", "before.jsonl")

    assert (done.code, done.out.splitlines()[-1]) == (0, "The two sides hold the same replies.")
    assert "stopped after 999 of 9,999 exchanges as p was above 0.2" in done.words


def test_a_file_with_an_at_sign_is_no_baseline_to_accept(recorded, driftwatch):
    recorded("support@1.jsonl", lines(PLAIN))

    done = driftwatch("compare", "support@1.jsonl", "after.jsonl")

    assert done.code == 1
    assert "rebaseline" not in done.words


def test_one_reply_a_prompt_is_sent_to_read_a_few(recorded, driftwatch):
    recorded("one.jsonl", lines(PLAIN, repeats=1))
    recorded("other.jsonl", lines(CHATTY, repeats=1))

    assert (
        "Next: read a few prompts side by side; more repeats" in driftwatch("compare", "one.jsonl", "other.jsonl").words
    )


def test_no_figure_is_less_than_nothing(recorded, driftwatch):
    recorded("lower.jsonl", lines([*PLAIN[:3], "The capitals is Paris."]))

    done = driftwatch("compare", "before.jsonl", "lower.jsonl")

    assert not re.search(r"[-+]0\.0+(?!\d)", done.out)
    assert _signed(-0.04, 1) == _signed(0.04, 1) == "0.0"
    assert (_signed(-0.06, 1), _signed(0.06, 1)) == ("-0.1", "+0.1")


def test_rows_say_what_they_count(recorded, driftwatch):
    done = driftwatch("compare", "before.jsonl", "after.jsonl")

    assert re.search(r"^length, characters +\+\d", done.out, re.MULTILINE)


def test_every_measure_has_its_meaning_said():
    quantities = {quantity.name for quantity in QUANTITIES}

    assert quantities | {"phrases", "openings", "topics", "spread", *(name for name, _ in _DISTANCES)} == set(_MEANINGS)


def test_what_both_sides_have_is_compared_when_asked(recorded, driftwatch):
    recorded("more.jsonl", lines(CHATTY, n_prompts=14))
    recorded("fewer.jsonl", lines(PLAIN, n_prompts=11))

    refused, asked = (
        driftwatch("compare", "fewer.jsonl", "more.jsonl"),
        ("compare", "fewer.jsonl", "more.jsonl", "--common"),
    )
    done = driftwatch(*asked)

    assert refused.code == 2
    assert "write --common to compare those that both sides have" in refused.err
    assert done.code == 1
    assert "11 prompts, 33 + 33 replies" in done.words
    assert "0 + 3 prompts of one side only left out" in done.words
    assert driftwatch(*asked, "--format", "json").json["n_left_out"] == [0, 3]


def test_an_embedder_that_is_not_there_is_told_in_words_of_the_option(recorded, driftwatch):
    done = driftwatch("compare", "before.jsonl", "after.jsonl", "--embedder", "no-such-model")

    assert "`--embedder`" in done.err
    assert "embedder.model" not in done.err
    assert "embedder: off" not in done.err


def test_the_help_shows_the_format_of_a_recording(driftwatch):
    done = driftwatch("compare", "-h")

    assert '{"prompt_id": "capital", "prompt":' in done.words
    assert "--common" in done.words


class TestProgress:
    @pytest.fixture
    def terminal(self, monkeypatch):
        screen = io.StringIO()
        monkeypatch.setattr(
            compare_text, "console", lambda **_: Console(file=screen, force_terminal=True, width=100, height=20)
        )
        return screen

    def test_a_long_comparison_says_on_a_terminal_what_it_does(self, terminal, monkeypatch):
        monkeypatch.setattr(compare_text, "PATIENCE_S", 0.0)

        with compare_text.progress() as on_stage:
            on_stage("reading [bold]x.jsonl")
            until = time.monotonic() + 10
            while "reading [bold]x.jsonl" not in terminal.getvalue() and time.monotonic() < until:
                time.sleep(0.01)

        assert "reading [bold]x.jsonl" in terminal.getvalue()

    def test_a_short_one_says_nothing(self, terminal):
        with compare_text.progress() as on_stage:
            on_stage("reading x.jsonl")

        assert terminal.getvalue() == ""

    @pytest.mark.usefixtures("terminal")
    def test_a_refusal_ends_it(self):
        with pytest.raises(UsageError), compare_text.progress():
            raise UsageError("no")

        assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]

    @pytest.mark.usefixtures("recorded")
    def test_a_pipe_gets_none(self, driftwatch, monkeypatch):
        monkeypatch.setattr(compare_text, "PATIENCE_S", 0.0)

        assert driftwatch("compare", "before.jsonl", "same.jsonl.gz").err == ""


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
    assert "accept it as the new baseline: `driftwatch rebaseline support --reason …`" in (
        driftwatch("compare", "support@current", "new.jsonl").words
    )
    assert "new baseline" not in driftwatch("compare", "new.jsonl", "support@current").words
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
