"""Pictures of README and gallery: `make pictures` writes them to ``docs`` from real genes and the model of the package.

pytest collects this module only when it is named, since it tests nothing. Figures are drawn here; widgets are opened in
JupyterLab and photographed as a user sees them.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pytest
from PIL import Image

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import anndata as ad
    from playwright.sync_api import Locator

    from tests.browser.conftest import Lab, Notebook

DOCS = Path(__file__).parents[2] / "docs"
N_COLOURS = 256
"""Colours of a picture: enough for plots, and a third of the bytes."""

PREPARE = """
import simplechrome_tk as sct
model = sct.load_pretrained("roadmap-peaks")
adata = sct.datasets.roadmap("E116")
sct.pp.split_by_chromosome(adata)
sct.pp.normalize(adata, reference=model.normalization)
"""


def keep(picture: bytes, name: str) -> None:
    """Write a PNG to ``docs`` with few colours."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(N_COLOURS, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)


def photograph(panel: Locator, name: str) -> None:
    """Take a picture of a widget once all of its images are there."""
    panel.scroll_into_view_if_needed()
    panel.page.wait_for_timeout(1_500)  # the map fades points in
    keep(panel.screenshot(), name)


@pytest.fixture(scope="module")
def explained(e116: ad.AnnData) -> ad.AnnData:
    """E116 with the attributions of the model that comes with the package, for the gene that is drawn."""
    adata = e116.copy()
    model = sct.load_pretrained("roadmap-peaks")
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, reference=model.normalization)
    sct.tl.attribute(adata, model, genes=["PAX5"], progress=False)
    return adata


def drawn(name: str, **settings: object) -> None:
    """Keep the current figure."""
    buffer = io.BytesIO()
    plt.gcf().savefig(buffer, format="png", **settings)
    keep(buffer.getvalue(), name)


def test_mark_profiles(explained: ad.AnnData) -> None:
    sct.pl.mark_profiles(explained)
    drawn("mark_profiles.png", dpi=100)


def test_browser(explained: ad.AnnData) -> None:
    sct.pl.browser(explained, "PAX5")
    drawn("browser.png", dpi=100)


@pytest.fixture(scope="module")
def open_cells(lab: Lab, running: Callable[[str], Notebook]) -> Iterator[Callable[[str, list[str]], Notebook]]:
    """Write a notebook, open it in a window that is tall enough, and run it."""

    def run(name: str, cells: list[str]) -> Notebook:
        notebook = running(lab.notebook(name, cells))
        notebook.page.set_viewport_size({"width": 1_440, "height": 1_800})
        notebook.command("application:toggle-left-area")
        return notebook

    return run


def test_explorer(open_cells: Callable[[str, list[str]], Notebook]) -> None:
    show = "explorer = sct.widgets.Explorer(adata, model)\nexplorer"
    notebook = open_cells("explorer.ipynb", [PREPARE, "sct.tl.embed(adata, model); sct.tl.name_states(adata)", show])
    panel = notebook.page.locator(".sct-panel").first
    panel.get_by_label("Colour by").select_option("state")
    bivalent = "adata.obs_names[(adata.obs['state'] == 'bivalent').to_numpy()].tolist()"
    notebook.execute(f"explorer.selected = {bivalent}; explorer.wait()")
    panel.locator("img[alt^='Mean marks of']").wait_for()
    photograph(panel, "explorer.png")
    for tab in ("Expression", "Table"):
        panel.get_by_role("tab", name=tab).click()
        photograph(panel, f"explorer_{tab.lower()}.png")


def test_gene_browser(open_cells: Callable[[str, list[str]], Notebook]) -> None:
    show = "browser = sct.widgets.GeneBrowser(adata, model, gene='PAX5')\nbrowser"
    notebook = open_cells("gene_browser.ipynb", [PREPARE, show])
    notebook.execute("browser.wait()")
    photograph(notebook.page.locator(".sct-panel").first, "gene_browser.png")


def test_perturbation_lab(open_cells: Callable[[str, list[str]], Notebook]) -> None:
    show = (
        "lab = sct.widgets.PerturbationLab(adata, model, gene='PAX5')\n"
        "lab.set_factor(0.5, mark='H3K36me3', region='body')\n"
        "lab.set_factor(0.5, mark='H3K4me3', region='tss')\nlab"
    )
    notebook = open_cells("perturbation_lab.ipynb", [PREPARE, show])
    notebook.execute("lab.wait()")
    panel = notebook.page.locator(".sct-panel").first
    photograph(panel, "perturbation_lab.png")
    notebook.theme("Dark")
    photograph(panel, "perturbation_lab_dark.png")
    notebook.theme("Light")  # JupyterLab keeps the theme for the notebooks that follow


def test_training_monitor(open_cells: Callable[[str, list[str]], Notebook]) -> None:
    show = "new = sct.SimpleChrome(adata)\nmonitor = sct.widgets.TrainingMonitor(new)\nmonitor"
    notebook = open_cells("training_monitor.ipynb", [PREPARE, show])
    notebook.execute("monitor.train(); monitor.wait()")
    photograph(notebook.page.locator(".sct-panel").first, "training_monitor.png")
