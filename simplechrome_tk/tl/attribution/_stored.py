"""Attributions that are stored in an AnnData, read and checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import gene_rows, symbols

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes

logger = logging.getLogger(__name__)

_RECORDED = ("method", "target", "unit", "baseline", "n_steps", "neighbors_key")


def record(adata: ad.AnnData, key: str) -> Mapping[str, object]:
    """Return what ``tl.attribute`` wrote down of itself, or raise a ``ValueError`` where it has not run."""
    if key not in adata.uns or key not in adata.layers:
        others = [name for name in adata.layers if name in adata.uns and "target" in adata.uns[name]]
        found = f"those found: {', '.join(others)}; name one of them with key" if others else "none found"
        msg = f"no attributions {key!r} ({found}): run sct.tl.attribute(adata, model) first."
        raise ValueError(msg)
    found = adata.uns[key]
    missing = [name for name in _RECORDED if not isinstance(found, Mapping) or name not in found]
    if missing:
        msg = (
            f"uns[{key!r}] has no {', '.join(map(repr, missing))}, which sct.tl.attribute writes: run "
            f"sct.tl.attribute(adata, model, key_added={key!r}) again."
        )
        raise ValueError(msg)
    return found


def attributed_rows(adata: ad.AnnData, key: str, genes: Genes) -> np.ndarray:
    """Return row numbers of those of ``genes`` that have attributions, in the order asked for; log the others."""
    record(adata, key)
    rows = gene_rows(adata, genes)
    return known_rows(adata, rows, dense(adata, key)[rows], f"attributions {key!r}", "attribute")


def known_rows(adata: ad.AnnData, rows: np.ndarray, values: np.ndarray, what: str, source: str) -> np.ndarray:
    """Return those of ``rows`` whose ``values`` ``(len(rows), n)`` hold no NaN; log the others, raise without any."""
    known = ~np.isnan(values).any(axis=1)
    if not known.any():
        msg = (
            f"none of the {len(rows)} genes asked for, such as {symbols(adata)[rows[0]]}, has {what}: run "
            f"sct.tl.{source}(model, adata, genes=...) for them."
        )
        raise ValueError(msg)
    if not known.all():
        logger.info(
            "%s: there for %d of %d genes; those without are left out.", what.capitalize(), known.sum(), len(rows)
        )
    return rows[known]


def neighbor_matrix(adata: ad.AnnData, key: str) -> sparse.csr_matrix:
    """Return the effects of neighbours, row = gene, column = neighbour."""
    slot = k.NEIGHBOR_EFFECTS.format(key)
    graph = record(adata, key)["neighbors_key"]
    if not graph or slot not in adata.obsp:
        found = "are of a model without neighbours" if not graph else f"lack obsp[{slot!r}]"
        msg = (
            f"attributions {key!r} {found}: train with SimpleChrome(adata, neighbors_key='tss') and run "
            "sct.tl.attribute(adata, model) with neighbors=True."
        )
        raise ValueError(msg)
    return sparse.csr_matrix(adata.obsp[slot])


def has_neighbors(adata: ad.AnnData, key: str) -> bool:
    """Whether there are effects of neighbours."""
    return bool(record(adata, key)["neighbors_key"]) and k.NEIGHBOR_EFFECTS.format(key) in adata.obsp


def neighbor_sums(adata: ad.AnnData, key: str, rows: np.ndarray) -> np.ndarray:
    """Return the summed effect of all neighbours of each gene, shape ``(len(rows),)``."""
    return np.asarray(neighbor_matrix(adata, key)[rows].sum(axis=1), dtype=float).ravel()
