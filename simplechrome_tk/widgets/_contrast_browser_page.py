"""Picture and tables of one gene of a contrast, for the contrast browser."""

from __future__ import annotations

import html
import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk import get, pl, tl
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names, join_graphs
from simplechrome_tk.core.require import cell_types, gene_ids
from simplechrome_tk.get._contrast import COLUMNS, read_contrast
from simplechrome_tk.pl._style import signed
from simplechrome_tk.pl.contrast._contrast_browser import describe_change
from simplechrome_tk.pl.contrast._gene_pair import read_pair
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects
from simplechrome_tk.widgets._gene_browser_table import table_html
from simplechrome_tk.widgets._panel import picture
from simplechrome_tk.widgets._related_genes import describe_parts, related_genes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anndata as ad
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome

_REPEATED = "simplechrome_tk.tl.contrast._contrast"
"""Logger of messages that the contrast of all genes has already given."""
_TOLERANCE = 1e-3
"""Largest difference, in log10, between a predicted change and the same one predicted again."""


class ContrastPage(NamedTuple):
    """One gene to draw: ``data`` holds it and its related genes in all samples of both conditions."""

    data: ad.AnnData
    gene: str
    """Its name in ``obs_names``."""
    name: str
    """Its symbol."""
    key: str
    note: str
    """A sentence about the source of the effects."""

    @property
    def is_attributed(self) -> bool:
        """Whether the change of the gene was attributed."""
        return bool(self.data.obs.loc[[self.gene], k.TOTAL_EFFECT.format(self.key)].notna().all())


def read_page(adata: ad.AnnData, model: SimpleChrome | None, gene: str, key: str) -> ContrastPage:
    """Read a gene of a contrast, and attribute its change by the model where ``adata`` does not hold that.

    ``adata`` and ``model`` stay as they are.

    Raises
    ------
    ValueError
        When the gene is not among those of the contrast, or the model predicts another change than the contrast.
    """
    pair, record = read_pair(adata, gene, key), read_contrast(adata, key)
    name = str(adata.obs_names[pair.row])
    ids = gene_ids(adata)
    related = np.array([], dtype=int)
    if graphs := graph_names(record["neighbors_key"]):
        links = join_graphs(adata, graphs)[0][[*pair.of, *pair.against]]
        related = links.indices[links.data != 0]
    # All samples of the related genes are copied: the contrast takes genes that all samples hold.
    samples = np.append(np.atleast_1d(record["samples_of"]), np.atleast_1d(record["samples_against"]))
    rows = ids.isin(ids[[pair.row, *related]]) & cell_types(adata).isin(samples).to_numpy()
    small = get.neighborhood(adata, adata.obs_names[rows].to_numpy(str))
    page = ContrastPage(small, name, pair.name, key, "The effects are those in the AnnData.")
    if page.is_attributed:
        return page
    if model is None:
        note = (
            f"The change of {pair.name} was not attributed: pass the model, as in "
            "sct.widgets.ContrastBrowser(adata, model), to see its effects, or attribute it with "
            "sct.tl.contrast(..., genes=...)."
        )
        return page._replace(note=note)
    _attribute(page, model)
    return page._replace(note="The effects were computed for this gene.")


def _attribute(page: ContrastPage, model: SimpleChrome) -> None:
    """Attribute the change of the gene, in the data of the page."""
    record, columns = read_contrast(page.data, page.key), [f"{page.key}_{name}" for name in COLUMNS]
    # What is known of the gene among all genes, such as the false discovery rate, stays as it is.
    known = page.data.obs[columns].copy()
    with _without_repeated_messages():
        tl.contrast(
            page.data,
            model,
            of=str(record["of"]),
            against=str(record["against"]),
            key=str(record["key"]),
            fold=float(record["fold"]),
            genes=page.gene,
            n_steps=int(record["n_steps"]),
            key_added=page.key,
            progress=False,
        )
    change = float(page.data.obs.loc[page.gene, f"{page.key}_change"])
    page.data.obs[columns] = known
    stored = float(page.data.obs.loc[page.gene, f"{page.key}_change"])
    if abs(change - stored) > _TOLERANCE:
        msg = (
            f"the model predicts a change of {signed(change)} for {page.name}, and the contrast {page.key!r} holds "
            f"{signed(stored)}: pass the model of this contrast, or run sct.tl.contrast(adata, model, ...) again."
        )
        raise ValueError(msg)


@contextmanager
def _without_repeated_messages() -> Iterator[None]:
    """Leave out messages about the whole contrast that this thread would log for each gene again."""
    thread = threading.get_ident()

    def is_of_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = logging.getLogger(_REPEATED)
    logger.addFilter(is_of_another_thread)
    try:
        yield
    finally:
        logger.removeFilter(is_of_another_thread)


def draw_page(page: ContrastPage) -> Figure:
    """Return a figure of a gene in both conditions."""
    return pl.contrast_browser(page.data, page.gene, key=page.key).of[0, 0].figure


def show_page(page: ContrastPage) -> str:
    """Return the picture of a gene, the effects of its marks and of related genes, and the source of the effects."""
    record = read_contrast(page.data, page.key)
    alt = (
        f"Marks of {page.name} in {record['of']} and in {record['against']}, their difference, and its effect. "
        + describe_change(page.data, page.data.obs_names.get_loc(page.gene), page.key)
    )
    text = picture(lambda: draw_page(page), alt)
    if page.is_attributed:
        text += f"<p>{html.escape(describe_parts(page.data, page.gene, page.key))}</p>" + _mark_effects(page)
        if has_neighbor_effects(page.data, page.key):
            text += related_genes(page.data, page.gene, page.key)
    return f"{text}<div>{html.escape(page.note)}</div>"


def _mark_effects(page: ContrastPage) -> str:
    """Return a table of the effects of each mark, by region and in all, as HTML."""
    effects = get.mark_effects(page.data, key=page.key, genes=page.gene, by_region=True)
    table = effects.pivot_table(index="mark", columns="region", values="effect", sort=False, observed=True)
    table["all regions"] = table.sum(axis=1)
    text = table.map(signed).rename_axis(columns=None).reset_index()
    unit = read_contrast(page.data, page.key)["unit"]
    return table_html(text, caption=f"Effects of the marks of {page.name} on the {unit}", row_names=True)
