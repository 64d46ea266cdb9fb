"""Sequencing reads, counted in the bins of genes."""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.io._bam import open_bam
from simplechrome_tk.io._kind import READS, check_kinds, detect_kind, given_kind, report_kind
from simplechrome_tk.io._peaks import read_reads
from simplechrome_tk.io._text import MAX_BYTES
from simplechrome_tk.pp._bin import bin_tracks
from simplechrome_tk.pp._intervals import merge_windows

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import anndata as ad
    import pysam

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._columns import TrackKind
    from simplechrome_tk.io._genome import Genome

logger = logging.getLogger(__name__)

Duplicates = Literal["drop", "keep"]

_GAP = 10_000
"""Largest gap in bp between two windows that is read with them: one read costs less than two."""

_LONGEST_FRAGMENT = 2_000
"""In bp. Longer fragments are chance pairs; counting them would also need reads that lie further from the windows."""

# Bits of the flag of an alignment, from the SAM specification.
_PAIRED, _PROPER, _REVERSE, _SECOND = 0x1, 0x2, 0x10, 0x80
_BEYOND = "moved beyond the end of the chromosome"
_UNUSED = {
    "unmapped": 0x4,
    "secondary": 0x100,
    "supplementary": 0x800,
    "failing quality control": 0x200,
    "duplicate": 0x400,
}
"""Reason why a read is left out -> its bit in the flag."""


def bin_reads(
    reads: Mapping[str, str | os.PathLike[str]],
    genes: pd.DataFrame,
    *,
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    shift: int = 73,
    duplicates: Duplicates = "drop",
    min_mapq: int = 0,
    kinds: str | Mapping[str, str] | None = None,
    genome: Genome | None = None,
    max_bytes: int = MAX_BYTES,
) -> ad.AnnData:
    """Count the reads in the bins of every gene.

    Every read counts once, at the expected middle of its fragment: ``shift`` bp downstream of its 5' end. Read pairs,
    and intervals without a strand, are whole fragments and count at their middle. A position on the edge of two bins
    counts in the one downstream; a read that ``shift`` moves beyond the end of a chromosome does not count. Bins run
    from 5' to 3' of the gene, on either strand.

    Parameters
    ----------
    reads
        For each mark a file of mapped reads, whose format is recognised by content: BAM, with its index beside it; BED
        of reads (tagAlign, the output of ``bedtools bamtobed``) or of fragments; or the fragments of single cells
        (``fragments.tsv.gz``), each of which counts once, without its duplicates. In BAM files unmapped,
        secondary and supplementary alignments, those that fail quality control, pairs that are not proper and fragments
        longer than 2,000 bp are left out.
    genes
        As in :func:`bin_peaks`, of the assembly of the reads.
    windows
        The regions to bin, each a :class:`Window`; by default ``Window.TSS`` and ``Window.BODY``.
    shift
        Distance in bp from the 5' end of a read, along its strand, to the position where it counts. The default is half
        of the DNA around a nucleosome (147 bp); 0 counts 5' ends.
    duplicates
        ``"drop"`` leaves out reads that the BAM file marks as duplicates, ``"keep"`` counts them. BED files mark none.
    min_mapq
        Smallest mapping quality of reads that count; in BED files this is the score (column 5), as
        ``bedtools bamtobed`` writes it.
    kinds
        Format of the files, where content and name do not show it: ``"BAM"``, ``"tagAlign"`` (BED whose rows are reads)
        or ``"fragments"``; one for all, or a mapping from marks.
    genome
        Chromosome sizes, in any form of :func:`simplechrome_tk.io.read_annotation`, to check the reads against.
    max_bytes
        Largest size in bytes of a gzipped BED or tagAlign file after unpacking.

    Returns
    -------
    anndata.AnnData
        As from :func:`bin_peaks`; ``X`` holds whole numbers. ``uns["reads"]`` has one row for each mark: ``seen``, the
        alignments near the windows (in BED files all); ``counted``; the number left out for each reason; and
        ``library``, the reads in the whole file that would count (estimated as its mapped alignments times the share
        ``counted`` of ``seen``), by which :func:`subtract_control` scales a control. The numbers are logged, as a
        warning where no read counts.

    Raises
    ------
    ValueError
        When the content of a file is not reads (but peaks, signal or pairs), or a file is not sorted, without index,
        without reads, truncated, damaged or larger than ``max_bytes``; ``min_mapq`` is given and reads in a BED file
        have no score;
        genes and reads share no chromosome name; a gene lies beyond the end of its chromosome; or as :func:`bin_peaks`
        does.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.pp.bin_reads({"H3K4me3": "k4me3.bam", "input": "input.bam"}, genes)  # doctest: +SKIP
    """
    if duplicates not in get_args(Duplicates):
        msg = f"duplicates is {duplicates!r}; choose one of {', '.join(get_args(Duplicates))}."
        raise ValueError(msg)
    check_kinds(kinds, reads)
    rules = _Rules(shift, duplicates == "drop", min_mapq, max_bytes)
    tallies: dict[str, _Tally] = {}
    adata = bin_tracks(
        reads,
        genes,
        windows,
        open_track=partial(_open, kinds=kinds, rules=rules, tallies=tallies),
        unit="reads per bin",
        genome=genome,
    )
    reasons = sorted({reason for tally in tallies.values() for reason in tally.left_out})
    adata.uns[k.READS] = pd.DataFrame(
        [
            [tally.library, tally.seen, tally.counted, *(tally.left_out[reason] for reason in reasons)]
            for tally in tallies.values()
        ],
        columns=["library", "seen", "counted", *reasons],
        index=list(tallies),
    )
    return adata


@dataclass(frozen=True)
class _Rules:
    """Rules that decide which reads count, and at which position."""

    shift: int
    drop_duplicates: bool
    min_mapq: int
    max_bytes: int


@dataclass
class _Tally:
    """Numbers of counted and left out reads of one mark."""

    mapped: int = 0
    seen: int = 0
    counted: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def library(self) -> int:
        """Estimated number of reads in the whole file that would count."""
        return round(self.mapped * self.counted / self.seen) if self.seen else self.mapped

    def leave_out(self, reason: str, n: int) -> None:
        """Move ``n`` reads from the counted ones to those left out."""
        if n:
            self.counted -= n
            self.left_out[reason] += n

    def report(self, mark: str) -> None:
        """Log the numbers."""
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in self.left_out.most_common()) or "none"
        level = logging.WARNING if self.seen and not self.counted else logging.INFO
        logger.log(level, "%s: %d of %d reads counted; left out: %s.", mark, self.counted, self.seen, reasons)


class _BedTrack:
    """Reads of a BED or tagAlign file."""

    sizes: Mapping[str, int] = {}

    def __init__(self, path: Path, kind: TrackKind, rules: _Rules, tally: _Tally) -> None:
        found: dict[str, list[np.ndarray]] = {}
        self.ends: dict[str, float] = {}
        for table in read_reads(path, kind=kind, max_bytes=rules.max_bytes):
            if rules.min_mapq > 0 and (without := int(table["score"].isna().sum())):
                msg = f"{path}: {without} reads have no score to compare with min_mapq={rules.min_mapq}; leave it out."
                raise ValueError(msg)
            middles = _middles(table, rules.shift)
            low = (table["score"] < rules.min_mapq).to_numpy() & (rules.min_mapq > 0)
            before = middles <= 0
            tally.mapped = tally.seen = tally.seen + len(table)
            tally.counted += len(table)
            tally.leave_out("of low mapping quality", int(low.sum()))
            tally.leave_out(_BEYOND, int((before & ~low).sum()))
            table = table.assign(middle=np.where(low | before, np.nan, middles))
            for chrom, group in table.groupby("chrom", sort=False):
                self.ends[str(chrom)] = max(self.ends.get(str(chrom), 0.0), float(group["end"].max()))
                found.setdefault(str(chrom), []).append(group["middle"].dropna().to_numpy())
        self._middles = found
        self.chroms: Collection[str] = set(found)

    def bins(self, chrom: str, edges: Sequence[np.ndarray]) -> list[np.ndarray]:
        return _counts(np.concatenate(self._middles[chrom]), edges)


class _BamTrack:
    """Reads of an indexed BAM file."""

    def __init__(self, bam: pysam.AlignmentFile, rules: _Rules, tally: _Tally) -> None:
        self._bam, self._rules, self._tally = bam, rules, tally
        self.sizes = dict(zip(bam.references, bam.lengths, strict=True))
        self.ends: Mapping[str, float] = {}
        mapped = {row.contig: row.mapped for row in bam.get_index_statistics()}
        self.chroms: Collection[str] = {name for name, count in mapped.items() if count}
        tally.mapped = sum(mapped.values())

    def bins(self, chrom: str, edges: Sequence[np.ndarray]) -> list[np.ndarray]:
        size, margin = self.sizes[chrom], max(abs(self._rules.shift), _LONGEST_FRAGMENT // 2)
        # An array of C doubles grows without the memory of Python floats. Intervals are read with a margin, so that
        # reads whose middle moves into a window are found; `met` is the end of the last one.
        middles, met = array("d"), 0
        for start, end in merge_windows(edges, size=size, gap=_GAP + 2 * margin):
            reads = self._bam.fetch(chrom, max(start - margin, 0), min(end + margin, size))
            self._add_middles(middles, _beginning(reads, met))
            met = min(end + margin, size)
        positions = np.frombuffer(middles)
        inside = (positions > 0) & (positions < size)
        self._tally.leave_out(_BEYOND, int((~inside).sum()))
        return _counts(positions[inside], edges)

    def _add_middles(self, middles: array[float], reads: Iterable[pysam.AlignedSegment]) -> None:
        """Append the position where each read counts, and tally the others by reason."""
        unused = sum(flag for reason, flag in _UNUSED.items() if reason != "duplicate" or self._rules.drop_duplicates)
        offset, min_mapq, left_out = self._rules.shift + 0.5, self._rules.min_mapq, self._tally.left_out
        already, seen = len(middles), 0
        # This loop runs once for each read: local names, and one test of the flag for all reasons, keep it fast.
        for read in reads:
            seen += 1
            flag = read.flag
            if flag & unused:
                left_out[next(reason for reason, bit in _UNUSED.items() if flag & unused & bit)] += 1
            elif read.mapping_quality < min_mapq:
                left_out["of low mapping quality"] += 1
            elif flag & _PAIRED:
                length = abs(read.template_length)
                if not flag & _PROPER:
                    left_out["not in a proper pair"] += 1
                elif flag & _SECOND:
                    left_out["second of a pair"] += 1
                elif not 0 < length <= _LONGEST_FRAGMENT:
                    left_out["in fragments of 0 or above 2,000 bp"] += 1
                elif flag & _REVERSE:
                    middles.append(_end(read) - length / 2)
                else:
                    middles.append(read.reference_start + length / 2)
            elif flag & _REVERSE:
                middles.append(_end(read) - offset)
            else:
                middles.append(read.reference_start + offset)
        self._tally.seen += seen
        self._tally.counted += len(middles) - already


def _beginning(reads: Iterable[pysam.AlignedSegment], first: int) -> Iterator[pysam.AlignedSegment]:
    """Leave out reads that start before ``first``, which were read with the interval before; they come first."""
    return dropwhile(lambda read: read.reference_start < first, reads)


def _end(read: pysam.AlignedSegment) -> int:
    """Return the end of an alignment; without a CIGAR its length is unknown, and it counts as 1 bp."""
    return read.reference_end or read.reference_start + 1


def _middles(table: pd.DataFrame, shift: int) -> np.ndarray:
    """Return where each row of a BED file counts: at a shifted base, or in the middle where the strand is unknown."""
    start, end = table["start"].to_numpy(float), table["end"].to_numpy(float)
    strand = table["strand"].to_numpy()
    return np.select([strand == "+", strand == "-"], [start + 0.5 + shift, end - 0.5 - shift], (start + end) / 2)


def _counts(positions: np.ndarray, edges: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Count positions between adjacent edges; a position on an edge belongs to the bin downstream of it."""
    positions = np.sort(positions)
    counts = []
    for edge in edges:
        # Edges are sums of floats; rounded, an edge at the middle of a base is exact on both strands.
        edge = np.round(edge, 6)
        minus = edge[:, 0] > edge[:, -1]
        before = np.searchsorted(positions, edge)
        before[minus] = np.searchsorted(positions, edge[minus], side="right")
        counts.append(np.abs(np.diff(before, axis=1)))
    return counts


def _open(
    mark: str,
    path: str | os.PathLike[str],
    *,
    kinds: str | Mapping[str, str] | None,
    rules: _Rules,
    tallies: dict[str, _Tally],
) -> AbstractContextManager[_BamTrack | _BedTrack]:
    tally = tallies[mark] = _Tally()
    found = detect_kind(path, given_kind(mark, kinds), expected=READS)
    report_kind(path, found)
    if found.kind == "BAM":
        return _open_bam(mark, Path(path), rules, tally)
    return _open_bed(mark, Path(path), found.kind, rules, tally)


@contextmanager
def _open_bed(mark: str, path: Path, kind: TrackKind, rules: _Rules, tally: _Tally) -> Iterator[_BedTrack]:
    yield _BedTrack(path, kind, rules, tally)
    tally.report(mark)


@contextmanager
def _open_bam(mark: str, path: Path, rules: _Rules, tally: _Tally) -> Iterator[_BamTrack]:
    with open_bam(path) as bam:
        track = _BamTrack(bam, rules, tally)
        if not track.chroms:
            msg = (
                f"{path}: by its index there are no mapped reads; check the mapping and the filter that came before, "
                f"or index it again: samtools index {path}"
            )
            raise ValueError(msg)
        yield track
    tally.report(mark)
