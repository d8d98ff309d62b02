"""
Renders a version: compiled once, used for every turn. Imports neither grpc nor protobuf.

A variable's text is data: it is put into the output as it is and never read as template
code. System and user text are rendered apart, and a system text may only use variables whose
values its author has settled, so that no variable can speak in the system's role.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from parley_services.kit.chat.message import ResponseFormatType
from parley_services.kit.errors import FieldViolation, InputTooLarge, InvalidArgument
from parley_services.prompt_registry.templates.syntax import (
    Renderer,
    compile_text,
    names_used,
    new_environment,
    syntax_violations,
)
from parley_services.prompt_registry.templates.template import TemplateContent
from parley_services.prompt_registry.templates.variables import (
    VariableCheck,
    is_closed,
    schema_validator,
    variable_violations,
)

MAX_RENDERED_CHARACTERS: Final = 2_000_000
"""The longest system or user text that a render may give."""

COMPILED_KEPT: Final = 512
"""Compiled versions kept in a process: about 20 KB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedText:
    """A prompt, its two roles apart."""

    system_text: str
    user_text: str


class CompiledContent:
    """A version's content, ready to be rendered. Content that was not checked may raise."""

    def __init__(self, content: TemplateContent) -> None:
        environment = _environment()
        self._check = VariableCheck(content.variables)
        self._system = _compiled(environment, content.system_text)
        self._user = _compiled(environment, content.user_text)

    def render(self, variables: Mapping[str, str]) -> RenderedText:
        """
        Return the texts for *variables*.

        Raises InvalidArgument naming `variables.<name>` for each variable that is missing,
        unknown or unfit; InputTooLarge if the values or the result are too long.
        """
        values = self._check.values(variables)
        return RenderedText(
            system_text=_run(self._system, values), user_text=_run(self._user, values)
        )


_kept: dict[str, CompiledContent] = {}


def compiled(content: TemplateContent, content_sha256: str) -> CompiledContent:
    """Return *content* compiled; contents of one digest are compiled once in a process."""
    found = _kept.get(content_sha256)
    if found is None:
        found = CompiledContent(content)
        while len(_kept) >= COMPILED_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[content_sha256] = found
    return found


def check_content(content: TemplateContent) -> None:
    """Raise InvalidArgument naming each field of *content* that is wrong."""
    found = list(_content_violations(content))
    if found:
        raise InvalidArgument.of(*found[:20])


def names_in(text: str) -> set[str]:
    """Return the variables that *text* reads. Raises ValueError if it is not Jinja2."""
    try:
        return names_used(_environment().parse(text))
    except TemplateSyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.message}") from None


def free_names_in_system(content: TemplateContent) -> list[str]:
    """Return the variables of its system text whose values the author has not settled."""
    free = {each.name for each in content.variables if not is_closed(each)}
    return sorted(names_in(content.system_text) & free)


def _content_violations(content: TemplateContent) -> Iterator[FieldViolation]:
    yield from variable_violations(content.variables)
    names = frozenset(each.name for each in content.variables)
    environment = _environment()
    if not content.user_text.strip():
        yield _wrong("user_text", "Write a text that is not empty.")
    yield from syntax_violations(environment, "content.user_text", content.user_text, names)
    in_system = list(
        syntax_violations(environment, "content.system_text", content.system_text, names)
    )
    yield from in_system
    if not in_system:
        for name in free_names_in_system(content):
            yield _wrong(
                "system_text",
                f"The variable {name} takes free text, which may not speak for the system: use it "
                "in the user text, or give it a schema with an enum, a number or a boolean.",
            )
    yield from _call_violations(content)


def _call_violations(content: TemplateContent) -> Iterator[FieldViolation]:
    parameters = content.parameters
    if parameters.temperature is not None and not 0 <= parameters.temperature <= 2:
        yield _wrong("parameters.temperature", "Use a value from 0 to 2.")
    if parameters.top_p is not None and not 0 < parameters.top_p <= 1:
        yield _wrong("parameters.top_p", "Use a value above 0 and up to 1.")
    if parameters.max_output_token_count is not None and parameters.max_output_token_count < 1:
        yield _wrong("parameters.max_output_token_count", "Use at least 1.")
    if len(parameters.stop_sequences) > 4 or not all(parameters.stop_sequences):
        yield _wrong("parameters.stop_sequences", "Give up to 4 texts, none empty.")
    response_format = content.response_format
    if response_format.type is ResponseFormatType.JSON_SCHEMA:
        try:
            schema_validator(response_format.json_schema or "null")
        except ValueError as error:
            yield _wrong("response_format.json_schema", str(error))
    elif response_format.json_schema:
        yield _wrong("response_format.type", "A schema needs RESPONSE_FORMAT_TYPE_JSON_SCHEMA.")


def _run(text: "str | Renderer", values: dict[str, Any]) -> str:
    if isinstance(text, str):
        return text
    size = 0
    pieces: list[str] = []
    try:
        for piece in text(values):
            size += len(piece)
            if size > MAX_RENDERED_CHARACTERS:
                raise InputTooLarge(
                    f"The prompt would have over {MAX_RENDERED_CHARACTERS} characters: "
                    "shorten the variables.",
                    metadata={
                        "limit": str(MAX_RENDERED_CHARACTERS),
                        "actual": str(size),
                        "unit": "characters",
                    },
                )
            pieces.append(piece)
    except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError, LookupError):
        # Its message could quote a value.
        raise InvalidArgument(
            "The template cannot be rendered with these variables: an operation in it does not "
            "fit a value's type."
        ) from None
    return "".join(pieces)


def _compiled(environment: ImmutableSandboxedEnvironment, text: str) -> "str | Renderer":
    """Return *text* as it stands if nothing in it can change, else compiled."""
    if "{" not in text:
        return text.removesuffix("\n")
    return compile_text(environment, text)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    return new_environment()


def _wrong(field_path: str, description: str) -> FieldViolation:
    return FieldViolation(field=f"content.{field_path}", description=description)
