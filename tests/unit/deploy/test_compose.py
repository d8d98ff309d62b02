"""docker-compose.yml against the code: every command and variable in it means something."""

from pathlib import Path

import pytest
import yaml
from parley_services.cli.process.catalogue import load
from parley_services.cli.process.settings import sections

COMPOSE = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text())
OURS = {name: each for name, each in COMPOSE["services"].items() if each["image"] == "parley"}
BY_NAME = {service.name: service for service in load()}


def test_every_service_is_there():
    assert {name.replace("-", "_") for name in OURS} == set(BY_NAME)


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_is_started_and_checked_by_its_own_name(name):
    service = name.replace("-", "_")
    assert OURS[name]["command"] == ["serve", service]
    assert OURS[name]["healthcheck"]["test"] == ["CMD", "parley", "health", service]


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting(name):
    known = {setting.name for section in sections() for setting in section.settings}
    assert set(OURS[name]["environment"]) <= known


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_listens_where_its_peers_look_for_it(name):
    service = name.replace("-", "_")
    environment = OURS[name]["environment"]
    port = BY_NAME[service].default_port
    assert environment["PARLEY_SERVER_ADDRESS"] == f"0.0.0.0:{port}"
    for other in OURS.values():
        peer = other["environment"][f"PARLEY_PEERS_{service.upper()}"]
        assert peer == f"dns:///{name}:{port}"


def test_secrets_come_from_outside():
    for each in OURS.values():
        for key, value in each["environment"].items():
            if any(word in key for word in ("TOKEN", "KEY", "PASSWORD")):
                assert value.startswith("${"), key


def test_only_chat_is_published_and_only_on_loopback():
    published = {name: each["ports"] for name, each in OURS.items() if "ports" in each}
    assert published == {"orchestrator": ["127.0.0.1:50050:50051"]}
