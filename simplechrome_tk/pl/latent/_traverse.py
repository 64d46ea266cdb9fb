"""Plots of traversals of latent dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.tables import read_table
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, along, literal
from simplechrome_tk.tl.latent._traverse import COLUMNS

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

_UNIT = "decoded log(1 + signal)"
_COLOR_QUANTILE = 0.995
"""Quantile of the differences that gets the darkest colour, so that a few large ones do not make all others pale."""


def traverse(adata: ad.AnnData, dimension: int | None = None, *, key: str = k.TRAVERSE) -> np.ndarray:
    """Draw the marks that the decoder gives while latent dimensions go from low to high.

    With a ``dimension``, a line is a quantile of it over the genes, from 5 % (dark) to 95 % (yellow), and the other
    dimensions stay at their mean. A row is a mark, with one scale; a column is a region.

    Without, a heat map of all dimensions in the table shows how the marks at the 95 % quantile of each differ from the
    marks at its 5 % quantile: red is more signal, blue is less. Dimensions are sorted by the size of this difference;
    columns are the bins, by region and mark, from 5' to 3'.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.traverse`.
    dimension
        Number of one dimension; ``None`` draws all of them.
    key
        Name of the table in ``uns``.

    Returns
    -------
    numpy.ndarray
        Axes: shape ``(n_marks, n_regions)`` for one dimension, ``(1, 1)`` for all.

    Raises
    ------
    ValueError
        When there is no table, or no such dimension in it.
    """
    table = read_table(adata, key, COLUMNS, call="sct.tl.traverse(adata, model)")
    if dimension is None:
        return np.array([[_draw_differences(table)]])
    part = table[table["dimension"] == dimension]
    if part.empty:
        known = ", ".join(map(str, table["dimension"].unique()))
        msg = (
            f"dimension is {dimension}; uns[{key!r}] holds {known}: choose one of them, or run "
            f"sct.tl.traverse(adata, model, dimensions=[{dimension}])."
        )
        raise ValueError(msg)
    return _draw_lines(adata, part, dimension)


def _draw_lines(adata: ad.AnnData, table: pd.DataFrame, dimension: int) -> np.ndarray:
    """Draw the traversal of one dimension, a panel for each mark and region."""
    regions, marks = list(table["region"].unique()), list(table["mark"].unique())
    quantiles = table["quantile"].unique()
    color = dict(zip(quantiles, sns.color_palette("viridis", len(quantiles)), strict=True))
    figure, axes = subplots(
        len(marks),
        len(regions),
        figsize=(3.2 * len(regions) + 1.8, 1.15 * len(marks) + 0.8),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for (region, mark, quantile), part in table.groupby(["region", "mark", "quantile"], sort=False):
        ax = axes[marks.index(mark), regions.index(region)]
        name = f"{quantile:.0%} ({part['value'].iloc[0]:+.2f})"
        x = along(adata, region).scale * part["position"]
        ax.plot(x, part["log_signal"], color=color[quantile], linewidth=1.5, label=name)
    for column, region in enumerate(regions):
        axis = along(adata, region)
        for ax in axes[:, column]:
            ax.margins(x=0)
            ax.set_ylim(bottom=0)
            if axis.marker is not None:
                ax.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        axes[-1, column].set_xlabel(literal(axis.label))
    for row, mark in enumerate(marks):
        axes[row, 0].set_title(literal(mark), loc="left", fontsize="medium", fontweight="bold")
    sns.despine(figure)
    figure.supylabel(_UNIT, fontsize="medium")
    handles, names = axes[0, 0].get_legend_handles_labels()
    title = f"latent {dimension},\nquantile (value)"
    figure.legend(handles[::-1], names[::-1], title=title, loc="outside right upper", frameon=False)
    return axes


def _draw_differences(table: pd.DataFrame) -> Axes:
    """Draw the difference between the last and the first quantile of each dimension as a heat map."""
    dimensions, difference = _differences(table)
    first = table[(table["dimension"] == dimensions[0]) & (table["quantile"] == table["quantile"].min())]
    blocks = first.groupby([k.REGION, k.MARK], sort=False, observed=True).size()
    regions = list(first[k.REGION].unique())
    n_marks = len(blocks) // len(regions)
    size = (1.0 * len(blocks) + 2.0, max(2.2, 0.19 * len(dimensions) + 1.3))
    figure, ax = subplots(figsize=size, layout="constrained")
    limit = float(np.quantile(np.abs(difference), _COLOR_QUANTILE)) or 1.0
    # Each mark of each region has the same width, whatever its number of bins.
    edges = np.concatenate([*(i + np.arange(n) / n for i, n in enumerate(blocks)), [len(blocks)]])
    rows = np.arange(len(dimensions) + 1)
    drawn = ax.pcolormesh(edges, rows, difference, cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True)
    for place in range(1, len(blocks)):
        between_regions = place % n_marks == 0
        ax.axvline(place, color="0.2" if between_regions else "0.75", linewidth=1.2 if between_regions else 0.5)
    ax.invert_yaxis()
    ax.set_yticks(rows[:-1] + 0.5, list(map(str, dimensions)), fontsize="small")
    ax.set_ylabel("latent dimension")
    marks = [literal(mark) for _, mark in blocks.index]
    ax.set_xticks(np.arange(len(blocks)) + 0.5, marks, rotation=35, ha="right", fontsize="small")
    top = ax.secondary_xaxis("top")
    top.set_xticks([(i + 0.5) * n_marks for i in range(len(regions))], [literal(f"{name}, 5′→3′") for name in regions])
    top.tick_params(length=0)
    ax.tick_params(length=0)
    figure.colorbar(drawn, ax=ax, label=f"{_UNIT},\n95 % less 5 % quantile", shrink=0.8, extend="both")
    return ax


def _differences(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return dimensions, largest difference first, and the differences, ``(n_dimensions, n_bins)``."""
    dimensions = table["dimension"].unique()
    low, high = (
        table.loc[table["quantile"] == quantile, "log_signal"].to_numpy().reshape(len(dimensions), -1)
        for quantile in (table["quantile"].min(), table["quantile"].max())
    )
    difference = high - low
    order = np.argsort(-np.abs(difference).mean(axis=1), kind="stable")
    return dimensions[order], difference[order]
