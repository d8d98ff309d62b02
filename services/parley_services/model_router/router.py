"""The router: knows the catalogue and starts calls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from parley_services.kit.chat.attempt import AttemptKind
from parley_services.kit.errors import InputTooLarge, InvalidArgument, PriceUnknown
from parley_services.kit.models.catalogue import AUTO, ListedModel, ModelCatalogue, catalogue_of
from parley_services.kit.models.prices import Price, PriceTable
from parley_services.kit.models.tokens import TokenCount, encoding_name, measure_tokens
from parley_services.model_router.dependencies import RouterDependencies
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.route.auto import AutoScore
from parley_services.model_router.route.catalogue import Catalogue, Group, Model
from parley_services.model_router.route.chain import Plan, Step, plan_chain
from parley_services.model_router.route.provider_key_pool import KeyHealth
from parley_services.model_router.route.route_reason import RouteReason
from parley_services.model_router.route.routes import RouteHealth
from parley_services.model_router.stream.routed_call import RoutedCall


class Router:
    """Starts calls and answers questions about models. Safe to share."""

    def __init__(
        self,
        catalogue: Catalogue,
        dependencies: RouterDependencies,
        prices: PriceTable,
        *,
        auto_score: AutoScore,
        unknown_price: Price | None = None,
    ) -> None:
        """
        Route over *catalogue*.

        A model without a price is priced as *unknown_price*; without one it is not used.
        """
        self._catalogue = catalogue
        self._dependencies = dependencies
        self._prices = prices
        self._auto_score = auto_score
        self._unknown_price = unknown_price

    @property
    def catalogue(self) -> Catalogue:
        """The models that can be asked for now."""
        return self._catalogue

    def listed(self) -> ModelCatalogue:
        """Return the models that can be asked for now, with their prices of now."""
        catalogue = self._catalogue
        auto = catalogue.auto
        return catalogue_of(
            map(self._listed, catalogue.models.values()),
            {
                name: tuple(link.model.name for link in group.links)
                for name, group in catalogue.groups.items()
            },
            default_group=catalogue.default_group,
            auto=() if auto is None else (auto.small, auto.large),
        )

    def use(self, catalogue: Catalogue) -> None:
        """Route over *catalogue* from the next call on."""
        self._catalogue = catalogue

    def start(self, request: GenerationRequest, *, timeout_seconds: float) -> RoutedCall:
        """
        Return the call that answers *request* within *timeout_seconds*.

        Raises NotFound, InvalidArgument, InputTooLarge, PriceUnknown.
        """
        plan = self._plan(request)
        if not plan.steps:
            raise self._nothing_fits(plan, request)
        if request.kind is not AttemptKind.SHADOW:
            self._dependencies.retry_budget.record_call()
            if self._dependencies.hedging is not None:
                self._dependencies.hedging.record_call()
        deadline = self._dependencies.clock.monotonic() + timeout_seconds
        return RoutedCall(request, plan, deadline=deadline, dependencies=self._dependencies)

    def health(self, name: str) -> RouteHealth:
        """Return how the model of that *name* does, from the calls of the last minutes."""
        return self._dependencies.routes.health(self._catalogue.models[name])

    @property
    def has_usable_model(self) -> bool:
        """Whether a model can be called now: not all keys of all providers rest."""
        routes = self._dependencies.routes
        return any(routes.has_key(model) for model in self._catalogue.models.values())

    def key_health(self) -> Mapping[str, Sequence[KeyHealth]]:
        """Return how the keys of each provider do."""
        return self._dependencies.routes.key_health()

    def price(self, model: Model) -> Price | None:
        """Return what *model* costs now, or None if nobody knows."""
        known = self._prices.price(
            provider=model.provider, model=model.traits.name, at=self._dependencies.clock.now()
        )
        return known or self._unknown_price

    def count_tokens(self, model: str, texts: Sequence[str]) -> list[TokenCount]:
        """Return the tokens of each text as the first model of *model* counts. Raises NotFound."""
        name = self._catalogue.group(model).links[0].model.traits.name
        return [measure_tokens(text, name) for text in texts]

    def _listed(self, model: Model) -> ListedModel:
        return ListedModel(
            name=model.name,
            provider=model.provider,
            provider_model=model.traits.name,
            aliases=model.aliases,
            context_token_count=model.context_token_count,
            max_output_token_count=model.traits.max_output_token_count,
            features=model.features,
            price=self.price(model),
            price_version=self._prices.version,
            tokenizer=encoding_name(model.traits.name) or "",
        )

    def _plan(self, request: GenerationRequest) -> Plan:
        group, reason = self._choose(request)
        first = group.links[0].model
        plan = plan_chain(
            group,
            request,
            reason=reason or (RouteReason.PRIORITY if len(group.links) > 1 else RouteReason.NAMED),
            input_token_count=(
                request.input_token_count
                if request.input_token_count is not None
                else request.count_input(first.traits.name)
            ),
            price_of=self.price,
            draw=self._dependencies.draw,
        )
        if request.kind is AttemptKind.SHADOW:
            # An experiment asks what this very model would say.
            return replace(plan, steps=plan.steps[:1])
        return self._healthy_first(plan)

    def _healthy_first(self, plan: Plan) -> Plan:
        """Return *plan* with routes that are ejected, or far slower than the others, last."""
        routes = self._dependencies.routes
        slow = routes.outliers([step.model for step in plan.steps])

        def unhealthiness(step: Step) -> tuple[bool, bool]:
            return not routes.lets_pass(step.model), step.model.name in slow

        steps = tuple(sorted(plan.steps, key=unhealthiness))
        if steps == plan.steps:
            return plan
        return replace(plan, steps=steps, reason=RouteReason.HEALTH)

    def _choose(self, request: GenerationRequest) -> tuple[Group, RouteReason]:
        """Return the chain of *request*, and why it is that one unless the caller named it."""
        auto = self._catalogue.auto
        if request.model != AUTO or auto is None:
            return self._catalogue.group(request.model), RouteReason.UNSPECIFIED
        if self._auto_score.of(request) >= auto.threshold:
            return self._catalogue.group(auto.large), RouteReason.AUTO_LARGE
        return self._catalogue.group(auto.small), RouteReason.AUTO_SMALL

    def _nothing_fits(self, plan: Plan, request: GenerationRequest) -> Exception:
        group, _ = self._choose(request)
        if plan.unpriced:
            return PriceUnknown(
                f"The model {plan.unpriced[0]} has no price; add it to the price file.",
                metadata={"model": plan.unpriced[0]},
            )
        largest = _largest_context(group)
        if largest is not None and plan.input_token_count >= largest:
            return InputTooLarge(
                "The conversation is longer than any of the models reads; shorten it.",
                metadata={
                    "limit": str(largest),
                    "actual": str(plan.input_token_count),
                    "unit": "tokens",
                },
            )
        return InvalidArgument.field(
            "model",
            f"No model of {group.name} can do what the request needs: see the features and "
            "conditions that ListModels and the router's file name.",
        )


def _largest_context(group: Group) -> int | None:
    """Return the largest context of *group*, None if one of them is not known."""
    contexts = [link.model.context_token_count for link in group.links]
    return max(contexts) if all(contexts) else None
