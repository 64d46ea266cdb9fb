"""Open BAM files, and refuse what htslib would stumble over."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pysam

from simplechrome_tk.io._text import GZIP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST_INDEX = 1_000_000_000  # bytes once unpacked; that of a human genome has 10 million
_DEEPEST = 9  # levels of bins in an index; with more, their numbers would not fit


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
    n_indexed = None if index is None else _check_index(index)
    try:
        with _alignments(path, index) as bam:
            if bam.nreferences != n_indexed:
                msg = f"{path}: its index {index} is of another file. Run: samtools index {path}"
                raise ValueError(msg)
            yield bam
    except OSError as error:
        msg = f"{path}: the BAM file is truncated or damaged. Download or write it again, then: samtools index {path}"
        raise ValueError(msg) from error


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


def _check_index(path: Path) -> int:
    """Return the number of chromosomes in an index; raise unless it is whole: a damaged one ends Python in htslib."""
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


def _walk_index(data: bytes) -> int:
    """Go through an index as the SAM specification lays it out."""
    depth, offset, bin_form = 5, 4, "<Ii"
    if data.startswith(b"CSI\1"):
        depth, n_auxiliary = struct.unpack_from("<ii", data, 8)
        offset, bin_form = 16 + n_auxiliary, "<IQi"
    _require(data.startswith((b"BAI\1", b"CSI\1")) and 0 <= depth <= _DEEPEST and offset >= 4)
    counters = ((1 << 3 * (depth + 1)) - 1) // 7 + 1  # the number after that of the last bin holds two counters
    (n_chromosomes,) = struct.unpack_from("<i", data, offset)
    offset += 4
    for _ in range(n_chromosomes):
        (n_bins,) = struct.unpack_from("<i", data, offset)
        offset += 4
        met: set[int] = set()
        _require(n_bins >= 0)
        for _ in range(n_bins):
            number, *_, n_chunks = struct.unpack_from(bin_form, data, offset)
            _require(n_chunks == 2 if number == counters else number < counters and n_chunks >= 0)
            _require(number not in met)
            met.add(number)
            offset += struct.calcsize(bin_form) + 16 * n_chunks
        if bin_form == "<Ii":
            (n_places,) = struct.unpack_from("<i", data, offset)
            _require(n_places >= 0)
            offset += 4 + 8 * n_places
    _require(n_chromosomes >= 0 and offset <= len(data))
    return int(n_chromosomes)


def _require(sound: bool) -> None:  # noqa: FBT001 - a condition, not an option
    if not sound:
        msg = "its bins do not make sense"
        raise ValueError(msg)
