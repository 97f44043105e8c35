"""``driftwatch probes discover``, over a socket that counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from driftwatch.canaries import load_suites


@pytest.fixture
def varied(endpoint):
    """The endpoint answers one of three words in turn, by the number of the request."""

    def answer(prompt: str, key: str | None):
        endpoint.prompts.append(prompt)
        endpoint.keys.append(key)
        word = ("Heads", "Tails", "Heads", "Tails", "Edge")[endpoint.n_requests * 7 // 3 % 5]
        message = {"role": "assistant", "content": word}
        reply = {"model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": "length"}]}
        return 200, "application/json", json.dumps(reply)

    endpoint.answer = answer
    return endpoint


@pytest.fixture
def refusing(endpoint):
    """The endpoint takes no request that it is sent."""
    endpoint.always = (400, "application/json", '{"error": {"message": "unsupported parameter"}}')
    return endpoint


def test_what_is_found_is_written_loads_and_can_be_watched(driftwatch, over_http, varied):
    place = over_http("price: {input: 1, output: 2}")
    ended = driftwatch("probes", "discover", "support", "--requests", 120, "--yes")
    assert ended.code == 0, ended.err
    assert varied.n_requests <= 120
    path = place.root / "probes-support.yaml"
    suite = load_suites([path])["probes-support"]
    assert suite.canaries
    assert {canary.id.partition("/")[2].partition("-")[0] for canary in suite.canaries} <= {"border", "words"}
    assert "support: at most 120 requests" in ended.out
    assert "at most $0.00 (price from config)" in ended.words
    assert f"{varied.n_requests} of 120 requests used" in ended.words
    assert "logprobs: asked for and not given" in ended.out
    assert f"Wrote {path.name}." in ended.out or f"Wrote {path}." in ended.out
    assert "0.00 to" not in ended.out
    assert "suites: [probes-support]" in ended.out
    assert not (place.root / "watch.db").exists()

    assert "       canaries: [suite.yaml, probes-support.yaml]\n" in ended.out
    place.edit("driftwatch.yaml", "canaries: [suite.yaml]", "canaries: [suite.yaml, probes-support.yaml]")
    validated = driftwatch("validate")
    assert validated.code == 0, validated.err
    assert "support: openai_compatible m-1" in validated.out


def test_the_line_to_write_names_the_default_folder_where_the_config_names_none(driftwatch, over_http, varied):
    place = over_http()
    place.write("canaries/suite.yaml", (place.root / "suite.yaml").read_text())
    place.edit("driftwatch.yaml", "canaries: [suite.yaml]\n", "")
    ended = driftwatch("probes", "discover", "support", "-n", 80)
    assert ended.code == 0, ended.err
    [line] = [line.strip() for line in ended.out.splitlines() if line.strip().startswith("canaries: [")]
    assert line == "canaries: [canaries, probes-support.yaml]"
    [kept] = [line.strip() for line in ended.out.splitlines() if line.strip() == "suites: [support]"]
    place.edit("driftwatch.yaml", "    model: m-1\n", f"    model: m-1\n    {kept}\n")
    place.write("driftwatch.yaml", f"{line}\n" + place.config.read_text())
    assert "support: openai_compatible m-1, 2 canaries" in driftwatch("validate").out


def test_a_file_in_a_folder_of_canaries_needs_no_line(driftwatch, over_http, varied):
    place = over_http()
    place.write("canaries/suite.yaml", (place.root / "suite.yaml").read_text())
    place.edit("driftwatch.yaml", "[suite.yaml]", "[canaries]")
    ended = driftwatch("probes", "discover", "support", "-n", 80, "--out", "canaries/micro.yaml")
    assert "it is among the `canaries:` of driftwatch.yaml already" in ended.words
    assert "canaries: [" not in ended.out


@pytest.mark.parametrize("name", ["x" * 300 + ".yaml", "/proc/x.yaml"], ids=["too long a name", "a folder of no files"])
def test_a_place_that_takes_no_file_is_found_out_before_anything_is_sent(driftwatch, over_http, varied, name):
    if name.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    over_http()
    ended = driftwatch("probes", "discover", "support", "-y", "--out", name)
    assert ended.code == 2
    assert ended.err.startswith(f"driftwatch: cannot write {name}: ")
    assert ended.err.endswith("; write --out another file\n")
    assert varied.n_requests == 0


def test_trying_the_place_leaves_nothing_behind_and_spoils_nothing(driftwatch, over_http, endpoint):
    place = over_http("price: {input: 1, output: 2}")
    assert driftwatch("probes", "discover", "support").code == 2
    assert not (place.root / "probes-support.yaml").exists()
    place.write("probes-support.yaml", "mine")
    assert driftwatch("probes", "discover", "support", "--force").code == 2
    assert (place.root / "probes-support.yaml").read_text() == "mine"


def test_a_database_that_cannot_be_kept_does_not_matter(driftwatch, over_http, varied):
    place = over_http()
    place.edit("driftwatch.yaml", "store: watch.db", "store: suite.yaml/watch.db")
    ended = driftwatch("probes", "discover", "support", "-n", 60)
    assert ended.code == 0, ended.err


def test_requests_are_counted_on_a_terminal_and_a_pipe_stays_clean(driftwatch, over_http, varied, monkeypatch):
    over_http()
    assert driftwatch("probes", "discover", "support", "-n", 60).err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    seen = driftwatch("probes", "discover", "support", "-n", 60, "--force")
    assert re.search(r"\d\d/60", seen.err)


def test_nothing_is_sent_before_somebody_has_agreed(driftwatch, over_http, varied):
    over_http("price: {input: 1, output: 2}")
    ended = driftwatch("probes", "discover", "support")
    assert ended.code == 2
    assert "nobody is here to be asked; write --yes to spend it" in ended.err
    assert varied.n_requests == 0


def test_an_endpoint_that_charges_nothing_needs_no_agreement(driftwatch, over_http, varied):
    over_http()
    assert driftwatch("probes", "discover", "support", "--requests", 60).code == 0
    assert 40 < varied.n_requests <= 60


def test_nothing_found_is_said_and_is_exit_code_3(driftwatch, over_http, endpoint):
    place = over_http()
    ended = driftwatch("probes", "discover", "support", "-n", 80, "-y")
    assert ended.code == 3
    assert "prompts is near a tie or varies; write --requests above 80, or another --seed" in ended.err
    assert endpoint.n_requests <= 80
    assert not (place.root / "probes-support.yaml").exists()


def test_an_endpoint_that_takes_no_short_reply_says_which_tier_remains(driftwatch, over_http, refusing):
    over_http()
    ended = driftwatch("probes", "discover", "support", "-y")
    assert ended.code == 3
    assert "no micro probe fits this endpoint; watch it with ordinary canaries" in ended.err
    assert "no such bound is taken" in ended.out
    assert refusing.n_requests < 10


def test_a_wrong_key_costs_one_request_and_names_the_doctor(driftwatch, over_http, endpoint):
    over_http()
    endpoint.always = (401, "application/json", '{"error": {"message": "bad key"}}')
    ended = driftwatch("probes", "discover", "support", "-y")
    assert ended.code == 3
    assert "`driftwatch doctor support` says what to correct" in ended.err
    assert endpoint.n_requests == 1


def test_an_endpoint_that_goes_down_midway_is_no_crash(driftwatch, over_http, varied):
    over_http()
    answer = varied.answer

    def until_twenty(prompt, key):
        if varied.n_requests < 20:
            return answer(prompt, key)
        varied.prompts.append(prompt)
        return 503, "application/json", "{}"

    varied.answer = until_twenty
    ended = driftwatch("probes", "discover", "support", "-n", 400, "-y")
    assert ended.code in {0, 3}
    assert "ended early, the endpoint stopped to answer" in ended.out
    assert varied.n_requests < 80


def test_an_existing_file_is_replaced_only_when_told_and_nothing_is_spent_before(driftwatch, over_http, varied):
    place = over_http()
    place.write("probes-support.yaml", "mine")
    ended = driftwatch("probes", "discover", "support", "-y")
    assert ended.code == 2
    assert "probes-support.yaml exists; write --force to replace it, or --out another file" in ended.err
    assert varied.n_requests == 0
    assert driftwatch("probes", "discover", "support", "-y", "-n", 60, "--force").code == 0
    assert "suite: probes-support" in (place.root / "probes-support.yaml").read_text()


def test_out_and_kinds_and_probes_are_heeded(driftwatch, over_http, varied):
    place = over_http()
    ended = driftwatch(
        "probes", "discover", "support", "-y", "-n", 120, "--out", "mine.yaml", "--kinds", "words", "--probes", 2
    )
    assert ended.code == 0, ended.err
    canaries = load_suites([place.root / "mine.yaml"])["probes-support"].canaries
    assert [canary.id for canary in canaries] == ["probes-support/words-1", "probes-support/words-2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["suport"], "unknown target 'suport'; did you mean 'support'?"),
        (["support", "--kinds", "boarder"], "unknown kind 'boarder'; did you mean 'border'?"),
        (["support", "--kinds", ","], "--kinds is empty; write some of: border, words, logprob"),
        (["support", "--out", "no/such/place.yaml"], "no/such is no directory; make it, or write --out another file"),
        (["support", "--out", "."], ". is a directory; write --out a file in it"),
        (["support", "--requests", "39"], "'--requests' / '-n': it must be greater than or equal to 40"),
        (["support", "--probes", "0"], "'--probes': it must be greater than or equal to 1"),
        (["support", "--requests", "many"], "'--requests' / '-n': it must be a whole number"),
        ([], "missing argument 'target'"),
    ],
)
def test_bad_input_is_one_sentence_and_costs_nothing(driftwatch, over_http, endpoint, arguments, said):
    over_http()
    ended = driftwatch("probes", "discover", *arguments)
    assert ended.code == 2
    assert said.lower() in ended.err.lower()
    assert "Traceback" not in ended.err
    assert endpoint.n_requests == 0


def test_a_simulated_target_can_be_probed_too(driftwatch, stable):
    ended = driftwatch("probes", "discover", "support", "-n", 80)
    assert ended.code in {0, 3}, ended.err
    assert "Traceback" not in ended.err
    assert "of 80 requests used" in ended.words


def test_a_baseline_of_probes_costs_what_was_said_and_verbs_count_their_own_repeats(driftwatch, over_http, varied):
    place = over_http("price: {input: 1, output: 2}")
    place.write(
        "suite.yaml",
        "suite: probes\n"
        "defaults: {parameters: {max_tokens: 1, temperature: 1}}\n"
        "canaries:\n"
        "  - {id: coin, reason: r, prompt: Heads or tails?, repeats: 3, anchors: 12}\n"
        "  - {id: plain, reason: r, prompt: Heads or edge?}\n",
    )
    validated = driftwatch("validate")
    assert "2 canaries × 1 to 3 every 1h" in validated.out
    done = driftwatch("baseline", "--yes")
    assert done.code == 0, done.err
    planned = 12 + 8 + 20 * (3 + 1)
    assert f"12 anchors at most for each of 2 canaries, then 20 calibration runs: {planned} requests" in done.out
    assert varied.n_requests == planned
    assert driftwatch("doctor").code == 0
    state = driftwatch("check", "--now", "--format", "json")
    assert varied.n_requests == planned + 1 + 4
    assert state.json[0]["state"] == "stable"
