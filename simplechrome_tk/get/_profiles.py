"""Mean signal along the gene, by mark and group of genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks, values
from simplechrome_tk.get._attribution import categories, fix_groups, mean_interval

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
        ``"attribution"``, or ``None`` for ``X``. Genes whose values are all NaN, as those without attributions, are
        left out and counted in the log.

    Returns
    -------
    pandas.DataFrame
        One row per region, mark, group and bin, bins from 5' to 3': ``region``, ``mark``, ``position`` (middle of the
        bin as ``var`` has it: bp from the anchor, or fraction of the gene body), ``group`` (ordered as in ``obs``),
        ``mean``, ``low`` and ``high`` (normal 95 % confidence interval of the mean; NaN for a group of one) and ``n``
        (genes of the group).

    Raises
    ------
    ValueError
        When ``groupby`` or ``layer`` is not there, or no gene has a group and values.
    """
    group = categories(adata, groupby)
    if not group.notna().any():
        msg = f"obs[{groupby!r}] is missing for all {adata.n_obs} genes: {fix_groups(groupby)}."
        raise ValueError(msg)
    if group.isna().any():
        logger.info("%d of %d genes have no %s and are left out.", group.isna().sum(), adata.n_obs, groupby)
    table = blocks(adata)
    signal = values(adata, layer)
    unknown = np.isnan(signal).all(axis=1)
    if unknown.any():
        group = group.mask(unknown)
        logger.info("%d of %d genes have no values in %s and are left out.", unknown.sum(), adata.n_obs, layer or "X")
    if not group.notna().any():
        msg = f"no gene with a {groupby} has values in {layer or 'X'}; expected some that are not NaN."
        raise ValueError(msg)
    group = group.cat.remove_unused_categories()
    block = np.repeat(np.arange(len(table)), table["stop"] - table["start"])
    bins = pd.DataFrame(
        {
            "region": table["region"].to_numpy()[block],
            "mark": table["mark"].to_numpy()[block],
            "position": (adata.var[k.START_BP] + adata.var[k.END_BP]).to_numpy(float) / 2,
        }
    )
    groups = group.cat.categories
    parts = []
    for name in groups:
        members = signal[(group == name).to_numpy()]
        mean, half = mean_interval(members)
        named = pd.Categorical([name] * len(bins), categories=groups, ordered=group.cat.ordered)
        parts.append(bins.assign(group=named, mean=mean, low=mean - half, high=mean + half, n=len(members)))
    by_block = np.argsort(np.tile(block, len(groups)), kind="stable")
    return pd.concat(parts, ignore_index=True).iloc[by_block].reset_index(drop=True)
