"""Exact nearest neighbours by torch, on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import sparse

from simplechrome_tk.core.device import resolve_device

if TYPE_CHECKING:
    from typing import Self

_MOST_DISTANCES = 2**24  # held at once: 64 MiB
_SPARE = 8  # candidates beyond those asked for, so that rounding of the quick distances loses none


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

    Candidates come from a matrix product, in chunks; their distances are then computed anew from differences, so that
    close rows far from the origin keep their order.

    Parameters
    ----------
    query
        ``(n_query, n_dimensions)``.
    reference
        ``(n_reference, n_dimensions)``; ``None`` finds the nearest *other* rows of ``query``.
    n_neighbors
        How many, at most the rows that there are.
    device
        Where to compute; ``None`` takes CUDA, MPS or CPU, the first there is.

    Returns
    -------
    Nearest
        On CPU, as arrays.
    """
    place = resolve_device(device)
    asked = torch.as_tensor(query, dtype=torch.float32, device=place)
    known = asked if reference is None else torch.as_tensor(reference, dtype=torch.float32, device=place)
    center = known.mean(dim=0)
    asked, known = asked - center, known - center
    squares = known.square().sum(dim=1)
    n_others = len(known) - (reference is None)
    n_candidates = min(n_neighbors + _SPARE, n_others)
    rows, distances = [], []
    step = max(1, _MOST_DISTANCES // len(known))
    for start in range(0, len(asked), step):
        chunk = asked[start : start + step]
        quick = torch.addmm(squares[None], chunk, known.T, alpha=-2)
        if reference is None:
            own = torch.arange(len(chunk), device=place)
            quick[own, own + start] = torch.inf
        candidates = quick.topk(n_candidates, dim=1, largest=False).indices
        exact = (known[candidates] - chunk[:, None]).square().sum(dim=2).sqrt()
        ordered, order = exact.sort(dim=1, stable=True)
        rows.append(candidates.gather(1, order)[:, :n_neighbors].cpu())
        distances.append(ordered[:, :n_neighbors].cpu())
    return Nearest(torch.cat(rows).numpy(), torch.cat(distances).numpy())


class ExactNeighbors:
    """Nearest neighbours for ``transformer=`` of :func:`scanpy.pp.neighbors`: exact, on CPU or GPU.

    It has scikit-learn's methods. Scanpy's own search is approximate for many rows, and compiles anew in each session.

    Parameters
    ----------
    n_neighbors
        As scanpy counts, with the row itself among them.
    device
        Where to compute; ``None`` takes CUDA, MPS or CPU, the first there is.

    Examples
    --------
    >>> import numpy as np
    >>> import simplechrome_tk as sct
    >>> graph = sct.tl.ExactNeighbors(2, device="cpu").fit_transform(np.array([[0.0], [1.0], [5.0]]))
    >>> graph.toarray().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 4.0, 0.0]]
    """

    def __init__(self, n_neighbors: int = 15, *, device: str | torch.device | None = None) -> None:
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
        """Keep the rows ``(n_rows, n_dimensions)`` among which :meth:`transform` searches; ``y`` is ignored."""
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
    n_query, k = found.rows.shape
    indptr = np.arange(0, n_query * k + 1, k)
    return sparse.csr_matrix((found.distances.ravel(), found.rows.ravel(), indptr), shape=(n_query, n_reference))
