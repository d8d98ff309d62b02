import pytest
from parley_services.semantic_cache.embed.embedder import EmbedderUnavailable
from parley_services.semantic_cache.entry import Candidate
from parley_services.semantic_cache.policy import Policy
from parley_services.semantic_cache.verify.judge import Judge, LookupContext
from parley_services.semantic_cache.verify.verifier import Verdict

from tests.support.semantic_cache import PARTITION, entry


class FixedVerifier:
    """Gives *probability*, or the second cosine in its place; 0.5 is accepted."""

    def __init__(self, probability):
        self.probability = probability
        self.rates = []

    def verify(self, asked, stored, similarity, *, max_false_hit_rate, second_cosine=None):
        self.rates.append(max_false_hit_rate)
        probability = self.probability if second_cosine is None else second_cosine
        return Verdict(probability=probability, refusal="" if probability >= 0.5 else "improbable")


class FixedComparison:
    """Gives *cosine*, or is away without one."""

    def __init__(self, cosine=None):
        self.given = cosine
        self.asked = []

    async def cosine(self, one, other):
        self.asked.append((one, other))
        if self.given is None:
            raise EmbedderUnavailable("away")
        return self.given


ASKED = LookupContext(
    partition=PARTITION, text="asked", policy=Policy(max_false_hit_rate=0.05), now=100.0
)


async def judged(probability, second, kept=None):
    verifier = FixedVerifier(probability)
    candidate = Candidate(entry=kept or entry("stored"), similarity=0.9)
    return await Judge(verifier, lambda: 0.5, second=second).judge(ASKED, candidate)


@pytest.mark.parametrize(("cosine", "refusal"), [(0.9, ""), (0.3, "improbable")])
async def test_a_second_look_decides_where_there_is_one(cosine, refusal):
    second = FixedComparison(cosine)
    verdict = await judged(0.6, second)
    assert (verdict.refusal, verdict.probability) == (refusal, cosine)
    assert second.asked == [("asked", "stored")]


async def test_a_second_look_that_is_away_leaves_the_first_verdict():
    assert (await judged(0.6, FixedComparison())).refusal == ""


async def test_a_hopeless_candidate_is_not_looked_at_twice():
    second = FixedComparison(0.9)
    assert (await judged(0.1, second)).refusal == "improbable"
    assert second.asked == []


async def test_the_policys_rate_reaches_the_verifier():
    verifier = FixedVerifier(0.6)
    await Judge(verifier, lambda: 0.5).judge(ASKED, Candidate(entry=entry(), similarity=0.9))
    assert verifier.rates == [0.05]


async def test_time_is_checked_again():
    verdict = await judged(0.9, None, entry("stored", expire_time=100.0))
    assert verdict.refusal == "expired"
