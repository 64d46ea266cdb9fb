"""Genes by bins from the files of a laboratory, in one call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.io._annotation import LEFT_OUT, read_genes
from simplechrome_tk.io._expression import read_expression
from simplechrome_tk.io._genome import drop_beyond_ends
from simplechrome_tk.io._kind import PEAKS, READS, check_kinds, detect_kind, given_kind
from simplechrome_tk.io._lengths import read_header_lengths
from simplechrome_tk.io._paths import as_path
from simplechrome_tk.io._text import MAX_BYTES
from simplechrome_tk.pp._bigwig import bin_bigwig
from simplechrome_tk.pp._bin import bin_peaks
from simplechrome_tk.pp._control import subtract_control
from simplechrome_tk.pp._matching import add_expression, find_unmatched
from simplechrome_tk.pp._reads import bin_reads

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._annotation import TssRule
    from simplechrome_tk.io._expression import Unit
    from simplechrome_tk.io._genome import Genome
    from simplechrome_tk.pp._control import ControlMethod

    Track: TypeAlias = str | os.PathLike[str] | pd.DataFrame

logger = logging.getLogger(__name__)

_BINNERS: dict[str, Callable[..., ad.AnnData]] = {
    "bin_bigwig": bin_bigwig,
    "bin_peaks": bin_peaks,
    "bin_reads": bin_reads,
}
_BINNER_OF = {"bigWig": "bin_bigwig", **dict.fromkeys(PEAKS, "bin_peaks"), **dict.fromkeys(READS, "bin_reads")}
"""Format of a track -> name of the function that bins it."""

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
    tracks: Mapping[str, Track],
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
    control: Track | Mapping[str, Track] | None = None,
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
        of the marks (:func:`simplechrome_tk.pp.subtract_control`).
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
        that were left out, with position and reason (copies, beyond the end of a chromosome).

    Raises
    ------
    FileNotFoundError
        When the file of a track does not exist.
    ValueError
        When no track is given, a format is unknown, the control and a mark differ in format, no gene has the columns
        that the windows need, no id of ``expression`` is among the genes, no gene is above the median, tracks,
        annotation and ``genome`` disagree on the length of a chromosome, or a file cannot be read.

    Examples
    --------
    >>> tracks = {"H3K4me3": "k4me3.bw", "H3K27me3": "k27me3.narrowPeak.gz"}
    >>> adata = sct.pp.from_tracks(tracks, "gencode.v44.gtf.gz", "quant.genes.sf", genome="hg38")  # doctest: +SKIP
    """
    controls = _controls_of(control)
    _check_given(tracks, controls)
    check_kinds(kinds, [*tracks, *controls])
    _check_formats(tracks, controls, kinds)

    genes, sizes, record = _read_genes(
        annotation, [tracks, controls], tss=tss, gene_types=gene_types, genome=genome, max_bytes=max_bytes
    )
    record["marks"] = list(tracks)
    record["tracks"] = [_name(track) for track in tracks.values()]
    record["control"] = np.array([_name(track) for track in controls.values()], str)
    if cell_type is not None:
        genes[k.CELL_TYPE] = pd.Categorical([cell_type] * len(genes))
    ids: dict[str, list[str]] = {"genes_without_expression": [], "expression_without_gene": []}
    labels: dict[str, object] = {}
    if expression is not None:
        values = read_expression(expression, column=column, unit=unit, max_bytes=max_bytes)
        found = values.attrs["read_expression"]
        record |= {"expression": found["source"], "column": str(values.name), "unit": values.attrs["unit"]}
        record["counts"] |= {f"expression_{name}": n for name, n in found["counts"].items()}
        ids = find_unmatched(genes, values, found["source"])
        genes, labels = add_expression(genes, values, found["source"])
    complete = _are_complete(genes, windows)
    ids["left_out"] = genes.index[~complete].tolist()
    record["counts"] |= {name: len(found) for name, found in ids.items()}
    record |= {name: np.array(found, str) for name, found in ids.items()}

    first = [column for column in _OBS if column in genes]
    genes = genes.loc[complete, [*first, *genes.columns.difference(first, sort=False)]]
    arguments = _arguments(sizes, max_bytes, reads)
    adata = _bin(tracks, genes, windows, arguments, kinds)
    if controls:
        subtract_control(adata, _bin(controls, genes, windows, arguments, kinds), method=control_method)
    adata.uns |= labels
    if record["unit"] in _UNITS:
        adata.uns[k.UNITS] = {**adata.uns.get(k.UNITS, {}), k.EXPRESSION: _UNITS[record["unit"]]}
    adata.uns[k.FROM_TRACKS] = record
    notes = [f"{len(ids[name])} {note}: {shorten(ids[name], limit=3)}" for name, note in _NOTES.items() if ids[name]]
    logger.info("from_tracks: %s.", "; ".join([f"{adata.n_obs} genes by {adata.n_vars} columns", *notes]))
    return adata


def _controls_of(control: Track | Mapping[str, Track] | None) -> dict[str, Track]:
    """Return the tracks of the control by name: by mark, or ``"control"`` for one that all marks share."""
    if control is None:
        return {}
    return dict(control) if isinstance(control, Mapping) else {"control": control}


def _read_genes(
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


def _arguments(sizes: Mapping[str, int], max_bytes: int, reads: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return the further arguments of each function in `_BINNERS`."""
    known = {"genome": sizes} if sizes else {}
    return {
        "bin_bigwig": known,
        "bin_peaks": {"max_bytes": max_bytes, **known},
        "bin_reads": {"max_bytes": max_bytes, **known, **(reads or {})},
    }


def _check_given(tracks: object, controls: Mapping[str, object]) -> None:
    """Raise unless tracks and controls are mappings from each mark to one track."""
    example = "{'H3K4me3': 'k4me3.bw'}"
    if not isinstance(tracks, Mapping):
        msg = f"tracks is of type {type(tracks).__name__}; expected a dict of marks and their tracks, {example}."
        raise ValueError(msg)
    if not tracks:
        msg = f"no tracks: `tracks` is empty; expected for example {example}."
        raise ValueError(msg)
    for mark, track in [*tracks.items(), *controls.items()]:
        if isinstance(track, list | tuple | set | Mapping):
            msg = (
                f"{mark}: {len(track)} tracks in a {type(track).__name__}; expected one. For replicates merge the "
                f"reads (samtools merge) or average the tracks (wiggletools mean), or give each its own name, "
                f"{{'{mark}_1': ..., '{mark}_2': ...}}, and average the columns."
            )
            raise ValueError(msg)
        if not isinstance(track, pd.DataFrame):
            path = as_path(track, name=str(mark), expected="the path of one track, or a table of peaks")
            if "://" in str(track):
                msg = f"{mark}: {track} is a web address; download the file first, and pass its path."
                raise ValueError(msg)
            if path.is_dir():
                msg = f"{mark}: {path} is a folder; expected the path of one track."
                raise ValueError(msg)


def _binner(mark: str, track: Track, kinds: str | Mapping[str, str] | None) -> str:
    """Return the name of the function that bins a track."""
    if isinstance(track, pd.DataFrame):
        return "bin_peaks"
    if not Path(track).exists():
        msg = f"{mark}: there is no file {track}; check its name and the folder you are in ({Path.cwd()})."
        raise FileNotFoundError(msg)
    return _BINNER_OF[detect_kind(track, given_kind(mark, kinds)).kind]


def _check_formats(
    tracks: Mapping[str, Track], controls: Mapping[str, Track], kinds: str | Mapping[str, str] | None
) -> None:
    """Raise when a file is missing or of unknown format, before the slow reading starts."""
    binners = {}
    for mark, track in [*tracks.items(), *controls.items()]:
        binners[_binner(mark, track, kinds)] = mark
    if controls and len(binners) > 1:
        found = " and ".join(f"{mark} by {binner}" for binner, mark in binners.items())
        msg = (
            f"marks and control differ in format: sct.pp would bin {found}. Give all of them in one format, or bin "
            "marks and control yourself and compare them with sct.pp.subtract_control."
        )
        raise ValueError(msg)


def _name(track: Track) -> str:
    return "a table" if isinstance(track, pd.DataFrame) else str(track)


def _are_complete(obs: pd.DataFrame, windows: Sequence[Window]) -> pd.Series:
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


def _bin(
    tracks: Mapping[str, Track],
    genes: pd.DataFrame,
    windows: Sequence[Window],
    arguments: Mapping[str, Mapping[str, Any]],
    kinds: str | Mapping[str, str] | None,
) -> ad.AnnData:
    """Bin the marks of each format together, and put the columns in the order of ``tracks``."""
    groups: dict[str, dict[str, Track]] = {}
    for mark, track in tracks.items():
        groups.setdefault(_binner(mark, track, kinds), {})[mark] = track
    parts = []
    for binner, group in groups.items():
        own = dict(arguments[binner])
        if binner != "bin_bigwig":
            own["kinds"] = {mark: kind for mark in group if (kind := given_kind(mark, kinds))}
        parts.append(_BINNERS[binner](group, genes, windows=windows, **own))
    if len(parts) == 1:
        return parts[0]
    # Concatenation puts format after format; the columns have to be mark-major within each window.
    place = {mark: part.var_names[part.var[k.MARK] == mark] for part in parts for mark in part.var[k.MARK].unique()}
    adata = ad.concat(parts, axis="var", merge="same", uns_merge="unique")
    region = adata.var[k.REGION].astype(str)
    ordered = [name for window in windows for mark in tracks for name in place[mark] if region[name] == window.name]
    adata = adata[:, ordered].copy()
    for column, names in ((k.MARK, list(tracks)), (k.REGION, [window.name for window in windows])):
        adata.var[column] = pd.Categorical(adata.var[column], categories=names)
    return adata
