"""High and low labels of expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import by_cell_type, read_expression
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.write import to_change, write_whole

if TYPE_CHECKING:
    import anndata as ad


def label_expression(
    adata: ad.AnnData,
    *,
    expression_key: str = k.EXPRESSION,
    threshold: float | None = None,
    key_added: str = k.LABEL,
    copy: bool = False,
) -> ad.AnnData | None:
    """Label each gene high or low by comparing its expression with the median of its cell type.

    This is the rule of DeepChrome (Singh et al. 2016): high is strictly above the median of all genes of the cell type.

    Parameters
    ----------
    adata
        Genes with expression in ``obs[expression_key]``; genes with missing values get no label.
    expression_key
        Column of ``obs`` with expression in linear units (RPKM, TPM, counts).
    threshold
        Value to compare with instead of the median; genes above it are high.
    key_added
        Column of ``obs`` to write.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obs[key_added]``, a categorical of ``"low"`` and ``"high"``, and
        ``uns["label_expression"]``: ``expression_key``, ``thresholds`` (a table with a row for each cell type and the
        column ``threshold``), and ``threshold`` if it was given.

    Raises
    ------
    ValueError
        When expression is negative, infinite or not a number, or all genes of a cell type get one label.
    """
    adata = to_change(adata, copy=copy)
    expression = read_expression(adata, expression_key)
    cells = cell_types(adata).to_numpy()
    measured = ~np.isnan(expression)
    labels = np.full(adata.n_obs, None, dtype=object)
    thresholds = {}
    for name in np.unique(cells):
        rows = measured & (cells == name)
        if not rows.any():
            msg = f"cell type {name!r}: obs[{expression_key!r}] holds no value."
            raise ValueError(msg)
        cut = float(np.median(expression[rows])) if threshold is None else float(threshold)
        labels[rows] = np.where(expression[rows] > cut, "high", "low")
        thresholds[str(name)] = cut
        found = set(labels[rows])
        if len(found) < len(k.LABELS):
            msg = f"cell type {name!r}: every gene is {found.pop()} at threshold {cut:g}; choose another threshold."
            raise ValueError(msg)
    called = pd.Categorical(labels, categories=k.LABELS, ordered=True)
    table = by_cell_type(thresholds, "threshold")
    record: dict[str, object] = {"expression_key": expression_key, "thresholds": table}
    if threshold is not None:
        record["threshold"] = float(threshold)
    write_whole(adata, [("obs", key_added, called)], records={k.LABEL_EXPRESSION: record})
    return adata if copy else None
