"""
The models that can be asked for, as the router lists them to whoever counts or prices a turn.

Imports neither grpc nor protobuf; `from_proto.catalogue` makes it of the router's answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from parley_services.kit.errors import NotFound
from parley_services.kit.models.prices import Price

AUTO = "auto"
"""The name that leaves the choice between a small and a large group to the router."""

_MAX_SHOWN_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A model that can be asked for; provider and provider's model together are its route."""

    name: str
    provider: str
    provider_model: str
    """The model, as the provider calls it and as attempts name it."""
    aliases: tuple[str, ...] = ()
    context_token_count: int = 0
    """Tokens of input and output together; 0 is unknown."""
    max_output_token_count: int = 0
    """The most output tokens of one answer; 0 is unknown."""
    features: frozenset[str] = frozenset()
    price: Price | None = None
    """None if nobody knows it: such a model is not asked."""
    price_version: str = ""
    tokenizer: str = ""
    """The vocabulary of `tokens.py` that counts for it; empty makes counts estimates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCatalogue:
    """
    All models and groups by name. Never changes; a refresh makes another one.

    `catalogue.routes("default")` are the models that may answer a turn that asks for it.
    """

    models: Mapping[str, ListedModel] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of models, first choice first."""
    default_group: str = ""
    auto: tuple[str, ...] = ()
    """The groups that `auto` chooses between; empty if that name is not offered."""

    def routes(self, name: str) -> tuple[ListedModel, ...]:
        """
        Return the models that may answer who asks for *name*, first choice first.

        *name* is a model, an alias, a group or `auto`; empty is the default group. Raises
        NotFound.
        """
        name = name or self.default_group
        if name == AUTO and self.auto:
            found = (model for each in self.auto for model in self.routes(each))
            return tuple({model.name: model for model in found}.values())
        if (members := self.groups.get(name)) is not None:
            return tuple(self.models[member] for member in members)
        if (model := self._model(name)) is not None:
            return (model,)
        shown = name[:_MAX_SHOWN_CHARACTERS]
        raise NotFound(
            f"There is no model or group {shown}: `parley models` lists them.",
            resource_type="model",
            resource_name=shown,
        )

    def of_route(self, provider: str, provider_model: str) -> ListedModel | None:
        """Return the model whose route is that, as an attempt names it; None if none is."""
        return next(
            (
                model
                for model in self.models.values()
                if (model.provider, model.provider_model) == (provider, provider_model)
            ),
            None,
        )

    def _model(self, name: str) -> ListedModel | None:
        if (model := self.models.get(name)) is not None:
            return model
        return next((each for each in self.models.values() if name in each.aliases), None)


def catalogue_of(
    models: Iterable[ListedModel],
    groups: Mapping[str, tuple[str, ...]] | None = None,
    *,
    default_group: str = "",
    auto: tuple[str, ...] = (),
) -> ModelCatalogue:
    """Return the catalogue of *models*; members of groups that are not among them are left out."""
    by_name = {model.name: model for model in models}
    known = {
        name: tuple(member for member in members if member in by_name)
        for name, members in (groups or {}).items()
    }
    return ModelCatalogue(models=by_name, groups=known, default_group=default_group, auto=auto)
