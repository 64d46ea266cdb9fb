"""Plots of differences between models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import seaborn as sns
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from simplechrome_tk.evaluation._compare import MEAN
from simplechrome_tk.evaluation._metrics import LOWER_IS_BETTER
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, colors, literal, rows_of_split

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes

_COLUMNS = ("model", "reference", "split", "cell_type", "metric", "difference", "low", "high")
# Colour of the mean over cell types.
_BLACK = "0.1"
# Sizes in inches: panel and label of each row, height of a point and of the rest.
_PANEL_WIDTH, _LABEL_WIDTH, _NARROWEST = 2.3, 1.6, 5.0
_POINT_HEIGHT, _MARGIN = 0.22, 1.5
# Share of the height of a row over which the points of its cell types are spread.
_SPREAD = 0.7


def compare(table: pd.DataFrame, *, split: str = "test", metrics: Sequence[str] | None = None) -> np.ndarray:
    """Draw the difference of each two models as a point with its 95 % interval, beside a line at no difference.

    Parameters
    ----------
    table
        What :func:`simplechrome_tk.evaluation.compare` returns.
    split
        Split to draw.
    metrics
        Metrics to draw, from left to right; ``None`` draws all.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_metrics,)``, in the units of each metric. One line of points per two models; with several cell
        types one point for each, in its colour, and their mean as a black diamond. Points are filled where the
        interval excludes 0.

    Raises
    ------
    ValueError
        When the table lacks a column, or has no row of the split or of a metric.
    """
    rows = rows_of_split(table, split, columns=_COLUMNS, what="table", source="sct.evaluation.compare")
    names = _choose_metrics(metrics, list(dict.fromkeys(rows["metric"])))
    contrasts = list(dict.fromkeys(zip(rows["model"], rows["reference"], strict=True)))
    cells = list(dict.fromkeys(rows["cell_type"]))
    color = colors([cell for cell in cells if cell != MEAN]) | {MEAN: _BLACK}
    figure, axes = subplots(
        1,
        len(names),
        figsize=(
            max(_PANEL_WIDTH * len(names) + _LABEL_WIDTH, _NARROWEST),
            _POINT_HEIGHT * len(contrasts) * (len(cells) + 1) + _MARGIN,
        ),
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(wspace=0.05),
    )
    for ax, metric in zip(axes[0], names, strict=True):
        _prepare_panel(ax, metric)
        for row in rows[rows["metric"] == metric].to_dict("records"):
            place = contrasts.index((row["model"], row["reference"]))
            shift = _SPREAD * ((cells.index(row["cell_type"]) + 0.5) / len(cells) - 0.5)
            _draw_difference(ax, place + shift, row, color[row["cell_type"]])
    references = list(dict.fromkeys(reference for _, reference in contrasts))
    several = len(references) > 1
    labels = [f"{model}\n− {reference}" if several else model for model, reference in contrasts]
    axes[0, 0].set_yticks(range(len(contrasts)), list(map(literal, labels)))
    axes[0, 0].set_ylim(len(contrasts) - 0.45, -0.55)
    sns.despine(figure, left=True)
    what = "difference of two models" if several else f"model − {references[0]}"
    figure.suptitle(literal(f"{what}, {split} split, with 95 % interval"), fontsize="medium")
    if len(cells) > 1:
        handles = [
            Line2D([], [], color=color[cell], marker=_marker(cell), markersize=5, label=literal(cell)) for cell in cells
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(cells), 6), frameon=False)
    return axes[0]


def _choose_metrics(metrics: Sequence[str] | None, found: list[str]) -> list[str]:
    """Return the metrics to draw; raise ``ValueError`` where the table does not hold them."""
    if metrics is None:
        return found
    chosen = [metrics] if isinstance(metrics, str) else list(metrics)
    if not chosen or set(chosen) - set(found):
        msg = f"metrics is {', '.join(chosen) or 'empty'}; choose from {', '.join(found)}."
        raise ValueError(msg)
    return chosen


def _prepare_panel(ax: Axes, metric: str) -> None:
    """Draw the line at no difference, and title and labels of the panel of a metric."""
    ax.axvline(0, color=GREY, linewidth=1, linestyle="--")
    _style_axes(ax, metric, n_ticks=4)
    side = "← model better" if metric in LOWER_IS_BETTER else "model better →"
    ax.set_xlabel(f"difference in {metric}\n{side}", fontsize="small")
    ax.tick_params(axis="x", labelsize="small")


def _style_axes(ax: Axes, title: str, *, n_ticks: int) -> None:
    """Set title, grid and ticks of a panel that shows a metric of models, one below the other."""
    ax.set_title(literal(title), fontsize="medium")
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    ax.locator_params(axis="x", nbins=n_ticks)
    ax.tick_params(axis="y", length=0)


def _draw_difference(ax: Axes, place: float, row: Mapping[Hashable, Any], color: str) -> None:
    """Draw a difference and its interval, filled where the interval excludes 0."""
    beyond = row["low"] > 0 or row["high"] < 0
    ax.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.5)
    ax.plot(
        [row["difference"]],
        [place],
        color=color,
        marker=_marker(row["cell_type"]),
        markersize=5,
        markerfacecolor=color if beyond else "white",
    )


def _marker(cell: str) -> str:
    """Return the marker of a cell type, a diamond for the mean over cell types."""
    return "D" if cell == MEAN else "o"
