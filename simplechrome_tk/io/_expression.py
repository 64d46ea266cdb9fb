"""Expression tables: one value for each gene."""

from __future__ import annotations

import itertools
import logging
import re
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import pandas as pd

from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._expression_values import COMMAS, WITH_COMMAS, check_values, is_number
from simplechrome_tk.io._gct import is_gct, read_gct_header
from simplechrome_tk.io._ids import ENTREZ, as_text, index_holds_ids
from simplechrome_tk.io._paths import as_path
from simplechrome_tk.io._text import MAX_BYTES, check_width, column_names, read_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

Unit = Literal["counts", "tpm", "rpkm"]

# Unit -> names of columns that hold it; of one sample in several units, the first of these is taken.
_UNITS: dict[Unit, re.Pattern[str]] = {
    "tpm": re.compile("tpm", re.IGNORECASE),
    "rpkm": re.compile("[rf]pkm", re.IGNORECASE),
    "counts": re.compile("count|numreads", re.IGNORECASE),
}

# Names of the column of ids, in lower case, the most specific first.
_ID_NAMES = (
    *("geneid", "gene_id", "gene id", "ensembl_id", "ensembl_gene_id", "target_id", "id", "gene", "name", "symbol"),
    *ENTREZ,
)

# Names of columns that describe genes and hold no expression.
_DESCRIPTIONS = {
    *("chr", "chrom", "chromosome", "reference", "start", "end", "strand", "tss", "bin", "score", "coverage"),
    *("length", "effectivelength", "effective_length", "eff_length", *ENTREZ),
    *("symbol", "gene_name", "gene name", "gene_symbol", "gene_type", "gene_biotype", "biotype", "description"),
}

# The first columns of featureCounts, whose further columns are called after BAM files.
_FEATURE_COUNTS = ["Geneid", "Chr", "Start", "End", "Strand", "Length"]

_LOGARITHM = re.compile(r"(^|[^a-z])log(\d|[^a-z]|tpm|[rf]pkm|cpm|counts?|fc|$)", re.IGNORECASE)

# Among 1,000 genes in linear units, one has more than 32 reads, TPM or RPKM; no log2 of them reaches 32.
_MANY, _LARGEST_LOG = 1_000, 32.0

_EXPECTED = (
    "the path of one file, or one value for each gene: a pandas Series indexed by gene id, or a table. Of replicates "
    "pass their mean, pandas.concat([sct.io.read_expression(path) for path in paths], axis=1).mean(axis=1); of an "
    "AnnData with linear X its mean, pandas.Series(numpy.asarray(adata.X.mean(axis=0)).ravel(), adata.var_names)"
)

# What is counted -> how the log says it: first what is normal, then what the user should check.
_NORMAL_COUNTS = {
    "missing": "genes without a value",
    "summary_rows": "rows left out that sum up reads outside genes",
    "par_copies": "rows of pseudoautosomal copies on chrY added to their genes",
}
_COUNTS_TO_CHECK = {
    "control_characters": "ids with line breaks or invisible characters (replaced by a space)",
    "spreadsheet_damage": "ids that a spreadsheet has changed, so that their genes are unknown",
}


def read_expression(
    expression: str | os.PathLike[str] | pd.DataFrame | pd.Series,
    *,
    column: str | int | None = None,
    unit: Unit | None = None,
    max_bytes: int = MAX_BYTES,
) -> pd.Series:
    """Read the expression of each gene, in linear units; values are not converted.

    Parameters
    ----------
    expression
        A file, plain or gzipped, whose fields are separated by tab, comma, semicolon or space: gene ids and one or
        several columns of values, or the output of featureCounts, Salmon (``quant.genes.sf``), RSEM
        (``genes.results``), StringTie (gene abundances), htseq-count or STAR (``ReadsPerGene``), or GCT (GTEx). Or a
        table of one of these kinds, whose ids are its index, unless the index only counts rows. Or a Series indexed by
        gene id.
    column
        The column of values. In a file without header, the columns after the ids are called ``"1"``, ``"2"``, ...;
        ``3`` means the same as ``"3"``. Without ``column``, the only column is taken; else the only one in ``unit``;
        else, where one sample is given in several units, TPM before RPKM before counts.
    unit
        ``"counts"``, ``"tpm"`` or ``"rpkm"`` (also for FPKM). Without it, the header may say the unit.
    max_bytes
        The largest size of a gzipped file once unpacked, in bytes.

    Returns
    -------
    pandas.Series
        Float values, missing where the file has none; counts stay counts. The index holds the gene ids, without the
        version if they are ids of Ensembl or RefSeq. The name is that of the column.

        ``attrs["unit"]`` is ``unit``, or what the header says, or ``"unknown"``. ``attrs["read_expression"]`` holds
        ``source`` and the counts that are also logged.

    Raises
    ------
    ValueError
        When there are no values, several columns and no way to choose, no such column, transcripts instead of genes,
        an id twice, or a value that is no number, infinite or negative. When the values look like logarithms: the name
        of the column says so, or ``unit`` is not given and none of 1,000 or more genes exceeds 32. When a gzipped file
        is damaged or holds more than ``max_bytes``.

    Notes
    -----
    The log counts genes without a value. It also counts the rows in which htseq-count and STAR sum up reads outside
    genes, which are left out, and the rows of pseudoautosomal copies on chrY (``_PAR_Y``), which are added to the row
    of their gene. Ids that should be checked, and values that are all 0, are logged as a warning.

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
    found, source, given_unit = _open_source(expression, unit, max_bytes=max_bytes)
    first = next(found.rows, None)
    if first is None:
        msg = f"{source}: no values, only a header; check the step that wrote it."
        raise ValueError(msg)
    candidates = _value_columns(found, first, source=source)
    at = _choose_column(found, candidates, None if column is None else str(column), given_unit, source=source)
    name = found.names[at]
    _check_column(name, candidates.get(at, _unit_of(name)), given_unit, found, candidates, source=source)

    texts = [(fields[found.ids], fields[at].strip()) for fields in itertools.chain([first], found.rows)]
    if found.n_genes not in (None, len(texts)):
        msg = f"{source}: {len(texts):,} rows of the {found.n_genes:,} that its head announces; download it again."
        raise ValueError(msg)
    values, counts, damaged = check_values(pd.DataFrame(texts, columns=["id", "text"], dtype=object), source=source)
    values.name = name
    if given_unit is None:
        _refuse_logarithms(values, source=source)

    found_unit = given_unit or candidates.get(at, _unit_of(name))
    if found_unit is None and counts["summary_rows"]:
        # The rows that htseq-count and STAR add at the head or end count reads.
        found_unit = "counts"
    values.attrs = {"unit": found_unit or "unknown", "read_expression": {"source": source, "counts": counts}}
    _report(values, source, counts, damaged)
    return values


def expression_columns(
    expression: str | os.PathLike[str] | pd.DataFrame | pd.Series, *, max_bytes: int = MAX_BYTES
) -> list[str]:
    """Return the names of the columns that may hold values, of what :func:`read_expression` reads."""
    found, _, _ = _open_source(expression, None, max_bytes=max_bytes)
    return [name for i, name in enumerate(found.names) if i != found.ids and i not in found.notes]


def _report(values: pd.Series, source: str, counts: Mapping[str, int], damaged: Sequence[str]) -> None:
    """Log what was read at INFO, and what the user should check as a warning."""
    normal = [f"{len(values)} genes, column {values.name!r}, unit {values.attrs['unit']}"]
    normal += [f"{counts[name]} {text}" for name, text in _NORMAL_COUNTS.items() if counts[name]]
    logger.info("%s: %s.", source, "; ".join(normal))

    to_check = {name: f"{counts[name]} {text}" for name, text in _COUNTS_TO_CHECK.items() if counts[name]}
    if damaged:
        to_check["spreadsheet_damage"] += f" ({shorten(damaged)})"
    if (values.fillna(0) == 0).all():
        to_check["zero"] = "all values are 0"
    if to_check:
        logger.warning("%s: %s.", source, "; ".join(to_check.values()))


def _refuse_logarithms(values: pd.Series, *, source: str) -> None:
    """Raise when values of unknown unit look like logarithms: many, not whole, and none of them large."""
    whole = (values.dropna() % 1 == 0).all()
    if not whole and len(values) >= _MANY and values.max() <= _LARGEST_LOG:
        msg = (
            f"{source}: the largest of {len(values)} values in column {values.name!r} is {values.max():g}, as of "
            "logarithms; expected linear units. Undo them (2**x - 1 for log2(x + 1)), or give unit= if they are linear."
        )
        raise ValueError(msg)


class _Found(NamedTuple):
    """Rows of text, and what is known of their columns."""

    names: list[str]
    rows: Iterator[list[str]]
    ids: int
    """Place of the column of ids."""
    notes: frozenset[int] = frozenset()
    """Places of columns that hold no values, whatever their names."""
    n_genes: int | None = None
    """Number of rows that the head of the file announces."""


def _open_source(
    expression: str | os.PathLike[str] | pd.DataFrame | pd.Series, unit: Unit | None, *, max_bytes: int
) -> tuple[_Found, str, Unit | None]:
    """Return the columns of a file or table, its name in messages, and the unit as the caller or a Series gives it."""
    if not isinstance(expression, pd.DataFrame | pd.Series):
        path = as_path(expression, name="expression", expected=_EXPECTED)
        return _open_file(path, max_bytes), str(path), unit
    # A Series that `read_expression` returned knows its unit.
    if unit is None and isinstance(expression, pd.Series) and expression.attrs.get("unit") != "unknown":
        unit = expression.attrs.get("unit")
    source = "the expression table"
    return _open_table(expression, source=source), source, unit


def _open_file(path: Path, max_bytes: int) -> _Found:
    """Find the columns of a file from its first rows."""
    rows = read_rows(path, max_bytes=max_bytes)
    if is_gct(path, max_bytes):
        head = read_gct_header(rows, path=path)
        return _Found(head.names, check_width(rows, len(head.names), path=path), head.ids, head.notes, head.n_genes)
    number, fields = next(rows)
    numeric = [is_number(field) for field in fields[1:]]
    named = fields[0].strip().lower() in ("", *_ID_NAMES)
    # A first row of an id and numbers is no header.
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
            # R's write.table leaves out the name of the column of ids.
            if not named and len(second[1]) == len(names) + 1 and second[1][-1]:
                names = ["id", *names]
    if len(names) == 1:
        msg = f"{path}: line {number} holds one field, {fields[0][:60]!r}; expected ids and values, by tab or comma."
        raise ValueError(msg)
    return _Found(names, check_width(rows, len(names), path=path), _id_column(names))


def _open_table(table: pd.DataFrame | pd.Series, *, source: str) -> _Found:
    """Find the columns of a table; its values are turned into text, as if they were read from a file."""
    indexed = index_holds_ids(table, _ID_NAMES, source=source)
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
    """Return the place of the column of ids: the first known name for ids decides, else the first column."""
    lower = [name.strip().lower() for name in names]
    return next((lower.index(name) for name in _ID_NAMES if name in lower), 0)


def _value_columns(found: _Found, first: Sequence[str], *, source: str) -> dict[int, Unit | None]:
    """Return place -> unit of each column that may hold values; None for an unknown unit."""
    of_counts = found.names[:6] == _FEATURE_COUNTS
    columns: dict[int, Unit | None] = {}
    for i, name in enumerate(found.names):
        described = i == found.ids or i in found.notes or name.strip().lower() in _DESCRIPTIONS
        if not described and is_number(first[i]):
            columns[i] = "counts" if of_counts else _unit_of(name)
    if not columns:
        commas = next((field.strip() for field in first if WITH_COMMAS.match(field.strip())), None)
        fix = "Expected numbers beside the ids" if commas is None else COMMAS.format(commas)
        msg = f"{source}: no column of values; found {shorten(found.names, limit=12)}. {fix}."
        raise ValueError(msg)
    return columns


def _choose_column(
    found: _Found, candidates: Mapping[int, Unit | None], column: str | None, unit: Unit | None, *, source: str
) -> int:
    """Return the place of the column of values: the named one, the only one, or one of several units."""
    if column is not None:
        n = found.names.count(column)
        if n != 1 or found.names.index(column) == found.ids:
            problem = f"{n} columns are" if n > 1 else "no column of values is"
            shown = _show(found, candidates)
            msg = f"{source}: {problem} called {column!r}; choose one of {shown}."
            raise ValueError(msg)
        return found.names.index(column)
    if len(candidates) == 1:
        return next(iter(candidates))
    in_unit = [i for i in candidates if unit is not None and candidates[i] == unit]
    if len(in_unit) == 1:
        return in_unit[0]
    # One sample in several units has each unit once.
    units = list(candidates.values())
    if unit is None and None not in units and len(set(units)) == len(units):
        return next(i for name in _UNITS for i in candidates if candidates[i] == name)
    kind = f" in {unit}" if in_unit else ""
    msg = (
        f"{source}: {len(in_unit or candidates)} columns of values{kind} ({_show(found, candidates)}); choose one with "
        "column=."
    )
    raise ValueError(msg)


def _check_column(
    name: str,
    own_unit: Unit | None,
    unit: Unit | None,
    found: _Found,
    candidates: Mapping[int, Unit | None],
    *,
    source: str,
) -> None:
    """Raise when the name of the chosen column says another unit than ``unit``, or logarithms."""
    if unit is not None and own_unit not in (None, unit):
        msg = (
            f"{source}: column {name!r} holds {own_unit} by its name, but unit is {unit!r}; values are not converted. "
            f"Choose among {_show(found, candidates)}."
        )
        raise ValueError(msg)
    if _LOGARITHM.search(name):
        msg = (
            f"{source}: column {name!r} holds logarithms by its name; expected linear units. Undo them and rename "
            f"the column, or choose among {_show(found, candidates)}."
        )
        raise ValueError(msg)


def _show(found: _Found, candidates: Mapping[int, Unit | None]) -> str:
    return shorten((found.names[i] for i in candidates), limit=8)


def _unit_of(name: str) -> Unit | None:
    """Return the unit that the name of a column says, if any."""
    return next((unit for unit, pattern in _UNITS.items() if pattern.search(name)), None)
