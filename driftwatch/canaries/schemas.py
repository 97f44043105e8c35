"""JSON Schema: accept one that can be evaluated offline and asserts something, and hold a value against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from driftwatch.canaries.argument import ArgumentError, describe
from driftwatch.canaries.document import closest, did_you_mean
from driftwatch.domain import Json


def validate_schema(schema: Json, *, path: tuple[str | int, ...]) -> None:
    """Accept a JSON Schema that can be evaluated offline and asserts something.

    Args:
        schema: the schema; draft 2020-12 unless it names another by ``$schema``.
        path: where it stands in the argument.

    Raises:
        ArgumentError: with the place of the mistake.
    """
    if not isinstance(schema, dict):
        raise ArgumentError(f"expected a JSON Schema, found {describe(schema)}", instead="write a mapping", path=path)
    if not schema:
        raise ArgumentError("an empty schema asserts nothing", instead="give it a type", path=path)
    _check_form(schema, path)
    for keyword in schema:
        near = None if keyword in _KEYWORDS else closest(keyword, sorted(_KEYWORDS), cutoff=75)
        if near:  # JSON Schema ignores what it does not know, so a misspelt keyword would assert nothing
            raise ArgumentError(
                f"unknown keyword {keyword!r}", instead=f"did you mean {near!r}?", path=(*path, keyword)
            )
    for place, reference in _references(schema):
        if not _resolves(schema, reference):
            problem = f"$ref {reference!r} leads nowhere in this schema"
            raise ArgumentError(problem, instead="write '#/$defs/name'", path=(*path, *place))
    values: tuple[Json, ...] = ({}, [], "", 0, None)
    try:
        for value in values:
            fits(value, schema)
    except RecursionError:
        raise ArgumentError("the schema refers to itself without end", path=path) from None


def fits(value: Json, schema: Json) -> bool:
    """Whether a JSON value fits a schema that ``validate_schema`` has accepted."""
    return bool(_validator_class(schema)(schema).is_valid(value))


_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")

# Keywords of draft 2020-12, whose metaschema spreads them over several vocabularies, and what earlier drafts add.
_KEYWORDS = frozenset(
    """
    $schema $id $ref $defs $comment $anchor type enum const properties required additionalProperties patternProperties
    propertyNames items prefixItems contains minItems maxItems uniqueItems minContains maxContains minLength maxLength
    pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf allOf anyOf oneOf not if then else
    dependentRequired dependentSchemas unevaluatedItems unevaluatedProperties minProperties maxProperties title
    description default examples deprecated readOnly writeOnly definitions dependencies additionalItems
    """.split(),  # noqa: SIM905 - a list of fifty quoted words is harder to read
)


def _check_form(schema: Json, path: tuple[str | int, ...]) -> None:
    """Refuse what the metaschema refuses."""
    import jsonschema  # noqa: PLC0415 - a third of a second that `driftwatch --help` does not need

    validator = _validator_class(schema)
    try:
        validator.check_schema(schema, format_checker=validator.FORMAT_CHECKER)
    except jsonschema.SchemaError as error:
        place = (*path, *error.absolute_path)
        if place[-1:] == ("type",) and isinstance(error.instance, str):
            instead = did_you_mean(error.instance, _TYPES)
            raise ArgumentError(f"unknown type {error.instance!r}", instead=instead, path=place) from None
        raise ArgumentError(f"not a JSON Schema: {error.message}", path=place) from None


def _validator_class(schema: Json) -> Any:
    from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415 - slow to import, see above

    return validator_for(schema, default=Draft202012Validator)


def _references(schema: Json, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every ``$ref`` with its place."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield (*place, key), value
            yield from _references(value, (*place, key))
    elif isinstance(schema, list):
        for i, value in enumerate(schema):
            yield from _references(value, (*place, i))


def _resolves(schema: Json, reference: str) -> bool:
    """Whether a reference is a JSON pointer into the schema: anything else would be fetched from elsewhere."""
    if reference != "#" and not reference.startswith("#/"):
        return False
    value = schema
    for escaped in reference.split("/")[1:]:
        key = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return False
    return True
