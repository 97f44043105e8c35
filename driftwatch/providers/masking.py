"""Keeps key material out of every sentence that quotes what somebody else wrote."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable

MASK = "***"

_KEY_SHAPES = re.compile(
    r"""
    (?:sk|pk|rk|ak|gsk|xai|hf|nvapi|r8|pplx|glpat|gh[opsu]|github_pat|xox[abprs])[-_][\w*.\-]{4,}  # vendor prefixes
    | AIza[\w\-]{10,}                                   # Google
    | A[KS]IA[A-Z0-9]{8,}                               # AWS
    | ya29\.[\w\-]{6,}                                  # Google's access tokens
    | eyJ[\w\-]{6,}(?:\.[\w\-]+){1,2}                   # JSON web token
    """,
    re.VERBOSE,
)
_NAMED = re.compile(
    r"""
    \b(
      bearer\s+ | basic\s+
      | (?:[a-z]+[-_]){0,3}
        (?:api[-_ ]?key | (?:secret[-_ ]?)?access[-_ ]?key | (?:access|session|security)?token | secret | password)
        \\?["']?\s*[=:]\s*\\?["']?
    )
    ([^\s"',;]{6,})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LONG_WORD = re.compile(r"[A-Za-z0-9_\-+/]{28,}")
_USERINFO = re.compile(r"(?<=://)[^\s/@]+@")


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace known secrets, and anything shaped like a key, by ``***``.

    Args:
        text: what somebody else wrote.
        secrets: values that must not appear whatever they look like; empty ones are ignored.

    >>> mask("Incorrect API key provided: sk-proj-abc123def456.")
    'Incorrect API key provided: ***'
    >>> mask("the model gpt-4o-mini-2024-07-18 is overloaded")
    'the model gpt-4o-mini-2024-07-18 is overloaded'
    >>> mask("hunter2 is wrong", ["hunter2"])
    '*** is wrong'
    """
    text = without(text, secrets)
    text = _USERINFO.sub(f"{MASK}@", text)
    text = _KEY_SHAPES.sub(MASK, text)
    text = _NAMED.sub(_mask_named, text)
    return _LONG_WORD.sub(lambda match: MASK if _looks_random(match.group()) else match.group(), text)


def loggable(error: BaseException) -> dict[str, str]:
    """What a log may say of an error that nobody expected: its words, masked, and where it was raised.

    Not exc_info: renderers may print local variables, and a provider's hold its key.
    """
    return {
        "error": mask(f"{type(error).__name__}: {error}"),
        "frames": "".join(traceback.format_tb(error.__traceback__)),
    }


def without(text: str, secrets: Iterable[str]) -> str:
    """Replace known secrets by ``***`` and leave everything else, as for a reply that echoes the request's key.

    >>> without("your key is hunter2, sk-not-mine stays", ["hunter2"])
    'your key is ***, sk-not-mine stays'
    """
    # Longest first: a secret that contains another one must not survive in part.
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _mask_named(match: re.Match[str]) -> str:
    # "Missing bearer authentication in header" is prose.
    return match.group() if match.group(2).isalpha() and len(match.group(2)) < 20 else match.group(1) + MASK  # noqa: PLR2004 - longer than any word here


def _looks_random(word: str) -> bool:
    # Model names are long too, but hyphenated into short parts; keys have a long part that mixes letters and digits.
    return any(
        len(part) >= 20 and any(c.isdigit() for c in part) and any(c.isalpha() for c in part)  # noqa: PLR2004 - shorter than any issued key
        for part in re.split(r"[-_/]", word)
    )
