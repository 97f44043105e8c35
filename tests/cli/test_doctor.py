"""``driftwatch doctor``: would the watch work from here?"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.vendors.serving import Request, Server, answering, serving
from benchmarks.vendors.wire import Answer, Said, Trouble, Vendor, vendor
from driftwatch import wiring
from driftwatch.cli.doctor_ask import MOST_MORE, find_refused, named_in
from driftwatch.cli.doctor_text import ADVICE, WITHOUT_KEY, advice
from driftwatch.config import load
from driftwatch.domain import Canary, Completion, Message, Outcome
from driftwatch.providers import PROVIDERS

KEY = "sk-doctor-0123456789abcdef"

SUITE = """\
suite: support
canaries:
  - id: capital
    reason: a fact
    prompt: What is the capital of France?
    parameters: {temperature: 0, max_tokens: 20}
    checks: [{contains: Paris}]
"""

WATCH = """\
store: watch.db
embedder: "off"
canaries: [suite.yaml]
receivers: {{terminal: {{type: console}}}}
targets:
  support:
    provider: {provider}
    model: m-1
    base_url: {url}
    options: {options}
    api_key_env: WATCH_KEY
    stream: {stream}
{more}"""


@dataclass
class Vendors:
    """Plays a vendor on this machine while a command runs, and lays out a watch over it."""

    root: Path
    play: Callable[[Callable[[Request], Answer]], Server]

    def lay_out(
        self,
        name: str,
        *more: str,
        answer: Callable[[Answer], Answer] = lambda answer: answer,
        refuses: str | None = None,
        stream: bool = False,
        listed: bytes | None = None,
    ) -> tuple[Vendor, Server]:
        """A watch over one vendor's server.

        Args:
            name: the vendor's.
            more: further lines of the target.
            answer: alters what is answered.
            refuses: a parameter that the server does not take.
            stream: whether the target asks for streams.
            listed: what the list of models says; None when there is none.
        """
        spoken = vendor(name)

        def serve(request: Request) -> Answer:
            if request.method == "GET" and listed is not None:
                return Answer(headers={"content-type": "application/json"}, pieces=(listed,))
            if request.method == "GET":
                return Answer(status=404, headers={"content-type": "text/plain"}, pieces=(b"no list here",))
            heard = spoken.hears(request.path, request.headers, request.body)
            if refuses in heard.parameters:
                return spoken.fails(Trouble.PARAMETER, model="m-1")
            return answer((spoken.streams if heard.stream else spoken.says)(Said(text="Paris.")))

        server = self.play(serve)
        text = WATCH.format(
            provider=name,
            url=server.address + spoken.base_path,
            options=json.dumps(dict(spoken.options)),
            stream=str(stream).lower(),
            more="".join(f"    {line}\n" for line in more),
        )
        (self.root / "driftwatch.yaml").write_text(text, encoding="utf-8")
        (self.root / "suite.yaml").write_text(SUITE, encoding="utf-8")
        return spoken, server


@pytest.fixture
def vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """Servers in a loop of their own: a command runs one itself."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    contexts = []

    def play(answer: Callable[[Request], Answer]) -> Server:
        context = serving(answering(answer))
        contexts.append(context)
        return asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(10)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCH_KEY", KEY)
    yield Vendors(tmp_path, play)
    for context in contexts:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


WRITTEN = sorted(
    name
    for name in set(PROVIDERS) - {"simulated"}
    if find_spec(f"benchmarks.vendors.{name}") and find_spec(f"driftwatch.providers.{PROVIDERS[name].module}")
)


def test_a_watch_that_works_is_told_line_by_line(over_http, endpoint, driftwatch, monkeypatch):
    over_http("api_key_env: SUPPORT_KEY", "price: {input: 1, output: 2}")
    monkeypatch.setenv("SUPPORT_KEY", KEY)

    done = driftwatch("doctor")

    assert (done.code, done.err) == (0, "")
    assert "ok store watch.db, schema 0004" in done.words
    assert "ok embedder off: the meaning channel is not watched" in done.words
    assert "ok target support answers in " in done.words
    assert "tells served model m-1 and token counts (tokens in and out)" in done.words
    assert "a run is 2 requests and costs at most $" in done.words
    assert "warning receivers nobody is told of the incidents of support: add `receivers:`" in done.words
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


def test_a_missing_proxy_ends_it_with_the_place_and_tells_first_what_is_known(over_http, endpoint, driftwatch):
    over_http("proxy_env: WATCH_PROXY")

    done = driftwatch("doctor")

    assert done.code == 2
    assert "wrong target support environment variable WATCH_PROXY is not set" in done.words
    assert "driftwatch.yaml:7: targets.support: environment variable WATCH_PROXY is not set" in done.err
    assert endpoint.n_requests == 0


# ---------------------------------------------------------------- every provider


@pytest.mark.parametrize("name", WRITTEN)
def test_every_provider_that_answers_is_well(name, vendors, driftwatch):
    spoken, server = vendors.lay_out(name)

    done = driftwatch("doctor")

    assert done.code == 0, done.out + done.err
    assert "ok target support answers in " in done.words
    assert ("served model model-2026-01-01" in done.words) == ("model" in spoken.tells)
    assert ("token counts (tokens in and out" in done.words) == ("output_tokens" in spoken.tells)
    assert ("upstream upstream-1" in done.words) == ("upstream" in spoken.tells)
    assert sum(request.method == "POST" for request in server.requests) == 1
    assert KEY not in done.out + done.err


@pytest.mark.parametrize("name", [name for name in WRITTEN if "stream" not in vendor(name).cannot])
def test_a_stream_is_told_by_its_first_token(name, vendors, driftwatch):
    vendors.lay_out(name, stream=True)

    done = driftwatch("doctor")

    assert done.code == 0, done.out + done.err
    assert ", the first token after " in done.words


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in WRITTEN
        if "temperature" not in vendor(name).lacks and Trouble.PARAMETER in vendor(name).outcomes
    ],
)
def test_the_parameter_that_any_vendor_refuses_is_found_with_one_more_request(name, vendors, driftwatch):
    _, server = vendors.lay_out(name, refuses="temperature")

    done = driftwatch("doctor")

    assert done.code == 3
    assert (
        "failed target support refuses temperature and answers without it: "
        "write parameters: {temperature: null} under targets.support (driftwatch.yaml:6)" in done.words
    )
    assert sum(request.method == "POST" for request in server.requests) == 2


def test_parameters_without_a_place_are_listed_once(vendors, driftwatch):
    vendors.lay_out("anthropic", "parameters: {seed: 1, frequency_penalty: 0.5, temperature: null}")

    done = driftwatch("doctor")

    assert done.code == 0
    assert (
        "warning target support frequency_penalty and seed are configured and not sent: "
        "Anthropic, Messages has no place for them" in done.words
    )


def test_a_canary_that_a_wire_cannot_ask_is_told_and_another_is_sent(vendors, driftwatch):
    _, server = vendors.lay_out("anthropic")
    shaped = "suite: shaped\ncanaries:\n- {id: any, reason: r, prompt: p, response_format: {type: json_object}}\n"
    (vendors.root / "shaped.yaml").write_text(shaped)
    text = (vendors.root / "driftwatch.yaml").read_text()
    (vendors.root / "driftwatch.yaml").write_text(text.replace("[suite.yaml]", "[suite.yaml, shaped.yaml]"))

    done = driftwatch("doctor")

    assert done.code == 0
    assert "ok target support answers in " in done.words
    assert "warning target support shaped/any cannot be asked here: " in done.words
    assert "write suites: [support], or take what this API lacks out of the canary" in done.words
    assert sum(request.method == "POST" for request in server.requests) == 1


def test_the_end_that_the_list_of_models_announces_is_told(vendors, driftwatch):
    listed = b'{"data": [{"id": "m-1", "shutdown_date": "2027-01-31"}]}'
    vendors.lay_out("openai_compatible", listed=listed)

    said = driftwatch("doctor").words

    assert "warning target support the endpoint's list of models says that m-1 ends on 31 Jan 2027" in said


def test_a_document_instead_of_a_stream_is_told(vendors, driftwatch):
    spoken, _ = vendors.lay_out("openai_compatible", stream=True, answer=lambda _: spoken.says(Said(text="Paris.")))

    done = driftwatch("doctor")

    assert done.code == 0
    assert "warning target support a stream was asked for and a document came" in done.words


def test_headers_of_limits_and_of_an_end_are_told(vendors, driftwatch):
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "sunset": "Sun, 31 Jan 2027 00:00:00 GMT",
    }
    vendors.lay_out("openai_compatible", answer=lambda answer: replace(answer, headers={**answer.headers, **headers}))

    done = driftwatch("doctor")

    assert "rate limits left: 59 of 60 requests" in done.words
    assert "warning target support the endpoint announces an end: sunset 31 Jan 2027" in done.words


def test_a_router_that_may_choose_is_told(vendors, driftwatch):
    vendors.lay_out("openrouter")
    pinned = driftwatch("doctor").words
    text = (vendors.root / "driftwatch.yaml").read_text()
    (vendors.root / "driftwatch.yaml").write_text(
        "".join(line for line in text.splitlines(True) if "options:" not in line)
    )

    free = driftwatch("doctor").words

    assert "OpenRouter may ask another provider" not in pinned
    assert "OpenRouter may ask another provider with each request" in free
    assert "write options: {upstream: NAME}" in free


# ---------------------------------------------------------------- budgets


def test_caps_that_the_schedule_reaches_are_told(vendors, driftwatch):
    vendors.lay_out(
        "openai_compatible", "price: {input: 1, output: 2}", "budget: {requests_per_day: 10, usd_per_day: 1}"
    )

    done = driftwatch("doctor")

    assert done.code == 0
    assert (
        "budget.requests_per_day (driftwatch.yaml:14) stops it: a day may take 24 requests, the cap is 10" in done.words
    )
    assert "usd_per_day" not in done.words


def test_limits_that_leave_a_run_no_time_are_told(vendors, driftwatch):
    vendors.lay_out("openai_compatible", "limits: {requests_per_minute: 1, tokens_per_minute: 1}", "interval: 5m")

    said = driftwatch("doctor").words

    assert "targets.support.limits.tokens_per_minute (driftwatch.yaml:13) holds it up: a run may take " in said
    assert "minutes and is broken off after 4; raise it or lengthen `interval:`" in said
    assert "requests_per_minute" not in said


@pytest.mark.timeout(30)  # held to the limit, the second request would come a minute after the first
def test_a_diagnosis_of_several_requests_does_not_wait_for_the_limits_of_runs(vendors, driftwatch):
    _, server = vendors.lay_out(
        "openai_compatible", "limits: {requests_per_minute: 1}", "interval: 1d", refuses="temperature"
    )

    assert "refuses temperature and answers without it" in driftwatch("doctor").words
    assert len([request for request in server.requests if request.method == "POST"]) == 2


def test_the_cap_of_all_targets_together_counts_them_all(vendors, driftwatch):
    vendors.lay_out("openai_compatible")
    text = (vendors.root / "driftwatch.yaml").read_text()
    second = text[text.index("  support:") :].replace("support", "second")
    (vendors.root / "driftwatch.yaml").write_text(f"budget: {{requests_per_day: 30}}\n{text}{second}")

    done = driftwatch("doctor")

    assert (
        "warning budget budget.requests_per_day (driftwatch.yaml:1) stops it: a day may take 48 requests, the cap is 30"
        in done.words
    )


def test_a_cap_in_dollars_that_cannot_be_kept_is_refused_before_anything_is_sent(vendors, driftwatch):
    _, server = vendors.lay_out("openai_compatible", "budget:", "  usd_per_day: 1")
    text = (vendors.root / "driftwatch.yaml").read_text()
    # Anywhere but on this machine an endpoint of unknown price may charge.
    (vendors.root / "driftwatch.yaml").write_text(text.replace("127.0.0.1", "127.0.0.1.nip.example"))

    for verb in ("doctor", "validate"):
        done = driftwatch(verb)
        assert (done.code, done.out) == (2, "")
        assert (
            "driftwatch.yaml:14: targets.support.budget.usd_per_day: cannot be kept: nobody knows what m-1 costs at "
            "target support; write price: {input: …, output: …} under targets.support, or caps in requests or tokens"
        ) in done.err
    assert server.requests == []


# ---------------------------------------------------------------- what is refused


@dataclass
class Refusing:
    """An endpoint that refuses some parameters, with or without naming the first of them."""

    bad: frozenset[str]
    names_it: bool
    sent: tuple[str, ...]
    n_requests: int = 0
    also: Outcome | None = None
    """What it answers from the second request on, whatever is sent."""

    async def __call__(self, without: frozenset[str]) -> Completion:
        self.n_requests += 1
        hit = [name for name in self.sent if name in self.bad - without]
        outcome = self.also or (Outcome.REJECTED if hit else Outcome.OK)
        said = f"unsupported parameter {hit[0]}" if hit and self.names_it else "bad request"
        return Completion(canary_id="c", canary_hash="h", repeat=0, outcome=outcome, at=AT, latency_s=0.1, error=said)


AT = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("max_tokens", "seed", "stop", "temperature", "top_p")


@pytest.mark.parametrize("names_it", [True, False])
@pytest.mark.parametrize("bad", [{name} for name in NAMES], ids=lambda bad: next(iter(bad)))
def test_any_one_of_five_parameters_is_found_within_the_limit(bad, names_it):
    refusing = Refusing(frozenset(bad), names_it, NAMES)
    first = asyncio.run(refusing(frozenset()))

    blame = asyncio.run(find_refused(refusing, NAMES, first.error or ""))

    assert blame.answer is not None
    assert set(blame.parameters) >= bad
    assert refusing.n_requests - 1 <= MOST_MORE
    if blame.is_certain:
        assert set(blame.parameters) == bad
    else:
        assert len(blame.parameters) <= 2
    assert blame.is_certain or not names_it


def test_two_refused_parameters_are_both_found_from_what_is_said_of_each():
    refusing = Refusing(frozenset({"temperature", "top_p"}), True, NAMES)

    blame = asyncio.run(find_refused(refusing, NAMES, "unsupported parameter temperature"))

    assert (blame.parameters, blame.is_certain, refusing.n_requests) == (("temperature", "top_p"), True, 2)


def test_two_of_three_are_found_though_nothing_is_said():
    sent = ("seed", "stop", "temperature")
    refusing = Refusing(frozenset({"seed", "temperature"}), False, sent)

    blame = asyncio.run(find_refused(refusing, sent, "bad request"))

    assert blame.answer is not None
    assert set(blame.parameters) >= {"seed", "temperature"}
    assert refusing.n_requests <= MOST_MORE


def test_parameters_are_not_blamed_for_what_they_did_not_do():
    refusing = Refusing(frozenset(), False, NAMES, also=Outcome.REJECTED)

    blame = asyncio.run(find_refused(refusing, NAMES, "verify your organisation"))

    assert (blame.parameters, blame.answer, refusing.n_requests) == ((), None, 1)


def test_nothing_is_asked_where_nothing_can_be_left_out():
    refusing = Refusing(frozenset(), False, ())

    assert asyncio.run(find_refused(refusing, (), "verify your organisation")).parameters == ()
    assert refusing.n_requests == 0


def test_an_endpoint_that_breaks_down_meanwhile_is_taken_at_its_word():
    refusing = Refusing(frozenset({"seed"}), True, NAMES, also=Outcome.UNAVAILABLE)

    blame = asyncio.run(find_refused(refusing, NAMES, "unsupported parameter seed"))

    assert (blame.parameters, blame.is_certain, blame.answer) == (("seed",), False, None)


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("Unsupported value: 'temperature' does not support 0 with this model.", ["temperature"]),
        ("temperature: Extra inputs are not permitted", ["temperature"]),
        ("`temperature` and `top_p` cannot both be specified for this model", ["temperature", "top_p"]),
        ('Invalid JSON payload received. Unknown name "topP" at "generation_config"', ["top_p"]),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", ["max_tokens"]),
        ("inferenceConfig.stopSequences failed to satisfy constraint", ["stop"]),
        ("the request was not understood", []),
    ],
)
def test_a_parameter_is_recognised_in_every_vendors_spelling(sentence, named):
    assert named_in(sentence, ("stop", "temperature", "top_p", "max_tokens", "seed")) == named


def test_the_targets_own_parameter_is_removed_where_it_is_written(over_http, endpoint, driftwatch):
    over_http("parameters:", "  seed: 3")
    endpoint.statuses = {1: (400, "application/json", '{"error": {"message": "seed is not supported"}}')}

    done = driftwatch("doctor")

    assert done.code == 3
    assert (
        "refuses seed and answers without it: remove targets.support.parameters.seed (driftwatch.yaml:14)" in done.words
    )
    assert endpoint.n_requests == 2


def test_an_inherited_parameter_is_switched_off_with_all_that_is_inherited(over_http, endpoint, driftwatch):
    place = over_http()
    text = (place.root / "driftwatch.yaml").read_text()
    (place.root / "driftwatch.yaml").write_text(f"{text}defaults: {{parameters: {{seed: 3, top_p: 1}}}}\n")
    endpoint.statuses = {1: (400, "application/json", '{"error": {"message": "seed is not supported"}}')}

    assert "write parameters: {seed: null, top_p: 1} under targets.support" in driftwatch("doctor").words


def test_a_tool_or_form_that_is_refused_is_named(over_http, endpoint, driftwatch):
    place = over_http()
    suite = "suite: support\ncanaries:\n- {id: a, reason: r, prompt: p, response_format: {type: json_object}}\n"
    (place.root / "suite.yaml").write_text(suite)
    endpoint.always = (400, "application/json", '{"error": {"message": "response_format is not supported"}}')

    assert (
        "support/a asks for response_format: name only suites without it under `suites:`" in driftwatch("doctor").words
    )


def test_the_canary_that_asks_for_most_is_sent(over_http, endpoint, driftwatch):
    place = over_http()
    suite = (
        "suite: support\ncanaries:\n- {id: plain, reason: r, prompt: plain one}\n"
        "- {id: shaped, reason: r, prompt: shaped one, response_format: {type: json_object}}\n"
    )
    (place.root / "suite.yaml").write_text(suite)

    driftwatch("doctor")

    assert endpoint.prompts == ["shaped one"]


# ---------------------------------------------------------------- failures


def test_every_failure_has_advice():
    assert set(ADVICE) == set(Outcome) - {Outcome.OK}
    assert all(not sentence.endswith(".") for sentence in (*ADVICE.values(), *WITHOUT_KEY.values()))


def test_every_provider_without_a_key_of_its_own_has_advice_on_identities():
    keyless = {name for name, entry in PROVIDERS.items() if entry.key_env is None and entry.extra}
    assert set(WITHOUT_KEY) == keyless | {"azure_openai"}


REFUSED = {
    "an identity": (
        "provider: bedrock, model: m, options: {region: eu-central-1}",
        Outcome.AUTH,
        "let the identity call bedrock:InvokeModel in this region",
    ),
    "an identity at a vendor with keys": (
        "provider: azure_openai, model: m, base_url: 'https://x.openai.azure.com/openai/v1', options: {auth: entra}",
        Outcome.AUTH,
        "the role Cognitive Services OpenAI User",
    ),
    "nobody": (
        "provider: vllm, model: m",
        Outcome.AUTH,
        "the endpoint wants a key: name its variable with `api_key_env:`",
    ),
    "the vendor's own variable": (
        "provider: anthropic, model: m",
        Outcome.AUTH,
        "set ANTHROPIC_API_KEY to a valid one",
    ),
    "a file": (
        "provider: gemini, model: m, api_key_file: /run/key",
        Outcome.AUTH,
        "set the key in /run/key to a valid one",
    ),
    "no address in the config": (
        "provider: bedrock, model: m, options: {region: eu-central-1}",
        Outcome.CONNECTION,
        "correct `options:` or the network",
    ),
    "another wire": (
        "provider: cohere, model: m",
        Outcome.MALFORMED,
        "this does not answer like Cohere, Chat v2: correct `base_url:` or `provider:`",
    ),
    "a budget": (
        "provider: cohere, model: m",
        Outcome.NOT_ASKED,
        "nothing was sent: raise `limits:` or `timeout:`, or wait",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_advice_fits_the_provider(case, tmp_path):
    keys, outcome, expected = REFUSED[case]
    path = tmp_path / "driftwatch.yaml"
    path.write_text(f"targets: {{support: {{{keys}}}}}\n")
    settings = load(path, {}, providers=PROVIDERS)
    canary = Canary(id="s/c", suite="s", messages=(Message(role="user", content="p"),))
    watched = wiring.target("support", settings.targets["support"], settings, (canary,))
    completion = Completion(
        canary_id="s/c", canary_hash="h", repeat=0, outcome=outcome, at=AT, latency_s=0.1, error="no"
    )

    assert expected in advice(settings, watched, canary, completion)


def test_an_endpoint_that_names_one_parameter_after_another_is_not_asked_for_ever():
    refusing = Refusing(frozenset(NAMES), True, NAMES)

    blame = asyncio.run(find_refused(refusing, NAMES, "unsupported parameter max_tokens"))

    assert refusing.n_requests == MOST_MORE
    assert (blame.parameters, blame.is_certain, blame.answer) == (NAMES[:MOST_MORE], False, None)


def test_the_help_says_how_often_is_asked(driftwatch):
    said = driftwatch("doctor", "--help").words
    assert f"up to {MOST_MORE} times more" in said


def test_a_server_of_ones_own_that_is_off_is_told_to_be_started(vendors, driftwatch):
    vendors.lay_out("ollama")
    text = (vendors.root / "driftwatch.yaml").read_text()
    url = next(line for line in text.splitlines() if "base_url" in line)
    (vendors.root / "driftwatch.yaml").write_text(text.replace(url, "    base_url: http://127.0.0.1:9/v1"))

    done = driftwatch("doctor")

    assert done.code == 3
    assert "nothing answers at http://127.0.0.1:9/v1: start the server, or correct `base_url:`" in done.words


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
        (
            "the endpoint answered 404 Not Found: no `m-1` here; "
            "the endpoint does not know the model, or this key may not use it: correct `model:`"
        ),
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
            "too many requests for this key: set `limits:`, lower `concurrency:` or lengthen `interval:`"
        ),
    ),
    "400": (
        (400, "application/json", '{"error": {"message": "temperature is not supported"}}'),
        (
            "the endpoint answered 400 Bad Request: temperature is not supported; "
            "no sampling parameter is to blame: see what the endpoint says"
        ),
    ),
    "quota": (
        (429, "application/json", '{"error": {"message": "no credit", "code": "insufficient_quota"}}'),
        (
            "the endpoint answered 429 Too Many Requests: no credit; "
            "the account has no credit or no plan left: only its owner can help, asking again does not"
        ),
    ),
    "filtered": (
        (400, "application/json", '{"error": {"message": "blocked", "code": "content_filter"}}'),
        (
            "the endpoint answered 400 Bad Request: blocked; "
            "a content filter refuses this canary: reword it, or loosen the filter where you run it"
        ),
    ),
    "other wire": (
        (200, "application/json", '{"candidates": []}'),
        "this does not answer like any endpoint that speaks chat completions: correct `base_url:` or `provider:`",
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
    assert "failed target support " in done.words
    assert told in done.words
    assert KEY not in done.out + done.err
