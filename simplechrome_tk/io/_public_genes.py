"""Add what public tables know of genes that a file names by Ensembl id alone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from simplechrome_tk import _keys as k

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

_COLUMNS = [k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, k.ANNOTATED]


class Expression(NamedTuple):
    """RPKM of DeepChrome's genes in one Roadmap epigenome, by Ensembl id, and their median."""

    rpkm: pd.Series
    median: float


def public_table() -> pd.DataFrame | None:
    """DeepChrome's genes by Ensembl id; None, and a warning, where the files are out of reach."""
    from simplechrome_tk.datasets import DatasetUnavailableError, _roadmap  # not above: datasets read with io

    try:
        table, _ = _roadmap._gene_table()
    except DatasetUnavailableError as error:
        logger.warning("Genes stay without position, strand and RPKM, their bins in genome direction: %s", error)
        return None
    return table


def annotate(ids: Sequence[str], table: pd.DataFrame | None, *, source: str) -> tuple[pd.DataFrame, list[str]]:
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
    from simplechrome_tk.datasets import DatasetUnavailableError, _roadmap
    from simplechrome_tk.datasets._public import registry

    if f"shallowchrome/targets/{cell}/T.csv" not in registry():
        logger.warning("%r is none of the 56 Roadmap epigenomes whose RPKM are public; its genes have none.", cell)
        return None
    try:
        labelled = _roadmap._with_expression(table, cell)
    except DatasetUnavailableError as error:
        logger.warning("Genes of %s stay without RPKM: %s", cell, error)
        return None
    return Expression(labelled.obs[k.EXPRESSION], labelled.uns["label_expression"]["thresholds"][cell])
