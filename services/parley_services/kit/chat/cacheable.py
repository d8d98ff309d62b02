"""Which answers may be kept, and for whom: fields of a template's version."""

from parley_services.kit.chat.wire_enum import WireEnum


class CacheScope(WireEnum):
    """Who may share a cached answer; UNSPECIFIED is the same as TENANT."""

    UNSPECIFIED = 0
    TENANT = 1
    USER = 2
    NONE = 3


class ExtraCacheable(WireEnum):
    """Answers that are not cached unless the template says so."""

    UNSPECIFIED = 0
    DOWNGRADED = 1
    """Written by another model than the one asked for: a budget policy's cheaper one, or one
    that the router fell back on, hedged with, or went on with."""
    DEGRADED = 2
    """Written while a service was away, but not the guardrails."""
    TOOLS = 3
    """Written by a model that was offered tools and called none."""
