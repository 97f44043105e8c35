"""What ``check`` writes for CI systems: JUnit, SARIF, Markdown and JSON say the same, and quoted text stays text."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from junitparser import JUnitXml
from markdown_it import MarkdownIt

from driftwatch.cli.checked import Checked, Finding, exit_code
from driftwatch.cli.formats import FORMATS, Outcome
from driftwatch.cli.grades import CheckFormat, FailOn, Grade
from driftwatch.cli.standing import notable, way
from driftwatch.domain import Kind, KindEvidence, State, Verdict

AT = datetime(2026, 3, 16, 14, 0, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script> | [x](https://evil.example) ![i](y) @team #1 `code` ]]> &amp; *b* _i_ \u202e "
    "\x1b[31m \x00 https://evil.example www.evil.example 😀"
)
DRIFT = Finding(
    rule="behaviour",
    grade=Grade.DRIFT,
    headline="Replies got longer on 3 of 4 canaries",
    details=("median 31 → 66 words", "Canaries: support/refund"),
    incident=12,
)
OUT = Finding(rule="availability", grade=Grade.UNMEASURED, headline="no verdict: 4 of 4 requests failed")
WIRE = Finding(rule="tripwire", grade=Grade.WARNING, headline="fingerprint: fp_1 → fp_2")
WATCH = Finding(rule="watch-itself", grade=Grade.WARNING, headline="the disk is nearly full", incident=13)


def checked(target: str = "support", *findings: Finding, **changes: object) -> Checked:
    values: dict[str, object] = {
        "target": target,
        "ran": True,
        "state": State.DRIFTED if DRIFT in findings else State.STABLE,
        "measured": OUT not in findings,
        "reason": "evidence 3 of 175,320",
        "at": AT,
        "paused": None,
        "findings": findings,
        "place": "config/driftwatch.yaml:7",
        "model": "gpt-4o",
    }
    return Checked(**values | changes)  # type: ignore[arg-type]


def parsed(xml: str) -> ET.Element:
    return ET.fromstring(xml)  # noqa: S314 - what driftwatch has just written


def outcome(*checks: Checked, watch: tuple[Finding, ...] = ()) -> Outcome:
    return Outcome(at=AT, checks=checks, watch=watch, version="1.2.3")


@pytest.fixture
def mixed() -> Outcome:
    return outcome(
        checked("support", DRIFT, WIRE), checked("eu", OUT), checked("fine"), checked("wire", WIRE), watch=(WATCH,)
    )


def test_every_format_but_the_table_is_in_the_dict():
    assert {"table", *FORMATS} == set(CheckFormat)


class TestJUnit:
    def test_a_failure_is_drift_and_an_error_could_not_be_measured(self, mixed):
        root = parsed(FORMATS["junit"](mixed))

        told = {
            (suite.get("name"), case.get("name")): [child.tag for child in case]
            for suite in root
            for case in suite
            if len(case)
        }

        assert told == {
            ("support", "behaviour"): ["failure"],
            ("support", "metadata"): ["system-out"],
            ("eu", "measured"): ["error"],
            ("eu", "behaviour"): ["skipped"],
            ("eu", "performance"): ["skipped"],
            ("eu", "metadata"): ["skipped"],
            ("wire", "metadata"): ["system-out"],
            ("driftwatch", "the watch itself"): ["system-out"],
        }

    def test_the_counts_are_those_of_the_cases(self, mixed):
        root = parsed(FORMATS["junit"](mixed))

        assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
            "tests": "17",
            "failures": "1",
            "errors": "1",
            "skipped": "3",
        }
        for suite in root:
            assert int(suite.get("tests", "")) == len(suite)
            assert int(suite.get("failures", "")) == len(suite.findall("*/failure"))

    def test_a_failure_says_what_moved_and_where_the_evidence_is(self, mixed):
        failure = parsed(FORMATS["junit"](mixed)).find(".//failure")

        assert failure is not None
        assert (failure.get("type"), failure.get("message")) == ("behaviour", DRIFT.headline)
        assert (failure.text or "").splitlines() == [DRIFT.headline, *DRIFT.details, "driftwatch report 12"]

    def test_a_case_with_two_causes_fails_once_and_tells_both(self):
        budget = Finding(rule="budget", grade=Grade.UNMEASURED, headline="paused by its budget")
        root = parsed(FORMATS["junit"](outcome(checked("eu", OUT, budget))))

        case = root.find(".//testcase[@name='measured']")
        assert case is not None
        assert [child.tag for child in case] == ["error", "system-err"]
        assert root.get("errors") == "1"

    @pytest.mark.parametrize("forbidden", ["\ufffe", "\uffff", "\x0b", "\x1b", "\ud83d"])
    def test_a_character_that_xml_forbids_is_shown_by_its_number(self, forbidden):
        found = Finding(
            rule="behaviour", grade=Grade.DRIFT, headline=f"a{forbidden}b", details=(forbidden,), incident=1
        )
        xml = FORMATS[CheckFormat.JUNIT](outcome(checked(f"t{forbidden}", found)))
        told = parsed(xml.encode()).find(".//failure")
        assert told.get("message") == f"a⟨U+{ord(forbidden):04X}⟩b"
        assert forbidden not in xml

    def test_characters_that_xml_allows_stay(self):
        found = Finding(rule="behaviour", grade=Grade.DRIFT, headline="ä\ufffd😀", details=(), incident=1)
        told = parsed(FORMATS[CheckFormat.JUNIT](outcome(checked("t", found)))).find(".//failure")
        assert told.get("message") == "ä\ufffd😀"

    def test_other_readers_agree(self, mixed, tmp_path):
        (tmp_path / "drift.xml").write_text(FORMATS["junit"](mixed), encoding="utf-8")

        read = JUnitXml.fromfile(str(tmp_path / "drift.xml"))

        assert (read.tests, read.failures, read.errors, read.skipped) == (17, 1, 1, 3)


class TestSarif:
    def test_each_finding_is_a_result_at_the_line_that_names_its_target(self, mixed):
        [run] = json.loads(FORMATS["sarif"](mixed))["runs"]

        assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
            ("behaviour", "error"),
            ("tripwire", "note"),
            ("availability", "warning"),
            ("tripwire", "note"),
            ("watch-itself", "note"),
        ]
        place = run["results"][0]["locations"][0]["physicalLocation"]
        assert place == {"artifactLocation": {"uri": "config/driftwatch.yaml"}, "region": {"startLine": 7}}
        assert run["invocations"][0]["executionSuccessful"] is False
        for result in run["results"]:
            assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]

    def test_the_same_finding_of_two_checks_is_one_alert_whatever_its_figures(self):
        later = Finding(rule="behaviour", grade=Grade.DRIFT, headline="Replies got 3 times as long", incident=12)

        first, second = (
            json.loads(FORMATS["sarif"](outcome(checked("support", found))))["runs"][0]["results"][0]
            for found in (DRIFT, later)
        )

        assert first["partialFingerprints"] == second["partialFingerprints"]
        assert first["message"] != second["message"]

    @pytest.mark.parametrize(
        ("place", "uri", "line"),
        [
            ("/srv/watch/driftwatch.yaml:9", "driftwatch.yaml", 9),
            ("../elsewhere/driftwatch.yaml:9", "driftwatch.yaml", 9),
            ("my watch/drift#1.yaml:2", "my%20watch/drift%231.yaml", 2),
            ("driftwatch.yaml", "driftwatch.yaml", 1),
            (None, "driftwatch.yaml", 1),
        ],
    )
    def test_a_place_outside_the_repository_tells_nothing_of_the_machine(self, place, uri, line):
        document = json.loads(FORMATS["sarif"](outcome(checked("support", DRIFT, place=place))))

        where = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
        assert where == {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}

    def test_brackets_of_a_reply_are_no_links(self):
        hostile = Finding(rule="behaviour", grade=Grade.DRIFT, headline="see [here](1)")

        [result] = json.loads(FORMATS["sarif"](outcome(checked("s", hostile))))["runs"][0]["results"]

        assert result["message"]["text"] == "s: see \\[here\\](1)"


class TestMarkdown:
    def test_it_opens_with_how_many_of_each(self, mixed):
        lines = FORMATS["markdown"](mixed).splitlines()

        assert lines[0] == "## driftwatch: 1 drift, 1 not measured, 1 warning, 1 ok"
        assert lines[4] == "| 🔴 | support | gpt-4o | drifted | ran | evidence 3 of 175,320 |"

    def test_a_target_with_findings_has_a_section_and_the_others_none(self, mixed):
        said = FORMATS["markdown"](mixed)

        assert [line for line in said.splitlines() if line.startswith("### ")] == [
            "### support",
            "### eu",
            "### wire",
            "### The watch itself",
        ]
        assert "  - all the evidence: `driftwatch report 12`" in said

    def test_nothing_quoted_is_markup_for_a_real_reader(self):
        hostile = Finding(rule="behaviour", grade=Grade.DRIFT, headline=HOSTILE, details=(HOSTILE,))
        said = FORMATS["markdown"](outcome(checked(HOSTILE, hostile, reason=HOSTILE)))

        html = MarkdownIt("commonmark").enable("table").render(said)

        for tag in ("<script", "<img", "<a ", "<em>b"):
            assert tag not in html
        assert html.count("<tr>") == 2, "a pipe in a reply makes no column or row"
        assert html.count("<strong>") == 1, "the rule alone is bold"


@pytest.mark.parametrize(
    ("findings", "fail_on", "code"),
    [
        ([], FailOn.DRIFT, 0),
        ([WIRE], FailOn.DRIFT, 0),
        ([WIRE], FailOn.WARNING, 1),
        ([DRIFT], FailOn.DRIFT, 1),
        ([DRIFT], FailOn.BEHAVIOUR, 1),
        ([DRIFT], FailOn.NEVER, 0),
        ([OUT], FailOn.DRIFT, 3),
        ([OUT], FailOn.NEVER, 0),
        ([OUT, DRIFT], FailOn.DRIFT, 1),
        ([OUT, WIRE], FailOn.DRIFT, 3),
        ([OUT, WIRE], FailOn.WARNING, 1),
        ([Finding(rule="performance", grade=Grade.DRIFT, headline="slower")], FailOn.BEHAVIOUR, 0),
    ],
)
def test_the_exit_code_says_what_the_operator_wants_to_fail_on(findings, fail_on, code):
    assert exit_code([checked("support", *findings)], fail_on) == code


def test_trouble_of_the_watch_itself_is_a_warning():
    assert exit_code([checked()], FailOn.DRIFT, watch=[WATCH]) == 0
    assert exit_code([checked()], FailOn.WARNING, watch=[WATCH]) == 1


# ------------------------------------------------------------ the command


def test_one_run_is_printed_and_written_in_every_format(drifted, driftwatch):
    done = driftwatch(
        "check", "--format", "markdown", "--write", "junit=ci/drift.xml", "--write", "sarif=ci/drift.sarif"
    )

    assert done.code == 1
    assert done.out.startswith("## driftwatch: 1 drift")
    suites = parsed((drifted.root / "ci/drift.xml").read_text())
    failure = suites.find(".//testcase[@name='behaviour']/failure")
    assert failure is not None
    assert "canaries since" in failure.get("message", "")
    [run] = json.loads((drifted.root / "ci/drift.sarif").read_text())["runs"]
    result = run["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (result["level"], uri) == ("error", "driftwatch.yaml")


def test_never_leaves_with_0_and_still_says_drift(drifted, driftwatch):
    done = driftwatch("check", "--fail-on", "never", "--format", "json")

    assert (done.code, done.json[0]["grade"]) == (0, "drift")


def test_a_watch_that_is_not_armed_is_a_warning(over_http, driftwatch):
    over_http()

    first = driftwatch("check", "--format", "json")
    second = driftwatch("check", "--now", "--fail-on", "warning")

    assert (first.code, first.json[0]["grade"], second.code) == (0, "warning", 1)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("junit", "--write junit names no file; write --write junit=FILE"),
        ("sariff=x.json", "unknown format 'sariff'; did you mean 'sarif'?"),
        ("table=x.txt", "unknown format 'table'"),
    ],
)
def test_a_wrong_file_is_told_before_anything_is_asked(over_http, endpoint, driftwatch, wanted, said):
    over_http()

    done = driftwatch("check", "--write", wanted)

    assert done.code == 2
    assert said in done.err
    assert endpoint.n_requests == 0


def test_a_file_that_cannot_be_written_is_one_sentence(stable, driftwatch):
    stable.write("ci", "a file, no folder")

    done = driftwatch("check", "--write", "junit=ci/drift.xml")

    assert done.code == 2
    assert "cannot write ci/drift.xml: a file is in the way" in done.err


# ---------------------------------------------------------------- evidence below the bar


def evidence(kind: Kind, m: float, **changes: object) -> KindEvidence:
    return KindEvidence(**{"kind": kind, "evidence": m, "threshold": 175_320.0, "is_drifted": False} | changes)  # type: ignore[arg-type]


def verdict(*kinds: KindEvidence) -> Verdict:
    return Verdict(
        run_id=1,
        target="support",
        baseline_id=1,
        at=AT,
        state=State.STABLE,
        reason="evidence 2,301 of 175,320",
        n_calibration=20,
        n_monitored=40,
        kinds=kinds,
    )


@pytest.mark.parametrize(
    ("m", "share"), [(0.0, 0.0), (-1.0, 0.0), (417.7, 0.5), (2_301.0, 0.6413), (175_320.0, 1.0), (math.inf, 1.0)]
)
def test_the_way_to_an_alarm_is_measured_in_factors(m, share):
    assert way(evidence(Kind.BEHAVIOUR, m)) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ([evidence(Kind.BEHAVIOUR, 400.0)], None),
        (
            [evidence(Kind.BEHAVIOUR, 2_301.0), evidence(Kind.PERFORMANCE, 3.0)],
            "notable evidence, no alarm: behaviour 2,301 of 175,320, 0.64 of the way to an alarm",
        ),
        (
            [evidence(Kind.BEHAVIOUR, 9e9, is_drifted=True), evidence(Kind.PERFORMANCE, 2_301.0)],
            "notable evidence, no alarm: performance 2,301 of 175,320, 0.64 of the way to an alarm",
        ),
        ([evidence(Kind.BEHAVIOUR, 2_301.0, problem="the calibration drifted")], None),
        ([], None),
    ],
    ids=["little", "much", "beside a drift", "cannot be judged", "none yet"],
)
def test_evidence_is_notable_from_half_of_the_way_on_until_it_is_an_alarm(kinds, said):
    assert notable(verdict(*kinds)) == said


def test_without_a_verdict_nothing_is_notable():
    assert notable(None) is None


def test_notable_evidence_is_a_line_in_markdown_and_a_field_in_json_and_changes_no_grade():
    said = "notable evidence, no alarm: behaviour 2,301 of 175,320, 0.64 of the way to an alarm"
    quiet = outcome(checked(), checked("faq"))
    loud = outcome(checked(evidence=(evidence(Kind.BEHAVIOUR, 2_301.0),), notable=said), checked("faq"))

    assert f"\n👀 **support**: {said}\n" in FORMATS["markdown"](loud)
    assert "👀" not in FORMATS["markdown"](quiet)
    first, second = json.loads(FORMATS["json"](loud))
    assert (first["notable"], second["notable"]) == (said, None)
    assert first["evidence"] == {"behaviour": {"m": 2_301.0, "threshold": 175_320.0, "way": 0.6412}}
    assert (first["grade"], second["evidence"]) == ("ok", {})
    for name in ("junit", "sarif"):
        assert FORMATS[name](loud) == FORMATS[name](quiet)
    assert exit_code(loud.checks, FailOn.WARNING) == 0


def test_notable_evidence_is_a_line_below_the_table(stable, driftwatch, monkeypatch):
    monkeypatch.setattr("driftwatch.cli.standing.NOTABLE", 0.0)

    done = driftwatch("check", "--fail-on", "warning")

    assert done.code == 0
    assert [
        line for line in done.out.splitlines() if line.startswith("support: notable evidence, no alarm: behaviour ")
    ]
