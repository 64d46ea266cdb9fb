"""The contrast browser: sort and filter the table of genes with the mouse, click a gene and see its picture."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

PREPARE = """
import simplechrome_tk as sct

both = sct.datasets.simulate_conditions(300)
sct.pp.split_by_chromosome(both)
sct.pp.normalize(both, method="log1p")
sct.pp.tss_neighbors(both, n_neighbors=4)
model = sct.SimpleChrome(both, neighbors_key="tss", n_latent=4, device="cpu")
model.train(latent_epochs=1, expression_epochs=5, context_epochs=1, progress=False)
sct.tl.contrast(both, model, key="condition", of="B", against="A", n_explained=20, progress=False)
"""
SHOW = "browser = sct.widgets.ContrastBrowser(both, model)\nbrowser"


@pytest.fixture(scope="module")
def notebook(lab, running):
    return running(lab.notebook("contrast_browser.ipynb", [PREPARE, SHOW]))


@pytest.fixture(scope="module")
def widget(notebook):
    return notebook.page.locator(".sct-panel").first


@pytest.fixture(scope="module")
def table(widget):
    found = widget.locator(".sct-genes table")
    expect(found).to_be_visible()
    return found


def names(table):
    return table.locator("tbody").get_by_role("rowheader").all_inner_texts()


def column(table, label):
    place = [text.rstrip(" ▲▼") for text in table.get_by_role("columnheader").all_inner_texts()].index(label)
    return table.locator(f"tbody tr > :nth-child({place + 1})").all_inner_texts()


def numbers(table, label):
    return [float(text.replace("−", "-")) for text in column(table, label) if text]


def test_a_click_on_a_heading_sorts(notebook, table):
    heading = table.get_by_role("columnheader", name="measured change")
    assert heading.get_attribute("aria-sort") == "none"
    before = names(table)
    sizes = [abs(change) for change in numbers(table, "predicted change")]
    assert sizes == sorted(sizes, reverse=True)
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    changes = numbers(table, "measured change")
    assert changes == sorted(changes, reverse=True)
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    changes = numbers(table, "measured change")
    assert changes == sorted(changes)
    # The heading is still focused after the table was drawn again, and the keyboard works as the mouse does.
    notebook.page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "none")
    assert names(table) == before


def test_genes_are_filtered(notebook, widget, table):
    caption = table.locator("caption")
    expect(caption).to_contain_text("300 of 300 genes")
    symbol = names(table)[3]
    box = widget.get_by_label("Gene", exact=True)
    box.click()
    notebook.page.keyboard.type(symbol.lower())
    expect(caption).to_contain_text("1 of 300 genes")
    assert names(table) == [symbol]
    box.fill("")
    expect(caption).to_contain_text("300 of 300 genes")
    widget.get_by_label("Direction").select_option("down: higher in A")
    expect(caption).not_to_contain_text("300 of 300 genes")
    assert max(numbers(table, "predicted change")) <= 0
    least = widget.get_by_label("Change at least")
    least.fill("0.1")
    least.press("Enter")
    notebook.page.wait_for_timeout(500)
    assert max(numbers(table, "predicted change")) <= -0.1
    least.fill("0")
    least.press("Enter")
    widget.get_by_label("Direction").select_option("up and down")
    expect(caption).to_contain_text("300 of 300 genes")


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_a_clicked_gene_is_shown_with_its_explanation(notebook, widget, table, theme):
    notebook.theme(theme)
    place = {"Dark": 2, "Light": 4}[theme]
    symbol = names(table)[place]
    row = table.locator("tbody tr").nth(place)
    row.locator("td").first.click()
    picture = widget.locator(f"img[alt^='Marks of {symbol} in B and in A']")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 600
    expect(row).to_have_attribute("aria-current", "true")
    assert table.locator("tr[aria-current='true']").count() == 1
    effects = widget.get_by_role("table", name=re.compile(f"Effects of the marks of {symbol} on"))
    assert effects.get_by_role("rowheader").count() == 5
    expect(widget.get_by_role("table", name=f"Genes related to {symbol} in the graph tss")).to_be_visible()
    assert notebook.contrast(row.get_by_role("button")) >= 4.5
    assert notebook.contrast(table.locator("thead button").first) >= 4.5
    assert notebook.contrast(effects.get_by_role("rowheader").first) >= 4.5
    notebook.screenshot(theme.lower())


def test_genes_are_reached_by_the_keyboard(notebook, widget, table):
    symbol = names(table)[5]
    table.locator("tbody tr").nth(4).get_by_role("button").focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("Enter")
    expect(widget.locator(f"img[alt^='Marks of {symbol} in']")).to_be_visible()
    assert table.locator("tbody button[tabindex='0']").all_inner_texts() == [symbol]


def test_a_gene_that_was_not_attributed_is_explained_by_the_model(notebook, widget, table):
    warnings = notebook.page.locator("[data-mime-type='application/vnd.jupyter.stderr']")
    before = warnings.all_inner_texts()
    place = column(table, "strongest mark").index("")
    symbol = names(table)[place]
    table.locator("tbody tr").nth(place).get_by_role("button").click()
    expect(widget.locator(f"img[alt^='Marks of {symbol} in']")).to_be_visible()
    expect(widget.get_by_text("The effects were computed for this gene.")).to_be_visible()
    assert warnings.all_inner_texts() == before


def test_console_holds_no_error(notebook, widget):
    assert notebook.complaints == []


def test_the_click_test_fails_when_the_table_does_not_report_clicks(notebook, widget, table):
    notebook.execute("kept = dict(browser._table._handlers); browser._table._handlers['gene'] = lambda gene: None")
    try:
        row = table.locator("tbody tr").nth(7)
        with pytest.raises(AssertionError, match="nothing changed"):
            notebook.changes(lambda: row.get_attribute("aria-current"), row.locator("td").first.click, seconds=3)
    finally:
        notebook.execute("browser._table._handlers.update(kept)")
