"""Exact nearest neighbours by torch, on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import sparse

from simplechrome_tk.core.device import resolve_device

if TYPE_CHECKING:
    from typing import Self

_MOST_DISTANCES = 2**24
"""Number of distances in memory at once, in float32: 64 MiB."""
_SPARE = 8
"""Candidates beyond ``n_neighbors``, so that rounding in the matrix product loses no neighbour."""


class Nearest(NamedTuple):
    """Nearest rows, closest first: ``rows`` int64 and Euclidean ``distances`` float32, ``(n_query, k)`` each."""

    rows: np.ndarray
    distances: np.ndarray


def nearest(
    query: np.ndarray,
    reference: np.ndarray | None,
    n_neighbors: int,
    *,
    device: str | torch.device | None = None,
) -> Nearest:
    """Find the nearest rows of ``reference`` by Euclidean distance.

    A matrix product gives the candidates, in chunks. Their distances are then computed again from differences, which
    keeps the order of close rows that lie far from the origin.

    Parameters
    ----------
    query
        ``(n_query, n_dimensions)``.
    reference
        ``(n_reference, n_dimensions)``; ``None`` finds the nearest *other* rows of ``query``.
    n_neighbors
        Number of neighbours, at most the number of rows to choose from.
    device
        Device that computes; ``None`` takes the first available of CUDA, MPS and CPU.

    Returns
    -------
    Nearest
        Arrays on the CPU.
    """
    torch_device = resolve_device(device)
    queries = torch.as_tensor(query, dtype=torch.float32, device=torch_device)
    known = queries if reference is None else torch.as_tensor(reference, dtype=torch.float32, device=torch_device)
    # Rows far from the origin would lose digits in the matrix product.
    center = known.mean(dim=0)
    queries, known = queries - center, known - center
    squares = known.square().sum(dim=1)
    n_others = len(known) - (reference is None)
    n_candidates = min(n_neighbors + _SPARE, n_others)
    rows, distances = [], []
    step = max(1, _MOST_DISTANCES // len(known))
    for start in range(0, len(queries), step):
        chunk = queries[start : start + step]
        # |q - r|^2 = |q|^2 - 2 q.r + |r|^2, without |q|^2, which changes no order within a row.
        quick = torch.addmm(squares[None], chunk, known.T, alpha=-2)
        if reference is None:
            own = torch.arange(len(chunk), device=torch_device)
            quick[own, own + start] = torch.inf
        # Exact distances to all rows would need an array of n_query x n_reference x n_dimensions.
        candidates = quick.topk(n_candidates, dim=1, largest=False).indices
        exact = (known[candidates] - chunk[:, None]).square().sum(dim=2).sqrt()
        ordered, order = exact.sort(dim=1, stable=True)
        rows.append(candidates.gather(1, order)[:, :n_neighbors].cpu())
        distances.append(ordered[:, :n_neighbors].cpu())
    return Nearest(torch.cat(rows).numpy(), torch.cat(distances).numpy())


class ExactNeighbors:
    """Exact nearest neighbours on CPU or GPU, for ``transformer=`` of :func:`scanpy.pp.neighbors`.

    It has the methods of a scikit-learn transformer. Scanpy's own search is approximate for many rows and is compiled
    again in each session.

    Parameters
    ----------
    n_neighbors
        Number of neighbours, with the row itself, as scanpy counts: it reads this argument.
    device
        Device that computes; ``None`` takes the first available of CUDA, MPS and CPU.
    """

    def __init__(self, n_neighbors: int, *, device: str | torch.device | None = None) -> None:
        self.n_neighbors = n_neighbors
        self.device = device

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """Return the arguments by name; ``deep`` has no effect."""
        return {"n_neighbors": self.n_neighbors, "device": self.device}

    def set_params(self, **params: Any) -> Self:
        """Change arguments by name."""
        for name, value in params.items():
            if name not in self.get_params():
                msg = f"no argument {name!r}; expected {' or '.join(self.get_params())}."
                raise ValueError(msg)
            setattr(self, name, value)
        return self

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        """Store the rows ``(n_rows, n_dimensions)`` that :meth:`transform` searches; ``y`` is ignored."""
        self.rows_ = np.asarray(X, dtype=np.float32)
        return self

    def transform(self, X: np.ndarray) -> sparse.csr_matrix:
        """Return distances to the ``n_neighbors`` nearest fitted rows, ``(n_query, n_rows)``."""
        return _matrix(nearest(np.asarray(X), self.rows_, self.n_neighbors, device=self.device), len(self.rows_))

    def fit_transform(self, X: np.ndarray, y: object = None) -> sparse.csr_matrix:
        """Return distances to the ``n_neighbors - 1`` nearest other rows, ``(n_rows, n_rows)``; ``y`` is ignored."""
        self.fit(X)
        return _matrix(nearest(self.rows_, None, self.n_neighbors - 1, device=self.device), len(self.rows_))


def _matrix(found: Nearest, n_reference: int) -> sparse.csr_matrix:
    """Return neighbours as a sparse matrix of distances, ``(n_query, n_reference)``."""
    n_query, n_neighbors = found.rows.shape
    indptr = np.arange(0, n_query * n_neighbors + 1, n_neighbors)
    return sparse.csr_matrix((found.distances.ravel(), found.rows.ravel(), indptr), shape=(n_query, n_reference))
