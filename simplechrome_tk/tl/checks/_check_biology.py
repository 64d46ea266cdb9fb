"""Comparison of attributions with what is known of histone marks, as questions with a yes or a no."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.layout import blocks, window_anchors
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.checks._sample import attributed, moved, require_attributions
from simplechrome_tk.tl.checks._verdicts import NOT_PASSED, NOT_TESTED, PASSED
from simplechrome_tk.tl.perturbation._dose_response import dose_response
from simplechrome_tk.tl.perturbation._perturb import LOG_EXPRESSION, LOG_ODDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import torch

    from simplechrome_tk.tl.attribution._baselines import Baseline

logger = logging.getLogger(__name__)

POSITION, SIGN, DOSE = "position", "sign", "dose"
AGAINST_DATA = "against the data"
"""The model goes as the textbook has it, while in these data genes with more of the mark go the other way."""

_NEAR, _OUTER = 1_000, 1_000  # bp around the TSS; at each end of the window, two kb together, as many as near the TSS
_HALF = 0.5
_Z95 = 1.96
_DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST = {
    "logit": float(np.log(1.25)),
    "log_expression": float(np.log10(1.25)),
}  # of the mean gene: a quarter more of odds, of expression
_STILL = 1e-5  # in the unit of the prediction: a smaller step back is rounding
_ACTS = {
    "H3K4me3": (1, "it marks promoters at which transcription starts (Barski et al. 2007)"),
    "H3K27ac": (1, "it marks active promoters (Creyghton et al. 2010)"),
    "H3K36me3": (1, "elongating polymerase leaves it behind in the gene's body (Barski et al. 2007)"),
    "H3K27me3": (-1, "Polycomb represses with it (Boyer et al. 2006)"),
    "H3K9me3": (-1, "it marks heterochromatin (Barski et al. 2007); where it spreads over active genes this may fail"),
}
_DOSED = ("H3K4me3", "H3K27ac", "H3K27me3")


def check_biology(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module | None,
    *,
    key: str = k.ATTRIBUTION,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    n_dose_genes: int = 300,
    baseline: Baseline | np.ndarray | None = None,
    rng: int = 0,
) -> pd.DataFrame:
    """Ask attributions, and the model, for what is known of histone marks.

    ============ ===================================================================================================
    ``position`` effects within 1 kb of the TSS are larger than in the outermost kilobase at each end of the TSS window;
                 those of H3K36me3 are larger downstream of the TSS, and in the gene's body, than upstream
    ``sign``     more H3K4me3, H3K27ac and H3K36me3 go with a higher prediction, more H3K27me3 and H3K9me3 with a lower
    ``dose``     scaling H3K4me3 or H3K27ac down lowers the prediction, scaling H3K27me3 down raises it, step by step
    ============ ===================================================================================================

    Each question is put to every gene that can answer it, such as those that carry the mark. The answer is yes when
    more than half of them say so, beyond the 95 % interval, and the effect changes the odds of being high, or
    expression, by a quarter at least in the mean gene: a model of permuted labels has directions too, of effects near
    nothing.

    A yes to ``sign`` or ``dose`` is no pass where the data go the other way: when ``measured`` has the other sign,
    beyond what 95 % of unrelated data have, the verdict is ``against the data``. Such a model agrees with the textbook;
    that genes with more of the mark are higher, or lower, in these very data remains to be explained, by other marks at
    the same genes, by the peaks, or by a model that is wrong. Half of the genes, and a quarter of the odds, were chosen
    after a look at genes on chr2 and chr9 of Roadmap's cell types, which are therefore no independent test of them.

    Parameters
    ----------
    model
        The model, for the doses; ``None``, or a plain ``torch`` module, leaves them untested.
    adata
        Data with attributions. They stay as they are.
    key
        Name of the attributions.
    genes
        Ids, symbols or a mask; ``None`` takes all that have attributions.
    n_dose_genes
        Genes to draw at random, of those that carry the mark, for its doses.
    baseline
        That of the attributions, where it was given as an array.
    rng
        Seed of the genes for doses.

    Returns
    -------
    pandas.DataFrame
        One row per question: ``test``, ``mark`` (empty for all), ``question``, ``n`` (genes), ``share`` that say yes,
        ``low`` and ``high`` (95 % Wilson interval), ``effect`` (mean over these genes: of ``position`` the sum of
        ``|effect|`` in the place named first; of ``sign`` the sum of the mark's effects; of ``dose`` the change of the
        prediction when the mark is removed), ``measured`` (Spearman's correlation of the mark's mean signal with
        measured expression: what the data themselves say), ``expected``, ``verdict`` (``passed``, ``not passed``,
        ``against the data``, ``not tested``) and ``reason``.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When there are no attributions, a gene is unknown, or ``n_dose_genes`` is below 1.
    """
    if n_dose_genes < 1:
        msg = f"n_dose_genes is {n_dose_genes}; expected at least 1."
        raise ValueError(msg)
    check_order(adata, model, "sct.tl.check_biology(adata, model)")
    record = require_attributions(adata, key, baseline)
    if isinstance(model, SimpleChrome):
        model.require_trained()
    rows = attributed(adata, key, gene_rows(adata, genes))
    start = make_baselines(read_inputs(adata, None), record["baseline"] if baseline is None else baseline)
    least = _LEAST.get(str(record["target"]), 0.0)
    asked = _Asked(adata, rows, dense(adata, key)[rows], moved(adata, start, rows), least)
    table = [*_positions(asked), *_signs(asked), *_doses(model, asked, n_dose_genes, np.random.default_rng(rng))]
    return pd.DataFrame(table)


class _Measured(NamedTuple):
    """Spearman's correlation of a mark's mean signal with measured expression over ``n`` genes; NaN if unknown."""

    correlation: float
    n: int

    def opposes(self, sign: int) -> bool:
        """Whether the data go against a direction, beyond the 95 % interval of no correlation (Fisher's z)."""
        return bool(self.n > 3 and -sign * self.correlation > np.tanh(_Z95 / np.sqrt(self.n - 3)))


_UNKNOWN = _Measured(np.nan, 0)


class _Asked(NamedTuple):
    """Genes ``rows`` ``(n,)`` that are asked, their effects and signal less the baseline's ``(n, n_columns)``.

    ``least`` is the smallest effect that counts.
    """

    adata: ad.AnnData
    rows: np.ndarray
    own: np.ndarray
    moved: np.ndarray
    least: float

    def of_mark(self, mark: str) -> np.ndarray:
        """Return which columns are of a mark."""
        return (self.adata.var[k.MARK].astype(str) == mark).to_numpy()

    def measured(self, mark: str) -> _Measured:
        """Return Spearman's correlation of the mark's mean signal with expression, and the genes that it is of.

        NaN where it is not known.
        """
        if k.EXPRESSION not in self.adata.obs:
            return _UNKNOWN
        level = dense(self.adata)[self.rows][:, self.of_mark(mark)].mean(axis=1)
        expression = expression_truth(self.adata)[self.rows]
        known = ~np.isnan(expression)
        if known.sum() < 2 or np.ptp(level[known]) == 0 or np.ptp(expression[known]) == 0:
            return _UNKNOWN
        return _Measured(float(stats.spearmanr(level[known], expression[known]).statistic), int(known.sum()))


def _positions(asked: _Asked) -> list[dict[str, object]]:
    """Ask where effects lie."""
    place = _places(asked.adata)
    rows = [
        _more(
            asked,
            place["near"],
            place["outer"],
            "",
            "|effect| within 1 kb of the TSS above that of the outermost kilobases",
            "promoters are where marks tell most of a gene (Cheng et al. 2011)",
        )
    ]
    if asked.of_mark("H3K36me3").any():
        own, reason = asked.of_mark("H3K36me3"), _ACTS["H3K36me3"][1]
        for zone, name in (("downstream", "downstream of the TSS"), ("body", "in the gene's body")):
            question = f"|effect| {name} above that upstream of the TSS"
            rows.append(_more(asked, place[zone] & own, place["upstream"] & own, "H3K36me3", question, reason))
    return rows


def _places(adata: ad.AnnData) -> dict[str, np.ndarray]:
    """Which columns lie near the TSS, at the ends of its window, up- and downstream in it, and in the gene's body."""
    var, anchors = adata.var, window_anchors(adata)
    anchor = np.array([anchors.get(region, region) for region in var[k.REGION].astype(str)])
    middle = ((var[k.START_BP] + var[k.END_BP]) / 2).to_numpy(float)
    tss = anchor == "tss"
    first, last = (var[k.START_BP][tss].min(), var[k.END_BP][tss].max()) if tss.any() else (0, 0)
    wide = first <= -_NEAR - _OUTER and last >= _NEAR + _OUTER
    return {
        "near": tss & (np.abs(middle) < _NEAR) & wide,
        "outer": tss & ((middle < first + _OUTER) | (middle > last - _OUTER)) & wide,
        "upstream": tss & (middle < 0),
        "downstream": tss & (middle > 0) & (first < 0),
        "body": anchor == "body",
    }


def _more(
    asked: _Asked, one: np.ndarray, other: np.ndarray, mark: str, question: str, reason: str
) -> dict[str, object]:
    """Ask whether the sum of ``|effect|`` over some columns is above that over others."""
    if not one.any() or not other.any():
        return _row(POSITION, mark, question, np.zeros(0, bool), np.nan, _UNKNOWN, "no window here covers both places")
    first, second = (np.abs(asked.own[:, columns]).sum(axis=1) for columns in (one, other))
    there = (asked.moved[:, one | other] != 0).any(axis=1)
    size = float(first[there].mean()) if there.any() else np.nan
    return _row(POSITION, mark, question, (first > second)[there], size, _UNKNOWN, reason, least=asked.least)


def _signs(asked: _Asked) -> list[dict[str, object]]:
    """Ask in which direction marks go."""
    rows = []
    for mark in dict.fromkeys(blocks(asked.adata)["mark"]):
        if mark not in _ACTS:
            continue
        sign, reason = _ACTS[mark]
        columns = asked.of_mark(mark)
        along = (asked.own[:, columns] * asked.moved[:, columns]).sum(axis=1)
        total = asked.own[:, columns].sum(axis=1)
        there = (asked.moved[:, columns] != 0).any(axis=1)
        question = f"more {mark} goes with a {'higher' if sign > 0 else 'lower'} prediction"
        yes = (np.sign(along) == sign)[there]
        effect = float(total[there].mean()) if there.any() else np.nan
        measured = asked.measured(mark)
        rows.append(_row(SIGN, mark, question, yes, effect, measured, reason, least=asked.least, sign=sign))
    return rows


def _doses(
    model: SimpleChrome | torch.nn.Module | None, asked: _Asked, n_genes: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    """Ask what the prediction does when a mark is scaled down."""
    rows = []
    for mark in _DOSED:
        if not asked.of_mark(mark).any():
            continue
        sign, reason = _ACTS[mark]
        does = "lowers" if sign > 0 else "raises"
        questions = (f"removing {mark} {does} the prediction", f"each of four steps down of {mark} {does} it")
        if not isinstance(model, SimpleChrome):
            why = "doses need a SimpleChrome: give it as the first argument"
            rows += [_row(DOSE, mark, question, np.zeros(0, bool), np.nan, _UNKNOWN, why) for question in questions]
            continue
        carrying = rng.permutation(asked.rows[_has_signal(asked, mark)])[:n_genes]
        if not len(carrying):
            why = "no gene asked carries the mark"
            rows += [_row(DOSE, mark, question, np.zeros(0, bool), np.nan, _UNKNOWN, why) for question in questions]
            continue
        ids = asked.adata.obs_names[np.sort(carrying)].to_numpy(str)
        table = dose_response(asked.adata, model, mark, doses=_DOSES, genes=ids, progress=False)
        value = LOG_ODDS if LOG_ODDS in table else LOG_EXPRESSION
        curve = table.pivot_table(index="gene", columns="dose", values=value).to_numpy()
        steps = sign * np.diff(curve, axis=1)
        removed = curve[:, 0] - curve[:, -1]
        least = _LEAST["logit" if value == LOG_ODDS else "log_expression"]
        answers = (-sign * removed > 0, (-sign * removed > 0) & (steps > -_STILL).all(axis=1))
        measured = asked.measured(mark)
        rows += [
            _row(DOSE, mark, question, answer, float(removed.mean()), measured, reason, least=least, sign=sign)
            for question, answer in zip(questions, answers, strict=True)
        ]
    return rows


def _has_signal(asked: _Asked, mark: str) -> np.ndarray:
    signal = dense(asked.adata, k.SIGNAL if k.SIGNAL in asked.adata.layers else None)
    return (signal[asked.rows][:, asked.of_mark(mark)] > 0).any(axis=1)


def _row(
    test: str,
    mark: str,
    question: str,
    yes: np.ndarray,
    effect: float,
    measured: _Measured,
    reason: str,
    *,
    least: float = 0.0,
    sign: int = 0,
) -> dict[str, object]:
    """One row of the table; without genes the question was not put, and ``reason`` says why.

    ``sign`` is the direction that is expected, where the data themselves may speak for or against it.
    """
    share, low, high, verdict, expected = np.nan, np.nan, np.nan, NOT_TESTED, ""
    if len(yes):
        share = float(yes.mean())
        bounds = stats.binomtest(int(yes.sum()), len(yes)).proportion_ci(method="wilson")
        low, high = float(bounds.low), float(bounds.high)
        verdict = PASSED if low > _HALF and abs(effect) >= least else NOT_PASSED
        if sign and measured.opposes(sign):
            verdict = AGAINST_DATA if verdict == PASSED else verdict
            reason += f". In these data genes with more of it are {'higher' if sign < 0 else 'lower'}: "
            reason += "the model goes against them" if verdict == AGAINST_DATA else "a model that follows them may fail"
        expected = f"share > {_HALF:g}, |effect| >= {least:.2g}"
    return {
        "test": test,
        "mark": mark,
        "question": question,
        "n": len(yes),
        "share": share,
        "low": low,
        "high": high,
        "effect": effect,
        "measured": measured.correlation,
        "expected": expected,
        "verdict": verdict,
        "reason": reason,
    }
