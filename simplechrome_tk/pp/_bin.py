"""Signal of tracks, averaged over the bins of genes."""

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
from simplechrome_tk.pp._intervals import add_up, average
from simplechrome_tk.pp._storable import make_storable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._genome import Genome

logger = logging.getLogger(__name__)

Source = TypeVar("Source")

_FEW_WITHOUT_DATA = 0.01
"""Share of genes on chromosomes without data up to which no warning is due; chrY holds .001 of the genes."""


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

    The value of a bin is the integral of the signal over the bin, divided by its width. Signal is 0 outside peaks and
    beyond the ends of a chromosome; peaks that overlap add up. Bins run from 5' to 3' of the gene, on either strand.

    Parameters
    ----------
    peaks
        For each mark a file of peaks, BED or bedGraph (:func:`simplechrome_tk.io.read_peaks`), or a table with
        ``chrom``, ``start``, ``end`` and ``signal``.
    genes
        Table indexed by gene id with ``chrom``, ``tss``, ``strand`` (``+``, ``-`` or ``.``) and, for windows on the
        body or the gene's end, ``start`` and ``end``: bp, 0-based, half-open. Further columns are kept.
    windows
        The regions to bin, each a :class:`Window`; by default ``Window.TSS`` and ``Window.BODY``.
    kinds
        Format of the files, where content and name do not show it (``kind`` of
        :func:`simplechrome_tk.io.read_peaks`): one for all, or a mapping from marks.
    genome
        Chromosome sizes, in any form of :func:`simplechrome_tk.io.read_annotation`, to check the peaks against.
    max_bytes
        Largest size in bytes of a gzipped file after unpacking.

    Returns
    -------
    anndata.AnnData
        ``n_genes x n_columns`` float32, mark-major within each region.

        ``var``: ``mark``, ``region``, ``bin``, ``start_bp``, ``end_bp``; ``obs``: ``genes``;
        ``uns["windows"]``: the windows, one row each; ``uns["units"]["signal"]``: the name of the signal in plots
        (``"peak signal"``, or ``"signal"`` for BED, bedGraph and tables; write a better one there if you know it).

    Raises
    ------
    ValueError
        When no gene or no mark is given, a gene lacks a column that a window needs, signal is negative or missing,
        genes and peaks share no chromosome name, a peak reaches beyond the end of its chromosome in ``genome``, or a
        file is damaged or larger than ``max_bytes``.

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
        """Names of the chromosomes with data."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Length of each chromosome in bp, if the file contains it."""

    @property
    def ends(self) -> Mapping[str, float]:
        """End of the last interval on each chromosome, in bp; empty where the format excludes any beyond the end."""

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
    """Bin one track after another along genes, for all ``bin_`` functions.

    Parameters
    ----------
    sources
        For each mark its file or table.
    genes, windows
        As in :func:`bin_peaks`.
    open_track
        Context manager that opens the track of a mark.
    unit
        Name of the signal in plots.
    table
        Whether a source may be a table, whose chromosomes an error can say how to rename.
    genome
        Chromosome sizes to check the tracks against.

    Returns
    -------
    anndata.AnnData
        As of :func:`bin_peaks`.

    Raises
    ------
    ValueError
        When no gene or no mark is given, a gene lacks a column that a window needs, genes and a track share no
        chromosome name, a gene or interval lies beyond the end of its chromosome, or two sources give a chromosome
        different lengths.
    """
    _check_genes(genes, windows)
    if not sources:
        msg = "no marks: expected for example {'H3K4me3': 'k4me3.bw'}, found nothing."
        raise ValueError(msg)
    bins = _Bins(genes, windows)
    blocks = []
    genes_without_data: dict[str, int] = {}
    lengths = {} if genome is None else {"genome": read_chrom_sizes(genome)}
    for mark, source in sources.items():
        name = mark if isinstance(source, pd.DataFrame) else f"{mark} ({source})"
        with open_track(mark, source) as track:
            lengths[name] = dict(track.sizes)
            check_ends(track.ends, merge_lengths(lengths), source=name)
            genes_without_data[mark] = _count_without_data(bins.chrom, track.chroms, track_name=name, table=table)
            bins.check_within(track.sizes, track_name=name)
            blocks.append(bins.read(track))
    # From one array for each mark and window to columns that are mark-major within each window.
    matrix = np.concatenate([block for of_window in zip(*blocks, strict=True) for block in of_window], axis=1)
    adata = ad.AnnData(matrix, obs=make_storable(genes), var=_columns(list(sources), windows))
    adata.uns[k.WINDOWS] = pd.DataFrame(
        [(w.anchor, w.upstream, w.downstream, w.n_bins) for w in windows],
        columns=["anchor", "upstream", "downstream", "n_bins"],
        index=[w.name for w in windows],
    )
    adata.uns[k.UNITS] = {k.SIGNAL: unit}
    if any(genes_without_data.values()):
        counts = ", ".join(f"{n} genes for {mark}" for mark, n in genes_without_data.items() if n)
        # More genes than those of chrM and chrY hint at a truncated file.
        few = max(genes_without_data.values()) <= _FEW_WITHOUT_DATA * len(genes)
        message = "No data on the whole chromosome of %s; their signal is 0."
        logger.log(logging.INFO if few else logging.WARNING, message, counts)
    if bins.n_beyond:
        logger.info(
            "%d gene windows reach beyond the start or end of their chromosome; the signal there is 0.", bins.n_beyond
        )
    return adata


class _Bins:
    """The bins of all genes, and reading tracks along them.

    Parameters
    ----------
    genes, windows
        As in :func:`bin_peaks`.
    """

    def __init__(self, genes: pd.DataFrame, windows: Sequence[Window]) -> None:
        self._genes, self._windows = genes, windows
        self._edges = [window.edges(genes) for window in windows]
        self.chrom = genes[k.CHROM].astype(str).to_numpy()
        self._rows = {str(name): np.flatnonzero(self.chrom == name) for name in np.unique(self.chrom)}
        self._beyond = [edge.min(axis=1) < 0 for edge in self._edges]

    @property
    def n_beyond(self) -> int:
        """Number of windows that reach beyond their chromosome, as far as start and end of it are known by now."""
        return sum(int(beyond.sum()) for beyond in self._beyond)

    def check_within(self, sizes: Mapping[str, int], *, track_name: str) -> None:
        """Raise unless every gene lies on its chromosome, and mark the windows that reach beyond the end of it."""
        size = pd.Series(self.chrom).map(sizes).fillna(np.inf).to_numpy(float)
        _check_within(self._genes, self._windows, size, track_name=track_name)
        for beyond, edge in zip(self._beyond, self._edges, strict=True):
            beyond |= edge.max(axis=1) > size

    def read(self, track: Track) -> list[np.ndarray]:
        """Return the signal of a mark in each window, float32 ``(n_genes, n_bins)``; 0 on chromosomes without data."""
        blocks = [np.zeros((len(self._genes), window.n_bins), dtype=np.float32) for window in self._windows]
        for chrom, rows in self._rows.items():
            if chrom in track.chroms:
                signal = track.bins(chrom, [edge[rows] for edge in self._edges])
                for block, values in zip(blocks, signal, strict=True):
                    block[rows] = values
        return blocks


class _Peaks:
    """The signal of a table of peaks; peaks that overlap add up."""

    sizes: Mapping[str, int] = {}

    def __init__(self, peaks: pd.DataFrame) -> None:
        self.ends = peaks.groupby("chrom", observed=True)["end"].max().rename(index=str).to_dict()
        self._tables = {str(name): table for name, table in peaks.groupby("chrom", observed=True)}
        self.chroms = set(self._tables)

    def bins(self, chrom: str, edges: Sequence[np.ndarray]) -> list[np.ndarray]:
        start, end, signal = self._tables[chrom][["start", "end", "signal"]].to_numpy(float).T
        steps = add_up(start, end, signal)
        return [average(steps.integral(edge), edge) for edge in edges]


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
    """Return ``var``: one row for each bin of each mark in each window."""
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
    """Raise unless each gene has a unique id and the position that the windows need."""
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
    unknown = set(genes[k.STRAND].unique()) - {"+", "-", k.UNKNOWN_STRAND}
    if unknown:
        msg = f"strand holds [{shorten(sorted(map(repr, unknown)))}]; expected '+', '-' or '.' for unknown."
        raise ValueError(msg)
    # Windows around the TSS alone need no strand: genes of unknown strand are read along the genome.
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


def _count_without_data(chrom: np.ndarray, with_data: Collection[str], *, track_name: str, table: bool) -> int:
    """Return the number of genes on chromosomes without data; raise when all genes lie on such chromosomes."""
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
    """Return the code that adds or removes the prefix "chr" in a table, if this makes names agree, or ``""``."""
    if expected & {f"chr{name}" for name in names}:
        return f"{table}['chrom'] = 'chr' + {table}['chrom'].astype(str)"
    if expected & {name.removeprefix("chr") for name in names}:
        return f"{table}['chrom'] = {table}['chrom'].str.removeprefix('chr')"
    return ""
