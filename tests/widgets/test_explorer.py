"""The map of all genes, and what is shown of those selected."""

from __future__ import annotations

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk.widgets._explorer_colors import color, quantities
from simplechrome_tk.widgets._explorer_panes import guard, selected_table, table_page


@pytest.fixture(scope="module")
def genes():
    adata = sct.datasets.simulate(300)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=3)
    return adata


@pytest.fixture(scope="module")
def model(genes):
    model = sct.SimpleChrome(genes, n_latent=4, neighbors_key="tss")
    model.train(latent_epochs=1, expression_epochs=1, context_epochs=1, progress=False)
    return model


@pytest.fixture
def adata(genes, model):
    adata = genes.copy()
    rng = np.random.default_rng(0)
    adata.obsm["X_simplechrome_umap"] = rng.normal(size=(adata.n_obs, 2)).astype(np.float32)
    adata.obs["simplechrome_leiden"] = pd.Categorical(rng.choice(["0", "1", "2"], adata.n_obs))
    return adata


def lasso(explorer, rows):
    """Do what the map does when genes are selected on it."""
    explorer._map._scatter.widget.selection = np.asarray(rows, dtype="uint32")
    explorer.wait()


def panes(explorer):
    return {name: getattr(explorer, f"_{name}").value for name in ("profile", "expression", "table", "page")}


def csv_of(explorer):
    link = re.search(r'href="data:text/csv;base64,([^"]+)"', explorer._table.value)
    return pd.read_csv(io.BytesIO(base64.b64decode(link[1])), index_col=0)


def test_selecting_on_the_map_updates_every_pane(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    explorer.wait()
    before = panes(explorer)
    assert all("No gene is selected" in pane for pane in before.values())
    lasso(explorer, [7, 3, 5])
    assert explorer.selected == adata.obs_names[[3, 5, 7]].tolist()
    first = panes(explorer)
    for name in ("profile", "expression", "page"):
        assert first[name].startswith("<img alt="), name
    table = csv_of(explorer)
    assert table.index.tolist() == explorer.selected
    np.testing.assert_allclose(table["P(high)"], model.predict().loc[explorer.selected, "probability"])
    lasso(explorer, [20, 21])
    assert all(first[name] != pane for name, pane in panes(explorer).items())
    assert explorer.gene == adata.obs_names[20]
    lasso(explorer, [])
    assert panes(explorer) == before
    assert not plt.get_fignums()


def test_selected_is_a_list_that_can_be_set(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    explorer.selected = [adata.obs["symbol"].iloc[9], adata.obs_names[2]]
    explorer.wait()
    assert explorer.selected == adata.obs_names[[2, 9]].tolist()
    assert explorer._map._scatter.selection().tolist() == [2, 9]
    with pytest.raises(ValueError, match="nobody"):
        explorer.selected = ["nobody"]
    assert explorer.selected == adata.obs_names[[2, 9]].tolist()


def test_genes_are_found_by_symbol(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    symbol = adata.obs["symbol"].iloc[12]
    explorer._find.value = symbol.lower()
    explorer.wait()
    assert explorer.selected == [adata.obs_names[12]]
    explorer._find.value = symbol + "X"
    explorer.wait()
    assert f"no gene &#x27;{symbol}X&#x27; among 300: did you mean" in explorer._status.value
    explorer._find.value = adata.obs["symbol"].iloc[13]
    explorer.wait()
    assert explorer.selected == [adata.obs_names[13]]
    assert "no gene" not in explorer._status.value


def test_written_symbols_are_selected(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    explorer._symbols.value = f" {adata.obs['symbol'].iloc[4]},\n{adata.obs_names[1]} "
    explorer._select_symbols.click()
    explorer.wait()
    assert explorer.selected == adata.obs_names[[1, 4]].tolist()


def test_groups_are_selected_by_keyboard(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    explorer._color_by.value = "simplechrome_leiden"
    explorer._group.value = "1"
    explorer.wait()
    assert explorer.selected == adata.obs_names[adata.obs["simplechrome_leiden"] == "1"].tolist()


def test_selection_survives_new_colours(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    lasso(explorer, [3, 5])
    explorer._color_by.value = "simplechrome_leiden"
    explorer.wait()
    lasso(explorer, [])  # the map's own report on being drawn again
    assert explorer.selected == adata.obs_names[[3, 5]].tolist()
    lasso(explorer, [])
    assert explorer.selected == []


@pytest.mark.parametrize("name", ["log10(RPKM + 0.1)", "label", "chrom", "H3K4me3:tss (mean log signal)"])
def test_map_is_coloured_by_what_differs(adata, name):
    adata.uns["units"] = {"expression": "RPKM", "signal": "signal"}
    explorer = sct.widgets.Explorer(adata)
    explorer._color_by.value = name
    explorer.wait()
    assert explorer._map._scatter.color()["by"] == name
    assert len(explorer.figure().axes) >= 1


def test_missing_values_are_grey(adata):
    adata.obs.loc[adata.obs_names[:5], "expression"] = np.nan
    adata.obs.loc[adata.obs_names[:5], "label"] = None
    found = quantities(adata, "simplechrome_leiden")
    measured = color(next(iter(found.values())))
    assert measured.values.notna().all()
    assert (measured.values[:5] == measured.ends[0]).all()
    assert (measured.values[5:] > measured.ends[0]).all()
    grey = measured.palette[0]
    label = color(found["label"])
    assert (label.values[:5] == "unknown").all()
    assert label.palette["unknown"] == grey


def test_genes_without_expression_are_told(adata, model):
    adata.obs.loc[adata.obs_names[:5], "expression"] = np.nan
    explorer = sct.widgets.Explorer(adata, model)
    lasso(explorer, [0, 1, 8])
    assert "2 selected genes without a measured expression" in explorer._expression.value
    lasso(explorer, [0, 1])
    assert "No selected gene has a measured expression" in explorer._expression.value
    assert 'role="alert"' not in explorer._status.value


def test_without_a_map_a_button_computes_it(genes, model):
    adata = genes.copy()
    explorer = sct.widgets.Explorer(adata, model)
    words, button = explorer._map_box.children
    assert "sct.tl.embed(adata, model)" in words.value
    assert "image/png" not in explorer._repr_mimebundle_()
    explorer.selected = adata.obs_names[:3].tolist()
    button.click()
    explorer.wait()
    assert "X_simplechrome_umap" in adata.obsm
    assert "simplechrome_leiden" in explorer._color_by.options
    assert explorer._map._scatter.selection().tolist() == [0, 1, 2]
    assert "sct.tl.embed" in sct.widgets.Explorer(genes.copy())._map_box.children[0].value


def test_a_map_in_the_default_slots_of_scanpy(adata):
    adata.obsm["X_umap"] = adata.obsm.pop("X_simplechrome_umap")
    adata.obs["leiden"] = adata.obs.pop("simplechrome_leiden")
    explorer = sct.widgets.Explorer(adata, key=None)
    assert explorer._map is not None
    lasso(explorer, [0, 1])
    assert "leiden" in explorer._table.value


def test_model_of_other_columns_is_named_and_the_rest_works(adata):
    other = sct.datasets.simulate(300, marks=("H3K4me3", "H3K27me3"))
    sct.pp.split_by_chromosome(other)
    sct.pp.normalize(other)
    model = sct.SimpleChrome(other, n_latent=4)
    model.train(latent_epochs=1, expression_epochs=1, progress=False)
    explorer = sct.widgets.Explorer(adata, model)
    lasso(explorer, [1, 2])
    assert 'role="alert"' in explorer._status.value
    assert "columns" in explorer._status.value
    assert explorer._profile.value.startswith("<img")
    assert "P(high)" not in csv_of(explorer)


def test_two_explorers_leave_the_data_and_each_other_alone(adata, model):
    before = adata.copy()
    one, other = (sct.widgets.Explorer(adata, model) for _ in range(2))
    one.selected, other.selected = adata.obs_names[:4].tolist(), adata.obs_names[7:9].tolist()
    one.wait()
    other.wait()
    assert (len(csv_of(one)), len(csv_of(other))) == (4, 2)
    assert list(adata.layers) == list(before.layers)
    assert list(adata.uns) == list(before.uns)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    np.testing.assert_array_equal(adata.X, before.X)


def test_many_selections_keep_no_figures_and_no_threads(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    rng = np.random.default_rng(0)
    for _ in range(12):
        lasso(explorer, rng.choice(adata.n_obs, 30, replace=False))
    assert not plt.get_fignums()
    assert len(explorer._futures) <= 8


@pytest.mark.parametrize(
    "name", ["x", "y", "symbol", "color", "opacity", "size", "gene", "UMAP 1", "UMAP 2", "genes", "x (obs)", ""]
)
def test_the_map_is_the_umap_whatever_columns_are_called(adata, name):
    values = np.arange(adata.n_obs, dtype=float)
    adata.obs[name] = values
    if name == "x (obs)":
        adata.obs["x"] = -values
    explorer = sct.widgets.Explorer(adata)
    explorer._color_by.value = name
    explorer.wait()
    scatter = explorer._map._scatter
    np.testing.assert_array_equal(
        scatter._data[[scatter._x_by, scatter._y_by]].to_numpy(), adata.obsm["X_simplechrome_umap"]
    )
    np.testing.assert_array_equal(scatter._data[scatter.color()["by"]], values)
    assert 'role="alert"' not in explorer._status.value


N = 300
SHOWN = {
    "gaps": np.where(np.arange(N) % 3 > 0, "a", None),
    "Int64": pd.array([1, None] * (N // 2), dtype="Int64"),
    "boolean": pd.array([True, None] * (N // 2), dtype="boolean"),
    "True and None": np.array([True, None] * (N // 2), dtype=object),
    "mixed": np.array([1, "1", 1.5, "x", None, True] * (N // 6), dtype=object),
    "missing": np.full(N, np.nan),
    "infinite": np.r_[np.inf, -np.inf, np.arange(N - 2)],
    "dates": pd.to_datetime(["2024-01-01", None] * (N // 2)),
    "unknown and gaps": pd.Categorical(["unknown", None, "a"] * (N // 3)),
    "unused": pd.Categorical(["a"] * N, categories=["a", "unknown", "b"]),
    "blank": pd.Categorical(["", "a", None] * (N // 3)),
    "numbers and words": pd.Categorical([1, "1", None] * (N // 3)),
    "nothing": np.full(N, None, dtype=object),
    "string": pd.array(["a", None] * (N // 2), dtype="string"),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_odd_columns_are_shown(adata, kind):
    adata.obs["odd"] = SHOWN[kind]
    explorer = sct.widgets.Explorer(adata)
    explorer._color_by.value = "odd"
    explorer.wait()
    assert 'role="alert"' not in explorer._status.value
    assert explorer._map._scatter.color()["by"] == "odd"
    explorer.figure()
    for group in [value for _, value in explorer._group.options if value]:
        explorer._group.value = group
        explorer.wait()
        assert explorer.selected


def test_a_group_called_unknown_is_not_what_is_missing(adata):
    adata.obs["odd"] = SHOWN["unknown and gaps"]
    found = color(quantities(adata, "simplechrome_leiden")["odd"])
    assert found.values.value_counts().to_dict() == {"unknown": 100, "a": 100, "unknown (missing)": 100}
    assert found.palette["unknown"] != found.palette["unknown (missing)"]


@pytest.mark.parametrize(
    "values", [[[1, 2]] * N, [{"a": 1}] * N, [(1, 2)] * N, np.ones(N, dtype=complex)], ids=["list", "dict", "pair", "i"]
)
def test_columns_that_no_colour_shows_are_left_out_with_a_word(adata, values, caplog):
    adata.obs["odd"] = pd.Series(list(values), index=adata.obs_names)
    explorer = sct.widgets.Explorer(adata)
    assert "odd" not in explorer._color_by.options
    assert "1 columns of obs cannot be shown as colours and are left out: 'odd'." in caplog.text


def test_expression_that_is_no_expression_is_left_out_with_its_reason(adata, caplog):
    adata.obs["expression"] -= 5
    explorer = sct.widgets.Explorer(adata)
    assert next(iter(explorer._color_by.options)) == "label"
    assert "negative values; expected linear units" in caplog.text


def test_columns_called_as_something_else_is_stay_beside_it(adata):
    adata.obs["H3K4me3:tss (mean log signal)"] = "mine"
    adata.obs[0], adata.obs["0"] = 1.0, 2.0
    found = quantities(adata, "simplechrome_leiden")
    assert (found["H3K4me3:tss (mean log signal) (obs)"] == "mine").all()
    assert found["H3K4me3:tss (mean log signal)"].dtype == float
    assert {found["0"].iloc[0], found["0 (obs)"].iloc[0]} == {1.0, 2.0}


def test_genes_without_a_place_are_not_drawn_and_rows_stay_right(adata, caplog):
    adata.obsm["X_simplechrome_umap"][[0, 3]] = np.nan
    explorer = sct.widgets.Explorer(adata)
    assert "2 of 300 genes have no coordinates" in caplog.text
    lasso(explorer, [0, 1, 2])
    assert explorer.selected == adata.obs_names[[1, 2, 4]].tolist()
    explorer.selected = adata.obs_names[[0, 4, 5]].tolist()
    assert explorer._map._scatter.selection().tolist() == [2, 3]
    assert len(explorer.selected) == 3


@pytest.mark.parametrize(("xy", "words"), [(np.zeros((N, 1)), "shape"), (np.full((N, 2), np.nan), "none of 300 genes")])
def test_a_map_that_is_none_is_refused(adata, xy, words):
    adata.obsm["X_simplechrome_umap"] = xy
    with pytest.raises(ValueError, match=words):
        sct.widgets.Explorer(adata)


@pytest.mark.parametrize(
    "symbol", ['=HYPERLINK("http://x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "=\n1", "--1"]
)
def test_a_symbol_that_is_a_formula_is_guarded_in_the_file(adata, symbol):
    adata.obs["symbol"] = adata.obs["symbol"].astype(object)
    adata.obs.iloc[2, adata.obs.columns.get_loc("symbol")] = symbol
    page = table_page(selected_table(adata, np.array([1, 2]), None, clusters="simplechrome_leiden"))
    saved = pd.read_csv(io.BytesIO(base64.b64decode(re.search(r'base64,([^"]+)"', page)[1])), index_col=0)
    assert saved["symbol"].tolist() == [adata.obs["symbol"].iloc[1], f"'{symbol}"]
    assert "1 of its texts begin like a formula" in page


@pytest.mark.parametrize(
    "name", ["-", "+", "-1.5", "+3", "-2e-5", "HLA-A", "7SK", "a=b", "ENSG00000000001", "1-Mar", ""]
)
def test_other_names_and_numbers_are_saved_as_they_are(name):
    table = pd.DataFrame({"symbol": [name], "value": [-1.5]}, index=[name])
    guarded, count = guard(table)
    assert count == 0
    assert guarded.to_csv() == table.to_csv()


def test_ids_that_are_formulas_are_guarded_too():
    guarded, count = guard(pd.DataFrame({"symbol": ["A"]}, index=["=1+1"]))
    assert (guarded.index.tolist(), count) == (["'=1+1"], 1)


def test_a_closed_explorer_takes_input_and_does_nothing(adata, model):
    explorer = sct.widgets.Explorer(adata, model)
    explorer.wait()
    before = panes(explorer)
    explorer.close()
    explorer.selected = adata.obs_names[:2].tolist()
    explorer._color_by.value = "chrom"
    explorer._find.value = adata.obs["symbol"].iloc[4]
    explorer._group.value = explorer._group.options[1][1]
    explorer.wait()
    explorer.close()
    assert panes(explorer) == before
