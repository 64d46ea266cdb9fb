"""Fingerprints that tell whether stored attributions are still of a model and of its data."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from simplechrome_tk.tl.attribution._baselines import Baselines
    from simplechrome_tk.tl.attribution._methods import AttributionMethod
    from simplechrome_tk.tl.attribution._target import ExplainedTarget

_GENE_BYTES = 8
"""Length of the fingerprint of one gene, which is stored as an integer."""


def fingerprint_networks(explained: ExplainedTarget, values: np.ndarray | None = None) -> str:
    """Return the fingerprint of what computes the target: weights, the target's name and its factor.

    A function as target has no name that tells it from others: ``values`` are those that it gives for some genes.
    """
    digest = hashlib.blake2b(digest_size=16)
    # The tensors stand in the order of the layers, which is the same in every copy of a network.
    for net in explained.networks:
        for tensor in net.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
    digest.update(repr((explained.name, explained.factor, explained.neighbors_key)).encode())
    if values is not None:
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def fingerprint_settings(method: AttributionMethod, baselines: Baselines) -> str:
    """Return the fingerprint of how the target is attributed: the method, its settings and the baselines."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((method.name, method.n_steps, method.rng, baselines.name)).encode())
    # Which baseline a gene has says nothing where there is one for all: a subset of the genes then agrees as well.
    rows = baselines.row_of_gene if len(baselines.marks) > 1 else np.zeros(1, dtype=int)
    for array in (method.groups, baselines.marks, rows):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def fingerprint_genes(explained: ExplainedTarget, rows: np.ndarray) -> np.ndarray:
    """Return the fingerprint of the inputs of each gene, ``(len(rows),)`` int64; 0 is none.

    The inputs are the gene's own marks and covariates, and those of its neighbours with their edges. The fingerprint
    does not depend on other genes, nor on the order of the rows: a subset that holds the gene and all its neighbours
    gives the same.
    """
    if explained.graph is None:
        own = _digest_rows(explained, rows)
        return np.array([_as_integer([own[row]]) for row in rows], dtype=np.int64)
    # Each gene is digested once, however many genes it is a neighbour of.
    mask = explained.graph.mask.cpu().numpy()[rows]
    index, edges = explained.graph.index.cpu().numpy()[rows], explained.graph.edges.cpu().numpy()[rows]
    inputs = _digest_rows(explained, np.union1d(rows, index[mask]))
    found = np.empty(len(rows), dtype=np.int64)
    for i, row in enumerate(rows):
        # Neighbours are sorted by what they are, since their order in the graph is that of the rows.
        links = [inputs[j] + edge.tobytes() for j, edge in zip(index[i][mask[i]], edges[i][mask[i]], strict=True)]
        found[i] = _as_integer([inputs[row], *sorted(links)])
    return found


def _digest_rows(explained: ExplainedTarget, rows: np.ndarray) -> dict[int, bytes]:
    """Return a digest of the inputs of each of the rows."""
    x = explained.x[rows].cpu().numpy()
    return {
        int(row): hashlib.blake2b(values.data, digest_size=_GENE_BYTES).digest()
        for row, values in zip(rows, x, strict=True)
    }


def _as_integer(parts: list[bytes]) -> int:
    digest = hashlib.blake2b(b"".join(parts), digest_size=_GENE_BYTES).digest()
    return int.from_bytes(digest, "little", signed=True) or 1
