"""The bins of one region as an array of genes by marks by bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simplechrome_tk import _keys as k
from simplechrome_tk._matrix import dense
from simplechrome_tk._normalization import NORMALIZE
from simplechrome_tk._require import blocks, check_data, layer_names

if TYPE_CHECKING:
    import anndata as ad
    import numpy as np


def region(adata: ad.AnnData, region: str, *, layer: str | None = None) -> np.ndarray:
    """View one region as genes by marks by bins, without a copy.

    Parameters
    ----------
    adata
        Genes by bins, mark-major within each region.
    region
        Name in ``var["region"]``.
    layer
        Layer to read; ``None`` reads ``X``. ``"signal"`` is the signal before normalisation: of an AnnData that is not
        normalised, ``X``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_genes, n_marks, n_bins)``. It shares memory with ``adata``, so writing to it changes ``adata``; a
        subset such as ``adata[genes]`` that was not copied is the exception.

    Raises
    ------
    ValueError
        When there is no such region or layer, or the matrix is sparse.

    Examples
    --------
    >>> tss = sct.get.region(adata, "tss")  # doctest: +SKIP
    >>> tss.shape  # doctest: +SKIP
    (18483, 5, 100)
    """
    table = blocks(adata)
    inside = table[table["region"] == region]
    if not len(inside):
        msg = f"no region {region!r}; regions here: {', '.join(table['region'].unique())}."
        raise ValueError(msg)
    columns = slice(inside["start"].iloc[0], inside["stop"].iloc[-1])
    return values(adata, layer)[:, columns].reshape(adata.n_obs, len(inside), -1)


def values(adata: ad.AnnData, layer: str | None) -> np.ndarray:
    """``X`` or a layer, shape ``(n_genes, n_columns)``; ``"signal"`` is ``X`` until that is normalised."""
    check_data(adata)
    if layer is None or (layer == k.SIGNAL and layer not in adata.layers and NORMALIZE not in adata.uns):
        return dense(adata)
    if layer not in adata.layers:
        msg = f"no layer {layer!r} (found: {layer_names(adata)}); layer=None reads X."
        raise ValueError(msg)
    return dense(adata, layer)
