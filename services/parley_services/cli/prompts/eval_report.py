"""How `parley evals report` looks: a table, and a picture with the extra `plots`."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from parley_services.kit.errors import StateForbids
from parley_services.prompt_registry.outcomes.eval_report import MEASURES, Estimate, Line

_PANEL_INCHES = (4.6, 2.6)
_COLUMNS = 2
_DOTS_PER_INCH = 120


def report_table(lines: Sequence[Line]) -> Table:
    """Return *lines* side by side, a row a measure, each figure with its interval."""
    table = Table("measure", *(f"version {each.key!s}" for each in lines))
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("turns", *(str(each.turn_count) for each in lines))
    for name in MEASURES:
        if any(name in each.estimates for each in lines):
            first = lines[0].estimates.get(name)
            table.add_row(name, *(_cell(name, each.estimates.get(name), first) for each in lines))
    return table


def draw(
    lines: Sequence[Line],
    path: Path,
    *,
    title: str,
    load: Callable[[str], Any] = importlib.import_module,
) -> None:
    """
    Draw *lines* into a PNG at *path*: a panel a measure, a point with its interval a line.

    Raises StateForbids without the extra `plots`. *load* imports a module by its name.
    """
    try:
        figures = load("matplotlib.figure")
        load("matplotlib.backends.backend_agg")
    except ImportError:
        raise StateForbids(
            "A picture needs the extra `plots`: pip install 'parley-suite[plots]'."
        ) from None
    names = [name for name in MEASURES if any(name in each.estimates for each in lines)]
    rows = -(-len(names) // _COLUMNS)
    figure = figures.Figure(
        figsize=(_PANEL_INCHES[0] * _COLUMNS, _PANEL_INCHES[1] * rows), layout="constrained"
    )
    figure.suptitle(title)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    for index, name in enumerate(names):
        _panel(panels[index // _COLUMNS][index % _COLUMNS], name, lines)
    for index in range(len(names), rows * _COLUMNS):
        panels[index // _COLUMNS][index % _COLUMNS].set_axis_off()
    figure.savefig(str(path), format="png", dpi=_DOTS_PER_INCH)


def _panel(panel: Any, name: str, lines: Sequence[Line]) -> None:
    for place, line in enumerate(lines):
        found = line.estimates.get(name)
        if found is not None:
            below, above = found.value - found.low, found.high - found.value
            panel.errorbar(
                [found.value], [place], xerr=[[max(0.0, below)], [max(0.0, above)]], fmt="o",
                capsize=3, color=f"C{place % 10}",
            )  # fmt: skip
    panel.set_yticks(range(len(lines)), [str(each.key) for each in lines])
    # The first line is on top, as in the table.
    panel.set_ylim(len(lines) - 0.5, -0.5)
    panel.set_title(MEASURES[name], fontsize="medium")
    panel.locator_params(axis="x", nbins=5)
    panel.grid(axis="x", alpha=0.3)


def _cell(name: str, found: Estimate | None, first: Estimate | None) -> str:
    if found is None:
        return "-"
    mark = " *" if first is not None and found.differs_from(first) else ""
    value, low, high = (_figure(name, each) for each in (found.value, found.low, found.high))
    return f"{value} ({low} to {high}){mark}"


def _figure(name: str, value: float) -> str:
    if name.endswith("_rate"):
        return f"{value:.2%}"
    if name.endswith("_usd"):
        return f"${value:.6f}"
    if name.endswith("_seconds"):
        return f"{value:.2f} s"
    return f"{value:.2f}" if name == "mean_stars" else f"{value:.0f}"
