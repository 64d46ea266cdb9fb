"""Reader of the CSV files of DeepDiff."""

from __future__ import annotations

import csv
import io
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core import window as _window
from simplechrome_tk.deepchrome._assemble import Part, build, check_parts, describe, load_gene_table
from simplechrome_tk.deepchrome._parse_csv import read_genes
from simplechrome_tk.deepchrome._parse_header import Columns, check_marks
from simplechrome_tk.io._text import MAX_BYTES, open_unpacked, read_blocks

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import anndata as ad

logger = logging.getLogger(__name__)

DEEPDIFF_MARKS = ("H3K4me1", "H3K4me3", "H3K9me3", "H3K27me3", "H3K36me3")
"""Marks of the published files, in the order of their columns."""

_FILE = re.compile(rf"(?P<cell>.+)\.(?P<split>{'|'.join(k.SPLITS)})\.csv(\.gz)?", re.IGNORECASE)
_EXPRESSION = "{}.expr.csv"


def read_deepdiff(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    cell_types: Mapping[str, str] | None = None,
    marks: Sequence[str] = DEEPDIFF_MARKS,
    orient: bool = True,
    annotate: bool = True,
    max_bytes: int = MAX_BYTES,
) -> ad.AnnData:
    """Read genes by bins in the format of DeepDiff.

    A row of these files is a bin of 100 bp, ``ENSG_symbol_bin,H3K4me1,H3K4me3,H3K9me3,H3K27me3,H3K36me3``: 1 to 200
    along the genome from TSS - 10 kb to TSS + 10 kb, and read counts, without header. Expression is in a file of its
    own, ``ENSG,count``.

    Parameters
    ----------
    path
        A folder with ``Cell1.train.csv``, ``Cell1.valid.csv``, ``Cell1.test.csv``, ``Cell1.expr.csv`` and as many other
        cell types; or some of these files. Expression is looked for beside the files.
    cell_types
        New names of cell types. In the published files ``Cell1`` is ``E123`` and ``Cell2`` is ``E003``.
    marks
        Marks in the order of their columns.
    orient
        Turn the bins of genes on the minus strand, so that all run from 5' to 3'. Genes of unknown strand stay as
        they are in the file.
    annotate
        Add positions and strand from public tables (2.3 MB, downloaded once). Where these are out of reach the log says
        so, and genes have no positions and are not turned.
    max_bytes
        Largest size of a gzipped file once it is unpacked, in bytes.

    Returns
    -------
    anndata.AnnData
        Genes by bins of counts, float32, mark-major, one window ``tss`` of 200 bins.

        ``obs``: Ensembl id (``id:cell_type`` when there are several cell types), ``symbol``, ``chrom``, ``start``,
        ``end``, ``strand``, ``tss`` (bp), ``annotated``, ``expression`` (counts, not scaled by gene length or depth; of
        cell types with such a file), ``split``, ``cell_type``. Without public tables ``strand`` is ``"."``,
        ``annotated`` False, and the other columns that these give are absent. ``uns["windows"]``: the window.
        ``uns["units"]``: what ``X`` and expression hold, as plots call it. ``uns["deepdiff"]``: ``oriented``,
        ``repeated`` and ``unmatched`` (ids).

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a file has another format (the line or gene is named), a gene is in two files of a cell type, or no id is
        known to the public tables.

    Examples
    --------
    >>> cell_types = {"Cell1": "E123", "Cell2": "E003"}
    >>> adata = sct.deepchrome.read_deepdiff("deepdiff", cell_types=cell_types)  # doctest: +SKIP
    >>> adata.shape  # doctest: +SKIP
    (1200, 1000)
    """
    window = _window.Window("tss", anchor="tss", upstream=10_000, downstream=10_000, n_bins=200)
    columns = Columns(check_marks(marks), window.n_bins, joint=True)
    files = _find(path)
    names = dict(cell_types or {})
    if unknown := set(names) - {cell for cell, _, _ in files}:
        found = ", ".join(dict.fromkeys(cell for cell, _, _ in files))
        msg = f"cell_types renames {', '.join(sorted(unknown))}, which is not here; found {found}."
        raise ValueError(msg)
    parts, counts = [], {}
    for cell, split, file in files:
        name = names.get(cell, cell)
        with open_unpacked(file, max_bytes) as stream:
            parts.append(Part(name, split, str(file), read_genes(stream, columns, source=str(file))))
        beside = file.with_name(_EXPRESSION.format(cell))
        if name not in counts and beside.exists():
            counts[name] = _read_expression(beside)
    check_parts(parts)
    table = load_gene_table() if annotate else None
    source = str(files[0][2].parent)
    obs, unmatched = describe(parts, table, source=source)
    _add_counts(obs, counts, source=source)
    return build(parts, obs, unmatched, window, orient=orient, record_key=k.DEEPDIFF, expression_unit="counts")


def _find(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[tuple[str, str, Path]]:
    """Return cell type, split and path of each file, sorted by cell type and split."""
    given = [Path(path)] if isinstance(path, str) or not hasattr(path, "__iter__") else [Path(file) for file in path]
    files = []
    for file in given:
        if not file.exists():
            msg = f"{file} does not exist; expected files such as Cell1.train.csv, or a folder of these."
            raise FileNotFoundError(msg)
        files += sorted(file.iterdir()) if file.is_dir() else [file]
    named = [(found["cell"], found["split"].lower(), file) for file in files if (found := _FILE.fullmatch(file.name))]
    if not named:
        msg = (
            f"no file named like Cell1.train.csv, Cell1.valid.csv or Cell1.test.csv in {', '.join(map(str, given))}; "
            "rename yours so, the cell type first."
        )
        raise FileNotFoundError(msg)
    return sorted(named, key=lambda item: (item[0], k.SPLITS.index(item[1])))


def _read_expression(path: Path) -> pd.Series:
    """Read counts by Ensembl id."""
    expected = "expected lines of a gene id and a count of 0 or more, such as ENSG00000000003,153, without header"
    text = b"\n".join(line for block in read_blocks(path) for line in block)
    try:
        table = pd.read_csv(
            io.BytesIO(text),
            header=None,
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            skip_blank_lines=False,
        )
    except ValueError as error:  # errors of pandas and of Unicode are ValueErrors too
        msg = f"{path}: {error}; {expected}."
        raise ValueError(msg) from error
    if table.shape[1] != 2:
        msg = f"{path}: {table.shape[1]} columns; {expected}."
        raise ValueError(msg)
    table = table[(table != "").any(axis=1)]
    count = pd.to_numeric(table[1], errors="coerce")
    bad = (table[0] == "") | ~np.isfinite(count) | (count < 0) | table[0].duplicated()
    if bad.any():
        at = int(bad.to_numpy().argmax())
        msg = f"{path}: line {table.index[at] + 1} is {','.join(table.iloc[at])}; {expected}, each gene once."
        raise ValueError(msg)
    return pd.Series(count.to_numpy(float), index=table[0].to_numpy())


def _add_counts(obs: pd.DataFrame, counts: Mapping[str, pd.Series], *, source: str) -> None:
    """Write expression to ``obs`` where there is a file of it."""
    cells = obs[k.CELL_TYPE].astype(str)
    for cell, table in counts.items():
        rows = (cells == cell).to_numpy()
        found = table.reindex(obs.index[rows].str.removesuffix(f":{cell}"))
        if k.EXPRESSION not in obs:
            obs[k.EXPRESSION] = np.nan
        obs.loc[rows, k.EXPRESSION] = found.to_numpy()
        if found.isna().any():
            logger.warning("%s: %d of %d genes of %s have no count.", source, found.isna().sum(), rows.sum(), cell)
    if without := sorted(set(cells) - set(counts)):
        logger.warning("%s: no expression, since there is no %s.", source, _EXPRESSION.format("/".join(without)))
