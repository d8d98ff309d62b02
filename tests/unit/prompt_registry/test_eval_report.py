import random
from types import SimpleNamespace

import pytest
from parley_services.cli.prompts.eval_report import draw, report_table
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import StateForbids
from parley_services.prompt_registry.outcomes.eval_report import (
    MEASURES,
    Estimate,
    EvalReport,
    LineKey,
    mean,
    quantile,
    wilson,
)
from parley_services.prompt_registry.outcomes.outcome import Evaluation
from parley_services.prompt_registry.outcomes.sketch import LatencySketch

from tests.support.prompts import outcome


def evaluation(number, *, stars=0, **fields):
    return Evaluation(outcome=outcome(f"r{number}", **fields), stars=stars)


def reported(*evaluations):
    report = EvalReport()
    for each in evaluations:
        report.add(each)
    return report.lines()


def test_a_rare_event_has_an_interval_too():
    none, all_of_them = wilson(0, 100), wilson(100, 100)
    # The tables of the score interval: 0 of 100 is 0 to 3.70 %.
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(0.0370, abs=1e-4)
    assert all_of_them.low == pytest.approx(0.9630, abs=1e-4)
    assert wilson(10, 100).low == pytest.approx(0.0552, abs=1e-4)
    assert wilson(10, 100).high == pytest.approx(0.1744, abs=1e-4)


def test_intervals_hold_the_true_figure_as_often_as_they_say():
    draw = random.Random(7)
    shares = means = medians = 0
    rounds = 400
    for _ in range(rounds):
        values = [draw.lognormvariate(0, 0.5) for _ in range(200)]
        count = sum(draw.random() < 0.05 for _ in range(200))
        shares += _holds(wilson(count, 200), 0.05)
        means += _holds(mean(sum(values), sum(each * each for each in values), 200), 1.1331)
        sketch = sum((LatencySketch.of(each) for each in values), LatencySketch())
        medians += _holds(quantile(sketch, 0.5), 1.0)
    assert all(0.91 < held / rounds <= 1 for held in (shares, means, medians))


def _holds(estimate, truth):
    return estimate.low <= truth <= estimate.high


def test_versions_and_arms_are_lines_of_their_own():
    lines = reported(
        evaluation(1),
        evaluation(2, version=2, experiment_id="x", arm="b", error_reason="E", stars=1),
        evaluation(3, version=2, experiment_id="x", arm="b", stars=5),
        evaluation(4, version=2, experiment_id="x", arm="b", is_shadow=True),
    )
    assert [str(each.key) for each in lines] == ["1", "2 x/b", "2 x/b (beside)"]
    assert [each.turn_count for each in lines] == [1, 2, 1]
    found = lines[1].estimates
    assert found["error_rate"].value == 0.5
    assert found["mean_stars"].value == 3
    assert found["low_rating_rate"].value == 0.5
    assert "mean_stars" not in lines[0].estimates
    assert all(name in MEASURES for line in lines for name in line.estimates)


def test_costs_and_tokens_are_means_a_turn():
    (line,) = reported(
        *(
            evaluation(
                number,
                cost_nano_usd=1_000_000 * cost,
                usage=Usage(output_token_count=10 * cost),
            )
            for number, cost in enumerate((1, 2, 3))
        )
    )
    cost, tokens = line.estimates["mean_cost_usd"], line.estimates["mean_output_tokens"]
    assert cost.value == pytest.approx(0.002)
    assert cost.high - cost.low == pytest.approx(2 * 1.959964 * 0.001 / 3**0.5)
    assert tokens.value == 20
    assert tokens.high == pytest.approx(20 + 1.959964 * 10 / 3**0.5)


def test_the_table_marks_what_differs_for_sure():
    lines = reported(
        *(evaluation(n, error_reason="E" if n < 10 else "") for n in range(500)),
        *(evaluation(n, version=2, error_reason="E" if n < 90 else "") for n in range(500)),
    )
    table = report_table(lines)
    cells = {
        name: (first, second)
        for name, first, second in zip(*(column.cells for column in table.columns), strict=True)
    }
    assert cells["turns"] == ("500", "500")
    assert cells["error_rate"][1].endswith("*")
    assert not cells["error_rate"][0].endswith("*")
    assert not cells["latency_p50_seconds"][1].endswith("*")


def test_only_intervals_that_do_not_meet_differ():
    one = Estimate(value=1, low=0, high=2)
    assert not one.differs_from(Estimate(value=2, low=2, high=3))
    assert one.differs_from(Estimate(value=4, low=3, high=5))


class FakePanel:
    """Notes what is drawn."""

    def __init__(self):
        self.points = []
        self.is_off = False

    def errorbar(self, values, places, *, xerr, **style):
        self.points.append((values[0], places[0], xerr[0][0], xerr[1][0]))

    def set_axis_off(self):
        self.is_off = True

    def set_yticks(self, places, names):
        self.names = names

    def set_ylim(self, low, high):
        self.limits = (low, high)

    def set_title(self, title, **style):
        self.title = title

    def locator_params(self, **options):
        pass

    def grid(self, **style):
        pass


class FakeFigure:
    """A figure of fake panels that writes a file of its own."""

    def __init__(self, **options):
        self.made.append(self)

    made: "list[FakeFigure]"

    def suptitle(self, title):
        self.title = title

    def subplots(self, rows, columns, *, squeeze):
        self.panels = [[FakePanel() for _ in range(columns)] for _ in range(rows)]
        return self.panels

    def savefig(self, path, **options):
        self.saved = path


def test_each_measure_is_a_panel_with_a_point_for_each_line(tmp_path):
    FakeFigure.made = []
    modules = {
        "matplotlib.figure": SimpleNamespace(Figure=FakeFigure),
        "matplotlib.backends.backend_agg": SimpleNamespace(),
    }
    lines = reported(evaluation(1), evaluation(2, version=2, error_reason="E"))
    draw(lines, tmp_path / "report.png", title="greeting", load=modules.__getitem__)
    (figure,) = FakeFigure.made
    panels = [panel for row in figure.panels for panel in row]
    drawn = [panel for panel in panels if not panel.is_off]
    assert figure.saved == str(tmp_path / "report.png")
    assert {panel.title for panel in drawn} <= set(MEASURES.values())
    assert drawn[0].names == ["1", "2"]
    assert [point[:2] for point in drawn[0].points] == [(0.0, 0), (1.0, 1)]


def test_a_picture_without_its_extra_is_refused_with_its_name(tmp_path):
    def load(name):
        raise ImportError(name)

    with pytest.raises(StateForbids, match="plots"):
        draw(reported(evaluation(1)), tmp_path / "report.png", title="greeting", load=load)
    assert not (tmp_path / "report.png").exists()


def test_lines_are_ordered_by_version():
    assert LineKey(version=2) > LineKey(version=1, experiment_id="x", arm="b")
