"""A request body with places in it that every canary fills in its own way.

A place is a name in double braces. A string that is nothing but one place becomes the value as it is, so that numbers
stay numbers and messages stay a list; inside a longer string a value is written out, anything but text as JSON. What
is filled in is never searched for places again.

>>> template = Template({"ask": "{{prompt}}", "limit": "{{parameters.max_tokens}}", "seed": "{{parameters.seed}}"})
>>> template.filled({"prompt": "Hi", "parameters.max_tokens": 5})
{'ask': 'Hi', 'limit': 5}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from driftwatch.domain import Canary, Json, Message, Outcome, Target
from driftwatch.errors import ConfigError, ProviderRejected
from driftwatch.providers.asked import COMMON_PARAMETERS, conversation_of, format_of, instructions_of

PLACES = (
    "model", "system", "prompt", "messages", "tools", "tool_choice", "response_format", "stream",
    *(f"parameters.{name}" for name in COMMON_PARAMETERS),
)  # fmt: skip
"""``system`` is the canary's instructions and ``prompt`` its last user message, both empty when there is none;
``messages`` is the whole conversation in the shape of chat completions, instructions included."""

_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_KEY = "options.request"
_ABSENT = object()


class Template:
    """A body as configured.

    Args:
        written: any JSON value, with places in its strings.

    Raises:
        ConfigError: a place has a name that means nothing, or none takes what the canary asks.
    """

    def __init__(self, written: Json) -> None:
        self._written = written
        self.places = frozenset(_places(written))
        """The names that occur."""
        for name in sorted(self.places):
            if name not in PLACES:
                raise ConfigError(f"unknown place {{{{{name}}}}}", key=_KEY, instead=_suggest(name))
        if not self.places & {"prompt", "messages"}:
            raise ConfigError(
                "the question has no place in it", key=_KEY, instead="write {{prompt}} or {{messages}} where it belongs"
            )

    def filled(self, values: Mapping[str, Json]) -> Json:
        """The body of one request.

        Args:
            values: place → value. What is absent is not sent: a string that is nothing but its place disappears with
                its key, and inside a longer string nothing is written.
        """
        return _filled(self._written, values)

    def must_take(self, canary: Canary) -> None:
        """See that nothing a canary asks falls under the table: another question would be watched than was written.

        Raises:
            ProviderRejected: REJECTED, when a part has no place.
        """
        conversation = conversation_of(canary)
        asked = (
            ("tools", canary.tools, {"tools"}),
            ("a tool choice", canary.tool_choice, {"tool_choice"}),
            ("a form of reply", format_of(canary), {"response_format"}),
            ("instructions", instructions_of(canary), {"system", "messages"}),
            ("a conversation", [m for m in conversation if m.role != "user"] or conversation[1:], {"messages"}),
        )
        for what, value, places in asked:
            if value and not places & self.places:
                named = " or ".join(f"{{{{{name}}}}}" for name in sorted(places))
                sentence = f"the canary has {what}, and {_KEY} no place for it; write {named} where it belongs"
                raise ProviderRejected(sentence, outcome=Outcome.REJECTED)


def values_of(target: Target, canary: Canary) -> dict[str, Json]:
    """What one canary has to say in each place; what neither it nor the target says is absent."""
    asked = {"tools": list(canary.tools) or None, "tool_choice": canary.tool_choice}
    asked |= {"response_format": canary.response_format if format_of(canary) else None}
    asked |= {f"parameters.{name}": value for name, value in target.parameters_for(canary).items()}
    questions = [message.content for message in conversation_of(canary) if message.role == "user"]
    return {
        **{name: value for name, value in asked.items() if value is not None},
        "model": target.model,
        "system": instructions_of(canary),
        "prompt": questions[-1] if questions else "",
        "messages": [_message(message) for message in canary.messages],
        "stream": target.stream,
    }


def _message(message: Message) -> dict[str, Json]:
    sent: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _places(written: Json) -> Iterator[str]:
    if isinstance(written, str):
        yield from (found.strip() for found in _PLACE.findall(written))
    elif isinstance(written, Mapping):
        for key, value in written.items():
            yield from _places(value)
            if _PLACE.search(key):
                raise ConfigError(f"the key {key!r} holds a place", key=_KEY, instead="places belong into values")
    elif isinstance(written, list):
        for value in written:
            yield from _places(value)


def _filled(written: Json, values: Mapping[str, Json]) -> Json:
    if isinstance(written, str):
        whole = _PLACE.fullmatch(written)
        if whole and "}}" not in whole[1]:
            return values.get(whole[1].strip(), _ABSENT)
        return _PLACE.sub(lambda place: _in_text(values.get(place[1].strip(), "")), written)
    if isinstance(written, Mapping):
        pairs = ((key, _filled(value, values)) for key, value in written.items())
        return {key: value for key, value in pairs if value is not _ABSENT}
    if isinstance(written, list):
        items = (_filled(value, values) for value in written)
        return [value for value in items if value is not _ABSENT]
    return written


def _in_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _suggest(name: str) -> str:
    near = get_close_matches(name, PLACES, n=1)
    return f"did you mean {{{{{near[0]}}}}}?" if near else f"the places are {', '.join(PLACES)}"
