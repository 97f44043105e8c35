"""``driftwatch report``: one page about an incident or a target."""

from __future__ import annotations

import zipfile

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


@pytest.mark.parametrize(("form", "name"), [("markdown", "md"), ("json", "json"), ("html", "html")])
def test_each_format_has_its_own_file_name(drifted, driftwatch, form, name):
    done = driftwatch("report", "1", "--format", form)

    assert (done.code, done.out, done.err) == (0, f"Wrote driftwatch-report.{name}.\n", "")
    assert "support" in (drifted.root / f"driftwatch-report.{name}").read_text()


def test_a_dash_writes_to_standard_output(drifted, driftwatch):
    done = driftwatch("report", "--format", "json", "-o", "-")
    assert (done.code, done.json["incident"]) == (0, 1)
    done = driftwatch("report", "--format", "markdown", "--output", "-")
    assert done.out.startswith("# ")
    assert not (drifted.root / "-").exists()


def test_a_bundle_is_a_zip_with_its_letter(drifted, driftwatch):
    done = driftwatch("report", "1", "--bundle", "desk/incident-1.zip")

    assert (done.code, done.out, done.err) == (0, "Wrote desk/incident-1.zip.\n", "")
    with zipfile.ZipFile(drifted.root / "desk" / "incident-1.zip") as archive:
        assert archive.namelist()[0] == "README.txt"
        assert str(drifted.root) not in "".join(archive.read(name).decode() for name in archive.namelist())


def test_a_suite_that_is_private_keeps_its_texts_out_of_the_bundle(drifted, driftwatch):
    drifted.edit("suite.yaml", "suite: support\n", "suite: support\nprivate: true\n")
    assert driftwatch("report", "1", "--bundle", "one.zip").code == 0
    with zipfile.ZipFile(drifted.root / "one.zip") as archive:
        everything = "".join(archive.read(name).decode() for name in archive.namelist())
    assert "What is the capital of France?" not in everything
    assert "To my knowledge" not in everything
    assert "support/capital" in everything


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["support", "--bundle", "x.zip"], "a bundle is about an incident, 'support' is none"),
        (["1", "--bundle", "x.zip", "-o", "y.html"], "write either --output or --bundle"),
        (["1", "--bundle", "-"], "a bundle is a zip file; name it: --bundle incident.zip"),
        (["1", "--bundle", "suite.yaml/x.zip"], "cannot write suite.yaml/x.zip"),
        (["9", "--bundle", "x.zip"], "no incident 9; there are: 1"),
    ],
)
def test_a_bundle_that_cannot_be_made_says_why(drifted, driftwatch, arguments, said):
    done = driftwatch("report", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_without_an_incident_there_is_no_bundle(stable, driftwatch):
    done = driftwatch("report", "--bundle", "x.zip")
    assert (done.code, "there is no incident yet" in done.err) == (2, True)


def test_an_unknown_format_is_refused(drifted, driftwatch):
    done = driftwatch("report", "--format", "pdf")
    assert done.code == 2
    assert "pdf" in done.err
