"""Makes a small instance of a JSON Schema, for simulated answers and arguments."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

_MAX_DEPTH: Final = 16


def example_of(schema_text: str) -> str:
    """Return JSON text that fits the schema as far as its common keywords tell."""
    schema = orjson.loads(schema_text) if schema_text else {"type": "object"}
    return orjson.dumps(_example(schema, schema, 0)).decode()


def _example(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return None
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if schema.get("enum"):
        return schema["enum"][0]
    if (reference := schema.get("$ref")) is not None:
        return _example(_resolve(root, reference), root, depth + 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        if schema.get(keyword):
            return _example(schema[keyword][0], root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    return _of_type(kind or ("object" if "properties" in schema else None), schema, root, depth)


def _of_type(kind: str | None, schema: Mapping[str, Any], root: Any, depth: int) -> Any:
    match kind:
        case "object":
            properties = schema.get("properties") or {}
            wanted = schema.get("required") or properties
            return {name: _example(properties.get(name, {}), root, depth + 1) for name in wanted}
        case "array":
            count = max(1, schema.get("minItems", 1))
            return [_example(schema.get("items", {}), root, depth + 1) for _ in range(count)]
        case "string":
            return "example".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
        case "integer" | "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
            return min(least, schema.get("maximum", least))
        case "boolean":
            return True
        case _:
            return None


def _resolve(root: Any, reference: str) -> Any:
    target = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            target = target.get(part) if isinstance(target, Mapping) else None
    return target
