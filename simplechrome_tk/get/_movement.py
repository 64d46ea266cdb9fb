"""Differences between two cell types: how far genes move in the latent space, and between which states."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import cell_type_key, gene_ids, held_out, obs_column
from simplechrome_tk.model._latents import latents

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)


def movement(
    adata: ad.AnnData,
    first: str,
    second: str,
    *,
    splits: Sequence[str] | None = ("test",),
    state_key: str = k.STATE,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
    key: str | None = k.EMBEDDING,
) -> pd.DataFrame:
    """Measure how far each held-out gene moves in the latent space from one cell type to another.

    Latents that were trained on the expression of a gene move with its expression by construction. Held-out genes show
    whether distance goes with a change of expression; ``splits=None`` lists all genes.

    Parameters
    ----------
    adata
        Several cell types (:func:`simplechrome_tk.pp.stack_cell_types`) with a joint map
        (:func:`simplechrome_tk.tl.embed`).
    first, second
        Cell types in ``obs["cell_type"]``, or samples in ``obs["sample"]`` where there is this column.
    splits
        Splits whose genes are compared, ``None`` for all genes. With the default and no column of splits, all genes are
        compared, and the log says so.
    state_key
        Column of ``obs`` with chromatin states (:func:`simplechrome_tk.tl.name_states`) or clusters.
    expression_key
        Column of ``obs`` with the expression.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``.
    key
        ``key_added`` of the map whose latents are read.

    Returns
    -------
    pandas.DataFrame
        One row for each gene of the splits that both cell types have, furthest first, indexed by its id: ``symbol``,
        ``distance``, ``relative`` (the distance over the median distance between *different* genes of the two cell
        types), ``from_state`` and ``to_state``, ``from_log_expression``, ``to_log_expression`` and
        ``log_expression_change``, their difference. The log counts genes that only one of the cell types has.
        ``pandas.crosstab(table["from_state"], table["to_state"])`` counts the changes of state.

    Raises
    ------
    ValueError
        When a cell type is unknown, both are the same, no gene of the splits is in both, or the latents or states are
        missing.
    """
    fix = "stack cell types with sct.pp.stack_cell_types"
    cells = obs_column(adata, cell_type_key(adata) or k.CELL_TYPE, fix=fix).astype(str).to_numpy()
    unknown = [name for name in (first, second) if name not in set(cells)]
    if unknown or first == second:
        msg = f"cell types are {first!r} and {second!r}; expected two of {', '.join(dict.fromkeys(cells))}."
        raise ValueError(msg)
    values = latents(adata, k.MapKeys.of(key).latent)
    state = obs_column(adata, state_key, fix="run sct.tl.name_states(adata) first, or name a column with state_key")
    expression = expression_truth(adata, expression_key)
    in_splits = held_out(adata, splits, split_key)
    genes, a, b = _match_genes(gene_ids(adata), {name: in_splits & (cells == name) for name in (first, second)})
    if not len(genes):
        raise ValueError(_no_gene_in_common(adata, first, second, splits, split_key))
    distance = np.linalg.norm(values[a] - values[b], axis=1)
    # Each gene is compared with the gene half a list further on, which is another gene wherever there are two.
    others = np.linalg.norm(values[a] - np.roll(values[b], max(1, len(b) // 2), axis=0), axis=1)
    typical = float(np.median(others)) if len(b) > 1 else np.nan
    table = pd.DataFrame(
        {
            k.SYMBOL: adata.obs[k.SYMBOL].to_numpy()[a] if k.SYMBOL in adata.obs else np.asarray(genes),
            "distance": distance,
            "relative": distance / typical,
            "from_state": state.iloc[a].to_numpy(),
            "to_state": state.iloc[b].to_numpy(),
            "from_log_expression": expression[a],
            "to_log_expression": expression[b],
            "log_expression_change": expression[b] - expression[a],
        },
        index=pd.Index(genes, name="gene"),
    )
    return table.sort_values("distance", ascending=False, kind="stable")


def state_changes(adata: ad.AnnData, first: str, second: str, **settings: Any) -> pd.DataFrame:
    """Count the held-out genes that change from each chromatin state in one cell type to each state in another.

    Parameters
    ----------
    adata, first, second
        As for :func:`movement`.
    **settings
        The other arguments of :func:`movement`, such as ``splits`` and ``state_key``.

    Returns
    -------
    pandas.DataFrame
        One row for each pair of states that some gene has, the most frequent change first: ``from_state``,
        ``to_state``, ``n`` genes, ``share`` (of the genes of ``from_state``), ``log_expression_change`` (their
        median) and ``changed`` (whether the states differ).

    Raises
    ------
    ValueError
        As :func:`movement`.
    """
    genes = movement(adata, first, second, **settings)
    pairs = genes.astype({"from_state": str, "to_state": str}).groupby(["from_state", "to_state"])
    changes = pairs["log_expression_change"]
    table = pd.DataFrame({"n": changes.size(), "log_expression_change": changes.median()}).reset_index()
    table["share"] = table["n"] / table.groupby("from_state")["n"].transform("sum")
    table["changed"] = table["from_state"] != table["to_state"]
    columns = ["from_state", "to_state", "n", "share", "log_expression_change", "changed"]
    return table.sort_values(["changed", "n"], ascending=False, kind="stable", ignore_index=True)[columns]


def _match_genes(ids: pd.Index, masks: dict[str, np.ndarray]) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    """Return the ids of the genes that both cell types have, and their rows in the first and the second."""
    rows = {name: pd.Series(np.flatnonzero(mask), index=ids[mask]) for name, mask in masks.items()}
    repeated = [name for name, found in rows.items() if found.index.has_duplicates]
    if repeated:
        msg = f"{', '.join(repeated)}: ids of genes repeat; expected each gene once in a cell type."
        raise ValueError(msg)
    first, second = rows.values()
    shared = first.index.intersection(second.index)
    n_left_out = len(first) + len(second) - 2 * len(shared)
    if n_left_out and len(shared):
        logger.info("%d genes are in one of %s only and left out.", n_left_out, " and ".join(rows))
    return shared, first[shared].to_numpy(), second[shared].to_numpy()


def _no_gene_in_common(adata: ad.AnnData, first: str, second: str, splits: Sequence[str] | None, split_key: str) -> str:
    example = gene_ids(adata)[0]
    if splits is None or split_key not in adata.obs:
        return f"{first} and {second} have no gene in common (such as {example!r}); expected the same gene ids."
    names = splits if isinstance(splits, str) else ", ".join(splits)
    return (
        f"{first} and {second} have no gene in common among those of the splits {names} (such as {example!r}); "
        "expected the same gene ids, or take all genes with splits=None."
    )
