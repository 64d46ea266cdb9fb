"""Mean signal along the gene, by mark and group of genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, values
from simplechrome_tk.get._tables import average_genes, read_groups, suggest_fix

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)


def mark_profiles(adata: ad.AnnData, *, groupby: str = k.LABEL, layer: str | None = k.SIGNAL) -> pd.DataFrame:
    """Average each bin over groups of genes.

    Parameters
    ----------
    adata
        Genes by bins.
    groupby
        Column of ``obs`` that names each gene's group: ``label``, ``cell_type``, a clustering. Genes without a group
        are left out and counted in the log.
    layer
        ``"signal"``, the signal before normalisation (``X`` when nothing is normalised), another layer, such as
        ``"attribution"``, or ``None`` for ``X``. Genes whose values are all NaN, such as those without attributions,
        are left out and counted in the log.

    Returns
    -------
    pandas.DataFrame
        One row for each region, mark, group and bin, bins from 5' to 3': ``region``, ``mark``, ``position`` (middle of
        the bin in the unit of ``var``: bp from the anchor, or fraction of the gene body), ``group`` (ordered as in
        ``obs``), ``mean``, ``low`` and ``high`` (normal 95 % confidence interval of the mean; NaN for a group of one)
        and ``n`` (genes of the group).

    Raises
    ------
    ValueError
        When ``groupby`` or ``layer`` is not there, or no gene has a group and values.

    Examples
    --------
    >>> table = sct.get.mark_profiles(adata)
    >>> table["group"].unique().tolist()
    ['low', 'high']
    """
    signal, layout = values(adata, layer), Layout.of(adata)
    group = _read_groups(adata, groupby, layer, signal)
    bins = pd.DataFrame({"region": layout.region, "mark": layout.mark, "position": layout.middle})
    groups = group.cat.categories
    parts = []
    for name in groups:
        members = signal[(group == name).to_numpy()]
        mean, half = average_genes(members)
        # All tables have the same categories: otherwise their concatenation would hold plain strings.
        named = pd.Categorical([name] * len(bins), categories=groups, ordered=group.cat.ordered)
        parts.append(bins.assign(group=named, mean=mean, low=mean - half, high=mean + half, n=len(members)))
    # From one table after the other to all groups of a mark in a region together.
    order = np.argsort(np.tile(layout.block, len(groups)), kind="stable")
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def _read_groups(adata: ad.AnnData, groupby: str, layer: str | None, signal: np.ndarray) -> pd.Series:
    """Return the group of each gene that has values, a categorical; log the genes that are left out."""
    group = read_groups(adata, groupby)
    if not group.notna().any():
        msg = f"obs[{groupby!r}] is missing for all {adata.n_obs} genes: {suggest_fix(groupby)}."
        raise ValueError(msg)
    if group.isna().any():
        logger.info("%d of %d genes have no %s and are left out.", group.isna().sum(), adata.n_obs, groupby)
    unknown = np.isnan(signal).all(axis=1)
    if unknown.any():
        group = group.mask(unknown)
        logger.info("%d of %d genes have no values in %s and are left out.", unknown.sum(), adata.n_obs, layer or "X")
    if not group.notna().any():
        msg = f"no gene with a {groupby} has values in {layer or 'X'}; expected some that are not NaN."
        raise ValueError(msg)
    return group.cat.remove_unused_categories()
