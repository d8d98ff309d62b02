import random

import pytest
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    ResponseFormatType,
    Role,
    SamplingParameters,
    Tool,
)
from parley_services.kit.clock import SystemClock
from parley_services.kit.errors import InvalidArgument, NotFound
from parley_services.kit.models.prices import Price, Rates
from parley_services.model_router.route.auto import THRESHOLD
from parley_services.model_router.route.catalogue import Conditions, Group, Link
from parley_services.model_router.route.chain import plan_chain
from parley_services.model_router.route.config import ConfigInvalid, load_config, parse_config
from parley_services.model_router.route.route_reason import RouteReason

from tests.support.model_router import ScriptedProvider
from tests.unit.model_router.conftest import model, request_for

PRICE = Price(
    rates=Rates(
        input_nano_usd_per_million=10**9,
        cached_input_nano_usd_per_million=10**9,
        cache_write_nano_usd_per_million=10**9,
        cache_write_1h_nano_usd_per_million=10**9,
        output_nano_usd_per_million=10**9,
    )
)

GOOD = """
default_group: main
providers:
  local: {kind: openai_compatible, base_url: "http://localhost:8000/v1"}
models:
  llama: {provider: local, model: llama-3.3-70b, aliases: [big], features: [tools]}
groups:
  main: [llama, cached_answer]
  other: [{model: llama, weight: 2, when: {tools: true, max_cost_usd: 0.01}}]
auto: {small: llama, large: other}
"""


def test_the_packaged_file_is_valid_and_all_its_models_have_a_price(prices):
    catalogue = load_config().catalogue()
    default = [link.model.name for link in catalogue.group("").links]
    assert default == ["claude-sonnet-5-5", "gpt-4o", "gpt-4o-mini"]
    for each in catalogue.models.values():
        price = prices.price(provider=each.provider, model=each.traits.name, at=SystemClock().now())
        assert price is not None, each.name
        known = prices.context_token_count(provider=each.provider, model=each.traits.name)
        assert each.context_token_count == known, each.name


def test_names_lead_to_chains():
    catalogue = parse_config(GOOD.encode()).catalogue()
    assert catalogue.group("").name == "main"
    assert catalogue.group("").cached_answer_last
    assert catalogue.group("big").links[0].model.traits.name == "llama-3.3-70b"
    [link] = catalogue.group("other").links
    assert link.conditions == Conditions(needs_tools=True, max_cost_nano_usd=10_000_000)
    with pytest.raises(NotFound):
        catalogue.group("nope")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("default_group: main", "default_group: none", "there is no group none"),
        ("provider: local", "provider: remote", "there is no provider remote"),
        ("main: [llama, cached_answer]", "main: [cached_answer]", "the chain has no model"),
        ("main: [llama, cached_answer]", "main: [gpt]", "there is no model gpt"),
        ("main: [llama, cached_answer]", "main: [cached_answer, llama]", "only be the last link"),
        ("aliases: [big]", "aliases: [main]", "The name main is used twice"),
        ("aliases: [big]", "aliases: [auto]", "The name auto is used twice"),
        ("large: other", "large: huge", "there is no model or group huge"),
        ("weight: 2", "weight: 0", "groups.other.0"),
        ("features: [tools]", "features: [magic]", "models.llama.features.0"),
        ("features: [tools]", "behaviour: overloaded", "only a simulated model"),
        ("default_group: main", "default: main", "default_group: Field required"),
        (GOOD, "[]", "must be a mapping"),
        (GOOD, "{", "is no YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_plain_words(old, new, said):
    with pytest.raises(ConfigInvalid, match=said):
        parse_config(GOOD.replace(old, new).encode())


def test_only_servers_of_openais_kind_have_responses():
    by_responses = GOOD.replace("provider: local,", "provider: local, api: responses,")
    [model_] = parse_config(by_responses.encode()).catalogue().models.values()
    assert model_.traits.api == "responses"
    other = by_responses.replace("kind: openai_compatible", "kind: anthropic")
    with pytest.raises(ConfigInvalid, match="only OpenAI's kind"):
        parse_config(other.encode())


def test_log_probabilities_are_asked_of_models_that_give_them():
    links = [
        Link(model=model("without"), priority=0),
        Link(model=model("with", features=("logprobs",)), priority=1),
    ]
    assert names_of(links, request_for(top_logprob_count=0)) == ["with"]


def test_without_keys_every_model_is_simulated():
    catalogue = load_config().catalogue().simulated()
    assert {each.provider for each in catalogue.models.values()} == {"simulated"}
    assert {link.model.provider for link in catalogue.group("").links} == {"simulated"}


def test_only_providers_that_can_be_used_are_offered():
    catalogue = load_config().catalogue().served_by(["openai"])
    assert [link.model.name for link in catalogue.group("").links] == ["gpt-4o", "gpt-4o-mini"]
    with pytest.raises(NotFound):
        catalogue.group("claude-sonnet")


def names_of(links, request, count=10, draw=None):
    plan = plan_chain(
        Group(name="g", links=tuple(links)),
        request,
        reason=RouteReason.PRIORITY,
        input_token_count=count,
        price_of=lambda each: None if each.name == "unpriced" else PRICE,
        draw=draw or random.Random(1),
    )
    return [step.model.name for step in plan.steps]


TOOL = (Tool(name="find"),)
IMAGE = (Message(role=Role.USER, image_urls=("https://example.org/a.png",)),)


@pytest.mark.parametrize(
    ("conditions", "request_", "count", "fits"),
    [
        (Conditions(), request_for(), 10, True),
        (Conditions(max_input_token_count=9), request_for(), 10, False),
        (Conditions(min_input_token_count=11), request_for(), 10, False),
        (Conditions(needs_tools=True), request_for(), 10, False),
        (Conditions(needs_tools=True), request_for(tools=TOOL), 10, True),
        (Conditions(needs_tools=False), request_for(tools=TOOL), 10, False),
        (Conditions(needs_images=False), request_for(messages=IMAGE), 10, False),
        (Conditions(regions=frozenset({"eu"})), request_for(), 10, False),
        (Conditions(), request_for(), 128_000, False),
        (
            Conditions(),
            request_for(response_format=ResponseFormat(type=ResponseFormatType.JSON_SCHEMA)),
            10,
            False,
        ),
        (
            Conditions(max_cost_nano_usd=110_000),
            request_for(parameters=SamplingParameters(max_output_token_count=100)),
            10,
            True,
        ),
        (
            Conditions(max_cost_nano_usd=109_999),
            request_for(parameters=SamplingParameters(max_output_token_count=100)),
            10,
            False,
        ),
    ],
)
def test_links_are_used_when_their_conditions_hold(conditions, request_, count, fits):
    link = Link(model=model("m"), priority=0, conditions=conditions)
    assert names_of([link], request_, count) == (["m"] if fits else [])


def test_priority_goes_first_and_weight_draws_among_equals():
    links = [
        Link(model=model("last"), priority=9),
        Link(model=model("heavy"), priority=1, weight=3),
        Link(model=model("light"), priority=1, weight=1),
        Link(model=model("unpriced"), priority=0),
    ]
    draw = random.Random(7)
    firsts = []
    for _ in range(2000):
        names = names_of(links, request_for(), draw=draw)
        assert names[-1] == "last"
        assert len(names) == 3
        firsts.append(names[0])
    assert 0.7 < firsts.count("heavy") / 2000 < 0.8


def test_the_threshold_of_auto_may_be_set():
    assert parse_config(GOOD.encode()).catalogue().auto.threshold == THRESHOLD
    lower = GOOD.replace("large: other}", "large: other, threshold: 0.05}")
    assert parse_config(lower.encode()).catalogue().auto.threshold == 0.05


async def test_a_request_that_no_model_can_serve_is_refused(bench):
    made = bench(a=ScriptedProvider(["no"]), models={"a": model("a", features=())})
    with pytest.raises(InvalidArgument):
        made.router.start(request_for(tools=TOOL), timeout_seconds=1)
