"""The two distributions, built and installed as users get them."""

import subprocess

import pytest

from tests.support.distributions import (
    PROJECTS,
    build_wheel,
    fresh_environment,
    requirements,
    top_level_names,
)
from tests.support.processes import KEY

CHAT = """
import asyncio, sys
from parley_client import Parley

async def main():
    async with Parley(sys.argv[1], api_key=sys.argv[2]) as parley:
        async with parley.chat("What is the capital of France?") as stream:
            answer = await stream.read()
        print(len(answer) > 0, stream.completed.usage.output_token_count > 0)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    return {name: build_wheel(name, folder) for name in PROJECTS}


def test_a_site_gets_only_packages_of_our_own_name(wheels):
    assert top_level_names(wheels["parley_suite"]) == {"parley_services"}
    assert top_level_names(wheels["parley_client"]) == {"parley_client", "parley"}


def test_the_client_asks_for_grpc_and_protobuf_only(wheels):
    assert requirements(wheels["parley_client"]) == {
        "googleapis-common-protos",
        "grpcio",
        "grpcio-status",
        "protobuf",
    }


def test_the_suite_asks_for_the_client_of_its_own_version(wheels):
    version = wheels["parley_client"].name.split("-")[1]
    assert wheels["parley_suite"].name.split("-")[1] == version
    assert "parley-client" in requirements(wheels["parley_suite"])


def test_the_installed_client_chats_without_the_suite(wheels, running, tmp_path):
    python = fresh_environment(tmp_path / "venv", wheels["parley_client"])
    done = subprocess.run(
        [python, "-I", "-c", CHAT, running.address, KEY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")
    done = subprocess.run([python, "-I", "-c", "import parley_services"], capture_output=True)
    assert done.returncode
