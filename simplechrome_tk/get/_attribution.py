"""What the tables of attributions share: reading the slots, one row per gene, one row per group."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk import _keys as k
from simplechrome_tk._matrix import dense
from simplechrome_tk._require import gene_rows, obs_column, symbols

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import anndata as ad

    Genes: TypeAlias = str | Sequence[str] | np.ndarray | pd.Series | None
    Groupby: TypeAlias = str | Sequence[str]

logger = logging.getLogger(__name__)

_RECORDED = ("method", "target", "unit", "baseline", "n_steps", "neighbors_key")
Z95 = 1.959963984540054


def record(adata: ad.AnnData, key: str) -> Mapping[str, object]:
    """Return what ``tl.attribute`` wrote down of itself, or raise a ``ValueError`` where it has not run."""
    if key not in adata.uns or key not in adata.layers:
        others = [name for name in adata.layers if name in adata.uns and "target" in adata.uns[name]]
        found = f"those found: {', '.join(others)}; name one of them with key" if others else "none found"
        msg = f"no attributions {key!r} ({found}): run sct.tl.attribute(model, adata) first."
        raise ValueError(msg)
    found = adata.uns[key]
    missing = [name for name in _RECORDED if not isinstance(found, Mapping) or name not in found]
    if missing:
        msg = (
            f"uns[{key!r}] has no {', '.join(map(repr, missing))}, which sct.tl.attribute writes: run "
            f"sct.tl.attribute(model, adata, key_added={key!r}) again."
        )
        raise ValueError(msg)
    return found


def attributed_rows(adata: ad.AnnData, key: str, genes: Genes) -> np.ndarray:
    """Return row numbers of those of ``genes`` that have attributions, in the order asked for; log the others."""
    record(adata, key)
    rows = gene_rows(adata, genes)
    return known_rows(adata, rows, dense(adata, key)[rows], f"attributions {key!r}", "attribute")


def known_rows(adata: ad.AnnData, rows: np.ndarray, values: np.ndarray, what: str, source: str) -> np.ndarray:
    """Return those of ``rows`` whose ``values`` ``(len(rows), n)`` hold no NaN; log the others, raise without any."""
    known = ~np.isnan(values).any(axis=1)
    if not known.any():
        msg = (
            f"none of the {len(rows)} genes asked for, such as {symbols(adata)[rows[0]]}, has {what}: run "
            f"sct.tl.{source}(model, adata, genes=...) for them."
        )
        raise ValueError(msg)
    if not known.all():
        logger.info(
            "%s: there for %d of %d genes; those without are left out.", what.capitalize(), known.sum(), len(rows)
        )
    return rows[known]


def neighbor_matrix(adata: ad.AnnData, key: str) -> sparse.csr_matrix:
    """Return the effects of neighbours, row = gene, column = neighbour."""
    slot = k.NEIGHBOR_EFFECTS.format(key)
    graph = record(adata, key)["neighbors_key"]
    if not graph or slot not in adata.obsp:
        found = "are of a model without neighbours" if not graph else f"lack obsp[{slot!r}]"
        msg = (
            f"attributions {key!r} {found}: train with SimpleChrome(adata, neighbors_key='tss') and run "
            "sct.tl.attribute(model, adata) with neighbors=True."
        )
        raise ValueError(msg)
    return sparse.csr_matrix(adata.obsp[slot])


def has_neighbors(adata: ad.AnnData, key: str) -> bool:
    """Whether there are effects of neighbours."""
    return bool(record(adata, key)["neighbors_key"]) and k.NEIGHBOR_EFFECTS.format(key) in adata.obsp


def neighbor_sums(adata: ad.AnnData, key: str, rows: np.ndarray) -> np.ndarray:
    """Return the summed effect of all neighbours of each gene, shape ``(len(rows),)``."""
    return np.asarray(neighbor_matrix(adata, key)[rows].sum(axis=1), dtype=float).ravel()


def per_gene(adata: ad.AnnData, rows: np.ndarray, things: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return one row per gene and thing: id, symbol, the columns of ``things``, ``effect``; gene by gene.

    ``values`` is ``(len(rows), len(things))``.
    """
    repeated = things.iloc[np.tile(np.arange(len(things)), len(rows))].reset_index(drop=True)
    repeated.insert(0, "gene", np.repeat(adata.obs_names[rows].to_numpy(), len(things)))
    repeated.insert(1, "symbol", np.repeat(symbols(adata)[rows], len(things)))
    return repeated.assign(effect=values.ravel())


def per_group(
    adata: ad.AnnData, rows: np.ndarray, things: pd.DataFrame, values: np.ndarray, groupby: Groupby
) -> pd.DataFrame:
    """Return one row per group and thing: ``mean low high positive n`` over the genes of the group."""
    names = [groupby] if isinstance(groupby, str) else list(groupby)
    taken = sorted(set(names) & {*things, "mean", "low", "high", "positive", "n"})
    if taken or not names:
        msg = f"groupby names {', '.join(taken) or 'no column'}; expected columns of obs" + (
            ", under other names than the table's own." if taken else "; leave it out for one row per gene."
        )
        raise ValueError(msg)
    frame = pd.DataFrame({name: categories(adata, name).iloc[rows] for name in names})
    known = frame.notna().all(axis=1).to_numpy()
    if not known.any():
        msg = f"none of the {len(rows)} genes has a {' and '.join(names)}: {fix_groups(names[0])}."
        raise ValueError(msg)
    if not known.all():
        logger.info("%d of %d genes have no %s and are left out.", (~known).sum(), len(rows), " and ".join(names))
    frame, values = frame[known].copy(), values[known]
    for name in names:
        frame[name] = frame[name].cat.remove_unused_categories()
    grouped = frame.groupby(names, observed=True)
    number, found = grouped.ngroup().to_numpy(), grouped.size().index.to_frame(index=False)
    parts = []
    for i in range(len(found)):
        members = values[number == i]
        mean, half = mean_interval(members)
        head = found.iloc[np.full(len(things), i)].reset_index(drop=True)
        part = pd.concat([head, things.reset_index(drop=True)], axis=1)
        positive = (members > 0).mean(axis=0)
        parts.append(part.assign(mean=mean, low=mean - half, high=mean + half, positive=positive, n=len(members)))
    return pd.concat(parts, ignore_index=True)


def categories(adata: ad.AnnData, groupby: str) -> pd.Series:
    """Return a column of ``obs`` as a categorical."""
    return obs_column(adata, groupby, fix=fix_groups(groupby)).astype("category")


def mean_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over rows, and half its normal 95 % confidence interval; NaN for a single row."""
    n = len(values)
    mean = values.mean(axis=0, dtype=float)
    half = np.full_like(mean, np.nan)
    if n > 1:
        # not values.std: it makes a copy in float64, which takes most of the time that a widget waits for
        squares = np.einsum("ij,ij->j", values, values, dtype=float)
        half = Z95 * np.sqrt(np.maximum(squares - n * mean**2, 0) / (n - 1) / n)
    return mean, half


def fix_groups(groupby: str) -> str:
    """Say what mends a missing column of groups."""
    return "run sct.pp.label_expression(adata) first" if groupby == k.LABEL else "name one of them with groupby"
