"""Genes with the strongest effect of a mark, a region or the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import symbols
from simplechrome_tk.get._tables import read_groups
from simplechrome_tk.tl.attribution._stored import select_attributed, sum_neighbor_effects

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
        A mark (all its bins), a region (all its marks) or ``"neighbors"`` (all marks of all neighbours).
    key
        Name of the attributions.
    n
        Number of genes to list, in each group if there are groups.
    sign
        ``"both"``: the largest effects of either sign; ``"up"`` or ``"down"``: only effects above or below 0.
    groupby
        Column of ``obs``: list the genes of each of its groups.

    Returns
    -------
    pandas.DataFrame
        The strongest first, groups in the order of ``obs``: ``groupby`` if there is one, ``gene`` (id), ``symbol``, the
        columns ``chrom``, ``expression`` and ``label`` of ``obs`` that are there, and ``effect`` with its sign, in the
        unit ``uns[key]["unit"]``.

    Raises
    ------
    ValueError
        When there are no attributions, ``by`` is neither a mark nor a region nor ``"neighbors"``, ``n`` is below 1,
        ``sign`` is unknown, or ``groupby`` is not there.

    Examples
    --------
    >>> sct.tl.attribute(adata, model, genes=adata.obs_names[:9], progress=False)
    >>> len(sct.get.top_genes(adata, "H3K4me3", n=3))
    3
    """
    if n < 1:
        msg = f"n is {n}; expected 1 or more."
        raise ValueError(msg)
    if sign not in get_args(Sign):
        msg = f"sign is {sign!r}; choose one of {', '.join(get_args(Sign))}."
        raise ValueError(msg)
    rows = select_attributed(adata, key, None)
    effect = _sum_effects(adata, by, key, rows)
    table = pd.DataFrame({"gene": adata.obs_names[rows], "symbol": symbols(adata)[rows]})
    for column in (k.CHROM, k.EXPRESSION, k.LABEL):
        if column in adata.obs:
            table[column] = adata.obs[column].to_numpy()[rows]
    table["effect"] = effect
    # The column of groups comes first, even if it is one of those above.
    if groupby is not None:
        group = read_groups(adata, groupby).iloc[rows].reset_index(drop=True)
        table = table.drop(columns=groupby, errors="ignore")
        table.insert(0, groupby, group)
    wanted = {"both": effect != 0, "up": effect > 0, "down": effect < 0}[sign]
    table = table[wanted].sort_values("effect", key=lambda effects: -effects.abs(), kind="stable")
    # A stable sort by group keeps the strongest genes of each group first.
    if groupby is not None:
        table = table[table[groupby].notna()].sort_values(groupby, kind="stable")
        return table.groupby(groupby, observed=True, sort=False).head(n).reset_index(drop=True)
    return table.head(n).reset_index(drop=True)


def _sum_effects(adata: ad.AnnData, by: str, key: str, rows: np.ndarray) -> np.ndarray:
    """Return the summed effect on each gene, ``(len(rows),)``."""
    if by == NEIGHBORS:
        return sum_neighbor_effects(adata, key, rows)
    layout = Layout.of(adata)
    if by not in layout.marks and by not in layout.regions:
        msg = (
            f"by is {by!r}; expected a mark ({', '.join(layout.marks)}), a region ({', '.join(layout.regions)}) or "
            f"{NEIGHBORS!r}."
        )
        raise ValueError(msg)
    columns = (layout.mark if by in layout.marks else layout.region) == by
    return dense(adata, key)[np.ix_(rows, np.flatnonzero(columns))].sum(axis=1, dtype=float)
