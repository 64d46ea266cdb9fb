"""Attributions that are stored in an AnnData, read and checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import gene_rows, symbols

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes

logger = logging.getLogger(__name__)

_RECORDED = ("method", "target", "unit", "baseline", "n_steps", "neighbors_key")


def read_record(adata: ad.AnnData, key: str) -> Mapping[str, object]:
    """Return the record that ``tl.attribute`` wrote, or raise a ``ValueError`` if it has not run."""
    if key not in adata.uns or key not in adata.layers:
        others = [name for name in adata.layers if name in adata.uns and "target" in adata.uns[name]]
        found = f"those found: {', '.join(others)}; name one of them with key" if others else "none found"
        msg = f"no attributions {key!r} ({found}): run sct.tl.attribute(adata, model) first."
        raise ValueError(msg)
    record = adata.uns[key]
    missing = [name for name in _RECORDED if not isinstance(record, Mapping) or name not in record]
    if missing:
        msg = (
            f"uns[{key!r}] has no {', '.join(map(repr, missing))}, which sct.tl.attribute writes: run "
            f"sct.tl.attribute(adata, model, key_added={key!r}) again."
        )
        raise ValueError(msg)
    return record


def select_attributed(adata: ad.AnnData, key: str, genes: Genes) -> np.ndarray:
    """Return the row numbers of those ``genes`` that have attributions, in the given order; log the others."""
    read_record(adata, key)
    rows = gene_rows(adata, genes)
    fix = f"run sct.tl.attribute(adata, model, genes=..., key_added={key!r}) for them"
    return select_known(adata, rows, dense(adata, key)[rows], f"attributions {key!r}", fix=fix)


def select_known(adata: ad.AnnData, rows: np.ndarray, values: np.ndarray, name: str, *, fix: str) -> np.ndarray:
    """Return those of ``rows`` whose ``values`` ``(len(rows), n)`` hold no NaN; log the others, raise without any."""
    known = ~np.isnan(values).any(axis=1)
    if not known.any():
        msg = f"none of the {len(rows)} genes, such as {symbols(adata)[rows[0]]}, has {name}: {fix}."
        raise ValueError(msg)
    if not known.all():
        logger.info("%d of %d genes have no %s and are left out.", (~known).sum(), len(rows), name)
    return rows[known]


def read_neighbor_effects(adata: ad.AnnData, key: str) -> sparse.csr_matrix:
    """Return the effects of neighbours, row = gene, column = neighbour."""
    slot = k.NEIGHBOR_EFFECTS.format(key)
    if not graph_names(read_record(adata, key)["neighbors_key"]):
        msg = (
            f"attributions {key!r} are of a model without neighbours: train one with "
            f"sct.SimpleChrome(adata, neighbors_key='tss') and run sct.tl.attribute(adata, model, key_added={key!r})."
        )
        raise ValueError(msg)
    if slot not in adata.obsp:
        msg = (
            f"attributions {key!r} lack obsp[{slot!r}]: run sct.tl.attribute(adata, model, key_added={key!r}) again, "
            "with the model that they are of."
        )
        raise ValueError(msg)
    return sparse.csr_matrix(adata.obsp[slot])


def has_neighbor_effects(adata: ad.AnnData, key: str) -> bool:
    """Whether effects of neighbours are stored."""
    return bool(graph_names(read_record(adata, key)["neighbors_key"])) and k.NEIGHBOR_EFFECTS.format(key) in adata.obsp


def sum_neighbor_effects(adata: ad.AnnData, key: str, rows: np.ndarray) -> np.ndarray:
    """Return the summed effect of all neighbours of each gene, ``(len(rows),)``."""
    return np.asarray(read_neighbor_effects(adata, key)[rows].sum(axis=1), dtype=float).ravel()
