"""The rules that span more than one key. They read plain values, so that they hold beside mistakes elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from driftwatch.config.fields import duration_s
from driftwatch.config.problems import KeyPath, Problem, nearest, suggest
from driftwatch.config.settings import BUNDLED_EMBEDDER
from driftwatch.domain import Json

SHORTEST_INTERVAL_S = 60.0
"""Seconds between the runs of a real endpoint: below it a slip of the unit empties the account."""


def broken_rules(values: Mapping[str, Json]) -> list[Problem]:
    """Find every broken rule.

    Args:
        values: the merged configuration, targets filled with what they inherit.
    """
    return [problem for rule in _RULES for problem in rule(values)]


def _one_budget(values: Mapping[str, Json]) -> Iterator[Problem]:
    budget = values.get("alarm_budget")
    keys = ("false_alarms_per_year", "chance_of_any_per_year")
    if isinstance(budget, dict) and all(key in budget for key in keys):
        yield Problem(path=("alarm_budget",), problem="two budgets", instead=f"keep {keys[0]} or {keys[1]}")


def _pinned_embedder(values: Mapping[str, Json]) -> Iterator[Problem]:
    written = values.get("embedder")
    model = written.get("model", BUNDLED_EMBEDDER) if isinstance(written, dict) else written
    revision = written.get("revision") if isinstance(written, dict) else None
    if not isinstance(model, str):
        return
    if model in {BUNDLED_EMBEDDER, "off"}:
        if revision is not None:
            yield Problem(path=("embedder", "revision"), problem=f"{model} has none to choose", instead="remove it")
    elif revision is None:
        near = nearest(model, [BUNDLED_EMBEDDER, "off"])
        instead = f"did you mean {near!r}?" if near else "write embedder: {model: name or folder, revision: commit}"
        yield Problem(path=("embedder",), problem="a model that is not bundled needs a revision", instead=instead)


def _is_another(target: Mapping[str, Json]) -> bool:
    """Whether a target is certainly not simulated; a misspelled provider is told by itself, and only once."""
    provider = target.get("provider")
    return isinstance(provider, str) and provider != "simulated" and nearest(provider, ["simulated"]) is None


def _simulation_in_order(values: Mapping[str, Json]) -> Iterator[Problem]:
    simulation = values.get("simulation")
    if simulation is None:
        return
    for path, target in sections(values, "targets"):
        if _is_another(target):
            yield Problem(
                path=("simulation",),
                problem=f"only for simulated targets, and {path[1]} is not one",
                instead="remove the section, or write provider: simulated",
            )


def _script_of_simulated(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, target in sections(values, "targets"):
        is_simulated, has_script = target.get("provider") == "simulated", "script" in target
        if is_simulated and not has_script:
            instead = "write script: and the file that says how the endpoint behaves"
            yield Problem(path=(*path, "script"), problem="missing; provider simulated needs it", instead=instead)
        if has_script and _is_another(target):
            yield Problem(
                path=(*path, "script"),
                problem="only for provider simulated",
                instead="remove it, or write provider: simulated",
            )


def _one_key(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, target in sections(values, "targets"):
        if "api_key_env" in target and "api_key_file" in target:
            yield Problem(path=path, problem="two sources of the API key", instead="keep api_key_env or api_key_file")


def _interval_and_jitter(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, target in sections(values, "targets"):
        interval_s = duration_s(target.get("interval", "1h"))
        jitter_s = duration_s(target.get("jitter"))
        if interval_s is None or interval_s <= 0:
            continue
        if interval_s < SHORTEST_INTERVAL_S and "simulation" not in values:
            yield Problem(path=(*path, "interval"), problem="shorter than a minute", instead="write at least 60s")
        if jitter_s is not None and jitter_s >= interval_s:
            yield Problem(
                path=(*path, "jitter"), problem="not shorter than the interval", instead="write a tenth of the interval"
            )


def _known_receivers(values: Mapping[str, Json]) -> Iterator[Problem]:
    receivers = values.get("receivers", {})
    if not isinstance(receivers, dict):
        return
    for path, target in sections(values, "targets"):
        named = target.get("receivers")
        for position, name in enumerate(named if isinstance(named, list) else []):
            if isinstance(name, str) and name not in receivers:
                yield unknown((*path, "receivers", position), "receiver", name, receivers)


def _one_way_to_slack(values: Mapping[str, Json]) -> Iterator[Problem]:
    ways = ("webhook_url_env", "webhook_url_file", "bot_token_env", "bot_token_file")
    for path, receiver in sections(values, "receivers"):
        if receiver.get("type") != "slack":
            continue
        given = [way for way in ways if way in receiver]
        if not given:
            yield Problem(
                path=path, problem="no way to reach Slack", instead="write webhook_url_env: SLACK_WEBHOOK_URL"
            )
        elif len(given) > 1:
            yield Problem(path=path, problem="more than one way to reach Slack", instead=f"keep {' or '.join(given)}")
        elif given[0].startswith("bot") and "channel" not in receiver:
            instead = "write the channel's ID, e.g. channel: C0123456789"
            yield Problem(path=(*path, "channel"), problem="missing; a bot needs it", instead=instead)
        elif given[0].startswith("webhook") and "channel" in receiver:
            instead = "remove it, or write bot_token_env instead of the webhook"
            yield Problem(path=(*path, "channel"), problem="a webhook posts to its own channel", instead=instead)


_RULES: tuple[Callable[[Mapping[str, Json]], Iterator[Problem]], ...] = (
    _one_budget,
    _pinned_embedder,
    _simulation_in_order,
    _script_of_simulated,
    _one_key,
    _interval_and_jitter,
    _known_receivers,
    _one_way_to_slack,
)


def sections(values: Mapping[str, Json], key: str) -> Iterator[tuple[KeyPath, Mapping[str, Json]]]:
    """Every target or receiver that is a mapping; what is not one is told elsewhere."""
    written = values.get(key)
    for name, section in written.items() if isinstance(written, dict) else ():
        if isinstance(section, dict):
            yield (key, name), section


def unknown(path: KeyPath, noun: str, word: str, known: Collection[str]) -> Problem:
    """A word is repeated only when it resembles a known one: it may be a secret pasted in the wrong place."""
    said = f"unknown {noun} {word!r}" if nearest(word, known) else f"unknown {noun}"
    instead = suggest(word, known, f"{noun}s") if known else f"define it under {noun}s:"
    return Problem(path=path, problem=said, instead=instead)
