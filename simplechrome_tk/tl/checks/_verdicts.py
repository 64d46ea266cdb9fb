"""Verdicts: one figure of a check each, with what was expected and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSED, NOT_PASSED, NOT_TESTED = "passed", "not passed", "not tested"


class NotTestedError(Exception):
    """A check cannot be made; the message says why."""


@dataclass(frozen=True)
class Expected:
    """What a figure is compared with: ``Expected("<", 0.5)``."""

    side: Literal["<", ">"]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a value is as expected."""
        return bool(value < self.bound if self.side == "<" else value > self.bound)

    def __str__(self) -> str:
        return f"{self.side} {self.bound:g}"


@dataclass(frozen=True)
class Verdict:
    """One figure of a check.

    Attributes
    ----------
    check, quantity
        The check, and what was measured.
    reason
        Why the figure is expected, or why it was not tested.
    value, interval
        The figure and, where the interval is judged in its place, its 95 % interval.
    expected
        ``None`` where it was not tested.
    n
        Genes, columns or pairs that it is of.
    genes
        The same figure of each gene of the sample, ``(n_genes,)``; ``None`` where there is none.
    gene_quantity
        What was measured of each gene.
    """

    check: str
    quantity: str
    reason: str
    value: float = np.nan
    expected: Expected | None = None
    n: int = 0
    interval: tuple[float, float] = (np.nan, np.nan)
    genes: np.ndarray | None = None
    gene_quantity: str = ""

    @property
    def verdict(self) -> str:
        """``"passed"``, ``"not passed"`` or ``"not tested"``."""
        if self.expected is None:
            return NOT_TESTED
        low, high = self.interval
        judged = self.value
        if not np.isnan(low):
            judged = low if self.expected.side == ">" else high
        return PASSED if self.expected.holds(judged) else NOT_PASSED


def judge_genes(check: str, quantity: str, values: np.ndarray, expected: Expected, reason: str) -> Verdict:
    """Judge the median over genes of rank correlations ``(n_genes,)``, NaN where they are undefined."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Verdict(check, quantity, "rank correlation is undefined: all effects of a gene are the same")
    return Verdict(
        check,
        f"{quantity}, median gene",
        reason,
        float(np.median(known)),
        expected,
        len(known),
        genes=values,
        gene_quantity=quantity,
    )


def tabulate_verdicts(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row per figure."""
    return pd.DataFrame(
        {
            "check": [verdict.check for verdict in verdicts],
            "quantity": [verdict.quantity for verdict in verdicts],
            "value": [verdict.value for verdict in verdicts],
            "low": [verdict.interval[0] for verdict in verdicts],
            "high": [verdict.interval[1] for verdict in verdicts],
            "expected": ["" if verdict.expected is None else str(verdict.expected) for verdict in verdicts],
            "n": [verdict.n for verdict in verdicts],
            "verdict": [verdict.verdict for verdict in verdicts],
            "reason": [verdict.reason for verdict in verdicts],
        }
    )


def tabulate_genes(verdicts: Sequence[Verdict], names: np.ndarray) -> pd.DataFrame:
    """Return one row per figure and gene; ``names`` ``(n_genes,)`` are the ids of the genes."""
    parts = [
        pd.DataFrame({"check": verdict.check, "quantity": verdict.gene_quantity, "gene": names, "value": verdict.genes})
        for verdict in verdicts
        if verdict.genes is not None
    ]
    return pd.concat(parts, ignore_index=True)
