import pytest
from parley_services.semantic_cache.policy import Policy, Scope
from parley_services.semantic_cache.policy_file import PolicyFileError, read_policies

FILE = """
default: {ttl_seconds: 60}
templates:
  faq: {scope: tenant, ttl_seconds: 600, max_error_rate: 0.02}
tenants:
  acme:
    tenant_capacity: 50
    show_original_text: true
    templates:
      faq: {max_false_hit_rate: 0.01, max_error_rate: null}
  umbrella: {ttl_seconds: 5}
"""


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "policies.yaml"
        path.write_text(content)
        return read_policies(path, Policy(similarity_threshold=0.7))

    return read


def test_the_most_particular_policy_holds_field_by_field(read):
    policies = read(FILE)
    stranger = policies.of("stranger", "chat")
    assert (stranger.ttl_seconds, stranger.similarity_threshold) == (60, 0.7)
    assert policies.of("stranger", "faq").scope is Scope.TENANT
    acme = policies.of("acme", "chat")
    assert (acme.tenant_capacity, acme.show_original_text, acme.ttl_seconds) == (50, True, 60)
    faq = policies.of("acme", "faq")
    assert (faq.tenant_capacity, faq.scope, faq.ttl_seconds) == (50, Scope.TENANT, 600)
    assert (faq.max_false_hit_rate, faq.max_error_rate) == (0.01, None)
    assert policies.of("umbrella", "faq").ttl_seconds == 5
    assert policies.of("umbrella", "faq").max_error_rate == 0.02


def test_an_empty_file_changes_nothing(read):
    assert read("").of("acme", "faq") == Policy(similarity_threshold=0.7)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("tenants: {acme: {ttl_second: 5}}", "tenants.acme.ttl_second"),
        ("templates: {faq: {tenant_capacity: 5}}", "templates.faq.tenant_capacity"),
        ("default: {max_false_hit_rate: 0.5}", "default.max_false_hit_rate"),
        ("default: {scope: everyone}", "default.scope"),
        ("- a list", "the file"),
        ("default: {", "cannot be read as YAML"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(read, content, place):
    with pytest.raises(PolicyFileError, match=place):
        read(content)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PolicyFileError, match=r"none\.yaml"):
        read_policies(tmp_path / "none.yaml", Policy())
