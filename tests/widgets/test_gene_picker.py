"""The text box in which a gene is named."""

from __future__ import annotations

import pytest

import simplechrome_tk as sct
from simplechrome_tk.widgets._gene_picker import GenePicker


@pytest.fixture
def picker():
    adata = sct.datasets.simulate(150)
    adata.obs["symbol"] = ["PAX5", "PAX6", "pax6-as1", "TWIN", "TWIN", *(f"G{i}" for i in range(145))]
    return GenePicker(adata)


def test_it_offers_names_that_begin_with_the_text(picker):
    picker.value = "pax"
    assert picker.options == ("PAX5", "PAX6", "pax6-as1")
    assert picker.row is None
    picker.value = "Pax6"
    assert picker.row == 1
    picker.value = "pax6-AS1"
    assert picker.row == 2
    picker.value = ""
    assert (picker.row, picker.options) == (None, ())


def test_it_offers_genes_with_one_symbol_by_id(picker):
    ids = picker._adata.obs_names[3:5]
    picker.value = "TWIN"
    assert picker.row is None
    with pytest.raises(ValueError, match=f"{ids[0]}, {ids[1]}"):
        picker.require()
    picker.value = ids[1]
    assert picker.row == 4


def test_it_offers_similar_names(picker):
    picker.value = "PAX7"
    assert picker.row is None
    with pytest.raises(ValueError, match="did you mean PAX"):
        picker.require()


def test_it_offers_each_cell_type():
    both = sct.pp.stack_cell_types({name: sct.datasets.simulate(150, rng=i) for i, name in enumerate("AB")})
    picker = GenePicker(both)
    symbol = both.obs["symbol"].iloc[3]
    picker.value = symbol
    assert picker.row is None
    assert picker.options[:2] == (f"{symbol} (A)", f"{symbol} (B)")
    picker.value = f"{symbol} (B)"
    assert both.obs.iloc[picker.row][["symbol", "cell_type"]].tolist() == [symbol, "B"]
