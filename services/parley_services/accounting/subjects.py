"""Whom spending belongs to: the suite, an organisation, a team, a user, a key."""

from dataclasses import dataclass, field
from functools import lru_cache

from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.wire_enum import WireEnum

EVERYONE = "*"
"""The subject id that stands for the default of a level."""

_KEPT = 8192


class SubjectLevel(WireEnum):
    """A level at which limits and budgets hold, the widest first."""

    UNSPECIFIED = 0
    SUITE = 1
    TENANT = 2
    TEAM = 3
    USER = 4
    KEY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectKey:
    """One subject at one level."""

    level: SubjectLevel
    tenant_id: str = ""
    """Empty for the suite, and for the default of all tenants."""
    subject_id: str = ""
    """Empty for the suite, `*` for the default of the level."""

    text: str = field(init=False, repr=False, compare=False)
    """The key as one text, for the store. Ids hold no control characters."""

    def __post_init__(self) -> None:
        text = f"{self.level.key}\x1f{self.tenant_id}\x1f{self.subject_id}"
        object.__setattr__(self, "text", text)

    @classmethod
    def of(cls, text: str) -> "SubjectKey":
        """Return the key whose text that is."""
        level, tenant_id, subject_id = text.split("\x1f")
        return cls(level=SubjectLevel.from_key(level), tenant_id=tenant_id, subject_id=subject_id)

    @property
    def name(self) -> str:
        """The subject for messages, as `user/ada`."""
        if self.level is SubjectLevel.SUITE:
            return self.level.key
        return f"{self.level.key}/{self.subject_id}"


SUITE = SubjectKey(level=SubjectLevel.SUITE)


@lru_cache(maxsize=_KEPT)
def keys_of(subject: Subject) -> tuple[SubjectKey, ...]:
    """Return the subjects whose limits hold for a turn of *subject*, the widest first."""
    tenant = subject.tenant_id
    keys = [SUITE, SubjectKey(level=SubjectLevel.TENANT, tenant_id=tenant, subject_id=tenant)]
    for level, subject_id in (
        (SubjectLevel.TEAM, subject.team_id),
        (SubjectLevel.USER, subject.user_id),
        (SubjectLevel.KEY, subject.key_id),
    ):
        if subject_id:
            keys.append(SubjectKey(level=level, tenant_id=tenant, subject_id=subject_id))
    return tuple(keys)


@lru_cache(maxsize=_KEPT)
def defaults_of(key: SubjectKey) -> tuple[SubjectKey, ...]:
    """Return whose allowance holds for *key* if it has none, the nearest first."""
    if key.level is SubjectLevel.SUITE:
        return ()
    everyone = SubjectKey(level=key.level, subject_id=EVERYONE)
    if key.level is SubjectLevel.TENANT:
        return (everyone,)
    return (
        SubjectKey(level=key.level, tenant_id=key.tenant_id, subject_id=EVERYONE),
        everyone,
    )
