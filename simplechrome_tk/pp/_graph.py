"""Links between genes, and writing them as a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.write import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad

    from simplechrome_tk.core.graph import Positions


class Edges(NamedTuple):
    """Links of a graph: rows of gene and neighbour in ``adata``, and weight, shape ``(n_links,)`` each."""

    gene: np.ndarray
    neighbor: np.ndarray
    weight: np.ndarray


def join_edges(parts: Sequence[Edges]) -> Edges:
    """Return the links of several parts one after another."""
    if not parts:
        return Edges(np.empty(0, int), np.empty(0, int), np.empty(0, np.float32))
    return Edges(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def keep_strongest(weights: np.ndarray, n_neighbors: int) -> Edges:
    """Return the ``n_neighbors`` largest weights above 0 of each row of a dense matrix, ``(n_rows, n_genes)``."""
    best = np.broadcast_to(np.arange(weights.shape[1]), weights.shape)
    if n_neighbors < weights.shape[1]:
        best = np.argpartition(weights, -n_neighbors, axis=1)[:, -n_neighbors:]
    weight = np.take_along_axis(weights, best, axis=1)
    row, place = np.nonzero(weight > 0)
    return Edges(row, best[row, place], weight[row, place])


def write_graph(
    adata: ad.AnnData,
    edges: Edges,
    where: Positions,
    *,
    method: str,
    key_added: str,
    params: Mapping[str, object],
    record: Mapping[str, object] | None = None,
) -> None:
    """Write connectivities, distances and the record of a graph, in the form that scanpy reads.

    ``scanpy.tl.umap`` needs ``method`` and ``use_rep`` among the parameters in the record.
    """
    shape = (adata.n_obs, adata.n_obs)
    links = (edges.gene, edges.neighbor)
    slots = {"connectivities": k.CONNECTIVITIES.format(key_added), "distances": k.DISTANCES.format(key_added)}
    distance = where.distance(*links)
    pairs = [
        ("obsp", slots["connectivities"], sparse.csr_matrix((edges.weight.astype(np.float32), links), shape=shape)),
        ("obsp", slots["distances"], sparse.csr_matrix((distance, links), shape=shape)),
    ]
    keys = {f"{name}_key": slot for name, slot in slots.items()}
    made = {**keys, "params": {"method": method, "use_rep": "X", **params}, **(record or {})}
    write_whole(adata, pairs, records={k.GRAPH_RECORD.format(key_added): made})


def check_n_neighbors(n_neighbors: int) -> None:
    """Raise ``ValueError`` below 1."""
    if n_neighbors < 1:
        msg = f"n_neighbors is {n_neighbors}; expected at least 1."
        raise ValueError(msg)
