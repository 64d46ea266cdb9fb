"""What each mark does, in all and by region, as tidy tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.get._attribution import per_gene, per_group
from simplechrome_tk.tl.attribution._stored import attributed_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.get._attribution import Groupby


def mark_effects(
    adata: ad.AnnData, *, key: str = k.ATTRIBUTION, genes: Genes = None, groupby: Groupby | None = None
) -> pd.DataFrame:
    """Sum each mark's effect over all its bins, for every gene or averaged over groups of genes.

    Parameters
    ----------
    adata
        Genes with the attributions that :func:`simplechrome_tk.tl.attribute` wrote.
    key
        Name of the attributions.
    genes
        Names in ``obs_names``, symbols, or a mask; ``None`` for all. Those without attributions are left out and
        counted in the log.
    groupby
        Column of ``obs``, or several, to average by: ``"label"``, ``["cell_type", "label"]``, a clustering. Genes
        without a group are left out and counted in the log.

    Returns
    -------
    pandas.DataFrame
        In the unit ``uns[key]["unit"]``. Without ``groupby`` one row per gene and mark: ``gene`` (id), ``symbol``,
        ``mark``, ``effect``. With it one row per group and mark: the columns asked for, ``mark``, ``mean``, ``low`` and
        ``high`` (normal 95 % confidence interval of the mean over genes; NaN for a group of one), ``positive`` (share
        of genes with an effect above 0) and ``n`` (genes).

    Raises
    ------
    ValueError
        When there are no attributions, none of these genes has any, or ``groupby`` is not there or is missing for all.
    """
    rows = attributed_rows(adata, key, genes)
    table = blocks(adata)
    marks = list(table["mark"].unique())
    values = _sums(dense(adata, key)[rows], [_columns(table[table["mark"] == mark]) for mark in marks])
    return _tidy(adata, rows, pd.DataFrame({"mark": marks}), values, groupby)


def region_effects(
    adata: ad.AnnData,
    *,
    key: str = k.ATTRIBUTION,
    genes: Genes = None,
    groupby: Groupby | None = None,
    zones: Mapping[str, tuple[str, float, float]] | None = None,
) -> pd.DataFrame:
    """Sum each mark's effect over the bins of each region, for every gene or averaged over groups of genes.

    Parameters
    ----------
    adata, key, genes, groupby
        As for :func:`mark_effects`.
    zones
        Stretches to sum over instead of whole regions: name to ``(region, start, end)``, in bp from the region's anchor
        along the gene, or in fractions of the body. A bin counts where ``start <= middle < end``.

    Returns
    -------
    pandas.DataFrame
        As :func:`mark_effects`, with a column ``region``, which holds the name of the region or zone, before ``mark``.

    Raises
    ------
    ValueError
        When a zone's region is not there or no bin's middle lies in a zone, or as :func:`mark_effects`.

    Examples
    --------
    >>> zones = {"within 1 kb": ("tss", -1_000, 1_000), "3 to 5 kb upstream": ("tss", -5_000, -3_000)}
    >>> sct.get.region_effects(adata, groupby="label", zones=zones)  # doctest: +SKIP
    """
    rows = attributed_rows(adata, key, genes)
    table = blocks(adata)
    whole = {name: (name, -np.inf, np.inf) for name in table["region"].unique()}
    places: list[tuple[str, str]] = []
    columns: list[np.ndarray] = []
    for name, zone in (whole if zones is None else zones).items():
        for mark, at in _zone(adata, table, name, zone).items():
            places.append((name, mark))
            columns.append(at)
    if not places:
        msg = "zones is empty; expected a name and (region, start, end) for each, or None for whole regions."
        raise ValueError(msg)
    values = _sums(dense(adata, key)[rows], columns)
    return _tidy(adata, rows, pd.DataFrame(places, columns=["region", "mark"]), values, groupby)


def _tidy(
    adata: ad.AnnData, rows: np.ndarray, things: pd.DataFrame, values: np.ndarray, groupby: Groupby | None
) -> pd.DataFrame:
    if groupby is None:
        return per_gene(adata, rows, things, values)
    return per_group(adata, rows, things, values, groupby)


def _sums(effects: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """Sum each set of columns, shape ``(n_genes, len(columns))``."""
    return np.stack([effects[:, at].sum(axis=1, dtype=float) for at in columns], axis=1)


def _columns(table: pd.DataFrame) -> np.ndarray:
    """Return the numbers of the columns of some blocks."""
    return np.concatenate([np.arange(start, stop) for start, stop in zip(table["start"], table["stop"], strict=True)])


def _zone(adata: ad.AnnData, table: pd.DataFrame, name: str, zone: tuple[str, float, float]) -> dict[str, np.ndarray]:
    """Return the numbers of each mark's columns in a zone."""
    region, start, end = zone
    inside = table[table["region"] == region]
    if not len(inside):
        msg = f"zone {name!r} lies in region {region!r}; regions here: {', '.join(table['region'].unique())}."
        raise ValueError(msg)
    middle = (adata.var[k.START_BP] + adata.var[k.END_BP]).to_numpy(float) / 2
    chosen = {}
    for mark, block in zip(inside["mark"], inside.index, strict=True):
        at = _columns(table.loc[[block]])
        chosen[str(mark)] = at[(middle[at] >= start) & (middle[at] < end)]
        if not len(chosen[str(mark)]):
            msg = (
                f"zone {name!r}: no bin of region {region!r} has its middle from {start:g} to {end:g}; its middles run "
                f"from {middle[at].min():g} to {middle[at].max():g}."
            )
            raise ValueError(msg)
    return chosen
