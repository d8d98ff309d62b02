"""
Who gets which arm: a pure function of ids, the same in every process and language.

The hash and the ranges are those of GrowthBook's SDK specification,
https://docs.growthbook.io/lib/build-your-own: hash version 2 for arms, version 1 for
namespaces, FNV-1a of 32 bits over UTF-8. Imports neither grpc nor protobuf.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, assert_never

from parley_services.prompt_registry.experiments.experiment import (
    Arm,
    AssignmentUnit,
    Experiment,
    ExperimentMode,
)

_OFFSET_BASIS: Final = 0x811C9DC5
_PRIME: Final = 0x01000193
_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentKeys:
    """What an assignment may depend on."""

    tenant_id: str = ""
    user_id: str = ""
    conversation_id: str = ""


def fnv1a32(text: str) -> int:
    """Return the FNV-1a hash of *text*, 32 bits (draft-eastlake-fnv)."""
    value = _OFFSET_BASIS
    for byte in text.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * _PRIME) & _MASK
    return value


def bucket_of(seed: str, value: str) -> float:
    """Return where *value* falls in [0, 1), in steps of 1/10,000: hash version 2."""
    return fnv1a32(str(fnv1a32(seed + value))) % 10_000 / 10_000


def is_in_namespace(namespace: str, start: float, end: float, value: str) -> bool:
    """Whether *value* falls in [*start*, *end*) of *namespace*: hash version 1."""
    return start <= fnv1a32(f"{value}__{namespace}") % 1_000 / 1_000 < end


def bucket_ranges(weights: Sequence[float], coverage: float) -> list[tuple[float, float]]:
    """
    Return the range of each weight in [0, 1).

    Each range begins at the sum of the weights before it and is as long as its weight times
    *coverage*, so that a greater coverage takes in more and moves nobody.
    """
    starts = [0.0, *accumulate(weights)]
    return [
        (start, start + coverage * weight) for start, weight in zip(starts, weights, strict=False)
    ]


def choose_range(bucket: float, ranges: Sequence[tuple[float, float]]) -> int | None:
    """Return the index of the range that *bucket* falls in, or None."""
    for index, (start, end) in enumerate(ranges):
        if start <= bucket < end:
            return index
    return None


def unit_value(unit: AssignmentUnit, keys: AssignmentKeys) -> str:
    """
    Return what *unit* hashes of *keys*; empty if it is not known.

    A user who is not known is told apart by the conversation.
    """
    match unit:
        case AssignmentUnit.USER | AssignmentUnit.UNSPECIFIED:
            return keys.user_id or keys.conversation_id
        case AssignmentUnit.CONVERSATION:
            return keys.conversation_id
        case AssignmentUnit.TENANT:
            return keys.tenant_id
        case _:
            assert_never(unit)


def assign(experiment: Experiment, keys: AssignmentKeys) -> Arm | None:
    """
    Return the arm of *experiment* for *keys*, or None for one who does not take part.

    Nobody takes part whose unit is not known. Neither the state of the experiment nor what
    was assigned before counts here.
    """
    value = unit_value(experiment.assignment_unit, keys)
    if not value:
        return None
    if experiment.namespace and not is_in_namespace(
        experiment.namespace, experiment.namespace_start, experiment.namespace_end, value
    ):
        return None
    bucket = bucket_of(experiment.hash_seed, value)
    if experiment.mode is ExperimentMode.RAMP:
        # Its control is measured too, and it is whoever the candidate has not reached yet.
        return experiment.candidate if bucket < experiment.coverage else experiment.control
    ranges = bucket_ranges([arm.weight for arm in experiment.arms], experiment.coverage)
    index = choose_range(bucket, ranges)
    return None if index is None else experiment.arms[index]
