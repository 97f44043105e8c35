"""Tables: one line a row for what reads a pipe, folded for eyes."""

from __future__ import annotations

import pytest
from rich.console import Console

from driftwatch.cli import printing
from driftwatch.cli.printing import say, show
from driftwatch.cli.style import plain, table

LONG = "the endpoint could not be reached: " + "very " * 60 + "far away"


@pytest.fixture
def rows():
    made = table("target", "why")
    made.add_row("support", "fine")
    made.add_row("faq-of-a-rather-long-name", LONG)
    return made


@pytest.fixture
def terminal(monkeypatch):
    """One of 40 columns."""
    monkeypatch.setattr(printing, "_is_terminal", lambda: True)
    monkeypatch.setattr(printing, "console", lambda: Console(width=40, highlight=False))


def test_a_row_in_a_pipe_is_one_whole_line_without_blanks_at_its_end(rows, capsys):
    show(rows)

    out = capsys.readouterr().out.splitlines()
    assert out == [
        "target                     why",
        "support                    fine",
        f"faq-of-a-rather-long-name  {LONG}",
    ]


def test_in_a_terminal_a_row_is_folded_and_nothing_of_it_is_lost(rows, capsys, terminal):
    show(rows)

    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    assert "".join(out.split()).count("very") == 60


def test_a_sentence_in_a_pipe_is_one_line(capsys):
    say(plain(LONG), indent=6)

    assert capsys.readouterr().out == f"      {LONG}\n"


def test_each_line_of_a_folded_sentence_is_indented(capsys, terminal):
    say(plain(LONG), indent=6)

    out = capsys.readouterr().out.splitlines()
    assert len(out) > 5
    assert all(line.startswith("      ") and len(line) <= 40 for line in out)


def test_a_paragraph_begins_with_its_empty_line(capsys):
    say("\nsupport: fine")

    assert capsys.readouterr().out == "\nsupport: fine\n"
