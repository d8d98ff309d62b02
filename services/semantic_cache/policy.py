"""How answers of a tenant are reused."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator decided for a tenant."""

    similarity_threshold: float = 0.92
    """The cosine from which a candidate is verified, 0 to 1."""

    fallback_similarity_threshold: float = 0.85
    """The same while no model can be reached."""

    ttl_seconds: float = 3600.0
    """How long an answer may be given, if its writer does not say."""

    tenant_capacity: int = 10_000
    """Entries that the tenant may have."""

    show_original_text: bool = False
    """Whether a hit and an explanation show the text that an answer was written for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The policy of each tenant; those not named share *default*."""

    default: Policy
    by_tenant: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, tenant_id: str) -> Policy:
        return self.by_tenant.get(tenant_id, self.default)
