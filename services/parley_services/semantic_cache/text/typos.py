"""Slips of the finger in English words, where only one word can have been meant."""

import gzip
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final
from zlib import crc32

LEAST_LETTERS: Final = 5
"""Shorter words have too many neighbours."""

FILTER_HASHES: Final = 6

_NEIGHBOURS: Final = {
    key: row[max(0, at - 1) : at] + row[at + 1 : at + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for at, key in enumerate(row)
}
_VOWELS: Final = "aeiou"
_LEAST_FOR_VOWELS: Final = 7
"""Shorter words have a neighbour with another vowel too often."""

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


@lru_cache(maxsize=4_096)
def corrected(word: str) -> str:
    """
    Return the word that a lower-case *word* with one slip was meant to be, or *word*.

    It is mended only if it is no word, name or brand that a list of some 350,000 knows, and
    one common word alone is a slip away: two letters swapped, one left out, one too many, a
    neighbouring key, or in long words another vowel. The first letter is never taken for a slip.
    """
    if len(word) < LEAST_LETTERS or not (word.isascii() and word.isalpha()):
        return word
    common = _common_words()
    # Most words are right.
    if word in common:
        return word
    meant = {each for each in slips(word) if each in common}
    if len(meant) > 1 and len({each.rstrip("es") for each in meant}) == 1:
        # `potatos` is neither `potato` nor another word.
        meant = {each for each in meant if each[-1] == word[-1]}
    if len(meant) != 1 or is_known(word, _known_words()):
        return word
    return meant.pop()


def slips(word: str) -> set[str]:
    """Return what *word* may have been meant to be, words or not, itself excluded."""
    found: set[str] = set()
    for at in range(1, len(word) + 1):
        head, tail = word[:at], word[at:]
        # A letter was left out.
        found.update(f"{head}{letter}{tail}" for letter in _LETTERS)
        if tail:
            found.add(head + tail[1:])
            found.update(f"{head}{key}{tail[1:]}" for key in _NEIGHBOURS[tail[0]])
            if tail[0] in _VOWELS and len(word) >= _LEAST_FOR_VOWELS:
                found.update(f"{head}{vowel}{tail[1:]}" for vowel in _VOWELS)
        if len(tail) > 1:
            found.add(head + tail[1] + tail[0] + tail[2:])
    found.discard(word)
    return {each for each in found if len(each) >= LEAST_LETTERS}


def is_known(word: str, bits: bytes) -> bool:
    """Return whether *word* is in the Bloom filter *bits*; one in 2,000 others is, too."""
    return all(bits[place >> 3] >> (place & 7) & 1 for place in places_of(word, len(bits) * 8))


def places_of(word: str, size: int) -> list[int]:
    """Return the bits of *word* in a Bloom filter of *size* bits (Kirsch and Mitzenmacher)."""
    letters = word.encode()
    first, step = crc32(letters), crc32(letters, 0x9E3779B9) | 1
    return [(first + number * step) % size for number in range(FILTER_HASHES)]


@cache
def _common_words() -> frozenset[str]:
    packed = files(__package__).joinpath("words", "common.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split())


@cache
def _known_words() -> bytes:
    return files(__package__).joinpath("words", "known.bloom").read_bytes()


def is_common(word: str) -> bool:
    """Return whether *word*, in lower case, is among some 25,000 common English words."""
    return word in _common_words()
