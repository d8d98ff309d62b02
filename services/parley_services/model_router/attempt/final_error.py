"""The error of a call that no route answered."""

from collections.abc import Sequence
from typing import Final

from parley_services.kit.errors import (
    InputTooLarge,
    Overloaded,
    ProviderRefused,
    ProviderUnavailable,
    ServiceError,
)
from parley_services.model_router.attempt.failures import FailureAction, FailureKind, ProviderError
from parley_services.model_router.route.chain import Plan, Step

RETRY_AFTER_SECONDS: Final = 5.0
"""What a caller is asked to wait where no provider named a time: long enough for a
breaker to probe, short enough for a person."""

BUSY_RETRY_AFTER_SECONDS: Final = 1.0
"""A place comes free with each answer that ends."""


def final_error(failures: Sequence[tuple[Step, ProviderError]], plan: Plan) -> ServiceError:
    """Return the error for a call whose routes all failed, or whose last one cannot be helped."""
    step, last = failures[-1]
    metadata = {"provider": step.model.provider, "kind": last.kind.value}
    if last.action is FailureAction.GIVE_UP:
        return ProviderRefused(
            f"{step.model.provider} refused the request ({last.kind.value}); change it.",
            metadata=metadata,
        )
    if last.kind is FailureKind.CONTEXT_TOO_LONG:
        return InputTooLarge(
            f"The conversation is longer than {step.model.name} reads; shorten it.",
            metadata={
                "limit": str(step.model.context_token_count),
                "actual": str(plan.input_token_count),
                "unit": "tokens",
            },
        )
    kinds = {error.kind for _, error in failures}
    if kinds == {FailureKind.FORBIDDEN}:
        return ProviderRefused(
            f"{step.model.provider} does not allow the request: the account may not use "
            f"{step.model.name}, or the request holds what is not allowed there.",
            metadata=metadata,
        )
    if kinds == {FailureKind.LIMIT_TOO_LOW}:
        return InputTooLarge(
            f"The request asks for more tokens than the limit of {step.model.provider} allows in a "
            "minute; shorten it, or have the limit raised.",
            metadata={**metadata, "actual": str(plan.input_token_count), "unit": "tokens"},
        )
    if all(error.kind is FailureKind.BUSY for _, error in failures):
        return Overloaded(
            "All models have as many calls as they take; try again in a moment.",
            metadata=metadata,
            retry_after_seconds=BUSY_RETRY_AFTER_SECONDS,
        )
    asked = [
        error.failure.retry_after_seconds
        for _, error in failures
        if error.failure.retry_after_seconds is not None
    ]
    return unavailable(plan, metadata, min(asked, default=RETRY_AFTER_SECONDS))


def unavailable(
    plan: Plan, metadata: dict[str, str], retry_after_seconds: float = RETRY_AFTER_SECONDS
) -> ServiceError:
    """Return the error that says that the models are temporarily unavailable."""
    if plan.cached_answer_last:
        metadata["cached_answer"] = "allowed"
    return ProviderUnavailable(
        "No model could answer for now; try again later.",
        metadata=metadata,
        retry_after_seconds=retry_after_seconds,
    )
