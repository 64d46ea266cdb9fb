"""What each latent dimension does to the marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, along, literal
from simplechrome_tk.tl.latent._decode import traverse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

    from simplechrome_tk.model._simplechrome import SimpleChrome

_UNIT = "decoded log(1 + signal)"


def traversal(
    adata: ad.AnnData,
    model: SimpleChrome,
    dimension: int,
    *,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
) -> np.ndarray:
    """Draw the marks that are decoded while one latent dimension goes from low to high.

    A line is a quantile of that dimension over the genes, from 5 % (dark) to 95 % (yellow); the others stay at their
    mean. A row is a mark, with one scale; a column is a region.

    Parameters
    ----------
    model, adata, genes
        As for :func:`simplechrome_tk.tl.traverse`, whose table is drawn.
    dimension
        Which.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_marks, n_regions)``.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.tl.traverse`.
    """
    table = traverse(adata, model, dimensions=[dimension], genes=genes)
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
        axis = along(adata, region)
        ax = axes[marks.index(mark), regions.index(region)]
        name = f"{quantile:.0%} ({part['value'].iloc[0]:+.2f})"
        ax.plot(axis.scale * part["position"], part["log_signal"], color=color[quantile], linewidth=1.5, label=name)
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


def traversals(adata: ad.AnnData, model: SimpleChrome, *, dimensions: Sequence[int] | None = None) -> Axes:
    """Draw for each latent dimension how the marks at its 95 % quantile differ from those at its 5 % quantile.

    A row is a dimension, in the order of the size of its effect; columns are the bins, by region and mark, from 5' to
    3'. Red: more signal where the dimension is high; blue: less.

    Parameters
    ----------
    model, adata, dimensions
        As for :func:`simplechrome_tk.tl.traverse`.

    Returns
    -------
    matplotlib.axes.Axes
        The heat map.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.tl.traverse`.
    """
    table = traverse(adata, model, dimensions=dimensions)
    names = list(table["dimension"].unique())
    ends = [
        table.loc[table["quantile"] == quantile, "log_signal"].to_numpy().reshape(len(names), -1)
        for quantile in (table["quantile"].min(), table["quantile"].max())
    ]
    difference = ends[1] - ends[0]
    order = np.argsort(-np.abs(difference).mean(axis=1), kind="stable")
    starts = blocks(adata)
    n_marks = starts[k.MARK].nunique()
    figure, ax = subplots(figsize=(1.0 * len(starts) + 2.0, max(2.2, 0.19 * len(names) + 1.3)), layout="constrained")
    limit = float(np.quantile(np.abs(difference), 0.995)) or 1.0
    # Each mark of each region gets the same width, however many bins it has.
    edges = np.concatenate(
        [i + np.arange(n) / n for i, n in enumerate(starts["stop"] - starts["start"])] + [[len(starts)]]
    )
    drawn = ax.pcolormesh(
        edges, np.arange(len(names) + 1), difference[order], cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True
    )
    for place in range(1, len(starts)):
        ax.axvline(
            place, color="0.2" if place % n_marks == 0 else "0.75", linewidth=1.2 if place % n_marks == 0 else 0.5
        )
    ax.invert_yaxis()
    ax.set_yticks(np.arange(len(names)) + 0.5, [str(names[i]) for i in order], fontsize="small")
    ax.set_ylabel("latent dimension")
    ax.set_xticks(np.arange(len(starts)) + 0.5, starts[k.MARK].map(literal), rotation=35, ha="right", fontsize="small")
    top = ax.secondary_xaxis("top")
    regions = list(starts[k.REGION].unique())
    top.set_xticks([(i + 0.5) * n_marks for i in range(len(regions))], [literal(f"{name}, 5′→3′") for name in regions])
    top.tick_params(length=0)
    ax.tick_params(length=0)
    figure.colorbar(drawn, ax=ax, label=f"{_UNIT},\n95 % less 5 % quantile", shrink=0.8, extend="both")
    return ax
