"""What a credential looks like, so that none is accepted in the file or repeated in an error."""

from __future__ import annotations

import re

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
"""A name that every shell can export. Source: POSIX.1-2017, 8.1 Environment Variable Definition."""

_SHAPES = re.compile(
    r"""
    \bsk-[\w-]{8,} | \bgsk_\w{16,}                                          # OpenAI and kin, Groq
    | \bhf_\w{16,} | \bAIza[\w-]{30,}                                      # Hugging Face, Google
    | \bxox[a-z]-[\w-]{6,} | \bxapp-[\w-]{6,}                                # Slack
    | hooks\.slack(-gov)?\.com/(services|workflows|triggers)/\S              # Slack incoming webhooks
    | \b(AKIA|ASIA)[0-9A-Z]{16}\b                                            # AWS
    | \bgh[a-z]_\w{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,}          # GitHub, GitLab
    | \beyJ[\w-]{8,}\.[\w-]{8,} | -----BEGIN | \bBearer\s+\S                 # JWT, PEM, a whole header
    """,
    re.VERBOSE,
)

_RANDOM = re.compile(r"(?=.*[a-z])(?=.*[0-9])[A-Za-z0-9]{20,}")
"""Letters and digits without a break: nobody names an environment variable like this, many vendors draw keys so."""

_SECRET_KEY = re.compile(
    r"(api_?key|access_?key|secret(_key)?|token|passw(or)?d|webhook(_url)?|authorization|credentials?)", re.IGNORECASE
)


def has_secret_shape(text: str) -> bool:
    """Whether a text holds a credential of a known vendor.

    >>> has_secret_shape("xoxb-1234-5678-abcdef"), has_secret_shape("OPENAI_API_KEY")
    (True, False)
    """
    return bool(_SHAPES.search(text))


def looks_random(text: str) -> bool:
    """Whether a text looks drawn at random; a commit does too, so this counts only where a name is due.

    >>> looks_random("3f1d09c2b7a84e55d0c1"), looks_random("OPENAI_API_KEY")
    (True, False)
    """
    return bool(_RANDOM.fullmatch(text))


def names_secret(key: str) -> bool:
    """Whether a key would hold a secret, as ``api_key`` and ``bot_token`` do and ``api_key_env`` does not."""
    words = key.replace("-", "_")
    return any(found.end() == len(words) for found in _SECRET_KEY.finditer(words))


def names_variable(value: str) -> bool:
    """Whether a text is the name of an environment variable rather than its value."""
    return bool(ENV_NAME.fullmatch(value)) and not has_secret_shape(value) and not looks_random(value)
