"""Sliders of how much there is of each mark, on a gene and on its neighbours."""

from __future__ import annotations

import html
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import ipywidgets
import numpy as np

from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.tl import Edit
from simplechrome_tk.tl.perturbation._edit import GENE, NEIGHBORS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import anndata as ad
    import pandas as pd

LARGEST = 3.0
_STEP = 0.1
_MOST_NEIGHBORS = 10
_WHERE = {"tss": "around the TSS", "tes": "around the gene end", "body": "along the gene body"}
_FORMAT = ".1f"

STYLE = """<style>
.sct-doses .sct-absent { opacity: 0.5; }
.sct-doses .widget-label { color: var(--jp-ui-font-color1, #222); }
.sct-doses .widget-readout { min-width: 34px; }
.sct-doses h4 { margin: 6px 0 2px 0; font-weight: 600; }
.sct-doses p { margin: 2px 0; line-height: 1.35; color: var(--jp-ui-font-color2, #666); }
</style>"""


class Dose(NamedTuple):
    """What a slider scales: a mark in a region, ``None`` for all, of the gene, its neighbours or one of them."""

    mark: str | None
    region: str | None
    on: str = GENE

    def edit(self, factor: float) -> Edit:
        """Return the edit that scales it."""
        return Edit.scale(factor, mark=self.mark, region=self.region, on=self.on)


class Doses(ipywidgets.VBox):
    """A slider for each mark in each region, one for all neighbours and one for each of the nearest.

    Parameters
    ----------
    adata
        Genes by bins.
    hears
        Whether the model hears neighbours.
    changed
        Called with the dose that was moved, ``None`` for several at once.
    """

    def __init__(self, adata: ad.AnnData, *, hears: bool, changed: Callable[[Dose | None], None]) -> None:
        self._adata, self._changed, self._quiet = adata, changed, False
        self._layout_of = Layout.of(adata)
        self.sliders: dict[Dose, ipywidgets.FloatSlider] = {}
        """The slider of each dose that is shown."""
        self._said, self._rest = ipywidgets.HTML(), ipywidgets.HTML()
        own = [ipywidgets.HTML(f"{STYLE}<h4>Signal of the gene, times measured</h4>"), self._grid(), self._said]
        self._spare: list[ipywidgets.FloatSlider] = []
        self._near = ipywidgets.VBox()
        around: list[ipywidgets.Widget] = []
        if hears:
            everyone = self._wide("all neighbours", "All marks of all neighbours, times measured")
            self._listen(Dose(None, None, NEIGHBORS), everyone)
            self._spare = [self._wide("", "") for _ in range(_MOST_NEIGHBORS)]
            heading = ipywidgets.HTML("<h4>All marks of neighbours (− upstream), times measured</h4>")
            around = [heading, everyone, self._near, self._rest]
            for slider in self._spare:
                slider.observe(self._spare_moved, names="value")
        super().__init__([*own, *around])
        self.add_class("sct-doses")

    @property
    def edits(self) -> list[Edit]:
        """What the sliders do, without those that stand at 1."""
        factors = {dose: self.factor(dose) for dose in self.sliders}
        return [dose.edit(factor) for dose, factor in factors.items() if factor != 1]

    def first(self) -> Dose:
        """Return the first mark in the first region."""
        return next(iter(self.sliders))

    def name(self, dose: Dose) -> str:
        """Return a dose in words, such as ``"H3K4me3 around the TSS"``."""
        if dose.on == GENE:
            return f"{dose.mark} {_WHERE.get(str(dose.region), f'in {dose.region}')}"
        return "all neighbours" if dose.on == NEIGHBORS else f"neighbour {dose.on}"

    def factor(self, dose: Dose) -> float:
        """Return where a slider stands."""
        return float(round(self.sliders[dose].value, 3))

    def set_factor(self, dose: Dose, factor: float) -> None:
        """Move a slider.

        Raises
        ------
        ValueError
            When there is none for this dose, or the factor lies outside.
        """
        if dose not in self.sliders:
            known = [f"mark={mark!r}, region={region!r}" for mark, region, on in self.sliders if on == GENE]
            known += [f"on={on!r}" for _, _, on in self.sliders if on != GENE]
            asked = f"mark={dose.mark!r}, region={dose.region!r}, on={dose.on!r}"
            msg = f"no slider of {asked}; there are {'; '.join(known)}."
            raise ValueError(msg)
        if not 0 <= factor <= LARGEST:
            msg = f"the factor is {factor:g}; expected one from 0 to {LARGEST:g}, the ends of the slider."
            raise ValueError(msg)
        self.sliders[dose].value = factor

    def reset(self) -> None:
        """Move all sliders to 1."""
        with self._quietly():
            for slider in self.sliders.values():
                slider.value = 1.0
        self._changed(None)

    def show_neighbors(self, table: pd.DataFrame) -> None:
        """Offer the neighbours of a gene, a table of :func:`simplechrome_tk.get.neighbors`, the nearest first."""
        sliders = {dose: slider for dose, slider in self.sliders.items() if dose.on in {GENE, NEIGHBORS}}
        rows = self._adata.obs_names.get_indexer(table["neighbor"])
        near = table.head(_MOST_NEIGHBORS)
        shown = self._spare[: len(near)]
        with self._quietly():
            for slider, neighbor in zip(shown, near.itertuples(), strict=False):
                name = str(neighbor.neighbor_symbol)
                unique = len(np.intersect1d(gene_rows(self._adata, name), rows)) == 1
                slider.value = 1.0
                slider.description = f"{name} ({distance(neighbor.distance_bp)})"
                slider.tooltip = (
                    f"All marks of {name}, {distance(neighbor.distance_bp)} along the strand, times measured"
                )
                sliders[Dose(None, None, name if unique else str(neighbor.neighbor))] = slider
            self.sliders = sliders  # at once, since other threads read it
        self._near.children = shown
        rest = len(table) - len(near)
        words = "The model's graph gives this gene no neighbours." if not len(table) else ""
        words = f"{rest} more lie farther away; all neighbours together include them." if rest else words
        self._rest.value = f"<p>{words}</p>" if words else ""

    def show_carried(self, signal: dict[str, np.ndarray]) -> None:
        """Say which marks genes do not carry, by name their signal ``(n_columns,)``."""
        without: dict[str, list[Dose]] = {name: [] for name in signal}
        for block in self._layout_of.blocks.itertuples():
            dose = Dose(block.mark, block.region)
            lacking = [name for name, values in signal.items() if (values[block.start : block.stop] == 0).all()]
            for name in lacking:
                without[name].append(dose)
            slider = self.sliders[dose]
            if len(lacking) == len(signal):
                slider.add_class("sct-absent")
            else:
                slider.remove_class("sct-absent")
            nothing = f"; {' and '.join(lacking)} carries none, so that this changes nothing there" if lacking else ""
            slider.tooltip = f"{self.name(dose)}, times measured{nothing}"
        self._said.value = "".join(_lacks(name, doses, self) for name, doses in without.items() if doses)

    def _grid(self) -> ipywidgets.GridBox:
        marks, regions = self._layout_of.marks, self._layout_of.regions
        cells: list[ipywidgets.Widget] = [ipywidgets.HTML("")]
        cells += [ipywidgets.HTML(self._where(region)) for region in regions]
        for mark in marks:
            cells.append(ipywidgets.HTML(f"<b>{html.escape(mark)}</b>"))
            for region in regions:
                slider = self._slider(layout=ipywidgets.Layout(width="98%"))
                self._listen(Dose(mark, region), slider)
                cells.append(slider)
        columns = f"78px repeat({len(regions)}, minmax(140px, 1fr))"
        return ipywidgets.GridBox(cells, layout=ipywidgets.Layout(grid_template_columns=columns))

    def _where(self, region: str) -> str:
        """Say where a region is, and on a second line how far it reaches."""
        low, high = self._layout_of.window(region)
        span = "start to end" if self._layout_of.is_scaled(region) else f"{low / 1_000:g} to {high / 1_000:g} kb"
        name = html.escape(_WHERE.get(region, region))
        return f'<b>{name}</b><div class="sct-small">{span.replace("-", "−")}</div>'

    def _slider(self, **settings: object) -> ipywidgets.FloatSlider:
        return ipywidgets.FloatSlider(1.0, min=0.0, max=LARGEST, step=_STEP, readout_format=_FORMAT, **settings)

    def _wide(self, description: str, tooltip: str) -> ipywidgets.FloatSlider:
        layout = ipywidgets.Layout(width="98%")
        style = {"description_width": "150px"}
        return self._slider(description=description, tooltip=tooltip, layout=layout, style=style)

    def _listen(self, dose: Dose, slider: ipywidgets.FloatSlider) -> None:
        self.sliders[dose] = slider
        slider.observe(lambda _: self._moved(dose), names="value")

    def _spare_moved(self, change: dict[str, object]) -> None:
        """Find out whose slider it is now."""
        for dose in [dose for dose, slider in self.sliders.items() if slider is change["owner"]]:
            self._moved(dose)

    def _moved(self, dose: Dose) -> None:
        if not self._quiet:
            self._changed(dose)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


def distance(bp: float) -> str:
    """Write how far a neighbour lies along the gene's strand, with a minus upstream."""
    if np.isnan(bp):
        return "other chromosome"
    size = abs(bp)
    length = f"{size:,.0f} bp" if size < 1_000 else f"{size / 1e3:,.0f} kb" if size < 1e6 else f"{size / 1e6:,.1f} Mb"
    return f"{'−' if bp < 0 else '+'}{length}"


def _lacks(name: str, doses: Collection[Dose], sliders: Doses) -> str:
    what = ", ".join(sliders.name(dose) for dose in doses)
    return f"<p>{html.escape(name)} carries no {html.escape(what)}: scaling changes nothing there.</p>"
