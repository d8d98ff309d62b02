"""Turns experiments into messages of `parley.prompt_registry.v1`, and back."""

from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from parley_services.kit.chat import from_proto, to_proto
from parley_services.prompt_registry.enum_messages import enum_from, enum_to, moment
from parley_services.prompt_registry.experiments.experiment import (
    Arm,
    AssignmentUnit,
    Experiment,
    ExperimentMode,
    ExperimentState,
    Guard,
    RampStep,
)


def experiment_from(message: pb.Experiment) -> Experiment:
    """Return an experiment. Bounds of 0 are the defaults; times of its life are not read."""
    guard = Guard()
    given = message.guard
    return Experiment(
        experiment_id=message.experiment_id,
        template=message.template,
        arms=tuple(
            Arm(name=each.name, version=each.version, weight=each.weight) for each in message.arms
        ),
        coverage=message.coverage,
        assignment_unit=enum_from(
            AssignmentUnit,
            pb.AssignmentUnit,
            "ASSIGNMENT_UNIT",
            message.assignment_unit,
            AssignmentUnit.USER,
        ),
        seed=message.seed,
        state=enum_from(
            ExperimentState,
            pb.ExperimentState,
            "EXPERIMENT_STATE",
            message.state,
            ExperimentState.DRAFT,
        ),
        mode=enum_from(
            ExperimentMode,
            pb.ExperimentMode,
            "EXPERIMENT_MODE",
            message.mode,
            ExperimentMode.SPLIT,
        ),
        ramp_steps=tuple(
            RampStep(
                coverage=each.coverage,
                min_duration_seconds=from_proto.seconds(each.min_duration),
                min_request_count=each.min_request_count,
            )
            for each in message.ramp_steps
        ),
        ramp_step_index=message.ramp_step_index,
        namespace=message.namespace,
        namespace_start=message.namespace_start,
        namespace_end=message.namespace_end,
        is_sticky=message.sticky,
        guard=Guard(
            max_error_ratio=given.max_error_ratio or guard.max_error_ratio,
            alpha=given.alpha or guard.alpha,
            max_latency_seconds=(
                from_proto.seconds(given.max_latency) if given.HasField("max_latency") else None
            ),
            max_cost_ratio=given.max_cost_ratio,
            min_request_count=given.min_request_count or guard.min_request_count,
        ),
        etag=message.etag,
        create_time=moment(message.create_time),
    )


def experiment_to(experiment: Experiment) -> pb.Experiment:
    """Return an experiment as a message."""
    guard = experiment.guard
    message = pb.Experiment(
        experiment_id=experiment.experiment_id,
        template=experiment.template,
        arms=[
            pb.Arm(name=each.name, version=each.version, weight=each.weight)
            for each in experiment.arms
        ],
        coverage=experiment.coverage,
        assignment_unit=enum_to(pb.AssignmentUnit, "ASSIGNMENT_UNIT", experiment.assignment_unit),
        seed=experiment.seed,
        state=enum_to(pb.ExperimentState, "EXPERIMENT_STATE", experiment.state),
        mode=enum_to(pb.ExperimentMode, "EXPERIMENT_MODE", experiment.mode),
        ramp_steps=[
            pb.Experiment.RampStep(
                coverage=each.coverage,
                min_duration=to_proto.duration(each.min_duration_seconds),
                min_request_count=each.min_request_count,
            )
            for each in experiment.ramp_steps
        ],
        ramp_step_index=experiment.ramp_step_index,
        namespace=experiment.namespace,
        namespace_start=experiment.namespace_start,
        namespace_end=experiment.namespace_end,
        sticky=experiment.is_sticky,
        etag=experiment.etag,
        create_time=to_proto.timestamp(experiment.create_time),
        guard=pb.Experiment.Guard(
            max_error_ratio=guard.max_error_ratio,
            alpha=guard.alpha,
            max_cost_ratio=guard.max_cost_ratio,
            min_request_count=guard.min_request_count,
        ),
    )
    if guard.max_latency_seconds is not None:
        message.guard.max_latency.CopyFrom(to_proto.duration(guard.max_latency_seconds))
    return message
