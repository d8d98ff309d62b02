"""What is said of a request that breaks a rule, and what is checked at all."""

import pytest
from parley.guardrails.v1 import guardrails_service_pb2 as guardrails_pb
from parley.model_router.v1 import model_router_service_pb2 as router_pb
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as prompts_pb
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as cache_pb
from parley_services.kit.errors import InvalidArgument
from parley_services.kit.rpc.validation import (
    MAX_VIOLATIONS,
    check_of,
    has_rules,
    violations_of,
)


def said_of(message):
    return {each.field: each.description for each in violations_of(message)}


@pytest.mark.parametrize(
    ("message", "field", "sentence"),
    [
        (pb.ChatRequest(request_id="17"), "request_id", "must be a UUID in 36 characters."),
        (pb.GetJobRequest(), "job_id", "must be a UUID in 36 characters."),
        (pb.CreateJobRequest(), "chat", "must be given."),
        (pb.ChatRequest(history=[{}]), "history[0].role", "must not be unspecified."),
        (pb.ChatRequest(cache_mode=99), "cache_mode", "must be one of the values of its type."),
        (pb.ChatRequest(user_id="a\n"), "user_id", "must hold printable characters only."),
        (pb.ChatRequest(user_id="a" * 257), "user_id", "must be at most 256 characters."),
        (
            pb.ChatRequest(tools=[{"name": "a b"}]),
            "tools[0].name",
            "must match ^[a-zA-Z0-9_-]{1,64}$.",
        ),
        (pb.ChatRequest(tags={"": "x"}), "tags", "each name must not be empty."),
        (
            pb.ChatRequest(tags={"team": "\0"}),
            'tags["team"]',
            "must not hold the character NUL.",
        ),
        (pb.ChatRequest(tags={"k" * 65: "x"}), "tags", "each name must be at most 64 characters."),
        (
            pb.ChatRequest(parameters={"top_p": 0}),
            "parameters.top_p",
            "must be greater than 0 and less than or equal to 1.",
        ),
        (pb.RateTurnRequest(stars=6), "stars", "must be greater than or equal to 1 and less than "
         "or equal to 5."),
        (pb.RateTurnRequest(), "rating", "one of its fields must be given."),
        (router_pb.GenerateRequest(), "messages", "must contain at least 1 item(s)."),
        (
            router_pb.GenerateRequest(kind="ATTEMPT_KIND_HEDGE"),
            "kind",
            "must be PRIMARY, REPAIR or SHADOW.",
        ),
    ],
)  # fmt: skip
def test_a_violation_is_one_sentence(message, field, sentence):
    assert said_of(message)[field] == sentence


def experiment(**fields):
    arms = [{"name": "a", "version": 1, "weight": 0.5}, {"name": "b", "version": 2, "weight": 0.5}]
    return prompts_pb.CreateExperimentRequest(
        experiment={"experiment_id": "x", "arms": arms} | fields
    )


def store(**fields):
    return cache_pb.StoreRequest(partition={"tenant_id": "acme"}, answer={}, **fields)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (store(tags=["", "x" * 65]), ["tags[0]", "tags[1]"]),
        (store(tags=["x"] * 17), ["tags"]),
        (store(ttl={}), ["ttl"]),
        (cache_pb.LookupRequest(partition={}), ["partition.tenant_id"]),
        (cache_pb.ReportHitRequest(tenant_id="acme", entry_id="nonsense"), ["entry_id"]),
        (cache_pb.PurgeEntriesRequest(), ["tenant_id"]),
        (cache_pb.GetStatsRequest(page_size=-1), ["page_size"]),
        (cache_pb.GetStatsRequest(page_size=1_001), ["page_size"]),
        (cache_pb.GetStatsRequest(page_size=1_000), []),
        (experiment(), []),
        (experiment(experiment_id="Not A Name"), ["experiment.experiment_id"]),
        (experiment(arms=[{"name": "a", "version": 1, "weight": 1}]), ["experiment.arms"]),
        (experiment(coverage=1.5), ["experiment.coverage"]),
        (experiment(guard={"alpha": 1.5}), ["experiment.guard.alpha"]),
        (experiment(guard={"max_error_ratio": 0.5}), ["experiment.guard.max_error_ratio"]),
        (experiment(guard={}), []),
    ],
)
def test_what_services_once_checked_by_hand(message, fields):
    assert [each.field for each in violations_of(message)] == fields


def test_the_name_of_a_wrong_entry_is_not_repeated():
    assert "prompt" not in str(violations_of(pb.ChatRequest(variables={"a prompt" * 99: "x"})))


def test_all_violations_of_a_small_message_are_named():
    said = said_of(pb.ChatRequest(request_id="17", user_id="\n", history=[{}, {"role": 9}]))
    assert set(said) == {"request_id", "user_id", "history[0].role", "history[1].role"}


def test_no_more_than_an_error_has_room_for():
    assert len(violations_of(pb.ChatRequest(history=[{}] * 500))) == MAX_VIOLATIONS


def test_a_large_message_is_looked_at_until_the_first_violation():
    assert len(violations_of(pb.ChatRequest(text="x" * 70_000, history=[{}] * 500))) == 1


def test_a_good_message_breaks_nothing():
    assert violations_of(pb.ChatRequest(text="Why?")) == []


def test_methods_without_rules_are_not_checked():
    assert not has_rules(router_pb.ListModelsRequest.DESCRIPTOR)
    assert check_of("/parley.model_router.v1.ModelRouterService/ListModels") is None
    assert check_of("/parley.model_router.v1.ModelRouterService/Unknown") is None


def test_a_message_that_holds_itself_ends():
    assert not has_rules(guardrails_pb.ScanOutputRequest.End.DESCRIPTOR)


def test_rules_of_a_submessage_are_found_in_it_and_nowhere_else():
    check = check_of("/parley.guardrails.v1.GuardrailsService/ScanOutput")
    check(guardrails_pb.ScanOutputRequest(text="a token"))
    check(guardrails_pb.ScanOutputRequest(start={}))
    with pytest.raises(InvalidArgument) as caught:
        check(guardrails_pb.ScanOutputRequest(start={"response_format": {"type": 9}}))
    assert [each.field for each in caught.value.violations] == ["start.response_format.type"]
