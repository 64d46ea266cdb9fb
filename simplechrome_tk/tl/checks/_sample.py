"""Genes whose attributions are checked, and the effects that other networks or methods give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
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

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline, Baselines
    from simplechrome_tk.tl.attribution._methods import By, Method
    from simplechrome_tk.tl.attribution._readout import TargetFunction
    from simplechrome_tk.tl.attribution._target import ExplainedTarget

# Genes that lie together are drawn together, so many at a time, for a model with neighbours: they share neighbours,
# which then need not be encoded again and again.
_GENES_TOGETHER = 16

# Relative and absolute difference up to which a stored total counts as that of the model: two computations of the same
# prediction agree far better.
_RELATIVE, _ABSOLUTE = 1e-2, 1e-3
# Genes whose total is compared with the stored one.
_N_COMPARED = 64
# Of normalised signal: smaller differences from the baseline are rounding.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Sample:
    """Genes drawn from those with attributions.

    Attributes
    ----------
    adata, layout
        All genes, and their columns.
    explained, baselines, target
        The networks and their inputs, the baselines of the genes, and what is explained, as the attributions were made.
    rows, group
        Row number of each gene, and the number of the group that it was drawn with, ``(n_genes,)``.
    own, neighbors
        Effects of the gene's bins ``(n_genes, n_columns)`` and of its neighbours ``(n_genes, n_neighbors)``.
    record
        What ``uns`` says of the attributions.
    batch_size
        Genes that go through the networks at once.
    """

    adata: ad.AnnData
    layout: Layout
    explained: ExplainedTarget
    baselines: Baselines
    target: str | TargetFunction
    rows: np.ndarray
    group: np.ndarray
    own: np.ndarray
    neighbors: np.ndarray
    record: dict[str, Any]
    batch_size: int

    @property
    def names(self) -> np.ndarray:
        """Ids of the genes, ``(n_genes,)``."""
        return self.adata.obs_names[self.rows].to_numpy(object)

    @property
    def difference(self) -> np.ndarray:
        """Signal minus that of the baseline, ``(n_genes, n_columns)``."""
        return subtract_baseline(self.adata, self.baselines, self.rows)

    def sum_marks(self, own: np.ndarray) -> np.ndarray:
        """Sum effects over all bins of each mark, ``(n_genes, n_marks)``."""
        of_blocks, mark = self.layout.block_sums(own), self.layout.blocks["mark"].to_numpy(str)
        return np.stack([of_blocks[:, mark == name].sum(axis=1) for name in self.layout.marks], axis=1)

    def attribute(
        self, explained: ExplainedTarget, *, method: Method | None = None, by: By | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Attribute the same genes with other networks or another method; return own effects and neighbours'."""
        if explained.neighbors_key != self.explained.neighbors_key:
            found, expected = (repr(what.neighbors_key or None) for what in (explained, self.explained))
            msg = (
                f"the model to compare with has neighbors_key={found}; expected {expected}, as the model that is "
                "checked has: train one with the same settings."
            )
            raise ValueError(msg)
        method, by = method or self.record["method"], by or self.record["by"]
        groups = group_columns(self.layout, method, by)
        attribution = AttributionMethod(method, int(self.record["n_steps"]), self.batch_size, groups, 0)
        own, neighbors = np.zeros_like(self.own), np.zeros_like(self.neighbors)
        place = {row: i for i, row in enumerate(self.rows)}
        with freeze_networks(explained.networks):
            for rows in split_into_batches(explained, self.baselines, self.rows, method, self.batch_size):
                batch = explained.gather(rows, self.baselines)
                effects = attribution.compute_effects(explained, batch, self.baselines.select_pool(rows[0]))
                places = [place[row] for row in rows]
                own[places] = effects.own.detach().cpu().numpy()
                neighbors[places] = effects.neighbors.detach().cpu().numpy()
        return own, neighbors

    def attribute_with(self, networks: Sequence[Any]) -> np.ndarray:
        """Return own effects by the same method with other networks, ``(n_genes, n_columns)``."""
        return self.attribute(self.explained._replace(networks=networks))[0]

    def attribute_model(self, model: SimpleChrome | torch.nn.Module) -> np.ndarray:
        """Return own effects by the same method with another model, ``(n_genes, n_columns)``."""
        return self.attribute(choose_target(read_inputs(self.adata, model), model, self.target))[0]

    def interval(self, values: np.ndarray) -> tuple[float, float]:
        """Return the 95 % interval of the mean over genes, by Student's t over groups; NaN where there is one group."""
        known = ~np.isnan(values)
        means = pd.Series(values[known]).groupby(self.group[known]).mean()
        if len(means) < 2:
            return np.nan, np.nan
        half = stats.t.ppf(0.975, len(means) - 1) * means.std() / np.sqrt(len(means))
        center = float(values[known].mean())
        return center - half, center + half


def draw_sample(
    model: SimpleChrome | torch.nn.Module,
    adata: ad.AnnData,
    *,
    key: str,
    genes: Genes,
    n_genes: int,
    target: str | TargetFunction | None,
    baseline: Baseline | np.ndarray | None,
    batch_size: int,
    rng: np.random.Generator,
) -> Sample:
    """Draw genes that have attributions, after checking that these are of this model and these data."""
    record = require_attributions(adata, key, baseline)
    target = record["target"] if target is None else target
    data = read_inputs(adata, model)
    explained_model = choose_target(data, model, target)
    baselines = make_baselines(data, record["baseline"] if baseline is None else baseline)
    candidates = select_attributed(adata, key, gene_rows(adata, genes))
    rows, group = _draw_genes(explained_model, candidates, n_genes=n_genes, rng=rng)
    sample = Sample(
        adata,
        Layout.of(adata),
        explained_model,
        baselines,
        target,
        rows,
        group,
        own=dense(adata, key)[rows],
        neighbors=_read_neighbor_effects(adata, key, explained_model, rows),
        record=record,
        batch_size=batch_size,
    )
    # The baselines of gradient SHAP are drawn at random, so that its totals cannot be computed again.
    if record["method"] != "gradient_shap":
        _check_totals(sample, key)
    return sample


def subtract_baseline(adata: ad.AnnData, baselines: Baselines, rows: np.ndarray) -> np.ndarray:
    """Return the signal of genes minus that of their baseline, ``(len(rows), n_columns)``; rounding is set to 0."""
    difference = dense(adata)[rows].astype(np.float32) - baselines.select(rows)
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


def select_attributed(adata: ad.AnnData, key: str, rows: np.ndarray) -> np.ndarray:
    """Return those of the rows that have attributions; raise ``ValueError`` when none has."""
    selected = rows[~np.isnan(adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float)[rows])]
    if not len(selected):
        msg = f"none of the {len(rows)} genes has attributions {key!r}: run sct.tl.attribute for them first."
        raise ValueError(msg)
    return selected


def _draw_genes(
    explained: ExplainedTarget, rows: np.ndarray, *, n_genes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return row numbers of the genes drawn, and the number of the group of each."""
    size = 1
    if explained.graph is not None:
        size = _GENES_TOGETHER
        place = np.empty(len(explained.graph.order), dtype=int)
        place[explained.graph.order.numpy()] = np.arange(len(place))
        rows = rows[np.argsort(place[rows])]
    groups = [rows[first : first + size] for first in range(0, len(rows), size)]
    drawn = [groups[i] for i in rng.permutation(len(groups))[: max(1, n_genes // size)]]
    number = np.repeat(np.arange(len(drawn)), [len(group) for group in drawn])
    return np.concatenate(drawn)[:n_genes], number[:n_genes]


def _read_neighbor_effects(adata: ad.AnnData, key: str, explained: ExplainedTarget, rows: np.ndarray) -> np.ndarray:
    """Return the effects of neighbours in the order of the graph, ``(len(rows), n_neighbors)``; 0 beyond the last."""
    if explained.graph is None:
        return np.zeros((len(rows), 0), dtype=np.float32)
    slot = k.NEIGHBOR_EFFECTS.format(key)
    if slot not in adata.obsp:
        msg = f"obsp has no {slot!r}, and the model reads neighbours: run sct.tl.attribute(adata, model) again."
        raise ValueError(msg)
    index, mask = explained.graph.index.cpu().numpy()[rows], explained.graph.mask.cpu().numpy()[rows]
    gene = np.repeat(rows[:, None], index.shape[1], axis=1)
    effects = np.asarray(sparse.csr_matrix(adata.obsp[slot])[gene.ravel(), index.ravel()]).reshape(mask.shape)
    return np.where(mask, effects, 0)


def _check_totals(sample: Sample, key: str) -> None:
    """Raise ``ValueError`` when prediction minus baseline is not the total that was attributed."""
    rows = sample.rows[:_N_COMPARED]
    with freeze_networks(sample.explained.networks):
        batch = sample.explained.gather(rows, sample.baselines)
        total = sample.explained.predict(batch, batch.x) - sample.explained.predict(batch, batch.baseline)
    stored = sample.adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float)[rows]
    difference = np.abs(total.cpu().numpy() - stored)
    if (difference > _ABSOLUTE + _RELATIVE * np.abs(stored)).any():
        worst = int(np.argmax(difference))
        msg = (
            f"the attributions {key!r} are not of this model and these data: prediction minus baseline is "
            f"{total[worst]:.4g} for {sample.names[worst]!r}, and {stored[worst]:.4g} is stored. Run sct.tl.attribute "
            "again, or give the target and baseline that were used."
        )
        raise ValueError(msg)


def rank_correlation(a: np.ndarray, b: np.ndarray, *, where: np.ndarray | None = None) -> np.ndarray:
    """Return Spearman's rank correlation of each row of two arrays, ``(n,)``; NaN where it is not defined.

    ``a``, ``b`` and ``where``, which tells the entries that count, are ``(n, m)``.
    """
    where = np.ones(a.shape, dtype=bool) if where is None else where
    ranks = [pd.DataFrame(np.where(where, values, np.nan)).rank(axis=1) for values in (a, b)]
    return ranks[0].corrwith(ranks[1], axis=1).to_numpy()
