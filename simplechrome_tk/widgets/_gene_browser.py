"""Browser of single genes: tracks, attributions, related genes and predictions in each cell type."""

from __future__ import annotations

import io
from threading import Lock
from typing import TYPE_CHECKING, Any

import anndata as ad
import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.image import imread

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import cell_types, check_order, check_unique, gene_ids, symbols
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.pl._figure import detached, new_figure
from simplechrome_tk.widgets._gene_browser_table import gene_table, table_html
from simplechrome_tk.widgets._gene_page import draw_gene, read_gene, show_gene
from simplechrome_tk.widgets._gene_picker import GenePicker
from simplechrome_tk.widgets._panel import Panel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.widgets._gene_page import GenePage

ALL = "all"
_MOST_BUTTONS = 8
"""Number of cell types up to which each has a button; more are offered in a list."""
_DPI = 150
"""Resolution of the pictures on one sheet."""


class GeneBrowser(Panel):
    """Show a gene: its tracks, attributions and related genes, and its predicted and measured expression.

    A table shows the prediction in each cell type with its interval, the measured expression, and whether the gene was
    held out (``obs["split"]`` is ``"test"``; this is right for a model that was trained on this split). The pictures
    below it are those of :func:`simplechrome_tk.pl.browser`. They show the attributions in ``adata`` where these are of
    this model, or else attributions that are computed for the gene. All cell types have the same scales. Below each
    picture stand the sums of the effects of own marks, related genes and reference samples, beside the difference that
    they explain, and a table of the related genes with the largest effects, wherever in the genome they lie.

    Parameters
    ----------
    adata
        Genes as for :meth:`simplechrome_tk.SimpleChrome.predict`, of one cell type or of several
        (:func:`simplechrome_tk.pp.stack_cell_types`). The widget does not change them.
    model
        A trained model; ``None`` shows only tracks and measurements.
    gene
        Symbol or id of the gene that is shown first; ``None`` shows no gene until one is chosen.

    Examples
    --------
    >>> browser = sct.widgets.GeneBrowser(adata, model)  # doctest: +SKIP
    >>> browser.gene = "PAX5"  # doctest: +SKIP
    >>> browser  # doctest: +SKIP
    """

    def __init__(self, adata: ad.AnnData, model: SimpleChrome | None = None, *, gene: str | None = None) -> None:
        check_order(adata, model, "sct.widgets.GeneBrowser(adata, model)")
        check_unique(adata)
        super().__init__()
        self._adata, self._model = adata, model
        if model is not None:
            require_trained(model)
            model.read(adata)
        self._cells = list(dict.fromkeys(cell_types(adata)))
        # A gene of several cell types has several rows of adata and one of `_genes`, the genes to choose from.
        ids = gene_ids(adata)
        first = np.flatnonzero(~ids.duplicated())
        self._rows_of_gene: dict[Any, np.ndarray] = pd.Series(ids).groupby(ids.to_numpy()).indices
        obs = adata.obs.iloc[first].drop(columns=[k.SAMPLE, k.CELL_TYPE], errors="ignore")
        self._genes = ad.AnnData(obs=obs.set_axis(ids[first].astype(str)))
        self._genome_order = _genome_order(self._genes.obs)
        self._shown_gene: int | None = None
        self._pages_lock = Lock()
        self._cached_pages: tuple[int, list[GenePage]] | None = None
        self._make_controls()
        if gene is not None:
            self.gene = gene

    def _make_controls(self) -> None:
        self._picker = GenePicker(self._genes, description="Gene")
        self._previous = _button("arrow-left", "Previous gene along the chromosome")
        self._next = _button("arrow-right", "Next gene along the chromosome")
        few = len(self._cells) <= _MOST_BUTTONS
        several = len(self._cells) > 1
        selector = ipywidgets.ToggleButtons if few else ipywidgets.Dropdown
        self._cell_selector = selector(
            options=[*self._cells, ALL] if several else self._cells,
            value=ALL if several and few else self._cells[0],
            description="Cell type",
        )
        self._table = ipywidgets.HTML()
        self._pictures = ipywidgets.VBox()
        bar = ipywidgets.HBox([self._picker, self._previous, self._next], layout={"flex_flow": "row wrap"})
        selectors = [self._cell_selector] if several else []
        self._fill(bar, *selectors, self._table, self._pictures)
        self._picker.observe(self._on_typed, names=["value", "row"])
        self._cell_selector.observe(self._draw, names="value")
        self._previous.on_click(lambda _: self._step(-1))
        self._next.on_click(lambda _: self._step(1))
        self._enable_steps()

    @property
    def gene(self) -> str | None:
        """Symbol of the gene that is shown, or its id where the symbol names several genes; ``None`` without a gene."""
        row = self._picker.row
        return None if row is None else str(self._picker.names[row])

    @gene.setter
    def gene(self, name: str) -> None:
        self._picker.value = name

    @property
    def cell_type(self) -> str:
        """Cell type that is shown, or ``"all"``."""
        return str(self._cell_selector.value)

    @cell_type.setter
    def cell_type(self, name: str) -> None:
        if name not in self._cell_selector.options:
            msg = f"no cell type {name!r}; expected one of {', '.join(self._cell_selector.options)}."
            raise ValueError(msg)
        self._cell_selector.value = name

    def figure(self) -> Figure:
        """Draw the gene that is shown; several cell types are drawn below each other."""
        gene = self._picker.require() if self._shown_gene is None else self._shown_gene
        pages = self._select_cell_types(self._pages(gene))
        if len(pages) == 1:
            return draw_gene(pages[0])
        with detached() as drawn:
            for page in pages:
                draw_gene(page)
        return _stack(drawn)

    def _on_typed(self, change: Any) -> None:
        """Show the gene that is named, or an error where no name begins with the text."""
        picker = self._picker
        self._enable_steps()
        if change["name"] == "row" and picker.row is not None:
            self._show(picker.row)
        elif picker.row is None and picker.value.strip() and not picker.options:
            self._do("gene", "looking for the gene", picker.require, self._show)
        else:
            self._do("gene", "", lambda: None, lambda _: None)

    def _show(self, gene: int) -> None:
        """Show a gene, until another one is named."""
        self._shown_gene = gene
        rows, name = self._rows_in_cell_types(gene), str(self._picker.names[gene])
        self._do(
            "prediction",
            "predicting",
            lambda: table_html(gene_table(self._adata, self._model, rows), caption=name),
            lambda table: setattr(self._table, "value", table),
        )
        self._draw()

    def _draw(self, _: Any = None) -> None:
        """Draw the gene in the selected cell types, one after the other."""
        gene, selected = self._shown_gene, self._cell_selector.value
        if gene is None:
            return
        old = self._pictures.children

        def pages() -> list[GenePage]:
            return self._select_cell_types(self._pages(gene))

        def show(found: list[GenePage]) -> None:
            # Each picture replaces an old one as soon as it is drawn, until the user asks for something else.
            drawn: list[ipywidgets.HTML] = []
            for page in found:
                if (self._shown_gene, self._cell_selector.value) != (gene, selected):
                    return
                drawn.append(ipywidgets.HTML(show_gene(page)))
                self._pictures.children = [*drawn, *old[len(drawn) : len(found)]]
            for pane in old:
                pane.close()

        self._do("tracks", f"drawing {self._picker.names[gene]}", pages, show)

    def _rows_in_cell_types(self, gene: int) -> list[int]:
        return sorted(self._rows_of_gene[self._genes.obs_names[gene]].tolist())

    def _pages(self, gene: int) -> list[GenePage]:
        """Read a gene in all cell types, once for all selections of cell types."""
        # The main thread reads pages too, for the static picture of the widget.
        with self._pages_lock:
            if self._cached_pages is None or self._cached_pages[0] != gene:
                self._cached_pages = gene, read_gene(self._adata, self._model, self._rows_in_cell_types(gene))
            return self._cached_pages[1]

    def _select_cell_types(self, pages: Sequence[GenePage]) -> list[GenePage]:
        """Return the pages of the selected cell types."""
        cells = cell_types(self._adata)
        selected = self._cell_selector.value
        kept = [page for page in pages if selected in (ALL, cells[page.gene])]
        if not kept:
            msg = f"{symbols(pages[0].data)[0]} is not among the genes of {selected}; choose another cell type."
            raise ValueError(msg)
        return kept

    def _step(self, by: int) -> None:
        """Show the previous (-1) or the next (1) gene on the chromosome."""
        other = self._adjacent_gene(by)
        if other is not None:
            self._picker.value = str(self._picker.names[other])

    def _adjacent_gene(self, by: int) -> int | None:
        """Return the row of the previous or the next gene; ``None`` at the end of the chromosome."""
        row, order = self._picker.row, self._genome_order
        if row is None or order is None:
            return None
        chrom = self._genes.obs[k.CHROM]
        place = int(np.flatnonzero(order == row)[0]) + by
        if not 0 <= place < len(order) or chrom.iloc[order[place]] != chrom.iloc[row]:
            return None
        return int(order[place])

    def _enable_steps(self) -> None:
        """Enable the buttons that lead to a gene."""
        for button, by in ((self._previous, -1), (self._next, 1)):
            button.disabled = self._adjacent_gene(by) is None


def _button(icon: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(icon=icon, tooltip=tooltip, layout={"width": "3em"})


def _genome_order(obs: pd.DataFrame) -> np.ndarray | None:
    """Return the rows sorted by chromosome and TSS; ``None`` where these are not known."""
    if not {k.CHROM, k.TSS} <= set(obs):
        return None
    return np.lexsort((obs[k.TSS].to_numpy(float), obs[k.CHROM].astype(str).to_numpy()))


def _stack(figures: Sequence[Figure]) -> Figure:
    """Return one figure with the pictures of several, below each other."""
    images = []
    for figure in figures:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI)
        buffer.seek(0)
        images.append(imread(buffer))
    width, height = max(image.shape[1] for image in images), sum(image.shape[0] for image in images)
    sheet = new_figure(figsize=(width / _DPI, height / _DPI))
    top = height
    for image in images:
        top -= image.shape[0]
        ax = sheet.add_axes((0, top / height, image.shape[1] / width, image.shape[0] / height))
        ax.imshow(image)
        ax.set_axis_off()
    return sheet
