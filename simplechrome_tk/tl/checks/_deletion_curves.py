"""Deletion and insertion curves (Petsiuk et al. 2018): predictions while bins are removed, or added, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from simplechrome_tk.tl.attribution._target import freeze_networks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simplechrome_tk.tl.attribution._target import Batch, ExplainedTarget
    from simplechrome_tk.tl.checks._sample import Sample

FRACTIONS = np.linspace(0, 1, 21)
"""Fractions of the bins in which a gene differs from its baseline."""


class Curves(NamedTuple):
    """Prediction for each gene at each of :data:`FRACTIONS`, ``(n_genes, n_fractions)`` each.

    ``deletion`` and ``insertion`` follow the order of the effects, from the one that raises the prediction most to the
    one that lowers it most; ``random_deletion`` and ``random_insertion`` are means over random orders.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def gain(self) -> dict[str, np.ndarray]:
        """Area between each curve and that of random order, ``(n_genes,)``, in units of the prediction.

        It is above 0 where the order of the effects is better than random: deleting the bins that raise the prediction
        lowers it sooner, and inserting them raises it sooner.
        """
        return {
            "deletion": np.trapezoid(self.random_deletion - self.deletion, FRACTIONS, axis=1),
            "insertion": np.trapezoid(self.insertion - self.random_insertion, FRACTIONS, axis=1),
        }

    def to_table(self) -> pd.DataFrame:
        """Return the mean over genes: ``curve``, ``order``, ``fraction`` and ``prediction``, one row per point."""
        parts = [
            pd.DataFrame({"curve": curve, "order": order, "fraction": FRACTIONS, "prediction": values.mean(axis=0)})
            for curve, order, values in (
                ("deletion", "effects", self.deletion),
                ("deletion", "random", self.random_deletion),
                ("insertion", "effects", self.insertion),
                ("insertion", "random", self.random_insertion),
            )
        ]
        return pd.concat(parts, ignore_index=True)


def compute_curves(sample: Sample, *, n_random: int, rng: np.random.Generator) -> Curves:
    """Replace more and more of the genes' own bins by the baseline, or the other way round; neighbours stay.

    Only bins in which a gene differs from its baseline are ordered: the others change nothing. An attribution therefore
    gains nothing from knowing where there is signal.
    """
    parts = []
    for first in range(0, len(sample.rows), sample.batch_size):
        parts.append(_compute_batch(sample, slice(first, first + sample.batch_size), n_random, rng))
    return Curves(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _compute_batch(sample: Sample, genes: slice, n_random: int, rng: np.random.Generator) -> Curves:
    differs = sample.difference[genes] != 0
    place = _rank(-sample.own[genes], differs, rng)
    random_places = [_rank(np.zeros(differs.shape), differs, rng) for _ in range(n_random)]
    n_bins = differs.sum(axis=1, keepdims=True)
    cuts = [np.rint(fraction * n_bins) for fraction in FRACTIONS]
    with freeze_networks(sample.explained.networks):
        batch = sample.explained.gather(sample.rows[genes], sample.baselines)
        predictor = _Predictor(sample.explained, batch)
        deletion = predictor.predict(place >= cut for cut in cuts)
        insertion = predictor.predict(place < cut for cut in cuts)
        random = np.mean([predictor.predict(order >= cut for cut in cuts) for order in random_places], axis=0)
    # Inserting in a random order is deleting in the reverse order, which is random as well.
    return Curves(deletion, insertion, random, random[:, ::-1])


def _rank(score: np.ndarray, differs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the place of each column of each row in ascending order, ties at random, what does not differ last."""
    order = np.lexsort((rng.random(score.shape), np.where(differs, score, np.inf)), axis=1)
    return np.argsort(order, axis=1)


class _Predictor:
    """Predictions for a batch of genes with replaced bins, among neighbours as they are, which are encoded once."""

    def __init__(self, explained: ExplainedTarget, batch: Batch) -> None:
        self.explained = explained
        self.marks, self.baseline = batch.x[batch.genes], batch.baseline[batch.genes]
        self.neighbors = []
        if batch.neighbors is not None:
            with torch.no_grad():
                latents = [net.encode(batch.x).mean[batch.neighbors.x] for net in explained.networks]
            self.neighbors = [batch.neighbors._replace(x=latent) for latent in latents]

    def predict(self, masks: Iterator[np.ndarray]) -> np.ndarray:
        """Predict while the columns of each mask ``(n_genes, n_columns)`` are kept, ``(n_genes, n_masks)``."""
        return np.stack([self._predict_one(mask) for mask in masks], axis=1)

    def _predict_one(self, kept: np.ndarray) -> np.ndarray:
        n_columns = self.explained.n_columns
        keep = torch.as_tensor(kept, device=self.marks.device)
        x = self.marks.clone()
        x[:, :n_columns] = torch.where(keep, self.marks[:, :n_columns], self.baseline[:, :n_columns])
        with torch.no_grad():
            if self.neighbors:
                pairs = zip(self.explained.networks, self.neighbors, strict=True)
                outputs = [net.express(net.encode(x).mean, x, neighbors) for net, neighbors in pairs]
            else:
                outputs = [net(x) for net in self.explained.networks]
            value = torch.stack([self.explained.readout(output) for output in outputs]).mean(dim=0)
        return value.cpu().numpy()
