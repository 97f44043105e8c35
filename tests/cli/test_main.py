"""The program as a whole: help, version, mistyped command lines, broken pipes and bugs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from driftwatch import __version__


def test_the_version_is_told(driftwatch):
    done = driftwatch("--version")

    assert (done.code, done.out, done.err) == (0, f"driftwatch {__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["canaries"]], ids=["driftwatch", "driftwatch canaries"])
def test_a_command_alone_shows_its_help_and_does_nothing(driftwatch, arguments):
    done = driftwatch(*arguments)

    assert (done.code, done.err) == (2, "")
    assert "Usage: driftwatch" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "no such command 'chek'; did you mean 'check'?"),
        (["watch-everything"], "no such command 'watch-everything'; `driftwatch -h` shows what to write"),
        (["check", "--nwo"], "no such option: --nwo; did you mean --now?"),
        (["check", "--quickly"], "no such option: --quickly; `driftwatch check -h` shows what to write"),
        (["history"], "missing argument 'target'; `driftwatch history -h` shows what to write"),
        (["history", "a", "b"], "got unexpected extra argument(s) (b); `driftwatch history -h` shows what to write"),
        (["rebaseline"], "missing argument 'target'; `driftwatch rebaseline -h` shows what to write"),
        (
            ["incidents", "ack", "1"],
            "missing option '--reason'; `driftwatch incidents ack -h` shows what to write",
        ),
        (
            ["check", "--format", "xml"],
            (
                "invalid value for '--format': 'xml' is not one of 'table', 'json', 'markdown', 'junit', 'sarif'; "
                "`driftwatch check -h` shows what to write"
            ),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_command_line_is_one_sentence(driftwatch, arguments, said):
    done = driftwatch(*arguments)

    assert (done.code, done.out, done.err) == (2, "", f"driftwatch: {said}\n")


def test_a_bug_leaves_with_3_and_never_with_1(stable, driftwatch, monkeypatch):
    monkeypatch.setattr("driftwatch.config.load", lambda *_, **__: 1 / 0)

    done = driftwatch("check")

    assert done.code == 3
    assert "ZeroDivisionError" in done.err
    assert done.err.endswith("driftwatch: this is a bug in driftwatch; please report the lines above\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan"], "interrupted"),
        (["compare", "a", "b"], "interrupted"),
        (["backtest", "a"], "interrupted"),
        (
            ["probes", "discover", "support"],
            "interrupted; nothing was written, and what the requests sent so far have found is lost",
        ),
        (
            ["baseline", "--yes"],
            "interrupted; the run under way is lost, earlier ones are kept, and the same command goes on from there",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_interruption_says_what_it_means_for_this_verb(driftwatch, monkeypatch, arguments, said):
    monkeypatch.setattr("driftwatch.cli.app", lambda **_: 130)  # what the command line makes of Ctrl-C

    done = driftwatch(*arguments)

    assert (done.code, done.err.strip()) == (130, f"driftwatch: {said}")


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_reader_that_leaves_early_is_neither_drift_nor_a_traceback(drifted, output):
    arguments = ["history", "support", "--format", output]
    with subprocess.Popen(
        [sys.executable, "-m", "driftwatch", *arguments],
        cwd=drifted.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as history:
        history.stdout.close()
        err = history.stderr.read()

    assert history.returncode == 3
    assert err == ""
