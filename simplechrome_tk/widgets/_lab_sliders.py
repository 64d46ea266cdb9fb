"""Sliders that scale the marks of a gene and of its neighbours."""

from __future__ import annotations

import html
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import ipywidgets
import numpy as np

from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.pl._style import distance
from simplechrome_tk.tl import Edit
from simplechrome_tk.tl.perturbation._edit import GENE, NEIGHBORS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import anndata as ad
    import pandas as pd

LARGEST = 3.0
"""Largest factor of a slider, times the measured signal."""
_STEP = 0.1
_MOST_NEIGHBORS = 10
"""Number of neighbours with a slider of their own, the nearest ones."""
_REGIONS = {"tss": "around the TSS", "tes": "around the gene end", "body": "along the gene body"}
_FORMAT = ".1f"

STYLE = """<style>
.sct-sliders .sct-absent { opacity: 0.5; }
.sct-sliders .widget-label { color: var(--jp-ui-font-color1, #222); }
.sct-sliders .widget-readout { min-width: 34px; }
.sct-sliders h4 { margin: 6px 0 2px 0; font-weight: 600; }
.sct-sliders p { margin: 2px 0; line-height: 1.35; color: var(--jp-ui-font-color2, #666); }
</style>"""


class SliderTarget(NamedTuple):
    """Signal that a slider scales: a mark in a region (``None``: all) of the gene, its neighbours or one of them."""

    mark: str | None
    region: str | None
    on: str = GENE

    def edit(self, factor: float) -> Edit:
        """Return the edit that scales this signal."""
        return Edit.scale(factor, mark=self.mark, region=self.region, on=self.on)


class Sliders(ipywidgets.VBox):
    """A slider for each mark in each region, one for all neighbours and one for each of the nearest.

    Parameters
    ----------
    adata
        Genes by bins.
    has_neighbors
        Whether the model attends to neighbours.
    on_change
        Function that is called with the target of the slider that was moved, ``None`` for several at once.
    """

    def __init__(
        self, adata: ad.AnnData, *, has_neighbors: bool, on_change: Callable[[SliderTarget | None], None]
    ) -> None:
        self._adata, self._on_change, self._quiet = adata, on_change, False
        self._columns = Layout.of(adata)
        self.sliders: dict[SliderTarget, ipywidgets.FloatSlider] = {}
        """The slider of each target, of those that are shown."""
        self._absent, self._more_neighbors = ipywidgets.HTML(), ipywidgets.HTML()
        own = [ipywidgets.HTML(f"{STYLE}<h4>Signal of the gene, times measured</h4>"), self._grid(), self._absent]
        self._neighbor_sliders: list[ipywidgets.FloatSlider] = []
        self._neighbor_box = ipywidgets.VBox()
        around: list[ipywidgets.Widget] = []
        if has_neighbors:
            everyone = self._wide_slider("all neighbours", "All marks of all neighbours, times measured")
            self._listen(SliderTarget(None, None, NEIGHBORS), everyone)
            self._neighbor_sliders = [self._wide_slider("", "") for _ in range(_MOST_NEIGHBORS)]
            heading = ipywidgets.HTML("<h4>All marks of neighbours (− upstream), times measured</h4>")
            around = [heading, everyone, self._neighbor_box, self._more_neighbors]
            for slider in self._neighbor_sliders:
                slider.observe(self._on_neighbor_moved, names="value")
        super().__init__([*own, *around])
        self.add_class("sct-sliders")

    @property
    def edits(self) -> list[Edit]:
        """The edits of the sliders, without those of sliders at 1."""
        factors = {target: self.factor(target) for target in self.sliders}
        return [target.edit(factor) for target, factor in factors.items() if factor != 1]

    def first(self) -> SliderTarget:
        """Return the first mark in the first region."""
        return next(iter(self.sliders))

    def name(self, target: SliderTarget) -> str:
        """Return a target in words, such as ``"H3K4me3 around the TSS"``."""
        if target.on == GENE:
            return f"{target.mark} {_REGIONS.get(str(target.region), f'in {target.region}')}"
        return "all neighbours" if target.on == NEIGHBORS else f"neighbour {target.on}"

    def factor(self, target: SliderTarget) -> float:
        """Return the factor of a slider."""
        return float(round(self.sliders[target].value, 3))

    def set_factor(self, target: SliderTarget, factor: float) -> None:
        """Move a slider.

        Raises
        ------
        ValueError
            When there is no slider for this target, or it does not reach the factor.
        """
        if target not in self.sliders:
            known = [f"mark={mark!r}, region={region!r}" for mark, region, on in self.sliders if on == GENE]
            known += [f"on={on!r}" for _, _, on in self.sliders if on != GENE]
            requested = f"mark={target.mark!r}, region={target.region!r}, on={target.on!r}"
            msg = f"no slider of {requested}; there are {'; '.join(known)}."
            raise ValueError(msg)
        if not 0 <= factor <= LARGEST:
            msg = f"the factor is {factor:g}; expected one from 0 to {LARGEST:g}, the ends of the slider."
            raise ValueError(msg)
        self.sliders[target].value = factor

    def reset(self) -> None:
        """Move all sliders to 1."""
        with self._without_callback():
            for slider in self.sliders.values():
                slider.value = 1.0
        self._on_change(None)

    def show_neighbors(self, table: pd.DataFrame) -> None:
        """Offer the neighbours of a gene, from a table of :func:`simplechrome_tk.get.neighbors`, nearest first."""
        sliders = {target: slider for target, slider in self.sliders.items() if target.on in {GENE, NEIGHBORS}}
        rows = self._adata.obs_names.get_indexer(table["neighbor"])
        near = table.head(_MOST_NEIGHBORS)
        shown = self._neighbor_sliders[: len(near)]
        with self._without_callback():
            for slider, neighbor in zip(shown, near.itertuples(), strict=False):
                name = str(neighbor.neighbor_symbol)
                # A symbol that names several neighbours cannot tell which one an edit is of; then the id does.
                unique = len(np.intersect1d(gene_rows(self._adata, name), rows)) == 1
                slider.value = 1.0
                slider.description = f"{name} ({distance(neighbor.distance_bp)})"
                slider.tooltip = f"All marks of {name} ({distance(neighbor.distance_bp)}), times measured"
                sliders[SliderTarget(None, None, name if unique else str(neighbor.neighbor))] = slider
            self.sliders = sliders  # replaced in one step, because other threads read it
        self._neighbor_box.children = shown
        rest = len(table) - len(near)
        note = ""
        if not len(table):
            note = "<p>This gene has no neighbours in the model's graph.</p>"
        elif rest:
            note = f"<p>{rest} more are farther away; the slider of all neighbours includes them.</p>"
        self._more_neighbors.value = note

    def show_absent_marks(self, signal: dict[str, np.ndarray]) -> None:
        """Show which marks the genes do not have; ``signal`` ``(n_columns,)`` is that of each gene, by its name."""
        without: dict[str, list[SliderTarget]] = {name: [] for name in signal}
        for block in self._columns.blocks.itertuples():
            target = SliderTarget(block.mark, block.region)
            lacking = [name for name, values in signal.items() if (values[block.start : block.stop] == 0).all()]
            for name in lacking:
                without[name].append(target)
            slider = self.sliders[target]
            if len(lacking) == len(signal):
                slider.add_class("sct-absent")
            else:
                slider.remove_class("sct-absent")
            note = f"; {' and '.join(lacking)}: no signal, so that scaling changes nothing" if lacking else ""
            slider.tooltip = f"{self.name(target)}, times measured{note}"
        self._absent.value = "".join(_absent_note(name, targets, self) for name, targets in without.items() if targets)

    def _grid(self) -> ipywidgets.GridBox:
        marks, regions = self._columns.marks, self._columns.regions
        cells: list[ipywidgets.Widget] = [ipywidgets.HTML("")]
        cells += [ipywidgets.HTML(self._region_heading(region)) for region in regions]
        for mark in marks:
            cells.append(ipywidgets.HTML(f"<b>{html.escape(mark)}</b>"))
            for region in regions:
                slider = self._slider(layout=ipywidgets.Layout(width="98%"))
                self._listen(SliderTarget(mark, region), slider)
                cells.append(slider)
        columns = f"78px repeat({len(regions)}, minmax(140px, 1fr))"
        return ipywidgets.GridBox(cells, layout=ipywidgets.Layout(grid_template_columns=columns))

    def _region_heading(self, region: str) -> str:
        """Return the name of a region and, on a second line, its ends, as HTML."""
        low, high = self._columns.window(region)
        span = "start to end" if self._columns.is_scaled(region) else f"{low / 1_000:g} to {high / 1_000:g} kb"
        name = html.escape(_REGIONS.get(region, region))
        return f'<b>{name}</b><div class="sct-small">{span.replace("-", "−")}</div>'

    def _slider(self, **settings: object) -> ipywidgets.FloatSlider:
        return ipywidgets.FloatSlider(1.0, min=0.0, max=LARGEST, step=_STEP, readout_format=_FORMAT, **settings)

    def _wide_slider(self, description: str, tooltip: str) -> ipywidgets.FloatSlider:
        layout = ipywidgets.Layout(width="98%")
        style = {"description_width": "150px"}
        return self._slider(description=description, tooltip=tooltip, layout=layout, style=style)

    def _listen(self, target: SliderTarget, slider: ipywidgets.FloatSlider) -> None:
        self.sliders[target] = slider
        slider.observe(lambda _: self._moved(target), names="value")

    def _on_neighbor_moved(self, change: dict[str, object]) -> None:
        """Find the neighbour of a slider, which changes with the gene."""
        for target in [target for target, slider in self.sliders.items() if slider is change["owner"]]:
            self._moved(target)

    def _moved(self, target: SliderTarget) -> None:
        if not self._quiet:
            self._on_change(target)

    @contextmanager
    def _without_callback(self) -> Iterator[None]:
        """Move sliders without a call of ``on_change``."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


def _absent_note(name: str, targets: Collection[SliderTarget], sliders: Sliders) -> str:
    marks = ", ".join(sliders.name(target) for target in targets)
    return f"<p>{html.escape(name)} has no {html.escape(marks)}: scaling changes nothing there.</p>"
