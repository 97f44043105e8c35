"""How sure an alarm is, in plain words: what the figures mean and what they do not."""

from __future__ import annotations

from driftwatch.alert.evidence import IncidentEvidence
from driftwatch.alert.text import amount, count
from driftwatch.domain import Incident, Kind, State, Verdict
from driftwatch.judgement import MAX_FAILURE_SHARE

WHAT_M_AND_A_MEAN = (
    "M is how strongly the runs speak against \u201cnothing has changed\u201d: it multiplies with every run that is "
    "less usual than those of the calibration, and falls again with usual ones. A is the height that M has to reach "
    "before anybody is told."
)


def how_sure(incident: Incident, evidence: IncidentEvidence, alarm: Verdict | None, *, budget: str) -> list[str]:
    """Sentences on what an alarm rests on.

    Args:
        incident: of any kind.
        evidence: what it keeps.
        alarm: the verdict that raised it, None when it is not stored.
        budget: the operator's alarm budget in words; empty when it is not known.

    Source: P(alarm by run H) ≤ H/A for a watch in which nothing changes; see ``driftwatch.detect.budget``.
    """
    if incident.kind is Kind.AVAILABILITY:
        return [
            (
                "No statistics are behind this: requests failed, and failures are counted. A run in which more than "
                f"{100 * MAX_FAILURE_SHARE:.0f} % of them fail is not judged; that says nothing about behaviour."
            )
        ]
    if incident.kind is Kind.TRIPWIRE:
        return [
            (
                "No statistics are behind this: the endpoint names a value that it had never named since the baseline "
                "was begun. That alone does not prove that replies have changed."
            )
        ]
    if incident.kind is Kind.WATCH_ITSELF or evidence.evidence is None or not evidence.threshold:
        return []
    said = [
        (
            f"At the alarm the evidence M had reached {amount(evidence.evidence)}; the alarm A is at "
            f"{evidence.threshold:,.0f}."
        ),
        WHAT_M_AND_A_MEAN,
    ]
    if budget:
        said.append(f"A follows from the alarm budget: {budget.rstrip('.')}.")
    if alarm is not None and alarm.state is State.CALIBRATING:
        said.append("The alarm came during calibration, from fewer runs than usual: look at the replies first.")
    elif alarm is not None and 0 < alarm.n_monitored < evidence.threshold:
        said.append(
            f"Had nothing changed, the chance of such an alarm within the {count(alarm.n_monitored, 'run')} watched "
            f"up to it was at most {_percent(alarm.n_monitored / evidence.threshold)}."
        )
    if evidence.affected and evidence.affected.n:
        said.append(
            f"{evidence.affected.n} of {count(evidence.affected.of, 'canary')} moved beyond chance in at least one "
            "channel; of a list made like this at most one entry in twenty is expected to be there by chance."
        )
    if incident.kind is Kind.BEHAVIOUR:
        said.append("It shows that replies are different, not that they are worse: judge that by the pairs.")
    else:
        said.append("It shows that speed or length is different; what replies say is judged apart.")
    return said


def _percent(share: float) -> str:
    """A share with one digit, rounded up: a bound must not be told too low.

    >>> _percent(0.0011), _percent(0.00000001)
    ('0.2 %', 'less than 0.1 %')
    """
    if share < 0.001:  # noqa: PLR2004 - one digit after the point
        return "less than 0.1 %"
    return f"{-(-share * 1000 // 1) / 10:.1f} %"
