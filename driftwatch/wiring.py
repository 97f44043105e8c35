"""From the settings to what a watch is made of: targets with their thresholds, connections, prices, notifiers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from driftwatch import usage
from driftwatch.alert.policy import Escalation, Policy, QuietHours, Route, Window
from driftwatch.alert.receivers import NOTIFIERS, Notifier, ReceiverConnection
from driftwatch.canaries import load_suites
from driftwatch.canaries.argument import ArgumentError
from driftwatch.canaries.wire import validate_parameters
from driftwatch.config import (
    AlarmBudget,
    Match,
    Settings,
    TargetSettings,
    options_of,
    read_secret,
    require_secret,
    secrets_of,
)
from driftwatch.detect.budget import threshold
from driftwatch.domain import Canary, Control, Json, Kind, Level, Severity, Target, Wire
from driftwatch.errors import ConfigError
from driftwatch.judgement import kinds_watched
from driftwatch.providers import PROVIDERS, Connection, Provider
from driftwatch.spending import Account
from driftwatch.store import Store
from driftwatch.upkeep import Heartbeat, Upkeep

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""As the config names them, in the order of ``datetime.weekday``."""


def build_targets(settings: Settings) -> tuple[Target, ...]:
    """Join the configured targets with their canaries.

    Raises:
        ConfigError: a suite that a target names does not exist, or a canary file is wrong.
    """
    suites = load_suites(settings.canaries)
    built = []
    for name, wanted in settings.targets.items():
        canaries = [c for suite in chosen_suites(name, settings, suites) for c in suites[suite].canaries]
        built.append(target(name, wanted, settings, tuple(canaries)))
    return tuple(built)


def chosen_suites(name: str, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
    """The suites that a target replays, all when the config names none.

    Raises:
        ConfigError: one does not exist, or the list is there and empty.
    """
    wanted = settings.targets[name]
    wrong = partial(settings.error_at, ("targets", name, "suites"))
    if "suites" in wanted.model_fields_set and not wanted.suites:
        # An empty list reads like "none" and would be paid for like "all".
        raise wrong("no suite is named", instead="name one, or leave the key out for every suite")
    for suite in wanted.suites:
        if suite not in known:
            there = ", ".join(sorted(known)) or "none, the canaries paths hold no suite"
            raise wrong(f"unknown suite '{suite}'", instead=f"write one of: {there}")
    return wanted.suites or tuple(known)


def target(name: str, wanted: TargetSettings, settings: Settings, canaries: tuple[Canary, ...]) -> Target:
    """One configured target, its threshold worked out from the alarm budget.

    Raises:
        ConfigError: a parameter is misspelt, or a budget in dollars cannot be kept, because nobody knows what the
            target charges.
    """
    try:
        # None is not sent: it stands in for any value.
        validate_parameters({key: value for key, value in wanted.parameters.items() if value is not None})
    except ArgumentError as error:
        path = ("targets", name, "parameters", *map(str, error.path))
        raise settings.error_at(path, error.problem, instead=error.instead) from error
    budget = settings.alarm_budget
    built = Target(
        name=name,
        provider=wanted.provider,
        model=wanted.model,
        base_url=wanted.base_url,
        canaries=canaries,
        parameters=dict(wanted.parameters),
        options=dict(wanted.options),
        stream=wanted.stream,
        interval_s=wanted.interval_s,
        jitter_s=wanted.jitter_s,
        repeats=wanted.repeats,
        alarm_budget=_in_words(budget),
        anchors_wanted=settings.baseline.anchors,
        calibration_wanted=settings.baseline.calibration_runs_for(wanted.interval_s),
        owner=wanted.owner,
        feature=wanted.feature,
        controls={other: Control(role) for other, role in wanted.controls.items()},
        receivers=tuple(wanted.receivers),
        burst=wanted.burst,
        tripwires={wire: _level(wire, wanted) for wire in Wire},
        retirement_notice_days=settings.retirement_notice_days,
    )
    bar = threshold(
        runs_per_year=built.runs_per_year,
        false_alarms_per_year=budget.false_alarms_per_year,
        chance_of_any_per_year=budget.chance_of_any_per_year,
        n_targets=len(settings.targets) if budget.scope == "fleet" else 1,
        n_kinds=kinds_watched(),
    )
    _can_keep_its_budgets(built, wanted, settings)
    return replace(built, threshold=bar)


def _level(wire: Wire, wanted: TargetSettings) -> Level:
    """What a wire causes, as configured. A pinned upstream pages unless the config says otherwise."""
    is_unsaid = wire.value not in wanted.tripwires.model_fields_set
    if wire is Wire.UPSTREAM and wanted.options.get("upstream") and is_unsaid:
        return Level.PAGE
    return Level(getattr(wanted.tripwires, wire.value))


def provider(watched: Target, settings: Settings, env: Mapping[str, str] | None) -> Provider:
    """Open the way to a target's endpoint; nothing is sent.

    Args:
        watched: whose endpoint.
        settings: say how it is reached.
        env: where secrets are read from; None opens it without them, to see whether it could be.

    Raises:
        ConfigError: an option or the address is unusable, or the provider's extra is not installed; with its place.
    """
    path = ("targets", watched.name)
    reached = connection(settings.targets[watched.name], env or {})
    if env is None:
        # A key that is named counts as there: some wires choose by it how they prove who asks.
        named = settings.targets[watched.name].api_key_env or settings.targets[watched.name].api_key_file
        reached = replace(reached, read_proxy=lambda: None, read_key=lambda: "unread" if named else None)
    try:
        return PROVIDERS[watched.provider](reached)
    except ConfigError as error:
        key = (error.key or "").split(".") if error.key else []
        raise settings.error_at((*path, *key), error.problem, instead=error.instead) from error


def connection(wanted: TargetSettings, env: Mapping[str, str]) -> Connection:
    """How to reach a target's endpoint; its secrets are read from ``env`` when they are used."""
    return Connection(
        base_url=wanted.base_url,
        read_key=lambda: require_secret(wanted.api_key_env, wanted.api_key_file, env),
        read_headers=lambda: {
            header: value for header, name in wanted.headers.items() if (value := require_secret(name, None, env))
        },
        options=dict(wanted.options),
        timeout_s=wanted.timeout_s,
        connect_timeout_s=wanted.connect_timeout_s,
        read_timeout_s=wanted.read_timeout_s,
        read_proxy=lambda: require_secret(wanted.proxy_env, None, env),
        ca_file=wanted.ca_file,
        requests_per_connection=wanted.requests_per_connection,
        script=script(wanted.script) if wanted.script else None,
    )


def script(path: Path) -> Mapping[str, Json]:
    """Read a simulated endpoint's script.

    Raises:
        ConfigError: it is wrong.
    """
    from driftwatch.providers.script import load_script  # noqa: PLC0415 - only simulated targets need it

    return load_script(path)


def check_scripts(settings: Settings) -> None:
    """Read every simulated target's script.

    Raises:
        ConfigError: one is wrong.
    """
    from driftwatch.providers.script import validate_script  # noqa: PLC0415 - only simulated targets need it

    for wanted in settings.targets.values():
        if wanted.script is not None:
            validate_script(script(wanted.script), file=str(wanted.script))


def price(wanted: TargetSettings, watched: Target) -> usage.Price | None:
    """What a target charges: as configured, else as listed; None when neither says."""
    if wanted.price is not None:
        return usage.Price(input_usd=wanted.price.input, output_usd=wanted.price.output, source="config")
    return usage.find_price(watched.provider, watched.model, watched.base_url)


def account(watched: Target, settings: Settings) -> Account:
    """How a target is paid: the caps on it and on all targets together, and what it charges."""
    wanted = settings.targets[watched.name]
    own = usage.read_caps(wanted.budget.caps, key=f"targets.{watched.name}.budget", target=watched.name)
    return Account(
        caps=own + usage.read_caps(settings.budget.caps, key="budget"),
        price=price(wanted, watched),
        attempts=wanted.attempts,
    )


def _can_keep_its_budgets(built: Target, wanted: TargetSettings, settings: Settings) -> None:
    """A cap that nobody can count against would look like protection and be none."""
    own = [key for key in wanted.budget.caps if key.startswith("usd")]
    fleet = [key for key in settings.budget.caps if key.startswith("usd")]
    if not (own or fleet) or price(wanted, built) is not None:
        return
    path = ("targets", built.name, "budget", own[0]) if own else ("budget", fleet[0])
    raise settings.error_at(
        path,
        f"cannot be kept: nobody knows what {built.model} costs at target {built.name}",
        instead=f"write price: {{input: …, output: …}} under targets.{built.name}, or caps in requests or tokens",
    )


def policy(settings: Settings) -> Policy:
    """What the operator decided about alerts."""
    wanted = settings.alerts
    return Policy(
        routes=tuple(
            Route(match=_matching(route.match), receivers=tuple(route.receivers), goes_on=route.goes_on)
            for route in wanted.routes
        ),
        severities={Kind(kind): Severity(grade) for kind, grade in wanted.severities.items()},
        group_within=timedelta(seconds=wanted.group_within_s),
        reopen_within=timedelta(seconds=wanted.reopen_within_s),
        reminder_interval=timedelta(seconds=wanted.reminder_interval_s),
        success_threshold=wanted.success_threshold,
        quiet_hours=tuple(
            QuietHours(
                begin=quiet.begin,
                end=quiet.end,
                days=tuple(WEEKDAYS.index(day) for day in quiet.days),
                timezone=quiet.timezone,
                receivers=tuple(quiet.receivers),
                let_through=tuple(map(Severity, quiet.let_through)),
            )
            for quiet in wanted.quiet_hours
        ),
        escalations=tuple(
            Escalation(
                after=timedelta(seconds=step.after_s),
                receivers=tuple(step.receivers),
                match=_matching(step.match),
            )
            for step in wanted.escalation
        ),
        maintenance=tuple(
            Window(
                match=_matching(window.match),
                author=window.author,
                reason=window.reason,
                start=window.start,
                end=window.end,
                cron=window.cron,
                duration=None if window.duration_s is None else timedelta(seconds=window.duration_s),
                timezone=window.timezone,
            )
            for window in wanted.maintenance
        ),
        receivers=tuple(settings.receivers),
        target_receivers={name: tuple(found.receivers) for name, found in settings.targets.items()},
        untold_ends=frozenset(name for name, found in settings.receivers.items() if not found.send_on_resolved),
    )


def _matching(match: Match) -> dict[str, tuple[str, ...]]:
    return {key: tuple(values) for key, values in match.model_dump().items() if values}


def notifiers(settings: Settings, env: Mapping[str, str], write: Callable[[str], None] | None) -> dict[str, Notifier]:
    """Receiver name → how to tell it.

    Args:
        settings: name the receivers and where their secrets are.
        env: where secrets are read from when they are used.
        write: where console receivers print; standard output when None.
    """
    found = {}
    for name, receiver in settings.receivers.items():
        reached = ReceiverConnection(
            name=name,
            secrets={
                secret: partial(read_secret, variable, file, env)
                for secret, (variable, file) in secrets_of(receiver).items()
            },
            options=options_of(receiver),
            timeout_s=receiver.timeout_s,
        )
        if write is not None:
            reached = replace(reached, write=write)
        found[name] = NOTIFIERS[receiver.type](reached)
    return found


def upkeep(store: Store, targets: Sequence[Target], settings: Settings, policy: Policy, *, at: datetime) -> Upkeep:
    """What looks after the watch that begins at ``at``."""
    return Upkeep(
        store,
        path=settings.store,
        targets=targets,
        policy=policy,
        receivers=tuple(settings.receivers),
        at=at,
        is_simulated=settings.simulation is not None,
    )


def heartbeat(settings: Settings, env: Mapping[str, str]) -> Heartbeat | None:
    """The ping to a service outside, None where the config has none; its URL is read from ``env`` when it is used."""
    wanted = settings.heartbeat
    if wanted is None:
        return None
    read = partial(read_secret, wanted.url_env, wanted.url_file, env)
    return Heartbeat(read, method=wanted.method, interval_s=wanted.interval_s)


def _in_words(budget: AlarmBudget) -> str:
    """The operator's setting as a message tells it."""
    fleet = " over all targets together" if budget.scope == "fleet" else ""
    if budget.chance_of_any_per_year is not None:
        return f"at most a {budget.chance_of_any_per_year:.0%} chance of any false alarm in a year{fleet}"
    if budget.false_alarms_per_year == 1:
        return f"at most one false alarm per year{fleet}"
    return f"at most {budget.false_alarms_per_year:g} false alarms per year{fleet}"
