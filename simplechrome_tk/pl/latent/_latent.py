"""Latent dimensions: which are in use, and what they go along with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk import get
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, literal

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

    from simplechrome_tk.get._latent import Method

_BLUE = "#0072B2"


def latent_dimensions(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how much each latent dimension tells of a gene, from most to least; collapsed ones are grey.

    Parameters
    ----------
    table
        What :func:`simplechrome_tk.tl.latent_dimensions` returns.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Bars in nats.

    Raises
    ------
    ValueError
        When the table lacks a column.
    """
    missing = [column for column in ("dimension", "kl", "active") if column not in table]
    if missing:
        msg = f"table has no column {', '.join(missing)}; expected what sct.tl.latent_dimensions returns."
        raise ValueError(msg)
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


def latent_correlations(adata: ad.AnnData, *, method: Method = "spearman", ax: Axes | None = None) -> Axes:
    """Draw the correlation of each latent dimension with each mark and with expression.

    Dimensions are ordered by their correlation with expression, where that is known.

    Parameters
    ----------
    adata, method
        As for :func:`simplechrome_tk.get.latent_correlations`, whose table is drawn.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The heat map, from -1 (blue) to 1 (red).

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.latent_correlations`.
    """
    table = get.latent_correlations(adata, method=method)
    features = list(table["feature"].unique())
    matrix = table.pivot(index="feature", columns="dimension", values="correlation").loc[features]
    by = matrix.loc["expression"] if "expression" in matrix.index else matrix.iloc[0]
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
