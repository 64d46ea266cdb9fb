"""The contrast browser, driven through its traits and messages, without a browser."""

from __future__ import annotations

import copy
import logging

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from builders import explained_contrast

import simplechrome_tk as sct
from simplechrome_tk.widgets import ContrastBrowser


@pytest.fixture(scope="module")
def contrast():
    return explained_contrast()


@pytest.fixture
def browser(contrast):
    made = ContrastBrowser(contrast[0])
    made.wait()
    yield made
    made.close()
    plt.close("all")


@pytest.fixture
def table(contrast):
    return sct.get.contrast(contrast[0])


def click(browser, **message):
    """Send what the page sends at a click."""
    browser._table._handle_custom_msg(message, [])
    browser.wait()


def shown(browser, label):
    """Cells of a column."""
    place = [column["label"] for column in browser._table.content["columns"]].index(label)
    return [row["cells"][place] for row in browser._table.content["rows"]]


def number(text):
    return float(text.replace("−", "-"))


def test_genes_with_the_largest_change_come_first_and_the_first_is_shown(browser, table):
    assert browser._errors == {}
    assert browser.genes == table["gene"].tolist()
    assert browser.gene == table["symbol"].iloc[0]
    assert browser._table.selected == table["gene"].iloc[0]
    assert f"Marks of {browser.gene} in B and in A" in browser._page.value
    assert shown(browser, "gene") == table["symbol"].tolist()[:200]
    changes = np.array(list(map(number, shown(browser, "predicted change"))))
    np.testing.assert_allclose(changes, table["change"].iloc[:200], atol=0.006)
    assert browser._table.content["caption"].startswith(
        "300 of 300 genes, largest change first; the first 200 are shown. Change of log10("
    )
    assert not plt.get_fignums()


def test_columns_that_are_not_known_are_left_out(browser, table):
    labels = {column["label"] for column in browser._table.content["columns"]}
    assert {"measured change", "false discovery rate", "strongest mark"} <= labels
    assert "probability up" not in labels
    assert "low" not in table


def test_a_heading_sorts_down_then_up_then_not(browser, table):
    def sorted_as(name):
        return {column["name"]: column["sorted"] for column in browser._table.content["columns"]}[name]

    click(browser, sort="measured")
    assert browser.genes == table.sort_values("measured", ascending=False, kind="stable")["gene"].tolist()
    assert sorted_as("measured") == "descending"
    click(browser, sort="measured")
    assert browser.genes == table.sort_values("measured", kind="stable")["gene"].tolist()
    assert sorted_as("measured") == "ascending"
    click(browser, sort="measured")
    assert browser.genes == table["gene"].tolist()
    assert sorted_as("measured") == "none"


def test_names_and_rates_sort_upwards_first_and_unknown_values_last(browser, table):
    click(browser, sort="name")
    assert shown(browser, "gene") == sorted(table["symbol"])[:200]
    click(browser, sort="fdr")
    rates = list(map(number, shown(browser, "false discovery rate")))
    assert rates == sorted(rates)
    for _ in range(2):
        click(browser, sort="effect")
        assert "" not in shown(browser, "its effect")[:20]
        assert set(shown(browser, "its effect")[20:]) == {""}


def test_genes_are_filtered(browser, table):
    symbol = table["symbol"].iloc[5]
    browser._text.value = f" {symbol[:-1].lower()}"
    expected = table[table["symbol"].str.startswith(symbol[:-1])]
    assert browser.genes == expected["gene"].tolist()
    assert browser._table.content["caption"].startswith(f"{len(expected)} of 300 genes")
    own = table["gene"].iloc[5].split(":")[0]
    browser._text.value = own
    assert browser.genes == [table["gene"].iloc[5]]
    browser._text.value = ""
    least = float(table["change"].abs().median())
    browser._least.value = least
    assert browser.genes == table.loc[table["change"].abs() >= least, "gene"].tolist()
    for direction, sign in (("up", 1), ("down", -1)):
        browser._direction.value = direction
        assert browser.genes == table.loc[sign * table["change"] >= least, "gene"].tolist()
    browser._least.value, browser._direction.value = 0, ""
    rate = float(table["fdr"].median())
    browser._rate.value = rate
    assert browser.genes == table.loc[table["fdr"] <= rate, "gene"].tolist()


def test_the_order_stays_while_genes_are_filtered(browser, table):
    click(browser, sort="measured")
    browser._direction.value = "up"
    up = table[table["change"] > 0].sort_values("measured", ascending=False, kind="stable")
    assert browser.genes == up["gene"].tolist()


def test_a_filter_that_no_gene_passes_is_an_empty_table(browser):
    before = browser.gene
    browser._text.value = "no such gene ("
    assert browser.genes == []
    assert browser._table.content["rows"] == []
    assert browser.gene == before


def test_without_rates_there_is_no_filter_for_them(contrast):
    adata = contrast[0].copy()
    adata.obs["contrast_fdr"] = np.nan
    browser = ContrastBrowser(adata)
    assert browser._rate not in browser.children[2].children
    assert len(browser.genes) == 300
    browser.close()


def test_a_clicked_gene_is_shown_with_the_effects_of_marks_and_related_genes(browser, table, contrast):
    adata = contrast[0]
    row = table[table["strongest_mark"].notna()].iloc[3]
    slots = list(adata.obs), list(adata.layers), list(adata.obsp), list(adata.uns)
    click(browser, gene=row["gene"])
    assert browser._errors == {}
    page = browser._page.value
    assert browser.gene == row["symbol"]
    assert f'<img alt="Marks of {row["symbol"]} in B and in A' in page
    effects = sct.get.mark_effects(adata, key="contrast", genes=row["gene"])
    for mark, effect in zip(effects["mark"], effects["effect"], strict=True):
        cells = page.split(f'<th scope="row">{mark}</th>')[1].split("</tr>")[0]
        assert number(cells.removesuffix("</td>").split("<td>")[-1]) == pytest.approx(effect, abs=0.006)
    related = sct.get.neighbor_effects(adata, key="contrast", genes=row["gene"])["neighbor_symbol"]
    part = page.split(f"Genes related to {row['symbol']}")[1]
    assert len(related) == 4
    assert all(f'<th scope="row">{name}</th>' in part for name in related)
    assert "The predicted change is" in page
    assert "The effects are those in the AnnData." in page
    assert (list(adata.obs), list(adata.layers), list(adata.obsp), list(adata.uns)) == slots


def test_a_gene_is_set_by_symbol_or_id(browser, table):
    symbol, name = table["symbol"].iloc[7], table["gene"].iloc[7]
    for given in (symbol, name, name.split(":")[0]):
        browser.gene = table["symbol"].iloc[0]
        browser.gene = given
        assert browser.gene == symbol
        assert browser._table.selected == name
    with pytest.raises(ValueError, match="no gene 'XIST9'"):
        browser.gene = "XIST9"
    assert browser.gene == symbol


def test_genes_that_share_a_symbol_are_named_by_their_ids(contrast, table):
    adata = contrast[0].copy()
    adata.obs["symbol"] = adata.obs["symbol"].astype(str).replace(dict.fromkeys(table["symbol"].iloc[:2], "TWIN"))
    browser = ContrastBrowser(adata)
    assert browser.gene == table["gene"].iloc[0]
    browser.close()


def test_figure_shows_the_gene_that_is_shown(browser, table):
    browser.gene = table["symbol"].iloc[4]
    figure = browser.figure()
    assert plt.get_fignums() == [figure.number]
    assert any(text.get_text().startswith(f"{browser.gene}  ·") for text in figure.texts)
    assert "image/png" in browser._repr_mimebundle_()


def test_a_gene_that_was_not_attributed_is_shown_with_a_hint(browser, table):
    row = table[table["strongest_mark"].isna()].iloc[0]
    browser.gene = row["symbol"]
    browser.wait()
    assert f"The change of {row['symbol']} was not attributed: pass the model" in browser._page.value
    assert "Effects of the marks" not in browser._page.value
    assert "sct-error" not in browser._status.value


def test_the_model_attributes_a_gene_as_it_does_among_all_genes(contrast, table, caplog):
    adata, model = contrast
    symbol, name = table.loc[table["strongest_mark"].isna(), ["symbol", "gene"]].iloc[0]
    whole = adata.copy()
    sct.tl.contrast(whole, model, key="condition", of="B", against="A", genes=symbol, progress=False)
    expected = sct.get.mark_effects(whole, key="contrast", genes=name, by_region=True)["effect"]
    obs = adata.obs.copy()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        browser = ContrastBrowser(adata, model, gene=symbol)
        browser.wait()
    assert browser._errors == {}
    assert "The effects were computed for this gene." in browser._page.value
    rate = obs.loc[name, "contrast_fdr"]
    assert f"false discovery rate {rate:.2g}" in browser._page.value
    part = browser._page.value.split("Effects of the marks")[1]
    cells = [row.split("</td>")[:2] for row in part.split("<tr>")[2 : 2 + len(expected) // 2]]
    found = np.array([[number(cell.split("<td>")[-1]) for cell in row] for row in cells])
    np.testing.assert_allclose(found.T.ravel(), expected, atol=0.006)
    assert not [record for record in caplog.records if "contrast._contrast" in record.name]
    assert adata.obs.equals(obs)
    browser.close()


def test_another_model_than_that_of_the_contrast_is_a_sentence(contrast, table):
    adata, model = contrast
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weights in other.module.parameters():
            weights.mul_(1.5)
    browser = ContrastBrowser(adata, other, gene=table.loc[table["strongest_mark"].isna(), "symbol"].iloc[0])
    browser.wait()
    assert "pass the model of this contrast" in browser._status.value
    browser.close()


def test_bad_input_is_named(contrast):
    adata, model = contrast
    with pytest.raises(ValueError, match="no contrast 'other'"):
        ContrastBrowser(adata, key="other")
    with pytest.raises(RuntimeError, match="not trained"):
        ContrastBrowser(adata, sct.SimpleChrome(adata))
    with pytest.raises(TypeError, match=r"expected sct\.widgets\.ContrastBrowser"):
        ContrastBrowser(model)
    with pytest.raises(ValueError, match="no gene 'XIST9'"):
        ContrastBrowser(adata, gene="XIST9")
