"""Step functions along a chromosome, and the intervals that windows cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bioframe
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence


class Steps:
    """A signal that is constant on each of several intervals, and 0 between them.

    Parameters
    ----------
    start, end
        Intervals in bp, shape ``(n,)``, ascending and without overlaps.
    value
        Signal on each, shape ``(n,)``.
    """

    def __init__(self, start: np.ndarray, end: np.ndarray, value: np.ndarray) -> None:
        self.start, self.value = start.astype(float), value.astype(float)
        self.width = end - self.start
        self.before = np.concatenate([[0.0], np.cumsum(self.value * self.width)[:-1]])

    def integral(self, positions: np.ndarray) -> np.ndarray:
        """Return the integral of the signal up to each position, in the shape of ``positions``."""
        if not len(self.start):
            return np.zeros(positions.shape)
        last = np.maximum(np.searchsorted(self.start, positions, side="right") - 1, 0)
        return self.before[last] + self.value[last] * np.clip(positions - self.start[last], 0.0, self.width[last])


def add_up(start: np.ndarray, end: np.ndarray, value: np.ndarray) -> Steps:
    """Return the sum of intervals that may overlap, in any order."""
    # The height changes by +value where an interval starts, and by -value where it ends.
    bounds = np.concatenate([start, end]).astype(float)
    order = np.argsort(bounds, kind="stable")
    depth = np.cumsum(np.repeat([1, -1], len(start))[order])
    height = np.cumsum(np.concatenate([value, -value])[order])
    # Outside all intervals the sum is exactly 0, without the rounding errors of the cumulative sum.
    height[depth == 0] = 0.0
    bounds = bounds[order]
    return Steps(bounds[:-1], bounds[1:], height[:-1])


def average(integral: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return means between adjacent edges, which ascend or descend along each row, from the integral at each edge."""
    # Rounding may give a value slightly below 0 where the signal is 0.
    return np.maximum(np.diff(integral, axis=1) / np.diff(edges, axis=1), 0.0)


def extent(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest position of each row of edges, shape ``(n_genes,)`` each."""
    return np.minimum(edges[:, 0], edges[:, -1]), np.maximum(edges[:, 0], edges[:, -1])


def merge_windows(edges: Sequence[np.ndarray], *, size: int, gap: int) -> list[tuple[int, int]]:
    """Merge the windows on a chromosome into the intervals that they cover.

    Parameters
    ----------
    edges
        For each region, edges of bins in bp, shape ``(n_genes, n_bins + 1)``.
    size
        Length of the chromosome; parts of windows beyond either end are left out.
    gap
        Merge intervals that lie at most this many bp apart.

    Returns
    -------
    list[tuple[int, int]]
        Start and end of each interval, ascending.
    """
    low, high = (np.concatenate(ends) for ends in zip(*map(extent, edges), strict=True))
    start = np.clip(np.floor(low), 0, size).astype(np.int64)
    end = np.clip(np.ceil(high), 0, size).astype(np.int64)
    inside = start < end
    if not inside.any():
        return []
    windows = pd.DataFrame({"chrom": "chromosome", "start": start[inside], "end": end[inside]})
    merged = bioframe.merge(windows, min_dist=gap)
    return list(zip(merged["start"].tolist(), merged["end"].tolist(), strict=True))
