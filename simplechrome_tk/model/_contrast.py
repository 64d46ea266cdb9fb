"""Changes between conditions: pairs of rows to learn from, and calibration of what is predicted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from simplechrome_tk.core.require import gene_ids, obs_column
from simplechrome_tk.core.values import fields, finite_array, number
from simplechrome_tk.model._calibration import COVERAGE, Readout, edges_of_strata
from simplechrome_tk.nn._network import Output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad

    from simplechrome_tk.core.features import Observed

# Errors that are kept of each stratum of predicted changes.
_N_ERRORS = 200
# Fewer validation genes say too little about errors.
_MIN_GENES = 50


class Pairs(NamedTuple):
    """The same genes in two conditions each.

    Attributes
    ----------
    rows
        Row numbers of a gene in one condition and in the other, ``(n_changes, 2)``.
    split
        Split of the gene, ``(n_changes,)``.
    """

    rows: np.ndarray
    split: np.ndarray


def from_reference(measured: np.ndarray, predicted: np.ndarray, change: np.ndarray, persistence: float) -> np.ndarray:
    """Return log expression in one condition, predicted from another, the reference, ``(n_genes,)``.

    It is the expression that is measured in the reference, plus the predicted change. The part of the measured
    expression that the model did not predict in the reference is found again only in part, and is multiplied by the
    ``persistence``: a gene that is unusually high in one measurement is less so in the next.
    """
    return predicted + persistence * (measured - predicted) + change


def rows_of_conditions(adata: ad.AnnData, key: str, names: Sequence[str] | None = None) -> dict[str, pd.Series]:
    """Return the row number of each gene in each condition, indexed by gene.

    Raises
    ------
    ValueError
        When ``obs[key]`` is missing, a condition does not exist (the others are listed), or holds a gene twice.
    """
    column = obs_column(adata, key, fix="store the condition of each row there, or name another column with key")
    column = column.astype(object)
    found = [str(name) for name in dict.fromkeys(column.dropna())]
    for name in found if names is None else names:
        if name not in found:
            msg = f"no condition {name!r} in obs[{key!r}]; expected one of {', '.join(found) or 'none'}."
            raise ValueError(msg)
    genes = gene_ids(adata)
    rows = {}
    for name in found if names is None else names:
        members = np.flatnonzero((column == name).to_numpy())
        of_gene = pd.Series(members, index=genes[members])
        if not of_gene.index.is_unique:
            twice = of_gene.index[of_gene.index.duplicated()][0]
            msg = (
                f"condition {name!r} holds gene {twice!r} {int((of_gene.index == twice).sum())} times; expected once. "
                "Give replicates a column obs['replicate'], and run sct.tl.contrast, which takes their mean."
            )
            raise ValueError(msg)
        rows[name] = of_gene
    return rows


def pair_conditions(adata: ad.AnnData, key: str, log_expression: np.ndarray, split: np.ndarray) -> Pairs:
    """Pair the rows of each gene in every two conditions, where expression is known in both.

    Raises
    ------
    ValueError
        When there are fewer than two conditions, or no changes to train on or to validate by.
    """
    rows = rows_of_conditions(adata, key)
    if len(rows) < 2:
        msg = f"obs[{key!r}] has {len(rows)} condition ({', '.join(rows)}); expected two or more, stacked."
        raise ValueError(msg)
    parts = []
    for one, other in combinations(rows, 2):
        both = pd.concat([rows[one], rows[other]], axis=1, join="inner").to_numpy()
        parts.append(both[~np.isnan(log_expression[both]).any(axis=1)])
    pairs = Pairs(np.concatenate(parts), split[np.concatenate(parts)[:, 0]])
    for name in ("train", "valid"):
        if (pairs.split == name).sum() < 2:
            msg = (
                f"{int((pairs.split == name).sum())} changes of {name} genes are known in obs[{key!r}]; expected two "
                "at least: genes with expression in two conditions, and splits (sct.pp.split_by_chromosome)."
            )
            raise ValueError(msg)
    return pairs


@dataclass(frozen=True)
class ChangeReadout:
    """Errors of predicted changes, and predictions from a reference condition.

    Attributes
    ----------
    edges, errors
        Edges between strata of predicted change, and the sorted errors (measured less predicted change, in log10) of
        validation genes in each.
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
        """Calibrate by predicted and measured changes of validation genes, ``(n,)`` each; both signs are used."""
        if len(predicted) < _MIN_GENES:
            return cls([], [], persistence, readout)
        # Exchanging the conditions changes both signs, so that intervals do not depend on the order of conditions.
        predicted, measured = np.append(predicted, -predicted), np.append(measured, -measured)
        edges = edges_of_strata(predicted)
        stratum = np.searchsorted(edges, predicted)
        grid = (np.arange(_N_ERRORS) + 0.5) / _N_ERRORS
        errors = [np.quantile((measured - predicted)[stratum == i], grid).tolist() for i in range(len(edges) + 1)]
        return cls(edges, errors, persistence, readout)

    def interval(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds between which the measured change of 90 % of genes lies; NaN without a calibration."""
        if not self.errors:
            unknown = np.full(len(predicted), np.nan)
            return unknown, unknown
        tail = (1 - COVERAGE) / 2
        low, high = np.quantile(np.asarray(self.errors), [tail, 1 - tail], axis=1)
        stratum = np.searchsorted(np.asarray(self.edges), predicted)
        return predicted + low[stratum], predicted + high[stratum]

    def probability_above(self, predicted: np.ndarray, threshold: float) -> np.ndarray:
        """Return the probability that the measured change exceeds a threshold; NaN without a calibration."""
        if not self.errors:
            return np.full(len(predicted), np.nan)
        errors = np.asarray(self.errors)[np.searchsorted(np.asarray(self.edges), predicted)]
        n_above = (predicted[:, None] + errors > threshold).sum(axis=1)
        # The gene itself is counted half on each side, so that no probability is 0 or 1.
        return (n_above + 0.5) / (errors.shape[1] + 1)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ChangeReadout:
        """Rebuild a saved readout after checking that edges rise and that each stratum has its sorted errors."""
        name = "the readout of changes"
        found = fields(name, config, required=[field.name for field in dataclasses.fields(cls)])
        edges = finite_array(f"edges in {name}", found["edges"], shape=(None,))
        if (np.diff(edges) < 0).any():
            msg = f"edges in {name} fall; expected numbers that do not fall."
            raise ValueError(msg)
        if found["errors"] or len(edges):
            errors = finite_array(f"errors in {name}", found["errors"], shape=(len(edges) + 1, None))
            if not errors.shape[1] or (np.diff(errors, axis=1) < 0).any():
                msg = f"errors in {name} are not sorted in each stratum."
                raise ValueError(msg)
        persistence = number(f"persistence in {name}", found["persistence"])
        return cls(found["edges"], found["errors"], persistence, Readout.from_config(found["readout"]))
