"""Open BAM files, and refuse what htslib would stumble over."""

from __future__ import annotations

import gzip
import io
import itertools
import logging
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pysam

from simplechrome_tk.io._text import GZIP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

_LARGEST_INDEX = 1_000_000_000  # bytes once unpacked; that of a human genome has 10 million
_DEEPEST = 9  # levels of bins in an index; with more, their numbers would not fit
_LOOKED_AT = 100  # chunks of reads whose place in the file is compared with the index


class _Index(NamedTuple):
    """What an index says of a BAM file."""

    n_chromosomes: int
    shift: int
    """Bits of a position within the smallest bin."""

    depth: int
    chunks: list[tuple[int, int, int, int]]
    """Chromosome, bin, and virtual offsets of the first read and behind the last one, of each chunk of reads."""


@contextmanager
def open_bam(path: Path) -> Iterator[pysam.AlignmentFile]:
    """Open a BAM file that is sorted and indexed, for a ``with`` statement.

    Parameters
    ----------
    path
        The file; its index, ``.bai`` or ``.csi``, lies beside it.

    Yields
    ------
    pysam.AlignmentFile
        The file.

    Raises
    ------
    ValueError
        When it is no BAM file, is not sorted or has no index, or when it or its index is truncated or damaged, also
        where that shows only within the ``with`` statement.
    """
    path.open("rb").close()  # says which file is missing
    beside = (path.with_name(path.name + ".csi"), path.with_suffix(".csi"), path.with_name(path.name + ".bai"))
    index = next((name for name in (*beside, path.with_suffix(".bai")) if name.exists()), None)
    found = None if index is None else _check_index(index)
    try:
        with _alignments(path, index) as bam:
            if found is None or bam.nreferences != found.n_chromosomes or not _fits(bam, found):
                msg = (
                    f"{path}: its index {index} is of another file, or of an older version. Run: samtools index {path}"
                )
                raise ValueError(msg)
            if index is not None and index.stat().st_mtime < path.stat().st_mtime:
                text = "%s is older than the BAM file. If that was written again after it, run: samtools index %s"
                logger.warning(text, index, path)
            yield bam
    except OSError as error:
        msg = (
            f"{path}: the BAM file is truncated or damaged, or its index is of another version of it. Run: samtools "
            f"quickcheck -v {path}. If that finds nothing: samtools index {path}; else download or write the file again"
        )
        raise ValueError(msg) from error


def _fits(bam: pysam.AlignmentFile, index: _Index) -> bool:
    """Whether chunks of reads, up to a hundred, lie where the index says: right chromosome, bin and end of the file."""
    if not index.chunks:
        return True
    places = np.unique(np.linspace(0, len(index.chunks) - 1, _LOOKED_AT).astype(int))
    for chromosome, number, start, end in [index.chunks[place] for place in places]:
        first, after = (_read_at(bam, offset) for offset in (start, end))
        if first is None or first.reference_id != chromosome:
            return False
        own = bin_ = _bin(first, index)
        while bin_ > number:  # small bins are merged into the larger one that holds them
            bin_ = (bin_ - 1) >> 3
        if bin_ != number:
            return False
        if after is not None and after.reference_id == chromosome and own == number == _bin(after, index):
            return False
    last = _read_at(bam, max(end for *_, end in index.chunks))
    return last is None or last.reference_id < 0


def _read_at(bam: pysam.AlignmentFile, offset: int) -> pysam.AlignedSegment | None:
    bam.seek(offset)
    return next(bam.fetch(until_eof=True), None)


def _bin(read: pysam.AlignedSegment, index: _Index) -> int:
    """Return the number of the smallest bin that holds a read, as the SAM specification counts them."""
    first, last = read.reference_start, (read.reference_end or read.reference_start + 1) - 1
    shift, offset = index.shift, ((1 << 3 * index.depth) - 1) // 7
    for level in range(index.depth, 0, -1):
        if first >> shift == last >> shift:
            return offset + (first >> shift)
        shift, offset = shift + 3, offset - (1 << 3 * (level - 1))
    return 0


def _alignments(path: Path, index: Path | None) -> pysam.AlignmentFile:
    try:
        bam = pysam.AlignmentFile(str(path), "rb", index_filename=None if index is None else str(index))
    except (NotImplementedError, ValueError) as error:  # pysam: the former where damage looks like another compression
        msg = f"{path}: this is no BAM file ({error}); expected mapped reads in BAM, or in BED or tagAlign."
        raise ValueError(msg) from error
    if bam.is_bam and bam.has_index():
        return bam
    is_bam, order = bam.is_bam, bam.header.to_dict().get("HD", {}).get("SO", "unknown")
    bam.close()
    if not is_bam:
        msg = f"{path}: this is a SAM or CRAM file; expected BAM. Run: samtools view -b -o reads.bam {path}"
    elif order in ("unsorted", "queryname"):
        msg = (
            f"{path}: the reads are not sorted by position (the header says {order}). Run: samtools sort -o sorted.bam "
            f"{path} && samtools index sorted.bam"
        )
    else:
        msg = f"{path}: there is no index beside it. Run: samtools index {path}, or pysam.index({str(path)!r})"
    raise ValueError(msg)


def _check_index(path: Path) -> _Index:
    """Return what an index holds; raise unless it is whole: a damaged one ends Python in htslib."""
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            data = gzip.open(io.BytesIO(data)).read(_LARGEST_INDEX + 1)
            if len(data) > _LARGEST_INDEX:
                msg = f"more than {_LARGEST_INDEX:,} bytes once unpacked"
                raise ValueError(msg)
        return _walk_index(data)
    except (EOFError, ValueError, gzip.BadGzipFile, struct.error, zlib.error) as error:
        msg = f"{path}: the index is truncated or damaged ({error}). Delete it and run: samtools index, on the BAM file"
        raise ValueError(msg) from error


def _walk_index(data: bytes) -> _Index:
    """Go through an index as the SAM specification lays it out."""
    shift, depth, offset, bin_form = 14, 5, 4, "<Ii"
    if data.startswith(b"CSI\1"):
        shift, depth, n_auxiliary = struct.unpack_from("<iii", data, 4)
        offset, bin_form = 16 + n_auxiliary, "<IQi"
    _require(data.startswith((b"BAI\1", b"CSI\1")) and 0 <= depth <= _DEEPEST and 0 < shift < 32 and offset >= 4)
    chunks: list[tuple[int, int, int, int]] = []
    counters = ((1 << 3 * (depth + 1)) - 1) // 7 + 1  # the number after that of the last bin holds two counters
    (n_chromosomes,) = struct.unpack_from("<i", data, offset)
    offset += 4
    for chromosome in range(n_chromosomes):
        (n_bins,) = struct.unpack_from("<i", data, offset)
        offset += 4
        met: set[int] = set()
        _require(n_bins >= 0)
        for _ in range(n_bins):
            number, *_, n_chunks = struct.unpack_from(bin_form, data, offset)
            _require(n_chunks == 2 if number == counters else number < counters and n_chunks >= 0)
            _require(number not in met)
            met.add(number)
            offset += struct.calcsize(bin_form)
            ends = struct.unpack_from(f"<{2 * n_chunks}Q", data, offset)
            offset += 16 * n_chunks
            if number != counters:
                _require(all(first < last for first, last in itertools.pairwise(ends)))
                chunks += [(chromosome, number, *pair) for pair in zip(ends[::2], ends[1::2], strict=True)]
        if bin_form == "<Ii":
            (n_places,) = struct.unpack_from("<i", data, offset)
            _require(0 <= n_places <= (len(data) - offset) // 8)
            places = np.frombuffer(data, "<u8", n_places, offset + 4)
            _require(bool((np.diff(places[places > 0].astype(float)) >= 0).all()))
            offset += 4 + 8 * n_places
    _require(n_chromosomes >= 0 and offset <= len(data))
    return _Index(n_chromosomes, shift, depth, chunks)


def _require(sound: bool) -> None:  # noqa: FBT001 - a condition, not an option
    if not sound:
        msg = "its bins do not make sense"
        raise ValueError(msg)
