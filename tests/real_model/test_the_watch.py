"""The whole watch over a real language model whose weights are swapped under an unchanged name."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from driftwatch.app import App
from driftwatch.config import load
from driftwatch.domain import State, Verdict
from driftwatch.providers import PROVIDERS

pytestmark = [pytest.mark.real_model, pytest.mark.slow]

SUITE = """
suite: small
defaults: {parameters: {temperature: 0, max_tokens: 20}}
canaries:
  - {id: sea, reason: free prose, prompt: Write one sentence about the sea.}
  - {id: fruits, reason: a list, prompt: List three fruits.}
  - {id: sky, reason: an explanation, prompt: Why is the sky blue?}
  - {id: morning, reason: a translation, prompt: Translate 'good morning' into French.}
  - {id: capital, reason: a fact, prompt: What is the capital of France?, checks: [{contains: Paris}]}
"""

CONFIG = """
canaries: [suite.yaml]
http: {{port: 0}}
log: {{level: warning}}
receivers:
  oncall: {{type: slack, webhook_url_env: SLACK_WEBHOOK_URL}}
targets:
  assistant:
    provider: openai_compatible
    base_url: {base_url}
    model: {model}
    suites: [small]
    interval: 1h
    concurrency: 1
    owner: team-assistant
"""


class Watch:
    """The program in a directory, by its command line and, for many runs in a row, in process."""

    def __init__(self, root: Path, webhook_url: str) -> None:
        self.root = root
        self.env = {**os.environ, "SLACK_WEBHOOK_URL": webhook_url}

    def write(self, base_url: str, model: str) -> None:
        (self.root / "driftwatch.yaml").write_text(CONFIG.format(base_url=base_url, model=model))
        (self.root / "suite.yaml").write_text(SUITE)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "driftwatch", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.env, text=True, capture_output=True, timeout=500, check=False
        )

    def runs(self, most: int, until: Callable[[Verdict], bool] = lambda _: False) -> list[Verdict]:
        """Make up to ``most`` runs now, one after the other; stop early when ``until`` says so."""

        async def work() -> list[Verdict]:
            settings = load(self.root / "driftwatch.yaml", {}, providers=PROVIDERS)
            application = App(settings, env=self.env)
            try:
                verdicts: list[Verdict] = []
                while len(verdicts) < most and not (verdicts and until(verdicts[-1])):
                    made = await application.run_due(["assistant"], now=True)
                    verdict = made["assistant"]
                    assert verdict is not None
                    verdicts.append(verdict)
                return verdicts
            finally:
                await application.close()

        return asyncio.run(work())


def states(verdicts: list[Verdict]) -> set[State]:
    return {verdict.state for verdict in verdicts}


def test_a_swap_of_weights_under_the_same_name_is_paged_once_accepted_and_quiet_again(
    serve, model_file, variant_file, model_name, tmp_path, slack
):
    watch = Watch(tmp_path, slack.url)
    with serve(model_file) as base_url:
        watch.write(base_url, model_name)
        collected = watch.command("baseline", "--runs", "20")
        assert collected.returncode == 0, collected.stderr
        assert "armed with 20 calibration runs" in collected.stdout
        assert states(watch.runs(4)) == {State.STABLE}

    with serve(model_file):  # the same weights after a restart: nothing has changed
        assert states(watch.runs(4)) == {State.STABLE}
    assert slack.payloads == []

    with serve(variant_file):
        swapped = watch.runs(12, until=lambda verdict: verdict.state is State.DRIFTED)
        assert swapped[-1].state is State.DRIFTED, swapped[-1].reason
        # 6 or 7 by detect.budget.full_swap_delay for K = 20; the tie-breakers' seed depends on the server's port.
        assert len(swapped) <= 8, "runs of a full swap until the alarm, calibrated on 20 runs"
        assert watch.command("check").returncode in {0, 1}  # may make the run of this hour's slot
        assert len(slack.payloads) == 1
        message = str(slack.payloads[0])
        assert "Drift: assistant" in message
        assert "team-assistant" in message
        shown = watch.command("incidents", "show", "1")
        assert shown.returncode == 0, shown.stderr
        assert "behaviour" in shown.stdout

        accepted = watch.command("rebaseline", "assistant", "--reason", "the new checkpoint is fine", "--by", "kim")
        assert accepted.returncode == 0, accepted.stderr
        assert "Resolved: incident 1." in accepted.stdout
        armed = watch.command("baseline", "--runs", "20")
        assert armed.returncode == 0, armed.stderr
        assert states(watch.runs(4)) == {State.STABLE}

    assert len(slack.payloads) == 2, "the drift, and that it was accepted; nothing since"
    assert "new baseline accepted by kim" in str(slack.payloads[1])
    assert watch.command("incidents").stdout.startswith("No open incidents")
