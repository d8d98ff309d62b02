import pytest
from parley_services.kit.chat.message import Message, ResponseFormat, ResponseFormatType, Role, Tool
from parley_services.model_router.route.auto import THRESHOLD, AutoScore
from parley_services.model_router.route.auto_features import GRAM_BUCKETS, SURFACE, grams, surface

from tests.unit.model_router.conftest import request_for

SCORE = AutoScore.load()


def score_of(text):
    return SCORE.of(request_for(messages=(Message(role=Role.USER, text=text),)))


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of France?",
        "Translate 'good morning' into French.",
        "How do I reset my password?",
        "Hello!",
        "",
    ],
)
def test_easy_requests_go_to_the_small_model(text):
    assert score_of(text) < THRESHOLD


@pytest.mark.parametrize(
    "text",
    [
        "Prove step by step that the algorithm is optimal.",
        "Debug this and explain why:\n```python\nfor i in x: pass\n```",
        "Write a Python function that merges two sorted lists.",
        "Compare the trade-offs of optimistic and pessimistic locking.",
    ],
)
def test_hard_requests_go_to_the_large_model(text):
    assert score_of(text) >= THRESHOLD


def test_tools_and_schemas_make_a_request_harder():
    plain = SCORE.of(request_for())
    assert SCORE.of(request_for(tools=(Tool(name="find"),))) == pytest.approx(plain + 0.1)
    assert SCORE.of(
        request_for(response_format=ResponseFormat(type=ResponseFormatType.JSON_SCHEMA))
    ) == pytest.approx(plain + 0.05)


def test_what_the_user_asked_last_counts():
    asked = Message(role=Role.USER, text="Prove step by step that it is optimal.")
    answer = Message(role=Role.TOOL, text="42", tool_call_id="c1")
    earlier = Message(role=Role.USER, text="Hello!")
    request = request_for(messages=(earlier, asked, answer))
    assert SCORE.of(request) == score_of(asked.text)


def test_a_conversation_without_a_user_has_a_score_too():
    assert SCORE.of(request_for(messages=(Message(role=Role.ASSISTANT, text="Hello"),))) < THRESHOLD


def test_features_are_as_they_were_learnt():
    assert grams("The quay, the 12 QUAYS") == grams("the Quay , the 3 quays")
    assert all(0 <= each < GRAM_BUCKETS for each in grams("ä 🚢 quay"))
    assert dict(zip(SURFACE, surface("Why 7?\nx;"), strict=True)) == {
        "length": pytest.approx(3.17, abs=0.01),
        "code": 1.0,
        "numbers": 1.0,
        "lines": 1.0,
        "question": 0.0,
        "capital": 1.0,
    }
