"""Experiments: how the traffic of a template is split. Imports neither grpc nor protobuf."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.kit.errors import FieldViolation

_WEIGHT_TOLERANCE = 1e-6
NEVER: Final = datetime.fromtimestamp(0, UTC)
"""The time of what has not happened."""


class AssignmentUnit(WireEnum):
    """What an experiment hashes. UNSPECIFIED is the same as USER."""

    UNSPECIFIED = 0
    USER = 1
    CONVERSATION = 2
    TENANT = 3


class ExperimentState(WireEnum):
    """Where an experiment stands. UNSPECIFIED is read as DRAFT and never kept."""

    UNSPECIFIED = 0
    DRAFT = 1
    RUNNING = 2
    PAUSED = 3
    ENDED = 4
    ABORTED = 5


class ExperimentMode(WireEnum):
    """How an experiment is run. UNSPECIFIED is the same as SPLIT."""

    UNSPECIFIED = 0
    SPLIT = 1
    """Users are split over the arms; users outside the coverage get the label's version."""
    SHADOW = 2
    """Everybody gets the label's version; the other arms run beside it, unseen."""
    RAMP = 3
    """The candidate's coverage grows step by step; everybody else is the control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm of an experiment."""

    name: str
    version: int
    weight: float
    """Its share of the covered traffic, 0 to 1. All arms together have 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStep:
    """One step of a ramp. It holds until both its time and its turns are reached."""

    coverage: float
    min_duration_seconds: float = 0.0
    min_request_count: int = 0
    """The fewest turns of the candidate in this step."""


DEFAULT_RAMP: Final = (
    RampStep(coverage=0.10, min_duration_seconds=600.0, min_request_count=500),
    RampStep(coverage=0.25, min_duration_seconds=600.0, min_request_count=500),
    RampStep(coverage=0.50, min_duration_seconds=600.0, min_request_count=500),
    RampStep(coverage=1.00, min_duration_seconds=600.0, min_request_count=500),
)
"""The steps of a ramp that names none. 500 turns show a failure of one answer in ten with
near certainty, and ten minutes show one that needs time, as a cache that fills up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How traffic was split in one epoch."""

    coverage: float
    weights: tuple[float, ...]
    """Of the arms, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Bounds that stop an experiment, or a label's move, by themselves."""

    max_error_ratio: float = 2.0
    """The greatest ratio of an arm's error rate to the control's, above 1."""
    alpha: float = 0.05
    """The chance of a false stop over the whole run, above 0 and below 1."""
    max_latency_seconds: float | None = None
    """The greatest time of a turn that counts as good; None: not watched."""
    max_cost_ratio: float = 0.0
    """The greatest ratio of an arm's cost to the control's; 0: not watched."""
    min_request_count: int = 100
    """The fewest turns of an arm before ratios count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A split of a template's traffic."""

    experiment_id: str
    template: str = ""
    arms: tuple[Arm, ...]
    """The first one is the control."""
    coverage: float = 1.0
    """The share of traffic that takes part, 0 to 1."""
    assignment_unit: AssignmentUnit = AssignmentUnit.USER
    seed: str = ""
    """The seed of the hash. Empty: the experiment's id."""
    state: ExperimentState = ExperimentState.DRAFT
    mode: ExperimentMode = ExperimentMode.SPLIT
    ramp_steps: tuple[RampStep, ...] = ()
    ramp_step_index: int = 0
    namespace: str = ""
    """Experiments of one namespace exclude each other. Empty: none."""
    namespace_start: float = 0.0
    namespace_end: float = 0.0
    is_sticky: bool = False
    """Whether a first assignment is kept though weights change."""
    guard: Guard = field(default_factory=Guard)
    earlier_splits: tuple[Split, ...] = ()
    """Those before the one that holds now, oldest first."""
    step_start_time: datetime = NEVER
    """When the ramp step that holds now began."""
    etag: str = ""
    create_time: datetime = NEVER

    @property
    def splits_traffic(self) -> bool:
        """Whether it decides now which version somebody gets, or what runs beside."""
        return self.state in (ExperimentState.RUNNING, ExperimentState.PAUSED)

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self.state in (ExperimentState.ENDED, ExperimentState.ABORTED)

    @property
    def control(self) -> Arm:
        """The arm that others are measured against."""
        return self.arms[0]

    @property
    def candidate(self) -> Arm:
        """The arm that a ramp brings in."""
        return self.arms[-1]

    @property
    def hash_seed(self) -> str:
        """What is hashed together with the unit."""
        return self.seed or self.experiment_id

    def arm(self, name: str) -> Arm | None:
        """Return an arm by its *name*, or None."""
        return next((each for each in self.arms if each.name == name), None)

    @property
    def split(self) -> Split:
        """How traffic is split now."""
        return Split(coverage=self.coverage, weights=tuple(arm.weight for arm in self.arms))

    @property
    def epoch(self) -> int:
        """
        Counts its splits, from 1.

        Outcomes of one epoch had one split, which is what the sequential test must know.
        """
        return len(self.earlier_splits) + 1

    def share_of(self, arm: Arm, epoch: int) -> float:
        """Return the share of *arm* in the traffic of itself and the control in *epoch*."""
        split = (*self.earlier_splits, self.split)[epoch - 1]
        if self.mode is ExperimentMode.RAMP:
            return split.coverage if arm is not self.control else 1.0 - split.coverage
        weight = split.weights[self.arms.index(arm)]
        both = weight + split.weights[0]
        return weight / both if both else 0.0

    def excludes(self, other: "Experiment") -> bool:
        """Whether nobody can be in both this and *other*."""
        if not self.namespace or self.namespace != other.namespace:
            return False
        return (
            self.namespace_end <= other.namespace_start
            or other.namespace_end <= self.namespace_start
        )


def violations(experiment: Experiment, *, latest_version: int) -> Iterator[FieldViolation]:
    """Yield what is wrong with *experiment* on a template of *latest_version* versions."""
    yield from _arm_violations(experiment, latest_version)
    if experiment.namespace and not experiment.namespace_start < experiment.namespace_end:
        yield _wrong("namespace_end", "A range ends above its start.")
    if experiment.is_sticky and experiment.mode is not ExperimentMode.SPLIT:
        yield _wrong("sticky", "Only a split keeps first assignments.")
    yield from _ramp_violations(experiment)


def _arm_violations(experiment: Experiment, latest_version: int) -> Iterator[FieldViolation]:
    arms = experiment.arms
    if len({arm.name for arm in arms}) < len(arms):
        yield _wrong("arms", "Each arm needs a name of its own.")
    for index, arm in enumerate(arms):
        if arm.version > latest_version:
            yield _wrong(
                f"arms[{index}].version",
                f"Version {arm.version} does not exist; the newest is {latest_version}.",
            )
    total = math.fsum(arm.weight for arm in arms)
    if not abs(total - 1) <= _WEIGHT_TOLERANCE:
        yield _wrong("arms", f"The weights sum to {total:g}, they must sum to 1.")


def _ramp_violations(experiment: Experiment) -> Iterator[FieldViolation]:
    steps = experiment.ramp_steps
    if experiment.mode is not ExperimentMode.RAMP:
        if steps:
            yield _wrong("ramp_steps", "Only a ramp has steps.")
        return
    if len(experiment.arms) != 2:
        yield _wrong("arms", "A ramp has two arms, the control and the candidate.")
    for index, step in enumerate(steps):
        if index and step.coverage <= steps[index - 1].coverage:
            yield _wrong(f"ramp_steps[{index}].coverage", "Each step covers more than the last.")


def _wrong(field_path: str, description: str) -> FieldViolation:
    return FieldViolation(field=f"experiment.{field_path}", description=description)
