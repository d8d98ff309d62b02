"""Checks that an answer has the form that was asked for, in bounded time and memory."""

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from parley_services.guardrails.format.schema_cost import schema_cost
from parley_services.guardrails.format.schema_validation import (
    SchemaUnusable,
    problems,
    validator,
)
from parley_services.guardrails.format.worker_pool import (
    SchemaWork,
    SchemaWorkDone,
    SchemaWorkers,
    WorkTooLong,
)
from parley_services.kit.bounded_json import JsonBounds, JsonRefused, load
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.kit.errors import InvalidArgument

SCHEMA_FIELD: Final = "response_format.json_schema"

_MAX_STEPS_ON_LOOP: Final = 50_000
"""Parts of a schema times values of an answer, about a microsecond for ten of them."""

_MAX_STEPS_OF_PROBLEMS_ON_LOOP: Final = 5_000
"""The same where the answer is wrong: to say what is wrong takes some 20 us a problem."""

_MAX_KNOWN_SCHEMAS: Final = 256

_UNUSABLE: Final = (
    "is not a JSON Schema that can be used: check its keywords, and keep all that it refers to "
    "inside it."
)
_TOO_LONG: Final = "takes too long to check: give it fewer alternatives and references."


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatBounds:
    """The largest schemas that are used."""

    json: JsonBounds = field(
        default_factory=lambda: JsonBounds(max_bytes=256 * 1024, max_depth=64, max_values=20_000)
    )
    max_parts: int = 20_000
    """With each part counted as often as it is referred to."""


class FormatChecker:
    """
    Checks answers by the form that was asked for.

    What is known to take a moment is done at once; other schemas are compiled and checked by
    *workers*, which have limits of time and memory.
    """

    def __init__(self, workers: SchemaWorkers, bounds: FormatBounds) -> None:
        self._workers = workers
        self._bounds = bounds
        self._plan = lru_cache(_MAX_KNOWN_SCHEMAS)(self._new_plan)

    async def require_usable(
        self, response_format: ResponseFormat, field: str = SCHEMA_FIELD
    ) -> None:
        """
        Raise InvalidArgument, naming *field*, if the schema is none or costs too much.

        Raises Overloaded if too many schemas wait.
        """
        if response_format.type is not ResponseFormatType.JSON_SCHEMA:
            return
        plan = self._plan_of(response_format.json_schema, field)
        if plan.is_usable is None:
            done = await self._work(SchemaWork(schema=response_format.json_schema), field)
            plan.is_usable = done.is_usable
        if not plan.is_usable:
            raise InvalidArgument.field(field, _UNUSABLE)

    async def format_error(self, response_format: ResponseFormat, answer: str) -> str:
        """
        Return why *answer* breaks *response_format*, empty if it does not.

        The text is short and meant for a model to repair its answer by: one line a
        problem, each with a JSON pointer. It quotes no value of the answer.

        Raises InvalidArgument if the schema is none or takes too long, and Overloaded.
        """
        if not response_format.is_json:
            return ""
        try:
            value = load(answer)
        except JsonRefused as error:
            if answer.lstrip().startswith("```"):
                return "The answer is not JSON: write the JSON alone, without a code fence."
            return f"The answer {error}"
        if response_format.type is ResponseFormatType.JSON_OBJECT:
            return "" if isinstance(value, dict) else "The answer is JSON but not an object."
        schema = response_format.json_schema
        plan = self._plan_of(schema, SCHEMA_FIELD)
        steps = plan.parts * _most_values(answer)
        if plan.is_predictable and plan.is_usable and steps <= _MAX_STEPS_ON_LOOP:
            if validator(schema).is_valid(value):
                return ""
            if steps <= _MAX_STEPS_OF_PROBLEMS_ON_LOOP:
                return "\n".join(problems(schema, value))
        done = await self._work(SchemaWork(schema=schema, answer=answer), SCHEMA_FIELD)
        if not done.is_usable:
            raise InvalidArgument.field(SCHEMA_FIELD, _UNUSABLE)
        return "\n".join(done.problems)

    def _plan_of(self, schema: str, field: str) -> "_Plan":
        try:
            return self._plan(schema)
        except JsonRefused as error:
            raise InvalidArgument.field(field, str(error)) from None

    def _new_plan(self, schema: str) -> "_Plan":
        cost = schema_cost(load(schema, self._bounds.json))
        if cost.parts > self._bounds.max_parts:
            raise JsonRefused(
                f"comes to more than {self._bounds.max_parts} parts, each counted as often as "
                "it is referred to: make it simpler."
            )
        plan = _Plan(parts=cost.parts, is_predictable=cost.is_predictable)
        if cost.is_predictable:
            try:
                validator(schema)
                plan.is_usable = True
            except SchemaUnusable:
                plan.is_usable = False
        return plan

    async def _work(self, work: SchemaWork, field: str) -> SchemaWorkDone:
        try:
            return await asyncio.wrap_future(self._workers.submit(work))
        except WorkTooLong:
            raise InvalidArgument.field(field, _TOO_LONG) from None


@dataclass(slots=True, kw_only=True)
class _Plan:
    """What is known of a schema."""

    parts: int
    is_predictable: bool
    is_usable: bool | None = None
    """None while no worker has tried to compile it."""


def _most_values(text: str) -> int:
    """Return no less than the values that the JSON *text* holds."""
    return 1 + sum(map(text.count, "[{,:"))
