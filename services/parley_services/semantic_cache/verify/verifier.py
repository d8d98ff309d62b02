"""Decides whether the answer to one question serves another one too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from parley_services.semantic_cache.verify import lexicon, rules
from parley_services.semantic_cache.verify.question import Question, missing, question_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verifier thinks of one candidate."""

    probability: float
    """That one answer serves both texts, 0 to 1; 0 where a rule refuses, 1 where nothing
    differs."""

    refusal: str
    """Why it is refused, as `number_changed`; empty if it is not. With a probability above 0
    it is refused as too improbable only."""

    features: Mapping[str, float] = field(default_factory=dict)
    """What the verdict rests on, by name."""


class Verifier(Protocol):
    """Judges a candidate that is near. It is symmetric in its two texts."""

    def verify(
        self,
        asked: str,
        stored: str,
        similarity: float,
        *,
        max_false_hit_rate: float,
        second_cosine: float | None = None,
    ) -> Verdict:
        """
        Return the verdict on the *stored* text for the *asked* one, of cosine *similarity*.

        *max_false_hit_rate*, 0 to 0.1, is the share of near questions needing another answer
        that may be accepted; a verifier that cannot tell accepts less. *second_cosine* is
        what a stronger embedder says of the two, if there is one.
        """
        ...


def nothing_differs(one: Question, other: Question) -> bool:
    """Return whether the texts are the same, but at most for `Question.plain`."""
    if one.normal == other.normal:
        return True
    return one.plain == other.plain and bool(one.tokens) and not one.has_code


def same_question(similarity: float) -> Verdict:
    """Return the verdict on texts in which nothing differs: one answer serves both."""
    return Verdict(probability=1.0, refusal="", features={"similarity": similarity})


SOFT_REFUSALS = rules.ADDED_REFUSALS | {"word_changed", "word_added"}
"""Refusals for want of knowledge rather than for a known change of meaning."""


class RuleVerifier:
    """
    Accepts a candidate that no rule refuses and whose topics are the same words.

    It knows no synonyms and only English, so it lets few paraphrases through and hardly a
    wrong one.
    """

    def verify(
        self,
        asked: str,
        stored: str,
        similarity: float,
        *,
        max_false_hit_rate: float,
        second_cosine: float | None = None,
    ) -> Verdict:
        one, other = question_of(asked), question_of(stored)
        if nothing_differs(one, other):
            return same_question(similarity)
        refusal = rule_refusal(one, other)
        return Verdict(
            probability=0.0 if refusal else similarity,
            refusal=refusal,
            features={
                "similarity": similarity,
                "only_asked": float(len(_topics(missing(one.content, other.content)))),
                "only_stored": float(len(_topics(missing(other.content, one.content)))),
            },
        )


def rule_refusal(one: Question, other: Question) -> str:
    """Return the first reason to refuse: one of `rules.refusal_of`, or one about the topics."""
    refusal = rules.refusal_of(one, other)
    if refusal:
        return refusal
    only_one = _topics(missing(one.content, other.content))
    only_other = _topics(missing(other.content, one.content))
    if only_one and only_other:
        return "word_changed"
    # One more word may pass where the rules know the language, and none elsewhere.
    if len(only_one) + len(only_other) > min(is_english(one), is_english(other)):
        return "word_added"
    return ""


def is_english(question: Question) -> bool:
    """Return whether enough of its words are ones that English grammar needs."""
    known = sum(token in lexicon.FUNCTION_WORDS for token in question.tokens)
    return known >= 0.25 * len(question.tokens)


def _topics(words: list[str]) -> list[str]:
    return [word for word in words if word not in lexicon.POLITE_WORDS]
