"""Plots of chromatin states, and of genes that change from one to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.get._movement import state_changes as count_state_changes
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, LABEL_COLORS, literal, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from matplotlib.axes import Axes

_DARK_SHARE = 0.2
"""Share of genes above which a cell is so dark that its number is written in white."""


def states(adata: ad.AnnData, *, groupby: str | list[str] = k.STATE, expression_key: str = k.EXPRESSION) -> np.ndarray:
    """Draw which marks the genes of each chromatin state, or cluster, have, and how much they are expressed.

    Left: share of the genes that have each mark. Right: log expression, with the median, a box between the quartiles,
    and whiskers from 5 % to 95 % of the genes.

    Parameters
    ----------
    adata, groupby, expression_key
        As for :func:`simplechrome_tk.get.states`, whose table is drawn.

    Returns
    -------
    numpy.ndarray
        The two Axes.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.states`.
    """
    columns = [groupby] if isinstance(groupby, str) else list(groupby)
    table = get.states(adata, groupby=columns, expression_key=expression_key).dropna(subset="share")
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
    groups = _expression_by_group(adata, columns, names, expression_key)
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


def _expression_by_group(
    adata: ad.AnnData, columns: Sequence[str], names: Sequence[tuple[Any, ...]], expression_key: str
) -> list[np.ndarray]:
    """Return the known log expression of the genes in each group, which ``names`` give by a value in each column."""
    group_of_gene = list(zip(*(adata.obs[column].astype(object) for column in columns), strict=True))
    expression = expression_truth(adata, expression_key)
    known = ~np.isnan(expression)
    return [expression[known & np.array([group == name for group in group_of_gene])] for name in names]


def state_changes(
    adata: ad.AnnData,
    first: str,
    second: str,
    *,
    splits: Sequence[str] | None = ("test",),
    state_key: str = k.STATE,
    key: str | None = k.EMBEDDING,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many held-out genes change from each chromatin state in one cell type to each state in another.

    Genes on the framed diagonal keep their state. The colour shows the share of the genes of the row.

    Parameters
    ----------
    adata, first, second, splits, state_key, key
        As for :func:`simplechrome_tk.get.movement`, whose states are counted.
    ax
        Axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The heat map, with numbers of genes.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.movement`.
    """
    table = count_state_changes(adata, first, second, splits=splits, state_key=state_key, key=key)
    # States keep the order of their categories, which is that of the rule; states that no gene has are left out.
    found = {*table["from_state"], *table["to_state"]}
    names = [name for name in map(str, adata.obs[state_key].astype("category").cat.categories) if name in found]
    count, share = (
        table.pivot(index="from_state", columns="to_state", values=column).reindex(index=names, columns=names)
        for column in ("n", "share")
    )
    if ax is None:
        _, ax = subplots(figsize=(0.62 * len(names) + 3.6, 0.42 * len(names) + 2.4), layout="constrained")
    drawn = ax.pcolormesh(share, cmap="YlGnBu", norm=LogNorm(0.003, 1), edgecolors="white", linewidth=0.5)
    for (row, column), n in np.ndenumerate(count.to_numpy()):
        if not np.isnan(n):
            color = "white" if share.iloc[row, column] > _DARK_SHARE else "0.1"
            middle = (column + 0.5, row + 0.5)
            ax.annotate(f"{n:,.0f}", middle, ha="center", va="center", fontsize="small", color=color)
        if row == column:
            ax.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor="0.2", linewidth=1.2, zorder=3))
    ax.invert_yaxis()
    labels = list(map(literal, names))
    ax.set_xticks(np.arange(len(names)) + 0.5, labels, rotation=35, ha="right")
    ax.set_yticks(np.arange(len(names)) + 0.5, labels)
    ax.tick_params(length=0)
    ax.set(xlabel=literal(f"state in {second}"), ylabel=literal(f"state in {first}"))
    ticks = [0.003, 0.01, 0.03, 0.1, 0.3, 1]
    bar = ax.figure.colorbar(drawn, ax=ax, label=literal(f"share of the genes of the state in {first}"))
    bar.set_ticks(ticks, labels=[f"{100 * tick:g} %" for tick in ticks])
    bar.minorticks_off()
    return ax
