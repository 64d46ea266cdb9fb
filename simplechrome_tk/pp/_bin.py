"""Bin signal along genes: tracks in, AnnData of genes by histone-mark bins out."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.io._genome import check_ends, merge_lengths, read_chrom_sizes
from simplechrome_tk.io._kind import CALLED, PEAKS, check_kinds, detect_kind, given_kind
from simplechrome_tk.io._peaks import check_peaks, read_peaks
from simplechrome_tk.io._text import MAX_BYTES
from simplechrome_tk.pp._intervals import means, pile_up
from simplechrome_tk.pp._storable import storable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._genome import Genome

logger = logging.getLogger(__name__)

Source = TypeVar("Source")


def bin_peaks(
    peaks: Mapping[str, pd.DataFrame | str | os.PathLike[str]],
    genes: pd.DataFrame,
    *,
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    kinds: str | Mapping[str, str] | None = None,
    genome: Genome | None = None,
    max_bytes: int = MAX_BYTES,
) -> ad.AnnData:
    """Average the signal of peaks, BED or bedGraph over the bins of every gene.

    A bin's value is the integral of the signal over the bin divided by its width: 0 outside peaks; peaks that overlap
    add up. Bins run from 5' to 3' of the gene, whatever its strand. What lies beyond the start of a chromosome is 0.

    Parameters
    ----------
    peaks
        For each mark a file of peaks, BED or bedGraph (:func:`simplechrome_tk.io.read_peaks`), or a table with
        ``chrom``, ``start``, ``end`` and ``signal``.
    genes
        Table indexed by gene id with ``chrom``, ``tss``, ``strand`` (``+``, ``-`` or ``.``) and, for windows on the
        body or the gene's end, ``start`` and ``end``: bp, 0-based, half-open. Further columns are kept.
    windows
        The regions to bin.
    kinds
        What the files are, where content and name do not say it or say it wrongly (``kind`` of
        :func:`simplechrome_tk.io.read_peaks`): of all, or by mark.
    genome
        Chromosome sizes, in any form of :func:`simplechrome_tk.io.read_annotation`, to check the peaks against.
    max_bytes
        What a gzipped file may hold once unpacked.

    Returns
    -------
    anndata.AnnData
        ``n_genes x n_columns`` float32, mark-major within each region.

        ``var``: ``mark``, ``region``, ``bin``, ``start_bp``, ``end_bp``; ``obs``: ``genes``;
        ``uns["windows"]``: the windows, one row each; ``uns["units"]["signal"]``: what ``X`` holds, as plots call it
        (``"peak signal"``, or ``"signal"`` of BED, bedGraph and tables; give it a better name where you know one).

    Raises
    ------
    ValueError
        When no gene or no mark is given, a gene lacks what a window needs, a peak's signal is negative or missing,
        genes and peaks share no chromosome name, a peak reaches beyond the end of its chromosome in ``genome``, or a
        file is damaged or holds more than ``max_bytes``.

    Examples
    --------
    >>> import pandas as pd, simplechrome_tk as sct
    >>> genes = pd.DataFrame({"chrom": ["chr1"], "start": [9_000], "end": [12_000], "strand": ["-"], "tss": [12_000]})
    >>> peaks = pd.DataFrame({"chrom": ["chr1"], "start": [12_000], "end": [12_100], "signal": [3.0]})
    >>> adata = sct.pp.bin_peaks({"H3K4me3": peaks}, genes.set_index(pd.Index(["g"])))
    >>> adata[:, "H3K4me3:tss:-50"].X.item()
    3.0
    """
    check_kinds(kinds, peaks)
    called = [
        not isinstance(source, pd.DataFrame)
        and detect_kind(source, given_kind(mark, kinds), expected=PEAKS).kind in CALLED
        for mark, source in peaks.items()
    ]
    return bin_tracks(
        peaks,
        genes,
        windows,
        open_track=partial(_open_peaks, kinds=kinds, max_bytes=max_bytes),
        unit="peak signal" if all(called) else "signal",
        table=True,
        genome=genome,
    )


class Track(Protocol):
    """The signal of one mark."""

    @property
    def chroms(self) -> Collection[str]:
        """The chromosomes on which it holds data."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Length of each chromosome in bp, as far as the source of the signal knows."""

    @property
    def ends(self) -> Mapping[str, float]:
        """Where the last interval on each chromosome ends, in bp, where that may be beyond the chromosome's end."""

    def bins(self, chrom: str, edges: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the value of each bin on one chromosome.

        Parameters
        ----------
        chrom
            One of ``chroms``.
        edges
            For each region, edges of bins in bp, shape ``(n_genes, n_bins + 1)``; each row ascends or descends.

        Returns
        -------
        list[numpy.ndarray]
            For each region, shape ``(n_genes, n_bins)``.
        """


def bin_tracks(
    sources: Mapping[str, Source],
    genes: pd.DataFrame,
    windows: Sequence[Window],
    *,
    open_track: Callable[[str, Source], AbstractContextManager[Track]],
    unit: str,
    table: bool = False,
    genome: Genome | None = None,
) -> ad.AnnData:
    """Bin one track after another along genes: what all ``bin_`` functions share.

    Parameters
    ----------
    sources
        For each mark what ``open_track`` opens.
    genes, windows
        As in :func:`bin_peaks`.
    open_track
        Opens the track of a mark.
    unit
        What the values are, as plots call it.
    table
        Whether a source may be a table, whose chromosomes are then easily renamed.
    genome
        Chromosome sizes to check the tracks against.

    Returns
    -------
    anndata.AnnData
        As of :func:`bin_peaks`.

    Raises
    ------
    ValueError
        When no gene or no mark is given, a gene lacks what a window needs, genes and a track share no chromosome name,
        a gene or interval lies beyond the end of its chromosome, or two sources give a chromosome different lengths.
    """
    _check_genes(genes, windows)
    if not sources:
        msg = "no marks: expected for example {'H3K4me3': 'k4me3.bw'}, found nothing."
        raise ValueError(msg)
    edges = [window.edges(genes) for window in windows]
    chrom = genes[k.CHROM].astype(str).to_numpy()
    places = [(str(name), np.flatnonzero(chrom == name)) for name in np.unique(chrom)]
    offsets = np.cumsum([0] + [len(sources) * window.n_bins for window in windows])
    matrix = np.zeros((len(genes), offsets[-1]), dtype=np.float32)
    bare: dict[str, int] = {}
    lengths = {} if genome is None else {"genome": read_chrom_sizes(genome)}
    cut = [edge.min(axis=1) < 0 for edge in edges]
    for i, (mark, source) in enumerate(sources.items()):
        name = mark if isinstance(source, pd.DataFrame) else f"{mark} ({source})"
        with open_track(mark, source) as track:
            lengths[name] = dict(track.sizes)
            check_ends(track.ends, merge_lengths(lengths), source=name)
            bare[mark] = _genes_without_data(chrom, track.chroms, track_name=name, table=table)
            size = pd.Series(chrom).map(track.sizes).fillna(np.inf).to_numpy(float)
            _check_within(genes, windows, size, track_name=name)
            for beyond, edge in zip(cut, edges, strict=True):
                beyond |= edge.max(axis=1) > size
            for place, rows in places:
                if place not in track.chroms:
                    continue
                values = track.bins(place, [edge[rows] for edge in edges])
                for window, offset, block in zip(windows, offsets[:-1], values, strict=True):
                    matrix[rows, offset + i * window.n_bins : offset + (i + 1) * window.n_bins] = block
    adata = ad.AnnData(matrix, obs=storable(genes), var=_columns(list(sources), windows))
    adata.uns["windows"] = pd.DataFrame(
        [(w.anchor, w.upstream, w.downstream, w.n_bins) for w in windows],
        columns=["anchor", "upstream", "downstream", "n_bins"],
        index=[w.name for w in windows],
    )
    adata.uns[k.UNITS] = {k.SIGNAL: unit}
    if any(bare.values()):
        counts = ", ".join(f"{n} genes for {mark}" for mark, n in bare.items() if n)
        logger.warning("No data on the whole chromosome of %s; their signal is 0.", counts)
    if n := sum(int(beyond.sum()) for beyond in cut):
        logger.warning("%d gene windows reach beyond the start or end of their chromosome; the signal there is 0.", n)
    return adata


class _Peaks:
    """A table of peaks; those that overlap add up."""

    sizes: Mapping[str, int] = {}

    def __init__(self, peaks: pd.DataFrame) -> None:
        self.ends = peaks.groupby("chrom", observed=True)["end"].max().rename(index=str).to_dict()
        self._tables = {str(name): table for name, table in peaks.groupby("chrom", observed=True)}
        self.chroms = set(self._tables)

    def bins(self, chrom: str, edges: Sequence[np.ndarray]) -> list[np.ndarray]:
        start, end, signal = self._tables[chrom][["start", "end", "signal"]].to_numpy(float).T
        steps = pile_up(start, end, signal)
        return [means(steps.integral(edge), edge) for edge in edges]


@contextmanager
def _open_peaks(
    mark: str,
    source: pd.DataFrame | str | os.PathLike[str],
    *,
    kinds: str | Mapping[str, str] | None,
    max_bytes: int,
) -> Iterator[_Peaks]:
    if isinstance(source, pd.DataFrame):
        check_peaks(source, source=mark)
        peaks = source
    else:
        peaks = read_peaks(source, kind=given_kind(mark, kinds), max_bytes=max_bytes)
    yield _Peaks(peaks)


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
        msg = f"strand holds [{shorten(sorted(map(repr, strange)))}]; expected '+', '-' or '.' for unknown."
        raise ValueError(msg)
    places = genes[[column for column in columns if column in (k.TSS, k.START, k.END)]].astype(float)
    incomplete = genes[columns].isna().any(axis=1) | ~(np.isfinite(places) & (places >= 0)).all(axis=1)
    if needs_body:
        incomplete |= (genes[k.STRAND] == k.UNKNOWN_STRAND) | ~(genes[k.END] > genes[k.START])
    if incomplete.any():
        first = genes.index[incomplete][0]
        msg = (
            f"{int(incomplete.sum())} of {len(genes)} genes lack the position, strand or body that the windows "
            f"{', '.join(names)} need (finite numbers from 0), such as {first!r}. Leave them out, or use windows "
            "anchored at the TSS alone."
        )
        raise ValueError(msg)


def _check_within(genes: pd.DataFrame, windows: Sequence[Window], size: np.ndarray, *, track_name: str) -> None:
    """Raise unless every gene lies on its chromosome, ``size`` bp long."""
    columns = [k.TSS] + ([k.START, k.END] if any(window.needs_body for window in windows) else [])
    last = genes[columns].to_numpy(float).max(axis=1)
    beyond = np.flatnonzero(last > size)
    if len(beyond):
        first = beyond[0]
        place = f"{last[first]:,.0f} on {genes[k.CHROM].iloc[first]}, which has {size[first]:,.0f} bp in the track"
        msg = (
            f"{track_name}: {len(beyond)} of {len(genes)} genes lie beyond the end of their chromosome, such as "
            f"{genes.index[first]!r} at {place}. Genes and track are of different genome assemblies: take an "
            "annotation of the track's."
        )
        raise ValueError(msg)


def _genes_without_data(chrom: np.ndarray, with_data: Collection[str], *, track_name: str, table: bool) -> int:
    """Count the genes on chromosomes without data; raise when these are all of them."""
    in_genes, in_track = set(chrom), set(with_data)
    if in_genes & in_track:
        return int((~np.isin(chrom, list(in_track))).sum())
    track = "peaks" if table else "the track"
    if table and (renamed := _renaming("table", in_track, in_genes)):
        fix = f"Rename one: read the peaks with table = sct.io.read_peaks(path), set {renamed}, and pass the table"
    elif renamed := _renaming("genes", in_genes, in_track):
        fix = f"Rename those of the genes (of a file: genes = sct.io.read_annotation(path)): {renamed}"
    else:
        fix = "Rename one of them so that they agree"
    names = f"genes: {shorten(sorted(in_genes), limit=4)}; {track}: {shorten(sorted(in_track), limit=4)}"
    msg = f"{track_name}: genes and {track} share no chromosome name ({names}). {fix}."
    raise ValueError(msg)


def _renaming(table: str, names: set[str], expected: set[str]) -> str:
    """Say how to rename the chromosomes of a table, where a prefix "chr" is all that differs; else nothing."""
    if expected & {f"chr{name}" for name in names}:
        return f"{table}['chrom'] = 'chr' + {table}['chrom'].astype(str)"
    if expected & {name.removeprefix("chr") for name in names}:
        return f"{table}['chrom'] = {table}['chrom'].str.removeprefix('chr')"
    return ""
