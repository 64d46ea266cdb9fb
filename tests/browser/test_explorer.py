"""The explorer's notebook: lasso genes, find one by the keyboard, and see the panes follow."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

MIDDLE = [(0.35, 0.25), (0.75, 0.25), (0.75, 0.8), (0.35, 0.8)]


@pytest.fixture(scope="module")
def notebook(lab, running):
    return running(lab.copy("notebooks/explorer.ipynb"))


@pytest.fixture(scope="module")
def explorer(notebook):
    return notebook.page.locator(".sct-panel").filter(has=notebook.page.get_by_label("Find a gene")).first


def lasso_changes_every_pane(notebook, explorer, seconds=20):
    """Lasso the middle of the map: the panes change, and tell of as many genes as one another."""
    notebook.execute("explorer.selected = []; explorer.wait()")
    profile, expression = (explorer.locator(f"img[alt^='{begins}']") for begins in ("Mean marks of", "Expression of"))
    profile.wait_for(state="detached")

    def drawn():
        return [image.get_attribute("alt") for image in [*profile.all(), *expression.all()]]

    notebook.changes(drawn, lambda: notebook.lasso(explorer, MIDDLE), seconds)
    expression.wait_for(state="attached")
    number = int(re.search(r"\d+", profile.get_attribute("alt")).group())
    assert number > 10
    assert expression.get_attribute("alt") == f"Expression of {number} selected genes"
    explorer.get_by_text(f"{number:,} genes selected").wait_for(state="attached")
    assert len(explorer.locator("textarea").input_value().split()) == number


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_lasso(notebook, explorer, theme):
    notebook.theme(theme)
    lasso_changes_every_pane(notebook, explorer)
    notebook.screenshot(f"lasso-{theme.lower()}")


def test_gene_is_found_by_the_keyboard_alone(notebook, explorer):
    find = explorer.get_by_label("Find a gene")
    symbol = find.get_attribute("placeholder").removeprefix("gene, such as ")
    explorer.get_by_label("Select", exact=True).focus()
    notebook.page.keyboard.press("Tab")
    assert find.evaluate("element => element === document.activeElement")
    notebook.page.keyboard.type(symbol.lower())
    expect(explorer.locator("textarea")).to_have_value(symbol)  # gene T may be selected on the way to TSPAN6
    expect(explorer.get_by_text("1 gene selected")).to_be_attached()
    find.fill("")


def test_unknown_gene_is_a_readable_sentence_with_the_closest(notebook, explorer):
    notebook.theme("Dark")
    find = explorer.get_by_label("Find a gene")
    symbol = find.get_attribute("placeholder").removeprefix("gene, such as ")
    find.fill(f"{symbol}X")
    alert = explorer.get_by_role("alert")
    alert.wait_for()
    assert symbol in alert.inner_text().replace(f"{symbol}X", "")
    assert notebook.contrast(alert) >= 4.5
    notebook.screenshot("unknown-dark")
    notebook.theme("Light")
    assert notebook.contrast(alert) >= 4.5
    find.fill(symbol)
    alert.wait_for(state="detached")
    find.fill("")


def test_console_holds_no_error(notebook, explorer):
    assert notebook.complaints == []


@pytest.mark.parametrize(("owner", "method"), [("explorer", "_do"), ("explorer._map", "_on_select")])
def test_the_lasso_test_fails_when_a_callback_is_broken(notebook, explorer, owner, method):
    notebook.execute("explorer.selected = []; explorer.wait()")
    notebook.execute(f"kept = {owner}.{method}; {owner}.{method} = lambda *args, **settings: None")
    try:
        with pytest.raises(AssertionError, match="nothing changed"):
            lasso_changes_every_pane(notebook, explorer, seconds=6)
    finally:
        # Select one gene first: the map still shows its last lasso, and the same lasso again would not be a change.
        notebook.execute(f"{owner}.{method} = kept; explorer.selected = adata.obs_names[:1].tolist(); explorer.wait()")
    lasso_changes_every_pane(notebook, explorer)
