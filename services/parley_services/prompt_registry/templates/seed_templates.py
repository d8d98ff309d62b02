"""Fills an empty store. Imports neither grpc nor protobuf."""

from dataclasses import replace

import structlog

from parley_services.kit.errors import AlreadyExists, Conflict
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.template import PRODUCTION
from parley_services.prompt_registry.templates.template_file import StarterFile

log = structlog.get_logger()

AUTHOR = "parley"


async def fill_if_empty(registry: Registry, catalogue: Catalogue, starters: StarterFile) -> None:
    """
    Make the templates of *starters* if there is no template at all.

    Of several replicas that start together on one empty store, each makes what is missing.
    """
    if catalogue.templates():
        return
    for name, starter in starters.templates.items():
        for number, version in enumerate(starter.versions, start=1):
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
                log.info("starter_made_elsewhere", template=name)
        for label, number in starter.labels.items():
            held = catalogue.template(name).find_label(label)
            if held is None or (label != PRODUCTION and held.version != number):
                await registry.set_label(name, label, number, author=AUTHOR, is_admin=True)
        for experiment in starter.experiments:
            try:
                await registry.create_experiment(replace(experiment, template=name))
            except AlreadyExists:
                log.info("starter_made_elsewhere", template=name)
