from pathlib import Path

import pytest
from parley_services.kit.settings import ParleySettings
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict


class ExampleSettings(ParleySettings):
    model_config = SettingsConfigDict(env_prefix="PARLEY_EXAMPLE_")

    size: int = 3
    """How many."""


def test_defaults():
    settings = ExampleSettings()

    assert (settings.size, settings.data_dir, settings.log_level) == (3, Path(".parley"), "info")
    assert settings.service_token.get_secret_value() == ""


def test_own_fields_have_the_prefix_and_common_ones_do_not(monkeypatch):
    monkeypatch.setenv("PARLEY_EXAMPLE_SIZE", "5")
    monkeypatch.setenv("PARLEY_DATA_DIR", "/data")
    monkeypatch.setenv("PARLEY_SERVICE_TOKEN", "hush")
    settings = ExampleSettings()

    assert (settings.size, settings.data_dir) == (5, Path("/data"))
    assert settings.service_token.get_secret_value() == "hush"
    assert "hush" not in repr(settings)


def test_can_be_given_in_code():
    assert ExampleSettings(data_dir=Path("x"), size=1).data_dir == Path("x")


def test_cannot_be_changed():
    with pytest.raises(ValidationError):
        ExampleSettings().size = 4


def test_docstrings_are_descriptions():
    assert ExampleSettings.model_fields["size"].description == "How many."
