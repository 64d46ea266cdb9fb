"""What two marks do together beyond what each does, as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.get._attribution import per_gene, per_group
from simplechrome_tk.tl.attribution._stored import known_rows

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.get._attribution import Groupby

_BETWEEN = " x "


def interactions(
    adata: ad.AnnData, *, key: str = k.ATTRIBUTION, genes: Genes = None, groupby: Groupby | None = None
) -> pd.DataFrame:
    """List the interaction of each two marks, for every gene or averaged over groups of genes.

    Parameters
    ----------
    adata
        Genes with the interactions that :func:`simplechrome_tk.tl.interactions` wrote.
    key
        Name of the attributions that they belong to.
    genes, groupby
        As for :func:`mark_effects`.

    Returns
    -------
    pandas.DataFrame
        As :func:`mark_effects`, with columns ``first`` and ``second``, the two marks, in place of ``mark``. Above 0 the
        two do more together than one by one: ``f(both) - f(first) - f(second) + f(neither)``.

    Raises
    ------
    ValueError
        When there are no interactions, none of these genes has any, or ``groupby`` is not there or is missing for all.
    """
    slot = k.INTERACTIONS.format(key)
    if slot not in adata.obsm:
        msg = (
            f"obsm has no {slot!r} (found: {', '.join(adata.obsm) or 'none'}): run sct.tl.interactions(adata, model) "
            "first."
        )
        raise ValueError(msg)
    table = adata.obsm[slot]
    pairs = []
    if isinstance(table, pd.DataFrame):
        pairs = [[k.from_column(mark) for mark in name.split(_BETWEEN)] for name in map(str, table.columns)]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        found = ", ".join(map(str, table.columns)) if isinstance(table, pd.DataFrame) else type(table).__name__
        msg = f"obsm[{slot!r}] is {found}; expected a DataFrame with columns such as 'H3K4me3 x H3K27me3'."
        raise ValueError(msg)
    rows = gene_rows(adata, genes)
    values = table.to_numpy(float)
    rows = known_rows(adata, rows, values[rows], "interactions", "interactions")
    things = pd.DataFrame(pairs, columns=["first", "second"])
    if groupby is None:
        return per_gene(adata, rows, things, values[rows])
    return per_group(adata, rows, things, values[rows], groupby)
