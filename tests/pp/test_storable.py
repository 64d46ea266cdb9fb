"""Columns of genes that files hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

PEAKS = pd.DataFrame({"chrom": ["chr1"], "start": [19_900], "end": [20_100], "signal": [2.0]})
COLUMNS = {
    "GC/AT": ([0.4, 0.5, 0.6], [0.4, 0.5, 0.6]),
    "mixed": ([1, "x", None], ["1", "x", None]),
    "known": ([True, None, False], [True, None, False]),
    "count": ([1, None, 3], [1, None, 3]),
    "share": ([0.5, 1, None], [0.5, 1.0, None]),
    "name": (["a", None, "c"], ["a", None, "c"]),
    "nothing": ([None, None, None], [None, None, None]),
    "day": (pd.to_datetime(["2024-01-01", None, "2024-01-03"]), ["2024-01-01", None, "2024-01-03"]),
    "kind": (pd.Categorical([1, "x", None]), ["1", "x", None]),
    "batch": (pd.Categorical(["b/1", "b/2", "b/1"]), ["b/1", "b/2", "b/1"]),
    3: ([7, 8, 9], [7, 8, 9]),
}


def genes() -> pd.DataFrame:
    table = pd.DataFrame({"chrom": "chr1", "tss": [20_000, 40_000, 60_000], "strand": "+"}, index=list("abc"))
    return table.assign(**{"start": table["tss"], "end": table["tss"] + 9_000})


@pytest.mark.parametrize("name", COLUMNS)
def test_each_column_is_there_after_reading(name, round_trip):
    values, expected = COLUMNS[name]
    table = genes()
    table[name] = values
    adata = round_trip(sct.pp.bin_peaks({"M": PEAKS}, table))
    found = adata.obs[str(name).replace("/", "%2F")].astype(object)
    np.testing.assert_array_equal(found.where(found.notna(), None), np.array(expected, dtype=object))
    assert list(table) == [*genes(), name]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, (1, 2), np.zeros(2)], ids=["list", "dict", "tuple", "array"])
def test_containers_are_left_out_with_a_word(value, caplog):
    table = genes().assign(exons=[value, value, None])
    assert "exons" not in sct.pp.bin_peaks({"M": PEAKS}, table).obs
    assert "1 columns of genes hold lists or other containers" in caplog.text
    assert "left out: 'exons'" in caplog.text


def test_what_is_changed_is_said(caplog):
    caplog.set_level("INFO")
    sct.pp.bin_peaks({"M": PEAKS}, genes().assign(**{"GC/AT": 0.5, "note": [1, "x", 2]}))
    assert "'GC/AT' to 'GC%2FAT'" in caplog.text
    assert "kept as text: note" in caplog.text
