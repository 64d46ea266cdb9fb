"""Read the latent space: what it goes along with, who lies near whom, what clusters look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.levels import mark_levels, typical_levels
from simplechrome_tk.core.require import gene_row, obs_column
from simplechrome_tk.model._latents import latents

if TYPE_CHECKING:
    import anndata as ad

Method = Literal["spearman", "pearson"]


def latent_correlations(
    adata: ad.AnnData, *, method: Method = "spearman", expression_key: str = k.EXPRESSION
) -> pd.DataFrame:
    """Correlate each latent dimension with each mark and with expression.

    Parameters
    ----------
    adata
        After :func:`simplechrome_tk.tl.embed`.
    method
        ``"spearman"``, of ranks, or ``"pearson"``.
    expression_key
        Column of ``obs`` with the expression; left out where there is none.

    Returns
    -------
    pandas.DataFrame
        One row per dimension and feature: ``dimension``, ``feature`` (``mark:region``, the mean of its log signal
        there, or ``expression``, as logarithm), ``correlation`` and ``n`` genes that have both.

    Raises
    ------
    ValueError
        When the latents are missing, or the method is unknown.
    """
    if method not in get_args(Method):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(Method))}."
        raise ValueError(msg)
    values = pd.DataFrame(latents(adata), index=adata.obs_names)
    features = mark_levels(adata)
    if expression_key in adata.obs:
        features = features.assign(expression=expression_truth(adata, expression_key))
    rows = []
    for name, feature in features.items():
        known = feature.notna()
        part, level = values[known], feature[known]
        if method == "spearman":
            part, level = part.rank(), level.rank()
        found = part.corrwith(level) if level.nunique() > 1 else pd.Series(np.nan, index=part.columns)
        rows += [(number, name, value, len(level)) for number, value in found.items()]
    table = pd.DataFrame(rows, columns=["dimension", "feature", "correlation", "n"])
    return table.sort_values("dimension", kind="stable", ignore_index=True)


def nearest_genes(adata: ad.AnnData, gene: str, *, n: int = 10) -> pd.DataFrame:
    """List the genes whose chromatin is most like that of one gene, by distance in the latent.

    Parameters
    ----------
    adata
        After :func:`simplechrome_tk.tl.embed`.
    gene
        Name in ``obs_names``, or symbol.
    n
        How many.

    Returns
    -------
    pandas.DataFrame
        Nearest first, indexed by gene: ``distance`` and, where ``obs`` has them, ``symbol``, ``cell_type``, ``chrom``,
        ``expression``, ``label``, ``leiden`` and ``state``.

    Raises
    ------
    ValueError
        When the gene is unknown or names several rows, the latents are missing, or there are not as many other genes.
    """
    row = gene_row(adata, gene)
    values = latents(adata)
    if not 1 <= n < adata.n_obs:
        msg = f"n is {n} and there are {adata.n_obs} genes; expected 1 to {adata.n_obs - 1}."
        raise ValueError(msg)
    distance = np.linalg.norm(values - values[row], axis=1)
    distance[row] = np.inf
    order = np.argsort(distance, kind="stable")[:n]
    columns = [k.SYMBOL, k.CELL_TYPE, k.CHROM, k.EXPRESSION, k.LABEL, k.LEIDEN, k.STATE]
    shown = adata.obs.iloc[order][[column for column in columns if column in adata.obs]].copy()
    shown.insert(0, "distance", distance[order])
    return shown


def clusters(
    adata: ad.AnnData, *, groupby: str | list[str] = k.LEIDEN, expression_key: str = k.EXPRESSION
) -> pd.DataFrame:
    """Describe clusters of genes, or chromatin states, by their marks and expression.

    Parameters
    ----------
    adata
        After :func:`simplechrome_tk.tl.name_states`.
    groupby
        Column of ``obs``, or several: ``["state", "cell_type"]`` describes each state in each cell type.
    expression_key
        Column of ``obs`` with the expression.

    Returns
    -------
    pandas.DataFrame
        One row per group that has genes and mark: the columns of ``groupby``, ``n`` genes, ``expression`` (mean of its
        logarithm over the genes that have one), ``mark``, ``share`` (of genes that have the mark, as
        :func:`simplechrome_tk.tl.name_states` decided; NaN for marks that it does not use) and ``level`` (mean of
        log(1 + signal) where the mark is typically found).

    Raises
    ------
    ValueError
        When there is no such column, or states have not been named.
    """
    columns = [groupby] if isinstance(groupby, str) else list(groupby)
    if k.MARK_PRESENCE not in adata.obsm:
        msg = f"obsm has no {k.MARK_PRESENCE!r}: run sct.tl.name_states(adata) first."
        raise ValueError(msg)
    fix = "name one of them with groupby"
    by = [obs_column(adata, column, fix=fix).rename(column) for column in columns]
    levels, _ = typical_levels(adata)
    presence = pd.DataFrame(adata.obsm[k.MARK_PRESENCE]).rename(columns=k.from_column).reindex(columns=levels.columns)
    expression = pd.Series(expression_truth(adata, expression_key), index=adata.obs_names)
    parts = []
    for mark in levels:
        grouped = pd.DataFrame(
            {"expression": expression, "share": presence[mark].astype(float), "level": levels[mark]}
        ).groupby(by, observed=True, sort=True)
        parts.append(grouped.mean().assign(n=grouped.size(), mark=mark))
    table = pd.concat(parts).reset_index()
    order = [*columns, "n", "expression", "mark", "share", "level"]
    return table.sort_values(columns, kind="stable", ignore_index=True)[order]
