"""Every date in what outlives the year carries it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from driftwatch.alert import incidents
from driftwatch.alert.text import when as at_once
from driftwatch.domain import Kind
from driftwatch.report import bundle, document, markdown
from driftwatch.report.dates import dated, when

WITHOUT_A_YEAR = re.compile(r"\b\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b(?! \d{4})")
MIDYEAR = datetime(2026, 7, 1, tzinfo=UTC)


def test_a_time_is_told_with_its_year_in_utc():
    assert when(datetime.fromisoformat("2026-12-31T23:30:00-05:00")) == "Fri 1 Jan 2027 04:30 UTC"


@given(st.integers(-900, 900).map(lambda n: MIDYEAR + timedelta(days=n, minutes=n)), st.integers(-400, 400))
def test_a_sentence_gets_the_year_that_its_weekday_says(at, days):
    said = f"off since {at_once(at)}, as told."
    assert dated(said, at + timedelta(days=days)) == f"off since {when(at)}, as told."


@pytest.mark.parametrize(
    "said",
    [
        "nothing to date here",
        "since Mon 16 Mar 2026 10:00 UTC",  # has it
        "since Mon 99 Mar 10:00 UTC",
        "since Mon 30 Feb 10:00 UTC",
        "since Mon 16 Foo 10:00 UTC",
        "since Fri 29 Feb 10:00 UTC",  # 2008, 2036: nothing that a watch of 2026 can mean
    ],
)
def test_what_is_no_such_time_stays_as_it_is(said):
    assert dated(said, MIDYEAR) == said


def test_no_date_of_a_report_or_a_bundle_is_without_its_year(drifted):
    store, incident = drifted.store, drifted.incident()
    at = drifted.slot(drifted.n_runs)
    acknowledged = incidents.acknowledge([incident], author="ana", reason="asked the vendor", at=at)
    store.commit_judgement(None, acknowledged, at=at)
    report = drifted.report(drifted.incident())
    assert report.lead.evidence.changes
    assert report.record
    told = [drifted.page(drifted.incident()), markdown(report), json.dumps(document(report))]
    with zipfile.ZipFile(io.BytesIO(bundle(store, {"support": drifted.target}, drifted.incident()))) as archive:
        told += [archive.read(name).decode() for name in archive.namelist()]
    # The plot's axis names the year once, at its first mark.
    told[0] = re.sub(r'y="202\.0"[^>]*>[^<]+</text>', "", told[0])
    assert [WITHOUT_A_YEAR.findall(text) for text in told] == [[]] * len(told)


def test_sentences_that_an_incident_keeps_get_their_year_and_those_of_people_stay(drifted):
    incident = drifted.incident()
    kept = {
        **incident.evidence,
        "changes": ["the endpoint names another model, since Tue 10 Mar 06:00 UTC"],
        "attribution": {
            "verdict": "provider",
            "summary": "Most likely the provider, since Tue 10 Mar 06:00 UTC.",
            "reasons": [{"text": "other moved too, since Mon 9 Mar 06:00 UTC", "points_to": "provider", "weight": 1}],
        },
    }
    view = drifted.report(replace(incident, evidence=kept)).lead
    assert view.evidence.changes == ("the endpoint names another model, since Tue 10 Mar 2026 06:00 UTC",)
    assert view.evidence.attribution.summary == "Most likely the provider, since Tue 10 Mar 2026 06:00 UTC."
    assert view.evidence.attribution.reasons[0].text == "other moved too, since Mon 9 Mar 2026 06:00 UTC"
    at = drifted.slot(drifted.n_runs)
    noted = incidents.comment([incident], author="ana", reason="see Tue 10 Mar 06:00 UTC", at=at)
    drifted.store.commit_judgement(None, noted, at=at)
    assert drifted.report(drifted.incident()).record[-1].reason == "see Tue 10 Mar 06:00 UTC"
    assert view.incident.kind is Kind.BEHAVIOUR
