import pytest
from parley_services.semantic_cache.verify.question import question_of, stem
from parley_services.semantic_cache.verify.rules import refusal_of
from parley_services.semantic_cache.verify.verifier import RuleVerifier


@pytest.mark.parametrize(
    ("one", "other", "refusal"),
    [
        ("Convert 10 USD to EUR", "Convert 20 USD to EUR", "number_changed"),
        ("Boil two eggs", "Boil three eggs", "number_changed"),
        ("What is 2+2", "What is 2-2", "number_changed"),
        ("Is x > y", "Is x < y", "number_changed"),
        ("Is it at 10:30", "Is it at 11:30", "number_changed"),
        ("Is aspirin safe", "Is aspirin not safe", "negation_changed"),
        ("Can I do it", "Can't I do it", "negation_changed"),
        ("Is it legal", "Is it illegal", "negation_changed"),
        ("Coffee with sugar", "Coffee without sugar", "negation_changed"),
        ("How do I enable dark mode", "How do I disable dark mode", "antonym_changed"),
        ("Increasing the limit", "Decreasing the limit", "antonym_changed"),
        ("When was it built", "Where was it built", "question_changed"),
        ("How many users are there", "How old users are there", "question_changed"),
        ("Who runs Apple", "Who runs Microsoft", "name_changed"),
        ("Mail to <EMAIL_1>", "Mail to <EMAIL_2>", "name_changed"),
        ("Is it open on monday", "Is it open on tuesday", "class_changed"),
        ("Sort a list in python", "Sort a list in java", "class_changed"),
        ("How do I export my data", "How do I export all my data", "scope_added"),
        ("What is the first step", "What is the last step", "antonym_changed"),
        ("What is the average price", "What is the total price", "scope_changed"),
        ("Where can I buy it in Paris", "Where can I buy it", "name_added"),
        ("Mail to <EMAIL_1>", "Mail to my boss", "name_changed"),
        ("When and why did it start", "Why did it start", "question_added"),
        ("Convert USD to EUR", "Convert EUR to USD", "order_changed"),
        ("Upgrade from 2 to 3", "Upgrade from 3 to 2", "order_changed"),
        ("Can dogs eat mice", "Can mice eat dogs", "order_changed"),
        (
            "Is a line to ground fault on the line bad",
            "Is a ground to line fault on the line bad",
            "order_changed",
        ),
        ("Is tea better than milk", "Is milk better than tea", "order_changed"),
        ("Run ```a = 1```", "Run ```b = 1```", "code"),
        ("\U0001f600", "\U0001f621", "no_words"),
        ("Ist das gefährlich", "Ist das nicht gefährlich", "negation_changed"),
    ],
)
def test_a_change_of_meaning_is_named_in_both_directions(one, other, refusal):
    assert refusal_of(question_of(one), question_of(other)) == refusal
    assert refusal_of(question_of(other), question_of(one)) == refusal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How can I reset my password?"),
        ("What is the capital of France?", "What's the capital city of France?"),
        ("What is the difference between TCP and UDP?", "The difference between UDP and TCP?"),
        ("How do I get from London to Paris?", "How do I get to Paris from London?"),
        ("USD to EUR conversion", "conversion of USD to EUR"),
        ("What is Rust?", "what is rust"),
        ("Write two haikus", "Write 2 haikus"),
        ("I don’t like it", "I do not like it"),  # noqa: RUF001 -- as people type
    ],
)
def test_a_change_of_form_passes(one, other):
    assert refusal_of(question_of(one), question_of(other)) == ""
    assert refusal_of(question_of(other), question_of(one)) == ""


def test_a_text_never_refuses_itself_unless_it_is_code():
    for text in ("Convert 10 USD to EUR, not GBP", "Is it illegal?", "Who? When? How many?"):
        assert refusal_of(question_of(text), question_of(text)) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("reset", "resetting"), ("city", "cities"), ("plan", "planned"), ("save", "saving")],
)
def test_forms_of_a_word_share_a_stem(one, other):
    assert stem(one) == stem(other)


def test_another_topic_is_refused_without_a_rule_for_it():
    verdict = RuleVerifier().verify(
        "How do I bake bread?", "How do I bake fish?", 0.95, max_false_hit_rate=0.02
    )
    assert (verdict.probability, verdict.refusal) == (0.0, "word_changed")


def test_a_word_more_passes_in_english_only():
    verifier = RuleVerifier()
    english = verifier.verify(
        "What is the capital of France", "The capital city of France", 0.95, max_false_hit_rate=0.02
    )
    assert english.refusal == ""
    assert verifier.verify(
        "Comment cuire riz", "Comment cuire riz complet", 0.95, max_false_hit_rate=0.02
    ).refusal
