"""What providers mean by their errors, by status, code and words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.model_router.attempt.failures import FailureKind
from parley_services.model_router.providers.refusals import BY_CODE, BY_STATUS, failure_of_body

TOO_LONG = {
    "openai": "This model's maximum context length is 8192 tokens. However, your messages "
    "resulted in 9000 tokens. Please reduce the length of the messages.",
    "vllm": "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "sglang": "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "sglang total": "Requested token count exceeds the model's maximum context length of 8192 "
    "tokens. You requested a total of 9000 tokens.",
    "tgi": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: "
    "9000 `inputs` tokens and 100 `max_new_tokens`",
    "tgi inputs": "Input validation error: `inputs` must have less than 8191 tokens. Given: 9000",
    "llama.cpp": "the request exceeds the available context size. try increasing the context size",
    "llama.cpp new": "request (9000 tokens) exceeds the available context size (8192 tokens)",
    "ollama": "the input length exceeds the context length",
    "gemini": "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
    "xai": "This model's maximum prompt length is 8192 but the request contains 9000 tokens.",
    "openrouter": "This endpoint's maximum context length is 8192 tokens. However, you requested "
    "about 9000 tokens (9000 of text input).",
    "azure": "This model's maximum context length is 8192 tokens, however you requested 9000.",
    "anthropic": "prompt is too long: 9000 tokens > 8192 maximum",
    "anthropic output": "input length and `max_tokens` exceed context limit: 9000 + 100 > 8192",
    "bedrock": "Input is too long for requested model.",
    "mistral": "Prompt contains 9000 tokens and 0 draft tokens, too large for model with 8192 "
    "maximum context length",
    "tensorrt": "Prompt length (9000) exceeds maximum input length (8192).",
    "cohere": "too many tokens: total number of tokens in the prompt cannot exceed 8192",
    "lm studio": "The number of tokens to keep from the initial prompt is greater than the "
    "context length",
}


@pytest.mark.parametrize("server", TOO_LONG)
@pytest.mark.parametrize("status", [None, 400, 422])
def test_too_long_is_known_in_the_words_of_each_server(server, status):
    message = TOO_LONG[server]
    for error in (message, {"message": message}, {"message": message, "type": "BadRequestError"}):
        assert failure_of_body(status, error) is FailureKind.CONTEXT_TOO_LONG


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "Invalid value for 'temperature': must be at most 2.",
        "tools[0].function.name is too long: at most 64 characters.",
        "Unknown parameter: context.",
        "",
    ],
)
def test_other_refusals_are_not_taken_for_it(message):
    assert failure_of_body(400, {"message": message}) is FailureKind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        # The model's.
        (403, {"code": "model_not_found"}, FailureKind.MODEL_NOT_FOUND),
        (401, {"code": "model_not_found"}, FailureKind.MODEL_NOT_FOUND),
        (403, {"type": "permission_error"}, FailureKind.FORBIDDEN),
        (403, {"message": "You are not allowed to sample from this model"}, FailureKind.FORBIDDEN),
        (404, {"code": "DeploymentNotFound"}, FailureKind.MODEL_NOT_FOUND),
        # The request's: a firewall in front says it in HTML.
        (403, "<html>Request blocked</html>", FailureKind.FORBIDDEN),
        (403, None, FailureKind.FORBIDDEN),
        # The account's.
        (402, None, FailureKind.QUOTA_EXHAUSTED),
        (429, {"code": "insufficient_quota"}, FailureKind.QUOTA_EXHAUSTED),
        (429, {"message": "You exceeded your current quota, ..."}, FailureKind.QUOTA_EXHAUSTED),
        (400, {"message": "Your credit balance is too low"}, FailureKind.QUOTA_EXHAUSTED),
        # The key's.
        (401, None, FailureKind.KEY_REFUSED),
        (401, {"type": "invalid_request_error"}, FailureKind.KEY_REFUSED),
        (401, "<html>Unauthorized</html>", FailureKind.KEY_REFUSED),
        (403, {"code": "invalid_api_key"}, FailureKind.KEY_REFUSED),
        (400, "Incorrect API key provided: xx***yy.", FailureKind.KEY_REFUSED),
        (403, {"message": "Your API key was reported as leaked."}, FailureKind.KEY_REFUSED),
        (
            400,
            [
                {
                    "error": {
                        "code": 400,
                        "message": "API key not valid. Please pass a valid API key.",
                        "status": "INVALID_ARGUMENT",
                        "details": [{"reason": "API_KEY_INVALID"}],
                    }
                }
            ],
            FailureKind.KEY_REFUSED,
        ),
        # The moment's.
        (429, {"status": "RESOURCE_EXHAUSTED", "code": 429}, FailureKind.RATE_LIMITED),
        (503, {"status": "UNAVAILABLE", "code": 503}, FailureKind.OVERLOADED),
        # A redirect that leads elsewhere.
        (307, None, FailureKind.MODEL_NOT_FOUND),
    ],
)
def test_who_is_to_blame(status, error, kind):
    assert failure_of_body(status, error) is kind


@pytest.mark.parametrize(
    ("status", "error", "passes"),
    [
        (429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, "
              "Requested 41000", 0),
        (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, "
              "Requested 9000, please reduce your message size", 0),
        (429, "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, "
              "Requested 4000. Please try again in 6s.", 1),
        (429, "Rate limit reached", 1),
    ],
)  # fmt: skip
def test_a_limit_that_the_request_can_never_pass_is_told_from_one_that_it_can(
    status, error, passes
):
    kind = failure_of_body(
        status, {"message": error, "type": "tokens", "code": "rate_limit_exceeded"}
    )
    assert kind is (FailureKind.RATE_LIMITED if passes else FailureKind.LIMIT_TOO_LOW)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "type", "message", "error", "details", "innererror"]), inner
        )
    ),
    max_leaves=8,
)


@given(status=st.none() | st.integers(300, 599), error=ANY_JSON)
def test_whatever_a_provider_says_it_is_some_failure(status, error):
    assert failure_of_body(status, error) in FailureKind


def test_the_tables_are_in_lower_case_and_complete():
    assert all(code == code.lower() for code in BY_CODE)
    assert set(BY_STATUS) <= set(range(400, 600))
