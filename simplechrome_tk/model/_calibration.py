"""From a network's output to probabilities and expression with intervals, learnt from validation genes."""

from __future__ import annotations

import dataclasses
import logging
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression

from simplechrome_tk.core.values import above_zero, fields, finite_array, number
from simplechrome_tk.nn._adapt import logistic_regression

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simplechrome_tk.nn import Output

logger = logging.getLogger(__name__)

COVERAGE = 0.9
_N_STRATA = 10
_N_LOGITS = 200
_MIN_GENES = 50  # fewer say too little, and predictions stay as the network gives them, or as calibrated before
_ROUNDING = 1e-6
_FREEDOM = 0.1  # of slope and shift that were calibrated before: changing them costs 1 / freedom**2 as much


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
    def fit(
        cls, logit: np.ndarray, label: np.ndarray, *, before: ProbabilityCalibration | None = None
    ) -> ProbabilityCalibration | None:
        """Learn from logits and labels (0, 1) of calibration genes, shape ``(n,)`` each.

        What was learnt ``before`` stays if they are few; of more its line is where the new one starts from.
        """
        if len(logit) < _MIN_GENES:
            return before
        if before is None:
            line = LogisticRegression(C=np.inf).fit(logit[:, None], label)
            slope, shift = line.coef_[0, 0], line.intercept_[0]
        else:
            columns = _FREEDOM * np.column_stack([logit, np.ones(len(logit))]).astype(float)
            slope, shift = _FREEDOM * logistic_regression(columns, label, before.slope * logit + before.shift)
            slope, shift = before.slope + slope, before.shift + shift
        order = np.argsort(logit, kind="stable")
        logit, label = logit[order], label[order]
        grid = np.unique(np.quantile(logit, np.linspace(0, 1, _N_LOGITS)))
        low, high = ([_isotonic_at(logit, label, at, assumed) for at in grid] for assumed in (0.0, 1.0))
        return cls(float(slope), float(shift), grid.tolist(), low, high)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ProbabilityCalibration:
        """Rebuild what was saved; one bound of each kind for each logit, from 0 to 1, and logits that rise."""
        name = "the readout of the probability"
        found = fields(name, config, required=[field.name for field in dataclasses.fields(cls)])
        logits = finite_array(f"logits in {name}", found["logits"], shape=(None,))
        if not len(logits) or not (np.diff(logits) > 0).all():
            msg = f"logits in {name} are {reprlib.repr(found['logits'])}; expected one at least, in rising order."
            raise ValueError(msg)
        for key in ("low", "high"):
            bounds = finite_array(f"{key} in {name}", found[key], shape=logits.shape)
            if bounds.min() < -_ROUNDING or bounds.max() > 1 + _ROUNDING:
                msg = f"{key} in {name} reaches from {bounds.min():g} to {bounds.max():g}; expected from 0 to 1."
                raise ValueError(msg)
        constants = {key: number(f"{key} in {name}", found[key]) for key in ("slope", "shift")}
        return cls(**{**found, **constants})

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
    def fit(
        cls, predicted: np.ndarray, measured: np.ndarray, *, before: ExpressionCalibration | None = None
    ) -> ExpressionCalibration | None:
        """Learn from calibration genes, shape ``(n,)`` each; what was learnt ``before`` stays if they are few."""
        if len(predicted) < _MIN_GENES:
            return before
        edges = np.quantile(predicted, np.linspace(0, 1, min(_N_STRATA, len(predicted) // _MIN_GENES) + 1))[1:-1]
        stratum = np.searchsorted(edges, predicted)
        strata = [np.sort((measured - predicted)[stratum == i]) for i in range(len(edges) + 1)]
        tail = (1 - COVERAGE) / 2
        ranks = [int(tail * (len(error) + 1)) for error in strata]
        below = [float(-error[rank - 1]) for error, rank in zip(strata, ranks, strict=True)]
        above = [float(error[-rank]) for error, rank in zip(strata, ranks, strict=True)]
        return cls(edges.tolist(), below, above)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ExpressionCalibration:
        """Rebuild what was saved; edges do not fall, and strata are one more than edges."""
        name = "the readout of expression"
        found = fields(name, config, required=[field.name for field in dataclasses.fields(cls)])
        edges = finite_array(f"edges in {name}", found["edges"], shape=(None,))
        if (np.diff(edges) < 0).any():
            msg = f"edges in {name} are {reprlib.repr(found['edges'])}; expected numbers that do not fall."
            raise ValueError(msg)
        for key in ("below", "above"):
            finite_array(f"{key} in {name}", found[key], shape=(len(edges) + 1,))
        return cls(**found)

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
    def fit(
        cls,
        output: Output,
        label: np.ndarray,
        measured: np.ndarray,
        *,
        center: float,
        scale: float,
        before: Readout | None = None,
    ) -> Readout:
        """Learn from calibration genes: what the network says of them, and label and expression, NaN where unknown.

        What was learnt ``before`` of other genes stays where these are too few.
        """
        before = cls() if before is None else before
        logit, expression = output.logit.cpu().numpy(), output.log_expression.cpu().numpy() * scale + center
        labelled, known = ~np.isnan(label), ~np.isnan(measured)
        few = [
            f"{what} ({count})"
            for what, count in (("label", labelled.sum()), ("expression", known.sum()))
            if 0 < count < _MIN_GENES
        ]
        if few:
            logger.warning(
                "Too few genes to calibrate by have a %s; at least %d are needed. %s",
                " or ".join(few),
                _MIN_GENES,
                "There will be no intervals." if before.probability is None else "The calibration from before stays.",
            )
        return cls(
            center,
            scale,
            ProbabilityCalibration.fit(logit[labelled], label[labelled], before=before.probability),
            ExpressionCalibration.fit(expression[known], measured[known], before=before.expression),
        )

    def log_odds(self, output: Output) -> np.ndarray:
        """Return the logit of the probability that :meth:`read` gives, where that is 1 to float precision as well."""
        logit = output.logit.cpu().numpy()
        return logit if self.probability is None else self.probability.slope * logit + self.probability.shift

    def read(self, output: Output) -> dict[str, np.ndarray]:
        """Return the columns of a prediction, shape ``(n_genes,)`` each; intervals are NaN without a calibration."""
        logit, expression = output.logit.cpu().numpy(), output.log_expression.cpu().numpy() * self.scale + self.center
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
            "log_expression": expression,
            "log_expression_low": bounds[0],
            "log_expression_high": bounds[1],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Readout:
        """Rebuild what :func:`dataclasses.asdict` took apart.

        Raises
        ------
        ValueError
            When a number is missing, not finite or out of bounds, or lists do not fit each other.
        """
        found = fields("readout", config, required=[field.name for field in dataclasses.fields(cls)])
        probability, expression = found["probability"], found["expression"]
        return cls(
            number("the readout's center", found["center"]),
            above_zero("the readout's scale", found["scale"]),
            None if probability is None else ProbabilityCalibration.from_config(probability),
            None if expression is None else ExpressionCalibration.from_config(expression),
        )


def _isotonic_at(logit: np.ndarray, label: np.ndarray, at: float, assumed: float) -> float:
    """Isotonic regression of sorted calibration genes and one more at ``at`` with an assumed label, read there."""
    place = np.searchsorted(logit, at, side="left" if assumed else "right")
    return float(isotonic_regression(np.insert(label, place, assumed))[place])
