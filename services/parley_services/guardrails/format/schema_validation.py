"""Compiles JSON Schemas and checks values by them, for as long as that takes."""

from functools import lru_cache
from itertools import islice
from typing import Final

import jsonschema_rs
import orjson

from parley_services.kit.bounded_json import JsonValue

MAX_REPORTED_ERRORS: Final = 5
"""A model repairs a few errors at a time; a longer list only costs tokens."""

_MAX_CACHED_SCHEMAS: Final = 256
"""Compiled schemas that are kept, some 10 to 100 KB each."""


class SchemaUnusable(ValueError):
    """A text is no JSON Schema that can be used."""


@lru_cache(maxsize=_MAX_CACHED_SCHEMAS)
def validator(schema: str) -> jsonschema_rs.Validator:
    """Return *schema*, draft 2020-12 unless it names another, compiled. Raises SchemaUnusable."""
    try:
        return jsonschema_rs.validator_for(
            orjson.loads(schema),
            mask="the value",
            # A schema comes from a client: it may neither reach the network nor bring
            # patterns that take more than linear time.
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        raise SchemaUnusable from None


def problems(schema: str, value: JsonValue) -> list[str]:
    """
    Return what is wrong with *value*, at most five lines, each with a JSON pointer.

    No line quotes the value. Raises SchemaUnusable.
    """
    compiled = validator(schema)
    # To say that nothing is wrong is far cheaper than to say what is.
    if compiled.is_valid(value):
        return []
    return [_line(each) for each in islice(compiled.iter_errors(value), MAX_REPORTED_ERRORS)]


def _line(error: jsonschema_rs.ValidationError) -> str:
    pointer = "".join(f"/{_escaped(part)}" for part in error.instance_path)
    return f"At {pointer or 'the root'}: {error.message}."


def _escaped(part: str | int) -> str:
    # https://www.rfc-editor.org/rfc/rfc6901#section-3
    return str(part).replace("~", "~0").replace("/", "~1")
