"""Expression: the logarithm that is predicted, and values read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad


def by_cell_type(numbers: Mapping[str, float], name: str) -> pd.DataFrame:
    """Return a number of each cell type as a table for ``uns``, indexed by cell type, with one column.

    A dictionary would not do: files nest or refuse keys such as ``"CD4+/CD25-"``.
    """
    return pd.DataFrame({name: list(numbers.values())}, index=pd.Index(list(numbers), dtype=object), dtype=float)


def log_expression(expression: np.ndarray | float) -> np.ndarray:
    """``log10(expression + 0.1)``, the scale on which expression is predicted and correlated.

    The offset keeps silent genes finite.
    """
    return np.log10(np.asarray(expression, dtype=float) + 0.1)


def linear_expression(log: np.ndarray | float) -> np.ndarray:
    """Return the expression, at least 0, of which ``log`` is :func:`log_expression`."""
    return np.maximum(10.0 ** np.asarray(log, dtype=float) - 0.1, 0.0)


def expression_truth(adata: ad.AnnData, expression_key: str = k.EXPRESSION) -> np.ndarray:
    """Return ``log10(expression + 0.1)``, the scale of predictions, NaN where missing, shape ``(n_genes,)``."""
    return log_expression(read_expression(adata, expression_key))


def read_expression(adata: ad.AnnData, expression_key: str) -> np.ndarray:
    """Return ``obs[expression_key]`` in linear units, NaN where missing, ``(n_genes,)``; raise where it is no such."""
    fix = "store expression there, name the column with expression_key, or leave expression out of the task"
    expression = obs_numbers(adata, expression_key, fix=fix)
    if (infinite := np.isinf(expression)).any():
        names = adata.obs_names[infinite]
        msg = (
            f"obs[{expression_key!r}] is infinite for {len(names)} of {adata.n_obs} genes: {', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}; expected finite numbers, or missing values for genes that were not "
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
