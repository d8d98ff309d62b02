"""Templates, experiments and outcomes for tests."""

from datetime import UTC, datetime

from parley_services.prompt_registry.experiments.experiment import Arm, Experiment, ExperimentState
from parley_services.prompt_registry.outcomes.outcome import Outcome
from parley_services.prompt_registry.templates.template import TemplateContent, Variable

START = datetime(2026, 1, 1, tzinfo=UTC)

TEXT = Variable(name="text", required=True)


def content(user_text="{{ text }}", *, variables=(TEXT,), **fields):
    """Return the content of a version."""
    return TemplateContent(user_text=user_text, variables=tuple(variables), **fields)


def experiment(experiment_id="greeting-v2", *, share=0.5, **fields):
    """Return a running experiment of two arms, `treatment` with *share* of the traffic."""
    defaults = {
        "template": "greeting",
        "arms": (
            Arm(name="control", version=1, weight=1 - share),
            Arm(name="treatment", version=2, weight=share),
        ),
        "state": ExperimentState.RUNNING,
    }
    return Experiment(experiment_id=experiment_id, **{**defaults, **fields})


def outcome(request_id="r1", **fields):
    """Return how a turn of template `greeting` ended."""
    defaults = {
        "tenant_id": "acme",
        "template": "greeting",
        "version": 1,
        "latency_seconds": 0.5,
        "end_time": START,
    }
    return Outcome(request_id=request_id, **{**defaults, **fields})
