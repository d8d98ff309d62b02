"""Writes requests for OpenAI's Responses API."""

from collections.abc import Iterator
from typing import Any

import orjson

from parley_services.kit.chat.message import Message, ResponseFormatType, Role, Tool, ToolChoiceMode
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.json_forms import (
    JSON_ONLY,
    may_be_strict,
    needs_instruction,
)
from parley_services.model_router.providers.openai.tool_choice import TOOL_CHOICE_WORDS
from parley_services.model_router.providers.provider import ProviderCall


def responses_body(call: ProviderCall) -> dict[str, Any]:
    """
    Return the JSON body of *call*.

    The API takes neither a seed nor stop sequences; the latter are looked for by us. It
    keeps answers for 30 days unless told not to, which it is.
    """
    request, model = call.request, call.model
    body: dict[str, Any] = {
        "model": model.name,
        "input": [item for message in request.messages for item in _items(message)],
        "stream": True,
        "store": False,
    }
    instructions = [request.system_text, JSON_ONLY if needs_instruction(request) else ""]
    if system := "\n\n".join(text for text in instructions if text):
        body["instructions"] = system
    parameters = request.parameters
    if parameters.max_output_token_count is not None:
        body["max_output_tokens"] = parameters.max_output_token_count
    if model.takes_sampling:
        if parameters.temperature is not None:
            body["temperature"] = parameters.temperature
        if parameters.top_p is not None:
            body["top_p"] = parameters.top_p
    if (form := _text_format(request)) is not None:
        body["text"] = {"format": form}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request)
    if request.top_logprob_count is not None:
        body["include"] = ["message.output_text.logprobs"]
        body["top_logprobs"] = request.top_logprob_count
    body.update(model.extra_body)
    return body


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the input items of *message*: calls of tools and their answers are items too."""
    match message.role:
        case Role.TOOL:
            yield {
                "type": "function_call_output",
                "call_id": message.tool_call_id,
                "output": message.text,
            }
        case Role.ASSISTANT:
            if message.text:
                yield {"role": "assistant", "content": message.text}
            for each in message.tool_calls:
                yield {
                    "type": "function_call",
                    "call_id": each.id,
                    "name": each.name,
                    "arguments": each.arguments_json,
                }
        case Role.USER | Role.SYSTEM:
            yield {"role": message.role.key, "content": _content(message)}


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.image_urls:
        return message.text
    text = [{"type": "input_text", "text": message.text}] if message.text else []
    return [*text, *({"type": "input_image", "image_url": url} for url in message.image_urls)]


def _text_format(request: GenerationRequest) -> dict[str, Any] | None:
    match request.response_format.type:
        case ResponseFormatType.JSON_OBJECT:
            return {"type": "json_object"}
        case ResponseFormatType.JSON_SCHEMA:
            schema = orjson.loads(request.response_format.json_schema)
            return {
                "type": "json_schema",
                "name": "answer",
                "schema": schema,
                "strict": may_be_strict(schema),
            }
        case _:
            return None


def _tool(tool: Tool) -> dict[str, Any]:
    # Unlike Chat Completions the API makes a tool strict unless told otherwise.
    written: dict[str, Any] = {"type": "function", "name": tool.name, "strict": False}
    if tool.description:
        written["description"] = tool.description
    written["parameters"] = (
        orjson.loads(tool.parameters_json_schema)
        if tool.parameters_json_schema
        else {"type": "object", "properties": {}}
    )
    return written


def _tool_choice(request: GenerationRequest) -> Any:
    if request.tool_choice.mode is ToolChoiceMode.NAMED:
        return {"type": "function", "name": request.tool_choice.tool_name}
    return TOOL_CHOICE_WORDS[request.tool_choice.mode]
