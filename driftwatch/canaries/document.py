"""Read one YAML document into plain JSON values and remember on which line each of them stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rapidfuzz import fuzz, process
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from driftwatch.domain import Json
from driftwatch.errors import ConfigError

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: mapping keys and list indices from the top, ``("canaries", 0, "id")``."""

MAX_VALUES = 100_000
"""Values in one document, aliases counted each time they are used: no suite is near it, and an alias bomb is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed file: its values, and the line of each."""

    file: str
    value: Json
    lines: Mapping[Place, int]
    """path → line from 1; for a mapping entry the line of its key."""

    def line(self, path: Place) -> int:
        """The line of ``path`` or, for what is not in the file, of the nearest thing around it."""
        return next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), 1)

    def error(self, problem: str, path: Place, *, instead: str | None = None) -> ConfigError:
        """The ConfigError that points at ``path``."""
        return ConfigError(
            problem,
            file=self.file,
            line=self.line(path),
            key=dotted(path) or None,
            instead=instead,
        )


def parse_document(text: str, file: str) -> Document:
    """Parse YAML 1.2, refusing what a person rarely means: duplicate keys, tags, merge keys, several documents.

    Dates stay text, so that ``prompt: 2026-03-02`` is what it looks like.

    Args:
        text: the file's content.
        file: its name as the user wrote it; for messages.

    Raises:
        ConfigError: with the line of the mistake.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        # "expected a single document" stands in the context, "but found another document" in the problem.
        problem = error.problem or error.context or "it cannot be read"
        if error.context and problem.startswith("but"):
            problem = f"{error.context}, {problem}"
        instead = next((told for word, told in _REMEDIES.items() if word in problem), _REMEDY)
        raise ConfigError(f"not valid YAML: {problem}", file=file, line=line, instead=instead) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = _code_point(error.character)
        raise ConfigError(
            f"not valid YAML: the character U+{code:04X} is not allowed",
            file=file,
            line=line,
            instead=rf'write "\u{code:04X}" in double quotes',
        ) from None
    except YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", file=file) from None
    except RecursionError:
        raise ConfigError("nested too deeply", file=file, instead="write at most a few levels") from None
    if root is None:
        raise ConfigError("the file is empty", file=file, instead="write `suite:` and `canaries:`, or remove it")
    builder = _Builder(yaml=yaml, file=file)
    value = builder.build(root, (), root.start_mark.line + 1)
    return Document(file=file, value=value, lines=builder.lines)


_REMEDIES = {
    "'\\t'": "indent with spaces",
    "another document": "remove the line `---`, or make it a file of its own",
    "mapping values are not allowed": "indent alike, and put text that holds ': ' in quotes",
}
"""Words of the parser → what to write instead."""

_REMEDY = "close brackets and quotes, and indent alike"


def dotted(path: Place) -> str:
    """A path as people write it.

    >>> dotted(("canaries", 2, "checks", 0, "regex"))
    'canaries[2].checks[0].regex'
    """
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).removeprefix(".")


def closest(word: str, choices: object, *, cutoff: float = 65.0) -> str | None:
    """The choice that ``word`` most likely was meant to be, None when none is near.

    Args:
        word: what was written.
        choices: an iterable of the words that would have been right.
        cutoff: least Indel similarity, 0 … 100.

    Source: ``rapidfuzz.fuzz.ratio``, the normalised Indel similarity in per cent.

    >>> closest("contain", ["contains", "regex"])
    'contains'
    """
    found = process.extractOne(word, list(choices), scorer=fuzz.ratio, score_cutoff=cutoff)  # type: ignore[call-overload]
    return str(found[0]) if found else None


def did_you_mean(word: str, choices: object) -> str:
    """What to write instead of an unknown ``word``: the nearest choice, or all of them.

    >>> did_you_mean("xyz", ["system", "user"])
    "write one of 'system', 'user'"
    """
    near = closest(word, choices)
    if near:
        return f"did you mean {near!r}?"
    return "write one of " + ", ".join(repr(choice) for choice in choices)  # type: ignore[attr-defined]


class _Builder:
    """Turns composed nodes into values, filling ``lines``."""

    def __init__(self, *, yaml: YAML, file: str) -> None:
        self.lines: dict[Place, int] = {}
        self._construct = yaml.constructor.construct_object
        self._file = file
        self._open: set[int] = set()

    def build(self, node: Node, path: Place, line: int) -> Json:
        self.lines[path] = line
        if len(self.lines) > MAX_VALUES:
            raise ConfigError(f"more than {MAX_VALUES} values, aliases included", file=self._file)
        if id(node) in self._open:
            raise self._error("an alias that contains itself", path, line, instead="write it out")
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode) and node.tag == "tag:yaml.org,2002:map":
                return self._mapping(node, path)
            if isinstance(node, SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
                return [self.build(item, (*path, i), item.start_mark.line + 1) for i, item in enumerate(node.value)]
            return self._scalar(node, path, line)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: Place) -> dict[str, Json]:
        mapping: dict[str, Json] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise self._error("merge keys are not supported", path, line, instead="repeat the keys")
            if not isinstance(key, ScalarNode) or key.tag not in _TEXT_TAGS:
                written = key.value if isinstance(key, ScalarNode) else "a list or mapping"
                instead = f'put it in quotes: "{written}"' if isinstance(key, ScalarNode) else None
                raise self._error(f"a key must be text, found {written}", path, line, instead=instead)
            name = self._text(key, path, line)
            if name in mapping:
                first = self.lines[(*path, name)]
                raise self._error(f"duplicate key, first on line {first}", (*path, name), line, instead="keep one")
            mapping[name] = self.build(value, (*path, name), line)
        return mapping

    def _scalar(self, node: Node, path: Place, line: int) -> Json:
        if not isinstance(node, ScalarNode) or node.tag not in _SCALAR_TAGS:
            raise self._error(f"the tag {node.tag!s} is not supported", path, line, instead="write a plain value")
        if node.tag in _TEXT_TAGS:
            return self._text(node, path, line)
        value = self._construct(node)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(f"{node.value} is not a JSON number", path, line, instead="write a finite number")
        return value

    def _text(self, node: ScalarNode, path: Place, line: int) -> str:
        # JSON writes a character beyond U+FFFF as two escapes, which YAML reads as two characters; alone, such a half
        # is no character and could be neither hashed nor sent.
        try:
            return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            problem = "half of an escaped character (U+D800 to U+DFFF)"
            raise self._error(problem, path, line, instead="write the character itself") from None

    def _error(self, problem: str, path: Place, line: int, *, instead: str | None = None) -> ConfigError:
        return ConfigError(problem, file=self._file, line=line, key=dotted(path) or None, instead=instead)


# A date is text here: nothing in a suite is a date to YAML, and JSON has none.
_TEXT_TAGS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"})
_SCALAR_TAGS = _TEXT_TAGS | {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")}


def _code_point(character: object) -> int:
    return character if isinstance(character, int) else ord(str(character)[0])
