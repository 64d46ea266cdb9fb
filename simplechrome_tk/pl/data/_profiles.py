"""Plots of the average signal along the gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import GREY, along, colors, literal, measure

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

# Sizes in inches: margins of the figure, room between panels and above each of them, width of the narrowest panel, and
# size of a panel with its margins before the legend is placed.
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN, _ABOVE = 0.72, 0.2, 0.24, 0.5, 0.14, 0.36
_NARROWEST = 1.0
_PANEL_WIDTH, _PANEL_HEIGHT, _EXTRA_WIDTH, _EXTRA_HEIGHT = 3.2, 1.15, 1.6, 0.8
# Room beyond the drawn values, as a fraction of their range.
_ROOM = 0.05


def mark_profiles(adata: ad.AnnData, *, groupby: str = k.LABEL, layer: str | None = k.SIGNAL) -> np.ndarray:
    """Draw the mean of each mark along the gene, one line per group of genes.

    Bands are 95 % confidence intervals of the mean. A row is a mark, with one scale; a column is a region.

    Parameters
    ----------
    adata, groupby, layer
        As for :func:`simplechrome_tk.get.mark_profiles`, whose table is drawn.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_marks, n_regions)``.

    Raises
    ------
    ValueError
        When ``groupby`` or ``layer`` is not there, or no gene has a group.
    """
    profiles = get.mark_profiles(adata, groupby=groupby, layer=layer)
    regions, marks = list(profiles["region"].unique()), list(profiles["mark"].unique())
    sizes = profiles.drop_duplicates("group").set_index("group")["n"]
    names = {group: literal(f"{group} ({n:,} genes)") for group, n in sizes.items()}
    color = colors([str(name) for name in sizes.index])
    axis = {region: along(adata, region) for region in regions}
    figure, axes = _panels(len(marks), len(regions))
    for (region, mark, group), part in profiles.groupby(["region", "mark", "group"], sort=False, observed=True):
        ax = axes[marks.index(mark), regions.index(region)]
        x = axis[region].scale * part["position"].to_numpy()
        mean = part["mean"].to_numpy()
        ax.add_artist(Line2D(x, mean, color=color[str(group)], linewidth=1.5, label=names[group]))
        _band(ax, x, part, color[str(group)])
    for row, mark in enumerate(marks):
        for column, ax in enumerate(axes[row]):
            # Without a given y matplotlib searches for room above the ticks, even for an empty title.
            ax.set_title("" if column else literal(mark), loc="left", fontsize="medium", fontweight="bold", y=1.0)
        limits = _y_limits(profiles[profiles["mark"] == mark], from_zero=bool(profiles["mean"].min() >= 0))
        for ax in axes[row]:
            ax.set_ylim(limits)
    for column, region in enumerate(regions):
        where = axis[region].scale * profiles.loc[profiles["region"] == region, "position"]
        for ax in axes[:, column]:
            ax.set_xlim(where.min(), where.max())
            if axis[region].marker is not None:
                ax.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        axes[-1, column].set_xlabel(literal(axis[region].label))
    sns.despine(figure)
    figure.supylabel(literal(f"mean {measure(adata, layer)}"), fontsize="medium")
    handles = [line for line in axes[0, 0].lines if line.get_label() in names.values()]
    legend = figure.legend(handles=handles, title=literal(groupby), loc="upper right", borderaxespad=0.2, frameon=False)
    _place_panels(figure, axes, legend)
    return axes


def _panels(n_marks: int, n_regions: int) -> tuple[Figure, np.ndarray]:
    """Make a figure with Axes that share the x axis in a column and the y axis in a row."""
    figure = new_figure(figsize=(_PANEL_WIDTH * n_regions + _EXTRA_WIDTH, _PANEL_HEIGHT * n_marks + _EXTRA_HEIGHT))
    axes = np.empty((n_marks, n_regions), dtype=object)
    for row, column in np.ndindex(*axes.shape):
        ax: Axes = figure.add_subplot(
            n_marks,
            n_regions,
            row * n_regions + column + 1,
            sharex=axes[0, column] if row else None,
            sharey=axes[row, 0] if column else None,
        )
        ax.tick_params(labelleft=column == 0, labelbottom=row == n_marks - 1)
        axes[row, column] = ax
    return figure, axes


def _place_panels(figure: Figure, axes: np.ndarray, legend: Legend) -> None:
    """Place the panels left of the legend.

    A layout engine would measure every tick of every panel twice, which takes most of the time of the plot.
    """
    across, down = figure.get_size_inches()
    taken = legend.get_window_extent().width / figure.dpi
    n_marks, n_regions = axes.shape
    width = max((across - _LEFT - taken - _RIGHT + _BETWEEN) / n_regions - _BETWEEN, _NARROWEST)
    height = (down - _TOP - _BOTTOM + _ABOVE) / n_marks - _ABOVE
    for (row, column), ax in np.ndenumerate(axes):
        left, top = _LEFT + column * (width + _BETWEEN), _TOP + row * (height + _ABOVE)
        ax.set_position((left / across, 1 - (top + height) / down, width / across, height / down))


def _y_limits(profiles: pd.DataFrame, *, from_zero: bool) -> tuple[float, float]:
    """Return the ends of the axis of a mark, a little beyond its means and intervals."""
    drawn = profiles[["mean", "low", "high"]].to_numpy()
    lowest, highest = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    room = _ROOM * (highest - lowest) or 1.0
    return 0.0 if from_zero else lowest - room, highest + room


def _band(ax: Axes, x: np.ndarray, part: pd.DataFrame, color: str) -> None:
    """Fill between the ends of the intervals."""
    low, high = part["low"].to_numpy(), part["high"].to_numpy()
    outline = np.column_stack([np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])])
    ax.add_artist(PolyCollection([outline], facecolor=color, alpha=0.25, linewidth=0))
