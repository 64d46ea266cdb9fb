"""The explorer's notebook: lasso genes, find one by the keyboard, and see the panes follow."""

from __future__ import annotations

import re

import pytest

MIDDLE = [(0.35, 0.25), (0.75, 0.25), (0.75, 0.8), (0.35, 0.8)]
SABOTAGE = {
    "no work is done": ("Panel", "_do", "sct.widgets._panel.Panel"),
    "the map is not heard": ("GeneMap", "_selected", "sct.widgets._gene_map.GeneMap"),
}


@pytest.fixture(scope="module")
def notebook(lab, running):
    return running(lab.copy("notebooks/explorer.ipynb"))


@pytest.fixture(scope="module")
def explorer(notebook):
    return notebook.page.locator(".sct-panel").filter(has=notebook.page.get_by_label("Find a gene")).first


def lasso_changes_every_pane(notebook, explorer, seconds=20):
    """Lasso the middle of the map; the panes must tell of as many genes as one another."""

    def shown():
        image = explorer.locator("img[alt^='Mean marks of']")
        return image.get_attribute("src") if image.count() else None

    clear(notebook, explorer)
    notebook.changes(shown, lambda: notebook.lasso(explorer, MIDDLE), seconds)
    alt = explorer.locator("img[alt^='Mean marks of']").get_attribute("alt")
    number = int(re.search(r"\d+", alt).group())
    assert number > 10
    assert f"Expression of {number} selected genes" in explorer.locator("img[alt^='Expression of']").get_attribute("alt")
    explorer.get_by_text(f"{number:,} genes selected").wait_for(state="attached", timeout=1_000 * seconds)
    assert len(explorer.locator("textarea").input_value().split()) == number


def clear(notebook, explorer):
    notebook.execute("explorer.selected = []; explorer.wait()")


def test_lasso(notebook, explorer):
    notebook.screenshot("ran")
    lasso_changes_every_pane(notebook, explorer)
    notebook.screenshot("lasso")
