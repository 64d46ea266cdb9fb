"""The rows of each gene in each condition and sample, read from an AnnData and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core.require import cell_types, gene_ids, obs_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

ConditionRows = dict[str, dict[str, pd.Series]]
"""Condition -> sample -> row number of each gene, indexed by the id of the gene."""


def rows_of_conditions(adata: ad.AnnData, key: str, names: Sequence[str] | None = None) -> ConditionRows:
    """Return the rows of each gene in each sample of these conditions; ``None`` takes all, in order of appearance.

    Parameters
    ----------
    adata
        Genes of several conditions, stacked.
    key
        Column of ``obs`` with the condition of each row; rows without one are left out.
    names
        Conditions that are wanted.

    Raises
    ------
    ValueError
        When ``obs[key]`` is missing, a condition does not exist (the others are listed), or a sample of a condition
        holds a gene twice.
    """
    column = obs_column(adata, key, fix="store the condition of each row there, or name another column with key")
    # Names may be numbers in the column, and are text in arguments and records.
    condition = column.astype(object).map(str, na_action="ignore").to_numpy(object)
    found = list(dict.fromkeys(condition[column.notna()]))
    wanted = found if names is None else list(names)
    for name in wanted:
        if name not in found:
            msg = f"no condition {name!r} in obs[{key!r}]; expected one of {', '.join(found) or 'none'}."
            raise ValueError(msg)
    genes, samples = gene_ids(adata), cell_types(adata).to_numpy()
    return {name: _rows_of_samples(genes, samples, condition == name, name) for name in wanted}


def _rows_of_samples(genes: pd.Index, samples: np.ndarray, inside: np.ndarray, name: str) -> dict[str, pd.Series]:
    rows_of_sample = {}
    for sample in dict.fromkeys(samples[inside]):
        rows = np.flatnonzero(inside & (samples == sample))
        of_gene = pd.Series(rows, index=genes[rows])
        if not of_gene.index.is_unique:
            twice = of_gene.index[of_gene.index.duplicated()][0]
            msg = (
                f"condition {name!r} holds gene {twice!r} {int((of_gene.index == twice).sum())} times in sample "
                f"{sample!r}; expected once in each sample: name the samples in obs['sample']."
            )
            raise ValueError(msg)
        rows_of_sample[str(sample)] = of_gene
    return rows_of_sample
