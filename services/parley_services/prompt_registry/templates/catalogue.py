"""
The templates in memory, as a process last saw them, and who waits for changes.

Renders are served from here and never from the store. Imports neither grpc nor protobuf.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from parley_services.kit.errors import NotFound, Overloaded
from parley_services.prompt_registry.experiments.experiment import Experiment
from parley_services.prompt_registry.stores.store import Changes, TemplateStore
from parley_services.prompt_registry.templates.snapshot import TemplateSnapshot, TemplateState
from parley_services.prompt_registry.templates.template import Template

MAX_WATCHERS: Final = 1_000
"""Watches of one process at once; each replica of the orchestrator keeps one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotUpdate:
    """Everything there is. The receiver drops what it had."""

    revision: int
    templates: tuple[TemplateState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUpdate:
    """One template that was changed, whole."""

    revision: int
    template: TemplateState


class Catalogue:
    """The templates of *store* at one revision, brought up to date by `refresh`."""

    def __init__(self, store: TemplateStore) -> None:
        self._store = store
        self._templates: dict[str, Template] = {}
        self._experiments: dict[str, Experiment] = {}
        self._refreshing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._watchers = 0
        self.snapshot = TemplateSnapshot()

    @property
    def revision(self) -> int:
        """The revision that is in memory."""
        return self.snapshot.revision

    def templates(self) -> tuple[Template, ...]:
        """Return all templates, by name."""
        return tuple(self._templates[name] for name in sorted(self._templates))

    def find(self, name: str) -> Template | None:
        """Return a template by its *name*, or None."""
        return self._templates.get(name)

    def template(self, name: str) -> Template:
        """Return a template by its *name*. Raises NotFound."""
        found = self.find(name)
        if found is None:
            # The snapshot's error says it.
            self.snapshot.template(name)
            raise AssertionError(name)
        return found

    def experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment of any template. Raises NotFound."""
        found = self._experiments.get(experiment_id)
        if found is None:
            raise NotFound(
                f"There is no experiment {experiment_id[:64]}.",
                resource_type="experiment",
                resource_name=experiment_id[:64],
            )
        return found

    def experiments(self) -> tuple[Experiment, ...]:
        """Return all experiments, newest first."""
        return tuple(
            sorted(
                self._experiments.values(),
                key=lambda each: (each.create_time, each.experiment_id),
                reverse=True,
            )
        )

    async def refresh(self) -> None:
        """Take over what changed in the store. Raises DependencyUnavailable if it is away."""
        async with self._refreshing:
            if await self._store.revision() != self.revision:
                self._apply(await self._store.changes(self.revision))

    @asynccontextmanager
    async def watching(
        self, after_revision: int
    ) -> AsyncIterator[AsyncGenerator[SnapshotUpdate | TemplateUpdate, None]]:
        """
        Yield a stream of everything, or what changed after *after_revision*, then every change.

        It never ends by itself. A slow reader gets the last of several changes of a template.
        An *after_revision* of 0, or one that was never reached, begins with everything.
        Raises Overloaded if too many watch already.
        """
        if self._watchers >= MAX_WATCHERS:
            raise Overloaded("Too many watch the templates already: try again later.")
        self._watchers += 1
        try:
            async with aclosing(self._updates(after_revision)) as updates:
                yield updates
        finally:
            self._watchers -= 1

    async def _updates(
        self, after_revision: int
    ) -> AsyncGenerator[SnapshotUpdate | TemplateUpdate, None]:
        seen = after_revision
        if not 0 < seen <= self.revision:
            seen = self.revision
            yield SnapshotUpdate(revision=seen, templates=self._states(after=-1))
        while True:
            changed = self._changed
            if self.revision == seen:
                await changed.wait()
                continue
            revisions = [each.revision for each in self._newer(seen)]
            states = self._states(after=seen)
            seen = self.revision
            for revision, state in zip(revisions, states, strict=True):
                yield TemplateUpdate(revision=revision, template=state)

    def _newer(self, after: int) -> list[Template]:
        """Return templates changed after a revision, in the order of their revisions."""
        newer = [each for each in self._templates.values() if each.revision > after]
        return sorted(newer, key=lambda each: each.revision)

    def _states(self, *, after: int) -> tuple[TemplateState, ...]:
        return tuple(self.snapshot.template(each.name).named_only() for each in self._newer(after))

    def _apply(self, changes: Changes) -> None:
        snapshot = self.snapshot
        for template in changes.templates:
            self._templates[template.name] = template
            for experiment in template.experiments:
                self._experiments[experiment.experiment_id] = experiment
            snapshot = snapshot.with_template(state_of(template), revision=changes.revision)
        self.snapshot = TemplateSnapshot(revision=changes.revision, templates=snapshot.templates)
        self._changed.set()
        self._changed = asyncio.Event()


def state_of(template: Template) -> TemplateState:
    """Return what is needed to render any version of *template*."""
    return TemplateState(
        name=template.name,
        latest_version=template.latest_version,
        labels=template.labels,
        versions=template.versions,
        experiments=tuple(each for each in template.experiments if each.splits_traffic),
    )
