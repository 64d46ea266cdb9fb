"""Tables of effects: one row for each gene, or one row for each group of genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_column, symbols
from simplechrome_tk.core.statistics import NORMAL_95

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import anndata as ad

    Groupby: TypeAlias = str | Sequence[str]

logger = logging.getLogger(__name__)

_SUMMARY = ("mean", "low", "high", "positive", "n")


def make_table(
    adata: ad.AnnData, rows: np.ndarray, items: pd.DataFrame, values: np.ndarray, groupby: Groupby | None
) -> pd.DataFrame:
    """List the value of each item, such as a mark, for each gene, or average it over groups of genes.

    Parameters
    ----------
    adata
        Genes.
    rows
        Row numbers of the genes to list, ``(n,)``.
    items
        One row for each item; its columns name it in the table.
    values
        ``(n, n_items)``.
    groupby
        ``None`` lists each gene; columns of ``obs`` make :func:`average_groups`.

    Returns
    -------
    pandas.DataFrame
        Gene by gene: ``gene`` (id), ``symbol``, the columns of ``items``, ``effect``; or as :func:`average_groups`.
    """
    if groupby is not None:
        return average_groups(adata, rows, items, values, groupby)
    # The items are repeated for each gene, and each gene for all items, in the order of values.ravel().
    table = items.iloc[np.tile(np.arange(len(items)), len(rows))].reset_index(drop=True)
    table.insert(0, "gene", np.repeat(adata.obs_names[rows].to_numpy(), len(items)))
    table.insert(1, "symbol", np.repeat(symbols(adata)[rows], len(items)))
    return table.assign(effect=values.ravel())


def average_groups(
    adata: ad.AnnData, rows: np.ndarray, items: pd.DataFrame, values: np.ndarray, groupby: Groupby
) -> pd.DataFrame:
    """Average the value of each item over groups of genes: ``mean low high positive n``; arguments as above."""
    names = [groupby] if isinstance(groupby, str) else list(groupby)
    _check_names(names, reserved={*items, *_SUMMARY})
    frame = pd.DataFrame({name: read_groups(adata, name).iloc[rows] for name in names})
    known = frame.notna().all(axis=1).to_numpy()
    if not known.any():
        msg = f"none of the {len(rows)} genes has a {' and '.join(names)}: {suggest_fix(names[0])}."
        raise ValueError(msg)
    if not known.all():
        logger.info("%d of %d genes have no %s and are left out.", (~known).sum(), len(rows), " and ".join(names))
    frame, values = frame[known].copy(), values[known]
    for name in names:
        frame[name] = frame[name].cat.remove_unused_categories()
    # Groups are numbered in the order of their categories; combinations without genes do not occur.
    grouped = frame.groupby(names, observed=True)
    number, groups = grouped.ngroup().to_numpy(), grouped.size().index.to_frame(index=False)
    parts = []
    for i in range(len(groups)):
        members = values[number == i]
        mean, half = average_genes(members)
        group = groups.iloc[np.full(len(items), i)].reset_index(drop=True)
        part = pd.concat([group, items.reset_index(drop=True)], axis=1)
        positive = (members > 0).mean(axis=0)
        parts.append(part.assign(mean=mean, low=mean - half, high=mean + half, positive=positive, n=len(members)))
    return pd.concat(parts, ignore_index=True)


def _check_names(names: Sequence[str], reserved: set[str]) -> None:
    """Raise ``ValueError`` where there is no name of a column, or one that the table uses itself."""
    if not names:
        msg = "groupby names no column; expected columns of obs; leave it out for one row per gene."
        raise ValueError(msg)
    taken = sorted(set(names) & reserved)
    if taken:
        msg = (
            f"groupby names {', '.join(taken)}; expected columns of obs, under other names than the table's own: "
            "rename the column of obs."
        )
        raise ValueError(msg)


def read_groups(adata: ad.AnnData, groupby: str) -> pd.Series:
    """Return a column of ``obs`` as a categorical."""
    return obs_column(adata, groupby, fix=suggest_fix(groupby)).astype("category")


def average_genes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over rows, and half its normal 95 % confidence interval; NaN for a single row."""
    n = len(values)
    mean = values.mean(axis=0, dtype=float)
    half = np.full_like(mean, np.nan)
    if n > 1:
        # Not values.std: it makes a copy in float64, which takes most of the time that a widget waits for.
        squares = np.einsum("ij,ij->j", values, values, dtype=float)
        half = NORMAL_95 * np.sqrt(np.maximum(squares - n * mean**2, 0) / (n - 1) / n)
    return mean, half


def suggest_fix(groupby: str) -> str:
    """Return the call that fixes a missing column of groups, for errors."""
    return "run sct.pp.label_expression(adata) first" if groupby == k.LABEL else "name one of them with groupby"
