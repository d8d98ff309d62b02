"""How answers of a tenant are reused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Scope(Enum):
    """Who may get an answer that was written for one user of a tenant."""

    AS_ASKED = "as_asked"
    """Whoever the caller's partition names."""

    USER = "user"
    """Nobody else: what comes without a user is not kept."""

    TENANT = "tenant"
    """All users of the tenant, though the caller names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator decided for a tenant or a template."""

    similarity_threshold: float = 0.92
    """The cosine from which a candidate is verified, 0 to 1."""

    fallback_similarity_threshold: float = 0.85
    """The same while no model can be reached."""

    max_false_hit_rate: float = 0.02
    """Share of near questions needing another answer that may get one, 0 to 0.1."""

    max_error_rate: float | None = None
    """Where set, entries learn by themselves: the share of all answers that may be wrong for
    it, above 0 up to 0.5 (see `curve`). None: *max_false_hit_rate* decides."""

    ttl_seconds: float = 3600.0
    """How long an answer may be given, if its writer does not say."""

    tenant_capacity: int = 10_000
    """Entries that the tenant may have."""

    show_original_text: bool = False
    """Whether a hit and an explanation show the text that an answer was written for."""

    scope: Scope = Scope.AS_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The policy of each tenant and template; the most particular one holds."""

    default: Policy
    by_template: Mapping[str, Policy] = field(default_factory=dict)
    """For a template of every tenant that is not named below."""

    by_tenant: Mapping[str, Policy] = field(default_factory=dict)
    by_tenant_and_template: Mapping[tuple[str, str], Policy] = field(default_factory=dict)

    def of(self, tenant_id: str, template: str = "") -> Policy:
        """Return the policy; at most three look-ups."""
        tenant = self.by_tenant.get(tenant_id)
        if tenant is None:
            return self.by_template.get(template, self.default)
        return self.by_tenant_and_template.get((tenant_id, template), tenant)
