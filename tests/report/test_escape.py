"""Foreign text in Markdown and CSV."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from driftwatch.report.escape import cell, csv_cell, text


@pytest.mark.parametrize("said", ["fixes #12", "org/repo#7", "see GH-3", "ask @ana", "https://evil.example"])
def test_what_a_forge_would_link_or_ping_is_code_in_prose_and_in_cells(said):
    assert text(said) == cell(said) == f"`{said}`"


@pytest.mark.parametrize("said", ["@ana|bo", "a\\|b @c", "``|``", "@a `|` b", "www.evil.example|", "x\\\\|@y"])
def test_no_cell_ends_its_cell(said):
    table = f"| h |\n| --- |\n| {cell(said)} |\n"
    html = MarkdownIt("commonmark").enable("table").render(table)
    assert html.count("<td>") == 1
    assert "<a " not in html


@pytest.mark.parametrize("formula", ["=1+1", "+1", "@SUM(A1)", "-1", "\uff1d1", " =1", '"=1'])
def test_no_cell_begins_with_a_formula_whichever_separator_the_spreadsheet_reads(formula):
    first, second = csv_cell(f"x;{formula}").split(";")
    assert first == "x"
    assert second.strip().lstrip('"').startswith("'")


def test_a_semicolon_before_anything_else_is_left_alone():
    assert csv_cell("text/html; charset=utf-8; a=b") == "text/html; charset=utf-8; a=b"
