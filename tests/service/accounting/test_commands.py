"""`parley costs`, `parley keys` and `parley ledger` against a real server, as processes."""

import csv
import gzip
import io
import sqlite3
from contextlib import AsyncExitStack, closing

import grpc
import pytest
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import subject_pb2
from parley_services.accounting.app import open_accounting
from parley_services.accounting.reports.archive import Checkpoint, Part
from parley_services.accounting.reports.archive_files import ArchiveFolder
from parley_services.accounting.reports.costs import EntryQuery
from parley_services.accounting.settings import AccountingSettings

from tests.service.accounting.calls import settle
from tests.support import commands
from tests.support.clock import ManualClock
from tests.support.ledger import open_replica
from tests.support.ledger import settle as settlement
from tests.support.serving import our_interceptors


@pytest.fixture
async def address(tmp_path):
    """Accounting on a port of its own."""
    async with AsyncExitStack() as stack:
        register = await stack.enter_async_context(
            open_accounting(AccountingSettings(data_dir=tmp_path))
        )
        server = grpc.aio.server(interceptors=our_interceptors("tcp"))
        port = server.add_insecure_port("127.0.0.1:0")
        register(server)
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(None)


@pytest.fixture
async def booked(address):
    """Two users' turns, two of them tagged."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.AccountingServiceStub(channel)
        for number, user in enumerate(["ada", "bob", "ada"]):
            subject = subject_pb2.Subject(tenant_id="acme", user_id=user)
            tags = {"app": "help"} if user == "ada" else {}
            await stub.Settle(settle(f"r{number}", subject, cost=10**9, tags=tags))


@pytest.fixture
def parley(address, booked):
    """Runs a command: `code, out = await parley("costs", "summary")`."""

    async def run(*arguments):
        return await commands.parley(*arguments, PARLEY_PEERS_ACCOUNTING=address)

    return run


async def test_costs_are_shown_with_a_chart(parley):
    code, out = await parley("costs", "summary", "--by", "user")
    assert code == 0, out
    ada, bob = (line for line in out.splitlines() if "ada" in line or "bob" in line)
    assert "$2.000000" in ada
    assert ada.count("█") == 2 * bob.count("█") == 30


async def test_costs_are_given_as_csv_by_tag(parley):
    code, out = await parley("costs", "summary", "--by", "tag:app", "--csv")
    assert code == 0, out
    rows = {row["name"]: row["cost_nano_usd"] for row in csv.DictReader(io.StringIO(out))}
    assert rows == {"help": "2000000000", "": "1000000000"}


async def test_costs_of_a_time_and_of_a_turn(parley):
    code, out = await parley("costs", "summary", "--since", "2020-01-01", "--until", "2020-02-01")
    assert code == 0, out
    assert "ada" not in out
    code, out = await parley("costs", "turn", "r1", "--tenant", "acme")
    assert code == 0, out
    assert "In all $1.000000." in out
    code, out = await parley("costs", "turn", "none", "--tenant", "acme")
    assert code == 1
    assert "NOT_FOUND" in out


async def test_the_ledger_is_exported(parley, tmp_path):
    path = tmp_path / "ledger.csv"
    code, out = await parley("costs", "export", path, "--tenant", "acme")
    assert (code, out) == (0, f"3 entries are in {path}.\n")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user_id"] for row in rows] == ["ada", "bob", "ada"]
    code, out = await parley("costs", "export", path, "--tenant", "acme", "--until", "2020-01-01")
    assert (code, out) == (0, f"0 entries are in {path}.\n")
    code, out = await parley("costs", "export", tmp_path / "ledger.xlsx")
    assert code == 2
    assert ".parquet" in out
    code, out = await parley("costs", "export", tmp_path / "nowhere" / "ledger.csv")
    assert code == 2
    assert "cannot be written" in out


async def test_a_ledger_that_fits_and_one_that_does_not(parley, tmp_path):
    code, out = await parley("ledger", "verify")
    assert (code, out) == (0, "3 entries fit.\n")
    with closing(sqlite3.connect(tmp_path / "accounting.db")) as connection, connection:
        connection.execute(
            "UPDATE usage_counters SET total_used_nano_usd = 7 WHERE key_text LIKE 'user%'"
        )
    code, out = await parley("ledger", "verify", "--tenant", "acme")
    assert code == 1
    assert "balance: user/ada of acme has $0.000000, but the entries say $2.000000" in out


async def test_archived_entries_are_verified_from_their_files(parley, address, tmp_path):
    async with open_replica(f"sqlite:///{tmp_path}/old.db", ManualClock()) as replica:
        for number in range(3):
            await replica.accounting.settle(settlement(f"r{number}"))
        entries = await replica.reader.entries(EntryQuery(tenant_id="acme"))
    part = Part(checkpoint=Checkpoint(tenant_id="acme"), entries=entries)
    await ArchiveFolder(tmp_path / "archive").keep(part)
    code, out = await parley("ledger", "verify-archive", tmp_path / "archive" / "acme")
    last = entries[-1].row_hash.hex()
    assert (code, out) == (0, f"3 entries fit. The last is 3, with the hash\n{last}\n")
    (file,) = (tmp_path / "archive" / "acme").iterdir()
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(lines[0] + lines[2]))
    code, out = await parley("ledger", "verify-archive", tmp_path / "archive" / "acme")
    assert (code, out) == (1, "missing: entry 2\n")


async def test_a_key_is_made_listed_and_revoked(parley):
    code, out = await parley("keys", "create", "--tenant", "acme", "--name", "ci")
    assert code == 0, out
    key_id, secret = out.split()
    assert secret.startswith("parley_")
    assert (await parley("keys", "revoke", key_id))[0] == 0
    code, out = await parley("keys", "list", "--tenant", "acme")
    assert "revoked" in next(line for line in out.splitlines() if key_id in line)
