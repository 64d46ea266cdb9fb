"""Groups of genes on which models are scored one by one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import linear_expression, read_expression
from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.levels import find_present, typical_levels
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.write import ABSENT, to_change, write_whole

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)

_TAU_CUTS = (0.4, 0.8)
"""Near the terciles of tau over 53 Roadmap epigenomes, .41 and .80. Tau above .8 is often called tissue-specific."""

_LEAST_EXPRESSION = 1.0
"""Expression that a gene must exceed in a reference sample: below, tau is that of noise."""

_TSS_CUTS = (1_000, 10_000, 100_000)
_TSS_NAMES = ("below 1 kb", "1 to 10 kb", "10 to 100 kb", "above 100 kb")

_BIVALENT_MARKS = ("H3K4me3", "H3K27me3")


def gene_strata(
    adata: ad.AnnData,
    *,
    reference_key: str = k.REFERENCE_EXPRESSION,
    expression_key: str = k.EXPRESSION,
    copy: bool = False,
) -> ad.AnnData | None:
    """Group genes by tissue specificity, expression of zero, bivalent promoters, and distance to the next TSS.

    A model may owe its score to genes that are easy to predict. ``sct.evaluation.evaluate(adata, prediction,
    groupby="specificity")`` scores each group on its own.

    Parameters
    ----------
    adata
        Genes. Columns whose source is missing are not written, and named in the log.
    reference_key
        Key of ``obsm`` with log expression in reference samples (``sct.pp.add_reference_expression``).
    expression_key
        Column of ``obs`` with expression in linear units.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ordered categories, missing where unknown, and ``tau``:

        ``obs["tau"]``
            Tissue specificity over the reference samples: 0 for a gene with the same expression in all of them, 1 for a
            gene with expression in one. Genes with an expression of at most 1 in all samples have none.
        ``obs["specificity"]``
            ``low`` (tau below 0.4), ``medium`` (below 0.8) or ``high``.
        ``obs["expressed"]``
            ``zero`` or ``above zero``, in the sample itself.
        ``obs["bivalent"]``
            ``bivalent`` where the gene has H3K4me3 and H3K27me3, by the rule and the thresholds of
            :func:`simplechrome_tk.tl.name_states`, whatever other marks it has; otherwise ``other``.
        ``obs["next_tss"]``
            Distance to the nearest TSS of another gene of the data on the chromosome: ``below 1 kb``, ``1 to 10 kb``,
            ``10 to 100 kb`` or ``above 100 kb``.
        ``uns["gene_strata"]``
            ``columns``, those that were written, and ``tau_cuts`` and ``tss_cuts``.

    Raises
    ------
    ValueError
        When there is a single reference sample, or nothing to group genes by.

    Notes
    -----
    Tau of Yanai et al. 2005 (doi 10.1093/bioinformatics/bti042) is the sum of ``1 - x / max(x)`` over the samples,
    divided by their number minus 1. Here ``x`` is ``log(1 + expression)``: on the logarithmic scale tau tells apart
    genes better than on the linear one (Kryuchkova-Mostacci and Robinson-Rechavi 2017, doi 10.1093/bib/bbw008). The
    cuts of 0.4 and 0.8 give three groups of about equal size over 53 Roadmap epigenomes.

    Examples
    --------
    >>> sct.pp.gene_strata(adata)
    >>> adata.obs["expressed"].cat.categories.tolist()
    ['zero', 'above zero']
    """
    adata = to_change(adata, copy=copy)
    columns: dict[str, Any] = dict.fromkeys((k.TAU, k.SPECIFICITY, k.EXPRESSED, k.BIVALENT, k.NEXT_TSS), ABSENT)
    # A slot that the caller names must be there.
    if reference_key in adata.obsm or reference_key != k.REFERENCE_EXPRESSION:
        tau = _find_tau(read_reference(adata, reference_key).values, reference_key)
        columns |= {k.TAU: tau, k.SPECIFICITY: _cut(tau, _TAU_CUTS, ("low", "medium", "high"))}
    if expression_key in adata.obs or expression_key != k.EXPRESSION:
        expression = read_expression(adata, expression_key)
        columns[k.EXPRESSED] = _name(expression > 0, ("zero", "above zero"), ~np.isnan(expression))
    if k.MARK in adata.var and set(_BIVALENT_MARKS) <= set(adata.var[k.MARK]):
        levels = typical_levels(adata)[0][list(_BIVALENT_MARKS)]
        both = find_present(levels, cell_types(adata).to_numpy())[0].all(axis=1).to_numpy()
        columns[k.BIVALENT] = _name(both, ("other", "bivalent"), np.ones(adata.n_obs, dtype=bool))
    if {k.CHROM, k.TSS, k.STRAND} <= set(adata.obs):
        columns[k.NEXT_TSS] = _cut(_next_tss(adata), _TSS_CUTS, _TSS_NAMES)
    written = [name for name, column in columns.items() if column is not ABSENT]
    if not written:
        msg = (
            f"adata has no obsm[{reference_key!r}], no expression, no {' and '.join(_BIVALENT_MARKS)} and no TSS; "
            "expected one of them. Add a reference with sct.pp.add_reference_expression(adata), or start from "
            "sct.pp.from_tracks."
        )
        raise ValueError(msg)
    record = {"columns": written, "tau_cuts": list(_TAU_CUTS), "tss_cuts": list(_TSS_CUTS)}
    slots = [("obs", name, column) for name, column in columns.items()]
    write_whole(adata, slots, records={k.GENE_STRATA: record})
    _log(adata, written, [name for name in columns if name not in written])
    return adata if copy else None


def _find_tau(log: np.ndarray, reference_key: str) -> np.ndarray:
    """Return tau of each gene over the samples that have it, NaN where unknown, ``(n_genes,)``."""
    if log.shape[1] < 2:
        msg = (
            f"obsm[{reference_key!r}] has one sample; tissue specificity needs two or more. Add a table of more "
            "samples with sct.pp.add_reference_expression."
        )
        raise ValueError(msg)
    expression = linear_expression(log)
    number = (~np.isnan(log)).sum(axis=1)
    highest = np.where(np.isnan(expression), 0.0, expression).max(axis=1)
    known = (number > 1) & (highest > _LEAST_EXPRESSION)
    tau = np.full(len(log), np.nan)
    lower = 1 - np.log1p(expression[known]) / np.log1p(highest[known])[:, None]
    tau[known] = np.nansum(lower, axis=1) / (number[known] - 1)
    return tau


def _next_tss(adata: ad.AnnData) -> np.ndarray:
    """Return the distance to the nearest TSS on the chromosome in bp; NaN for the only gene there, ``(n_genes,)``."""
    where = positions(adata)
    nearest = np.full(adata.n_obs, np.nan)
    for members in adata.obs.groupby([cell_types(adata), where.chrom], observed=True).indices.values():
        order = members[np.argsort(where.tss[members], kind="stable")]
        gaps = np.concatenate([[np.inf], np.diff(where.tss[order]), [np.inf]])
        nearest[order] = np.minimum(gaps[:-1], gaps[1:])
    nearest[np.isinf(nearest)] = np.nan
    return nearest


def _cut(values: np.ndarray, cuts: tuple[float, ...], names: tuple[str, ...]) -> pd.Categorical:
    """Return the name of the stretch between cuts that each value is in; a value at a cut is above it."""
    codes = np.where(np.isnan(values), -1, np.digitize(values, cuts))
    return pd.Categorical.from_codes(codes, categories=list(names), ordered=True)


def _name(second: np.ndarray, names: tuple[str, str], known: np.ndarray) -> pd.Categorical:
    """Return the second name where ``second`` is true and the first elsewhere, missing where not ``known``."""
    return pd.Categorical.from_codes(np.where(known, second.astype(int), -1), categories=list(names), ordered=True)


def _log(adata: ad.AnnData, written: list[str], absent: list[str]) -> None:
    """Log the number of genes in each group, and which columns have no source."""
    for name in written:
        if name != k.TAU:
            counts = adata.obs[name].value_counts(sort=False)
            groups = ", ".join(f"{count} {group}" for group, count in counts.items())
            logger.info("obs[%r]: %s; %d unknown.", name, groups, int(adata.obs[name].isna().sum()))
    if absent:
        logger.info("Not written, since the data lack their source: %s.", ", ".join(absent))
