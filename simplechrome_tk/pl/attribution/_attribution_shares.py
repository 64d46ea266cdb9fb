"""Plot of what own marks, related genes and reference samples add to predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.get._attribution_shares import PARTS, read_parts
from simplechrome_tk.get._tables import read_groups
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, literal
from simplechrome_tk.tl.attribution._stored import read_record

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

    from simplechrome_tk.core.require import Genes

# Colours of Okabe and Ito (2008).
_COLORS = {"own_marks": "#009E73", "related_genes": "#E69F00", "reference": "#0072B2"}
_ALL = "all genes"
# Sizes in inches: of the plot, of each group, and of the rest.
_WIDTH, _GROUP_HEIGHT, _MARGIN = 6.5, 0.75, 1.3
# Share of the height of a group that its boxes take.
_SPREAD = 0.8


def attribution_shares(
    adata: ad.AnnData,
    *,
    groupby: str | None = k.LABEL,
    genes: Genes = None,
    key: str = k.ATTRIBUTION,
    ax: Axes | None = None,
) -> Axes:
    """Draw what own marks, related genes and reference samples add to the predictions of groups of genes.

    Parameters
    ----------
    adata
        As for :func:`simplechrome_tk.get.attribution_shares`, whose table of genes is drawn.
    groupby
        Column of ``obs``, such as ``"label"`` or ``"specificity"``; ``None`` draws all genes together.
    genes
        Ids, symbols or a mask ``(n_genes,)``; ``None`` takes all genes with attributions.
    key
        Name of the attributions.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        A box for each part in each group: the median, the middle half of the genes, and whiskers to the middle 90 %.
        Right of the line at 0 a part raises the prediction above that of the baseline. Parts that the model does not
        read are left out.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.attribution_shares`.
    """
    table = get.attribution_shares(adata, genes=genes, key=key)
    drawn = read_parts(adata, key)
    group = pd.Series(_ALL, index=table.index)
    if groupby is not None:
        group = read_groups(adata, groupby).loc[table["gene"]].reset_index(drop=True)
    counts = group.value_counts(sort=False)
    counts = counts[counts > 0]
    if ax is None:
        _, ax = subplots(figsize=(_WIDTH, _GROUP_HEIGHT * len(counts) + _MARGIN), layout="constrained")
    ax.axvline(0, color=GREY, linewidth=1, zorder=0)
    step = _SPREAD / len(drawn)
    for number, part in enumerate(drawn):
        boxes = ax.boxplot(
            [table.loc[(group == name).to_numpy(), part] for name in counts.index],
            positions=np.arange(len(counts)) + step * (number - (len(drawn) - 1) / 2),
            widths=0.85 * step,
            orientation="horizontal",
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            medianprops={"color": "black"},
            boxprops={"facecolor": _COLORS[part]},
            manage_ticks=False,
        )
        boxes["boxes"][0].set_label(PARTS[part])
    ax.set_ylim(len(counts) - 0.5, -0.5)
    names = [f"{name}\n({number:,} genes)" for name, number in counts.items()]
    ax.set_yticks(range(len(names)), [literal(name) for name in names])
    ax.set(xlabel=f"effect on the prediction ({read_record(adata, key)['unit']})", ylabel="")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(drawn), frameon=False)
    sns.despine(ax=ax, left=True)
    return ax
