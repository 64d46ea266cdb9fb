"""The gene browser, driven through its traits, without a browser."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk import tl
from simplechrome_tk.widgets import GeneBrowser
from simplechrome_tk.widgets._gene_browser_table import gene_table

CELLS = ("E116", "E003")


@pytest.fixture(scope="module")
def stacked():
    """Two cell types of the same 150 genes and a model of both."""
    parts = {}
    for seed, cell in enumerate(CELLS):
        part = sct.datasets.simulate(150, rng=seed)
        parts[cell] = part
    ids, places = parts["E116"].obs_names, ["symbol", "chrom", "start", "end", "strand", "tss"]
    parts["E003"].obs_names = ids
    parts["E003"].obs[places] = parts["E116"].obs[places]
    adata = sct.pp.stack_cell_types(parts)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    model = sct.SimpleChrome(adata, n_latent=4, neighbors_key="tss")
    model.train(latent_epochs=1, expression_epochs=2, context_epochs=1, progress=False)
    return adata, model


@pytest.fixture
def browser(stacked):
    made = GeneBrowser(*stacked)
    yield made
    made.close()
    plt.close("all")


def rows_of(table):
    """Cells of an HTML table, without its head."""
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)[1:]]


def name(adata, row):
    return str(adata.obs["symbol"].iloc[row])


def pictures(browser):
    return [pane.value for pane in browser._pictures.children]


def test_a_gene_is_shown_in_every_cell_type(browser, stacked):
    adata, model = stacked
    before = {**adata.layers}, list(adata.obs), list(adata.uns), list(adata.obsp)
    browser.gene = name(adata, 7).lower()
    browser.wait()
    assert browser._errors == {}
    table = rows_of(browser._table.value)
    assert [row[0] for row in table] == list(CELLS)
    own = adata.obs["symbol"] == name(adata, 7)
    assert [row[2] for row in table] == adata.obs.loc[own, "label"].astype(str).tolist()
    chances = model.predict()[own.to_numpy()]["probability"]
    assert [row[5][:4] for row in table] == [f"{chance:.2f}" for chance in chances]
    assert len(pictures(browser)) == 2
    assert all(picture.startswith(f'<img alt="Tracks of {name(adata, 7)}') for picture in pictures(browser))
    assert ({**adata.layers}, list(adata.obs), list(adata.uns), list(adata.obsp)) == before
    assert not plt.get_fignums()


def test_one_cell_type_is_chosen(browser, stacked):
    browser.gene = name(stacked[0], 7)
    browser.wait()
    both = pictures(browser)
    browser.cell_type = "E003"
    browser.wait()
    assert pictures(browser) == both[1:]
    with pytest.raises(ValueError, match="no cell type 'K562'; expected one of E116, E003, all"):
        browser.cell_type = "K562"


def test_unknown_gene_is_a_sentence_and_the_next_good_one_is_shown(browser, stacked):
    symbol = name(stacked[0], 7)
    browser.gene = f"{symbol}X"
    browser.wait()
    assert "did you mean" in browser._status.value
    assert symbol in browser._status.value
    assert browser.gene is None
    browser.gene = other = name(stacked[0], 8)
    browser.gene = f"{symbol}X"
    browser.cell_type = "E003"
    browser.wait()
    assert f'bold">{other}</caption>' in browser._table.value
    assert len(pictures(browser)) == 1
    browser.cell_type = "all"
    browser.gene = symbol
    browser.wait()
    assert "sct-error" not in browser._status.value
    assert len(pictures(browser)) == 2


def test_typing_part_of_a_symbol_is_no_mistake(browser, stacked):
    browser.gene = name(stacked[0], 7)[:4]
    browser.wait()
    assert "sct-error" not in browser._status.value


def test_buttons_go_along_the_chromosome_and_end_there(browser, stacked):
    adata, _ = stacked
    genes = adata.obs[adata.obs["cell_type"] == "E116"]
    own = genes[genes["chrom"] == genes["chrom"].iloc[0]].sort_values("tss")["symbol"].tolist()
    browser.gene = own[0]
    assert browser._previous.disabled
    assert not browser._next.disabled
    browser._next.click()
    assert browser.gene == own[1]
    browser._previous.click()
    assert browser.gene == own[0]
    browser.gene = own[-1]
    assert browser._next.disabled


def test_figure_shows_what_is_shown(browser, stacked):
    with pytest.raises(ValueError, match="no gene"):
        browser.figure()
    browser.gene = name(stacked[0], 7)
    browser.wait()
    sheet = browser.figure()
    assert len(sheet.axes) == 2
    assert plt.get_fignums() == [sheet.number]
    browser.cell_type = "E003"
    one = browser.figure()
    assert any("E003" in text.get_text() for text in one.texts)
    assert "image/png" in browser._repr_mimebundle_()


def test_attributions_in_the_anndata_are_taken(stacked):
    adata, model = stacked
    adata = adata.copy()
    tl.attribute(adata, model, genes=name(adata, 7), method="occlusion", by="mark", progress=False)
    browser = GeneBrowser(adata, model, gene=name(adata, 7))
    browser.wait()
    assert "by occlusion, against no signal of any mark; from the AnnData" in pictures(browser)[0]
    browser.gene = name(adata, 8)
    browser.wait()
    assert "by integrated gradients, against no signal of any mark; computed" in pictures(browser)[0]
    browser.close()


def test_without_model_labels_and_positions(stacked):
    adata = stacked[0][stacked[0].obs["cell_type"] == "E116"].copy()
    adata.obs["expression"] = np.nan
    adata.obs = adata.obs[["symbol", "expression"]].copy()
    browser = GeneBrowser(adata, gene=name(adata, 7))
    browser.wait()
    assert rows_of(browser._table.value) == [["unknown"]]
    assert browser._next.disabled
    assert len(pictures(browser)) == 1
    assert "sct-error" not in browser._status.value
    browser.close()


def test_model_of_other_columns_or_untrained_is_named(stacked):
    adata, model = stacked
    with pytest.raises(ValueError, match="columns"):
        GeneBrowser(adata[:, : adata.n_vars // 2].copy(), model)
    with pytest.raises(RuntimeError, match="not trained"):
        GeneBrowser(adata, sct.SimpleChrome(adata))


def test_table_says_where_the_measured_value_lies_and_what_the_model_has_seen(stacked, monkeypatch):
    adata, model = stacked
    adata = adata.copy()
    adata.obs["split"] = np.resize(["train", "valid", "test"], adata.n_obs)
    adata.obs["expression"] = np.resize([0.0, 10.0, 1000.0], adata.n_obs)
    predicted = (
        model.predict()
        .iloc[:3]
        .assign(log_expression=1.0, log_expression_low=np.log10(5.1), log_expression_high=np.log10(20.1))
    )
    monkeypatch.setattr(model, "predict", lambda _: predicted)
    table = gene_table(adata, model, [0, 1, 2])
    assert table["measured is"].tolist() == ["below", "within", "above"]
    assert table["predicted (90 % interval)"].iloc[0].startswith("9.9 ")
    assert table["predicted (90 % interval)"].iloc[0].endswith(" (5 to 20)")
    assert table["this gene was"].tolist()[::2] == ["seen in training", "held out"]
    assert table["this gene was"].iloc[1].startswith("seen in training (validation")


def test_many_cell_types_are_a_list_to_choose_from(stacked):
    adata = stacked[0].copy()
    adata.obs["cell_type"] = [f"c{i % 10}" for i in range(adata.n_obs)]
    browser = GeneBrowser(adata)
    assert len(browser._cell_selector.options) == 11
    assert browser.cell_type == "c0"
    browser.close()


def test_samples_are_chosen_like_cell_types():
    adata = sct.datasets.simulate_conditions(150, n_replicates=1)
    adata.obs["cell_type"] = "K562"
    table = gene_table(adata, None, [3, 153])
    assert table.index[0].removesuffix(":A1") == table.index[1].removesuffix(":B1")
    assert table["sample"].tolist() == ["A1", "B1"]
    browser = GeneBrowser(adata)
    browser.cell_type = "B1"
    assert browser.cell_type == "B1"
