"""How much of each mark a gene has: one number for each mark in a stretch of the gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks, values

if TYPE_CHECKING:
    import anndata as ad

_PROMOTER_BP = 1_000


def mark_levels(adata: ad.AnnData) -> pd.DataFrame:
    """Return the mean of log(1 + signal) of each mark in each region: genes by ``mark:region``, columns in order."""
    signal = np.log1p(values(adata, k.SIGNAL))
    return pd.DataFrame(
        {
            f"{row.mark}:{row.region}": signal[:, row.start : row.stop].mean(axis=1, dtype=float)
            for row in blocks(adata).itertuples()
        },
        index=adata.obs_names,
    )


def typical_levels(adata: ad.AnnData) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the mean of log(1 + signal) of each mark where it is typically found, and in words where that is.

    H3K4me3 and acetylation within 1 kb of the TSS, H3K36me3 and H3K79me2 along the body (downstream of the TSS where no
    region reads the body), other marks in the whole window around the TSS; all bins, where there is no such region.

    Returns
    -------
    tuple
        Genes by marks, and mark to stretch.
    """
    signal = np.log1p(values(adata, k.SIGNAL))
    mark, region = adata.var[k.MARK].astype(str).to_numpy(), adata.var[k.REGION].astype(str).to_numpy()
    middle = (adata.var[k.START_BP] + adata.var[k.END_BP]).to_numpy(float) / 2
    tss, body = region == "tss", region == "body"
    near = tss & (np.abs(middle) <= _PROMOTER_BP)
    stretches = {
        "promoter": [(near, "within 1 kb of the TSS")],
        "body": [(body, "along the gene body"), (tss & (middle > 0), "downstream of the TSS")],
        "window": [(tss, "in the window around the TSS")],
    }
    levels, words = {}, {}
    for name in dict.fromkeys(mark):
        kind = "promoter" if name == "H3K4me3" or name.endswith("ac") else "window"
        kind = "body" if name in {"H3K36me3", "H3K79me2"} else kind
        options = [*stretches[kind], (np.ones(adata.n_vars, dtype=bool), "in all bins")]
        columns, words[name] = next((bins, text) for bins, text in options if (bins & (mark == name)).any())
        levels[name] = signal[:, columns & (mark == name)].mean(axis=1, dtype=float)
    return pd.DataFrame(levels, index=adata.obs_names), words
