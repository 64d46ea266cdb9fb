"""How genes differ between two cell types: how far they move, from which state to which."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import gene_ids, held_out, obs_column
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
) -> pd.DataFrame:
    """Tell how far each held-out gene moves in the latent from one cell type to another.

    A latent that was trained on the expression of a gene moves with it by construction. Whether distance goes with a
    change of expression is therefore asked of genes that were held out; ``splits=None`` lists all genes.

    Parameters
    ----------
    adata
        Several cell types (:func:`simplechrome_tk.pp.stack_cell_types`) after :func:`simplechrome_tk.tl.embed`.
    first, second
        Cell types in ``obs["cell_type"]``.
    splits
        Splits whose genes are compared, ``None`` for all genes. With the default and no column of splits, all genes are
        taken, and the log says so.
    state_key
        Column of ``obs`` with chromatin states (:func:`simplechrome_tk.tl.name_states`) or clusters.
    expression_key
        Column of ``obs`` with the expression.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``.

    Returns
    -------
    pandas.DataFrame
        One row per gene of the splits that both have, furthest first, indexed by its id: ``symbol``, ``distance``,
        ``relative`` (the distance over the median distance between *different* genes of the two cell types),
        ``from_state`` and ``to_state``, ``from_expression`` and ``to_expression`` (logarithms) and ``change``, their
        difference. Genes that one of the two lacks are counted in the log.

    Raises
    ------
    ValueError
        When a cell type is unknown, both are the same, no gene of the splits is in both, or the latents or states are
        missing.
    """
    fix = "stack cell types with sct.pp.stack_cell_types"
    cells = obs_column(adata, k.CELL_TYPE, fix=fix).astype(str).to_numpy()
    wrong = [name for name in (first, second) if name not in set(cells)]
    if wrong or first == second:
        msg = f"asked for {first!r} and {second!r}; expected two of {', '.join(dict.fromkeys(cells))}."
        raise ValueError(msg)
    values = latents(adata)
    state = obs_column(adata, state_key, fix="run sct.tl.name_states(adata) first, or name a column with state_key")
    expression = expression_truth(adata, expression_key)
    ids = gene_ids(adata)
    kept = {name: held_out(adata, splits, split_key) & (cells == name) for name in (first, second)}
    rows = {name: pd.Series(np.flatnonzero(kept[name]), index=ids[kept[name]]) for name in kept}
    doubled = [name for name, found in rows.items() if found.index.has_duplicates]
    if doubled:
        msg = f"{', '.join(doubled)}: ids of genes repeat; expected each gene once in a cell type."
        raise ValueError(msg)
    shared = rows[first].index.intersection(rows[second].index)
    if not len(shared):
        asked = splits if isinstance(splits, str) else ", ".join(splits or [])
        where = f" among those of the splits {asked}" if asked and split_key in adata.obs else ""
        msg = f"{first} and {second} have no gene in common{where} (such as {ids[0]!r}); expected the same gene ids" + (
            ", or take all genes with splits=None." if where else "."
        )
        raise ValueError(msg)
    left_out = sum(len(found) - len(shared) for found in rows.values())
    if left_out:
        logger.info("%d genes are in one of %s and %s only and left out.", left_out, first, second)
    a, b = rows[first][shared].to_numpy(), rows[second][shared].to_numpy()
    distance = np.linalg.norm(values[a] - values[b], axis=1)
    others = np.linalg.norm(values[a] - np.roll(values[b], max(1, len(b) // 2), axis=0), axis=1)
    usual = float(np.median(others)) if len(b) > 1 else np.nan
    table = pd.DataFrame(
        {
            k.SYMBOL: adata.obs[k.SYMBOL].to_numpy()[a] if k.SYMBOL in adata.obs else np.asarray(shared),
            "distance": distance,
            "relative": distance / usual,
            "from_state": state.iloc[a].to_numpy(),
            "to_state": state.iloc[b].to_numpy(),
            "from_expression": expression[a],
            "to_expression": expression[b],
            "change": expression[b] - expression[a],
        },
        index=pd.Index(shared, name="gene"),
    )
    return table.sort_values("distance", ascending=False, kind="stable")


def state_changes(
    adata: ad.AnnData,
    first: str,
    second: str,
    *,
    splits: Sequence[str] | None = ("test",),
    state_key: str = k.STATE,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
) -> pd.DataFrame:
    """Count the held-out genes that go from each chromatin state in one cell type to each in another.

    Parameters
    ----------
    adata, first, second, splits, state_key, expression_key, split_key
        As for :func:`movement`, whose rows name the genes.

    Returns
    -------
    pandas.DataFrame
        One row per pair of states that some gene has, the commonest change first: ``from_state``, ``to_state``, ``n``
        genes, ``share`` (of the genes of ``from_state``), ``change`` (median change of log expression) and ``changed``
        (whether the states differ).

    Raises
    ------
    ValueError
        As :func:`movement`.
    """
    genes = movement(
        adata,
        first,
        second,
        splits=splits,
        state_key=state_key,
        expression_key=expression_key,
        split_key=split_key,
    )
    pairs = genes.astype({"from_state": str, "to_state": str}).groupby(["from_state", "to_state"])["change"]
    table = pd.DataFrame({"n": pairs.size(), "change": pairs.median()}).reset_index()
    table["share"] = table["n"] / table.groupby("from_state")["n"].transform("sum")
    table["changed"] = table["from_state"] != table["to_state"]
    columns = ["from_state", "to_state", "n", "share", "change", "changed"]
    return table.sort_values(["changed", "n"], ascending=False, kind="stable", ignore_index=True)[columns]
