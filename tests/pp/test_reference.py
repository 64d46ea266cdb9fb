"""Expression in reference samples: matching of genes, samples that leak, and tables that are refused."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

N = 60
SAMPLES = ["E003", "E004", "E005"]


def genes(**obs) -> ad.AnnData:
    rng = np.random.default_rng(0)
    expression = 10 ** rng.normal(0, 1, N)
    table = pd.DataFrame({"symbol": [f"G{i}" for i in range(N)], "expression": expression, **obs})
    return ad.AnnData(obs=table.set_index(pd.Index([f"ENSG{i:011d}" for i in range(N)])))


def reference(samples=SAMPLES) -> pd.DataFrame:
    values = np.random.default_rng(1).normal(0, 0.3, (N, len(samples)))
    return pd.DataFrame(values, index=genes().obs_names, columns=list(samples))


def stored(adata) -> np.ndarray:
    return adata.obsm["reference_expression"]


def test_values_are_those_of_the_table():
    adata, table = genes(), reference()
    sct.pp.add_reference_expression(adata, table.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(stored(adata), table.to_numpy(np.float32))
    assert stored(adata).dtype == np.float32
    assert adata.uns["reference_expression"] == {"samples": SAMPLES, "excluded": [], "n_unmatched": 0}


@pytest.mark.parametrize("names", ["ENSG{0:011d}.7", "ENSG{0:011d}_PAR_Y", "G{0}"])
def test_genes_are_found_by_id_with_version_or_symbol(names):
    adata, table = genes(), reference()
    table.index = [names.format(i) for i in range(N)]
    sct.pp.add_reference_expression(adata, table)
    np.testing.assert_array_equal(stored(adata), table.to_numpy(np.float32))


def test_a_missing_symbol_is_no_gene():
    adata, table = genes(), reference()
    adata.obs["symbol"] = adata.obs["symbol"].astype(object)
    adata.obs.iloc[[3, 4], 0] = [None, "NA"]
    table.index = [*adata.obs["symbol"][:3], None, "NA", *adata.obs["symbol"][5:]]
    sct.pp.add_reference_expression(adata, table)
    assert np.isnan(stored(adata)).all(axis=1).nonzero()[0].tolist() == [3, 4]


def test_genes_that_the_table_lacks_are_counted_and_named(caplog):
    adata = genes()
    with caplog.at_level(logging.INFO):
        sct.pp.add_reference_expression(adata, reference().iloc[2:])
    assert np.isnan(stored(adata)).all(axis=1).nonzero()[0].tolist() == [0, 1]
    assert adata.uns["reference_expression"]["n_unmatched"] == 2
    assert f"lacks 2 of 60 genes: {adata.obs_names[0]}, {adata.obs_names[1]}" in caplog.text
    assert "58 of 60 genes found" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_few_matched_genes_are_a_warning(caplog):
    sct.pp.add_reference_expression(genes(), reference().iloc[:20])
    assert "lacks 40 of 60 genes" in caplog.text


def test_the_first_of_repeated_rows_is_taken_and_they_are_named(caplog):
    adata, table = genes(), reference()
    twice = pd.concat([table, table.iloc[[5]] + 1])
    sct.pp.add_reference_expression(adata, twice)
    np.testing.assert_array_equal(stored(adata), table.to_numpy(np.float32))
    assert f"1 rows of the table repeat the id of another: {table.index[5]}" in caplog.text


def test_the_own_cell_type_and_named_samples_are_left_out(caplog):
    adata = genes(cell_type="E004")
    with caplog.at_level(logging.INFO):
        sct.pp.add_reference_expression(adata, reference([*SAMPLES, "E006"]), exclude="E005")
    record = adata.uns["reference_expression"]
    assert record["samples"] == ["E003", "E006"]
    assert record["excluded"] == ["E004", "E005"]
    assert "2 reference samples, without E004, E005" in caplog.text


def test_every_cell_type_of_stacked_data_is_left_out_and_each_row_has_its_gene():
    adata = ad.concat({"E003": genes(), "E005": genes()}, label="cell_type", index_unique=":")
    table = reference([*SAMPLES, "E006"])
    sct.pp.add_reference_expression(adata, table)
    assert adata.uns["reference_expression"]["excluded"] == ["E003", "E005"]
    expected = table[["E004", "E006"]].to_numpy(np.float32)
    np.testing.assert_array_equal(stored(adata), np.concatenate([expected, expected]))


@pytest.mark.parametrize("change", [lambda log: log, lambda log: 0.5 * log + 1, lambda log: log + NOISE])
def test_the_sample_itself_or_a_replicate_is_an_error_that_names_it(change):
    adata, table = genes(), reference()
    table["replicate"] = change(sct.pp.log_expression(adata.obs["expression"]))
    with pytest.raises(ValueError, match=r"\(replicate\) correlate.*exclude=\['replicate'\]"):
        sct.pp.add_reference_expression(adata, table)
    assert not adata.obsm
    sct.pp.add_reference_expression(adata, table, exclude="replicate")
    assert stored(adata).shape == (N, 3)


NOISE = np.random.default_rng(2).normal(0, 0.02, N)


def test_a_replicate_in_another_unit_is_found_by_its_ranks():
    adata, table = genes(), reference()
    table["counts"] = 6 / (1 + np.exp(-3 * sct.pp.log_expression(adata.obs["expression"])))
    with pytest.raises(ValueError, match=r"\(counts\) correlate"):
        sct.pp.add_reference_expression(adata, table)


def test_a_replicate_of_one_cell_type_of_several_is_named():
    first, second = genes(), genes()
    second.obs["expression"] = second.obs["expression"].to_numpy()[::-1]
    adata = ad.concat({"A": first, "B": second}, label="cell_type", index_unique=":")
    table = reference()
    table["x"] = sct.pp.log_expression(second.obs["expression"])
    with pytest.raises(ValueError, match=r"\(x\) correlate with the expression of B"):
        sct.pp.add_reference_expression(adata, table)


def test_genes_without_expression_need_no_check():
    adata, table = genes(), reference()
    del adata.obs["expression"]
    sct.pp.add_reference_expression(adata, table)
    assert stored(adata).shape == (N, 3)


def test_one_sample_is_a_warning(caplog):
    sct.pp.add_reference_expression(genes(), reference(["E003"]))
    assert "one reference sample, E003" in caplog.text


def test_constant_samples_and_missing_values_are_counted(caplog):
    adata, table = genes(), reference()
    table["E004"] = 0.5
    table.iloc[[1, 2], 0] = np.nan
    sct.pp.add_reference_expression(adata, table)
    assert "are left out: E004" in caplog.text
    assert "2 genes have a value in some reference samples only" in caplog.text
    assert np.isnan(stored(adata)).sum() == 2


def test_names_of_samples_and_types_of_numbers_may_be_any():
    adata = genes()
    table = reference([1, 2, 3]).astype("Float64")
    table.iloc[0, 0] = pd.NA
    sct.pp.add_reference_expression(adata, table, exclude=["2"])
    assert adata.uns["reference_expression"]["samples"] == ["1", "3"]
    assert np.isnan(stored(adata)).sum() == 1


def test_copy_subset_and_files(round_trip):
    adata = genes()
    changed = sct.pp.add_reference_expression(adata, reference(), key_added="others", copy=True)
    assert not adata.obsm
    again = round_trip(changed[5:9].copy())
    np.testing.assert_array_equal(again.obsm["others"], reference().iloc[5:9].to_numpy(np.float32))
    assert list(again.uns["others"]["samples"]) == SAMPLES
    assert len(again.uns["others"]["excluded"]) == 0


@pytest.mark.parametrize(
    ("change", "kwargs", "message"),
    [
        (lambda t: t.set_axis([f"ENSMUSG{i:011d}" for i in range(N)]), {}, "none of the 60 genes.*same species"),
        (lambda t: t.reset_index(drop=True), {}, "none of the 60 genes"),
        (lambda t: 10**t * 1e8, {}, r"numpy.log10\(table \+ 0.1\)"),
        (lambda t: t - 3, {}, "holds values from"),
        (lambda t: t.assign(E003=np.inf), {}, "holds values from"),
        (lambda t: t.assign(symbol="a"), {}, r"no numbers \(symbol\)"),
        (lambda t: t.iloc[:0], {}, "no values"),
        (lambda t: t.assign(E003=np.nan, E004=1.0, E005=2.0), {}, "no reference sample differs"),
        (lambda t: t.set_axis(["a", "b", "a"], axis=1), {}, "several columns named a"),
        (lambda t: t.set_axis([1, 2, "1"], axis=1), {}, "several columns named 1"),
        (lambda t: t, {"exclude": ["E999"]}, "exclude names E999.*it holds E003"),
        (lambda t: t, {"exclude": SAMPLES}, "all 3 samples"),
    ],
)
def test_bad_input_is_named(change, kwargs, message):
    adata = genes()
    with pytest.raises(ValueError, match=message):
        sct.pp.add_reference_expression(adata, change(reference()), **kwargs)
    assert not adata.obsm


def test_another_type_is_refused():
    with pytest.raises(TypeError, match="table is a ndarray"):
        sct.pp.add_reference_expression(genes(), reference().to_numpy())


def test_the_public_table_without_the_sample_itself(e116):
    adata = e116[e116.obs["symbol"].isin(["GAPDH", "PAX5", "HBB"])].copy()
    sct.pp.add_reference_expression(adata)
    samples = adata.uns["reference_expression"]["samples"]
    assert len(samples) == 55
    assert "E116" not in samples
    assert sct.datasets.reference_expression().shape == (19_795, 56)
    # PAX5 has an RPKM of .134 in E003.
    row = adata.obs["symbol"].tolist().index("PAX5")
    assert stored(adata)[row, samples.index("E003")] == pytest.approx(np.log10(0.234), abs=1e-6)


def test_samples_conditions_and_cell_types_are_no_references():
    adata = sct.datasets.simulate_conditions(150, n_replicates=1)
    adata.obs["cell_type"] = "K562"
    noise = np.random.default_rng(0).uniform(-1, 3, (150, 6))
    names = ["A", "B1", "K562", "x", "y", "z"]
    table = pd.DataFrame(noise, index=[name.removesuffix(":A1") for name in adata.obs_names[:150]], columns=names)
    sct.pp.add_reference_expression(adata, table)
    assert adata.uns["reference_expression"]["samples"] == ["x", "y", "z"]
    assert adata.uns["reference_expression"]["excluded"] == ["A", "B1", "K562"]
