"""Comparison of samples and conditions in quality control."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

MARKS = ["H3K4me3", "H3K27me3", "H3K36me3"]


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    return sct.datasets.simulate_conditions(600, n_changed=80, marks=MARKS)


@pytest.fixture
def adata(simulated) -> ad.AnnData:
    return simulated.copy()


def part(adata, sample, mark=None):
    """Rows and columns of a sample and mark."""
    rows = np.flatnonzero(adata.obs["sample"].isin([sample]) | adata.obs["condition"].isin([sample]))
    return np.ix_(rows, np.flatnonzero((adata.var["mark"] == mark) | (mark is None)))


def exchange(adata, first, second, mark=None):
    a, b = part(adata, first, mark), part(adata, second, mark)
    adata.X[a], adata.X[b] = adata.X[b], adata.X[a]


def findings(adata) -> list[str]:
    sct.pp.qc(adata)
    return list(adata.uns["qc"]["findings"])


def problems(adata) -> dict[str, str]:
    """Problems of each sample in its first mark that has some."""
    marks = adata.uns["qc"]["marks"]
    return {row.cell_type: f"{row.mark}: {row.problems}" for row in marks.iloc[::-1].itertuples() if row.problems}


def test_replicates_of_good_quality_have_no_finding(adata, tmp_path):
    assert findings(adata) == []
    pairs = adata.uns["qc"]["samples"]
    assert len(pairs) == len(MARKS) * 15
    within = pairs["condition"] == pairs["other_condition"]
    assert pairs.loc[within, "pearson"].min() > 0.9
    of_mark = pairs[pairs["mark"] == "H3K4me3"]
    assert of_mark.loc[within, "pearson"].mean() > of_mark.loc[~within, "pearson"].mean() + 0.03
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad").uns["qc"]
    assert again["samples"]["pearson"].tolist() == pairs["pearson"].tolist()


def test_figures_by_hand(adata):
    sct.pp.qc(adata)
    columns = part(adata, "A1", "H3K36me3")[1].ravel()
    level = adata.X[:, columns].mean(axis=1, dtype=float).reshape(6, 600)
    relative = np.log1p([own / np.median(own[own > 0]) for own in level])
    row = adata.uns["qc"]["samples"].query("mark == 'H3K36me3' and sample == 'A2' and other == 'B3'").iloc[0]
    assert row["pearson"] == pytest.approx(np.corrcoef(relative[1], relative[5])[0, 1])
    positive = np.log2(level[:, (level > 0).all(axis=0)])
    mean = positive.mean(axis=0)
    change = (positive[3:].mean(axis=0) - positive[:3].mean(axis=0))[mean >= np.median(mean)]
    row = adata.uns["qc"]["conditions"].set_index("mark").loc["H3K36me3"]
    assert (row["condition"], row["other_condition"], row["n_genes"]) == ("A", "B", len(change))
    assert row["fold"] == pytest.approx(2 ** np.median(change))
    assert row["same_side"] == pytest.approx(np.mean(np.sign(change) == np.sign(np.median(change))))


def test_conditions_without_a_difference_have_no_finding():
    adata = sct.datasets.simulate_conditions(600, n_replicates=2, n_changed=0, marks=MARKS, rng=3)
    assert findings(adata) == []


def test_exchanged_samples_are_named(adata):
    exchange(adata, "A1", "B2")
    found = findings(adata)
    assert len(found) == 2
    assert found[0].startswith("A1 is closer to B")
    assert found[1].startswith("B2 is closer to A")
    assert problems(adata) == {"A1": "H3K4me3: exchanged", "B2": "H3K4me3: exchanged"}


def test_with_two_replicates_all_samples_are_in_question():
    adata = sct.datasets.simulate_conditions(600, n_replicates=2, n_changed=80, marks=MARKS)
    exchange(adata, "A1", "B1")
    assert [sentence[:2] for sentence in findings(adata)] == ["A1", "A2", "B1", "B2"]


def test_exchanged_files_of_one_mark_are_named(adata):
    exchange(adata, "A2", "B3", "H3K4me3")
    found = findings(adata)
    assert [sentence[:14] for sentence in found] == ["H3K4me3 of A2 ", "H3K4me3 of B3 "]
    assert problems(adata) == {"A2": "H3K4me3: exchanged", "B3": "H3K4me3: exchanged"}


def test_a_copied_file_is_named(adata):
    adata.X[part(adata, "B1", "H3K27me3")] = adata.X[part(adata, "B2", "H3K27me3")]
    assert findings(adata)[0].startswith("B1 and B2: H3K27me3 of both look like one track")


def test_a_sample_unlike_its_replicates_is_named(adata):
    rng = np.random.default_rng(0)
    at = part(adata, "B2")
    adata.X[at] = rng.poisson(np.mean(adata.X[at]) * rng.standard_gamma(2, adata.X[at].shape) / 8 + adata.X[at] / 8)
    assert any(sentence.startswith("B2 is unlike its replicates") for sentence in findings(adata))


def test_a_mark_that_differs_everywhere_is_a_scale(adata):
    adata.X[part(adata, "B", "H3K4me3")] *= 2
    found = findings(adata)
    assert len(found) == 1
    assert found[0].startswith("H3K4me3 of B is 2-fold that of A")
    assert "sct.pp.scale_samples(adata)" in found[0]
    sct.pp.scale_samples(adata)
    assert findings(adata) == []


def test_conditions_normalised_apart_are_one_finding(adata):
    adata.X[part(adata, "B")] /= 4
    found = findings(adata)
    assert len(found) == 2
    assert found[0].startswith("A1, A2, A3 hold whole numbers, such as read counts, and B1, B2, B3 hold fractions")
    assert found[1].startswith("All marks of B differ from those of A at nearly all genes (H3K4me3 0.25-fold")
    assert problems(adata)["A1"] == "H3K4me3: apart"


def test_given_factors_are_believed(adata):
    sct.pp.scale_samples(adata, {name: 1.0 if name[0] == "A" else 2.5 for name in adata.obs["sample"].unique()})
    assert findings(adata) == []
    assert (adata.uns["qc"]["conditions"]["fold"] > 2).all()


def test_samples_without_conditions_are_only_correlated(adata):
    del adata.obs["condition"]
    assert findings(adata) == []
    assert set(adata.uns["qc"]["samples"]["condition"]) == {""}
    assert len(adata.uns["qc"]["conditions"]) == 0


def test_one_replicate_of_each_condition_is_judged_by_scale_alone():
    adata = sct.datasets.simulate_conditions(600, n_replicates=1, marks=MARKS)
    adata.X[part(adata, "B1", "H3K4me3")] *= 2
    assert [sentence[:13] for sentence in findings(adata)] == ["H3K4me3 of B "]


def test_cell_types_are_not_compared_as_samples(tmp_path):
    adata = sct.datasets.simulate(300)
    both = sct.pp.stack_cell_types({"A": adata, "B": sct.datasets.simulate(300, rng=1)})
    sct.pp.qc(both)
    assert len(both.uns["qc"]["samples"]) == len(both.uns["qc"]["conditions"]) == 0
    both.write_h5ad(tmp_path / "a.h5ad")
    both.obs["condition"] = both.obs["cell_type"]
    sct.pp.qc(both)
    assert len(both.uns["qc"]["samples"]) == 5


def test_a_sample_of_two_conditions_is_refused(adata):
    adata.obs["condition"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 2, "A", "B"))
    with pytest.raises(ValueError, match="sample 'A1' is of the conditions B, A"):
        sct.pp.qc(adata)


def test_genes_of_some_samples_only_are_counted(adata, caplog):
    with caplog.at_level(logging.INFO):
        sct.pp.qc(adata[10:].copy())
    assert "compared over the 590 of 600 genes" in caplog.text


def test_a_mark_without_signal_is_not_compared(adata):
    adata.X[part(adata, "A1", "H3K27me3")] = 0
    found = findings(adata)
    assert len(found) == 1
    assert found[0].startswith("A1: H3K27me3 looks dead")


def test_few_genes_are_not_judged(caplog):
    adata = sct.datasets.simulate_conditions(150, n_replicates=1, n_changed=0, marks=["H3K4me3"])
    few = adata[np.tile(np.arange(150) < 90, 2)].copy()
    few.X[few.obs["sample"] == "B1"] *= 3
    with caplog.at_level(logging.WARNING):
        assert findings(few) == []
    assert "90 genes are too few" in caplog.text


def test_the_plot_shows_samples_and_findings(adata):
    exchange(adata, "A1", "B2")
    sct.pp.qc(adata)
    axes = sct.pl.qc(adata)
    texts = " ".join(text.get_text() for figure in axes[0].figure.figure.subfigs for text in figure.texts)
    assert "A1 is closer to B" in texts


def test_real_cell_types_differ_by_more_than_a_scale(real_roadmap):
    adata = real_roadmap(["E116", "E117", "E123"])
    adata.obs["condition"] = adata.obs["cell_type"]
    assert findings(adata) == []
    assert adata.uns["qc"]["conditions"]["same_side"].max() < 0.93
    part_of = np.ix_((adata.obs["cell_type"] == "E117").to_numpy(), (adata.var["mark"] == "H3K4me3").to_numpy())
    adata.X[part_of] *= 3
    found = findings(adata)
    assert [sentence[:17] for sentence in found] == ["H3K4me3 of E117 i", "H3K4me3 of E123 i"]
