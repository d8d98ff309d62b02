"""The ledger as a file."""

import csv
from datetime import UTC, datetime

import pytest
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.chat.v1 import attempt_pb2, subject_pb2, usage_pb2
from parley_services.cli.costs.costs_export import COLUMNS, row_of, writing
from parley_services.kit.errors import InvalidArgument, StateForbids

from tests.support.parquet import FakeParquet


@pytest.fixture
def entry():
    entry = pb.LedgerEntry(
        sequence=7,
        tenant_id="acme",
        request_id="r1",
        attempt_number=1,
        account=pb.LEDGER_ACCOUNT_USAGE,
        subject=subject_pb2.Subject(tenant_id="acme", user_id="ada, countess"),
        provider="openai",
        model="gpt-4o",
        kind=attempt_pb2.ATTEMPT_KIND_FALLBACK,
        usage=usage_pb2.Usage(input_token_count=5, output_token_count=3, estimated=True),
        cost_nano_usd=42,
        tags={"b": "2", "a": '"1"'},
        row_hash=b"\x01\xff",
    )
    entry.create_time.FromDatetime(datetime(2026, 1, 31, 12, tzinfo=UTC))
    return entry


def test_csv_has_a_row_an_entry(tmp_path, entry):
    path = tmp_path / "ledger.csv"
    with writing(path) as sink:
        sink.write([row_of(entry), row_of(entry)])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert list(rows[0]) == list(COLUMNS)
    assert (
        rows[0]
        | {
            "create_time": "2026-01-31T12:00:00+00:00",
            "user_id": "ada, countess",
            "kind": "fallback",
            "estimated": "True",
            "cost_nano_usd": "42",
            "tags": '{"a":"\\"1\\"","b":"2"}',
            "row_hash": "01ff",
        }
        == rows[0]
    )


def test_parquet_has_typed_columns(tmp_path, entry):
    parquet = FakeParquet()
    path = tmp_path / "ledger.parquet"
    with writing(path, load=parquet.load) as sink:
        sink.write([row_of(entry)])
    assert path.read_bytes() == b"parquet"
    (file,) = parquet.files
    assert list(file.schema) == list(COLUMNS)
    assert file.schema["create_time"] == "timestamp[us, UTC]"
    assert file.schema["cost_nano_usd"] == "int64"
    assert file.tables == [[row_of(entry)]]
    assert file.closed


def test_an_export_that_breaks_off_leaves_the_file_before(tmp_path, entry):
    path = tmp_path / "ledger.csv"
    path.write_text("the one before")
    with pytest.raises(ZeroDivisionError), writing(path) as sink:
        sink.write([row_of(entry)])
        raise ZeroDivisionError
    assert path.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_parquet_without_its_extra_is_refused_with_its_name(tmp_path):
    def load(name):
        raise ImportError(name)

    with (
        pytest.raises(StateForbids, match="parquet"),
        writing(tmp_path / "ledger.parquet", load=load),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(InvalidArgument), writing(tmp_path / "ledger.xlsx"):
        pass
