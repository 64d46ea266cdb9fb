"""The gene browser: type a gene, read what its prediction comes from and its related genes, go on to the next gene."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

PREPARE = """
import numpy as np
import simplechrome_tk as sct

adata = sct.datasets.simulate(300)
sct.pp.split_by_chromosome(adata)
sct.pp.normalize(adata)
level = sct.pp.log_expression(adata.obs["expression"].to_numpy())
noise = np.random.default_rng(0).normal(size=(adata.n_obs, 6))
adata.obsm["reference_expression"] = (level[:, None] + noise).astype("float32")
adata.uns["reference_expression"] = {"samples": list("ABCDEF")}
sct.pp.coexpression_neighbors(adata, n_neighbors=20)
sct.pp.tss_neighbors(adata, n_neighbors=4)
model = sct.SimpleChrome(
    adata, neighbors_key=("coexpression", "tss"), reference_key="reference_expression", n_latent=4, device="cpu"
)
model.train(latent_epochs=2, expression_epochs=20, context_epochs=5, progress=False)
first, second = adata.obs[adata.obs["chrom"] == "chr1"].sort_values("tss")["symbol"].iloc[:2]
"""
SHOW = "browser = sct.widgets.GeneBrowser(adata, model)\nbrowser"
NAMES = "print(first, second)"


@pytest.fixture(scope="module")
def notebook(lab, running):
    return running(lab.notebook("gene_browser.ipynb", [PREPARE, SHOW, NAMES]))


@pytest.fixture(scope="module")
def widget(notebook):
    return notebook.page.locator(".sct-panel").filter(has=notebook.page.get_by_label("Gene", exact=True)).first


@pytest.fixture(scope="module")
def names(notebook):
    """Symbols of the first two genes of a chromosome."""
    return notebook.page.locator(".jp-OutputArea-output pre").last.inner_text().split()


def related(widget, symbol):
    """Return the table of the genes that are related to a gene."""
    return widget.get_by_role("table", name=f"Genes related to {symbol} in the graphs coexpression, tss")


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_a_typed_gene_is_shown_with_its_related_genes_by_name(notebook, widget, names, theme):
    notebook.theme(theme)
    box = widget.get_by_label("Gene", exact=True)
    box.click()
    box.fill("")
    notebook.page.keyboard.type(names[0].lower())
    table = related(widget, names[0])
    expect(table).to_be_visible()
    shown = table.get_by_role("rowheader").all_inner_texts()
    assert len(shown) == 15
    assert all(name.startswith("SIM") and name != names[0] for name in shown)
    assert table.get_by_role("columnheader").all_inner_texts()[-1] == "effect on log-odds of high"
    assert table.get_by_text("another chromosome").count() > 0
    parts = widget.get_by_text("Effects on log-odds of high: own marks")
    expect(parts).to_contain_text("related genes")
    expect(parts).to_contain_text("reference samples")
    expect(parts).to_contain_text("The prediction minus that at the baseline is")
    assert notebook.contrast(parts) >= 4.5
    assert notebook.contrast(table.get_by_role("rowheader").first) >= 4.5
    table.evaluate("element => element.scrollIntoView({block: 'center'})")
    notebook.screenshot(theme.lower())


def test_the_buttons_lead_to_the_next_gene_and_back(notebook, widget, names):
    widget.get_by_label("Gene", exact=True).fill(names[0])
    expect(related(widget, names[0])).to_be_visible()
    widget.get_by_title("Next gene along the chromosome").click()
    expect(related(widget, names[1])).to_be_visible()
    assert widget.get_by_label("Gene", exact=True).input_value() == names[1]
    back = widget.get_by_title("Previous gene along the chromosome")
    back.focus()
    notebook.page.keyboard.press("Enter")
    expect(related(widget, names[0])).to_be_visible()
    expect(back).to_be_disabled()


def test_console_holds_no_error(notebook, widget):
    assert notebook.complaints == []


def test_the_typing_test_fails_when_a_callback_is_broken(notebook, widget, names):
    box = widget.get_by_label("Gene", exact=True)
    box.fill(names[0])
    expect(related(widget, names[0])).to_be_visible()
    notebook.execute("kept = browser._show; browser._show = lambda gene: None")
    try:
        box.fill(names[1])
        with pytest.raises(AssertionError, match="nothing changed"):
            notebook.changes(related(widget, names[1]).count, lambda: None, seconds=4)
    finally:
        notebook.execute("browser._show = kept")
        box.fill(names[0])
    expect(related(widget, names[0])).to_be_visible()
