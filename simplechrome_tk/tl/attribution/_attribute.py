"""Attribution of a model's predictions to the marks of each gene and of its neighbours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.write import check_key, to_change
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._fingerprint import fingerprint_networks, fingerprint_settings
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._methods import COMPLETE, AttributionMethod, check_method, group_columns
from simplechrome_tk.tl.attribution._result import resume_result
from simplechrome_tk.tl.attribution._target import choose_target, freeze_networks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.tl.attribution._baselines import Baseline, Baselines
    from simplechrome_tk.tl.attribution._methods import By, Method
    from simplechrome_tk.tl.attribution._readout import TargetFunction
    from simplechrome_tk.tl.attribution._result import Result
    from simplechrome_tk.tl.attribution._target import Batch, ExplainedTarget

logger = logging.getLogger(__name__)

_N_PROBES = 64
"""Genes whose values tell one function as target from another."""
_LARGE_BATCH = 8
"""Times the usual size that a batch has whose genes share their neighbours."""
_MEDIAN_ERROR, _TAIL_ERROR = 0.01, 0.05
"""Completeness errors of the median gene and of one gene in a hundred above which the log warns."""


def attribute(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module,
    *,
    genes: Genes = None,
    method: Method = "integrated_gradients",
    target: str | TargetFunction = "logit",
    baseline: Baseline | np.ndarray = "zero",
    by: By | np.ndarray = "bin",
    n_steps: int = 50,
    batch_size: int = 512,
    key_added: str = k.ATTRIBUTION,
    rng: int = 0,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    """Attribute predictions to each bin of the gene's own marks, to each related gene, and to each reference sample.

    An effect says by how much the signal of a bin, the marks of a related gene taken together, or the expression of the
    gene in a reference sample moves the prediction of a gene away from the prediction for the baseline. The three kinds
    of effects of a complete method sum to the whole difference. Effects describe the model: what moves the prediction
    need not move expression in a cell. The length of a gene is no mark and is never replaced.

    A call that was interrupted keeps what it has computed; the same call continues from there, and calls for other
    genes add to it. Another model, method or baseline starts again, and genes whose marks or neighbours have changed
    since are dropped.

    Parameters
    ----------
    adata
        Genes as for :meth:`simplechrome_tk.SimpleChrome.predict`. A model with neighbours needs all genes here, even if
        ``genes`` names a few.
    model
        A trained model, or any ``torch`` module that maps ``X`` ``(batch, n_columns)`` to
        :class:`simplechrome_tk.nn.Output` or to one value for each gene.
    genes
        Ids, symbols or a mask ``(n_genes,)`` of the genes to explain; ``None`` explains all.
    method
        ``"integrated_gradients"`` (Sundararajan et al. 2017): the effects sum to the difference from the baseline.
        ``"gradient_shap"`` (Lundberg and Lee 2017): the same for baselines drawn at random. ``"deep_lift"`` (Shrikumar
        et al. 2017): one pass, for networks whose layers Captum has rules for (``preset="paper"``).
        ``"occlusion"``: the change of the prediction when a bin, a mark in a region or a region is replaced by the
        baseline, shared equally among its bins. ``"feature_ablation"``: the same for groups of columns. The effects of
        the last two methods do not sum to the difference from the baseline.
    target
        ``"logit"``, the log-odds that the gene is high; ``"log_expression"``, ``log10(expression + 0.1)``;
        ``"latent:3"``, a dimension of the latent, which depends on the gene's own marks alone; or a function from the
        output of the networks to ``(batch,)``.
    baseline
        The marks that a gene is compared with. ``"zero"``: no signal of any mark. ``"low"``: the median of the low
        genes of the cell type, bin by bin. ``"matched"``: the mean of the genes of the same cell type and, if a window
        reads the body of the gene, of the same tenth of length. An array holds normalised marks, ``(n_columns,)`` or
        ``(n_genes, n_columns)``. Each neighbour is compared with its own baseline. Reference samples are always
        compared with the average gene, whose expression is the mean over the training genes and the samples.
    by
        What ``"occlusion"`` replaces at once: ``"bin"``, ``"mark"`` (in one region) or ``"region"`` (all its marks).
        ``"feature_ablation"`` also takes a number for each column, ``(n_columns,)``; ``"mark"`` then is a mark in all
        regions.
    n_steps
        Points of the integral, or draws of ``"gradient_shap"``.
    batch_size
        Genes that go through the networks at once. The memory beyond the result grows with ``batch_size`` and not with
        the number of genes.
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
        ``obsm["attribution_reference"]``: effect of the gene's expression in each reference sample, float32, NaN as
        above; for models with ``reference_key``. ``"occlusion"`` and ``"feature_ablation"`` replace all samples at
        once, which share the effect.
        ``obs["attribution_total"]``: the prediction less that at the baseline, which is the sum of complete effects.
        ``obs["attribution_error"]``: completeness error, the part of the total that the sum of the effects misses, as a
        fraction.
        ``obs["attribution_inputs"]``: fingerprint of the marks and neighbours that were read, an integer; 0 for genes
        not explained.
        ``uns["attribution"]``: ``method``, ``target``, ``unit``, ``baseline``, ``by``, ``n_steps``,
        ``neighbors_key``, ``references`` (names of the reference samples) and ``fingerprint``, that of the
        ``networks`` and that of the ``settings``.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the data or the graph do not fit the model, a gene is unknown, the network has layers that the method has
        no rule for, or the baseline has another shape.

    Examples
    --------
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
    # Read. Everything that can be wrong with the data is found here, before the long computation begins.
    data = read_inputs(adata, model)
    explained = choose_target(data, model, target)
    check_method(method, explained)
    rows = gene_rows(adata, genes)
    baselines = make_baselines(data, baseline)
    if method == "gradient_shap":
        _check_draws(explained, baselines)
    settings = AttributionMethod(method, n_steps, batch_size, group_columns(data.layout, method, by), rng)
    record = {
        "method": method,
        "target": explained.name,
        "unit": explained.unit,
        "baseline": baselines.name,
        "by": by if isinstance(by, str) else "given",
        "n_steps": n_steps,
        "neighbors_key": _to_record(explained.neighbors_key),
        "references": list(_references(model)) if explained.n_reference else [],
        "fingerprint": {
            "networks": fingerprint_networks(explained, _probe(explained, baselines) if callable(target) else None),
            "settings": fingerprint_settings(settings, baselines),
        },
    }
    result = resume_result(adata, key_added, record, explained)
    # Compute and write. What an interrupted call has computed is kept.
    try:
        compute(result, explained, settings, baselines, rows, progress=progress)
    except BaseException:
        if result.computed.any():
            result.write(adata, key_added, record, explained)
        raise
    result.write(adata, key_added, record, explained)
    _report(result.errors[rows], key_added, record)
    return adata if copy else None


def _to_record(neighbors_key: str | Sequence[str]) -> str | list[str]:
    """Return a ``neighbors_key`` as files can store it: several names as a list."""
    return neighbors_key if isinstance(neighbors_key, str) else list(neighbors_key)


def _references(model: SimpleChrome | torch.nn.Module) -> tuple[str, ...]:
    """Return the names of the reference samples that a model reads."""
    return model.settings.references if isinstance(model, SimpleChrome) else ()


def _probe(explained: ExplainedTarget, baselines: Baselines) -> np.ndarray:
    """Return the explained values of the first genes, ``(n_probes,)``."""
    with freeze_networks(explained.networks):
        batch = explained.gather(np.arange(min(_N_PROBES, len(explained.x))), baselines)
        return explained.predict(batch, batch.x).cpu().numpy()


def _check_draws(explained: ExplainedTarget, baselines: Baselines) -> None:
    """Raise ``ValueError`` when genes, or a gene and its neighbours, would draw from different baselines.

    Captum draws from one distribution for all genes of a batch and all their inputs.
    """
    if len(baselines.marks) == 1 or (baselines.name != "given" and explained.graph is None):
        return
    others = "" if explained.graph is None else " and its neighbours"
    msg = (
        f"method='gradient_shap' draws baselines at random; baseline={baselines.name!r} is another one for each gene"
        f"{others}: use baseline='zero', or method='integrated_gradients'."
    )
    raise ValueError(msg)


def compute(
    result: Result,
    explained: ExplainedTarget,
    method: AttributionMethod,
    baselines: Baselines,
    rows: np.ndarray,
    *,
    progress: bool,
) -> None:
    """Compute the genes in ``rows`` that the result does not have yet, batch by batch."""
    done = result.computed[rows]
    with freeze_networks(explained.networks), tqdm(total=len(rows), disable=not progress, unit="gene") as bar:
        bar.update(int(done.sum()))
        size = method.batch_size
        if explained.graph is not None and method.name == "integrated_gradients":
            # Related genes lie anywhere: nearly all genes are needed for every batch. A large batch encodes them less
            # often, and its gradients are computed in parts of the usual size.
            size *= _LARGE_BATCH
        for part in split_into_batches(explained, baselines, rows[~done], method.name, size):
            compute_batch(result, explained, method, baselines, part)
            bar.update(len(part))


def compute_batch(
    result: Result, explained: ExplainedTarget, method: AttributionMethod, baselines: Baselines, rows: np.ndarray
) -> None:
    """Compute the genes in ``rows`` together."""
    batch = explained.gather(rows, baselines)
    # All genes of a batch have one baseline, or none is drawn: the pool of the first gene is that of all.
    pool = baselines.select_pool(rows[0])
    effects = method.compute_effects(explained, batch, pool)
    expected = _predict_baseline(explained, batch, pool if method.name == "gradient_shap" else None)
    total = explained.predict(batch, batch.x) - expected
    result.own[rows] = effects.own.detach().cpu().numpy()
    result.reference[rows] = effects.reference.detach().cpu().numpy()
    result.neighbors[rows] = effects.neighbors.detach().cpu().numpy()
    result.total[rows] = total.cpu().numpy()


def _predict_baseline(explained: ExplainedTarget, batch: Batch, pool: np.ndarray | None) -> torch.Tensor:
    """Return the explained value at the baseline, ``(batch,)``; the mean over a pool of baselines, if there is one."""
    if pool is None:
        return explained.predict(batch, batch.baseline)
    covariates = batch.x[:, batch.n_explained :]
    # The covariates, such as the length of the gene, are never replaced.
    marks = (baseline.expand(len(covariates), -1) for baseline in batch.add_reference(pool))
    return torch.stack([explained.predict(batch, torch.cat([own, covariates], dim=1)) for own in marks]).mean(dim=0)


def split_into_batches(
    explained: ExplainedTarget, baselines: Baselines, rows: np.ndarray, method: str, size: int
) -> Iterator[np.ndarray]:
    """Split rows into batches of genes that share neighbours, and for ``"gradient_shap"`` a baseline."""
    if explained.graph is not None:
        # In the order of the graph, genes that are neighbours lie together, and each is encoded for few batches.
        position = np.empty(len(explained.graph.order), dtype=int)
        position[explained.graph.order.numpy()] = np.arange(len(position))
        rows = rows[np.argsort(position[rows])]
    groups = [rows]
    if method == "gradient_shap":
        # Captum draws from one pool for a whole batch, so that its genes must have the same baseline.
        number = baselines.row_of_gene[rows]
        groups = [rows[members] for members in pd.Series(number).groupby(number).indices.values()]
    for group in groups:
        for first in range(0, len(group), size):
            yield group[first : first + size]


def _report(errors: np.ndarray, key: str, record: Mapping[str, Any]) -> None:
    """Log what was written, and warn where the effects miss too much of the difference from the baseline."""
    # The tail shows single genes for which the integral has too few points.
    median, tail = np.quantile(errors, [0.5, 0.99])
    with_neighbors, with_reference = (len(record[name]) > 0 for name in ("neighbors_key", "references"))
    logger.info(
        "%s: %d genes by %s, baseline %s; completeness error %.2g (median), %.2g (99 %% of genes). Wrote %s.",
        key,
        len(errors),
        record["method"],
        record["baseline"],
        median,
        tail,
        ", ".join(
            ["layers", "obs", *(["obsp"] if with_neighbors else []), *(["obsm"] if with_reference else []), "uns"]
        ),
    )
    if record["method"] in COMPLETE and (median > _MEDIAN_ERROR or tail > _TAIL_ERROR):
        fix = "use method='integrated_gradients'" if record["method"] == "deep_lift" else "raise n_steps"
        logger.warning(
            "The effects miss %.1f %% of the difference from the baseline in the median gene, and more than %.1f %% in "
            "one gene of a hundred (obs[%r]): %s.",
            100 * median,
            100 * tail,
            k.COMPLETENESS_ERROR.format(key),
            fix,
        )
