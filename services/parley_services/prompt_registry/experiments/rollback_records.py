"""Returns to an earlier version. Imports neither grpc nor protobuf."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A measure that a version has worsened, with its numbers."""

    measure: str
    """As `error_rate`."""
    observed: float
    bound: float
    reason: str
    """Why, with numbers, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A return to an earlier version."""

    template: str
    experiment_id: str = ""
    from_version: int
    to_version: int
    reason: str
    measure: str = ""
    observed: float = 0.0
    bound: float = 0.0
    is_automatic: bool
    create_time: datetime
