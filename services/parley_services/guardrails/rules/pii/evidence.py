"""What stands beside a candidate and speaks for it or against it."""

from parley_services.guardrails.patterns.regex import Regex, compile_regex
from parley_services.guardrails.rule import Candidate

_INSIDE = r"(?i)(?:\d[.,]|[0-9a-f]{4}-|[a-z]-|[\w/]\.|[_#@=]|\d[eE][+-]?)\z"
"""Before it: decimals, UUIDs, serial numbers, versions, identifiers, keys of a URL."""

_FILLERS = (
    r"(?:(?:me|us|him|her|them|at|on|is|was|no|nos|number|numbers|nr|num|numero|número|nummer|ist"
    r"|es|est|to|via|under|unter|au|al|my|our|your|the|it|or|and|und|et|y|home|work|office)"
    r"\W{1,3}){0,4}"
)


def words_before(words: str) -> Regex:
    """
    Return what finds one of *words*, an alternation, just before a candidate.

    Only fillers as `number is` may stand between.
    """
    return compile_regex(rf"(?i)(?:\A|[^a-z])(?:{words})s?\W{{0,3}}{_FILLERS}\z")


def words_near(words: str) -> Regex:
    """Return what finds one of *words* anywhere in the text before a candidate, on its line."""
    return compile_regex(rf"(?i)(?:\A|[^a-z])(?:{words})(?:[^a-z\n][^\n]*)?\z")


def words_after(words: str) -> Regex:
    """Return what finds one of *words* just after a candidate."""
    return compile_regex(rf"(?i)\A\W{{0,3}}(?:{words})(?:[^a-z]|\z)")


def found(regex: Regex, text: str) -> bool:
    """Whether *regex* is found in *text*."""
    return regex.search(text.encode()) is not None


_inside = compile_regex(_INSIDE)


def is_inside_token(candidate: Candidate) -> bool:
    """Whether *candidate* is a part of something longer, as of a decimal or a serial number."""
    return found(_inside, candidate.before)
