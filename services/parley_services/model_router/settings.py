"""What the model router reads from its environment, once, at start."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from parley_services.kit.settings import ParleySettings


class ModelRouterSettings(ParleySettings):
    """How the router reaches providers, how long it waits and how hard it tries."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_MODEL_ROUTER_")

    openai_api_key: SecretStr = SecretStr("")
    """Key of OpenAI; several, separated by commas, take turns. Empty, the default: models of
    OpenAI are not offered, and without any provider's key all models are simulated."""

    openai_base_url: str = "https://api.openai.com/v1"
    """Where OpenAI's API is; a proxy or a stand-in may take its place."""

    anthropic_api_key: SecretStr = SecretStr("")
    """Key of Anthropic, as `openai_api_key`."""

    anthropic_base_url: str = "https://api.anthropic.com"
    """Where Anthropic's API is."""

    config_path: Path | None = None
    """YAML file of providers, models and chains that replaces the packaged one. Read again
    when it changes; a file that is wrong is refused and the last good one stays."""

    prices_path: Path | None = None
    """YAML file of prices that go before those of genai-prices, for discounts and for
    models of your own."""

    unknown_price_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """US dollars for 1,000,000 tokens, input or output, of a model without a known price.
    Unset, the default: such a model is refused, since nothing may be free by accident."""

    attempt_report_delay_seconds: float = Field(default=5.0, ge=0)
    """Seconds after a call's deadline at which the router reports its attempts to accounting.
    By then the caller has booked them, unless it died; what is booked stays as it is. Must be
    less than `PARLEY_ORCHESTRATOR_ORPHANED_TURN_RELEASE_DELAY_SECONDS`."""

    attempt_report_interval_seconds: float = Field(default=2.0, gt=0)
    """Seconds between two looks at the journal for attempts that are due to be reported."""

    journal_record_limit: int = Field(default=100_000, ge=1)
    """Attempts that may wait in the journal to be reported, about 300 bytes each. Beyond it,
    as after a long absence of accounting, no model is called, so that no cost is lost."""

    simulate: Literal["auto", "always", "never"] = "auto"
    """Whether the simulated provider serves all models: `auto` does if no provider can be
    used, which is the case without keys."""

    simulated_seed: int = 0
    """Seed of the simulated provider; the same seed and requests give the same run."""

    simulated_failure_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of simulated calls that fail before any text. None by default, for a friendly
    first run; 0.15 shows retries and fallback at work."""

    simulated_cut_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of simulated streams that break in the middle; 0.05 shows answers being
    continued."""

    simulated_stall_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of simulated streams that fall silent in the middle."""

    simulated_failing_models: str = ""
    """Models, separated by commas, whose simulated calls all fail as overloaded."""

    simulated_first_token_seconds: float = Field(default=0.25, ge=0)
    """Seconds until a simulated answer begins, give or take 30 %; as long as a fast model
    takes."""

    simulated_slow_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of simulated calls that take longer to begin; 0.03 shows hedging at work."""

    simulated_slow_seconds: float = Field(default=3.0, ge=0)
    """Seconds by which those calls begin later; about the slowest percent of a large model."""

    simulated_token_seconds: float = Field(default=0.02, ge=0)
    """Seconds between two words of a simulated answer; 50 words a second, as a fast model."""

    simulated_answer: str = ""
    """Text of all simulated answers; empty, the default, answers from a script."""

    connect_timeout_seconds: float = Field(default=5.0, gt=0)
    """Seconds to make a connection to a provider; TLS across an ocean takes under one."""

    first_token_seconds: float = Field(default=20.0, gt=0)
    """Seconds from sending a request to the first output; then the next route is asked.
    Large models think for some seconds first."""

    stall_seconds: float = Field(default=10.0, gt=0)
    """Seconds without a single byte of an answer that has begun; then the stream counts as
    broken. Tokens come every 10 to 100 ms, and providers send pings in longer pauses."""

    keep_alive_seconds: float = Field(default=60.0, gt=0)
    """Seconds with nothing but comments and pings, before the first output or between two;
    then the stream counts as broken. Pings alone do not keep it for ever."""

    reasoning_seconds: float = Field(default=300.0, gt=0)
    """Seconds with nothing but reasoning; then the stream counts as broken."""

    arguments_seconds: float = Field(default=300.0, gt=0)
    """Seconds with nothing but arguments of tool calls, which are passed on whole; then the
    stream counts as broken."""

    end_seconds: float = Field(default=1.0, gt=0)
    """Seconds from the provider's word that an answer has ended to its usage and the end of
    the stream. After them the answer is whole without."""

    max_stream_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """The most bytes of one answer, framing included; a longer one is broken off. An answer of
    100,000 tokens has some 20 MiB."""

    max_error_bytes: int = Field(default=64 * 1024, ge=1024)
    """The most bytes that are read of an error's body; what it means is in the first few."""

    default_deadline_seconds: float = Field(default=30.0, gt=0)
    """Seconds for a call whose caller set no deadline; the deadline of a chat."""

    deadline_margin_seconds: float = Field(default=0.05, ge=0)
    """Seconds before the caller's deadline at which the router ends a call itself, so that
    what was used still reaches the caller."""

    retries: int = Field(default=3, ge=0, le=10)
    """Further tries of one route after a failure that may pass."""

    first_pause_seconds: float = Field(default=1.0, ge=0)
    """Seconds before the first retry; the pause doubles each time: 1, 2, 4."""

    max_pause_seconds: float = Field(default=8.0, ge=0)
    """The longest such pause, in seconds."""

    jitter_seconds: float = Field(default=1.0, ge=0)
    """The most seconds that are added to a pause, at random, so that retries of many calls
    do not come in step."""

    max_retry_after_seconds: float = Field(default=10.0, ge=0)
    """The longest wait that a provider may ask for, in seconds; beyond it the next route is
    asked instead."""

    retry_share: float = Field(default=0.1, ge=0, le=1)
    """Retries allowed as a share of calls, so that a failing provider is not asked many
    times more than usual. A tenth, as Google's SRE book advises."""

    retry_reserve: float = Field(default=20.0, ge=0)
    """Retries allowed at once beyond that share, so that a quiet system retries too."""

    hedging: bool = False
    """Whether a second model of the chain is asked too when the first one has not begun to
    answer after the time in which 95 % of its answers do. Who begins first answers, the other
    is cut off and what it used is booked. Off by default: it costs money for time."""

    hedge_share: float = Field(default=0.05, gt=0, le=1)
    """Second calls of that kind as a share of all calls at most. A twentieth is what the
    slowest 5 % need."""

    first_concurrency_limit: int = Field(default=64, ge=4)
    """Calls to one model at once, to begin with. The limit then follows what the provider
    takes: up by one with each answer that ends well, until the provider first says that it is
    too much; then down by 30 % each time it says so, and up by one in as many answers."""

    max_concurrency_limit: int = Field(default=1000, ge=4)
    """The most that this limit grows to."""

    max_waiting_calls: int = Field(default=256, ge=0)
    """Calls that wait for a place at one model at most; they are served tenant by tenant."""

    max_wait_seconds: float = Field(default=5.0, ge=0)
    """Seconds that a call waits for a place at most; then the next model is asked."""

    max_shadow_calls: int = Field(default=32, ge=0)
    """Calls beside the answers, for experiments, at once at most; one more is dropped. Half of
    the places that one model has at first, so that experiments stay the smaller part."""

    mid_stream_policy: Literal["continue", "restart", "fail"] = "continue"
    """What happens when a stream breaks after text was sent: `continue` has the next route
    go on with the text, `restart` begins again, `fail` fails the call."""
