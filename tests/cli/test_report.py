"""``driftwatch report``: one page about an incident or a target."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("subject", [[], ["1"], ["support"]], ids=["newest", "incident", "target"])
def test_it_writes_one_page_that_needs_nothing_else(drifted, driftwatch, subject):
    done = driftwatch("report", *subject, "-o", "pages/one.html")

    assert (done.code, done.out, done.err) == (0, "Wrote pages/one.html.\n", "")
    page = (drifted.root / "pages" / "one.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "support" in page
    assert "src=" not in page


def test_without_an_incident_it_is_about_the_target(stable, driftwatch):
    done = driftwatch("report")

    assert (done.code, done.out) == (0, "Wrote driftwatch-report.html.\n")
    assert (stable.root / "driftwatch-report.html").is_file()
