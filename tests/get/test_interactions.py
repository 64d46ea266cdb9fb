"""Interactions of marks, as a table."""

from __future__ import annotations

import numpy as np
import pytest
from builders import summarize

from simplechrome_tk import get

# Every fifth gene of the fixture has no attributions.
KNOWN = np.flatnonzero(np.arange(200) % 5 != 4)


def test_interactions_are_those_stored(attributed):
    table = get.interactions(attributed)
    assert list(table) == ["gene", "symbol", "first", "second", "effect"]
    stored = attributed.obsm["attribution_interactions"]
    assert (table["first"] + " x " + table["second"]).tolist() == list(stored) * 160
    np.testing.assert_array_equal(table["effect"], stored.to_numpy()[KNOWN].ravel())
    grouped = get.interactions(attributed, groupby="label").set_index(["label", "first", "second"])
    members = KNOWN[(attributed.obs["label"] == "low").to_numpy()[KNOWN]]
    expected = summarize(stored["H3K4me3 x H3K27me3"].to_numpy()[members])
    np.testing.assert_allclose(grouped.loc[("low", "H3K4me3", "H3K27me3")].to_numpy(float), expected)


def test_missing_interactions_are_named(attributed):
    with pytest.raises(ValueError, match=r"'expr_interactions'.*sct\.tl\.interactions\(adata, model\)"):
        get.interactions(attributed, key="expr")


def test_what_is_no_table_of_pairs_is_named(attributed):
    attributed.obsm["attribution_interactions"] = np.zeros((200, 3))
    with pytest.raises(ValueError, match="ndarray; expected a DataFrame"):
        get.interactions(attributed)
