"""Several files → one document: sections merge, and whatever is defined twice is a mistake that names both places."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from driftwatch.config.problems import KeyPath, Problem
from driftwatch.config.reading import Document
from driftwatch.domain import Json


def _names_file(key: str) -> bool:
    """Whether a key of targets, defaults, receivers or the heartbeat names a file."""
    return key.endswith("_file") or key == "script"


def merge(documents: Sequence[Document]) -> Document:
    """Merge documents in order.

    Mappings merge key by key; a target or a receiver is one thing and stands in one file; any other value
    given in two files is a problem that names both.
    """
    merged = documents[0]
    for document in documents[1:]:
        values, clashes = _combine(merged.values, document.values, ())
        problems = [
            Problem(
                path=path,
                problem=f"also defined in {merged.marks[path].file}:{merged.marks[path].line}",
                instead="keep it in one of the two files",
                mark=document.marks[path],
            )
            for path in clashes
        ]
        merged = Document(
            values=values,
            marks=document.marks | merged.marks,
            problems=(*merged.problems, *document.problems, *problems),
        )
    return merged


def _combine(one: dict[str, Json], two: dict[str, Json], path: KeyPath) -> tuple[dict[str, Json], list[KeyPath]]:
    """The union of two mappings, and the paths at which they clash; there the first one's value stays."""
    union, clashes = one | {key: value for key, value in two.items() if key not in one}, []
    for key in (key for key in two if key in one):
        here = (*path, key)
        is_one_thing = len(here) > 1 and here[0] in {"targets", "receivers"}
        if isinstance(one[key], dict) and isinstance(two[key], dict) and not is_one_thing:
            union[key], deeper = _combine(one[key], two[key], here)
            clashes += deeper
        else:
            clashes.append(here)
    return union, clashes


def resolve_paths(document: Document, folder: Path) -> Document:
    """Make every path of a document relative to the folder of the file that names it; ``~`` is the home folder."""
    values = {key: _section(key, value, folder) for key, value in document.values.items()}
    return Document(values=values, marks=document.marks, problems=document.problems)


def resolved(value: Json, folder: Path) -> Json:
    """One path of a file in ``folder``; anything but text is left to the rules of its key."""
    return str(folder / os.path.expanduser(value)) if isinstance(value, str) and value else value  # noqa: PTH111 - Path.expanduser raises for an unknown user


def _section(key: str, value: Json, folder: Path) -> Json:
    if key == "store":
        return resolved(value, folder)
    if key == "canaries" and isinstance(value, list):
        return [resolved(entry, folder) for entry in value]
    if not isinstance(value, dict):
        return value
    if key in {"targets", "receivers"}:
        return {name: _files(entry, folder) for name, entry in value.items()}
    if key == "embedder" and _is_path(value.get("model")):
        return {**value, "model": resolved(value["model"], folder)}
    return _files(value, folder)


def _files(section: Json, folder: Path) -> Json:
    if not isinstance(section, dict):
        return section
    return {key: resolved(value, folder) if _names_file(key) else value for key, value in section.items()}


def _is_path(model: Json) -> bool:
    """Whether an embedding model is named by its folder rather than by its name on a model hub."""
    return isinstance(model, str) and model.startswith(("/", "./", "../", "~"))
