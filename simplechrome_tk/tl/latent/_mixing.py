"""Whether cell types, or batches, mix in the latent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_column

if TYPE_CHECKING:
    import anndata as ad


def mixing(adata: ad.AnnData, *, groupby: str = k.CELL_TYPE) -> pd.DataFrame:
    """Measure how well cell types, or batches, mix among each gene's nearest genes in the latent.

    Parameters
    ----------
    adata
        Several cell types after :func:`simplechrome_tk.tl.embed`.
    groupby
        Column of ``obs`` with the cell type or batch.

    Returns
    -------
    pandas.DataFrame
        One row per group and one for ``all``: ``group``, ``n`` genes, ``observed`` (mean share of other groups among
        the nearest genes), ``expected`` (that share among all other genes) and ``mixing``, the one over the other: 1
        where groups are mixed, near 0 where they lie apart, as a batch effect makes them. Groups that differ in biology
        mix less, too: look whether a *kind* of gene that should be alike, such as housekeeping genes, mixes.

    Raises
    ------
    ValueError
        When there is no neighbour graph, no such column, a gene without a group, or one group only.
    """
    slot = "distances"
    if slot not in adata.obsp:
        msg = f"obsp has no {slot!r} (found: {', '.join(adata.obsp) or 'none'}): run sct.tl.embed(adata, model) first."
        raise ValueError(msg)
    group = obs_column(
        adata, groupby, fix="stack cell types with sct.pp.stack_cell_types, or name a column with groupby"
    )
    if group.isna().any() or group.nunique() < 2:
        msg = (
            f"obs[{groupby!r}] holds {group.nunique()} groups and {int(group.isna().sum())} missing values; expected "
            "two groups at least and a value for each gene."
        )
        raise ValueError(msg)
    graph = sparse.csr_matrix(adata.obsp[slot])
    names, codes = np.unique(group.astype(str), return_inverse=True)
    row = np.repeat(np.arange(adata.n_obs), np.diff(graph.indptr))
    other = np.bincount(row, weights=codes[row] != codes[graph.indices], minlength=adata.n_obs)
    observed = other / np.maximum(np.diff(graph.indptr), 1)
    sizes = np.bincount(codes)
    expected = (adata.n_obs - sizes[codes]) / (adata.n_obs - 1)
    parts = [("all", np.ones(adata.n_obs, dtype=bool)), *((name, codes == code) for code, name in enumerate(names))]
    table = pd.DataFrame(
        [(name, int(genes.sum()), observed[genes].mean(), expected[genes].mean()) for name, genes in parts],
        columns=["group", "n", "observed", "expected"],
    )
    return table.assign(mixing=table["observed"] / table["expected"])
