"""What a provider means by an error: its status, its headers and its JSON body."""

import email.utils
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import re2  # type: ignore[import-untyped]

from parley_services.model_router.attempt.failures import FailureKind

BY_CODE: Final[Mapping[str, FailureKind]] = {
    # The account's.
    "insufficient_quota": FailureKind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FailureKind.QUOTA_EXHAUSTED,
    "billing_not_active": FailureKind.QUOTA_EXHAUSTED,
    "billing_error": FailureKind.QUOTA_EXHAUSTED,
    "insufficient_balance": FailureKind.QUOTA_EXHAUSTED,
    "account_deactivated": FailureKind.QUOTA_EXHAUSTED,
    # The moment's.
    "rate_limit_exceeded": FailureKind.RATE_LIMITED,
    "rate_limit_error": FailureKind.RATE_LIMITED,
    "rate_limited": FailureKind.RATE_LIMITED,
    "too_many_requests": FailureKind.RATE_LIMITED,
    "toomanyrequestsexception": FailureKind.RATE_LIMITED,
    "throttlingexception": FailureKind.RATE_LIMITED,
    "servicequotaexceededexception": FailureKind.RATE_LIMITED,
    "resource_exhausted": FailureKind.RATE_LIMITED,
    "requests": FailureKind.RATE_LIMITED,
    "tokens": FailureKind.RATE_LIMITED,
    "overloaded_error": FailureKind.OVERLOADED,
    "engine_overloaded": FailureKind.OVERLOADED,
    "overloaded": FailureKind.OVERLOADED,
    "server_overloaded": FailureKind.OVERLOADED,
    "slow_down": FailureKind.OVERLOADED,
    "unavailable": FailureKind.OVERLOADED,
    "modelnotreadyexception": FailureKind.OVERLOADED,
    "serviceunavailableexception": FailureKind.OVERLOADED,
    "api_error": FailureKind.SERVER_ERROR,
    "server_error": FailureKind.SERVER_ERROR,
    "internal_server_error": FailureKind.SERVER_ERROR,
    "internalserverexception": FailureKind.SERVER_ERROR,
    "internal": FailureKind.SERVER_ERROR,
    "timeout_error": FailureKind.SERVER_ERROR,
    "gateway_timeout_error": FailureKind.SERVER_ERROR,
    "deadline_exceeded": FailureKind.SERVER_ERROR,
    "modeltimeoutexception": FailureKind.SERVER_ERROR,
    "modelerrorexception": FailureKind.SERVER_ERROR,
    "modelstreamerrorexception": FailureKind.SERVER_ERROR,
    # The request's.
    "context_length_exceeded": FailureKind.CONTEXT_TOO_LONG,
    "exceed_context_size_error": FailureKind.CONTEXT_TOO_LONG,
    "request_too_large": FailureKind.CONTEXT_TOO_LONG,
    "string_above_max_length": FailureKind.CONTEXT_TOO_LONG,
    "content_filter": FailureKind.CONTENT_POLICY,
    "content_policy_violation": FailureKind.CONTENT_POLICY,
    "responsibleaipolicyviolation": FailureKind.CONTENT_POLICY,
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
    "invalid_request_error": FailureKind.INVALID_REQUEST,
    "invalid_argument": FailureKind.INVALID_REQUEST,
    "validationexception": FailureKind.INVALID_REQUEST,
    # The key's.
    "authentication_error": FailureKind.KEY_REFUSED,
    "invalid_api_key": FailureKind.KEY_REFUSED,
    "api_key_invalid": FailureKind.KEY_REFUSED,
    "unauthenticated": FailureKind.KEY_REFUSED,
    "unrecognizedclientexception": FailureKind.KEY_REFUSED,
    "invalidsignatureexception": FailureKind.KEY_REFUSED,
    "expiredtokenexception": FailureKind.KEY_REFUSED,
    "missingauthenticationtokenexception": FailureKind.KEY_REFUSED,
    # The model's, or what this key may do with it.
    "permission_error": FailureKind.FORBIDDEN,
    "permission_denied": FailureKind.FORBIDDEN,
    "accessdeniedexception": FailureKind.FORBIDDEN,
    "failed_precondition": FailureKind.FORBIDDEN,
    "unsupported_country_region_territory": FailureKind.FORBIDDEN,
    "model_not_found": FailureKind.MODEL_NOT_FOUND,
    "model_not_available": FailureKind.MODEL_NOT_FOUND,
    "not_found_error": FailureKind.MODEL_NOT_FOUND,
    "not_found": FailureKind.MODEL_NOT_FOUND,
    "deploymentnotfound": FailureKind.MODEL_NOT_FOUND,
    "resourcenotfoundexception": FailureKind.MODEL_NOT_FOUND,
}
"""Values of `code`, `type` and `status` in error bodies, in lower case, and names of Amazon's
exceptions: https://platform.openai.com/docs/guides/error-codes,
https://docs.anthropic.com/en/api/errors, https://cloud.google.com/apis/design/errors,
https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html."""

BY_STATUS: Final[Mapping[int, FailureKind]] = {
    401: FailureKind.KEY_REFUSED,
    402: FailureKind.QUOTA_EXHAUSTED,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.MODEL_NOT_FOUND,
    408: FailureKind.SERVER_ERROR,
    409: FailureKind.SERVER_ERROR,
    413: FailureKind.CONTEXT_TOO_LONG,
    425: FailureKind.OVERLOADED,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}
"""What a status means where the body has no known code. A 403 says nothing of the key: it may
be a model that the account has not, or a firewall that dislikes one text."""

MAX_MESSAGE_CHARACTERS: Final = 4096

_TOO_LONG: Final = re2.compile(
    "|".join(
        (
            # OpenAI, Azure, vLLM, OpenRouter, DeepSeek, xAI, Fireworks.
            r"maximum (context|prompt|model|input|sequence) length",
            # vLLM, SGLang, TensorRT-LLM, LM Studio.
            r"(longer|greater|larger) than the maximum (model |context |input )?length",
            r"(longer|greater|larger) than the .{0,40}context (length|size|window)",
            # SGLang, Ollama, llama.cpp, Gemini, Cohere.
            r"exceeds? .{0,60}context (length|size|window|limit)",
            r"exceeds? .{0,60}maximum number of (input )?tokens",
            r"exceeds? .{0,40}maximum (input|prompt|context) ",
            r"cannot exceed .{0,40}tokens",
            # TGI.
            r"`?inputs`? (tokens \+|must have less than)",
            # Mistral.
            r"too large for model with",
            # Anthropic, Bedrock.
            r"(prompt|input|conversation|request) is too (long|large)",
            r"context (window|length|limit) exceeded",
            r"exceeds? context (window|length|limit)",
            r"too many (input )?tokens",
            # Groq, OpenAI.
            r"reduce the length of (the|your) (messages|input|prompt|conversation)",
            r"context window",
        )
    )
)
"""Providers and servers without a code of their own say it in words."""

_QUOTA: Final = re2.compile(r"credit balance|exceeded your current quota|insufficient balance")

_BAD_KEY: Final = re2.compile(
    r"(incorrect|invalid|expired|revoked|unknown) (api[ _-]?key|token)"
    r"|api[ _-]?key (is |was )?(not valid|not found|invalid|expired|reported as leaked)"
)
"""xAI and Gemini refuse a key with 400."""

_NEVER_FITS: Final = re2.compile(r"request too large|limit:? (\d+)\D{1,40}requested:? (\d+)")
"""A limit a minute that is lower than what one request asks for (OpenAI, Groq)."""

_MAY_BE_TOO_LONG: Final = (FailureKind.INVALID_REQUEST, FailureKind.SERVER_ERROR, None)
_TOO_LONG_STATUSES: Final = (None, 400, 413, 422, 500)
"""Some servers fail with 500 over it, as Ollama."""

_VAGUE: Final = (FailureKind.INVALID_REQUEST, None)
"""What a code may say of a request that the words of the message say better."""


def failure_of_body(status: int | None, error: Any) -> FailureKind:
    """
    Return what *error*, the error object of a JSON body or of a stream's frame, means.

    *status* is that of the response, None in the middle of a stream. The code in the body
    goes first, then words where no code is clear, then the status.
    """
    if isinstance(error, list) and error:
        error = error[0]  # Gemini wraps it so.
    if isinstance(error, Mapping) and isinstance(error.get("error"), Mapping):
        error = error["error"]
    labels, message = _labels(error), _message(error)
    kind = next((BY_CODE[label] for label in labels if label in BY_CODE), None)
    if _is_about_limits(status, kind) and _never_fits(message):
        return FailureKind.LIMIT_TOO_LOW
    if kind in _MAY_BE_TOO_LONG and status in _TOO_LONG_STATUSES and _TOO_LONG.search(message):
        return FailureKind.CONTEXT_TOO_LONG
    if (kind in _VAGUE or kind is FailureKind.RATE_LIMITED) and _QUOTA.search(message):
        return FailureKind.QUOTA_EXHAUSTED
    if kind in _VAGUE and status in (None, 400, 403) and _BAD_KEY.search(message):
        return FailureKind.KEY_REFUSED
    if kind is not None and not (kind is FailureKind.INVALID_REQUEST and status in BY_STATUS):
        return kind
    if status is None:
        status = next((int(label) for label in labels if label.isdecimal()), 500)
    return failure_of_status(status)


def failure_of_status(status: int) -> FailureKind:
    """Return what a response of *status* with nothing of use in its body means."""
    if status in BY_STATUS:
        return BY_STATUS[status]
    if 300 <= status < 400:
        # A redirect that is not followed: the address is wrong, the request need not be.
        return FailureKind.MODEL_NOT_FOUND
    return FailureKind.SERVER_ERROR if status >= 500 else FailureKind.INVALID_REQUEST


def _labels(error: Any) -> list[str]:
    """Return the codes in *error*, in lower case, the most telling first."""
    if not isinstance(error, Mapping):
        return []
    found = [str(error.get(field) or "").lower() for field in ("code", "type", "status", "__type")]
    found[1:1] = _detailed_codes(error)
    return [label.rpartition("#")[2] for label in found if label]


def _detailed_codes(error: Mapping[str, Any]) -> Iterator[str]:
    """Yield codes that stand deeper: Azure's inner error, Google's details."""
    inner = error.get("innererror") or error.get("inner_error")
    if isinstance(inner, Mapping):
        yield str(inner.get("code") or "").lower()
    details = error.get("details")
    for each in details if isinstance(details, list) else ():
        if isinstance(each, Mapping):
            yield str(each.get("reason") or "").lower()


def _message(error: Any) -> str:
    text = error
    if isinstance(error, Mapping):
        text = error.get("message") or error.get("error") or error.get("detail")
    return (text if isinstance(text, str) else "")[:MAX_MESSAGE_CHARACTERS].lower()


def _is_about_limits(status: int | None, kind: FailureKind | None) -> bool:
    return status == 429 or kind is FailureKind.RATE_LIMITED


def _never_fits(message: str) -> bool:
    """Return whether the request asks for more than the whole limit a minute."""
    found = _NEVER_FITS.search(message)
    if found is None:
        return False
    limit, requested = found.group(1), found.group(2)
    return limit is None or int(requested) > int(limit)


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
