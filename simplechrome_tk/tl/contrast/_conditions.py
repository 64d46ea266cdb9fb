"""The two conditions of a contrast, read from an AnnData: the same genes, means over replicates."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import cell_types, gene_ids, obs_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)


class Condition(NamedTuple):
    """The genes of one condition.

    Attributes
    ----------
    name
        Its name.
    samples
        Names of its samples, the replicates.
    rows
        Row numbers of the genes in each sample, ``(n_samples, n_genes)``; genes in the same order for both conditions.
    """

    name: str
    samples: list[str]
    rows: np.ndarray

    def mean(self, adata: ad.AnnData, samples: Sequence[int] | None = None) -> ad.AnnData:
        """Return the genes with the mean of the normalised marks over the samples; other slots are of the first."""
        rows = self.rows if samples is None else self.rows[list(samples)]
        genes = adata[rows[0]].copy()
        if len(rows) > 1:
            signal = dense(adata)
            genes.X = np.mean([signal[of_sample] for of_sample in rows], axis=0)
        return genes

    def measured(self, adata: ad.AnnData, expression_key: str) -> np.ndarray:
        """Return the mean log expression over the samples that know it, NaN where none does, ``(n_genes,)``."""
        if expression_key not in adata.obs:
            return np.full(self.rows.shape[1], np.nan)
        values = expression_truth(adata, expression_key)[self.rows]
        known = ~np.isnan(values)
        total, number = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
        return np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)


def read_conditions(adata: ad.AnnData, key: str, of: str, against: str) -> tuple[Condition, Condition]:
    """Read the genes that all samples of both conditions hold; others are counted in the log.

    Raises
    ------
    ValueError
        When ``obs[key]`` is missing, a condition does not exist or both are the same, a sample holds a gene twice, or
        the conditions share no gene.
    """
    column = obs_column(adata, key, fix="store the condition of each row there, or name another column with key")
    names = column.astype(object).where(column.notna(), None)
    found = [str(name) for name in dict.fromkeys(names) if name is not None]
    for name in (of, against):
        if name not in found:
            msg = f"no condition {name!r} in obs[{key!r}]; expected one of {', '.join(found) or 'none'}."
            raise ValueError(msg)
    if of == against:
        msg = f"of and against are both {of!r}; expected two conditions, among {', '.join(found)}."
        raise ValueError(msg)
    genes, samples = gene_ids(adata), cell_types(adata).to_numpy()
    tables = {name: _rows_of_samples(genes, samples, (names == name).to_numpy(), name) for name in (of, against)}
    shared = pd.concat(list(tables.values()), axis=1, join="inner").index
    n_genes = {name: len(table) for name, table in tables.items()}
    if not len(shared):
        msg = f"{of} and {against} share no gene ({n_genes[of]:,} and {n_genes[against]:,} genes); expected the same."
        raise ValueError(msg)
    left_out = {name: number - len(shared) for name, number in n_genes.items() if number > len(shared)}
    if left_out:
        listed = ", ".join(f"{number:,} of {name}" for name, number in left_out.items())
        logger.warning("Genes that are not in every sample of both conditions are left out: %s.", listed)
    one, other = (
        Condition(name, [str(sample) for sample in table], table.loc[shared].to_numpy(int).T)
        for name, table in tables.items()
    )
    return one, other


def _rows_of_samples(genes: pd.Index, samples: np.ndarray, inside: np.ndarray, name: str) -> pd.DataFrame:
    """Return row numbers of one condition, a row for each gene that all samples hold, a column for each sample."""
    columns = {}
    for sample in dict.fromkeys(samples[inside]):
        rows = np.flatnonzero(inside & (samples == sample))
        of_gene = pd.Series(rows, index=genes[rows])
        if not of_gene.index.is_unique:
            twice = of_gene.index[of_gene.index.duplicated()][0]
            msg = (
                f"condition {name!r} holds gene {twice!r} more than once in sample {sample!r}; expected once in each "
                "sample: name the samples in obs['sample']."
            )
            raise ValueError(msg)
        columns[sample] = of_gene
    return pd.concat(columns, axis=1, join="inner")
