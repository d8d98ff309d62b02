"""`parley experiments`: how the traffic of a template is split, and by what steps."""

from enum import StrEnum
from typing import Annotated

import typer
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from parley_services.cli.console import console
from parley_services.cli.prompts.prompt_tables import enum_name, experiment_table, print_outcomes
from parley_services.cli.prompts.registry import TIMEOUT_SECONDS, Stub, ask

app = typer.Typer(help="Experiments, ramps and shadow arms of prompts.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The experiment.")]


class Mode(StrEnum):
    """How a version is tried."""

    SPLIT = "split"
    RAMP = "ramp"
    SHADOW = "shadow"


@app.command("list")
def list_(
    template: Annotated[str, typer.Option(help="Only of this template.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="The most lines.")] = 50,
) -> None:
    """List experiments, newest first."""

    async def work(stub: Stub) -> None:
        page = await stub.ListExperiments(
            pb.ListExperimentsRequest(template=template, page_size=limit), timeout=TIMEOUT_SECONDS
        )
        console.print(experiment_table(page.experiments))

    ask(work)


@app.command()
def show(experiment: Id) -> None:
    """Show an experiment and how its arms do."""

    async def work(stub: Stub) -> None:
        response = await stub.GetExperiment(
            pb.GetExperimentRequest(experiment_id=experiment), timeout=TIMEOUT_SECONDS
        )
        console.print(experiment_table([response.experiment]))
        print_outcomes(response.summaries)

    ask(work)


@app.command()
def start(
    experiment: Id,
    template: Annotated[str, typer.Argument(help="The template.")],
    version: Annotated[int, typer.Argument(help="The version to try.")],
    mode: Annotated[
        Mode, typer.Option(help="Split users; ramp up and move the label; or run it unseen.")
    ] = Mode.SPLIT,
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Its share of users; a ramp has steps.")
    ] = 0.1,
    against: Annotated[
        int, typer.Option(help="The version to compare with; 0: that of `production`.")
    ] = 0,
    sticky: Annotated[
        bool, typer.Option("--sticky", help="Keep first assignments though shares change.")
    ] = False,
) -> None:
    """
    Try a version on real traffic.

    A split gives it to a share of the users. A ramp goes 10, 25, 50, 100 % by time and
    evidence, then moves the label. A shadow runs beside the answers of a share, unseen.
    """
    modes = {
        Mode.SPLIT: pb.EXPERIMENT_MODE_SPLIT,
        Mode.RAMP: pb.EXPERIMENT_MODE_RAMP,
        Mode.SHADOW: pb.EXPERIMENT_MODE_SHADOW,
    }

    async def work(stub: Stub) -> None:
        control = against
        if not control:
            request = pb.GetTemplateVersionRequest(template=template, label="production")
            held = await stub.GetTemplateVersion(request, timeout=TIMEOUT_SECONDS)
            control = held.version.version
        # A ramp takes its share from its steps, and a shadow's control is whoever asks.
        weight = share if mode is Mode.SPLIT else 1.0
        response = await stub.CreateExperiment(
            pb.CreateExperimentRequest(
                experiment=pb.Experiment(
                    experiment_id=experiment,
                    template=template,
                    arms=[
                        pb.Arm(name="control", version=control, weight=1.0 - weight),
                        pb.Arm(name="candidate", version=version, weight=weight),
                    ],
                    coverage=share if mode is Mode.SHADOW else 1.0,
                    mode=modes[mode],
                    state=pb.EXPERIMENT_STATE_RUNNING,
                    sticky=sticky,
                )
            ),
            timeout=TIMEOUT_SECONDS,
        )
        console.print(experiment_table([response.experiment]))

    ask(work)


@app.command()
def pause(experiment: Id) -> None:
    """Hold an experiment as it is: shares stay, a ramp does not go on."""
    _become(experiment, pb.EXPERIMENT_STATE_PAUSED)


@app.command()
def resume(experiment: Id) -> None:
    """Let an experiment that was paused, or a draft, run."""
    _become(experiment, pb.EXPERIMENT_STATE_RUNNING)


@app.command()
def abort(experiment: Id) -> None:
    """Stop an experiment for good; it counts as a rollback by hand."""
    _become(experiment, pb.EXPERIMENT_STATE_ABORTED)


@app.command()
def end(experiment: Id) -> None:
    """End an experiment for good; the label decides from now on."""
    _become(experiment, pb.EXPERIMENT_STATE_ENDED)


def _become(experiment: str, state: pb.ExperimentState.ValueType) -> None:
    async def work(stub: Stub) -> None:
        response = await stub.GetExperiment(
            pb.GetExperimentRequest(experiment_id=experiment), timeout=TIMEOUT_SECONDS
        )
        wanted = response.experiment
        wanted.state = state
        updated = await stub.UpdateExperiment(
            pb.UpdateExperimentRequest(experiment=wanted), timeout=TIMEOUT_SECONDS
        )
        now = enum_name(pb.ExperimentState, updated.experiment.state)
        console.print(f"{experiment} is {now}")

    ask(work)
