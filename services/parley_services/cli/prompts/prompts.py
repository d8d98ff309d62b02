"""`parley prompts`: templates, their versions and labels, and folders of prompt files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from rich.table import Table

from parley_services.cli.console import console, error_console
from parley_services.cli.prompts.prompt_tables import (
    move_table,
    print_outcomes,
    rollback_table,
    version_table,
)
from parley_services.cli.prompts.registry import (
    TIMEOUT_SECONDS,
    Stub,
    admin_metadata,
    ask,
    refusing,
    user_name,
)

app = typer.Typer(
    help="Prompts: versions, labels, outcomes, and files under version control.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="The template.")]
Folder = Annotated[Path, typer.Argument(help="The folder with a YAML file for each template.")]
Note = Annotated[str, typer.Option(help="Why, for the history.")]
Author = Annotated[str, typer.Option(help="Who, for the history; you by default.")]
OfLabel = Annotated[
    str, typer.Option("--label", help="The version of this label; without it, the newest.")
]


class ImportFormat(StrEnum):
    """Whose prompts are imported."""

    TEXT = "text"
    LANGFUSE = "langfuse"
    MLFLOW = "mlflow"


@app.command("list")
def list_() -> None:
    """List the templates with their labels."""

    async def work(stub: Stub) -> None:
        table = Table("template", "newest", "labels")
        token = ""
        while True:
            page = await stub.ListTemplates(
                pb.ListTemplatesRequest(page_size=100, page_token=token), timeout=TIMEOUT_SECONDS
            )
            for each in page.templates:
                labels = ", ".join(f"{label.name} {label.version}" for label in each.labels)
                table.add_row(each.name, str(each.latest_version), labels)
            token = page.next_page_token
            if not token:
                break
        console.print(table)

    ask(work)


@app.command()
def show(
    name: Name,
    label: OfLabel = "",
    version: Annotated[int, typer.Option(help="This version.")] = 0,
) -> None:
    """Print a version of a template as YAML, as a prompt file has it."""
    from parley_services.cli.prompts.prompt_folder import version_as_yaml

    async def work(stub: Stub) -> None:
        console.print(
            await version_as_yaml(stub, name, label=label, version=version),
            soft_wrap=True,
        )

    ask(work)


@app.command()
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=100, help="The most lines of each table.")] = 20,
) -> None:
    """Show the versions of a template, the moves of its labels and its rollbacks, newest first."""

    async def work(stub: Stub) -> None:
        versions = await stub.ListTemplateVersions(
            pb.ListTemplateVersionsRequest(template=name, page_size=limit), timeout=TIMEOUT_SECONDS
        )
        moves = await stub.ListLabelMoves(
            pb.ListLabelMovesRequest(template=name, page_size=limit), timeout=TIMEOUT_SECONDS
        )
        rollbacks = await stub.ListRollbacks(
            pb.ListRollbacksRequest(template=name, page_size=limit), timeout=TIMEOUT_SECONDS
        )
        console.print(version_table(versions.versions))
        console.print(move_table(moves.moves))
        if rollbacks.rollbacks:
            console.print(rollback_table(rollbacks.rollbacks))

    ask(work)


@app.command()
def label(
    name: Name,
    label: Annotated[str, typer.Argument(help="The label, as `staging`.")],
    version: Annotated[int, typer.Argument(help="The version; 0 removes the label.")],
    note: Note = "",
    author: Author = "",
) -> None:
    """Move a label to a version, or remove it."""

    async def work(stub: Stub) -> None:
        if not version:
            await stub.DeleteLabel(
                pb.DeleteLabelRequest(template=name, label=label, author=author or user_name()),
                timeout=TIMEOUT_SECONDS,
                metadata=admin_metadata(),
            )
            console.print(f"{name}: {label} is removed")
            return
        await _set_label(stub, name, label, version, author=author, note=note)

    ask(work)


@app.command()
def rollback(
    name: Name,
    label: Annotated[str, typer.Option(help="The label to move back.")] = "production",
    note: Note = "",
    author: Author = "",
) -> None:
    """Move a label back to the version that it pointed to before its last move."""

    async def work(stub: Stub) -> None:
        token = ""
        while True:
            page = await stub.ListLabelMoves(
                pb.ListLabelMovesRequest(template=name, page_size=100, page_token=token),
                timeout=TIMEOUT_SECONDS,
            )
            last = next((each for each in page.moves if each.label == label), None)
            token = page.next_page_token
            if last is not None or not token:
                break
        if last is None or not last.from_version:
            error_console.print(f"{label} of {name} was nowhere before.")
            raise typer.Exit(1)
        await _set_label(stub, name, label, last.from_version, author=author, note=note)

    ask(work)


@app.command()
def outcomes(name: Name) -> None:
    """Show how the versions of a template do, by arm."""

    async def work(stub: Stub) -> None:
        found: list[pb.OutcomeSummary] = []
        token = ""
        while True:
            page = await stub.GetOutcomes(
                pb.GetOutcomesRequest(template=name, page_size=100, page_token=token),
                timeout=TIMEOUT_SECONDS,
            )
            found += page.summaries
            token = page.next_page_token
            if not token:
                break
        print_outcomes(found)

    ask(work)


@app.command()
def push(
    folder: Folder,
    label: Annotated[str, typer.Option(help="Move this label to what was pushed.")] = "",
    note: Note = "",
    author: Author = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """
    Make a version of every template of a folder that differs from its newest one.

    All files are checked and their golden cases rendered first; nothing is pushed if any is
    wrong. Pushing again changes nothing.
    """
    from parley_services.cli.prompts import prompt_folder

    with refusing():
        files = prompt_folder.checked_files(folder)
    if not prompt_folder.passes(files):
        error_console.print("Nothing was pushed.")
        raise typer.Exit(1)
    ask(
        lambda stub: prompt_folder.push(
            stub, files, label=label, author=author or user_name(), note=note, dry_run=dry_run
        )
    )


@app.command()
def pull(
    folder: Folder,
    label: OfLabel = "",
    template: Annotated[
        list[str] | None, typer.Option(help="Only this template; may be repeated.")
    ] = None,
) -> None:
    """
    Write every template into a folder, as `push` reads it back.

    A file that holds the same content is left as it is; golden cases are kept.
    """
    from parley_services.cli.prompts import prompt_folder

    ask(lambda stub: prompt_folder.pull(stub, folder, template or (), label=label))


@app.command()
def diff(folder: Folder, label: OfLabel = "") -> None:
    """Show how a folder differs from the registry; end with 1 if it does."""
    from parley_services.cli.prompts import prompt_folder
    from parley_services.prompt_registry.templates.prompt_file import read_folder

    with refusing():
        files = read_folder(folder)
    if ask(lambda stub: prompt_folder.diff(stub, files, label=label)):
        raise typer.Exit(1)


@app.command()
def test(folder: Folder) -> None:
    """Check the files of a folder and render their golden cases, without a server."""
    from parley_services.cli.prompts import prompt_folder

    with refusing():
        files = prompt_folder.checked_files(folder)
    if not prompt_folder.passes(files):
        raise typer.Exit(1)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A file, or a folder of .txt and .j2 files.")],
    folder: Folder,
    format: Annotated[ImportFormat, typer.Option(help="Whose prompts they are.")],
) -> None:
    """
    Write prompts of other tools into a folder, to be looked over and pushed.

    Text: NAME.txt (`str.format`) or NAME.j2 (Jinja2) is the user text, NAME.system.txt or
    NAME.system.j2 beside it the system text. Langfuse: the JSON of its export or public API.
    MLflow: the JSON of prompt versions, or of its REST API.
    """
    from parley_services.cli.prompts import prompt_folder

    with refusing():
        prompt_folder.import_prompts(source, folder, format.value)


async def _set_label(
    stub: Stub, name: str, label: str, version: int, *, author: str, note: str
) -> None:
    await stub.SetLabel(
        pb.SetLabelRequest(
            template=name, label=label, version=version, author=author or user_name(), note=note
        ),
        timeout=TIMEOUT_SECONDS,
        metadata=admin_metadata(),
    )
    console.print(f"{name}: {label} points to version {version}")
