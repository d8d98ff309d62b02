import asyncio
import uuid

import grpc
import pytest
from parley.chat.v1 import answer_pb2, usage_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley_services.kit import errors
from parley_services.kit.rpc.status import service_error_of
from parley_services.prompt_registry.stores.memory import MemoryStore

from tests.support.waiting import eventually

TIMEOUT = 10


def render(template="general_chat", *, user="ada", **fields):
    fields.setdefault("variables", {"text": "hello"})
    return pb.RenderRequest(
        template=template, keys=pb.AssignmentKeys(tenant_id="acme", user_id=user), **fields
    )


def made(text="{{ text }}"):
    return pb.TemplateContent(user_text=text, variables=[pb.Variable(name="text", required=True)])


def report(request_id=None, **fields):
    defaults = {"tenant_id": "acme", "template": "general_chat", "version": 1}
    outcome = pb.Outcome(request_id=request_id or str(uuid.uuid4()), **{**defaults, **fields})
    outcome.latency.FromMilliseconds(250)
    outcome.end_time.FromSeconds(1_800_000_000)
    return pb.ReportOutcomeRequest(outcome=outcome)


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return service_error_of(caught.value)


async def test_the_starter_templates_are_there(stub):
    listed = await stub.ListTemplates(pb.ListTemplatesRequest(), timeout=TIMEOUT)
    assert [(each.name, each.latest_version) for each in listed.templates] == [
        ("code_review", 1),
        ("general_chat", 2),
        ("rag_answer", 1),
    ]
    response = await stub.Render(
        render("code_review", variables={"text": "x = 1"}), timeout=TIMEOUT
    )
    assert "python" in response.user_text
    assert response.cache_scope == pb.CACHE_SCOPE_USER
    response = await stub.Render(
        render("rag_answer", variables={"text": "Who?", "context": "[1] Ada."}), timeout=TIMEOUT
    )
    assert "[1] Ada." in response.user_text
    assert "Ada" not in response.system_text


async def test_what_is_cached_also_comes_with_the_prompt(stub):
    content = made("{{ text }}!")
    content.extra_cacheable.extend([pb.EXTRA_CACHEABLE_TOOLS, pb.EXTRA_CACHEABLE_DEGRADED])
    await stub.CreateTemplateVersion(
        pb.CreateTemplateVersionRequest(template="lenient", content=content), timeout=TIMEOUT
    )
    response = await stub.Render(render("lenient"), timeout=TIMEOUT)
    assert list(response.extra_cacheable) == [pb.EXTRA_CACHEABLE_TOOLS, pb.EXTRA_CACHEABLE_DEGRADED]
    response = await stub.Render(render(), timeout=TIMEOUT)
    assert list(response.extra_cacheable) == []


async def test_one_user_in_ten_gets_the_second_version(stub):
    versions = [
        (await stub.Render(render(user=f"user-{n}"), timeout=TIMEOUT)).version for n in range(1_000)
    ]
    assert 70 <= versions.count(2) <= 130
    assigned = await stub.AssignArm(
        pb.AssignArmRequest(template="general_chat", keys=pb.AssignmentKeys(user_id="user-7")),
        timeout=TIMEOUT,
    )
    assert assigned.version == versions[7]
    assert assigned.experiment_id == "general-chat-v2"


async def test_each_wrong_variable_is_named(stub):
    error = await refusal(
        stub.Render(render(variables={"txt": "hello", "tone": "x"}), timeout=TIMEOUT)
    )
    assert isinstance(error, errors.InvalidArgument)
    assert sorted(each.field for each in error.violations) == [
        "variables.text",
        "variables.tone",
        "variables.txt",
    ]


@pytest.mark.parametrize(
    "request_message",
    [
        render("nothing"),
        render(label="nothing"),
        render(version=99),
        render(arm="nothing"),
    ],
    ids=["template", "label", "version", "arm"],
)
async def test_what_does_not_exist_is_not_found(stub, request_message):
    error = await refusal(stub.Render(request_message, timeout=TIMEOUT))
    assert isinstance(error, errors.NotFound)


async def test_a_version_label_and_experiment_from_making_to_ending(stub):
    version = (
        await stub.CreateTemplateVersion(
            pb.CreateTemplateVersionRequest(template="greet", content=made("a {{ text }}")),
            timeout=TIMEOUT,
        )
    ).version
    assert (version.version, len(version.content_sha256)) == (1, 64)
    second = pb.CreateTemplateVersionRequest(
        template="greet", content=made("b {{ text }}"), author="ada", note="b", base_version=1
    )
    await stub.CreateTemplateVersion(second, timeout=TIMEOUT)
    got = await stub.GetTemplateVersion(
        pb.GetTemplateVersionRequest(template="greet", version=2), timeout=TIMEOUT
    )
    assert got.version.content.user_text == "b {{ text }}"
    assert got.version.content.variables == made().variables
    assert (got.version.author, got.version.note) == ("ada", "b")
    versions = await stub.ListTemplateVersions(
        pb.ListTemplateVersionsRequest(template="greet", page_size=1), timeout=TIMEOUT
    )
    assert [each.version for each in versions.versions] == [2]
    versions = await stub.ListTemplateVersions(
        pb.ListTemplateVersionsRequest(template="greet", page_token=versions.next_page_token),
        timeout=TIMEOUT,
    )
    assert [each.version for each in versions.versions] == [1]

    label = (
        await stub.SetLabel(
            pb.SetLabelRequest(template="greet", label="staging", version=2), timeout=TIMEOUT
        )
    ).label
    assert (await stub.Render(render("greet", label="staging"), timeout=TIMEOUT)).version == 2
    stale = pb.SetLabelRequest(template="greet", label="staging", version=1, etag="other")
    assert isinstance(await refusal(stub.SetLabel(stale, timeout=TIMEOUT)), errors.Conflict)
    assert label.etag
    moves = await stub.ListLabelMoves(pb.ListLabelMovesRequest(template="greet"), timeout=TIMEOUT)
    assert [each.label for each in moves.moves] == ["staging", "production"]
    await stub.DeleteLabel(
        pb.DeleteLabelRequest(template="greet", label="staging"), timeout=TIMEOUT
    )

    wanted = pb.Experiment(
        experiment_id="greet-b",
        template="greet",
        arms=[
            pb.Arm(name="control", version=1, weight=0),
            pb.Arm(name="b", version=2, weight=1),
        ],
        coverage=1,
        state=pb.EXPERIMENT_STATE_RUNNING,
    )
    experiment = (
        await stub.CreateExperiment(pb.CreateExperimentRequest(experiment=wanted), timeout=TIMEOUT)
    ).experiment
    response = await stub.Render(render("greet"), timeout=TIMEOUT)
    assert (response.version, response.experiment_id, response.arm) == (2, "greet-b", "b")
    experiment.state = pb.EXPERIMENT_STATE_ENDED
    await stub.UpdateExperiment(pb.UpdateExperimentRequest(experiment=experiment), timeout=TIMEOUT)
    assert (await stub.Render(render("greet"), timeout=TIMEOUT)).version == 1
    got = await stub.GetExperiment(
        pb.GetExperimentRequest(experiment_id="greet-b"), timeout=TIMEOUT
    )
    assert got.experiment.state == pb.EXPERIMENT_STATE_ENDED
    listed = await stub.ListExperiments(
        pb.ListExperimentsRequest(template="greet"), timeout=TIMEOUT
    )
    assert [each.experiment_id for each in listed.experiments] == ["greet-b"]


async def test_outcomes_and_ratings_are_counted_by_arm(stub):
    arm = {"experiment_id": "general-chat-v2", "arm": "treatment", "version": 2}
    await asyncio.gather(
        stub.ReportOutcome(report("r1"), timeout=TIMEOUT),
        stub.ReportOutcome(report("r1"), timeout=TIMEOUT),
        stub.ReportOutcome(
            report("r2", error_reason="ERROR_REASON_PROVIDER_UNAVAILABLE", **arm),
            timeout=TIMEOUT,
        ),
        stub.ReportOutcome(
            report(
                "r3",
                source=answer_pb2.ANSWER_SOURCE_CACHE_EXACT,
                cost_nano_usd=7,
                usage=usage_pb2.Usage(output_token_count=3),
                **arm,
            ),
            timeout=TIMEOUT,
        ),
    )
    rating = pb.RecordRatingRequest(request_id="r3", tenant_id="acme", stars=4)
    await stub.RecordRating(rating, timeout=TIMEOUT)
    outcomes = await stub.GetOutcomes(
        pb.GetOutcomesRequest(template="general_chat"), timeout=TIMEOUT
    )
    plain, treatment = outcomes.summaries
    assert (plain.version, plain.request_count) == (1, 1)
    assert (treatment.arm, treatment.request_count) == ("treatment", 2)
    assert dict(treatment.error_counts) == {"ERROR_REASON_PROVIDER_UNAVAILABLE": 1}
    assert (treatment.cache_hit_count, treatment.cost_nano_usd) == (1, 7)
    assert treatment.usage.output_token_count == 3
    assert (treatment.rating_count, treatment.mean_stars) == (1, 4.0)
    assert 0.24 < treatment.latency_p95.ToNanoseconds() / 1e9 < 0.26

    pages, token = [], ""
    while not pages or token:
        page = await stub.GetOutcomes(
            pb.GetOutcomesRequest(template="general_chat", page_size=1, page_token=token),
            timeout=TIMEOUT,
        )
        pages.append([each.arm for each in page.summaries])
        token = page.next_page_token
    assert pages == [[""], ["treatment"]]

    log = await stub.ListEvaluations(
        pb.ListEvaluationsRequest(template="general_chat", page_size=2), timeout=TIMEOUT
    )
    rest = await stub.ListEvaluations(
        pb.ListEvaluationsRequest(template="general_chat", page_token=log.next_page_token),
        timeout=TIMEOUT,
    )
    stars = {each.outcome.request_id: each.stars for each in [*log.evaluations, *rest.evaluations]}
    assert stars == {"r1": 0, "r2": 0, "r3": 4}


@pytest.mark.parametrize(
    ("request_message", "kind"),
    [
        (pb.ReportOutcomeRequest(), errors.InvalidArgument),
        (report(version=99), errors.NotFound),
        (report(template="nothing"), errors.NotFound),
        (report(experiment_id="nothing"), errors.NotFound),
        (report(cost_nano_usd=-1), errors.InvalidArgument),
    ],
)
async def test_an_outcome_of_nothing_is_refused(stub, request_message, kind):
    error = await refusal(stub.ReportOutcome(request_message, timeout=TIMEOUT))
    assert isinstance(error, kind)


async def test_a_rating_needs_a_turn_and_stars(stub):
    await stub.ReportOutcome(report("r1"), timeout=TIMEOUT)
    for stars, tenant, kind in (
        (0, "acme", errors.InvalidArgument),
        (6, "acme", errors.InvalidArgument),
        (5, "other", errors.NotFound),
    ):
        rating = pb.RecordRatingRequest(request_id="r1", tenant_id=tenant, stars=stars)
        error = await refusal(stub.RecordRating(rating, timeout=TIMEOUT))
        assert isinstance(error, kind)


@pytest.mark.parametrize("message", [{"page_size": 101}, {"page_size": -1}, {"page_token": "x"}])
async def test_a_wrong_page_is_refused(stub, message):
    error = await refusal(stub.ListTemplates(pb.ListTemplatesRequest(**message), timeout=TIMEOUT))
    assert isinstance(error, errors.InvalidArgument)


async def test_a_protected_label_needs_the_admin_token(serve, transport):
    stub = await serve(transport, admin_token="s3cret")
    move = pb.SetLabelRequest(template="general_chat", label="production", version=2)
    for metadata in ((), (("x-parley-admin-token", "wrong"),)):
        error = await refusal(stub.SetLabel(move, timeout=TIMEOUT, metadata=metadata))
        assert isinstance(error, errors.ScopeMissing)
    moved = await stub.SetLabel(
        move, timeout=TIMEOUT, metadata=(("x-parley-admin-token", "s3cret"),)
    )
    assert moved.label.version == 2


async def test_what_was_stored_is_there_after_a_restart(serve):
    first = await serve()
    create = pb.CreateTemplateVersionRequest(template="greet", content=made())
    await first.CreateTemplateVersion(create, timeout=TIMEOUT)
    await first.ReportOutcome(report("r1"), timeout=TIMEOUT)
    second = await serve()
    assert (await second.Render(render("greet"), timeout=TIMEOUT)).user_text == "hello"
    outcomes = await second.GetOutcomes(
        pb.GetOutcomesRequest(template="general_chat"), timeout=TIMEOUT
    )
    assert [each.request_count for each in outcomes.summaries] == [1]
    listed = await second.ListExperiments(pb.ListExperimentsRequest(), timeout=TIMEOUT)
    assert [each.experiment_id for each in listed.experiments] == ["general-chat-v2"]


class AwayStore(MemoryStore):
    """A store that can be taken away."""

    def __init__(self):
        super().__init__()
        self.away = False

    async def revision(self):
        self._check()
        return await super().revision()

    async def save(self, *args, **kwargs):
        self._check()
        return await super().save(*args, **kwargs)

    async def record(self, outcomes):
        self._check()
        return await super().record(outcomes)

    def _check(self):
        if self.away:
            raise errors.DependencyUnavailable(
                "The store is away.", metadata={"dependency": "store"}
            )


async def test_renders_go_on_without_the_store_and_nothing_is_half_written(serve, transport):
    store, said = AwayStore(), []

    async def report_health(can_answer):
        said.append(can_answer)

    stub = await serve(transport, store=store, report=report_health)
    store.away = True
    assert (await stub.Render(render(), timeout=TIMEOUT)).user_text == "hello"
    create = pb.CreateTemplateVersionRequest(template="greet", content=made())
    error = await refusal(stub.CreateTemplateVersion(create, timeout=TIMEOUT))
    assert isinstance(error, errors.DependencyUnavailable)
    error = await refusal(stub.ReportOutcome(report("r1"), timeout=TIMEOUT))
    assert isinstance(error, errors.DependencyUnavailable)

    async def has_said(value):
        return said[-1:] == [value]

    await eventually(lambda: has_said(False))
    store.away = False
    await eventually(lambda: has_said(True))
    error = await refusal(stub.Render(render("greet"), timeout=TIMEOUT))
    assert isinstance(error, errors.NotFound)
    await stub.ReportOutcome(report("r1"), timeout=TIMEOUT)
