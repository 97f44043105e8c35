"""One YAML file → plain values, with the file and line of every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from driftwatch.config.problems import KeyPath, Mark, Problem
from driftwatch.domain import Json
from driftwatch.errors import ConfigError

LARGEST_FILE = 1 << 20
"""Bytes; a configuration is written by people, and whatever is larger was named by mistake."""

_LARGEST_TREE = 100_000
"""Values; aliases of aliases can multiply a small file beyond any memory."""

_DEEPEST_TREE = 32
"""Levels; an alias inside its own anchor would never end."""

_LARGEST_NUMBER = 2**63
"""A larger whole number does not survive JSON everywhere; infinity and NaN are not below it either."""

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What was read so far: each step of ``load`` takes one and returns one."""

    values: dict[str, Json]
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    """Where each key and list entry was written; the root is marked with the file."""
    problems: tuple[Problem, ...] = ()


def read(path: Path) -> Document:
    """Read one file.

    Args:
        path: the file, as the user named it.

    Raises:
        ConfigError: when the file is missing, unreadable, no UTF-8, no YAML, empty or no mapping.
            Mistakes that leave the rest readable (a key given twice, a key without a value) become problems.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # the warning quotes the file, which may hold a secret
    text = _text(path)
    try:
        root = yaml.compose(text)
    except RecursionError:
        raise ConfigError("nested too deeply", file=str(path), instead="write at most a few levels") from None
    except YAMLError as error:
        # `from None`: the original quotes the file in its text
        raise _syntax_error(error, text, str(path)) from None
    if root is None:
        raise ConfigError("the file is empty", file=str(path), instead="run `driftwatch init` for one to start from")
    if not isinstance(root, MappingNode):
        raise ConfigError("not a mapping", file=str(path), line=_line(root), instead="write `key: value` lines")
    conversion = _Conversion(yaml, str(path))
    values = conversion.mapping(root, ())
    return Document(values=values, marks=conversion.marks, problems=tuple(conversion.problems))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        instead = "name a file that exists, or run `driftwatch init`"
        raise ConfigError("no such file", file=str(path), instead=instead) from None
    except OSError as error:
        instead = "make it readable for this user"
        raise ConfigError(f"cannot be read ({error.strerror})", file=str(path), instead=instead) from None
    if len(content) > LARGEST_FILE:
        raise ConfigError("larger than 1 MiB", file=str(path), instead="name a driftwatch configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError("not UTF-8", file=str(path), line=line, instead="save the file as UTF-8") from None


_SYNTAX = (
    ("'\\t'", "a tab where YAML takes only spaces", "indent with spaces"),
    ("cannot start any token", "a value begins with a character that YAML reserves", "put the value in quotes"),
    ("mapping values are not", "a colon or an indentation that does not fit", "indent alike, and quote ': ' in values"),
    ("undefined alias", "an alias (*name) without its anchor", "put text that begins with * in quotes"),
    ("another document", "more than one document in the file", "remove the line `---`"),
    ("end of stream", "a quote is not closed", "close it on the same line"),
    ("flow", "a bracket is not closed", "close it, and put commas between the entries"),
    ("could not find expected ':'", "a line that is neither a key nor an entry", "write `key: value`"),
    ("unknown escape character", "a backslash that YAML does not know", "use single quotes"),
)
"""Words of the parser, what they mean to a person, what to write instead. The parser's own words are not shown:
they quote the file."""


def _syntax_error(error: YAMLError, text: str, file: str) -> ConfigError:
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return ConfigError("a character that cannot be printed", file=file, line=line, instead="remove it")
    marked = error if isinstance(error, MarkedYAMLError) else MarkedYAMLError()
    said = f"{marked.problem or ''} {marked.context or ''}"
    found = next((row for row in _SYNTAX if row[0] in said), ("", "not YAML", "compare it with config/driftwatch.yaml"))
    is_open = found[1].endswith("not closed")
    mark = (marked.context_mark if is_open else None) or marked.problem_mark
    return ConfigError(found[1], file=file, line=mark.line + 1 if mark else None, instead=found[2])


class _Unusable(Exception):
    """A value the walk leaves out, after noting what is wrong with it and what to write instead."""

    def __init__(self, problem: str, instead: str) -> None:
        self.problem, self.instead = problem, instead
        super().__init__(problem)


class _Conversion:
    """One walk over the YAML nodes of a file, collecting values, marks and problems."""

    def __init__(self, yaml: YAML, file: str) -> None:
        self._yaml, self._file, self._n_values = yaml, file, 0
        self.marks: dict[KeyPath, Mark] = {(): Mark(file=file)}
        self.problems: list[Problem] = []

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Json]:
        values: dict[str, Json] = {}
        for key_node, value_node in node.value:
            mark, here = Mark(file=self._file, line=_line(key_node)), path
            try:
                key = _key(key_node)
                here = (*path, key)
                self._mark(here, mark)
                values[key] = self._value(value_node, here)
            except _Unusable as found:
                self.problems.append(Problem(path=here, problem=found.problem, instead=found.instead, mark=mark))
        return values

    def _mark(self, path: KeyPath, mark: Mark) -> None:
        if path in self.marks:
            raise _Unusable(f"given twice, first on line {self.marks[path].line}", "keep one of the two")
        self.marks[path] = mark

    def _sequence(self, node: SequenceNode, path: KeyPath) -> list[Json]:
        values: list[Json] = []
        for position, entry in enumerate(node.value):
            here = (*path, position)
            self.marks[here] = Mark(file=self._file, line=_line(entry))
            try:
                values.append(self._value(entry, here))
            except _Unusable as found:
                self.problems.append(Problem(path=here, problem=found.problem, instead=found.instead))
        return values

    def _value(self, node: Node, path: KeyPath) -> Json:
        self._n_values += 1
        if self._n_values > _LARGEST_TREE or len(path) > _DEEPEST_TREE:
            instead = "write aliases (*name) out"
            raise ConfigError("too many or too deep values", file=self._file, line=_line(node), instead=instead)
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self.mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return self._sequence(node, path)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        raise _Unusable(*_UNKNOWN_TAG)

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Json:
        kind = str(node.tag).removeprefix(_TAG)
        if kind in {"str", "timestamp"}:
            if any("\ud800" <= letter <= "\udfff" for letter in node.value):
                raise _Unusable("half of a character (a lone surrogate)", "write the whole character")
            return node.value
        if kind == "null" and not _is_free(path):
            raise _Unusable("has no value", "give it one or remove it")
        if kind in {"int", "float"}:
            return self._number(node)
        if kind in {"bool", "null"}:
            return self._yaml.constructor.construct_object(node)
        raise _Unusable(*_UNKNOWN_TAG)

    def _number(self, node: ScalarNode) -> Json:
        try:
            value = self._yaml.constructor.construct_object(node)
        except (ValueError, YAMLError):  # `!!int x`, or more digits than Python converts
            raise _Unusable("not a number", "write digits") from None
        if not -_LARGEST_NUMBER < value < _LARGEST_NUMBER:
            raise _Unusable("not a number that JSON carries", "write a smaller one")
        return value


_UNKNOWN_TAG = ("a YAML tag (!…) that is not supported", "write plain values")


def _key(node: Node) -> str:
    if node.tag == f"{_TAG}merge":
        raise _Unusable("a merge key (<<)", "put keys that targets share under `defaults:`")
    if node.tag != f"{_TAG}str":
        raise _Unusable("a key that is not text", "put the key in quotes")
    return str(node.value)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _is_free(path: KeyPath) -> bool:
    """Whether a value belongs to ``parameters`` or lies within an option, where JSON's null means something."""
    section = path[1:] if path[0] == "defaults" else path[2:] if path[0] == "targets" else ()
    depth = {"parameters": 1, "options": 2}.get(str(section[0])) if section else None
    return depth is not None and len(section) > depth
