"""Bin signal along genes: intervals in, AnnData of genes by histone-mark bins out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk import _keys as k
from simplechrome_tk.io._peaks import check_peaks, read_peaks
from simplechrome_tk.pp._window import DEFAULT_WINDOWS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from simplechrome_tk.pp._window import Window

logger = logging.getLogger(__name__)


def bin_peaks(
    peaks: Mapping[str, pd.DataFrame | str | os.PathLike[str]],
    genes: pd.DataFrame,
    *,
    windows: Sequence[Window] = DEFAULT_WINDOWS,
) -> ad.AnnData:
    """Average peak signal over the bins of every gene.

    A bin's value is the integral of the signal over the bin divided by its width: 0 outside peaks; peaks that overlap
    add up. Bins run from 5' to 3' of the gene, whatever its strand. What lies beyond the start of a chromosome is 0.

    Parameters
    ----------
    peaks
        For each mark a peak file (:func:`simplechrome_tk.io.read_peaks`) or a table with ``chrom``, ``start``, ``end``
        and ``signal``.
    genes
        Table indexed by gene id with ``chrom``, ``tss``, ``strand`` (``+``, ``-`` or ``.``) and, for windows on the
        body or the gene's end, ``start`` and ``end``: bp, 0-based, half-open. Further columns are kept.
    windows
        The regions to bin.

    Returns
    -------
    anndata.AnnData
        ``n_genes x n_columns`` float32, mark-major within each region.

        ``var``: ``mark``, ``region``, ``bin``, ``start_bp``, ``end_bp``; ``obs``: ``genes``;
        ``uns["windows"]``: the windows, one row each.

    Raises
    ------
    ValueError
        When no gene or no mark is given, a gene lacks what a window needs, a peak's signal is negative or missing, or
        genes and peaks share no chromosome name.

    Examples
    --------
    >>> import pandas as pd, simplechrome_tk as sct
    >>> genes = pd.DataFrame({"chrom": ["chr1"], "start": [9_000], "end": [12_000], "strand": ["-"], "tss": [12_000]})
    >>> peaks = pd.DataFrame({"chrom": ["chr1"], "start": [12_000], "end": [12_100], "signal": [3.0]})
    >>> adata = sct.pp.bin_peaks({"H3K4me3": peaks}, genes.set_index(pd.Index(["g"])))
    >>> adata[:, "H3K4me3:tss:-50"].X.item()
    3.0
    """
    _check_genes(genes, windows)
    if not peaks:
        msg = "no marks: `peaks` is empty; expected for example {'H3K4me3': 'k4me3.broadPeak.gz'}."
        raise ValueError(msg)
    edges = [window.edges(genes) for window in windows]
    chrom = genes[k.CHROM].astype(str).to_numpy()
    offsets = np.cumsum([0] + [len(peaks) * window.n_bins for window in windows])
    matrix = np.empty((len(genes), offsets[-1]), dtype=np.float32)
    bare: dict[str, int] = {}
    for i, (mark, source) in enumerate(peaks.items()):
        table = source if isinstance(source, pd.DataFrame) else read_peaks(source)
        check_peaks(table, source=mark)
        bare[mark] = _genes_without_peaks(genes[k.CHROM], table["chrom"], mark=mark)
        by_chrom = {str(name): _Integral(group) for name, group in table.groupby("chrom", observed=True)}
        for window, offset, window_edges in zip(windows, offsets, edges, strict=False):
            block = matrix[:, offset + i * window.n_bins : offset + (i + 1) * window.n_bins]
            for name in np.unique(chrom):
                rows = np.flatnonzero(chrom == name)
                block[rows] = by_chrom[name].means(window_edges[rows]) if name in by_chrom else 0.0
    adata = ad.AnnData(matrix, obs=genes.copy(), var=_columns(list(peaks), windows))
    adata.uns["windows"] = pd.DataFrame(
        [(w.anchor, w.upstream, w.downstream, w.n_bins) for w in windows],
        columns=["anchor", "upstream", "downstream", "n_bins"],
        index=[w.name for w in windows],
    )
    if any(bare.values()):
        counts = ", ".join(f"{n} genes for {mark}" for mark, n in bare.items() if n)
        logger.warning("No peak on the whole chromosome of %s; their signal is 0.", counts)
    cut = sum(int((e.min(axis=1) < 0).sum()) for e in edges)
    if cut:
        logger.warning("%d gene windows reach beyond the start of their chromosome; the signal there is 0.", cut)
    return adata


class _Integral:
    """The integral of a piecewise constant signal along one chromosome."""

    def __init__(self, peaks: pd.DataFrame) -> None:
        start, end = peaks["start"].to_numpy(float), peaks["end"].to_numpy(float)
        signal = peaks["signal"].to_numpy(float)
        order = np.argsort(np.concatenate([start, end]), kind="stable")
        self.position = np.concatenate([start, end])[order]
        depth = np.cumsum(np.concatenate([np.ones(len(start)), -np.ones(len(end))])[order])
        height = np.cumsum(np.concatenate([signal, -signal])[order])
        height[depth == 0] = 0.0  # exactly, where rounding leaves a trace
        self.integral = np.concatenate([[0.0], np.cumsum(height[:-1] * np.diff(self.position))])

    def means(self, edges: np.ndarray) -> np.ndarray:
        """Mean signal between neighbouring edges, which may ascend or descend along each row."""
        means = np.diff(np.interp(edges, self.position, self.integral), axis=1) / np.diff(edges, axis=1)
        return np.maximum(means, 0.0)  # rounding may leave a trace below 0 in peaks of signal 0


def _columns(marks: Sequence[str], windows: Sequence[Window]) -> pd.DataFrame:
    rows = [
        (f"{mark}:{window.name}:{name}", mark, window.name, i, window.bounds()[i], window.bounds()[i + 1])
        for window in windows
        for mark in marks
        for i, name in enumerate(window.bin_names())
    ]
    var = pd.DataFrame(rows, columns=["name", k.MARK, k.REGION, k.BIN, k.START_BP, k.END_BP]).set_index("name")
    var.index.name = None
    for column, order in ((k.MARK, marks), (k.REGION, [window.name for window in windows])):
        var[column] = pd.Categorical(var[column], categories=list(order))
    return var


def _check_genes(genes: pd.DataFrame, windows: Sequence[Window]) -> None:
    if not len(genes):
        msg = "no genes: the gene table is empty; check the filter that came before."
        raise ValueError(msg)
    names = [window.name for window in windows]
    if not names or len(set(names)) < len(names):
        msg = f"windows are named {names}; expected at least one, each with a name of its own."
        raise ValueError(msg)
    if genes.index.has_duplicates:
        twice = genes.index[genes.index.duplicated()].unique()
        msg = f"{len(twice)} gene ids occur more than once, such as {twice[0]!r}; keep one row of each."
        raise ValueError(msg)
    needs_body = any(window.needs_body for window in windows)
    columns = [k.CHROM, k.TSS, k.STRAND] + ([k.START, k.END] if needs_body else [])
    missing = [column for column in columns if column not in genes]
    if missing:
        msg = f"genes have no column {', '.join(missing)}; the windows {', '.join(names)} need {', '.join(columns)}."
        raise ValueError(msg)
    strange = set(genes[k.STRAND].unique()) - {"+", "-", k.UNKNOWN_STRAND}
    if strange:
        msg = f"strand holds {sorted(map(str, strange))}; expected '+', '-' or '.' for unknown."
        raise ValueError(msg)
    incomplete = genes[columns].isna().any(axis=1)
    if needs_body:
        incomplete |= (genes[k.STRAND] == k.UNKNOWN_STRAND) | ~(genes[k.END] > genes[k.START])
    if incomplete.any():
        first = genes.index[incomplete][0]
        msg = (
            f"{int(incomplete.sum())} of {len(genes)} genes lack the position, strand or body that the windows "
            f"{', '.join(names)} need, such as {first!r}. Leave them out, or use windows anchored at the TSS alone."
        )
        raise ValueError(msg)


def _genes_without_peaks(genes: pd.Series, peaks: pd.Series, *, mark: str) -> int:
    """Count the genes on chromosomes that have no peak at all; raise when these are all of them."""
    in_genes, in_peaks = set(genes.astype(str).unique()), set(peaks.astype(str).unique())
    if not in_genes & in_peaks:
        msg = (
            f"{mark}: genes and peaks share no chromosome name (genes: {_some(in_genes)}; peaks: {_some(in_peaks)}). "
            f"Rename one of them{_renaming(in_genes, in_peaks)}."
        )
        raise ValueError(msg)
    return int((~genes.astype(str).isin(in_peaks)).sum())


def _renaming(in_genes: set[str], in_peaks: set[str]) -> str:
    """Say how to rename the peaks, where a prefix "chr" is all that differs."""
    if in_genes & {f"chr{name}" for name in in_peaks}:
        renamed = "'chr' + table['chrom'].astype(str)"
    elif in_genes & {name.removeprefix("chr") for name in in_peaks}:
        renamed = "table['chrom'].str.removeprefix('chr')"
    else:
        return " so that they agree"
    return f": read the peaks with table = sct.io.read_peaks(path), set table['chrom'] = {renamed}, and pass the table"


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:4]) + (", ..." if len(names) > 4 else "")
