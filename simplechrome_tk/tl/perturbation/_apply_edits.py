"""Genes with edited marks, as an AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.tl.perturbation._edit import Edit
from simplechrome_tk.tl.perturbation._edit_session import Bench

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import numpy as np
    import pandas as pd


def apply_edits(
    adata: ad.AnnData,
    edits: Edit | Sequence[Edit],
    *,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    neighbors_key: str | None = None,
) -> ad.AnnData:
    """Copy genes with their marks edited: what :func:`simplechrome_tk.tl.perturb` hands to the model.

    Parameters
    ----------
    adata
        Normalised genes by bins with ``layers["signal"]``. It is left as it is.
    edits, genes
        As for :func:`simplechrome_tk.tl.perturb`.
    neighbors_key
        Graph of neighbouring genes in ``obsp``, for edits of neighbours; ``None`` where the genes alone are edited.

    Returns
    -------
    anndata.AnnData
        The genes, by their ids, with edited ``layers["signal"]`` and the ``X`` that it is normalised to; behind them,
        with ``neighbors_key``, those that they hear, as ``"id (neighbour)"``. ``obs["perturbed"]`` tells them apart.

    Raises
    ------
    ValueError
        When the signal was not kept or an edit cannot be made, as for :func:`simplechrome_tk.tl.perturb`.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> edited = sct.tl.apply_edits(adata, sct.tl.Edit.remove(mark="H3K4me3"), genes="SIM0007")
    >>> float(sct.get.region(edited, "tss", layer="signal")[0, 0].max())
    0.0
    """
    edits = [edits] if isinstance(edits, Edit) else list(edits)
    bench = Bench(adata, neighbors_key=neighbors_key)
    bench.check(edits)
    return bench.adata_of(bench.scene(gene_rows(adata, genes), edits)[1], named=True)
