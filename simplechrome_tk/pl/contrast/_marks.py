"""Plot of the marks that explain the change of the genes that change most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_rows, symbols
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import EFFECTS, literal
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects, select_attributed, sum_neighbor_effects

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

    from simplechrome_tk.core.require import Genes

_RELATED = "related genes"


def contrast_marks(
    adata: ad.AnnData, *, n_genes: int = 12, genes: Genes = None, key: str = k.CONTRAST, ax: Axes | None = None
) -> Axes:
    """Draw the effect of each mark, and of the related genes, on the change of the genes that change most.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.contrast`.
    n_genes
        Number of genes with the largest predicted change, in each direction.
    genes
        Genes to draw instead: ids, symbols or a mask ``(n_obs,)``.
    key
        Name of the contrast.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each gene, with its predicted change behind its name, and a column for each mark. The numbers of a
        row sum to the predicted change. Vermilion raises expression in the first condition, and blue lowers it.

    Raises
    ------
    ValueError
        When there is no contrast, or none of the genes was attributed.
    """
    get.contrast(adata, key=key)
    total = adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float)
    rows = select_attributed(adata, key, None if genes is None else adata.obs_names[gene_rows(adata, genes)])
    order = rows[np.argsort(-total[rows], kind="stable")]
    if genes is None and len(order) > 2 * n_genes:
        order = np.append(order[:n_genes], order[-n_genes:])
    effects = get.mark_effects(adata, key=key, genes=adata.obs_names[order])
    table = effects.pivot_table(index="gene", columns="mark", values="effect", sort=False, observed=True)
    table = table.loc[adata.obs_names[order]]
    if has_neighbor_effects(adata, key):
        table[_RELATED] = sum_neighbor_effects(adata, key, order)
    names = pd.Series(symbols(adata)[order]).astype(str)
    table.index = [literal(f"{name}  {change:+.1f}") for name, change in zip(names, total[order], strict=True)]
    if ax is None:
        _, ax = subplots(figsize=(1.8 + 0.75 * table.shape[1], 1.2 + 0.22 * len(table)), layout="constrained")
    bound = float(table.abs().to_numpy().max()) or 1.0
    sns.heatmap(
        table.rename(columns=literal),
        cmap=EFFECTS,
        vmin=-bound,
        vmax=bound,
        annot=True,
        fmt=".1f",
        annot_kws={"fontsize": 6.5},
        yticklabels=True,
        cbar_kws={"label": literal(f"effect on the {adata.uns[key]['unit']}")},
        ax=ax,
    )
    ax.set(xlabel="", ylabel="")
    ax.set_xticks(ax.get_xticks(), table.columns.map(literal), rotation=40, ha="right")
    ax.set_title(literal(f"{adata.uns[key]['of']} against {adata.uns[key]['against']}"), loc="left", fontsize="medium")
    return ax
