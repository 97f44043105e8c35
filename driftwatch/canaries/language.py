"""Tell the language of a reply, as far as its length allows."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from driftwatch.canaries.argument import ArgumentError, describe, expect_keys
from driftwatch.canaries.document import did_you_mean
from driftwatch.domain import Completion, Json

LANGUAGES = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it",
    "ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
"""ISO 639-1 codes that replies are told apart by. Fewer than the identifier knows: every further candidate makes
short replies less certain (of 140, "ja" is Estonian and "Ok danke" Afrikaans)."""

MAX_CHARS = 2_000
"""Characters that are looked at: enough to be certain, and a bound on the time."""


def language_of(text: str, *, among: Sequence[str] = LANGUAGES) -> str | None:
    """The most likely language of a text, None when it has no letters.

    Limits: under about 20 letters of a Latin-script language the answer is a guess among ``among``; name the two or
    three languages that can occur. Danish and Norwegian are confused even in long texts. Fenced code, inline code and
    web addresses are left out; a text that is mostly JSON or code has no language worth asserting.

    Args:
        text: the reply.
        among: the candidates, ISO 639-1 codes out of ``LANGUAGES``.

    Source: py3langid 0.4, a naive Bayes classifier over byte n-grams (Lui & Baldwin 2012, langid.py).
    """
    prose = _NOT_PROSE.sub(" ", text[:MAX_CHARS])
    if not any(character.isalpha() for character in prose):
        return None
    # set_languages and classify use one shared table: two threads would read each other's candidates.
    with _LOCK:
        language, _ = _identifier(tuple(among)).classify(prose)
    return str(language)


def validate(argument: Json) -> None:
    """Accept a language code, or a mapping of code and among.

    Raises:
        ArgumentError: for anything else.
    """
    if not isinstance(argument, dict):
        _expect_code(argument, path=())
        return
    options = expect_keys(argument, allowed=("code", "among"), required=("code", "among"))
    _expect_code(options["code"], path=("code",))
    among = options["among"]
    if not isinstance(among, list):
        raise ArgumentError(f"expected a list, found {describe(among)}", instead="write [de, en]", path=("among",))
    for i, code in enumerate(among):
        _expect_code(code, path=("among", i))
    if options["code"] not in among or len(set(among)) < 2:  # noqa: PLR2004 - one candidate would always be found
        problem = f"{options['code']!r} must be one of at least two candidates"
        raise ArgumentError(problem, instead="list it and the languages it must be told from", path=("among",))


def evaluate(argument: Json, completion: Completion) -> bool:
    """Whether the reply is in the asserted language; false for a reply without letters."""
    options = argument if isinstance(argument, dict) else {"code": argument}
    return bool(language_of(completion.text, among=options.get("among", LANGUAGES)) == options["code"])


_LOCK = threading.Lock()
_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)


@lru_cache(maxsize=1)
def _identifier(among: tuple[str, ...]) -> Any:
    """The identifier set to these candidates: setting costs a hundred times what classifying does."""
    identifier = _tables()
    identifier.set_languages(list(among))
    return identifier


@lru_cache(maxsize=1)
def _tables() -> Any:
    # Imported here: the tables take most of a second, and `driftwatch --help` does not read replies.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]  # noqa: PLC0415 - as said

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _expect_code(value: Json, *, path: tuple[str | int, ...]) -> None:
    if not isinstance(value, str):
        raise ArgumentError(f"expected a language code, found {describe(value)}", instead="write en", path=path)
    if value not in LANGUAGES:
        problem = f"unknown language {value!r}"
        raise ArgumentError(problem, instead=did_you_mean(value, LANGUAGES), path=path)
