"""The rule by which labels were made from expression."""

from __future__ import annotations

import logging
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import cell_type_key, cell_types

logger = logging.getLogger(__name__)

MEDIAN, AT_MEDIAN, TEXT, THRESHOLD = "median", "median or equal", "text", "threshold"
# Share of the labels that the fitted threshold must explain beyond the other rules to be named.
_WORTH = 0.01


class LabelAudit(NamedTuple):
    """The rule that explains labels best, as :func:`audit_labels` returns it."""

    rule: str
    """Name of the rule, the first row of ``rules``."""

    rules: pd.DataFrame
    """One row per rule, the best first: ``rule``, ``threshold``, ``agree``, ``disagree`` and ``share`` of the labels
    that it explains."""

    disagreeing: pd.DataFrame
    """One row per rule and gene that it does not explain: ``rule``, ``gene``, ``expression``, ``label``, and
    ``expected``, the label by the rule."""


def audit_labels(
    data: ad.AnnData | pd.DataFrame,
    *,
    label_key: str = k.LABEL,
    expression_key: str = k.EXPRESSION,
    median: float | None = None,
    decimals: int = 3,
) -> LabelAudit:
    """Compare labels with the expression they came from, and name the rule that explains them best.

    ==================== ===============================================================================
    ``median``           high is above the median, as :func:`simplechrome_tk.pp.label_expression` has it
    ``median or equal``  high is the median or above
    ``text``             high is above the median where both are compared as text
                         (:func:`above_as_text`): "13.300" comes before "3.33"
    ``threshold``        high is above the value that explains most labels; named only when it explains
                         at least 1 % more of them than the others, since it is fitted to them
    ==================== ===============================================================================

    Of rules that explain the same number of labels, the first in this table is named.

    Parameters
    ----------
    data
        Genes of one cell type: an AnnData, or a table of genes with the two columns. Genes without label or expression
        are left out and counted in the log.
    label_key
        Column with ``low`` and ``high``, or 0 and 1.
    expression_key
        Column with expression in linear units.
    median
        Median of all genes from which the labels were made, where ``data`` are some of them. By default the one that
        :func:`simplechrome_tk.deepchrome.read` or :func:`simplechrome_tk.pp.label_expression` has left in ``uns``,
        else the median of ``data``.
    decimals
        Digits behind the point that expression was printed with, for the comparison as text.

    Returns
    -------
    LabelAudit
        ``rule``, ``rules`` and ``disagreeing``. Writes nothing.

    Raises
    ------
    ValueError
        When a column is not there or holds something else, expression is negative, nothing is known of any gene, or
        there are several cell types.

    Examples
    --------
    >>> import pandas as pd
    >>> genes = pd.DataFrame({"expression": [0.5, 2.0, 7.0, 13.3, 25.0, 40.0], "label": [0, 0, 1, 0, 0, 1]})
    >>> audit = sct.deepchrome.audit_labels(genes, median=3.33)
    >>> audit.rule
    'text'
    >>> audit.rules[["rule", "agree", "disagree"]]
                  rule  agree  disagree
    0             text      6         0
    1        threshold      5         1
    2           median      4         2
    3  median or equal      4         2
    """
    genes = _genes(data, label_key, expression_key)
    expression, label = genes[k.EXPRESSION].to_numpy(float), genes[k.LABEL].to_numpy(bool)
    if median is None:
        median = _known_median(data, expression_key)
    if median is None:
        median = float(np.median(expression))
        logger.info("Compared with the median of the %d genes given, %g.", len(genes), median)
    best = _best_threshold(expression, label)
    expected = {
        MEDIAN: (median, expression > median),
        AT_MEDIAN: (median, expression >= median),
        TEXT: (median, above_as_text(expression, median, decimals=decimals)),
        THRESHOLD: (best, expression > best),
    }
    rules = pd.DataFrame(
        [(rule, cut, int((high == label).sum()), int((high != label).sum())) for rule, (cut, high) in expected.items()],
        columns=["rule", "threshold", "agree", "disagree"],
    )
    rules["share"] = rules["agree"] / len(genes)
    # The threshold was fitted to the labels, and the others were not: it is ranked by less than it explains.
    merit = rules["agree"].where(rules["rule"] != THRESHOLD, rules["agree"] - _WORTH * len(genes))
    rules = rules.loc[merit.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)
    disagreeing = [
        genes[high != label].assign(rule=rule, expected=_label_names(high)[high != label])
        for rule, (_, high) in expected.items()
    ]
    table = pd.concat(disagreeing).rename_axis("gene").reset_index()
    table[k.LABEL] = _label_names(table[k.LABEL])
    columns = ["rule", "gene", k.EXPRESSION, k.LABEL, "expected"]
    return LabelAudit(str(rules["rule"][0]), rules, table[columns])


def above_as_text(
    expression: np.ndarray | pd.DataFrame, threshold: float | pd.Series, *, decimals: int = 3
) -> np.ndarray | pd.DataFrame:
    """Compare numbers with a threshold as text, character by character, by mistake.

    This happens when a table is read without turning its columns into numbers: "13.300" is below "3.33", since "1" is
    below "3". With a threshold between 1 and 2 the result is right.

    Parameters
    ----------
    expression
        Shape ``(n,)``, or a table with one column per cell type, such as
        :func:`simplechrome_tk.deepchrome.load_expression`. Printed with ``decimals`` digits behind the point.
    threshold
        Printed with as many digits, and without zeros at the end. For a table also one threshold per column, such as
        ``expression.median()``.
    decimals
        Digits behind the point.

    Returns
    -------
    numpy.ndarray or pandas.DataFrame
        Shape of ``expression``, bool. As in a comparison of numbers, missing values are not above.

    Examples
    --------
    >>> sct.deepchrome.above_as_text([0.5, 2.0, 7.0, 13.3, 40.0], 3.33)
    array([False, False, True, False, True])

    Share of the labels of each cell type that differ from those of the median:

    >>> import pandas as pd
    >>> rpkm = pd.DataFrame({"A": [0.2, 1.1, 2.1, 15.0], "B": [0.2, 2.0, 4.2, 15.0]})
    >>> median = rpkm.median()
    >>> (sct.deepchrome.above_as_text(rpkm, median) != (rpkm > median)).mean()
    A    0.00
    B    0.25
    dtype: float64
    """
    if isinstance(expression, pd.DataFrame):
        cuts = pd.Series(threshold, index=expression.columns, dtype=float)
        columns = {
            name: above_as_text(expression[name].to_numpy(), cuts[name], decimals=decimals) for name in cuts.index
        }
        return pd.DataFrame(columns, index=expression.index)
    text = f"{threshold:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if decimals else text
    values = np.asarray(expression, dtype=float)
    above = np.array([f"{value:.{decimals}f}" > text for value in values], dtype=bool)
    return above & ~np.isnan(values)


def _genes(data: ad.AnnData | pd.DataFrame, label_key: str, expression_key: str) -> pd.DataFrame:
    """Return expression and label (True for high) of the genes for which both are known."""
    table = data.obs if isinstance(data, ad.AnnData) else data
    missing = [key for key in (label_key, expression_key) if key not in table]
    if missing:
        msg = (
            f"no column {', '.join(map(repr, missing))} (found: {', '.join(map(str, table)) or 'none'}); name the "
            "columns with label_key and expression_key."
        )
        raise ValueError(msg)
    if isinstance(data, ad.AnnData) and (cells := cell_types(data)).nunique() > 1:
        msg = (
            f"there are {cells.nunique()} cell types, each with a rule of its own; audit one at a time: "
            f"adata[adata.obs[{cell_type_key(data)!r}] == {cells.iloc[0]!r}]."
        )
        raise ValueError(msg)
    expression = pd.to_numeric(table[expression_key], errors="coerce").astype(float)
    known = expression.notna() & table[label_key].notna()
    if not known.any():
        msg = f"no gene has both {label_key!r} and {expression_key!r}; expected some to compare."
        raise ValueError(msg)
    if not known.all():
        logger.info("%d of %d genes lack a label or expression and are left out.", (~known).sum(), len(known))
    if (expression[known] < 0).any():
        msg = f"{expression_key!r} holds {int((expression[known] < 0).sum())} negative values; expected linear units."
        raise ValueError(msg)
    labels = table[label_key][known].astype(object)
    code = labels.map({"low": 0, "high": 1, 0: 0, 1: 1})
    if code.isna().any():
        unknown = ", ".join(map(str, labels[code.isna()].unique()[:5]))
        msg = f"{label_key!r} holds {unknown}; expected 'low' and 'high', or 0 and 1."
        raise ValueError(msg)
    return pd.DataFrame({k.EXPRESSION: expression[known], k.LABEL: code.astype(bool)})


def _label_names(high: np.ndarray | pd.Series) -> np.ndarray:
    """Return the label of each gene, from whether it is high."""
    low_name, high_name = k.LABELS
    return np.where(high, high_name, low_name)


def _known_median(data: ad.AnnData | pd.DataFrame, expression_key: str) -> float | None:
    """Return the median of all genes of the cell type that an earlier step has stored in ``uns``."""
    if not isinstance(data, ad.AnnData):
        return None
    cell = cell_types(data).iloc[0]
    labelled = data.uns.get(k.LABEL_EXPRESSION, {})
    of_labels = labelled.get("thresholds") if "threshold" not in labelled else None
    of_file = data.uns.get(k.DEEPCHROME, {}).get("medians")
    for key, found in ((k.EXPRESSION, of_file), (labelled.get("expression_key"), of_labels)):
        if key == expression_key and found is not None and cell in found.index:
            return float(found.loc[cell].iloc[0])
    return None


def _best_threshold(expression: np.ndarray, label: np.ndarray) -> float:
    """Return the value that explains most labels when genes above it are called high."""
    # Below each possible cut genes are called low, above it high: count the labels that agree with that.
    order = np.argsort(expression, kind="stable")
    values, high = expression[order], label[order]
    explained = np.append(0, np.cumsum(~high)) + high.sum() - np.append(0, np.cumsum(high))
    possible = np.append(True, np.append(values[1:] != values[:-1], True))
    best = int(np.argmax(np.where(possible, explained, -1)))
    return float(values[best - 1]) if best else -np.inf
