"""Numbers what was redacted, and turns it back."""

from collections.abc import Iterable
from typing import Final

from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.finders import Hit
from parley_services.kit.chat.finding import Placeholder

PLACEHOLDER_PATTERN: Final = r"\[REDACTED_[A-Z][A-Z_]{0,23}_\d{1,6}\]"
"""What a placeholder looks like: what kind of value, and which of them."""

_PREFIX: Final = "[REDACTED_"


class Numbering:
    """
    Gives each value a placeholder, `[REDACTED_EMAIL_1]`, numbered by kind.

    The same value, however it is spelled, has the same placeholder in one request.
    """

    def __init__(self, failures: Failures, taken: Iterable[Placeholder] = ()) -> None:
        """Begin after the placeholders *taken* already."""
        self._failures = failures
        self._last: dict[str, int] = {}
        self._known: dict[tuple[str, str], str] = {}
        self.originals: dict[str, str] = {}
        """What each placeholder stands for, as it was first spelled."""
        self._taken: dict[str, list[Placeholder]] = {}
        for each in taken:
            kind, _, number = each.placeholder.removeprefix(_PREFIX).rstrip("]").rpartition("_")
            if number.isdecimal():
                self._last[kind] = max(self._last.get(kind, 0), int(number))
                self._taken.setdefault(kind, []).append(each)

    def placeholder(self, hit: Hit, original: str) -> str:
        """Return the placeholder of *hit*, which is spelled *original*."""
        label = hit.rule.label
        key = label, hit.key
        known = self._known.get(key)
        if known is None:
            known = self._taken_for(hit)
        if known is None:
            self._last[label] = number = self._last.get(label, 0) + 1
            known = f"{_PREFIX}{label}_{number}]"
            self.originals[known] = original
        self._known[key] = known
        return known

    def _taken_for(self, hit: Hit) -> str | None:
        for each in self._taken.get(hit.rule.label, ()):
            try:
                is_same = hit.rule.same_value(each.original) == hit.key
            except Exception as error:
                # The value is hidden all the same, under a number of its own.
                self._failures.note(hit.rule.info.rule_id, error)
                continue
            if is_same:
                return each.placeholder
        return None
