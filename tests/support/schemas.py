"""JSON Schemas that are small and come to much."""


def doubling_schema(steps: int) -> dict[str, object]:
    """Return a schema of *steps* steps of which each refers to the next one twice."""
    definitions: dict[str, object] = {
        f"a{step}": {"anyOf": [{"$ref": f"#/$defs/a{step + 1}"}] * 2} for step in range(steps)
    }
    definitions[f"a{steps}"] = {"type": "object", "required": ["missing"]}
    return {"$ref": "#/$defs/a0", "$defs": definitions}


def branching_schema() -> dict[str, object]:
    """Return a schema that refers to itself twice: each level of an answer doubles the work."""
    both = {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}
    return {"type": "object", "properties": {"a": both}, "required": ["a"]}
