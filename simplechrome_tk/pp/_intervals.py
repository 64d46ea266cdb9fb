"""Step functions along a chromosome, and the stretches of it that windows cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bioframe
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence


class Steps:
    """A signal that is constant on each of a run of intervals, and 0 between them.

    Parameters
    ----------
    start, end
        Intervals in bp, shape ``(n,)``, in ascending order and without overlap.
    value
        Signal on each, shape ``(n,)``.
    """

    def __init__(self, start: np.ndarray, end: np.ndarray, value: np.ndarray) -> None:
        self.start, self.value = start.astype(float), value.astype(float)
        self.width = end - self.start
        self.before = np.concatenate([[0.0], np.cumsum(self.value * self.width)[:-1]])

    def integral(self, positions: np.ndarray) -> np.ndarray:
        """Integral of the signal up to each position, in the shape of ``positions``."""
        if not len(self.start):
            return np.zeros(positions.shape)
        last = np.maximum(np.searchsorted(self.start, positions, side="right") - 1, 0)
        return self.before[last] + self.value[last] * np.clip(positions - self.start[last], 0.0, self.width[last])


def pile_up(start: np.ndarray, end: np.ndarray, value: np.ndarray) -> Steps:
    """Add up intervals that may overlap, in any order."""
    bounds = np.concatenate([start, end]).astype(float)
    order = np.argsort(bounds, kind="stable")
    depth = np.cumsum(np.repeat([1, -1], len(start))[order])
    height = np.cumsum(np.concatenate([value, -value])[order])
    height[depth == 0] = 0.0  # exactly, where rounding leaves a trace
    bounds = bounds[order]
    return Steps(bounds[:-1], bounds[1:], height[:-1])


def means(integral: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean between neighbouring edges, which may ascend or descend along each row, from the integral at each edge."""
    # rounding may leave a trace below 0 where the signal is 0
    return np.maximum(np.diff(integral, axis=1) / np.diff(edges, axis=1), 0.0)


def reach(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest position of each row of edges, shape ``(n_genes,)`` each."""
    return np.minimum(edges[:, 0], edges[:, -1]), np.maximum(edges[:, 0], edges[:, -1])


def stretches(edges: Sequence[np.ndarray], *, size: int, gap: int) -> list[tuple[int, int]]:
    """Merge the windows on a chromosome into the stretches that they cover.

    Parameters
    ----------
    edges
        For each region, edges of bins in bp, shape ``(n_genes, n_bins + 1)``.
    size
        Length of the chromosome; what lies beyond either end is left out.
    gap
        Join stretches that lie at most this many bp apart.

    Returns
    -------
    list[tuple[int, int]]
        Start and end of each, ascending.
    """
    low, high = (np.concatenate(ends) for ends in zip(*map(reach, edges), strict=True))
    start = np.clip(np.floor(low), 0, size).astype(np.int64)
    end = np.clip(np.ceil(high), 0, size).astype(np.int64)
    inside = start < end
    if not inside.any():
        return []
    windows = pd.DataFrame({"chrom": "chromosome", "start": start[inside], "end": end[inside]})
    merged = bioframe.merge(windows, min_dist=gap)
    return list(zip(merged["start"].tolist(), merged["end"].tolist(), strict=True))
