"""Which marks raise and which lower the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.get._attribution import per_group
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, colors, literal
from simplechrome_tk.tl.attribution._stored import attributed_rows, has_neighbors, neighbor_sums, record

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

    from simplechrome_tk.core.require import Genes

_NEIGHBORS = "all neighbours"


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
    table = get.mark_effects(adata, key=key, genes=genes, groupby=groupby)
    if has_neighbors(adata, key):
        rows = attributed_rows(adata, key, genes)
        things = pd.DataFrame({"mark": [_NEIGHBORS]})
        sums = per_group(adata, rows, things, neighbor_sums(adata, key, rows)[:, None], groupby)
        table = pd.concat([table, sums], ignore_index=True)
    lines = list(table["mark"].unique())
    sizes = table.drop_duplicates(groupby).set_index(groupby)["n"]
    color = colors([str(group) for group in sizes.index])
    if ax is None:
        height = max(0.3, 0.16 * len(sizes)) * len(lines) + 1.2
        _, ax = subplots(figsize=(6.4, height), layout="constrained")
    ax.axvline(0, color=GREY, linewidth=1, linestyle="--", zorder=0)
    for i, (group, size) in enumerate(sizes.items()):
        part = table[table[groupby] == group].set_index("mark").loc[lines]
        shift = 0.66 * ((i + 0.5) / len(sizes) - 0.5)
        place = np.arange(len(lines)) + shift
        half = (part["high"] - part["mean"]).fillna(0)
        ax.errorbar(
            part["mean"],
            place,
            xerr=half,
            fmt="o",
            markersize=5,
            elinewidth=1.6,
            color=color[str(group)],
            label=literal(f"{group} ({size:,} genes)"),
        )
    if _NEIGHBORS in lines:
        ax.axhline(len(lines) - 1.5, color="0.85", linewidth=0.8)
    ax.set_yticks(range(len(lines)), list(map(literal, lines)))
    ax.set_ylim(len(lines) - 0.5, -0.5)
    what = f"mean effect per gene ({record(adata, key)['unit']})"
    ax.set_xlabel(literal(f"{what}, 95 % interval\n← lowers · raises →"))
    ax.grid(axis="x", color="0.93")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)
    ax.legend(title=literal(groupby), frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax
