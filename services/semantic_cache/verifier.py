"""Decides whether the answer to one question serves another one too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.semantic_cache import lexicon, rules
from services.semantic_cache.question import Question, missing, question_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verifier thinks of one candidate."""

    probability: float
    """That one answer serves both texts, 0 to 1; 0 where a rule refuses."""

    refusal: str
    """Why a rule refuses, as `number_changed`; empty if none does."""

    features: Mapping[str, float] = field(default_factory=dict)
    """What the verdict rests on, by name."""


class Verifier(Protocol):
    """Judges a candidate that is near. It is symmetric in its two texts."""

    def verify(self, asked: str, stored: str, similarity: float) -> Verdict:
        """Return the verdict on the *stored* text for the *asked* one, of cosine *similarity*."""
        ...


WORD_REFUSALS = frozenset(("word_changed", "word_added"))
"""Refusals for want of knowledge rather than for a known change of meaning."""


class RuleVerifier:
    """
    Accepts a candidate that no rule refuses and whose topics are the same words.

    It knows no synonyms and only English, so it lets few paraphrases through and hardly a
    wrong one.
    """

    def verify(self, asked: str, stored: str, similarity: float) -> Verdict:
        one, other = question_of(asked), question_of(stored)
        refusal = rules.refusal_of(one, other)
        only_asked = _topics(missing(one.content, other.content))
        only_stored = _topics(missing(other.content, one.content))
        if not refusal and only_asked and only_stored:
            refusal = "word_changed"
        added = len(only_asked) + len(only_stored)
        # One more word may pass where the rules know the language, and none elsewhere.
        if not refusal and added > min(is_english(one), is_english(other)):
            refusal = "word_added"
        return Verdict(
            probability=0.0 if refusal else similarity,
            refusal=refusal,
            features={
                "similarity": similarity,
                "only_asked": float(len(only_asked)),
                "only_stored": float(len(only_stored)),
            },
        )


def is_english(question: Question) -> bool:
    """Return whether enough of its words are ones that English grammar needs."""
    known = sum(token in lexicon.FUNCTION_WORDS for token in question.tokens)
    return known >= 0.25 * len(question.tokens)


def _topics(words: list[str]) -> list[str]:
    return [word for word in words if word not in lexicon.POLITE_WORDS]
