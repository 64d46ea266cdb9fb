"""Stretches of the genome in which all marks change together, as amplified or lost DNA makes them do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, rankdata

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import normalization
from simplechrome_tk.core.require import obs_numbers
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.pp._renormalize import Renormalizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.tl.contrast._conditions import Condition

logger = logging.getLogger(__name__)

# bp of a short stretch, and of a gap between genes that can be a centromere.
_STRETCH, _CENTROMERE = 10_000_000, 2_500_000
# Genes with signal of a mark in both conditions, and marks with so many, below which a stretch is not judged.
_FEWEST_GENES, _FEWEST_MARKS = 10, 3
# Median log2 ratio from which on a stretch is named, one copy more of four, and the false discovery rate.
_LEAST_RATIO, _RATE = float(np.log2(1.25)), 0.05
# Draws from the null.
_N_DRAWS = 200_000
# Median of the size of a standard normal variable.
_NORMAL_MEDIAN = 0.6745

COLUMNS = ("chrom", "start", "end", "n_genes", "log2_ratio", "fdr")


def find_stretches(adata: ad.AnnData, one: Condition, other: Condition) -> pd.DataFrame | None:
    """Find the stretches of the genome in which all marks change in the same direction.

    Amplified or lost DNA raises or lowers every mark, active and repressive ones alike, whereas regulation moves them
    in opposite directions. Stretches of 10 Mb, the parts of each chromosome on both sides of its widest gap between
    genes (in human chromosomes usually the centromere), and whole chromosomes are tested. The statistic of a stretch is
    the smallest standardised mean rank of its genes' log2 ratios among those of its marks, and 0 where marks disagree;
    its null distribution is that of normal variables with the correlations between the marks of a gene. Ranks of
    neighbouring genes go together also without any gain or loss: statistics are divided by the factor by which those
    of all 10-Mb stretches exceed the null (genomic control; Devlin and Roeder 1999).

    Returns
    -------
    pandas.DataFrame | None
        One row for each stretch, sorted by its place: ``chrom``, ``start``, ``end`` (bp, from the first to the last
        TSS), ``n_genes``, ``log2_ratio`` (median over the marks of the median log2 ratio of the genes' signal, of the
        first condition to the second, after that of all genes is subtracted) and ``fdr`` (Benjamini and Hochberg over
        all stretches). ``None`` where positions are unknown, or there are fewer than three marks.
    """
    if k.CHROM not in adata.obs or k.TSS not in adata.obs:
        logger.info("obs has no chrom and tss: copy number is not checked.")
        return None
    layout = Layout.of(adata)
    if len(layout.marks) < _FEWEST_MARKS:
        logger.info("%d marks: copy number is not checked, which needs three.", len(layout.marks))
        return None
    places = _places(adata[one.rows[0]])
    ratios = _log_ratios(adata, layout, one, other)[places.index]
    stretches = _stretches(places)
    if not stretches:
        return _table(places, [])
    tested = _test(ratios, stretches)
    called = tested[(tested["fdr"] <= _RATE) & (tested["log2_ratio"].abs() >= _LEAST_RATIO)]
    return _table(places, _choose(stretches, called))


def warn_of_stretches(stretches: pd.DataFrame, of: str, against: str, *, corrected: bool) -> None:
    """Name the stretches in the log."""
    if not len(stretches):
        return
    named = [
        f"{row.chrom}:{row.start / 1e6:.1f}-{row.end / 1e6:.1f} Mb ({row.n_genes} genes, log2 ratio "
        f"{row.log2_ratio:+.1f})"
        for row in stretches.itertuples()
    ]
    advice = (
        "Their change is taken out of the marks."
        if corrected
        else "Predicted changes there need not be regulation; correct_copy_number=True takes them out of the marks."
    )
    logger.warning(
        "%s against %s: all marks change together in %d stretches, as amplified or lost DNA makes them do: %s. %s",
        of,
        against,
        len(named),
        shorten(named, limit=10),
        advice,
    )


def correct(adata: ad.AnnData, one: Condition, other: Condition, stretches: pd.DataFrame) -> np.ndarray:
    """Return ``X`` after dividing the ratio of each stretch out of the signal, ``(n_obs, n_columns)``.

    Each condition takes half of it, so that exchanging the conditions gives the same. The signal is divided before the
    normalisation, which is then done again with the constants of the data: by its formula after ``"log1p"`` and
    ``"paper"``, and after ``"quantile"`` by the curve from signal to ``X`` that the other genes of the sample show
    (:class:`simplechrome_tk.pp._renormalize.Renormalizer`).

    Raises
    ------
    ValueError
        When the signal before normalisation was not kept.
    """
    renormalizer = Renormalizer(adata)
    x, signal = dense(adata).copy(), dense(adata, k.SIGNAL)
    places = _places(adata[one.rows[0]])
    ratio = np.zeros(one.rows.shape[1])
    for row in stretches.itertuples():
        inside = (places["chrom"] == row.chrom) & places["tss"].between(row.start, row.end)
        ratio[places.index[inside]] = row.log2_ratio
    genes = np.flatnonzero(ratio)
    for condition, sign in ((one, -1), (other, 1)):
        factor = np.exp2(sign * ratio[genes] / 2).astype(np.float32)[:, None]
        for of_sample in condition.rows:
            rows = of_sample[genes]
            part = x[rows]
            renormalizer.fill(part, signal[rows] * factor, where=np.ones(part.shape, dtype=bool), rows=rows)
            x[rows] = part
    return x


def _places(genes: ad.AnnData) -> pd.DataFrame:
    """Return chromosome and TSS of the genes whose place is known, indexed by their number, sorted by place."""
    tss = obs_numbers(genes, k.TSS, fix="store the position of each gene there")
    table = pd.DataFrame({"chrom": genes.obs[k.CHROM].astype(object).to_numpy(), "tss": tss}).dropna()
    return table.astype({"chrom": str}).sort_values(["chrom", "tss"], kind="stable")


def _log_ratios(adata: ad.AnnData, layout: Layout, one: Condition, other: Condition) -> np.ndarray:
    """Return log2 ratios of the signal of each mark, NaN without signal in a condition, ``(n_genes, n_marks)``."""
    numbers = pd.Index(layout.marks).get_indexer(layout.blocks["mark"])
    levels = []
    for condition in (one, other):
        blocks = np.mean([layout.block_sums(_linear(adata, layout, rows)) for rows in condition.rows], axis=0)
        levels.append(np.stack([blocks[:, numbers == i].sum(axis=1) for i in range(len(layout.marks))], axis=1))
    known = (levels[0] > 0) & (levels[1] > 0)
    ratios = np.full(known.shape, np.nan)
    ratios[known] = np.log2(levels[0][known]) - np.log2(levels[1][known])
    for column in ratios.T:
        # A scale that all genes share is none of a stretch.
        if not np.isnan(column).all():
            column -= np.nanmedian(column)
    return ratios


def _linear(adata: ad.AnnData, layout: Layout, rows: np.ndarray) -> np.ndarray:
    """Return the signal of some rows before normalisation, or what ``X`` says of it where it was not kept."""
    if k.SIGNAL in adata.layers:
        return dense(adata, k.SIGNAL)[rows].astype(float)
    constants = normalization(adata, layout=layout)
    center, scale = (layout.expand(constants[name]) for name in ("center", "scale"))
    values = dense(adata)[rows] * scale + center
    values = values if constants["method"] == "paper" else np.expm1(values)
    # Rounding leaves what was 0 a little beside it.
    return np.where(values > 1e-4, values, 0)


def _stretches(places: pd.DataFrame) -> list[list[np.ndarray]]:
    """Return for each chromosome its stretches, long ones first, as positions of their genes in ``places``."""
    found = []
    for positions in places.reset_index(drop=True).groupby("chrom", sort=False).indices.values():
        tss = places["tss"].to_numpy()[positions]
        gaps = np.diff(tss)
        parts = [positions]
        if len(gaps) and gaps.max() >= _CENTROMERE:
            parts += np.split(positions, [int(gaps.argmax()) + 1])
        number = tss // _STRETCH
        parts += np.split(positions, np.flatnonzero(np.diff(number)) + 1)
        found.append(parts)
    return found


def _test(ratios: np.ndarray, stretches: Sequence[Sequence[np.ndarray]]) -> pd.DataFrame:
    """Return ``log2_ratio`` and ``fdr`` of stretches with enough genes, indexed by chromosome and number in it."""
    ranks = np.full(ratios.shape, np.nan)
    for column, values in zip(ranks.T, ratios.T, strict=True):
        known = ~np.isnan(values)
        rank = rankdata(values[known])
        column[known] = (rank - rank.mean()) / (rank.std() or 1.0)
    correlation = pd.DataFrame(ranks).corr().fillna(0).to_numpy(copy=True)
    np.fill_diagonal(correlation, 1)
    index, scores, medians = [], [], []
    for chromosome, parts in enumerate(stretches):
        for number, genes in enumerate(parts):
            n = (~np.isnan(ranks[genes])).sum(axis=0)
            enough = n >= _FEWEST_GENES
            if enough.sum() < _FEWEST_MARKS:
                continue
            index.append((chromosome, number))
            scores.append(np.where(enough, np.nansum(ranks[genes], axis=0) / np.sqrt(np.maximum(n, 1)), np.nan))
            medians.append(np.median(np.nanmedian(ratios[genes][:, enough], axis=0)))
    if not index:
        return pd.DataFrame({"log2_ratio": [], "fdr": []})
    z = np.array(scores)
    for column in z.T:
        if not np.isnan(column).all():
            column /= max(1.0, float(np.nanmedian(np.abs(column))) / _NORMAL_MEDIAN)
    fdr = false_discovery_control(_p_values(z, correlation))
    return pd.DataFrame({"log2_ratio": medians, "fdr": fdr}, index=pd.MultiIndex.from_tuples(index))


def _p_values(z: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Return the probability that all marks agree as much without any gain or loss, ``(n_stretches,)``."""
    generator = np.random.default_rng(0)
    null = generator.multivariate_normal(
        np.zeros(len(correlation)), correlation, _N_DRAWS, check_valid="ignore", method="eigh"
    )
    p = np.ones(len(z))
    known = ~np.isnan(z)
    # Stretches with few genes of a mark are judged by the other marks, and have a null of their own.
    for marks in np.unique(known, axis=0):
        same = (known == marks).all(axis=1)
        sizes = np.sort(_agreement(null[:, marks]))
        n_larger = len(sizes) - np.searchsorted(sizes, _agreement(z[same][:, marks]), side="left")
        p[same] = (n_larger + 1) / (len(sizes) + 1)
    return p


def _agreement(z: np.ndarray) -> np.ndarray:
    """Return the smallest size in each row whose values have the same sign, and 0 for other rows."""
    same = (z > 0).all(axis=1) | (z < 0).all(axis=1)
    return np.where(same, np.abs(z).min(axis=1), 0.0)


def _choose(stretches: Sequence[Sequence[np.ndarray]], called: pd.DataFrame) -> list[tuple[np.ndarray, float, float]]:
    """Return genes, ratio and rate of the stretches to name, none inside another.

    A chromosome or a part of it is named as a whole unless a stretch of it changes in the other direction. Neighbouring
    10-Mb stretches with the same direction are joined.
    """
    chosen: list[tuple[np.ndarray, float, float]] = []
    for chromosome, of_chromosome in called.groupby(level=0):
        parts = stretches[chromosome]
        rows = [(parts[number], *values) for (_, number), *values in of_chromosome.itertuples()]
        covered = np.empty(0, dtype=int)
        for genes, ratio, fdr in rows:
            inside = [other for part, other, _ in rows if np.isin(part, genes).all()]
            if np.isin(genes, covered).any() or any(other * ratio < 0 for other in inside):
                continue
            covered = np.append(covered, genes)
            last = chosen[-1] if chosen else None
            if last is not None and last[0][-1] + 1 == genes[0] and last[0][0] >= parts[0][0] and last[1] * ratio > 0:
                n_last, n_new = len(last[0]), len(genes)
                mean = (n_last * last[1] + n_new * ratio) / (n_last + n_new)
                chosen[-1] = (np.append(last[0], genes), mean, max(last[2], fdr))
            else:
                chosen.append((genes, ratio, fdr))
    return chosen


def _table(places: pd.DataFrame, chosen: Sequence[tuple[np.ndarray, float, float]]) -> pd.DataFrame:
    """Return the table of :func:`find_stretches`."""
    rows = [
        (places["chrom"].iloc[genes[0]], *places["tss"].iloc[genes[[0, -1]]].astype(int), len(genes), ratio, fdr)
        for genes, ratio, fdr in sorted(chosen, key=lambda stretch: stretch[0][0])
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    types = {"start": int, "end": int, "n_genes": int, "log2_ratio": float, "fdr": float}
    return table.astype({"chrom": object, **types}).set_index(table.index.astype(str))
