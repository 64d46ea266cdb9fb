"""Comparison of attributions with what is known of histone marks, as questions with the answer yes or no."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.layout import Layout, values, window_anchors
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.tables import write_tables
from simplechrome_tk.core.write import check_key
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.attribution._baselines import reference
from simplechrome_tk.tl.checks._sample import require_attributions, select_attributed, subtract_baseline
from simplechrome_tk.tl.checks._verdicts import NOT_PASSED, NOT_TESTED, PASSED
from simplechrome_tk.tl.perturbation._dose_response import predict_factors
from simplechrome_tk.tl.perturbation._edit import Edit
from simplechrome_tk.tl.perturbation._predict import open_session

if TYPE_CHECKING:
    import anndata as ad
    import torch

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.tl.attribution._baselines import Baseline

logger = logging.getLogger(__name__)

POSITION, SIGN, DOSE_RESPONSE = "position", "sign", "dose response"
AGAINST_DATA = "against the data"
"""The model agrees with the textbook, while in these data genes with more of the mark go the other way."""

# bp on either side of the TSS that count as near it, 2 kb together, and bp at each end of its window that count as far,
# as many.
_NEAR, _FAR = 1_000, 1_000
# Share of genes that must say yes: more than half. Chosen after a look at chr2 and chr9 of Roadmap's cell types, as is
# the next (docs/figures.md).
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


def check_biology(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module | None,
    *,
    key: str = k.ATTRIBUTION,
    genes: Genes = None,
    n_genes: int = 300,
    baseline: Baseline | np.ndarray | None = None,
    key_added: str = k.CHECK_BIOLOGY,
    rng: int = 0,
    copy: bool = False,
) -> ad.AnnData | None:
    """Check whether attributions, and the model, agree with what is known of histone marks.

    ================= ==============================================================================================
    ``position``      effects within 1 kb of the TSS are larger than in the outermost kilobase at each end of the TSS
                      window; those of H3K36me3 are larger downstream of the TSS, and in the gene's body, than upstream
    ``sign``          more H3K4me3, H3K27ac and H3K36me3 go with a higher prediction, more H3K27me3 and H3K9me3 with a
                      lower one
    ``dose response`` scaling H3K4me3 or H3K27ac down lowers the prediction, scaling H3K27me3 down raises it, step by
                      step
    ================= ==============================================================================================

    Each question is put to every gene that can answer it, such as those that carry the mark. The answer is yes when
    more than half of the genes say so, beyond the 95 % interval, and the effect changes the odds of being high, or
    expression, by a quarter at least in the mean gene. The second condition is needed because a model of permuted
    labels has directions as well, of effects close to 0.

    An answer of yes to ``sign`` or ``dose response`` does not pass where the data say the opposite: when ``measured``
    has the other sign, beyond what 95 % of unrelated data have, the verdict is ``against the data``. Such a model
    agrees with the textbook. That genes with more of the mark are higher, or lower, in these very data remains to be
    explained: by other marks at the same genes, by the peaks, or by a model that is wrong. The bounds, half of the
    genes and a quarter of the odds, were chosen after a look at genes on chr2 and chr9 of Roadmap's cell types, which
    are therefore no independent test of them.

    Parameters
    ----------
    adata
        Data with attributions of :func:`attribute`.
    model
        The model, for the dose response; it is not tested with ``None`` or a plain ``torch`` module.
    key
        Name of the attributions.
    genes
        Ids, symbols or a mask; ``None`` takes all that have attributions.
    n_genes
        Number of genes to draw at random, from those that carry the mark, for its dose response.
    baseline
        Baseline of the attributions, where it was given as an array.
    key_added
        Name of the result in ``uns``.
    rng
        Seed of the genes for the dose response.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes to ``uns["check_biology"]`` a table with one row per question:

        - ``test``, ``mark`` (empty for all marks together) and ``question``;
        - ``n`` (genes), ``share`` that say yes, ``low`` and ``high`` (95 % Wilson interval);
        - ``effect``, a mean over these genes: for ``position`` the sum of ``|effect|`` in the place named first, for
          ``sign`` the sum of the mark's effects, for ``dose response`` the change of the prediction when the mark is
          removed;
        - ``measured``, Spearman's correlation of the mark's mean signal with measured expression: what the data
          themselves say;
        - ``expected``, ``verdict`` (``passed``, ``not passed``, ``against the data``, ``not tested``) and ``reason``.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When there are no attributions, a gene is unknown, ``n_genes`` is below 1, or ``uns[key_added]`` holds something
        else.

    Examples
    --------
    >>> sct.tl.attribute(adata, model, genes=adata.obs_names[:20], progress=False)
    >>> sct.tl.check_biology(adata, model)
    >>> adata.uns["check_biology"]["test"].unique().tolist()
    ['position', 'sign', 'dose response']
    """
    if n_genes < 1:
        msg = f"n_genes is {n_genes}; expected at least 1."
        raise ValueError(msg)
    check_order(adata, model, "sct.tl.check_biology(adata, model)")
    check_key(adata, key_added, field="question")
    evidence = _read_evidence(adata, model, key=key, genes=genes, baseline=baseline)
    questions = [
        *_ask_positions(evidence),
        *_ask_signs(evidence),
        *_ask_dose_responses(model, evidence, n_genes, np.random.default_rng(rng)),
    ]
    table = pd.DataFrame([question.answer() for question in questions])
    logger.info("Checks of %s on %d genes: %d of %d passed.", key, len(evidence.rows), *_count_passed(table))
    return write_tables(adata, key_added, table, copy=copy)


def _count_passed(table: pd.DataFrame) -> tuple[int, int]:
    return int((table["verdict"] == PASSED).sum()), len(table)


class _Evidence(NamedTuple):
    """Genes ``rows`` ``(n,)`` that are asked, with their effects and their signal minus that of the baseline.

    ``own`` and ``difference`` are ``(n, n_columns)``; ``least`` is the smallest mean effect that counts.
    """

    adata: ad.AnnData
    layout: Layout
    rows: np.ndarray
    own: np.ndarray
    difference: np.ndarray
    least: float

    def has_difference(self, columns: np.ndarray) -> np.ndarray:
        """Return which genes differ from their baseline in some of these columns, ``(n,)``."""
        return (self.difference[:, columns] != 0).any(axis=1)

    def correlate(self, mark: str) -> _Measured:
        """Return Spearman's correlation of the mark's mean signal with expression, where it is known."""
        if k.EXPRESSION not in self.adata.obs:
            return _UNKNOWN
        level = dense(self.adata)[self.rows][:, self.layout.mark == mark].mean(axis=1)
        expression = expression_truth(self.adata)[self.rows]
        known = ~np.isnan(expression)
        if known.sum() < 2 or np.ptp(level[known]) == 0 or np.ptp(expression[known]) == 0:
            return _UNKNOWN
        return _Measured(float(stats.spearmanr(level[known], expression[known]).statistic), int(known.sum()))


class _Measured(NamedTuple):
    """Spearman's correlation of a mark's mean signal with measured expression over ``n`` genes; NaN if unknown."""

    correlation: float
    n: int

    def opposes(self, sign: int) -> bool:
        """Whether the data go against a direction, beyond the 95 % interval of no correlation (Fisher's z)."""
        return bool(self.n > 3 and -sign * self.correlation > np.tanh(_Z95 / np.sqrt(self.n - 3)))


_UNKNOWN = _Measured(np.nan, 0)


@dataclass(frozen=True)
class _Question:
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
    measured: _Measured = _UNKNOWN

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


def _skip(test: str, mark: str, question: str, reason: str) -> _Question:
    """Return a question that is not tested."""
    return _Question(test, mark, question, reason, says_yes=np.zeros(0, dtype=bool))


def _read_evidence(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module | None,
    *,
    key: str,
    genes: Genes,
    baseline: Baseline | np.ndarray | None,
) -> _Evidence:
    record = require_attributions(adata, key, baseline)
    if isinstance(model, SimpleChrome):
        model.require_trained()
    rows = select_attributed(adata, key, gene_rows(adata, genes))
    start = reference(adata, record["baseline"] if baseline is None else baseline)
    # Effects on a target other than these two have a unit of their own, and no least effect.
    unit = {"logit": k.LOG_ODDS}.get(str(record["target"]), str(record["target"]))
    return _Evidence(
        adata,
        Layout.of(adata),
        rows,
        own=dense(adata, key)[rows],
        difference=subtract_baseline(adata, start, rows),
        least=_LEAST.get(unit, 0.0),
    )


def _ask_positions(evidence: _Evidence) -> list[_Question]:
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


def _find_places(evidence: _Evidence) -> dict[str, np.ndarray]:
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
    evidence: _Evidence, first: np.ndarray, second: np.ndarray, mark: str, question: str, reason: str
) -> _Question:
    """Ask whether the sum of ``|effect|`` over some columns is above that over others."""
    if not first.any() or not second.any():
        return _skip(POSITION, mark, question, "no window here covers both places")
    sum_first, sum_second = (np.abs(evidence.own[:, columns]).sum(axis=1) for columns in (first, second))
    can_answer = evidence.has_difference(first | second)
    return _Question(
        POSITION,
        mark,
        question,
        reason,
        says_yes=(sum_first > sum_second)[can_answer],
        effect=_mean(sum_first[can_answer]),
        least=evidence.least,
    )


def _ask_signs(evidence: _Evidence) -> list[_Question]:
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
            _Question(
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


def _ask_dose_responses(
    model: SimpleChrome | torch.nn.Module | None, evidence: _Evidence, n_genes: int, rng: np.random.Generator
) -> list[_Question]:
    """Ask what the prediction does when a mark is scaled down."""
    questions: list[_Question] = []
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
    model: SimpleChrome, evidence: _Evidence, mark: str, asked: tuple[str, str], rows: np.ndarray
) -> list[_Question]:
    """Ask whether removing a mark moves the prediction as expected, and whether each step on the way does."""
    sign, reason = _ACTS[mark]
    curve, value = _predict_curves(model, evidence.adata, mark, rows)
    removed = curve[:, 0] - curve[:, -1]
    as_expected = -sign * removed > 0
    step_by_step = as_expected & (sign * np.diff(curve, axis=1) > -_ROUNDING).all(axis=1)
    return [
        _Question(
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


def _has_mark(evidence: _Evidence, mark: str) -> np.ndarray:
    """Return which genes have signal of a mark, ``(n,)``."""
    signal = values(evidence.adata, k.SIGNAL)[evidence.rows]
    return (signal[:, evidence.layout.mark == mark] > 0).any(axis=1)


def _mean(of_genes: np.ndarray) -> float:
    return float(of_genes.mean()) if len(of_genes) else np.nan
