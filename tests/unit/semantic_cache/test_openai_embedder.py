import json

import httpx
import pytest
from parley_services.kit.errors import Overloaded
from parley_services.semantic_cache.embed.billing import Payer
from parley_services.semantic_cache.embed.embedder import EmbedderUnavailable
from parley_services.semantic_cache.embed.openai import OpenAIEmbedder

from tests.support.provider_server import Reply, provider_server


def reply(content, **fields):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Reply(chunks=[body], content_type="application/json", **fields)


def vector_of(*numbers):
    return reply({"data": [{"embedding": list(numbers)}]})


PAYER = Payer(tenant_id="acme", request_id="r1")


class MemoryBills:
    """Keeps what each call read; refuses while *full*."""

    def __init__(self, *, full=False):
        self.full = full
        self.begun = []
        self.ended = []

    def begin(self, payer, *, token_count):
        if self.full:
            raise Overloaded("The disk is full.")
        assert payer is PAYER
        self.begun.append(token_count)
        return len(self.begun)

    def end(self, number, payer, *, token_count, estimated):
        self.ended.append((number, token_count, estimated))


async def embed(server, *texts, **options):
    async with httpx.AsyncClient(trust_env=False) as client:
        embedder = OpenAIEmbedder(
            client,
            **{
                "bills": MemoryBills(),
                "base_url": f"{server.url}/v1/",
                "api_key": "secret",
                "model": "some/model",
                "dimension": 3,
                "timeout_seconds": 5.0,
                **options,
            },
        )
        for text in texts or ("How do I reset my password?",):
            vector = await embedder.embed(text, PAYER)
        return vector


async def test_it_asks_as_the_api_wants_it():
    async with provider_server(vector_of(1, 0.5, -2)) as server:
        assert await embed(server) == [1.0, 0.5, -2.0]
    [request] = server.requests
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == "Bearer secret"
    assert request.body == {
        "model": "some/model",
        "input": "How do I reset my password?",
        "encoding_format": "float",
    }


async def test_without_a_key_it_sends_none():
    async with provider_server(vector_of(1, 2, 3)) as server:
        await embed(server, api_key="")
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        reply({"error": "no"}, status=500),
        reply({"error": "slow down"}, status=429),
        reply(b"not JSON"),
        reply({"data": []}),
        reply({"data": [{"embedding": ["a"]}]}),
        vector_of(1.0, 2.0),
        reply(b'{"data": [{"embedding": [1, NaN, 2]}]}'),
        Reply(chunks=[None]),
    ],
    ids=["500", "429", "text", "empty", "words", "short", "nan", "cut"],
)
async def test_whatever_goes_wrong_is_an_embedder_that_is_away(answer):
    async with provider_server(answer) as server:
        with pytest.raises(EmbedderUnavailable):
            await embed(server)
    assert len(server.requests) == 1


async def test_a_server_that_hangs_is_given_up():
    async with provider_server(Reply(hangs=True)) as server:
        with pytest.raises(EmbedderUnavailable, match="ReadTimeout"):
            await embed(server, timeout_seconds=0.05)
        await server.hung_up.wait()


async def test_its_name_tells_model_and_dimension():
    async with httpx.AsyncClient(trust_env=False) as client:
        embedder = OpenAIEmbedder(
            client,
            base_url="http://localhost",
            api_key="",
            model="BAAI/bge-m3",
            dimension=1024,
            timeout_seconds=1.0,
            bills=MemoryBills(),
        )
        assert (embedder.name, embedder.dimension) == ("BAAI-bge-m3-1024", 1024)


async def test_what_the_endpoint_says_it_read_is_billed():
    bills = MemoryBills()
    answer = {"data": [{"embedding": [1, 2, 3]}], "usage": {"prompt_tokens": 6}}
    async with provider_server(reply(answer)) as server:
        await embed(server, bills=bills)
    assert (bills.begun, bills.ended) == ([7], [(1, 6, False)])


async def test_our_own_count_is_billed_where_the_endpoint_says_nothing():
    bills = MemoryBills()
    async with provider_server(vector_of(1, 2, 3)) as server:
        await embed(server, bills=bills)
    assert bills.ended == [(1, 7, True)]


@pytest.mark.parametrize(
    ("answer", "billed"),
    [
        (reply({"error": "no"}, status=500), (1, 0, False)),
        (Reply(chunks=[None]), (1, 7, True)),
        (vector_of(1.0, 2.0), (1, 7, True)),
    ],
    ids=["refused", "cut", "useless"],
)
async def test_a_failed_call_is_billed_unless_it_was_refused(answer, billed):
    bills = MemoryBills()
    async with provider_server(answer) as server:
        with pytest.raises(EmbedderUnavailable):
            await embed(server, bills=bills)
    assert bills.ended == [billed]


async def test_an_endpoint_that_cannot_be_reached_costs_nothing():
    bills = MemoryBills()
    async with provider_server(vector_of(1, 2, 3)) as server:
        pass
    with pytest.raises(EmbedderUnavailable):
        await embed(server, bills=bills)
    assert bills.ended == [(1, 0, False)]


async def test_a_text_is_not_paid_for_twice():
    bills = MemoryBills()
    async with provider_server(vector_of(1, 0.5, -2)) as server:
        assert await embed(server, "Hello", "Hello", bills=bills) == [1.0, 0.5, -2.0]
    assert len(bills.begun) == len(server.requests) == 1


async def test_what_cannot_be_written_down_is_not_asked_for():
    async with provider_server(vector_of(1, 2, 3)) as server:
        with pytest.raises(EmbedderUnavailable):
            await embed(server, bills=MemoryBills(full=True))
    assert server.requests == []
