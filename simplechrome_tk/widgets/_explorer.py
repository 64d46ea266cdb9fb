"""The map of all genes, and what those selected on it have in common."""

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
    from collections.abc import Callable

    import anndata as ad
    import pandas as pd
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.widgets._explorer_colors import Color

_NOTHING = panes.said(
    "No gene is selected. Press the lasso at the left of the map and drag around some, choose a group, or name a "
    "gene: their marks, expression and attributions are shown here."
)
_MOST_NAMES = 500
_TOLD = (k.LABEL, k.STATE, k.CHROM, k.CELL_TYPE)


class Explorer(Panel):
    """The map of all genes; what is selected on it is shown beside it, and is a list in Python.

    Select with the lasso, by group, by symbol, or from Python by setting :attr:`selected`. Beside the map are the mean
    marks of the selected genes against all others, their expression, a table to copy or save, and any of them as a
    genome browser shows it, with its attributions and its neighbours. In the file that is saved, an apostrophe stands
    before texts that a spreadsheet would run as a formula, such as a symbol that begins with ``=``.

    The map can be coloured by expression, by the columns of ``obs`` that hold numbers or at most 60 words, and by the
    level of each mark; other columns are left out and counted in the log.

    Parameters
    ----------
    adata
        Genes by bins with a map, ``obsm["X_umap"]`` (:func:`simplechrome_tk.tl.embed`); where there is none, a button
        computes it. Nothing else is written to it.
    model
        Its predictions are listed and its attributions shown; ``None`` leaves them out, but for attributions that
        ``adata`` holds already.

    Attributes
    ----------
    selected : list of str
        Names in ``obs_names``, in the order of the data. May be set, also to symbols.
    gene : str or None
        The gene shown by itself. May be set, also to a symbol.

    Raises
    ------
    ValueError
        When the columns of ``adata`` are not described, or what is set names no gene.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> model = sct.SimpleChrome(adata, n_latent=4)
    >>> model.train(latent_epochs=1, expression_epochs=1, progress=False)
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
            self._do("predictions", "Predicting all genes", partial(model.predict, adata), self._take_predictions)

    def _make_controls(self) -> None:
        self._color_by = ipywidgets.Dropdown(options=list(self._colors), description="Colour by")
        self._group = ipywidgets.Dropdown(options=[("a group …", "")], description="Select")
        self._find = GenePicker(self._adata, description="Find a gene")
        self._names = self._find.names
        self._place = ipywidgets.VBox(layout=ipywidgets.Layout(flex="1 1 400px", min_width="340px"))
        self._profile, self._expression, self._table, self._page = (ipywidgets.HTML(_NOTHING) for _ in range(4))
        self._symbols = ipywidgets.Textarea(
            description="Symbols",
            placeholder="Symbols of the selected genes, to be copied; or write others and select them",
            layout=ipywidgets.Layout(width="98%", height="5em"),
        )
        take = ipywidgets.Button(description="Select these", tooltip="Select the genes that are written above")
        self._genes = ipywidgets.Select(description="Gene", rows=4, layout=ipywidgets.Layout(width="98%"))
        written, listed = (
            ipywidgets.VBox([self._symbols, take, self._table]),
            ipywidgets.VBox([self._genes, self._page]),
        )
        tabs = ipywidgets.Tab(
            [self._profile, self._expression, written, listed],
            titles=("Profile", "Expression", "Table", "Gene"),
            layout=ipywidgets.Layout(flex="1 1 420px", min_width="380px"),
        )
        wrapped = ipywidgets.Layout(flex_flow="row wrap")
        self._fill(
            ipywidgets.HBox([self._color_by, self._group, self._find], layout=wrapped),
            ipywidgets.HBox([self._place, tabs], layout=wrapped),
        )
        self._color_by.observe(self._recolor, names="value")
        self._group.observe(self._select_group, names="value")
        self._find.observe(
            lambda _: self._do("find", "Looking for the gene", self._look, self._take_found), names="value"
        )
        take.on_click(lambda _: self._do("find", "Looking for genes", self._written, self._select))
        self._genes.observe(lambda change: self._turn_to(change["new"]), names="value")

    @traitlets.validate("selected")
    def _in_order(self, proposal: Any) -> list[str]:
        names = proposal["value"]
        return self._adata.obs_names[np.sort(gene_rows(self._adata, names))].tolist() if names else []

    @traitlets.validate("gene")
    def _one(self, proposal: Any) -> str | None:
        name = proposal["value"]
        return None if name is None else str(self._adata.obs_names[gene_rows(self._adata, name)[0]])

    def _rows(self) -> np.ndarray:
        return np.flatnonzero(self._adata.obs_names.isin(self.selected))

    def _offer_map(self) -> None:
        """Say how to get a map, and offer to compute it."""
        call = "sct.tl.embed(adata, model)"
        model = self._model
        if model is None:
            self._place.children = [ipywidgets.HTML(panes.said(f"There is no map yet: run {call} and make this anew."))]
            return

        def compute() -> dict[str, Color]:
            if self._keys.umap not in self._adata.obsm:  # pressed twice
                embed(self._adata, model, key_added=self._key)
            return _colors(self._adata, self._keys)

        words = panes.said(f"There is no map yet: adata.obsm has no {self._keys.umap!r}. The button runs {call}.")
        button = ipywidgets.Button(description="Compute the map", button_style="primary")
        button.on_click(lambda _: self._do("map", "Computing the map, about half a minute", compute, self._show_map))
        self._place.children = [ipywidgets.HTML(words), button]

    def _show_map(self, colors: dict[str, Color]) -> None:
        self._colors = colors
        told = [next(iter(colors)), *(name for name in _TOLD if name in colors)]
        xy = np.asarray(self._adata.obsm[self._keys.umap])
        self._map = GeneMap(xy, self._names, colors, told=told, slot=self._keys.umap, on_select=self._select)
        self._map.select(self._rows())
        self._color_by.options = list(colors)
        self._recolor()
        self._place.children = [self._map.widget]

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

    def _search(self, work: Callable[[], np.ndarray | None]) -> None:
        self._do("search", "Looking for genes", work, self._take_found)

    def _look(self) -> np.ndarray | None:
        """Return the gene that is named in full, nothing while one is being typed; raise where none begins so."""
        typing = self._find.row is None and (self._find.options or not self._find.value.strip())
        return None if typing else np.array([self._find.require()])

    def _take_found(self, rows: np.ndarray | None) -> None:
        if rows is not None:
            self._select(rows)

    def _written(self) -> np.ndarray:
        return gene_rows(self._adata, re.split(r"[\s,;]+", self._symbols.value.strip(" \n\t,;")))

    def _select(self, rows: np.ndarray) -> None:
        self.selected = self._adata.obs_names[rows].tolist()

    def _turn_to(self, name: str | None) -> None:
        if name is not None:
            self.gene = name

    def _take_predictions(self, predicted: pd.DataFrame) -> None:
        self._predicted = predicted
        self._show_table(self._rows())

    def _show_selection(self, _: Any) -> None:
        rows = self._rows()
        if self._map is not None:
            self._map.select(rows)
        self._symbols.value = " ".join(self._names[rows])
        for pane, draw, shown in (
            ("profile", panes.profile, self._profile),
            ("expression", panes.expression, self._expression),
        ):
            work = partial(draw, self._adata, rows) if len(rows) else lambda: _NOTHING
            self._do(pane, "Drawing the selected genes", work, partial(setattr, shown, "value"))
        self._show_table(rows)
        listed = rows[:_MOST_NAMES]
        self._genes.options = list(zip(self._names[listed], self._adata.obs_names[listed], strict=True))
        self.gene = self._genes.value = self._adata.obs_names[rows[0]] if len(rows) else None

    def _show_table(self, rows: np.ndarray) -> None:
        def page() -> str:
            return (
                panes.table_page(panes.selected_table(self._adata, rows, self._predicted, clusters=self._keys.clusters))
                if len(rows)
                else _NOTHING
            )

        self._do("table", "Drawing the selected genes", page, partial(setattr, self._table, "value"))

    def _show_gene(self, _: Any) -> None:
        what, page = "Clearing", lambda: _NOTHING
        if self.gene is not None:
            row = int(self._adata.obs_names.get_loc(self.gene))
            what, page = f"Attributing {self._names[row]}", partial(gene_page, self._adata, self._model, row)
        self._do("gene", what, page, partial(setattr, self._page, "value"))

    def figure(self) -> Figure:
        """Draw the map with matplotlib, coloured as it is, the selected genes circled.

        Raises
        ------
        ValueError
            When there is no map yet.
        """
        if self._keys.umap not in self._adata.obsm:
            msg = f"obsm has no {self._keys.umap!r}: run sct.tl.embed(adata, model) first."
            raise ValueError(msg)
        name = self._color_by.value
        return panes.map_figure(np.asarray(self._adata.obsm[self._keys.umap]), name, self._colors[name], self._rows())


def _colors(adata: ad.AnnData, keys: k.MapKeys) -> dict[str, Color]:
    return {name: color(values) for name, values in quantities(adata, keys.clusters).items()}
