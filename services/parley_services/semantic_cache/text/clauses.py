"""One order for the clauses of an English question."""

import re
from typing import Final

_PERSONS: Final = r"i|you|he|she|it|we|they|one"
_AUXILIARIES: Final = (
    r"can|could|do|does|did|is|are|am|was|were|will|would|should|shall|may|must|has|have|had"
)
_OPENERS: Final = rf"how|what|who|whom|whose|when|where|why|which|{_AUXILIARIES}"
_FRONTED: Final = re.compile(
    r"(?i)^(?P<clause>(?:if|when|while|before|after|for|in|on|at|with|without|during|under|from|"
    r"by|since|because|as|until|once|unless|although|though|despite|given|inside|outside|near|"
    r"according to|instead of|due to|besides)\s[^,;:.?!]{2,100}),\s*(?:then\s+)?"
    rf"(?P<main>(?:{_OPENERS})\s[^,;:.?!]+)$"
)
_WITH_AUXILIARY: Final = re.compile(
    rf"(?i)^(?P<ask>how(?: \w+)?|where|when|why|what|who|which \w+) (?P<who>{_PERSONS}) "
    rf"(?P<aux>{_AUXILIARIES}) (?P<rest>\S.*)$"
)
_WITH_VERB: Final = re.compile(
    r"(?i)^(?P<ask>how|where|when|why|what) (?P<who>i|you|we|they) (?P<rest>[a-z]+\b.*)$"
)
_WITH_BE_LAST: Final = re.compile(
    r"(?i)^(?P<ask>what|who|where|when|why|how|how \w+) "
    r"(?P<who>(?:the|a|an|my|your|his|her|our|their|this|that|these|those) [^,;:.?!]+) "
    r"(?P<be>is|are|was|were)$"
)


def in_one_order(sentence: str) -> str:
    """
    Return one English sentence with a clause in front of the question moved behind it.

    `If it is late, can I get a refund` is `can I get a refund if it is late`. Only a question
    with a single comma is changed.
    """
    match = _FRONTED.match(sentence)
    if match is None:
        return sentence
    clause = match["clause"]
    return f"{match['main']} {clause[0].lower()}{clause[1:]}"


def asked_directly(sentence: str) -> str:
    """
    Return the direct form of a question that was asked indirectly.

    `what the late fee is` is `what is the late fee`, `how I can pay` is `how can I pay`, `where
    I pay` is `where do I pay`. What is direct already stays.
    """
    match = _WITH_AUXILIARY.match(sentence)
    if match:
        return f"{match['ask']} {match['aux']} {match['who']} {match['rest']}"
    match = _WITH_BE_LAST.match(sentence)
    if match:
        return f"{match['ask']} {match['be']} {match['who']}"
    match = _WITH_VERB.match(sentence)
    if match:
        return f"{match['ask']} do {match['who']} {match['rest']}"
    return sentence
