"""The single checks of attributions: each returns its verdicts."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.attribution._methods import COMPLETE
from simplechrome_tk.tl.checks._control_networks import randomize_weights, train_control
from simplechrome_tk.tl.checks._sample import rank_correlation
from simplechrome_tk.tl.checks._simulated_truth import is_simulated, score_columns, score_pairs
from simplechrome_tk.tl.checks._verdicts import Expected, NotTestedError, Verdict, judge_genes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from simplechrome_tk.tl.attribution._methods import By, Method
    from simplechrome_tk.tl.checks._deletion_curves import Curves
    from simplechrome_tk.tl.checks._sample import Sample

# Completeness error as a fraction of the difference from the baseline, of the median gene and of 99 % of genes; beyond
# these `tl.attribute` warns.
_SMALL_ERROR, _SMALL_TAIL_ERROR = Expected("<", 0.01), Expected("<", 0.05)
# Spearman's rank correlation with a network that should explain otherwise: its square, the share of the variance of
# ranks that both have in common, is below a quarter.
_DIFFERENT = Expected("<", 0.5)
# Mean |effect| after training on permuted labels, as a fraction of the model's own.
_SMALL_EFFECT = Expected("<", 0.25)
# Spearman's rank correlation with networks and methods that should explain in the same way: half of the variance of
# ranks in common, and a quarter for single bins, which are noisier.
_SAME, _SAME_BINS = Expected(">", 0.7), Expected(">", 0.5)
# AUROC of columns and of pairs with a simulated effect, and share of right signs: nearly all are found. Chosen by this
# project; two networks trained on 20,000 simulated genes reach .79, .95 and .99 (benchmarks/results/attributions.csv).
_COLUMNS_FOUND, _PAIRS_FOUND, _SIGNS_RIGHT = Expected(">", 0.95), Expected(">", 0.9), Expected(">", 0.95)

_N_RANDOM_NETWORKS = 3
_METHODS: tuple[tuple[Method, By], ...] = (
    ("integrated_gradients", "bin"),
    ("gradient_shap", "bin"),
    ("occlusion", "mark"),
    ("feature_ablation", "mark"),
)

COMPLETENESS_ERROR = "error of the sum of effects"
RANDOM_WEIGHTS = "bins: rank correlation of |effect| with that of random weights"
BLOCKS = "marks in regions: rank correlation of effects"
PERMUTED_SIZE = "mean |effect| of bins, times that of the model"
SIMULATED_COLUMNS = "columns with a simulated effect: AUROC of mean |effect|"


def check_completeness(sample: Sample, error: np.ndarray) -> list[Verdict]:
    """Judge the completeness error of all genes ``(n,)``, NaN for those without attributions."""
    method = sample.record["method"]
    if method not in COMPLETE:
        msg = f"effects of {method} do not sum to anything"
        raise NotTestedError(msg)
    error = error[~np.isnan(error)]
    reason = "effects share out the difference between the prediction and that at the baseline"
    return [
        Verdict(
            "completeness",
            f"{COMPLETENESS_ERROR}, {name}",
            reason,
            float(np.quantile(error, quantile)),
            expected,
            len(error),
        )
        for name, quantile, expected in (
            ("median", 0.5, _SMALL_ERROR),
            ("99 % of genes below", 0.99, _SMALL_TAIL_ERROR),
        )
    ]


def check_weights(sample: Sample, rng: int) -> list[Verdict]:
    """Compare with networks of random weights."""
    _require_repeatable(sample)
    differs = sample.difference != 0
    difference = np.where(differs, sample.difference, 1)
    sizes, slopes = [], []
    for draw in range(_N_RANDOM_NETWORKS):
        own = sample.attribute_with(randomize_weights(sample.explained.networks, rng + draw))
        sizes.append(rank_correlation(np.abs(sample.own), np.abs(own), where=differs))
        slope, own_slope = np.abs(sample.own / difference), np.abs(own / difference)
        slopes.append(rank_correlation(slope, own_slope, where=differs))
    reason = "what a network has learnt is in its weights; what survives without them shows the input alone"
    per_signal = "bins: the same for |effect| per unit of signal"
    return [
        judge_genes("weights", RANDOM_WEIGHTS, _mean_of_known(sizes), _DIFFERENT, reason),
        judge_genes("weights", per_signal, _mean_of_known(slopes), _DIFFERENT, reason),
    ]


def check_labels(
    sample: Sample,
    model: SimpleChrome | torch.nn.Module,
    permuted: SimpleChrome | torch.nn.Module | None,
    *,
    retrain: bool,
    training: Mapping[str, Any],
    rng: int,
) -> list[Verdict]:
    """Compare with a model that was trained on permuted labels."""
    _require_comparable(sample)
    if permuted is None:
        trainable = _require_trainable(model, "permuted", retrain=retrain)
        permuted = train_control(trainable, sample.adata, permute=True, seed=rng, training=training)
    own = sample.attribute_model(permuted)
    ratio = float(np.abs(own).mean() / np.abs(sample.own).mean()) if sample.own.any() else np.nan
    reason = "no mark says anything about permuted labels, so that none should change their prediction"
    size = Verdict("labels", PERMUTED_SIZE, reason, ratio, _SMALL_EFFECT, len(sample.rows))
    correlation = rank_correlation(*map(sample.layout.block_sums, (sample.own, own)))
    reason = "effects that are left are chance, and have no reason to resemble those of the model"
    return [size, judge_genes("labels", BLOCKS, correlation, _DIFFERENT, reason)]


def check_seeds(
    sample: Sample,
    model: SimpleChrome | torch.nn.Module,
    reseeded: SimpleChrome | torch.nn.Module | None,
    *,
    retrain: bool,
    training: Mapping[str, Any],
) -> list[Verdict]:
    """Compare networks that were trained from different seeds."""
    networks = sample.explained.networks
    if len(networks) > 1 and reseeded is None:
        _require_repeatable(sample)
        effects = [sample.attribute_with([net]) for net in networks]
    else:
        _require_comparable(sample)
        if reseeded is None:
            trainable = _require_trainable(model, "reseeded", retrain=retrain)
            seed = trainable.settings.rng + trainable.settings.n_models
            reseeded = train_control(trainable, sample.adata, permute=False, seed=seed, training=training)
        effects = [sample.own, sample.attribute_model(reseeded)]
    pairs = list(combinations(effects, 2))
    differs = sample.difference != 0
    blocks = [rank_correlation(*map(sample.layout.block_sums, pair)) for pair in pairs]
    bins = [rank_correlation(*pair, where=differs) for pair in pairs]
    reason = "what depends on the seed of the training is not about the marks"
    return [
        judge_genes("seeds", BLOCKS, _mean_of_known(blocks), _SAME, reason),
        judge_genes("seeds", "bins: rank correlation of effects", _mean_of_known(bins), _SAME_BINS, reason),
    ]


def check_methods(sample: Sample) -> list[Verdict]:
    """Compare with other methods of attribution."""
    reason = "methods that answer the same question in different ways should name the same marks"
    own_baselines = len(sample.baselines.marks) > 1 and (
        sample.baselines.name == "given" or sample.explained.graph is not None
    )
    verdicts = []
    for method, by in _METHODS:
        quantity = f"{method.replace('_', ' ')}: rank correlation of the effects of marks"
        if method == sample.record["method"]:
            continue
        if method == "gradient_shap" and own_baselines:
            why_not = "it draws baselines at random, and each gene has its own baseline here"
            verdicts.append(Verdict("methods", quantity, why_not))
            continue
        own, _ = sample.attribute(sample.explained, method=method, by=by)
        sum_effects = sample.sum_marks if method == "feature_ablation" else sample.layout.block_sums
        correlation = rank_correlation(sum_effects(sample.own), sum_effects(own))
        verdicts.append(judge_genes("methods", quantity, correlation, _SAME, reason))
    return verdicts


def check_order(sample: Sample, curves: Curves) -> list[Verdict]:
    """Judge deletion and insertion curves."""
    reasons = {
        "deletion": "without the bins that raise it most, the prediction falls sooner than without any others",
        "insertion": "with the bins that raise it most, the prediction rises sooner than with any others",
    }
    quantity = "area between the order of effects and random order"
    verdicts = []
    for curve, gain in curves.gain.items():
        interval = sample.interval(gain)
        reason = reasons[curve]
        if np.isnan(interval[0]):
            reason = "an interval needs two genes, or two groups of genes that lie together"
        verdicts.append(
            Verdict(
                curve,
                quantity,
                reason,
                float(gain.mean()),
                Expected(">", 0.0),
                len(gain),
                interval,
                genes=gain,
                gene_quantity=quantity,
            )
        )
    return verdicts


def check_truth(sample: Sample) -> list[Verdict]:
    """Judge what the attributions find of the effects of simulated data."""
    if not is_simulated(sample.adata):
        msg = "the data are not simulated"
        raise NotTestedError(msg)
    columns, pairs = score_columns(sample), score_pairs(sample)
    known, regression = "the truth is known", ""
    if not np.isnan(columns.regression):
        regression = (
            f"; ridge regression on the signal of measured genes reaches {columns.regression:.2f} for single columns"
        )
    graphs = "".join(f"; {what} alone reaches {value:.2f}" for what, value in pairs.alone.items())
    in_stretches = f"effects are simulated in stretches of 1 kb and more{regression}"
    why_no_columns = "no column has a simulated effect"
    why_no_pairs = (
        "the model reads no neighbours" if sample.explained.graph is None else "no such pair is among the genes"
    )
    figures = (
        (SIMULATED_COLUMNS, columns.single, _COLUMNS_FOUND, f"{known}{regression}"),
        (f"{SIMULATED_COLUMNS} of nine bins around", columns.smoothed, _COLUMNS_FOUND, in_stretches),
        ("columns with a simulated effect: share of right signs", columns.signs, _SIGNS_RIGHT, known),
    )
    pair_figures = (
        ("pairs with a simulated effect: AUROC of |effect|", pairs.size, _PAIRS_FOUND, f"{known}{graphs}"),
        ("pairs with a simulated effect: share of right signs", pairs.signs, _SIGNS_RIGHT, known),
    )
    return [
        *(_judge_truth(*figure, columns.n, why_no_columns) for figure in figures),
        *(_judge_truth(*figure, pairs.n, why_no_pairs) for figure in pair_figures),
    ]


def _judge_truth(quantity: str, value: float, expected: Expected, reason: str, n: int, why_not: str) -> Verdict:
    if np.isnan(value):
        return Verdict("simulated truth", quantity, why_not)
    return Verdict("simulated truth", quantity, reason, value, expected, n)


def _require_repeatable(sample: Sample) -> None:
    """Raise ``NotTestedError`` when the attributions cannot be computed again with other networks."""
    if sample.record["by"] == "given":
        msg = "the groups of columns were given by hand and are not stored"
        raise NotTestedError(msg)


def _require_comparable(sample: Sample) -> None:
    """Raise ``NotTestedError`` when the attributions cannot be compared with those of another model."""
    _require_repeatable(sample)
    if str(sample.record["target"]).startswith("latent:"):
        msg = "latents of each network have coordinates of their own"
        raise NotTestedError(msg)


def _require_trainable(model: SimpleChrome | torch.nn.Module, argument: str, *, retrain: bool) -> SimpleChrome:
    """Return the model, or raise ``NotTestedError`` when no model like it can or should be trained.

    ``argument`` is the argument of the tool that takes such a model.
    """
    if not isinstance(model, SimpleChrome):
        msg = f"a plain torch module cannot be trained here: give one as {argument}="
        raise NotTestedError(msg)
    if model.settings.adapted:
        msg = f"an adapted model cannot be trained again from its settings: give one as {argument}="
        raise NotTestedError(msg)
    if not retrain:
        msg = f"it needs another training: retrain=True, or {argument}= a model trained before"
        raise NotTestedError(msg)
    return model


def _mean_of_known(values: list[np.ndarray]) -> np.ndarray:
    """Return the mean of several values of each gene, ``(n_genes,)``, over those that are known; NaN without any."""
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    n = known.sum(axis=0)
    return np.divide(np.where(known, stacked, 0).sum(axis=0), n, out=np.full(n.shape, np.nan), where=n > 0)
