"""Pictures of one gene with its tracks, attributions and neighbours, for all widgets that show a gene."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, NamedTuple

from simplechrome_tk import get, pl
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names
from simplechrome_tk.core.require import symbols
from simplechrome_tk.tl.attribution._explain import explain_genes
from simplechrome_tk.widgets._panel import picture
from simplechrome_tk.widgets._related_genes import parts_and_related_genes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome

_METHODS = {
    "integrated_gradients": "integrated gradients",
    "deep_lift": "DeepLIFT",
    "gradient_shap": "GradientSHAP",
    "occlusion": "occlusion",
    "feature_ablation": "ablation",
}
_BASELINES = {
    "zero": "no signal of any mark",
    "low": "the median low gene",
    "matched": "the mean gene of similar length",
    "given": "a baseline of your own",
}


class GenePage(NamedTuple):
    """One gene to draw: ``data`` holds the gene, its neighbours, and attributions where there are any."""

    data: ad.AnnData
    gene: str
    alike: tuple[str, ...]
    """The gene in other cell types, drawn on the same scales."""
    note: str
    """A sentence about the source of the attributions."""


def read_gene(adata: ad.AnnData, model: SimpleChrome | None, rows: Sequence[int]) -> list[GenePage]:
    """Read a gene in one cell type or several, with its attributions.

    The attributions are those of ``adata`` where it has them; otherwise the model computes them. ``adata`` and
    ``model`` stay as they are.
    """
    ids = adata.obs_names[list(rows)].to_numpy(str)
    if model is not None:
        data = explain_genes(adata, model, ids)
        note = _note(data.uns[k.ATTRIBUTION], len(ids))
    else:
        graphs = graph_names(adata.uns.get(k.ATTRIBUTION, {}).get("neighbors_key"))
        data = get.neighborhood(adata, ids, neighbors_key=graphs)
        note = "Effects are those in the AnnData, if it has any; without a model, none are computed."
    return [GenePage(data, gene, tuple(ids), note) for gene in ids]


def draw_gene(page: GenePage) -> Figure:
    """Return a figure of a gene."""
    return pl.browser(page.data, page.gene, same_scale_as=page.alike).signal[0, 0].figure


def show_gene(page: GenePage) -> str:
    """Return the picture of a gene, the parts of its prediction, its related genes, and the source of effects."""
    row = page.data.obs_names.get_loc(page.gene)
    alt = f"Tracks of {symbols(page.data)[row]}, the effect of each bin on the prediction, and its neighbours."
    text = parts_and_related_genes(page.data, page.gene)
    return f"{picture(lambda: draw_gene(page), alt)}{text}<div>{html.escape(page.note)}</div>"


def gene_page(adata: ad.AnnData, model: SimpleChrome | None, row: int) -> str:
    """Return tracks, attributions and related genes of the gene in ``row`` as HTML."""
    return show_gene(read_gene(adata, model, [row])[0])


def _note(record: Mapping[str, object], n_genes: int) -> str:
    source = "computed for this gene" if n_genes == 1 else "computed for this gene in each cell type"
    return (
        f"Effects on {record['unit']} by {_METHODS[str(record['method'])]}, against "
        f"{_BASELINES[str(record['baseline'])]}; {source if record['computed'] else 'from the AnnData'}."
    )
