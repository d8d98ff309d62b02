"""What the prompt registry reads from its environment, once, at start."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from parley_services.kit.settings import ParleySettings


class PromptRegistrySettings(ParleySettings):
    """Where templates are kept, and how changes and outcomes are watched."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_PROMPT_REGISTRY_")

    database_url: str = ""
    """Where templates and outcomes are kept: `sqlite:///path/to/file.db` or
    `postgresql://user:password@host:5432/name`. Empty, the default, is the file
    `prompt_registry.db` in PARLEY_DATA_DIR. Several replicas need PostgreSQL."""

    seed_path: Path | None = None
    """YAML file of the templates that an empty store begins with. Unset, the default, is
    the file in the package: general_chat, rag_answer and code_review."""

    poll_seconds: float = Field(default=0.5, gt=0, le=1.0)
    """Seconds between looks for changes that other replicas made, up to 1. The default
    brings a rollback to every replica well within 2 seconds for two small queries a
    second."""

    protected_labels: str = "production"
    """Labels that only an administrator moves, separated by commas. The default is the
    label that turns get which ask for no other."""

    admin_token: SecretStr = Field(default=SecretStr(""))
    """Secret that a call must carry as metadata `x-parley-admin-token` to move a protected
    label, 1 or more printable ASCII characters. Empty, the default, lets every caller that
    reaches the service do so, which suits a single machine."""

    evaluation_retention_days: float = Field(default=90.0, gt=0)
    """Days that the evaluation log keeps a turn. Counts by version and arm stay for ever.
    A report that is repeated after that time would count again; the default is far above
    the time that an outbox retries."""

    text_tenants: str = ""
    """Tenants whose texts the evaluation log keeps, separated by commas; `*` for all. Texts
    are redacted by the guardrails first; what they would block, or cannot judge now, is not
    kept. Empty, the default, keeps no text of anybody: a tenant must want it."""

    text_retention_days: float = Field(default=14.0, gt=0)
    """Days that the evaluation log keeps texts, if it keeps any. The default is enough to
    look into what a report shows, and short since texts are what harms most when lost."""

    automatic_rollback: bool = True
    """Whether the registry stops an experiment, or moves the label `production` back, once a
    version is proved to be worse. On by default."""

    alert_webhook_url: SecretStr = Field(default=SecretStr(""))
    """URL that a rollback is posted to as JSON, with a field `text` as chat tools read it.
    Empty, the default, only logs it. It counts as a secret since such URLs often hold one."""

    def url(self) -> str:
        """Return the database to use."""
        if self.database_url:
            return self.database_url
        return f"sqlite:///{self.data_dir.absolute() / 'prompt_registry.db'}"
