"""Turns the guardrails' messages into values. `to_proto` is the way back."""

from parley.guardrails.v1 import guardrails_service_pb2 as pb

from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.kit.chat import from_proto
from parley_services.kit.chat.finding import Placeholder
from parley_services.kit.chat.input_source import InputSource, InputText, TextFormat


def input_texts(request: pb.CheckInputRequest) -> list[InputText]:
    """Return the texts of *request*; a source of a later version counts as the user's."""
    return [
        InputText(text=each.text, source=InputSource(each.source), format=TextFormat(each.format))
        for each in request.texts
    ]


def output_context(message: pb.OutputContext) -> OutputContext:
    """Return what a check of an answer needs to know about its turn."""
    return OutputContext(
        system_text=message.system_text,
        placeholders=tuple(
            Placeholder(placeholder=each.placeholder, original=each.original)
            for each in message.placeholders
        ),
        response_format=from_proto.response_format(message.response_format),
        user_texts=tuple(message.user_texts),
    )
