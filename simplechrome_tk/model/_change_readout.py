"""Calibration of predicted changes between conditions, and of predictions from a reference condition."""

from __future__ import annotations

import dataclasses
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simplechrome_tk.core.values import fields, finite_array, number
from simplechrome_tk.model._calibration import COVERAGE, Readout, edges_of_strata
from simplechrome_tk.nn._network import Output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simplechrome_tk.core.features import Observed

# Errors that are kept of each stratum of predicted changes.
_N_ERRORS = 200
# Fewer validation genes say too little about errors.
_MIN_GENES = 50


def from_reference(measured: np.ndarray, predicted: np.ndarray, change: np.ndarray, persistence: float) -> np.ndarray:
    """Return log expression in one condition, predicted from another, the reference, ``(n_genes,)``.

    It is the expression that is measured in the reference, plus the predicted change. The part of the measured
    expression that the model did not predict in the reference is found again only in part, and is multiplied by the
    ``persistence``: a gene that is unusually high in one measurement is less so in the next.
    """
    return predicted + persistence * (measured - predicted) + change


@dataclass(frozen=True)
class ChangeReadout:
    """Errors of predicted changes, and predictions from a reference condition.

    Exchanging the conditions changes the sign of a change and of its error. Errors are therefore kept for changes
    upwards, within strata of the size of the predicted change, and change their sign for changes downwards. In this way
    intervals and probabilities exchange exactly with the conditions.

    Attributes
    ----------
    edges, errors
        Edges between strata of the size of the predicted change, and the sorted errors (measured less predicted change,
        in log10) of the validation genes in each, with the sign of the predicted change taken out. In the first
        stratum, where changes have hardly a direction, each error counts with both signs.
    persistence
        The part of a gene's deviation from its prediction that is found again in another condition.
    readout
        Calibration of predictions from a reference condition.
    """

    edges: Sequence[float]
    errors: Sequence[Sequence[float]]
    persistence: float
    readout: Readout

    @classmethod
    def of_pairs(
        cls, change: np.ndarray, predicted: np.ndarray, observed: Observed, rows: np.ndarray, before: Readout
    ) -> ChangeReadout:
        """Calibrate by the validation genes.

        Parameters
        ----------
        change
            Predicted change of each pair, in log10, ``(n_changes,)``.
        predicted
            Predicted log expression of each row of the data, in log10.
        observed
            Label and log expression of each row of the data.
        rows
            Rows of the gene in the two conditions of each pair, ``(n_changes, 2)``.
        before
            Readout of the model, whose units are kept.
        """
        # Each condition is predicted from the other one.
        of, against = np.concatenate([rows, rows[:, ::-1]]).T
        both = np.append(change, -change)
        measured = observed.log_expression
        unexpected = measured[against] - predicted[against]
        missed = measured[of] - predicted[against] - both
        persistence = float(np.clip((unexpected @ missed) / max(unexpected @ unexpected, 1e-9), 0, 1))
        value = from_reference(measured[against], predicted[against], both, persistence)
        standard = torch.as_tensor((value - before.center) / before.scale)
        readout = Readout.fit(
            Output(standard, standard), observed.label[of], measured[of], center=before.center, scale=before.scale
        )
        measured_change = measured[rows[:, 0]] - measured[rows[:, 1]]
        return cls.fit(change, measured_change, persistence=persistence, readout=readout)

    @classmethod
    def fit(cls, predicted: np.ndarray, measured: np.ndarray, *, persistence: float, readout: Readout) -> ChangeReadout:
        """Calibrate by predicted and measured changes of validation genes, ``(n,)`` each."""
        if len(predicted) < _MIN_GENES:
            return cls([], [], persistence, readout)
        size, error = np.abs(predicted), _direction(predicted) * (measured - predicted)
        edges = edges_of_strata(size)
        stratum = np.searchsorted(edges, size)
        grid = (np.arange(_N_ERRORS) + 0.5) / _N_ERRORS
        errors = []
        for place in range(len(edges) + 1):
            found = error[stratum == place]
            if place == 0:
                found = np.append(found, -found)
            # The quantiles of Weibull count the new gene itself, as conformal prediction does.
            errors.append(np.quantile(found, grid, method="weibull"))
        errors[0] = (errors[0] - errors[0][::-1]) / 2
        return cls(edges, [found.tolist() for found in errors], persistence, readout)

    def interval(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds between which the measured change of 90 % of genes lies; NaN without a calibration."""
        if not self.errors:
            unknown = np.full(len(predicted), np.nan)
            return unknown, unknown
        tail = (1 - COVERAGE) / 2
        bounds = np.quantile(np.asarray(self.errors), [tail, 1 - tail], axis=1)
        # Errors of the first stratum are symmetric, but for the rounding of the interpolation.
        bounds[1, 0] = -bounds[0, 0]
        low, high = bounds[:, np.searchsorted(np.asarray(self.edges), np.abs(predicted))]
        down = predicted < 0
        return predicted + np.where(down, -high, low), predicted + np.where(down, -low, high)

    def probability_above(self, predicted: np.ndarray, threshold: float) -> np.ndarray:
        """Return the probability that the measured change exceeds a threshold; NaN without a calibration."""
        if not self.errors:
            return np.full(len(predicted), np.nan)
        errors = np.asarray(self.errors)[np.searchsorted(np.asarray(self.edges), np.abs(predicted))]
        possible = predicted[:, None] + _direction(predicted)[:, None] * errors
        n_above = (possible > threshold).sum(axis=1)
        # The gene itself is counted half on each side, so that no probability is 0 or 1.
        return (n_above + 0.5) / (errors.shape[1] + 1)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ChangeReadout:
        """Rebuild a saved readout after checking that edges rise, and that each stratum has its sorted errors."""
        name = "the readout of changes"
        found = fields(name, config, required=[field.name for field in dataclasses.fields(cls)])
        edges = finite_array(f"edges in {name}", found["edges"], shape=(None,))
        if (np.diff(edges, prepend=0) < 0).any():
            msg = f"edges in {name} are {reprlib.repr(found['edges'])}; expected sizes from 0 that do not fall."
            raise ValueError(msg)
        if found["errors"] or len(edges):
            errors = finite_array(f"errors in {name}", found["errors"], shape=(len(edges) + 1, None))
            if not errors.shape[1] or (np.diff(errors, axis=1) < 0).any():
                msg = f"errors in {name} are not sorted in each stratum."
                raise ValueError(msg)
        persistence = number(f"persistence in {name}", found["persistence"])
        if not 0 <= persistence <= 1:
            msg = f"persistence in {name} is {persistence:g}; expected a share from 0 to 1."
            raise ValueError(msg)
        return cls(found["edges"], found["errors"], persistence, Readout.from_config(found["readout"]))


def _direction(predicted: np.ndarray) -> np.ndarray:
    """Return -1 for changes downwards and 1 for others."""
    return np.where(predicted < 0, -1.0, 1.0)
