"""How long a template's answers are, in one number that learns."""

from dataclasses import dataclass

_LEARNING_RATE = 0.05
_ENOUGH_SAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLength:
    """
    A running estimate of a quantile of the output tokens of a template's answers.

    Each answer moves it up by a share of itself if it was longer, down if it was not, so
    that in the long run the wanted share of answers is not longer (Robbins and Monro,
    "A stochastic approximation method", 1951).
    """

    token_count: float = 0.0
    sample_count: int = 0

    def learn(self, output_token_count: int, quantile: float) -> "OutputLength":
        """Return the estimate after one more answer."""
        if self.sample_count == 0:
            return OutputLength(token_count=float(output_token_count), sample_count=1)
        step = max(1.0, self.token_count) * _LEARNING_RATE
        if output_token_count > self.token_count:
            moved = self.token_count + step * quantile
        else:
            moved = self.token_count - step * (1 - quantile)
        return OutputLength(token_count=max(1.0, moved), sample_count=self.sample_count + 1)

    def estimate(self) -> int | None:
        """Return the output tokens to set aside, None until enough answers are known."""
        if self.sample_count < _ENOUGH_SAMPLES:
            return None
        return max(1, round(self.token_count))
