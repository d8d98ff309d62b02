import orjson
import pytest
from parley_services.guardrails.format.schema_cost import schema_cost

from tests.support.schemas import doubling_schema


def cost(schema):
    cost = schema_cost(schema)
    return cost.parts, cost.is_predictable


@pytest.mark.parametrize(
    ("schema", "parts"),
    [
        (True, 1),
        ({}, 1),
        ({"type": "object"}, 2),
        ({"properties": {"a": {"type": "string"}, "b": {"enum": [1, 2, 3]}}}, 9),
        ({"anyOf": [{"$ref": "#/$defs/a"}] * 2, "$defs": {"a": {"const": 1}}}, 13),
        ({"properties": {"$ref": {"type": "string"}}}, 4),
    ],
)
def test_parts_are_counted_as_often_as_they_are_referred_to(schema, parts):
    assert cost(orjson.loads(orjson.dumps(schema))) == (parts, True)


def test_a_few_lines_may_stand_for_millions_of_parts():
    parts, is_predictable = cost(doubling_schema(24))
    assert parts > 2**24
    assert is_predictable


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
        {"$ref": "#other"},
        {"$dynamicRef": "#node"},
        {"$ref": "http://example.com/x"},
        {"pattern": "(a{1000}){1000}"},
        {"patternProperties": {"x" * 1_001: True}},
    ],
)
def test_what_refers_to_itself_or_by_name_is_not_predictable(schema):
    assert not schema_cost(schema).is_predictable


def test_references_to_nothing_are_left_to_the_compiler():
    assert cost({"allOf": [{"$ref": "#/$defs/none"}, {"$ref": "#/allOf/7"}]}) == (6, True)


def test_a_chain_of_references_needs_no_recursion():
    definitions = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(5_000)}
    parts, is_predictable = cost({"$ref": "#/$defs/a0", "$defs": definitions})
    assert parts > 5_000 * 5_000 / 2
    assert is_predictable
