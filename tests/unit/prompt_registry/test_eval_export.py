from datetime import UTC, datetime, timedelta

import orjson
import pytest
from parley_services.cli.prompts.evals import moment
from parley_services.kit.errors import InvalidArgument, StateForbids
from parley_services.prompt_registry.experiments.shadow import ShadowComparison
from parley_services.prompt_registry.outcomes.eval_export import (
    COLUMNS,
    TEXT_COLUMNS,
    row_of,
    writing,
)
from parley_services.prompt_registry.outcomes.outcome import Evaluation, TurnTexts

from tests.support.parquet import FakeParquet
from tests.support.prompts import START, outcome

COMPARED = ShadowComparison(
    length_ratio=0.5,
    similarity=0.25,
    answer_format_valid=True,
    shadow_format_valid=False,
    answer_latency_seconds=0.125,
    answer_cost_nano_usd=7,
)
PLAIN = Evaluation(outcome=outcome(cost_nano_usd=9), stars=4, comment="good")
BESIDE = Evaluation(
    outcome=outcome("r2", is_shadow=True, comparison=COMPARED),
    texts=TurnTexts(input_text="call [PHONE]", output_text="I did"),
)


def test_a_row_has_every_column_and_no_text_unless_it_is_asked_for():
    row = row_of(PLAIN, texts=False)
    assert list(row) == list(COLUMNS)
    assert (row["request_id"], row["cost_nano_usd"], row["stars"]) == ("r1", 9, 4)
    assert row["similarity"] is None
    assert row_of(BESIDE, texts=False)["similarity"] == 0.25
    with_texts = row_of(BESIDE, texts=True)
    assert list(with_texts) == [*COLUMNS, *TEXT_COLUMNS]
    assert with_texts["input_text"] == "call [PHONE]"
    assert row_of(PLAIN, texts=True)["comment"] == "good"


def test_jsonl_has_a_line_a_turn(tmp_path):
    path = tmp_path / "turns.jsonl"
    with writing(path, texts=False) as sink:
        sink.write(PLAIN)
        sink.write(BESIDE)
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [row["request_id"] for row in rows] == ["r1", "r2"]
    assert rows[0]["end_time"] == "2026-01-01T00:00:00Z"
    assert b"call" not in path.read_bytes()


def test_parquet_has_typed_columns_and_is_written_in_groups(tmp_path):
    parquet = FakeParquet()
    path = tmp_path / "turns.parquet"
    with writing(path, texts=True, load=parquet.load) as sink:
        for _ in range(10_001):
            sink.write(PLAIN)
    (file,) = parquet.files
    assert file.path == str(path)
    assert list(file.schema) == [*COLUMNS, *TEXT_COLUMNS]
    assert file.schema["end_time"] == "timestamp[us, UTC]"
    assert [len(table) for table in file.tables] == [10_000, 1]
    assert file.closed


def test_parquet_without_its_extra_is_refused_with_its_name(tmp_path):
    def load(name):
        raise ImportError(name)

    with (
        pytest.raises(StateForbids, match="parquet"),
        writing(tmp_path / "turns.parquet", texts=False, load=load),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(InvalidArgument), writing(tmp_path / "turns.csv", texts=False):
        pass


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("30m", START - timedelta(minutes=30)),
        ("24h", START - timedelta(hours=24)),
        ("7d", START - timedelta(days=7)),
        ("2025-12-31", datetime(2025, 12, 31, tzinfo=UTC)),
        ("2025-12-31T12:00+01:00", datetime(2025, 12, 31, 11, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_span_before_now_or_a_point(text, at):
    assert moment("since", text, now=START) == at


@pytest.mark.parametrize("text", ["yesterday", "7", "7w", "-7d"])
def test_another_time_is_refused_by_its_option(text):
    with pytest.raises(InvalidArgument) as caught:
        moment("since", text, now=START)
    assert [each.field for each in caught.value.violations] == ["--since"]
