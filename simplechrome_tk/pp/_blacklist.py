"""Overlap of each gene's windows with regions of artefacts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import bioframe
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_column
from simplechrome_tk.core.window import Window
from simplechrome_tk.io._peaks import INTERVAL, read_columns
from simplechrome_tk.io._public import fetch
from simplechrome_tk.io._text import MAX_BYTES

if TYPE_CHECKING:
    import os

    import anndata as ad

logger = logging.getLogger(__name__)

_HG19 = "abc/wgEncodeHg19ConsensusSignalArtifactRegions.bed"


def blacklist_overlap(
    adata: ad.AnnData, blacklist: str | os.PathLike[str] | pd.DataFrame
) -> tuple[np.ndarray, dict[str, object]]:
    """Return the share of each gene's windows in the blacklist, shape ``(n_genes,)``, and a record of it."""
    regions, source = _read_blacklist(blacklist)
    fix = "blacklist= needs the positions of the genes (see sct.pp.bin_peaks)"
    chrom = obs_column(adata, k.CHROM, fix=fix).astype(str).to_numpy()
    _check_naming(set(chrom), set(regions["chrom"]))
    left, right = _window_ends(adata, fix)
    covered = np.zeros(left.shape)
    for name, merged in bioframe.merge(regions).groupby("chrom"):
        start, end = merged["start"].to_numpy(float), merged["end"].to_numpy(float)
        # The number of blacklisted bp up to each edge of a region; between edges it is linear, so that the difference
        # between the ends of a window is the overlap.
        position = np.column_stack([start, end]).ravel()
        total = np.cumsum(np.diff(position, prepend=position[0]) * np.tile([0.0, 1.0], len(start)))
        on = chrom == name
        covered[on] = np.interp(right[on], position, total) - np.interp(left[on], position, total)
    # A window that lies before the start of its chromosome has length 0, and share 0.
    share = covered.sum(axis=1) / np.maximum((right - left).sum(axis=1), 1)
    record: dict[str, object] = {
        "source": source,
        "n_regions": len(regions),
        "n_genes": int((share > 0).sum()),
        "n_genes_half": int((share >= 0.5).sum()),
    }
    logger.info(
        "qc: the blacklist touches the windows of %d of %d genes, and covers half of them or more for %d.",
        record["n_genes"],
        adata.n_obs,
        record["n_genes_half"],
    )
    return share, record


def _window_ends(adata: ad.AnnData, fix: str) -> tuple[np.ndarray, np.ndarray]:
    """Return left and right ends of the windows of each gene, without overlaps, ``(n_genes, n_windows)`` each."""
    windows = adata.uns.get(k.WINDOWS)
    regions = adata.var[k.REGION].astype(str).unique()
    if windows is None or not set(regions) <= set(windows.index):
        msg = f"uns['windows'] does not describe the windows {', '.join(regions)}: {fix}."
        raise ValueError(msg)
    outer = []
    for region in regions:
        anchor, upstream, downstream = windows.loc[region, ["anchor", "upstream", "downstream"]]
        window = Window(region, anchor, int(upstream), int(downstream), n_bins=1)
        for column in [k.TSS, k.STRAND] + ([k.START, k.END] if window.needs_body else []):
            obs_column(adata, column, fix=fix)
        outer.append(np.sort(window.edges(adata.obs), axis=1))
    # From left to right, each window begins where those before it end, so that no base counts twice.
    ends = np.maximum(np.stack(outer, axis=1), 0)
    ends = np.take_along_axis(ends, np.argsort(ends[:, :, :1], axis=1, kind="stable"), axis=1)
    left, right = ends[:, :, 0], ends[:, :, 1]
    reached = np.maximum.accumulate(right, axis=1)
    left[:, 1:] = np.maximum(left[:, 1:], reached[:, :-1])
    return left, np.maximum(left, right)


def _read_blacklist(blacklist: str | os.PathLike[str] | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the regions as ``chrom``, ``start`` and ``end``, and the name of their source."""
    columns = list(INTERVAL)
    if isinstance(blacklist, pd.DataFrame):
        table, source = blacklist, "the blacklist table"
        if missing := [column for column in columns if column not in table]:
            msg = f"{source} has no column {', '.join(missing)} (found: {', '.join(map(str, table)) or 'none'})."
            raise ValueError(msg)
        table = table[columns]
    else:
        source = str(blacklist)
        if source == "hg19":
            blacklist = fetch(_HG19)
        parts = read_columns(Path(blacklist), INTERVAL, noun="regions", max_bytes=MAX_BYTES)
        table = pd.concat(list(parts), ignore_index=True)
    ends = table[["start", "end"]].apply(pd.to_numeric, errors="coerce")
    wrong = table["chrom"].isna() | ~(ends["end"] >= ends["start"]) | (ends["start"] < 0) | (ends % 1 != 0).any(axis=1)
    if wrong.any() or table.empty:
        first = table[wrong].head(1)
        found = [f"row {int(wrong.to_numpy().argmax()) + 1} is {' '.join(map(str, row))}" for row in first.to_numpy()]
        shown = found[0] if found else "the list is empty"
        msg = f"{source}: expected intervals on chromosomes (0-based start, then end, in bp); {shown}."
        raise ValueError(msg)
    return ends.astype(int).assign(chrom=table["chrom"].astype(str)), source


def _check_naming(in_genes: set[str], in_blacklist: set[str]) -> None:
    """Raise when chromosome names have the prefix "chr" on one side only; other lists may just share no chromosome."""
    prefixed = [any(name.startswith("chr") for name in names) for names in (in_genes, in_blacklist)]
    if in_genes & in_blacklist or prefixed[0] == prefixed[1]:
        return
    new = "table['chrom'].str.removeprefix('chr')"
    if prefixed[0]:
        new = "'chr' + table['chrom'].astype(str)"
    msg = (
        f"genes and blacklist share no chromosome name (genes: {', '.join(sorted(in_genes)[:4])}; blacklist: "
        f"{', '.join(sorted(in_blacklist)[:4])}). Read it as a table, set table['chrom'] = {new}, and pass that."
    )
    raise ValueError(msg)
