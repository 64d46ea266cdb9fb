"""Text files, plain or gzipped, read with checks of size and content."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from simplechrome_tk.io._magic import HEAD_BYTES, refuse_binary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 4_000_000_000
"""The largest size of one compressed file once unpacked, in bytes. DeepChrome's archive of 56 cell types has about 2.5
GB, 50 million reads in tagAlign 2 GB, the largest annotation 2 GB."""

BUFFER = 1 << 20
"""Bytes that are unpacked at once."""

GZIP = b"\x1f\x8b"
"""First bytes of a gzip file."""

_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)

# Bytes that are read at once, and the length in bytes of a line that no table has.
_BLOCK = 1 << 24
_LONGEST_LINE = 1 << 26

# Byte order mark of UTF-8, which Windows programs write at the start of a file.
_BOM = b"\xef\xbb\xbf"

# 65,536 blank lines in a row, with each end of a line: a small gzip file can hold billions.
_BLANK = tuple(end * (1 << 16) for end in (b"\n", b"\r\n", b" \n", b"\t\n"))

_NO_ROWS = "{}: no rows at all; check the download, or the step that wrote it."
_DELIMITERS = "\t,; "


class _Readable(Protocol):
    """An object from which bytes can be read."""

    def read(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes."""


class LimitedReader(io.RawIOBase):
    """The unpacked bytes of a compressed stream; ``ValueError`` beyond ``max_bytes``, and where it is damaged."""

    def __init__(self, stream: _Readable, max_bytes: int, source: str) -> None:
        self._stream, self._left, self._max, self._source = stream, max_bytes, max_bytes, source

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer, and count the bytes."""
        try:
            data = self._stream.read(len(buffer))
        except _GZIP_ERRORS as error:
            msg = f"{self._source}: the gzip file is truncated or damaged ({error}). Delete it and download it again."
            raise ValueError(msg) from error
        self._left -= len(data)
        if self._left < 0:
            msg = (
                f"{self._source}: more than {self._max:,} bytes once unpacked; is it a decompression bomb? If it is "
                "meant to be so large, raise max_bytes."
            )
            raise ValueError(msg)
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def open_unpacked(path: Path, max_bytes: int) -> Iterator[io.BufferedReader]:
    """Open a file, plain or gzipped as its first bytes say; ``max_bytes`` limits the unpacked size of a gzipped one."""
    if path.is_dir():
        msg = f"{path}: this is a folder; expected the path of a file."
        raise ValueError(msg)
    with path.open("rb") as raw:
        if not raw.peek(2).startswith(GZIP):
            yield raw
            return
        with gzip.open(raw) as unpacked:
            yield io.BufferedReader(LimitedReader(unpacked, max_bytes, str(path)), BUFFER)


def read_blocks(path: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[list[bytes]]:
    """Yield the lines of a file in blocks of about 16 MB, without line ends.

    The first bytes of the file say whether it is gzipped, whatever its name. A byte order mark of UTF-8 is left out.

    Raises
    ------
    ValueError
        When the gzip stream is cut short or damaged, a gzipped file holds more than ``max_bytes``, the file is of a
        binary format or UTF-16, holds a NUL byte, a carriage return alone or 65,536 blank lines in a row, or a line is
        longer than 64 MB.
    """
    n_lines = 0
    with open_unpacked(path, max_bytes) as handle:
        refuse_binary(handle.peek(HEAD_BYTES)[:HEAD_BYTES], path)
        rest = handle.read(len(_BOM)).removeprefix(_BOM)
        while block := handle.read(_BLOCK):
            # The last line of a block may go on in the next one.
            block = rest + block
            end = block.rfind(b"\n") + 1
            whole, rest = block[:end], block[end:]
            check_text(whole, path, n_lines)
            if len(rest) > _LONGEST_LINE:
                check_text(rest, path, n_lines)
                msg = f"{path}: a line is longer than {_LONGEST_LINE >> 20} MB; this is no table."
                raise ValueError(msg)
            if whole:
                lines = whole[:-1].split(b"\n")
                n_lines += len(lines)
                yield lines
        if rest:
            check_text(rest, path, n_lines)
            yield [rest]


def check_text(text: bytes, path: Path, n_lines: int = 0) -> None:
    """Raise for bytes that parsers take for the end of a field or row, and for endless blank lines."""
    if (at := text.find(b"\0")) >= 0:
        number = n_lines + text.count(b"\n", 0, at) + 1
        msg = (
            f"{path}: line {number} holds a NUL byte, which no text does. The file is damaged, binary or UTF-16; "
            "download or write it again."
        )
        raise ValueError(msg)
    # A carriage return at the very end is the first half of a Windows line end that was cut off.
    if b"\r" in text and text.count(b"\r") > text.count(b"\r\n") + text.endswith(b"\r"):
        msg = (
            f"{path}: lines end in a carriage return alone, as on old Macs, or hold one. Run: tr '\\r' '\\n' < {path} "
            "> new.txt"
        )
        raise ValueError(msg)
    if any(blank in text for blank in _BLANK):
        msg = f"{path}: more than 65,000 blank lines in a row; this is no table. Download or write it again."
        raise ValueError(msg)


def decode(line: bytes, *, path: Path, number: int) -> str:
    """Decode UTF-8, or raise a ``ValueError`` with the line number."""
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        msg = f"{path}: line {number} is no UTF-8 text ({error.reason}); expected a text file, plain or gzipped."
        raise ValueError(msg) from error


def read_rows(path: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row of a delimited file, at least one.

    Fields are separated by tab, comma, semicolon or space: the first of these that the first row holds. Comments,
    ``track`` lines and ``browser`` lines at the head are left out, except a header behind ``#``: the last comment, if
    it has as many fields as the first row.

    Raises
    ------
    ValueError
        When there is no row, a line cannot be read, or a gzipped file holds more than ``max_bytes``.
    """
    lines = _text_lines(path, max_bytes)
    comment: tuple[int, str] | None = None
    for number, line in lines:
        if line.startswith("#"):
            comment = number, line.lstrip("#").lstrip(" ")
        elif line.strip(_DELIMITERS) and not line.startswith(("track ", "browser ")):
            break
    else:
        raise ValueError(_NO_ROWS.format(path))
    # A header may be one name alone, without a delimiter: the second line then says which one it is.
    head = [line, *(text for _, text in itertools.islice(lines, 1))]
    delimiter = next((d for text in head for d in _DELIMITERS if d in text), "\t")
    # A last comment with as many fields as the first row is the header.
    if comment and comment[1].count(delimiter) == line.count(delimiter) > 0:
        yield comment[0], comment[1].split(delimiter)
    reader = csv.reader(
        itertools.chain(head, (text for _, text in lines)), delimiter=delimiter, skipinitialspace=delimiter == " "
    )
    first, empty = number, True
    try:
        for fields in reader:
            last = first + reader.line_num - 1
            if last > number:
                msg = f"{path}: line {number} has a quote that is not closed on it. Correct the line."
                raise ValueError(msg)
            if any(fields):
                empty = False
                yield number, fields
            number = last + 1
    except csv.Error as error:
        msg = f"{path}: line {number} cannot be read ({error})."
        raise ValueError(msg) from error
    if empty:
        raise ValueError(_NO_ROWS.format(path))


def _text_lines(path: Path, max_bytes: int) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line."""
    lines = itertools.chain.from_iterable(read_blocks(path, max_bytes=max_bytes))
    for number, line in enumerate(lines, start=1):
        yield number, decode(line, path=path, number=number)


def column_names(fields: list[str]) -> list[str]:
    """Return the names in a header, without the empty name after a separator at the end of the line."""
    return fields[:-1] if len(fields) > 1 and not fields[-1] else fields


def check_width(rows: Iterator[tuple[int, list[str]]], width: int, *, path: Path) -> Iterator[list[str]]:
    """Yield the fields of each row, ``width`` of them; raise a ``ValueError`` with the line number of any other row.

    One empty field more, after a separator at the end of the line, is left out.
    """
    for number, fields in rows:
        if len(fields) == width + 1 and not fields[-1]:
            fields.pop()
        if len(fields) != width:
            msg = (
                f"{path}: line {number} has {len(fields)} fields, expected {width} as in the lines before. Correct it."
            )
            raise ValueError(msg)
        yield fields
