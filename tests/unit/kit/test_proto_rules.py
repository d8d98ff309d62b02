"""What a proto's comment says of a limit is also a rule, which the suite enforces."""

import re
from pathlib import Path

import pytest

PROTOS = sorted(Path("protos/parley").rglob("*.proto"))

STATES_A_LIMIT = re.compile(
    r"\b((up to|at most|at least|from) \d|not empty|\d or (more|less)\b|above 0|required\b"
    r"|\d[\d,.]* (\(\w+\) )?to \d)|\[[a-z](-z|\])",
    re.IGNORECASE,
)

EXCEPTIONS = {
    "ChatRequest.text": "tokens are counted by the service, and a tool's answer needs no text",
    "CheckInputRequest.texts": "a setting; refused as INPUT_TOO_LARGE",
    "CheckOutputRequest.text": "a setting; refused as INPUT_TOO_LARGE",
    "CountTokensRequest.texts": "a sum over texts, which the service forms",
    "LookupRequest.text": "refused as INPUT_TOO_LARGE",
    "StoreRequest.text": "refused as INPUT_TOO_LARGE",
}

FIELD = re.compile(r"^ *(?:repeated |optional )?[\w.]+(?:<.*>)? (\w+) = \d+( \[|;)")


def fields(text):
    """Yield the name of each field with its message, its comment and its options."""
    messages, comment, lines = [], [], iter(text.splitlines())
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("//"):
            comment.append(stripped.removeprefix("//").strip())
            continue
        if opened := re.match(r"(message|enum|oneof|service|rpc)\b ?(\w*).*\{$", stripped):
            messages.append((opened[1], opened[2]))
        elif stripped == "}":
            messages.pop()
        elif found := FIELD.match(line):
            options = line
            while not line.endswith(";"):
                line = next(lines)
                options += line
            kinds = [name for kind, name in messages if kind == "message"]
            if kinds and messages[-1][0] in ("message", "oneof"):
                yield f"{kinds[-1]}.{found[1]}", " ".join(comment), options
        comment = []


FIELDS = [each for proto in PROTOS for each in fields(proto.read_text())]


def test_fields_are_found():
    assert len(FIELDS) > 500
    assert ("Attempt.number", "Its number in the turn, from 1.") in [each[:2] for each in FIELDS]


@pytest.mark.parametrize(
    ("name", "comment", "options"),
    [each for each in FIELDS if STATES_A_LIMIT.search(each[1])],
    ids=lambda value: value if re.fullmatch(r"\w+\.\w+", value) else "",
)
def test_a_limit_in_a_comment_is_a_rule(name, comment, options):
    assert "buf.validate" in options or name in EXCEPTIONS, comment


def test_exceptions_are_needed():
    without = {name for name, _, options in FIELDS if "buf.validate" not in options}
    assert set(EXCEPTIONS) <= without


def test_required_by_rule_is_required_by_behaviour():
    for name, _, options in FIELDS:
        if re.search(r"\.required = true", options):
            assert "REQUIRED" in options, name
