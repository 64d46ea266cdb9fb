"""From a laboratory's own files to genes by bins, in one call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk import pp

# Both packages read each other: pp bins the files that io reads. What pp holds is looked up when it is called.
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
from simplechrome_tk.pp._matching import unmatched, with_expression

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._annotation import TssRule
    from simplechrome_tk.io._expression import Unit
    from simplechrome_tk.pp._control import ControlMethod

    Track: TypeAlias = str | os.PathLike[str] | pd.DataFrame

logger = logging.getLogger(__name__)

_BINNERS = {"bigWig": "bin_bigwig", **dict.fromkeys(PEAKS, "bin_peaks"), **dict.fromkeys(READS, "bin_reads")}
"""Kind of a track -> the function of ``sct.pp`` that bins it."""

_UNITS = {"counts": "counts", "tpm": "TPM", "rpkm": "RPKM"}
_OBS = (
    *(k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, k.ANNOTATED),
    *(k.EXPRESSION, k.CELL_TYPE, k.LABEL),
)
_COUNTED = {
    "left_out": "left out, which lack the strand or body that the windows need",
    "genes_without_expression": "genes without expression (kept, without label)",
    "expression_without_gene": "ids of the expression that are no gene of the annotation",
}


def from_tracks(
    tracks: Mapping[str, Track],
    annotation: str | os.PathLike[str] | pd.DataFrame,
    expression: str | os.PathLike[str] | pd.DataFrame | pd.Series | None = None,
    *,
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    genome: str | os.PathLike[str] | Mapping[str, int] | pd.DataFrame | pd.Series | None = None,
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
    """Turn tracks, annotation and expression into genes by bins.

    Parameters
    ----------
    tracks
        For each mark its track: bigWig, peaks, BED or bedGraph (:func:`simplechrome_tk.io.read_peaks`), indexed BAM,
        tagAlign or fragments (:func:`simplechrome_tk.pp.bin_reads`), plain or gzipped, known by content, and by name
        where the content leaves a choice; or a table of peaks (:func:`simplechrome_tk.pp.bin_peaks`). Marks may differ
        in format, but then their values differ in kind.
    annotation
        GTF, GFF3, BED or table of genes (:func:`simplechrome_tk.io.read_annotation`).
    expression
        Expression of each gene, in linear units (:func:`simplechrome_tk.io.read_expression`).
    windows
        Regions to bin. Genes that lack the strand or body that one of them needs are left out and counted.
    genome
        Chromosome sizes or the name of the assembly, to check annotation and tracks against. Lengths in the headers of
        bigWig and BAM files, and what the annotation says of its assembly, are compared without it, too.
    tss
        Which start of transcription: ``"canonical"``, ``"most_upstream"`` or ``"all"``, a row for each.
    gene_types
        Keep genes of these types only, such as ``"protein_coding"``.
    column
        Column of ``expression``, where it has several.
    unit
        Unit of ``expression``, where its header does not say it: ``"counts"``, ``"tpm"`` or ``"rpkm"``.
    cell_type
        Name of the cell type, written to ``obs``.
    control
        Track of the control (input DNA, IgG) of all marks, or of each mark, in the format of the marks
        (:func:`simplechrome_tk.pp.subtract_control`).
    control_method
        ``"log_ratio"`` or ``"subtract"``.
    reads
        Further arguments of :func:`simplechrome_tk.pp.bin_reads`, for BAM and tagAlign: ``{"shift": 0}``.
    kinds
        What the tracks are, where content and name do not say it or say it wrongly: of all, or by mark, that of the
        control under ``"control"``. One of ``"bigWig"``, ``"BAM"``, ``"tagAlign"`` (BED whose rows are reads),
        ``"fragments"``, ``"narrowPeak"``, ``"broadPeak"``, ``"gappedPeak"``, ``"SEACR"``, ``"bedGraph"``, ``"bed"``
        (signal is the score) and ``"bed3"`` (signal 1 on each interval).
    max_bytes
        What a gzipped file may hold once unpacked.

    Returns
    -------
    anndata.AnnData
        ``n_genes x n_columns`` float32, mark-major within each region, marks in the order of ``tracks``.

        ``obs``: gene id; ``symbol``, ``chrom``, ``start``, ``end``, ``strand``, ``tss``, ``annotated`` (strand and body
        are known); with ``expression`` also ``expression`` (missing where unknown) and ``label``, above or not above
        the median of all genes with both annotation and expression; ``cell_type`` where it is given; then what else
        the annotation has. ``var`` and ``uns["windows"]`` as :func:`simplechrome_tk.pp.bin_peaks` writes them.
        ``uns["units"]``: ``signal`` (missing where formats are mixed) and ``expression``, what ``X`` and ``expression``
        hold, as plots call it. ``uns["label_expression"]``: the median; ``uns["reads"]`` and
        ``uns["subtract_control"]`` as their functions do.

        ``uns["from_tracks"]``: ``marks``, ``tracks``, ``control``, ``annotation``, ``tss``, ``expression``, ``column``,
        ``unit`` (``""`` where there is none), ``counts`` and the ids that were counted: ``left_out``,
        ``genes_without_expression``, ``expression_without_gene``; ``annotation_left_out``: genes of the annotation with
        their places and the reason (copies, beyond the end of a chromosome).

    Raises
    ------
    FileNotFoundError
        When a track is not there.
    ValueError
        When there is no track, one is of unknown format, the control is of another format than a mark, no gene has what
        the windows need, no id of ``expression`` is among the genes, no gene is above the median, chromosome lengths or
        ends of intervals differ between tracks, annotation and ``genome``, or one of the readers refuses its file.

    Examples
    --------
    >>> tracks = {"H3K4me3": "k4me3.bw", "H3K27me3": "k27me3.narrowPeak.gz"}
    >>> adata = sct.pp.from_tracks(tracks, "gencode.v44.gtf.gz", "quant.genes.sf", genome="hg38")  # doctest: +SKIP
    """
    controls = {} if control is None else dict(control) if isinstance(control, Mapping) else {"control": control}
    _check_given(tracks, controls)
    check_kinds(kinds, [*tracks, *controls])
    _check_formats(tracks, controls, kinds)
    genes, lengths = read_genes(annotation, tss=tss, gene_types=gene_types, genome=genome, max_bytes=max_bytes)
    found = genes.attrs["read_annotation"]
    source, counts, gone = found["source"], found["counts"], found["left_out"]
    lengths |= read_header_lengths({**tracks, **controls})
    genes, beyond, sizes = drop_beyond_ends(genes, lengths, source=source)
    if beyond:
        logger.warning("%s: %d %s: %s.", source, len(beyond), LEFT_OUT["beyond_end"], shorten(beyond))
    gone["beyond_end"] = [*gone["beyond_end"], *beyond]
    counts |= {"genes": genes["gene_id"].nunique(), "rows": len(genes), "beyond_end": len(gone["beyond_end"])}
    record = {
        "marks": list(tracks),
        "tracks": [_name(track) for track in tracks.values()],
        "control": np.array([_name(track) for track in controls.values()], str),
        **{"annotation": source, "tss": tss, "expression": "", "column": "", "unit": ""},
        "annotation_left_out": np.array([f"{name}: {reason}" for reason in LEFT_OUT for name in gone[reason]], str),
    }
    counts = {f"annotation_{name}": n for name, n in counts.items()}
    known = (genes[k.STRAND] != k.UNKNOWN_STRAND) & genes[[k.START, k.END]].notna().all(axis=1)
    obs = genes.assign(**{k.ANNOTATED: known})
    if cell_type is not None:
        obs[k.CELL_TYPE] = pd.Categorical([cell_type] * len(obs))
    ids: dict[str, list[str]] = {"genes_without_expression": [], "expression_without_gene": []}
    labelled: dict[str, object] = {}
    if expression is not None:
        values = read_expression(expression, column=column, unit=unit, max_bytes=max_bytes)
        source, found = values.attrs["read_expression"]["source"], values.attrs["read_expression"]["counts"]
        record |= {"expression": source, "column": str(values.name), "unit": values.attrs["unit"]}
        counts |= {f"expression_{name}": n for name, n in found.items()}
        ids = unmatched(genes, values, source)
        obs, labelled = with_expression(obs, values, source)
    kept = _complete(obs, windows)
    ids["left_out"] = obs.index[~kept].tolist()
    counts |= {name: len(found) for name, found in ids.items()}
    order = [column for column in _OBS if column in obs]
    obs = obs.loc[kept, [*order, *obs.columns.difference(order, sort=False)]]
    known = {"genome": sizes} if sizes else {}
    limit = {"max_bytes": max_bytes, **known}
    arguments = {"bin_bigwig": known, "bin_peaks": limit, "bin_reads": limit | dict(reads or {})}
    adata = _bin(tracks, obs, windows, arguments, kinds)
    if controls:
        pp.subtract_control(adata, _bin(controls, obs, windows, arguments, kinds), method=control_method)
    adata.uns |= labelled
    if record["unit"] in _UNITS:
        adata.uns[k.UNITS] = {**adata.uns.get(k.UNITS, {}), k.EXPRESSION: _UNITS[record["unit"]]}
    adata.uns["from_tracks"] = record | {"counts": counts} | {name: np.array(found, str) for name, found in ids.items()}
    notes = [f"{len(ids[name])} {said}: {shorten(ids[name], limit=3)}" for name, said in _COUNTED.items() if ids[name]]
    message = "; ".join([f"{adata.n_obs} genes by {adata.n_vars} columns", *notes])
    logger.log(logging.WARNING if notes else logging.INFO, "from_tracks: %s.", message)
    return adata


def _check_given(tracks: object, controls: Mapping[str, object]) -> None:
    """Raise when tracks are not given by their marks, one for each."""
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
                f"{mark}: {len(track)} tracks in a {type(track).__name__}; expected one. Of replicates merge the reads "
                f"(samtools merge) or average the tracks (wiggletools mean), or give each a name of its own, "
                f"{{'{mark}_1': ..., '{mark}_2': ...}}, and average the columns."
            )
            raise ValueError(msg)
        if not isinstance(track, pd.DataFrame):
            path = as_path(track, name=str(mark), expected="the path of one track, or a table of peaks")
            if "://" in str(track):
                msg = f"{mark}: {track} is an address; download the file first, and pass its path."
                raise ValueError(msg)
            if path.is_dir():
                msg = f"{mark}: {path} is a folder; expected the path of one track."
                raise ValueError(msg)


def _binner(mark: str, track: Track, kinds: str | Mapping[str, str] | None) -> str:
    """Return the name of the function that bins ``track``."""
    if isinstance(track, pd.DataFrame):
        return "bin_peaks"
    if not Path(track).exists():
        msg = f"{mark}: there is no file {track}; check its name and the folder you are in ({Path.cwd()})."
        raise FileNotFoundError(msg)
    return _BINNERS[detect_kind(track, given_kind(mark, kinds)).kind]


def _check_formats(
    tracks: Mapping[str, Track], controls: Mapping[str, Track], kinds: str | Mapping[str, str] | None
) -> None:
    """Raise when a track or control is not there or cannot be binned, before anything is read."""
    binners = {}
    for mark, track in [*tracks.items(), *controls.items()]:
        binners[_binner(mark, track, kinds)] = mark
    if controls and len(binners) > 1:
        found = " and ".join(f"{mark} by {binner}" for binner, mark in binners.items())
        msg = (
            f"marks and control differ in format: sct.pp would bin {found}. Give all of them in one, or bin the parts "
            "yourself and compare them with sct.pp.subtract_control."
        )
        raise ValueError(msg)


def _name(track: Track) -> str:
    return "a table" if isinstance(track, pd.DataFrame) else str(track)


def _complete(obs: pd.DataFrame, windows: Sequence[Window]) -> pd.Series:
    """Whether a gene has what the windows need; raise when none has."""
    if not any(window.needs_body for window in windows):
        return pd.Series(data=True, index=obs.index)
    complete = obs[k.ANNOTATED]
    if not complete.any():
        msg = (
            f"strand or body is unknown for each of {len(obs)} genes, such as {obs.index[0]!r}; use windows on the TSS "
            "alone, windows=[sct.pp.TSS_WINDOW], or an annotation with start, end and strand."
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
    said = {mark: kind for mark in tracks if (kind := given_kind(mark, kinds))}
    parts = []
    for binner, group in groups.items():
        own = {} if binner == "bin_bigwig" else {"kinds": {mark: said[mark] for mark in group if mark in said}}
        parts.append(getattr(pp, binner)(group, genes, windows=windows, **own, **arguments[binner]))
    if len(parts) == 1:
        return parts[0]
    place = {mark: part.var_names[part.var[k.MARK] == mark] for part in parts for mark in part.var[k.MARK].unique()}
    adata = ad.concat(parts, axis="var", merge="same", uns_merge="unique")
    region = adata.var[k.REGION].astype(str)
    ordered = [name for window in windows for mark in tracks for name in place[mark] if region[name] == window.name]
    adata = adata[:, ordered].copy()
    for column, names in ((k.MARK, list(tracks)), (k.REGION, [window.name for window in windows])):
        adata.var[column] = pd.Categorical(adata.var[column], categories=names)
    return adata
