"""A script is read strictly, and a mistake in it is one sentence with the place and the remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftwatch.domain import Outcome
from driftwatch.errors import ConfigError
from driftwatch.providers.simulated import load_script, validate_script

MINIMAL = "start: march\npersonas:\n  march: {}\n"
SAVE_IT = "save it as UTF-8, indent with spaces, close brackets and quotes"
ADD_AN_ORIGIN = "add origin: 2026-03-02T00:00:00Z"
WRITE_A_TIME = "write 2026-03-16T09:00:00Z, or an offset such as 14d9h"
ANSWER = 'an answer is a text or a tool call; write ["a text"] or [{tool: name, arguments: {}}]'
EXAMPLE = """\
seed: 7
personas:
  march:
    served_model: support-1-0305
    fingerprint: fp_a1
    latency_s: 0.8
    latency_spread: 0.25
    answers:
      support/refund-window: [Within 30 days., You have 30 days.]
      support/hours: We open at nine.
      tools/weather:
        - {tool: get_weather, arguments: {city: Oslo, days: 3}}
  swapped: {variety: 0, refusal_rate: 0.02, json_broken_rate: 0.1, diurnal: 0.2, extra_input_tokens: 40}
start: march
changes:
  - {at: 2026-03-16T09:00:00Z, persona: swapped, share: 0.16}
  - {at: 14d9h, persona: march}
  - {at: 2w1d, persona: swapped}
faults:
  - {from: 2026-03-12T02:00:00+02:00, until: 2026-03-12, share: 0.3, outcome: rate_limited, retry_after_s: 2}
  - {from: 2026-04-01 10:00:00, outcome: timeout}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> Path:
        Path("script.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Path("script.yaml")

    return write


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def test_a_script_is_read_with_its_times_resolved(write) -> None:
    # 14d9h after the first change; the fault of a day that ends as it begins is moved below.
    text = EXAMPLE.replace("until: 2026-03-12,", "until: 2026-03-13,")

    script = validate_script(load_script(write(text)))

    assert script.seed == 7
    assert [(c.at, c.persona, c.share) for c in script.changes] == [
        (utc(2026, 3, 16, 9), "swapped", 0.16),
        (utc(2026, 3, 30, 18), "march", 1.0),
        (utc(2026, 3, 31, 9), "swapped", 1.0),
    ]
    first, second = script.faults
    assert (first.start_at, first.end_at) == (utc(2026, 3, 12), utc(2026, 3, 13))
    assert (first.share, first.outcome, first.retry_after_s) == (0.3, Outcome.RATE_LIMITED, 2.0)
    assert (second.start_at, second.end_at, second.share) == (utc(2026, 4, 1, 10), None, 1.0)
    march = script.personas["march"]
    assert march.answers["support/hours"] == ["We open at nine."]
    assert march.answers["tools/weather"][0].arguments == {"city": "Oslo", "days": 3}


def test_an_origin_lets_every_time_be_an_offset(write) -> None:
    text = MINIMAL + "origin: 2026-03-02\nchanges: [{at: 1d, persona: march}]\n"

    script = validate_script(load_script(write(text)))

    assert script.changes[0].at == utc(2026, 3, 3)


def test_a_parsed_mapping_needs_no_file() -> None:
    assert validate_script({"start": "a", "personas": {"a": {}}}).changes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL.replace("start", "strat"), "script.yaml: start: is missing; add start:"),
        (MINIMAL + "sead: 1\n", "script.yaml:4: sead: unknown key 'sead'; did you mean 'seed'?"),
        (
            MINIMAL.replace("march: {}", "march: {latencys: 1}"),
            "script.yaml:3: personas.march.latencys: unknown key 'latencys'; did you mean 'latency_s'?",
        ),
        (
            MINIMAL + "changes:\n  - {at: 2026-03-01, personna: march}\n",
            "script.yaml:5: changes[0].persona: is missing; add persona:",
        ),
        (
            MINIMAL + "faults:\n  - {from: 2026-03-01, outcome: timeout, til: 2026-03-02}\n",
            "script.yaml:5: faults[0].til: unknown key 'til'; did you mean 'until'?",
        ),
        (
            MINIMAL.replace("start: march", "start: marsh"),
            "script.yaml:1: start: there is no persona 'marsh'; did you mean 'march'?",
        ),
        (
            MINIMAL + "changes:\n  - {at: 2026-03-01, persona: zzz}\n",
            "script.yaml:5: changes[0].persona: there is no persona 'zzz'; known are march",
        ),
        (
            MINIMAL + "changes:\n  - {at: 3d, persona: march}\n",
            f"script.yaml:5: changes[0].at: '3d' counts from an origin and there is none; {ADD_AN_ORIGIN}",
        ),
        (
            MINIMAL + "changes:\n  - {at: tomorrow, persona: march}\n",
            f"script.yaml:5: changes[0].at: 'tomorrow' is no time; {WRITE_A_TIME}",
        ),
        (
            MINIMAL + "changes:\n  - {at: '', persona: march}\n",
            f"script.yaml:5: changes[0].at: '' is no time; {WRITE_A_TIME}",
        ),
        (
            MINIMAL + "origin: 5\n",
            f"script.yaml:4: origin: is no time; {WRITE_A_TIME}",
        ),
        (
            MINIMAL + "changes:\n  - {at: 2026-03-02, persona: march}\n  - {at: 2026-03-01, persona: march}\n",
            "script.yaml:6: changes[1].at: is earlier than the change before it; put the changes in order of time",
        ),
        (
            MINIMAL + "changes:\n  - {at: 2026-03-02, persona: march, share: 1.5}\n",
            "script.yaml:5: changes[0].share: should be less than or equal to 1",
        ),
        (
            MINIMAL + "changes:\n  - {at: 2026-03-02, persona: march, share: true}\n",
            "script.yaml:5: changes[0].share: should be a valid number",
        ),
        (
            MINIMAL + "faults:\n  - {from: 2026-03-02, until: 2026-03-01, outcome: timeout}\n",
            "script.yaml:5: faults[0].until: is not after from; write a later time, or leave until out",
        ),
        (
            MINIMAL + "faults:\n  - {from: 2026-03-02, outcome: rate-limited}\n",
            "script.yaml:5: faults[0].outcome: there is no failure called 'rate-limited'; did you mean 'rate_limited'?",
        ),
        (
            MINIMAL.replace("{}", "{answers: {a/b: [5]}}"),
            f"script.yaml:3: personas.march.answers.a/b: {ANSWER}",
        ),
        (
            MINIMAL.replace("{}", "{answers: {a/b: []}}"),
            f"script.yaml:3: personas.march.answers.a/b: {ANSWER}",
        ),
        (
            MINIMAL.replace("{}", "{latency_s: .inf}"),
            "script.yaml:3: personas.march.latency_s: should be a finite number",
        ),
        (
            "start: x\npersonas: {}\n",
            "script.yaml:2: personas: must not be empty; write personas: {name: {}}",
        ),
        ("- a\n", "script.yaml: a script is a mapping; write at least personas: {name: {}} and start: name"),
        ("", "script.yaml: a script is a mapping; write at least personas: {name: {}} and start: name"),
        ("start: [\n", f"script.yaml:2: is not YAML: expected the node content, but found '<stream end>'; {SAVE_IT}"),
        (b"\xff\xfe\x00", f"script.yaml: is not YAML: it is not UTF-8; {SAVE_IT}"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(text, message, write) -> None:
    with pytest.raises(ConfigError) as caught:
        load_script(write(text))

    assert str(caught.value) == message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read: No such file"):
        load_script(tmp_path / "nothing.yaml")
