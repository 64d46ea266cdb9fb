"""Writer of the CSV files of DeepChrome and AttentiveChrome."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, values
from simplechrome_tk.core.require import cell_type_key, cell_types, gene_ids, obs_column
from simplechrome_tk.core.window import Window
from simplechrome_tk.deepchrome._read import MARKS

if TYPE_CHECKING:
    import os

    import anndata as ad


def write(
    adata: ad.AnnData,
    path: str | os.PathLike[str],
    *,
    region: str = "tss",
    layer: str | None = k.SIGNAL,
    label_key: str = k.LABEL,
    overwrite: bool = False,
) -> None:
    """Write genes by bins in the format of DeepChrome and AttentiveChrome, for use with their code.

    Genes that :func:`read` has turned are turned back: in the file, bins run along the genome.

    Parameters
    ----------
    adata
        Genes with ``obs[label_key]``; on the region, 100 bins of every mark.
    path
        A file, ``*.csv`` or ``*.csv.gz``, for all genes of one cell type. Or a folder, in which
        ``<cell type>/classification/train.csv``, ``valid.csv`` and ``test.csv`` are written by ``obs["split"]``.
    region
        Region to write.
    layer
        ``"signal"``, the signal before normalisation (``X`` when nothing is normalised), another layer, or ``None``
        for ``X``.
    label_key
        Column of ``obs`` with ``low`` and ``high``.
    overwrite
        Replace files that are there.

    Raises
    ------
    ValueError
        When the region has other than 100 bins, values are negative or missing, a gene has no label, or ``path`` is
        one file and there are several cell types.
    FileExistsError
        When a file is there and ``overwrite`` is not given.

    Notes
    -----
    Files have no header, and marks in the published order, when the marks are the published five; otherwise a header
    line names them. Ensembl ids whose other digits are 0 are cut to the last six digits.

    Examples
    --------
    >>> sct.deepchrome.write(adata, "data")  # doctest: +SKIP
    """
    path = Path(path)
    signal, marks = _signal(adata, region, layer)
    label = obs_column(adata, label_key, fix="run sct.pp.label_expression(adata) first")
    known = label.isin(k.LABELS).to_numpy()
    if not known.all():
        msg = f"obs[{label_key!r}] is neither low nor high for {int((~known).sum())} genes; leave them out first."
        raise ValueError(msg)
    cells = cell_types(adata)
    table = pd.DataFrame({"id": _short_ids(adata), "label": (label == "high").astype(int).to_numpy()})
    files = _files(adata, path, cells)
    if (there := [file for file in files if file.exists()]) and not overwrite:
        msg = f"{there[0]} exists: choose another path, or overwrite=True to replace it."
        raise FileExistsError(msg)
    for file, rows in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, table.iloc[rows], signal[rows], marks)


def _signal(adata: ad.AnnData, region: str, layer: str | None) -> tuple[np.ndarray, list[str]]:
    """Return values in genome direction, ``(n_genes, n_bins, n_marks)``, and the marks."""
    layout = Layout.of(adata)
    cube, marks = layout.view(values(adata, layer), region), layout.marks
    if cube.shape[2] != Window.TSS.n_bins:
        msg = (
            f"region {region!r} has {cube.shape[2]} bins; the format has {Window.TSS.n_bins}. Bin the genes "
            "with windows=[sct.pp.Window.TSS]."
        )
        raise ValueError(msg)
    if not np.isfinite(cube).all() or cube.min() < 0:
        what = "X" if layer is None else f"layer {layer!r}"
        msg = (
            f"{what} holds negative or missing values; the format has read counts. If it is normalised, write the "
            "signal before that: layer='signal'."
        )
        raise ValueError(msg)
    if set(marks) == set(MARKS):
        cube = cube[:, [marks.index(mark) for mark in MARKS]]
        marks = list(MARKS)
    oriented = adata.uns.get(k.DEEPCHROME, {}).get("oriented", True) and k.STRAND in adata.obs
    if oriented and (minus := (adata.obs[k.STRAND] == "-").to_numpy()).any():
        cube = cube.copy()
        cube[minus] = cube[minus, :, ::-1]
    return cube.transpose(0, 2, 1), marks


def _short_ids(adata: ad.AnnData) -> list[str]:
    """Return the ids as the published files write them; raise where one cannot be written to CSV."""
    ids = list(gene_ids(adata))
    if invalid := [gene for gene in ids if set(gene) & set(',"\r\n') or not gene.strip()]:
        msg = f"gene id {invalid[0]!r} cannot be written to a CSV file of this format; rename it."
        raise ValueError(msg)
    return [gene[-6:] if re.fullmatch("ENSG00000[0-9]{6}", gene) else gene for gene in ids]


def _files(adata: ad.AnnData, path: Path, cells: pd.Series) -> dict[Path, np.ndarray]:
    """Return the rows of each file."""
    names = list(cells.unique())
    if path.name.lower().endswith((".csv", ".csv.gz")):
        if len(names) > 1:
            msg = (
                f"{path} is one file, for one cell type; found {', '.join(names)}. Name a folder, or select one: "
                f"adata[adata.obs[{cell_type_key(adata)!r}] == {names[0]!r}]."
            )
            raise ValueError(msg)
        return {path: np.arange(adata.n_obs)}
    if paths := [name for name in names if not _is_folder_name(name)]:
        msg = (
            f"cell type {paths[0]!r} cannot name a folder: it is empty, begins with a dot, or holds / \\ : or a "
            f"character that cannot be printed. Rename it: adata.obs[{cell_type_key(adata)!r}] = "
            f"adata.obs[{cell_type_key(adata)!r}].astype(str).replace({paths[0]!r}, 'a_name')."
        )
        raise ValueError(msg)
    fix = "run sct.pp.split_by_chromosome(adata) first, or write all genes to one file whose name ends in .csv"
    split = obs_column(adata, k.SPLIT, fix=fix).astype(str)
    rows = {}
    for name in names:
        for part in k.SPLITS:
            chosen = np.flatnonzero((cells == name) & (split == part))
            if len(chosen):
                rows[path / name / "classification" / f"{part}.csv"] = chosen
    return rows


def _is_folder_name(name: str) -> bool:
    """Whether a path of a folder and this name stays within the folder, on every system."""
    return bool(name.strip()) and name.isprintable() and not name.startswith(".") and not set(name) & set("/\\:")


def _write(file: Path, table: pd.DataFrame, signal: np.ndarray, marks: list[str]) -> None:
    """Write genes with ``id`` and ``label`` and their signal ``(n_genes, n_bins, n_marks)``, whole numbers as such."""
    n_genes, n_bins, n_marks = signal.shape
    counts = signal.reshape(-1, n_marks)
    if (counts % 1 == 0).all():
        counts = counts.astype(np.int64)
    rows = pd.DataFrame(counts, columns=marks)
    rows.insert(0, "geneid", np.repeat(table["id"].to_numpy(object), n_bins))
    rows.insert(1, "bin", np.tile(np.arange(1, n_bins + 1), n_genes))
    rows["label"] = np.repeat(table["label"].to_numpy(), n_bins)
    # The file appears under its name only when it is complete.
    new = file.with_name(f".{file.name}.part")
    compression = "gzip" if file.name.lower().endswith(".gz") else None
    rows.to_csv(new, index=False, header=marks != list(MARKS), compression=compression)
    new.replace(file)
