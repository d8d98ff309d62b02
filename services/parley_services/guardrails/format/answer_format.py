"""Checks that an answer has the form that was asked for."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final

import jsonschema_rs
import orjson

from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.kit.errors import InvalidArgument

MAX_REPORTED_ERRORS: Final = 5
"""A model repairs a few errors at a time; a longer list only costs tokens."""

_MAX_CACHED_SCHEMAS: Final = 256
"""Compiled schemas that are kept, some 10 to 100 KB each."""


def require_usable(response_format: ResponseFormat) -> None:
    """Raise InvalidArgument if the schema of *response_format* is none."""
    if response_format.type is ResponseFormatType.JSON_SCHEMA:
        _validator(response_format.json_schema)


def format_error(response_format: ResponseFormat, answer: str) -> str:
    """
    Return why *answer* breaks *response_format*, empty if it does not.

    The text is short and meant for a model to repair its answer by: one line a
    problem, each with a JSON pointer. It quotes no value of the answer.
    """
    if not response_format.is_json:
        return ""
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        if answer.lstrip().startswith("```"):
            return "The answer is not JSON: write the JSON alone, without a code fence."
        return f"The answer is not JSON: {error.msg} at line {error.lineno} column {error.colno}."
    if response_format.type is ResponseFormatType.JSON_OBJECT:
        return "" if isinstance(value, dict) else "The answer is JSON but not an object."
    return "\n".join(islice(_problems(response_format.json_schema, value), MAX_REPORTED_ERRORS))


def _problems(schema: str, value: object) -> Iterator[str]:
    for error in _validator(schema).iter_errors(value):
        pointer = "".join(f"/{_escaped(part)}" for part in error.instance_path)
        yield f"At {pointer or 'the root'}: {error.message}."


def _escaped(part: str | int) -> str:
    # https://www.rfc-editor.org/rfc/rfc6901#section-3
    return str(part).replace("~", "~0").replace("/", "~1")


@lru_cache(maxsize=_MAX_CACHED_SCHEMAS)
def _validator(schema: str) -> jsonschema_rs.Validator:
    try:
        return jsonschema_rs.validator_for(
            orjson.loads(schema),
            mask="the value",
            # A schema comes from a client: it may neither reach the network nor bring
            # patterns that take more than linear time.
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except orjson.JSONDecodeError:
        raise InvalidArgument.field("response_format.json_schema", "is not JSON.") from None
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
        raise InvalidArgument.field(
            "response_format.json_schema",
            "is not a JSON Schema that can be used: check its keywords, and keep all that it "
            "refers to inside it.",
        ) from None
