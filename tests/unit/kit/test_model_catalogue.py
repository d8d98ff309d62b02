import pytest
from parley_services.kit.errors import NotFound
from parley_services.kit.models import from_proto, to_proto
from parley_services.kit.models.catalogue import ListedModel, catalogue_of
from parley_services.kit.models.prices import Price, Rates, Tier, flat_price

RATES = Rates(
    input_nano_usd_per_million=1,
    cached_input_nano_usd_per_million=2,
    cache_write_nano_usd_per_million=3,
    cache_write_1h_nano_usd_per_million=4,
    output_nano_usd_per_million=5,
)
PRICE = Price(
    rates=RATES,
    tiers=(Tier(above_input_token_count=10, rates=flat_price(7).rates),),
    call_nano_usd=9,
)


def listed(name, **fields):
    return ListedModel(name=name, provider="p", provider_model=f"{name}-1", **fields)


CATALOGUE = catalogue_of(
    [
        listed(
            "large",
            aliases=("big",),
            context_token_count=1000,
            max_output_token_count=100,
            features=frozenset({"tools", "vision"}),
            price=PRICE,
            price_version="v1",
            tokenizer="o200k_base",
        ),
        listed("small"),
        listed("alone"),
    ],
    {"main": ("large", "small"), "cheap": ("small",), "gone": ("unknown",)},
    default_group="main",
    auto=("cheap", "main"),
)


def names(*models):
    return [model.name for model in models]


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("", ["large", "small"]),
        ("main", ["large", "small"]),
        ("cheap", ["small"]),
        ("big", ["large"]),
        ("alone", ["alone"]),
        ("auto", ["small", "large"]),
        ("gone", []),
    ],
)
def test_a_name_means_the_models_that_may_answer(name, models):
    assert names(*CATALOGUE.routes(name)) == models


@pytest.mark.parametrize("name", ["nobody", "large-1"])
def test_a_name_that_nobody_has_is_not_found(name):
    with pytest.raises(NotFound):
        CATALOGUE.routes(name)


def test_auto_is_a_name_like_any_other_where_it_is_not_offered():
    with pytest.raises(NotFound):
        catalogue_of([listed("large")], default_group="large").routes("auto")


def test_a_model_is_known_by_its_route():
    assert CATALOGUE.of_route("p", "small-1").name == "small"
    assert CATALOGUE.of_route("q", "small-1") is None


def test_nothing_is_lost_on_the_wire():
    assert from_proto.catalogue(to_proto.catalogue(CATALOGUE)) == CATALOGUE
