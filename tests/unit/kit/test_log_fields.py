"""Every field that the code logs is one that the allow-list keeps."""

import ast
from pathlib import Path

import pytest
from parley_services.kit.log import ALLOWED_FIELDS

SERVICES = Path("services/parley_services")
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log", "bind"}


def log_calls():
    """Yield each call of a module's `log`, with the module's tree."""
    for path in sorted(SERVICES.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=method)) if (
                    method in METHODS
                ):
                    yield f"{path.relative_to(SERVICES)}:{node.lineno}", tree, node


def fields_of(tree, call):
    """Return the fields of *call*, those of `**fields` and `**self._fields()` included."""
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg
            continue
        match keyword.value:
            case ast.Name(id=name):
                found = [
                    node.value
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
                ]
            case ast.Call(func=ast.Attribute(attr=name)):
                found = [
                    each.value
                    for node in ast.walk(tree)
                    if isinstance(node, ast.FunctionDef) and node.name == name
                    for each in ast.walk(node)
                    if isinstance(each, ast.Return)
                ]
            case _:
                found = []
        assert found, f"the fields of {ast.unparse(keyword.value)} cannot be read"
        for each in found:
            assert isinstance(each, ast.Dict), ast.unparse(each)
            yield from (key.value for key in each.keys)


CALLS = list(log_calls())


def test_calls_are_found():
    assert len(CALLS) > 40


@pytest.mark.parametrize(
    ("tree", "call"), [each[1:] for each in CALLS], ids=[each[0] for each in CALLS]
)
def test_no_field_is_dropped(tree, call):
    assert set(fields_of(tree, call)) - ALLOWED_FIELDS <= {"exc_info"}
