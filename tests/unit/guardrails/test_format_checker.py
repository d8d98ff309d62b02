import asyncio
from concurrent.futures import Future
from contextlib import closing

import orjson
import pytest
from parley_services.guardrails.format.format_checker import FormatBounds, FormatChecker
from parley_services.guardrails.format.schema_validation import (
    SchemaUnusable,
    problems,
    validator,
)
from parley_services.guardrails.format.worker_pool import (
    SchemaWork,
    SchemaWorkDone,
    SchemaWorkers,
    WorkerBounds,
    WorkTooLong,
)
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.kit.errors import InvalidArgument, Overloaded

from tests.support.schemas import branching_schema, doubling_schema

SCHEMA = """{"type": "object", "required": ["a/b"], "additionalProperties": false,
 "properties": {"a/b": {"type": "integer"}, "c": {"type": "string", "pattern": "^(a+)+$"}}}"""
TREE = orjson.dumps(
    {"type": "object", "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}}
).decode()
JSON_OBJECT = ResponseFormat(type=ResponseFormatType.JSON_OBJECT)


class InlineWorkers:
    """`SchemaWorkers` that do the work at once and note it."""

    def __init__(self, *, too_long=False, full=False):
        self.works = []
        self._too_long = too_long
        self._full = full

    def submit(self, work):
        if self._full:
            raise Overloaded("full", retry_after_seconds=1.0)
        self.works.append(work)
        future = Future()
        if self._too_long:
            future.set_exception(WorkTooLong())
            return future
        try:
            validator(work.schema)
            found = () if work.answer is None else problems(work.schema, orjson.loads(work.answer))
            future.set_result(SchemaWorkDone(is_usable=True, problems=tuple(found)))
        except SchemaUnusable:
            future.set_result(SchemaWorkDone(is_usable=False))
        return future


def json_schema(schema=SCHEMA):
    text = schema if isinstance(schema, str) else orjson.dumps(schema).decode()
    return ResponseFormat(type=ResponseFormatType.JSON_SCHEMA, json_schema=text)


async def error(response_format, answer, workers=None):
    checker = FormatChecker(workers or InlineWorkers(), FormatBounds())
    await checker.require_usable(response_format)
    return await checker.format_error(response_format, answer)


async def test_any_text_is_text():
    assert await error(ResponseFormat(), "{") == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"x": 1}', ""),
        ("[1]", "The answer is JSON but not an object."),
        ('{"x": ', "The answer is not JSON: unexpected end of data at line 1 column 7."),
        ("[" * 100_000, "The answer is JSON nested deeper than 100: send it flatter."),
        (
            '```json\n{"x": 1}\n```',
            "The answer is not JSON: write the JSON alone, without a code fence.",
        ),
    ],
)
async def test_an_object_of_any_shape(answer, said):
    assert await error(JSON_OBJECT, answer) == said


async def test_a_schema_names_each_problem_without_quoting_the_answer():
    workers = InlineWorkers()
    said = await error(json_schema(), '{"a/b": "a secret", "d": 1}', workers)
    assert "At /a~1b: " in said
    assert "integer" in said
    assert "a secret" not in said
    assert await error(json_schema(), '{"a/b": 3}', workers) == ""
    assert workers.works == []


async def test_a_pattern_of_a_client_takes_linear_time():
    answer = '{"a/b": 1, "c": "' + "a" * 50_000 + '!"}'
    assert (await error(json_schema(), answer)).startswith("At /c: ")


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        '{"type": "nope"}',
        '{"$ref": "http://127.0.0.1:1/x"}',
        "3",
        "",
        "[" * 100_000,
        '{"not":' * 100_000,
        orjson.dumps(doubling_schema(24)).decode(),
        orjson.dumps({"enum": list(range(30_000))}).decode(),
        '{"description": "' + "x" * 300_000 + '"}',
    ],
    ids=lambda schema: schema[:20],
)
async def test_an_unusable_schema_is_refused(schema):
    with pytest.raises(InvalidArgument) as caught:
        await error(json_schema(schema), "{}")
    assert [each.field for each in caught.value.violations] == ["response_format.json_schema"]


async def test_what_is_not_predictable_is_left_to_the_workers():
    workers = InlineWorkers()
    assert await error(json_schema(TREE), '{"next": {"n": 1}}', workers) == ""
    assert "At /next/n" in await error(json_schema(TREE), '{"next": {"n": "x"}}', workers)
    assert [each.answer for each in workers.works] == [
        None,
        '{"next": {"n": 1}}',
        None,
        '{"next": {"n": "x"}}',
    ]


async def test_many_problems_are_left_to_the_workers():
    workers = InlineWorkers()
    answer = orjson.dumps({"a/b": 1, "c": "", "x": list(range(5_000))}).decode()
    assert await error(json_schema(), answer, workers)
    assert [each.answer for each in workers.works] == [answer]


async def test_a_schema_that_takes_too_long_is_refused():
    with pytest.raises(InvalidArgument, match="takes too long"):
        await error(json_schema(TREE), "{}", InlineWorkers(too_long=True))
    with pytest.raises(Overloaded):
        await error(json_schema(TREE), "{}", InlineWorkers(full=True))


class TestProcesses:
    async def test_a_process_answers_as_the_library_does(self):
        with closing(SchemaWorkers(WorkerBounds(seconds=60))) as workers:
            for schema, answer in ((TREE, '{"n": "x"}'), (TREE, "{}"), ('{"type": 3}', "{}")):
                inline = InlineWorkers().submit(SchemaWork(schema=schema, answer=answer)).result()
                done = workers.submit(SchemaWork(schema=schema, answer=answer))
                assert await asyncio.wrap_future(done) == inline

    async def test_one_that_takes_too_long_is_killed_and_the_next_one_answers(self):
        answer = '{"a":' * 30 + "{}" + "}" * 30
        branching = orjson.dumps(branching_schema()).decode()
        with closing(SchemaWorkers(WorkerBounds(seconds=0.5))) as workers:
            checker = FormatChecker(workers, FormatBounds())
            with pytest.raises(InvalidArgument, match="takes too long"):
                await checker.format_error(json_schema(branching), answer)
            assert (await asyncio.wrap_future(workers.submit(SchemaWork(schema="{}")))).is_usable

    async def test_one_that_takes_too_much_memory_ends(self):
        answer = orjson.dumps(["x" * 1_000] * 200_000).decode()
        bounds = WorkerBounds(seconds=60, memory_bytes=128 * 1024 * 1024)
        with closing(SchemaWorkers(bounds)) as workers:
            work = workers.submit(SchemaWork(schema=TREE, answer=answer))
            with pytest.raises(WorkTooLong):
                await asyncio.wrap_future(work)

    async def test_more_than_may_wait_is_refused(self):
        with closing(SchemaWorkers(WorkerBounds(max_waiting=1, seconds=60))) as workers:
            first = workers.submit(SchemaWork(schema="{}"))
            with pytest.raises(Overloaded):
                workers.submit(SchemaWork(schema="{}"))
            assert (await asyncio.wrap_future(first)).is_usable
