"""Measure the marks of one cell type, for :func:`simplechrome_tk.pp.qc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import window_anchors
from simplechrome_tk.pp._qc_findings import FEWEST_GENES, Finding, judge

if TYPE_CHECKING:
    import anndata as ad

_NEAR, _OUTER, _FAR = 1_000, 3_000, 5_000  # bp from the TSS
_TOP = 10_000  # the highest of so many bins
_ERRORS = 3  # standard errors to either side of a ratio


class Measured(NamedTuple):
    """Figures of one cell type; tables are indexed by mark. ``level``: mean signal, genes by marks."""

    marks: pd.DataFrame
    level: pd.DataFrame
    correlation: pd.DataFrame
    by_chrom: pd.DataFrame
    profiles: pd.DataFrame
    unknown_strand: float

    def findings(self) -> list[Finding]:
        return judge(self.marks, self.correlation, self.by_chrom, unknown_strand=self.unknown_strand)


def measure(adata: ad.AnnData, signal: np.ndarray, table: pd.DataFrame, rows: np.ndarray) -> Measured:
    """Measure every mark over the genes ``rows``; ``table``: the blocks of columns; ``signal``: genes by columns."""
    genes = adata.obs.iloc[rows]
    signal = signal if len(rows) == len(signal) else signal[rows]
    strand = genes[k.STRAND] if k.STRAND in genes else pd.Series(k.UNKNOWN_STRAND, index=genes.index)
    # From pandas 3 on, astype(str) leaves a missing strand missing.
    strand = strand.astype(object).where(strand.notna(), k.UNKNOWN_STRAND).to_numpy().astype(str)
    chrom = genes[k.CHROM].astype(str).to_numpy() if k.CHROM in genes else np.full(len(rows), "unknown")
    tss = tss_region(adata, table)
    marks, level, profiles = {}, {}, []
    for mark, spans in table.groupby("mark", sort=False):
        columns = np.concatenate([np.arange(*span) for span in zip(spans["start"], spans["stop"], strict=True)])
        bins = signal[:, columns]
        level[mark] = bins.mean(axis=1, dtype=float)
        around, position = np.empty((len(rows), 0)), np.empty(0)
        for start, stop in spans.loc[spans["region"] == tss, ["start", "stop"]].itertuples(index=False):
            var = adata.var.iloc[start:stop]
            around, position = signal[:, start:stop], ((var[k.START_BP] + var[k.END_BP]) / 2).to_numpy(float)
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


def tss_region(adata: ad.AnnData, table: pd.DataFrame) -> str | None:
    """Name of the first window around the TSS that shows 5 kb on either side; ``None`` when there is none."""
    anchors = window_anchors(adata)
    for region in table["region"].unique():
        if anchors.get(region, region) != "tss":
            continue
        var = adata.var[adata.var[k.REGION].astype(str) == region]
        if var[k.START_BP].min() <= -_FAR and var[k.END_BP].max() >= _FAR:
            return str(region)
    return None


def _amounts(bins: np.ndarray, genes: pd.Index) -> dict[str, object]:
    """How much signal one mark has, and how it is spread; ``bins``: genes by bins."""
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
    """Enrichment at and behind the TSS, from bins ``position`` bp away from it; NaN where no window shows both."""
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
    """Ratio of two means over the same genes, shape ``(n_genes,)`` each, with its interval.

    The interval is that of the logarithm, by the delta method; from 0 to infinity where too little is known.
    """
    a, b = (float(values.mean()) if len(values) else np.nan for values in (above, below))
    ratio = a / b if b > 0 else (np.inf if a > 0 else np.nan)
    low, high = 0.0, np.inf
    if len(above) >= FEWEST_GENES and a > 0 and b > 0:
        error = float((above / a - below / b).std(ddof=1)) / np.sqrt(len(above))
        low, high = ratio * np.exp(-_ERRORS * error), ratio * np.exp(_ERRORS * error)
    return {name: ratio, f"{name}_low": float(low), f"{name}_high": float(high)}


def _profiles(mark: str, around: np.ndarray, position: np.ndarray, strand: np.ndarray) -> pd.DataFrame:
    """Mean of each bin over the genes of each strand."""
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
