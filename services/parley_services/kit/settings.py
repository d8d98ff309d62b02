"""What every part of Parley reads from its environment, once, at start."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ParleySettings(BaseSettings):
    """
    Base of all settings. A service adds its own fields and its own `env_prefix`.

    The fields below have one name for all services, whatever the prefix.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Field(default=Path(".parley"), validation_alias="PARLEY_DATA_DIR")
    """Folder of what the embedded stores keep: databases, vectors, the outbox. Made if it
    does not exist. The default is under the working folder, so that a trial leaves
    nothing elsewhere."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="PARLEY_LOG_LEVEL"
    )
    """The least level that is logged. At info, each RPC over TCP is one line; at debug,
    calls inside the process are too."""

    service_token: SecretStr = Field(default=SecretStr(""), validation_alias="PARLEY_SERVICE_TOKEN")
    """Secret that services show each other over TCP, 1 or more printable ASCII
    characters, the same everywhere. Empty, the default, checks nothing and lets a server
    listen on loopback only."""
