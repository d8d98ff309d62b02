"""Lists of words, written as text."""


def word_list(text: str) -> frozenset[str]:
    """Return the words of *text*, which stand apart by blanks."""
    return frozenset(text.split())


def word_pairs(text: str) -> list[tuple[str, str]]:
    """Return the pairs of *text*, written as `one/other`."""
    return [(one, other) for one, _, other in (pair.partition("/") for pair in text.split())]
