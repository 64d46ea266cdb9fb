"""Effects of each mark, over all its bins or by region, as tidy tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.get._tables import average_groups, make_table
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects, select_attributed, sum_neighbor_effects

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.get._tables import Groupby

    Zone = tuple[str, float, float]

ALL_NEIGHBORS = "all neighbours"
"""In the place of a mark: the sum over all neighbours."""


def mark_effects(
    adata: ad.AnnData,
    *,
    key: str = k.ATTRIBUTION,
    genes: Genes = None,
    groupby: Groupby | None = None,
    by_region: bool = False,
    zones: Mapping[str, Zone] | None = None,
) -> pd.DataFrame:
    """Sum each mark's effect over all its bins or by region, for every gene or averaged over groups of genes.

    Parameters
    ----------
    adata
        Genes with the attributions that :func:`simplechrome_tk.tl.attribute` wrote.
    key
        Name of the attributions.
    genes
        Names in ``obs_names``, symbols, or a mask; ``None`` for all. Genes without attributions are left out and
        counted in the log.
    groupby
        Column of ``obs``, or several, to average by: ``"label"``, ``["cell_type", "label"]``, a clustering. Genes
        without a group are left out and counted in the log.
    by_region
        Sum over the bins of each region, and not over those of all regions.
    zones
        Stretches to sum over instead of whole regions: name to ``(region, start, end)``, in bp from the region's anchor
        along the gene, or in fractions of the body. A bin counts where ``start <= middle < end``.

    Returns
    -------
    pandas.DataFrame
        In the unit ``uns[key]["unit"]``. Without ``groupby`` one row for each gene and mark: ``gene`` (id), ``symbol``,
        ``mark``, ``effect``. With it one row for each group and mark: the columns of ``groupby``, ``mark``, ``mean``,
        ``low`` and ``high`` (normal 95 % confidence interval of the mean over genes; NaN for a group of one),
        ``positive`` (share of genes with an effect above 0) and ``n`` (genes). With ``by_region`` or ``zones`` a column
        ``region``, the name of the region or zone, stands before ``mark``.

    Raises
    ------
    ValueError
        When there are no attributions, none of these genes has any, ``groupby`` is not there or is missing for all, a
        zone's region is not there, or no bin's middle lies in a zone.

    Examples
    --------
    >>> sct.tl.attribute(adata, model, genes="SIM0007", progress=False)
    >>> sct.get.mark_effects(adata, genes="SIM0007")["mark"].tolist()
    ['H3K4me3', 'H3K4me1', 'H3K36me3', 'H3K27me3', 'H3K9me3']
    >>> zones = {"within 1 kb": ("tss", -1_000, 1_000), "3 to 5 kb upstream": ("tss", -5_000, -3_000)}
    >>> len(sct.get.mark_effects(adata, genes="SIM0007", zones=zones))
    10
    """
    rows = select_attributed(adata, key, genes)
    layout = Layout.of(adata)
    if zones is not None or by_region:
        items, columns = _columns_of_zones(layout, zones)
    else:
        items = pd.DataFrame({"mark": layout.marks})
        columns = [np.flatnonzero(layout.mark == mark) for mark in layout.marks]
    values = _sum_columns(dense(adata, key)[rows], columns)
    return make_table(adata, rows, items, values, groupby)


def mark_and_neighbor_effects(adata: ad.AnnData, *, key: str, genes: Genes, groupby: str) -> pd.DataFrame:
    """Return :func:`mark_effects` by group and, where neighbours have effects, rows for their sum."""
    table = mark_effects(adata, key=key, genes=genes, groupby=groupby)
    if not has_neighbor_effects(adata, key):
        return table
    rows = select_attributed(adata, key, genes)
    sums = sum_neighbor_effects(adata, key, rows)[:, None]
    neighbors = average_groups(adata, rows, pd.DataFrame({"mark": [ALL_NEIGHBORS]}), sums, groupby)
    return pd.concat([table, neighbors], ignore_index=True)


def _columns_of_zones(layout: Layout, zones: Mapping[str, Zone] | None) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Return region and mark of each sum over a zone, or over a whole region, and the columns to sum."""
    # A whole region is a zone without ends.
    if zones is None:
        zones = {name: (name, -np.inf, np.inf) for name in layout.regions}
    if not zones:
        msg = "zones is empty; expected a name and (region, start, end) for each, or None for whole regions."
        raise ValueError(msg)
    items, columns = [], []
    for name, zone in zones.items():
        inside = _find_bins(layout, name, zone)
        for mark in layout.marks:
            items.append((name, mark))
            columns.append(np.flatnonzero(inside & (layout.mark == mark)))
    return pd.DataFrame(items, columns=["region", "mark"]), columns


def _sum_columns(effects: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """Sum each set of columns, ``(n_genes, len(columns))``."""
    return np.stack([effects[:, numbers].sum(axis=1, dtype=float) for numbers in columns], axis=1)


def _find_bins(layout: Layout, name: str, zone: Zone) -> np.ndarray:
    """Return which columns lie in a zone, ``(n_columns,)``."""
    region, start, end = zone
    if region not in layout.regions:
        msg = f"zone {name!r} lies in region {region!r}; regions here: {', '.join(layout.regions)}."
        raise ValueError(msg)
    in_region = layout.region == region
    inside = in_region & (layout.middle >= start) & (layout.middle < end)
    if not inside.any():
        middle = layout.middle[in_region]
        msg = (
            f"zone {name!r}: no bin of region {region!r} has its middle from {start:g} to {end:g}; the middles are "
            f"from {middle.min():g} to {middle.max():g}."
        )
        raise ValueError(msg)
    return inside
