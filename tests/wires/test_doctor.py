"""``driftwatch doctor`` as a new user types it, against the mock: one config with a target for every wire."""

from __future__ import annotations

import os
import subprocess
import sys

SUITE = """\
suite: greeting
canaries:
  - id: hello
    reason: the mock knows it
    prompt: greet me
    parameters: {temperature: 0, max_tokens: 40}
    checks: [{contains: Hello}]
"""
CONFIG = """\
canaries: [greeting.yaml, refused.yaml]
store: watch.db
embedder: "off"
receivers: {{me: {{type: console}}}}
defaults: {{api_key_env: MOCK_KEY, suites: [greeting]}}
targets:
  openai: {{provider: openai, model: gpt-4o-mini, base_url: "{mock}/v1", stream: true}}
  responses: {{provider: openai_responses, model: gpt-4.1-mini, base_url: "{mock}/v1"}}
  azure: {{provider: azure_openai, model: gpt-4o-mini, base_url: "{mock}", options: {{api_version: "2024-10-21"}}}}
  anthropic: {{provider: anthropic, model: claude-haiku-4-5, base_url: "{mock}", stream: true}}
  gemini: {{provider: gemini, model: gemini-2.5-flash, base_url: "{mock}/v1beta"}}
  vertex: {{provider: vertex, model: gemini-2.5-flash, base_url: "{mock}/v1", options: {{project: p}}}}
  bedrock: {{provider: bedrock, model: amazon.nova-lite-v1:0, base_url: "{mock}", options: {{region: eu-central-1}}}}
  mistral: {{provider: mistral, model: mistral-small-latest, base_url: "{mock}/v1"}}
  cohere: {{provider: cohere, model: command-a-03-2025, base_url: "{mock}/v2"}}
  vllm: {{provider: vllm, model: my-model, base_url: "{mock}/v1"}}
  refused: {{provider: vllm, model: my-model, base_url: "{mock}/v1", suites: [refused]}}
"""
REFUSED = """\
suite: refused
canaries:
  - id: key
    reason: the mock answers 401 to it
    prompt: no key
    checks: [{contains: Hello}]
"""


def test_one_line_for_each_target_says_what_works_and_what_a_run_costs(mock, tmp_path) -> None:
    (tmp_path / "greeting.yaml").write_text(SUITE)
    (tmp_path / "refused.yaml").write_text(REFUSED)
    (tmp_path / "driftwatch.yaml").write_text(CONFIG.format(mock=mock))
    environment = {**os.environ, "MOCK_KEY": "a-key-of-the-mock-0123", "COLUMNS": "120"}

    done = subprocess.run(
        [sys.executable, "-m", "driftwatch", "doctor"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    words = " ".join(done.stdout.split())
    assert done.returncode == 3, done.stdout + done.stderr  # the one that is refused
    for target in ("responses", "azure", "gemini", "vertex", "bedrock", "mistral", "cohere", "vllm"):
        assert f"ok target {target} answers in" in words, done.stdout
    for target in ("openai", "anthropic"):
        found = words.split(f"ok target {target} answers in", 1)[1]
        assert found.split("target", 1)[0].count("the first token after") == 1
    assert words.count("a run is 1 request") == 10
    assert "failed target refused the endpoint answered 401 Unauthorized: Incorrect API key provided; " in words
    assert "temperature is configured and not sent: Anthropic" in words
    assert "a-key-of-the-mock" not in done.stdout + done.stderr
    assert done.stderr == ""
