"""The models that can be asked for, and the chains in which they stand in for each other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from parley_services.kit.errors import NotFound
from parley_services.kit.models.prices import SIMULATED
from parley_services.model_router.providers.provider import ModelTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that can be asked for."""

    name: str
    provider: str
    traits: ModelTraits
    aliases: tuple[str, ...] = ()
    context_token_count: int = 0
    """Tokens of input and output together; 0 is unknown."""
    features: frozenset[str] = frozenset()
    """What it can do: `tools`, `vision`, `json_object`, `json_schema`, `logprobs`, `reasoning`."""
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """When a link of a chain may be used; all must hold."""

    min_input_token_count: int = 0
    max_input_token_count: int | None = None
    needs_tools: bool | None = None
    """Whether the request must (True) or must not (False) have tools; None is either."""
    needs_images: bool | None = None
    regions: frozenset[str] = frozenset()
    """Regions that the model may be in; empty is any."""
    max_cost_nano_usd: int | None = None
    """The most that the call may cost, input as counted and the whole output limit used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One model of a chain."""

    model: Model
    priority: int
    """Lower ones are asked first."""
    weight: float = 1.0
    """Share of the calls among links of one priority."""
    conditions: Conditions = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Models that stand in for each other."""

    name: str
    links: tuple[Link, ...]
    cached_answer_last: bool = False
    """Whether a cached answer at a lower bar may be given when all links failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoChoice:
    """The groups that `auto` chooses between."""

    small: str
    large: str
    threshold: float
    """The score from which the large one answers."""


class Catalogue:
    """All models and groups, by name. Never changes; a reload makes another one."""

    def __init__(
        self,
        *,
        models: Iterable[Model],
        groups: Iterable[Group],
        default_group: str,
        auto: AutoChoice | None = None,
    ) -> None:
        self.models: Mapping[str, Model] = {model.name: model for model in models}
        self.groups: Mapping[str, Group] = {group.name: group for group in groups}
        self.default_group = default_group
        self.auto = auto
        self._by_alias = {
            name: model for model in self.models.values() for name in (model.name, *model.aliases)
        }

    def group(self, name: str) -> Group:
        """
        Return the chain of *name*: a group, a model or an alias; empty is the default group.

        A model that is asked for by name is a chain of its own: the caller wants that one.
        Raises NotFound.
        """
        if not name:
            name = self.default_group
        if found := self.groups.get(name):
            return found
        if model := self._by_alias.get(name):
            return Group(name=model.name, links=(Link(model=model, priority=0),))
        raise NotFound(
            f"There is no model or group {name!r}; ListModels names those that there are.",
            resource_type="model",
            resource_name=name,
        )

    def served_by(self, providers: Iterable[str]) -> "Catalogue":
        """Return what is left with only *providers*; groups without a link are dropped."""
        usable = frozenset(providers)
        groups = [
            replace(
                group,
                links=tuple(link for link in group.links if link.model.provider in usable),
            )
            for group in self.groups.values()
        ]
        return Catalogue(
            models=[model for model in self.models.values() if model.provider in usable],
            groups=[group for group in groups if group.links],
            default_group=self.default_group,
            auto=self.auto,
        )

    def simulated(self) -> "Catalogue":
        """Return the same with every model served by the simulated provider."""
        models = {name: replace(model, provider=SIMULATED) for name, model in self.models.items()}
        groups = [
            replace(
                group,
                links=tuple(replace(link, model=models[link.model.name]) for link in group.links),
            )
            for group in self.groups.values()
        ]
        return Catalogue(
            models=models.values(),
            groups=groups,
            default_group=self.default_group,
            auto=self.auto,
        )
