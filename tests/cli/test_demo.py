"""``driftwatch demo``: the lines of its diary."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from driftwatch.cli.demo import EVIDENCE_CELLS, STATE_CELLS, WIDTH, _Diary
from driftwatch.domain import Kind, KindEvidence, State, Verdict

REASON = "behaviour has drifted since 2026-03-16 10:00 UTC, mostly in novelty and wording, and somewhat in meaning"
START = len("Mon 16 Mar 14:00  ") + STATE_CELLS + EVIDENCE_CELLS


def verdict(state: State, evidence: float, reason: str, threshold: float = 87_660.0) -> Verdict:
    found = KindEvidence(
        kind=Kind.BEHAVIOUR, evidence=evidence, threshold=threshold, is_drifted=state is State.DRIFTED, alarm_at=None
    )
    return Verdict(
        run_id=1,
        target="t",
        baseline_id=1,
        at=datetime(2026, 3, 16, 14, tzinfo=UTC),
        state=state,
        reason=reason,
        n_calibration=60,
        n_monitored=12,
        kinds=(found,),
    )


def lines(*verdicts: Verdict) -> list[str]:
    out = io.StringIO()
    diary = _Diary(Console(file=out, width=80))
    for one in verdicts:
        diary.write(one)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("evidence", [90_000.0, 1_315_476.0, 1e40])
def test_evidence_never_touches_the_words_beside_it(evidence: float) -> None:
    _, line, *more = lines(verdict(State.STABLE, 4.2, "within"), verdict(State.DRIFTED, evidence, REASON))
    assert line[START - 1 :].startswith(" behaviour has drifted since")
    assert line[START - 2] == " "
    assert " of 87,660 " in line or " over 87,660 " in line
    assert more, "the rest of the reason follows below"


def test_no_line_is_wider_than_it_may_be_and_nothing_is_lost() -> None:
    _, *told = lines(verdict(State.STABLE, 4.2, "within"), verdict(State.DRIFTED, 1e9, REASON))
    assert max(map(len, told)) <= WIDTH
    assert " ".join(line[START:].strip() for line in told) == REASON
    assert {line[:START].strip() for line in told[1:]} == {""}
