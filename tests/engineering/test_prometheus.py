"""Prometheus' own tools and server on what driftwatch shows it: the metrics, the alerting rules, a real scrape."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from driftwatch.app import App
from driftwatch.config import load
from driftwatch.providers import PROVIDERS
from driftwatch.web import health, server
from driftwatch.web.metrics import Metrics

HERE = Path(__file__).parents[2]
RULES = HERE / "config" / "prometheus-rules.yaml"
UNIT_TEST = HERE / "config" / "prometheus-rules.test.yaml"

CONFIG = """\
store: watch.db
embedder: "off"
canaries: [suites]
baseline: {anchors: 2, calibration_runs: 20}
simulation: {start: 2026-03-02T00:00:00Z, end: 2026-03-03T06:00:00Z}
receivers: {me: {type: console}}
targets:
  shop: {provider: simulated, model: m, script: script.yaml, interval: 1h, jitter: 0s, receivers: [me]}
"""
SUITE = """
suite: shop
canaries:
  - {id: capital, reason: a fact, prompt: What is the capital of France?}
"""
SCRIPT = """
start: before
personas:
  before: {answers: {shop/capital: ["Paris.", "It is Paris."]}}
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A program that has watched for a day."""
    root = tmp_path_factory.mktemp("watched")
    (root / "suites").mkdir()
    (root / "suites" / "shop.yaml").write_text(SUITE)
    (root / "script.yaml").write_text(SCRIPT)
    (root / "driftwatch.yaml").write_text(CONFIG)
    app = App(load(root / "driftwatch.yaml", {}, providers=PROVIDERS), env={}, write=lambda _: None)
    asyncio.run(app.serve())
    yield app
    asyncio.run(app.close())


def test_promtool_finds_nothing_wrong_with_the_metrics(watched, debian_program):
    text, _ = Metrics(watched).text()
    checked = subprocess.run(
        [debian_program("promtool"), "check", "metrics"], input=text, check=False, capture_output=True, timeout=30
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_promtool_accepts_the_rules(debian_program):
    checked = subprocess.run(
        [debian_program("promtool"), "check", "rules", str(RULES)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert checked.returncode == 0, checked.stderr
    assert "8 rules found" in checked.stdout


def test_each_rule_fires_when_it_should_and_not_before(debian_program):
    checked = subprocess.run(
        [debian_program("promtool"), "test", "rules", str(UNIT_TEST)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_rule_has_a_test_in_which_it_fires():
    rules = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    firing = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels", UNIT_TEST.read_text()))
    assert len(rules) == 8
    assert firing == rules


def test_the_rules_ask_for_metrics_that_exist(watched):
    text = Metrics(watched).text()[0].decode()
    shown = set(re.findall(r"^(driftwatch_\w+)", text, flags=re.MULTILINE))
    asked = set(re.findall(r"\b(driftwatch_\w+)", RULES.read_text()))
    # Known only while a scheduler runs: the day of this watch is over.
    assert asked - shown <= {"driftwatch_scheduler_tick_age_seconds"}


def test_a_real_prometheus_scrapes_it(watched, tmp_path, debian_program):
    program = debian_program("prometheus")
    with server.serving(health.build(watched.health, Metrics(watched).endpoint), "127.0.0.1", 0) as port:
        config = tmp_path / "prometheus.yml"
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s"},
                    "rule_files": [str(RULES)],
                    "scrape_configs": [
                        {"job_name": "driftwatch", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                    ],
                }
            )
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            own_port = free.getsockname()[1]
        log = (tmp_path / "log").open("wb")
        running = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{own_port}",
            ],
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"], "GOMAXPROCS": "1"},
        )
        try:
            found = _ask(own_port, "driftwatch_runs_total{outcome='measured'}")
        finally:
            running.terminate()
            running.wait(20)
            log.close()
    assert found, (tmp_path / "log").read_text()[-2000:]
    [series] = found
    assert series["metric"]["target"] == "shop"
    assert float(series["value"][1]) >= 24


def _ask(port, query):
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={query}", timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            found = []
        if found:
            return found
        time.sleep(0.3)
    return []
