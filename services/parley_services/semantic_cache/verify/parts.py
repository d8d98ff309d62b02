"""The parts in which two long texts differ, so that these alone can be judged."""

from parley_services.semantic_cache.text.canonical import Sentence, canonical
from parley_services.semantic_cache.text.question import Question

MOST_SENTENCES = 200


def is_long(question: Question, *, most_words: int) -> bool:
    """Return whether a text has more words than are compared one by one."""
    return len(question.tokens) > most_words


def differing_parts(one: str, other: str) -> tuple[str, str] | None:
    """
    Return what is left of two texts without the sentences that both begin and end with.

    A preamble or a document that both have is no part of it, so that the two questions after it
    are compared as if they stood alone. None if one has nothing left for itself, or too many
    sentences: then the texts are not alike enough to be compared by parts.
    """
    first, second = canonical(one).sentences, canonical(other).sentences
    if max(len(first), len(second)) > MOST_SENTENCES:
        return None
    begin = _alike(first, second)
    first, second = first[begin:], second[begin:]
    end = _alike(first[::-1], second[::-1])
    first, second = first[: len(first) - end], second[: len(second) - end]
    if not first or not second or not (begin or end):
        return None
    return _text(first), _text(second)


def _alike(one: tuple[Sentence, ...], other: tuple[Sentence, ...]) -> int:
    count = 0
    for first, second in zip(one, other, strict=False):
        if first.words != second.words:
            break
        count += 1
    return count


def _text(sentences: tuple[Sentence, ...]) -> str:
    return ". ".join(each.text for each in sentences)
