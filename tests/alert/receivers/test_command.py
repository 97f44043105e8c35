"""A program of the operator's own: what it gets, what its end means, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.command import PASSED_ON, CommandNotifier
from driftwatch.errors import DeliveryError

SCHEMA = Path(__file__).parents[3] / "docs" / "alert.schema.json"


@pytest.fixture
def program(tmp_path):
    """A receiver whose command is a shell script of these lines."""

    def make(text, *arguments, timeout_s=5.0):
        script = tmp_path / "page"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return ReceiverConnection(name="pager", options={"command": (str(script), *arguments)}, timeout_s=timeout_s)

    return make


def send(connection, announcement):
    return asyncio.run(CommandNotifier(connection).send(announcement))


def refusal(connection, announcement):
    with pytest.raises(DeliveryError) as failed:
        send(connection, announcement)
    return failed.value


def test_the_document_is_on_standard_input_and_arguments_are_passed_as_they_are(program, announce, tmp_path):
    out = tmp_path / "out"
    connection = program(f'cat > {out}; printf "%s|" "$@" > {out}.args', "--team", "a b; $(touch pwned) `id`", "*")
    send(connection, announce())
    said = json.loads(out.read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(said)
    assert said["type"] == "incident.opened"
    assert (tmp_path / "out.args").read_text() == "--team|a b; $(touch pwned) `id`|*|"


def test_it_gets_none_of_driftwatchs_secrets(program, announce, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-the-secret")
    monkeypatch.setenv("MY_OWN", "this-is-the-secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    out = tmp_path / "env"
    send(program(f"env > {out}"), announce())
    got = dict(row.split("=", 1) for row in out.read_text().splitlines())
    assert {name for name in got if name not in {"PWD", "SHLVL", "_", "OLDPWD"}} <= {
        *PASSED_ON,
        "DRIFTWATCH_RECEIVER",
        "DRIFTWATCH_EVENT",
        "DRIFTWATCH_DEDUP_KEY",
        "DRIFTWATCH_INCIDENT",
    }
    assert (got["DRIFTWATCH_RECEIVER"], got["DRIFTWATCH_EVENT"]) == ("pager", "opened")
    assert (got["DRIFTWATCH_DEDUP_KEY"], got["DRIFTWATCH_INCIDENT"]) == ("30:oncall", "12")
    assert got["LANG"] == "C.UTF-8"
    assert "this-is-the-secret" not in out.read_text()


def test_a_digest_is_one_start_with_all_numbers(program, announce, tmp_path):
    out = tmp_path / "out"
    opened = announce()
    other = replace(opened, incident=replace(opened.incident, id=77), dedup_key="31:oncall")
    notifier = CommandNotifier(program(f'echo "$DRIFTWATCH_EVENT $DRIFTWATCH_INCIDENT" >> {out}'))
    asyncio.run(notifier.send_digest([opened, other]))
    assert out.read_text() == "digest 12,77\n"


@pytest.mark.parametrize(
    ("text", "retryable", "words"),
    [
        ("exit 75", True, "asks to be told later (exit code 75)"),
        ("echo one >&2; echo 'no route to pager' >&2; exit 75", True, "(exit code 75): no route to pager"),
        ("exit 1", False, "refused the message (exit code 1)"),
        ("printf 'a\\033[31mred\\n' >&2; exit 2", False, "(exit code 2): a⟨U+001B⟩[31mred"),
        ("kill -9 $$", True, "was stopped by signal 9; trying again later"),
    ],
)
def test_its_exit_code_says_what_became_of_the_message(program, announce, text, retryable, words):
    error = refusal(program(text), announce())
    assert error.retryable is retryable
    assert f"receiver 'pager' (command) {words}" in str(error) or words in str(error)


def test_a_megabyte_of_complaints_is_one_line(program, announce):
    error = refusal(program("head -c 1000000 /dev/zero | tr '\\0' 'x' >&2; exit 1"), announce())
    assert len(str(error)) < 400


def test_a_program_that_reads_nothing_has_taken_the_message_if_it_says_so(program, announce):
    send(program("exit 0"), announce(evidence={"changes": ["x" * 2_000] * 100}))


def test_a_program_that_hangs_is_stopped_with_all_that_it_started(program, announce, tmp_path):
    pids = tmp_path / "pids"
    connection = program(f"sleep 30 & echo $! > {pids}; echo $$ >> {pids}; wait", timeout_s=0.5)
    began = time.monotonic()
    error = refusal(connection, announce())
    assert str(error) == "receiver 'pager' (command) did not end within 0.5 s and was stopped; trying again later"
    assert error.retryable
    assert time.monotonic() - began < 3
    deadline = time.monotonic() + 5
    while any(is_running(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_stays_behind_holds_nobody_up(program, announce):
    began = time.monotonic()
    send(program("sleep 1 & exit 0"), announce())
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize("command", [("/no/such/program",), ("/etc/passwd",)])
def test_a_program_that_cannot_be_started_waits_for_whoever_mends_it(announce, command):
    error = refusal(ReceiverConnection(name="pager", options={"command": command}), announce())
    assert error.retryable
    assert "could not be started (" in str(error)
    assert "check the receiver's 'command'" in str(error)


def test_stopping_driftwatch_stops_the_program(program, announce, tmp_path):
    pids = tmp_path / "pids"

    def until_started():
        while not (pids.exists() and pids.read_text().strip()):
            time.sleep(0.01)

    connection = program(f"echo $$ > {pids}; exec {sys.executable} -S -c 'import time; time.sleep(30)'")

    async def stopped():
        sending = asyncio.ensure_future(CommandNotifier(connection).send(announce()))
        await asyncio.to_thread(until_started)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    asyncio.run(stopped())
    assert not is_running(int(pids.read_text()))
