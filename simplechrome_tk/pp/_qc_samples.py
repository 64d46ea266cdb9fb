"""Comparison of samples and conditions for :func:`simplechrome_tk.pp.qc`: replicates, exchanged samples, scales."""

from __future__ import annotations

import logging
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import cell_types, gene_ids
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.pp._qc_findings import FEWEST_GENES, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad

    from simplechrome_tk.pp._qc_measure import Measured

logger = logging.getLogger(__name__)

_CLOSER, _CLOSER_IN_MARK = 0.85, 0.7
"""Distance (1 - correlation) to the nearest sample of another condition over that to the nearest of the own condition,
below which a sample looks exchanged: over all marks, and in one mark. Without any difference it is near 1."""

_FARTHER = 2.0
"""Distance to the own replicates over the distance of these from each other, above which a sample is unlike them."""

_SAME_SIDE, _SMALLEST_FOLD = 0.95, 1.25
"""A mark differs in scale when so large a share of the genes with much of it differ in one direction, by this fold.
Nine marks of three cell types reach a share of .92."""


class ComparedSamples(NamedTuple):
    """Comparison of the samples.

    Attributes
    ----------
    pairs
        ``uns["qc"]["samples"]``: one row for each pair of samples and mark.
    scales
        ``uns["qc"]["conditions"]``: one row for each pair of conditions and mark.
    findings
        The samples that a finding concerns, and the finding.
    """

    pairs: pd.DataFrame
    scales: pd.DataFrame
    findings: list[tuple[tuple[str, ...], Finding]]


def compare_samples(
    adata: ad.AnnData, signal: np.ndarray, rows: Mapping[str, np.ndarray], measured: Mapping[str, Measured]
) -> ComparedSamples:
    """Compare the samples of ``adata``; nothing where ``obs`` has neither samples nor conditions.

    Parameters
    ----------
    adata
        Genes by bins.
    signal
        Before normalisation, ``(n_genes, n_columns)``.
    rows
        Rows of each sample.
    measured
        Measurements of each sample.

    Raises
    ------
    ValueError
        When a sample is of several conditions.
    """
    pairs = pd.DataFrame(columns=[k.MARK, k.SAMPLE, "other", k.CONDITION, "other_condition", "pearson"])
    scales = pd.DataFrame(columns=[k.MARK, k.CONDITION, "other_condition", "fold", "same_side", "n_genes"])
    if len(rows) < 2 or not {k.SAMPLE, k.CONDITION} & set(adata.obs):
        return ComparedSamples(_typed(pairs), _typed(scales), [])
    condition_of = _conditions(adata)
    levels = _shared_levels(adata, rows, measured)
    n_genes = len(next(iter(levels.values())))
    pairs = pd.DataFrame(_correlate(levels, condition_of), columns=pairs.columns)
    scales = pd.DataFrame(_compare_levels(levels, condition_of), columns=scales.columns)
    # The user has said what the scale is, so that whole numbers and levels may differ.
    scaled = adata.uns.get(k.SCALE_SAMPLES, {}).get("method")
    findings = [] if scaled else _find_units(signal, rows)
    if n_genes >= FEWEST_GENES:
        exchanged = _find_exchanged(pairs, condition_of)
        alike = {sample for samples, _ in exchanged for sample in samples}
        findings += exchanged + _find_unlike(pairs, condition_of, alike)
        findings += [] if scaled == "given" else _find_scales(scales, condition_of)
    return ComparedSamples(_typed(pairs), _typed(scales), findings)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with text as objects and numbers as floats, also without rows."""
    numbers = {"pearson": float, "fold": float, "same_side": float, "n_genes": int}
    return table.astype({name: numbers.get(name, object) for name in table})


def _conditions(adata: ad.AnnData) -> dict[str, str]:
    """Return the condition of each sample, ``""`` where there is none."""
    samples = cell_types(adata)
    if k.CONDITION not in adata.obs:
        return dict.fromkeys(samples.unique(), "")
    found = adata.obs[k.CONDITION].astype(object)
    table = pd.DataFrame({"sample": samples, "condition": found.where(found.notna(), "").astype(str)}).drop_duplicates()
    if (twice := table["sample"].duplicated()).any():
        sample = table.loc[twice, "sample"].iloc[0]
        conditions = table.loc[table["sample"] == sample, "condition"]
        msg = (
            f"sample {sample!r} is of the conditions {shorten(conditions)}; expected one for all its genes. Correct "
            "obs['condition'], or name samples in obs['sample']."
        )
        raise ValueError(msg)
    return dict(zip(table["sample"], table["condition"], strict=True))


def _shared_levels(
    adata: ad.AnnData, rows: Mapping[str, np.ndarray], measured: Mapping[str, Measured]
) -> dict[str, pd.DataFrame]:
    """Return for each mark its mean signal, genes that all samples have by samples."""
    ids = gene_ids(adata)
    tables = {name: measured[name].level.set_axis(ids[at]) for name, at in rows.items()}
    tables = {name: table.loc[~table.index.duplicated()] for name, table in tables.items()}
    marks = next(iter(tables.values())).columns
    found = {
        mark: pd.concat({name: table[mark] for name, table in tables.items()}, axis=1, join="inner") for mark in marks
    }
    n_shared, n_all = len(next(iter(found.values()))), len(set().union(*(table.index for table in tables.values())))
    if n_shared < n_all:
        logger.info("qc: samples are compared over the %d of %d genes that all of them have.", n_shared, n_all)
    return found


def _correlate(levels: Mapping[str, pd.DataFrame], condition_of: Mapping[str, str]) -> list[tuple[object, ...]]:
    """Return one row for each mark and pair of samples, with the correlation of the logarithm of their signal."""
    found: list[tuple[object, ...]] = []
    for mark, level in levels.items():
        # Divided by the typical signal of the sample, so that a factor between samples does not change the correlation.
        correlation = np.log1p(level / level.where(level > 0).median()).corr()
        for first, second in combinations(level, 2):
            conditions = (condition_of[first], condition_of[second])
            found.append((mark, first, second, *conditions, float(correlation.at[first, second])))
    return found


def _compare_levels(levels: Mapping[str, pd.DataFrame], condition_of: Mapping[str, str]) -> list[tuple[object, ...]]:
    """Return one row for each mark and pair of conditions: the typical fold, and how many genes share its direction."""
    found: list[tuple[object, ...]] = []
    names = [name for name in dict.fromkeys(condition_of.values()) if name]
    for mark, level in levels.items():
        positive = np.log2(level[(level > 0).all(axis=1)])
        mean = {name: positive[[s for s in positive if condition_of[s] == name]].mean(axis=1) for name in names}
        # The background, of which all genes have some, says little about the scale of the mark.
        much = positive.mean(axis=1) >= positive.mean(axis=1).median()
        for first, second in combinations(names, 2):
            change = (mean[second] - mean[first])[much]
            typical = float(change.median()) if len(change) else np.nan
            side = float((np.sign(change) == np.sign(typical)).mean()) if len(change) else np.nan
            found.append((mark, first, second, 2**typical, side, len(change)))
    return found


def _distances(pairs: pd.DataFrame, condition_of: Mapping[str, str]) -> pd.DataFrame:
    """Return the nearest sample of the own and of another condition, for each sample and mark and over all marks.

    The mark of the rows over all marks is ``""``. Without two conditions, or without a replicate, a sample has no row.
    """
    both = pd.concat([pairs, pairs.rename(columns={k.SAMPLE: "other", "other": k.SAMPLE})], ignore_index=True)
    mean = both.groupby([k.SAMPLE, "other"], sort=False)["pearson"].mean().reset_index().assign(**{k.MARK: ""})
    both = pd.concat([mean, both[[k.SAMPLE, "other", "pearson", k.MARK]]], ignore_index=True)
    both["own"] = both[k.SAMPLE].map(condition_of) == both["other"].map(condition_of)
    both["known"] = (both[k.SAMPLE].map(condition_of) != "") & (both["other"].map(condition_of) != "")
    both = both[both["known"] & both["pearson"].notna()]
    nearest = both.loc[both.groupby([k.SAMPLE, k.MARK, "own"])["pearson"].idxmax()]
    wide = nearest.pivot(index=[k.SAMPLE, k.MARK], columns="own", values=["pearson", "other"])
    if wide.columns.nlevels < 2 or not {True, False} <= set(wide.columns.get_level_values(1)):
        return pd.DataFrame(columns=["own", "elsewhere", "nearest", "ratio"])
    own, elsewhere = wide["pearson", True].astype(float), wide["pearson", False].astype(float)
    table = pd.DataFrame({"own": own, "elsewhere": elsewhere, "nearest": wide["other", False]}).dropna()
    return table.assign(ratio=(1 - table["elsewhere"]) / (1 - table["own"]).clip(lower=1e-9))


def _find_exchanged(pairs: pd.DataFrame, condition_of: Mapping[str, str]) -> list[tuple[tuple[str, ...], Finding]]:
    """Find samples that are closer to another condition than to their own, in all marks or in one."""
    table = _distances(pairs, condition_of)
    marks = tuple(dict.fromkeys(pairs[k.MARK]))
    found: list[tuple[tuple[str, ...], Finding]] = []
    whole = set()
    for (sample, mark), row in table.iterrows():
        if mark or row["ratio"] >= _CLOSER:
            continue
        whole.add(sample)
        sentence = (
            f"{sample} is closer to {row['nearest']} of condition {condition_of[row['nearest']]} (mean correlation of "
            f"its marks {row['elsewhere']:.3f}) than to any sample of its own condition {condition_of[sample]} "
            f"({row['own']:.3f}). Are samples exchanged, or were these two processed together? Compare the files with "
            "the sample sheet."
        )
        found.append(((sample,), Finding("exchanged", marks, sentence)))
    for (sample, mark), row in table.iterrows():
        if not mark or sample in whole or row["ratio"] >= _CLOSER_IN_MARK:
            continue
        sentence = (
            f"{mark} of {sample} is closer to that of {row['nearest']}, of condition {condition_of[row['nearest']]} "
            f"(correlation {row['elsewhere']:.3f}), than to that of any sample of its own condition "
            f"{condition_of[sample]} ({row['own']:.3f}). Are the files of this mark exchanged?"
        )
        found.append(((sample,), Finding("exchanged", (mark,), sentence)))
    return found


def _find_unlike(
    pairs: pd.DataFrame, condition_of: Mapping[str, str], exchanged: set[str]
) -> list[tuple[tuple[str, ...], Finding]]:
    """Find samples that differ from their replicates more than these from each other; it takes three replicates."""
    found: list[tuple[tuple[str, ...], Finding]] = []
    mean = pairs.groupby([k.SAMPLE, "other"], sort=False)["pearson"].mean()
    for condition in dict.fromkeys(condition_of.values()):
        own = [sample for sample, name in condition_of.items() if name == condition and name]
        within = [(pair, 1 - value) for pair, value in mean.items() if set(pair) <= set(own)]
        for sample in own if len(own) > 2 else ():
            to_others = np.mean([distance for pair, distance in within if sample in pair])
            of_others = np.mean([distance for pair, distance in within if sample not in pair])
            if sample not in exchanged and to_others > _FARTHER * of_others:
                sentence = (
                    f"{sample} is unlike its replicates: mean correlation of its marks {1 - to_others:.3f} with them, "
                    f"and {1 - of_others:.3f} among them. Check its depth and quality, or leave it out."
                )
                found.append(((sample,), Finding("unlike", tuple(dict.fromkeys(pairs[k.MARK])), sentence)))
    return found


def _find_scales(scales: pd.DataFrame, condition_of: Mapping[str, str]) -> list[tuple[tuple[str, ...], Finding]]:
    """Find marks whose level differs between two conditions at nearly all genes by about the same factor."""
    fold = np.abs(np.log2(scales["fold"].astype(float)))
    odd = (scales["n_genes"] >= FEWEST_GENES // 2) & (scales["same_side"] >= _SAME_SIDE)
    scales = scales.assign(odd=odd & (fold >= np.log2(_SMALLEST_FOLD)))
    fix = (
        "With the same total amount, bring samples to one scale with sct.pp.scale_samples(adata) or sct.pp.normalize("
        "adata, method='quantile'); where the total amount may change, a spike-in tells scale from biology "
        "(sct.pp.scale_samples(adata, factors))."
    )
    found: list[tuple[tuple[str, ...], Finding]] = []
    for (first, second), table in scales.groupby([k.CONDITION, "other_condition"], sort=False):
        samples = tuple(sample for sample, name in condition_of.items() if name in (first, second))
        marks = tuple(table.loc[table["odd"], k.MARK])
        shown = ", ".join(
            f"{row.mark} {row.fold:.2g}-fold at {row.same_side:.0%} of genes"
            for row in table[table["odd"]].itertuples()
        )
        if len(marks) > 1 and len(marks) == len(table):
            sentence = (
                f"All marks of {second} differ from those of {first} at nearly all genes ({shown}): the conditions "
                f"look normalised apart, or of different depth, rather than different in biology. {fix}"
            )
            found.append((samples, Finding("apart", marks, sentence)))
            continue
        for row in table[table["odd"]].itertuples():
            sentence = (
                f"{row.mark} of {second} is {row.fold:.2g}-fold that of {first}, in the same direction at "
                f"{row.same_side:.0%} of the genes with much of it (at most 92 % between real cell types): this is a "
                f"scale rather than biology. {fix}"
            )
            found.append((samples, Finding("scale", (row.mark,), sentence)))
    return found


def _find_units(signal: np.ndarray, rows: Mapping[str, np.ndarray]) -> list[tuple[tuple[str, ...], Finding]]:
    """Find samples of whole numbers beside samples of fractions."""
    whole = {name: bool((signal[at] % 1 == 0).all()) for name, at in rows.items()}
    if len(set(whole.values())) == 1:
        return []
    counts = [name for name, is_whole in whole.items() if is_whole]
    others = [name for name in whole if name not in counts]
    sentence = (
        f"{shorten(counts)} hold whole numbers, such as read counts, and {shorten(others)} hold fractions: the samples "
        "were normalised apart or are in different units. Bin all of them from the same kind of file."
    )
    return [(tuple(rows), Finding("units", (), sentence))]
