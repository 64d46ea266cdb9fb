"""The split that DeepChrome's authors published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_ids
from simplechrome_tk.core.write import to_change
from simplechrome_tk.pp._split import write_split

if TYPE_CHECKING:
    import anndata as ad

# First Ensembl id of the second and of the third block.
_FIRST_VALID = "ENSG00000132963"
_FIRST_TEST = "ENSG00000172936"


def split(adata: ad.AnnData, *, key_added: str = k.SPLIT, copy: bool = False) -> ad.AnnData | None:
    """Split as DeepChrome did: three consecutive blocks of Ensembl ids (6,601 / 6,601 / 6,600 of its 19,802 genes).

    Old Ensembl ids are well-studied, expressed genes, so the three blocks differ (62, 53 and 35 % high), and neighbours
    on the chromosome fall into different blocks. It is kept for comparisons with published figures; use
    :func:`simplechrome_tk.pp.split_by_chromosome` for everything else.

    Parameters
    ----------
    adata
        Genes indexed by Ensembl id, all of DeepChrome's or some.
    key_added
        Column of ``obs`` to write.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obs[key_added]`` and ``uns["split"]``.

    Raises
    ------
    ValueError
        When the index holds no Ensembl gene ids, or a block without genes.
    """
    adata = to_change(adata, copy=copy)
    ids = gene_ids(adata)
    other = ~ids.str.match(r"ENSG\d{11}")
    if other.any():
        msg = (
            f"{int(other.sum())} of {len(ids)} ids are not Ensembl gene ids, such as {ids[other][0]!r}; DeepChrome's "
            "split is by Ensembl id."
        )
        raise ValueError(msg)
    split = np.where(ids < _FIRST_VALID, "train", np.where(ids < _FIRST_TEST, "valid", "test"))
    write_split(adata, split, key_added, {"method": "deepchrome"})
    return adata if copy else None
