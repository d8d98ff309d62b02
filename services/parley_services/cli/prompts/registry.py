"""How commands reach the prompt registry."""

import getpass
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import typer
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc

from parley_services.cli.connection import open_peers, run
from parley_services.cli.console import error_console, styled
from parley_services.kit.errors import InvalidArgument, ServiceError

T = TypeVar("T")

TIMEOUT_SECONDS = 10.0

ADMIN_TOKEN_KEY = "x-parley-admin-token"

Stub: TypeAlias = "pb_grpc.PromptRegistryServiceAsyncStub"


def ask(work: Callable[[Stub], Awaitable[T]]) -> T:
    """
    Do *work* with the registry and return what it returns.

    What the registry, or a file, refuses is one line, and the command ends with 1.
    """

    async def asking() -> T:
        async with open_peers() as peers:
            stub: Stub = pb_grpc.PromptRegistryServiceStub(peers.channel("prompt_registry"))
            return await work(stub)

    with refusing():
        return run(asking())


@contextmanager
def refusing() -> Iterator[None]:
    """Say what was refused, a line each, and end the command with 1."""
    try:
        yield
    except InvalidArgument as error:
        for each in error.violations:
            error_console.print(styled((each.field, "red"), f" {each.description}"))
        if not error.violations:
            error_console.print(styled(("INVALID_ARGUMENT", "red"), f" {error}"))
        raise typer.Exit(1) from error
    except ServiceError as error:
        error_console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from error


def admin_metadata() -> tuple[tuple[str, str], ...]:
    """Return what shows that the caller may move protected labels, if it has the token."""
    from parley_services.prompt_registry.settings import PromptRegistrySettings

    token = PromptRegistrySettings().admin_token.get_secret_value()
    return ((ADMIN_TOKEN_KEY, token),) if token else ()


def user_name() -> str:
    """Return who is at the keyboard, for the history; empty if that is not known."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
