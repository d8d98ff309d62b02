"""
Checks answers against JSON Schemas in a process of its own, which may be killed.

The library that does it cannot be stopped, and for some schemas it takes time and memory
that grow as powers of two. `python -m` this module reads one frame after the other from
standard input and writes one for each; it ends when standard input does.

A frame is its length as four bytes, big end first, and its content, which is JSON. The first
one says that the process is ready.
"""

import resource
import sys
from typing import BinaryIO

import orjson

from parley_services.guardrails.format.schema_validation import (
    SchemaUnusable,
    problems,
    validator,
)


def read_frame(stream: BinaryIO) -> bytes | None:
    """Return the next frame of *stream*, None at its end."""
    header = stream.read(4)
    if len(header) < 4:
        return None
    return stream.read(int.from_bytes(header))


def frame(data: bytes) -> bytes:
    """Return *data* as a frame."""
    return len(data).to_bytes(4) + data


def answer(request: bytes) -> bytes:
    """Return what *request*, a schema and perhaps an answer, comes to."""
    asked = orjson.loads(request)
    try:
        if asked["answer"] is None:
            validator(asked["schema"])
            return orjson.dumps({"problems": []})
        return orjson.dumps({"problems": problems(asked["schema"], orjson.loads(asked["answer"]))})
    except SchemaUnusable:
        return orjson.dumps({"unusable": True})


def main() -> None:
    """Serve until standard input ends. The first argument is the most memory, in bytes."""
    most = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.stdout.buffer.write(frame(b"ready"))
    sys.stdout.buffer.flush()
    while (request := read_frame(sys.stdin.buffer)) is not None:
        sys.stdout.buffer.write(frame(answer(request)))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
