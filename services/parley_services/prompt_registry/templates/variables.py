"""
The variables of a version and the values given for them. Imports neither grpc nor protobuf.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import orjson

from parley_services.kit.errors import FieldViolation, InputTooLarge, InvalidArgument
from parley_services.kit.models.tokens import count_tokens
from parley_services.prompt_registry.templates.template import Variable

VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RESERVED_NAMES: Final = frozenset({"loop", "true", "false", "none", "self", "caller", "super"})

MAX_VARIABLES: Final = 100
MAX_SCHEMA_CHARACTERS: Final = 16_000
MAX_VALUE_CHARACTERS: Final = 500_000
"""The most characters of all values of a render together."""

MAX_LIST_ITEMS: Final = 1_000
"""The longest list, or the most entries of an object, that a value may hold."""

_CLOSED_TYPES = {"boolean", "integer", "number", "null"}


class VariableCheck:
    """
    Checks values against the variables of one version; made once, used for every render.

    Raises ValueError if a schema is not one, with the text of what is wrong.
    """

    def __init__(self, variables: tuple[Variable, ...]) -> None:
        self._variables = {each.name: _Checked(each) for each in variables}
        self._required = tuple(each.name for each in variables if each.required)
        self._defaults = {
            name: each.default for name, each in self._variables.items() if not each.required
        }

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """
        Return the values that the template sees: those *given*, and defaults for the rest.

        Raises InvalidArgument naming each field that is wrong, as `variables.<name>`:
        missing, unknown, or not what its schema says; InputTooLarge if the values are
        longer than 500,000 characters in all.
        """
        size = sum(map(len, given.values()))
        if size > MAX_VALUE_CHARACTERS:
            raise InputTooLarge(
                f"The variables have {size} characters and the limit is "
                f"{MAX_VALUE_CHARACTERS}: shorten them.",
                metadata={
                    "limit": str(MAX_VALUE_CHARACTERS),
                    "actual": str(size),
                    "unit": "characters",
                },
            )
        values = dict(self._defaults)
        violations: list[FieldViolation] = []
        for name in self._required:
            if name not in given:
                violations.append(_wrong(name, "This variable is required: give it a value."))
        for name, text in given.items():
            checked = self._variables.get(name)
            if checked is None:
                violations.append(_wrong(name[:64], "The template has no such variable."))
                continue
            if checked.is_plain:
                values[name] = text
                continue
            problem, values[name] = checked.check(text)
            if problem:
                violations.append(_wrong(name, problem))
        if violations:
            raise InvalidArgument.of(*violations[:20])
        return values


class _Checked:
    """One variable with its schema compiled."""

    __slots__ = ("_max_token_count", "_validator", "default", "is_plain", "is_text", "required")

    def __init__(self, variable: Variable) -> None:
        schema = parse_schema(variable.json_schema)
        self.required = variable.required
        self.is_text = _is_text(schema)
        self._max_token_count = variable.max_token_count
        self._validator = _validator(schema) if schema else None
        self.is_plain = self._validator is None and not variable.max_token_count
        self.default: Any = variable.default_value
        if not self.is_text:
            self.default = orjson.loads(variable.default_value) if variable.default_value else None

    def check(self, text: str) -> tuple[str, Any]:
        """Return what is wrong with *text*, empty if nothing, and the value it stands for."""
        limit = self._max_token_count
        # A token is at least one byte, so a text of fewer bytes needs no counting.
        if limit and len(text.encode("utf-8", "replace")) > limit:
            count = count_tokens(text)
            if count > limit:
                return f"The value has {count} tokens and the limit is {limit}: shorten it.", text
        value: Any = text
        if not self.is_text:
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                return "Send the value as JSON.", None
            if _longest(value) > MAX_LIST_ITEMS:
                return f"Lists and objects have at most {MAX_LIST_ITEMS} entries.", None
        if self._validator is not None:
            error = next(self._validator.iter_errors(value), None)
            if error is not None:
                # Its message would quote the value.
                keyword = error.schema_path[-1] if error.schema_path else "schema"
                return f"The value does not fit the schema's `{keyword}`.", value
        return "", value


def variable_violations(variables: tuple[Variable, ...]) -> Iterator[FieldViolation]:
    """Yield what is wrong with the declarations of *variables*."""
    if len(variables) > MAX_VARIABLES:
        yield FieldViolation(
            field="content.variables", description=f"Declare at most {MAX_VARIABLES} variables."
        )
        return
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        path = f"content.variables[{index}]"
        if not VARIABLE_NAME.fullmatch(variable.name) or variable.name in RESERVED_NAMES:
            yield FieldViolation(
                field=f"{path}.name",
                description="Use an identifier of up to 64 characters, not a word of Jinja2.",
            )
        if variable.name in seen:
            yield FieldViolation(
                field=f"{path}.name", description="Each variable needs a name of its own."
            )
        seen.add(variable.name)
        if variable.required and variable.default_value:
            yield FieldViolation(
                field=f"{path}.default_value",
                description="A required variable has no default: drop one of the two.",
            )
        if variable.max_token_count < 0:
            yield FieldViolation(field=f"{path}.max_token_count", description="Use 0 or more.")
        yield from _schema_violations(path, variable)


def _schema_violations(path: str, variable: Variable) -> Iterator[FieldViolation]:
    try:
        checked = _Checked(variable)
    except orjson.JSONDecodeError:
        yield FieldViolation(
            field=f"{path}.default_value", description="The default must be JSON, as its schema."
        )
        return
    except ValueError as error:
        yield FieldViolation(field=f"{path}.json_schema", description=str(error))
        return
    if variable.default_value:
        problem, _ = checked.check(variable.default_value)
        if problem:
            yield FieldViolation(field=f"{path}.default_value", description=problem)


def parse_schema(text: str) -> dict[str, Any]:
    """Return the JSON Schema in *text*, empty for no text. Raises ValueError."""
    if not text:
        return {}
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise ValueError(f"Use a schema of at most {MAX_SCHEMA_CHARACTERS} characters.")
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"This is not JSON: {error.msg}.") from None
    if not isinstance(schema, dict):
        raise ValueError("Send a JSON Schema as a JSON object.")
    return schema


@lru_cache(maxsize=64)
def schema_validator(text: str) -> jsonschema_rs.Draft202012Validator:
    """Return what checks values against the JSON Schema in *text*. Raises ValueError."""
    return _validator(parse_schema(text))


def is_closed(variable: Variable) -> bool:
    """
    Whether the author of the template has settled what *variable* can say.

    Only such variables may stand in a system text: an enumeration, a constant, a number or
    a boolean. Free text of a user never gets the system's role.
    """
    try:
        schema = parse_schema(variable.json_schema)
    except ValueError:
        return False
    return bool("enum" in schema or "const" in schema or schema.get("type") in _CLOSED_TYPES)


def _is_text(schema: dict[str, Any]) -> bool:
    if "type" in schema:
        return bool(schema["type"] == "string")
    choices = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    return all(isinstance(each, str) for each in choices)


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            retriever=_refuse_to_retrieve,
            # Linear in the text, whatever the pattern.
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(f"This is not a JSON Schema: {error}"[:300]) from None


def _refuse_to_retrieve(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to {uri[:100]}")


def _longest(value: Any) -> int:
    """Return the most entries of any list or object in *value*; recursion is orjson's bound."""
    if isinstance(value, dict):
        return max([len(value), *map(_longest, value.values())])
    if isinstance(value, list):
        return max([len(value), *map(_longest, value)])
    return 0


def _wrong(name: str, description: str) -> FieldViolation:
    return FieldViolation(field=f"variables.{name}", description=description)
