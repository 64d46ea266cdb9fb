"""Table of predictions and measurements of one gene in each cell type."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import linear_expression
from simplechrome_tk.core.require import cell_type_key, cell_types
from simplechrome_tk.pl._style import unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome

_SPLITS = {
    "train": "seen in training",
    "valid": "seen in training (validation)",
    "test": "held out",
}


def gene_table(adata: ad.AnnData, model: SimpleChrome | None, rows: Sequence[int]) -> pd.DataFrame:
    """Return one row for each cell type, as text, with the columns that are known."""
    key = None if model is None else model.settings.neighbors_key
    # The gene and its neighbours are enough to predict it, and take a fraction of the time of all genes.
    small = get.neighborhood(adata, adata.obs_names[list(rows)].to_numpy(str), neighbors_key=key)
    obs = small.obs.iloc[: len(rows)]
    names = (k.EXPRESSION, k.LABEL, k.SPLIT)
    if model is not None:
        names = (model.settings.expression_key, model.settings.label_key, model.settings.split_key)
    measured, label, split = (obs[name] if name in obs else None for name in names)
    expression_unit = unit(adata, k.EXPRESSION)
    table = pd.DataFrame(index=obs.index)
    if (column := cell_type_key(small)) is not None:
        table[column.replace("_", " ")] = cell_types(small)[: len(rows)]
    if measured is not None:
        table["measured"] = [_amount(value, expression_unit) for value in measured]
    if label is not None:
        table["label"] = label.astype(object).where(label.notna(), "unknown").astype(str)
    if model is not None:
        predicted = model.predict(small).iloc[: len(rows)]
        if "log_expression" in predicted:
            amounts = predicted[["log_expression", "log_expression_low", "log_expression_high"]].to_numpy(float)
            amounts = linear_expression(amounts)
            table["predicted (90 % interval)"] = [_interval(row, expression_unit) for row in amounts]
            if measured is not None:
                table["measured is"] = [
                    _side(value, low, high) for value, (_, low, high) in zip(measured, amounts, strict=True)
                ]
        if "probability" in predicted:
            probabilities = predicted[["probability", "probability_low", "probability_high"]].to_numpy(float)
            table["probability of high"] = [_probability(row) for row in probabilities]
    if split is not None:
        table["this gene was"] = [_SPLITS.get(str(name), str(name)) for name in split]
    return table


def table_html(table: pd.DataFrame, *, caption: str, row_names: bool = False) -> str:
    """Return a table as HTML that a screen reader reads row by row.

    With ``row_names`` the first column names the rows.
    """
    title = f'<caption style="text-align: left; font-weight: bold">{html.escape(caption)}</caption>'
    head = "".join(f'<th scope="col" style="white-space: normal">{html.escape(str(name))}</th>' for name in table)
    tags = [("<td>", "</td>")] * table.shape[1]
    if row_names:
        tags[0] = ('<th scope="row">', "</th>")
    rows = [
        "".join(f"{start}{html.escape(str(value))}{end}" for (start, end), value in zip(tags, row, strict=True))
        for row in table.itertuples(index=False)
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div style="overflow-x: auto">{table}</div>'


def _amount(value: float, expression_unit: str) -> str:
    if np.isnan(value):
        return "unknown"
    return f"{_digits(value)} {expression_unit}".rstrip()


def _digits(value: float) -> str:
    """Write an expression with three significant digits, and no more than two decimals below 0.1."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.1 else f"{value:.2f}"


def _interval(amounts: np.ndarray, expression_unit: str) -> str:
    value, low, high = amounts
    return _amount(value, expression_unit) + ("" if np.isnan(low) else f" ({_digits(low)} to {_digits(high)})")


def _probability(probabilities: np.ndarray) -> str:
    value, low, high = probabilities
    return f"{value:.2f}" + ("" if np.isnan(low) else f" ({low:.2f} to {high:.2f})")


def _side(value: float, low: float, high: float) -> str:
    if np.isnan([value, low]).any():
        return "unknown"
    if value < low:
        return "below"
    return "above" if value > high else "within"
