"""Attribute a model's predictions to the marks of each gene and of its neighbours."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.write import ABSENT, check_key, to_change, write_whole
from simplechrome_tk.tl.attribution._baselines import reference
from simplechrome_tk.tl.attribution._methods import COMPLETE, Attribution, check_method, column_groups
from simplechrome_tk.tl.attribution._target import explained, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline, Reference
    from simplechrome_tk.tl.attribution._methods import By, Method
    from simplechrome_tk.tl.attribution._target import Batch, Explained, Read

logger = logging.getLogger(__name__)

_ROUNDING = 1e-6  # of float32 sums: less is nothing
_MEDIAN_ERROR, _TAIL_ERROR = 0.01, 0.05  # of the median gene, of 99 % of genes: beyond, a warning


def attribute(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module,
    *,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    method: Method = "integrated_gradients",
    target: str | Read = "logit",
    baseline: Baseline | np.ndarray = "zero",
    by: By | np.ndarray = "bin",
    n_steps: int = 50,
    batch_size: int = 512,
    key_added: str = k.ATTRIBUTION,
    rng: int = 0,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    """Attribute predictions to each bin of the gene's own marks, and to each of its neighbours.

    An effect says by how much a bin's signal, or a neighbour's marks taken together, moves this gene's prediction away
    from what the model would say of a gene with the marks of the baseline. It is about the model: what moves the
    prediction need not move expression in a cell. The gene's length is no mark and stays what it is.

    A call that was interrupted keeps what it has done; the same call goes on from there, and calls for other genes add
    to it. Another model, method, baseline or other data start anew.

    Parameters
    ----------
    model
        A trained model, or any ``torch`` module that maps ``X`` ``(batch, n_columns)`` to
        :class:`simplechrome_tk.nn.Output` or to one value a gene.
    adata
        Genes as for :meth:`simplechrome_tk.SimpleChrome.predict`; with neighbours, all of them, whatever ``genes`` are.
    genes
        Ids, symbols or a mask ``(n_genes,)`` of the genes to explain; ``None`` explains all.
    method
        ``"integrated_gradients"`` (Sundararajan et al. 2017): effects sum to the difference from the baseline.
        ``"gradient_shap"`` (Lundberg and Lee 2017): the same for baselines drawn at random. ``"deep_lift"`` (Shrikumar
        et al. 2017): one pass, for networks of layers that Captum has rules for (``preset="paper"``,
        ``nn.baselines``). ``"occlusion"``: what is lost when a bin, a mark in a region or a region is replaced by the
        baseline, shared equally among its bins. ``"feature_ablation"``: the same for groups of columns. Effects of the
        last two do not sum to anything.
    target
        ``"logit"``, the log-odds that the gene is high; ``"log_expression"``, ``log10(expression + 0.1)``;
        ``"latent:3"``, a dimension of the latent, which neighbours do not reach; or a function from the output of
        the networks to ``(batch,)``.
    baseline
        ``"zero"``: no signal of any mark. ``"low"``: the median of the low genes of the cell type, bin by bin.
        ``"matched"``: the mean of the genes of the same cell type and, where the gene's body is read, tenth of length.
        Or normalised marks of your own, ``(n_columns,)`` or ``(n_genes, n_columns)``. Neighbours have theirs.
    by
        For ``"occlusion"`` what is replaced at once: ``"bin"``, ``"mark"`` (in one region) or ``"region"`` (all its
        marks). For ``"feature_ablation"`` also a number for each column, ``(n_columns,)``; ``"mark"`` then is a mark in
        all regions.
    n_steps
        Points of the integral, or draws of ``"gradient_shap"``.
    batch_size
        Genes that go through the networks at once. Memory beyond the result grows with it, not with the genes.
    key_added
        Name of the result.
    rng
        Seed of ``"gradient_shap"``.
    progress
        Show a progress bar.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes, with ``key_added="attribution"``,

        ``layers["attribution"]``: effect of each bin of the gene's own marks, float32, NaN for genes not explained.
        ``obsp["attribution_neighbors"]``: sparse, row = gene, column = neighbour: effect of the neighbour's marks; for
        models with neighbours.
        ``obs["attribution_total"]``: the prediction less that at the baseline; the effects' sum, if they are complete.
        ``obs["attribution_error"]``: what the effects' sum misses of it, as a fraction (completeness error).
        ``uns["attribution"]``: ``method``, ``target``, ``unit``, ``baseline``, ``by``, ``n_steps``, ``neighbors_key``
        and a ``fingerprint`` of networks and data.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the data or the graph do not fit the model, a gene is unknown, the network has parts that the method has no
        rule for, or the baseline has another shape.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> model = sct.SimpleChrome(adata, n_latent=4)
    >>> model.train(latent_epochs=1, expression_epochs=1, progress=False)
    >>> sct.tl.attribute(adata, model, genes=["SIM0001", "SIM0002"], progress=False)
    >>> int(adata.obs["attribution_error"].count())
    2
    """
    for name, number in (("n_steps", n_steps), ("batch_size", batch_size)):
        if number < 1:
            msg = f"{name} is {number}; expected at least 1."
            raise ValueError(msg)
    check_order(adata, model, "sct.tl.attribute(adata, model)")
    adata = to_change(adata, copy=copy)
    check_key(adata, key_added, field="target")
    what = explained(model, adata, target)
    check_method(method, what)
    rows = gene_rows(adata, genes)
    start = reference(adata, baseline)
    if method == "gradient_shap" and (start.name == "given" or what.graph is not None) and len(start.marks) > 1:
        msg = (
            f"method='gradient_shap' draws baselines at random; baseline={start.name!r} is another one for each gene"
            f"{' and its neighbours' if what.graph is not None else ''}: use baseline='zero', or "
            "method='integrated_gradients'."
        )
        raise ValueError(msg)
    groups = column_groups(adata, method, by)
    how = Attribution(method, n_steps, batch_size, groups, rng)
    record = {
        "method": method,
        "target": what.target,
        "unit": what.unit,
        "baseline": start.name,
        "by": by if isinstance(by, str) else "given",
        "n_steps": n_steps,
        "neighbors_key": what.neighbors_key,
        "fingerprint": what.fingerprint(start.marks, start.of, groups, method, n_steps, what.target, rng),
    }
    result = _Result.resume(adata, key_added, record, what)
    try:
        with frozen(what.networks), tqdm(total=len(rows), disable=not progress, unit="gene") as bar:
            done = ~np.isnan(result.total[rows])
            bar.update(int(done.sum()))
            for part in batches(what, start, rows[~done], method, batch_size):
                result.add(what, how, start, part)
                bar.update(len(part))
    except BaseException:
        if not np.isnan(result.total).all():
            result.write(adata, key_added, record)
        raise
    result.write(adata, key_added, record)
    _report(adata, key_added, rows, record)
    return adata if copy else None


class _Result:
    """What has been computed so far: effects ``own`` and, in the order of the graph, ``neighbors``; ``total``."""

    def __init__(self, own: np.ndarray, neighbors: np.ndarray, total: np.ndarray, graph: Any) -> None:
        self.own, self.neighbors, self.total, self.graph = own, neighbors, total, graph

    @classmethod
    def resume(cls, adata: ad.AnnData, key: str, record: dict[str, Any], what: Explained) -> _Result:
        """Take up what an earlier call of the same kind has left, or start anew."""
        n_neighbors = 0 if what.graph is None else what.graph.index.shape[1]
        neighbors = np.zeros((adata.n_obs, n_neighbors), dtype=np.float32)
        there = key in adata.layers and k.TOTAL_EFFECT.format(key) in adata.obs
        there &= what.graph is None or k.NEIGHBOR_EFFECTS.format(key) in adata.obsp
        if there and _fingerprint(adata, key) == record["fingerprint"]:
            total = adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float, copy=True)
            if what.graph is not None:
                mask = what.graph.mask.cpu().numpy()
                gene, neighbor = np.nonzero(mask)[0], what.graph.index.cpu().numpy()[mask]
                stored = sparse.csr_matrix(adata.obsp[k.NEIGHBOR_EFFECTS.format(key)])
                neighbors[mask] = np.asarray(stored[gene, neighbor]).ravel()
            return cls(np.array(dense(adata, key)), neighbors, total, what.graph)
        own = np.full(adata.shape, np.nan, dtype=np.float32)
        return cls(own, neighbors, np.full(adata.n_obs, np.nan), what.graph)

    def add(self, what: Explained, how: Attribution, start: Reference, rows: np.ndarray) -> None:
        """Compute the effects of the genes in ``rows``."""
        batch = what.batch(rows, start)
        draws = start.draws(rows[0])
        effects = how.effects(what, batch, draws)
        total = what.values(batch, batch.x) - _expected(what, batch, draws if how.method == "gradient_shap" else None)
        self.own[rows] = effects.own.detach().cpu().numpy()
        self.neighbors[rows] = effects.neighbors.detach().cpu().numpy()
        self.total[rows] = total.cpu().numpy()

    def write(self, adata: ad.AnnData, key: str, record: dict[str, Any]) -> None:
        """Put all that has been computed into ``adata``, all of it or nothing."""
        missed = np.abs(np.nansum(self.own, axis=1) + self.neighbors.sum(axis=1) - self.total)
        missed[missed < _ROUNDING] = 0
        slots = [
            ("layers", key, self.own),
            ("obs", k.TOTAL_EFFECT.format(key), self.total),
            ("obs", k.COMPLETENESS_ERROR.format(key), missed / np.maximum(np.abs(self.total), _ROUNDING)),
            ("obsp", k.NEIGHBOR_EFFECTS.format(key), self._of_neighbors(adata.n_obs)),
        ]
        write_whole(adata, slots, records={key: record})

    def _of_neighbors(self, n_genes: int) -> Any:
        """Effects of neighbours, row = gene, column = neighbour; without a graph there are none to keep."""
        if self.graph is None:
            return ABSENT
        mask, index = self.graph.mask.cpu().numpy(), self.graph.index.cpu().numpy()
        pairs = (self.neighbors[mask], (np.nonzero(mask)[0], index[mask]))
        return sparse.csr_matrix(pairs, shape=(n_genes, n_genes))


def _fingerprint(adata: ad.AnnData, key: str) -> object:
    """Return of which networks and data the attributions that are there say they are."""
    record = adata.uns.get(key)
    return record.get("fingerprint") if isinstance(record, Mapping) else None


def _expected(what: Explained, batch: Batch, draws: np.ndarray | None) -> torch.Tensor:
    """Value at the baseline, ``(batch,)``; of several draws their mean."""
    if draws is None:
        return what.values(batch, batch.baseline)
    covariates = batch.x[:, batch.n_columns :]
    marks = (batch.x.new_tensor(draw).expand(len(covariates), -1) for draw in draws)
    return torch.stack([what.values(batch, torch.cat([own, covariates], dim=1)) for own in marks]).mean(dim=0)


def batches(what: Explained, start: Reference, rows: np.ndarray, method: str, size: int) -> Iterator[np.ndarray]:
    """Cut rows into batches of genes that lie together, so that they share neighbours, and draw from one baseline."""
    if what.graph is not None:
        place = np.empty(len(what.graph.order), dtype=int)
        place[what.graph.order.numpy()] = np.arange(len(place))
        rows = rows[np.argsort(place[rows])]
    groups = [rows]
    if method == "gradient_shap":
        groups = [rows[members] for members in pd.Series(start.of[rows]).groupby(start.of[rows]).indices.values()]
    for group in groups:
        for first in range(0, len(group), size):
            yield group[first : first + size]


def _report(adata: ad.AnnData, key: str, rows: np.ndarray, record: dict[str, Any]) -> None:
    error = adata.obs[k.COMPLETENESS_ERROR.format(key)].to_numpy(float)[rows]
    median, tail = np.quantile(error, [0.5, 0.99])
    logger.info(
        "%s: %d genes by %s, baseline %s; completeness error %.2g (median), %.2g (99 %% of genes). Wrote layers, obs "
        "and uns%s.",
        key,
        len(rows),
        record["method"],
        record["baseline"],
        median,
        tail,
        " and obsp" if record["neighbors_key"] else "",
    )
    if record["method"] in COMPLETE and (median > _MEDIAN_ERROR or tail > _TAIL_ERROR):
        mend = "use method='integrated_gradients'" if record["method"] == "deep_lift" else "raise n_steps"
        logger.warning(
            "Effects miss %.1f %% of the difference from the baseline in the median gene, and more than %.1f %% in one "
            "of a hundred (obs[%r]): %s.",
            100 * median,
            100 * tail,
            k.COMPLETENESS_ERROR.format(key),
            mend,
        )
