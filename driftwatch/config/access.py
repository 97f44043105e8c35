"""Secrets at the moment of use: read by name, never kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from driftwatch.config.receivers import secrets_of
from driftwatch.config.section import Section
from driftwatch.config.settings import Settings
from driftwatch.errors import ConfigError

_LARGEST_SECRET = 64 * 1024
"""Bytes; no credential is longer, and a wrong path may lead anywhere."""


def read_secret(env_name: str | None, file: Path | None, env: Mapping[str, str]) -> str | None:
    """Read a secret from a variable or a file, without the line break that ends most secret files.

    Returns:
        The secret; None when no place is named, or the variable is not set or empty.

    Raises:
        ConfigError: when the file cannot be read or is empty, or the secret is not one line of plain text.
    """
    if env_name is not None:
        return _one_line(env.get(env_name, ""), key=env_name) or None
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_SECRET)
    except OSError as error:
        problem = f"the secret cannot be read ({error.strerror})"
        raise ConfigError(problem, file=str(file), instead="name a file this user may read") from None
    secret = _one_line(content.decode("utf-8", errors="replace"), file=str(file))
    if not secret:
        raise ConfigError("the secret is empty", file=str(file), instead="write the secret into the file")
    return secret


def require_secret(env_name: str | None, file: Path | None, env: Mapping[str, str]) -> str | None:
    """Read a secret that the settings name: an endpoint asked without it would only refuse, in its own words.

    Returns:
        The secret; None when no place is named.

    Raises:
        ConfigError: as ``read_secret``, and when the variable is not set or empty.
    """
    secret = read_secret(env_name, file, env)
    if secret is None and env_name is not None:
        raise ConfigError(_not_set(env_name), instead=_SET_IT)
    return secret


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSecret:
    """A secret that the settings name and that cannot be read."""

    about: str
    """``target NAME`` or ``receiver NAME``."""
    key: str
    """Dotted path of the key that names it."""
    sentence: str
    """What is missing and what to do, without the secret."""


def missing_secrets(settings: Settings, env: Mapping[str, str]) -> list[MissingSecret]:
    """List every secret the settings name that is not there, in the order of the settings."""
    missing: list[MissingSecret] = []
    for place in _places(settings):
        try:
            is_there = read_secret(place.variable, place.file, env) is not None
            sentence = f"{_not_set(place.variable)}; {_SET_IT}"
        except ConfigError as error:
            is_there, sentence = False, str(error)
        if not is_there:
            missing.append(MissingSecret(about=place.about, key=place.key, sentence=sentence))
    return missing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a secret is to be read: from a variable or from a file."""

    about: str
    key: str
    variable: str | None = None
    file: Path | None = None


_SET_IT = "set it before driftwatch starts"


def _not_set(variable: str | None) -> str:
    return f"environment variable {variable} is not set"


def _places(settings: Settings) -> Iterator[_Place]:
    for name, target in settings.targets.items():
        yield from _of(f"target {name}", f"targets.{name}", target, ("api_key",))
        for header, variable in target.headers.items():
            yield _Place(about=f"target {name}", key=f"targets.{name}.headers.{header}", variable=variable)
        if target.proxy_env is not None:  # its URL can hold a password
            yield _Place(about=f"target {name}", key=f"targets.{name}.proxy_env", variable=target.proxy_env)
    for name, receiver in settings.receivers.items():
        for secret, (named, file) in secrets_of(receiver).items():
            place = "" if secret.startswith("headers.") else "_env" if named is not None else "_file"
            key = f"receivers.{name}.{secret}{place}"
            yield _Place(about=f"receiver {name}", key=key, variable=named, file=file)
    if settings.heartbeat is not None:
        yield from _of("heartbeat", "heartbeat", settings.heartbeat, ("url",))


def _of(about: str, path: str, section: Section, secrets: Iterable[str]) -> Iterator[_Place]:
    for secret in secrets:
        variable, file = getattr(section, f"{secret}_env"), getattr(section, f"{secret}_file")
        if variable is not None:
            yield _Place(about=about, key=f"{path}.{secret}_env", variable=variable)
        if file is not None:
            yield _Place(about=about, key=f"{path}.{secret}_file", file=file)


def _one_line(secret: str, *, key: str | None = None, file: str | None = None) -> str:
    line = secret.strip()
    # httpx and slack_sdk put the header they reject into their error, and with it the secret
    if not line.isascii() or not (line.isprintable() or not line):
        problem = "the secret is not one line of plain text"
        raise ConfigError(problem, key=key, file=file, instead="write the secret and nothing else")
    return line
