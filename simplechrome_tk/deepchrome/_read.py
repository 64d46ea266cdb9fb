"""Reader of the CSV files of DeepChrome and AttentiveChrome."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import by_cell_type
from simplechrome_tk.core.window import Window
from simplechrome_tk.deepchrome._assemble import (
    Part,
    build,
    check_parts,
    describe,
    load_cell_expression,
    load_gene_table,
)
from simplechrome_tk.deepchrome._find_files import open_cells
from simplechrome_tk.deepchrome._parse_csv import read_genes
from simplechrome_tk.deepchrome._parse_header import Columns, check_marks
from simplechrome_tk.io._text import MAX_BYTES

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)

MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")
"""Marks of the published files, in the order of their columns."""

Labels = Literal["published", "rpkm"]
# Share of published labels that may contradict RPKM without a warning.
_DISAGREEING = 0.01


def read(
    path: str | os.PathLike[str],
    *,
    labels: Labels = "published",
    cell_types: str | Sequence[str] | None = None,
    cell_type: str | None = None,
    marks: Sequence[str] = MARKS,
    orient: bool = True,
    annotate: bool = True,
    max_bytes: int = MAX_BYTES,
) -> ad.AnnData:
    """Read genes by bins in the format of DeepChrome and AttentiveChrome.

    A row of these files is a bin of 100 bp, ``geneid,bin,H3K27me3,H3K36me3,H3K4me1,H3K4me3,H3K9me3,label``: the last
    six digits of the Ensembl gene id, 1 to 100 along the genome from TSS - 5 kb to TSS + 5 kb, read counts, 0 or 1. A
    header line may name the columns in another order, or other marks.

    Parameters
    ----------
    path
        A CSV file, plain or gzipped; a cell type's folder with ``train.csv``, ``valid.csv`` and ``test.csv``, below
        ``classification`` or not; a folder of such folders; or the archive of Zenodo record 2652278, which is read
        without unpacking it to disk.
    labels
        ``"published"`` keeps those of the file. ``"rpkm"`` calls a gene high when its RPKM is above the median of its
        cell type, as :func:`simplechrome_tk.datasets.roadmap` does; the published ones contradict that for 49 of the 56
        cell types (:func:`simplechrome_tk.deepchrome.audit_labels`).
    cell_types
        Cell types to read from a folder of folders or an archive; all by default.
    cell_type
        Name of the cell type, where a single one is read; by default the name of its folder, or of a file that is
        not called ``train``, ``valid`` or ``test``. RPKM are found by it: ``E003``.
    marks
        Marks in the order of their columns, for files without header that hold others than the published.
    orient
        Turn the bins of genes on the minus strand, so that all run from 5' to 3' as everywhere in this package. Genes
        of unknown strand stay as they are in the file. ``False`` turns no gene.
    annotate
        Add positions, strand and RPKM from public tables (3 MB, downloaded once). Where these are out of reach, the log
        says so, and genes have no positions and are not turned.
    max_bytes
        Largest size of a compressed file once it is unpacked, in bytes.

    Returns
    -------
    anndata.AnnData
        Genes by bins of counts, float32, mark-major, one window ``tss``. Rows that a file holds twice, value for value
        (seven of the published genes do), are kept once and counted.

        ``obs``: Ensembl id (``id:cell_type`` when several are read), ``symbol``, ``chrom``, ``start``, ``end``,
        ``strand``, ``tss`` (bp), ``annotated``, ``expression`` (RPKM), ``label``, ``split`` (of the file; absent for
        a file whose name does not say it), ``cell_type``. Without public tables ``strand`` is ``"."``, ``annotated``
        False, and the other columns that these give are absent. ``uns["windows"]``: the window.
        ``uns["units"]``: what ``X`` and expression hold, as plots call it.
        ``uns[k.DEEPCHROME]``: ``labels``, ``oriented``, ``repeated`` and ``unmatched`` (ids), and ``medians`` of RPKM,
        a table with a row for each cell type and the column ``median``. ``uns["label_expression"]``, for labels by
        RPKM, as :func:`simplechrome_tk.pp.label_expression`.

    Raises
    ------
    FileNotFoundError
        When there is no such file, or not every one of ``cell_types``.
    ValueError
        When a file has another format (the line or gene is named), a gene is in two files of a cell type, no id is
        known to the public tables, ``labels="rpkm"`` and there are no RPKM, or an archive is damaged, unsafe or too
        large.

    Examples
    --------
    >>> adata = sct.deepchrome.read("data/E003", labels="rpkm")  # doctest: +SKIP
    >>> adata.shape  # doctest: +SKIP
    (19795, 500)
    """
    if labels not in get_args(Labels) or (labels == "rpkm" and not annotate):
        msg = (
            f"labels={labels!r} with annotate={annotate}; expected 'published', or 'rpkm' with annotate=True, since "
            "RPKM come from public tables."
        )
        raise ValueError(msg)
    path = Path(path)
    columns = Columns(check_marks(marks), Window.TSS.n_bins, joint=False)
    parts = _read_parts(path, columns, cell_types, max_bytes=max_bytes)
    if cell_type is not None:
        parts = _rename_cell_type(parts, cell_type, path)
    table = load_gene_table() if annotate else None
    obs, unmatched = describe(parts, table, source=str(path))
    medians = {} if table is None else _add_expression(obs, list(obs[k.CELL_TYPE].cat.categories), table)
    obs[k.LABEL] = pd.Categorical.from_codes(
        np.concatenate([piece for part in parts for piece in part.genes.labels]), categories=k.LABELS, ordered=True
    )
    adata = build(parts, obs, unmatched, Window.TSS, orient=orient, record_key=k.DEEPCHROME, expression_unit="RPKM")
    adata.uns[k.DEEPCHROME] |= {"labels": labels, "medians": by_cell_type(medians, "median")}
    _compare_labels(adata, medians, labels=labels)
    return adata


def _rename_cell_type(parts: Sequence[Part], cell_type: str, path: Path) -> list[Part]:
    """Name the one cell type of the files; raise ``ValueError`` where there are several."""
    found = list(dict.fromkeys(part.cell for part in parts))
    if len(found) > 1:
        msg = (
            f"cell_type={cell_type!r} names one, but {path} holds {', '.join(found)}. Choose one with "
            f"cell_types={found[0]!r}."
        )
        raise ValueError(msg)
    return [part._replace(cell=cell_type) for part in parts]


def _read_parts(path: Path, columns: Columns, cells: str | Sequence[str] | None, *, max_bytes: int) -> list[Part]:
    """Read every file, those of a cell type one after the other, and check that they fit together."""
    chosen = [cells] if isinstance(cells, str) else cells
    if chosen is not None and (not len(chosen) or len(set(chosen)) < len(chosen)):
        msg = f"cell_types={list(chosen)}; expected the name of each cell type to read once, or None for all."
        raise ValueError(msg)
    with closing(open_cells(path, chosen, max_bytes=max_bytes)) as files:
        parts = [
            Part(file.cell, file.split, file.source, read_genes(file.stream, columns, source=file.source))
            for file in files
        ]
    order = sorted({part.cell for part in parts}) if chosen is None else list(chosen)
    parts.sort(key=lambda part: (order.index(part.cell), (*k.SPLITS, None).index(part.split)))
    check_parts(parts)
    for cell in order:
        missing = [split for split in k.SPLITS if split not in {part.split for part in parts if part.cell == cell}]
        if missing and not path.name.lower().endswith((".csv", ".csv.gz")):
            logger.warning("%s: %s holds no %s.csv.", path, cell, ".csv and no ".join(missing))
    return parts


def _add_expression(obs: pd.DataFrame, cells: Sequence[str], table: pd.DataFrame) -> dict[str, float]:
    """Write RPKM where they are known; return their medians over all public genes, by cell type."""
    medians = {}
    for cell in cells:
        known = load_cell_expression(cell, table)
        if known is None:
            continue
        rows = (obs[k.CELL_TYPE] == cell).to_numpy()
        if k.EXPRESSION not in obs:
            obs[k.EXPRESSION] = np.nan
        ids = obs.index[rows].str.removesuffix(f":{cell}")
        obs.loc[rows, k.EXPRESSION] = known.rpkm.reindex(ids).to_numpy(float)
        medians[cell] = known.median
    return medians


def _compare_labels(adata: ad.AnnData, medians: dict[str, float], *, labels: Labels) -> None:
    """Replace labels by those of RPKM where ``labels`` says so; warn where published labels contradict RPKM."""
    cells = adata.obs[k.CELL_TYPE].astype(str)
    if labels == "rpkm" and (without := set(cells) - set(medians)):
        msg = (
            f"labels='rpkm' needs the RPKM of {', '.join(sorted(without))}, which are out of reach or not public (see "
            "the log). Name a Roadmap epigenome with cell_type='E003', or keep labels='published'."
        )
        raise ValueError(msg)
    for cell, median in medians.items():
        rows = (cells == cell).to_numpy() & adata.obs[k.EXPRESSION].notna().to_numpy()
        high = (adata.obs[k.EXPRESSION] > median).to_numpy()
        wrong = rows & (high != (adata.obs[k.LABEL] == "high").to_numpy())
        if wrong.sum() > _DISAGREEING * rows.sum():
            logger.warning(
                "%s: %d of %d published labels (%.1f %%) contradict the median of RPKM%s.",
                cell,
                wrong.sum(),
                rows.sum(),
                100 * wrong.sum() / rows.sum(),
                "; labels='rpkm' replaces them, sct.deepchrome.audit_labels says what they follow"
                if labels != "rpkm"
                else "",
            )
        if labels == "rpkm":
            from_rpkm = pd.Series(np.where(high, "high", "low"), index=adata.obs_names).where(rows)
            of_cell = (cells == cell).to_numpy()
            adata.obs.loc[of_cell, k.LABEL] = pd.Categorical(from_rpkm[of_cell], k.LABELS, ordered=True)
    if labels == "rpkm":
        adata.uns[k.LABEL_EXPRESSION] = {
            "expression_key": k.EXPRESSION,
            "thresholds": by_cell_type(medians, "threshold"),
        }
