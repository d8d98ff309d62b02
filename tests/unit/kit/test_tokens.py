import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.models import tokens
from parley_services.kit.models.tokens import count_tokens, encoding_name, measure_tokens


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("ft:gpt-4o:acme", "o200k_base"),
        ("openai/gpt-oss-20b", "o200k_harmony"),
        ("text-embedding-3-small", "cl100k_base"),
        ("meta-llama/Llama-3.1-8B", "llama3"),
        ("claude-sonnet-5-5", None),
        ("", None),
    ],
)
def test_models_have_their_vocabulary(model, encoding):
    assert encoding_name(model) == encoding


def test_counts_are_those_of_the_published_vocabulary():
    # As OpenAI's cookbook "How to count tokens with tiktoken" prints them.
    assert count_tokens("antidisestablishmentarianism", "gpt-4o") == 6
    assert count_tokens("2 + 2 = 4", "gpt-4") == 7
    assert count_tokens("お誕生日おめでとう", "gpt-4o") == 8
    assert count_tokens("お誕生日おめでとう", "gpt-4") == 9


def test_a_model_without_a_published_vocabulary_is_estimated():
    assert measure_tokens("Hello there", "claude-sonnet-5-5").estimated
    assert not measure_tokens("Hello there", "gpt-4o").estimated


@given(st.text(st.characters(codec=None), min_size=1))
def test_text_is_never_free(text):
    assert count_tokens(text) >= 1


def test_no_text_has_no_tokens():
    assert count_tokens("") == 0


def test_without_a_vocabulary_four_characters_are_a_token(monkeypatch):
    monkeypatch.setattr(tokens, "_tokenizer", lambda encoding: None)
    counted = measure_tokens("abcde", "gpt-4o")
    assert (counted.token_count, counted.estimated) == (2, True)
