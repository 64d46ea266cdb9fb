"""Expression of the genes in reference samples, read from an AnnData and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core.matrix import as_dense
from simplechrome_tk.core.require import check_data
from simplechrome_tk.core.shorten import shorten

if TYPE_CHECKING:
    import anndata as ad


class Reference(NamedTuple):
    """Log expression of each gene in the reference samples.

    Attributes
    ----------
    values
        ``log10(expression + 0.1)``, NaN where unknown, ``(n_genes, n_references)``.
    samples
        Names of the reference samples, ``(n_references,)``.
    """

    values: np.ndarray
    samples: list[str]

    @property
    def mean(self) -> np.ndarray:
        """Mean of each gene over the samples that have it, NaN where none has, ``(n_genes,)``."""
        known = ~np.isnan(self.values)
        total = np.where(known, self.values, 0.0).sum(axis=1)
        number = known.sum(axis=1)
        return np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)


class ReferenceConstants(NamedTuple):
    """Constants by which log expression in reference samples is standardised: ``(value - center) / scale``."""

    center: float
    scale: float


REFERENCE_CONSTANTS = ReferenceConstants(0.0, 1.0)
"""Constants of a model that reads no reference samples."""


def read_reference(adata: ad.AnnData, reference_key: str) -> Reference:
    """Read ``obsm[reference_key]`` and the names of its samples, which are in ``uns[reference_key]["samples"]``.

    Without names, samples are called by the number of their column.

    Raises
    ------
    ValueError
        When there is no such slot, it has no column, holds infinite values, or the names are not as many as columns.
    """
    check_data(adata)
    if reference_key not in adata.obsm:
        msg = (
            f"obsm has no {reference_key!r} (found: {shorten(adata.obsm)}): run "
            "sct.pp.add_reference_expression(adata) first, or name the slot with reference_key."
        )
        raise ValueError(msg)
    slot, stored = f"obsm[{reference_key!r}]", adata.obsm[reference_key]
    values = as_dense(stored, slot).astype(float)
    if values.ndim != 2 or not values.shape[1] or np.isinf(values).any():
        found = f"of shape {values.shape}" + (", with infinite values" if np.isinf(values).any() else "")
        msg = f"{slot} is {found}; expected log expression, genes by one reference sample or more, NaN where unknown."
        raise ValueError(msg)
    record = adata.uns.get(reference_key)
    if isinstance(record, Mapping) and "samples" in record:
        names = record["samples"]
    else:
        names = stored.columns if isinstance(stored, pd.DataFrame) else range(values.shape[1])
    samples = [str(name) for name in names]
    if len(samples) != values.shape[1]:
        msg = (
            f"{slot} has {values.shape[1]} columns, and uns[{reference_key!r}]['samples'] names {len(samples)}; "
            "expected a name for each. Run sct.pp.add_reference_expression(adata) again."
        )
        raise ValueError(msg)
    return Reference(values, samples)
