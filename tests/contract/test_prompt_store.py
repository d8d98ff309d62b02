"""Every store of the prompt registry keeps the same promises."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from parley_services.kit.errors import Conflict
from parley_services.kit.storage.database import current, downgrade, open_database, upgrade
from parley_services.prompt_registry.app import MIGRATIONS
from parley_services.prompt_registry.experiments.experiment import ExperimentState
from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.experiments.shadow import ShadowComparison
from parley_services.prompt_registry.outcomes.outcome import (
    Rating,
    TallyKey,
    TurnTexts,
    sum_of,
    tally_of,
)
from parley_services.prompt_registry.stores.memory import MemoryStore
from parley_services.prompt_registry.stores.sql import SqlStore
from parley_services.prompt_registry.stores.store import (
    CountedOutcome,
    EvaluationFilter,
    TemplateChange,
)
from parley_services.prompt_registry.templates.template import LabelMove, Template

from tests.support import postgres
from tests.support.prompts import START, content, experiment, outcome

KEY = TallyKey(template="greeting", version=1)


@pytest.fixture(scope="module")
def cluster():
    with postgres.cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'registry.db'}"
    return request.getfixturevalue("cluster").new_database()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def stores(request, tmp_path):
    """Opens stores on one set of data, as replicas do: `await stores()`."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            shared = MemoryStore()

            async def store():
                return shared
        else:
            url = f"sqlite:///{tmp_path / 'registry.db'}"
            if request.param == "postgresql":
                url = request.getfixturevalue("cluster").new_database()

            async def store():
                database = await stack.enter_async_context(
                    open_database(url, service="prompt_registry", migrations=MIGRATIONS)
                )
                return SqlStore(database)

        yield store


@pytest.fixture
async def store(stores):
    return await stores()


def greeting(*texts, name="greeting"):
    template = Template(name=name)
    for text in texts or ("{{ text }}",):
        template = template.with_version(
            content(text), author="ada", note="n", base_version=0, now=START
        )
    return template.with_label("production", 1, now=START, is_protected=True)


async def save(store, before, after, **history):
    return await store.save(before, TemplateChange(after=after, **history))


async def stored(store, name="greeting"):
    (found,) = [each for each in (await store.changes(0)).templates if each.name == name]
    return found


def counted(request_id="r1", key=KEY, texts=None, **fields):
    return CountedOutcome(outcome=outcome(request_id, **fields), key=key, texts=texts)


COMPARED = ShadowComparison(
    length_ratio=0.5,
    similarity=0.25,
    answer_format_valid=True,
    shadow_format_valid=False,
    answer_latency_seconds=0.125,
    answer_cost_nano_usd=7,
)
BESIDE = {"is_shadow": True, "experiment_id": "x", "arm": "b", "comparison": COMPARED}
SAID = TurnTexts(input_text="call [PHONE]", output_text="I did")


async def logged(store, **fields):
    page = await store.evaluations(EvaluationFilter(**fields), position=0, limit=99)
    return page.items


async def test_an_empty_store_has_nothing(store):
    assert await store.revision() == 0
    assert (await store.changes(0)).templates == ()
    assert await store.tallies("greeting") == {}


async def test_a_template_comes_back_as_it_was_saved(store):
    made = greeting("one {{ text }}", "two {{ text }}").with_experiment(
        replace(experiment(), create_time=START, step_start_time=START, etag="e")
    )
    revision = await save(store, None, made)
    assert await stored(store) == replace(made, revision=revision)
    assert await store.revision() == revision


async def test_only_changed_templates_are_read_again(store):
    first = await save(store, None, greeting())
    second = await save(store, None, greeting(name="other"))
    changes = await store.changes(first)
    assert changes.revision == second
    assert [each.name for each in changes.templates] == ["other"]
    assert (await store.changes(second)).templates == ()


async def test_a_change_of_what_was_changed_meanwhile_is_refused_whole(store):
    await save(store, None, greeting())
    before = await stored(store)
    await save(store, before, before.with_label("staging", 1, now=START))
    move = LabelMove(
        template="greeting",
        label="old",
        from_version=0,
        to_version=1,
        author="",
        note="",
        create_time=START,
    )
    with pytest.raises(Conflict):
        await save(store, before, before.with_label("old", 1, now=START), moves=(move,))
    with pytest.raises(Conflict):
        await save(store, None, greeting())
    assert [each.name for each in (await stored(store)).labels] == ["production", "staging"]
    assert (await store.label_moves("greeting", position=0, limit=9)).items == ()
    assert await store.revision() == 2


async def test_of_writers_at_once_one_wins(stores):
    one, two = await stores(), await stores()
    await save(one, None, greeting())
    before = await stored(one)
    results = await asyncio.gather(
        *(
            save(store, before, before.with_label(f"l{n}", 1, now=START))
            for n, store in enumerate([one, two] * 3)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Conflict) for each in results) == 5
    assert len((await stored(two)).labels) == 2


async def test_an_experiment_belongs_to_one_template(store):
    made = replace(experiment(), create_time=START, step_start_time=START)
    await save(store, None, greeting("a{{ text }}", "b{{ text }}").with_experiment(made))
    other = greeting("a{{ text }}", "b{{ text }}", name="other")
    with pytest.raises(Conflict):
        await save(store, None, other.with_experiment(replace(made, template="other")))
    before = await stored(store)
    ended = replace(made, state=ExperimentState.ENDED)
    await save(store, before, before.with_experiment(ended))
    assert (await stored(store)).experiments == (ended,)


async def test_history_is_paged_newest_first(store):
    moves = tuple(
        LabelMove(
            template="greeting",
            label="production",
            from_version=n,
            to_version=n + 1,
            author="ada",
            note="",
            create_time=START + timedelta(seconds=n),
        )
        for n in range(5)
    )
    rollback = Rollback(
        template="greeting",
        experiment_id="x",
        from_version=2,
        to_version=1,
        reason="It was worse.",
        measure="error_rate",
        observed=0.5,
        bound=0.1,
        is_automatic=True,
        create_time=START,
    )
    await save(store, None, greeting(), moves=moves, rollbacks=(rollback,))
    page = await store.label_moves("greeting", position=0, limit=3)
    rest = await store.label_moves("greeting", position=page.next_position, limit=3)
    assert (*page.items, *rest.items) == moves[::-1]
    assert rest.next_position is None
    assert (await store.rollbacks("", position=0, limit=1)).items == (rollback,)
    assert (await store.rollbacks("other", position=0, limit=1)).items == ()


async def test_an_outcome_counts_once(store):
    first = counted(error_reason="ERROR_REASON_OVERLOADED", cost_nano_usd=5_000)
    assert await store.record([first, first]) == 1
    assert await store.record([first, counted("r2")]) == 1
    expected = sum_of([tally_of(first.outcome), tally_of(outcome("r2"))])
    assert await store.tallies("greeting") == {KEY: expected}
    assert expected.request_count == 2


async def test_tenants_and_shadows_do_not_hide_each_other(store):
    shadow = {"is_shadow": True, "experiment_id": "x", "arm": "b"}
    assert (
        await store.record(
            [counted(), counted(tenant_id="other"), counted(**shadow), counted(**shadow)]
        )
        == 3
    )


async def test_counts_of_replicas_add_up_and_outlive_them(stores):
    one, two = await stores(), await stores()
    await asyncio.gather(
        *(
            store.record([counted(f"{name}{n}", latency_seconds=0.1 * (n + 1))])
            for n in range(20)
            for name, store in (("a", one), ("b", two))
        )
    )
    third = await stores()
    (tally,) = (await third.tallies("greeting")).values()
    assert tally.request_count == tally.latency.count == 40
    assert 0.9 < tally.latency.quantile(0.5) < 1.15


async def test_rating_again_replaces_the_rating(store):
    await store.record([counted(), counted("r2")])
    rating = Rating(request_id="r1", tenant_id="acme", stars=1, comment="no")
    assert await store.rate(rating) == KEY
    await store.rate(replace(rating, request_id="r2", stars=4))
    tally = (await store.tallies("greeting"))[KEY]
    assert (tally.rating_count, tally.star_count, tally.low_rating_count) == (2, 5, 1)
    await store.rate(replace(rating, stars=5))
    tally = (await store.tallies("greeting"))[KEY]
    assert (tally.rating_count, tally.star_count, tally.low_rating_count) == (2, 9, 0)


async def test_only_the_tenant_of_a_turn_rates_it(store):
    await store.record([counted()])
    assert await store.rate(Rating(request_id="r1", tenant_id="other", stars=1)) is None
    assert await store.rate(Rating(request_id="r9", tenant_id="acme", stars=1)) is None


async def test_the_evaluation_log_is_filtered_and_paged(store):
    turns = [
        counted(
            f"r{n}",
            tenant_id="acme" if n % 2 else "other",
            end_time=START + timedelta(minutes=n),
            first_delta_seconds=0.25,
            model="m",
        )
        for n in range(10)
    ]
    await store.record(turns)
    await store.rate(Rating(request_id="r3", tenant_id="acme", stars=2))
    chosen = EvaluationFilter(
        template="greeting",
        tenant_id="acme",
        start_time=START + timedelta(minutes=3),
        end_time=START + timedelta(minutes=9),
    )
    page = await store.evaluations(chosen, position=0, limit=2)
    rest = await store.evaluations(chosen, position=page.next_position, limit=2)
    found = [*page.items, *rest.items]
    assert [each.outcome.request_id for each in found] == ["r3", "r5", "r7"]
    assert found[0].stars == 2
    assert found[1].outcome == turns[5].outcome
    assert rest.next_position is None


async def test_what_is_forgotten_still_counts(store):
    await store.record([counted(f"r{n}", end_time=START + timedelta(n)) for n in range(4)])
    assert await store.forget_evaluations(START + timedelta(3), limit=2) == 2
    assert await store.forget_evaluations(START + timedelta(3), limit=2) == 1
    left = await store.evaluations(EvaluationFilter(), position=0, limit=9)
    assert [each.outcome.request_id for each in left.items] == ["r3"]
    assert (await store.tallies("greeting"))[KEY].request_count == 4


async def test_what_ran_beside_is_kept_with_its_comparison(store):
    key = replace(KEY, experiment_id="x", arm="b", epoch=1)
    first, second = counted(key=key, **BESIDE), counted("r2", key=key, **BESIDE)
    assert await store.record([first, first, counted()]) == 2
    assert await store.record([first, second]) == 1
    tallies = await store.tallies("greeting")
    assert tallies[key] == sum_of([tally_of(first.outcome), tally_of(second.outcome)])
    assert tallies[key].shadow.pair_count == 2
    assert tallies[KEY].shadow.pair_count == 0
    found = {(each.outcome.request_id, each.outcome.lane): each for each in await logged(store)}
    assert found["r1", "x/b"].outcome == first.outcome
    assert found["r1", ""].outcome.comparison is None


async def test_texts_are_read_only_when_they_are_asked_for(store):
    await store.record([counted(texts=SAID), counted("r2")])
    assert [each.texts for each in await logged(store)] == [None, None]
    assert [each.texts for each in await logged(store, include_texts=True)] == [SAID, None]


async def test_texts_are_forgotten_when_old_or_not_wanted_and_turns_stay(store):
    await store.record(
        [
            counted("old", texts=SAID, end_time=START),
            counted("new", texts=SAID, end_time=START + timedelta(days=2)),
            counted("other", texts=SAID, end_time=START + timedelta(days=2), tenant_id="other"),
        ]
    )

    async def with_texts():
        return {
            each.outcome.request_id
            for each in await logged(store, include_texts=True)
            if each.texts is not None
        }

    later = START + timedelta(days=1)
    assert await store.forget_texts(later, tenants=None, limit=9) == 1
    assert await with_texts() == {"new", "other"}
    assert await store.forget_texts(later, tenants={"acme"}, limit=9) == 1
    assert await with_texts() == {"new"}
    assert await store.forget_texts(later, tenants=set(), limit=9) == 1
    assert await with_texts() == set()
    assert len(await logged(store)) == 3


async def test_a_turn_that_is_forgotten_takes_its_texts_and_comparison_along(store):
    turns = [counted(texts=SAID, **BESIDE), counted("r2", texts=SAID)]
    await store.record(turns)
    assert await store.forget_evaluations(START + timedelta(1), limit=9) == 2
    assert await store.forget_texts(START + timedelta(1), tenants=set(), limit=9) == 0
    # The same turns again find nothing left of them in their way.
    assert await store.record(turns) == 2
    assert [each.texts for each in await logged(store, include_texts=True)] == [SAID, SAID]


async def test_a_rater_is_quoted(store):
    await store.record([counted()])
    await store.rate(Rating(request_id="r1", tenant_id="acme", stars=2, comment="too long"))
    (found,) = await logged(store, include_texts=True)
    assert (found.stars, found.comment) == (2, "too long")
    assert found.texts is None
    (found,) = await logged(store)
    assert (found.stars, found.comment) == (2, "")
    await store.rate(Rating(request_id="r1", tenant_id="acme", stars=4))
    (found,) = await logged(store, include_texts=True)
    assert (found.stars, found.comment) == (4, "")


async def test_a_comment_stands_beside_the_texts_and_goes_with_them(store):
    await store.record([counted(texts=SAID), counted("r2"), counted("r3", tenant_id="other")])
    for turn, tenant in (("r1", "acme"), ("r2", "acme"), ("r3", "other")):
        await store.rate(Rating(request_id=turn, tenant_id=tenant, stars=2, comment="too long"))

    async def comments():
        return [(each.texts, each.comment) for each in await logged(store, include_texts=True)]

    assert await comments() == [(SAID, "too long"), (None, "too long"), (None, "too long")]
    assert await store.forget_texts(START, tenants={"acme"}, limit=9) == 1
    assert await comments() == [(SAID, "too long"), (None, "too long"), (None, "")]
    assert await store.forget_texts(START + timedelta(1), tenants=None, limit=9) == 2
    assert await comments() == [(None, "")] * 3


async def test_the_first_assignment_is_kept(stores):
    one, two = await stores(), await stores()
    kept = await asyncio.gather(
        one.keep_assignment("x", "ada", "a"), two.keep_assignment("x", "ada", "b")
    )
    assert len(set(kept)) == 1
    assert await two.keep_assignment("x", "bob", "b") == "b"


async def test_migrations_go_down_and_up_again(database_url):
    async with open_database(
        database_url, service="prompt_registry", migrations=MIGRATIONS
    ) as database:
        head = await current(database, service="prompt_registry")
        await save(SqlStore(database), None, greeting())
        await downgrade(database, service="prompt_registry", migrations=MIGRATIONS, revision="base")
        assert await current(database, service="prompt_registry") is None
        await upgrade(database, service="prompt_registry", migrations=MIGRATIONS)
        assert await current(database, service="prompt_registry") == head
        assert await SqlStore(database).revision() == 0
