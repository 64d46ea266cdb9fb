"""From a network's output to probabilities and expression with intervals, learnt from validation genes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simplechrome_tk.nn import Output

logger = logging.getLogger(__name__)

COVERAGE = 0.9
_N_STRATA = 10
_N_LOGITS = 200
_MIN_GENES = 50  # fewer say too little, and predictions stay as the network gives them


@dataclass(frozen=True)
class ProbabilityCalibration:
    """From the network's logit to a probability with an interval.

    The probability is a logistic function of the logit with two constants (Platt 1999), so that the order of genes
    stays. The interval is that of inductive Venn-Abers prediction (Vovk and Petej 2014): isotonic regression on the
    calibration genes and the gene itself, called low and called high. It widens where calibration genes are few. It is
    kept for a grid of logits, each with the bounds of the nearest.
    """

    slope: float
    shift: float
    logits: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    @classmethod
    def fit(cls, logit: np.ndarray, label: np.ndarray) -> ProbabilityCalibration | None:
        """Learn from logits and labels (0, 1) of calibration genes, shape ``(n,)`` each; ``None`` if they are few."""
        if len(logit) < _MIN_GENES:
            return None
        line = LogisticRegression(C=np.inf).fit(logit[:, None], label)
        order = np.argsort(logit, kind="stable")
        logit, label = logit[order], label[order]
        grid = np.unique(np.quantile(logit, np.linspace(0, 1, _N_LOGITS)))
        low, high = ([_isotonic_at(logit, label, at, assumed) for at in grid] for assumed in (0.0, 1.0))
        return cls(float(line.coef_[0, 0]), float(line.intercept_[0]), grid.tolist(), low, high)

    def apply(self, logit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return probability, lower and upper bound, shape ``(n,)`` each."""
        probability = expit(self.slope * logit + self.shift)
        grid = np.asarray(self.logits)
        nearest = np.searchsorted((grid[1:] + grid[:-1]) / 2, logit)
        low, high = np.asarray(self.low)[nearest], np.asarray(self.high)[nearest]
        return probability, np.minimum(low, probability), np.maximum(high, probability)


@dataclass(frozen=True)
class ExpressionCalibration:
    """An interval around predicted expression that holds 90 % of calibration genes of like predictions.

    Split conformal prediction within strata of predicted expression (Mondrian; Vovk et al. 2005), each side on its
    own.
    """

    edges: Sequence[float]
    below: Sequence[float]
    above: Sequence[float]

    @classmethod
    def fit(cls, predicted: np.ndarray, measured: np.ndarray) -> ExpressionCalibration | None:
        """Learn from calibration genes, shape ``(n,)`` each; ``None`` if they are few."""
        if len(predicted) < _MIN_GENES:
            return None
        edges = np.quantile(predicted, np.linspace(0, 1, min(_N_STRATA, len(predicted) // _MIN_GENES) + 1))[1:-1]
        stratum = np.searchsorted(edges, predicted)
        strata = [np.sort((measured - predicted)[stratum == i]) for i in range(len(edges) + 1)]
        tail = (1 - COVERAGE) / 2
        ranks = [int(tail * (len(error) + 1)) for error in strata]
        below = [float(-error[rank - 1]) for error, rank in zip(strata, ranks, strict=True)]
        above = [float(error[-rank]) for error, rank in zip(strata, ranks, strict=True)]
        return cls(edges.tolist(), below, above)

    def apply(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper bound, shape ``(n,)`` each."""
        stratum = np.searchsorted(np.asarray(self.edges), predicted)
        return predicted - np.asarray(self.below)[stratum], predicted + np.asarray(self.above)[stratum]


@dataclass(frozen=True)
class Readout:
    """What a network's output means: units of expression, and the calibrations that could be had.

    ``center`` and ``scale`` are mean and standard deviation of ``log10(expression + 0.1)`` over the training genes.
    """

    center: float = 0.0
    scale: float = 1.0
    probability: ProbabilityCalibration | None = None
    expression: ExpressionCalibration | None = None

    @classmethod
    def fit(cls, output: Output, label: np.ndarray, measured: np.ndarray, *, center: float, scale: float) -> Readout:
        """Learn from calibration genes: what the network says of them, and label and expression, NaN where unknown."""
        logit, expression = output.logit.cpu().numpy(), output.expression.cpu().numpy() * scale + center
        labelled, known = ~np.isnan(label), ~np.isnan(measured)
        few = [
            f"{what} ({count})"
            for what, count in (("label", labelled.sum()), ("expression", known.sum()))
            if 0 < count < _MIN_GENES
        ]
        if few:
            logger.warning(
                "Too few genes to calibrate by have a %s; at least %d are needed. There will be no intervals.",
                " or ".join(few),
                _MIN_GENES,
            )
        return cls(
            center,
            scale,
            ProbabilityCalibration.fit(logit[labelled], label[labelled]),
            ExpressionCalibration.fit(expression[known], measured[known]),
        )

    def log_odds(self, output: Output) -> np.ndarray:
        """Return the logit of the probability that :meth:`read` gives, where that is 1 to float precision as well."""
        logit = output.logit.cpu().numpy()
        return logit if self.probability is None else self.probability.slope * logit + self.probability.shift

    def read(self, output: Output) -> dict[str, np.ndarray]:
        """Return the columns of a prediction, shape ``(n_genes,)`` each; intervals are NaN without a calibration."""
        logit, expression = output.logit.cpu().numpy(), output.expression.cpu().numpy() * self.scale + self.center
        unknown = np.full(len(logit), np.nan)
        if self.probability is None:
            probability, low, high = expit(logit), unknown, unknown
        else:
            probability, low, high = self.probability.apply(logit)
        bounds = (unknown, unknown) if self.expression is None else self.expression.apply(expression)
        return {
            "probability": probability,
            "probability_low": low,
            "probability_high": high,
            "expression": expression,
            "expression_low": bounds[0],
            "expression_high": bounds[1],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Readout:
        """Rebuild what :func:`dataclasses.asdict` took apart."""
        probability, expression = config["probability"], config["expression"]
        return cls(
            config["center"],
            config["scale"],
            None if probability is None else ProbabilityCalibration(**probability),
            None if expression is None else ExpressionCalibration(**expression),
        )


def _isotonic_at(logit: np.ndarray, label: np.ndarray, at: float, assumed: float) -> float:
    """Isotonic regression of sorted calibration genes and one more at ``at`` with an assumed label, read there."""
    place = np.searchsorted(logit, at, side="left" if assumed else "right")
    return float(isotonic_regression(np.insert(label, place, assumed))[place])
