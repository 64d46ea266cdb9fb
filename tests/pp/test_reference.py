"""Expression in reference samples: matching of genes, samples that are left out, and errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import prepared

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad

KEY = "reference_expression"


@pytest.fixture
def adata() -> ad.AnnData:
    return prepared(200)


@pytest.fixture
def table(adata: ad.AnnData) -> pd.DataFrame:
    """Return four samples whose expression is that of the genes with much noise."""
    own = sct.pp.log_expression(adata.obs["expression"].to_numpy())
    noise = np.random.default_rng(0).normal(size=(adata.n_obs, 4))
    return pd.DataFrame(own[:, None] + noise, adata.obs_names, list("ABCD")).clip(lower=-1)


def test_values_and_names_are_written(adata: ad.AnnData, table: pd.DataFrame):
    sct.pp.add_reference_expression(adata, table)
    np.testing.assert_allclose(adata.obsm[KEY], table.to_numpy(), rtol=1e-6)
    assert adata.uns[KEY] == {"samples": ["A", "B", "C", "D"], "excluded": [], "n_unmatched": 0}


def test_genes_are_found_in_any_order_by_id_with_version_or_by_symbol(adata: ad.AnnData, table: pd.DataFrame):
    shuffled = table.iloc[::-1]
    for index in (
        shuffled.index,
        [f"{name}.7" for name in shuffled.index],
        adata.obs["symbol"].astype(str).reindex(shuffled.index),
    ):
        changed = sct.pp.add_reference_expression(adata, shuffled.set_axis(pd.Index(index), axis=0), copy=True)
        np.testing.assert_allclose(changed.obsm[KEY], table.to_numpy(), rtol=1e-6)


def test_genes_that_the_table_lacks_are_counted(
    adata: ad.AnnData, table: pd.DataFrame, caplog: pytest.LogCaptureFixture
):
    sct.pp.add_reference_expression(adata, table.iloc[:50])
    assert np.isnan(adata.obsm[KEY][50:]).all()
    assert adata.uns[KEY]["n_unmatched"] == 150
    assert "lacks 150 of 200 genes" in caplog.text


def test_own_cell_type_and_named_samples_are_left_out(adata: ad.AnnData, table: pd.DataFrame):
    adata.obs["cell_type"] = "B"
    sct.pp.add_reference_expression(adata, table, exclude="D")
    assert adata.uns[KEY]["samples"] == ["A", "C"]
    assert adata.uns[KEY]["excluded"] == ["B", "D"]


def test_stacked_cell_types_share_the_samples(adata: ad.AnnData, table: pd.DataFrame):
    raw = adata.copy()
    raw.X = raw.layers.pop("signal")
    del raw.uns["normalize"]
    stacked = sct.pp.stack_cell_types({"A": raw, "other": raw})
    sct.pp.add_reference_expression(stacked, table)
    assert stacked.uns[KEY]["samples"] == ["B", "C", "D"]
    np.testing.assert_array_equal(stacked.obsm[KEY][:200], stacked.obsm[KEY][200:])


@pytest.mark.parametrize("unit", ["same", "rescaled", "noisy"])
def test_a_replicate_of_the_sample_is_an_error(adata: ad.AnnData, table: pd.DataFrame, unit: str):
    own = adata.obs["expression"].to_numpy(float)
    noise = np.random.default_rng(1).normal(0, 0.1, len(own))
    changed = {"same": own, "rescaled": own * 37, "noisy": own * 10**noise}[unit]
    with pytest.raises(ValueError, match=r"'R' at.*exclude=\['R'\]"):
        sct.pp.add_reference_expression(adata, table.assign(R=sct.pp.log_expression(changed)))
    assert KEY not in adata.obsm


def test_the_replicate_of_one_of_several_cell_types_is_named(adata: ad.AnnData, table: pd.DataFrame):
    adata.obs["cell_type"] = np.repeat(["X", "Y"], 100)
    own = sct.pp.log_expression(adata.obs["expression"].to_numpy())
    with pytest.raises(ValueError, match=r"the expression of Y above .*'R'"):
        sct.pp.add_reference_expression(adata, table.assign(R=np.where(np.arange(200) < 100, table["A"], own)))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda table: 10**table * 100, ValueError, r"numpy\.log10"),
        (lambda table: table - 5, ValueError, "values from"),
        (lambda table: table.replace(table.iloc[0, 0], np.inf), ValueError, "values from"),
        (lambda table: table.astype(str), ValueError, "no numbers"),
        (lambda table: table.iloc[:0], ValueError, "no values"),
        (lambda table: table.to_numpy(), TypeError, "DataFrame"),
        (lambda table: table.set_axis(["A", "A", "B", "C"], axis=1), ValueError, "several columns named A"),
        (lambda table: table.set_axis([f"ENSMUSG{i:011d}" for i in range(200)], axis=0), ValueError, "species"),
        (lambda table: table * 0, ValueError, "no reference sample differs"),
    ],
)
def test_other_tables_are_refused(
    adata: ad.AnnData,
    table: pd.DataFrame,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    error: type[Exception],
    match: str,
):
    with pytest.raises(error, match=match):
        sct.pp.add_reference_expression(adata, change(table))
    assert KEY not in adata.obsm


def test_unknown_names_and_no_sample_left_are_errors(adata: ad.AnnData, table: pd.DataFrame):
    with pytest.raises(ValueError, match=r"exclude names Z.*A, B, C, D"):
        sct.pp.add_reference_expression(adata, table, exclude=["Z"])
    with pytest.raises(ValueError, match="all 4 samples"):
        sct.pp.add_reference_expression(adata, table, exclude=list("ABCD"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[["A"]], "one reference sample, A"),
        (lambda table: table.assign(flat=0.5, empty=np.nan), "are left out: flat, empty"),
        (lambda table: table.mask(np.arange(800).reshape(200, 4) == 5), "1 genes have a value in some"),
        (lambda table: pd.concat([table, table.iloc[:3]]), "3 rows of the table repeat"),
    ],
)
def test_what_a_user_should_know_is_logged(
    adata: ad.AnnData,
    table: pd.DataFrame,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
):
    with caplog.at_level(logging.WARNING):
        sct.pp.add_reference_expression(adata, change(table))
    assert message in caplog.text


def test_subsets_and_files_keep_the_reference(
    adata: ad.AnnData, table: pd.DataFrame, round_trip: Callable[[ad.AnnData], ad.AnnData]
):
    sct.pp.add_reference_expression(adata, table)
    again = round_trip(adata[20:40].copy())
    np.testing.assert_allclose(again.obsm[KEY], table.to_numpy()[20:40], rtol=1e-6)
    assert list(again.uns[KEY]["samples"]) == ["A", "B", "C", "D"]


def test_the_public_table_without_the_sample_itself(e116: ad.AnnData):
    adata = e116[e116.obs["symbol"].isin(["GAPDH", "PAX5", "HBB"])].copy()
    sct.pp.add_reference_expression(adata)
    assert len(adata.uns[KEY]["samples"]) == 55
    assert "E116" not in adata.uns[KEY]["samples"]
    table = sct.datasets.reference_expression()
    assert table.shape == (19_795, 56)
    # PAX5 has an RPKM of .134 in E003 and of 12.686 in E116.
    assert 10 ** table.loc["ENSG00000196092", "E003"] - 0.1 == pytest.approx(0.134)
    row = adata.obs["symbol"].tolist().index("PAX5")
    found = adata.obsm[KEY][row, adata.uns[KEY]["samples"].index("E003")]
    assert found == pytest.approx(np.log10(0.234), abs=1e-6)
