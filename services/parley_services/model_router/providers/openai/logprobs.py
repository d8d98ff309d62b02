"""Log probabilities as OpenAI's APIs send them."""

from collections.abc import Sequence
from typing import Any

from parley_services.model_router.providers.provider import Alternative, Logprobs, TokenLogprob


def logprobs_of(tokens: Sequence[dict[str, Any]]) -> Logprobs:
    """Return *tokens* as ours. Raises KeyError for one that has no text or no value."""
    return Logprobs(
        tuple(
            TokenLogprob(
                token=each["token"],
                logprob=each["logprob"],
                top=tuple(
                    Alternative(token=other["token"], logprob=other["logprob"])
                    for other in each.get("top_logprobs") or ()
                ),
            )
            for each in tokens
        )
    )
