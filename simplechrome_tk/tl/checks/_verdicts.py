"""The single checks of attributions, each a figure, what was expected, and why."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._methods import COMPLETE
from simplechrome_tk.tl.attribution._target import choose_target
from simplechrome_tk.tl.checks._control_networks import redrawn, retrained
from simplechrome_tk.tl.checks._planted_truth import has_truth, recovered
from simplechrome_tk.tl.checks._sample import rank_correlation

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from simplechrome_tk.tl.attribution._methods import By, Method
    from simplechrome_tk.tl.checks._deletion_curves import Curves
    from simplechrome_tk.tl.checks._sample import Sample

PASSED, NOT_PASSED, NOT_TESTED = "passed", "not passed", "not tested"

ERROR, TAIL_ERROR = 0.01, 0.05  # as tl.attribute warns of
REDRAWN = 0.5  # rank correlation below: less than a quarter of the ranks' variance is left
PERMUTED = 0.25  # of the mean |effect|
AGREE, AGREE_BINS = 0.7, 0.5  # rank correlation: half, a quarter of the ranks' variance is shared; bins are noisier
BINS, PAIRS, SIGNS = 0.95, 0.9, 0.95
_N_DRAWS = 3
_METHODS: tuple[tuple[Method, By], ...] = (
    ("integrated_gradients", "bin"),
    ("gradient_shap", "bin"),
    ("occlusion", "mark"),
    ("feature_ablation", "mark"),
)

_BLOCKS = "marks in regions: rank correlation of effects"
_SINGLE_BINS = "bins: rank correlation of effects"


class Trial:
    """Figures so far: ``rows`` of verdicts, ``genes`` of single genes."""

    def __init__(
        self,
        model: SimpleChrome | torch.nn.Module,
        sample: Sample,
        *,
        batch_size: int,
        rng: int,
        training: Mapping[str, Any],
    ) -> None:
        self.model, self.sample, self.batch_size = model, sample, batch_size
        self.rng, self.training = rng, training
        self.rows: list[dict[str, Any]] = []
        self.genes: list[pd.DataFrame] = []

    def completeness(self, error: np.ndarray) -> None:
        """Judge the completeness error of all genes that have one."""
        method = self.sample.record["method"]
        if method not in COMPLETE:
            self._skip("completeness", "error of the sum of effects", f"effects of {method} do not sum to anything")
            return
        error = error[~np.isnan(error)]
        why = "effects share out the difference between the prediction and that at the baseline"
        for name, quantile, most in (("median", 0.5, ERROR), ("99 % of genes below", 0.99, TAIL_ERROR)):
            value = float(np.quantile(error, quantile))
            self._add("completeness", f"error of the sum of effects, {name}", value, "<", most, len(error), why)

    def weights(self) -> None:
        """Compare with networks whose weights were drawn anew."""
        sizes = "bins: rank correlation of |effect| with that of re-drawn weights"
        slopes = "bins: the same of |effect| per unit of signal"
        if self._cannot_redo("weights", sizes):
            return
        sample = self.sample
        counted = sample.moved != 0
        moved = np.where(counted, sample.moved, 1)
        alike, alike_slopes = [], []
        for draw in range(_N_DRAWS):
            other = sample.with_networks(redrawn(sample.what.networks, self.rng + draw))
            own, _ = sample.again(other, batch_size=self.batch_size)
            alike.append(rank_correlation(np.abs(sample.own), np.abs(own), counted=counted))
            pair = np.abs(sample.own / moved), np.abs(own / moved)
            alike_slopes.append(rank_correlation(*pair, counted=counted))
        why = "what a network has learnt is in its weights; what survives their loss shows the input alone"
        self._genes("weights", sizes, _mean(np.stack(alike)), "<", REDRAWN, why)
        self._genes("weights", slopes, _mean(np.stack(alike_slopes)), "<", REDRAWN, why)

    def labels(self, permuted: SimpleChrome | torch.nn.Module | None, *, retrain: bool) -> None:
        """Compare with a model that was trained on permuted labels."""
        size, direction = "mean |effect| of bins, times that of the model", _BLOCKS
        reason = self._no_other(permuted, retrain, "permuted")
        if reason:
            self._skip("labels", size, reason)
            return
        own, blocks = self._other(permuted, permute=True)
        ratio = float(np.abs(own).mean() / np.abs(self.sample.own).mean()) if self.sample.own.any() else np.nan
        why = "no mark tells anything about permuted labels, so that none should move their prediction"
        self._add("labels", size, ratio, "<", PERMUTED, len(self.sample.rows), why)
        mine = self.sample.of_blocks(self.sample.own)
        why = "what is left of effects is chance, and has no reason to go where the model's own go"
        self._genes("labels", direction, rank_correlation(mine, blocks), "<", REDRAWN, why)

    def seeds(self, reseeded: SimpleChrome | torch.nn.Module | None, *, retrain: bool) -> None:
        """Compare networks that were trained from different seeds."""
        sample = self.sample
        networks = sample.what.networks
        if len(networks) > 1 and reseeded is None:
            if self._cannot_redo("seeds", _BLOCKS):
                return
            maps = [sample.again(sample.with_networks([net]), batch_size=self.batch_size)[0] for net in networks]
        else:
            reason = self._no_other(reseeded, retrain, "reseeded")
            if reason:
                self._skip("seeds", _BLOCKS, reason)
                return
            maps = [sample.own, self._other(reseeded, permute=False)[0]]
        pairs = list(combinations(maps, 2))
        counted = sample.moved != 0
        blocks = [rank_correlation(sample.of_blocks(one), sample.of_blocks(other)) for one, other in pairs]
        bins = [rank_correlation(one, other, counted=counted) for one, other in pairs]
        why = "what depends on the seed of the training is not about the marks"
        self._genes("seeds", _BLOCKS, _mean(np.stack(blocks)), ">", AGREE, why)
        self._genes("seeds", _SINGLE_BINS, _mean(np.stack(bins)), ">", AGREE_BINS, why)

    def methods(self) -> None:
        """Compare with other methods of attribution."""
        sample = self.sample
        why = "methods that answer the same question in different ways should name the same marks"
        for method, by in _METHODS:
            if method == sample.record["method"]:
                continue
            quantity = f"{method.replace('_', ' ')}: rank correlation of the effects of marks"
            if (
                method == "gradient_shap"
                and len(sample.start.marks) > 1
                and (sample.start.name == "given" or sample.what.graph is not None)
            ):
                self._skip("methods", quantity, "it draws baselines at random, and each gene has one of its own here")
                continue
            own, _ = sample.again(sample.what, method=method, by=by, batch_size=self.batch_size)
            level = sample.of_marks if method == "feature_ablation" else sample.of_blocks
            self._genes("methods", quantity, rank_correlation(level(sample.own), level(own)), ">", AGREE, why)

    def order(self, drawn: Curves) -> None:
        """Judge deletion and insertion curves."""
        why = {
            "deletion": "without the bins that raise it most, the prediction falls sooner than without any others",
            "insertion": "with the bins that raise it most, the prediction rises sooner than with any others",
        }
        for curve, gain in drawn.gain.items():
            quantity = "area between the order of effects and random order"
            low, high = self.sample.interval(gain)
            reason = why[curve] if np.isfinite(low) else "an interval needs two genes, or two stretches of genes"
            self._add(curve, quantity, float(gain.mean()), ">", 0.0, len(gain), reason, low=low, high=high)
            self._note(curve, quantity, gain)

    def truth(self) -> None:
        """Judge what was planted in simulated data."""
        check = "planted truth"
        if not has_truth(self.sample.adata):
            self._skip(check, "planted columns: AUROC of mean |effect|", "the data are not simulated")
            return
        found = recovered(self.sample)
        known = f"; ridge regression on the signal of measured genes reaches {found.regression:.2f} for single columns"
        known = "" if np.isnan(found.regression) else known
        near = f"the truth is known; nearness alone reaches {found.distance:.2f}, since near neighbours act more often"
        for quantity, value, least, n, why in (
            ("planted columns: AUROC of mean |effect|", found.bins, BINS, found.n_bins, f"the truth is known{known}"),
            (
                "planted columns: AUROC of mean |effect| of nine bins around",
                found.stretches,
                BINS,
                found.n_bins,
                f"effects are planted in stretches of 1 kb and more{known}",
            ),
            ("planted columns: share of right signs", found.signs, SIGNS, found.n_bins, "the truth is known"),
            ("planted neighbour pairs: AUROC of |effect|", found.pairs, PAIRS, found.n_pairs, near),
            (
                "planted neighbour pairs: share of right signs",
                found.pair_signs,
                SIGNS,
                found.n_pairs,
                "the truth is known",
            ),
        ):
            if np.isnan(value):
                reason = (
                    "the model reads no neighbours" if self.sample.what.graph is None else "none is among the genes"
                )
                self._skip(check, quantity, reason)
            else:
                self._add(check, quantity, value, ">", least, n, why)

    def _cannot_redo(self, check: str, quantity: str) -> bool:
        """Whether the attributions cannot be computed again for other networks; says so in the table."""
        given = self.sample.record["by"] == "given"
        if given:
            self._skip(check, quantity, "the groups of columns were given by hand and are not stored")
        return given

    def _no_other(self, other: object, retrain: bool, name: str) -> str:  # noqa: FBT001
        """Say why there is no other model to compare with; nothing where there is."""
        if self.sample.record["by"] == "given":
            return "the groups of columns were given by hand and are not stored"
        if str(self.sample.record["target"]).startswith("latent:"):
            return "latents of each network have coordinates of their own"
        if other is not None:
            return ""
        if not isinstance(self.model, SimpleChrome):
            return f"a plain torch module cannot be trained here: give one as {name}="
        if self.model.settings.adapted:
            return f"an adapted model cannot be trained anew from its settings: give one as {name}="
        return "" if retrain else f"it takes a training: retrain=True, or {name}= a model trained before"

    def _other(self, other: SimpleChrome | torch.nn.Module | None, *, permute: bool) -> tuple[np.ndarray, np.ndarray]:
        """Effects of another model, trained now where none is given: of bins and of marks in regions."""
        sample = self.sample
        if other is None:
            assert isinstance(self.model, SimpleChrome)
            seed = self.rng if permute else self.model.settings.rng + self.model.settings.n_models
            other = retrained(self.model, sample.adata, permuted=permute, seed=seed, training=self.training)
        own, _ = sample.again(
            choose_target(read_inputs(sample.adata, other), other, sample.target), batch_size=self.batch_size
        )
        return own, sample.of_blocks(own)

    def _genes(self, check: str, quantity: str, values: np.ndarray, side: str, bound: float, why: str) -> None:
        """Judge the median over genes."""
        known = values[~np.isnan(values)]
        if not len(known):
            self._skip(check, quantity, "rank correlation is undefined: all effects of a gene are alike")
            return
        self._add(check, f"{quantity}, median gene", float(np.median(known)), side, bound, len(known), why)
        self._note(check, quantity, values)

    def _note(self, check: str, quantity: str, values: np.ndarray) -> None:
        table = {"check": check, "quantity": quantity, "gene": self.sample.names, "value": values}
        self.genes.append(pd.DataFrame(table))

    def _add(
        self,
        check: str,
        quantity: str,
        value: float,
        side: str,
        bound: float,
        n: int,
        why: str,
        *,
        low: float = np.nan,
        high: float = np.nan,
    ) -> None:
        judged = value if np.isnan(low) else low if side == ">" else high
        passed = judged > bound if side == ">" else judged < bound
        self.rows.append(
            {
                "check": check,
                "quantity": quantity,
                "value": value,
                "low": low,
                "high": high,
                "expected": f"{side} {bound:g}",
                "n": n,
                "verdict": PASSED if passed else NOT_PASSED,
                "reason": why,
            }
        )

    def _skip(self, check: str, quantity: str, reason: str) -> None:
        self.rows.append(
            {
                "check": check,
                "quantity": quantity,
                "value": np.nan,
                "low": np.nan,
                "high": np.nan,
                "expected": "",
                "n": 0,
                "verdict": NOT_TESTED,
                "reason": reason,
            }
        )


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    return np.divide(np.where(known, values, 0).sum(axis=0), n, out=np.full(n.shape, np.nan), where=n > 0)
