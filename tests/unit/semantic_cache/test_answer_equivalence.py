import pytest
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.verify.answer_equivalence import answers_are_equivalent
from parley_services.semantic_cache.verify.words import WordReader


@pytest.fixture(scope="module")
def reader():
    return WordReader(WordLlamaEmbedder())


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("The capital of France is Paris.", "the capital of France is  Paris.", True),
        ("Paris is the capital of France.", "The capital of France is Paris.", True),
        ("The capital of France is Paris.", "The capital of Peru is Lima.", False),
        ("It takes 3 days.", "It takes 5 days.", False),
        ("You can get a refund.", "You can not get a refund.", False),
        (
            "Open Settings, choose Security and click on Reset password.",
            "Go to Settings, then Security, and click Reset password.",
            True,
        ),
        (
            "Open Settings, choose Security and click on Reset password.",
            "A haiku has three lines of five, seven and five syllables.",
            False,
        ),
    ],
)
def test_answers_agree_by_what_they_say(reader, one, other, agree):
    assert answers_are_equivalent(one, other, reader) is agree
    assert answers_are_equivalent(other, one, reader) is agree
