"""What accounting reads from its environment, once, at start."""

from decimal import Decimal
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from parley_services.kit.settings import ParleySettings


class AccountingSettings(ParleySettings):
    """Where the ledger is, what holds for everybody, and whom alerts are sent to."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_ACCOUNTING_")

    database_url: str = ""
    """Where the ledger is: `sqlite:///path/to/file.db` for one process, or
    `postgresql://user:password@host/name` for any number of replicas. Empty, the default:
    `accounting.db` in the data folder, which needs no server."""

    bootstrap_key: SecretStr = SecretStr("")
    """Secret of the first key, taken only while there is no key at all. Empty, the default:
    one is made and written to `bootstrap.key` in the data folder."""

    policy_path: Path | None = None
    """YAML file of budgets, downgrades and emergency rules that replaces the packaged one."""

    prices_path: Path | None = None
    """YAML file of prices that go before those of genai-prices. It is read until the model
    router has listed its prices for the first time, and for calls that the router did not make;
    give the router the same."""

    unknown_price_usd_per_million: Decimal | None = Field(default=None, ge=0, decimal_places=9)
    """US dollars per 1,000,000 tokens, of each kind, for a model without a known price.
    Unset, the default: such a model is refused, so that nothing is free by accident, and a call
    of one that was made nevertheless costs as much as the model that the turn asked for."""

    user_requests_per_minute: int = Field(default=30, ge=0, le=10**9)
    """Requests a minute for each user that has no allowance of its own; 0: no limit. 30 is
    more than a person types and little enough to stop a loop."""

    rate_window_seconds: float = Field(default=60.0, ge=1, le=3600)
    """Length of the window in which requests and tokens per minute are counted. With 60, a limit
    of 30 a minute lets at most 30 through in any 60 seconds. A longer window allows bursts: with
    120 it is 60 in any 120 seconds, which may come at once. A shorter one evens the load out:
    with 10 it is 5 in any 10 seconds."""

    lease_grace_seconds: float = Field(default=30.0, ge=0)
    """How long a reservation outlives its turn's time limit, so that a late booking still
    finds it."""

    lease_check_interval_seconds: float = Field(default=5.0, gt=0)
    """How often reservations whose lease is over are looked for."""

    rollup_interval_seconds: float = Field(default=10.0, gt=0)
    """How often new entries of the ledger are added to the sums that summaries read. Those
    that are not yet are read one by one, so that summaries are never late."""

    detail_days: int | None = Field(default=None, ge=7)
    """Days that the ledger's entries stay in the database, at least 7. Older ones move to
    compressed files in `ledger_archive` in the data folder; summaries still count them, by whole
    days. Unset, the default: all stay."""

    archive_interval_seconds: float = Field(default=3600.0, gt=0)
    """How often entries that are older than `detail_days` are looked for."""

    key_max_age_seconds: float = Field(default=2.0, ge=0)
    """How long a caller may keep the answer that a key is good. A revoked key stops within
    that time even where no watch stream tells of it."""

    poll_interval_seconds: float = Field(default=0.5, gt=0)
    """How often watch streams look for what another replica changed. What this process
    changed is seen at once."""

    wrong_keys_per_second: float = Field(default=5.0, gt=0)
    """Wrong keys a second that are answered as such; beyond it and a burst of ten times as
    many, RATE_LIMITED. Good keys are not affected."""

    webhook_urls: tuple[str, ...] = ()
    """URLs that alerts are posted to, a JSON list. Each alert reaches each URL at least
    once."""

    webhook_secret: SecretStr = SecretStr("")
    """Secret that signs webhooks, as standardwebhooks.com describes. Needed with
    `webhook_urls`."""
