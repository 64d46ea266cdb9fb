"""X and layers as dense arrays: the one place that decides which kinds of matrix are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from simplechrome_tk.core.require import check_data

if TYPE_CHECKING:
    import anndata as ad

_ELSEWHERE = {
    "dask": "run adata = adata.to_memory() first",
    "cupy": "{0} = {0}.get() brings it back from the GPU",
    "cupyx": "{0} = {0}.get().toarray() brings it back from the GPU",
}
"""Package -> what makes an array in memory of its matrices."""


def dense(adata: ad.AnnData, layer: str | None = None) -> np.ndarray:
    """Return ``X``, or a layer that is there, as an array of numbers ``(n_genes, n_columns)``.

    Arrays in memory are returned as they are, without a copy; of a file that AnnData reads from (``backed="r"``) the
    whole matrix is read.

    Raises
    ------
    ValueError
        When the matrix is missing, sparse, lazy, on another device, masked or holds no numbers; the message names the
        call that makes an array of it.
    """
    check_data(adata)
    name, matrix = ("X", adata.X) if layer is None else (f"layers[{layer!r}]", adata.layers[layer])
    return as_dense(matrix, name)


def as_dense(matrix: Any, name: str) -> np.ndarray:
    """Return a slot's matrix as an array of numbers, or raise as :func:`dense` does; ``name``: the slot, as ``"X"``."""
    if (fix := _fix(matrix, f"adata.{name}")) is not None:
        msg = f"{name} is {type(matrix).__name__}; expected a dense array of numbers: {fix}."
        raise ValueError(msg)
    values = np.asarray(matrix)
    if values.dtype.kind not in "fiub":
        msg = (
            f"{name} holds values of type {values.dtype}; expected numbers: adata.{name} = "
            f"adata.{name}.astype('float32') where they are some, or start from the AnnData as it was read."
        )
        raise ValueError(msg)
    return values


def _fix(matrix: Any, slot: str) -> str | None:
    """Say what makes a dense array of what is none; ``None`` for a dense array."""
    if sparse.issparse(matrix):
        return f"{slot} = {slot}.toarray() makes one"
    # AnnData's sparse matrices on disk, which scipy does not know as sparse
    if hasattr(matrix, "to_memory"):
        return f"run adata = adata.to_memory() and {slot} = {slot}.toarray() first"
    if (package := type(matrix).__module__.partition(".")[0]) in _ELSEWHERE:
        return _ELSEWHERE[package].format(slot)
    if isinstance(matrix, np.ma.MaskedArray):
        return f"{slot} = {slot}.filled(0) makes one, where masked values mean no signal"
    if matrix is None:
        return "start from the AnnData as it was read, or store the matrix there"
    if not hasattr(matrix, "__array__"):
        return f"{slot} = numpy.asarray({slot}) makes one where it can"
    return None
