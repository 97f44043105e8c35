"""``--format junit``: a failure is drift, an error means that nothing could be measured.

One suite for each target, one case for each thing that is watched of it, so that a CI system counts and keeps a
history of each. Source of the elements: github.com/testmoapp/junitxml, 2024; there is no official schema.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from driftwatch.cli.checked import Checked, Finding
from driftwatch.cli.formats.outcome import Outcome
from driftwatch.cli.grades import Grade

CASES = ("measured", "behaviour", "performance", "metadata")
"""What is watched of every target, in the order in which a reader wants it."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, not even escaped: one of them makes the whole file unreadable.
Source: W3C, "Extensible Markup Language (XML) 1.0 (Fifth Edition)", section 2.2, production Char."""

_CASE_OF = {
    "availability": "measured",
    "budget": "measured",
    "calibration": "behaviour",
    "behaviour": "behaviour",
    "performance": "performance",
    "tripwire": "metadata",
    "watch-itself": "measured",
}


def to_junit(outcome: Outcome) -> str:
    """The XML document, with a declaration."""
    root = ET.Element("testsuites", name="driftwatch check")
    for check in outcome.checks:
        _suite(root, check.target, _cases(check), outcome)
    if outcome.watch:
        _suite(root, "driftwatch", {"the watch itself": outcome.watch}, outcome)
    suites = list(root)
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    ET.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{_readable(ET.tostring(root, encoding='unicode'))}"


def _readable(xml: str) -> str:
    """The document with what XML forbids as its number, e.g. ``⟨U+FFFE⟩``."""
    return _FORBIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", xml)


def _cases(check: Checked) -> dict[str, Sequence[Finding]]:
    return {case: [found for found in check.findings if _CASE_OF[found.rule] == case] for case in CASES}


def _suite(root: ET.Element, target: str, cases: dict[str, Sequence[Finding]], outcome: Outcome) -> None:
    suite = ET.SubElement(root, "testsuite", name=target, timestamp=f"{outcome.at:%Y-%m-%dT%H:%M:%S}")
    cannot_tell = any(found.grade is Grade.UNMEASURED for found in cases.get("measured", ()))
    for name, findings in cases.items():
        case = ET.SubElement(suite, "testcase", classname=f"driftwatch.{target}", name=name, time="0")
        for found in findings:
            _tell(case, found)
        if not findings and cannot_tell:
            ET.SubElement(case, "skipped", message="nothing could be measured")
    for tag, count in (("testcase", "tests"), ("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(count, str(sum(next(case.iter(tag), None) is not None for case in suite)))


def _tell(case: ET.Element, found: Finding) -> None:
    if found.grade is Grade.WARNING:
        # JUnit knows no warning: a case that passes, with words beside it.
        ET.SubElement(case, "system-out").text = _body(found)
        return
    if case.find("failure") is not None or case.find("error") is not None:
        ET.SubElement(case, "system-err").text = _body(found)  # a case fails once
        return
    tag = "failure" if found.grade is Grade.DRIFT else "error"
    told = ET.SubElement(case, tag, message=found.headline, type=found.rule)
    told.text = _body(found)


def _body(found: Finding) -> str:
    more = [f"driftwatch report {found.incident}"] if found.incident is not None else []
    return "\n".join([found.headline, *found.details, *more])
