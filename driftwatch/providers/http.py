"""A team's own endpoint, whatever its wire: the feature as its users meet it, prompts, retrieval and rules included.

``base_url`` is the whole address. ``options.request`` is the body with places in it (``http_template``);
``options.text`` and its siblings are JSONPaths (RFC 9535) to what the reply says. The key goes out as ``Authorization:
Bearer``; what else the endpoint wants goes into the target's ``headers``. A canary with a part that the request has no
place for (tools, a form of reply, instructions, more than one message) is rejected before anything is sent; parameters
without a place are not sent, and ``doctor`` tells them.

* ``text`` that matches several nodes means them all, one after the other; a node that is no text is written as JSON.
  One that matches nothing is a reply of another shape; every other path that matches nothing leaves its field empty.
* ``text: $`` takes the body as it is: a JSON document, or plain text when the endpoint says ``text/plain``.
* A reply in ``text/event-stream`` is read event by event with ``stream_text``; the other paths may match in any event,
  and the last match counts. Its events are JSON. With a ``finish_reason`` configured, a stream without one was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import httpx
import jsonpath

from driftwatch.domain import Canary, Json, Outcome, Target
from driftwatch.errors import ConfigError, ReplyUnreadable
from driftwatch.providers.address import joined
from driftwatch.providers.asked import COMMON_PARAMETERS
from driftwatch.providers.body import content_type, not_utf8, read_body
from driftwatch.providers.chat import FINISHES
from driftwatch.providers.connection import Connection
from driftwatch.providers.dialect import Assembler, Reply, bearer
from driftwatch.providers.endpoint import Endpoint
from driftwatch.providers.failures import Say, from_error_object
from driftwatch.providers.http_template import Template, values_of
from driftwatch.providers.reading import count, optional_text, text
from driftwatch.providers.streaming import Pace

WHOLE = "$"
"""The path that means the whole body."""
TOLD = ("model", "input_tokens", "output_tokens", "finish_reason")
"""Options whose paths lead to one value each."""


class Path:
    """Where in a document something is.

    Args:
        option: the key under ``options`` that says so.
        written: the JSONPath.

    Raises:
        ConfigError: it is none.
    """

    def __init__(self, option: str, written: Json) -> None:
        self.written = written
        try:
            self._query = jsonpath.JSONPathEnvironment(strict=True).compile(written)
        except (jsonpath.JSONPathError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{written!r} is no JSONPath",
                key=f"options.{option}",
                instead="write one as in RFC 9535, e.g. $.answer",
            ) from error

    def all(self, document: Json) -> list[Json]:
        """Every node it matches.

        Raises:
            ReplyUnreadable: the document cannot be searched.
        """
        if self.written == WHOLE:
            return [document]
        if not isinstance(document, (dict, list)):  # the library would take a text for JSON still to be parsed
            return []
        try:
            return self._query.findall(document)
        except (jsonpath.JSONPathError, TypeError, ValueError) as error:
            raise ReplyUnreadable(f"the reply cannot be searched for {self.written}", outcome=_ODD) from error

    def first(self, document: Json) -> Json:
        """The first node it matches, None when there is none."""
        return next(iter(self.all(document)), None)


class Http:
    """The wire that the options describe."""

    error_names: Mapping[str, Outcome] = {}

    def __init__(self, connection: Connection) -> None:
        options = connection.options
        self._url = _address(connection.base_url)
        self._template = Template(_required(options, "request", '{"question": "{{prompt}}"}'))
        self.text = Path("text", _required(options, "text", "$.answer"))
        self.told = {name: Path(name, options[name]) for name in TOLD if name in options}
        self.error = Path("error", options["error"]) if "error" in options else None
        self.stream_text = Path("stream_text", options["stream_text"]) if "stream_text" in options else None
        self.unsent = frozenset(name for name in COMMON_PARAMETERS if f"parameters.{name}" not in self._template.places)

    def url(self, target: Target) -> str:
        """``base_url``, nothing added."""
        del target
        return self._url

    def body(self, target: Target, canary: Canary) -> Json:
        """The template, filled in.

        Raises:
            ProviderRejected: the canary has a part that the template has no place for.
        """
        self._template.must_take(canary)
        return self._template.filled(values_of(target, canary))

    async def authorise(self, key: str | None, *, url: str, body: bytes) -> Mapping[str, str]:
        """``Authorization: Bearer``; the target's ``headers`` can say it otherwise."""
        del url, body
        return bearer(key)

    def read(self, document: Json, *, say: Say) -> Reply:
        """See ``Dialect``; the document is a text when the endpoint answers in plain text."""
        self.raise_error(document, say=say)
        found = self.text.all(document)
        if not found:
            raise ReplyUnreadable(f"nothing in the reply matches options.text, {self.text.written}", outcome=_ODD)
        return _reply(found, {name: path.first(document) for name, path in self.told.items()})

    def assembler(self, *, say: Say) -> Assembler:
        """See ``Dialect``."""
        if self.stream_text is None:
            raise ReplyUnreadable(
                "the endpoint streams its reply; write options.stream_text, the JSONPath to an event's text",
                outcome=_ODD,
            )
        return Events(self, self.stream_text, say=say)

    def raise_error(self, document: Json, *, say: Say) -> None:
        """Raise what the document says went wrong.

        Raises:
            ProviderError: the path ``error`` leads to something that is neither null, false, empty nor 0.
        """
        error = self.error.first(document) if self.error else None
        if error:
            raise from_error_object(error, say=say)


class Events:
    """Puts the events of a stream together."""

    def __init__(self, wire: Http, path: Path, *, say: Say) -> None:
        self._wire, self._path, self._say = wire, path, say
        self._found: list[Json] = []
        self._told: dict[str, Json] = {}
        self._has_events = False
        self.is_complete = False
        """Never true: only the end of the stream ends it."""

    def add(self, event: str, data: Json) -> bool:
        """See ``Assembler``."""
        del event
        self._has_events = True
        self._wire.raise_error(data, say=self._say)
        told = {name: path.first(data) for name, path in self._wire.told.items()}
        self._told |= {name: value for name, value in told.items() if value is not None}
        found = self._path.all(data)
        self._found += found
        return any(_written(value) for value in found)

    def reply(self) -> Reply:
        """See ``Assembler``."""
        if not self._has_events:
            raise ReplyUnreadable("the endpoint answered 200 with an empty stream", outcome=Outcome.EMPTY_BODY)
        if not self._found:
            path = self._path.written
            raise ReplyUnreadable(f"nothing in the stream matches options.stream_text, {path}", outcome=_ODD)
        if "finish_reason" in self._wire.told and "finish_reason" not in self._told:
            raise ReplyUnreadable("the stream ended before a finish reason came", outcome=Outcome.CUT_OFF)
        return _reply(self._found, self._told)


class Feature(Endpoint):
    """An endpoint that may also answer in plain text, where the whole body is the text."""

    def __init__(self, connection: Connection, wire: Http, *, transport: httpx.AsyncBaseTransport | None) -> None:
        super().__init__(connection, wire, transport=transport)
        self._wire = wire

    async def _read(self, response: httpx.Response, model: str, at: datetime, say: Say, pace: Pace) -> Reply:
        # By media type alone: a gateway's HTML page must not pass for a reply.
        takes_text = self._wire.text.written == WHOLE
        if not (takes_text and response.is_success and content_type(response) == "text/plain"):
            return await super()._read(response, model, at, say, pace)
        try:
            plain = (await read_body(response)).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise not_utf8() from error
        if not plain.strip():
            raise ReplyUnreadable("the endpoint answered 200 with an empty body", outcome=Outcome.EMPTY_BODY)
        return self._wire.read(plain, say=say)


def open_provider(connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> Endpoint:
    """Open it; ``transport`` replaces the network, for tests.

    Raises:
        ConfigError: ``base_url``, ``request`` or ``text`` is missing or unusable, or another path is none.
    """
    return Feature(connection, Http(connection), transport=transport)


_ODD = Outcome.MALFORMED


def _reply(found: list[Json], told: Mapping[str, Json]) -> Reply:
    served = optional_text(told.get("finish_reason"))
    return Reply(
        text="".join(_written(value) for value in found),
        finish_reason=FINISHES.get(served.lower(), served) if served else None,
        input_tokens=count(told.get("input_tokens")),
        output_tokens=count(told.get("output_tokens")),
        served_model=optional_text(told.get("model")),
    )


def _written(value: Json) -> str:
    return text(value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _address(base_url: str | None) -> str:
    joined(base_url, "")  # says what is wrong with it; the address itself stays as written, a last slash included
    return str(httpx.URL(base_url or "").copy_with(fragment=None))


def _required(options: Mapping[str, Json], name: str, example: str) -> Json:
    if options.get(name) in (None, "", {}):
        raise ConfigError(f"{name} is missing", key=f"options.{name}", instead=f"write {name}: {example}")
    return options[name]
