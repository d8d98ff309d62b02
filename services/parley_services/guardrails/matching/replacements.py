"""What takes the place of what is found in one answer."""

from collections.abc import Sequence

from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.finders import Finder, Hit
from parley_services.guardrails.matching.own_values import own_values
from parley_services.guardrails.matching.placeholders import Numbering
from parley_services.kit.chat.finding import Placeholder


class Replacements:
    """
    Knows the placeholders of a turn and the values that its user sent.

    An answer's text and its tool calls share one, so that a value has one placeholder.
    """

    def __init__(
        self,
        finders: Sequence[Finder],
        placeholders: Sequence[Placeholder],
        user_texts: Sequence[str],
        failures: Failures,
    ) -> None:
        """*finders* look for the user's own values in *user_texts*."""
        self._finders = finders
        self._placeholders = placeholders
        self._user_texts = user_texts
        self.failures = failures
        self._numbering: Numbering | None = None
        self._own_values: frozenset[tuple[str, str]] | None = None

    def placeholder(self, hit: Hit, original: str) -> str:
        """Return the placeholder of *hit*, which is spelled *original*."""
        if self._numbering is None:
            self._numbering = Numbering(self.failures, self._placeholders)
        return self._numbering.placeholder(hit, original)

    def is_own(self, hit: Hit) -> bool:
        """Whether the user sent the value of *hit*, so that the answer may repeat it."""
        return (hit.rule.label, hit.key) in self.own_values()

    def own_values(self) -> frozenset[tuple[str, str]]:
        """
        Return label and key of the user's own values.

        They are looked for once, when first asked for: that takes as long as a check of the
        user's texts, and most answers hold no value at all.
        """
        if self._own_values is None:
            texts = (*self._user_texts, *(each.original for each in self._placeholders))
            self._own_values = own_values(self._finders, texts, self.failures)
        return self._own_values

    def original(self, placeholder: str) -> str | None:
        """Return what *placeholder* stands for, None if it is none of this turn's."""
        return next(
            (each.original for each in self._placeholders if each.placeholder == placeholder), None
        )
