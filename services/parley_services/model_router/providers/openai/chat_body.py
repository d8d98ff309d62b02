"""Writes requests for OpenAI's Chat Completions."""

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


def chat_body(call: ProviderCall, *, limit_field: str) -> dict[str, Any]:
    """
    Return the JSON body of *call*.

    *limit_field* is what the server calls the output limit: OpenAI itself
    `max_completion_tokens`, others still `max_tokens`.
    """
    request, model = call.request, call.model
    systems = [request.system_text, JSON_ONLY if needs_instruction(request) else ""]
    system = "\n\n".join(text for text in systems if text)
    messages = [{"role": "system", "content": system}] if system else []
    body: dict[str, Any] = {
        "model": model.name,
        "messages": [*messages, *map(_message, request.messages)],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    parameters = request.parameters
    if parameters.max_output_token_count is not None:
        body[limit_field] = parameters.max_output_token_count
    if model.takes_sampling:
        if parameters.temperature is not None:
            body["temperature"] = parameters.temperature
        if parameters.top_p is not None:
            body["top_p"] = parameters.top_p
        if parameters.stop_sequences:
            body["stop"] = list(parameters.stop_sequences)
    if parameters.seed is not None:
        body["seed"] = parameters.seed
    if (form := _response_format(request)) is not None:
        body["response_format"] = form
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request)
    if request.top_logprob_count is not None:
        body["logprobs"] = True
        body["top_logprobs"] = request.top_logprob_count
    body.update(model.extra_body)
    return body


def unsent_stops(call: ProviderCall) -> tuple[str, ...]:
    """Return the stop sequences that the body of *call* leaves out."""
    return () if call.model.takes_sampling else call.request.parameters.stop_sequences


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.key, "content": message.text}
    match message.role:
        case Role.TOOL:
            written["tool_call_id"] = message.tool_call_id
        case Role.ASSISTANT if message.tool_calls:
            written["content"] = message.text or None
            written["tool_calls"] = [
                {
                    "id": each.id,
                    "type": "function",
                    "function": {"name": each.name, "arguments": each.arguments_json},
                }
                for each in message.tool_calls
            ]
    if message.image_urls:
        text = [{"type": "text", "text": message.text}] if message.text else []
        images = [{"type": "image_url", "image_url": {"url": url}} for url in message.image_urls]
        written["content"] = [*text, *images]
    return written


def _response_format(request: GenerationRequest) -> dict[str, Any] | None:
    match request.response_format.type:
        case ResponseFormatType.JSON_OBJECT:
            return {"type": "json_object"}
        case ResponseFormatType.JSON_SCHEMA:
            schema = orjson.loads(request.response_format.json_schema)
            return {
                "type": "json_schema",
                "json_schema": {
                    "name": "answer",
                    "schema": schema,
                    "strict": may_be_strict(schema),
                },
            }
        case _:
            return None


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json_schema:
        function["parameters"] = orjson.loads(tool.parameters_json_schema)
    return {"type": "function", "function": function}


def _tool_choice(request: GenerationRequest) -> Any:
    if request.tool_choice.mode is ToolChoiceMode.NAMED:
        return {"type": "function", "function": {"name": request.tool_choice.tool_name}}
    return TOOL_CHOICE_WORDS[request.tool_choice.mode]
