import asyncio

import pytest
from parley_services.kit.errors import (
    AlreadyExists,
    Conflict,
    InvalidArgument,
    NotFound,
    ScopeMissing,
    StateForbids,
)
from parley_services.prompt_registry.experiments.assignment import AssignmentKeys
from parley_services.prompt_registry.experiments.experiment import (
    DEFAULT_RAMP,
    Arm,
    ExperimentMode,
    ExperimentState,
    RampStep,
)
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.stores.memory import MemoryStore
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.snapshot import ByArm, ByLabel, ByVersion
from parley_services.prompt_registry.templates.template import Variable

from tests.support.clock import ManualClock
from tests.support.prompts import TEXT, content, experiment

USER = AssignmentKeys(user_id="u1")


class Replica:
    """A registry of its own on a store that others share."""

    def __init__(self, store, clock, **options):
        self.catalogue = Catalogue(store)
        self.registry = Registry(store=store, catalogue=self.catalogue, clock=clock, **options)


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def replica(store, clock):
    replica = Replica(store, clock)
    await replica.registry.create_version("greeting", content("one {{ text }}"))
    await replica.registry.create_version("greeting", content("two {{ text }}"))
    return replica


@pytest.fixture
def registry(replica):
    return replica.registry


async def text_of(registry, selector=None, keys=USER):
    prompt = await registry.render(
        template="greeting", selector=selector, keys=keys, variables={"text": "!"}
    )
    return prompt.text.user_text


async def test_the_first_version_makes_the_template_and_its_production_label(registry):
    assert await text_of(registry) == "one !"
    assert await text_of(registry, ByVersion(version=2)) == "two !"
    assert registry.version("greeting", None).version == 1


async def test_the_same_content_again_is_the_same_version(registry):
    again = await registry.create_version("greeting", content("two {{ text }}"))
    assert again.version == 2
    back = await registry.create_version("greeting", content("one {{ text }}"))
    assert back.version == 3


async def test_a_version_on_an_old_base_is_a_conflict(registry):
    with pytest.raises(Conflict):
        await registry.create_version("greeting", content("x{{ text }}"), base_version=1)


@pytest.mark.parametrize("selector", [ByVersion(version=9), ByLabel(label="no"), ByArm(arm="no")])
async def test_what_does_not_exist_is_not_found(registry, selector):
    with pytest.raises(NotFound):
        await text_of(registry, selector)
    with pytest.raises(NotFound):
        await registry.render(template="none", selector=None, keys=USER, variables={})


async def test_a_label_moves_with_its_history(registry, clock):
    clock.advance(60)
    await registry.set_label("greeting", "production", 2, author="ada", note="better")
    assert await text_of(registry) == "two !"
    page = await registry.label_moves("greeting", position=0, limit=1)
    assert (page.items[0].from_version, page.items[0].to_version) == (1, 2)
    assert page.items[0].author == "ada"
    rest = await registry.label_moves("greeting", position=page.next_position, limit=9)
    assert [each.to_version for each in rest.items] == [1]
    assert rest.next_position is None


async def test_moving_production_back_counts_as_a_rollback_by_hand(registry):
    await registry.set_label("greeting", "production", 2)
    await registry.set_label("greeting", "production", 1, note="It was rude.")
    (rollback,) = (await registry.rollbacks("greeting", position=0, limit=9)).items
    assert (rollback.from_version, rollback.to_version) == (2, 1)
    assert not rollback.is_automatic
    assert rollback.reason == "It was rude."


async def test_an_old_etag_is_a_conflict(registry, clock):
    label = await registry.set_label("greeting", "staging", 1)
    clock.advance(1)
    await registry.set_label("greeting", "staging", 2, etag=label.etag)
    with pytest.raises(Conflict):
        await registry.set_label("greeting", "staging", 1, etag=label.etag)


async def test_a_deleted_label_is_not_found(registry):
    await registry.set_label("greeting", "staging", 2)
    assert await text_of(registry, ByLabel(label="staging")) == "two !"
    await registry.delete_label("greeting", "staging")
    with pytest.raises(NotFound):
        await text_of(registry, ByLabel(label="staging"))
    with pytest.raises(StateForbids):
        await registry.delete_label("greeting", "production")


async def test_a_protected_label_needs_an_administrator(store, clock, replica):
    strict = Replica(store, clock, protected_labels=["production"])
    await strict.catalogue.refresh()
    with pytest.raises(ScopeMissing):
        await strict.registry.set_label("greeting", "production", 2)
    label = await strict.registry.set_label("greeting", "production", 2, is_admin=True)
    assert label.is_protected


async def test_two_writers_at_once_both_get_their_version(store, clock, replica):
    other = Replica(store, clock)
    await other.catalogue.refresh()
    one, two = await asyncio.gather(
        replica.registry.create_version("greeting", content("three {{ text }}")),
        other.registry.create_version("greeting", content("four {{ text }}")),
    )
    assert {one.version, two.version} == {3, 4}


async def test_an_experiment_splits_traffic_and_an_arm_can_be_forced(registry):
    await registry.create_experiment(experiment())
    texts = [await text_of(registry, keys=AssignmentKeys(user_id=str(n))) for n in range(40)]
    assert set(texts) == {"one !", "two !"}
    prompt = await registry.render(
        template="greeting", selector=ByArm(arm="treatment"), keys=USER, variables={"text": "!"}
    )
    assert (prompt.version.version, prompt.arm, prompt.experiment_id) == (2, "treatment", "")
    assigned = await registry.assign("greeting", USER)
    rendered = await registry.render(
        template="greeting", selector=None, keys=USER, variables={"text": "!"}
    )
    assert (assigned.arm, assigned.version) == (rendered.arm, rendered.version.version)


async def test_an_experiment_that_ends_gives_the_label_to_all(registry):
    made = await registry.create_experiment(experiment(share=1.0))
    assert await text_of(registry) == "two !"
    await registry.update_experiment(
        experiment(share=1.0, state=ExperimentState.ENDED, etag=made.etag)
    )
    assert await text_of(registry) == "one !"
    with pytest.raises(StateForbids):
        await registry.update_experiment(
            experiment(etag=registry_etag(registry), state=ExperimentState.RUNNING)
        )


def registry_etag(registry):
    return registry._catalogue.experiment("greeting-v2").etag


async def test_stopping_an_experiment_counts_as_a_rollback_by_hand(registry):
    made = await registry.create_experiment(experiment())
    await registry.update_experiment(experiment(state=ExperimentState.ABORTED, etag=made.etag))
    (rollback,) = (await registry.rollbacks("", position=0, limit=9)).items
    assert rollback.experiment_id == "greeting-v2"
    assert (rollback.from_version, rollback.to_version) == (2, 1)


async def test_an_experiment_needs_the_etag_that_was_read(registry):
    made = await registry.create_experiment(experiment())
    with pytest.raises(InvalidArgument):
        await registry.update_experiment(experiment(coverage=0.5))
    await registry.update_experiment(experiment(coverage=0.5, etag=made.etag))
    with pytest.raises(Conflict):
        await registry.update_experiment(experiment(coverage=0.7, etag=made.etag))


async def test_a_change_of_the_split_begins_a_new_epoch(registry):
    made = await registry.create_experiment(experiment())
    same = await registry.update_experiment(
        experiment(etag=made.etag, state=ExperimentState.PAUSED)
    )
    assert same.epoch == made.epoch
    other = await registry.update_experiment(experiment(etag=same.etag, coverage=0.5))
    assert other.epoch == made.epoch + 1


async def test_a_running_experiment_keeps_its_arms(registry):
    made = await registry.create_experiment(experiment())
    swapped = (Arm(name="control", version=2, weight=0.5), Arm(name="b", version=1, weight=0.5))
    with pytest.raises(StateForbids):
        await registry.update_experiment(experiment(etag=made.etag, arms=swapped))


async def test_two_experiments_cannot_decide_for_the_same_people(registry):
    await registry.create_experiment(experiment("one"))
    with pytest.raises(StateForbids):
        await registry.create_experiment(experiment("two"))
    with pytest.raises(AlreadyExists):
        await registry.create_experiment(experiment("one"))
    await registry.create_version("other", content())
    await registry.create_version("other", content("{{ text }}."))
    with pytest.raises(AlreadyExists):
        await registry.create_experiment(experiment("one", template="other"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (
            {"arms": (Arm(name="a", version=1, weight=0.5), Arm(name="b", version=2, weight=0.4))},
            "arms",
        ),
        (
            {"arms": (Arm(name="a", version=1, weight=0.5), Arm(name="b", version=9, weight=0.5))},
            "arms[1].version",
        ),
        (
            {"arms": (Arm(name="a", version=1, weight=0.5), Arm(name="a", version=2, weight=0.5))},
            "arms",
        ),
        ({"namespace": "n", "namespace_start": 0.5, "namespace_end": 0.5}, "namespace_end"),
        ({"ramp_steps": (RampStep(coverage=0.5),)}, "ramp_steps"),
        (
            {
                "mode": ExperimentMode.RAMP,
                "ramp_steps": (RampStep(coverage=0.5), RampStep(coverage=0.1)),
            },
            "ramp_steps[1].coverage",
        ),
        ({"mode": ExperimentMode.RAMP, "is_sticky": True}, "sticky"),
        ({"state": ExperimentState.ENDED}, "state"),
    ],
)
async def test_a_wrong_experiment_names_its_field_and_writes_nothing(registry, wrong, field):
    made = {"experiment_id": "x", **wrong}
    with pytest.raises(InvalidArgument) as error:
        await registry.create_experiment(experiment(made.pop("experiment_id"), **made))
    assert [each.field for each in error.value.violations] == [f"experiment.{field}"]
    assert registry._catalogue.experiments() == ()


async def test_a_ramp_begins_at_its_first_step(registry):
    made = await registry.create_experiment(experiment(mode=ExperimentMode.RAMP, coverage=1.0))
    assert made.ramp_steps == DEFAULT_RAMP
    assert made.coverage == 0.10


async def test_a_sticky_assignment_outlives_a_change_of_weights_in_every_replica(
    store, clock, replica
):
    made = await replica.registry.create_experiment(experiment(share=0.9, is_sticky=True))
    keys = [AssignmentKeys(user_id=str(n)) for n in range(40)]
    before = [await text_of(replica.registry, keys=each) for each in keys]
    assert set(before) == {"one !", "two !"}
    await replica.registry.update_experiment(experiment(share=0.1, is_sticky=True, etag=made.etag))
    other = Replica(store, clock)
    await other.catalogue.refresh()
    assert [await text_of(other.registry, keys=each) for each in keys] == before


async def test_a_shadow_arm_is_rendered_beside_the_answer(registry):
    await registry.create_experiment(experiment(share=0.5, mode=ExperimentMode.SHADOW))
    seen = set()
    for n in range(40):
        prompt = await registry.render(
            template="greeting",
            selector=None,
            keys=AssignmentKeys(user_id=str(n)),
            variables={"text": "!"},
        )
        assert prompt.text.user_text == "one !"
        assert prompt.experiment_id == ""
        seen.add(tuple(each.text.user_text for each in prompt.shadows))
    assert seen == {(), ("two !",)}


async def test_a_shadow_that_needs_another_variable_costs_nothing(registry):
    needs_more = content(
        "three {{ text }} {{ more }}", variables=(TEXT, Variable(name="more", required=True))
    )
    await registry.create_version("greeting", needs_more)
    arms = (Arm(name="control", version=1, weight=0), Arm(name="new", version=3, weight=1))
    await registry.create_experiment(experiment(arms=arms, mode=ExperimentMode.SHADOW))
    prompt = await registry.render(
        template="greeting", selector=None, keys=USER, variables={"text": "!"}
    )
    assert prompt.text.user_text == "one !"
    assert prompt.shadows == ()
