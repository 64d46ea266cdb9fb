"""Say what is wrong with rows of genes by bins, and where."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

LARGEST = float(np.finfo(np.float32).max)

if TYPE_CHECKING:
    from simplechrome_tk.io._bincsv import Rows
    from simplechrome_tk.io._bincsv_header import Columns


def bad_line(block: bytes, columns: Columns, *, line: int, source: str) -> str:
    """Return a message that names the first line of ``block`` that is no row."""
    for number, raw in enumerate(block.removesuffix(b"\n").split(b"\n"), start=line):
        fields = raw.decode("utf-8", errors="backslashreplace").split(",")
        if len(fields) != columns.width:
            return f"{source}: line {number} {_width(fields, columns)}"
        for at, (name, text) in enumerate(zip(columns.names, fields, strict=True), start=1):
            if problem := _field(name, text):
                return (
                    f"{source}: line {number}, column {at} ({name}) holds {_short(text)}; expected {problem}. Mend the "
                    f"line; if the columns are in another order than {','.join(columns.names)}, add a header line that "
                    "names them."
                )
    last = line + block.count(b"\n") - 1
    return f"{source}: lines {line} to {last} cannot be read as {','.join(columns.names)}; expected plain numbers."


def _width(fields: list[str], columns: Columns) -> str:
    found = f"has {len(fields)} field{'s' * (len(fields) != 1)}" if fields != [""] else "is empty"
    expected = f"expected {columns.width}: {','.join(columns.names)}"
    separator = next((name for name, mark in (("tabs", "\t"), ("semicolons", ";")) if mark in fields[0]), None)
    if len(fields) == 1 and separator:
        return f"{found}, {expected}. It holds {separator}; write it with commas."
    return f"{found}, {expected}. Is the file cut short or damaged, or are there other marks (marks=[...])?"


def _field(name: str, text: str) -> str:
    """Say what is expected of a field; nothing when it is fine."""
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
    return "" if 0 <= number <= LARGEST else "a number of 0 or more"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


def bad_run(rows: Rows, columns: Columns, *, source: str) -> str:
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
            f"line {at}; expected one label for all its bins. Mend the label, or leave the gene out."
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
    return (
        f"{where} has {size} bin{'s' * (size != 1)} ({lines}), expected {n_bins}: {detail}. Is the file cut short, or "
        f"in other columns than {','.join(columns.names)}?"
    )
