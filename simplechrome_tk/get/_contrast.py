"""The change between two conditions as tables: by gene, by mark and region, and by gene set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, mannwhitneyu

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_ids, symbols
from simplechrome_tk.get._effects import mark_effects
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects, sum_neighbor_effects

if TYPE_CHECKING:
    from collections.abc import Iterable

    import anndata as ad

By = Literal["gene", "mark", "region", "set"]

COLUMNS = ("change", "average", "low", "high", "up", "down", "measured", "fdr")
"""Columns of ``obs`` that ``tl.contrast`` writes for every gene."""

_FEWEST = 3
"""Genes of a set below which it is not tested."""


def contrast(
    adata: ad.AnnData,
    *,
    by: By = "gene",
    sets: Mapping[str, Iterable[str]] | None = None,
    key: str = k.CONTRAST,
) -> pd.DataFrame:
    """List the change between two conditions by gene, by mark, by region, or by gene set.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.contrast`.
    by
        ``"gene"``: every gene. ``"mark"`` and ``"region"``: the effects of each mark, over all bins or by region, on
        the genes whose change was attributed. ``"set"``: each of ``sets``.
    sets
        Name of each set to its genes, ids or symbols.
    key
        Name of the contrast.

    Returns
    -------
    pandas.DataFrame
        ``"gene"``: ``gene``, ``symbol``, the columns of ``obs`` that :func:`simplechrome_tk.tl.contrast` describes
        (``change``, ``average``, ``low``, ``high``, ``up``, ``down``, ``measured``, ``fdr``; those that are unknown for
        all genes are left out), and for attributed genes ``strongest_mark`` and its ``effect``; largest predicted
        change first.
        ``"mark"``, ``"region"``: ``direction`` (``up`` or ``down``, the sign of the predicted change), ``mark`` (with
        related genes as a row of their own) and ``region``, ``n_genes``, mean ``effect``, and ``share_same_sign``, the
        share of genes in which the effect has the sign of the change. ``"set"``: ``set``, ``n_genes`` that are in the
        data, ``n_missing``, mean predicted ``change`` and mean ``measured`` change, ``p_value`` that genes of the set
        change otherwise than all others (Mann-Whitney test, two-sided) and its false discovery rate ``fdr`` (Benjamini
        and Hochberg); NaN for sets of fewer than three genes. The test takes genes as independent, which neighbouring
        and co-expressed genes are not.

    Raises
    ------
    ValueError
        When there is no contrast, no gene was attributed for ``"mark"`` and ``"region"``, or sets are missing.

    Examples
    --------
    >>> sct.get.contrast(both, by="mark")  # doctest: +SKIP
    """
    if by not in get_args(By):
        msg = f"by is {by!r}; choose one of {', '.join(get_args(By))}."
        raise ValueError(msg)
    read_contrast(adata, key)
    if by == "set":
        return _by_set(_by_gene(adata, key), sets, pd.Series(gene_ids(adata), index=adata.obs_names))
    return _by_gene(adata, key) if by == "gene" else _by_mark(adata, key, by_region=by == "region")


def read_contrast(adata: ad.AnnData, key: str) -> Mapping[str, Any]:
    """Return the record that ``tl.contrast`` wrote, or raise a ``ValueError`` if it has not run."""
    record = adata.uns.get(key)
    if not isinstance(record, Mapping) or "against" not in record or f"{key}_change" not in adata.obs:
        msg = f"no contrast {key!r}: run sct.tl.contrast(adata, model, of=..., against=...) first."
        raise ValueError(msg)
    return record


def _by_gene(adata: ad.AnnData, key: str) -> pd.DataFrame:
    """Return a row for each gene of the contrast."""
    rows = np.flatnonzero(adata.obs[f"{key}_change"].notna())
    table = pd.DataFrame({"gene": adata.obs_names[rows], "symbol": symbols(adata)[rows]})
    for name in COLUMNS:
        values = adata.obs[f"{key}_{name}"].to_numpy(float)[rows]
        if not np.isnan(values).all():
            table[name] = values
    if adata.obs[k.TOTAL_EFFECT.format(key)].notna().any():
        effects = mark_effects(adata, key=key)
        largest_first = effects.sort_values("effect", key=lambda values: -values.abs(), kind="stable")
        strongest = (
            largest_first.drop_duplicates("gene")
            .set_index("gene")[["mark", "effect"]]
            .rename(columns={"mark": "strongest_mark"})
        )
        table = table.join(strongest, on="gene")
    return table.sort_values("change", key=lambda values: -values.abs(), kind="stable", ignore_index=True)


def _by_mark(adata: ad.AnnData, key: str, *, by_region: bool) -> pd.DataFrame:
    """Return the mean effects of each mark on genes that go up and that go down."""
    effects = mark_effects(adata, key=key, by_region=by_region)
    total = adata.obs[k.TOTAL_EFFECT.format(key)]
    if has_neighbor_effects(adata, key):
        rows = np.flatnonzero(total.notna())
        of_related = pd.DataFrame({"gene": adata.obs_names[rows], "effect": sum_neighbor_effects(adata, key, rows)})
        effects = pd.concat([effects, of_related.assign(mark="related genes", region="")], ignore_index=True)
    # A gene that does not change goes neither up nor down.
    effects = effects[(total.loc[effects["gene"]] != 0).to_numpy()]
    sign = np.sign(total.loc[effects["gene"]].to_numpy())
    effects = effects.copy()
    effects["direction"] = np.where(sign > 0, "up", "down")
    effects["share_same_sign"] = np.sign(effects["effect"]) == sign
    groups = effects.groupby(["direction", "mark", *(["region"] if by_region else [])], sort=False)
    table = groups.agg(
        n_genes=("gene", "nunique"), effect=("effect", "mean"), share_same_sign=("share_same_sign", "mean")
    )
    return table.reset_index().sort_values("direction", ascending=False, kind="stable", ignore_index=True)


def _by_set(table: pd.DataFrame, sets: Mapping[str, Iterable[str]] | None, ids: pd.Series) -> pd.DataFrame:
    """Return a row for each gene set; ``ids`` holds the id of each row of the data."""
    if not sets:
        msg = "sets is empty; expected {'name': ['gene', ...], ...} with by='set'."
        raise ValueError(msg)
    id_of_gene = ids.loc[table["gene"]].to_numpy()
    rows = []
    for name, genes in sets.items():
        if isinstance(genes, str):
            msg = f"the set {name!r} is {genes!r}; expected a list of genes."
            raise ValueError(msg)
        wanted = set(genes)
        inside = table["symbol"].isin(wanted).to_numpy() | np.isin(id_of_gene, list(wanted))
        # A symbol can name several genes, so that the names are counted, and not the genes.
        n_missing = len(wanted - set(table["symbol"]) - set(id_of_gene))
        row = {"set": name, "n_genes": int(inside.sum()), "n_missing": n_missing}
        for column in ("change", "measured"):
            if column in table:
                row[column] = table.loc[inside, column].mean()
        tested = inside.sum() >= _FEWEST and (~inside).sum() >= _FEWEST
        parts = (table.loc[inside, "change"], table.loc[~inside, "change"])
        row["p_value"] = mannwhitneyu(*parts).pvalue if tested else np.nan
        rows.append(row)
    found = pd.DataFrame(rows)
    known = found["p_value"].notna()
    found["fdr"] = np.nan
    if known.any():
        found.loc[known, "fdr"] = false_discovery_control(found.loc[known, "p_value"])
    return found.sort_values("p_value", kind="stable", ignore_index=True)
