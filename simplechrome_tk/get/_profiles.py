"""Mean signal along the gene, by mark and group of genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk import _keys as k
from simplechrome_tk._require import blocks, obs_column
from simplechrome_tk.get._region import values

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)

_Z95 = 1.959963984540054


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
        ``"signal"``, the signal before normalisation (``X`` when nothing is normalised), another layer, or ``None``
        for ``X``.

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
        When ``groupby`` or ``layer`` is not there, or no gene has a group.
    """
    fix = "run sct.pp.label_expression(adata) first" if groupby == k.LABEL else "name one of them with groupby"
    group = obs_column(adata, groupby, fix=fix).astype("category").cat.remove_unused_categories()
    if not group.notna().any():
        msg = f"obs[{groupby!r}] is missing for all {adata.n_obs} genes: {fix}."
        raise ValueError(msg)
    if group.isna().any():
        logger.info("%d of %d genes have no %s and are left out.", group.isna().sum(), adata.n_obs, groupby)
    table = blocks(adata)
    signal = values(adata, layer)
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
        mean = members.mean(axis=0, dtype=float)
        half = np.full_like(mean, np.nan)
        if len(members) > 1:
            half = _Z95 * members.std(axis=0, ddof=1, dtype=float) / np.sqrt(len(members))
        named = pd.Categorical([name] * len(bins), categories=groups, ordered=group.cat.ordered)
        parts.append(bins.assign(group=named, mean=mean, low=mean - half, high=mean + half, n=len(members)))
    by_block = np.argsort(np.tile(block, len(groups)), kind="stable")
    return pd.concat(parts, ignore_index=True).iloc[by_block].reset_index(drop=True)
