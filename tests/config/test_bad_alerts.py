# ruff: noqa: E501 - sentences as people get them
"""One bad file per rule of ``alerts``, each with the exact words a person gets."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from driftwatch import wiring
from driftwatch.config import load
from driftwatch.config.alerting_rules import broken_alerting_rules
from driftwatch.errors import ConfigError
from driftwatch.providers import PROVIDERS

FILES = Path(__file__).parent.parent / "data" / "bad_alerts"
SAID = {
    "alerts_route_match_unknown_key": [
        ":7: alerts.routes[0].match.targets: unknown key; did you mean 'target'?",
    ],
    "alerts_route_never_reached": [
        ":7: alerts.routes[0]: fits every incident, so that no route below it is reached; move it to the end, or write continue: true",
    ],
    "alerts_route_unknown_key": [
        ":7: alerts.routes[0].receivers: missing; write receivers: [pager]",
        ":7: alerts.routes[0].reciever: unknown key; did you mean 'receivers'?",
    ],
    "alerts_route_unknown_kind": [
        ":7: alerts.routes[0].match.kind[0]: unknown value 'behavior'; did you mean 'behaviour'?",
    ],
    "alerts_route_unknown_receiver": [
        ":7: alerts.routes[0].receivers[0]: unknown receiver 'oncal'; did you mean 'oncall'?",
    ],
    "alerts_route_unknown_severity": [
        ":7: alerts.routes[0].match.severity[0]: unknown value 'critcal'; did you mean 'critical'?",
    ],
    "alerts_route_unknown_target": [
        ":7: alerts.routes[0].match.target: unknown target 'suport'; did you mean 'support'?",
    ],
    "alerts_route_unknown_target_in_list": [
        ":7: alerts.routes[0].match.target[1]: unknown target 'suport'; did you mean 'support'?",
    ],
    "alerts_route_unlike_any_receiver": [
        ":7: alerts.routes[0].receivers[0]: a secret does not belong in this file; name an environment variable where a secret is needed: api_key_env: OPENAI_API_KEY",
    ],
    "alerts_route_without_receivers": [
        ":7: alerts.routes[0].receivers: missing; write receivers: [pager]",
    ],
    "alerts_routes_a_mapping": [
        ":6: alerts.routes: must be a list; write routes: [{match: {severity: [critical]}, receivers: [pager]}]",
    ],
    "alerts_severity_of_unknown_kind": [
        ":6: alerts.severities.performence: unknown value 'performence'; did you mean 'performance'?",
    ],
    "alerts_severity_unknown": [
        ":6: alerts.severities.performance: unknown value 'minor'; did you mean 'info'?",
    ],
    "alerts_success_threshold_zero": [
        ":6: alerts.success_threshold: out of range; write at least 1",
    ],
    "alerts_unknown_key": [
        ":6: alerts.minimum_reminder_intervall: unknown key; did you mean 'minimum_reminder_interval'?",
    ],
    "alerts_wait_in_words": [
        ":6: alerts.minimum_reminder_interval: not a duration; write 30s, 15m, 1h or 7d",
    ],
    "escalation_to_nobody": [
        ":7: alerts.escalation[0].receivers: must not be empty; write receivers: [pager]",
    ],
    "escalation_unknown_receiver": [
        ":7: alerts.escalation[0].receivers[0]: unknown receiver 'oncal'; did you mean 'oncall'?",
    ],
    "escalation_unknown_target": [
        ":7: alerts.escalation[0].match.target[0]: unknown target 'suport'; did you mean 'support'?",
    ],
    "escalation_without_after": [
        ":7: alerts.escalation[0].after: missing; write after: 30m",
    ],
    "maintenance_backwards": [
        ":7: alerts.maintenance[0]: ends before it starts; write an end after the start",
    ],
    "maintenance_bad_cron": [
        ':7: alerts.maintenance[0].cron: not a cron expression; write minute hour day month weekday, e.g. "0 2 * * sun"',
    ],
    "maintenance_both": [
        ":7: alerts.maintenance[0]: says its time twice or not at all; write start and end, or cron and duration",
    ],
    "maintenance_half": [
        ":7: alerts.maintenance[0]: has a cron or a duration only; write both",
    ],
    "maintenance_two_kinds_of_day": [
        ":7: alerts.maintenance[0].cron: names a day of the month and a weekday; write * for one of them",
    ],
    "maintenance_unknown_target": [
        ":7: alerts.maintenance[0].match.target[0]: unknown target 'suport'; did you mean 'support'?",
    ],
    "maintenance_without_reason": [
        ":7: alerts.maintenance[0].reason: missing; write reason: weekly deployment of the gateway",
    ],
    "maintenance_without_zone": [
        ":7: alerts.maintenance[0].start: has no time zone; write start: 2026-12-24T18:00:00Z",
        ":7: alerts.maintenance[0].end: has no time zone; write end: 2026-12-27T06:00:00Z",
    ],
    "quiet_hours_all_day": [
        ":7: alerts.quiet_hours[0].to: ends when it begins, which is the whole day; write an end at another time, or a silence: driftwatch silence add",
    ],
    "quiet_hours_bad_time": [
        ':7: alerts.quiet_hours[0].to: not a time of day; write one like "22:00", in quotes',
    ],
    "quiet_hours_half": [
        ":7: alerts.quiet_hours[0].to: missing; write to: 07:00",
    ],
    "quiet_hours_unknown_day": [
        ":7: alerts.quiet_hours[0].days[1]: unknown value 'sunday'; did you mean 'sun'?",
    ],
    "quiet_hours_unknown_key": [
        ":7: alerts.quiet_hours[0].to: missing; write to: 07:00",
        ":7: alerts.quiet_hours[0].untill: unknown key; the keys here are days, from, let_through, receivers, timezone, to",
    ],
    "quiet_hours_unknown_receiver": [
        ":7: alerts.quiet_hours[0].receivers[0]: unknown receiver 'oncal'; did you mean 'oncall'?",
    ],
    "quiet_hours_unknown_zone": [
        ":7: alerts.quiet_hours[0].timezone: not a time zone; write its IANA name, e.g. Europe/Berlin or UTC",
    ],
    "target_called_driftwatch": [
        ":2: targets.driftwatch: no target may be called so: it stands for the watch itself; choose another name",
    ],
}
"""File → every line of what is said, behind the file's name."""


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_bad_file_is_refused_in_these_words(name, monkeypatch):
    monkeypatch.chdir(FILES)
    with pytest.raises(ConfigError) as refused:
        load(Path(f"{name}.yaml"), {}, providers=PROVIDERS)
    said = [line for line in str(refused.value).splitlines() if line.startswith(f"{name}.yaml")]
    assert [line.removeprefix(f"{name}.yaml") for line in said] == SAID[name]


def test_every_bad_file_is_in_the_table():
    assert sorted(SAID) == sorted(file.stem for file in FILES.glob("*.yaml"))


GOOD = """
targets:
  support: {provider: openai, model: gpt-4o}
receivers:
  oncall: {type: console}
  pager: {type: console, send_on_resolved: false}
alerts:
  routes:
    - {match: {target: support, severity: [critical]}, receivers: [pager], continue: true}
    - match: {target: [support, "faq-*", driftwatch], kind: [watch-itself, behaviour]}
      receivers: [oncall]
    - {receivers: []}
  quiet_hours: [{from: 22:00, to: "07:00", days: [sat], timezone: Europe/Berlin, receivers: [oncall]}]
  escalation: [{after: 30m, receivers: [pager], match: {owner: "team-*"}}]
  maintenance:
    - {cron: "0 2 1 * *", duration: 2h, author: ana, reason: deployment, match: {target: "*"}}
    - {start: 2026-12-24T18:00:00Z, end: 2026-12-27T06:00:00Z, author: ana, reason: holidays}
"""


def test_what_is_right_is_taken_as_it_is_meant(tmp_path):
    (tmp_path / "driftwatch.yaml").write_text(GOOD)
    policy = wiring.policy(load(tmp_path / "driftwatch.yaml", {}, providers=PROVIDERS))
    assert [dict(route.match) for route in policy.routes] == [
        {"target": ("support",), "severity": ("critical",)},
        {"target": ("support", "faq-*", "driftwatch"), "kind": ("watch-itself", "behaviour")},
        {},
    ]
    assert [(route.receivers, route.goes_on) for route in policy.routes] == [
        (("pager",), True),
        (("oncall",), False),
        ((), False),
    ]
    [hours] = policy.quiet_hours
    assert (hours.begin, hours.end, hours.days, hours.timezone) == (time(22), time(7), (5,), "Europe/Berlin")
    [step] = policy.escalations
    assert (step.after, step.receivers, dict(step.match)) == (timedelta(minutes=30), ("pager",), {"owner": ("team-*",)})
    assert [window.duration for window in policy.maintenance] == [timedelta(hours=2), None]
    assert policy.untold_ends == {"pager"}


@pytest.mark.parametrize("alerts", ["[]", "{routes: 7}", "{routes: [7]}", "{escalation: [{receivers: 7}]}"])
def test_what_has_another_shape_is_told_once_and_breaks_no_rule(tmp_path, alerts):
    (tmp_path / "driftwatch.yaml").write_text(f"targets: {{a: {{provider: openai, model: m}}}}\nalerts: {alerts}\n")
    with pytest.raises(ConfigError):
        load(tmp_path / "driftwatch.yaml", {}, providers=PROVIDERS)


def test_receivers_and_targets_of_another_shape_break_no_rule():
    written = {"routes": [{"receivers": ["a"], "match": {"target": "b"}}]}
    assert broken_alerting_rules({"receivers": [], "targets": [], "alerts": written}) == broken_alerting_rules(
        {"receivers": [], "alerts": written}
    )
