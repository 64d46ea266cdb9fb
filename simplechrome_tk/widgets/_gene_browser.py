"""One gene in every cell type: its tracks, what they do to the prediction, and whether the prediction is right."""

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
_BUTTONS = 8
"""Cell types beyond which a list to choose from takes the place of buttons."""
_SHARP = 150


class GeneBrowser(Panel):
    """Look a gene up: tracks, attributions, neighbours to scale, and the prediction beside what was measured.

    Above stands what the model predicts in each cell type, with its interval, the measured expression, and whether the
    gene was held out (``obs["split"]`` is ``"test"``, which is the truth for a model trained on this split). Below are
    the pictures of :func:`simplechrome_tk.pl.browser`, with the attributions in ``adata`` where they are of this model,
    else with attributions that are computed for the gene. Cell types are drawn on the same scales.

    Parameters
    ----------
    adata
        Genes as for :meth:`simplechrome_tk.SimpleChrome.predict`, of one cell type or, as
        :func:`simplechrome_tk.pp.stack_cell_types` puts them, of several. It is read only.
    model
        A trained model; without one tracks and measurements are shown alone.
    gene
        Symbol or id to begin with.

    Examples
    --------
    >>> browser = sct.widgets.GeneBrowser(adata, model)  # doctest: +SKIP
    >>> browser.gene = "PAX5"  # doctest: +SKIP
    >>> browser  # doctest: +SKIP
    """

    def __init__(self, adata: ad.AnnData, model: SimpleChrome | None = None, gene: str | None = None) -> None:
        check_order(adata, model, "sct.widgets.GeneBrowser(adata, model)")
        check_unique(adata)
        super().__init__()
        self._adata, self._model = adata, model
        if model is not None:
            model.require_trained()
            model.read(adata)
        self._cells = list(dict.fromkeys(cell_types(adata)))
        ids = gene_ids(adata)
        first = np.flatnonzero(~ids.duplicated())
        self._rows: dict[Any, np.ndarray] = pd.Series(ids).groupby(ids.to_numpy()).indices
        obs = adata.obs.iloc[first].drop(columns=k.CELL_TYPE, errors="ignore")
        self._genes = ad.AnnData(obs=obs.set_axis(ids[first].astype(str)))
        self._order = _along_the_genome(self._genes.obs)
        self._shown: int | None = None
        self._reading = Lock()
        self._read: tuple[int, list[GenePage]] | None = None
        self._picker = GenePicker(self._genes, description="Gene")
        self._before = _button("arrow-left", "Previous gene along the chromosome")
        self._after = _button("arrow-right", "Next gene along the chromosome")
        choice = ipywidgets.ToggleButtons if len(self._cells) <= _BUTTONS else ipywidgets.Dropdown
        several = len(self._cells) > 1
        self._choice = choice(
            options=[*self._cells, ALL] if several else self._cells,
            value=ALL if 1 < len(self._cells) <= _BUTTONS else self._cells[0],
            description="Cell type",
        )
        self._table = ipywidgets.HTML()
        self._pictures = ipywidgets.VBox()
        bar = ipywidgets.HBox([self._picker, self._before, self._after], layout={"flex_flow": "row wrap"})
        self._fill(bar, *[self._choice] * several, self._table, self._pictures)
        self._picker.observe(self._typed, names=["value", "row"])
        self._choice.observe(self._draw, names="value")
        self._before.on_click(lambda _: self._step(-1))
        self._after.on_click(lambda _: self._step(1))
        self._follow()
        if gene is not None:
            self.gene = gene

    @property
    def gene(self) -> str | None:
        """Symbol of the gene that is shown, or its id where the symbol names several; ``None`` without one."""
        row = self._picker.row
        return None if row is None else str(self._picker.names[row])

    @gene.setter
    def gene(self, name: str) -> None:
        self._picker.value = name

    @property
    def cell_type(self) -> str:
        """Cell type that is shown, or ``"all"``."""
        return str(self._choice.value)

    @cell_type.setter
    def cell_type(self, name: str) -> None:
        if name not in self._choice.options:
            msg = f"no cell type {name!r}; expected one of {', '.join(self._choice.options)}."
            raise ValueError(msg)
        self._choice.value = name

    def figure(self) -> Figure:
        """Draw the gene that is shown; several cell types one beneath the other."""
        gene = self._picker.require() if self._shown is None else self._shown
        pages = self._chosen(self._pages(gene))
        if len(pages) == 1:
            return draw_gene(pages[0])
        with detached() as drawn:
            for page in pages:
                draw_gene(page)
        return _beneath(drawn)

    def _typed(self, change: Any) -> None:
        """Show the gene that is named; say so where nothing begins as what was typed."""
        picker = self._picker
        self._follow()
        if change["name"] == "row" and picker.row is not None:
            self._show(picker.row)
        elif picker.row is None and picker.value.strip() and not picker.options:
            self._do("gene", "looking for the gene", picker.require, self._show)
        else:
            self._do("gene", "", lambda: None, lambda _: None)

    def _show(self, gene: int) -> None:
        """Show a gene, which stays until another is named."""
        self._shown = gene
        rows, name = self._in_cells(gene), str(self._picker.names[gene])
        self._do(
            "prediction",
            "predicting",
            lambda: table_html(gene_table(self._adata, self._model, rows), caption=name),
            lambda table: setattr(self._table, "value", table),
        )
        self._draw()

    def _draw(self, _: Any = None) -> None:
        """Draw the gene in the cell types chosen, one after the other."""
        gene, chosen = self._shown, self._choice.value
        if gene is None:
            return
        old = self._pictures.children

        def pages() -> list[GenePage]:
            return self._chosen(self._pages(gene))

        def show(found: list[GenePage]) -> None:
            drawn: list[ipywidgets.HTML] = []
            for page in found:
                if (self._shown, self._choice.value) != (gene, chosen):
                    return
                drawn.append(ipywidgets.HTML(show_gene(page)))
                self._pictures.children = [*drawn, *old[len(drawn) : len(found)]]
            for pane in old:
                pane.close()

        self._do("tracks", f"drawing {self._picker.names[gene]}", pages, show)

    def _in_cells(self, gene: int) -> list[int]:
        return sorted(self._rows[self._genes.obs_names[gene]].tolist())

    def _pages(self, gene: int) -> list[GenePage]:
        """Read a gene in all cell types, once for all choices of these."""
        with self._reading:  # the picture for where widgets do not run is drawn on the main thread
            if self._read is None or self._read[0] != gene:
                self._read = gene, read_gene(self._adata, self._model, self._in_cells(gene))
            return self._read[1]

    def _chosen(self, pages: Sequence[GenePage]) -> list[GenePage]:
        """Keep those of the cell types chosen."""
        cells = cell_types(self._adata)
        chosen = self._choice.value
        kept = [page for page in pages if chosen in (ALL, cells[page.gene])]
        if not kept:
            msg = f"{symbols(pages[0].data)[0]} is not among the genes of {chosen}; choose another cell type."
            raise ValueError(msg)
        return kept

    def _step(self, by: int) -> None:
        """Go to the gene before or behind on the chromosome."""
        other = self._beside(by)
        if other is not None:
            self._picker.value = str(self._picker.names[other])

    def _beside(self, by: int) -> int | None:
        """Row of the gene before or behind; ``None`` at the end of the chromosome."""
        row, order = self._picker.row, self._order
        if row is None or order is None:
            return None
        chrom = self._genes.obs[k.CHROM]
        place = int(np.flatnonzero(order == row)[0]) + by
        if not 0 <= place < len(order) or chrom.iloc[order[place]] != chrom.iloc[row]:
            return None
        return int(order[place])

    def _follow(self) -> None:
        """Let the buttons lead where there is a gene."""
        for button, by in ((self._before, -1), (self._after, 1)):
            button.disabled = self._beside(by) is None


def _button(icon: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(icon=icon, tooltip=tooltip, layout={"width": "3em"})


def _along_the_genome(obs: pd.DataFrame) -> np.ndarray | None:
    """Rows by chromosome and TSS; ``None`` where these are not known."""
    if not {k.CHROM, k.TSS} <= set(obs):
        return None
    return np.lexsort((obs[k.TSS].to_numpy(float), obs[k.CHROM].astype(str).to_numpy()))


def _beneath(figures: Sequence[Figure]) -> Figure:
    """Put figures one beneath the other, as pictures."""
    images = []
    for figure in figures:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_SHARP)
        buffer.seek(0)
        images.append(imread(buffer))
    width, height = max(image.shape[1] for image in images), sum(image.shape[0] for image in images)
    sheet = new_figure(figsize=(width / _SHARP, height / _SHARP))
    top = height
    for image in images:
        top -= image.shape[0]
        ax = sheet.add_axes((0, top / height, image.shape[1] / width, image.shape[0] / height))
        ax.imshow(image)
        ax.set_axis_off()
    return sheet
