"""Spots questions and answers that are only right for a while."""

import re2  # type: ignore[import-untyped]

_QUESTION = re2.compile(
    r"(?i)\b(?:"
    r"today|tonight|tomorrow|yesterday|nowadays|right now|at the moment|so far this"
    r"|this (?:morning|afternoon|evening|week|weekend|month|quarter|year|season)"
    r"|(?:last|next) (?:night|week|weekend|month|quarter|year)"
    r"|latest|newest|most recent|recently|currently|current (?:price|time|date|weather"
    r"|version|status|rate|score|temperature|president|prime minister|ceo|value|balance)"
    r"|up[ -]to[ -]date|breaking news|news|weather|forecast|live score"
    r"|what time is it|what(?:'s| is) the (?:time|date)|what day is it"
    r"|(?:stock|share|gold|oil|gas|bitcoin|crypto) price|exchange rate|price of"
    r"|how (?:old|long ago)|days (?:until|till|since|left)|in stock|still (?:open|available|alive)"
    r")\b"
)
_ANSWER = re2.compile(
    r"(?i)\b(?:"
    r"as of (?:today|now|this|my last|writing|(?:early |mid-?|late )?[a-z]* ?20\d\d)"
    r"|today(?:'s| is)|right now|at the moment|at the time of writing|earlier today|tomorrow"
    r"|yesterday|the latest version|last updated|my (?:knowledge|training) (?:cutoff|data)"
    r"|real-?time (?:data|information)"
    r")\b"
)


def asks_about_now(text: str) -> bool:
    """Return whether the right answer to *text* depends on when it is asked."""
    return _QUESTION.search(text) is not None


def speaks_of_now(answer: str) -> bool:
    """Return whether *answer* says itself that it holds for the moment."""
    return _ANSWER.search(answer) is not None
