"""What the orchestrator reads from its environment, once, at start."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley_services.kit.settings import ParleySettings


class OrchestratorSettings(ParleySettings):
    """Limits and timeouts of a turn. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_ORCHESTRATOR_")

    default_deadline_seconds: float = Field(default=30.0, gt=0)
    """Deadline of a turn whose caller set none. Half a minute is longer than most answers
    and shorter than most people wait."""

    max_deadline_seconds: float = Field(default=600.0, gt=0)
    """Longest deadline that a caller gets, however long it asks for."""

    max_input_tokens: int = Field(default=8000, ge=1)
    """Most tokens that a caller may send in a turn: text, history, variables and documents."""

    fail_closed: bool = False
    """Whether a turn fails while the guardrails are unavailable. Otherwise the baseline rules are
    applied in this process and the turn is marked degraded."""

    guardrails_timeout_seconds: float = Field(default=2.0, gt=0)
    """Longest wait for the check of the input."""

    accounting_timeout_seconds: float = Field(default=2.0, gt=0)
    """Longest wait for a key or a reservation."""

    prompt_registry_timeout_seconds: float = Field(default=1.0, gt=0)
    """Longest wait for a rendered prompt, before the last snapshot is used."""

    semantic_cache_timeout_seconds: float = Field(default=0.25, gt=0)
    """Longest wait for a cache look-up. A cache that is slower than that saves no time."""

    stale_key_seconds: float = Field(default=300.0, ge=0)
    """How long a known key goes on to work while accounting is unavailable."""

    key_capacity: int = Field(default=10_000, ge=1)
    """How many keys are remembered."""

    offline_turn_limit: int = Field(default=100, ge=0)
    """Turns that each tenant may make on trust while accounting is unavailable. Keys under a hard
    budget get none."""

    coalesce_deadline_tolerance_seconds: float = Field(default=1.0, ge=0)
    """How much earlier than its own deadline an identical turn under way may end for it to
    be joined."""

    coalesce_wait_seconds: float = Field(default=3.0, ge=0)
    """How long a turn waits while another replica writes the answer to the same question,
    before it asks a model itself. Users leave after some three seconds without a token.
    0 coalesces within one replica only."""

    shadow_concurrency: int = Field(default=16, ge=0)
    """Shadow arms of experiments that may run at once. Excess arms are dropped."""

    shadow_timeout_seconds: float = Field(default=60.0, gt=0)
    """Longest run of a shadow arm."""

    outbox_record_limit: int = Field(default=100_000, ge=1)
    """Records that may wait to be booked, answers and outcomes included. Beyond it new turns
    are refused, so that nothing is lost."""

    orphaned_turn_release_delay_seconds: float = Field(default=10.0, ge=0)
    """Delay after a crashed process's turn deadline before the restarted process releases
    its reservation. Longer than `PARLEY_MODEL_ROUTER_ATTEMPT_REPORT_DELAY_SECONDS`, so that
    what it used is booked first, and shorter than `PARLEY_ACCOUNTING_LEASE_GRACE_SECONDS`, so
    that no estimate has to be."""

    outbox_timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest wait for a peer to take a record, before it is sent again."""
