"""The null of a contrast: changes between replicates of one condition, and the false discovery rate from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import false_discovery_control

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Groups of genes by predicted expression, each with a null of its own, and the fewest genes in one.
_N_GROUPS, _FEWEST = 10, 100


def replicate_changes(
    counts: Sequence[int], change: Callable[[int, int], np.ndarray], n_genes: int
) -> np.ndarray | None:
    """Return changes between each replicate and the mean of the others, scaled to those between the conditions.

    A mean over ``n`` replicates varies with ``1 / n`` of the variance of one replicate. Between two conditions the
    variance is ``1 / n_1 + 1 / n_2`` of it, and between a replicate and the mean of the ``n - 1`` others
    ``n / (n - 1)``; the root of the ratio is the factor.

    Parameters
    ----------
    counts
        Number of replicates of each condition.
    change
        Function from the number of a condition and that of a replicate to the predicted change ``(n_genes,)`` of this
        replicate against the mean of the others.
    n_genes
        Number of genes.

    Returns
    -------
    numpy.ndarray | None
        ``(n_replicates, n_genes)``; ``None`` unless both conditions have replicates.
    """
    if min(counts) < 2:
        return None
    between = sum(1 / count for count in counts)
    null = np.empty((0, n_genes))
    for condition, count in enumerate(counts):
        factor = np.sqrt(between * (count - 1) / count)
        # With two replicates the second change is the first with another sign, and says nothing new.
        for replicate in range(1 if count == 2 else count):
            null = np.vstack([null, factor * change(condition, replicate)])
    return null


def false_discovery_rates(changes: np.ndarray, null: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the false discovery rate of each gene (Benjamini and Hochberg 1995), ``(n_genes,)``.

    The p-value of a gene is the share of changes between replicates that are at least as large, among genes of a
    similar ``level`` ``(n_genes,)``, since noise depends on it.
    """
    n_groups = max(1, min(_N_GROUPS, len(changes) // _FEWEST))
    edges = np.quantile(level, np.linspace(0, 1, n_groups + 1))[1:-1]
    group = np.searchsorted(edges, level)
    p = np.ones(len(changes))
    for number in np.unique(group):
        members = group == number
        sizes = np.sort(np.abs(null[:, members]).ravel())
        n_larger = len(sizes) - np.searchsorted(sizes, np.abs(changes[members]), side="left")
        # The gene itself counts as one of the null, so that no p-value is 0.
        p[members] = (n_larger + 1) / (len(sizes) + 1)
    return false_discovery_control(p)
