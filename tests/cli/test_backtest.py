"""``driftwatch backtest``: a recording in, an answer an engineer can act on out."""

from __future__ import annotations

import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import numpy as np
import pytest

WORDS = ["bank", "river", "town", "old", "name", "ninety", "years", "market", "bridge", "stone", "north", "mill"]
START = datetime(2026, 3, 2, tzinfo=UTC)


def lines(n_runs, *, change_at=10_000, more=lambda run: {"sample_idx": run}):
    rng = random.Random(5)
    return [
        {
            "prompt_id": prompt,
            "output": "I'm sorry, but I can't help with that"
            if run >= change_at
            else " ".join(rng.choices(WORDS, k=8)),
        }
        | more(run)
        for run in range(n_runs)
        for prompt in ("p1", "p2", "p3", "p4")
    ]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """``file(rows, name)`` writes a recording and goes to its directory."""
    monkeypatch.chdir(tmp_path)

    def write(rows, name="r.jsonl"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return name

    return write


def test_an_unchanged_recording_is_quiet_with_exit_code_0(driftwatch, file):
    done = driftwatch("backtest", file(lines(80), "same.jsonl.gz"))

    assert (done.code, done.err) == (0, "")
    assert "same.jsonl.gz: 80 runs of 4 prompts, told by sample_idx" in done.out
    assert "8 for anchors · 36 for calibration · 36 watched" in done.words
    assert "meaning is off, --embedder default adds it" in done.words
    assert "at most a 10% chance of any false alarm in a year of 8,766 runs" in done.words
    assert "QUIET no alarm in 36 watched runs" in done.words
    assert "run 44" in done.out
    assert "run 79" in done.out


def test_a_change_is_drift_with_exit_code_1_and_says_when_and_what(driftwatch, file):
    done = driftwatch("backtest", file(lines(100, change_at=80)))

    assert (done.code, done.err) == (1, "")
    assert "DRIFT" in done.out
    assert "█" in done.out
    table_row = next(line for line in done.out.splitlines() if line.startswith("1  behaviour"))
    assert "run 80" in table_row
    assert "not yet" in table_row
    assert "• refuses more: 0 % → 100 %" in done.words
    assert "4 of 4 prompts moved" in done.words
    assert "I'm sorry, but I can't help with that" in done.words


def test_too_little_data_is_told_with_exit_code_3(driftwatch, file):
    done = driftwatch("backtest", file(lines(12)))

    assert (done.code, done.err) == (3, "")
    assert (
        "INCONCLUSIVE the recording has 12 runs: 8 became anchors, 20 are needed to calibrate and one to watch, so 17 "
        "more are needed"
    ) in done.words
    assert "--repeats" not in done.words


def test_fewer_repeats_are_advised_where_there_are_any(driftwatch, file):
    done = driftwatch("backtest", file(lines(40)), "--repeats", 4)

    assert "more are needed; fewer --repeats make more runs" in done.words


def test_the_help_shows_a_line_of_a_recording_and_its_keys(driftwatch):
    done = driftwatch("backtest", "-h")

    assert '{"prompt_id": "capital", "prompt": "…", "output": "…", "ts": "2026-03-02T09:00:00Z"}' in done.words
    assert "run, sample_idx, model, temperature, latency_s, out_tokens" in done.words


def test_one_model_of_a_file_that_holds_two_is_judged(driftwatch, file):
    rows = [row | {"model": "b", "task": "qa"} for row in lines(100, change_at=80)]
    rows += [row | {"model": "a", "task": "qa"} for row in lines(100)]
    name = file(rows)

    both, one = driftwatch("backtest", name), driftwatch("backtest", name, "--where", "model=a", "--where", "task=qa")
    drifted = driftwatch("backtest", name, "--where", "model=b", "--format", "json")
    neither = driftwatch("backtest", name, "--where", "model=c")

    assert (both.code, both.out) == (2, "")
    assert "write one file per model (backtest: --where model=NAME)" in both.err
    assert (one.code, drifted.code, drifted.json["where"]) == (0, 1, {"model": "b"})
    assert "r.jsonl (only model=a, task=qa): 100 runs of 4 prompts" in one.words
    assert (neither.code, neither.err) == (2, "driftwatch: r.jsonl: no line has model=c; there are b, a\n")


def test_times_that_cannot_be_read_stop_only_what_needs_them(driftwatch, file):
    name = file(lines(80, more=lambda run: {"sample_idx": run, "ts": "07/25/2023, 16:23:27"}))

    chosen, sampled = driftwatch("backtest", name), driftwatch("backtest", name, "--by", "sample")

    assert (chosen.code, chosen.out) == (2, "")
    assert 'r.jsonl:1: ts is "07/25/2023, 16:23:27", which is no time; write it like' in chosen.err
    assert sampled.code == 0
    assert "note: the times are not used: r.jsonl:1: ts is" in sampled.words


def test_what_was_not_measured_has_no_evidence(driftwatch, file, tmp_path):
    name = file(lines(60))

    text = driftwatch("backtest", name, "--plot", "drift.svg")
    told = driftwatch("backtest", name, "--format", "json").json

    assert "performance not measured" in text.words
    assert "latency is not judged" not in text.words
    assert {run["evidence"]["performance"] for run in told["watched"]} == {None}
    assert "performance" not in (tmp_path / "drift.svg").read_text()


def test_what_was_measured_has_evidence_and_a_line(driftwatch, file, tmp_path):
    rows = lines(60, more=lambda run: {"sample_idx": run, "latency_s": 1 + run % 7 / 10})

    text = driftwatch("backtest", file(rows), "--plot", "drift.svg")

    assert "not measured" not in text.words
    assert "performance" in (tmp_path / "drift.svg").read_text()


def test_the_json_holds_everything_and_nothing_else_is_printed(driftwatch, file):
    done = driftwatch("backtest", file(lines(100, change_at=80)), "--format", "json")

    told = done.json
    assert (done.code, done.err) == (1, "")
    assert (told["answer"], told["runs_by"], told["runs"], told["prompts"]) == ("drift", "sample", 100, 4)
    assert (told["anchor_runs"], told["calibration_runs"], told["watched_runs"]) == (8, 46, 46)
    assert told["threshold"] >= 175_320
    [alarm] = [alarm for alarm in told["alarms"] if alarm["kind"] == "behaviour"]
    assert alarm["onset"] == {"run": "80", "position": 26, "at": None}
    assert alarm["delay_runs"] == alarm["alarm"]["position"] - 26 + 1
    assert alarm["recovery"] is None
    assert alarm["pair"]["after"] == "I'm sorry, but I can't help with that"
    assert set(alarm["affected"]) == {"p1", "p2", "p3", "p4"}
    assert len(told["watched"]) == 46
    assert all(run["judged"] and run["evidence"]["behaviour"] >= 0 for run in told["watched"])


def test_an_inconclusive_answer_is_json_too(driftwatch, file):
    done = driftwatch("backtest", file(lines(3)), "--format", "json")

    assert (done.code, done.json["answer"], done.json["alarms"], done.json["watched"]) == (3, "inconclusive", [], [])


def test_times_make_the_runs_and_are_told(driftwatch, file):
    def timed(run):
        return {"ts": (START + timedelta(hours=6 * run)).isoformat()}

    done = driftwatch("backtest", file(lines(100, change_at=80, more=timed)), "--every", "6h")

    assert done.code == 1
    assert "told by their times" in done.words
    assert "in a year of 1,461 runs" in done.words
    assert "2026-03-22 00:00" in done.out


def test_two_files_are_before_and_after(driftwatch, file):
    before, after = file(lines(80), "before.jsonl"), file(lines(12, change_at=0), "after.jsonl")

    done = driftwatch("backtest", before, after, "--format", "json", "--calibration", 50)

    assert done.code == 1
    assert done.json["alarms"][0]["onset"]["run"] == "2/0"


def test_the_budget_and_the_runs_per_year_set_the_threshold(driftwatch, file):
    name = file(lines(40))

    def threshold(*options):
        return driftwatch("backtest", name, "--format", "json", *options).json["threshold"]

    hourly = threshold("--budget", "1/year")
    assert threshold("--budget", "10%") == pytest.approx(10 * hourly)
    assert threshold("--budget", "2 / year", "--runs-per-year", 1000) == pytest.approx(hourly / 2 / 8.766)


def test_the_picture_is_a_whole_svg_and_shows_the_drifted_stretch(driftwatch, file, tmp_path):
    done = driftwatch("backtest", file(lines(100, change_at=80)), "--plot", "drift.svg")

    assert (done.code, done.err) == (1, "Wrote drift.svg.\n")
    picture = ET.fromstring((tmp_path / "drift.svg").read_text())  # noqa: S314 - the program itself has just written it
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"behaviour", "no evidence", "run 54", "run 99"} <= set(texts)
    assert next(text for text in texts if text.startswith("r.jsonl: DRIFT, ")).endswith(" in 46 watched runs")
    assert float(picture.get("width")) / float(picture.get("height")) > 2
    bands = [e for e in picture.iter("{http://www.w3.org/2000/svg}rect") if e.get("opacity")]
    assert bands
    assert "onset run 80" in bands[0][0].text


def test_a_picture_that_cannot_be_written_takes_no_answer_away(driftwatch, file, tmp_path):
    (tmp_path / "drift.svg").mkdir()

    done = driftwatch("backtest", file(lines(60)), "--plot", "drift.svg")

    assert done.code == 2
    assert "QUIET" in done.out
    assert "cannot write drift.svg: Is a directory; name another file with --plot" in done.err


def test_without_a_watched_run_there_is_nothing_to_draw(driftwatch, file, tmp_path):
    done = driftwatch("backtest", file(lines(3)), "--plot", "drift.svg")

    assert (done.code, done.err) == (
        3,
        "Nothing to draw: no run was watched, so drift.svg is not written.\n",
    )
    assert not (tmp_path / "drift.svg").exists()


def test_what_a_reply_holds_never_acts_on_the_terminal(driftwatch, file):
    rows = lines(100, change_at=80)
    for row in rows:
        if row["sample_idx"] >= 80:
            row["output"] = "\x1b[31mred\u202e [bold]loud[/bold] " * 3
        row["prompt_id"] = f"[red]{row['prompt_id']}\x07"

    done = driftwatch("backtest", file(rows))

    assert done.code == 1
    assert not {"\x1b", "\x07", "\u202e"} & set(done.out)
    assert "[bold]loud[/bold]" in done.out
    assert "[red]p" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--every", "soon"], "--every 'soon' is no length of a run; write 15m, 1h or 1d, a second at least"),
        (["--every", "0s"], "--every '0s' is no length of a run"),
        (["--every", "1h"], "r.jsonl: the lines have no ts; add one, or write --by sample"),
        (["--by", "run"], "r.jsonl: the lines name no run"),
        (["--budget", "lots"], "--budget 'lots' is no budget; write 10% (chance of any in a year) or 1/year"),
        (["--budget", "100%"], "--budget '100%' is no budget"),
        (["--budget", "0/year"], "--budget '0/year' is no budget"),
        (["--runs-per-year", "0"], "--runs-per-year is 0; write a number above 0"),
        (["--runs-per-year", "nan"], "--runs-per-year is nan; write a number above 0"),
        (["--plot", "a.png"], "--plot a.png is no .svg file; write one like drift.svg"),
        (["--plot", "r.jsonl/a.svg"], "--plot r.jsonl/a.svg: there is no folder r.jsonl; make it first, or name"),
        (["--plot", "none/a.svg"], "--plot none/a.svg: there is no folder none; make it first, or name another file"),
        (["--where", "model"], "--where 'model' is no filter; write KEY=VALUE, e.g. model=gpt-4"),
        (["--calibration", "5"], "invalid value for '--calibration': it must be greater than or equal to 20"),
        (["none.jsonl"], "none.jsonl: there is no such file"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(driftwatch, file, options, said):
    done = driftwatch("backtest", file(lines(30)), *options)

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_bad_line_is_told_with_its_place(driftwatch, file):
    done = driftwatch("backtest", file([*lines(2), {"prompt_id": "p1"}]))

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("driftwatch: r.jsonl:9: has no output; write")


def test_meaning_is_compared_when_it_is_asked_for(driftwatch, file, monkeypatch):
    class Letters:
        revision = "letters"

        def embed(self, texts):
            counts = np.array([[text.count(letter) for letter in "abcdefghij"] for text in texts], dtype=np.float32) + 1
            return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    opened = []
    monkeypatch.setattr("driftwatch.score.open_embedder", lambda *given: opened.append(given) or Letters())

    done = driftwatch("backtest", file(lines(60)), "--embedder", "default")

    assert (done.code, opened) == (0, [("all-MiniLM-L6-v2", None, None)])
    assert "meaning" in next(line for line in done.out.splitlines() if "measured" in line)
    assert "meaning is off" not in done.words


def test_a_recording_that_drifted_while_it_was_learned_has_no_answer_and_a_way_out(driftwatch, file):
    rows = [row | {"output": row["output"] + " x" * (row["sample_idx"] // 2)} for row in lines(60)]

    done = driftwatch("backtest", file(rows))

    assert (done.code, done.err) == (3, "")
    assert "INCONCLUSIVE behaviour cannot be judged: the calibration runs themselves drifted" in done.words
    assert "begin with runs you trust: leave the lines before them out" in done.words
