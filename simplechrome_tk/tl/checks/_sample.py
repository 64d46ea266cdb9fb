"""Some genes with the effects that are on trial, and the effects that another network or method gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import gene_rows, layer_names
from simplechrome_tk.tl.attribution._attribute import split_into_batches
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._methods import AttributionMethod, group_columns
from simplechrome_tk.tl.attribution._stored import read_record
from simplechrome_tk.tl.attribution._target import choose_target, freeze_networks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import torch

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline, Baselines
    from simplechrome_tk.tl.attribution._methods import By, Method
    from simplechrome_tk.tl.attribution._readout import TargetFunction
    from simplechrome_tk.tl.attribution._target import ExplainedTarget

BLOCK = 16
"""Genes that lie together and are drawn together in a model with neighbours: they share them."""

_SAME, _OFFSET = 1e-2, 1e-3  # relative and absolute: two computations of one prediction agree far better
_MATCH_ROWS = 64
_ROUNDING = 1e-5  # of normalised signal


@dataclass(frozen=True)
class Sample:
    """Genes, ``rows`` ``(n,)`` of the data, with ``own`` ``(n, n_columns)`` and ``neighbors`` ``(n, n_neighbors)``.

    ``block`` ``(n,)`` tells which genes were drawn together; ``record`` is what ``uns`` says of the attributions.
    """

    adata: ad.AnnData
    what: ExplainedTarget
    start: Baselines
    target: str | TargetFunction
    rows: np.ndarray
    block: np.ndarray
    own: np.ndarray
    neighbors: np.ndarray
    record: dict[str, Any]

    @property
    def names(self) -> np.ndarray:
        """Ids of the genes, ``(n,)``."""
        return self.adata.obs_names[self.rows].to_numpy(str)

    @property
    def moved(self) -> np.ndarray:
        """Signal less that of the baseline, ``(n, n_columns)``."""
        return moved(self.adata, self.start, self.rows)

    def of_blocks(self, own: np.ndarray) -> np.ndarray:
        """Sum effects over the bins of each mark in each region, ``(n, n_blocks)``."""
        return np.add.reduceat(own, blocks(self.adata)["start"].to_numpy(), axis=1)

    def of_marks(self, own: np.ndarray) -> np.ndarray:
        """Sum effects over all bins of each mark, ``(n, n_marks)``."""
        mark = blocks(self.adata)["mark"].to_numpy(str)
        return np.stack([self.of_blocks(own)[:, mark == name].sum(axis=1) for name in dict.fromkeys(mark)], axis=1)

    def again(
        self, what: ExplainedTarget, *, method: Method | None = None, by: By | None = None, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Attribute the same genes with other networks, or another method: own and neighbours' effects."""
        if what.neighbors_key != self.what.neighbors_key:
            found, expected = (repr(key) if key else "None" for key in (what.neighbors_key, self.what.neighbors_key))
            msg = (
                f"the model to compare with has neighbors_key={found}; expected {expected}, as the model that is "
                "checked has: train one with the same settings."
            )
            raise ValueError(msg)
        how = self._how(method or self.record["method"], by or self.record["by"], batch_size)
        own, neighbors = np.zeros_like(self.own), np.zeros_like(self.neighbors)
        place = {row: i for i, row in enumerate(self.rows)}
        with freeze_networks(what.networks):
            for part in split_into_batches(what, self.start, self.rows, how.name, batch_size):
                effects = how.compute_effects(what, what.gather(part, self.start), self.start.select_pool(part[0]))
                at = [place[row] for row in part]
                own[at], neighbors[at] = effects.own.detach().cpu().numpy(), effects.neighbors.detach().cpu().numpy()
        return own, neighbors

    def _how(self, method: Method, by: By, batch_size: int) -> AttributionMethod:
        groups = group_columns(Layout.of(self.adata), method, by)
        return AttributionMethod(method, int(self.record["n_steps"]), batch_size, groups, 0)

    def with_networks(self, networks: Sequence[Any]) -> ExplainedTarget:
        """Return what is explained, with other networks."""
        return self.what._replace(networks=networks)

    def interval(self, values: np.ndarray) -> tuple[float, float]:
        """Return the 95 % interval of the mean over genes, by Student's t over what was drawn together; NaN of one."""
        known = ~np.isnan(values)
        means = pd.Series(values[known]).groupby(self.block[known]).mean()
        if len(means) < 2:
            return np.nan, np.nan
        half = stats.t.ppf(0.975, len(means) - 1) * means.std() / np.sqrt(len(means))
        center = float(values[known].mean())
        return center - half, center + half


def draw(
    model: SimpleChrome | torch.nn.Module,
    adata: ad.AnnData,
    *,
    key: str,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None,
    n_genes: int,
    target: str | TargetFunction | None,
    baseline: Baseline | np.ndarray | None,
    rng: np.random.Generator,
) -> Sample:
    """Draw genes that have attributions, after checking that these are of this model and these data."""
    record = require_attributions(adata, key, baseline)
    data = read_inputs(adata, model)
    what = choose_target(data, model, record["target"] if target is None else target)
    start = make_baselines(data, record["baseline"] if baseline is None else baseline)
    rows, block = _choose(what, rows=attributed(adata, key, gene_rows(adata, genes)), n_genes=n_genes, rng=rng)
    own = dense(adata, key)[rows]
    neighbors = np.zeros((len(rows), 0), dtype=np.float32)
    if what.graph is not None:
        slot = k.NEIGHBOR_EFFECTS.format(key)
        if slot not in adata.obsp:
            msg = f"obsp has no {slot!r}, and the model reads neighbours: run sct.tl.attribute(adata, model) again."
            raise ValueError(msg)
        index, mask = what.graph.index.cpu().numpy()[rows], what.graph.mask.cpu().numpy()[rows]
        gene = np.repeat(rows[:, None], index.shape[1], axis=1)
        neighbors = np.where(
            mask, np.asarray(sparse.csr_matrix(adata.obsp[slot])[gene.ravel(), index.ravel()]).reshape(mask.shape), 0
        )
    sample = Sample(
        adata, what, start, record["target"] if target is None else target, rows, block, own, neighbors, record
    )
    if record["method"] != "gradient_shap":
        _check_total(sample, key)
    return sample


def moved(adata: ad.AnnData, start: Baselines, rows: np.ndarray) -> np.ndarray:
    """Return the signal of genes less that of their baseline, ``(len(rows), n_columns)``; rounding is set to 0."""
    difference = dense(adata)[rows].astype(np.float32) - start.select(rows)
    difference[np.abs(difference) < _ROUNDING] = 0
    return difference


def require_attributions(adata: ad.AnnData, key: str, baseline: object) -> dict[str, Any]:
    """Return what ``uns`` says of attributions, or raise ``ValueError`` when there are none, or no baseline."""
    if key not in adata.layers or key not in adata.uns:
        msg = (
            f"no attributions {key!r} (layers: {layer_names(adata)}): run sct.tl.attribute(adata, model, "
            f"key_added={key!r}) first."
        )
        raise ValueError(msg)
    record = dict(read_record(adata, key))
    if baseline is None and record["baseline"] == "given":
        msg = f"the baseline of {key!r} was an array, which is not stored: give it again with baseline."
        raise ValueError(msg)
    return record


def attributed(adata: ad.AnnData, key: str, rows: np.ndarray) -> np.ndarray:
    """Return those of the rows that have attributions; raise ``ValueError`` when none has."""
    have = rows[~np.isnan(adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float)[rows])]
    if not len(have):
        msg = f"none of the {len(rows)} genes asked for has attributions {key!r}: run sct.tl.attribute for them first."
        raise ValueError(msg)
    return have


def _choose(
    what: ExplainedTarget, *, rows: np.ndarray, n_genes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return row numbers of the genes drawn and of the block of each."""
    size = 1
    if what.graph is not None:
        size = BLOCK
        place = np.empty(len(what.graph.order), dtype=int)
        place[what.graph.order.numpy()] = np.arange(len(place))
        rows = rows[np.argsort(place[rows])]
    groups = [rows[first : first + size] for first in range(0, len(rows), size)]
    drawn = [groups[i] for i in rng.permutation(len(groups))[: max(1, n_genes // size)]]
    return np.concatenate(drawn)[:n_genes], np.repeat(np.arange(len(drawn)), [len(group) for group in drawn])[:n_genes]


def _check_total(sample: Sample, key: str) -> None:
    """Raise ``ValueError`` when prediction less baseline is not what the attributions were made of."""
    rows = sample.rows[:_MATCH_ROWS]
    with freeze_networks(sample.what.networks):
        batch = sample.what.gather(rows, sample.start)
        total = (sample.what.predict(batch, batch.x) - sample.what.predict(batch, batch.baseline)).cpu().numpy()
    stored = sample.adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float)[rows]
    wrong = np.abs(total - stored) > _OFFSET + _SAME * np.abs(stored)
    if wrong.any():
        worst = int(np.argmax(np.abs(total - stored)))
        msg = (
            f"the attributions {key!r} are not of this model and these data: prediction less baseline is "
            f"{total[worst]:.4g} for {sample.names[worst]!r}, and {stored[worst]:.4g} is stored. Run sct.tl.attribute "
            "again, or give the target and baseline that were used."
        )
        raise ValueError(msg)


def rank_correlation(a: np.ndarray, b: np.ndarray, *, counted: np.ndarray | None = None) -> np.ndarray:
    """Spearman's rank correlation of each row of two arrays, ``(n,)``; NaN where it is not defined.

    Parameters
    ----------
    a, b
        ``(n, m)``.
    counted
        Which entries count, ``(n, m)``; ``None`` counts all.
    """
    counted = np.ones(a.shape, dtype=bool) if counted is None else counted
    correlations = np.full(len(a), np.nan)
    for i, (one, other, which) in enumerate(zip(a, b, counted, strict=True)):
        first, second = stats.rankdata(one[which]), stats.rankdata(other[which])
        first, second = first - first.mean() if len(first) else first, second - second.mean() if len(second) else second
        norm = np.sqrt((first**2).sum() * (second**2).sum())
        if norm > 0:
            correlations[i] = (first * second).sum() / norm
    return correlations
