"""Questions about histone marks whose answers are known, and what genes say to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.layout import Layout, values, window_anchors
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.checks._verdicts import NOT_PASSED, NOT_TESTED, PASSED
from simplechrome_tk.tl.perturbation._dose_response import predict_factors
from simplechrome_tk.tl.perturbation._edit import Edit
from simplechrome_tk.tl.perturbation._predict import open_session

if TYPE_CHECKING:
    import anndata as ad
    import torch

POSITION, SIGN, DOSE_RESPONSE = "position", "sign", "dose response"
AGAINST_DATA = "against the data"
"""The model agrees with the textbook, while in these data genes with more of the mark go the other way."""

# bp: the distance from the TSS up to which a bin is near it, and the length of each end of the window, whose bins are
# far from it. Both places are 2 kb long in all.
_NEAR, _FAR = 1_000, 1_000
# Share of genes that must say yes: more than half. This bound and the next were chosen after a look at chr2 and chr9 of
# Roadmap's cell types (docs/figures.md).
_SHARE = 0.5
# Smallest mean effect that counts: a quarter more of the odds (natural logarithm), or of expression (log10).
_LEAST = {k.LOG_ODDS: float(np.log(1.25)), k.LOG_EXPRESSION: float(np.log10(1.25))}
# In the unit of the prediction: a step in the wrong direction that is smaller is rounding of float32.
_ROUNDING = 1e-5
# Normal quantile of a two-sided 95 % interval.
_Z95 = 1.96
_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Mark -> direction in which more of it moves expression, and the source.
_ACTS = {
    "H3K4me3": (1, "it marks promoters at which transcription starts (Barski et al. 2007)"),
    "H3K27ac": (1, "it marks active promoters (Creyghton et al. 2010)"),
    "H3K36me3": (1, "elongating polymerase leaves it behind in the gene's body (Barski et al. 2007)"),
    "H3K27me3": (-1, "Polycomb represses with it (Boyer et al. 2006)"),
    "H3K9me3": (-1, "it marks heterochromatin (Barski et al. 2007); where it spreads over active genes this may fail"),
}
_SCALED = ("H3K4me3", "H3K27ac", "H3K27me3")


class Evidence(NamedTuple):
    """Genes ``rows`` ``(n,)`` that are asked, with their effects and their signal minus that of the baseline.

    ``own`` and ``difference`` are ``(n, n_columns)``; ``target`` names the prediction that the effects are of.
    """

    adata: ad.AnnData
    layout: Layout
    rows: np.ndarray
    own: np.ndarray
    difference: np.ndarray
    target: str

    @property
    def least(self) -> float:
        """Smallest mean effect that counts; 0 where the target has a unit of its own."""
        return _LEAST.get(k.LOG_ODDS if self.target == "logit" else self.target, 0.0)

    def has_difference(self, columns: np.ndarray) -> np.ndarray:
        """Return which genes differ from their baseline in some of these columns, ``(n,)``."""
        return (self.difference[:, columns] != 0).any(axis=1)

    def correlate(self, mark: str) -> Measured:
        """Return Spearman's correlation of the mark's mean signal with expression, where it is known."""
        if k.EXPRESSION not in self.adata.obs:
            return _UNKNOWN
        level = dense(self.adata)[self.rows][:, self.layout.mark == mark].mean(axis=1)
        expression = expression_truth(self.adata)[self.rows]
        known = ~np.isnan(expression)
        if known.sum() < 2 or np.ptp(level[known]) == 0 or np.ptp(expression[known]) == 0:
            return _UNKNOWN
        return Measured(float(stats.spearmanr(level[known], expression[known]).statistic), int(known.sum()))


class Measured(NamedTuple):
    """Spearman's correlation of a mark's mean signal with measured expression over ``n`` genes; NaN if unknown."""

    correlation: float
    n: int

    def opposes(self, sign: int) -> bool:
        """Whether the data go against a direction, beyond the 95 % interval of no correlation (Fisher's z)."""
        return bool(self.n > 3 and -sign * self.correlation > np.tanh(_Z95 / np.sqrt(self.n - 3)))


_UNKNOWN = Measured(np.nan, 0)


@dataclass(frozen=True)
class Question:
    """A question and what genes say to it.

    ``says_yes`` holds the answer of each gene that can give one; without any the question is not tested, and ``reason``
    says why. ``sign`` is the direction that is expected, 0 where the question has none.
    """

    test: str
    mark: str
    question: str
    reason: str
    says_yes: np.ndarray
    effect: float = np.nan
    least: float = 0.0
    sign: int = 0
    measured: Measured = _UNKNOWN

    def answer(self) -> dict[str, object]:
        """Return a row of the table."""
        share, low, high, verdict, expected, reason = np.nan, np.nan, np.nan, NOT_TESTED, "", self.reason
        if len(self.says_yes):
            share = float(self.says_yes.mean())
            n_yes = int(self.says_yes.sum())
            low, high = stats.binomtest(n_yes, len(self.says_yes)).proportion_ci(method="wilson")
            expected = f"share > {_SHARE:g}, |effect| >= {self.least:.2g}"
            verdict = PASSED if low > _SHARE and abs(self.effect) >= self.least else NOT_PASSED
            if self.sign and self.measured.opposes(self.sign):
                verdict = AGAINST_DATA if verdict == PASSED else verdict
                reason += self._explain_data(verdict)
        return {
            "test": self.test,
            "mark": self.mark,
            "question": self.question,
            "n": len(self.says_yes),
            "share": share,
            "low": float(low),
            "high": float(high),
            "effect": self.effect,
            "measured": self.measured.correlation,
            "expected": expected,
            "verdict": verdict,
            "reason": reason,
        }

    def _explain_data(self, verdict: str) -> str:
        measured = "higher" if self.sign < 0 else "lower"
        model = "the model goes against them" if verdict == AGAINST_DATA else "a model that follows them may fail"
        return f". In these data genes with more of it are {measured}: {model}"


def _skip(test: str, mark: str, question: str, reason: str) -> Question:
    """Return a question that is not tested."""
    return Question(test, mark, question, reason, says_yes=np.zeros(0, dtype=bool))


def ask_positions(evidence: Evidence) -> list[Question]:
    """Ask where effects lie."""
    places = _find_places(evidence)
    questions = [
        _compare_places(
            evidence,
            places["near"],
            places["far"],
            "",
            "|effect| within 1 kb of the TSS above that of the outermost kilobases",
            "promoters are where marks tell most about a gene (Cheng et al. 2011)",
        )
    ]
    own = evidence.layout.mark == "H3K36me3"
    if own.any():
        reason = _ACTS["H3K36me3"][1]
        for place, name in (("downstream", "downstream of the TSS"), ("body", "in the gene's body")):
            question = f"|effect| {name} above that upstream of the TSS"
            first, second = places[place] & own, places["upstream"] & own
            questions.append(_compare_places(evidence, first, second, "H3K36me3", question, reason))
    return questions


def _find_places(evidence: Evidence) -> dict[str, np.ndarray]:
    """Return which columns lie near the TSS, at the ends of its window, up- and downstream in it, and in the body."""
    layout, anchors = evidence.layout, window_anchors(evidence.adata)
    anchor = np.array([anchors.get(region, region) for region in layout.region])
    tss, middle = anchor == "tss", layout.middle
    first, last = (layout.start[tss].min(), layout.end[tss].max()) if tss.any() else (0, 0)
    # In a narrow window the outermost kilobases would overlap with what is near the TSS.
    is_wide = first <= -_NEAR - _FAR and last >= _NEAR + _FAR
    return {
        "near": tss & (np.abs(middle) < _NEAR) & is_wide,
        "far": tss & ((middle < first + _FAR) | (middle > last - _FAR)) & is_wide,
        "upstream": tss & (middle < 0),
        "downstream": tss & (middle > 0) & (first < 0),
        "body": anchor == "body",
    }


def _compare_places(
    evidence: Evidence, first: np.ndarray, second: np.ndarray, mark: str, question: str, reason: str
) -> Question:
    """Ask whether the sum of ``|effect|`` over some columns is above that over others."""
    if not first.any() or not second.any():
        return _skip(POSITION, mark, question, "no window here covers both places")
    sum_first, sum_second = (np.abs(evidence.own[:, columns]).sum(axis=1) for columns in (first, second))
    can_answer = evidence.has_difference(first | second)
    return Question(
        POSITION,
        mark,
        question,
        reason,
        says_yes=(sum_first > sum_second)[can_answer],
        effect=_mean(sum_first[can_answer]),
        least=evidence.least,
    )


def ask_signs(evidence: Evidence) -> list[Question]:
    """Ask in which direction marks move the prediction."""
    questions = []
    for mark in evidence.layout.marks:
        if mark not in _ACTS:
            continue
        sign, reason = _ACTS[mark]
        columns = evidence.layout.mark == mark
        own, difference = evidence.own[:, columns], evidence.difference[:, columns]
        # Effects of more signal than in the baseline count as they are, those of less signal with the other sign.
        direction = (own * difference).sum(axis=1)
        can_answer = evidence.has_difference(columns)
        questions.append(
            Question(
                SIGN,
                mark,
                f"more {mark} goes with a {'higher' if sign > 0 else 'lower'} prediction",
                reason,
                says_yes=(np.sign(direction) == sign)[can_answer],
                effect=_mean(own.sum(axis=1)[can_answer]),
                least=evidence.least,
                sign=sign,
                measured=evidence.correlate(mark),
            )
        )
    return questions


def ask_dose_responses(
    model: SimpleChrome | torch.nn.Module | None, evidence: Evidence, n_genes: int, rng: np.random.Generator
) -> list[Question]:
    """Ask what the prediction does when a mark is scaled down."""
    questions: list[Question] = []
    for mark in _SCALED:
        if mark not in evidence.layout.marks:
            continue
        sign, _ = _ACTS[mark]
        does = "lowers" if sign > 0 else "raises"
        asked = (f"removing {mark} {does} the prediction", f"each of four steps down of {mark} {does} it")
        if not isinstance(model, SimpleChrome):
            why_not = "the dose response needs a SimpleChrome: give it as the second argument"
            questions += [_skip(DOSE_RESPONSE, mark, question, why_not) for question in asked]
            continue
        rows = np.sort(rng.permutation(evidence.rows[_has_mark(evidence, mark)])[:n_genes])
        if len(rows):
            questions += _ask_dose_response(model, evidence, mark, asked, rows)
        else:
            questions += [
                _skip(DOSE_RESPONSE, mark, question, "none of the genes carries the mark") for question in asked
            ]
    return questions


def _ask_dose_response(
    model: SimpleChrome, evidence: Evidence, mark: str, asked: tuple[str, str], rows: np.ndarray
) -> list[Question]:
    """Ask whether removing a mark moves the prediction as expected, and whether each step on the way does."""
    sign, reason = _ACTS[mark]
    curve, value = _predict_curves(model, evidence.adata, mark, rows)
    removed = curve[:, 0] - curve[:, -1]
    as_expected = -sign * removed > 0
    step_by_step = as_expected & (sign * np.diff(curve, axis=1) > -_ROUNDING).all(axis=1)
    return [
        Question(
            DOSE_RESPONSE,
            mark,
            question,
            reason,
            says_yes=says_yes,
            effect=float(removed.mean()),
            least=_LEAST[value],
            sign=sign,
            measured=evidence.correlate(mark),
        )
        for question, says_yes in zip(asked, (as_expected, step_by_step), strict=True)
    ]


def _predict_curves(model: SimpleChrome, adata: ad.AnnData, mark: str, rows: np.ndarray) -> tuple[np.ndarray, str]:
    """Return predictions of genes with the mark scaled, ``(n_genes, n_factors)``, and which value they are of."""
    genes = adata.obs_names[rows].to_numpy(str)
    session = open_session(adata, model)
    table = predict_factors(session, model, Edit.scale(1.0, mark=mark), factors=_FACTORS, genes=genes)
    value = k.LOG_ODDS if k.LOG_ODDS in table else k.LOG_EXPRESSION
    return table.pivot_table(index="gene", columns="factor", values=value).to_numpy(), value


def _has_mark(evidence: Evidence, mark: str) -> np.ndarray:
    """Return which genes have signal of a mark, ``(n,)``."""
    signal = values(evidence.adata, k.SIGNAL)[evidence.rows]
    return (signal[:, evidence.layout.mark == mark] > 0).any(axis=1)


def _mean(of_genes: np.ndarray) -> float:
    return float(of_genes.mean()) if len(of_genes) else np.nan
