"""`parley prompts` and `parley experiments` against a real server, as processes of their own."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

import grpc
import pytest
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc
from parley_services.cli.prompts import prompt_folder
from parley_services.prompt_registry.app import open_prompt_registry
from parley_services.prompt_registry.settings import PromptRegistrySettings
from parley_services.prompt_registry.templates.prompt_file import (
    GoldenCase,
    PromptFile,
    as_yaml,
    read_folder,
)

from tests.support import commands
from tests.support.prompts import content
from tests.support.serving import our_interceptors


@pytest.fixture
async def address(tmp_path):
    """A registry with an admin token, on a port of its own."""
    async with AsyncExitStack() as stack:
        register = await stack.enter_async_context(
            open_prompt_registry(
                PromptRegistrySettings(data_dir=tmp_path / "data", admin_token="s3cret")
            )
        )
        server = grpc.aio.server(interceptors=our_interceptors("tcp"))
        port = server.add_insecure_port("127.0.0.1:0")
        register(server)
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(None)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()
    return folder


@pytest.fixture
def parley(address):
    """Runs a command: `code, out = await parley("prompts", "list")`."""

    async def run(*arguments):
        return await commands.parley(
            *arguments,
            PARLEY_PEERS_PROMPT_REGISTRY=address,
            PARLEY_PROMPT_REGISTRY_ADMIN_TOKEN="s3cret",
        )

    return run


def write(folder, text="Hello {{ text }}", *, name="greeting", expected="Hello ada"):
    case = GoldenCase(name="ada", variables={"text": "ada"}, user_text=expected)
    file = PromptFile(content=content(text), tests=(case,))
    (folder / f"{name}.yaml").write_text(as_yaml(file))


async def test_a_folder_is_pushed_once_and_read_back_as_it_is(parley, folder, tmp_path):
    write(folder)
    code, out = await parley("prompts", "push", folder, "--label", "staging", "--note", "first")
    assert code == 0, out
    assert "greeting: version 1, pushed" in out
    assert "staging points to version 1" in out
    code, out = await parley("prompts", "push", folder, "--label", "staging")
    assert code == 0, out
    assert "greeting: version 1, unchanged" in out
    assert "points" not in out

    pulled = tmp_path / "pulled"
    code, out = await parley("prompts", "pull", pulled)
    assert code == 0, out
    assert set(read_folder(pulled)) == {"code_review", "general_chat", "greeting", "rag_answer"}
    code, out = await parley("prompts", "diff", pulled)
    assert (code, out) == (0, "")

    write(pulled, "Hi {{ text }}", expected="Hi ada")
    code, out = await parley("prompts", "diff", pulled)
    assert code == 1
    assert "-user_text: Hello {{ text }}" in out
    assert "+user_text: Hi {{ text }}" in out
    code, out = await parley("prompts", "history", "greeting")
    assert code == 0
    assert "first" in out


async def test_a_failing_case_stops_the_push(parley, folder):
    write(folder, expected="Goodbye ada")
    code, out = await parley("prompts", "push", folder)
    assert code == 1
    assert "-Goodbye ada" in out
    assert "+Hello ada" in out
    assert "Nothing was pushed" in out
    code, out = await parley("prompts", "show", "greeting")
    assert code == 1
    assert "NOT_FOUND" in out


async def test_a_folder_is_tested_without_a_server(folder):
    write(folder)
    write(folder, "{{ nothing }}", name="wrong")
    environment = {**os.environ, "PARLEY_PEERS_PROMPT_REGISTRY": "127.0.0.1:1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parley_services.cli.main", "prompts", "test", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    out, _ = await process.communicate()
    assert process.returncode == 1
    assert b"wrong: content.user_text Declare the variable nothing" in out


async def test_labels_move_and_go_back(parley):
    for arguments, words in (
        (("prompts", "label", "general_chat", "production", 2), "production points to version 2"),
        (("prompts", "rollback", "general_chat"), "production points to version 1"),
        (("prompts", "list"), "production 1"),
    ):
        code, out = await parley(*arguments)
        assert code == 0, out
        assert words in out
    code, out = await parley("prompts", "rollback", "code_review")
    assert code == 1
    assert "nowhere before" in out


async def test_an_experiment_is_started_held_and_stopped(parley):
    for arguments, words in (
        (("experiments", "abort", "general-chat-v2"), "general-chat-v2 is aborted"),
        (("experiments", "start", "up", "general_chat", 2, "--mode", "ramp"), "step 1 of 4"),
        (("experiments", "pause", "up"), "up is paused"),
        (("experiments", "resume", "up"), "up is running"),
        (("experiments", "show", "up"), "10%"),
    ):
        code, out = await parley(*arguments)
        assert code == 0, out
        assert words in out
    code, out = await parley("experiments", "start", "x", "general_chat", 9)
    assert code == 1
    assert "Version 9 does not exist" in out


async def test_turns_are_compared_and_exported(parley, address, tmp_path):
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.PromptRegistryServiceStub(channel)
        for number in range(6):
            outcome = pb.Outcome(
                request_id=f"r{number}",
                tenant_id="acme",
                template="general_chat",
                version=1 + number % 2,
                error_reason="ERROR_REASON_OVERLOADED" if number == 1 else "",
            )
            outcome.end_time.GetCurrentTime()
            await stub.ReportOutcome(pb.ReportOutcomeRequest(outcome=outcome), timeout=10)
    code, out = await parley("evals", "report", "general_chat", "--since", "1h")
    assert code == 0, out
    assert "version 2" in out
    assert "33.33%" in out
    code, out = await parley("evals", "report", "rag_answer")
    assert (code, out) == (0, "No turns.\n")
    path = tmp_path / "turns.jsonl"
    code, out = await parley("evals", "export", path, "--tenant", "acme")
    assert (code, out) == (0, "6 turns\n")
    assert path.read_text().count("\n") == 6
    code, out = await parley("evals", "export", tmp_path / "turns.csv")
    assert code == 1
    assert ".jsonl or .parquet" in out


async def test_prompts_of_others_are_written_as_files(parley, folder, tmp_path):
    (tmp_path / "mail.txt").write_text("Dear {name}")
    (tmp_path / "mail.system.txt").write_text("Be polite.")
    code, out = await parley("prompts", "import", tmp_path, folder, "--format", "text")
    assert code == 0, out
    assert read_folder(folder)["mail"].content.user_text == "Dear {{ name }}"
    assert read_folder(folder)["mail"].content.system_text == "Be polite."
    (tmp_path / "broken.json").write_text("{")
    code, out = await parley(
        "prompts", "import", tmp_path / "broken.json", folder, "--format", "mlflow"
    )
    assert code == 1
    assert "cannot be read" in out


async def test_a_trial_run_pushes_nothing(address, folder, capsys):
    write(folder)
    files = prompt_folder.checked_files(folder)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.PromptRegistryServiceStub(channel)
        await prompt_folder.push(stub, files, label="", author="", note="", dry_run=True)
        assert "would become a new version" in capsys.readouterr().out
        assert await prompt_folder.newest_version(stub, "greeting") is None
