"""The change of expression between two conditions, predicted from marks and attributed to them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.write import ABSENT, check_key, to_change, write_whole
from simplechrome_tk.model._change import describe_networks
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.nn._contrast import PairNetwork
from simplechrome_tk.tl.attribution._attribute import compute
from simplechrome_tk.tl.attribution._baselines import Baselines
from simplechrome_tk.tl.attribution._fingerprint import fingerprint_genes, fingerprint_networks, fingerprint_settings
from simplechrome_tk.tl.attribution._methods import AttributionMethod
from simplechrome_tk.tl.attribution._result import Result, empty_result
from simplechrome_tk.tl.attribution._target import ExplainedTarget, describe_unit
from simplechrome_tk.tl.contrast._conditions import check_normalized_together, read_conditions
from simplechrome_tk.tl.contrast._copy_number import correct, find_stretches, warn_of_stretches
from simplechrome_tk.tl.contrast._null import false_discovery_rates, replicate_changes

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._inputs import ModelData
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.contrast._conditions import Condition

logger = logging.getLogger(__name__)


def contrast(
    adata: ad.AnnData,
    model: SimpleChrome,
    *,
    of: str,
    against: str,
    key: str = k.CELL_TYPE,
    fold: float = 2.0,
    genes: Genes = None,
    n_explained: int = 500,
    correct_copy_number: bool = False,
    n_steps: int = 50,
    batch_size: int = 512,
    key_added: str = k.CONTRAST,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    """Predict which genes change expression between two conditions, and attribute the change to marks.

    The predicted change of a gene is exactly 0 where its marks, and those of its related genes, are the same in both
    conditions, and it changes its sign when the conditions are exchanged. Attributions are integrated gradients on the
    straight path from the marks of ``against`` to those of ``of``, so that the effects of the gene's own marks and of
    its related genes sum to the predicted change. They explain the model: a mark that moves the prediction need not
    move expression.

    Parameters
    ----------
    adata
        Genes of both conditions, stacked, as for :meth:`simplechrome_tk.SimpleChrome.predict`. Where
        ``obs["sample"]`` names several samples of a condition, their mean is taken, and the changes between replicates
        of the same condition tell how large changes are without any difference between conditions.
    model
        A trained model. After :meth:`simplechrome_tk.SimpleChrome.add_contrast` it predicts changes with intervals;
        without that, the change is the difference of two predictions and has none.
    of, against
        The two conditions. A positive change means that expression is higher in ``of``.
    key
        Column of ``obs`` with the condition of each row.
    fold
        Fold change whose probability is computed, above 1.
    genes
        Genes whose change is attributed: ids, symbols or a mask ``(n_obs,)``. ``None`` takes the ``n_explained`` genes
        with the largest predicted change.
    n_explained
        Number of these genes; 0 attributes none.
    correct_copy_number
        Whether to take the change of stretches in which all marks change together out of the marks. The signal of both
        conditions is divided by a half of the ratio each, on the logarithmic scale, and normalised again with the
        constants of the data (after ``method="quantile"`` by the curve from signal to ``X`` that the sample shows).
        This needs ``layers["signal"]``. The predicted change is then what regulation adds; the measured change stays.
    n_steps
        Points of the integral.
    batch_size
        Genes that go through the networks at once.
    key_added
        Name of the result.
    progress
        Whether to show a progress bar.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes for the rows of ``of`` (of its first sample, where there are several), with
        ``key_added="contrast"``; other rows are NaN:

        ``obs["contrast_change"]``: predicted change of ``log10(expression + 0.1)``, ``of`` minus ``against``.
        ``obs["contrast_average"]``: mean of the predicted log expression in both conditions.
        ``obs["contrast_low"]``, ``obs["contrast_high"]``: bounds between which the measured change of 90 % of the
        validation genes with a similar predicted change lies.
        ``obs["contrast_up"]``, ``obs["contrast_down"]``: probability that the measured change exceeds ``fold`` upwards,
        and downwards.
        ``obs["contrast_measured"]``: measured change, where expression is known in both conditions.
        ``obs["contrast_fdr"]``: false discovery rate of a change of the marks, where both conditions have replicates.
        ``layers["contrast"]``, ``obsp["contrast_neighbors"]``, ``obs["contrast_total"]``, ``obs["contrast_error"]``,
        ``obs["contrast_inputs"]``: effects on the change, as :func:`simplechrome_tk.tl.attribute` writes them;
        functions that read attributions read these with ``key="contrast"``.
        ``uns["contrast"]``: the arguments, samples, numbers of genes and replicates, and the record of the
        attributions.
        ``uns["contrast_copy_number"]``: stretches in which all marks change in the same direction, as amplified or lost
        DNA makes them do and regulation does not: ``chrom``, ``start``, ``end`` (bp, first to last TSS), ``n_genes``,
        ``log2_ratio`` (median over marks of the genes' median log2 ratio of the signal before normalisation, ``of`` to
        ``against``, less that of all genes) and ``fdr``. They are named in a warning. Stretches of 10 Mb, chromosomes
        and their parts on both sides of the widest gap between genes are tested, where at least three marks have signal
        in ten genes, and named from a ratio of 1.25 and a rate of 5 % on. Left out without ``obs["chrom"]`` and
        ``obs["tss"]`` or with fewer than three marks.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When a condition does not exist, both are the same, they share no gene, they were normalised apart, a sample
        holds a gene twice, none of ``genes`` is in the contrast, or the data do not fit the model.

    Notes
    -----
    The null of the false discovery rate is the change that is predicted between each replicate and the mean of the
    other replicates of its condition, scaled to the number of replicates. It covers noise of the marks between
    replicates and not a difference that separates all samples of one condition from the other, such as a batch.

    Bins without peaks hold no signal in peak files, so that these show gains and losses of DNA only through the heights
    of peaks: the ratio is not the ratio of copy numbers, and a stretch of few genes can go unnoticed. Where the marks
    are all active ones, such as H3K4me3, H3K4me1 and H3K27ac, regulation of a whole domain looks the same.

    Examples
    --------
    >>> both = sct.pp.stack_cell_types({"A": raw, "B": raw[::-1].copy()})  # doctest: +SKIP
    >>> sct.tl.contrast(both, model, of="A", against="B")  # doctest: +SKIP
    >>> sct.get.contrast(both).head()  # doctest: +SKIP
    """
    check_order(adata, model, "sct.tl.contrast(adata, model, of=..., against=...)")
    require_trained(model)
    _check_numbers(fold=fold, n_explained=n_explained, n_steps=n_steps, batch_size=batch_size)
    if model.settings.task == "classification":
        msg = "the model predicts no expression; changes need a model with task='both' or 'regression'."
        raise ValueError(msg)
    adata = to_change(adata, copy=copy)
    check_key(adata, key_added, field="against")
    conditions = read_conditions(adata, key, of, against)
    check_normalized_together(adata, conditions)
    chosen = None if genes is None else _chosen(adata, conditions, genes)

    # Compute.
    stretches = find_stretches(adata, *conditions)
    corrects = correct_copy_number and stretches is not None and len(stretches) > 0
    x = correct(adata, *conditions, stretches) if corrects else dense(adata)
    predicted = _predict(model, *(condition.mean(adata, x) for condition in conditions))
    measured = [condition.measured(adata, model.settings.expression_key) for condition in conditions]
    null = _null(adata, x, model, conditions)
    table = _table(model, predicted, measured[0] - measured[1], fold, null)
    if chosen is None:
        chosen = np.sort(np.argsort(-np.abs(predicted.change), kind="stable")[:n_explained])
    explained, baselines = _explain(model, predicted, against)
    method = AttributionMethod("integrated_gradients", n_steps, batch_size, np.arange(explained.n_columns), 0)
    result = empty_result(len(predicted.change), explained)
    compute(result, explained, method, baselines, chosen, progress=progress)

    # Write.
    rows = conditions[0].rows[0]
    record = {
        **_describe(conditions, model, explained, method, baselines),
        "key": key,
        "fold": float(fold),
        "correct_copy_number": bool(correct_copy_number),
    }
    slots = [("obs", f"{key_added}_{name}", _spread(values, rows, adata.n_obs)) for name, values in table.items()]
    of_stretches = ABSENT if stretches is None else stretches
    write_whole(
        adata,
        [*slots, *_effect_slots(adata, key_added, result, explained, rows)],
        records={k.COPY_NUMBER.format(key_added): of_stretches, key_added: record},
    )
    _report(key_added, record, table["fdr"], result.errors[chosen])
    if stretches is not None:
        warn_of_stretches(stretches, of, against, corrected=correct_copy_number)
    return adata if copy else None


class _Predicted(NamedTuple):
    """Predicted changes, and both conditions as the networks read them.

    Attributes
    ----------
    of, against
        Inputs of the networks.
    described
        For each network what its contrast reads of ``against``, ``(n_genes, n_described)``.
    change
        Predicted change, in log10, ``(n_genes,)``.
    average
        Mean of both predictions, in log10, ``(n_genes,)``.
    """

    of: ModelData
    against: ModelData
    described: list[torch.Tensor]
    change: np.ndarray
    average: np.ndarray


def _check_numbers(**numbers: float) -> None:
    for name, number in numbers.items():
        least = {"fold": 1, "n_explained": -1}.get(name, 0)
        if not number > least:
            msg = f"{name} is {number}; expected a number above {least}."
            raise ValueError(msg)


def _chosen(adata: ad.AnnData, conditions: tuple[Condition, Condition], genes: Genes) -> np.ndarray:
    """Return the numbers of the genes of the contrast that are named by their row in any sample of either condition."""
    named = np.zeros(adata.n_obs, dtype=bool)
    named[gene_rows(adata, genes)] = True
    chosen = np.flatnonzero(np.any([named[condition.rows].any(axis=0) for condition in conditions], axis=0))
    if not len(chosen):
        names = " and ".join(condition.name for condition in conditions)
        msg = f"none of the {int(named.sum())} rows of genes is among the genes of {names}; name others with genes."
        raise ValueError(msg)
    return chosen


def _describe(
    conditions: tuple[Condition, Condition],
    model: SimpleChrome,
    explained: ExplainedTarget,
    method: AttributionMethod,
    baselines: Baselines,
) -> dict[str, Any]:
    """Return the record of the contrast but for its arguments, with the fields of a record of attributions."""
    one, other = conditions
    return {
        "of": one.name,
        "against": other.name,
        "samples_of": one.samples,
        "samples_against": other.samples,
        "n_genes": one.rows.shape[1],
        "method": method.name,
        "target": "change",
        "unit": explained.unit,
        "baseline": other.name,
        "by": "bin",
        "n_steps": method.n_steps,
        "neighbors_key": list(model.settings.graphs),
        "references": [],
        "fingerprint": {
            "networks": fingerprint_networks(explained),
            "settings": fingerprint_settings(method, baselines),
        },
    }


def _predict(model: SimpleChrome, of: ad.AnnData, against: ad.AnnData) -> _Predicted:
    """Predict the changes between two conditions of the same genes."""
    data, there = model.read(of), model.read(against)
    described = describe_networks(model.module, there)
    found = model.predict_change(describe_networks(model.module, data), described)
    return _Predicted(data, there, described, found.change, found.average)


def _table(
    model: SimpleChrome, predicted: _Predicted, measured: np.ndarray, fold: float, null: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return the columns that are known of every gene."""
    readout, change = model.change_readout, predicted.change
    unknown = np.full(len(change), np.nan)
    if readout is None:
        logger.warning(
            "The model has learnt no changes: the difference of its predictions is taken, without intervals. "
            "model.add_contrast(adata) predicts changes better, where expression is known in two conditions."
        )
        low = high = up = down = unknown
    else:
        low, high = readout.interval(change)
        up, down = (readout.probability_above(sign * change, np.log10(fold)) for sign in (1, -1))
    return {
        "change": change,
        "average": predicted.average,
        "low": low,
        "high": high,
        "up": up,
        "down": down,
        "measured": measured,
        "fdr": unknown if null is None else false_discovery_rates(change, null, predicted.average),
    }


def _null(
    adata: ad.AnnData, x: np.ndarray, model: SimpleChrome, conditions: tuple[Condition, Condition]
) -> np.ndarray | None:
    """Return the changes between replicates, scaled to those between conditions; ``None`` without replicates."""

    def change(condition: int, replicate: int) -> np.ndarray:
        here = conditions[condition]
        others = [number for number in range(len(here.samples)) if number != replicate]
        return _predict(model, here.mean(adata, x, [replicate]), here.mean(adata, x, others)).change

    counts = [len(condition.samples) for condition in conditions]
    return replicate_changes(counts, change, conditions[0].rows.shape[1])


def _explain(model: SimpleChrome, predicted: _Predicted, against: str) -> tuple[ExplainedTarget, Baselines]:
    """Return the change as a target of attribution, and the other condition as its baseline."""
    x, n_columns = predicted.of.x, predicted.of.layout.n_columns
    starts = np.cumsum([x.shape[1], *(described.shape[1] for described in predicted.described)])
    networks = [
        PairNetwork(net, n_inputs=x.shape[1], start=int(start))
        for net, start in zip(model.module.networks, starts, strict=False)
    ]
    scale = model.output_units["log_expression"]
    explained = ExplainedTarget(
        networks,
        lambda output: scale * output.log_expression,
        torch.cat([x, *predicted.described], dim=1),
        predicted.of.graph,
        n_columns,
        # A gene has the same reference samples in both conditions: they explain no change.
        0,
        "change",
        f"change of {describe_unit(predicted.of.adata, 'log_expression')}",
        model.settings.neighbors_key or "",
        scale,
    )
    marks = predicted.against.x[:, :n_columns].cpu().numpy()
    return explained, Baselines(against, marks, np.arange(len(marks)), [])


def _spread(values: np.ndarray, rows: np.ndarray, n_obs: int) -> np.ndarray:
    """Return values of some rows as values of all; other rows are NaN, or 0 for integers."""
    whole = np.full((n_obs, *values.shape[1:]), np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    whole[rows] = values
    return whole


def _effect_slots(
    adata: ad.AnnData, key: str, result: Result, explained: ExplainedTarget, rows: np.ndarray
) -> list[tuple[str, str, Any]]:
    """Return what `tl.attribute` would write, for the rows of one condition."""
    fingerprints = np.zeros(len(rows), dtype=np.int64)
    computed = np.flatnonzero(result.computed)
    if len(computed):
        fingerprints[computed] = fingerprint_genes(explained, computed)
    neighbors: Any = ABSENT
    if explained.graph is not None:
        effects = result.neighbor_matrix(len(rows)).tocoo()
        neighbors = sparse.csr_matrix(
            (effects.data, (rows[effects.row], rows[effects.col])), shape=(adata.n_obs, adata.n_obs)
        )
    of_genes = {
        k.TOTAL_EFFECT: result.total,
        k.COMPLETENESS_ERROR: result.errors,
        k.INPUT_FINGERPRINT: fingerprints,
    }
    return [
        ("layers", key, _spread(result.own, rows, adata.n_obs)),
        *(("obs", slot.format(key), _spread(values, rows, adata.n_obs)) for slot, values in of_genes.items()),
        ("obsp", k.NEIGHBOR_EFFECTS.format(key), neighbors),
        ("obsm", k.REFERENCE_EFFECTS.format(key), ABSENT),
    ]


def _report(key: str, record: dict[str, Any], fdr: np.ndarray, errors: np.ndarray) -> None:
    """Log what was found, and what the data cannot say."""
    error = f"{np.median(errors):.2g}" if len(errors) else "none computed"
    logger.info(
        "%s: %s against %s, %d genes; median completeness error of %d attributed genes %s.",
        key,
        record["of"],
        record["against"],
        record["n_genes"],
        len(errors),
        error,
    )
    if np.isnan(fdr).all():
        logger.warning(
            "%s has %d sample and %s %d: without replicates of both conditions there is no false discovery rate. The "
            "predicted changes order genes, and do not say which of them are beyond chance.",
            record["of"],
            len(record["samples_of"]),
            record["against"],
            len(record["samples_against"]),
        )
    else:
        logger.info("%d genes change at a false discovery rate of 5 %%.", int((fdr <= 0.05).sum()))
