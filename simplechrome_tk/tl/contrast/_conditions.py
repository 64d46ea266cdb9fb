"""The two conditions of a contrast, read from an AnnData: the same genes, means over replicates."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.conditions import rows_of_conditions
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.pp._renormalize import Renormalizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)

# Genes of each sample whose normalisation is checked, about.
_N_CHECKED = 500


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

    def mean(self, adata: ad.AnnData, x: np.ndarray, samples: Sequence[int] | None = None) -> ad.AnnData:
        """Return the genes with the mean over samples of the normalised marks ``x``; other slots are of the first.

        ``x`` holds all rows of ``adata``, ``(n_obs, n_columns)``; ``samples`` are numbers of samples, ``None`` for all.
        """
        rows = self.rows if samples is None else self.rows[list(samples)]
        genes = adata[rows[0]].copy()
        genes.X = np.mean([x[of_sample] for of_sample in rows], axis=0)
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
    found = rows_of_conditions(adata, key, (of, against))
    if of == against:
        msg = f"of and against are both {of!r}; expected two conditions, different values of obs[{key!r}]."
        raise ValueError(msg)
    tables = {name: pd.concat(samples, axis=1) for name, samples in found.items()}
    shared = pd.concat(list(tables.values()), axis=1).dropna().index
    n_genes = {name: len(table) for name, table in tables.items()}
    if not len(shared):
        msg = (
            f"{of} and {against} share no gene ({n_genes[of]:,} and {n_genes[against]:,} genes); expected the same ids "
            "in obs_names, followed by the name of the sample, as sct.pp.stack_cell_types writes them."
        )
        raise ValueError(msg)
    left_out = {name: number - len(shared) for name, number in n_genes.items() if number > len(shared)}
    if left_out:
        listed = ", ".join(f"{number:,} of {name}" for name, number in left_out.items())
        logger.warning("Genes that are not in every sample of both conditions are left out: %s.", listed)
    one, other = (
        Condition(name, list(found[name]), table.loc[shared].to_numpy(int).T) for name, table in tables.items()
    )
    return one, other


def check_normalized_together(adata: ad.AnnData, conditions: Sequence[Condition]) -> None:
    """Raise ``ValueError`` when a sample was normalised with other constants than ``uns["normalize"]`` holds.

    A change between conditions that were normalised apart is a change of the constants. Some genes of each sample are
    computed again from their signal, where it is there; after ``method="quantile"`` this cannot be done.
    """
    if k.SIGNAL not in adata.layers:
        return
    again = Renormalizer(adata)
    x, signal = dense(adata), dense(adata, k.SIGNAL)
    for condition in conditions:
        for sample, rows in zip(condition.samples, condition.rows, strict=True):
            some = rows[:: max(1, len(rows) // _N_CHECKED)]
            if not (same := again.agrees(x[some], signal[some])).all():
                msg = (
                    f"X of sample {sample!r} is not its signal, normalised with the constants in uns['normalize'] "
                    f"({(~same).mean():.0%} of the values differ): the conditions were normalised apart. Stack raw "
                    "signal with sct.pp.stack_cell_types, and normalise the stack."
                )
                raise ValueError(msg)
