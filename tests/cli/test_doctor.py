"""``driftwatch doctor``: would the watch work from here?"""

from __future__ import annotations

import pytest

KEY = "sk-doctor-0123456789abcdef"


def test_a_watch_that_works_is_told_line_by_line(over_http, endpoint, driftwatch, monkeypatch):
    over_http("api_key_env: SUPPORT_KEY", "price: {input: 1, output: 2}")
    monkeypatch.setenv("SUPPORT_KEY", KEY)

    done = driftwatch("doctor")

    assert (done.code, done.err) == (0, "")
    assert "warning target support nobody is told of its incidents: add `receivers:`" in done.words
    assert "ok store watch.db, schema 0002" in done.words
    assert "ok embedder off: the meaning channel is not watched" in done.words
    assert "ok target support answers in " in done.words
    assert "served model m-1; a run costs at most $" in done.words
    assert endpoint.n_requests == 1
    assert endpoint.keys == [f"Bearer {KEY}"]
    assert KEY not in done.out


def test_offline_sends_nothing(over_http, endpoint, driftwatch):
    over_http()

    assert driftwatch("doctor", "--offline").code == 0
    assert endpoint.n_requests == 0


def test_a_missing_key_is_told_and_nothing_is_sent_without_it(over_http, endpoint, driftwatch):
    over_http("api_key_env: SUPPORT_KEY")

    done = driftwatch("doctor")

    assert done.code == 2
    assert "wrong target support environment variable SUPPORT_KEY is not set; set it before driftwatch" in done.words
    assert endpoint.n_requests == 0


FAILURES = {
    "401": (
        (401, "application/json", f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}'),
        (
            "the endpoint answered 401 Unauthorized: Incorrect API key provided: ***; "
            "the key is not accepted: set SUPPORT_KEY to a valid one"
        ),
    ),
    "404": (
        (404, "application/json", '{"error": {"message": "no `m-1` here", "code": "model_not_found"}}'),
        "the endpoint answered 404 Not Found: no `m-1` here; the endpoint does not know the model: correct `model:`",
    ),
    "html": (
        (200, "text/html", "<html><title>Sign in</title></html>"),
        (
            "the body is not JSON; it starts '<html><title>Sign in</title></html>'; "
            "this is not the API but a web page or gateway: correct `base_url:`"
        ),
    ),
    "503": (
        (503, "text/plain", "overloaded"),
        (
            "the endpoint answered 503 Service Unavailable: overloaded; "
            "the endpoint is overloaded or broken: try again later"
        ),
    ),
    "429": (
        (429, "application/json", '{"error": {"message": "slow down"}}'),
        (
            "the endpoint answered 429 Too Many Requests: slow down; "
            "too many requests for this key: lower `concurrency:` or lengthen `interval:`"
        ),
    ),
    "400": (
        (400, "application/json", '{"error": {"message": "temperature is not supported"}}'),
        (
            "the endpoint answered 400 Bad Request: temperature is not supported; "
            "the request is refused: if it names a parameter, `parameters: {that: null}` never sends it"
        ),
    ),
    "empty": (
        (200, "application/json", ""),
        (
            "the endpoint answered 200 with an empty body; "
            "something between here and the API swallows the reply: correct `base_url:`"
        ),
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_told_with_what_to_do_and_leaves_with_3(over_http, endpoint, driftwatch, monkeypatch, failure):
    over_http("api_key_env: SUPPORT_KEY")
    monkeypatch.setenv("SUPPORT_KEY", KEY)
    endpoint.always, told = FAILURES[failure]

    done = driftwatch("doctor")

    assert done.code == 3
    assert f"failed target support {told}" in done.words
    assert KEY not in done.out + done.err
