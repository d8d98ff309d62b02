"""
The evaluation log as files: JSONL, and Parquet with the extra `parquet`. Imports no grpc.

One row a turn, the same columns in both. Texts are columns only where they are asked for.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from parley_services.kit.errors import InvalidArgument
from parley_services.kit.storage.parquet import Load, parquet_writer
from parley_services.prompt_registry.outcomes.outcome import Evaluation, TurnTexts

COLUMNS: Final[Mapping[str, str]] = {
    "request_id": "text",
    "tenant_id": "text",
    "user_id": "text",
    "template": "text",
    "version": "integer",
    "experiment_id": "text",
    "arm": "text",
    "is_shadow": "boolean",
    "model": "text",
    "finish_reason": "text",
    "error_reason": "text",
    "guardrail_blocked": "boolean",
    "format_failed": "boolean",
    "source": "text",
    "input_token_count": "integer",
    "cached_input_token_count": "integer",
    "cache_write_token_count": "integer",
    "output_token_count": "integer",
    "reasoning_token_count": "integer",
    "estimated": "boolean",
    "cost_nano_usd": "integer",
    "latency_seconds": "real",
    "first_delta_seconds": "real",
    "end_time": "time",
    "stars": "integer",
    "length_ratio": "real",
    "similarity": "real",
    "answer_format_valid": "boolean",
    "shadow_format_valid": "boolean",
    "answer_latency_seconds": "real",
    "answer_cost_nano_usd": "integer",
}
"""The columns with what they hold. The last six are of arms that ran beside the answer."""

TEXT_COLUMNS: Final[Mapping[str, str]] = {
    "comment": "text",
    "input_text": "text",
    "output_text": "text",
}
"""Columns of what people wrote."""

_ROWS_AT_ONCE = 10_000
"""Rows of one row group of Parquet: the most that wait in memory."""


class Sink(Protocol):
    """Takes evaluations into a file."""

    def write(self, evaluation: Evaluation) -> None: ...


def row_of(evaluation: Evaluation, *, texts: bool) -> dict[str, Any]:
    """Return one turn as a row; *texts*: with what people wrote."""
    outcome, usage = evaluation.outcome, evaluation.outcome.usage
    compared = outcome.comparison
    row: dict[str, Any] = {
        **{
            name: getattr(outcome, name)
            for name in COLUMNS
            if hasattr(outcome, name) and name not in ("finish_reason", "source")
        },
        **{name: getattr(usage, name) for name in COLUMNS if hasattr(usage, name)},
        "finish_reason": outcome.finish_reason.key,
        "source": outcome.source.key,
        "stars": evaluation.stars or None,
        **{
            name: None if compared is None else getattr(compared, name)
            for name in (
                "length_ratio",
                "similarity",
                "answer_format_valid",
                "shadow_format_valid",
                "answer_latency_seconds",
                "answer_cost_nano_usd",
            )
        },
    }
    ordered = {name: row[name] for name in COLUMNS}
    if texts:
        said = evaluation.texts or TurnTexts()
        ordered |= {
            "comment": evaluation.comment,
            "input_text": said.input_text,
            "output_text": said.output_text,
        }
    return ordered


@contextmanager
def writing(path: Path, *, texts: bool, load: Load = importlib.import_module) -> Iterator[Sink]:
    """
    Yield what takes evaluations into *path*, by its suffix `.jsonl` or `.parquet`.

    A file that is there is replaced. Raises InvalidArgument for another suffix, StateForbids
    if Parquet is asked for without the extra. *load* imports a module by its name.
    """
    match path.suffix:
        case ".jsonl":
            with path.open("wb") as file:
                yield _Jsonl(file.write, texts=texts)
        case ".parquet":
            columns = {**COLUMNS, **(TEXT_COLUMNS if texts else {})}
            with parquet_writer(path, columns, instead="use .jsonl", load=load) as write:
                sink = _Parquet(write, texts=texts)
                yield sink
                sink.flush()
        case _:
            raise InvalidArgument.field(str(path), "Name a file that ends in .jsonl or .parquet.")


class _Jsonl:
    def __init__(self, write: Callable[[bytes], object], *, texts: bool) -> None:
        self._write = write
        self._texts = texts

    def write(self, evaluation: Evaluation) -> None:
        row = row_of(evaluation, texts=self._texts)
        self._write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))


class _Parquet:
    def __init__(self, flush: Callable[[list[dict[str, Any]]], None], *, texts: bool) -> None:
        self._flush = flush
        self._texts = texts
        self._rows: list[dict[str, Any]] = []

    def write(self, evaluation: Evaluation) -> None:
        self._rows.append(row_of(evaluation, texts=self._texts))
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._flush(self._rows)
            self._rows = []
