"""Pin the content of every canary in a lock file, and say in words what has changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from driftwatch.canaries.load import Suite
from driftwatch.domain import Json
from driftwatch.errors import ConfigError

LOCK_VERSION = 1
"""Format of the lock file; raised when an older driftwatch could misread it."""


def write_lock(suites: Mapping[str, Suite], path: Path) -> None:
    """Write the lock file: suite → file name, and id → content hash.

    A changed hash starts a new baseline, so the file belongs into version control: the review of a pull request shows
    which canaries it edits. The reason of a canary is not part of its hash.

    Args:
        suites: as loaded.
        path: the lock file, by convention ``canaries.lock`` beside the suites; replaced whole.
    """
    content = {"version": LOCK_VERSION, "suites": _content(suites)}
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def verify_lock(suites: Mapping[str, Suite], path: Path) -> list[str]:
    """Compare the suites with the lock file.

    Returns:
        One sentence per difference, such as ``canary core/capital-australia was edited``; empty when there is none.

    Raises:
        ConfigError: when the lock file is missing or is none.
    """
    locked, current = _read(path), _content(suites)
    differences: list[str] = []
    for name in sorted(locked.keys() | current.keys()):
        if name not in current:
            differences.append(f"suite {name} was removed")
        elif name not in locked:
            differences.append(f"suite {name} was added")
        else:
            differences += _differences(name, locked[name], current[name])
    return differences


def _differences(name: str, locked: Json, current: Json) -> list[str]:
    differences = []
    if locked["file"] != current["file"]:
        differences.append(f"suite {name} moved from {locked['file']} to {current['file']}")
    before, after = locked["canaries"], current["canaries"]
    for canary_id in sorted(before.keys() | after.keys()):
        if canary_id not in after:
            differences.append(f"canary {name}/{canary_id} was removed")
        elif canary_id not in before:
            differences.append(f"canary {name}/{canary_id} was added")
        elif before[canary_id] != after[canary_id]:
            differences.append(f"canary {name}/{canary_id} was edited")
    return differences


def _content(suites: Mapping[str, Suite]) -> dict[str, Json]:
    # The file's name only: where the checkout lies differs between machines.
    return {
        suite.name: {
            "file": Path(suite.file).name,
            "canaries": {canary.id.partition("/")[2]: canary.content_hash for canary in suite.canaries},
        }
        for suite in suites.values()
    }


def _read(path: Path) -> dict[str, Json]:
    instead = "write it anew with `driftwatch canaries lock`"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("no lock file", file=str(path), instead=instead) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path), instead=instead) from None
    except ValueError:
        raise ConfigError("not a lock file: not JSON", file=str(path), instead=instead) from None
    if isinstance(content, dict) and isinstance(content.get("version"), int) and content["version"] > LOCK_VERSION:
        raise ConfigError("the lock file is from a newer driftwatch", file=str(path), instead="upgrade driftwatch")
    if not isinstance(content, dict) or not _is_suites(content.get("suites")):
        raise ConfigError("not a lock file: suites, files or hashes are missing", file=str(path), instead=instead)
    suites: dict[str, Json] = content["suites"]
    return suites


def _is_suites(value: Json) -> bool:
    return isinstance(value, dict) and all(
        isinstance(suite, dict)
        and isinstance(suite.get("file"), str)
        and isinstance(suite.get("canaries"), dict)
        and all(isinstance(hashed, str) for hashed in suite["canaries"].values())
        for suite in value.values()
    )
