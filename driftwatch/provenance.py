"""What is so on our side: versions, settings, machine. Recorded when a watch starts, so that a change can be named."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import metadata
from urllib.parse import urlsplit

import driftwatch
from driftwatch.config import Settings, TargetSettings
from driftwatch.domain import HarnessChange, Target, content_hash
from driftwatch.score import SCORING_VERSION
from driftwatch.store import Store

LIBRARIES = ("httpx", "numpy", "sentence-transformers", "tokenizers", "torch")
"""What sends requests, reads replies and measures them, by the names of the distributions."""

PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
"""Variables that decide by which way requests go out, in capitals or not.

Source: HTTPX, "Environment variables", https://www.python-httpx.org/environment_variables/, 2026-11.
"""

SETTINGS = (
    "attempts",
    "concurrency",
    "connect_timeout_s",
    "interval_s",
    "jitter_s",
    "limits",
    "proxy_env",
    "read_timeout_s",
    "requests_per_connection",
    "stream",
    "timeout_s",
)
"""Keys of a target that can move what is measured and are told as they are: none holds a secret. Those that change the
question itself, e.g. parameters, begin a new baseline and cannot look like drift."""

HASHED = ("base_url", "ca_file", "headers", "options", "script")
"""Keys of which a hash is enough, because their values are long or might be private."""


def note(
    store: Store,
    settings: Settings,
    targets: Sequence[Target],
    env: Mapping[str, str],
    *,
    embedder: str | None,
    at: datetime,
) -> HarnessChange | None:
    """Record what is so from now on; None when it was so already. To be called whenever a watch starts.

    Args:
        store: written when something is other than before, otherwise read.
        settings: as configured.
        targets: built from them.
        env: the environment.
        embedder: revision of the embedder, None without one.
        at: now.
    """
    return store.note_harness(facts(settings, targets, env, embedder=embedder), at=at)


def facts(
    settings: Settings, targets: Sequence[Target], env: Mapping[str, str], *, embedder: str | None
) -> dict[str, str]:
    """What is so on our side, by name. No secret, no address with one, no name of a machine or person."""
    found = {
        **_machine(),
        "time zone": "/".join(time.tzname),
        "scoring": str(SCORING_VERSION),
        "embedder": embedder or "off",
        "way out": _way_out(env),
    }
    for target in targets:
        found[f"target.{target.name}"] = _settings(settings.targets[target.name])
        by_suite: dict[str, list[list[str]]] = {}
        for canary in target.canaries:
            by_suite.setdefault(canary.suite, []).append([canary.id, canary.content_hash])
        for suite, canaries in by_suite.items():
            found[f"suite.{suite}"] = content_hash(sorted(canaries))
    return found


def words(key: str, before: str | None, after: str | None) -> str:
    """What changed, for a person.

    >>> words("driftwatch", "0.5.0", "0.6.0")
    'driftwatch 0.5.0 → 0.6.0'
    >>> words("target.support", "timeout 60, stream no", "timeout 20, stream no")
    'the settings of support: timeout 60 → 20'
    >>> words("machine", "1f00", "2e11")
    'another machine'
    """
    if key in _UNTOLD:
        return _UNTOLD[key]
    noun, _, name = key.partition(".")
    if noun == "suite":
        return f"the suite {name} was edited"
    if noun == "target" and (before is None or after is None):
        return f"{name} was {'added to' if before is None else 'taken out of'} the config"
    if noun == "target":
        return f"the settings of {name}: {_settings_words(before or '', after or '')}"
    return f"{key} {before or 'none'} → {after or 'none'}"


_UNTOLD = {
    "machine": "another machine",
    "way out": "another proxy, or another way of going out without one",
}
"""Keys whose values are hashes."""


@cache
def _machine() -> dict[str, str]:
    """What stays so for as long as the process lives."""
    return {
        "driftwatch": driftwatch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "machine": _hashed(platform.node()),
        "OpenSSL": _openssl(),
        **{name: version for name in LIBRARIES if (version := _version(name)) is not None},
    }


def _openssl() -> str:
    import ssl  # noqa: PLC0415 - slow import

    return ssl.OPENSSL_VERSION.split()[1]


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _way_out(env: Mapping[str, str]) -> str:
    """A hash of the proxies' hosts and ports: their credentials may be renewed every day."""
    ways = []
    for name in PROXIES:
        value = env.get(name) or env.get(name.lower()) or ""
        ways.append([name, value if name == "NO_PROXY" else _place(value)])
    return _hashed(os.linesep.join(f"{name} {value}" for name, value in ways))


def _place(url: str) -> str:
    try:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    except ValueError:
        return "unreadable"
    return place if parts.hostname else ""


def _settings(wanted: TargetSettings) -> str:
    """Settings that are not part of the question, told where that gives nothing away."""
    stored = wanted.model_dump(mode="json", include={*SETTINGS, *HASHED})
    said = [f"{key.removesuffix('_s')} {_value(stored[key])}" for key in SETTINGS]
    return ", ".join([*said, *(f"{key} {content_hash(stored[key])}" for key in HASHED)])


def _value(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={inner:g}" for key, inner in value.items() if inner is not None) or "unset"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _settings_words(before: str, after: str) -> str:
    was, has_become = ({k: v for k, _, v in (part.partition(" ") for part in s.split(", "))} for s in (before, after))
    changed = [key for key in {**was, **has_become} if was.get(key) != has_become.get(key)]
    said = [
        f"{key} changed" if key in HASHED else f"{key} {was.get(key, 'unset')} → {has_become.get(key, 'unset')}"
        for key in changed
    ]
    return ", ".join(said) or "changed"
