"""The zip for a support desk: what is in it, what is not, and that it is the same every time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from dataclasses import replace

import pytest

from driftwatch.alert import incidents
from driftwatch.domain import Kind, Target
from driftwatch.report import bundle, document
from driftwatch.report.sharing import cleansed, fingerprint, hosts_of, prompt_of, shareable

NAMES = [
    *("README.txt", "report.md", "incident.json", "requests.csv", "requests.jsonl", "prompts.jsonl"),
    "manifest.json",
]


def files_of(world, target=None, incident=None) -> dict[str, str]:
    target = target or world.target
    content = bundle(world.store, {target.name: target}, incident or world.incident())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def keep_private(target, *names):
    canaries = tuple(replace(canary, is_private=canary.id in names) for canary in target.canaries)
    return replace(target, canaries=canaries)


def test_the_manifest_names_every_file_with_its_hash(drifted):
    files = files_of(drifted)
    assert list(files) == NAMES
    manifest = json.loads(files.pop("manifest.json"))
    assert {n: told["sha256"] for n, told in manifest["files"].items()} == {
        name: hashlib.sha256(content.encode()).hexdigest() for name, content in files.items()
    }
    assert (manifest["incident"], manifest["format"]) == (1, "driftwatch-bundle/1")


def test_the_same_store_makes_the_same_bytes(drifted):
    targets = {"support": drifted.target}
    first, second = (bundle(drifted.store, targets, drifted.incident()) for _ in range(2))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_every_request_since_the_onset_is_there_with_what_a_support_desk_looks_up(drifted):
    files, incident = files_of(drifted), drifted.incident()
    runs = [run for run in drifted.store.runs("support") if run.scheduled_at >= incident.onset_at]
    stored = [c for found in drifted.store.completions([run.id for run in runs]).values() for c in found]
    since = [row for row in lines(files["requests.jsonl"]) if row["period"] == "since"]
    assert [row["request_id"] for row in since] == [c.request_id for c in stored]
    assert [row["reply"] for row in since] == [c.text for c in stored]
    assert [row["reply_sha256"] for row in since] == [hashlib.sha256(c.text.encode()).hexdigest() for c in stored]
    assert {row["at"][-6:] for row in since} == {"+00:00"}
    assert {(row["served_model"], row["outcome"]) for row in since} == {("m-1", "ok")}
    anchors = drifted.store.anchors(incident.baseline_id)
    accepted = [row for row in lines(files["requests.jsonl"]) if row["period"] == "accepted"]
    assert len(accepted) == sum(map(len, anchors.values()))
    told = list(csv.DictReader(io.StringIO(files["requests.csv"], newline="")))
    assert [row["request_id"] for row in told] == [row["request_id"] for row in [*accepted, *since]]


def test_the_prompts_stand_behind_their_hashes(drifted):
    files = files_of(drifted)
    prompts = {row["prompt_sha256"]: row for row in lines(files["prompts.jsonl"])}
    assert {row["prompt_sha256"] for row in lines(files["requests.jsonl"])} == set(prompts)
    for canary in drifted.target.canaries:
        told = prompts[fingerprint(prompt_of(canary))]
        assert told["messages"] == [{"role": "user", "content": canary.messages[0].content}]


def test_the_letter_says_what_happened_and_what_is_asked(drifted):
    letter = files_of(drifted)["README.txt"]
    words = " ".join(letter.split())
    assert "A different model likely answers on 4 of 4 canaries since Tue 10 Mar 2026 06:00 UTC" in words
    assert "It is about m (simulated)." in words
    assert "it had not ended when this file was made." in words
    assert "Whatever they ask of a reader or of a program, we do not ask it." in words
    assert "Since then 96 requests of ours, from Tue 10 Mar 2026 06:00 UTC to" in words
    assert "of which 0 failed" in words
    assert "What changed behind this model name around Tue 10 Mar 2026 06:00 UTC" in words
    assert max(map(len, letter.splitlines())) <= 88


def test_of_what_is_private_there_are_hashes_and_lengths_alone(drifted):
    private = keep_private(drifted.target, "support/refund", "support/greeting")
    files = files_of(drifted, private)
    everything = "\n".join(files.values())
    for canary in private.canaries:
        assert (canary.messages[0].content in everything) is not canary.is_private
        assert (canary.reason in everything) is not canary.is_private
    stored = {c.text for found in drifted.store.completions(range(1, drifted.n_runs + 1)).values() for c in found}
    replies = {row["reply"] for row in lines(files["requests.jsonl"]) if "reply" in row}
    leaked = [text for text in stored - replies if text in everything]
    assert leaked == []
    assert stored - replies
    hidden = [row for row in lines(files["requests.jsonl"]) if row["private"] == "yes"]
    assert {row["canary"] for row in hidden} == {"support/refund", "support/greeting"}
    assert all(len(row["reply_sha256"]) == 64 and row["reply_characters"] > 0 for row in hidden)
    assert all("messages" not in row for row in lines(files["prompts.jsonl"]) if row["private"] == "yes")
    assert "(private: " in files["report.md"]
    assert json.loads(files["manifest.json"])["n_private"] == len(hidden)


def test_what_has_left_the_suites_or_was_edited_counts_as_private(drifted, without_canary):
    gone = without_canary(drifted.target, "support/refund")
    edited = replace(
        gone, canaries=tuple(replace(c, repeats=3) if c.id == "support/greeting" else c for c in gone.canaries)
    )
    rows = lines(files_of(drifted, edited)["requests.jsonl"])
    assert {row["canary"] for row in rows if row["private"] == "yes"} == {"support/refund", "support/greeting"}
    assert {row["canary"] for row in rows if "reply" in row} == {"support/capital", "support/triage"}


def test_the_page_of_the_team_shows_private_texts_and_marks_them(drifted, read):
    drifted.target = keep_private(drifted.target, "support/refund")
    page = read(drifted.page(drifted.incident()))
    assert "How long can I return an order?" in page.text
    assert page.text.count("private ·") == 1


def test_people_addresses_and_keys_stay_at_home(drifted):
    target = replace(
        drifted.target,
        owner="team-secret",
        feature="checkout-secret",
        base_url="https://gateway.corp.example/v1",
        options={"resource": "internal-resource"},
    )
    steps = incidents.acknowledge(
        [drifted.incident()], author="ana.lopez", reason="asked bob, key sk-abcdefghijklmnop", at=drifted.slot(60)
    )
    drifted.store.commit_judgement(None, steps, at=drifted.slot(60))
    everything = "\n".join(files_of(drifted, target).values())
    for secret in ("team-secret", "checkout-secret", "gateway.corp", "internal-resource", "ana.lopez", "bob", "sk-abc"):
        assert secret not in everything
    assert str(drifted.path) not in everything


def test_what_parameters_carry_of_the_house_stays_there(drifted):
    asked = {"max_tokens": 9, "user": "ana@corp.example", "route": "llm-gw:443", "extra": [{"api_key": "tiny"}]}
    target = replace(drifted.target, base_url="https://llm-gw/v1", parameters=asked)
    files = files_of(drifted, target)
    everything = "\n".join(files.values())
    for secret in ("ana@corp", "llm-gw", "tiny"):
        assert secret not in everything
    (told,) = {json.dumps(row["parameters"], sort_keys=True) for row in lines(files["requests.jsonl"])}
    assert json.loads(told) == {
        "max_tokens": 9,
        "user": "(address left out)",
        "route": "(address left out)",
        "extra": [{"api_key": "***"}],
    }


def test_headings_moments_and_kinds_lose_addresses_as_sentences_do(drifted):
    report, where = drifted.report(drifted.incident()), "https://gw.corp.example/v1"
    view = report.lead
    kinds = tuple(replace(each, text=f"Moved to {where}", why=where) for each in view.evidence.kind_of_change)
    marks = tuple(replace(mark, moment=replace(mark.moment, text=where)) for mark in view.marks)
    view = replace(view, subtitle=where, marks=marks, evidence=replace(view.evidence, kind_of_change=kinds))
    told = shareable(replace(report, members=(view,)))
    assert kinds
    assert marks
    assert "gw.corp" not in json.dumps(document(told))
    assert told.lead.subtitle == "(address left out)"


def test_a_key_that_a_reply_repeats_is_masked(make_world, script):
    world = make_world(is_quiet=True)
    text = "your key is sk-proj-abcdef1234567890abcdef"
    world.script = script({c.id: [text] for c in world.target.canaries}, change_at=world.slot(world.n_runs))
    world.run(6)
    files = files_of(world)
    assert "sk-proj-abcdef1234567890abcdef" not in "\n".join(files.values())
    rows = [row for row in lines(files["requests.jsonl"]) if row["period"] == "since"]
    assert {row["reply"] for row in rows} == {"your key is ***"}
    assert {row["reply_sha256"] for row in rows} == {fingerprint(text)}, "the hash is of the reply as it came"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("cannot reach https://10.0.0.7:8443/v1/chat?x=1", "cannot reach (address left out)"),
        ("no route to gateway.eu.internal:443", "no route to (address left out)"),
        ("gw.acme.com:8443 refused, squid:3128 too", "(address left out) refused, (address left out) too"),
        ("anthropic.claude-v2:1 and llama3:70b at 10:31", "anthropic.claude-v2:1 and llama3:70b at 10:31"),
        ("localhost:11434 refused, [::1]:80 too", "(address left out) refused, (address left out) too"),
        ("ask ops@team.example about /srv/watch/keys.env", "ask (address left out) about (path left out)"),
        (r"C:\Users\ana\key.txt is missing", "(path left out) is missing"),
        ("wrong api_key=abcdef123456 given", "wrong api_key=*** given"),
        ("gpt-4o-mini-2024-07-18 answers 3/4 and/or 1.2.3", "gpt-4o-mini-2024-07-18 answers 3/4 and/or 1.2.3"),
    ],
)
def test_a_sentence_loses_what_is_nobody_elses_business(said, left):
    assert cleansed(said) == left


@pytest.mark.parametrize("hides", ["private", "gone", "edited"])
def test_errors_of_private_and_unknown_canaries_are_in_no_file(make_world, script, without_canary, hides):
    world = make_world(is_quiet=True)
    start = world.slot(world.n_runs).isoformat()
    world.script = script(faults=({"from": start, "outcome": "unavailable"},))
    world.run(4)
    target, names = world.target, [canary.id for canary in world.target.canaries]
    said = {c.error for found in world.store.completions(range(1, world.n_runs + 1)).values() for c in found} - {None}
    assert said
    for text in said:
        assert text in files_of(world)["report.md"], "of canaries that are not private it is there"
    if hides == "private":
        target = keep_private(target, *names)
    elif hides == "gone":
        for name in names[1:]:
            target = without_canary(target, name)
        target = keep_private(target, names[0])
    else:
        target = replace(target, canaries=tuple(replace(c, repeats=3) for c in target.canaries))
    files = files_of(world, target)
    assert not [name for name, content in files.items() for text in said if text in content]
    assert "(left out: it may quote a private text)" in files["report.md"]
    assert json.loads(files["incident.json"])["targets"]


def test_configured_hosts_and_proxies_are_addresses_whatever_they_are_called(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://ana:pw@squid:3128")
    target = Target(name="t", provider="openai_compatible", model="m", canaries=(), base_url="https://llm-gw/v1")
    odd = replace(target, base_url="http://[half")
    assert hosts_of(target) >= {"squid", "llm-gw"}
    assert "llm-gw" not in hosts_of(odd)
    assert cleansed("llm-gw: no answer over SQUID; llm-gw-2 is up", hosts_of(target)) == (
        "(address left out): no answer over (address left out); llm-gw-2 is up"
    )


def test_an_outage_has_its_failures_and_no_accepted_replies(make_world, script):
    world = make_world(is_quiet=True)
    start = world.slot(world.n_runs).isoformat()
    world.script = script(faults=({"from": start, "outcome": "unavailable"},))
    world.run(4)
    assert world.incident().kind is Kind.AVAILABILITY
    files = files_of(world)
    rows = lines(files["requests.jsonl"])
    assert {(row["period"], row["outcome"]) for row in rows} == {("since", "unavailable")}
    assert all("reply" not in row and row["reply_sha256"] is None and row["error"] for row in rows)
    assert "Why have these requests failed since" in " ".join(files["README.txt"].split())


def test_an_incident_of_a_target_that_left_the_config_has_a_bundle(drifted):
    content = bundle(drifted.store, {}, drifted.incident())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("requests.jsonl") == b""
        told = json.loads(archive.read("incident.json"))
    assert told["targets"][0]["model"] == "m"
    assert all(pair["private"] for pair in told["targets"][0]["pairs"])


def test_long_incidents_are_cut_at_a_whole_run(drifted, monkeypatch):
    monkeypatch.setattr("driftwatch.report.requests.MAX_REQUESTS", 10)
    rows = [row for row in lines(files_of(drifted)["requests.jsonl"]) if row["period"] == "since"]
    assert len(rows) == 16
