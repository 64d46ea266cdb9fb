"""Mixing of cell types, or batches, in the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_column
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change

if TYPE_CHECKING:
    import anndata as ad

COLUMNS = ("group", "n", "observed", "expected", "mixing")
"""Columns of the table."""


def mixing(
    adata: ad.AnnData,
    *,
    groupby: str = k.CELL_TYPE,
    key: str | None = k.EMBEDDING,
    key_added: str = k.MIXING,
    copy: bool = False,
) -> ad.AnnData | None:
    """Measure how well cell types, or batches, mix among the nearest neighbours of each gene in the latent space.

    Parameters
    ----------
    adata
        Several cell types with a joint map (:func:`simplechrome_tk.tl.embed`).
    groupby
        Column of ``obs`` with the cell type or batch.
    key
        ``key_added`` of the map whose neighbour graph is read.
    key_added
        Name of the table in ``uns``.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. ``uns[key_added]`` is a table with one row for each group and one for ``all``:
        ``group``, ``n`` genes, ``observed`` (mean share of other groups among the nearest neighbours), ``expected``
        (share of other groups among all other genes) and ``mixing``, their ratio: 1 where groups are mixed, and near 0
        where they are separate, as a batch effect makes them. Groups that differ in biology mix less, too. Check
        whether genes that should be alike, such as housekeeping genes, mix.
        :func:`simplechrome_tk.pl.mixing` draws it.

    Raises
    ------
    ValueError
        When there is no neighbour graph, no such column, a gene without a group, or only one group.
    """
    adata = to_change(adata, copy=copy)
    check_table_key(adata, key_added, COLUMNS)
    keys = k.MapKeys.of(key)
    slot = keys.distances
    if slot not in adata.obsp:
        msg = f"obsp has no {slot!r} (found: {', '.join(adata.obsp) or 'none'}): run {keys.embed_call()} first."
        raise ValueError(msg)
    fix = "stack cell types with sct.pp.stack_cell_types, or name a column with groupby"
    group = obs_column(adata, groupby, fix=fix)
    if group.isna().any() or group.nunique() < 2:
        msg = (
            f"obs[{groupby!r}] holds {group.nunique()} groups and {int(group.isna().sum())} missing values; expected "
            "at least two groups and a value for each gene."
        )
        raise ValueError(msg)
    write_table(adata, key_added, _mixing_table(sparse.csr_matrix(adata.obsp[slot]), group.astype(str)))
    return adata if copy else None


def _mixing_table(graph: sparse.csr_matrix, group: pd.Series) -> pd.DataFrame:
    names, codes = np.unique(group, return_inverse=True)
    n_genes = len(codes)
    # In CSR, indptr counts the links of each row, and indices holds their columns, the neighbours.
    n_neighbors = np.diff(graph.indptr)
    row = np.repeat(np.arange(n_genes), n_neighbors)
    n_other = np.bincount(row, weights=codes[row] != codes[graph.indices], minlength=n_genes)
    observed = n_other / np.maximum(n_neighbors, 1)
    sizes = np.bincount(codes)
    expected = (n_genes - sizes[codes]) / (n_genes - 1)
    parts = [("all", np.ones(n_genes, dtype=bool)), *((name, codes == code) for code, name in enumerate(names))]
    table = pd.DataFrame(
        [(name, int(genes.sum()), observed[genes].mean(), expected[genes].mean()) for name, genes in parts],
        columns=["group", "n", "observed", "expected"],
    )
    return table.assign(mixing=table["observed"] / table["expected"])
