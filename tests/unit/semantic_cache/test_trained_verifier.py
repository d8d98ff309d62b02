import pytest
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.verify.features import FEATURES
from parley_services.semantic_cache.verify.trained_verifier import TrainedVerifier, Weights
from parley_services.semantic_cache.verify.verifier import RuleVerifier
from parley_services.semantic_cache.verify.words import WordReader

RATE = {"max_false_hit_rate": 0.02}


@pytest.fixture(scope="module")
def weights():
    return Weights.load()


@pytest.fixture(scope="module")
def reader():
    return WordReader(WordLlamaEmbedder())


@pytest.fixture
def verifier(reader, weights):
    return TrainedVerifier(reader, weights)


def test_a_lower_rate_asks_for_a_higher_probability(weights):
    asked = [weights.bars.probability_for(rate) for rate in (0.0, 0.001, 0.0011, 0.02, 0.1)]
    assert asked == sorted(asked, reverse=True)
    assert asked[0] == 1.0
    assert asked[1] == asked[2]


def test_a_rate_of_zero_serves_nothing_near(reader, weights):
    verifier = TrainedVerifier(reader, weights)
    verdict = verifier.verify(
        "How do I cook rice?", "How can I cook rice?", 0.99, max_false_hit_rate=0.0
    )
    assert verdict.refusal == "improbable"


def test_the_verdict_is_symmetric_and_shows_its_features(verifier):
    one, other = "How do I learn to cook?", "What is the best way to learn cooking?"
    forth, back = verifier.verify(one, other, 0.9, **RATE), verifier.verify(other, one, 0.9, **RATE)
    assert forth.probability == pytest.approx(back.probability)
    assert set(forth.features) == {"similarity", *FEATURES}


def test_a_rule_has_the_last_word(verifier):
    verdict = verifier.verify("Is it safe to fly?", "Is it not safe to fly?", 0.99, **RATE)
    assert (verdict.probability, verdict.refusal) == (0.0, "negation_changed")


def test_what_the_trees_did_not_learn_is_left_to_the_rules(verifier):
    verdict = verifier.verify("Comment cuire riz", "Comment cuire pâtes", 0.95, **RATE)
    assert (verdict.probability, verdict.refusal) == (0.0, "word_changed")


@pytest.mark.parametrize(("one", "other"), [("?", "!"), ("\U0001f600", "?"), ("x", "y")])
def test_texts_of_next_to_nothing_are_judged(verifier, one, other):
    assert 0.0 <= verifier.verify(one, other, 1.0, **RATE).probability < 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How do I reset my password?"),
        ("What is 3 + 4?", " What is  3 + 4? "),
        ("???", "???"),
        ("```x```", "```x```\r\n"),
        ("How do I reset my password?", "how do I reset my password"),
        ("Explain HTTP caching", "Explain HTTP caching."),
    ],
)
@pytest.mark.parametrize("rate", [0.0, 0.02])
def test_where_nothing_differs_one_answer_serves_both(verifier, one, other, rate):
    for each in (verifier, RuleVerifier()):
        verdict = each.verify(one, other, 0.99, max_false_hit_rate=rate)
        assert (verdict.probability, verdict.refusal) == (1.0, "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Polish verbs", "polish verbs"),
        ("What is IT?", "What is it?"),
        ("IT costs?", "It costs?"),
        ("???", "!!!"),
        ("```x!```", "```x```"),
        ("What does a|b do?", "What does a;b do?"),
    ],
)
def test_a_capital_or_a_sign_may_make_a_difference(verifier, one, other):
    assert verifier.verify(one, other, 0.99, **RATE).probability < 1.0
