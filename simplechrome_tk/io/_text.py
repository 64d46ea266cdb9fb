"""Read text files, plain or gzipped, without trusting them."""

from __future__ import annotations

import csv
import gzip
import itertools
import zlib
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = 1 << 24
_LONGEST_LINE = 1 << 26
_LARGEST_TABLE = 1 << 30
_NO_ROWS = "{}: no rows at all; check the download, or the step that wrote it."
_DELIMITERS = "\t,; "


def read_blocks(path: Path) -> Iterator[list[bytes]]:
    """Yield the lines of a file, some 16 MB at a time, without their ends; gzip is told by content, not by name.

    Raises
    ------
    ValueError
        When the gzip stream is cut short or damaged, or a line is longer than 64 MB.
    """
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.open(raw) if zipped else raw as handle:
            rest = b""
            while block := _read(handle, path):
                *lines, rest = (rest + block).split(b"\n")
                if len(rest) > _LONGEST_LINE:
                    msg = f"{path}: a line is longer than {_LONGEST_LINE >> 20} MB; this is no table of genes."
                    raise ValueError(msg)
                yield lines
            if rest:
                yield [rest]


def _read(handle: IO[bytes] | gzip.GzipFile, path: Path) -> bytes:
    try:
        return handle.read(_BLOCK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{path}: the gzip file is truncated or damaged ({error}). Delete it and download it again."
        raise ValueError(msg) from error


def decode(line: bytes, *, path: Path, number: int) -> str:
    """Decode UTF-8, or raise a ``ValueError`` with the line number."""
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        msg = f"{path}: line {number} is no UTF-8 text ({error.reason}); expected a text file, plain or gzipped."
        raise ValueError(msg) from error


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row of a delimited file, at least one.

    Tab, comma, semicolon or space separate the fields, whichever of these the first row holds. Leading comments and
    ``track`` and ``browser`` lines are left out, except a commented header: the last comment, where it has as many
    fields as the first row.

    Raises
    ------
    ValueError
        When there is no row, or a line cannot be read.
    """
    lines = _text_lines(path)
    comment: tuple[int, str] | None = None
    for number, line in lines:
        if line.startswith("#"):
            comment = number, line.lstrip("#").lstrip(" ")
        elif line.strip(_DELIMITERS) and not line.startswith(("track ", "browser ")):
            break
    else:
        raise ValueError(_NO_ROWS.format(path))
    head = [line, *(text for _, text in itertools.islice(lines, 1))]  # a header may be one name alone
    delimiter = next((d for text in head for d in _DELIMITERS if d in text), "\t")
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
                msg = f"{path}: line {number} has a quote that is not closed on it. Mend it."
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


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    number = size = 0
    for block in read_blocks(path):
        size += sum(map(len, block))
        if size > _LARGEST_TABLE:
            msg = (
                f"{path}: more than {_LARGEST_TABLE >> 30} GB once unpacked, which no table of genes is. If it is "
                "meant, read it with pandas and pass the table."
            )
            raise ValueError(msg)
        for line in block:
            number += 1
            yield number, decode(line, path=path, number=number)


def column_names(fields: list[str]) -> list[str]:
    """Return the names in a header, without the empty one that a separator at the end of the line makes."""
    return fields[:-1] if len(fields) > 1 and not fields[-1] else fields


def check_width(rows: Iterator[tuple[int, list[str]]], width: int, *, path: Path) -> Iterator[list[str]]:
    """Yield the fields of each row, ``width`` of them; raise a ``ValueError`` with the line number of any other row.

    One empty field more, which a separator at the end of the line makes, is left out.
    """
    for number, fields in rows:
        if len(fields) == width + 1 and not fields[-1]:
            fields.pop()
        if len(fields) != width:
            msg = f"{path}: line {number} has {len(fields)} fields, expected {width} as in the lines before. Mend it."
            raise ValueError(msg)
        yield fields
