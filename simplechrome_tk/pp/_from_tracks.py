"""Genes by bins from the files of a laboratory, in one call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.io._annotation import LEFT_OUT, read_genes
from simplechrome_tk.io._expression import read_expression
from simplechrome_tk.io._genome import drop_beyond_ends
from simplechrome_tk.io._kind import check_kinds
from simplechrome_tk.io._lengths import read_header_lengths
from simplechrome_tk.io._text import MAX_BYTES
from simplechrome_tk.pp._matching import add_expression, find_unmatched
from simplechrome_tk.pp._tracks import as_files, bin_sample, check_formats, describe, name_files

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._annotation import TssRule
    from simplechrome_tk.io._expression import Unit
    from simplechrome_tk.io._genome import Genome
    from simplechrome_tk.pp._control import ControlMethod
    from simplechrome_tk.pp._tracks import Files, Track

logger = logging.getLogger(__name__)

_UNITS = {"counts": "counts", "tpm": "TPM", "rpkm": "RPKM"}
"""Unit of expression -> its name in plots."""

_OBS = (k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, k.ANNOTATED, k.EXPRESSION, k.CELL_TYPE, k.LABEL)
"""Columns of ``obs`` that come first, in this order."""

_NOTES = {
    "left_out": "left out, which lack the strand or body that the windows need",
    "genes_without_expression": "genes without expression (kept, without label)",
    "expression_without_gene": "ids of the expression that are not in the annotation",
}
"""Key of ``uns["from_tracks"]`` -> what the log says of the genes in it."""


def from_tracks(
    tracks: Mapping[str, Track | Sequence[Track]],
    annotation: str | os.PathLike[str] | pd.DataFrame,
    expression: str | os.PathLike[str] | pd.DataFrame | pd.Series | None = None,
    *,
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    genome: Genome | None = None,
    tss: TssRule = "canonical",
    gene_types: str | Sequence[str] | None = None,
    column: str | int | None = None,
    unit: Unit | None = None,
    cell_type: str | None = None,
    control: Track | Sequence[Track] | Mapping[str, Track | Sequence[Track]] | None = None,
    control_method: ControlMethod = "log_ratio",
    reads: Mapping[str, Any] | None = None,
    kinds: str | Mapping[str, str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> ad.AnnData:
    """Bin tracks along the genes of an annotation, and label the genes by their expression.

    Parameters
    ----------
    tracks
        For each mark its track: bigWig, peaks, BED or bedGraph (:func:`simplechrome_tk.io.read_peaks`), indexed BAM,
        tagAlign or fragments (:func:`simplechrome_tk.pp.bin_reads`), plain or gzipped; or a table of peaks
        (:func:`simplechrome_tk.pp.bin_peaks`). The format is recognised by content, and by name where the content fits
        several. Marks may differ in format, but then the meaning of their values differs.

        A list of tracks are replicates of one sample, of one format, which are combined. Reads are summed, as if the
        files were merged. Other signal is averaged; before that, bigWig, bedGraph and SEACR files, whose signal may
        depend on the depth of sequencing, are each multiplied by a factor that gives them the same mean over all bins,
        the mean of their means. Called peaks, BED files and tables are averaged as they are. To keep replicates apart,
        which a comparison of conditions needs, use :func:`simplechrome_tk.pp.from_sample_sheet`.
    annotation
        GTF, GFF3, BED or table of genes (:func:`simplechrome_tk.io.read_annotation`).
    expression
        Expression of each gene, in linear units (:func:`simplechrome_tk.io.read_expression`).
    windows
        Regions to bin, by default ``Window.TSS`` and ``Window.BODY``. Genes without the strand or body that a window
        needs are left out and counted.
    genome
        Chromosome sizes or the name of the assembly, to check annotation and tracks against. Also without it, the
        lengths in the headers of bigWig and BAM files and the assembly that the annotation names are compared.
    tss
        Which TSS of a gene to take: ``"canonical"``, ``"most_upstream"`` or ``"all"``, which gives one row for each.
    gene_types
        Types of genes to keep, such as ``"protein_coding"``; by default all.
    column
        Column of ``expression`` to read, where it has several.
    unit
        Unit of ``expression``, where its header does not name it: ``"counts"``, ``"tpm"`` or ``"rpkm"``.
    cell_type
        Name of the cell type, written to ``obs``.
    control
        Track of the control (input DNA, IgG), one for all marks or a mapping from each mark to its own, in the format
        of the marks (:func:`simplechrome_tk.pp.subtract_control`); a list is combined as that of a mark.
    control_method
        ``"log_ratio"`` or ``"subtract"``.
    reads
        Further arguments of :func:`simplechrome_tk.pp.bin_reads`, for BAM and tagAlign: ``{"shift": 0}``.
    kinds
        Format of the tracks, where content and name do not show it: one for all, or a mapping from marks, with
        ``"control"`` for the control. One of ``"bigWig"``, ``"BAM"``, ``"tagAlign"`` (BED whose rows are reads),
        ``"fragments"``, ``"narrowPeak"``, ``"broadPeak"``, ``"gappedPeak"``, ``"SEACR"``, ``"bedGraph"``, ``"bed"``
        (signal is the score) and ``"bed3"`` (signal 1 on each interval).
    max_bytes
        Largest size in bytes of a gzipped file after unpacking.

    Returns
    -------
    anndata.AnnData
        ``n_genes x n_columns`` float32, mark-major within each region, marks in the order of ``tracks``.

        ``obs``: gene id; ``symbol``, ``chrom``, ``start``, ``end``, ``strand``, ``tss``, ``annotated`` (strand and body
        are known); with ``expression`` also ``expression`` (missing where unknown) and ``label``, ``"high"`` above the
        median of all genes with both annotation and expression; ``cell_type`` where it is given; then the other columns
        of the annotation. ``var`` and ``uns["windows"]`` as :func:`simplechrome_tk.pp.bin_peaks` writes them.
        ``uns["units"]``: the names of ``signal`` (missing where formats are mixed) and ``expression`` in plots.
        ``uns["label_expression"]``: the median; ``uns["reads"]`` and ``uns["subtract_control"]`` as their functions do.

        ``uns["from_tracks"]``: ``marks``, ``tracks``, ``control``, ``annotation``, ``tss``, ``expression``, ``column``,
        ``unit`` (``""`` where there is none), ``counts`` and the counted ids: ``left_out``,
        ``genes_without_expression``, ``expression_without_gene``; ``annotation_left_out``: genes of the annotation
        that were left out, with position and reason (copies, beyond the end of a chromosome). Of a list of tracks,
        ``tracks`` holds the names joined by ``"; "``. ``replicates``: a table with a row for each file of a list,
        ``mark``, ``file``, ``combined`` (``"sum"`` or ``"mean"``) and ``scale``, its factor.

    Raises
    ------
    FileNotFoundError
        When the file of a track does not exist.
    ValueError
        When no track is given, a format is unknown, replicates or the control and a mark differ in format, a replicate
        is given twice or has no signal, no gene has the columns
        that the windows need, no id of ``expression`` is among the genes, no gene is above the median, tracks,
        annotation and ``genome`` disagree on the length of a chromosome, or a file cannot be read.

    Examples
    --------
    >>> tracks = {"H3K4me3": "k4me3.bw", "H3K27me3": "k27me3.narrowPeak.gz"}
    >>> adata = sct.pp.from_tracks(tracks, "gencode.v44.gtf.gz", "quant.genes.sf", genome="hg38")  # doctest: +SKIP
    """
    files, controls = _files_of(tracks), _controls_of(control)
    check_kinds(kinds, [*files, *controls])
    check_formats(files, controls, kinds)

    genes, sizes, record = read_positions(
        annotation,
        [name_files(files), name_files(controls)],
        tss=tss,
        gene_types=gene_types,
        genome=genome,
        max_bytes=max_bytes,
    )
    named, of_controls = (["; ".join(map(describe, own)) for own in group.values()] for group in (files, controls))
    record |= {"marks": list(files), "tracks": named, "control": np.array(of_controls, str)}
    if cell_type is not None:
        genes[k.CELL_TYPE] = pd.Categorical([cell_type] * len(genes))
    ids: dict[str, list[str]] = {"genes_without_expression": [], "expression_without_gene": []}
    labels: dict[str, object] = {}
    if expression is not None:
        values = read_expression(expression, column=column, unit=unit, max_bytes=max_bytes)
        record_expression(record, values)
        source = values.attrs["read_expression"]["source"]
        ids = find_unmatched(genes, values, source)
        genes, labels = add_expression(genes, values, source)
    complete = are_complete(genes, windows)
    ids["left_out"] = genes.index[~complete].tolist()
    record_ids(record, ids)

    adata, record["replicates"] = bin_sample(
        files,
        controls,
        in_order(genes.loc[complete]),
        windows=windows,
        arguments=arguments_of(sizes, max_bytes, reads),
        kinds=kinds,
        control_method=control_method,
    )
    adata.uns |= labels
    name_unit(adata, record["unit"])
    adata.uns[k.FROM_TRACKS] = record
    logger.info("from_tracks: %s.", "; ".join([f"{adata.n_obs} genes by {adata.n_vars} columns", *describe_ids(ids)]))
    return adata


def _files_of(tracks: object) -> Files:
    """Return the files of each mark; raise unless there is a mapping from marks to tracks."""
    example = "{'H3K4me3': 'k4me3.bw'}"
    if not isinstance(tracks, Mapping):
        msg = f"tracks is of type {type(tracks).__name__}; expected a dict of marks and their tracks, {example}."
        raise ValueError(msg)
    if not tracks:
        msg = f"no tracks: `tracks` is empty; expected for example {example}."
        raise ValueError(msg)
    return {mark: as_files(str(mark), track) for mark, track in tracks.items()}


def _controls_of(control: Track | Sequence[Track] | Mapping[str, Track | Sequence[Track]] | None) -> Files:
    """Return the files of the control by name: by mark, or ``"control"`` for one that all marks share."""
    if control is None:
        return {}
    by_name = dict(control) if isinstance(control, Mapping) else {"control": control}
    return {mark: as_files(str(mark), track) for mark, track in by_name.items()}


def read_positions(
    annotation: str | os.PathLike[str] | pd.DataFrame,
    tracks: Sequence[Mapping[str, Track]],
    *,
    tss: TssRule,
    gene_types: str | Sequence[str] | None,
    genome: Genome | None,
    max_bytes: int,
) -> tuple[pd.DataFrame, Mapping[str, int], dict[str, Any]]:
    """Return the genes, the known lengths of chromosomes, and the record of what was read."""
    genes, lengths = read_genes(annotation, tss=tss, gene_types=gene_types, genome=genome, max_bytes=max_bytes)
    found = genes.attrs["read_annotation"]
    source, left_out = found["source"], found["left_out"]
    # Headers of bigWig and BAM files hold lengths of chromosomes, which may place more genes beyond the end.
    for group in tracks:
        lengths |= read_header_lengths(group)
    genes, beyond, sizes = drop_beyond_ends(genes, lengths, source=source)
    if beyond:
        logger.warning("%s: %d %s: %s.", source, len(beyond), LEFT_OUT["beyond_end"], shorten(beyond))
    left_out["beyond_end"] = [*left_out["beyond_end"], *beyond]
    counts = found["counts"] | {
        "genes": genes["gene_id"].nunique(),
        "rows": len(genes),
        "beyond_end": len(left_out["beyond_end"]),
    }
    known = (genes[k.STRAND] != k.UNKNOWN_STRAND) & genes[[k.START, k.END]].notna().all(axis=1)
    reasons = [f"{name}: {reason}" for reason in LEFT_OUT for name in left_out[reason]]
    record = {
        "annotation": source,
        "tss": tss,
        "expression": "",
        "column": "",
        "unit": "",
        "annotation_left_out": np.array(reasons, str),
        "counts": {f"annotation_{name}": n for name, n in counts.items()},
    }
    return genes.assign(**{k.ANNOTATED: known}), sizes, record


def arguments_of(
    sizes: Mapping[str, int], max_bytes: int, reads: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Return the further arguments of each function that bins."""
    known = {"genome": sizes} if sizes else {}
    return {
        "bin_bigwig": known,
        "bin_peaks": {"max_bytes": max_bytes, **known},
        "bin_reads": {"max_bytes": max_bytes, **known, **(reads or {})},
    }


def in_order(genes: pd.DataFrame) -> pd.DataFrame:
    """Return genes with the columns of ``obs`` in their usual order, the others behind them."""
    first = [column for column in _OBS if column in genes]
    return genes[[*first, *genes.columns.difference(first, sort=False)]]


def record_expression(record: dict[str, Any], values: pd.Series) -> None:
    """Write the source of expression into the record."""
    found = values.attrs["read_expression"]
    record |= {"expression": found["source"], "column": str(values.name), "unit": values.attrs["unit"]}
    record["counts"] |= {f"expression_{name}": n for name, n in found["counts"].items()}


def record_ids(record: dict[str, Any], ids: Mapping[str, Sequence[str]]) -> None:
    """Write the ids of genes that were left out or lack expression into the record, and their numbers."""
    record["counts"] |= {name: len(found) for name, found in ids.items()}
    record |= {name: np.array(found, str) for name, found in ids.items()}


def name_unit(adata: ad.AnnData, unit: str) -> None:
    """Write the name of the unit of expression, as plots call it, where it is known."""
    if unit in _UNITS:
        adata.uns[k.UNITS] = {**adata.uns.get(k.UNITS, {}), k.EXPRESSION: _UNITS[unit]}


def describe_ids(ids: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what the log says of genes that were left out or lack expression."""
    return [f"{len(ids[name])} {note}: {shorten(ids[name], limit=3)}" for name, note in _NOTES.items() if ids[name]]


def are_complete(obs: pd.DataFrame, windows: Sequence[Window]) -> pd.Series:
    """Return which genes have the strand and body that the windows need; raise when none has."""
    if not any(window.needs_body for window in windows):
        return pd.Series(data=True, index=obs.index)
    complete = obs[k.ANNOTATED]
    if not complete.any():
        msg = (
            f"strand or body is unknown for each of {len(obs)} genes, such as {obs.index[0]!r}; use windows around the "
            "TSS alone, windows=[sct.pp.Window.TSS], or an annotation with start, end and strand."
        )
        raise ValueError(msg)
    return complete
