"""Deletion and insertion curves (Petsiuk et al. 2018): whether the prediction follows the order of the effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from simplechrome_tk.tl.attribution._target import freeze_networks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simplechrome_tk.tl.attribution._target import Batch, ExplainedTarget
    from simplechrome_tk.tl.checks._sample import Sample

FRACTIONS = np.linspace(0, 1, 21)
"""Of the bins in which a gene differs from its baseline."""


class Curves(NamedTuple):
    """Value of each gene at each of :data:`FRACTIONS`, ``(n_genes, n_fractions)`` each.

    ``deletion`` and ``insertion`` in the order of the effects, from the one that raises the prediction most to the one
    that lowers it most; ``random_deletion`` and ``random_insertion`` are means over random orders.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def gain(self) -> dict[str, np.ndarray]:
        """Area between the curve and that of random order, ``(n_genes,)``: above 0 where the effects' order is better.

        Deleting what raises the prediction must lower it sooner, inserting it must raise it sooner, than random order
        does. The unit is that of the prediction.
        """
        return {
            "deletion": _area(self.random_deletion - self.deletion),
            "insertion": _area(self.insertion - self.random_insertion),
        }


def curves(sample: Sample, *, n_random: int, batch_size: int, rng: np.random.Generator) -> Curves:
    """Replace more and more of the genes' own bins by the baseline, or the other way round; neighbours stay.

    Only bins in which a gene differs from its baseline are counted: the others change nothing. An order is of these
    bins alone, so that an attribution gains nothing from knowing where there is signal.
    """
    parts = []
    for first in range(0, len(sample.rows), batch_size):
        rows = slice(first, first + batch_size)
        parts.append(_curves(sample, rows, n_random, rng))
    return Curves(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _curves(sample: Sample, rows: slice, n_random: int, rng: np.random.Generator) -> Curves:
    what = sample.what
    batch = what.gather(sample.rows[rows], sample.start)
    counted = sample.moved[rows] != 0
    best_first = _place(-sample.own[rows], counted, rng)
    at_random = [_place(np.zeros(counted.shape), counted, rng) for _ in range(n_random)]
    n_counted = counted.sum(axis=1, keepdims=True)
    with freeze_networks(what.networks):
        answer = _Answer(what, batch)
        deletion = answer.along(best_first >= cut for cut in _cuts(n_counted))
        insertion = answer.along(best_first < cut for cut in _cuts(n_counted))
        random = np.mean([answer.along(place >= cut for cut in _cuts(n_counted)) for place in at_random], axis=0)
    return Curves(deletion, insertion, random, random[:, ::-1])


def _place(score: np.ndarray, counted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the place of each column of each row in ascending order, ties at random, what is not counted last."""
    order = np.lexsort((rng.random(score.shape), np.where(counted, score, np.inf)), axis=1)
    return np.argsort(order, axis=1)


def _cuts(n_counted: np.ndarray) -> Iterator[np.ndarray]:
    """Return the number of bins at each fraction, ``(n_genes, 1)`` each."""
    return (np.rint(fraction * n_counted) for fraction in FRACTIONS)


def _area(difference: np.ndarray) -> np.ndarray:
    return np.trapezoid(difference, FRACTIONS, axis=1)


class _Answer:
    """Predictions of a batch of genes with edited marks, among neighbours as they are, which are encoded once."""

    def __init__(self, what: ExplainedTarget, batch: Batch) -> None:
        self.what, self.batch = what, batch
        self.marks, self.baseline = batch.x[batch.genes], batch.baseline[batch.genes]
        self.heard = []
        if batch.neighbors is not None:
            with torch.no_grad():
                latents = [net.encode(batch.x).mean[batch.neighbors.x] for net in what.networks]
            self.heard = [batch.neighbors._replace(x=latent) for latent in latents]

    def along(self, kept: Iterator[np.ndarray]) -> np.ndarray:
        """Predict with the columns of each of several masks ``(n_genes, n_columns)`` kept, ``(n_genes, n_masks)``."""
        return np.stack([self._value(mask) for mask in kept], axis=1)

    def _value(self, kept: np.ndarray) -> np.ndarray:
        n_columns = self.what.n_columns
        keep = torch.as_tensor(kept, device=self.marks.device)
        x = self.marks.clone()
        x[:, :n_columns] = torch.where(keep, self.marks[:, :n_columns], self.baseline[:, :n_columns])
        with torch.no_grad():
            if self.heard:
                pairs = zip(self.what.networks, self.heard, strict=True)
                outputs = [net.express(net.encode(x).mean, heard) for net, heard in pairs]
            else:
                outputs = [net(x) for net in self.what.networks]
            value = torch.stack([self.what.readout(output) for output in outputs]).mean(dim=0)
        return value.cpu().numpy()
