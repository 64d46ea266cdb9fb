"""The table of genes of the contrast browser, which sorts, filters and is clicked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anywidget
import numpy as np
import pandas as pd
import traitlets

from simplechrome_tk import get
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.pl._style import signed

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad

NAME = "name"
"""Column of the table with the name of a gene: its symbol, or its id without the name of the sample."""
UP, DOWN = "up", "down"

_MOST_ROWS = 200
"""Genes that are shown at a time; the filter reaches the others."""
_LABELS = {
    NAME: "gene",
    "change": "predicted change",
    "low": "90 % interval from",
    "high": "to",
    "measured": "measured change",
    "fdr": "false discovery rate",
    UP: "probability up",
    DOWN: "probability down",
    "average": "mean log10 expression",
    "strongest_mark": "strongest mark",
    "effect": "its effect",
}
"""Columns that are shown, where they are known, and their headings."""
_SMALL_FIRST = (NAME, "fdr", "strongest_mark")
"""Columns whose first click sorts upwards."""


class Filter(NamedTuple):
    """Which genes are listed.

    Attributes
    ----------
    text
        Part of the symbol or the id, in any case.
    direction
        ``"up"``, ``"down"``, or an empty text for both.
    least
        Least size of the predicted change.
    rate
        Largest false discovery rate; 1 lists genes without one too.
    """

    text: str = ""
    direction: str = ""
    least: float = 0.0
    rate: float = 1.0


class Order(NamedTuple):
    """Column by which genes are sorted, and direction; without a column the largest predicted change comes first."""

    column: str = ""
    descending: bool = False

    def click(self, column: str) -> Order:
        """Return the order after a click on a heading: its first direction, the other one, and the usual order."""
        first = column not in _SMALL_FIRST
        if column != self.column:
            return Order(column, first)
        return Order(column, not first) if self.descending == first else Order()


def read_genes(adata: ad.AnnData, key: str) -> pd.DataFrame:
    """Return the table of :func:`simplechrome_tk.get.contrast` with the name of each gene; the index is its id."""
    table = get.contrast(adata, key=key)
    samples = cell_types(adata).loc[table["gene"]]
    names = [
        symbol.removesuffix(f":{sample}") for symbol, sample in zip(table["symbol"].astype(str), samples, strict=True)
    ]
    return table.assign(**{NAME: names}).set_index("gene")


def select_genes(table: pd.DataFrame, chosen: Filter, order: Order) -> pd.DataFrame:
    """Return the genes that pass the filter, sorted; genes of which the sorted column is unknown come last."""
    kept = table["change"].abs() >= chosen.least
    if text := chosen.text.strip().casefold():
        names, ids = (pd.Series(values, index=table.index).astype(str) for values in (table[NAME], table.index))
        kept &= names.str.casefold().str.contains(text, regex=False) | ids.str.casefold().str.contains(
            text, regex=False
        )
    if chosen.direction:
        kept &= table["change"] > 0 if chosen.direction == UP else table["change"] < 0
    if "fdr" in table and chosen.rate < 1:
        kept &= table["fdr"] <= chosen.rate
    found = table[kept]
    if not order.column:
        return found
    # Names are sorted as they are read: in any case.
    return found.sort_values(
        order.column,
        ascending=not order.descending,
        kind="stable",
        na_position="last",
        key=lambda values: values if pd.api.types.is_numeric_dtype(values) else values.str.casefold(),
    )


def table_content(table: pd.DataFrame, order: Order, *, n_all: int, unit: str) -> dict[str, Any]:
    """Return what the table shows: its caption, headings, and the first rows as text."""
    shown = [name for name in _LABELS if name in table]
    sorted_as = "descending" if order.descending else "ascending"
    first = table.head(_MOST_ROWS)
    rows = [
        {"id": str(gene), "cells": [_text(name, value) for name, value in zip(shown, values, strict=True)]}
        for gene, values in zip(first.index, first[shown].itertuples(index=False), strict=True)
    ]
    columns = [
        {"name": name, "label": _LABELS[name], "sorted": sorted_as if name == order.column else "none"}
        for name in shown
    ]
    part = f"; the first {_MOST_ROWS} are shown" if len(table) > _MOST_ROWS else ""
    by = "" if order.column else ", largest change first"
    return {"caption": f"{len(table):,} of {n_all:,} genes{by}{part}. {unit}.", "columns": columns, "rows": rows}


def _text(column: str, value: Any) -> str:
    """Return a cell as text, empty where the value is unknown."""
    if pd.isna(value):
        return ""
    if isinstance(value, str):
        return value
    if column in (UP, DOWN):
        return f"{value:.2f}"
    return f"{value:.2g}" if column == "fdr" else signed(float(np.asarray(value)))


class GeneTable(anywidget.AnyWidget):
    """A table whose headings and rows are clicked: ``on_sort`` gets the name of a column, ``on_gene`` an id."""

    _esm = Path(__file__).with_suffix(".js")
    _css = """
.sct-genes { max-height: 330px; overflow: auto; }
.sct-genes caption { text-align: left; white-space: nowrap; padding-bottom: 4px; }
.sct-genes thead th { position: sticky; top: 0; white-space: normal; vertical-align: bottom;
  background: var(--jp-layout-color0, white); }
.sct-genes button { font: inherit; color: inherit; background: none; border: 0; padding: 2px 4px 2px 0; cursor: pointer;
  text-align: left; }
.sct-genes thead button { font-weight: bold; }
.sct-genes tbody tr { cursor: pointer; }
.sct-genes tbody th { font-weight: normal; border-left: 4px solid transparent; }
.sct-genes tbody tr:hover { background: var(--jp-layout-color2, #eee); }
.sct-genes tbody tr[aria-current="true"] th { border-left-color: #0072B2; font-weight: bold; }
"""
    content = traitlets.Dict({"caption": "", "columns": [], "rows": []}).tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)

    def __init__(self, on_sort: Callable[[str], object], on_gene: Callable[[str], object]) -> None:
        super().__init__()
        self._handlers = {"sort": on_sort, "gene": on_gene}
        self.on_msg(self._on_click)

    def _on_click(self, _widget: object, message: dict[str, str], _buffers: object) -> None:
        for name, value in message.items():
            self._handlers[name](value)
