"""From the settings to what a watch is made of: targets with their thresholds, connections, prices, notifiers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from driftwatch import alert, usage
from driftwatch.config import AlarmBudget, Settings, SlackReceiver, TargetSettings, read_secret, require_secret
from driftwatch.detect.budget import threshold
from driftwatch.domain import Canary, Json, Level, Target, Wire
from driftwatch.errors import ConfigError
from driftwatch.judgement import kinds_watched
from driftwatch.providers import Connection


def chosen_suites(name: str, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
    """The suites that a target replays, all when the config names none.

    Raises:
        ConfigError: one does not exist, or the list is there and empty.
    """
    wanted = settings.targets[name]
    wrong = partial(ConfigError, file=str(settings.file), key=f"targets.{name}.suites")
    if "suites" in wanted.model_fields_set and not wanted.suites:
        # An empty list reads like "none" and would be paid for like "all".
        raise wrong("no suite is named", instead="name one, or leave the key out for every suite")
    for suite in wanted.suites:
        if suite not in known:
            there = ", ".join(sorted(known)) or "none, the canaries paths hold no suite"
            raise wrong(f"unknown suite '{suite}'", instead=f"write one of: {there}")
    return wanted.suites or tuple(known)


def target(name: str, wanted: TargetSettings, settings: Settings, canaries: tuple[Canary, ...]) -> Target:
    """One configured target, its threshold worked out from the alarm budget."""
    budget = settings.alarm_budget
    built = Target(
        name=name,
        provider=wanted.provider,
        model=wanted.model,
        base_url=wanted.base_url,
        canaries=canaries,
        parameters=dict(wanted.parameters),
        interval_s=wanted.interval_s,
        jitter_s=wanted.jitter_s,
        repeats=wanted.repeats,
        alarm_budget=_in_words(budget),
        anchors_wanted=settings.baseline.anchors,
        calibration_wanted=settings.baseline.calibration_runs_for(wanted.interval_s),
        owner=wanted.owner,
        receivers=tuple(wanted.receivers),
        burst=wanted.burst,
        tripwires={wire: Level(getattr(wanted.tripwires, wire.value)) for wire in Wire},
    )
    bar = threshold(
        runs_per_year=built.runs_per_year,
        false_alarms_per_year=budget.false_alarms_per_year,
        chance_of_any_per_year=budget.chance_of_any_per_year,
        n_targets=len(settings.targets) if budget.scope == "fleet" else 1,
        n_kinds=kinds_watched(),
    )
    return replace(built, threshold=bar)


def connection(wanted: TargetSettings, env: Mapping[str, str]) -> Connection:
    """How to reach a target's endpoint; its secrets are read from ``env`` when they are used."""
    return Connection(
        base_url=wanted.base_url,
        read_key=lambda: require_secret(wanted.api_key_env, wanted.api_key_file, env),
        read_headers=lambda: {
            header: value for header, name in wanted.headers.items() if (value := require_secret(name, None, env))
        },
        timeout_s=wanted.timeout_s,
        script=script(wanted.script) if wanted.script else None,
    )


def script(path: Path) -> Mapping[str, Json]:
    """Read a simulated endpoint's script.

    Raises:
        ConfigError: it is wrong.
    """
    from driftwatch.providers.script import load_script  # noqa: PLC0415 - only simulated targets need it

    return load_script(path)


def price(wanted: TargetSettings, watched: Target) -> usage.Price | None:
    """What a target charges: as configured, else as listed; None when neither says."""
    if wanted.price is not None:
        return usage.Price(input_usd=wanted.price.input, output_usd=wanted.price.output, source="config")
    return usage.find_price(watched.provider, watched.model, watched.base_url)


def notifiers(
    settings: Settings, env: Mapping[str, str], write: Callable[[str], None] | None
) -> dict[str, alert.Notifier]:
    """Receiver name → how to tell it.

    Args:
        settings: name the receivers and where their secrets are.
        env: where secrets are read from when they are used.
        write: where console receivers print; standard output when None.
    """
    found = {}
    for name, receiver in settings.receivers.items():
        if isinstance(receiver, SlackReceiver):
            reached = _slack(name, receiver, env)
        else:
            reached = alert.ReceiverConnection(name=name)
        if write is not None:
            reached = replace(reached, write=write)
        found[name] = alert.NOTIFIERS[receiver.type](reached)
    return found


def _in_words(budget: AlarmBudget) -> str:
    """The operator's setting as a message tells it."""
    fleet = " over all targets together" if budget.scope == "fleet" else ""
    if budget.chance_of_any_per_year is not None:
        return f"at most a {budget.chance_of_any_per_year:.0%} chance of any false alarm in a year{fleet}"
    if budget.false_alarms_per_year == 1:
        return f"at most one false alarm per year{fleet}"
    return f"at most {budget.false_alarms_per_year:g} false alarms per year{fleet}"


def _slack(name: str, receiver: SlackReceiver, env: Mapping[str, str]) -> alert.ReceiverConnection:
    return alert.ReceiverConnection(
        name=name,
        read_webhook_url=lambda: read_secret(receiver.webhook_url_env, receiver.webhook_url_file, env),
        read_bot_token=lambda: read_secret(receiver.bot_token_env, receiver.bot_token_file, env),
        channel=receiver.channel,
        base_url=receiver.base_url,
    )
