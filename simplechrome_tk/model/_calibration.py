"""Calibration: probabilities, expression and their intervals from a network's output, fitted to validation genes."""

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

    from simplechrome_tk.core.features import Task
    from simplechrome_tk.nn._network import Output

logger = logging.getLogger(__name__)

# Name of the logit of the probability among the columns of a prediction.
LOG_ODDS = "log_odds"

# Share of genes whose measured expression lies in its interval.
COVERAGE = 0.9
# Strata of predicted expression, each with errors of its own; and logits at which the bounds of probabilities are kept.
_N_STRATA = 10
_N_LOGITS = 200
# Fewer genes say too little: predictions then stay as the network gives them, or as they were calibrated before.
_MIN_GENES = 50
# With fewer genes 5 % of them are less than one gene, and no error is a bound.
_FEWEST_IN_STRATUM = 20
# Saved bounds may leave 0 to 1 by this much.
_ROUNDING = 1e-6
# Prior standard deviation of the change of a slope and shift that were calibrated before.
_FREEDOM = 0.1


@dataclass(frozen=True)
class ProbabilityCalibration:
    """Probabilities and their intervals from the network's logits.

    The probability is a logistic function of the logit with two constants (Platt 1999), so that the order of genes
    stays. The interval is that of inductive Venn-Abers prediction (Vovk and Petej 2014): isotonic regression on the
    calibration genes and the gene itself, once with the label low and once with the label high. The interval is wide
    where there are few calibration genes. Its bounds are kept for a grid of logits; a gene gets those of the nearest.
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
        """Calibrate by logits and labels (0, 1) of calibration genes, shape ``(n,)`` each.

        An earlier calibration, ``before``, is returned if there are few genes. Otherwise the new slope and shift are
        penalised by their distance from the earlier ones.
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
        # The bounds: each logit of the grid is added to the calibration genes, with the label low, then high.
        order = np.argsort(logit, kind="stable")
        logit, label = logit[order], label[order]
        grid = np.unique(np.quantile(logit, np.linspace(0, 1, _N_LOGITS)))
        low, high = ([_isotonic_at(logit, label, at, assumed) for at in grid] for assumed in (0.0, 1.0))
        return cls(float(slope), float(shift), grid.tolist(), low, high)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ProbabilityCalibration:
        """Rebuild a saved calibration after checking that logits rise, and that each has two bounds from 0 to 1."""
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
        # The two fits differ, so that the probability may lie outside the bounds; the interval is widened to hold it.
        return probability, np.minimum(low, probability), np.maximum(high, probability)


@dataclass(frozen=True)
class ExpressionCalibration:
    """Intervals around predicted expression.

    Each holds 90 % of the calibration genes with a similar prediction: split conformal prediction within strata of
    predicted expression (Mondrian; Vovk et al. 2005), for the lower and the upper bound separately.
    """

    edges: Sequence[float]
    below: Sequence[float]
    above: Sequence[float]

    @classmethod
    def fit(
        cls, predicted: np.ndarray, measured: np.ndarray, *, before: ExpressionCalibration | None = None
    ) -> ExpressionCalibration | None:
        """Calibrate by calibration genes, shape ``(n,)`` each; the calibration ``before`` stays if they are few."""
        if len(predicted) < _MIN_GENES:
            return before
        edges = edges_of_strata(predicted)
        stratum = np.searchsorted(edges, predicted)
        strata = [np.sort((measured - predicted)[stratum == i]) for i in range(len(edges) + 1)]
        # The conformal rank counts the new gene itself, hence one more than there are errors.
        tail = (1 - COVERAGE) / 2
        ranks = [int(tail * (len(error) + 1)) for error in strata]
        below = [float(-error[rank - 1]) for error, rank in zip(strata, ranks, strict=True)]
        above = [float(error[-rank]) for error, rank in zip(strata, ranks, strict=True)]
        return cls(edges, below, above)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ExpressionCalibration:
        """Rebuild a saved calibration after checking that edges rise, and that there is one stratum more than edges."""
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
    """The meaning of a network's output: its unit of expression, and its calibrations.

    Attributes
    ----------
    center, scale
        Mean and standard deviation of ``log10(expression + 0.1)`` over the training genes.
    probability, expression
        The calibrations; ``None`` where there were too few genes.
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
        """Calibrate by the network's output for calibration genes, and their labels and log expression.

        Both are NaN where unknown. A calibration ``before``, by other genes, stays where there are too few of these.
        """
        before = cls() if before is None else before
        logit, expression = output.logit.cpu().numpy(), output.log_expression.cpu().numpy() * scale + center
        labelled, known = ~np.isnan(label), ~np.isnan(measured)
        _warn_of_few(labelled.sum(), known.sum(), is_calibrated=before.probability is not None)
        return cls(
            center,
            scale,
            ProbabilityCalibration.fit(logit[labelled], label[labelled], before=before.probability),
            ExpressionCalibration.fit(expression[known], measured[known], before=before.expression),
        )

    @property
    def units(self) -> dict[str, float]:
        """Size of one unit of each output: of ``logit`` in log-odds, of ``log_expression`` in log10."""
        slope = 1.0 if self.probability is None else self.probability.slope
        return {"logit": slope, "log_expression": self.scale}

    def columns(self, output: Output, task: Task) -> dict[str, np.ndarray]:
        """Return the columns of a prediction that a task covers, ``(n_genes,)`` each."""
        columns: dict[str, np.ndarray] = {}
        if task != "regression":
            columns |= {LOG_ODDS: self.log_odds(output), **self.probabilities(output)}
        if task != "classification":
            columns |= self.log_expressions(output)
        return columns

    def log_odds(self, output: Output) -> np.ndarray:
        """Return the calibrated log-odds, shape ``(n_genes,)``.

        They are the logit of the probability, and still differ between genes whose probability is rounded to 1.
        """
        logit = output.logit.cpu().numpy()
        return logit if self.probability is None else self.probability.slope * logit + self.probability.shift

    def probabilities(self, output: Output) -> dict[str, np.ndarray]:
        """Return probabilities and the bounds of their intervals, ``(n_genes,)`` each; NaN without a calibration."""
        logit = output.logit.cpu().numpy()
        if self.probability is None:
            unknown = np.full(len(logit), np.nan)
            probability, low, high = expit(logit), unknown, unknown
        else:
            probability, low, high = self.probability.apply(logit)
        return {"probability": probability, "probability_low": low, "probability_high": high}

    def log_expressions(self, output: Output) -> dict[str, np.ndarray]:
        """Return log expression and the bounds of its intervals, ``(n_genes,)`` each; NaN without a calibration."""
        log_expression = output.log_expression.cpu().numpy() * self.scale + self.center
        unknown = np.full(len(log_expression), np.nan)
        low, high = (unknown, unknown) if self.expression is None else self.expression.apply(log_expression)
        return {"log_expression": log_expression, "log_expression_low": low, "log_expression_high": high}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Readout:
        """Rebuild a saved readout.

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


def edges_of_strata(predicted: np.ndarray) -> list[float]:
    """Return the edges between strata of about as many genes, usually at least 50."""
    n_strata = min(_N_STRATA, len(predicted) // _MIN_GENES)
    edges: list[float] = []
    n_below = 0
    for edge in np.quantile(predicted, np.linspace(0, 1, n_strata + 1))[1:-1]:
        # Equal predictions, as of genes without any signal, lie in one stratum and can leave the next one empty: such
        # an edge is left out.
        n_up_to_edge = int((predicted <= edge).sum())
        if n_up_to_edge - n_below >= _FEWEST_IN_STRATUM and len(predicted) - n_up_to_edge >= _FEWEST_IN_STRATUM:
            edges.append(float(edge))
            n_below = n_up_to_edge
    return edges


def _warn_of_few(n_labelled: int, n_measured: int, *, is_calibrated: bool) -> None:
    """Warn when there are calibration genes, but too few of them."""
    few = [
        f"{what} ({count})"
        for what, count in (("label", n_labelled), ("expression", n_measured))
        if 0 < count < _MIN_GENES
    ]
    if few:
        logger.warning(
            "Too few calibration genes have a known %s; at least %d are needed. %s",
            " or ".join(few),
            _MIN_GENES,
            "The earlier calibration is kept." if is_calibrated else "There will be no intervals.",
        )


def _isotonic_at(logit: np.ndarray, label: np.ndarray, at: float, assumed: float) -> float:
    """Return isotonic regression at the logit ``at``, fitted to sorted genes and one more there with this label."""
    place = np.searchsorted(logit, at, side="left" if assumed else "right")
    return float(isotonic_regression(np.insert(label, place, assumed))[place])
