"""Genes by bins of several samples, from the files in a sample sheet."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import by_cell_type
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.io._expression import expression_columns, read_expression
from simplechrome_tk.io._kind import check_kinds
from simplechrome_tk.io._sample_sheet import CONTROL, OF_SAMPLE, PATH, SCALE_FACTOR, SampleSheet, read_sample_sheet
from simplechrome_tk.io._text import MAX_BYTES
from simplechrome_tk.pp._from_tracks import (
    are_complete,
    arguments_of,
    describe_ids,
    in_order,
    name_unit,
    read_positions,
    record_expression,
    record_ids,
)
from simplechrome_tk.pp._matching import add_expression, find_unmatched
from simplechrome_tk.pp._scale_samples import scale_samples
from simplechrome_tk.pp._stack import Marks, shared_marks
from simplechrome_tk.pp._tracks import bin_sample, check_formats, name_files

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.io._annotation import TssRule
    from simplechrome_tk.io._expression import Unit
    from simplechrome_tk.io._genome import Genome
    from simplechrome_tk.pp._control import ControlMethod
    from simplechrome_tk.pp._tracks import Files

    Expression: TypeAlias = str | os.PathLike[str] | pd.DataFrame | pd.Series

logger = logging.getLogger(__name__)


def from_sample_sheet(
    sheet: str | os.PathLike[str] | pd.DataFrame,
    annotation: str | os.PathLike[str] | pd.DataFrame,
    expression: Expression | Mapping[str, Expression] | None = None,
    *,
    marks: Marks = "same",
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    genome: Genome | None = None,
    tss: TssRule = "canonical",
    gene_types: str | Sequence[str] | None = None,
    unit: Unit | None = None,
    cell_type: str | None = None,
    control_method: ControlMethod = "log_ratio",
    reads: Mapping[str, Any] | None = None,
    kinds: str | Mapping[str, str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> ad.AnnData:
    """Bin the tracks of several samples along the genes of an annotation, and label the genes of each sample.

    Parameters
    ----------
    sheet
        Path of a CSV or TSV file with a header, or a table, with one row for each mark of each sample. Relative paths
        in a file start from its folder, those in a table from the current folder. Columns:

        ``sample``, ``mark``
            Names. Samples and marks keep the order of the sheet.
        ``path``
            Track, as for :func:`from_tracks`. Several files, between semicolons or as a list in a table, are combined
            as there; replicates that should be compared are samples of their own.
        ``condition``, ``replicate`` (optional)
            What the sample is of: ``treated``; and which replicate of it: ``1``.
        ``control`` (optional)
            Track of the control, in all rows or in none. Several rows may name the same file.
        ``scale_factor`` (optional)
            Factor by which the signal of the sample is multiplied, such as from a spike-in: for the mark in all samples
            or in none. It applies to the signal as the file holds it (read counts of BAM files, without any correction
            for their depth), after files are combined and a control is subtracted (:func:`scale_samples`).
    annotation
        As for :func:`from_tracks`; one for all samples.
    expression
        Expression of each gene, in linear units: a table or file with a column for each sample or each condition, under
        its name; the column of the sample is preferred. Or a mapping from samples or conditions to what
        :func:`simplechrome_tk.io.read_expression` reads. Genes of samples without expression get no label, which is
        logged as a warning.
    marks
        ``"same"`` expects the same marks in every sample. ``"shared"`` keeps the marks that all samples have; the
        others are left out, which is logged.
    windows, genome, tss, gene_types, unit, control_method, reads, max_bytes
        As for :func:`from_tracks`. ``control_method="log_ratio"`` does not go with scale factors.
    cell_type
        Name of the cell type of all samples, written to ``obs``.
    kinds
        Format of the tracks, where content and name do not show it: one for all, or a mapping from marks, with
        ``"control"`` for a control that all marks of a sample share.

    Returns
    -------
    anndata.AnnData
        ``(n_samples * n_genes) x n_columns`` float32, sample after sample, with the columns of :func:`from_tracks`.

        ``obs_names`` are ``gene:sample``. ``obs``: the columns of :func:`from_tracks`, and the categoricals ``sample``
        and, where the sheet has them, ``condition`` and ``replicate``. All functions of this package that treat cell
        types apart treat samples apart: labels, graphs, quantiles, scores.

        ``uns["sample_sheet"]``: the sheet as it was read, paths joined by ``"; "``. ``uns["from_tracks"]``: as there,
        without ``tracks`` and ``control``; the column of expression of each sample is in ``columns`` (``""`` where
        there is none), and ``replicates`` and ``reads`` (numbers of reads) have the column ``sample``.
        ``uns["label_expression"]``: the median of each sample. ``uns["subtract_control"]``: ``method``,
        ``pseudocount`` and, aligned, ``sample``, ``mark``, ``scale``. ``uns["scale_samples"]`` where there are scale
        factors.

    Raises
    ------
    FileNotFoundError
        When the sheet or a file in it does not exist.
    ValueError
        When the sheet lacks a column, has an unknown one, an empty cell, or two rows for a mark of a sample; the rows
        of a sample disagree on its condition or replicate; two samples are the same replicate of a condition; a file
        is given twice; a sample lacks a mark that others have; some rows have a control, or some samples of a mark a
        scale factor, and others do not; no column of ``expression`` has the name of a sample or condition; or as
        :func:`from_tracks` does.

    Examples
    --------
    >>> sheet = pd.DataFrame(
    ...     {
    ...         "sample": ["ctrl_1", "ctrl_2", "drug_1", "drug_2"],
    ...         "condition": ["ctrl", "ctrl", "drug", "drug"],
    ...         "replicate": [1, 2, 1, 2],
    ...         "mark": "H3K27me3",
    ...         "path": ["c1.bam", "c2.bam", "d1.bam", "d2.bam"],
    ...     }
    ... )
    >>> adata = sct.pp.from_sample_sheet(sheet, "gencode.v44.gtf.gz", "tpm.csv", genome="hg38")  # doctest: +SKIP
    """
    found = _select_marks(read_sample_sheet(sheet, max_bytes=max_bytes), marks)
    files = _read_files(found, kinds, control_method)
    values = {} if expression is None else _read_expressions(expression, found, unit, max_bytes)

    genes, sizes, record = read_positions(
        annotation,
        [
            {f"{sample} {name}": track for name, track in name_files(group).items()}
            for sample, own in files.items()
            for group in own
        ],
        tss=tss,
        gene_types=gene_types,
        genome=genome,
        max_bytes=max_bytes,
    )
    complete = are_complete(genes, windows)
    ids = _find_ids(genes, complete, values)
    if cell_type is not None:
        genes[k.CELL_TYPE] = pd.Categorical([cell_type] * len(genes))
    parts = []
    for sample, own in files.items():
        obs, labels = _label(genes, values.get(sample))
        part, replicates = bin_sample(
            *own,
            in_order(obs.loc[complete]),
            windows=windows,
            arguments=arguments_of(sizes, max_bytes, reads),
            kinds=kinds,
            control_method=control_method,
        )
        parts.append(_Part(str(sample), part, replicates, labels))
    adata = _stack(parts, found)
    _write_labels(adata, parts, record, values)
    record_ids(record, ids)
    _write_records(adata, parts, found, record)
    if SCALE_FACTOR in found.rows:
        scale_samples(adata, found.rows.pivot(index=k.SAMPLE, columns=k.MARK, values=SCALE_FACTOR).dropna(axis=1))
    _report(adata, found, ids)
    return adata


class _SampleFiles(NamedTuple):
    """Tracks and controls of one sample, by mark."""

    tracks: Files
    controls: Files


class _Part(NamedTuple):
    """One sample: genes by bins, how its files were combined, and the record of its labels."""

    sample: str
    adata: ad.AnnData
    replicates: pd.DataFrame
    labels: dict[str, Any]


class _Values(NamedTuple):
    """Expression of one sample, and the name of its column."""

    values: pd.Series
    column: str


def _select_marks(sheet: SampleSheet, marks: Marks) -> SampleSheet:
    """Return the sheet with the marks that all samples have; raise or log where they differ."""
    held = {str(sample): list(own) for sample, own in sheet.rows.groupby(k.SAMPLE, sort=False)[k.MARK]}
    shared = shared_marks(held, marks, what="samples")
    return sheet._replace(rows=sheet.rows[sheet.rows[k.MARK].isin(shared)].reset_index(drop=True))


def _read_files(
    sheet: SampleSheet, kinds: str | Mapping[str, str] | None, control_method: ControlMethod
) -> dict[str, _SampleFiles]:
    """Return the files of each sample, after checking their formats."""
    check_kinds(kinds, [*dict.fromkeys(sheet.rows[k.MARK]), *(["control"] if CONTROL in sheet.rows else [])])
    _check_factors(sheet, control_method)
    files = {str(sample): _files_of(sheet.rows, str(sample)) for sample in sheet.samples.index}
    for own in files.values():
        check_formats(own.tracks, own.controls, kinds)
    return files


def _check_factors(sheet: SampleSheet, control_method: ControlMethod) -> None:
    """Raise where scale factors would multiply a log ratio."""
    if {SCALE_FACTOR, CONTROL} <= set(sheet.rows) and control_method == "log_ratio":
        msg = (
            f"{sheet.source} has scale factors and controls, and control_method is 'log_ratio', of which no multiple "
            "has a meaning; use control_method='subtract', or leave out one of the columns."
        )
        raise ValueError(msg)


def _files_of(rows: pd.DataFrame, sample: str) -> _SampleFiles:
    """Return the tracks and controls of a sample."""
    # All samples have the marks in the order in which the sheet names them first.
    own = rows[rows[k.SAMPLE] == sample].set_index(k.MARK).loc[list(dict.fromkeys(rows[k.MARK]))]
    tracks = own[PATH].to_dict()
    if CONTROL not in own:
        return _SampleFiles(tracks, {})
    controls = own[CONTROL].to_dict()
    first = next(iter(controls.values()))
    # A control that all marks share is read once.
    return _SampleFiles(tracks, {"control": first} if all(one == first for one in controls.values()) else controls)


def _read_expressions(
    expression: Expression | Mapping[str, Expression], sheet: SampleSheet, unit: Unit | None, max_bytes: int
) -> dict[str, _Values]:
    """Return the expression of each sample that has some, from the column of its name or of its condition."""
    tables: Mapping[str, Expression] | None = None
    if isinstance(expression, Mapping):
        tables = {str(name): table for name, table in expression.items()}
        names = list(tables)
    else:
        names = expression_columns(expression, max_bytes=max_bytes)
    chosen: dict[str, str] = {}
    for sample, row in sheet.samples.iterrows():
        candidates = [str(sample), *([str(row[k.CONDITION])] if k.CONDITION in row else [])]
        chosen |= {str(sample): name for name in candidates[::-1] if name in names}
    if not chosen:
        msg = (
            f"expression holds {shorten(names)}; expected columns with the names of samples "
            f"({shorten(sheet.samples.index, limit=3)}) or conditions. Rename its columns, or pass a mapping from "
            "samples or conditions to files or tables."
        )
        raise ValueError(msg)
    read: dict[str, pd.Series] = {}
    for name in dict.fromkeys(chosen.values()):
        source, column = (expression, name) if tables is None else (tables[name], None)
        read[name] = read_expression(source, column=column, unit=unit, max_bytes=max_bytes)
    units = {name: values.attrs["unit"] for name, values in read.items()}
    if len(set(units.values())) > 1:
        shown = ", ".join(f"{name}: {found}" for name, found in units.items())
        msg = f"expression differs in unit ({shown}); expected one for all samples."
        raise ValueError(msg)
    if without := [str(sample) for sample in sheet.samples.index if sample not in chosen]:
        logger.warning(
            "%d of %d samples have no expression, and their genes no label: %s.",
            len(without),
            len(sheet.samples),
            shorten(without),
        )
    return {sample: _Values(read[name], name) for sample, name in chosen.items()}


def _label(genes: pd.DataFrame, found: _Values | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the genes with the expression and labels of a sample, and the record of the labels."""
    if found is None:
        return genes, {}
    source = found.values.attrs["read_expression"]["source"]
    return add_expression(genes, found.values, source)


def _stack(parts: Sequence[_Part], sheet: SampleSheet) -> ad.AnnData:
    """Stack the samples, and name them in ``obs``."""
    stacked = []
    for part in parts:
        obs = part.adata.obs
        # Samples without expression have its columns all the same, without values.
        if any(other.labels for other in parts) and not part.labels:
            missing = pd.Categorical([None] * len(obs), categories=k.LABELS, ordered=True)
            obs = in_order(obs.assign(**{k.EXPRESSION: np.nan, k.LABEL: missing}))
        row = sheet.samples.loc[part.sample]
        obs = obs.assign(**{k.SAMPLE: part.sample, **{column: str(row[column]) for column in row.index}})
        obs.index = [f"{gene}:{part.sample}" for gene in obs.index]
        stacked.append(ad.AnnData(part.adata.X, obs=obs, var=part.adata.var, uns={}))
    adata = ad.concat(stacked, merge="same")
    adata.uns[k.WINDOWS] = parts[0].adata.uns[k.WINDOWS]
    adata.uns[k.UNITS] = _shared_units(parts)
    for column in (k.SAMPLE, *OF_SAMPLE):
        if column in adata.obs:
            adata.obs[column] = pd.Categorical(adata.obs[column], categories=adata.obs[column].unique())
    return adata


def _shared_units(parts: Sequence[_Part]) -> dict[str, str]:
    """Return the names of units for plots; that of the signal only where all samples have the same."""
    units = [part.adata.uns.get(k.UNITS, {}) for part in parts]
    same = len({unit.get(k.SIGNAL) for unit in units}) == 1
    if not same:
        found = ", ".join(f"{part.sample}: {unit.get(k.SIGNAL)}" for part, unit in zip(parts, units, strict=True))
        logger.warning("The signal of the samples differs in unit (%s), so that it cannot be compared.", found)
    return dict(units[0]) if same else {}


def _write_records(adata: ad.AnnData, parts: Sequence[_Part], sheet: SampleSheet, record: dict[str, Any]) -> None:
    """Write what was read into ``uns``."""
    paths = {
        column: ["; ".join(map(str, own)) for own in sheet.rows[column]]
        for column in (PATH, CONTROL)
        if column in sheet.rows
    }
    adata.uns[k.SAMPLE_SHEET] = sheet.rows.assign(**paths)
    record["marks"] = list(dict.fromkeys(sheet.rows[k.MARK]))
    record["replicates"] = pd.concat([part.replicates.assign(sample=part.sample) for part in parts], ignore_index=True)
    reads = [
        part.adata.uns[k.READS].rename_axis(k.MARK).reset_index().assign(sample=part.sample)
        for part in parts
        if k.READS in part.adata.uns
    ]
    if reads:
        record["reads"] = pd.concat(reads, ignore_index=True).fillna(0)
    adata.uns[k.FROM_TRACKS] = record
    compared = [
        (part.sample, part.adata.uns[k.SUBTRACT_CONTROL]) for part in parts if k.SUBTRACT_CONTROL in part.adata.uns
    ]
    if compared:
        adata.uns[k.SUBTRACT_CONTROL] = {
            "method": compared[0][1]["method"],
            "pseudocount": compared[0][1]["pseudocount"],
            "sample": np.array([sample for sample, one in compared for _ in one["mark"]], str),
            "mark": np.concatenate([one["mark"] for _, one in compared]),
            "scale": np.concatenate([one["scale"] for _, one in compared]),
        }


def _write_labels(
    adata: ad.AnnData, parts: Sequence[_Part], record: dict[str, Any], values: Mapping[str, _Values]
) -> None:
    """Write the source of expression into the record, and the median of each sample into ``uns``."""
    record["columns"] = np.array([values[part.sample].column if part.sample in values else "" for part in parts], str)
    if not values:
        return
    first = next(iter(values.values())).values
    record_expression(record, first)
    record["column"] = ""
    name_unit(adata, first.attrs["unit"])
    medians = {part.sample: part.labels[k.LABEL_EXPRESSION]["thresholds"].iloc[0, 0] for part in parts if part.labels}
    thresholds = by_cell_type(medians, "threshold")
    adata.uns[k.LABEL_EXPRESSION] = {"expression_key": k.EXPRESSION, "thresholds": thresholds}


def _find_ids(genes: pd.DataFrame, complete: pd.Series, values: Mapping[str, _Values]) -> dict[str, list[str]]:
    """Return the ids of genes that were left out, and those that only the genes or only the expression has."""
    ids: dict[str, list[str]] = {"genes_without_expression": [], "expression_without_gene": []}
    for found in values.values():
        source = found.values.attrs["read_expression"]["source"]
        for name, own in find_unmatched(genes, found.values, source).items():
            ids[name] = list(dict.fromkeys([*ids[name], *own]))
    return ids | {"left_out": genes.index[~complete].tolist()}


def _size(adata: ad.AnnData) -> str:
    n_samples = adata.obs[k.SAMPLE].nunique()
    return f"{n_samples} samples of {adata.n_obs // n_samples} genes by {adata.n_vars} columns"


def _report(adata: ad.AnnData, sheet: SampleSheet, ids: Mapping[str, list[str]]) -> None:
    """Log the size of the data and the number of samples of each condition, as a warning where one has no replicate."""
    logger.info("from_sample_sheet: %s.", "; ".join([_size(adata), *describe_ids(ids)]))
    if k.CONDITION not in sheet.samples:
        return
    counts = sheet.samples[k.CONDITION].value_counts(sort=False)
    logger.info("Samples of each condition: %s.", ", ".join(f"{name} {n}" for name, n in counts.items()))
    alone = counts.index[counts == 1]
    if len(counts) > 1 and len(alone):
        logger.warning(
            "%d of %d conditions have one sample (%s): without replicates, a change cannot be told from noise.",
            len(alone),
            len(counts),
            shorten(alone),
        )
