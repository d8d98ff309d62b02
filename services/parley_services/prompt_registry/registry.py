"""
Prompts are code: versioned, labelled, split over traffic. Imports neither grpc nor protobuf.

Every change is made to one template as a whole and saved on condition that nobody changed it
meanwhile, so a change is there with its history or not at all.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from parley_services.kit.clock import Clock
from parley_services.kit.errors import (
    AlreadyExists,
    Conflict,
    ScopeMissing,
    StateForbids,
)
from parley_services.prompt_registry.experiments import lifecycle
from parley_services.prompt_registry.experiments.assignment import AssignmentKeys, unit_value
from parley_services.prompt_registry.experiments.experiment import Experiment, ExperimentState
from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.stores.store import Page, RegistryStore, TemplateChange
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.rendering import check_content
from parley_services.prompt_registry.templates.snapshot import (
    Assignment,
    ByLabel,
    ByVersion,
    Prompt,
    Selector,
    TemplateState,
    assignment_of,
)
from parley_services.prompt_registry.templates.template import (
    LABEL_NAME,
    PRODUCTION,
    TEMPLATE_NAME,
    Label,
    LabelMove,
    Template,
    TemplateContent,
    TemplateVersion,
    check_name,
)

MAX_TEMPLATES: Final = 1_000
MAX_VERSIONS: Final = 1_000
MAX_LABELS: Final = 50
"""Bounds of what is kept in memory."""

STICKY_KEPT: Final = 50_000
"""First assignments kept in a process, beside the store."""

_ATTEMPTS = 5

Change = Callable[[Template], TemplateChange]


class Registry:
    """The templates, and what can be done with them."""

    def __init__(
        self,
        *,
        store: RegistryStore,
        catalogue: Catalogue,
        clock: Clock,
        protected_labels: Collection[str] = (),
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._protected = frozenset(protected_labels)
        self._sticky: dict[tuple[str, str], str] = {}

    async def render(
        self,
        *,
        template: str,
        selector: Selector,
        keys: AssignmentKeys,
        variables: Mapping[str, str],
    ) -> Prompt:
        """
        Pick the version of *template* for *keys* and render it, from memory.

        The store is asked only for a first assignment to an experiment that keeps them.
        Raises NotFound for a template, label, version or arm that does not exist,
        InvalidArgument naming `variables.<name>`, InputTooLarge.
        """
        state = self._catalogue.snapshot.template(template)
        assignment = await self._assignment(state, selector, keys)
        return state.render(assignment, keys, variables)

    async def assign(self, template: str, keys: AssignmentKeys) -> Assignment:
        """Return which version *keys* would get, and record nothing. Raises NotFound."""
        state = self._catalogue.snapshot.template(template)
        decided = state.deciding(keys)
        if decided is not None and decided[0].is_sticky:
            unit = unit_value(decided[0].assignment_unit, keys)
            kept = self._sticky.get((decided[0].experiment_id, unit))
            arm = decided[0].arm(kept) if kept else None
            if arm is not None:
                return assignment_of(decided[0], arm)
        return state.select(None, keys)

    async def create_version(
        self,
        template: str,
        content: TemplateContent,
        *,
        author: str = "",
        note: str = "",
        base_version: int = 0,
    ) -> TemplateVersion:
        """
        Add a version; the first one makes the template and its label `production`.

        The content of the newest version again returns that version. Raises
        InvalidArgument naming each field that is wrong, Conflict if *base_version* is not
        0 and not the newest, StateForbids if there are too many.
        """
        check_name("template", template, TEMPLATE_NAME)
        check_content(content)
        now = self._clock.now()

        def change(before: Template) -> TemplateChange:
            if before.revision == 0 and len(self._catalogue.templates()) >= MAX_TEMPLATES:
                raise StateForbids(f"There are {MAX_TEMPLATES} templates, the most there can be.")
            after = before.with_version(
                content, author=author, note=note, base_version=base_version, now=now
            )
            if after.latest_version > MAX_VERSIONS:
                raise StateForbids(
                    f"Template {template} has {MAX_VERSIONS} versions: begin another template."
                )
            if before.latest_version:
                return TemplateChange(after=after)
            after = after.with_label(
                PRODUCTION, 1, now=now, is_protected=PRODUCTION in self._protected
            )
            return TemplateChange(
                after=after, moves=(self._move(before, after, PRODUCTION, author, note),)
            )

        after = await self._change(template, change)
        digest = content.sha256()
        return next(each for each in reversed(after.versions) if each.content_sha256 == digest)

    def version(self, template: str, selector: ByLabel | ByVersion | None) -> TemplateVersion:
        """Return a version; without a *selector* that of label `production`. NotFound."""
        found = self._catalogue.template(template)
        match selector:
            case ByVersion(version=number):
                return found.version(number)
            case ByLabel(label=label):
                return found.version(found.label(label).version)
            case None:
                return found.version(found.label(PRODUCTION).version)

    async def set_label(
        self,
        template: str,
        label: str,
        version: int,
        *,
        etag: str = "",
        author: str = "",
        note: str = "",
        is_admin: bool = False,
    ) -> Label:
        """
        Move a label to a version, with an entry in its history.

        Moving `production` to an older version counts as a rollback by hand. Raises
        NotFound, Conflict if *etag* is not empty and not the label's, ScopeMissing for a
        protected label if not *is_admin*, StateForbids if there are too many.
        """
        check_name("label", label, LABEL_NAME)
        self._check_may_move(label, is_admin)
        now = self._clock.now()

        def change(before: Template) -> TemplateChange:
            self._catalogue.template(template)
            held = before.find_label(label)
            if held is None and len(before.labels) >= MAX_LABELS:
                raise StateForbids(f"Template {template} has {MAX_LABELS} labels: remove one.")
            goes_back = held is not None and version < held.version
            after = before.with_label(
                label,
                version,
                now=now,
                etag=etag,
                is_protected=label in self._protected,
                may_return=not goes_back,
            )
            rollbacks: tuple[Rollback, ...] = ()
            if held is not None and goes_back and label == PRODUCTION:
                rollbacks = (
                    Rollback(
                        template=template,
                        from_version=held.version,
                        to_version=version,
                        reason=note or "The label was moved back by hand.",
                        measure="manual",
                        is_automatic=False,
                        create_time=now,
                    ),
                )
            moves = (self._move(before, after, label, author, note),)
            return TemplateChange(after=after, moves=moves, rollbacks=rollbacks)

        return (await self._change(template, change)).label(label)

    async def delete_label(
        self, template: str, label: str, *, author: str = "", is_admin: bool = False
    ) -> None:
        """
        Remove a label, with an entry in its history.

        Raises NotFound, StateForbids for `production`, ScopeMissing as `set_label`.
        """
        if label == PRODUCTION:
            raise StateForbids(f"Label {PRODUCTION} cannot be removed: move it to another version.")
        self._check_may_move(label, is_admin)

        def change(before: Template) -> TemplateChange:
            self._catalogue.template(template)
            after = before.without_label(label)
            return TemplateChange(
                after=after, moves=(self._move(before, after, label, author, ""),)
            )

        await self._change(template, change)

    async def label_moves(self, template: str, *, position: int, limit: int) -> Page[LabelMove]:
        """Return the moves of the template's labels, newest first. Raises NotFound."""
        self._catalogue.template(template)
        return await self._store.label_moves(template, position=position, limit=limit)

    async def rollbacks(self, template: str, *, position: int, limit: int) -> Page[Rollback]:
        """Return rollbacks of a template, or of all if it is empty, newest first."""
        if template:
            self._catalogue.template(template)
        return await self._store.rollbacks(template, position=position, limit=limit)

    async def create_experiment(self, wanted: Experiment) -> Experiment:
        """Make an experiment. Raises what `lifecycle.create` raises, and NotFound."""
        now = self._clock.now()
        if any(
            each.experiment_id == wanted.experiment_id and each.template != wanted.template
            for each in self._catalogue.experiments()
        ):
            raise AlreadyExists(
                f"Experiment {wanted.experiment_id} exists on another template: choose another id.",
                resource_type="experiment",
                resource_name=wanted.experiment_id,
            )

        def change(before: Template) -> TemplateChange:
            self._catalogue.template(wanted.template)
            made = lifecycle.create(before, wanted, now=now)
            return TemplateChange(after=before.with_experiment(made))

        after = await self._change(wanted.template, change)
        return after.experiment(wanted.experiment_id)

    async def update_experiment(self, wanted: Experiment) -> Experiment:
        """
        Change an experiment.

        Stopping one that runs counts as a rollback by hand. Raises what
        `lifecycle.update` raises.
        """
        now = self._clock.now()
        held = self._catalogue.experiment(wanted.experiment_id)
        if wanted.template and wanted.template != held.template:
            raise StateForbids(f"An experiment stays on its template, {held.template}.")

        def change(before: Template) -> TemplateChange:
            stood = before.experiment(wanted.experiment_id)
            updated = lifecycle.update(before, wanted, now=now)
            rollbacks: tuple[Rollback, ...] = ()
            if stood.splits_traffic and updated.state is ExperimentState.ABORTED:
                rollbacks = (
                    Rollback(
                        template=stood.template,
                        experiment_id=stood.experiment_id,
                        from_version=stood.candidate.version,
                        to_version=stood.control.version,
                        reason="The experiment was stopped by hand.",
                        measure="manual",
                        is_automatic=False,
                        create_time=now,
                    ),
                )
            return TemplateChange(after=before.with_experiment(updated), rollbacks=rollbacks)

        after = await self._change(held.template, change)
        return after.experiment(wanted.experiment_id)

    async def change(self, template: str, change: Change) -> Template:
        """
        Make *change* of a template that exists, again if somebody else was first.

        A change that returns what it was given writes nothing. Raises what it raises,
        Conflict if others were first every time, DependencyUnavailable.
        """
        self._catalogue.template(template)
        return await self._change(template, change)

    async def _change(self, name: str, change: Change) -> Template:
        attempt = 0
        while True:
            attempt += 1
            before = self._catalogue.find(name)
            wanted = change(before or Template(name=name))
            if before is not None and wanted.after == before:
                return before
            try:
                await self._store.save(before, wanted)
            except Conflict:
                await self._catalogue.refresh()
                stale = self._catalogue.find(name) == before
                if stale or attempt == _ATTEMPTS:
                    raise
                continue
            await self._catalogue.refresh()
            return self._catalogue.template(name)

    async def _assignment(
        self, state: TemplateState, selector: Selector, keys: AssignmentKeys
    ) -> Assignment:
        if selector is not None or not state.experiments:
            return state.select(selector, keys)
        decided = state.deciding(keys)
        if decided is None or not decided[0].is_sticky:
            return state.select(None, keys)
        experiment, arm = decided
        unit = unit_value(experiment.assignment_unit, keys)
        place = (experiment.experiment_id, unit)
        kept = self._sticky.get(place)
        if kept is None:
            kept = await self._store.keep_assignment(experiment.experiment_id, unit, arm.name)
            while len(self._sticky) >= STICKY_KEPT:
                self._sticky.pop(next(iter(self._sticky)))
            self._sticky[place] = kept
        return assignment_of(experiment, experiment.arm(kept) or arm)

    def _move(
        self, before: Template, after: Template, label: str, author: str, note: str
    ) -> LabelMove:
        held, holds = before.find_label(label), after.find_label(label)
        return LabelMove(
            template=after.name,
            label=label,
            from_version=held.version if held else 0,
            to_version=holds.version if holds else 0,
            author=author,
            note=note,
            create_time=self._clock.now(),
        )

    def _check_may_move(self, label: str, is_admin: bool) -> None:
        if label in self._protected and not is_admin:
            raise ScopeMissing(
                f"Label {label} is protected: moving it needs the scope admin.",
                metadata={"scope": "admin"},
            )
