"""Parser of CSV files with one row for each bin of each gene, as DeepChrome and DeepDiff write them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import deque
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.deepchrome._parse_header import Columns, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes parsed at once: half a megabyte stays within the processor's cache, which is quickest.
_BLOCK = 1 << 19
# Digits of the longest integer that fits 32 bits whatever its digits are.
_MOST_DIGITS = 9
_LARGEST = float(np.finfo(np.float32).max)
# Rows under one id, in genes, beyond which this is no table of genes.
_LONGEST_RUN = 100


class Rows(NamedTuple):
    """Consecutive rows of a file.

    Attributes
    ----------
    gene
        Id of the gene, ``(n_rows,)``: integers, or text where ids are not numbers.
    bin
        Number of the bin, ``(n_rows,)``.
    values
        Signal of each mark, ``(n_rows, n_marks)``.
    label
        0 or 1, ``(n_rows,)``; -1 throughout where the file has no labels.
    line
        Line number of the first row.
    """

    gene: np.ndarray
    bin: np.ndarray
    values: np.ndarray
    label: np.ndarray
    line: int

    def cut(self, start: int, stop: int | None = None) -> Rows:
        """Take some of the rows."""
        return self.take(slice(start, stop), line=self.line + start)

    def take(self, rows: slice | np.ndarray, *, line: int) -> Rows:
        """Take rows by number; the first of them is in this ``line``."""
        return Rows(self.gene[rows], self.bin[rows], self.values[rows], self.label[rows], line)


@dataclass
class FileGenes:
    """The genes of one file, in its order.

    Attributes
    ----------
    marks
        Names of the marks.
    ids
        Ids of the genes.
    labels
        Labels in several pieces, ``(n_genes,)`` each: 0, 1, or -1 without a label.
    repeated
        Ids whose rows the file holds more than once, value for value; they are kept once.
    """

    marks: tuple[str, ...]
    ids: list[str] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    _values: deque[np.ndarray] = field(default_factory=deque)

    def add_values(self, values: np.ndarray) -> None:
        """Add the signal of the next genes, ``(n_genes, n_marks, n_bins)``."""
        self._values.append(values)

    def move_values(self) -> Iterator[np.ndarray]:
        """Hand over the signal in the pieces that were added, and keep none of it.

        Each piece can be freed as soon as the caller has copied it, so that the signal is never in memory twice. A
        second call yields nothing.
        """
        while self._values:
            yield self._values.popleft()


def read_genes(stream: io.BufferedReader, columns: Columns, *, source: str) -> FileGenes:
    """Read a CSV file of genes by bins, with a header line or without.

    Parameters
    ----------
    stream
        The file, unpacked.
    columns
        The fields of a row; a header line may name other marks, or these in another order.
    source
        Name of the file in messages.

    Returns
    -------
    FileGenes
        In the order of the file.

    Raises
    ------
    ValueError
        When a line is not a row of these columns, or the rows of a gene are not its bins 1 to ``n_bins`` in order, with
        one label.
    """
    columns, first_line = read_header(stream, columns, source=source)
    genes = FileGenes(columns.marks)
    seen: set[str] = set()
    rest: Rows | None = None
    for line, block in _blocks(stream, first_line, source):
        rows = _parse(block, columns, line=line, source=source)
        # The last gene of a block may go on in the next one: its rows are kept until then.
        if rest is not None:
            rows = _join(rest, rows)
        starts = _run_starts(rows.gene)
        rest = rows.cut(starts[-1])
        if len(rest.gene) > _LONGEST_RUN * columns.n_bins:
            raise ValueError(_bad_run(rest, columns, source=source))
        if starts[-1]:
            _add(rows.cut(0, starts[-1]), starts[:-1], columns, genes, seen, source=source)
    if rest is None:
        msg = f"{source}: the file is empty; expected rows of {','.join(columns.names)}."
        raise ValueError(msg)
    _add(rest, np.array([0]), columns, genes, seen, source=source)
    return genes


def _blocks(stream: IO[bytes], line: int, source: str) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines with the number of their first line, without empty lines at the end of the file."""
    rest = b""
    while data := stream.read(_BLOCK):
        rest += data
        end = rest.rfind(b"\n", 0, len(rest.rstrip(b"\r\n"))) + 1
        if not end and len(rest) > _BLOCK:
            msg = f"{source}: line {line} is longer than {_BLOCK:,} bytes; expected a CSV file of a few numbers a line."
            raise ValueError(msg)
        if end:
            block, rest = rest[:end], rest[end:]
            yield line, block
            line += block.count(b"\n")
    if rest := rest.rstrip(b"\r\n"):
        yield line, rest + b"\n"


def _parse(block: bytes, columns: Columns, *, line: int, source: str) -> Rows:
    """Parse a block of lines whose first has this number; raise ``ValueError`` that names a line that is wrong."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    # Files of counts take the quick way, all others pandas.
    if not columns.joint:
        numbers = _parse_integers(block, columns.width)
        if numbers is not None:
            if columns.order is not None:
                numbers = numbers[:, columns.order]
            rows = Rows(numbers[:, 0], numbers[:, 1], numbers[:, 2:-1], numbers[:, -1], line)
            if (rows.label <= 1).all():
                return rows
    try:
        if b"\0" in block:  # pandas would take it for the end of a field
            msg = "a NUL byte"
            raise ValueError(msg)
        fields = _parse_any(block, columns)
    except ValueError as error:
        raise ValueError(_bad_line(block, columns, line=line, source=source)) from error
    return _to_rows(fields, columns, line)


def _parse_integers(block: bytes, width: int) -> np.ndarray | None:
    """Read rows of ``width`` unsigned integers, or return ``None`` where a field is something else.

    Files of counts hold nothing else, and this is three times as fast as :func:`pandas.read_csv`.
    """
    # Fields end where bytes are not digits.
    text = np.frombuffer(block, np.uint8)
    digits = text - np.uint8(ord("0"))
    ends = np.flatnonzero(digits > 9)
    if len(ends) % width:
        return None
    separators = text[ends].reshape(-1, width)
    if (separators[:, :-1] != ord(",")).any() or (separators[:, -1] != ord("\n")).any():
        return None
    length = np.diff(ends, prepend=-1) - 1
    if length.min() < 1 or length.max() > _MOST_DIGITS:
        return None
    # The digits of all fields are added up place by place, from the right.
    numbers = digits[ends - 1].astype(np.int32)
    place, longer = 1, np.flatnonzero(length > 1)
    while len(longer):
        numbers[longer] += digits[ends[longer] - 1 - place] * np.int32(10**place)
        place += 1
        longer = longer[length[longer] > place]
    return numbers.reshape(-1, width)


def _parse_any(block: bytes, columns: Columns) -> pd.DataFrame:
    """Read rows whose first field is text and whose others are numbers; raise ``ValueError`` where they are not."""
    text = 0 if columns.order is None else columns.order[0]
    fields = pd.read_csv(
        io.BytesIO(block),
        header=None,
        dtype={at: str if at == text else float for at in range(columns.width)},
        keep_default_na=False,
        na_values=[],
        skip_blank_lines=False,
        quoting=csv.QUOTE_NONE,
        low_memory=False,
    )
    if fields.shape[1] != columns.width:
        msg = f"{fields.shape[1]} fields"
        raise ValueError(msg)
    if columns.order is not None:
        fields = fields[list(columns.order)].set_axis(range(columns.width), axis=1)
    numbers = fields.iloc[:, 1:].to_numpy()
    good = (numbers >= 0).all(axis=1) & (numbers <= _LARGEST).all(axis=1) & fields[0].astype(bool)
    if columns.joint:
        good &= fields[0].str.contains(r".+_[0-9]{1,9}$")
    else:
        good &= (numbers[:, 0] % 1 == 0) & (numbers[:, 0] < 10**_MOST_DIGITS) & np.isin(numbers[:, -1], (0, 1))
    if not good.all():
        msg = f"row {int(np.argmin(good))}"
        raise ValueError(msg)
    return fields


def _to_rows(fields: pd.DataFrame, columns: Columns, line: int) -> Rows:
    """Turn fields into rows, with integers for ids that are numbers."""
    numbers = fields.iloc[:, 1:].to_numpy()
    gene = fields[0]
    if columns.joint:
        parts = gene.str.rpartition("_")
        gene, number = parts[0].to_numpy(object), parts[2].astype(np.int32).to_numpy()
        return Rows(gene, number, numbers, np.full(len(fields), -1), line)
    whole = gene.str.fullmatch(rf"[0-9]{{1,{_MOST_DIGITS}}}").all()
    ids = gene.astype(np.int32).to_numpy() if whole else gene.to_numpy(object)
    return Rows(ids, numbers[:, 0].astype(np.int32), numbers[:, 1:-1], numbers[:, -1].astype(np.int32), line)


def _join(first: Rows, second: Rows) -> Rows:
    """Join consecutive rows."""
    genes = [first.gene, second.gene]
    # Ids of one block may all be numbers, and those of the next text.
    if genes[0].dtype != genes[1].dtype:
        genes = [part if part.dtype == object else part.astype(str).astype(object) for part in genes]
    return Rows(
        np.concatenate(genes),
        np.concatenate([first.bin, second.bin]),
        np.concatenate([first.values, second.values]),
        np.concatenate([first.label, second.label]),
        first.line,
    )


def _gene_id(gene: int | str) -> str:
    """Return the Ensembl id of a gene that is written as its last digits, ``id.version`` or ``id_symbol``.

    Other ids are returned as they are.
    """
    if isinstance(gene, int) or (gene.isascii() and gene.isdecimal() and len(gene) <= 11):
        return f"ENSG{int(gene):011d}"
    return gene[:15] if re.fullmatch(r"ENSG[0-9]{11}([._].*)?", gene) else gene


def _run_starts(gene: np.ndarray) -> np.ndarray:
    """Return the rows at which the id of the gene changes, and the first."""
    return np.flatnonzero(np.append(True, gene[1:] != gene[:-1]))


def _add(rows: Rows, starts: np.ndarray, columns: Columns, genes: FileGenes, seen: set[str], *, source: str) -> None:
    """Check the rows of whole genes, which begin at ``starts``, and add them to ``genes``."""
    n_bins, size = columns.n_bins, len(rows.gene)
    ids = [_gene_id(gene) for gene in rows.gene[starts].tolist()]
    lengths = np.diff(starts, append=size)
    numbers = np.arange(1, n_bins + 1)
    if (lengths != n_bins).any() or (rows.bin.reshape(-1, n_bins) != numbers).any():
        rows, repeated = _without_repeats(rows, starts, lengths, columns, source=source)
        genes.repeated.extend(ids[at] for at in repeated)
    label = rows.label.reshape(-1, n_bins)
    if mixed := np.flatnonzero((label != label[:, :1]).any(axis=1)).tolist():
        raise ValueError(_bad_run(rows.cut(mixed[0] * n_bins, (mixed[0] + 1) * n_bins), columns, source=source))
    for gene, start in zip(ids, starts, strict=True):
        if gene in seen:
            msg = (
                f"{source}: gene {gene} occurs in two places, the second time in line {rows.line + start}; expected "
                "its bins side by side. Sort the file by gene and bin: sort -t, -k1,1 -k2,2n"
            )
            raise ValueError(msg)
        seen.add(gene)
    genes.ids.extend(ids)
    genes.labels.append(label[:, 0].astype(np.int8))
    values = rows.values.reshape(len(ids), n_bins, len(columns.marks))
    genes.add_values(np.ascontiguousarray(values.transpose(0, 2, 1), dtype=np.float32))


def _without_repeats(
    rows: Rows, starts: np.ndarray, lengths: np.ndarray, columns: Columns, *, source: str
) -> tuple[Rows, list[int]]:
    """Keep the first copy of each row that a gene has more than once, value for value.

    Returns
    -------
    tuple
        The rows, and the numbers of the genes that had repeats.

    Raises
    ------
    ValueError
        When anything else is wrong with the rows of a gene.
    """
    kept, repeated = [], []
    for at, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        run = rows.cut(start, start + length)
        order = _order_of_copies(run, columns.n_bins)
        if order is None:
            raise ValueError(_bad_run(run, columns, source=source))
        copies = length // columns.n_bins
        if copies > 1:
            repeated.append(at)
        kept.append(start + order[::copies])
    return rows.take(np.concatenate(kept), line=rows.line), repeated


def _order_of_copies(run: Rows, n_bins: int) -> np.ndarray | None:
    """Order the rows of a gene by bin, copies side by side; ``None`` unless they are whole copies of all bins."""
    copies, over = divmod(len(run.bin), n_bins)
    if over or not copies or (run.label != run.label[0]).any():
        return None
    order = np.argsort(run.bin, kind="stable") if copies > 1 else np.arange(n_bins)
    if (run.bin[order] != np.repeat(np.arange(1, n_bins + 1), copies)).any():
        return None
    values = run.values[order].reshape(n_bins, copies, -1)
    return order if (values == values[:, :1]).all() else None


# Messages for rows that are wrong


def _bad_line(block: bytes, columns: Columns, *, line: int, source: str) -> str:
    """Return a message that names the first line of ``block`` that is no row."""
    for number, raw in enumerate(block.removesuffix(b"\n").split(b"\n"), start=line):
        fields = raw.decode("utf-8", errors="backslashreplace").split(",")
        if b"\0" in raw:
            return f"{source}: line {number} holds a NUL byte, which no text does. Download or write the file again."
        if len(fields) != columns.width:
            return f"{source}: line {number} {_width(fields, columns)}"
        for at, (name, text) in enumerate(zip(columns.names, fields, strict=True), start=1):
            if problem := _field(name, text):
                return (
                    f"{source}: line {number}, column {at} ({name}) holds {_short(text)}; expected {problem}. Correct "
                    f"the line; if the columns are in another order than {','.join(columns.names)}, add a header line "
                    "that names them."
                )
    last = line + block.count(b"\n") - 1
    return f"{source}: lines {line} to {last} cannot be read as {','.join(columns.names)}; expected plain numbers."


def _width(fields: list[str], columns: Columns) -> str:
    """Say that a line has too many or too few fields, and what may be wrong with the file."""
    found = "has 1 field" if len(fields) == 1 else f"has {len(fields)} fields"
    if fields == [""]:
        found = "is empty"
    expected = f"expected {columns.width}: {','.join(columns.names)}"
    separator = next((name for name, mark in (("tabs", "\t"), ("semicolons", ";")) if mark in fields[0]), None)
    if len(fields) == 1 and separator:
        return f"{found}, {expected}. It holds {separator}; write it with commas."
    return f"{found}, {expected}. Is the file cut short or damaged, or are there other marks (marks=[...])?"


def _field(name: str, text: str) -> str:
    """Say what is expected of a field, or nothing where the field is right."""
    if name == "geneid":
        return "" if text else "a gene id"
    if name == "gene_bin":
        return "" if re.fullmatch(r".+_[0-9]{1,9}", text, re.DOTALL) else "a gene and the number of a bin, gene_bin"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if name == "bin" and not (re.fullmatch(r"[0-9.]+", text) and number % 1 == 0):
        return "the number of a bin"
    if name == "label" and number not in (0, 1):
        return "0 or 1"
    return "" if 0 <= number <= _LARGEST else "a number of 0 or more"


def _short(text: str) -> str:
    """Quote a field, cut after 40 characters."""
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _bad_run(rows: Rows, columns: Columns, *, source: str) -> str:
    """Return a message that says what is wrong with the rows of one gene."""
    n_bins, size, first = columns.n_bins, len(rows.bin), rows.line
    gene = rows.gene[0] if isinstance(rows.gene[0], str) else f"{rows.gene[0]:06d}"
    where = f"{source}: gene {gene}"
    lines = f"line {first}" if size == 1 else f"lines {first} to {first + size - 1}"
    labels = np.unique(rows.label)
    if len(labels) > 1:
        at = first + int(np.flatnonzero(rows.label != rows.label[0])[0])
        return (
            f"{where} has label {int(rows.label[0])} in line {first} and {int(labels[labels != rows.label[0]][0])} in "
            f"line {at}; expected one label for all its bins. Correct the label, or leave the gene out."
        )
    numbers, times = np.unique(rows.bin, return_counts=True)
    if (times > 1).any() and (numbers <= n_bins).all():
        twice = int(numbers[times > 1][0])
        at = (first + np.flatnonzero(rows.bin == twice)[:2]).tolist()
        return (
            f"{where}, bin {twice} occurs {int(times[numbers == twice][0])} times (lines {at[0]} and {at[1]}); "
            f"expected each of {n_bins} bins once. Leave out the repeats; only a whole gene that is repeated value for "
            "value is kept once without that."
        )
    if size == n_bins and (np.sort(rows.bin) == np.arange(1, n_bins + 1)).all():
        at = int(np.flatnonzero(rows.bin != np.arange(1, n_bins + 1))[0])
        return (
            f"{where}: bin {rows.bin[at]} is in line {first + at}, where bin {at + 1} is expected. Sort the file by "
            "gene and bin: sort -t, -k1,1 -k2,2n"
        )
    missing = np.setdiff1d(np.arange(1, n_bins + 1), numbers)
    detail = f"bin {missing[0]} is missing" if len(missing) else f"the last is bin {numbers[-1]}"
    n_found = "1 bin" if size == 1 else f"{size} bins"
    return (
        f"{where} has {n_found} ({lines}), expected {n_bins}: {detail}. Is the file cut short, or "
        f"in other columns than {','.join(columns.names)}?"
    )
