"""The AnnData of CSV files: genes looked up in public tables, files and cell types stacked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.datasets import DatasetUnavailableError, _roadmap
from simplechrome_tk.io._public import registry
from simplechrome_tk.pp import _bin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.deepchrome._parse_csv import FileGenes

logger = logging.getLogger(__name__)

_COLUMNS = [k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, k.ANNOTATED]
_ORDER = (*_COLUMNS, k.EXPRESSION, k.LABEL, k.SPLIT, k.CELL_TYPE)


class Expression(NamedTuple):
    """RPKM of DeepChrome's genes in one Roadmap epigenome by Ensembl id, and the median over all of them."""

    rpkm: pd.Series
    median: float


def load_gene_table() -> pd.DataFrame | None:
    """Load DeepChrome's genes by Ensembl id; return ``None``, with a warning, where the files are out of reach."""
    try:
        table, _ = _roadmap._gene_table()
    except DatasetUnavailableError as error:
        logger.warning("Genes stay without position, strand and RPKM, their bins in genome direction: %s", error)
        return None
    return table


def _annotate(ids: Sequence[str], table: pd.DataFrame | None, *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Look up genes in the public table.

    Returns
    -------
    tuple
        A table indexed by ``ids`` with the columns of :func:`simplechrome_tk.datasets.roadmap`, or, without a public
        table, ``strand`` (``"."``) and ``annotated`` (False) alone; and the ids that the public table does not have.

    Raises
    ------
    ValueError
        When the public table has none of the genes.
    """
    index = pd.Index(ids, dtype=object)
    if table is None:
        return pd.DataFrame({k.STRAND: k.UNKNOWN_STRAND, k.ANNOTATED: False}, index=index), []
    known = index.isin(table.index)
    if not known.any():
        msg = (
            f"{source}: none of its {len(index):,} genes, such as {index[0]!r}, is among DeepChrome's {len(table):,}, "
            f"such as {table.index[0]!r}. Are ids human Ensembl gene ids or their last six digits? For other genes "
            "pass annotate=False."
        )
        raise ValueError(msg)
    obs = table[_COLUMNS].reindex(index)
    obs[k.STRAND] = obs[k.STRAND].fillna(k.UNKNOWN_STRAND)
    obs[k.ANNOTATED] = (obs[k.STRAND] != k.UNKNOWN_STRAND).to_numpy()
    return obs, list(index[~known])


def load_cell_expression(cell: str, table: pd.DataFrame) -> Expression | None:
    """Load the RPKM of a cell type; return ``None``, with a warning, where they are not public or out of reach."""
    if f"shallowchrome/targets/{cell}/T.csv" not in registry():
        logger.warning("%r is none of the 56 Roadmap epigenomes whose RPKM are public: its genes have no RPKM.", cell)
        return None
    try:
        labelled = _roadmap._with_expression(table, cell)
    except DatasetUnavailableError as error:
        logger.warning("Genes of %s stay without RPKM: %s", cell, error)
        return None
    return Expression(
        labelled.obs[k.EXPRESSION], float(labelled.uns[k.LABEL_EXPRESSION]["thresholds"].loc[cell, "threshold"])
    )


class Part(NamedTuple):
    """The genes of one file, and the cell type and split that its path names.

    ``source`` is the name of the file in messages.
    """

    cell: str
    split: str | None
    source: str
    genes: FileGenes


def check_parts(parts: Sequence[Part]) -> None:
    """Raise ``ValueError`` where a gene is in two files of a cell type, or the files hold different marks."""
    owner: dict[tuple[str, str], int] = {}
    for number, part in enumerate(parts):
        if part.genes.marks != parts[0].genes.marks:
            msg = (
                f"{part.source} holds the marks {', '.join(part.genes.marks)}, {parts[0].source} holds "
                f"{', '.join(parts[0].genes.marks)}; expected the same in every file. Read them one by one."
            )
            raise ValueError(msg)
        for gene in part.genes.ids:
            other = owner.setdefault((part.cell, gene), number)
            if other != number:
                msg = (
                    f"gene {gene} of {part.cell} is in {parts[other].source} and in {part.source}; expected each gene "
                    "in one file, since it would be trained and tested on. Leave it out of one."
                )
                raise ValueError(msg)


def describe(parts: Sequence[Part], table: pd.DataFrame | None, *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Return ``obs`` without label and expression, and the ids that the public table does not have."""
    ids = [gene for part in parts for gene in part.genes.ids]
    sizes = [len(part.genes.ids) for part in parts]
    cells = list(dict.fromkeys(part.cell for part in parts))
    obs, unmatched = _annotate(ids, table, source=source)
    if all(part.split for part in parts):
        obs[k.SPLIT] = pd.Categorical(np.repeat([part.split for part in parts], sizes), categories=k.SPLITS)
    obs[k.CELL_TYPE] = pd.Categorical(np.repeat([part.cell for part in parts], sizes), categories=cells)
    if len(cells) > 1:
        obs.index = [f"{gene}:{cell}" for gene, cell in zip(ids, obs[k.CELL_TYPE], strict=True)]
    return obs, unmatched


def build(
    parts: Sequence[Part],
    obs: pd.DataFrame,
    unmatched: Sequence[str],
    window: Window,
    *,
    orient: bool,
    record_key: str,
    expression_unit: str,
) -> ad.AnnData:
    """Build the AnnData of all files, and log what was read.

    Parameters
    ----------
    parts
        The files; their signal is moved out of them.
    obs
        Table of genes, as :func:`describe` makes it, with labels and expression where they are known.
    unmatched
        Ids that the public table does not have.
    window
        The window that the bins are of.
    orient
        Whether to reverse the bins of genes on the minus strand.
    record_key
        Key of ``uns`` for ``oriented``, ``repeated`` and ``unmatched``.
    expression_unit
        Unit of expression.
    """
    turned = (obs[k.STRAND] == "-").to_numpy() & orient
    repeated = [gene for part in parts for gene in part.genes.repeated]
    adata = _assemble(parts, obs, turned, window)
    if k.EXPRESSION in obs:
        adata.uns[k.UNITS][k.EXPRESSION] = expression_unit
    adata.uns[record_key] = {
        "oriented": orient,
        "repeated": np.array(repeated, dtype=str),
        "unmatched": np.array(unmatched, dtype=str),
    }
    _report(adata, turned, n_repeated=len(repeated), n_unmatched=len(unmatched))
    return adata


def _assemble(parts: Sequence[Part], obs: pd.DataFrame, turned: np.ndarray, window: Window) -> ad.AnnData:
    """Gather the genes of all files in one AnnData, with the bins of ``turned`` genes reversed.

    The signal is moved out of ``parts``, so that it is not in memory twice.
    """
    obs = obs[[column for column in _ORDER if column in obs]]
    marks = parts[0].genes.marks
    matrix = np.empty((len(obs), len(marks) * window.n_bins), dtype=np.float32)
    start = 0
    for part in parts:
        for values in part.genes.move_values():
            stop = start + len(values)
            backwards = turned[start:stop]
            values[backwards] = values[backwards, :, ::-1]
            matrix[start:stop] = values.reshape(len(values), -1)
            start = stop
    adata = ad.AnnData(matrix, obs=obs, var=_bin._columns(marks, [window]))
    adata.uns[k.UNITS] = {k.SIGNAL: "reads per bin"}
    adata.uns[k.WINDOWS] = pd.DataFrame(
        {
            "anchor": window.anchor,
            "upstream": window.upstream,
            "downstream": window.downstream,
            "n_bins": window.n_bins,
        },
        index=[window.name],
    )
    return adata


def _report(adata: ad.AnnData, turned: np.ndarray, *, n_repeated: int, n_unmatched: int) -> None:
    """Log what was read; a warning where the public tables do not have a gene, whose id may be wrong."""
    logger.log(
        logging.WARNING if n_unmatched else logging.INFO,
        "%d genes of %s were read: %d that are repeated value for value are kept once; %d are unknown to the public "
        "tables; bins of %d on the minus strand were turned to run from 5' to 3', those of %d of unknown strand were "
        "not.",
        adata.n_obs,
        ", ".join(adata.obs[k.CELL_TYPE].cat.categories),
        n_repeated,
        n_unmatched,
        turned.sum(),
        (adata.obs[k.STRAND] == k.UNKNOWN_STRAND).sum(),
    )
