"""What a provider means by an error: its status, its headers and its JSON body."""

import email.utils
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from parley_services.model_router.attempt.failures import FailureKind

_BY_CODE: Final[Mapping[str, FailureKind]] = {
    "insufficient_quota": FailureKind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FailureKind.QUOTA_EXHAUSTED,
    "billing_not_active": FailureKind.QUOTA_EXHAUSTED,
    "billing_error": FailureKind.QUOTA_EXHAUSTED,
    "rate_limit_exceeded": FailureKind.RATE_LIMITED,
    "rate_limit_error": FailureKind.RATE_LIMITED,
    "rate_limited": FailureKind.RATE_LIMITED,
    "too_many_requests": FailureKind.RATE_LIMITED,
    "requests": FailureKind.RATE_LIMITED,
    "tokens": FailureKind.RATE_LIMITED,
    "overloaded_error": FailureKind.OVERLOADED,
    "engine_overloaded": FailureKind.OVERLOADED,
    "overloaded": FailureKind.OVERLOADED,
    "server_overloaded": FailureKind.OVERLOADED,
    "slow_down": FailureKind.OVERLOADED,
    "api_error": FailureKind.SERVER_ERROR,
    "server_error": FailureKind.SERVER_ERROR,
    "internal_server_error": FailureKind.SERVER_ERROR,
    "timeout_error": FailureKind.SERVER_ERROR,
    "gateway_timeout_error": FailureKind.SERVER_ERROR,
    "context_length_exceeded": FailureKind.CONTEXT_TOO_LONG,
    "request_too_large": FailureKind.CONTEXT_TOO_LONG,
    "string_above_max_length": FailureKind.CONTEXT_TOO_LONG,
    "content_filter": FailureKind.CONTENT_POLICY,
    "content_policy_violation": FailureKind.CONTENT_POLICY,
    "invalid_prompt": FailureKind.CONTENT_POLICY,
    "bio_policy": FailureKind.CONTENT_POLICY,
    "misalignment_policy_violation": FailureKind.CONTENT_POLICY,
    "image_content_policy_violation": FailureKind.CONTENT_POLICY,
    "invalid_image": FailureKind.INVALID_REQUEST,
    "invalid_image_format": FailureKind.INVALID_REQUEST,
    "invalid_image_url": FailureKind.INVALID_REQUEST,
    "invalid_base64_image": FailureKind.INVALID_REQUEST,
    "image_too_large": FailureKind.INVALID_REQUEST,
    "image_parse_error": FailureKind.INVALID_REQUEST,
    "unsupported_image_media_type": FailureKind.INVALID_REQUEST,
    "failed_to_download_image": FailureKind.INVALID_REQUEST,
    "authentication_error": FailureKind.KEY_REFUSED,
    "invalid_api_key": FailureKind.KEY_REFUSED,
    "permission_error": FailureKind.KEY_REFUSED,
    "model_not_found": FailureKind.MODEL_NOT_FOUND,
    "not_found_error": FailureKind.MODEL_NOT_FOUND,
    "invalid_request_error": FailureKind.INVALID_REQUEST,
}
"""Values of `code` and `type` in OpenAI's and Anthropic's error bodies:
https://platform.openai.com/docs/guides/error-codes,
https://docs.anthropic.com/en/api/errors."""

_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    401: FailureKind.KEY_REFUSED,
    402: FailureKind.QUOTA_EXHAUSTED,
    403: FailureKind.KEY_REFUSED,
    404: FailureKind.MODEL_NOT_FOUND,
    408: FailureKind.SERVER_ERROR,
    409: FailureKind.SERVER_ERROR,
    413: FailureKind.CONTEXT_TOO_LONG,
    425: FailureKind.OVERLOADED,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}

_TOO_LONG_PHRASES: Final = (
    "maximum context length",
    "context window",
    "prompt is too long",
    "input is too long",
    "exceed context limit",
    "context length exceeded",
    "too many tokens",
)
"""Providers without a code of its own say it in words; so does Anthropic (400)."""

_QUOTA_PHRASES: Final = ("credit balance", "exceeded your current quota")


def failure_of_body(status: int | None, error: Any) -> FailureKind:
    """
    Return what *error*, the error object of a JSON body or of a stream's frame, dependencies.

    *status* is that of the response, None in the middle of a stream. The code in the body
    goes before the status; words are looked at only where there is no known code.
    """
    if isinstance(error, Mapping):
        labels = [str(error.get(field) or "").lower() for field in ("code", "type")]
        message = str(error.get("message") or "").lower()
    else:
        labels, message = [], str(error or "").lower()
    kind = next((_BY_CODE[label] for label in labels if label in _BY_CODE), None)
    if kind in (None, FailureKind.INVALID_REQUEST) and status in (None, 400, 413, 422):
        if any(phrase in message for phrase in _TOO_LONG_PHRASES):
            return FailureKind.CONTEXT_TOO_LONG
        if any(phrase in message for phrase in _QUOTA_PHRASES):
            return FailureKind.QUOTA_EXHAUSTED
    if status == 429 and any(phrase in message for phrase in _QUOTA_PHRASES):
        return FailureKind.QUOTA_EXHAUSTED
    if status in (401, 403):
        return FailureKind.KEY_REFUSED
    if kind is not None and not (kind is FailureKind.INVALID_REQUEST and status in _BY_STATUS):
        return kind
    if status is None:
        code = next((int(label) for label in labels if label.isdecimal()), 500)
        return failure_of_status(code)
    return failure_of_status(status)


def failure_of_status(status: int) -> FailureKind:
    """Return what a response of *status* with nothing of use in its body means."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FailureKind.SERVER_ERROR if status >= 500 else FailureKind.INVALID_REQUEST


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """
    Return how long the provider asks to wait, None if it does not say.

    Reads `retry-after-ms` (OpenAI) and `retry-after` in seconds or as a date (RFC 9110,
    section 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
