"""Roadmap epigenomes whose histone marks ENCODE published as peaks."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.io._public import fetch, registry
from simplechrome_tk.pp._bin import bin_peaks
from simplechrome_tk.pp._label import label_expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simplechrome_tk.core.window import Window

logger = logging.getLogger(__name__)

CELL_TYPES = {"E116": "GM12878", "E117": "HeLa-S3", "E123": "K562"}
"""Roadmap epigenome -> the cell line whose peaks ENCODE published."""

CORE_MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")
"""The five marks that Roadmap measured in every epigenome."""

ALL_MARKS = (*CORE_MARKS, "H3K27ac", "H3K9ac", "H3K4me2", "H3K79me2")
"""The core marks, and four that ENCODE measured in its cell lines."""

MARK_SETS = {"core": CORE_MARKS, "all": ALL_MARKS}
"""Words that stand for several marks in the argument ``marks``."""

# bp: GeneFile.txt gives TSS - 10 kb and TSS + 10 kb, the TSS counted from 1.
_WINDOW_FLANK = 10_000
# bp: an annotation that is further from the TSS than an alternative promoter can be is that of another gene.
_BODY_REACH = 1_000_000


def roadmap(
    cell_types: str | Sequence[str] = "E116",
    *,
    marks: str | Sequence[str] = "core",
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    genes: Sequence[str] | None = None,
) -> ad.AnnData:
    """Load histone marks and expression of DeepChrome's genes in GM12878 (E116), HeLa-S3 (E117) or K562 (E123), hg19.

    Downloads each public file once (about 12 MB for a cell type) and keeps it in the cache folder; set
    ``SIMPLECHROME_TK_CACHE`` to choose which.

    Parameters
    ----------
    cell_types
        Roadmap epigenome id, or several to stack along ``obs``.
    marks
        Histone marks. ``"core"``: H3K4me3, H3K4me1, H3K36me3, H3K27me3 and H3K9me3, which Roadmap measured in every
        epigenome. ``"all"``: these and H3K27ac, H3K9ac, H3K4me2 and H3K79me2. Or the name of one, or of several.
    windows
        Regions to bin, by default ``sct.pp.Window.TSS`` and ``sct.pp.Window.BODY``. Windows on the body or the end of a
        gene need its annotation: genes without one are left out and counted in the log and in ``uns["roadmap"]``. With
        windows on the TSS alone every gene is kept; those of unknown strand (``strand == "."``,
        ``annotated == False``) are read along the genome.
    genes
        Keep these genes only: symbols or Ensembl ids.

    Returns
    -------
    anndata.AnnData
        Genes by bins of mean peak signal (:func:`simplechrome_tk.pp.bin_peaks`).

        ``obs``: Ensembl id (``id:cell_type`` when cell types are stacked), ``symbol``, ``chrom``, ``start``, ``end``,
        ``strand``, ``tss`` (bp), ``annotated``, ``expression`` (RPKM), ``label`` (above the median of all 19,795
        genes of the cell type), ``cell_type``. ``uns["roadmap"]``: parameters and counts. ``uns[k.LABEL_EXPRESSION]``:
        the median of each cell type, as :func:`simplechrome_tk.pp.label_expression` records it. ``uns["units"]``: what
        ``X`` and ``expression`` hold, as plots call it.

    Raises
    ------
    ValueError
        When a cell type, a mark or every gene in ``genes`` is unknown, or the windows need an annotation that none of
        the genes has.
    DatasetUnavailableError
        When a file is neither cached nor to be downloaded.

    Notes
    -----
    Genes, TSS and RPKM: Roadmap Epigenomics as tabulated by ShallowChrome (Frasca et al. 2022). Peaks: ENCODE Broad
    Histone. Strand and body: the gene bounds of the ABC model (Fulco et al. 2019), found by Ensembl id, else by symbol.
    Seven Ensembl ids are listed twice; the first is kept.

    Examples
    --------
    >>> adata = sct.datasets.roadmap("E116")  # doctest: +SKIP
    >>> adata.shape  # doctest: +SKIP
    (18483, 600)
    """
    cells = [cell_types] if isinstance(cell_types, str) else list(cell_types)
    check_choice(cells, list(CELL_TYPES), "cell type")
    chosen = choose_marks(marks)
    table, counts = _gene_table()
    kept = table if genes is None else _select(table, genes)
    needs_body = any(window.needs_body for window in windows)
    if needs_body:
        kept = _with_body(kept)
    # Labels are those of all listed genes, whichever genes are kept: the median is that of the cell type.
    parts, thresholds = [], []
    for cell in cells:
        labelled = _with_expression(table, cell)
        thresholds.append(labelled.uns[k.LABEL_EXPRESSION]["thresholds"])
        files = _peak_files(CELL_TYPES[cell])
        part = bin_peaks({mark: fetch(files[mark]) for mark in chosen}, labelled.obs.loc[kept.index], windows=windows)
        if len(cells) > 1:
            part.obs_names = [f"{name}:{cell}" for name in part.obs_names]
        parts.append(part)
    adata = parts[0] if len(parts) == 1 else ad.concat(parts, merge="same", uns_merge="same")
    adata.obs[k.CELL_TYPE] = pd.Categorical(adata.obs[k.CELL_TYPE], categories=cells)
    adata.uns[k.UNITS][k.EXPRESSION] = "RPKM"
    adata.uns[k.ROADMAP] = {
        "cell_types": cells,
        "marks": chosen,
        "counts": counts,
    }
    adata.uns[k.LABEL_EXPRESSION] = {"expression_key": k.EXPRESSION, "thresholds": pd.concat(thresholds)}
    logger.info(
        "roadmap: %d genes listed, %d rows repeat an Ensembl id (first kept); strand and body known for %d by id and "
        "%d by symbol, unknown for %d: %s.",
        *counts.values(),
        "left out, since the windows need them" if needs_body else "kept, read along the genome",
    )
    return adata


def _with_body(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the genes whose strand and body are known; raise ``ValueError`` where none is left."""
    if not table[k.ANNOTATED].any():
        msg = (
            f"strand and body are unknown for each of the {len(table)} genes, such as {table.index[0]!r}; use windows "
            "on the TSS alone: windows=[sct.pp.Window.TSS]."
        )
        raise ValueError(msg)
    return table[table[k.ANNOTATED]]


def _gene_table() -> tuple[pd.DataFrame, dict[str, int]]:
    """Read DeepChrome's genes in their order: ``row`` in the tables of expression, strand and body where known."""
    listed = pd.read_csv(
        fetch("shallowchrome/GeneFile.txt"), sep="\t", header=None, names=[k.CHROM, "left", "right", "name"]
    )
    # Names are written as id_symbol.
    split = listed["name"].str.split("_", n=1, expand=True)
    listed = listed.assign(id=split[0], symbol=split[1], row=np.arange(len(listed)), tss=listed["left"] + _WINDOW_FLANK)
    table = listed.drop_duplicates("id").set_index("id")
    bounds = read_gene_bounds("hg19")
    # Bounds are found by Ensembl id, and otherwise by symbol.
    found = bounds_by_id(bounds, table[k.SYMBOL]).reindex(table.index)
    fallback = bounds.set_index(k.SYMBOL).reindex(table[k.SYMBOL]).set_axis(table.index)
    columns = [k.CHROM, k.START, k.END, k.STRAND]
    body = found[columns].where(found[k.CHROM].notna(), fallback[columns])
    near = (
        (body[k.CHROM] == table[k.CHROM])
        & (table[k.TSS] >= body[k.START] - _BODY_REACH)
        & (table[k.TSS] <= body[k.END] + _BODY_REACH)
    )
    table = table.assign(
        start=body[k.START].where(near),
        end=body[k.END].where(near),
        strand=body[k.STRAND].where(near, k.UNKNOWN_STRAND),
        annotated=near,
    )
    # The table counts the base of the TSS; here the TSS is the 5' edge of that base: the start of a gene, or its end on
    # the minus strand.
    table[k.TSS] -= table[k.STRAND] != "-"
    counts = {
        "listed": len(listed),
        "duplicate_ids": len(listed) - len(table),
        "annotated_by_id": int((near & found[k.CHROM].notna()).sum()),
        "annotated_by_symbol": int((near & found[k.CHROM].isna()).sum()),
        "unannotated": int((~near).sum()),
    }
    return table[[k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, k.ANNOTATED, "row"]].rename_axis(None), counts


def read_gene_bounds(assembly: str) -> pd.DataFrame:
    """Read the gene bounds of the ABC model: ``id`` (Ensembl), ``symbol``, ``chrom``, ``start``, ``end``, ``strand``.

    ``assembly`` is ``"hg19"`` or ``"hg38"``.
    """
    names = {"#chr": k.CHROM, "name": k.SYMBOL, "Ensembl_ID": "id"}
    return pd.read_csv(fetch(f"abc/CollapsedGeneBounds.{assembly}.bed"), sep="\t").rename(columns=names)


def bounds_by_id(bounds: pd.DataFrame, symbols: pd.Series) -> pd.DataFrame:
    """Return bounds by Ensembl id; of repeated ids, those with the symbol that ``symbols`` (by id) gives come first."""
    same_symbol = bounds[k.SYMBOL] == symbols.reindex(bounds["id"]).to_numpy()
    ordered = bounds.loc[same_symbol.sort_values(ascending=False, kind="stable").index]
    return ordered.drop_duplicates("id").set_index("id")


def _with_expression(table: pd.DataFrame, cell: str) -> ad.AnnData:
    """Add RPKM, labels by the median of all genes, and the cell type."""
    rpkm = np.loadtxt(fetch(f"shallowchrome/targets/{cell}/T.csv"))
    labelled = ad.AnnData(obs=table.drop(columns="row").assign(expression=rpkm[table["row"]], cell_type=cell))
    label_expression(labelled)
    return labelled


def _peak_files(line: str) -> dict[str, str]:
    """Return the registry path of each mark's peaks; file names spell H3K4me1 also as H3k04me1."""
    prefix = f"targetfinder/{line}/peaks/"
    files = {}
    for path in registry():
        if path.startswith(prefix) and (found := re.search(r"H3k0?(\d+)(me\d|ac)", path)):
            files[f"H3K{found[1]}{found[2]}"] = path
    return files


def _select(table: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    """Return the rows of ``genes``, given by id or symbol; genes that are not listed are counted in the log."""
    wanted = pd.Index([genes] if isinstance(genes, str) else genes).unique()
    known = wanted.isin(table.index) | wanted.isin(table[k.SYMBOL])
    if not known.any():
        msg = (
            f"none of the {len(wanted)} genes is among the {len(table)} listed (genes: "
            f"{', '.join(wanted[:5])}); expected symbols such as {table[k.SYMBOL].iloc[0]!r} or Ensembl ids such as "
            f"{table.index[0]!r}, without version."
        )
        raise ValueError(msg)
    if not known.all():
        logger.warning(
            "roadmap: %d of %d genes are not listed: %s",
            (~known).sum(),
            len(wanted),
            ", ".join(wanted[~known]),
        )
    return table[table.index.isin(wanted) | table[k.SYMBOL].isin(wanted)]


def choose_marks(marks: str | Sequence[str]) -> list[str]:
    """Return the names of the marks that are meant; raise ``ValueError`` when one is unknown, repeated, or none is."""
    chosen = [marks] if isinstance(marks, str) else list(marks)
    if isinstance(marks, str) and marks in MARK_SETS:
        chosen = list(MARK_SETS[marks])
    check_choice(chosen, list(ALL_MARKS), "mark")
    return chosen


def check_choice(chosen: Sequence[str], choices: Sequence[str], what: str) -> None:
    """Raise ``ValueError`` unless ``chosen`` are some of the ``choices``, each once; ``what`` is what they are."""
    unknown = [name for name in chosen if name not in choices]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        msg = f"{what}s are {', '.join(chosen) or 'empty'}; choose from {', '.join(choices)}, each once."
        raise ValueError(msg)
