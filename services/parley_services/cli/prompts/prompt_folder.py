"""What `parley prompts push | pull | diff | test | import` do with a folder of files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import grpc
import orjson
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from rich.text import Text

from parley_services.cli.console import console, error_console, styled
from parley_services.cli.prompts.registry import TIMEOUT_SECONDS, Stub, admin_metadata
from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry import from_proto, to_proto
from parley_services.prompt_registry.templates import importers
from parley_services.prompt_registry.templates.golden import (
    Failed,
    Passed,
    check_contents,
    run_cases,
    text_diff,
)
from parley_services.prompt_registry.templates.prompt_file import (
    PromptFile,
    as_yaml,
    read_folder,
    write_prompt,
)
from parley_services.prompt_registry.templates.template import TemplateVersion


async def push(
    stub: Stub,
    files: Mapping[str, PromptFile],
    *,
    label: str,
    author: str,
    note: str,
    dry_run: bool,
) -> None:
    """Make a version of each of *files* that differs from the newest one of its template."""
    for name, file in files.items():
        newest = await newest_version(stub, name)
        if newest is not None and newest.content == file.content:
            version, said = newest.version, "unchanged"
        elif dry_run:
            console.print(f"{name}: would become a new version")
            continue
        else:
            base = newest.version if newest is not None else 0
            version = await _create(stub, name, file, base, author, note)
            said = "pushed"
        console.print(f"{name}: version {version}, {said}")
        if label and not dry_run:
            await _move(stub, name, label, version, author, note)


async def pull(stub: Stub, folder: Path, names: Sequence[str], *, label: str) -> None:
    """Write the templates *names* of the registry, all if there are none, into *folder*."""
    for name in names or await template_names(stub):
        version = await labelled_or_newest(stub, name, label)
        if version is None:
            error_console.print(styled((name, "yellow"), ": has no such version"))
            continue
        changed = write_prompt(folder, name, version.content)
        said = "written" if changed else "unchanged"
        console.print(f"{name}: version {version.version}, {said}")


async def diff(stub: Stub, files: Mapping[str, PromptFile], *, label: str) -> bool:
    """Print how *files* differ from the registry; return whether they do."""
    differs = False
    for name in sorted({*files, *await template_names(stub)}):
        version = await labelled_or_newest(stub, name, label)
        file = files.get(name)
        where = f"version {version.version}" if version is not None else "not there"
        lines = text_diff(
            as_yaml(version.content) if version is not None else "",
            as_yaml(file.content) if file is not None else "",
            before_name=f"{name}, registry: {where}",
            after_name=f"{name}, folder{'' if file is not None else ': not there'}",
        )
        print_diff(lines)
        differs = differs or bool(lines)
    return differs


def checked_files(folder: Path) -> dict[str, PromptFile]:
    """Return the files of *folder*, which the registry would take. Raises InvalidArgument."""
    files = read_folder(folder)
    check_contents(files)
    return files


def passes(files: Mapping[str, PromptFile]) -> bool:
    """Print what comes of the golden cases of *files*; return whether all passed."""
    results = list(run_cases(files))
    for each in results:
        match each:
            case Passed(template=template, case=case):
                console.print(styled(("passed", "green"), f" {template}: {case}"))
            case Failed(template=template, case=case, problem=problem, diff=lines):
                console.print(styled(("failed", "red"), f" {template}: {case}"))
                console.print(f"  {problem}", soft_wrap=True)
                print_diff(lines)
    failed = sum(isinstance(each, Failed) for each in results)
    console.print(f"{len(files)} templates, {len(results)} cases, {failed} failed")
    return not failed


def import_prompts(source: Path, folder: Path, form: str) -> None:
    """Write the prompts of *source* into *folder*. Raises InvalidArgument."""
    for each in _read_prompts(source, form):
        changed = write_prompt(folder, each.name, each.content)
        console.print(f"{each.name}: {'written' if changed else 'unchanged'}")
        for note in each.notes:
            error_console.print(f"  {note}", style="yellow", soft_wrap=True)


async def version_as_yaml(stub: Stub, name: str, *, label: str, version: int) -> str:
    """Return a version of template *name* as a file would hold it; the newest by default."""
    if not (label or version):
        page = await stub.ListTemplateVersions(
            pb.ListTemplateVersionsRequest(template=name, page_size=1), timeout=TIMEOUT_SECONDS
        )
        return as_yaml(PromptFile(content=from_proto.version(page.versions[0]).content))
    request = pb.GetTemplateVersionRequest(template=name)
    if version:
        request.version = version
    else:
        request.label = label
    response = await stub.GetTemplateVersion(request, timeout=TIMEOUT_SECONDS)
    return as_yaml(PromptFile(content=from_proto.version(response.version).content))


async def template_names(stub: Stub) -> list[str]:
    """Return the names of all templates."""
    names: list[str] = []
    token = ""
    while True:
        page = await stub.ListTemplates(
            pb.ListTemplatesRequest(page_size=100, page_token=token), timeout=TIMEOUT_SECONDS
        )
        names += [each.name for each in page.templates]
        token = page.next_page_token
        if not token:
            return names


async def newest_version(stub: Stub, name: str) -> TemplateVersion | None:
    """Return the newest version of template *name*, None if there is no such template."""
    try:
        page = await stub.ListTemplateVersions(
            pb.ListTemplateVersionsRequest(template=name, page_size=1), timeout=TIMEOUT_SECONDS
        )
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    return from_proto.version(page.versions[0])


async def labelled_or_newest(stub: Stub, name: str, label: str) -> TemplateVersion | None:
    """Return the version of *label*, the newest if it is empty; None if there is none."""
    if not label:
        return await newest_version(stub, name)
    try:
        response = await stub.GetTemplateVersion(
            pb.GetTemplateVersionRequest(template=name, label=label), timeout=TIMEOUT_SECONDS
        )
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    return from_proto.version(response.version)


def print_diff(lines: Iterable[str]) -> None:
    """Print the lines of a unified diff, in colour where there is some."""
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        if line.startswith(("+++", "---")):
            style = "bold"
        console.print(Text(line, style=style), soft_wrap=True)


async def _create(
    stub: Stub, name: str, file: PromptFile, base_version: int, author: str, note: str
) -> int:
    response = await stub.CreateTemplateVersion(
        pb.CreateTemplateVersionRequest(
            template=name,
            content=to_proto.content(file.content),
            author=author,
            note=note,
            base_version=base_version,
        ),
        timeout=TIMEOUT_SECONDS,
    )
    return response.version.version


async def _move(stub: Stub, name: str, label: str, version: int, author: str, note: str) -> None:
    held = await labelled_or_newest(stub, name, label)
    if held is not None and held.version == version:
        return
    await stub.SetLabel(
        pb.SetLabelRequest(template=name, label=label, version=version, author=author, note=note),
        timeout=TIMEOUT_SECONDS,
        metadata=admin_metadata(),
    )
    console.print(f"  {label} points to version {version}")


def _read_prompts(source: Path, form: str) -> list[importers.ImportedPrompt]:
    try:
        match form:
            case "langfuse":
                return importers.from_langfuse(orjson.loads(source.read_bytes()))
            case "mlflow":
                return importers.from_mlflow(orjson.loads(source.read_bytes()))
            case _:
                return list(_read_texts(source))
    except (OSError, UnicodeDecodeError, orjson.JSONDecodeError) as error:
        raise InvalidArgument.field(str(source), f"It cannot be read: {error}.") from None


def _read_texts(source: Path) -> Iterable[importers.ImportedPrompt]:
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    for path in paths:
        if path.suffix not in (".txt", ".j2") or path.stem.endswith(".system"):
            continue
        beside = path.with_name(f"{path.stem}.system{path.suffix}")
        system = beside.read_text(encoding="utf-8") if beside.exists() else ""
        convert = importers.from_jinja if path.suffix == ".j2" else importers.from_format_string
        yield convert(path.stem, path.read_text(encoding="utf-8"), system)
