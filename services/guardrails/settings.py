"""What the guardrails read from their environment, once, at start."""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from services.kit.settings import ParleySettings


class GuardrailsSettings(ParleySettings):
    """How the guardrails judge."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_GUARDRAILS_")

    prepare_rules: bool = True
    """Whether to run the rules once over a sample text at start. It takes about 0.1
    seconds and spares the first answers the building of RE2's automata; tests switch it off."""

    policy_path: Path | None = None
    """YAML file with the policies of tenants and templates. Without it, the default,
    everybody has the policy in which each rule does what it says itself. A file that
    cannot take effect as it is stops the start."""
