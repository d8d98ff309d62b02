"""
Sets up logging: one JSON object a line, or coloured text on a terminal.

A line holds only fields of `ALLOWED_FIELDS`; others are dropped and counted in
`dropped`, so that no prompt, answer, key or header gets into a log by accident.

Each line that is logged while a request is served also has `request_id`, `trace_id` and
`tenant_id`, as far as they are known (`kit.rpc.request_context`).
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import orjson
import structlog

from parley_services.kit.rpc import request_context

ALLOWED_FIELDS: Final = frozenset(
    {
        # What each line has.
        "event",
        "level",
        "timestamp",
        "logger",
        "error",
        "frames",
        "dropped",
        # The process.
        "address",
        "port",
        "service",
        "services",
        "serving",
        "signal",
        "version",
        "placement",
        "path",
        # Background work.
        "work",
        "failure_count",
        # An RPC, a turn, a job.
        "method",
        "code",
        "seconds",
        "request_id",
        "trace_id",
        "reason",
        "peer",
        "stage",
        "job_id",
        "state",
        "finish_reason",
        "degraded",
        # What was decided.
        "tenant_id",
        "key_id",
        "rule_id",
        "template",
        "template_version",
        "arm",
        "cache_status",
        "similarity",
        "provider",
        "model",
        "attempt",
        "attempts",
        "error_kind",
        "breaker",
        "budget_id",
        "reservation_id",
        "sequence",
        # Counts and sizes.
        "count",
        "limit",
        "size_bytes",
        "input_token_count",
        "output_token_count",
        "cost_nano_usd",
        "retry_after_seconds",
    }
)

MAX_VALUE_CHARACTERS: Final = 256

_least_level = logging.DEBUG

EventDict = MutableMapping[str, Any]


def configure(level: str = "info", *, stream: TextIO | None = None) -> None:
    """
    Log lines of at least *level* to *stream*, by default standard error.

    Warnings of libraries become lines too, by the template of their message alone: its
    arguments may hold anything.
    """
    global _least_level
    stream = stream or sys.stderr
    number = _least_level = logging.getLevelNamesMapping()[level.upper()]
    processors: list[Any] = [
        add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if stream.isatty():
        processors += [
            keep_allowed_fields,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
        factory: Any = structlog.WriteLoggerFactory(file=stream)
    else:
        processors += [
            frames_of_exception,
            keep_allowed_fields,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
        factory = structlog.WriteLoggerFactory(file=stream)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryLines(level=max(number, logging.WARNING))]


def logs_debug() -> bool:
    """Whether lines at debug are logged, for callers that would make many of them."""
    return _least_level <= logging.DEBUG


def add_request(logger: Any, name: str, event: EventDict) -> EventDict:
    """Add what is known of the request that the running task serves, unless the line says it."""
    context = request_context.current()
    if context is not request_context.NO_REQUEST:
        for field in ("request_id", "trace_id", "tenant_id"):
            if value := getattr(context, field):
                event.setdefault(field, value)
    return event


def keep_allowed_fields(logger: Any, name: str, event: EventDict) -> EventDict:
    """Drop what may not be logged, count it in `dropped`, and cut long texts."""
    kept: EventDict = {}
    dropped = 0
    for key, value in event.items():
        if key == "exc_info":
            kept[key] = value
        elif key not in ALLOWED_FIELDS:
            dropped += 1
        elif isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
            kept[key] = value[:MAX_VALUE_CHARACTERS]
        else:
            kept[key] = value
    if dropped:
        kept["dropped"] = dropped
    return kept


def frames_of_exception(logger: Any, name: str, event: EventDict) -> EventDict:
    """
    Replace `exc_info` by `error`, its class, and `frames`, where it came from.

    Neither the exception's message nor local variables are logged: both may quote a
    prompt, as pydantic's errors do.
    """
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
        event["frames"] = _frames(error.__traceback__)
    return event


def _frames(start: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(start)
    return [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]


def _to_json(event: EventDict, default: Any = None, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


class _LibraryLines(logging.Handler):
    """Turns a record of the standard library's logging into a line of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, str(record.msg), logger=record.name, exc_info=record.exc_info or None
        )
