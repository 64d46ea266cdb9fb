"""Pairs of rows, the same gene in two conditions, from which changes between conditions are learnt."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core.conditions import rows_of_conditions

if TYPE_CHECKING:
    import anndata as ad


class Pairs(NamedTuple):
    """The same genes in two conditions each.

    Attributes
    ----------
    rows
        Row numbers of a gene in one condition and in the other, ``(n_changes, 2)``.
    split
        Split of the gene, ``(n_changes,)``.
    """

    rows: np.ndarray
    split: np.ndarray


def pair_conditions(adata: ad.AnnData, key: str, log_expression: np.ndarray, split: np.ndarray) -> Pairs:
    """Pair the rows of each gene in every two conditions, where expression is known in both.

    A condition with several samples is paired through each of them; two samples of a condition are never paired.

    Raises
    ------
    ValueError
        When there are fewer than two conditions, a sample holds a gene twice, a gene is in different splits, or there
        are no changes to train on or to validate by.
    """
    rows = rows_of_conditions(adata, key)
    if len(rows) < 2:
        msg = f"obs[{key!r}] has {len(rows)} condition ({', '.join(rows)}); expected two or more, stacked."
        raise ValueError(msg)
    parts = []
    for one, other in combinations(rows.values(), 2):
        for pair in product(one.values(), other.values()):
            both = pd.concat(pair, axis=1, join="inner").to_numpy(int)
            parts.append(both[~np.isnan(log_expression[both]).any(axis=1)])
    found = np.concatenate(parts)
    if (differ := split[found[:, 0]] != split[found[:, 1]]).any():
        names = adata.obs_names[found[differ][0]]
        msg = (
            f"{int(differ.sum())} changes are of a gene that is in another split in the other condition, such as "
            f"{names[0]!r} and {names[1]!r}: run sct.pp.split_by_chromosome on the stack."
        )
        raise ValueError(msg)
    pairs = Pairs(found, split[found[:, 0]])
    for name in ("train", "valid"):
        if (pairs.split == name).sum() < 2:
            msg = (
                f"{int((pairs.split == name).sum())} changes of {name} genes are known in obs[{key!r}]; expected two "
                "at least: genes with expression in two conditions, and splits (sct.pp.split_by_chromosome)."
            )
            raise ValueError(msg)
    return pairs
