"""`parley cache` against a real server."""

import asyncio

import grpc
import pytest
from parley.chat.v1 import answer_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc
from parley_services.cli.cache import app
from parley_services.kit.rpc.interceptors import interceptors_for_tcp
from parley_services.semantic_cache.app import open_semantic_cache
from parley_services.semantic_cache.settings import SemanticCacheSettings
from typer.testing import CliRunner

PARTITION = pb.Partition(tenant_id="acme", template="faq", template_version=2)


@pytest.fixture
async def served(tmp_path, clock, monkeypatch):
    """A stub of a cache that the commands reach."""
    settings = SemanticCacheSettings(data_dir=tmp_path, show_original_text=True)
    async with open_semantic_cache(settings, clock=clock) as register:
        server = grpc.aio.server(interceptors=interceptors_for_tcp())
        port = server.add_insecure_port("127.0.0.1:0")
        register(server)
        await server.start()
        monkeypatch.setenv("PARLEY_CLI_ADDRESS", f"127.0.0.1:{port}")
        monkeypatch.setenv("PARLEY_PEERS_SEMANTIC_CACHE", f"127.0.0.1:{port}")
        monkeypatch.setenv("COLUMNS", "200")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield pb_grpc.SemanticCacheServiceStub(channel)
        await server.stop(None)


async def run(*arguments, given=None):
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=given)


async def store(stub, text, **fields):
    answer = pb.Answer(
        text="An answer.", finish_reason=answer_pb2.FINISH_REASON_STOP, cost_nano_usd=2_000_000_000
    )
    request = {"partition": PARTITION, "text": text, "answer": answer, **fields}
    return await stub.Store(pb.StoreRequest(request_id="r0", **request), timeout=60)


def row_of(result, first):
    row = next(line for line in result.stdout.splitlines() if first in line)
    return [cell.strip() for cell in row.split("│")[1:-1]]


async def test_stats_show_what_happened(served):
    kept = await store(served, "Convert 10 USD to EUR")
    await store(served, "What is the weather today?")
    for text in ("Convert 10 USD to EUR", "Convert 20 USD to EUR"):
        await served.Lookup(pb.LookupRequest(partition=PARTITION, text=text), timeout=60)
    report = pb.ReportHitRequest(tenant_id="acme", entry_id=kept.entry_id, correct=True)
    await served.ReportHit(report, timeout=60)
    result = await run("stats")
    assert result.exit_code == 0, result.output
    row = row_of(result, "acme")
    assert row[:7] == ["acme", "faq", "1", "2", "1 (50%)", "0 (0%)", "0 (0%)"]
    assert row[8].startswith("0.0% (0.0% to")
    assert "Misses: refused 1" in result.stdout
    assert "Candidates refused: number_changed 1" in result.stdout
    assert "Answers not kept: time_bound 1" in result.stdout
    assert "1 entries," in result.stdout


async def test_explain_shows_why_each_entry_is_refused(served):
    await store(served, "Convert 10 USD to EUR")
    result = await run("explain", "Convert 20 USD to EUR", "--tenant", "acme")
    assert result.exit_code == 0, result.output
    assert "number_changed" in result.stdout
    assert "partition:template,template_version" in result.stdout
    assert "Convert 10 USD to EUR" in result.stdout
    nobody = await run("explain", "Convert 20 USD to EUR", "--tenant", "umbrella")
    assert "No entry of the tenant is near." in nobody.stdout


async def test_purge_removes_by_tag_and_asks_before_it_removes_all(served):
    await store(served, "one question", tags=["faq"])
    await store(served, "another question")
    tagged = await run("purge", "--tenant", "acme", "--tag", "faq")
    assert "Removed 1 entries." in tagged.stdout
    declined = await run("purge", "--tenant", "acme", given="n\n")
    assert declined.exit_code == 1
    all_of_them = await run("purge", "--tenant", "acme", "--yes")
    assert "Removed 1 entries." in all_of_them.stdout


async def test_what_the_service_refuses_is_said(served):
    result = await run("purge", "--tenant", "acme", "--entry", "nonsense")
    assert result.exit_code == 1
    assert "INVALID_ARGUMENT" in result.output
