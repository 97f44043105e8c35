"""The variables of the environment that driftwatch reads: overrides, and names that are misspelled."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Mapping

from driftwatch.config.problems import Mark, Problem, nearest
from driftwatch.config.reading import Document
from driftwatch.domain import Json

VARIABLES = {
    "DRIFTWATCH_CONFIG": "configuration file, or folder of *.yaml files to merge",
    "DRIFTWATCH_STORE": "database file",
    "DRIFTWATCH_LOG_LEVEL": "debug, info, warning or error",
    "DRIFTWATCH_HTTP": "host:port to listen on, such as 127.0.0.1:8077",
}
"""Every variable driftwatch reads, and what it holds. An empty one counts as not set."""

LEVELS = ("debug", "info", "warning", "error")

_HERE = Mark(file="environment")

_PREFIX = "DRIFTWATCH_"

_TEST_PREFIX = "DRIFTWATCH_TEST_"
"""Variables of the project's own test suite."""

_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
"""What Kubernetes sets in every pod beside a Service called ``driftwatch`` or ``driftwatch-…``.

Source: kubernetes.io/docs/concepts/services-networking/service, "Environment variables".
"""

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):(?P<port>[0-9]{1,5})")


def override(document: Document, env: Mapping[str, str]) -> Document:
    """Put the values of DRIFTWATCH_STORE, DRIFTWATCH_LOG_LEVEL and DRIFTWATCH_HTTP over those of the files."""
    values, problems = dict(document.values), list(document.problems)
    if store := env.get("DRIFTWATCH_STORE"):
        values["store"] = os.path.expanduser(store)  # noqa: PTH111 - Path.expanduser raises for an unknown user
    if level := env.get("DRIFTWATCH_LOG_LEVEL", "").lower():
        problems += _put(values, "log", {"level": level} if level in LEVELS else None, "DRIFTWATCH_LOG_LEVEL", level)
    if address := env.get("DRIFTWATCH_HTTP"):
        problems += _put(values, "http", _listen(address), "DRIFTWATCH_HTTP", address)
    return dataclasses.replace(document, values=values, problems=tuple(problems))


def misspelled(env: Mapping[str, str], named: Collection[str] = ()) -> list[Problem]:
    """Find variables that begin with DRIFTWATCH_ and mean nothing.

    Args:
        env: the environment.
        named: variables the configuration names itself, e.g. in ``api_key_env``.
    """
    return [
        Problem(path=(name,), problem="unknown variable", instead=_instead(name), mark=_HERE)
        for name in sorted(env)
        if name.startswith(_PREFIX)
        and name not in VARIABLES
        and name not in named
        and not name.startswith(_TEST_PREFIX)
        and not _is_service_link(name, env[name])
    ]


def named_variables(value: Json) -> set[str]:
    """Collect the names a configuration gives under ``…_env`` keys and in ``headers``."""
    if isinstance(value, list):
        return set().union(*map(named_variables, value))
    if not isinstance(value, dict):
        return set()
    here = {v for k, v in value.items() if k.endswith("_env") and isinstance(v, str)}
    headers = value.get("headers")
    here |= {v for v in headers.values() if isinstance(v, str)} if isinstance(headers, dict) else set()
    return here.union(*map(named_variables, value.values()))


def _put(values: dict[str, Json], section: str, part: dict[str, Json] | None, name: str, said: str) -> list[Problem]:
    if part is None:
        near = nearest(said, LEVELS) if section == "log" else None
        instead = f"did you mean {near!r}?" if near else f"write {VARIABLES[name]}"
        return [Problem(path=(name,), problem="not usable", instead=instead, mark=_HERE)]
    written = values.get(section, {})
    if isinstance(written, dict):  # anything else is a mistake in the file, which is told later
        values[section] = written | part
    return []


def _listen(address: str) -> dict[str, Json] | None:
    found = _ADDRESS.fullmatch(address)
    if not found or int(found["port"]) > 65_535:  # noqa: PLR2004 - the largest port
        return None
    return {"host": found["host"].strip("[]"), "port": int(found["port"])}


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and value.startswith(("tcp://", "udp://")))


def _instead(name: str) -> str:
    near = nearest(name.removeprefix(_PREFIX), [known.removeprefix(_PREFIX) for known in VARIABLES])
    return f"did you mean {_PREFIX}{near}?" if near else f"the variables are {', '.join(VARIABLES)}"
