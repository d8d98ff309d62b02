"""Checks prompt files without a service: contents and golden cases. Imports no grpc."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from parley_services.kit.errors import InputTooLarge, InvalidArgument
from parley_services.prompt_registry.templates.prompt_file import (
    GoldenCase,
    PromptFile,
    violations_in,
)
from parley_services.prompt_registry.templates.rendering import (
    CompiledContent,
    RenderedText,
    check_content,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A golden case that came out as it must."""

    template: str
    case: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A golden case that came out otherwise."""

    template: str
    case: str
    problem: str
    """In one sentence."""
    diff: tuple[str, ...] = ()
    """Lines of a unified diff from what must come out to what did."""


Result = Passed | Failed


def check_contents(files: Mapping[str, PromptFile]) -> None:
    """Raise InvalidArgument naming each file and field that the registry would refuse."""
    wrong = []
    for name, file in files.items():
        try:
            check_content(file.content)
        except InvalidArgument as error:
            wrong.extend(violations_in(name, error.violations))
    if wrong:
        raise InvalidArgument.of(*wrong)


def run_cases(files: Mapping[str, PromptFile]) -> Iterator[Result]:
    """Render every golden case of *files*, whose contents were checked."""
    for name, file in files.items():
        compiled = CompiledContent(file.content)
        for case in file.tests:
            yield _run(name, compiled, case)


def text_diff(before: str, after: str, *, before_name: str, after_name: str) -> tuple[str, ...]:
    """Return the lines of a unified diff, none if the texts are the same."""
    return tuple(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), before_name, after_name, lineterm=""
        )
    )


def _run(template: str, compiled: CompiledContent, case: GoldenCase) -> Result:
    if case.system_text is None and case.user_text is None and not case.refused:
        return Failed(
            template=template,
            case=case.name,
            problem="It expects nothing: give it a system_text, a user_text or refused.",
        )
    variables = {name: _as_text(value) for name, value in case.variables.items()}
    try:
        rendered = compiled.render(variables)
    except (InvalidArgument, InputTooLarge) as error:
        return _refused(template, case, error)
    if case.refused:
        return Failed(template=template, case=case.name, problem="It was rendered and not refused.")
    diff = _difference(case, rendered)
    if diff:
        return Failed(
            template=template, case=case.name, problem="Another text came out.", diff=diff
        )
    return Passed(template=template, case=case.name)


def _refused(template: str, case: GoldenCase, error: InvalidArgument | InputTooLarge) -> Result:
    fields = {each.field for each in getattr(error, "violations", ())}
    if case.refused and fields == set(case.refused):
        return Passed(template=template, case=case.name)
    return Failed(template=template, case=case.name, problem=f"It was refused: {error}")


def _difference(case: GoldenCase, rendered: RenderedText) -> tuple[str, ...]:
    lines: list[str] = []
    for role, wanted, given in (
        ("system_text", case.system_text, rendered.system_text),
        ("user_text", case.user_text, rendered.user_text),
    ):
        # A block of YAML ends with a line break, which a template drops.
        if wanted is None or wanted.removesuffix("\n") == given.removesuffix("\n"):
            continue
        lines += text_diff(
            wanted, given, before_name=f"{role}, expected", after_name=f"{role}, rendered"
        )
    return tuple(lines)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
