"""Mean signal of each mark in a region, or where the mark is typically found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, values

if TYPE_CHECKING:
    import anndata as ad

_PROMOTER_BP = 1_000
"""Half the width in bp of the promoter around the TSS, about what a peak of H3K4me3 covers."""


def mark_levels(adata: ad.AnnData) -> pd.DataFrame:
    """Return the mean of log(1 + signal) of each mark in each region: genes by ``mark:region``, in column order."""
    signal = np.log1p(values(adata, k.SIGNAL))
    means = {
        f"{block.mark}:{block.region}": signal[:, block.start : block.stop].mean(axis=1, dtype=float)
        for block in Layout.of(adata).blocks.itertuples()
    }
    return pd.DataFrame(means, index=adata.obs_names)


def typical_levels(adata: ad.AnnData) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the mean of log(1 + signal) of each mark in the bins where the mark is typically found.

    These are for H3K4me3 and acetylation the bins within 1 kb of the TSS; for H3K36me3 and H3K79me2 the gene body
    (without such a region, the bins downstream of the TSS); for other marks the whole window around the TSS. Where an
    AnnData has none of these regions, all bins of the mark are taken.

    Returns
    -------
    tuple
        A table of genes by marks, and for each mark a phrase that names its bins.
    """
    signal = np.log1p(values(adata, k.SIGNAL))
    layout = Layout.of(adata)
    levels, phrases = {}, {}
    for mark in layout.marks:
        own = layout.mark == mark
        columns, phrases[mark] = next(
            (own & bins, phrase) for bins, phrase in _typical_bins(mark, layout) if (own & bins).any()
        )
        levels[mark] = signal[:, columns].mean(axis=1, dtype=float)
    return pd.DataFrame(levels, index=adata.obs_names), phrases


def _typical_bins(mark: str, layout: Layout) -> list[tuple[np.ndarray, str]]:
    """Return masks of columns ``(n_columns,)`` with a phrase for each, the most typical first."""
    tss = layout.region == "tss"
    everywhere = (np.ones(layout.n_columns, dtype=bool), "in all bins")
    if mark == "H3K4me3" or mark.endswith("ac"):
        return [(tss & (np.abs(layout.middle) <= _PROMOTER_BP), "within 1 kb of the TSS"), everywhere]
    if mark in {"H3K36me3", "H3K79me2"}:
        return [
            (layout.region == "body", "along the gene body"),
            (tss & (layout.middle > 0), "downstream of the TSS"),
            everywhere,
        ]
    return [(tss, "in the window around the TSS"), everywhere]
