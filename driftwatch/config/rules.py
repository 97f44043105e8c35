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


def _ways_to_slack(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, receiver in sections(values, "receivers"):
        if receiver.get("type") != "slack":
            continue
        given = {
            secret: [key for key in (f"{secret}_env", f"{secret}_file") if key in receiver]
            for secret in ("webhook_url", "bot_token", "app_token")
        }
        for secret, keys in given.items():
            if len(keys) > 1:
                problem = f"the {secret.replace('_', ' ')} has more than one place"
                yield Problem(path=path, problem=problem, instead=f"keep {' or '.join(keys)}")
        if not given["webhook_url"] and not given["bot_token"]:
            yield Problem(
                path=path, problem="no way to reach Slack", instead="write webhook_url_env: SLACK_WEBHOOK_URL"
            )
        if given["bot_token"] and "channel" not in receiver:
            instead = "write the channel's ID, e.g. channel: C0123456789"
            yield Problem(path=(*path, "channel"), problem="missing; a bot needs it", instead=instead)
        if given["webhook_url"] and not given["bot_token"] and "channel" in receiver:
            instead = "remove it, or write bot_token_env beside the webhook"
            yield Problem(path=(*path, "channel"), problem="a webhook posts to its own channel", instead=instead)
        if given["app_token"] and not given["bot_token"]:
            instead = "write bot_token_env: SLACK_BOT_TOKEN beside it, or remove it"
            problem = "buttons are in the messages of a bot, and there is none"
            yield Problem(path=(*path, given["app_token"][0]), problem=problem, instead=instead)


def _telling_controls(values: Mapping[str, Json]) -> Iterator[Problem]:
    targets = dict(sections(values, "targets"))
    by_name = {str(path[1]): target for path, target in targets.items()}
    for path, target in targets.items():
        controls = target.get("controls")
        for name, role in controls.items() if isinstance(controls, dict) else ():
            place = (*path, "controls", name)
            control = by_name.get(name)
            if name == path[1]:
                yield Problem(
                    path=place, problem="a target is no control for itself", instead="name another target, or remove it"
                )
            elif control is None:
                yield unknown(place, "target", name, by_name)
            elif _few_shared_suites(target, control):
                problem = "it is asked other suites, so that it could not show the same change"
                yield Problem(path=place, problem=problem, instead=f"give {name} the suites of {path[1]}")
            elif role == "same_model" and all(target.get(key) == control.get(key) for key in _PLACE):
                problem = "it is the same model at the same place, so that it moves whatever the cause"
                yield Problem(path=place, problem=problem, instead="name a target at another host")


_PLACE = ("provider", "base_url", "model", "options")
"""Keys of a target that say what is asked where."""


def _few_shared_suites(target: Mapping[str, Json], control: Mapping[str, Json]) -> bool:
    """Whether two lists of suites share less than half of the target's; without a list a target has every suite."""
    wanted, given = target.get("suites"), control.get("suites")
    if not isinstance(wanted, list) or not isinstance(given, list):
        return False
    return 2 * sum(suite in given for suite in wanted) < len(wanted)


_RULES: tuple[Callable[[Mapping[str, Json]], Iterator[Problem]], ...] = (
    _one_budget,
    _pinned_embedder,
    _simulation_in_order,
    _script_of_simulated,
    _one_key,
    _interval_and_jitter,
    _known_receivers,
    _telling_controls,
    _ways_to_slack,
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
