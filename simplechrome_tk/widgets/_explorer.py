"""Map of all genes on which genes are selected, and panes that describe the selected ones."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import traitlets

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.tl.latent._embed import embed
from simplechrome_tk.widgets import _explorer_panes as panes
from simplechrome_tk.widgets._explorer_colors import color, quantities
from simplechrome_tk.widgets._explorer_map import GeneMap
from simplechrome_tk.widgets._gene_page import gene_page
from simplechrome_tk.widgets._gene_picker import GenePicker
from simplechrome_tk.widgets._panel import Panel

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.widgets._explorer_colors import Color

_NO_SELECTION = panes.paragraph(
    "No gene is selected. Press the lasso at the left of the map and drag around some genes, choose a group, or name a "
    "gene: this pane then shows their marks, expression and attributions."
)
_MOST_LISTED = 500
"""Number of selected genes that the list of the gene pane offers."""
_TOOLTIP_COLUMNS = (k.LABEL, k.STATE, k.CHROM, k.SAMPLE, k.CELL_TYPE)


class Explorer(Panel):
    """Show a map of all genes, on which genes are selected, and describe the selected ones beside it.

    Genes are selected with the lasso, by group, by symbol, or from Python by setting :attr:`selected`. The panes beside
    the map show the mean marks and the expression of the selected genes, compared with all others; a table to copy or
    save; and each selected gene with its tracks, attributions and related genes. In the saved file, an apostrophe
    precedes texts that a spreadsheet would run as a formula, such as a symbol that begins with ``=``.

    The map is coloured by expression, by a column of ``obs`` with numbers or with at most 60 categories, or by the
    level of a mark. The log counts the columns that cannot be used.

    Parameters
    ----------
    adata
        Genes by bins with a map (:func:`simplechrome_tk.tl.embed`). Where there is no map, a button computes it, and
        writes it to ``adata``; nothing else is written.
    model
        A trained model, whose predictions and attributions are shown. ``None`` shows no predictions, and only
        attributions that are in ``adata``.
    key
        ``key_added`` of the map (:func:`simplechrome_tk.tl.embed`).

    Attributes
    ----------
    selected : list of str
        Selected genes: names in ``obs_names``, in the order of the data. It can be set, to symbols too.
    gene : str or None
        The gene in the gene pane. It can be set, to a symbol too.

    Raises
    ------
    ValueError
        When ``var`` does not describe the columns of ``adata``, or a name that is set names no gene.

    Examples
    --------
    >>> sct.tl.embed(adata, model)
    >>> explorer = sct.widgets.Explorer(adata, model)
    >>> explorer.selected = adata.obs_names[:2].tolist()
    >>> len(explorer.selected)
    2
    """

    selected = traitlets.List(traitlets.Unicode())
    gene = traitlets.Unicode(None, allow_none=True)

    def __init__(self, adata: ad.AnnData, model: SimpleChrome | None = None, *, key: str | None = k.EMBEDDING) -> None:
        check_order(adata, model, "sct.widgets.Explorer(adata, model)")
        super().__init__()
        self._adata, self._model = adata, model
        self._key, self._keys = key, k.MapKeys.of(key)
        self._predicted: pd.DataFrame | None = None
        self._map: GeneMap | None = None
        self._colors = _colors(adata, self._keys)
        self._make_controls()
        self.observe(self._show_selection, names="selected")
        self.observe(self._show_gene, names="gene")
        if self._keys.umap in adata.obsm:
            self._show_map(self._colors)
        else:
            self._offer_map()
        if model is not None:
            self._do("predictions", "Predicting all genes", partial(model.predict, adata), self._show_predictions)

    def _make_controls(self) -> None:
        self._color_by = ipywidgets.Dropdown(options=list(self._colors), description="Colour by")
        self._group = ipywidgets.Dropdown(options=[("a group …", "")], description="Select")
        self._find = GenePicker(self._adata, description="Find a gene")
        self._names = self._find.names
        self._map_box = ipywidgets.VBox(layout=ipywidgets.Layout(flex="1 1 400px", min_width="340px"))
        self._profile, self._expression, self._table, self._page = (ipywidgets.HTML(_NO_SELECTION) for _ in range(4))
        self._symbols = ipywidgets.Textarea(
            description="Symbols",
            placeholder="Symbols of the selected genes, to copy; or write other symbols and select them",
            layout=ipywidgets.Layout(width="98%", height="5em"),
        )
        self._select_symbols = ipywidgets.Button(
            description="Select these", tooltip="Select the genes that are written above"
        )
        self._genes = ipywidgets.Select(description="Gene", rows=4, layout=ipywidgets.Layout(width="98%"))
        table_pane = ipywidgets.VBox([self._symbols, self._select_symbols, self._table])
        gene_pane = ipywidgets.VBox([self._genes, self._page])
        tabs = ipywidgets.Tab(
            [self._profile, self._expression, table_pane, gene_pane],
            titles=("Profile", "Expression", "Table", "Gene"),
            layout=ipywidgets.Layout(flex="1 1 420px", min_width="380px"),
        )
        wrapped = ipywidgets.Layout(flex_flow="row wrap")
        self._fill(
            ipywidgets.HBox([self._color_by, self._group, self._find], layout=wrapped),
            ipywidgets.HBox([self._map_box, tabs], layout=wrapped),
        )
        self._color_by.observe(self._recolor, names="value")
        self._group.observe(self._select_group, names="value")
        self._find.observe(
            lambda _: self._do("find", "Looking for the gene", self._find_gene, self._select_found), names="value"
        )
        self._select_symbols.on_click(lambda _: self._do("find", "Looking for genes", self._find_symbols, self._select))
        self._genes.observe(lambda change: self._set_gene(change["new"]), names="value")

    @traitlets.validate("selected")
    def _validate_selected(self, proposal: Any) -> list[str]:
        names = proposal["value"]
        return self._adata.obs_names[np.sort(gene_rows(self._adata, names))].tolist() if names else []

    @traitlets.validate("gene")
    def _validate_gene(self, proposal: Any) -> str | None:
        name = proposal["value"]
        return None if name is None else str(self._adata.obs_names[gene_rows(self._adata, name)[0]])

    def _selected_rows(self) -> np.ndarray:
        return np.flatnonzero(self._adata.obs_names.isin(self.selected))

    def _offer_map(self) -> None:
        """Explain how to make a map, and offer to compute it."""
        call = self._keys.embed_call()
        model = self._model
        if model is None:
            self._map_box.children = [
                ipywidgets.HTML(panes.paragraph(f"There is no map yet: run {call} and make this widget again."))
            ]
            return

        def compute() -> dict[str, Color]:
            if self._keys.umap not in self._adata.obsm:  # there is a map when the button was pressed twice
                embed(self._adata, model, key_added=self._key)
            return _colors(self._adata, self._keys)

        text = panes.paragraph(f"There is no map yet: adata.obsm has no {self._keys.umap!r}. The button runs {call}.")
        button = ipywidgets.Button(description="Compute the map", button_style="primary")
        button.on_click(lambda _: self._do("map", "Computing the map, about half a minute", compute, self._show_map))
        self._map_box.children = [ipywidgets.HTML(text), button]

    def _show_map(self, colors: dict[str, Color]) -> None:
        self._colors = colors
        tooltip = [next(iter(colors)), *(name for name in _TOOLTIP_COLUMNS if name in colors)]
        xy = np.asarray(self._adata.obsm[self._keys.umap])
        self._map = GeneMap(xy, self._names, colors, tooltip=tooltip, keys=self._keys, on_select=self._select)
        self._map.select(self._selected_rows())
        self._color_by.options = list(colors)
        self._recolor()
        self._map_box.children = [self._map.widget]

    def _recolor(self, _: Any = None) -> None:
        name = self._color_by.value
        groups = self._colors[name].groups
        self._group.options = [
            ("a group …" if len(groups) else "(colour by groups first)", ""),
            *((group, group) for group in groups),
        ]
        if self._map is not None:
            self._do("colours", "Colouring", lambda: name, self._map.color)

    def _select_group(self, change: Any) -> None:
        if change["new"]:
            self._select(np.flatnonzero(self._colors[self._color_by.value].values == change["new"]))

    def _find_gene(self) -> np.ndarray | None:
        """Return the row of the gene that is named in full, and ``None`` while the text is the beginning of a name.

        Raises
        ------
        ValueError
            When no name begins with the text.
        """
        incomplete = self._find.row is None and (self._find.options or not self._find.value.strip())
        return None if incomplete else np.array([self._find.require()])

    def _select_found(self, rows: np.ndarray | None) -> None:
        if rows is not None:
            self._select(rows)

    def _find_symbols(self) -> np.ndarray:
        return gene_rows(self._adata, re.split(r"[\s,;]+", self._symbols.value.strip(" \n\t,;")))

    def _select(self, rows: np.ndarray) -> None:
        self.selected = self._adata.obs_names[rows].tolist()

    def _set_gene(self, name: str | None) -> None:
        if name is not None:
            self.gene = name

    def _show_predictions(self, predicted: pd.DataFrame) -> None:
        self._predicted = predicted
        self._show_table(self._selected_rows())

    def _show_selection(self, _: Any) -> None:
        rows = self._selected_rows()
        if self._map is not None:
            self._map.select(rows)
        self._symbols.value = " ".join(self._names[rows])

        drawings = (("profile", panes.profile, self._profile), ("expression", panes.expression, self._expression))
        for pane, draw, widget in drawings:
            work = partial(draw, self._adata, rows) if len(rows) else lambda: _NO_SELECTION
            self._do(pane, "Drawing the selected genes", work, partial(setattr, widget, "value"))
        self._show_table(rows)
        listed = rows[:_MOST_LISTED]
        self._genes.options = list(zip(self._names[listed], self._adata.obs_names[listed], strict=True))
        self.gene = self._genes.value = self._adata.obs_names[rows[0]] if len(rows) else None

    def _show_table(self, rows: np.ndarray) -> None:
        def page() -> str:
            if not len(rows):
                return _NO_SELECTION
            table = panes.selected_table(self._adata, rows, self._predicted, clusters=self._keys.clusters)
            return panes.table_page(table)

        self._do("table", "Drawing the selected genes", page, partial(setattr, self._table, "value"))

    def _show_gene(self, _: Any) -> None:
        message, draw = "Clearing", lambda: _NO_SELECTION
        if self.gene is not None:
            row = int(self._adata.obs_names.get_loc(self.gene))
            message, draw = f"Attributing {self._names[row]}", partial(gene_page, self._adata, self._model, row)
        self._do("gene", message, draw, partial(setattr, self._page, "value"))

    def figure(self) -> Figure:
        """Draw the map with matplotlib, in its present colours, with circles around the selected genes.

        Raises
        ------
        ValueError
            When there is no map yet.
        """
        if self._keys.umap not in self._adata.obsm:
            msg = f"obsm has no {self._keys.umap!r}: run {self._keys.embed_call()} first."
            raise ValueError(msg)
        name = self._color_by.value
        xy = np.asarray(self._adata.obsm[self._keys.umap])
        return panes.map_figure(xy, name, self._colors[name], self._selected_rows())


def _colors(adata: ad.AnnData, keys: k.MapKeys) -> dict[str, Color]:
    return {name: color(values) for name, values in quantities(adata, keys.clusters).items()}
