"""Makes a small instance of a JSON Schema, for simulated answers and arguments."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 16
MAX_ITEMS: Final = 100
MAX_CHARACTERS: Final = 1000
MAX_VALUES: Final = 1000
"""A caller's schema may ask for a billion items, and a simulated answer need not be right."""


def example_of(schema_text: str) -> str:
    """
    Return JSON text that fits the schema as far as its common keywords tell.

    Small, whatever the schema: of what is beyond `MAX_DEPTH`, `MAX_ITEMS`, `MAX_CHARACTERS` or
    `MAX_VALUES` in all, it has nulls or nothing.
    """
    schema = orjson.loads(schema_text) if schema_text else {"type": "object"}
    return orjson.dumps(_Example(schema).value(schema, 0)).decode()


class _Example:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MAX_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH or self._left < 0:
            return None
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        if schema.get("enum"):
            return schema["enum"][0]
        if (reference := schema.get("$ref")) is not None:
            return self.value(_resolve(self._root, str(reference)), depth + 1)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if schema.get(keyword):
                return self.value(schema[keyword][0], depth + 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0]
        return self._of_type(kind or ("object" if "properties" in schema else None), schema, depth)

    def _of_type(self, kind: Any, schema: Mapping[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                properties = schema.get("properties") or {}
                wanted = list(schema.get("required") or properties)[:MAX_ITEMS]
                return {name: self.value(properties.get(name, {}), depth + 1) for name in wanted}
            case "array":
                count = max(1, min(_whole(schema, "minItems", 1), MAX_ITEMS, self._left))
                return [self.value(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "string":
                length = min(_whole(schema, "minLength", 0), MAX_CHARACTERS)
                return "example".ljust(length, "x")[: schema.get("maxLength")]
            case "integer" | "number":
                least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
                return min(least, schema.get("maximum", least))
            case "boolean":
                return True
            case _:
                return None


def _whole(schema: Mapping[str, Any], keyword: str, default: int) -> int:
    value = schema.get(keyword, default)
    return int(value) if isinstance(value, int | float) else default


def _resolve(root: Any, reference: str) -> Any:
    target = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            target = target.get(part) if isinstance(target, Mapping) else None
    return target
