"""
Watches outcomes and acts on them: rolls back, and advances ramps. Imports no grpc.

Every replica decides on its own from the counts of all replicas. The first one to decide
changes the template, and the others then find nothing left to do: they learn of the change
like of any other.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import structlog

from parley_services.kit.clock import Clock
from parley_services.kit.errors import ServiceError
from parley_services.prompt_registry.alerts import Alerts
from parley_services.prompt_registry.experiments import lifecycle
from parley_services.prompt_registry.experiments.experiment import (
    Experiment,
    ExperimentMode,
    ExperimentState,
    Guard,
)
from parley_services.prompt_registry.experiments.regression_test import (
    judge_experiment,
    judge_label,
)
from parley_services.prompt_registry.experiments.rollback_records import Breach, Rollback
from parley_services.prompt_registry.outcomes.outcome import Tally, TallyKey, sum_of
from parley_services.prompt_registry.outcomes.recorder import OutcomeRecorder
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.stores.store import TemplateChange
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.template import (
    PRODUCTION,
    Label,
    LabelMove,
    Template,
)

log = structlog.get_logger()

AUTHOR: Final = "parley"
"""The author of automatic changes in the history."""

PAUSE_SECONDS: Final = 0.25
"""The shortest time between two checks, so that a busy registry does not read the counts for
every outcome. With a poll of half a second, a rollback reaches every replica within one
second of the outcome that caused it."""

RAMP_CHECK_SECONDS: Final = 1.0
"""The longest time between two checks of ramps, which also advance with time."""


class RollbackController:
    """Checks templates whose counts changed, until `run` is cancelled."""

    def __init__(
        self,
        *,
        registry: Registry,
        catalogue: Catalogue,
        recorder: OutcomeRecorder,
        alerts: Alerts,
        clock: Clock,
        rolls_back: bool = True,
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._recorder = recorder
        self._alerts = alerts
        self._clock = clock
        self._rolls_back = rolls_back

    async def run(self) -> None:
        """Check counts whenever they change, and ramps at least once a second."""
        while True:
            try:
                async with asyncio.timeout(RAMP_CHECK_SECONDS):
                    await self._recorder.changed.wait()
            except TimeoutError:
                pass
            self._recorder.changed.clear()
            names = self._recorder.changed_templates | self._ramping()
            self._recorder.changed_templates = set()
            for name in names:
                # One template that cannot be judged must not stop the others.
                try:
                    await self.check(name)
                except ServiceError as error:
                    log.warning("rollback_check_failed", template=name, reason=error.reason)
                except Exception:
                    log.exception("rollback_check_failed", template=name)
            await asyncio.sleep(PAUSE_SECONDS)

    async def check(self, name: str) -> None:
        """Judge the experiments and the label of a template, and advance its ramps."""
        template = self._catalogue.template(name)
        label = template.find_label(PRODUCTION)
        running = [each for each in template.experiments if each.splits_traffic]
        if not running and (label is None or not label.previous_version):
            return
        tallies = await self._recorder.tallies(name)
        for experiment in running:
            judged = judge_experiment(experiment, tallies) if self._rolls_back else None
            if judged is not None:
                arm, breach = judged
                await self._stop(experiment, arm.version, breach)
            elif experiment.mode is ExperimentMode.RAMP:
                await self._advance(experiment, tallies)
        if label is not None and label.previous_version and self._rolls_back:
            breach_of_label = _judge(label, tallies)
            if breach_of_label is not None:
                await self._move_back(template, label, breach_of_label)

    def _ramping(self) -> set[str]:
        return {
            each.template
            for each in self._catalogue.experiments()
            if each.mode is ExperimentMode.RAMP and each.state is ExperimentState.RUNNING
        }

    async def _stop(self, experiment: Experiment, from_version: int, breach: Breach) -> None:
        now = self._clock.now()
        done: list[Rollback] = []

        def change(before: Template) -> TemplateChange:
            done.clear()
            held = before.experiment(experiment.experiment_id)
            if not held.splits_traffic:
                return TemplateChange(after=before)
            stopped = lifecycle.in_state(held, ExperimentState.ABORTED, now=now)
            done.append(
                Rollback(
                    template=before.name,
                    experiment_id=held.experiment_id,
                    from_version=from_version,
                    to_version=before.label(PRODUCTION).version,
                    reason=breach.reason,
                    measure=breach.measure,
                    observed=breach.observed,
                    bound=breach.bound,
                    is_automatic=True,
                    create_time=now,
                )
            )
            return TemplateChange(after=before.with_experiment(stopped), rollbacks=tuple(done))

        await self._registry.change(experiment.template, change)
        for rollback in done:
            await self._alerts.send(rollback)

    async def _move_back(self, template: Template, label: Label, breach: Breach) -> None:
        now = self._clock.now()
        done: list[Rollback] = []

        def change(before: Template) -> TemplateChange:
            done.clear()
            held = before.label(PRODUCTION)
            if held.generation != label.generation:
                return TemplateChange(after=before)
            after = before.with_label(
                PRODUCTION,
                held.previous_version,
                now=now,
                is_protected=held.is_protected,
                may_return=False,
            )
            move = _move(before, held, held.previous_version, breach.reason, now=now)
            done.append(
                Rollback(
                    template=before.name,
                    from_version=held.version,
                    to_version=held.previous_version,
                    reason=breach.reason,
                    measure=breach.measure,
                    observed=breach.observed,
                    bound=breach.bound,
                    is_automatic=True,
                    create_time=now,
                )
            )
            return TemplateChange(after=after, moves=(move,), rollbacks=tuple(done))

        await self._registry.change(template.name, change)
        for rollback in done:
            await self._alerts.send(rollback)

    async def _advance(self, experiment: Experiment, tallies: Mapping[TallyKey, Tally]) -> None:
        """Advance a ramp whose step has had its time and its turns."""
        now = self._clock.now()

        def change(before: Template) -> TemplateChange:
            held = before.experiment(experiment.experiment_id)
            if held != experiment or held.state is not ExperimentState.RUNNING:
                return TemplateChange(after=before)
            step = held.ramp_steps[held.ramp_step_index]
            waited = (now - held.step_start_time).total_seconds()
            turns = _turns_of_candidate(held, tallies)
            if waited < step.min_duration_seconds or turns < step.min_request_count:
                return TemplateChange(after=before)
            following = held.ramp_step_index + 1
            if following < len(held.ramp_steps):
                moved = lifecycle.at_step(held, following, now=now)
                return TemplateChange(after=before.with_experiment(moved))
            return _finished(before, held, now=now)

        await self._registry.change(experiment.template, change)


def _finished(before: Template, ramp: Experiment, *, now: datetime) -> TemplateChange:
    """Return the template after a ramp that went through: the label moves to the candidate."""
    label = before.label(PRODUCTION)
    ended = lifecycle.in_state(ramp, ExperimentState.ENDED, now=now)
    after = before.with_experiment(ended)
    version = ramp.candidate.version
    if label.version == version:
        return TemplateChange(after=after)
    after = after.with_label(PRODUCTION, version, now=now, is_protected=label.is_protected)
    note = f"The ramp {ramp.experiment_id} went through."
    return TemplateChange(after=after, moves=(_move(before, label, version, note, now=now),))


def _judge(label: Label, tallies: Mapping[TallyKey, Tally]) -> Breach | None:
    """Return how the version of *label* is worse than the one that it left, or None."""
    of_label = [
        (key, tally) for key, tally in tallies.items() if not key.experiment_id and not key.arm
    ]
    before = [tally for key, tally in of_label if key.version == label.previous_version]
    after = [
        tally
        for key, tally in of_label
        if key.version == label.version and key.epoch == label.generation
    ]
    return judge_label(sum_of(before), sum_of(after), Guard())


def _turns_of_candidate(ramp: Experiment, tallies: Mapping[TallyKey, Tally]) -> int:
    key = TallyKey(
        template=ramp.template,
        version=ramp.candidate.version,
        experiment_id=ramp.experiment_id,
        arm=ramp.candidate.name,
        epoch=ramp.epoch,
    )
    return tallies.get(key, Tally()).request_count


def _move(
    before: Template, label: Label, to_version: int, note: str, *, now: datetime
) -> LabelMove:
    return LabelMove(
        template=before.name,
        label=label.name,
        from_version=label.version,
        to_version=to_version,
        author=AUTHOR,
        note=note,
        create_time=now,
    )
