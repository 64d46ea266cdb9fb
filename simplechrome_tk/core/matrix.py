"""X and layers as dense arrays, and errors for matrices of other kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from simplechrome_tk.core.require import check_data

if TYPE_CHECKING:
    import anndata as ad

_OTHER_PACKAGES = {
    "dask": "run adata = adata.to_memory() first",
    "cupy": "{0} = {0}.get() brings it back from the GPU",
    "cupyx": "{0} = {0}.get().toarray() brings it back from the GPU",
}
"""Package -> the call that turns its matrices into arrays in memory."""


def dense(adata: ad.AnnData, layer: str | None = None) -> np.ndarray:
    """Return ``X`` or an existing layer as an array of numbers ``(n_genes, n_columns)``.

    Arrays in memory are returned without a copy; of an AnnData that is backed by a file, the whole matrix is read.

    Raises
    ------
    ValueError
        When the matrix is missing, sparse, lazy, on another device, masked or not of numbers; the message names the
        call that turns it into an array.
    """
    check_data(adata)
    name, matrix = ("X", adata.X) if layer is None else (f"layers[{layer!r}]", adata.layers[layer])
    return as_dense(matrix, name)


def as_dense(matrix: Any, name: str) -> np.ndarray:
    """Return a matrix as an array of numbers, or raise as :func:`dense` does; ``name`` is its slot, such as ``"X"``."""
    if (fix := _fix(matrix, f"adata.{name}")) is not None:
        msg = f"{name} is {type(matrix).__name__}; expected a dense array of numbers: {fix}."
        raise ValueError(msg)
    values = np.asarray(matrix)
    if values.dtype.kind not in "fiub":
        msg = (
            f"{name} holds values of type {values.dtype}; expected numbers: adata.{name} = "
            f"adata.{name}.astype('float32') if they are numbers, or start from the AnnData as it was read."
        )
        raise ValueError(msg)
    return values


def _fix(matrix: Any, slot: str) -> str | None:
    """Return the call that turns a matrix into a dense array; ``None`` for a dense array."""
    if sparse.issparse(matrix):
        return f"{slot} = {slot}.toarray() makes one"
    # Sparse matrices of AnnData on disk; scipy's `issparse` is false for them.
    if hasattr(matrix, "to_memory"):
        return f"run adata = adata.to_memory() and {slot} = {slot}.toarray() first"
    if (package := type(matrix).__module__.partition(".")[0]) in _OTHER_PACKAGES:
        return _OTHER_PACKAGES[package].format(slot)
    if isinstance(matrix, np.ma.MaskedArray):
        return f"{slot} = {slot}.filled(0) makes one, where masked values mean no signal"
    if matrix is None:
        return "start from the AnnData as it was read, or store the matrix there"
    if not hasattr(matrix, "__array__"):
        return f"{slot} = numpy.asarray({slot}) makes one where it can"
    return None
