"""Plots of latent dimensions: how much they are used, and what they correlate with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.tables import read_table
from simplechrome_tk.get._latent import latent_correlations as correlation_table
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, literal
from simplechrome_tk.tl.latent._latent_dimensions import COLUMNS

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

    from simplechrome_tk.get._latent import Method

_BLUE = "#0072B2"


def latent_dimensions(adata: ad.AnnData, *, key: str = k.LATENT_DIMENSIONS, ax: Axes | None = None) -> Axes:
    """Draw how much information on a gene each latent dimension holds, from most to least; collapsed ones are grey.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.latent_dimensions`.
    key
        Name of the table in ``uns``.
    ax
        Axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Bars in nats.

    Raises
    ------
    ValueError
        When there is no such table.
    """
    table = read_table(adata, key, COLUMNS, call="sct.tl.latent_dimensions(adata, model)")
    if ax is None:
        _, ax = subplots(figsize=(max(3.5, 0.19 * len(table) + 1.2), 2.4), layout="constrained")
    ordered = table.sort_values("kl", ascending=False)
    ax.bar(range(len(ordered)), ordered["kl"], color=np.where(ordered["active"], _BLUE, GREY))
    ax.set_xticks(range(len(ordered)), ordered["dimension"], rotation=90, fontsize="small")
    ax.margins(x=0.01)
    ax.set_xlabel("latent dimension")
    ax.set_ylabel("information on a gene\n(mean KL divergence, nats)")
    ax.set_title(f"{int(table['active'].sum())} of {len(table)} dimensions active", fontsize="medium")
    sns.despine(ax=ax)
    return ax


def latent_correlations(
    adata: ad.AnnData, *, method: Method = "spearman", key: str | None = k.EMBEDDING, ax: Axes | None = None
) -> Axes:
    """Draw the correlation of each latent dimension with each mark and with expression.

    Dimensions are sorted by their correlation with expression, or else with the first mark.

    Parameters
    ----------
    adata
        Genes with a map (:func:`simplechrome_tk.tl.embed`).
    method
        ``"spearman"`` (of ranks) or ``"pearson"``.
    key
        ``key_added`` of the map whose latents are read.
    ax
        Axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The heat map, from -1 (blue) to 1 (red).

    Raises
    ------
    ValueError
        When the latents are missing, or the method is unknown.
    """
    table = correlation_table(adata, method=method, key=key)
    features = list(table["feature"].unique())
    matrix = table.pivot(index="feature", columns="dimension", values="correlation").loc[features]
    by = matrix.loc[k.LOG_EXPRESSION] if k.LOG_EXPRESSION in matrix.index else matrix.iloc[0]
    matrix = matrix[by.sort_values().index]
    if ax is None:
        size = (max(4.0, 0.22 * matrix.shape[1] + 2.4), 0.24 * len(features) + 1.2)
        _, ax = subplots(figsize=size, layout="constrained")
    drawn = ax.pcolormesh(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    ax.invert_yaxis()
    ax.set_yticks(np.arange(len(features)) + 0.5, list(map(literal, features)))
    ax.set_xticks(np.arange(matrix.shape[1]) + 0.5, matrix.columns, rotation=90, fontsize="small")
    ax.tick_params(length=0)
    ax.set_xlabel("latent dimension")
    ax.figure.colorbar(drawn, ax=ax, label=f"{method.capitalize()} correlation", ticks=[-1, -0.5, 0, 0.5, 1])
    return ax
