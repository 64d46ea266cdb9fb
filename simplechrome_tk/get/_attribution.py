"""What the tables of attributions share: reading the slots, one row per gene, one row per group."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_column, symbols

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import anndata as ad

    Groupby: TypeAlias = str | Sequence[str]

logger = logging.getLogger(__name__)

Z95 = 1.959963984540054


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
