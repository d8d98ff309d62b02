import pytest
from parley_services.kit.errors import DependencyUnavailable
from parley_services.prompt_registry.outcomes.outcome import TurnTexts
from parley_services.prompt_registry.outcomes.turn_texts import MAX_TEXT_CHARACTERS, TextPolicy

SAID = TurnTexts(input_text="call +1 555 0100", output_text="I will")


class FakeRedactor:
    """Answers with *result*, or raises it; notes what it was given."""

    def __init__(self, result=None, *, error=None):
        self.given = []
        self._result = result
        self._error = error

    async def redact(self, texts, *, request_id, tenant_id, template):
        self.given.append((texts, tenant_id, template))
        if self._error is not None:
            raise self._error
        return self._result


async def kept(policy, texts=SAID, tenant_id="acme"):
    return await policy.of(texts, request_id="r1", tenant_id=tenant_id, template="greeting")


async def test_nobodys_texts_are_kept_by_default():
    redactor = FakeRedactor(SAID)
    policy = TextPolicy(tenants=(), redactor=redactor)
    assert not policy.keeps("acme")
    assert await kept(policy) is None
    assert redactor.given == []


async def test_texts_of_a_tenant_that_wants_it_are_kept_redacted():
    redacted = TurnTexts(input_text="call [PHONE]", output_text="I will")
    policy = TextPolicy(tenants=("acme",), redactor=FakeRedactor(redacted))
    assert policy.keeps("acme")
    assert await kept(policy) == redacted
    assert await kept(policy, tenant_id="other") is None
    assert await kept(policy, TurnTexts()) is None
    assert policy.tenants == {"acme"}


async def comment(policy, said="call +1 555 0100", tenant_id="acme"):
    return await policy.comment(said, request_id="r1", tenant_id=tenant_id)


async def test_a_comment_is_kept_like_a_text_redacted_and_by_consent_only():
    redactor = FakeRedactor(TurnTexts(input_text="call [PHONE]"))
    policy = TextPolicy(tenants=("acme",), redactor=redactor)
    assert await comment(policy) == "call [PHONE]"
    assert await comment(policy, tenant_id="other") == ""
    assert await comment(policy, "") == ""
    assert len(redactor.given) == 1
    assert await comment(TextPolicy(tenants=("acme",), redactor=FakeRedactor(None))) == ""


async def test_a_star_is_every_tenant():
    policy = TextPolicy(tenants=("*",), redactor=FakeRedactor(SAID))
    assert policy.keeps("anybody")
    assert policy.tenants is None


async def test_without_a_redactor_nothing_is_kept():
    policy = TextPolicy(tenants=("*",), redactor=None)
    assert not policy.keeps("acme")
    assert await kept(policy) is None
    assert policy.tenants == frozenset()


@pytest.mark.parametrize(
    "redactor",
    [
        FakeRedactor(None),
        FakeRedactor(
            error=DependencyUnavailable("Away: wait.", metadata={"dependency": "guardrails"})
        ),
    ],
)
async def test_what_cannot_be_redacted_is_not_kept(redactor):
    assert await kept(TextPolicy(tenants=("acme",), redactor=redactor)) is None


async def test_long_texts_are_cut_before_they_are_judged():
    redactor = FakeRedactor(SAID)
    long = TurnTexts(input_text="a" * (MAX_TEXT_CHARACTERS + 1), output_text="b")
    await kept(TextPolicy(tenants=("acme",), redactor=redactor), long)
    ((given, _, _),) = redactor.given
    assert len(given.input_text) == MAX_TEXT_CHARACTERS
