"""
Templates as they are at one moment, and the prompt of a turn from them.

This is the seam for whoever must render without the service: it needs no grpc, no store and
no clock, and gives what the service gives, but for sticky assignments, which only the
service knows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from parley_services.kit.errors import InvalidArgument, NotFound
from parley_services.prompt_registry.experiments.assignment import AssignmentKeys, assign
from parley_services.prompt_registry.experiments.experiment import Arm, Experiment, ExperimentMode
from parley_services.prompt_registry.templates.rendering import RenderedText, compiled
from parley_services.prompt_registry.templates.template import (
    PRODUCTION,
    Label,
    TemplateContent,
    TemplateVersion,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByLabel:
    """The version that carries this label."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByVersion:
    """This very version."""

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ByArm:
    """This arm of the running experiment."""

    arm: str


Selector = ByLabel | ByVersion | ByArm | None
"""Which version. None: label `production` and running experiments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The version that somebody gets."""

    version: int
    experiment_id: str = ""
    """Empty outside of an experiment, and for an arm that the caller chose: what a tester
    forces must not count as evidence."""
    arm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPrompt:
    """A prompt to run beside the answer, unseen by the user."""

    experiment_id: str
    arm: str
    version: int
    text: RenderedText
    content: TemplateContent
    """What its version says about the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A rendered prompt, with the version that it comes from."""

    version: TemplateVersion
    experiment_id: str
    arm: str
    text: RenderedText
    shadows: tuple[ShadowPrompt, ...] = ()

    @property
    def content(self) -> TemplateContent:
        """What the version says about the call."""
        return self.version.content


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateState:
    """One template with all that is needed to render it."""

    name: str
    latest_version: int
    labels: tuple[Label, ...]
    versions: tuple[TemplateVersion, ...]
    """At least those that a label or an experiment names."""
    experiments: tuple[Experiment, ...]
    """Those that split traffic, oldest first."""
    _by_number: Mapping[int, TemplateVersion] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_number = {each.version: each for each in self.versions}
        object.__setattr__(self, "_by_number", by_number)

    def version(self, number: int) -> TemplateVersion:
        """Return a version by its *number*. Raises NotFound."""
        found = self._by_number.get(number)
        if found is None:
            raise NotFound(
                f"Template {self.name} has no version {number} here; its newest is "
                f"{self.latest_version}.",
                resource_type="template_version",
                resource_name=f"{self.name}/{number}",
            )
        return found

    def labelled(self, name: str) -> int:
        """Return the version that label *name* points to. Raises NotFound."""
        for label in self.labels:
            if label.name == name:
                return label.version
        raise NotFound(
            f"Template {self.name} has no label {name[:64]}: set it to a version first.",
            resource_type="label",
            resource_name=f"{self.name}/{name[:64]}",
        )

    def deciding(self, keys: AssignmentKeys) -> tuple[Experiment, Arm] | None:
        """Return the experiment that *keys* take part in, with their arm by hash, or None."""
        for experiment in self.experiments:
            if experiment.mode is not ExperimentMode.SHADOW:
                arm = assign(experiment, keys)
                if arm is not None:
                    return experiment, arm
        return None

    def select(self, selector: Selector, keys: AssignmentKeys) -> Assignment:
        """Return which version *keys* get. Raises NotFound."""
        match selector:
            case ByVersion(version=version):
                return Assignment(version=version)
            case ByLabel(label=label):
                return Assignment(version=self.labelled(label))
            case ByArm(arm=name):
                return self._forced(name)
            case None:
                decided = self.deciding(keys)
                if decided is None:
                    return Assignment(version=self.labelled(PRODUCTION))
                return assignment_of(*decided)
            case _:
                assert_never(selector)

    def shadows(self, keys: AssignmentKeys) -> tuple[tuple[Experiment, Arm], ...]:
        """Return the arms to run beside an answer for *keys*."""
        found: list[tuple[Experiment, Arm]] = []
        for experiment in self.experiments:
            if experiment.mode is ExperimentMode.SHADOW:
                arm = assign(experiment, keys)
                if arm is not None and arm is not experiment.control:
                    found.append((experiment, arm))
        return tuple(found)

    def render(
        self, assignment: Assignment, keys: AssignmentKeys, variables: Mapping[str, str]
    ) -> Prompt:
        """
        Return the prompt of *assignment*, with its shadows.

        A shadow that these variables do not fit is left out: it must never cost a turn.
        Raises InvalidArgument, InputTooLarge, NotFound.
        """
        version = self.version(assignment.version)
        return Prompt(
            version=version,
            experiment_id=assignment.experiment_id,
            arm=assignment.arm,
            text=compiled(version.content, version.content_sha256).render(variables),
            shadows=tuple(self._shadow_prompts(keys, variables)) if self.experiments else (),
        )

    def named_only(self) -> "TemplateState":
        """Return the state with only the versions that a label or an experiment names."""
        numbers = {label.version for label in self.labels}
        numbers.update(arm.version for each in self.experiments for arm in each.arms)
        return replace(
            self, versions=tuple(each for each in self.versions if each.version in numbers)
        )

    def _forced(self, name: str) -> Assignment:
        for experiment in self.experiments:
            arm = experiment.arm(name)
            if arm is not None:
                return Assignment(version=arm.version, arm=arm.name)
        raise NotFound(
            f"No running experiment on {self.name} has an arm {name[:64]}.",
            resource_type="arm",
            resource_name=f"{self.name}/{name[:64]}",
        )

    def _shadow_prompts(
        self, keys: AssignmentKeys, variables: Mapping[str, str]
    ) -> Iterable[ShadowPrompt]:
        for experiment, arm in self.shadows(keys):
            version = self.version(arm.version)
            try:
                text = compiled(version.content, version.content_sha256).render(variables)
            except InvalidArgument:
                continue
            yield ShadowPrompt(
                experiment_id=experiment.experiment_id,
                arm=arm.name,
                version=arm.version,
                text=text,
                content=version.content,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSnapshot:
    """All templates at one revision."""

    revision: int = 0
    templates: Mapping[str, TemplateState] = field(default_factory=dict)

    def with_template(self, state: TemplateState, *, revision: int) -> "TemplateSnapshot":
        """Return the snapshot with *state* in place of the template of its name."""
        return TemplateSnapshot(revision=revision, templates={**self.templates, state.name: state})

    def template(self, name: str) -> TemplateState:
        """Return a template by its *name*. Raises NotFound."""
        found = self.templates.get(name)
        if found is None:
            raise NotFound(
                f"There is no template {name[:64]}: make its first version.",
                resource_type="template",
                resource_name=name[:64],
            )
        return found

    def render(
        self,
        *,
        template: str,
        selector: Selector = None,
        keys: AssignmentKeys,
        variables: Mapping[str, str],
    ) -> Prompt:
        """
        Pick the version of *template* for *keys* and render it.

        Raises NotFound for a template, label, version or arm that is not here,
        InvalidArgument naming `variables.<name>`, InputTooLarge.
        """
        state = self.template(template)
        return state.render(state.select(selector, keys), keys, variables)


def assignment_of(experiment: Experiment, arm: Arm) -> Assignment:
    """Return the assignment to *arm* of *experiment*."""
    return Assignment(version=arm.version, experiment_id=experiment.experiment_id, arm=arm.name)
