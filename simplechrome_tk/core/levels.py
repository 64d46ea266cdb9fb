"""Mean signal of each mark in a region or where the mark is typically found, and which genes have the mark."""

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


def find_present(levels: pd.DataFrame, cells: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return which genes have which marks, and the thresholds that their levels exceed.

    Parameters
    ----------
    levels
        What :func:`typical_levels` returns, genes by marks.
    cells
        Cell type of each gene, ``(n_genes,)``.

    Returns
    -------
    tuple
        A table of genes by marks, True where the gene has the mark, and one of cell types by marks. Cell types differ
        in sequencing depth and antibody, so each has thresholds of its own, by Otsu's method.
    """
    thresholds = levels.groupby(cells, sort=False).agg(lambda column: otsu(column.to_numpy()))
    return levels > thresholds.loc[cells].to_numpy(), thresholds


def otsu(values: np.ndarray) -> float:
    """Return the threshold that splits values into two groups with the least variance within the groups.

    Where all values are equal, it is that value, which none of them exceeds.
    """
    ordered = np.sort(values)
    # The variance between the groups is largest where the variance within them is smallest. One pass over the sorted
    # values gives it for each cut; there is no cut between equal values.
    n = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    below, above = sums[:-1] / n, (sums[-1] - sums[:-1]) / n[::-1]
    between = n * n[::-1] * (above - below) ** 2
    between[ordered[1:] == ordered[:-1]] = 0.0
    if not len(n) or between.max() == 0:
        return float(ordered[-1])
    cut = int(between.argmax())
    return float(ordered[cut] + ordered[cut + 1]) / 2


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
