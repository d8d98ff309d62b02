"""Log probabilities as OpenAI's APIs send them."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from parley_services.model_router.providers.provider import Alternative, Logprobs, TokenLogprob

IMPOSSIBLE: Final = -9999.0
"""What OpenAI writes for a token of probability 0, whose logarithm is not finite."""


def logprobs_of(tokens: Sequence[Any]) -> Logprobs:
    """Return *tokens* as ours, without those that have no text."""
    return Logprobs(
        tuple(
            TokenLogprob(
                token=token,
                logprob=logprob,
                top=tuple(
                    Alternative(token=other, logprob=value)
                    for other, value, _ in _readable(each.get("top_logprobs"))
                ),
            )
            for token, logprob, each in _readable(tokens)
        )
    )


def _readable(tokens: Any) -> Iterator[tuple[str, float, dict[str, Any]]]:
    for each in tokens if isinstance(tokens, list) else ():
        if isinstance(each, dict) and isinstance(token := each.get("token"), str):
            yield token, _finite(each.get("logprob")), each


def _finite(value: Any) -> float:
    if isinstance(value, float | int) and math.isfinite(value):
        return value
    return IMPOSSIBLE
