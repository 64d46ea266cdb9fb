"""What each part of the input adds to a prediction: own marks, related genes, reference samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import as_dense, dense
from simplechrome_tk.core.require import symbols
from simplechrome_tk.get._tables import read_groups
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects, select_attributed, sum_neighbor_effects

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes

PARTS = {"own_marks": "own marks", "related_genes": "related genes", "reference": "reference samples"}
"""Parts of the input, as columns of the table, and their names in plots."""


def read_parts(adata: ad.AnnData, key: str) -> tuple[str, ...]:
    """Return those of :data:`PARTS` that the attributed model reads."""
    is_read = {
        "own_marks": True,
        "related_genes": has_neighbor_effects(adata, key),
        "reference": k.REFERENCE_EFFECTS.format(key) in adata.obsm,
    }
    return tuple(part for part in PARTS if is_read[part])


def attribution_shares(
    adata: ad.AnnData, *, genes: Genes = None, groupby: str | None = None, key: str = k.ATTRIBUTION
) -> pd.DataFrame:
    """Sum the effects on each prediction by where they come from: own marks, related genes, or reference samples.

    Parameters
    ----------
    adata
        Genes with attributions (:func:`simplechrome_tk.tl.attribute`).
    genes
        Ids, symbols or a mask ``(n_genes,)``; ``None`` takes all genes with attributions.
    groupby
        Column of ``obs``, such as ``"label"`` or ``"specificity"``, whose groups are averaged.
    key
        Name of the attributions.

    Returns
    -------
    pandas.DataFrame
        One row for each gene, with ``gene`` and ``symbol``, or one for each group, with its name and ``n_genes``.
        ``own_marks``, ``related_genes`` and ``reference`` are the summed effects, in the unit of the attributions; with
        a complete method they sum to ``total``, the prediction minus that at the baseline, and ``error`` is the part of
        the total that the sum misses, as a fraction (``obs["attribution_error"]``). ``share_own_marks``,
        ``share_related_genes`` and ``share_reference`` are their sizes as fractions of the sum of the three sizes; NaN
        for a gene without any effect. A part that the model does not read has effects of 0. Rows of groups hold means
        over the genes.

    Raises
    ------
    ValueError
        When there are no attributions, a gene is unknown, or ``obs`` lacks ``groupby``.

    Examples
    --------
    >>> sct.tl.attribute(adata, model, genes=adata.obs_names[:9], progress=False)
    >>> table = sct.get.attribution_shares(adata)
    >>> bool((abs(table[["own_marks", "related_genes"]].sum(axis=1) - table["total"]) < 0.05).all())
    True
    """
    rows = select_attributed(adata, key, genes)
    read, slot = read_parts(adata, key), k.REFERENCE_EFFECTS.format(key)
    table = pd.DataFrame({"gene": adata.obs_names[rows], "symbol": symbols(adata)[rows]})
    table["own_marks"] = dense(adata, key)[rows].sum(axis=1, dtype=float)
    table["related_genes"] = sum_neighbor_effects(adata, key, rows) if "related_genes" in read else 0.0
    table["reference"] = 0.0
    if "reference" in read:
        table["reference"] = as_dense(adata.obsm[slot], f"obsm[{slot!r}]")[rows].sum(axis=1, dtype=float)
    for name, column in (("total", k.TOTAL_EFFECT), ("error", k.COMPLETENESS_ERROR)):
        table[name] = adata.obs[column.format(key)].to_numpy(float)[rows]
    size = table[list(PARTS)].abs()
    whole = size.sum(axis=1).replace(0, np.nan)
    for part in PARTS:
        table[f"share_{part}"] = size[part] / whole
    if groupby is None:
        return table
    group = read_groups(adata, groupby).iloc[rows].reset_index(drop=True)
    grouped = table.drop(columns=["gene", "symbol"]).groupby(group, observed=True)
    means = grouped.mean()
    means.insert(0, "n_genes", grouped.size())
    return means.reset_index()
