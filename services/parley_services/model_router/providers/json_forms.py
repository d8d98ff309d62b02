"""What the APIs demand of a request for JSON."""

from typing import Any, Final

from parley_services.kit.chat.message import ResponseFormatType
from parley_services.model_router.generation import GenerationRequest

JSON_ONLY: Final = "Answer with one JSON object and nothing else."


def needs_instruction(request: GenerationRequest) -> bool:
    """
    Return whether `JSON_ONLY` must be added to the system text.

    OpenAI refuses its mode for JSON of any shape where no message has the word:
    https://platform.openai.com/docs/guides/structured-outputs#json-mode.
    """
    if request.response_format.type is not ResponseFormatType.JSON_OBJECT:
        return False
    texts = (request.system_text, *(message.text for message in request.messages))
    return not any("json" in text.lower() for text in texts)


def may_be_strict(schema: Any) -> bool:
    """
    Return whether OpenAI takes *schema* with `strict`.

    Each object must forbid further properties and require all of its own:
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas.
    """
    if isinstance(schema, list):
        return all(map(may_be_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        named = set(properties) if isinstance(properties, dict) else set()
        if schema.get("additionalProperties") is not False:
            return False
        if named != set(schema.get("required") or ()):
            return False
    return all(map(may_be_strict, schema.values()))
