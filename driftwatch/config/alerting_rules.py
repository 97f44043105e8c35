"""The rules of ``alerts`` that span more than one key. They read plain values, as ``rules`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from driftwatch.config.problems import KeyPath, Problem
from driftwatch.config.rules import sections, unknown
from driftwatch.domain import WATCH, Json


def broken_alerting_rules(values: Mapping[str, Json]) -> list[Problem]:
    """Find every broken rule.

    Args:
        values: the merged configuration, targets filled with what they inherit.
    """
    return [problem for rule in _RULES for problem in rule(values)]


def _no_target_of_the_watch(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, _ in sections(values, "targets"):
        if path[1] == WATCH:
            problem = "no target may be called so: it stands for the watch itself"
            yield Problem(path=path, problem=problem, instead="choose another name")


def _known_receivers(values: Mapping[str, Json]) -> Iterator[Problem]:
    receivers = values.get("receivers") or {}
    if not isinstance(receivers, dict):
        return
    for key in ("routes", "quiet_hours", "escalation"):
        for path, section in _listed(values, key):
            named = section.get("receivers")
            for position, name in enumerate(named if isinstance(named, list) else []):
                if isinstance(name, str) and name not in receivers:
                    yield unknown((*path, "receivers", position), "receiver", name, receivers)


def _known_targets(values: Mapping[str, Json]) -> Iterator[Problem]:
    """A pattern may be about targets to come; a name is a slip when nothing is called so."""
    written = values.get("targets")
    known = [*written, WATCH] if isinstance(written, dict) else [WATCH]
    for key in ("routes", "escalation", "maintenance"):
        for path, section in _listed(values, key):
            match = section.get("match")
            wanted = match.get("target") if isinstance(match, dict) else None
            for position, name in enumerate([wanted] if isinstance(wanted, str) else wanted or ()):
                if isinstance(name, str) and "*" not in name and name not in known:
                    place = (*path, "match", "target")
                    yield unknown((*place, position) if isinstance(wanted, list) else place, "target", name, known)


def _reached_routes(values: Mapping[str, Json]) -> Iterator[Problem]:
    routes = list(_listed(values, "routes"))
    for path, route in routes[:-1]:
        if not route.get("match") and route.get("continue") is not True:
            problem = "fits every incident, so that no route below it is reached"
            yield Problem(path=path, problem=problem, instead="move it to the end, or write continue: true")


def _hours_with_a_length(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, hours in _listed(values, "quiet_hours"):
        if "from" in hours and hours.get("from") == hours.get("to"):
            instead = "write an end at another time, or a silence: driftwatch silence add"
            yield Problem(path=(*path, "to"), problem="ends when it begins, which is the whole day", instead=instead)


def _one_kind_of_day(values: Mapping[str, Json]) -> Iterator[Problem]:
    """What a day of the month beside a weekday means differs: either in crontab, both in APScheduler.

    Source: man7.org, crontab(5), and apscheduler.readthedocs.io, CronTrigger, 3.11.
    """
    for path, window in _listed(values, "maintenance"):
        cron = window.get("cron")
        fields = cron.split() if isinstance(cron, str) else []
        if len(fields) == _CRON_FIELDS and fields[2] != "*" and fields[4] != "*":
            problem = "names a day of the month and a weekday"
            yield Problem(path=(*path, "cron"), problem=problem, instead="write * for one of them")


_CRON_FIELDS = 5

_RULES: tuple[Callable[[Mapping[str, Json]], Iterator[Problem]], ...] = (
    _no_target_of_the_watch,
    _known_receivers,
    _known_targets,
    _reached_routes,
    _hours_with_a_length,
    _one_kind_of_day,
)


def _listed(values: Mapping[str, Json], key: str) -> Iterator[tuple[KeyPath, Mapping[str, Json]]]:
    """Every entry of a list of ``alerts`` that is a mapping; what is not one is told elsewhere."""
    alerts = values.get("alerts")
    written = alerts.get(key) if isinstance(alerts, dict) else None
    for position, entry in enumerate(written if isinstance(written, list) else []):
        if isinstance(entry, dict):
            yield ("alerts", key, position), entry
