"""One gene in both conditions of a contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk.core.require import cell_types, gene_ids, gene_rows, obs_column, symbols
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.get._contrast import read_contrast

if TYPE_CHECKING:
    import anndata as ad


class GenePair(NamedTuple):
    """Rows of one gene.

    Attributes
    ----------
    name
        Symbol of the gene, or its id without the name of a sample where it has no symbol.
    row
        Row that holds its change.
    of, against
        Its rows in the samples of each condition, ``(n_samples,)``.
    """

    name: str
    row: int
    of: np.ndarray
    against: np.ndarray


def read_pair(adata: ad.AnnData, gene: str, key: str) -> GenePair:
    """Find a gene in both conditions of a contrast.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.contrast`.
    gene
        Symbol, id, or name in ``obs_names`` in either condition.
    key
        Name of the contrast.

    Raises
    ------
    ValueError
        When there is no contrast, no gene has this name or several do, or the gene is not among those of the contrast.
    """
    record = read_contrast(adata, key)
    ids = gene_ids(adata).to_numpy(str)
    in_contrast = adata.obs[f"{key}_change"].notna().to_numpy()
    named = ids == gene
    if not named.any():
        named = np.isin(ids, ids[gene_rows(adata, gene)])
    rows = np.flatnonzero(named & in_contrast)
    conditions = f"{record['of']} against {record['against']}"
    if not len(rows):
        msg = (
            f"{gene!r} is not among the {int(in_contrast.sum()):,} genes of {conditions}, which are those in every "
            "sample of both conditions; choose a gene that sct.get.contrast lists."
        )
        raise ValueError(msg)
    if len(rows) > 1:
        found = shorten(adata.obs_names[rows], limit=4)
        msg = f"{gene!r} names {len(rows)} genes of {conditions}: {found}; name one of them by its id."
        raise ValueError(msg)
    row = int(rows[0])
    column = obs_column(adata, str(record["key"]), fix="store the condition of each row there, as for sct.tl.contrast")
    samples, condition = cell_types(adata).to_numpy(str), column.astype(str).to_numpy()
    own = ids == ids[row]
    of, against = (
        np.flatnonzero(own & (condition == record[side]) & np.isin(samples, np.atleast_1d(record[f"samples_{side}"])))
        for side in ("of", "against")
    )
    return GenePair(str(symbols(adata)[row]).removesuffix(f":{samples[row]}"), row, of, against)
