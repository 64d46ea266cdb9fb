"""Read bigWig files.

The format is that of Kent et al. 2010 (doi:10.1093/bioinformatics/btq351): a header, the chromosomes as a B+ tree, the
data as compressed sections, and an R tree that says where the sections lie. pyBigWig and pybigtools read it too, but a
damaged file makes the one end Python by a segmentation fault and the other by an abort, and both hand out intervals as
Python objects; here every step is checked, and a section becomes one array (`benchmarks/tracks.py` compares speeds).
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

_MAGIC, _CHROM_MAGIC, _INDEX_MAGIC = 0x888FFC26, 0x78CA8C91, 0x2468ACE0
_HEADER, _CHROM_HEADER, _INDEX_HEADER, _NODE, _SECTION = "IHHQQQHHQQIQ", "IIIIQQ", "IIQIIIIQII", "BBH", "IIIIIBBH"
_LARGEST_SECTION = struct.calcsize("=" + _SECTION) + 0xFFFF * 12
_LONGEST_NAME = 1024

_INTERVAL = np.dtype([("start", "<u4"), ("end", "<u4"), ("value", "<f4")])
_SECTION_FIELDS = {1: _INTERVAL, 2: np.dtype([("start", "<u4"), ("value", "<f4")]), 3: np.dtype([("value", "<f4")])}
"""What a section holds for each interval, by its kind: bedGraph, variable step, fixed step."""


def is_bigwig(path: Path) -> bool:
    """Whether a file begins as bigWig files do, in either byte order."""
    with path.open("rb") as file:
        return file.read(4) in (struct.pack("<I", _MAGIC), struct.pack(">I", _MAGIC))


class BigWig:
    """A bigWig file, open for reading; close it, or use it in a ``with`` statement.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    sizes
        Chromosome -> its length in bp.
    chroms
        The chromosomes on which the file holds data.

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
        sections.append(np.empty(0, _INTERVAL))
        starts, ends, signal = (np.concatenate([rows[name] for rows in sections]) for name in _INTERVAL.names or ())
        if (ends <= starts).any() or (starts[1:] < ends[:-1]).any():
            self._refuse(f"intervals on {chrom} are empty, overlap or are out of order")
        found = slice(int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(starts, end)))
        return starts[found], ends[found], signal[found]

    def _read_header(self) -> None:
        magic = self._file.read(4)
        self._order: Literal["<", ">"] = "<" if magic == struct.pack("<I", _MAGIC) else ">"
        if magic != struct.pack(self._order + "I", _MAGIC):
            fix = "Use sct.pp.bin_peaks for peaks, BED and bedGraph, sct.pp.bin_reads for BAM and tagAlign"
            if magic.startswith(GZIP):
                fix = f"It is gzipped, which bigWig files are not: gunzip {self.path}"
            msg = f"{self.path}: this is no bigWig file (it starts with {magic!r}). {fix}."
            raise ValueError(msg)
        header = self._unpack(_HEADER, 0)
        chrom_offset, index_offset, self._compressed = header[3], header[5], header[10] > 0
        names = self._chromosomes(chrom_offset)
        self.sizes = dict(names.values())
        if len(self.sizes) < len(names):
            self._refuse("two chromosomes share a name")
        if self._unpack(_INDEX_HEADER, index_offset)[0] != _INDEX_MAGIC:
            self._refuse("there is no index")
        place = [("chrom", "u4"), ("start", "u4"), ("end_chrom", "u4"), ("end", "u4"), ("offset", "u8")]
        items = self._leaves(index_offset + 48, place, [*place, ("size", "u8")])
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
        """Gather the items of all leaves of a tree."""
        branch_type, leaf_type = (np.dtype([(name, self._order + kind) for name, kind in t]) for t in (node, leaf))
        found, pending, left = [np.empty(0, leaf_type)], [root], self._size
        while pending:
            offset = pending.pop()
            is_leaf, _, count = self._unpack(_NODE, offset)
            dtype = leaf_type if is_leaf else branch_type
            left -= 4 + count * dtype.itemsize
            if left < 0:  # every node has bytes of its own, unless a branch leads back to where it came from
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
            try:
                data = zlib.decompressobj().decompress(data, _LARGEST_SECTION)
            except zlib.error as error:
                self._refuse(f"a section on {chrom} cannot be unpacked: {error}")
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
        intervals = np.empty(count, _INTERVAL)
        intervals["value"] = rows["value"]
        intervals["start"] = rows["start"] if kind == 2 else start + step * np.arange(count)
        intervals["end"] = intervals["start"] + np.uint32(span)
        return intervals

    def _unpack(self, form: str, offset: int) -> tuple[int, ...]:
        form = self._order + form
        return struct.unpack(form, self._bytes(offset, struct.calcsize(form)))

    def _bytes(self, offset: int, size: int) -> bytes:
        if offset + size > self._size:
            self._refuse(f"it ends before byte {offset + size}")
        self._file.seek(offset)
        return self._file.read(size)

    def _refuse(self, problem: str) -> NoReturn:
        msg = f"{self.path}: the bigWig file is truncated or damaged ({problem}). Download or write it again."
        raise ValueError(msg)
