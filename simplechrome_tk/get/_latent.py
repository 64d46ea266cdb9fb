"""Tables of the latent space: features that latents correlate with, nearest genes, chromatin states."""

from __future__ import annotations

import logging
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

logger = logging.getLogger(__name__)

Method = Literal["spearman", "pearson"]

_N_BINS = 20
"""Bins of a latent dimension and of a feature, from which their mutual information is computed."""


def latent_correlations(
    adata: ad.AnnData,
    *,
    method: Method = "spearman",
    expression_key: str = k.EXPRESSION,
    key: str | None = k.EMBEDDING,
) -> pd.DataFrame:
    """Correlate each latent dimension with each mark and with expression.

    Parameters
    ----------
    adata
        Genes with a map (:func:`simplechrome_tk.tl.embed`).
    method
        ``"spearman"`` (of ranks) or ``"pearson"``.
    expression_key
        Column of ``obs`` with the expression; without such a column, expression is left out.
    key
        ``key_added`` of the map whose latents are read.

    Returns
    -------
    pandas.DataFrame
        One row for each dimension and feature: ``dimension``, ``feature`` (``mark:region``, the mean of its log signal
        in the region, or ``log_expression``), ``correlation`` and ``n``, the number of genes that have both.

    Raises
    ------
    ValueError
        When the latents are missing, or the method is unknown.
    """
    if method not in get_args(Method):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(Method))}."
        raise ValueError(msg)
    values = pd.DataFrame(latents(adata, k.MapKeys.of(key).latent), index=adata.obs_names)
    rows = []
    for name, feature in _features(adata, expression_key).items():
        known = feature.notna()
        part, level = values[known], feature[known]
        # Spearman's correlation is Pearson's correlation of ranks, among the genes that have the feature.
        if method == "spearman":
            part, level = part.rank(), level.rank()
        found = part.corrwith(level) if level.nunique() > 1 else pd.Series(np.nan, index=part.columns)
        rows += [(number, name, value, len(level)) for number, value in found.items()]
    table = pd.DataFrame(rows, columns=["dimension", "feature", "correlation", "n"])
    return table.sort_values("dimension", kind="stable", ignore_index=True)


def latent_information(
    adata: ad.AnnData, *, expression_key: str = k.EXPRESSION, key: str | None = k.EMBEDDING
) -> pd.DataFrame:
    """Measure how much one latent dimension alone tells about each mark and about expression.

    Parameters
    ----------
    adata
        Genes with a map (:func:`simplechrome_tk.tl.embed`).
    expression_key
        Column of ``obs`` with the expression; without such a column, expression is left out.
    key
        ``key_added`` of the map whose latents are read.

    Returns
    -------
    pandas.DataFrame
        One row for each mark and region (the mean of its log signal), and one for ``log_expression``: ``feature``,
        ``dimension`` (the most informative one), ``information`` (its mutual information with the feature, as a share
        of the entropy of the feature), ``second`` (the second most informative dimension) and ``gap`` (the difference
        between their shares). A mean gap near 0 means that information is spread over dimensions, a mean gap near 1
        that each feature has a dimension of its own (disentanglement). Features that are the same for all genes are
        left out, and the log names them.

    Raises
    ------
    ValueError
        When the latents are missing, or have only one dimension.

    Notes
    -----
    Mutual information gap of Chen et al. 2018 (arXiv 1802.04942), over 20 bins with equal numbers of genes. The
    features are correlated with each other, which limits the gap: use it to compare models, not as an absolute score.
    """
    values = latents(adata, k.MapKeys.of(key).latent)
    if values.shape[1] < 2:
        msg = "the latent has one dimension; expected at least two, whose information is compared."
        raise ValueError(msg)
    bins = [_bin_equally(column) for column in values.T]
    rows = []
    for name, level in _features(adata, expression_key).items():
        known = level.notna().to_numpy()
        feature = _bin_equally(level[known].to_numpy())
        entropy = _entropy(np.bincount(feature))
        if entropy == 0:
            logger.info("%s is the same for all genes and left out.", name)
            continue
        shares = np.array([_mutual_information(column[known], feature) / entropy for column in bins])
        first, second = np.argsort(shares)[::-1][:2]
        rows.append((name, first, shares[first], second, shares[first] - shares[second]))
    return pd.DataFrame(rows, columns=["feature", "dimension", "information", "second", "gap"])


def nearest_genes(adata: ad.AnnData, gene: str, *, n: int = 10, key: str | None = k.EMBEDDING) -> pd.DataFrame:
    """List the genes whose chromatin is most similar to that of one gene, by distance of the latents.

    Parameters
    ----------
    adata
        Genes with a map (:func:`simplechrome_tk.tl.embed`).
    gene
        Name in ``obs_names``, or symbol.
    n
        Number of genes in the list.
    key
        ``key_added`` of the map whose latents are read.

    Returns
    -------
    pandas.DataFrame
        Nearest first, indexed by gene: ``distance`` and, where ``obs`` has them, ``symbol``, ``sample``, ``condition``,
        ``cell_type``, ``chrom``, ``expression``, ``label``, the clusters and ``state``.

    Raises
    ------
    ValueError
        When the gene is unknown or names several rows, the latents are missing, or there are fewer than ``n`` other
        genes.
    """
    row = gene_row(adata, gene)
    keys = k.MapKeys.of(key)
    values = latents(adata, keys.latent)
    if not 1 <= n < adata.n_obs:
        msg = f"n is {n} and there are {adata.n_obs} genes; expected 1 to {adata.n_obs - 1}."
        raise ValueError(msg)
    distance = np.linalg.norm(values - values[row], axis=1)
    distance[row] = np.inf  # the gene itself comes last
    order = np.argsort(distance, kind="stable")[:n]
    columns = [k.SYMBOL, k.SAMPLE, k.CONDITION, k.CELL_TYPE, k.CHROM, k.EXPRESSION, k.LABEL, keys.clusters, k.STATE]
    table = adata.obs.iloc[order][[column for column in columns if column in adata.obs]].copy()
    table.insert(0, "distance", distance[order])
    return table


def states(
    adata: ad.AnnData, *, groupby: str | list[str] = k.STATE, expression_key: str = k.EXPRESSION
) -> pd.DataFrame:
    """Describe chromatin states, or clusters of genes, by their marks and expression.

    Parameters
    ----------
    adata
        Genes with chromatin states (:func:`simplechrome_tk.tl.name_states`).
    groupby
        Column of ``obs``, or several: ``["state", "cell_type"]`` describes each state in each cell type.
    expression_key
        Column of ``obs`` with the expression.

    Returns
    -------
    pandas.DataFrame
        One row for each group that has genes, and each mark: the columns of ``groupby``, ``n`` genes,
        ``log_expression`` (mean over the genes whose expression is known), ``mark``, ``share`` (share of the genes that
        have the mark, as :func:`simplechrome_tk.tl.name_states` decided; NaN for marks that it does not use) and
        ``level`` (mean of log(1 + signal) in the region where the mark is typically found).

    Raises
    ------
    ValueError
        When there is no such column, or states have not been named.
    """
    columns = [groupby] if isinstance(groupby, str) else list(groupby)
    if k.MARK_PRESENCE not in adata.obsm:
        msg = f"obsm has no {k.MARK_PRESENCE!r}: run sct.tl.name_states(adata) first."
        raise ValueError(msg)
    fix = "run sct.tl.name_states(adata) first, or name one of them with groupby"
    by = [obs_column(adata, column, fix=fix).rename(column) for column in columns]
    levels, _ = typical_levels(adata)
    # Presence is stored under names that files can hold; marks without a threshold have none, and become NaN.
    presence = pd.DataFrame(adata.obsm[k.MARK_PRESENCE]).rename(columns=k.from_column).reindex(columns=levels.columns)
    expression = pd.Series(expression_truth(adata, expression_key), index=adata.obs_names)
    parts = []
    for mark in levels:
        grouped = pd.DataFrame(
            {k.LOG_EXPRESSION: expression, "share": presence[mark].astype(float), "level": levels[mark]}
        ).groupby(by, observed=True, sort=True)
        parts.append(grouped.mean().assign(n=grouped.size(), mark=mark))
    table = pd.concat(parts).reset_index()
    order = [*columns, "n", k.LOG_EXPRESSION, "mark", "share", "level"]
    return table.sort_values(columns, kind="stable", ignore_index=True)[order]


def _features(adata: ad.AnnData, expression_key: str) -> pd.DataFrame:
    """Return the level of each mark in each region and, where it is known, log expression: genes by features."""
    features = mark_levels(adata)
    if expression_key in adata.obs:
        features = features.assign(**{k.LOG_EXPRESSION: expression_truth(adata, expression_key)})
    return features


def _bin_equally(values: np.ndarray) -> np.ndarray:
    """Return the bin of each value, ``(n,)``; bins have equal sizes, except that equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _N_BINS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="left")


def _entropy(counts: np.ndarray) -> float:
    """Return the entropy of counts of any shape, in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _mutual_information(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mutual information of two series of bin numbers, in nats."""
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1)
    return _entropy(counts.sum(axis=0)) + _entropy(counts.sum(axis=1)) - _entropy(counts)
