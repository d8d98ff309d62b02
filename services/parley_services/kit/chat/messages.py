"""What every service turns into messages and back: subjects, usage, spans and points of time."""

from datetime import datetime
from typing import Protocol

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from parley.chat.v1 import chat_pb2

from parley_services.kit.models.prices import TokenUsage


class Subject(Protocol):
    """Who something is for, as each service has it. Ids that are not known are empty."""

    @property
    def tenant_id(self) -> str: ...

    @property
    def team_id(self) -> str: ...

    @property
    def user_id(self) -> str: ...

    @property
    def key_id(self) -> str: ...


def subject_to(subject: Subject) -> chat_pb2.Subject:
    """Return *subject* as a message."""
    return chat_pb2.Subject(
        tenant_id=subject.tenant_id,
        team_id=subject.team_id,
        user_id=subject.user_id,
        key_id=subject.key_id,
    )


def usage_to(usage: TokenUsage) -> chat_pb2.Usage:
    """Return *usage* as a message."""
    return chat_pb2.Usage(
        input_token_count=usage.input_token_count,
        cached_input_token_count=usage.cached_input_token_count,
        cache_write_token_count=usage.cache_write_token_count,
        output_token_count=usage.output_token_count,
        reasoning_token_count=usage.reasoning_token_count,
        estimated=usage.estimated,
    )


def usage_from(message: chat_pb2.Usage) -> TokenUsage:
    """Return a message as usage."""
    return TokenUsage(
        input_token_count=message.input_token_count,
        cached_input_token_count=message.cached_input_token_count,
        cache_write_token_count=message.cache_write_token_count,
        output_token_count=message.output_token_count,
        reasoning_token_count=message.reasoning_token_count,
        estimated=message.estimated,
    )


def duration(seconds: float) -> Duration:
    """Return a span of *seconds* as a message, to the nanosecond."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def seconds_of(message: Duration) -> float:
    """Return a message as a span in seconds."""
    return message.seconds + message.nanos / 1e9


def timestamp(at: datetime) -> Timestamp:
    """Return an aware time as a message."""
    message = Timestamp()
    message.FromDatetime(at)
    return message
