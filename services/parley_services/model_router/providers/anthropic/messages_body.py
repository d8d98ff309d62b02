"""Writes requests for Anthropic's Messages API."""

import re
from typing import Any, Final

import orjson

from parley_services.kit.chat.message import Message, ResponseFormatType, Role, ToolChoiceMode
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.json_forms import JSON_ONLY
from parley_services.model_router.providers.provider import ProviderCall

DEFAULT_OUTPUT_TOKENS: Final = 4096
"""The API demands a limit; this one is sent where neither caller nor operator names one."""

_DATA_URL: Final = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);base64,(?P<data>.+)", re.DOTALL)


def messages_body(call: ProviderCall) -> dict[str, Any]:
    """
    Return the JSON body of *call*.

    Temperature, top_p and seed are left out: since the API's version 2026-10-21 a request
    that has any of them is refused.
    """
    request, model = call.request, call.model
    systems = [request.system_text]
    systems += [message.text for message in request.messages if message.role is Role.SYSTEM]
    if request.response_format.type is ResponseFormatType.JSON_OBJECT:
        systems.append(JSON_ONLY)  # The API has a mode for a schema only.
    body: dict[str, Any] = {
        "model": model.name,
        "max_tokens": (
            request.parameters.max_output_token_count
            or model.max_output_token_count
            or DEFAULT_OUTPUT_TOKENS
        ),
        "messages": [_message(each) for each in request.messages if each.role is not Role.SYSTEM],
        "stream": True,
    }
    if system := "\n\n".join(text for text in systems if text):
        body["system"] = system
    if stops := [each for each in request.parameters.stop_sequences if each.strip()]:
        body["stop_sequences"] = stops
    if request.response_format.type is ResponseFormatType.JSON_SCHEMA:
        schema = orjson.loads(request.response_format.json_schema)
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if request.tools:
        body["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": orjson.loads(tool.parameters_json_schema or '{"type":"object"}'),
            }
            for tool in request.tools
        ]
        body["tool_choice"] = _tool_choice(request)
    body.update(model.extra_body)
    return body


def unsent_stops(call: ProviderCall) -> tuple[str, ...]:
    """Return the stop sequences that the API refuses: those of white space only."""
    return tuple(each for each in call.request.parameters.stop_sequences if not each.strip())


def _message(message: Message) -> dict[str, Any]:
    if message.role is Role.TOOL:
        result = {
            "type": "tool_result",
            "tool_use_id": message.tool_call_id,
            "content": message.text,
        }
        return {"role": "user", "content": [result]}
    if not message.image_urls and not message.tool_calls:
        return {"role": message.role.key, "content": message.text}
    blocks: list[dict[str, Any]] = [_image(url) for url in message.image_urls]
    if message.text:
        blocks.append({"type": "text", "text": message.text})
    blocks += [
        {
            "type": "tool_use",
            "id": each.id,
            "name": each.name,
            "input": orjson.loads(each.arguments_json or "{}"),
        }
        for each in message.tool_calls
    ]
    return {"role": message.role.key, "content": blocks}


def _image(url: str) -> dict[str, Any]:
    if found := _DATA_URL.fullmatch(url):
        source = {"type": "base64", "media_type": found["type"], "data": found["data"]}
    else:
        source = {"type": "url", "url": url}
    return {"type": "image", "source": source}


def _tool_choice(request: GenerationRequest) -> dict[str, str]:
    match request.tool_choice.mode:
        case ToolChoiceMode.NONE:
            return {"type": "none"}
        case ToolChoiceMode.REQUIRED:
            return {"type": "any"}
        case ToolChoiceMode.NAMED:
            return {"type": "tool", "name": request.tool_choice.tool_name}
        case _:
            return {"type": "auto"}
