"""The genes on which a mark, a region or the neighbours act most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import symbols
from simplechrome_tk.get._attribution import categories
from simplechrome_tk.tl.attribution._stored import attributed_rows, neighbor_sums

if TYPE_CHECKING:
    import anndata as ad

NEIGHBORS = "neighbors"
Sign = Literal["both", "up", "down"]


def top_genes(
    adata: ad.AnnData,
    by: str,
    *,
    key: str = k.ATTRIBUTION,
    n: int = 10,
    sign: Sign = "both",
    groupby: str | None = None,
) -> pd.DataFrame:
    """List the genes with the strongest effect of a mark, of a region, or of all neighbours.

    Parameters
    ----------
    adata
        Genes with the attributions that :func:`simplechrome_tk.tl.attribute` wrote.
    by
        What acts: a mark (all its bins), a region (all its marks) or ``"neighbors"`` (all marks of all neighbours).
    key
        Name of the attributions.
    n
        Genes to list, of each group where there are groups; fewer where there are not as many.
    sign
        ``"both"``: largest in size, whatever the sign; ``"up"`` or ``"down"``: effects above or below 0 alone.
    groupby
        Column of ``obs``: list the genes of each of its groups.

    Returns
    -------
    pandas.DataFrame
        Strongest first, groups in the order of ``obs``: ``groupby`` where there is one, ``gene`` (id), ``symbol``, of
        ``obs`` ``chrom``, ``expression`` and ``label`` as far as they are there, and ``effect`` with its sign, in the
        unit ``uns[key]["unit"]``.

    Raises
    ------
    ValueError
        When there are no attributions, ``by`` is neither a mark nor a region nor ``"neighbors"``, ``n`` is below 1,
        ``sign`` is unknown, or ``groupby`` is not there.
    """
    if n < 1:
        msg = f"n is {n}; expected 1 or more."
        raise ValueError(msg)
    if sign not in get_args(Sign):
        msg = f"sign is {sign!r}; choose one of {', '.join(get_args(Sign))}."
        raise ValueError(msg)
    rows = attributed_rows(adata, key, None)
    effect = _effect(adata, by, key, rows)
    table = pd.DataFrame({"gene": adata.obs_names[rows], "symbol": symbols(adata)[rows]})
    for column in (k.CHROM, k.EXPRESSION, k.LABEL):
        if column in adata.obs:
            table[column] = adata.obs[column].to_numpy()[rows]
    table["effect"] = effect
    if groupby is not None:
        group = categories(adata, groupby).iloc[rows].reset_index(drop=True)
        table = table.drop(columns=groupby, errors="ignore")
        table.insert(0, groupby, group)
    wanted = {"both": effect != 0, "up": effect > 0, "down": effect < 0}[sign]
    table = table[wanted].sort_values("effect", key=lambda effects: -effects.abs(), kind="stable")
    if groupby is not None:
        table = table[table[groupby].notna()].sort_values(groupby, kind="stable")
        return table.groupby(groupby, observed=True, sort=False).head(n).reset_index(drop=True)
    return table.head(n).reset_index(drop=True)


def _effect(adata: ad.AnnData, by: str, key: str, rows: np.ndarray) -> np.ndarray:
    """Return the summed effect on each gene, shape ``(len(rows),)``."""
    if by == NEIGHBORS:
        return neighbor_sums(adata, key, rows)
    table = blocks(adata)
    found = list(table["mark"].unique()), list(table["region"].unique())
    if by not in found[0] and by not in found[1]:
        msg = (
            f"by is {by!r}; expected a mark ({', '.join(found[0])}), a region ({', '.join(found[1])}) or {NEIGHBORS!r}."
        )
        raise ValueError(msg)
    columns = (adata.var[k.MARK if by in found[0] else k.REGION].astype(str) == by).to_numpy()
    return dense(adata, key)[np.ix_(rows, np.flatnonzero(columns))].sum(axis=1, dtype=float)
