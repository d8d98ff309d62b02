"""Reads the router's YAML and checks it as a whole before anything uses it."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parley_services.kit.models.catalogue import AUTO
from parley_services.model_router.attempt.failures import FailureKind
from parley_services.model_router.providers.provider import Api, ModelTraits
from parley_services.model_router.route.auto import THRESHOLD
from parley_services.model_router.route.catalogue import (
    AutoChoice,
    Catalogue,
    Conditions,
    Group,
    Link,
    Model,
)

PACKAGED_PATH: Final = Path(__file__).parent / "router.yaml"
CACHED_ANSWER: Final = "cached_answer"
"""The link that allows a cached answer when all others failed. Only ever the last one."""

Feature = Literal["tools", "vision", "json_object", "json_schema", "logprobs", "reasoning"]

FinishWord = Literal["stop", "length", "tool_call", "content_filter", "refusal"]


class ConfigInvalid(ValueError):
    """The file is wrong; the text says where and what would be right."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderConfig(_Strict):
    """One entry of `providers`."""

    kind: Literal["openai", "anthropic", "openai_compatible", "simulated"]
    base_url: str = ""
    api_key_env: str = ""
    """Name of the environment variable with the key or keys, for a compatible server."""
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    finish_reasons: dict[str, FinishWord] = {}
    """The server's own words for why an answer ended, in lower case, and what they mean."""


class ModelConfig(_Strict):
    """One entry of `models`."""

    provider: str
    model: str = ""
    aliases: tuple[str, ...] = ()
    context: int = Field(default=0, ge=0)
    max_output: int = Field(default=0, ge=0)
    """The most output tokens of the model; 0 is unknown."""
    features: tuple[Feature, ...] = ()
    region: str = ""
    api: Api = Api.CHAT_COMPLETIONS
    sampling: bool = True
    extra_body: dict[str, Any] = {}
    behaviour: FailureKind | None = None


class WhenConfig(_Strict):
    """The conditions of a link."""

    min_input_tokens: int = Field(default=0, ge=0)
    max_input_tokens: int | None = Field(default=None, ge=0)
    tools: bool | None = None
    images: bool | None = None
    regions: tuple[str, ...] = ()
    max_cost_usd: Decimal | None = Field(default=None, ge=0)


class LinkConfig(_Strict):
    """One link of a group, in its long form."""

    model: str
    priority: int | None = None
    weight: float = Field(default=1.0, gt=0)
    when: WhenConfig = WhenConfig()


class AutoConfig(_Strict):
    """The groups of `auto`."""

    small: str
    large: str
    threshold: float = THRESHOLD


class RouterConfig(_Strict):
    """The whole file."""

    default_group: str
    providers: dict[str, ProviderConfig]
    models: dict[str, ModelConfig]
    groups: dict[str, tuple[str | LinkConfig, ...]]
    auto: AutoConfig | None = None

    def catalogue(self) -> Catalogue:
        """Return the models and chains. Raises ConfigInvalid."""
        models = {name: self._model(name, each) for name, each in self.models.items()}
        names: set[str] = set()
        for name in (
            *self.groups,
            *models,
            *(alias for model in models.values() for alias in model.aliases),
            AUTO,
        ):
            if name in names:
                raise ConfigInvalid(f"The name {name} is used twice.")
            names.add(name)
        groups = [_group(name, links, models) for name, links in self.groups.items()]
        if self.default_group not in self.groups:
            raise ConfigInvalid(f"default_group: there is no group {self.default_group}.")
        auto = None
        if self.auto is not None:
            for size in (self.auto.small, self.auto.large):
                if size not in names or size == AUTO:
                    raise ConfigInvalid(f"auto: there is no model or group {size}.")
            auto = AutoChoice(
                small=self.auto.small, large=self.auto.large, threshold=self.auto.threshold
            )
        return Catalogue(
            models=models.values(), groups=groups, default_group=self.default_group, auto=auto
        )

    def _model(self, name: str, config: ModelConfig) -> Model:
        provider = self.providers.get(config.provider)
        if provider is None:
            raise ConfigInvalid(f"models.{name}: there is no provider {config.provider}.")
        if config.behaviour is not None and provider.kind != "simulated":
            raise ConfigInvalid(f"models.{name}: only a simulated model has a behaviour.")
        if config.api is Api.RESPONSES and not provider.kind.startswith("openai"):
            raise ConfigInvalid(f"models.{name}: only OpenAI's kind of server has responses.")
        return Model(
            name=name,
            provider=config.provider,
            aliases=config.aliases,
            context_token_count=config.context,
            features=frozenset(config.features),
            region=config.region,
            traits=ModelTraits(
                name=config.model or name,
                max_output_token_count=config.max_output,
                api=config.api,
                takes_sampling=config.sampling,
                extra_body=config.extra_body,
                behaviour=config.behaviour or "",
            ),
        )


def load_config(path: Path | None = None) -> RouterConfig:
    """Read *path*, or the packaged file. Raises ConfigInvalid, OSError."""
    return parse_config((path or PACKAGED_PATH).read_bytes())


def parse_config(content: bytes) -> RouterConfig:
    """Return what *content* says, checked as a whole. Raises ConfigInvalid."""
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ConfigInvalid(f"The router's file is no YAML: {error}") from None
    if not isinstance(document, Mapping):
        raise ConfigInvalid("The router's file must be a mapping.")
    try:
        config = RouterConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigInvalid(" ".join(_sentences(error))) from None
    config.catalogue()
    return config


def _sentences(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False):
        yield f"{'.'.join(map(str, each['loc']))}: {each['msg']}."


def _group(name: str, configs: Sequence[str | LinkConfig], models: Mapping[str, Model]) -> Group:
    cached = bool(configs) and configs[-1] == CACHED_ANSWER
    configs = configs[:-1] if cached else configs
    if not configs:
        raise ConfigInvalid(f"groups.{name}: the chain has no model.")
    links = []
    for position, config in enumerate(configs):
        if isinstance(config, str):
            config = LinkConfig(model=config)
        if config.model == CACHED_ANSWER:
            raise ConfigInvalid(f"groups.{name}: {CACHED_ANSWER} can only be the last link.")
        if config.model not in models:
            raise ConfigInvalid(f"groups.{name}: there is no model {config.model}.")
        links.append(
            Link(
                model=models[config.model],
                priority=position if config.priority is None else config.priority,
                weight=config.weight,
                conditions=_conditions(config.when),
            )
        )
    return Group(name=name, links=tuple(links), cached_answer_last=cached)


def _conditions(when: WhenConfig) -> Conditions:
    cap = when.max_cost_usd
    return Conditions(
        min_input_token_count=when.min_input_tokens,
        max_input_token_count=when.max_input_tokens,
        needs_tools=when.tools,
        needs_images=when.images,
        regions=frozenset(when.regions),
        max_cost_nano_usd=None if cap is None else int(cap * 1_000_000_000),
    )
