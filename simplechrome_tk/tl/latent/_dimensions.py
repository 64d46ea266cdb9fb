"""What each latent dimension carries, and whether it carries one thing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk import nn
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.levels import mark_levels
from simplechrome_tk.core.require import check_order
from simplechrome_tk.model._latents import check_latents, latents

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome

logger = logging.getLogger(__name__)

_ACTIVE = 0.01
_BINS = 20


def latent_dimensions(adata: ad.AnnData, model: SimpleChrome) -> pd.DataFrame:
    """Say which latent dimensions are in use; those that are not are named in the log.

    Parameters
    ----------
    model
        A trained model; the first network of an ensemble.
    adata
        Genes by the model's columns, normalised with the model's constants.

    Returns
    -------
    pandas.DataFrame
        One row per dimension: ``dimension``, ``variance`` of the latent means over genes, ``noise`` (mean variance of
        the latent of one gene), ``kl`` (mean divergence from the standard normal, in nats) and ``active``: whether
        ``variance`` exceeds 0.01.

    Raises
    ------
    ValueError
        When the latents are missing or the same for all genes.

    Notes
    -----
    A collapsed dimension tells genes apart no more: its posterior is the prior (Bowman et al. 2016, arXiv 1511.06349).
    The measure and its threshold are those of Burda et al. 2016 (arXiv 1509.00519).
    """
    check_order(adata, model, "sct.tl.latent_dimensions(adata, model)")
    latent = nn.encode(model.module.first, model.read(adata).x)
    mean = latent.mean.cpu().numpy()
    check_latents(adata, mean, "the model's latent")
    variance = mean.var(axis=0, dtype=float)
    table = pd.DataFrame(
        {
            "dimension": np.arange(mean.shape[1]),
            "variance": variance,
            "noise": latent.log_var.exp().mean(dim=0).cpu().numpy(),
            "kl": latent.kl().mean(dim=0).cpu().numpy(),
            "active": variance > _ACTIVE,
        }
    )
    collapsed = table.loc[~table["active"], "dimension"]
    logger.log(
        logging.WARNING if len(collapsed) else logging.INFO,
        "%d of %d latent dimensions are active (variance of the means above %g)%s.",
        len(table) - len(collapsed),
        len(table),
        _ACTIVE,
        f"; collapsed: {', '.join(map(str, collapsed))}" if len(collapsed) else "",
    )
    return table


def disentanglement(adata: ad.AnnData, *, expression_key: str = k.EXPRESSION) -> pd.DataFrame:
    """Ask of each mark, and of expression, whether one latent dimension alone knows of it.

    Parameters
    ----------
    adata
        After :func:`simplechrome_tk.tl.embed`.
    expression_key
        Column of ``obs`` with the expression.

    Returns
    -------
    pandas.DataFrame
        One row per mark and region (mean of its log signal), and one for expression: ``feature``, ``dimension`` (that
        knows most of it), ``information`` (what it knows, mutual information as a share of the feature's entropy),
        ``second`` (the dimension that knows most but one) and ``gap`` (how much less that one knows). A mean gap near 0
        says that what is known is spread over dimensions, near 1 that each feature has a dimension of its own.

    Raises
    ------
    ValueError
        When the latents are missing, or have one dimension only.

    Notes
    -----
    Mutual information gap of Chen et al. 2018 (arXiv 1802.04942) over 20 bins of equally many genes. The features are
    themselves correlated, which bounds the gap; compare models by it, not with 1.
    """
    values = latents(adata)
    if values.shape[1] < 2:
        msg = "the latent has one dimension; expected two at least to compare what they know."
        raise ValueError(msg)
    features = mark_levels(adata).assign(expression=expression_truth(adata, expression_key))
    codes = [_equal_bins(column) for column in values.T]
    rows = []
    for name, level in features.items():
        known = level.notna().to_numpy()
        feature = _equal_bins(level[known].to_numpy())
        entropy = _entropy(np.bincount(feature))
        if entropy == 0:
            logger.info("%s is the same for all genes and left out.", name)
            continue
        shares = np.array([_information(code[known], feature) / entropy for code in codes])
        first, second = np.argsort(shares)[::-1][:2]
        rows.append((name, first, shares[first], second, shares[first] - shares[second]))
    table = pd.DataFrame(rows, columns=["feature", "dimension", "information", "second", "gap"])
    logger.info("Mutual information gap: mean %.3f over %d features.", table["gap"].mean(), len(table))
    return table


def _equal_bins(values: np.ndarray) -> np.ndarray:
    """Return the bin of each value, ``(n,)``; bins hold equally many, save that equal values stay together."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="left")


def _entropy(counts: np.ndarray) -> float:
    """Entropy of counts of any shape, in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _information(first: np.ndarray, second: np.ndarray) -> float:
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1)
    return _entropy(counts.sum(axis=0)) + _entropy(counts.sum(axis=1)) - _entropy(counts)
