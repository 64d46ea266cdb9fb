"""Read expression: one value for each gene."""

from __future__ import annotations

import itertools
import logging
import re
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import pandas as pd

from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._expression_values import COMMAS, WITH_COMMAS, check_values, is_number
from simplechrome_tk.io._gct import gct_header, is_gct
from simplechrome_tk.io._ids import ENTREZ, as_text, in_index
from simplechrome_tk.io._paths import as_path
from simplechrome_tk.io._text import MAX_BYTES, check_width, column_names, read_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

Unit = Literal["counts", "tpm", "rpkm"]

_UNITS: dict[Unit, re.Pattern[str]] = {
    "tpm": re.compile("tpm", re.IGNORECASE),
    "rpkm": re.compile("[rf]pkm", re.IGNORECASE),
    "counts": re.compile("count|numreads", re.IGNORECASE),
}
_IDS = ("geneid", "gene_id", "gene id", "ensembl_id", "ensembl_gene_id", "target_id", "id", "gene", "name", "symbol")
_ID_NAMES = (*_IDS, *ENTREZ)
_NO_VALUES = {
    *("chr", "chrom", "chromosome", "reference", "start", "end", "strand", "tss", "bin", "score", "coverage"),
    *("length", "effectivelength", "effective_length", "eff_length", *ENTREZ),
    *("symbol", "gene_name", "gene name", "gene_symbol", "gene_type", "gene_biotype", "biotype", "description"),
}
_FEATURE_COUNTS = ["Geneid", "Chr", "Start", "End", "Strand", "Length"]
_LOGARITHM = re.compile(r"(^|[^a-z])log(\d|[^a-z]|tpm|[rf]pkm|cpm|counts?|fc|$)", re.IGNORECASE)
_MANY, _LARGEST_LOG = 1_000, 32.0  # among 1,000 genes one has more than 32 reads, TPM or RPKM; no log2 reaches that
_EXPECTED = (
    "the path of one file, or one value for each gene: a pandas Series indexed by gene id, or a table. Of replicates "
    "pass their mean, pandas.concat([sct.io.read_expression(path) for path in paths], axis=1).mean(axis=1); of an "
    "AnnData with linear X its mean, pandas.Series(numpy.asarray(adata.X.mean(axis=0)).ravel(), adata.var_names)"
)
_COUNTED = {
    "missing": "genes without a value",
    "summary_rows": "rows left out that sum up reads of no gene",
    "par_copies": "rows of pseudoautosomal copies on chrY added to their genes",
    "control_characters": "ids with line breaks or invisible characters (replaced by a space)",
    "spreadsheet_damage": "ids that a spreadsheet has changed, which are no genes any more",
}


def read_expression(
    expression: str | os.PathLike[str] | pd.DataFrame | pd.Series,
    *,
    column: str | int | None = None,
    unit: Unit | None = None,
    max_bytes: int = MAX_BYTES,
) -> pd.Series:
    """Read the expression of each gene, as it is found, in linear units.

    Parameters
    ----------
    expression
        A file, plain or gzipped, whose fields are separated by tab, comma, semicolon or space: gene ids and one column
        of values or several, or the output of featureCounts, Salmon (``quant.genes.sf``), RSEM (``genes.results``),
        StringTie (gene abundances), htseq-count, STAR (``ReadsPerGene``) or GCT (GTEx). Or a table of that kind, whose
        ids are its index unless that counts rows; or a Series indexed by gene id.
    column
        The column of values. Of a file without header, columns are called ``"1"``, ``"2"``, ... after the ids;
        ``3`` is as good as ``"3"``.
        Without it: the only column; else the only one in ``unit``; else, where one sample is given in several units,
        TPM before RPKM before counts.
    unit
        ``"counts"``, ``"tpm"`` or ``"rpkm"`` (FPKM too). Found from the header where that tells.
    max_bytes
        What a gzipped file may hold once unpacked.

    Returns
    -------
    pandas.Series
        Float values, missing where the file has none, indexed by gene id, without version if it is one of Ensembl or
        RefSeq; named after the column. Nothing is converted: counts stay counts.

        ``attrs["unit"]``: ``unit``, or what the header says, or ``"unknown"``. ``attrs["read_expression"]``: ``source``
        and the counts that are also logged.

    Raises
    ------
    ValueError
        When there are no values, several columns and no way to choose, no such column, transcripts instead of genes,
        an id twice, a value that is no number, infinite or negative, or when the values look like logarithms: the
        column's name says so, or none of 1,000 genes or more exceeds 32 and ``unit`` is not given; or when a gzipped
        file is damaged or holds more than ``max_bytes``.

    Notes
    -----
    Counted in the log: genes without a value; the rows of htseq-count and STAR that sum up what is no gene, which are
    left out; the rows of genes on chrY that end in ``_PAR_Y``, which are added to the gene's own row.

    Examples
    --------
    >>> import pandas as pd, simplechrome_tk as sct
    >>> table = pd.DataFrame({"gene_id": ["ENSG00000196092.14"], "TPM": [12.7]})
    >>> sct.io.read_expression(table)
    ENSG00000196092    12.7
    Name: TPM, dtype: float64
    """
    if unit is not None and unit not in get_args(Unit):
        msg = f"unit is {unit!r}; choose one of {', '.join(get_args(Unit))}."
        raise ValueError(msg)
    column = None if column is None else str(column)
    if isinstance(expression, pd.DataFrame | pd.Series):
        source = "the expression table"
        if isinstance(expression, pd.Series):
            unit = unit or expression.attrs.get("unit")
            unit = None if unit == "unknown" else unit
        found = _of_table(expression, source=source)
    else:
        path = as_path(expression, name="expression", expected=_EXPECTED)
        source, found = str(path), _of_file(path, max_bytes)
    first = next(found.rows, None)
    if first is None:
        msg = f"{source}: no values, only a header; check the step that wrote it."
        raise ValueError(msg)
    value_at, found_unit = _choose(found, first, column=column, unit=unit, source=source)
    texts = [(fields[found.ids], fields[value_at].strip()) for fields in itertools.chain([first], found.rows)]
    if found.n_genes not in (None, len(texts)):
        msg = f"{source}: {len(texts):,} rows of the {found.n_genes:,} that its head announces; download it again."
        raise ValueError(msg)
    name = found.names[value_at]
    values, counts, damaged = check_values(pd.DataFrame(texts, columns=["id", "text"], dtype=object), source=source)
    found_unit = "counts" if counts["summary_rows"] and found_unit is None else found_unit
    whole = (values.dropna() % 1 == 0).all()
    if unit is None and not whole and len(values) >= _MANY and values.max() <= _LARGEST_LOG:
        msg = (
            f"{source}: the largest of {len(values)} values in column {name!r} is {values.max():g}, as of logarithms; "
            "expected linear units. Undo them (2**x - 1 for log2(x + 1)), or give unit= if they are linear."
        )
        raise ValueError(msg)
    values.name = name
    values.attrs = {"unit": found_unit or "unknown", "read_expression": {"source": source, "counts": counts}}
    notes = [f"{counts[key]} {text}" for key, text in _COUNTED.items() if counts[key]]
    notes = [f"{note} ({shorten(damaged)})" if note.endswith("any more") else note for note in notes]
    notes += ["all values are 0"] if (values.fillna(0) == 0).all() else []
    of = f"column {name!r}, unit {values.attrs['unit']}"
    level = logging.WARNING if notes else logging.INFO
    logger.log(level, "%s: %s.", source, "; ".join([f"{len(values)} genes, {of}", *notes]))
    return values


class _Found(NamedTuple):
    """Rows of text, and what is known of their columns."""

    names: list[str]
    rows: Iterator[list[str]]
    ids: int
    """Which column holds the ids."""
    notes: frozenset[int] = frozenset()
    """Columns that hold no values, whatever their names."""
    n_genes: int | None = None
    """Rows that the head of the file announces."""


def _of_file(path: Path, max_bytes: int) -> _Found:
    """Find the columns of a file."""
    rows = read_rows(path, max_bytes=max_bytes)
    if is_gct(path, max_bytes):
        head = gct_header(rows, path=path)
        return _Found(head.names, check_width(rows, len(head.names), path=path), head.ids, head.notes, head.n_genes)
    number, fields = next(rows)
    numeric = [is_number(field) for field in fields[1:]]
    named = fields[0].strip().lower() in ("", *_ID_NAMES)
    if not named and numeric and all(numeric):
        names, rows = ["id", *map(str, range(1, len(fields)))], itertools.chain([(number, fields)], rows)
    elif not named and any(is_number(field, missing=False) for field in fields[1:]):
        msg = (
            f"{path}: line {number} is neither a header nor a row of an id and numbers ({' '.join(fields)[:80]}). "
            "Expected a header that calls the ids gene_id, or ids and numbers alone."
        )
        raise ValueError(msg)
    else:
        names = column_names(fields)
        second = next(rows, None)
        if second is not None:
            rows = itertools.chain([second], rows)
            if not named and len(second[1]) == len(names) + 1 and second[1][-1]:
                names = ["id", *names]  # R leaves the name of the ids out
    if len(names) == 1:
        msg = f"{path}: line {number} holds one field, {fields[0][:60]!r}; expected ids and values, by tab or comma."
        raise ValueError(msg)
    return _Found(names, check_width(rows, len(names), path=path), _id_column(names))


def _of_table(table: pd.DataFrame | pd.Series, *, source: str) -> _Found:
    """Find the columns of a table, whose values are then text as in a file of it."""
    indexed = in_index(table, _ID_NAMES, source=source)
    if isinstance(table, pd.Series):
        if not indexed:
            msg = f"{source}: its index only counts rows; expected gene ids. Set them: values.index = table['gene_id']."
            raise ValueError(msg)
        table = table.to_frame("expression" if table.name is None else str(table.name))
    if indexed:
        ids = as_text(table.index.to_series())
        table = table.drop(columns="id", errors="ignore")
        names, columns = ["id", *map(str, table)], [ids, *(table.iloc[:, i] for i in range(table.shape[1]))]
    else:
        names, columns = list(map(str, table)), [table.iloc[:, i] for i in range(table.shape[1])]
    at = 0 if indexed else _id_column(names)
    columns = [as_text(column) if i == at else column for i, column in enumerate(columns)]
    return _Found(names, (list(map(str, row)) for row in zip(*columns, strict=True)), at)


def _id_column(names: Sequence[str]) -> int:
    return next((i for name in _ID_NAMES for i, found in enumerate(names) if found.strip().lower() == name), 0)


def _choose(
    found: _Found, first: Sequence[str], *, column: str | None, unit: Unit | None, source: str
) -> tuple[int, Unit | None]:
    """Return the place of the column of values, and its unit as far as the header or ``unit`` tells."""
    names, ids = found.names, found.ids
    units: dict[int, Unit | None] = {
        i: _unit(name, of_counts=list(names[:6]) == _FEATURE_COUNTS)
        for i, name in enumerate(names)
        if i != ids and i not in found.notes and name.strip().lower() not in _NO_VALUES and is_number(first[i])
    }
    shown = shorten((names[i] for i in units), limit=8)
    if not units:
        commas = next((field.strip() for field in first if WITH_COMMAS.match(field.strip())), None)
        fix = "Expected numbers beside the ids" if commas is None else COMMAS.format(commas)
        msg = f"{source}: no column of values; found {shorten(names, limit=12)}. {fix}."
        raise ValueError(msg)
    if column is not None:
        if (n := names.count(column)) != 1 or names.index(column) == ids:
            problem = f"{n} columns are" if n > 1 else "no column of values is"
            msg = f"{source}: {problem} called {column!r}; choose one of {shown}."
            raise ValueError(msg)
        at = names.index(column)
        units.setdefault(at, _unit(column))
    else:
        right = [i for i in units if units[i] == unit] if unit else []
        known = [units[i] for i in units]
        if len(units) == 1 or len(right) == 1:
            at = (right or list(units))[0]
        elif not unit and None not in known and len(set(known)) == len(known):
            at = next(i for name in _UNITS for i in units if units[i] == name)
        else:
            what = f" in {unit}" if unit and right else ""
            msg = f"{source}: {len(right or units)} columns of values{what} ({shown}); choose one with column=."
            raise ValueError(msg)
    if unit and units[at] not in (None, unit):
        msg = (
            f"{source}: column {names[at]!r} holds {units[at]} by its name, but unit={unit!r} was asked for; nothing "
            f"is converted. Choose among {shown}."
        )
        raise ValueError(msg)
    if _LOGARITHM.search(names[at]):
        msg = (
            f"{source}: column {names[at]!r} holds logarithms by its name; expected linear units. Undo them and name "
            f"the column otherwise, or choose among {shown}."
        )
        raise ValueError(msg)
    return at, unit or units[at]


def _unit(name: str, *, of_counts: bool = False) -> Unit | None:
    found = next((unit for unit, pattern in _UNITS.items() if pattern.search(name)), None)
    return "counts" if of_counts else found
