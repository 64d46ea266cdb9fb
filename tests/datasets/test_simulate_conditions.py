"""Simulated conditions: their layout, the planted changes and the noise of replicates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.require import cell_types, gene_ids

N = 600


@pytest.fixture(scope="module")
def adata():
    return sct.datasets.simulate_conditions(N, n_replicates=2, n_changed=60, rng=1)


def by_sample(adata, values) -> np.ndarray:
    """Values of each sample, ``(n_samples, n_genes)``, in the order A1, A2, B1, B2."""
    return np.asarray(values).reshape(adata.obs["sample"].nunique(), -1)


def test_rows_are_genes_in_samples(adata):
    obs = adata.obs
    assert adata.n_obs == 4 * N
    assert list(obs["sample"].cat.categories) == ["A1", "A2", "B1", "B2"]
    assert list(obs["condition"].cat.categories) == ["A", "B"]
    assert list(obs["replicate"].cat.categories) == ["1", "2"]
    assert (adata.obs_names == gene_ids(adata) + ":" + obs["sample"].astype(str)).all()
    assert cell_types(adata).tolist() == obs["sample"].tolist()
    assert set(pd.Index(gene_ids(adata)).value_counts()) == {4}
    medians = obs.groupby("sample", observed=True)["expression"].median()
    assert (obs["label"] == "high").tolist() == (obs["expression"] > obs["sample"].map(medians).astype(float)).tolist()
    assert adata.uns["label_expression"]["thresholds"]["threshold"].to_dict() == medians.to_dict()


def test_the_truth_is_that_of_the_gene(adata):
    change = by_sample(adata, adata.obs["true_change"])
    assert (change == change[0]).all()
    table = adata.uns["simulate"]["changes"]
    assert (change[0] != 0).sum() == len(table) == 60
    assert (table["true_change"] > 0).sum() == 30
    assert table["true_change"].abs().min() >= np.log10(2)
    planted = adata.obs.loc[adata.obs["true_mark"].notna()]
    assert len(planted) == 4 * 60
    first = planted.iloc[:60]
    first.index = gene_ids(adata[first.index])
    for column in ("mark", "region", "direction"):
        assert first.loc[table.index, f"true_{column}"].tolist() == table[column].tolist()


def test_a_mark_that_is_gained_acts_in_its_own_direction(adata):
    table = adata.uns["simulate"]["changes"]
    active = table["mark"].isin(["H3K4me3", "H3K4me1", "H3K36me3"])
    gained = table["direction"] == "gain"
    assert ((table["true_change"] > 0) == (active == gained)).all()


def test_only_the_planted_mark_and_region_change(adata):
    signal = np.log1p(adata.X).reshape(4, N, -1)
    change = signal[2:].mean(axis=0) - signal[:2].mean(axis=0)
    ids = pd.Index(gene_ids(adata)[:N])
    blocks = adata.var.groupby(["mark", "region"], observed=True).indices
    seen = pd.DataFrame({block: change[:, at].mean(axis=1) for block, at in blocks.items()}, index=ids)
    table = adata.uns["simulate"]["changes"]
    sizes = []
    for gene, row in table.iterrows():
        own = seen.at[gene, (row["mark"], row["region"])]
        sizes.append(own if row["direction"] == "gain" else -own)
        seen.at[gene, (row["mark"], row["region"])] = 0.0
    assert np.mean(np.array(sizes) > 0.2) > 0.95
    assert np.abs(seen.to_numpy()).mean() < 0.15


def test_measured_changes_of_expression_follow_the_truth(adata):
    log = by_sample(adata, sct.pp.log_expression(adata.obs["expression"]))
    change = log[2:].mean(axis=0) - log[:2].mean(axis=0)
    true = by_sample(adata, adata.obs["true_change"])[0]
    # The mean of two against the mean of two has the standard deviation of one.
    assert (change - true).std() == pytest.approx(0.1, rel=0.15)
    assert np.corrcoef(change[true != 0], true[true != 0])[0, 1] > 0.95


def test_without_changes_conditions_are_replicates():
    adata = sct.datasets.simulate_conditions(N, n_replicates=2, n_changed=0)
    assert (adata.obs["true_change"] == 0).all()
    assert adata.obs["true_mark"].isna().all()
    assert len(adata.uns["simulate"]["changes"]) == 0
    signal = np.log1p(adata.X).reshape(4, -1)
    correlation = np.corrcoef(signal)
    within = np.mean([correlation[0, 1], correlation[2, 3]])
    assert correlation[:2, 2:].mean() == pytest.approx(within, abs=0.005)


def test_without_noise_replicates_have_one_expression():
    adata = sct.datasets.simulate_conditions(200, n_replicates=2, expression_sd=0)
    log = by_sample(adata, sct.pp.log_expression(adata.obs["expression"]))
    np.testing.assert_array_equal(log[0], log[1])
    np.testing.assert_allclose(log[2] - log[0], by_sample(adata, adata.obs["true_change"])[0], atol=1e-6)


def test_a_seed_repeats_it(tmp_path):
    first, again = (sct.datasets.simulate_conditions(200, n_replicates=1, rng=7) for _ in range(2))
    np.testing.assert_array_equal(first.X, again.X)
    pd.testing.assert_frame_equal(first.obs, again.obs)
    first.write_h5ad(tmp_path / "a.h5ad")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_changed": 299, "n_genes": 300}, "n_changed is 299, and"),
        ({"n_changed": -1}, "n_changed"),
        ({"n_replicates": 0}, "n_replicates"),
        ({"replicate_sd": -0.1}, "replicate_sd is -0.1"),
        ({"n_genes": 10}, "n_genes is 10"),
        ({"marks": ["H3K4me9"]}, "H3K4me9"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        sct.datasets.simulate_conditions(**settings)
