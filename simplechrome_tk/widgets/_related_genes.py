"""Where a prediction comes from, in a sentence, and the related genes of a gene by name, as a table."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import cell_types, symbols
from simplechrome_tk.get._attribution_shares import PARTS, read_parts
from simplechrome_tk.pl._style import distance, signed
from simplechrome_tk.tl.attribution._methods import COMPLETE
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects, read_record
from simplechrome_tk.widgets._gene_browser_table import table_html

if TYPE_CHECKING:
    import anndata as ad

_MOST_GENES = 15
"""Related genes that are listed by name; the others are counted."""


def parts_and_related_genes(adata: ad.AnnData, gene: str, *, key: str = k.ATTRIBUTION) -> str:
    """Return what each part of the input adds to a prediction, and the strongest related genes, as HTML.

    ``adata`` holds the gene and its neighbours, and the attributions that its record describes. A gene without
    attributions has no text.
    """
    if key not in adata.layers or np.isnan(dense(adata, key)[adata.obs_names.get_loc(gene)]).any():
        return ""
    parts = f"<p>{html.escape(describe_parts(adata, gene, key))}</p>"
    return parts + (related_genes(adata, gene, key) if has_neighbor_effects(adata, key) else "")


def describe_parts(adata: ad.AnnData, gene: str, key: str) -> str:
    """Return the summed effects of the parts of the input, and what they should sum to, in words."""
    record, row = read_record(adata, key), get.attribution_shares(adata, genes=[gene], key=key).iloc[0]
    read = read_parts(adata, key)
    named = ", ".join(f"{PARTS[part]} {signed(row[part])}" for part in read)
    text = f"Effects on {record['unit']}: {named}."
    if len(read) > 1:
        text += f" They sum to {signed(row[list(read)].sum())}."
    explained = "predicted change" if record["target"] == "change" else "prediction minus that at the baseline"
    text += f" The {explained} is {signed(row['total'])}"
    if record["method"] in COMPLETE:
        return f"{text}: the effects miss {_percent(row['error'])} of it."
    return f"{text}; effects by this method need not sum to it."


def related_genes(adata: ad.AnnData, gene: str, key: str) -> str:
    """Return a table of the related genes with the largest effects, and the sum of the others, as HTML."""
    effects = get.neighbor_effects(adata, genes=gene, key=key)
    row = adata.obs_names.get_loc(gene)
    # Where cell types are stacked, the id of a gene without a symbol ends in its cell type, which all genes here share.
    suffix = f":{cell_types(adata).iloc[row]}"
    symbol = str(symbols(adata)[row]).removesuffix(suffix)
    graphs = graph_names(read_record(adata, key)["neighbors_key"])
    if effects.empty:
        return f"<p>{html.escape(symbol)} has no related genes in {html.escape(_name_graphs(graphs))}.</p>"
    shown, rest = effects.iloc[:_MOST_GENES], effects["effect"].iloc[_MOST_GENES:]
    table = pd.DataFrame({"related gene": [str(name).removesuffix(suffix) for name in shown["neighbor_symbol"]]})
    if len(graphs) > 1:
        table["graph"] = shown["graph"].to_numpy()
    table["weight"] = [f"{weight:.3g}" for weight in shown["weight"]]
    if "neighbor_chrom" in shown:
        table["chromosome"] = shown["neighbor_chrom"].to_numpy()
    table["distance (− is upstream)"] = [distance(bp) for bp in shown["distance_bp"]]
    unit = read_record(adata, key)["unit"]
    table[f"effect on {unit}"] = [signed(effect) for effect in shown["effect"]]
    number = f"the {len(shown)} strongest of {len(effects)}" if len(rest) else "the strongest first"
    found = table_html(table, caption=f"Genes related to {symbol} in {_name_graphs(graphs)}, {number}", row_names=True)
    if len(rest):
        noun = "other related gene" if len(rest) == 1 else "other related genes"
        found += f"<p>The {len(rest):,} {noun}: {signed(rest.sum())} in all.</p>"
    return found


def _name_graphs(graphs: tuple[str, ...]) -> str:
    """Return the names of graphs in words."""
    return f"the graph{'s' if len(graphs) > 1 else ''} {', '.join(graphs)}"


def _percent(fraction: float) -> str:
    """Write a fraction as per cent with two decimals."""
    return f"{100 * fraction:.2f} %" if fraction >= 5e-5 else "less than 0.01 %"
