"""What each part of the input adds to a prediction, against sums that were written by hand."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from simplechrome_tk import get

PARTS = ["own_marks", "related_genes", "reference"]
SHARES = [f"share_{part}" for part in PARTS]


@pytest.fixture
def adata() -> ad.AnnData:
    """Five genes with two columns, effects written by hand; the last gene has no attributions."""
    own = np.array([[1.0, 2.0], [-1.0, 0.0], [0.0, 0.0], [0.25, -0.25], [np.nan, np.nan]], dtype="float32")
    reference = np.array([[0.5, 0.5, 1.0], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [np.nan] * 3])
    neighbors = np.zeros((5, 5), dtype="float32")
    neighbors[0, [1, 2]] = -1.5, 0.5
    neighbors[3, 4] = -3.0
    obs = pd.DataFrame(
        {
            "symbol": list("ABCDE"),
            "kind": pd.Categorical(["x", "x", "y", "y", "y"]),
            "attribution_total": [4.1, 2.0, 0.0, -2.0, np.nan],
            "attribution_error": [0.02, 0.0, 0.0, 0.0, np.nan],
        },
        index=[f"g{i}" for i in range(5)],
    )
    record = {
        "method": "integrated_gradients",
        "target": "logit",
        "unit": "log-odds of high",
        "baseline": "zero",
        "n_steps": 50,
        "neighbors_key": ["coexpression", "tss"],
    }
    return ad.AnnData(
        np.zeros((5, 2), dtype="float32"),
        obs=obs,
        layers={"attribution": own},
        obsm={"attribution_reference": reference.astype("float32")},
        obsp={"attribution_neighbors": sparse.csr_matrix(neighbors)},
        uns={"attribution": record},
    )


def test_parts_and_shares_are_those_by_hand(adata, caplog):
    with caplog.at_level(logging.INFO):
        table = get.attribution_shares(adata)
    assert "1 of 5 genes" in caplog.text
    assert list(table) == ["gene", "symbol", *PARTS, "total", "error", *SHARES]
    assert table["gene"].tolist() == ["g0", "g1", "g2", "g3"]
    assert table["symbol"].tolist() == list("ABCD")
    expected = [[3.0, -1.0, 2.0], [-1.0, 0.0, 3.0], [0.0, 0.0, 0.0], [0.0, -3.0, 1.0]]
    np.testing.assert_allclose(table[PARTS], expected, atol=1e-6)
    np.testing.assert_allclose(table["total"], [4.1, 2.0, 0.0, -2.0])
    np.testing.assert_allclose(table["error"], [0.02, 0.0, 0.0, 0.0])
    shares = [[1 / 2, 1 / 6, 1 / 3], [1 / 4, 0, 3 / 4], [np.nan] * 3, [0, 3 / 4, 1 / 4]]
    np.testing.assert_allclose(table[SHARES], shares, atol=1e-6)


def test_genes_are_in_the_given_order(adata):
    assert get.attribution_shares(adata, genes=["D", "g0"])["gene"].tolist() == ["g3", "g0"]


def test_rows_of_groups_are_means_by_hand(adata):
    table = get.attribution_shares(adata, groupby="kind").set_index("kind")
    assert list(table) == ["n_genes", *PARTS, "total", "error", *SHARES]
    assert table["n_genes"].to_dict() == {"x": 2, "y": 2}
    np.testing.assert_allclose(table.loc["x", PARTS].astype(float), [1.0, -0.5, 2.5], atol=1e-6)
    np.testing.assert_allclose(table.loc["y", PARTS].astype(float), [0.0, -1.5, 0.5], atol=1e-6)
    # The gene without any effect has no shares, and does not count in their mean.
    np.testing.assert_allclose(table.loc["y", SHARES].astype(float), [0, 3 / 4, 1 / 4], atol=1e-6)


def test_parts_that_the_model_does_not_read_are_zero(adata):
    del adata.obsm["attribution_reference"], adata.obsp["attribution_neighbors"]
    adata.uns["attribution"]["neighbors_key"] = ""
    table = get.attribution_shares(adata)
    assert (table[["related_genes", "reference"]] == 0).all(axis=None)
    np.testing.assert_allclose(table["own_marks"], [3, -1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(table["share_own_marks"], [1, 1, np.nan, np.nan])


def test_another_key_is_read(adata):
    adata.layers["other"] = 2 * adata.layers["attribution"]
    adata.obs["other_total"], adata.obs["other_error"] = 7.0, 0.5
    adata.uns["other"] = {**adata.uns["attribution"], "neighbors_key": ""}
    table = get.attribution_shares(adata, key="other")
    np.testing.assert_allclose(table["own_marks"], [6, -2, 0, 0], atol=1e-6)
    assert (table["total"] == 7).all()
    assert (table["reference"] == 0).all()


def test_tables_are_read_from_files(adata, round_trip):
    pd.testing.assert_frame_equal(
        get.attribution_shares(round_trip(adata)), get.attribution_shares(adata), check_dtype=False
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"key": "absent"}, r"no attributions 'absent'.*sct\.tl\.attribute"),
        ({"genes": "Z"}, "no gene 'Z'"),
        ({"genes": "E"}, r"none of the 1 genes, such as E, .*sct\.tl\.attribute"),
        ({"groupby": "absent"}, "absent"),
    ],
)
def test_bad_input_is_named(adata, options, match):
    with pytest.raises(ValueError, match=match):
        get.attribution_shares(adata, **options)
