"""`parley settings`: every setting with its default and what it means."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from parley_services.cli.console import console, styled
from parley_services.kit.settings import ParleySettings

Markdown = Annotated[bool, typer.Option("--markdown", help="As tables for the documentation.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The settings of one part."""

    title: str
    meaning: str
    settings: tuple[Setting, ...]


def settings(markdown: Markdown = False) -> None:
    """List every setting with its default and what it means."""
    for section in sections():
        if markdown:
            console.out(as_markdown(section))
            continue
        console.print(styled("\n", (section.title, "bold"), f": {section.meaning}"))
        for each in section.settings:
            console.print(styled("  ", (each.name, "cyan"), f" = {each.default or 'empty'}"))
            console.print(f"    {each.meaning}", style="dim")


def sections() -> tuple[Section, ...]:
    """Return all settings by part: those that all share first."""
    from parley_services.accounting.settings import AccountingSettings
    from parley_services.cli.connection import CliSettings
    from parley_services.guardrails.settings import GuardrailsSettings
    from parley_services.kit.rpc.peers import PeersSettings
    from parley_services.kit.rpc.server import ServerSettings
    from parley_services.model_router.settings import ModelRouterSettings
    from parley_services.orchestrator.settings import OrchestratorSettings
    from parley_services.prompt_registry.settings import PromptRegistrySettings
    from parley_services.semantic_cache.settings import SemanticCacheSettings

    parts: tuple[tuple[str, type[ParleySettings]], ...] = (
        ("Every process", ParleySettings),
        ("Listening and stopping", ServerSettings),
        ("Where the peers are", PeersSettings),
        ("orchestrator", OrchestratorSettings),
        ("guardrails", GuardrailsSettings),
        ("semantic_cache", SemanticCacheSettings),
        ("prompt_registry", PromptRegistrySettings),
        ("model_router", ModelRouterSettings),
        ("accounting", AccountingSettings),
        ("Commands", CliSettings),
    )
    return tuple(
        Section(
            title=title,
            meaning=(inspect.getdoc(part) or "").split("\n\n")[0],
            settings=tuple(_settings_of(part)),
        )
        for title, part in parts
    )


def as_markdown(section: Section) -> str:
    """Return *section* as a heading with a table."""
    rows = [
        f"| `{each.name}` | {f'`{each.default}`' if each.default else 'empty'} | {each.meaning} |"
        for each in section.settings
    ]
    return "\n".join(
        (
            f"### {section.title}\n",
            f"{section.meaning}\n",
            "| setting | default | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
        )
    )


def _settings_of(part: type[ParleySettings]) -> Iterator[Setting]:
    shared = {} if part is ParleySettings else ParleySettings.model_fields
    prefix = part.model_config.get("env_prefix", "")
    for name, field in part.model_fields.items():
        if name not in shared:
            alias = field.validation_alias
            yield Setting(
                name=alias if isinstance(alias, str) else f"{prefix}{name}".upper(),
                default=_default(field),
                meaning=" ".join((field.description or "").split()).replace("|", "\\|"),
            )


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
