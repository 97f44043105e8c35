"""tools: how far the function calls are from the anchors'. Sees another tool chosen and arguments that do not fit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from driftwatch.canaries.checks import evaluate
from driftwatch.domain import Canary, Check, Json, Kind, Target, ToolCall
from driftwatch.score.channel import Channel, mean
from driftwatch.score.reading import Anchors, Reading


def measure_tools(readings: Sequence[Reading], anchors: Anchors, canary: Canary) -> float:
    """Half for the tools chosen, half for their arguments, mean over repeats and anchors; NaN without either.

    The choice is 1 − |both| / |either| of the called names, counted with their repetitions: 0 where the same tools
    are called equally often, 1 where none is shared, as between a call and a reply in words. The arguments are
    the difference between the shares of calls that do not fit the tool's own JSON Schema or are no JSON: calls broken
    before and after are no drift. What the arguments say is left to wording and meaning.

    Source: Jaccard (1912), New Phytologist 11, 37–50, for the share of multisets.
    """
    if not readings or not len(anchors):
        return math.nan
    schemas = {name: parameters for name, parameters in map(_definition, canary.tools) if name}
    usual = [_called(anchor, schemas) for anchor in anchors]
    return mean(mean(_difference(_called(r, schemas), other) for other in usual) for r in readings)


def has_tools(_target: Target, canary: Canary) -> bool:
    """Whether there is a function to call."""
    return bool(canary.tools)


def _definition(tool: Json) -> tuple[str | None, Json]:
    function = tool.get("function", {}) if isinstance(tool, dict) else {}
    return function.get("name"), function.get("parameters")


def _called(reading: Reading, schemas: dict[str, Json]) -> tuple[Counter[str], float]:
    """The names called and the share of calls whose arguments do not fit, 0 without calls."""
    calls = reading.completion.tool_calls
    n_unfit = sum(not _fits(reading, call, schemas) for call in calls)
    return Counter(call.name for call in calls), n_unfit / len(calls) if calls else 0.0


def _fits(reading: Reading, call: ToolCall, schemas: dict[str, Json]) -> bool:
    """A tool that the canary does not define, an invented one, has nothing to fit."""
    if call.name not in schemas:
        return False
    # A function without a schema takes none or any arguments, but they are JSON all the same.
    schema = schemas[call.name] if schemas[call.name] is not None else {}
    check = Check(kind="tool_called", argument={"name": call.name, "arguments_schema": schema})
    return evaluate(check, replace(reading.completion, tool_calls=(call,)))


def _difference(one: tuple[Counter[str], float], other: tuple[Counter[str], float]) -> float:
    (mine, my_unfit), (theirs, their_unfit) = one, other
    either = (mine | theirs).total()
    choice = 1.0 - (mine & theirs).total() / either if either else 0.0
    return (choice + abs(my_unfit - their_unfit)) / 2


TOOLS = Channel(
    name="tools",
    kind=Kind.BEHAVIOUR,
    two_sided=False,
    weighting="noise",
    applies=has_tools,
    measure=measure_tools,
)
