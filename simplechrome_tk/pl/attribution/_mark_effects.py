"""Mean effects of marks, and of all neighbours, by group of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.get._effects import ALL_NEIGHBORS, mark_and_neighbor_effects
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, colors, literal
from simplechrome_tk.tl.attribution._stored import read_record

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

    from simplechrome_tk.core.require import Genes


def mark_effects(
    adata: ad.AnnData,
    *,
    key: str = k.ATTRIBUTION,
    genes: Genes = None,
    groupby: str = k.LABEL,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean effect of each mark with its 95 % interval, for each group of genes.

    Parameters
    ----------
    adata, key, genes
        As for :func:`simplechrome_tk.get.mark_effects`, whose table is drawn.
    groupby
        Column of ``obs``; a colour for each of its groups.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        A line for each mark, in the order of the data, and a last one for the sum over all neighbours where the model
        has any. Points right of the dashed line raise the prediction.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.mark_effects`.
    """
    table = mark_and_neighbor_effects(adata, key=key, genes=genes, groupby=groupby)
    lines = list(table["mark"].unique())
    sizes = table.drop_duplicates(groupby).set_index(groupby)["n"]
    color = colors([str(group) for group in sizes.index])
    if ax is None:
        height = max(0.3, 0.16 * len(sizes)) * len(lines) + 1.2
        _, ax = subplots(figsize=(6.4, height), layout="constrained")
    ax.axvline(0, color=GREY, linewidth=1, linestyle="--", zorder=0)
    for i, (group, size) in enumerate(sizes.items()):
        part = table[table[groupby] == group].set_index("mark").loc[lines]
        # Groups lie side by side within two thirds of the line of a mark.
        shift = 0.66 * ((i + 0.5) / len(sizes) - 0.5)
        position = np.arange(len(lines)) + shift
        # A group of one gene has no interval.
        half = (part["high"] - part["mean"]).fillna(0)
        ax.errorbar(
            part["mean"],
            position,
            xerr=half,
            fmt="o",
            markersize=5,
            elinewidth=1.6,
            color=color[str(group)],
            label=literal(f"{group} ({size:,} genes)"),
        )
    if ALL_NEIGHBORS in lines:
        ax.axhline(len(lines) - 1.5, color="0.85", linewidth=0.8)
    ax.set_yticks(range(len(lines)), list(map(literal, lines)))
    ax.set_ylim(len(lines) - 0.5, -0.5)
    label = f"mean effect per gene ({read_record(adata, key)['unit']})"
    ax.set_xlabel(literal(f"{label}, 95 % interval\n← lowers · raises →"))
    ax.grid(axis="x", color="0.93")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)
    ax.legend(title=literal(groupby), frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax
