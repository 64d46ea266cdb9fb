"""Interactions of two marks, as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.get._tables import make_table
from simplechrome_tk.tl.attribution._stored import select_known

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.get._tables import Groupby

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
        two marks do more together than the sum of what each does alone:
        ``f(both) - f(first) - f(second) + f(neither)``.

    Raises
    ------
    ValueError
        When there are no interactions, none of these genes has any, or ``groupby`` is not there or is missing for all.

    Examples
    --------
    >>> sct.tl.interactions(adata, model, genes="SIM0007", progress=False)
    >>> sct.get.interactions(adata, genes="SIM0007").columns.tolist()
    ['gene', 'symbol', 'first', 'second', 'effect']
    """
    slot = k.INTERACTIONS.format(key)
    if slot not in adata.obsm:
        msg = (
            f"obsm has no {slot!r} (found: {', '.join(adata.obsm) or 'none'}): run sct.tl.interactions(adata, model) "
            "first."
        )
        raise ValueError(msg)
    stored = adata.obsm[slot]
    pairs = _read_pairs(stored, slot)
    rows = gene_rows(adata, genes)
    values = stored.to_numpy(float)
    fix = f"run sct.tl.interactions(adata, model, genes=..., key_added={key!r}) for them"
    rows = select_known(adata, rows, values[rows], "interactions", fix=fix)
    return make_table(adata, rows, pd.DataFrame(pairs, columns=["first", "second"]), values[rows], groupby)


def _read_pairs(stored: object, slot: str) -> list[list[str]]:
    """Return the two marks of each column of the table in ``obsm``."""
    found = type(stored).__name__
    if isinstance(stored, pd.DataFrame):
        names = list(map(str, stored.columns))
        pairs = [[k.from_column(mark) for mark in name.split(_BETWEEN)] for name in names]
        if pairs and all(len(pair) == 2 for pair in pairs):
            return pairs
        found = ", ".join(names)
    msg = f"obsm[{slot!r}] is {found}; expected a DataFrame with columns such as 'H3K4me3 x H3K27me3'."
    raise ValueError(msg)
