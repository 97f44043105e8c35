"""Addresses of endpoints, from what a person wrote."""

from __future__ import annotations

import httpx

from driftwatch.errors import ConfigError


def joined(base_url: str | None, path: str) -> str:
    """An endpoint's address with the part a request adds; a query stays where it belongs.

    Args:
        base_url: as configured.
        path: begins with a slash.

    Raises:
        ConfigError: it is missing or is no http(s) address.

    >>> joined("https://llm.example.org/v1/?key=a", "/models")
    'https://llm.example.org/v1/models?key=a'
    """
    if not base_url:
        raise ConfigError("base_url is missing", key="base_url", instead="write base_url: https://your-endpoint/v1")
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise _bad_url() from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise _bad_url()
    return str(url.copy_with(path=f"{url.path.rstrip('/')}{path}", fragment=None))


def _bad_url() -> ConfigError:
    # The value is not repeated: it can hold a password.
    return ConfigError(
        "base_url is no http address", key="base_url", instead="write base_url: https://your-endpoint/v1"
    )
