"""Conditions of a contrast, read from an AnnData."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pytest
from builders import conditions

import simplechrome_tk as sct
from simplechrome_tk.tl.contrast._conditions import check_normalized_together, read_conditions


def test_samples_of_a_condition_are_averaged():
    adata = conditions(n_replicates=2)
    adata = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    one, other = read_conditions(adata, "condition", "B", "A")
    assert (sorted(one.samples), sorted(other.samples)) == (["B1", "B2"], ["A1", "A2"])
    x = np.asarray(adata.X)
    genes = one.mean(adata, x)
    names = [name.partition(":")[0] for name in genes.obs_names]
    rows = [adata.obs_names.get_indexer([f"{name}:{sample}" for name in names]) for sample in one.samples]
    np.testing.assert_allclose(genes.X, (x[rows[0]] + x[rows[1]]) / 2, rtol=1e-6)
    assert names == [name.partition(":")[0] for name in other.mean(adata, x).obs_names]
    np.testing.assert_array_equal(one.mean(adata, x, [1]).X, x[rows[1]])


def test_measured_expression_is_the_mean_over_the_samples_that_know_it():
    adata = conditions(n_replicates=2)
    one, _ = read_conditions(adata, "condition", "A", "B")
    expression = adata.obs["expression"].to_numpy().copy()
    expression[one.rows[0][:2]] = np.nan
    expression[one.rows[1][1]] = np.nan
    adata.obs["expression"] = expression
    found = one.measured(adata, "expression")
    log = np.log10(expression + 0.1)
    assert found[0] == pytest.approx(log[one.rows[1][0]])
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[2:], log[one.rows][:, 2:].mean(axis=0))
    assert np.isnan(one.measured(adata, "another")).all()


def test_genes_of_one_condition_only_are_counted(caplog: pytest.LogCaptureFixture):
    adata = conditions()[5:-3].copy()
    with caplog.at_level(logging.WARNING):
        one, other = read_conditions(adata, "condition", "A", "B")
    assert "left out: 3 of A, 5 of B" in caplog.text
    assert one.rows.shape == other.rows.shape == (1, 392)


def test_numbers_name_conditions():
    adata = conditions()
    adata.obs["hours"] = np.where(adata.obs["condition"] == "A", 0, 24)
    one, _ = read_conditions(adata, "hours", "24", "0")
    assert one.samples == ["B1"]


@pytest.mark.parametrize(
    ("key", "of", "against", "message"),
    [
        ("condition", "C", "A", "no condition 'C' in .* expected one of A, B"),
        ("condition", "A", "C", "no condition 'C' in .* expected one of A, B"),
        ("condition", "A", "A", "of and against are both 'A'"),
        ("treatment", "A", "B", "name another column with key"),
        ("all", "x", "y", "no condition 'x'"),
    ],
)
def test_unknown_or_equal_conditions_are_named(key: str, of: str, against: str, message: str):
    adata = conditions()
    adata.obs["all"] = "A"
    with pytest.raises(ValueError, match=message):
        read_conditions(adata, key, of, against)


def test_conditions_without_a_common_gene_are_refused():
    adata = conditions()
    half = np.r_[:200, 600:800]
    with pytest.raises(ValueError, match=r"share no gene \(200 and 200 genes\)"):
        read_conditions(adata[half].copy(), "condition", "A", "B")


def test_a_gene_twice_in_a_sample_is_refused():
    adata = conditions(n_replicates=2)
    adata.obs["cell_type"] = "one"
    adata.obs["sample"] = adata.obs["condition"].astype(str)
    adata.obs_names = [
        f"{name.partition(':')[0]}:{sample}" for name, sample in zip(adata.obs_names, adata.obs["sample"], strict=True)
    ]
    with pytest.raises(ValueError, match=r"2 times in sample .*obs\['sample'\]"):
        read_conditions(adata, "condition", "A", "B")


@pytest.mark.parametrize("method", ["log1p", "paper"])
def test_conditions_that_were_normalised_apart_are_refused(method: str):
    adata = conditions(method=method)
    both = read_conditions(adata, "condition", "A", "B")
    check_normalized_together(adata, both)
    parts = []
    for name in "AB":
        part = adata[adata.obs["condition"] == name].copy()
        part.X = part.layers.pop("signal")
        del part.uns["normalize"]
        sct.pp.normalize(part, method=method)
        parts.append(part)
    apart = ad.concat(parts, merge="same", uns_merge="first")
    with pytest.raises(ValueError, match=r"sample 'B1' .* normalised apart"):
        check_normalized_together(apart, read_conditions(apart, "condition", "A", "B"))
    del apart.layers["signal"]
    check_normalized_together(apart, read_conditions(apart, "condition", "A", "B"))
