"""BigWig files, read with checks at every step.

The format is that of Kent et al. 2010 (doi:10.1093/bioinformatics/btq351): a header, the chromosomes as a B+ tree, the
data as compressed sections, and an R tree that says where the sections lie. pyBigWig and pybigtools read it too, but
both crash Python on damaged files and return intervals as Python objects. Here every step is checked, and a section
becomes one array (`benchmarks/tracks.py` compares speeds).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, Self

import numpy as np

from simplechrome_tk.io._text import GZIP

if TYPE_CHECKING:
    import os

# Numbers at the start of the file, of the list of chromosomes and of the index.
_MAGIC, _CHROM_MAGIC, _INDEX_MAGIC = 0x888FFC26, 0x78CA8C91, 0x2468ACE0

# Fields of the header, of the headers of both trees, of a node of a tree, and of the head of a section.
_HEADER = "IHHQQQHHQQIQ"
_CHROM_HEADER = "IIIIQQ"
_INDEX_HEADER = "IIQIIIIQII"
_NODE = "BBH"
_SECTION = "IIIIIBBH"

# The largest section in bytes, 65,535 intervals of 12 bytes, and the longest chromosome name that is read.
_LARGEST_SECTION = struct.calcsize("=" + _SECTION) + 0xFFFF * 12
_LONGEST_NAME = 1024

_INTERVAL = np.dtype([("start", "<u4"), ("end", "<u4"), ("value", "<f4")])
_SECTION_FIELDS = {1: _INTERVAL, 2: np.dtype([("start", "<u4"), ("value", "<f4")]), 3: np.dtype([("value", "<f4")])}
"""Kind of a section -> the fields of each interval: bedGraph, variable step, fixed step."""


def is_bigwig(path: Path) -> bool:
    """Whether a file begins with the magic number of bigWig files, in either byte order."""
    with path.open("rb") as file:
        return file.read(4) in (struct.pack("<I", _MAGIC), struct.pack(">I", _MAGIC))


class BigWig:
    """A bigWig file, open for reading; to be used in a ``with`` statement.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    sizes
        Chromosome -> its length in bp.
    chroms
        The chromosomes on which the file holds signal.

    Raises
    ------
    ValueError
        When the file is no bigWig, or is truncated or damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = self.path.open("rb")
        try:
            self._size = self.path.stat().st_size
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def intervals(self, chrom: str, start: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the intervals that overlap a stretch of a chromosome.

        Parameters
        ----------
        chrom
            One of ``chroms``.
        start, end
            The stretch, in bp, 0-based, half-open.

        Returns
        -------
        tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]
            Start and end (bp, integers) and signal (float32) of each, shape ``(n_intervals,)``: ascending and without
            overlap, not cut to the stretch.

        Raises
        ------
        ValueError
            When the file is truncated or damaged.
        """
        index = self._sections[chrom]
        near = index[(index["start"] < end) & (index["end"] > start)]
        sections = [self._section(chrom, offset, size) for offset, size in near[["offset", "size"]].tolist()]
        sections.append(np.empty(0, _INTERVAL))  # so that there is at least one array to concatenate
        starts, ends, signal = (np.concatenate([rows[name] for rows in sections]) for name in _INTERVAL.names or ())
        if (ends <= starts).any() or (starts[1:] < ends[:-1]).any():
            self._refuse(f"intervals on {chrom} are empty, overlap or are out of order")
        found = slice(int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(starts, end)))
        return starts[found], ends[found], signal[found]

    def _read_header(self) -> None:
        """Read the header, the chromosomes and the index of sections."""
        magic = self._file.read(4)
        self._order: Literal["<", ">"] = "<" if magic == struct.pack("<I", _MAGIC) else ">"
        if magic != struct.pack(self._order + "I", _MAGIC):
            fix = "Use sct.pp.bin_peaks for peaks, BED and bedGraph, sct.pp.bin_reads for BAM and tagAlign"
            if magic.startswith(GZIP):
                fix = f"It is gzipped, which bigWig files are not: gunzip {self.path}"
            msg = f"{self.path}: this is no bigWig file (it starts with {magic!r}). {fix}."
            raise ValueError(msg)
        header = self._unpack(_HEADER, 0)
        # Field 10 is the size of the buffer for one unpacked section; 0 says that sections are not compressed.
        chrom_offset, index_offset, self._compressed = header[3], header[5], header[10] > 0
        names = self._chromosomes(chrom_offset)
        self.sizes = dict(names.values())
        if len(self.sizes) < len(names):
            self._refuse("two chromosomes share a name")
        if self._unpack(_INDEX_HEADER, index_offset)[0] != _INDEX_MAGIC:
            self._refuse("there is no index")
        place = [("chrom", "u4"), ("start", "u4"), ("end_chrom", "u4"), ("end", "u4"), ("offset", "u8")]
        items = self._leaves(index_offset + 48, place, [*place, ("size", "u8")])
        # Sections by chromosome, each from left to right.
        items = items[np.lexsort([items["start"], items["chrom"]])]
        ids, first = np.unique(items["chrom"], return_index=True)
        if unknown := set(ids.tolist()) - set(names):
            self._refuse(f"the index holds an unknown chromosome, number {min(unknown)}")
        by_chrom = np.split(items, first[1:])
        self._numbers = {names[number][0]: number for number in ids.tolist()}
        self._sections = dict(zip(self._numbers, by_chrom, strict=True)) if len(ids) else {}
        self.chroms = set(self._sections)

    def _chromosomes(self, offset: int) -> dict[int, tuple[str, int]]:
        """Return number -> name and length of each chromosome."""
        magic, _, width, *_ = self._unpack(_CHROM_HEADER, offset)
        if magic != _CHROM_MAGIC or not 0 < width <= _LONGEST_NAME:
            self._refuse("there is no list of chromosomes")
        name = ("name", f"S{width}")
        rows = self._leaves(offset + 32, [name, ("offset", "u8")], [name, ("number", "u4"), ("size", "u4")])
        try:
            return {number: (key.decode(), size) for key, number, size in rows.tolist()}
        except UnicodeDecodeError:
            self._refuse("a chromosome name is no text")

    def _leaves(self, root: int, node: list[tuple[str, str]], leaf: list[tuple[str, str]]) -> np.ndarray:
        """Return the items of all leaves of a tree; ``node`` and ``leaf`` are the fields of an item in each."""
        branch_type, leaf_type = (np.dtype([(name, self._order + kind) for name, kind in t]) for t in (node, leaf))
        found, pending, left = [np.empty(0, leaf_type)], [root], self._size
        while pending:
            offset = pending.pop()
            is_leaf, _, count = self._unpack(_NODE, offset)
            dtype = leaf_type if is_leaf else branch_type
            left -= 4 + count * dtype.itemsize
            # Each node has bytes of its own; a branch that leads back to an earlier node would never end.
            if left < 0:
                self._refuse("a tree in it has no end")
            items = np.frombuffer(self._bytes(offset + 4, count * dtype.itemsize), dtype)
            if is_leaf:
                found.append(items)
            else:
                pending.extend(items["offset"].tolist())
        return np.concatenate(found)

    def _section(self, chrom: str, offset: int, size: int) -> np.ndarray:
        """Unpack one section into intervals."""
        data = self._bytes(offset, size)
        if self._compressed:
            stream = zlib.decompressobj()
            try:
                data = stream.decompress(data, _LARGEST_SECTION + 1)
            except zlib.error as error:
                self._refuse(f"a section on {chrom} cannot be unpacked: {error}")
            # zlib compares the checksum at the end of the stream: without an end, values may be wrong.
            if not (stream.eof or stream.unconsumed_tail):
                self._refuse(f"a section on {chrom} cannot be unpacked: its end is missing")
        head = struct.calcsize("=" + _SECTION)
        if len(data) < head:
            self._refuse(f"a section on {chrom} is too short")
        number, start, _, step, span, kind, _, count = struct.unpack_from(self._order + _SECTION, data)
        if kind not in _SECTION_FIELDS or number != self._numbers[chrom]:
            self._refuse(f"a section on {chrom} is of kind {kind}, for chromosome number {number}")
        dtype = _SECTION_FIELDS[kind].newbyteorder(self._order)
        if len(data) < head + count * dtype.itemsize:
            self._refuse(f"a section on {chrom} holds fewer than its {count} values")
        rows = np.frombuffer(data, dtype, count, head)
        if kind == 1:
            return rows
        # Kinds 2 and 3 give the span of all intervals, and kind 3 also the step from one to the next.
        intervals = np.empty(count, _INTERVAL)
        intervals["value"] = rows["value"]
        intervals["start"] = rows["start"] if kind == 2 else start + step * np.arange(count)
        intervals["end"] = intervals["start"] + np.uint32(span)
        return intervals

    def _unpack(self, form: str, offset: int) -> tuple[int, ...]:
        """Unpack fields at a place in the file."""
        form = self._order + form
        return struct.unpack(form, self._bytes(offset, struct.calcsize(form)))

    def _bytes(self, offset: int, size: int) -> bytes:
        """Read bytes at a place in the file."""
        if offset + size > self._size:
            self._refuse(f"it ends before byte {offset + size}")
        self._file.seek(offset)
        return self._file.read(size)

    def _refuse(self, problem: str) -> NoReturn:
        """Raise a ``ValueError`` that names the file and the problem."""
        msg = f"{self.path}: the bigWig file is truncated or damaged ({problem}). Download or write it again."
        raise ValueError(msg)
