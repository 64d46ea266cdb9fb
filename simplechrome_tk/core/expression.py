"""Expression values, read from an AnnData and checked, and their logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_numbers
from simplechrome_tk.core.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad


def by_cell_type(numbers: Mapping[str, float], name: str) -> pd.DataFrame:
    """Return one number for each cell type as a table for ``uns``: cell types as its index, and the column ``name``.

    A table, since files do not store a dictionary with keys such as ``"CD4+/CD25-"``.
    """
    return pd.DataFrame({name: list(numbers.values())}, index=pd.Index(list(numbers), dtype=object), dtype=float)


def log_expression(expression: np.ndarray | float) -> np.ndarray:
    """``log10(expression + 0.1)``, the scale on which expression is predicted and correlated.

    The offset of 0.1 keeps the logarithm of genes without expression finite.
    """
    return np.log10(np.asarray(expression, dtype=float) + 0.1)


def linear_expression(log: np.ndarray | float) -> np.ndarray:
    """Return linear expression, at least 0, from ``log``, the inverse of :func:`log_expression`."""
    return np.maximum(10.0 ** np.asarray(log, dtype=float) - 0.1, 0.0)


def expression_truth(adata: ad.AnnData, expression_key: str = k.EXPRESSION) -> np.ndarray:
    """Return the measured ``log10(expression + 0.1)`` of each gene, NaN where missing, shape ``(n_genes,)``."""
    return log_expression(read_expression(adata, expression_key))


def read_expression(adata: ad.AnnData, expression_key: str) -> np.ndarray:
    """Return ``obs[expression_key]``, NaN where missing, shape ``(n_genes,)``.

    Raises
    ------
    ValueError
        When the column is missing, or holds text, infinite or negative values.
    """
    fix = "store expression there, name the column with expression_key, or choose a task without expression"
    expression = obs_numbers(adata, expression_key, fix=fix)
    if (infinite := np.isinf(expression)).any():
        names = adata.obs_names[infinite]
        msg = (
            f"obs[{expression_key!r}] is infinite for {len(names)} of {adata.n_obs} genes: {shorten(names, limit=5)}; "
            f"expected finite numbers, or missing values for genes that were not "
            f"measured: adata.obs[{expression_key!r}] = adata.obs[{expression_key!r}].replace([numpy.inf, -numpy.inf], "
            "numpy.nan)."
        )
        raise ValueError(msg)
    if (expression < 0).any():
        msg = (
            f"obs[{expression_key!r}] holds {int((expression < 0).sum())} negative values; expected linear units, not "
            "logarithms."
        )
        raise ValueError(msg)
    return expression
