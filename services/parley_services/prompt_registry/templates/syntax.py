"""
The part of Jinja2 that templates may use. Imports neither grpc nor protobuf.

Templates print variables, choose, loop over lists and apply a few filters. Everything else
is refused when a version is made: includes, imports, macros, calls, assignments,
multiplication, and text that could grow without bound. So a render needs no watchdog: two
nested loops over lists of bounded length, and filters whose result is bounded by their input.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson
from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from parley_services.kit.errors import FieldViolation

MAX_TEXT_CHARACTERS: Final = 64_000
"""The longest system or user text of a version."""

MAX_NODES: Final = 5_000
"""The most parts of a text."""

MAX_LOOP_DEPTH: Final = 2
MAX_DEPTH: Final = 50
"""The deepest nesting of parts: Python compiles what Jinja2 makes of them."""

MAX_FILTER_ARGUMENT: Final = 16
"""The longest text, or the greatest number of digits, given to a filter."""

FILTERS: Final = frozenset(
    {
        "abs", "capitalize", "default", "first", "float", "int", "join", "last", "length",
        "lower", "reverse", "round", "sort", "string", "title", "tojson", "trim", "truncate",
        "unique", "upper", "wordcount",
    }
)  # fmt: skip
"""Filters whose result is not much longer than what they are given."""

TESTS: Final = frozenset(
    {
        "boolean", "defined", "divisibleby", "even", "false", "float", "in", "integer", "mapping",
        "none", "number", "odd", "sequence", "string", "true", "undefined",
        "eq", "ne", "lt", "le", "gt", "ge",
    }
)  # fmt: skip

_ALLOWED: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.List,
    nodes.Tuple,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Filter,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Add,
    nodes.Sub,
    nodes.Concat,
    nodes.Getattr,
    nodes.Getitem,
)


def new_environment() -> ImmutableSandboxedEnvironment:
    """Return the environment that all templates are compiled in: no loader, no globals."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.clear()
    environment.filters = {
        name: function for name, function in environment.filters.items() if name in FILTERS
    }
    environment.filters["tojson"] = _to_json
    environment.tests = {name: test for name, test in environment.tests.items() if name in TESTS}
    return environment


def syntax_violations(
    environment: ImmutableSandboxedEnvironment,
    field_path: str,
    text: str,
    variables: frozenset[str],
) -> Iterator[FieldViolation]:
    """Yield what is wrong with *text*, which may use *variables* and no others."""
    if len(text) > MAX_TEXT_CHARACTERS:
        yield _wrong(field_path, f"Use at most {MAX_TEXT_CHARACTERS} characters.")
        return
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        yield _wrong(field_path, f"Line {error.lineno}: {error.message}")
        return
    except RecursionError:
        yield _wrong(field_path, f"Nest at most {MAX_DEPTH} parts.")
        return
    check = _Check(field_path)
    check.visit(tree, depth=0, loops=0)
    yield from check.found
    if not check.found:
        for name in sorted(names_used(tree) - variables):
            yield _wrong(field_path, f"Declare the variable {name[:64]}, or do not use it.")


def names_used(tree: nodes.Template) -> set[str]:
    """Return the names that *tree* reads and does not bind itself by a loop."""
    found: set[str] = set()
    _collect_names(tree, frozenset(), found)
    return found


def _collect_names(node: nodes.Node, bound: frozenset[str], found: set[str]) -> None:
    if isinstance(node, nodes.Name):
        if node.ctx == "load" and node.name not in bound:
            found.add(node.name)
        return
    if isinstance(node, nodes.For):
        _collect_names(node.iter, bound, found)
        targets = {each.name for each in node.find_all(nodes.Name) if each.ctx == "store"}
        bound = bound | targets | {"loop"}
        for child in (*node.body, *((node.test,) if node.test else ())):
            _collect_names(child, bound, found)
        for child in node.else_:
            _collect_names(child, bound - {"loop"}, found)
        return
    for child in node.iter_child_nodes():
        _collect_names(child, bound, found)


class _Check:
    """Walks a tree and notes what the language of templates lacks."""

    def __init__(self, field_path: str) -> None:
        self.found: list[FieldViolation] = []
        self._field_path = field_path
        self._count = 0

    def visit(self, node: nodes.Node, *, depth: int, loops: int) -> None:
        self._count += 1
        if self._count > MAX_NODES or depth > MAX_DEPTH:
            self._refuse(node, f"Use at most {MAX_NODES} parts, nested at most {MAX_DEPTH} deep.")
            return
        if not isinstance(node, _ALLOWED):
            self._refuse(node, f"{type(node).__name__} is not part of the template language.")
            return
        match node:
            case nodes.For():
                loops += 1
                if node.recursive or loops > MAX_LOOP_DEPTH:
                    self._refuse(node, f"Nest at most {MAX_LOOP_DEPTH} loops, not recursive.")
                    return
            case nodes.Filter():
                self._check_filter(node)
            case nodes.Test() if node.name not in TESTS:
                self._refuse(node, f"There is no test {node.name[:64]}.")
            case nodes.Getattr() if node.attr.startswith("_"):
                self._refuse(node, "Attributes with an underscore cannot be read.")
            case _:
                pass
        for child in node.iter_child_nodes():
            if len(self.found) >= 8:
                return
            self.visit(child, depth=depth + 1, loops=loops)

    def _check_filter(self, node: nodes.Filter) -> None:
        if node.name not in FILTERS:
            self._refuse(node, f"There is no filter {node.name[:64]}.")
        arguments = [*node.args, *(each.value for each in node.kwargs)]
        if node.dyn_args or node.dyn_kwargs:
            self._refuse(node, "Give a filter its arguments one by one.")
        if node.name == "default":
            return
        for argument in arguments:
            if not isinstance(argument, nodes.Const) or (
                len(str(argument.value)) > MAX_FILTER_ARGUMENT
            ):
                self._refuse(
                    node, f"Give a filter constants of up to {MAX_FILTER_ARGUMENT} characters."
                )

    def _refuse(self, node: nodes.Node, description: str) -> None:
        if len(self.found) < 8:
            self.found.append(_wrong(self._field_path, f"Line {node.lineno}: {description}"))


def _to_json(value: Any) -> str:
    # Jinja2's own filter escapes for HTML, which a model would read as it stands.
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _wrong(field_path: str, description: str) -> FieldViolation:
    return FieldViolation(field=field_path, description=description)


Renderer = Callable[[dict[str, Any]], Iterator[str]]
"""Yields a text in pieces, given the values of its variables."""


def compile_text(environment: ImmutableSandboxedEnvironment, text: str) -> Renderer:
    """Compile *text*, which `syntax_violations` has passed."""
    template = environment.from_string(text)

    def render(values: dict[str, Any]) -> Iterator[str]:
        return template.root_render_func(template.new_context(values, shared=True))

    return render
