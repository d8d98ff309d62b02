"""
Dataclasses as YAML or JSON: what the package ships, what a store keeps as text, and what
operators keep under version control. Imports neither grpc nor protobuf.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.kit.errors import FieldViolation, InvalidArgument

T = TypeVar("T")


def read_yaml(path: Path) -> object:
    """Return what a YAML file holds. Raises InvalidArgument if it is not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidArgument(f"{path.name}{where} is not YAML: correct its syntax.") from None


def parse(kind: type[T], value: object) -> T:
    """
    Return *value*, of mappings, lists and scalars, as a frozen dataclass *kind*.

    Raises InvalidArgument naming each field that is unknown, missing or of the wrong type.
    """
    try:
        parsed = _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise InvalidArgument.of(
            *(
                FieldViolation(field=_path(each["loc"]), description=_sentence(each["msg"]))
                for each in error.errors(include_url=False, include_input=False)[:20]
            )
        ) from None
    unknown = [
        FieldViolation(field=name, description="There is no such field.")
        for name in _unknown(parsed, value, "")
    ]
    if unknown:
        raise InvalidArgument.of(*unknown[:20])
    result: T = parsed
    return result


def _sentence(message: str) -> str:
    """Return a message of pydantic as a sentence of ours."""
    said = message.removeprefix("Value error, ")
    return f"{said[:1].upper()}{said[1:]}."


def plain(value: Any) -> Any:
    """Return a dataclass as mappings, lists and scalars, without what is at its default."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: plain(getattr(value, each.name))
            for each in fields(value)
            if getattr(value, each.name) != _default(each)
        }
    if isinstance(value, WireEnum):
        return value.key
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return value


def _default(of: Any) -> Any:
    if of.default is not MISSING:
        return of.default
    return of.default_factory() if of.default_factory is not MISSING else MISSING


def _unknown(parsed: Any, raw: Any, path: str) -> Iterator[str]:
    """Yield the paths in *raw* that did not go into *parsed*."""
    if is_dataclass(parsed) and isinstance(raw, Mapping):
        known = {each.name for each in fields(parsed)}
        for key, value in raw.items():
            inner = f"{path}.{key}" if path else str(key)
            if key in known:
                yield from _unknown(getattr(parsed, key), value, inner)
            else:
                yield inner
    elif isinstance(parsed, Mapping) and isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from _unknown(parsed.get(key), value, f"{path}.{key}" if path else str(key))
    elif isinstance(parsed, tuple) and isinstance(raw, list | tuple):
        for index, (one, value) in enumerate(zip(parsed, raw, strict=False)):
            yield from _unknown(one, value, f"{path}[{index}]")


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    return path or "document"


_adapters: dict[object, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    found = _adapters.get(kind)
    if found is None:
        found = _adapters[kind] = TypeAdapter(kind)
    return found
