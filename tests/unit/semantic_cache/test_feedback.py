"""The policy under which entries learn which questions they serve."""

from dataclasses import replace

import pytest
from parley_services.kit.chat.answer import FinishReason
from parley_services.semantic_cache.cache import CacheLimits, SemanticCache
from parley_services.semantic_cache.entry import Answer
from parley_services.semantic_cache.outcome import Hit, Miss, MissReason, Tier
from parley_services.semantic_cache.policy import Policies, Policy
from parley_services.semantic_cache.statistics import Statistics
from parley_services.semantic_cache.verify.calibration import (
    MAX_OBSERVATIONS,
    Observation,
    score_of,
)
from parley_services.semantic_cache.verify.feedback import Feedback
from parley_services.semantic_cache.verify.judge import Judge
from parley_services.semantic_cache.verify.verifier import RuleVerifier

from tests.support.clock import ManualClock
from tests.support.semantic_cache import PARTITION, ListStore, TableEmbedder, WordCosine, entry

ASKED = "How do I reset my password?"
SIMILAR = "How can I reset my password?"
OTHER = "How would I reset my password?"
VECTORS = {ASKED: [1.0, 0.0, 0.0], SIMILAR: [0.98, 0.2, 0.0], OTHER: [0.99, 0.1, 0.0]}
ANSWER = Answer(text="Click on Forgot password.")
SURE = tuple([Observation(score=4.0, correct=True)] * 60)


class Draws:
    """Gives *value* whenever a random number is asked for."""

    def __init__(self, value):
        self.value = value

    def __call__(self):
        return self.value


@pytest.fixture
def draws():
    return Draws(0.5)


@pytest.fixture
def store():
    return ListStore()


@pytest.fixture
def statistics():
    return Statistics()


@pytest.fixture
def cache(store, draws, statistics):
    judge = Judge(RuleVerifier(), draws)
    return SemanticCache(
        store=store,
        embedder=TableEmbedder(VECTORS),
        judge=judge,
        feedback=Feedback(store, judge, WordCosine()),
        policies=Policies(default=Policy(max_error_rate=0.05)),
        limits=CacheLimits(),
        clock=ManualClock(),
        random=draws,
        statistics=statistics,
    )


async def keep(cache, text, answer=ANSWER):
    return await cache.store(PARTITION, text, answer, finish_reason=FinishReason.STOP)


async def experienced(store, observations):
    kept = entry(ASKED, observations=observations)
    await store.put(kept, VECTORS[ASKED])
    return kept


async def test_an_unsure_entry_is_explored_and_named(cache, store, statistics):
    kept = await keep(cache, ASKED)
    miss = await cache.lookup(PARTITION, SIMILAR)
    assert isinstance(miss, Miss)
    assert (miss.reason, miss.explored_entry_id) == (MissReason.EXPLORE, kept.entry_id)
    [counts] = statistics.changed().values()
    assert counts.miss_reasons == {"explore": 1}


async def test_a_draw_below_the_chance_explores_and_one_above_it_gives(cache, store, draws):
    await experienced(store, SURE[:20])
    draws.value = 0.0
    assert isinstance(await cache.lookup(PARTITION, SIMILAR), Miss)
    draws.value = 0.999
    hit = await cache.lookup(PARTITION, SIMILAR)
    assert isinstance(hit, Hit)
    assert hit.tier is Tier.SEMANTIC


async def test_an_answer_that_agrees_teaches_the_entry_and_is_kept_for_its_own_text(cache, store):
    kept = await keep(cache, ASKED)
    await keep(cache, SIMILAR, replace(ANSWER, text="click on  forgot password."))
    [learnt] = store.entries[kept.entry_id].observations
    assert learnt.correct
    assert learnt.score == pytest.approx(score_of(0.98), abs=0.01)
    assert isinstance(await cache.lookup(PARTITION, SIMILAR), Hit)
    # It is no candidate beside the entry that gathers what there is to learn.
    assert (await cache.lookup(PARTITION, OTHER)).explored_entry_id == kept.entry_id


async def test_an_answer_that_differs_teaches_too_and_is_a_candidate(cache, store):
    kept = await keep(cache, ASKED)
    other = await keep(cache, SIMILAR, replace(ANSWER, text="Ask Bob for 3 new ones."))
    assert [each.correct for each in store.entries[kept.entry_id].observations] == [False]
    assert store.vectors[other.entry_id] is not None


async def test_what_a_rule_refuses_is_neither_given_nor_explored(cache, store):
    await experienced(store, SURE)
    miss = await cache.lookup(PARTITION, "How do I reset 2 passwords?")
    assert (miss.reason, miss.refusal) == (MissReason.REFUSED, "number_changed")


async def test_a_report_teaches_with_the_probability_of_its_hit(cache, store):
    kept = await keep(cache, ASKED)
    await cache.report_hit("acme", kept.entry_id, correct=False, probability=0.9)
    await cache.report_hit("acme", kept.entry_id, correct=True)
    await cache.report_hit("acme", kept.entry_id, correct=True, probability=1.0)
    assert [each.correct for each in store.entries[kept.entry_id].observations] == [False]


async def test_an_entry_remembers_the_last_ones_only(cache, store):
    kept = await experienced(store, SURE)
    for _ in range(MAX_OBSERVATIONS):
        await cache.report_hit("acme", kept.entry_id, correct=False, probability=0.9)
    remembered = store.entries[kept.entry_id].observations
    assert len(remembered) == MAX_OBSERVATIONS
    assert not any(each.correct for each in remembered)


async def test_an_explanation_shows_the_chance(cache, store):
    await experienced(store, SURE[:20])
    explanation = await cache.explain(PARTITION, SIMILAR)
    [verdict] = explanation.candidates
    assert 0.0 <= verdict.features["explore_probability"] <= 1.0
    assert verdict.features["observations"] == 20.0


async def test_a_fallback_gives_what_would_be_explored(cache, store):
    await experienced(store, ())
    hit = await cache.lookup(PARTITION, SIMILAR, is_fallback=True)
    assert isinstance(hit, Hit)
    assert hit.tier is Tier.FALLBACK
