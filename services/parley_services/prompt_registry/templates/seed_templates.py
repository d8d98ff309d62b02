"""The templates that an empty store begins with. Imports neither grpc nor protobuf."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from parley_services.kit.errors import AlreadyExists, Conflict
from parley_services.prompt_registry.experiments.experiment import Experiment
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.serialization import parse, read_yaml
from parley_services.prompt_registry.templates.template import PRODUCTION, TemplateContent

log = structlog.get_logger()

AUTHOR = "parley"


SEED_PATH = Path(__file__).parent / "seed_templates.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedVersion:
    """One version of a template to begin with."""

    content: TemplateContent
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedTemplate:
    """A template to begin with."""

    versions: tuple[SeedVersion, ...]
    labels: Mapping[str, int] = field(default_factory=dict)
    experiments: tuple[Experiment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    """What an empty store begins with."""

    templates: Mapping[str, SeedTemplate]


def load_seed_templates(path: Path = SEED_PATH) -> SeedFile:
    """Return what *path* holds. Raises InvalidArgument for a file of another form."""
    return parse(SeedFile, read_yaml(path))


async def fill_if_empty(registry: Registry, catalogue: Catalogue, seed: SeedFile) -> None:
    """
    Make the templates of *seed* if there is no template at all.

    Of several replicas that start together on one empty store, each makes what is missing.
    """
    if catalogue.templates():
        return
    for name, each in seed.templates.items():
        for number, version in enumerate(each.versions, start=1):
            found = catalogue.find(name)
            if found is not None and found.latest_version >= number:
                continue
            try:
                await registry.create_version(
                    name,
                    version.content,
                    author=AUTHOR,
                    note=version.note,
                    base_version=number - 1,
                )
            except Conflict:
                log.info("seed_template_made_elsewhere", template=name)
        for label, number in each.labels.items():
            held = catalogue.template(name).find_label(label)
            if held is None or (label != PRODUCTION and held.version != number):
                await registry.set_label(name, label, number, author=AUTHOR, is_admin=True)
        for experiment in each.experiments:
            try:
                await registry.create_experiment(replace(experiment, template=name))
            except AlreadyExists:
                log.info("seed_template_made_elsewhere", template=name)
