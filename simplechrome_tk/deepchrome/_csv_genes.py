"""Make an AnnData of the genes of CSV files: look them up in public tables, stack files and cell types."""

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
    from simplechrome_tk.deepchrome._bincsv import Genes

logger = logging.getLogger(__name__)

_COLUMNS = [k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, k.ANNOTATED]
_ORDER = (*_COLUMNS, k.EXPRESSION, k.LABEL, k.SPLIT, k.CELL_TYPE)


class Expression(NamedTuple):
    """RPKM of DeepChrome's genes in one Roadmap epigenome, by Ensembl id, and their median."""

    rpkm: pd.Series
    median: float


def public_table() -> pd.DataFrame | None:
    """DeepChrome's genes by Ensembl id; None, and a warning, where the files are out of reach."""
    try:
        table, _ = _roadmap._gene_table()
    except DatasetUnavailableError as error:
        logger.warning("Genes stay without position, strand and RPKM, their bins in genome direction: %s", error)
        return None
    return table


def _annotate(ids: Sequence[str], table: pd.DataFrame | None, *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Look genes up.

    Returns
    -------
    tuple
        A table indexed by ``ids`` with the columns of :func:`simplechrome_tk.datasets.roadmap`, or, without a public
        table, ``strand`` (``"."``) and ``annotated`` (False) alone; and the ids that the public table does not have.

    Raises
    ------
    ValueError
        When it has none of them.
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


def expression(cell: str, table: pd.DataFrame) -> Expression | None:
    """RPKM of a cell type; None, and a warning, where they are not public or out of reach."""
    if f"shallowchrome/targets/{cell}/T.csv" not in registry():
        logger.warning("%r is none of the 56 Roadmap epigenomes whose RPKM are public; its genes have none.", cell)
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
    """What one file holds, and what its name says of it."""

    cell: str
    split: str | None
    source: str
    genes: Genes


def check_parts(parts: Sequence[Part]) -> None:
    """Raise where a gene is in two files of a cell type, or the files hold different marks."""
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
                    "in one file, or it is learnt from and tested on. Leave it out of one."
                )
                raise ValueError(msg)


def describe(parts: Sequence[Part], table: pd.DataFrame | None, *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Make ``obs``, save label and expression; the second value are ids unknown to the public table."""
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


def assemble(parts: Sequence[Part], obs: pd.DataFrame, turned: np.ndarray, window: Window) -> ad.AnnData:
    """Gather the pieces of all files, which are given up one by one; ``turned`` genes get their bins reversed."""
    obs = obs[[column for column in _ORDER if column in obs]]
    marks = parts[0].genes.marks
    matrix = np.empty((len(obs), len(marks) * window.n_bins), dtype=np.float32)
    start = 0
    for part in parts:
        pieces = part.genes.values
        pieces.reverse()
        while pieces:
            piece = pieces.pop()
            stop = start + len(piece)
            backwards = turned[start:stop]
            piece[backwards] = piece[backwards, :, ::-1]
            matrix[start:stop] = piece.reshape(len(piece), -1)
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


def report(adata: ad.AnnData, turned: np.ndarray, *, n_repeated: int, n_unmatched: int, orient: bool) -> None:
    """Log what was read, left out and kept as found."""
    unknown = int((adata.obs[k.STRAND] == k.UNKNOWN_STRAND).sum())
    logger.log(
        logging.WARNING if n_repeated or n_unmatched or (orient and 0 < unknown < adata.n_obs) else logging.INFO,
        "%d genes of %s: %d held twice value for value and kept once; %d unknown to the public tables; %d on the minus "
        "strand turned to run from 5' to 3', %d of unknown strand kept in genome direction.",
        adata.n_obs,
        ", ".join(adata.obs[k.CELL_TYPE].cat.categories),
        n_repeated,
        n_unmatched,
        turned.sum(),
        unknown,
    )
