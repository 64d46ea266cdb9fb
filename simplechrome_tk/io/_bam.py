"""BAM files, opened after checks of the file and its index: htslib crashes on some damaged ones."""

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

# Largest index once unpacked, in bytes; the index of human reads has about 10 million.
_LARGEST_INDEX = 1_000_000_000

# Largest number of levels of bins in an index; with more, the numbers of bins would not fit into 32 bits.
_DEEPEST = 9

# Number of chunks of reads whose place in the file is compared with the index.
_N_COMPARED = 100


class _Index(NamedTuple):
    """The content of the index of a BAM file."""

    n_chromosomes: int
    shift: int
    """Number of bits of a position within the smallest bin."""

    depth: int
    """Number of levels of bins below the largest one."""

    chunks: list[tuple[int, int, int, int]]
    """Of each chunk of reads: chromosome, bin, and the virtual file offsets where it begins and ends."""


@contextmanager
def open_bam(path: Path) -> Iterator[pysam.AlignmentFile]:
    """Open a BAM file that is sorted and indexed, for a ``with`` statement.

    Parameters
    ----------
    path
        The file. Its index, ``.bai`` or ``.csi``, is beside it.

    Yields
    ------
    pysam.AlignmentFile
        The file.

    Raises
    ------
    ValueError
        When the file is no BAM file, is not sorted or has no index, or when the file or its index is truncated or
        damaged. Damage may also be found later, within the ``with`` statement.
    """
    # Unlike the error of pysam, that of Python names a missing file.
    path.open("rb").close()
    # The names of an index in the order in which htslib looks for them.
    names = [
        path.with_name(path.name + ".csi"),
        path.with_suffix(".csi"),
        path.with_name(path.name + ".bai"),
        path.with_suffix(".bai"),
    ]
    index = next((name for name in names if name.exists()), None)
    found = None if index is None else _read_index(index)
    try:
        with _open_alignments(path, index) as bam:
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
    """Whether the reads lie where the index says, in up to a hundred chunks and at the end of the file.

    An index of an older version of the file would make htslib look in the wrong places and return fewer reads.
    """
    if not index.chunks:
        return True
    compared = np.unique(np.linspace(0, len(index.chunks) - 1, _N_COMPARED).astype(int))
    for chromosome, number, start, end in [index.chunks[place] for place in compared]:
        first, after = _read_at(bam, start), _read_at(bam, end)
        if first is None or first.reference_id != chromosome:
            return False
        # Small bins may be merged into the larger one that holds them: the bin must be that of the read, or hold it.
        own = holding = _bin_of(first, index)
        while holding > number:
            holding = (holding - 1) >> 3
        if holding != number:
            return False
        # The next read must not belong to the same bin, or it would be in the same chunk.
        if after is not None and after.reference_id == chromosome and own == number == _bin_of(after, index):
            return False
    # Behind the last chunk, there may only be unmapped reads.
    last = _read_at(bam, max(end for *_, end in index.chunks))
    return last is None or last.reference_id < 0


def _read_at(bam: pysam.AlignmentFile, offset: int) -> pysam.AlignedSegment | None:
    """Return the read at a virtual file offset; None at the end of the file."""
    bam.seek(offset)
    return next(bam.fetch(until_eof=True), None)


def _bin_of(read: pysam.AlignedSegment, index: _Index) -> int:
    """Return the number of the smallest bin that holds a read (SAM specification, section 5.3)."""
    first, last = read.reference_start, (read.reference_end or read.reference_start + 1) - 1
    shift, offset = index.shift, ((1 << 3 * index.depth) - 1) // 7
    for level in range(index.depth, 0, -1):
        if first >> shift == last >> shift:
            return offset + (first >> shift)
        shift, offset = shift + 3, offset - (1 << 3 * (level - 1))
    return 0


def _open_alignments(path: Path, index: Path | None) -> pysam.AlignmentFile:
    """Open a BAM file with its index; raise with the samtools command that fixes it."""
    try:
        bam = pysam.AlignmentFile(str(path), "rb", index_filename=None if index is None else str(index))
    # pysam raises NotImplementedError where damage looks like another compression.
    except (NotImplementedError, ValueError) as error:
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


def _read_index(path: Path) -> _Index:
    """Read an index; raise unless it is whole, since a damaged one crashes Python in htslib."""
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            data = gzip.open(io.BytesIO(data)).read(_LARGEST_INDEX + 1)
            if len(data) > _LARGEST_INDEX:
                msg = f"more than {_LARGEST_INDEX:,} bytes once unpacked"
                raise ValueError(msg)
        return _parse_index(data)
    except (EOFError, ValueError, gzip.BadGzipFile, struct.error, zlib.error) as error:
        msg = f"{path}: the index is truncated or damaged ({error}). Delete it and run: samtools index, on the BAM file"
        raise ValueError(msg) from error


def _parse_index(data: bytes) -> _Index:
    """Parse an index of the format BAI or CSI, which the SAM specification describes."""
    _require(data.startswith((b"BAI\1", b"CSI\1")))
    shift, depth, offset, bin_form = 14, 5, 4, "<Ii"
    is_csi = data.startswith(b"CSI\1")
    if is_csi:
        shift, depth, n_auxiliary = struct.unpack_from("<iii", data, 4)
        offset, bin_form = 16 + n_auxiliary, "<IQi"
    _require(0 <= depth <= _DEEPEST and 0 < shift < 32 and offset >= 4)
    (n_chromosomes,) = struct.unpack_from("<i", data, offset)
    _require(n_chromosomes >= 0)
    offset += 4
    chunks: list[tuple[int, int, int, int]] = []
    for chromosome in range(n_chromosomes):
        bins, offset = _parse_bins(data, offset, bin_form, depth)
        chunks += [(chromosome, *chunk) for chunk in bins]
        if not is_csi:
            offset = _check_linear_index(data, offset)
    _require(offset <= len(data))
    return _Index(n_chromosomes, shift, depth, chunks)


def _parse_bins(data: bytes, offset: int, form: str, depth: int) -> tuple[list[tuple[int, int, int]], int]:
    """Return bin, first and last offset of each chunk of a chromosome, and the place in the data behind its bins."""
    # The number after that of the last bin stands for two counters of reads.
    counters = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
    (n_bins,) = struct.unpack_from("<i", data, offset)
    _require(n_bins >= 0)
    offset += 4
    chunks: list[tuple[int, int, int]] = []
    known: set[int] = set()
    for _ in range(n_bins):
        number, *_, n_chunks = struct.unpack_from(form, data, offset)
        _require(n_chunks == 2 if number == counters else number < counters and n_chunks >= 0)
        _require(number not in known)
        known.add(number)
        offset += struct.calcsize(form)
        ends = struct.unpack_from(f"<{2 * n_chunks}Q", data, offset)
        offset += 16 * n_chunks
        if number != counters:
            # Chunks are in the order of the file and do not overlap.
            _require(all(first < last for first, last in itertools.pairwise(ends)))
            chunks += [(number, *pair) for pair in zip(ends[::2], ends[1::2], strict=True)]
    return chunks, offset


def _check_linear_index(data: bytes, offset: int) -> int:
    """Check the linear index of a chromosome, whose offsets ascend, and return the place in the data behind it."""
    (n_places,) = struct.unpack_from("<i", data, offset)
    _require(0 <= n_places <= (len(data) - offset) // 8)
    places = np.frombuffer(data, "<u8", n_places, offset + 4)
    _require(bool((np.diff(places[places > 0].astype(float)) >= 0).all()))
    return offset + 4 + 8 * n_places


def _require(valid: bool) -> None:  # noqa: FBT001 - a condition, not an option
    """Raise ``ValueError`` unless a condition holds."""
    if not valid:
        msg = "its bins do not make sense"
        raise ValueError(msg)
