"""Genes of an AnnData, matched with the ids or symbols of a table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_ids
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._ids import as_text, strip_versions

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)

# Symbols that stand for a missing one.
_NO_SYMBOLS = ("NA", "nan", "None", "<NA>")
# Share of matched genes below which the log warns.
_FEW_MATCHED = 0.5


def plain_names(names: pd.Index | pd.Series | np.ndarray) -> np.ndarray:
    """Return ids or symbols as text, Ensembl ids without their version, and ``""`` where there is none."""
    return strip_versions(as_text(pd.Series(np.asarray(names, dtype=object)))).to_numpy(object)


class MatchedGenes(NamedTuple):
    """Names of the genes of an AnnData in the terms of a table.

    Attributes
    ----------
    names
        Ensembl id without version, or symbol, of each gene, whichever finds more genes in the table, ``(n_genes,)``.
    known
        Which genes the table holds, ``(n_genes,)``.
    """

    names: np.ndarray
    known: np.ndarray


def match_genes(adata: ad.AnnData, found: np.ndarray, *, source: str) -> MatchedGenes:
    """Match the genes with the names ``found``, which :func:`plain_names` returned; count the others in the log.

    Raises
    ------
    ValueError
        When no gene is among the names.
    """
    choices = [plain_names(gene_ids(adata))]
    if k.SYMBOL in adata.obs:
        symbols = plain_names(adata.obs[k.SYMBOL])
        choices.append(np.where(np.isin(symbols, _NO_SYMBOLS), "", symbols).astype(object))
    listed = pd.Index(found)
    matches = [MatchedGenes(names, pd.Index(names).isin(listed) & (names != "")) for names in choices]
    best = max(matches, key=lambda match: int(match.known.sum()))
    if not best.known.any():
        msg = (
            f"{source}: none of the {adata.n_obs} genes, such as {choices[0][0]!r}, is among its {listed.nunique()} "
            f"ids, such as {found[0]!r}; expected the same species, and Ensembl ids or symbols."
        )
        raise ValueError(msg)
    return best


def report_missing(adata: ad.AnnData, match: MatchedGenes, *, source: str) -> int:
    """Count and name the genes that the table lacks in the log, and return their number."""
    n_missing = int((~match.known).sum())
    if n_missing:
        level = logging.WARNING if match.known.mean() < _FEW_MATCHED else logging.INFO
        missing = shorten(adata.obs_names[~match.known], limit=3)
        logger.log(level, "%s lacks %d of %d genes: %s.", source, n_missing, adata.n_obs, missing)
    return n_missing
