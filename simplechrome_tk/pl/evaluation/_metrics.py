"""Plots of metrics of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.layout_engine import ConstrainedLayoutEngine

from simplechrome_tk.evaluation._metrics import LOWER_IS_BETTER
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import colors, literal, rows_of_split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes

_COLUMNS = ("split", "metric", "value", "low", "high")


def metrics(tables: Mapping[str, pd.DataFrame] | pd.DataFrame, *, split: str = "test") -> np.ndarray:
    """Draw each model's metrics on one split as points with their 95 % intervals.

    The same genes are hard for all models, so that intervals can overlap where one model is reliably better than
    another: :func:`simplechrome_tk.evaluation.compare` tells whether it is.

    Parameters
    ----------
    tables
        What :func:`simplechrome_tk.evaluation.evaluate` returns for a model, or for several by name,
        drawn from top to bottom.
    split
        Split to draw.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_metrics,)``. A model that lacks a metric has an empty line there.

    Raises
    ------
    ValueError
        When a table lacks a column, has no row of the split, or several for a metric, as with groups of genes.
    """
    named = tables if isinstance(tables, Mapping) else {"": tables}
    if not named:
        msg = "tables is empty; expected what sct.evaluation.evaluate returns, or several of these by name."
        raise ValueError(msg)
    chosen = {name: _rows(table, name, split) for name, table in named.items()}
    names = list(dict.fromkeys(metric for table in chosen.values() for metric in table.index))
    figure, axes = subplots(
        1,
        len(names),
        figsize=(2.1 * len(names) + 1.2, 0.36 * len(chosen) + 1.2),
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(wspace=0.04),
    )
    color = colors(list(chosen))
    for ax, metric in zip(axes[0], names, strict=True):
        for place, (name, table) in enumerate(chosen.items()):
            if metric in table.index:
                _draw_value(ax, place, table.loc[metric], color[name])
        style_metric_axes(ax, f"{metric} (lower is better)" if metric in LOWER_IS_BETTER else metric, n_ticks=3)
    axes[0, 0].set_yticks(range(len(chosen)), list(map(literal, chosen)))
    axes[0, 0].set_ylim(len(chosen) - 0.4, -0.7)
    sns.despine(figure, left=True)
    figure.supxlabel(literal(f"value on the {split} split, with 95 % interval"), fontsize="medium")
    return axes[0]


def style_metric_axes(ax: Axes, title: str, *, n_ticks: int) -> None:
    """Set title, grid and ticks of a panel that shows a metric of models, one below the other."""
    ax.set_title(literal(title), fontsize="medium")
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    ax.locator_params(axis="x", nbins=n_ticks)
    ax.tick_params(axis="y", length=0)


def _rows(table: pd.DataFrame, name: str, split: str) -> pd.DataFrame:
    """Return the rows of one split, indexed by metric."""
    what = f"table {name!r}" if name else "table"
    rows = rows_of_split(table, split, columns=_COLUMNS, what=what, source="sct.evaluation.evaluate")
    if rows["metric"].duplicated().any():
        group = next((repr(column) for column in rows if column not in (*_COLUMNS, "n")), "'split'")
        msg = (
            f"{what} has several rows for a metric; expected one. Draw each group of genes under its name: "
            f"sct.pl.metrics({{str(name): part for name, part in table.groupby({group}, observed=True)}})."
        )
        raise ValueError(msg)
    return rows.set_index("metric")


def _draw_value(ax: Axes, place: int, row: pd.Series, color: str) -> None:
    """Draw a value with its interval, and write it above."""
    ax.plot([row["low"], row["high"]], [place, place], color=color, linewidth=2)
    ax.plot([row["value"]], [place], color=color, marker="o", markersize=6)
    ax.annotate(
        f"{row['value']:.3f}",
        (row["value"], place),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize="small",
    )
