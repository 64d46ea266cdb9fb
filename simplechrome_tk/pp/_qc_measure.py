"""Measurements of the marks of one cell type, for :func:`simplechrome_tk.pp.qc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, window_anchors
from simplechrome_tk.pp._qc_findings import FEWEST_GENES, Finding, judge

if TYPE_CHECKING:
    import anndata as ad

_NEAR, _OUTER, _FAR = 1_000, 3_000, 5_000
"""Distances in bp from the TSS: the promoter ends at `_NEAR`; its surroundings reach from `_OUTER` to `_FAR`."""

_TOP = 10_000
"""`top_share` is of the highest one of so many bins."""

_ERRORS = 3
"""Number of standard errors to either side of a ratio; of the 18 ratios of nine marks, one may exceed 2 by chance."""


class Measured(NamedTuple):
    """Measurements of one cell type.

    Attributes
    ----------
    marks
        The table in ``uns["qc"]["marks"]``, indexed by mark.
    level
        Mean signal, genes by marks.
    correlation
        Spearman correlation over genes, marks by marks.
    by_chrom
        Share of genes with signal, chromosomes by marks, and ``n_genes``.
    profiles
        Mean signal along the window around the TSS.
    unknown_strand
        Share of genes of unknown strand.
    """

    marks: pd.DataFrame
    level: pd.DataFrame
    correlation: pd.DataFrame
    by_chrom: pd.DataFrame
    profiles: pd.DataFrame
    unknown_strand: float

    def findings(self) -> list[Finding]:
        """Return the problems of the marks."""
        return judge(self.marks, self.correlation, self.by_chrom, unknown_strand=self.unknown_strand)


def measure(adata: ad.AnnData, signal: np.ndarray, layout: Layout, rows: np.ndarray) -> Measured:
    """Measure every mark over the genes ``rows`` of ``signal``, ``(n_genes, n_columns)``."""
    genes = adata.obs.iloc[rows]
    signal = signal if len(rows) == len(signal) else signal[rows]
    strand = genes[k.STRAND] if k.STRAND in genes else pd.Series(k.UNKNOWN_STRAND, index=genes.index)
    # From pandas 3 on, astype(str) leaves a missing strand missing.
    strand = strand.astype(object).where(strand.notna(), k.UNKNOWN_STRAND).to_numpy().astype(str)
    chrom = genes[k.CHROM].astype(str).to_numpy() if k.CHROM in genes else np.full(len(rows), "unknown")
    in_tss_region = layout.region == tss_region(adata, layout)
    marks, level, profiles = {}, {}, []
    for mark in layout.marks:
        bins = signal[:, layout.mark == mark]
        level[mark] = bins.mean(axis=1, dtype=float)
        columns = (layout.mark == mark) & in_tss_region
        around, position = signal[:, columns], layout.middle[columns]
        marks[mark] = _amounts(bins, genes.index) | _ratios(around, position, strand)
        profiles.append(_profiles(mark, around, position, strand))
    levels = pd.DataFrame(level, index=genes.index)
    by_chrom = (levels > 0).groupby(chrom).mean()
    by_chrom["n_genes"] = pd.Series(chrom).value_counts()
    return Measured(
        marks=pd.DataFrame.from_dict(marks, orient="index"),
        level=levels,
        correlation=levels.corr(method="spearman"),
        by_chrom=by_chrom,
        profiles=pd.concat(profiles, ignore_index=True),
        unknown_strand=float(np.mean(~np.isin(strand, ["+", "-"]))),
    )


def tss_region(adata: ad.AnnData, layout: Layout) -> str | None:
    """Return the first window around the TSS that reaches 5 kb to both sides; ``None`` when no window does."""
    anchors = window_anchors(adata)
    for region in layout.regions:
        start, end = layout.window(region)
        if anchors.get(region, region) == "tss" and start <= -_FAR and end >= _FAR:
            return region
    return None


def _amounts(bins: np.ndarray, genes: pd.Index) -> dict[str, object]:
    """Return the amount and the distribution of the signal of one mark, ``bins`` ``(n_genes, n_bins)``."""
    positive = bins[bins > 0]
    median, p99 = np.quantile(positive, [0.5, 0.99]) if len(positive) else (np.nan, np.nan)
    n_top = max(1, bins.size // _TOP)
    top = np.partition(bins.ravel(), bins.size - n_top)[bins.size - n_top :].sum(dtype=float)
    return {
        "n_genes": len(bins),
        "coverage": float((bins > 0).any(axis=1).mean()),
        "zeros": 1 - len(positive) / bins.size,
        "lowest": float(bins.min()),
        "median": float(median),
        "p99": float(p99),
        "highest": float(bins.max()),
        "highest_gene": str(genes[bins.max(axis=1).argmax()]),
        "dynamic_range": float(p99 / median),
        "top_share": float(top / bins.sum(dtype=float)) if len(positive) else np.nan,
    }


def _ratios(around: np.ndarray, position: np.ndarray, strand: np.ndarray) -> dict[str, float]:
    """Return the enrichments at and downstream of the TSS; NaN where no window has the bins.

    ``around`` is ``(n_genes, n_bins)``, with bins ``position`` bp away from the TSS.
    """
    away = np.abs(position)
    flank = (away > _NEAR) & (away < _FAR)
    near, outer, upstream, downstream = (
        around[:, zone].mean(axis=1, dtype=float) if zone.any() else np.full(len(around), np.nan)
        for zone in (away < _NEAR, (away > _OUTER) & (away < _FAR), flank & (position < 0), flank & (position > 0))
    )
    plus, minus = strand == "+", strand == "-"
    return (
        _ratio("tss", near, outer)
        | _ratio("downstream", downstream, upstream)
        | _ratio("downstream_plus", downstream[plus], upstream[plus])
        | _ratio("downstream_minus", downstream[minus], upstream[minus])
    )


def _ratio(name: str, above: np.ndarray, below: np.ndarray) -> dict[str, float]:
    """Return the ratio of two means over the same genes, shape ``(n_genes,)`` each, with its interval.

    The interval is symmetric for the logarithm, by the delta method; it is 0 to infinity for too few genes.
    """
    a, b = (float(values.mean()) if len(values) else np.nan for values in (above, below))
    ratio = np.nan
    if b > 0:
        ratio = a / b
    elif a > 0:
        ratio = np.inf
    low, high = 0.0, np.inf
    if len(above) >= FEWEST_GENES and a > 0 and b > 0:
        error = float((above / a - below / b).std(ddof=1)) / np.sqrt(len(above))
        low, high = ratio * np.exp(-_ERRORS * error), ratio * np.exp(_ERRORS * error)
    return {name: ratio, f"{name}_low": float(low), f"{name}_high": float(high)}


def _profiles(mark: str, around: np.ndarray, position: np.ndarray, strand: np.ndarray) -> pd.DataFrame:
    """Return the mean of each bin over the genes of each strand."""
    parts = [
        pd.DataFrame(
            {
                k.MARK: mark,
                k.STRAND: name,
                "position": position,
                "mean": around[strand == name].mean(axis=0, dtype=float),
                "n_genes": int((strand == name).sum()),
            }
        )
        for name in np.unique(strand)
    ]
    return pd.concat(parts, ignore_index=True)
