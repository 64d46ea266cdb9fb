"""Plots of the distribution of expression."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.get._tables import read_groups, suggest_fix
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import colors, literal, unit

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

# Bins of the histogram, over all groups together.
_N_BINS = 40


def expression(
    adata: ad.AnnData, *, groupby: str = k.LABEL, expression_key: str = k.EXPRESSION, ax: Axes | None = None
) -> Axes:
    """Draw the distribution of expression in groups of genes, each as a histogram of area 1 with its median.

    Parameters
    ----------
    adata
        Genes with expression.
    groupby
        Column of ``obs`` that names each gene's group. Genes without a group or expression are left out and counted in
        the log.
    expression_key
        Column of ``obs`` with expression in linear units.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        ``log10(expression + 0.1)`` on the x axis, density on the y axis; dashed lines are medians.

    Raises
    ------
    ValueError
        When a column is not there, or no gene has a group and expression.
    """
    group, value = read_groups(adata, groupby), expression_truth(adata, expression_key)
    known = group.notna().to_numpy() & np.isfinite(value)
    if not known.any():
        msg = f"none of the {adata.n_obs} genes has expression and a group: {suggest_fix(groupby)}."
        raise ValueError(msg)
    if not known.all():
        logger.info("%d of %d genes have no expression or no %s and are left out.", (~known).sum(), len(known), groupby)
    names = [name for name in group.cat.categories if (group[known] == name).any()]
    color = colors([str(name) for name in names])
    edges = np.histogram_bin_edges(value[known], bins=_N_BINS)
    if ax is None:
        ax = subplots(figsize=(5.2, 2.8), layout="constrained")[1]
    for name in names:
        of_group = value[known & (group == name).to_numpy()]
        density, _ = np.histogram(of_group, bins=edges, density=True)
        n_genes = "1 gene" if len(of_group) == 1 else f"{len(of_group):,} genes"
        ax.stairs(density, edges, color=color[str(name)], fill=True, alpha=0.25)
        ax.stairs(density, edges, color=color[str(name)], linewidth=1.5, label=literal(f"{name} ({n_genes})"))
        ax.axvline(np.median(of_group), color=color[str(name)], linestyle="--", linewidth=1.2)
    of = unit(adata, k.EXPRESSION)
    ax.set(xlabel=literal(f"log10({of or 'expression'} + 0.1)"), ylabel="density of genes", ylim=(0, None))
    ax.legend(title=literal(groupby), loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    sns.despine(ax=ax)
    return ax
