"""Chromatin states: their marks and expression, and how genes go from one to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, LABEL_COLORS, literal, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from matplotlib.axes import Axes


def states(adata: ad.AnnData, *, groupby: str | list[str] = k.STATE, expression_key: str = k.EXPRESSION) -> np.ndarray:
    """Draw which marks the genes of each chromatin state, or cluster, have, and how much they are expressed.

    Left: share of genes with each mark. Right: log expression, box from quartile to quartile with the median, whiskers
    from 5 % to 95 % of the genes.

    Parameters
    ----------
    adata, groupby, expression_key
        As for :func:`simplechrome_tk.get.clusters`, whose table is drawn.

    Returns
    -------
    numpy.ndarray
        The two Axes.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.clusters`.
    """
    columns = [groupby] if isinstance(groupby, str) else list(groupby)
    table = get.clusters(adata, groupby=columns, expression_key=expression_key).dropna(subset="share")
    names = [tuple(row) for row in table[columns].drop_duplicates().itertuples(index=False)]
    marks = list(table["mark"].unique())
    share = table["share"].to_numpy().reshape(len(names), len(marks))
    sizes = table["n"].to_numpy().reshape(len(names), len(marks))[:, 0]
    figure, axes = subplots(
        1,
        2,
        figsize=(0.55 * len(marks) + 6.2, 0.27 * len(names) + 1.5),
        width_ratios=[0.55 * len(marks), 2.6],
        sharey=True,
        layout="constrained",
    )
    drawn = axes[0].pcolormesh(share, cmap="YlGnBu", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    axes[0].invert_yaxis()
    labels = [literal(f"{' · '.join(map(str, name))} ({n:,})") for name, n in zip(names, sizes, strict=True)]
    axes[0].set_yticks(np.arange(len(names)) + 0.5, labels)
    axes[0].set_xticks(np.arange(len(marks)) + 0.5, list(map(literal, marks)), rotation=40, ha="right")
    axes[0].tick_params(length=0)
    keys = list(zip(*(adata.obs[column].astype(object) for column in columns), strict=True))
    expression = expression_truth(adata, expression_key)
    known = ~np.isnan(expression)
    groups = [expression[known & np.array([key == name for key in keys])] for name in names]
    axes[1].boxplot(
        groups,
        positions=np.arange(len(names)) + 0.5,
        orientation="horizontal",
        widths=0.6,
        whis=(5, 95),
        showfliers=False,
        manage_ticks=False,
        medianprops={"color": LABEL_COLORS["high"], "linewidth": 2},
        boxprops={"color": GREY},
        whiskerprops={"color": GREY},
        capprops={"color": GREY},
    )
    axes[1].tick_params(axis="y", length=0)
    axes[1].set_xlabel(literal(f"log10({unit(adata, k.EXPRESSION) or 'expression'} + 0.1)"))
    sns.despine(ax=axes[1], left=True)
    figure.colorbar(drawn, ax=axes[0], label="share of genes\nwith the mark", location="left", shrink=0.9, pad=0.02)
    return axes


def state_changes(
    adata: ad.AnnData,
    first: str,
    second: str,
    *,
    splits: Sequence[str] | None = ("test",),
    state_key: str = k.STATE,
) -> Axes:
    """Draw how many held-out genes go from each chromatin state in one cell type to each in another.

    Genes on the diagonal, framed, keep theirs. Colour tells the share of the genes of the row.

    Parameters
    ----------
    adata, first, second, splits, state_key
        As for :func:`simplechrome_tk.get.state_changes`, whose table is drawn.

    Returns
    -------
    matplotlib.axes.Axes
        The heat map, with numbers of genes.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.state_changes`.
    """
    table = get.state_changes(adata, first, second, splits=splits, state_key=state_key)
    found = {*table["from_state"], *table["to_state"]}
    names = [name for name in map(str, adata.obs[state_key].astype("category").cat.categories) if name in found]
    count = table.pivot(index="from_state", columns="to_state", values="n").reindex(index=names, columns=names)
    share = table.pivot(index="from_state", columns="to_state", values="share").reindex(index=names, columns=names)
    figure, ax = subplots(figsize=(0.62 * len(names) + 3.6, 0.42 * len(names) + 2.4), layout="constrained")
    drawn = ax.pcolormesh(share, cmap="YlGnBu", norm=LogNorm(0.003, 1), edgecolors="white", linewidth=0.5)
    for (row, column), n in np.ndenumerate(count.to_numpy()):
        if not np.isnan(n):
            dark = share.iloc[row, column] > 0.2
            place = (column + 0.5, row + 0.5)
            ax.annotate(
                f"{n:,.0f}", place, ha="center", va="center", fontsize="small", color="white" if dark else "0.1"
            )
        if row == column:
            ax.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor="0.2", linewidth=1.2, zorder=3))
    ax.invert_yaxis()
    labels = list(map(literal, names))
    ax.set_xticks(np.arange(len(names)) + 0.5, labels, rotation=35, ha="right")
    ax.set_yticks(np.arange(len(names)) + 0.5, labels)
    ax.tick_params(length=0)
    ax.set(xlabel=literal(f"state in {second}"), ylabel=literal(f"state in {first}"))
    ticks = [0.003, 0.01, 0.03, 0.1, 0.3, 1]
    bar = figure.colorbar(drawn, ax=ax, label=literal(f"share of the genes of the state in {first}"))
    bar.set_ticks(ticks, labels=[f"{100 * tick:g} %" for tick in ticks])
    bar.minorticks_off()
    return ax
