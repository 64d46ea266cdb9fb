"""Signal of bigWig files, averaged over the bins of genes."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.io._bigwig import BigWig
from simplechrome_tk.pp._bin import bin_tracks
from simplechrome_tk.pp._intervals import Steps, average, extent, merge_windows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    import anndata as ad
    import pandas as pd

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._genome import Genome

logger = logging.getLogger(__name__)

_GAP = 10_000
"""Largest gap in bp between two windows that is read with them: one read costs less than two."""

_PIECE = 2_000_000
"""Number of bp to read at once, which limits the memory even for files with one value for each bp."""


def bin_bigwig(
    tracks: Mapping[str, str | os.PathLike[str]],
    genes: pd.DataFrame,
    *,
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    genome: Genome | None = None,
) -> ad.AnnData:
    """Average bigWig signal over the bins of every gene.

    The value of a bin is the integral of the signal over the bin, divided by its width. It is exact, from the full data
    instead of the zoom levels of the file, even where the edge of a bin falls within a base. Positions without data and
    beyond the ends of a chromosome count as 0. Bins run from 5' to 3' of the gene, on either strand.

    Parameters
    ----------
    tracks
        For each mark a bigWig file of non-negative signal, such as coverage, fold enrichment over the control or
        -log10 p.
    genes
        As in :func:`bin_peaks`, of the assembly of the tracks.
    windows
        The regions to bin, each a :class:`Window`; by default ``Window.TSS`` and ``Window.BODY``.
    genome
        Chromosome sizes, in any form of :func:`simplechrome_tk.io.read_annotation`, to check the tracks against.

    Returns
    -------
    anndata.AnnData
        As from :func:`bin_peaks`. ``uns["units"]["signal"]``, the name of the signal in plots, is ``"signal"``, since
        the file does not name it; write ``"-log10 p"`` or similar there.

    Raises
    ------
    ValueError
        When a file is not a bigWig, is truncated or damaged, or holds negative or infinite signal in the windows; genes
        and tracks share no chromosome name; a gene lies beyond the end of its chromosome; tracks, or tracks and
        ``genome``, give a chromosome different lengths; or as :func:`bin_peaks` does.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.pp.bin_bigwig({"H3K4me3": "k4me3.bw", "H3K27me3": "k27me3.bw"}, genes)  # doctest: +SKIP
    """
    return bin_tracks(tracks, genes, windows, open_track=_open, unit="signal", genome=genome)


class _Track:
    """A bigWig file as a track."""

    def __init__(self, mark: str, file: BigWig) -> None:
        self.chroms, self.sizes, self.missing = file.chroms, file.sizes, 0
        self.ends: Mapping[str, float] = {}
        self._mark, self._file = mark, file

    def bins(self, chrom: str, edges: Sequence[np.ndarray]) -> list[np.ndarray]:
        # The integral up to each edge, summed over the pieces of the chromosome that were read.
        integrals = [np.zeros(edge.shape) for edge in edges]
        reaches = [extent(edge) for edge in edges]
        for start, end in self._pieces(chrom, edges):
            steps = self._steps(chrom, start, end)
            for edge, (low, high), integral in zip(edges, reaches, integrals, strict=True):
                rows = np.flatnonzero((low < end) & (high > start))
                integral[rows] += steps.integral(np.clip(edge[rows], start, end))
        return [average(integral, edge) for integral, edge in zip(integrals, edges, strict=True)]

    def _pieces(self, chrom: str, edges: Sequence[np.ndarray]) -> Iterator[tuple[int, int]]:
        """Yield start and end of the pieces of a chromosome that windows cover."""
        for first, last in merge_windows(edges, size=self.sizes[chrom], gap=_GAP):
            for start in range(first, last, _PIECE):
                yield start, min(start + _PIECE, last)

    def _steps(self, chrom: str, start: int, end: int) -> Steps:
        """Return the signal of a piece of a chromosome; raise when it is negative or infinite."""
        starts, ends, signal = self._file.intervals(chrom, start, end)
        value = signal.astype(float)
        missing = np.isnan(value)
        value[missing] = 0.0
        # An interval that spans two pieces is read twice; it counts where it starts.
        self.missing += int((missing & (starts >= start)).sum())
        for problem, wrong in (("negative", value < 0), ("infinite", np.isinf(value))):
            if wrong.any():
                first = np.flatnonzero(wrong)[0]
                msg = (
                    f"{self._mark}: {self._file.path} holds {problem} signal, such as {value[first]:g} at "
                    f"{chrom}:{starts[first]}-{ends[first]}; expected non-negative signal. Take a track of coverage, "
                    "fold enrichment or -log10 p instead of one of log ratios; sct.pp.subtract_control compares with a "
                    "control afterwards."
                )
                raise ValueError(msg)
        return Steps(starts, ends, value)


@contextmanager
def _open(mark: str, path: str | os.PathLike[str]) -> Iterator[_Track]:
    with BigWig(path) as file:
        if not file.chroms:
            msg = f"{path}: no signal at all; check the download, and the step or filter that came before."
            raise ValueError(msg)
        track = _Track(mark, file)
        yield track
    if track.missing:
        logger.warning("%s: %d intervals in %s have no value; they count as 0.", mark, track.missing, path)
