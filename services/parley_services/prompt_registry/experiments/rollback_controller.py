"""
Watches outcomes and acts on them: rolls back, goes on with ramps. Imports no grpc.

Every replica does so by itself from the counts of all. Whoever is first changes the
template; the others then find nothing left to do. The replicas hear of it as of any change.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import structlog

from parley_services.kit.clock import Clock
from parley_services.kit.errors import ServiceError
from parley_services.prompt_registry.alerts import Alerts
from parley_services.prompt_registry.experiments import change as experiment_change
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
from parley_services.prompt_registry.outcomes.reporting import Reports
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.stores.store import Happening
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.template import (
    PRODUCTION,
    Label,
    LabelMove,
    Template,
)

log = structlog.get_logger()

AUTHOR: Final = "parley"
"""Who is named in the history for what the registry does by itself."""

PAUSE_SECONDS: Final = 0.25
"""The least time between two looks, so that a busy registry does not read counts for every
outcome. With a poll of half a second, a rollback is everywhere within one second of its
last outcome."""

RAMP_LOOK_SECONDS: Final = 1.0
"""The longest time between two looks at ramps, which also go on by time."""


class Guardian:
    """Judges templates whose counts changed. `run` does so until it is cancelled."""

    def __init__(
        self,
        *,
        registry: Registry,
        catalogue: Catalogue,
        reports: Reports,
        alerts: Alerts,
        clock: Clock,
        rolls_back: bool = True,
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._reports = reports
        self._alerts = alerts
        self._clock = clock
        self._rolls_back = rolls_back

    async def run(self) -> None:
        """Look at the counts whenever they change, and at ramps at least every second."""
        while True:
            try:
                async with asyncio.timeout(RAMP_LOOK_SECONDS):
                    await self._reports.news.wait()
            except TimeoutError:
                pass
            self._reports.news.clear()
            names = self._reports.templates_with_news | self._ramping()
            self._reports.templates_with_news = set()
            for name in names:
                try:
                    await self.look_at(name)
                except ServiceError as error:
                    log.warning("guardian_failed", template=name, reason=error.reason)
                except Exception:
                    log.exception("guardian_failed", template=name)
            await asyncio.sleep(PAUSE_SECONDS)

    async def look_at(self, name: str) -> None:
        """Judge the experiments of a template and its label, and move its ramps on."""
        template = self._catalogue.template(name)
        label = template.find_label(PRODUCTION)
        running = [each for each in template.experiments if each.splits_traffic]
        if not running and (label is None or not label.previous_version):
            return
        tallies = await self._reports.tallies(name)
        for experiment in running:
            judged = judge_experiment(experiment, tallies) if self._rolls_back else None
            if judged is not None:
                arm, breach = judged
                await self._stop(experiment, arm.version, breach)
            elif experiment.mode is ExperimentMode.RAMP:
                await self._step(experiment, tallies)
        if label is not None and label.previous_version and self._rolls_back:
            breach_of_label = _judge(label, tallies)
            if breach_of_label is not None:
                await self._return(template, label, breach_of_label)

    def _ramping(self) -> set[str]:
        return {
            each.template
            for each in self._catalogue.experiments()
            if each.mode is ExperimentMode.RAMP and each.state is ExperimentState.RUNNING
        }

    async def _stop(self, experiment: Experiment, from_version: int, breach: Breach) -> None:
        now = self._clock.now()
        done: list[Rollback] = []

        def change(before: Template) -> tuple[Template, Happening]:
            done.clear()
            held = before.experiment(experiment.experiment_id)
            if not held.splits_traffic:
                return before, Happening()
            stopped = experiment_change.in_state(held, ExperimentState.ABORTED, now=now)
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
            return before.with_experiment(stopped), Happening(rollbacks=tuple(done))

        await self._registry.change(experiment.template, change)
        for rollback in done:
            await self._alerts.send(rollback)

    async def _return(self, template: Template, label: Label, breach: Breach) -> None:
        now = self._clock.now()
        done: list[Rollback] = []

        def change(before: Template) -> tuple[Template, Happening]:
            done.clear()
            held = before.label(PRODUCTION)
            if held.generation != label.generation:
                return before, Happening()
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
            return after, Happening(moves=(move,), rollbacks=tuple(done))

        await self._registry.change(template.name, change)
        for rollback in done:
            await self._alerts.send(rollback)

    async def _step(self, experiment: Experiment, tallies: Mapping[TallyKey, Tally]) -> None:
        """Move a ramp on if its step has had its time and its turns."""
        now = self._clock.now()

        def change(before: Template) -> tuple[Template, Happening]:
            held = before.experiment(experiment.experiment_id)
            if held != experiment or held.state is not ExperimentState.RUNNING:
                return before, Happening()
            step = held.ramp_steps[held.ramp_step_index]
            waited = (now - held.step_start_time).total_seconds()
            turns = _turns_of_candidate(held, tallies)
            if waited < step.min_duration_seconds or turns < step.min_request_count:
                return before, Happening()
            following = held.ramp_step_index + 1
            if following < len(held.ramp_steps):
                moved = experiment_change.at_step(held, following, now=now)
                return before.with_experiment(moved), Happening()
            return _finished(before, held, now=now)

        await self._registry.change(experiment.template, change)


def _finished(before: Template, ramp: Experiment, *, now: datetime) -> tuple[Template, Happening]:
    """Return the template after a ramp that went through: the label moves to the candidate."""
    label = before.label(PRODUCTION)
    ended = experiment_change.in_state(ramp, ExperimentState.ENDED, now=now)
    after = before.with_experiment(ended)
    version = ramp.candidate.version
    if label.version == version:
        return after, Happening()
    after = after.with_label(PRODUCTION, version, now=now, is_protected=label.is_protected)
    note = f"The ramp {ramp.experiment_id} went through."
    return after, Happening(moves=(_move(before, label, version, note, now=now),))


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
