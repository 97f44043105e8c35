"""What replies say themselves: whose word it is, and when it is nobody's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from driftwatch.attribution import Scope, Whose
from driftwatch.attribution.words import of_failures, of_tripwires
from driftwatch.domain import Kind, Level, Outcome, Target, Tripwire, Wire

SINCE = datetime(2026, 3, 16, 9, tzinfo=UTC)
TARGET = Target(name="support", provider="openai", model="m", canaries=())
GATEWAY = replace(TARGET, base_url="http://gateway.shop.internal/v1")


def tripped(wire: Wire, *after: str, before: tuple[str, ...] = ("m-1",)) -> Tripwire:
    return Tripwire(wire=wire, level=Level.NOTICE, before=before, after=after, canaries=("a/1",), since=SINCE)


@pytest.mark.parametrize(
    ("one", "points_to"),
    [
        (tripped(Wire.SERVED_MODEL, "m-2"), Whose.PROVIDER),
        (tripped(Wire.FINGERPRINT, "fp_2"), Whose.PROVIDER),
        (tripped(Wire.FINGERPRINT, "fp_4", before=("fp_1", "fp_2", "fp_3")), Whose.UNKNOWN),
        (tripped(Wire.UPSTREAM, "fireworks"), Whose.ENDPOINT),
        (tripped(Wire.INPUT_TOKENS, "a/1 30"), Whose.UNKNOWN),
        (tripped(Wire.DEPRECATION, "sunset: soon"), Whose.UNKNOWN),
        (tripped(Wire.ERRORS, "model gone"), Whose.PROVIDER),
    ],
)
def test_whose_word_a_tripwire_is(one: Tripwire, points_to: Whose):
    [reason], causes = of_tripwires([one], TARGET, Kind.BEHAVIOUR)
    assert (reason.points_to, causes) == (points_to, [])
    assert reason.text.startswith("the endpoint ")
    assert reason.text.endswith(", since Mon 16 Mar 09:00 UTC")


def test_another_name_from_a_gateway_on_our_side_is_not_the_providers_word():
    [reason], _ = of_tripwires([tripped(Wire.SERVED_MODEL, "m-2")], GATEWAY, Kind.TRIPWIRE)
    assert reason.points_to is Whose.ENDPOINT


def test_an_announced_end_is_the_cause_of_its_own_incident():
    [reason], _ = of_tripwires([tripped(Wire.RETIREMENT, "will be switched off")], TARGET, Kind.TRIPWIRE)
    assert reason.points_to is Whose.PROVIDER


def test_a_key_or_quota_is_the_accounts():
    reasons, [cause] = of_tripwires([tripped(Wire.ERRORS, "auth", "quota")], TARGET, Kind.TRIPWIRE)
    assert (reasons, cause.scope) == ([], Scope.ACCOUNT)


@pytest.mark.parametrize(
    ("outcomes", "said", "points_to"),
    [
        ({Outcome.UNAVAILABLE: 9, Outcome.TIMEOUT: 1}, "it answers that it is unavailable (5xx)", Whose.PROVIDER),
        ({Outcome.MODEL_GONE: 4}, "the model is gone (4 of 4 failed requests)", Whose.PROVIDER),
        ({Outcome.RATE_LIMITED: 4}, "4 of 4 failed requests ended in rate limited", Whose.UNKNOWN),
        ({Outcome.CONNECTION: 4}, "4 of 4 failed requests ended in connection", Whose.UNKNOWN),
        ({Outcome.CONNECTION: 2, Outcome.UNAVAILABLE: 2}, "2 of 4 failed requests got no answer", Whose.UNKNOWN),
        ({Outcome.RATE_LIMITED: 2, Outcome.UNAVAILABLE: 2}, "requests fail in many ways", Whose.UNKNOWN),
    ],
)
def test_whose_word_failures_are(outcomes: dict[Outcome, int], said: str, points_to: Whose):
    [reason], causes = of_failures(outcomes, TARGET)
    assert reason.text.startswith(said)
    assert (reason.points_to, causes) == (points_to, [])


def test_errors_of_a_gateway_on_our_side_are_the_endpoints():
    [reason], _ = of_failures({Outcome.UNAVAILABLE: 4}, GATEWAY)
    assert reason.points_to is Whose.ENDPOINT


def test_a_refused_key_is_our_side_and_no_failure_says_nothing():
    assert of_failures({}, TARGET) == ([], [])
    reasons, [cause] = of_failures({Outcome.AUTH: 3}, TARGET)
    assert (reasons, cause.scope) == ([], Scope.ACCOUNT)
    assert cause.text == "the key is not accepted (3 of 3 failed requests): only somebody with the account can help"
