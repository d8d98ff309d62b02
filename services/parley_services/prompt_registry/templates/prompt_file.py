"""
Prompts as files under version control. Imports neither grpc nor protobuf.

A folder holds one YAML file a template, `general_chat.yaml`, with the content of its newest
version under `content` and golden cases under `tests`. What is written here is read back as
the same content, to the character.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from parley_services.kit.errors import FieldViolation, InvalidArgument
from parley_services.prompt_registry.templates.serialization import parse, plain, read_yaml
from parley_services.prompt_registry.templates.template import TEMPLATE_NAME, TemplateContent

SUFFIX: Final = ".yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCase:
    """What some variables must render to."""

    name: str
    variables: Mapping[str, Any]
    """Texts as they stand; everything else is given as JSON."""
    system_text: str | None = None
    """The system text that must come out; None: any."""
    user_text: str | None = None
    refused: tuple[str, ...] = ()
    """The fields that must be refused, as `variables.text`, in place of any text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """One template as a file holds it."""

    content: TemplateContent
    tests: tuple[GoldenCase, ...] = ()


def read_prompt(path: Path) -> PromptFile:
    """Return what *path* holds. Raises InvalidArgument naming the file and each field."""
    try:
        return parse(PromptFile, read_yaml(path))
    except InvalidArgument as error:
        raise _in_file(path, error) from None


def read_folder(folder: Path) -> dict[str, PromptFile]:
    """
    Return the templates of *folder* by name; folders in it are not looked into.

    Raises InvalidArgument naming every file and field that is wrong.
    """
    if not folder.is_dir():
        raise InvalidArgument.field(str(folder), "There is no such folder: make it, or pull.")
    found: dict[str, PromptFile] = {}
    wrong: list[FieldViolation] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if not TEMPLATE_NAME.fullmatch(path.stem):
            wrong.append(
                FieldViolation(
                    field=path.name, description=f"Use a name of the form {TEMPLATE_NAME.pattern}."
                )
            )
            continue
        try:
            found[path.stem] = read_prompt(path)
        except InvalidArgument as error:
            wrong.extend(error.violations)
    if wrong:
        raise InvalidArgument.of(*wrong)
    return found


def write_prompt(folder: Path, name: str, content: TemplateContent) -> bool:
    """
    Write *content* as template *name* of *folder*; return whether the file changed.

    A file that holds this content already is left as it is, with its comments. Golden cases
    are kept.
    """
    path = folder / f"{name}{SUFFIX}"
    held = read_prompt(path) if path.exists() else None
    if held is not None and held.content == content:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    file = replace(held, content=content) if held is not None else PromptFile(content=content)
    path.write_text(as_yaml(file), encoding="utf-8")
    return True


def as_yaml(value: PromptFile | TemplateContent) -> str:
    """Return *value* as YAML: texts of several lines as blocks, nothing that is a default."""
    return yaml.dump(
        plain(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NO_FOLDING
    )


def violations_in(path: str, violations: Iterable[FieldViolation]) -> list[FieldViolation]:
    """Return *violations* as those of a file."""
    return [
        FieldViolation(field=f"{path}: {each.field}", description=each.description)
        for each in violations
    ]


_NO_FOLDING = 1_000_000
"""The longest line: a long one is not folded, so that a diff shows what changed and no more."""


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


_MORE_LINE_BREAKS = frozenset("\x85\u2028\u2029")
"""Line breaks to YAML that are not to people: only within quotes do they stay what they are."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    if not _MORE_LINE_BREAKS.isdisjoint(value):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _in_file(path: Path, error: InvalidArgument) -> InvalidArgument:
    if not error.violations:
        return InvalidArgument.field(path.name, str(error))
    return InvalidArgument.of(*violations_in(path.name, error.violations))
