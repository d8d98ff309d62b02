import asyncio
from dataclasses import replace

import pytest
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.errors import (
    DependencyUnavailable,
    InputTooLarge,
    InvalidArgument,
    NotFound,
)
from parley_services.semantic_cache.cache import CacheLimits, SemanticCache
from parley_services.semantic_cache.entry import Answer
from parley_services.semantic_cache.outcome import Hit, Miss, MissReason, NotStored, Stored, Tier
from parley_services.semantic_cache.policy import Policies, Policy
from parley_services.semantic_cache.statistics import Statistics
from parley_services.semantic_cache.store.store import Selection
from parley_services.semantic_cache.verify.feedback import Feedback
from parley_services.semantic_cache.verify.judge import Judge
from parley_services.semantic_cache.verify.verifier import RuleVerifier

from tests.support.clock import ManualClock
from tests.support.semantic_cache import PARTITION, ListStore, TableEmbedder, WordCosine, entry

ASKED = "How do I reset my password?"
SIMILAR = "How can I reset my password?"
ANSWER = Answer(text="Click on Forgot password.", cost_nano_usd=5_000)
VECTORS = {ASKED: [1.0, 0.0, 0.0], SIMILAR: [0.98, 0.2, 0.0]}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def statistics():
    return Statistics()


@pytest.fixture
def build(clock, statistics):
    """Builds a cache: `build(store=, embedder=, policy=, limits=, jitter=)`."""

    def build(*, store=None, embedder=None, policy=None, limits=None, jitter=0.0):
        store = store or ListStore()
        judge = Judge(RuleVerifier(), lambda: jitter)
        return SemanticCache(
            store=store,
            embedder=embedder or TableEmbedder(VECTORS),
            judge=judge,
            feedback=Feedback(store, judge, WordCosine()),
            policies=Policies(default=policy or Policy()),
            limits=limits or CacheLimits(),
            clock=clock,
            random=lambda: jitter,
            statistics=statistics,
        )

    return build


async def stored(cache, text=ASKED, partition=PARTITION, answer=ANSWER, **options):
    return await cache.store(partition, text, answer, finish_reason=FinishReason.STOP, **options)


class TestLookup:
    async def test_the_same_text_is_an_exact_hit(self, build, clock):
        cache = build()
        await stored(cache)
        clock.advance(60)
        hit = await cache.lookup(PARTITION, f"  {ASKED.replace(' my ', '  my ')} ")
        assert isinstance(hit, Hit)
        assert (hit.tier, hit.similarity, hit.age_seconds) == (Tier.EXACT, 1.0, 60.0)
        assert hit.entry.answer == ANSWER

    async def test_an_exact_hit_needs_no_embedder(self, build):
        embedder = TableEmbedder(away=True)
        cache = build(embedder=embedder)
        await stored(cache)
        embedder.texts.clear()
        assert isinstance(await cache.lookup(PARTITION, ASKED), Hit)
        assert embedder.texts == []

    async def test_a_near_text_that_no_rule_refuses_is_a_hit(self, build):
        cache = build()
        await stored(cache)
        hit = await cache.lookup(PARTITION, SIMILAR)
        assert isinstance(hit, Hit)
        assert hit.tier is Tier.SEMANTIC
        assert hit.similarity == pytest.approx(0.98, abs=0.01)

    async def test_a_near_text_that_a_rule_refuses_is_a_miss_that_says_why(self, build):
        cache = build()
        await stored(cache)
        miss = await cache.lookup(PARTITION, "How do I not reset my password?")
        assert isinstance(miss, Miss)
        assert (miss.reason, miss.refusal) == (MissReason.REFUSED, "negation_changed")
        assert miss.best_similarity == pytest.approx(1.0)

    async def test_a_refused_candidate_does_not_hide_the_next(self, build):
        cache = build()
        await stored(cache, "How do I not reset my password?")
        await stored(cache)
        assert isinstance(await cache.lookup(PARTITION, SIMILAR), Hit)

    async def test_what_lies_below_the_threshold_is_no_candidate(self, build):
        cache = build(embedder=TableEmbedder({SIMILAR: [0.9, 0.44, 0.0]}))
        await stored(cache)
        miss = await cache.lookup(PARTITION, SIMILAR)
        assert miss == Miss(reason=MissReason.NO_CANDIDATE)

    async def test_a_fallback_takes_a_lower_bar_but_no_refused_candidate(self, build):
        cache = build(embedder=TableEmbedder({SIMILAR: [0.9, 0.44, 0.0]}))
        await stored(cache)
        hit = await cache.lookup(PARTITION, SIMILAR, is_fallback=True)
        assert isinstance(hit, Hit)
        assert hit.tier is Tier.FALLBACK
        refused = await cache.lookup(PARTITION, "How do I reset 2 passwords?", is_fallback=True)
        assert isinstance(refused, Miss)

    async def test_an_expired_answer_is_not_given(self, build, clock):
        cache = build()
        await stored(cache, ttl_seconds=10.0)
        clock.advance(10)
        assert isinstance(await cache.lookup(PARTITION, ASKED), Miss)
        assert isinstance(await cache.lookup(PARTITION, SIMILAR), Miss)

    @pytest.mark.parametrize(
        "change",
        [
            {"tenant_id": "umbrella"},
            {"user_id": "u1"},
            {"template": "b"},
            {"template_version": 4},
            {"model_class": "large"},
            # Among others, this covers the same last message of another conversation.
            {"fingerprint": b"\x02" * 32},
        ],
        ids=lambda change: next(iter(change)),
    )
    async def test_a_store_that_ignores_the_filter_gives_nothing_away(self, build, clock, change):
        store = ListStore(careless=True)
        cache = build(store=store, policy=Policy(show_original_text=True))
        theirs = replace(PARTITION, **change)
        await stored(cache, partition=theirs)
        assert isinstance(await cache.lookup(PARTITION, ASKED), Miss)
        miss = await cache.lookup(PARTITION, SIMILAR)
        assert isinstance(miss, Miss)
        assert miss.refusal == f"partition:{next(iter(change))}"

    async def test_a_store_that_is_away_is_a_miss(self, build):
        miss = await build(store=ListStore(away=True)).lookup(PARTITION, ASKED)
        assert miss == Miss(reason=MissReason.STORE_UNAVAILABLE)

    async def test_an_embedder_that_is_away_is_a_miss(self, build):
        miss = await build(embedder=TableEmbedder(away=True)).lookup(PARTITION, ASKED)
        assert miss == Miss(reason=MissReason.STORE_UNAVAILABLE)

    async def test_a_question_about_now_is_not_looked_up(self, build):
        store = ListStore()
        miss = await build(store=store).lookup(PARTITION, "What is the weather today?")
        assert miss == Miss(reason=MissReason.NOT_CACHEABLE)
        assert store.calls == []

    async def test_a_long_text_is_matched_exactly_only(self, build):
        embedder = TableEmbedder()
        cache = build(embedder=embedder, limits=CacheLimits(semantic_characters=100))
        text = "word " * 30
        await stored(cache, text)
        assert isinstance(await cache.lookup(PARTITION, text), Hit)
        assert isinstance(await cache.lookup(PARTITION, text + "more"), Miss)
        assert embedder.texts == []

    async def test_the_original_text_is_shown_only_if_the_policy_says_so(self, build):
        for shown, expected in ((False, ""), (True, ASKED)):
            cache = build(policy=Policy(show_original_text=shown))
            await stored(cache)
            assert (await cache.lookup(PARTITION, SIMILAR)).original_text == expected
            assert (await cache.lookup(PARTITION, ASKED)).original_text == expected

    @pytest.mark.parametrize(
        ("partition", "text", "field"),
        [
            (replace(PARTITION, tenant_id=""), ASKED, "partition.tenant_id"),
            (PARTITION, " \n", "text"),
        ],
    )
    async def test_what_is_missing_is_named(self, build, partition, text, field):
        with pytest.raises(InvalidArgument) as caught:
            await build().lookup(partition, text)
        assert [each.field for each in caught.value.violations] == [field]

    async def test_a_text_over_64_kib_is_too_large(self, build):
        with pytest.raises(InputTooLarge):
            await build().lookup(PARTITION, "ä" * 32_769)


class TestStore:
    async def test_the_same_text_replaces(self, build):
        cache = build()
        first = await stored(cache)
        second = await stored(cache, answer=replace(ANSWER, text="New."))
        assert first == second
        assert (await cache.lookup(PARTITION, ASKED)).entry.answer.text == "New."
        assert await cache.entry_count("acme") == 1

    async def test_the_time_to_live_is_shortened_at_random(self, build, clock):
        store = ListStore()
        await stored(build(store=store, jitter=0.5), ttl_seconds=100.0)
        [kept] = store.entries.values()
        assert kept.expire_time - clock.now().timestamp() == pytest.approx(95.0)

    @pytest.mark.parametrize(
        ("text", "answer", "finish_reason", "refusal"),
        [
            (ASKED, ANSWER, FinishReason.LENGTH, "not_ended_normally"),
            (ASKED, Answer(text=" "), FinishReason.STOP, "empty_answer"),
            ("What is the latest news?", ANSWER, FinishReason.STOP, "time_bound"),
            (ASKED, Answer(text="As of today, click here."), FinishReason.STOP, "time_bound"),
        ],
    )
    async def test_an_unfit_answer_is_not_kept(
        self, build, statistics, text, answer, finish_reason, refusal
    ):
        cache = build()
        outcome = await cache.store(PARTITION, text, answer, finish_reason=finish_reason)
        assert outcome == NotStored(refusal=refusal)
        assert await cache.entry_count() == 0
        [counts] = statistics.changed().values()
        assert counts.store_refusals == {refusal: 1}

    async def test_a_time_bound_answer_may_be_kept_for_a_while(self, build, clock):
        cache = build(limits=CacheLimits(time_bound_ttl_seconds=30.0))
        text = "What is the weather today?"
        assert isinstance(await stored(cache, text), Stored)
        assert isinstance(await cache.lookup(PARTITION, text), Hit)
        clock.advance(30)
        assert isinstance(await cache.lookup(PARTITION, text), Miss)

    async def test_a_full_tenant_loses_its_oldest_quarter(self, build, clock):
        cache = build(policy=Policy(tenant_capacity=8))
        theirs = replace(PARTITION, tenant_id="umbrella")
        await stored(cache, partition=theirs)
        for number in range(9):
            clock.advance(1)
            await stored(cache, f"question {number}")
        assert await cache.entry_count("acme") == 7
        assert await cache.entry_count("umbrella") == 1
        assert isinstance(await cache.lookup(PARTITION, "question 1"), Miss)
        assert isinstance(await cache.lookup(PARTITION, "question 2"), Hit)

    async def test_a_full_store_loses_its_oldest_quarter(self, build, clock):
        cache = build(limits=CacheLimits(capacity=4))
        for number in range(5):
            clock.advance(1)
            await stored(cache, ASKED, partition=replace(PARTITION, tenant_id=f"t{number}"))
        assert await cache.entry_count() == 4
        assert await cache.entry_count("t0") == 0

    async def test_without_the_store_the_caller_is_told_to_try_again(self, build):
        with pytest.raises(DependencyUnavailable) as caught:
            await stored(build(store=ListStore(away=True)))
        assert caught.value.retry_after_seconds == 1.0

    async def test_two_at_once_leave_one_entry(self, build):
        cache = build()
        await asyncio.gather(*(stored(cache) for _ in range(10)))
        assert await cache.entry_count() == 1


class TestExplain:
    async def test_all_candidates_are_judged_and_nothing_is_counted(self, build, statistics):
        cache = build(policy=Policy(show_original_text=True))
        await stored(cache)
        await stored(cache, "How do I reset 2 passwords?")
        explanation = await cache.explain(PARTITION, SIMILAR)
        assert isinstance(explanation.outcome, Hit)
        refusals = {each.original_text: each.refusal for each in explanation.candidates}
        assert refusals == {ASKED: "", "How do I reset 2 passwords?": "number_changed"}
        [counts] = statistics.changed().values()
        assert counts.lookups == 0

    async def test_other_partitions_of_the_tenant_are_named_by_what_differs(self, build):
        cache = build()
        await stored(cache, partition=replace(PARTITION, template_version=2, fingerprint=b"x"))
        await stored(cache, partition=replace(PARTITION, tenant_id="umbrella"))
        explanation = await cache.explain(PARTITION, ASKED, any_partition=True)
        assert isinstance(explanation.outcome, Miss)
        assert [each.refusal for each in explanation.candidates] == [
            "partition:template_version,fingerprint"
        ]


class TestReports:
    async def test_reports_make_an_estimate_with_an_interval(self, build, statistics):
        cache = build()
        kept = await stored(cache)
        for correct in [True] * 9 + [False]:
            await cache.report_hit("acme", kept.entry_id, correct=correct)
        [(key, counts)] = statistics.changed().items()
        assert key == ("acme", "general_chat")
        rate = counts.false_hit_rate
        assert rate.estimate == pytest.approx(0.1)
        # The worked value of Wilson's interval for 1 of 10.
        assert (rate.low, rate.high) == (
            pytest.approx(0.0179, abs=1e-3),
            pytest.approx(0.4042, abs=1e-3),
        )

    async def test_another_tenants_entry_cannot_be_reported(self, build):
        cache = build()
        kept = await stored(cache)
        with pytest.raises(NotFound):
            await cache.report_hit("umbrella", kept.entry_id, correct=True)

    async def test_hits_and_misses_are_counted_with_what_they_save(self, build, statistics):
        cache = build()
        await stored(cache)
        await cache.lookup(PARTITION, ASKED)
        await cache.lookup(PARTITION, SIMILAR)
        await cache.lookup(PARTITION, "How do I reset 2 passwords?")
        [counts] = statistics.changed().values()
        assert (counts.exact_hits, counts.semantic_hits, counts.misses) == (1, 1, 1)
        assert counts.refusals == {"number_changed": 1}
        assert counts.saved_cost_nano_usd == 10_000

    async def test_entries_are_counted_by_template_unless_there_are_too_many(
        self, build, monkeypatch
    ):
        cache = build()
        await stored(cache)
        await stored(cache, "another")
        await stored(cache, partition=replace(PARTITION, template="b"))
        keys = [("acme", "general_chat"), ("acme", "b")]
        counted = await cache.entries_by_template(keys)
        assert counted == {("acme", "general_chat"): 2, ("acme", "b"): 1}
        monkeypatch.setattr("parley_services.semantic_cache.cache.MAX_COUNTED_TEMPLATES", 1)
        assert await cache.entries_by_template(keys) == {}


class TestPurge:
    async def test_a_tag_of_one_tenant(self, build):
        cache = build()
        await stored(cache, tags=["faq"])
        await stored(cache, partition=replace(PARTITION, tenant_id="umbrella"), tags=["faq"])
        assert await cache.purge(Selection(tenant_id="acme", tag="faq")) == 1
        assert await cache.entry_count() == 1

    async def test_no_tenant_is_refused(self, build):
        with pytest.raises(InvalidArgument):
            await build().purge(Selection(tenant_id=""))


def test_entries_in_the_tests_belong_to_their_partition():
    assert entry().partition == PARTITION
