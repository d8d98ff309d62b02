import contextvars
import io
import json
import logging

import pytest
import structlog
from parley_services.kit import log
from parley_services.kit.rpc import request_context


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def configure():
    """Configures logging and puts everything back afterwards."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers = list(root.handlers)

    def configure(level="info", stream=None):
        stream = stream or io.StringIO()
        log.configure(level, stream=stream)
        return stream

    yield configure
    structlog.configure(**before)
    root.handlers[:] = handlers


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_is_json(configure):
    stream = configure()
    structlog.get_logger().info("rpc", method="/parley.x/Y", code="OK", seconds=0.5)

    [line] = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "rpc",
        "level": "info",
        "method": "/parley.x/Y",
        "code": "OK",
        "seconds": 0.5,
    }


def test_fields_that_are_not_allowed_are_dropped_and_counted(configure):
    stream = configure()
    structlog.get_logger().info("turn", prompt="secret", answer="secret", model="m")

    [line] = lines(stream)
    assert "secret" not in str(line)
    assert (line["model"], line["dropped"]) == ("m", 2)


def test_long_values_are_cut(configure):
    stream = configure()
    structlog.get_logger().info("rpc", method="x" * 10_000)

    assert len(lines(stream)[0]["method"]) == log.MAX_VALUE_CHARACTERS


def test_lines_below_the_level_are_not_written(configure):
    stream = configure("warning")
    structlog.get_logger().info("rpc")
    structlog.get_logger().warning("late")

    assert [line["event"] for line in lines(stream)] == ["late"]


def test_exception_is_logged_by_its_class_and_where_it_came_from(configure):
    stream = configure()
    secret_local = "secret prompt"
    try:
        raise ValueError(secret_local)
    except ValueError:
        structlog.get_logger().exception("rpc")

    [line] = lines(stream)
    assert line["error"] == "builtins.ValueError"
    assert "test_exception_is_logged" in line["frames"][0]
    assert "secret" not in stream.getvalue()


def test_exception_given_as_an_object(configure):
    stream = configure()
    structlog.get_logger().error("rpc", exc_info=KeyError("secret"))

    assert lines(stream)[0]["error"] == "builtins.KeyError"


def test_library_warnings_become_lines_without_their_arguments(configure):
    stream = configure()
    logging.getLogger("some.library").warning("could not send %s", "secret")
    logging.getLogger("some.library").info("all is well")

    [line] = lines(stream)
    assert (line["event"], line["logger"]) == ("could not send %s", "some.library")


def test_terminal_gets_text(configure):
    stream = configure(stream=Terminal())
    structlog.get_logger().info("rpc", method="/parley.x/Y", prompt="secret")

    assert "/parley.x/Y" in stream.getvalue()
    assert "secret" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_line_belongs_to_the_request_that_is_served(configure):
    stream = configure()
    trace_id = "0af7651916cd43dd8448eb211c80319c"

    def serve():
        request_context.enter(
            request_context.RequestContext(
                request_id="r-1", traceparent=f"00-{trace_id}-b7ad6b7169203331-01"
            )
        )
        request_context.bind(tenant_id="acme")
        structlog.get_logger().info("rpc")
        structlog.get_logger().info("rpc", request_id="another")

    contextvars.copy_context().run(serve)
    structlog.get_logger().info("rpc")

    first, second, outside = lines(stream)
    assert (first["request_id"], first["trace_id"], first["tenant_id"]) == (
        "r-1",
        trace_id,
        "acme",
    )
    assert second["request_id"] == "another"
    assert {"request_id", "trace_id", "tenant_id"}.isdisjoint(outside)
