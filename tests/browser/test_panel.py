"""What all widgets share, in JupyterLab: an answer, a sentence for an error, and word of a kernel that is gone."""

from __future__ import annotations

from functools import partial

import pytest

SQUARE = [(0.4, 0.3), (0.6, 0.3), (0.6, 0.7), (0.4, 0.7)]
CONTEXT = "window.jupyterapp.shell.currentWidget.sessionContext"
CELL = """
import ipywidgets
import jscatter
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from simplechrome_tk.widgets._panel import Panel


class Counter(Panel):
    def __init__(self):
        super().__init__()
        table = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 2)), columns=["x", "y"])
        self.plot = jscatter.Scatter(data=table, x="x", y="y", height=300)
        self.slider = ipywidgets.IntSlider(description="Marks", max=10)
        self.number = ipywidgets.Label("none")
        self.chosen = ipywidgets.Label("none")
        self.slider.observe(self.step, "value")
        self.plot.widget.observe(self.choose, "selection")
        self.number.add_class("number")
        self.chosen.add_class("chosen")
        self._fill(self.plot.show(), self.slider, self.number, self.chosen)

    def show(self, value):
        self.number.value = f"{value} marks"

    def step(self, change):
        self._do("number", "Counting", lambda: 12 // (5 - change.new), self.show)

    def choose(self, change):
        self.chosen.value = f"{len(change.new)} chosen"

    def figure(self):
        return Figure()


panel = Counter()
panel
"""


@pytest.fixture(scope="module")
def notebook(lab, running):
    return running(lab.notebook("panel.ipynb", [CELL]))


@pytest.fixture(scope="module")
def parts(notebook):
    panel = notebook.page.locator(".sct-panel")
    return panel, panel.get_by_role("slider"), panel.locator(".number")


def test_slider_and_lasso_reach_the_kernel_and_its_answer_the_page(notebook, parts):
    panel, slider, number = parts
    assert notebook.changes(number.inner_text, lambda: slider.press("ArrowRight")) == "3 marks"
    chosen = notebook.changes(panel.locator(".chosen").inner_text, lambda: notebook.lasso(panel, SQUARE))
    assert 1_000 < int(chosen.split()[0]) < 20_000
    notebook.page.wait_for_timeout(500)
    assert panel.locator(".chosen").inner_text() == chosen


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_error_is_a_readable_sentence_and_the_next_input_works(notebook, parts, theme):
    panel, slider, number = parts
    notebook.theme(theme)
    slider.press("Home")
    for _ in range(5):
        slider.press("ArrowRight")
    alert = panel.get_by_role("alert")
    alert.wait_for()
    assert "division" in alert.inner_text()
    notebook.screenshot(f"error-{theme.lower()}")
    assert notebook.contrast(alert) >= 4.5
    assert notebook.contrast(number) >= 4.5
    notebook.changes(number.inner_text, lambda: slider.press("ArrowRight"))
    alert.wait_for(state="detached")
    notebook.theme("Light")


def test_console_holds_no_error(notebook, parts):
    assert notebook.complaints == []


@pytest.mark.parametrize("end", ["shutdown", "session.kernel.restart"])
def test_a_kernel_that_is_gone_is_said(notebook, parts, end):
    panel = parts[0]
    notebook.run_all()
    read = partial(panel.evaluate, "element => getComputedStyle(element, '::before').content")
    assert read() == "none"
    sentence = notebook.changes(read, lambda: notebook.page.evaluate(f"() => {CONTEXT}.{end}().then(() => null)"))
    assert "kernel has stopped" in sentence
    panel.evaluate("element => element.scrollIntoView()")
    notebook.screenshot(end.rpartition(".")[2])
    notebook.page.evaluate(f"() => {CONTEXT}.session ? null : {CONTEXT}.startKernel().then(() => null)")
