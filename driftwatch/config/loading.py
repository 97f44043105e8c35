"""Files and environment → Settings, or one error that tells every mistake."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from driftwatch.config.alerting_rules import broken_alerting_rules
from driftwatch.config.environment import misspelled, named_variables, override
from driftwatch.config.inheritance import inherit
from driftwatch.config.leaks import without_secrets
from driftwatch.config.merging import merge, resolve_paths, resolved
from driftwatch.config.problems import KeyPath, Problem, as_error, as_one
from driftwatch.config.provider_rules import broken_provider_rules
from driftwatch.config.reading import Document, read
from driftwatch.config.receiver_rules import broken_receiver_rules
from driftwatch.config.rules import broken_rules
from driftwatch.config.settings import Settings
from driftwatch.config.translation import problems_of
from driftwatch.domain import Json
from driftwatch.errors import ConfigError

DEFAULT_PATHS = (Path("driftwatch.yaml"), Path("config/driftwatch.yaml"))
"""Where a configuration is looked for, in this order, below the working folder."""


def load(path: Path | None, env: Mapping[str, str], *, providers: Collection[str] | None = None) -> Settings:
    """Read the configuration and validate all of it.

    Secrets need not be there yet; ask ``missing_secrets`` for them.

    Args:
        path: a file, or a folder whose ``*.yaml`` files are merged; None looks at DRIFTWATCH_CONFIG and then at
            the default places.
        env: the environment; its DRIFTWATCH_ variables override the files.
        providers: names of the providers there are; None leaves the names unchecked.

    Raises:
        ConfigError: with a line for every mistake, none of which repeats a secret.
    """
    place = locate(path, env)
    document = without_secrets(_read_all(place))
    variables = misspelled(env, named_variables(document.values))
    document, origins = inherit(override(document, env))
    _add_places(document.values, place if _is_folder(place) else place.parent)
    settings, problems = _validate(document, origins, place)
    # A key without a value is also missing, and a rule knows more than the type of one value: each place is told once.
    broken = broken_rules(document.values) + broken_provider_rules(document.values, providers)
    broken += broken_receiver_rules(document.values) + broken_alerting_rules(document.values)
    broken = [problem for problem in broken if problem.path not in {told.path for told in document.problems}]
    told = {place for problem in (*document.problems, *broken) for place in _places_of(problem.path, origins)}
    problems = [*document.problems, *broken, *(p for p in problems if p.path not in told), *variables]
    if settings is None or problems:
        raise as_one(as_error(problem, document.marks) for problem in problems)
    return settings


def locate(path: Path | None, env: Mapping[str, str]) -> Path:
    """Find the configuration: ``path``, else DRIFTWATCH_CONFIG, else the first default place that exists.

    Raises:
        ConfigError: when there is none.
    """
    if path is not None:
        return path
    if named := env.get("DRIFTWATCH_CONFIG"):
        return Path(named)
    found = next((place for place in DEFAULT_PATHS if place.exists()), None)
    if found is None:
        places = " nor ".join(f"./{place}" for place in DEFAULT_PATHS)
        missing = ConfigError(
            f"no configuration: neither {places} exists",
            instead="run `driftwatch init`, or name one with --config or DRIFTWATCH_CONFIG",
        )
        raise as_one([missing, *(as_error(problem, {}) for problem in misspelled(env))])
    return found


def _read_all(place: Path) -> Document:
    files = _files(place)
    documents: list[Document] = []
    errors: list[ConfigError] = []
    for file in files:
        try:
            documents.append(resolve_paths(read(file), file.parent))
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise as_one(errors)
    return merge(documents)


def _files(place: Path) -> list[Path]:
    if not _is_folder(place):
        return [place]
    try:
        entries = sorted(place.iterdir())
    except OSError as error:
        instead = "make it readable for this user"
        raise ConfigError(f"cannot be read ({error.strerror})", file=str(place), instead=instead) from None
    # Names that begin with a dot are editors' locks and the versions of a mounted ConfigMap.
    files = [file for file in entries if file.suffix in {".yaml", ".yml"} and not file.name.startswith(".")]
    if not files:
        raise ConfigError("a folder without *.yaml files", file=str(place), instead="run `driftwatch init`")
    return files


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except OSError:  # a folder above may not be entered; opening the file says so
        return False


def _add_places(values: dict[str, Json], folder: Path) -> None:
    """Say where the store and the canaries are when the configuration does not: beside it.

    A configuration in ``config/`` finds the canaries beside that folder, where ``driftwatch init`` and a checkout
    put them.
    """
    values.setdefault("store", resolved("driftwatch.db", folder))
    above = folder / ".." if folder.name in {"", ".."} else folder.parent
    places = [folder / "canaries", above / "canaries"]
    found = next((place for place in places if place.is_dir()), places[0])
    values.setdefault("canaries", [str(found)])


def _places_of(path: KeyPath, origins: Mapping[KeyPath, KeyPath]) -> list[KeyPath]:
    """A path, and where the key was written if it is inherited."""
    origin = origins.get(path[:3])
    return [path] if origin is None else [path, origin + path[3:]]


def _validate(
    document: Document, origins: Mapping[KeyPath, KeyPath], place: Path
) -> tuple[Settings | None, list[Problem]]:
    # As JSON, because that is where pydantic's strict mode takes lists for tuples and text for paths and times,
    # and still takes "8" for no number and yes for no truth value.
    written, context = json.dumps(document.values), {"file": place, "marks": document.marks}
    try:
        return Settings.model_validate_json(written, context=context, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, problems_of(error, origins)
