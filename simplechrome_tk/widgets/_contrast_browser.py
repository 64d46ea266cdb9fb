"""Browser of the genes that change between two conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, check_unique
from simplechrome_tk.get._contrast import read_contrast
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.pl.contrast._gene_pair import read_pair
from simplechrome_tk.widgets._contrast_browser_page import draw_page, read_page, show_page
from simplechrome_tk.widgets._contrast_browser_table import (
    DOWN,
    NAME,
    UP,
    Filter,
    GeneTable,
    Order,
    read_genes,
    select_genes,
    table_content,
)
from simplechrome_tk.widgets._panel import Panel

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome

_WIDE = {"description_width": "initial"}


class ContrastBrowser(Panel):
    """Show the genes that change between two conditions in a table, and the marks that explain a gene's change.

    A click on a heading of the table sorts by this column, a second click turns the order round, and a third one
    returns to the largest change first. Genes are filtered by a part of their symbol or id, the direction and the least
    size of the predicted change, and the false discovery rate where there is one. A click on a gene shows the picture
    of :func:`simplechrome_tk.pl.contrast_browser`, and tables of the effects of its marks and of the strongest related
    genes on the change.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.contrast`. The widget does not change them.
    model
        The model of the contrast, which attributes the change of a gene that was not attributed; ``None`` shows the
        marks of such a gene without effects.
    key
        Name of the contrast.
    gene
        Symbol or id of the gene that is shown first; ``None`` shows the gene with the largest predicted change.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When there is no contrast, several genes have the same id, or ``gene`` is not among the genes of the contrast.

    Examples
    --------
    >>> browser = sct.widgets.ContrastBrowser(both)  # doctest: +SKIP
    >>> browser.gene = "MS4A1"  # doctest: +SKIP
    >>> browser  # doctest: +SKIP
    """

    def __init__(
        self,
        adata: ad.AnnData,
        model: SimpleChrome | None = None,
        *,
        key: str = k.CONTRAST,
        gene: str | None = None,
    ) -> None:
        check_order(adata, model, "sct.widgets.ContrastBrowser(adata, model, key='contrast')")
        check_unique(adata)
        if model is not None:
            require_trained(model)
        table = read_genes(adata, key)
        super().__init__()
        self._adata, self._model, self._key, self._record = adata, model, key, read_contrast(adata, key)
        self._all = self._listed = table
        self._order = Order()
        self._gene: str | None = None
        self._make_controls()
        self._list()
        if gene is not None:
            self.gene = gene
        elif len(table):
            self._show(str(table.index[0]))

    def _make_controls(self) -> None:
        of, against = str(self._record["of"]), str(self._record["against"])
        self._text = ipywidgets.Text(
            description="Gene", placeholder="part of a symbol or id", continuous_update=True, style=_WIDE
        )
        self._direction = ipywidgets.Dropdown(
            options=[("up and down", ""), (f"up: higher in {of}", UP), (f"down: higher in {against}", DOWN)],
            description="Direction",
            style=_WIDE,
        )
        narrow = {"width": "15em"}
        self._least = ipywidgets.BoundedFloatText(
            value=0, min=0, max=100, step=0.1, description="Change at least", style=_WIDE, layout=narrow
        )
        self._rate = ipywidgets.BoundedFloatText(
            value=1, min=0, max=1, step=0.01, description="False discovery rate at most", style=_WIDE
        )
        self._table = GeneTable(self._sort, self._show)
        self._page = ipywidgets.HTML()
        controls = [self._text, self._direction, self._least]
        if "fdr" in self._all:
            controls.append(self._rate)
        for control in controls:
            control.observe(self._list, names="value")
        self._fill(ipywidgets.HBox(controls, layout={"flex_flow": "row wrap"}), self._table, self._page)

    @property
    def gene(self) -> str | None:
        """Symbol of the gene that is shown, or its id where the symbol names several genes; ``None`` without a gene.

        It can be set to a symbol or an id.
        """
        if self._gene is None:
            return None
        name = str(self._all.loc[self._gene, NAME])
        return name if (self._all[NAME] == name).sum() == 1 else self._gene

    @gene.setter
    def gene(self, name: str) -> None:
        self._show(str(self._adata.obs_names[read_pair(self._adata, name, self._key).row]))

    @property
    def genes(self) -> list[str]:
        """Ids of the genes that pass the filter (names in ``obs_names``), in the order of the table."""
        return self._listed.index.astype(str).tolist()

    def figure(self) -> Figure:
        """Draw the gene that is shown.

        Raises
        ------
        ValueError
            When no gene is shown, since the contrast has none.
        """
        if self._gene is None:
            msg = f"no gene is shown: the contrast {self._key!r} holds no gene."
            raise ValueError(msg)
        return draw_page(read_page(self._adata, self._model, self._gene, self._key))

    def _list(self, _: Any = None) -> None:
        """List the genes that pass the filter."""
        chosen = Filter(self._text.value, self._direction.value, self._least.value, self._rate.value)
        self._listed = select_genes(self._all, chosen, self._order)
        unit = str(self._record["unit"])
        unit = f"{unit[:1].upper()}{unit[1:]}, {self._record['of']} minus {self._record['against']}"
        self._table.content = table_content(self._listed, self._order, n_all=len(self._all), unit=unit)

    def _sort(self, column: str) -> None:
        self._order = self._order.click(column)
        self._list()

    def _show(self, gene: str) -> None:
        """Show a gene; it stays when the filter leaves it out."""
        self._gene = self._table.selected = gene
        self._do(
            "gene",
            f"drawing {self._all.loc[gene, NAME]}",
            lambda: show_page(read_page(self._adata, self._model, gene, self._key)),
            lambda page: setattr(self._page, "value", page),
        )
