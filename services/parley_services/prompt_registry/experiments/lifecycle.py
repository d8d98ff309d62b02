"""The life of an experiment: creating, updating, ramping, ending. Imports no grpc."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from parley_services.kit.errors import AlreadyExists, InvalidArgument, StateForbids
from parley_services.prompt_registry.experiments.experiment import (
    DEFAULT_RAMP,
    Experiment,
    ExperimentMode,
    ExperimentState,
    violations,
)
from parley_services.prompt_registry.templates.template import Template, check_etag, new_etag

MAX_OPEN_EXPERIMENTS: Final = 20
"""The most experiments of a template that are not over: each costs every render a hash."""

MAX_SPLITS: Final = 200
"""The most changes of weights or coverage of one experiment: each is counted apart."""

_MAY_BECOME: Final = {
    ExperimentState.DRAFT: {
        ExperimentState.DRAFT,
        ExperimentState.RUNNING,
        ExperimentState.ABORTED,
    },
    ExperimentState.RUNNING: {
        ExperimentState.RUNNING,
        ExperimentState.PAUSED,
        ExperimentState.ENDED,
        ExperimentState.ABORTED,
    },
    ExperimentState.PAUSED: {
        ExperimentState.PAUSED,
        ExperimentState.RUNNING,
        ExperimentState.ENDED,
        ExperimentState.ABORTED,
    },
    ExperimentState.ENDED: {ExperimentState.ENDED},
    ExperimentState.ABORTED: {ExperimentState.ABORTED},
}


def create(template: Template, wanted: Experiment, *, now: datetime) -> Experiment:
    """
    Return the experiment *wanted* as a new one of *template*.

    A ramp begins at its first step. Raises InvalidArgument naming each field that is wrong,
    AlreadyExists, or StateForbids if another experiment decides for the same people.
    """
    if any(each.experiment_id == wanted.experiment_id for each in template.experiments):
        raise AlreadyExists(
            f"Experiment {wanted.experiment_id} exists already: choose another id.",
            resource_type="experiment",
            resource_name=wanted.experiment_id,
        )
    if wanted.state not in (ExperimentState.DRAFT, ExperimentState.RUNNING):
        raise InvalidArgument.field(
            "experiment.state", "A new experiment is a draft or runs at once."
        )
    made = replace(
        wanted, ramp_step_index=0, earlier_splits=(), create_time=now, step_start_time=now
    )
    if made.mode is ExperimentMode.RAMP:
        steps = made.ramp_steps or DEFAULT_RAMP
        made = replace(made, ramp_steps=steps, coverage=steps[0].coverage)
    _check(template, made)
    return _stamped(made, now)


def update(template: Template, wanted: Experiment, *, now: datetime) -> Experiment:
    """
    Return the experiment of *template* as it is *wanted*.

    Only a draft may change what was assigned already: its arms' names and versions, mode,
    unit, seed, namespace and stickiness. The coverage of a ramp is its step's. Raises
    NotFound, Conflict if the etag is not the one that was read, StateForbids for a step
    that its state forbids, InvalidArgument naming each field that is wrong.
    """
    before = template.experiment(wanted.experiment_id)
    if not wanted.etag:
        raise InvalidArgument.field("experiment.etag", "Send the etag that you read.")
    check_etag(wanted.etag, before.etag, f"Experiment {before.experiment_id}")
    if wanted.state not in _MAY_BECOME[before.state] or before.is_over:
        raise StateForbids(
            f"Experiment {before.experiment_id} is {before.state.key} and cannot become "
            f"{wanted.state.key}."
        )
    after = replace(
        wanted,
        earlier_splits=before.earlier_splits,
        create_time=before.create_time,
        step_start_time=before.step_start_time,
        ramp_step_index=before.ramp_step_index,
    )
    if after.mode is ExperimentMode.RAMP:
        steps = after.ramp_steps or DEFAULT_RAMP
        index = min(before.ramp_step_index, len(steps) - 1)
        after = replace(
            after, ramp_steps=steps, ramp_step_index=index, coverage=steps[index].coverage
        )
    if before.state is not ExperimentState.DRAFT and _assigned(before) != _assigned(after):
        raise StateForbids(
            f"Experiment {before.experiment_id} has started: only its weights, coverage, state, "
            "steps and guard may change; end it and make another one."
        )
    _check(template, after)
    if before.state is not ExperimentState.DRAFT:
        after = _with_split_of(before, after)
    if before.state is ExperimentState.DRAFT and after.state is ExperimentState.RUNNING:
        after = replace(after, step_start_time=now)
    return _stamped(after, now)


def at_step(experiment: Experiment, index: int, *, now: datetime) -> Experiment:
    """Return a ramp at another of its steps."""
    moved = replace(
        experiment,
        ramp_step_index=index,
        coverage=experiment.ramp_steps[index].coverage,
        step_start_time=now,
    )
    return _stamped(_with_split_of(experiment, moved), now)


def in_state(experiment: Experiment, state: ExperimentState, *, now: datetime) -> Experiment:
    """Return the experiment in another state, without asking whether it may."""
    return _stamped(replace(experiment, state=state), now)


def _check(template: Template, experiment: Experiment) -> None:
    found = list(violations(experiment, latest_version=template.latest_version))
    if found:
        raise InvalidArgument.of(*found[:20])
    others = [
        each
        for each in template.experiments
        if each.experiment_id != experiment.experiment_id and not each.is_over
    ]
    if len(others) >= MAX_OPEN_EXPERIMENTS and not experiment.is_over:
        raise StateForbids(
            f"Template {template.name} has {len(others)} open experiments: end one first."
        )
    if not experiment.splits_traffic or experiment.mode is ExperimentMode.SHADOW:
        return
    for other in others:
        decides = other.splits_traffic and other.mode is not ExperimentMode.SHADOW
        if decides and not experiment.excludes(other):
            raise StateForbids(
                f"Experiment {other.experiment_id} decides for the same people: end it first, "
                "or give both ranges of one namespace that do not overlap."
            )


def _assigned(experiment: Experiment) -> tuple[object, ...]:
    return (
        experiment.template,
        experiment.mode,
        experiment.assignment_unit,
        experiment.hash_seed,
        experiment.namespace,
        experiment.is_sticky,
        tuple((arm.name, arm.version) for arm in experiment.arms),
    )


def _with_split_of(before: Experiment, after: Experiment) -> Experiment:
    """Return *after*, which knows the split of *before* if it has another one."""
    if before.split == after.split:
        return after
    if len(before.earlier_splits) >= MAX_SPLITS:
        raise StateForbids(
            f"Experiment {before.experiment_id} had {MAX_SPLITS} splits: end it and make another."
        )
    return replace(after, earlier_splits=(*before.earlier_splits, before.split))


def _stamped(experiment: Experiment, now: datetime) -> Experiment:
    return replace(experiment, etag=new_etag(replace(experiment, etag=""), now.isoformat()))
