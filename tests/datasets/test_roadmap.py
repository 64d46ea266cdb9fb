from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk.datasets._roadmap import ALL_MARKS, CELL_TYPES, CORE_MARKS, _peak_files

if TYPE_CHECKING:
    from pathlib import Path

PAX5 = "ENSG00000196092"
TSS_ONLY = [sct.pp.Window.TSS]


def broad_peaks(path: Path) -> pd.DataFrame:
    """Read by hand, apart from the reader under test."""
    table = pd.read_csv(path, sep="\t", header=None, usecols=[0, 1, 2, 6])
    return table.set_axis(["chrom", "start", "end", "signal"], axis=1)


@pytest.fixture(scope="module")
def gene_bounds(public_file) -> pd.DataFrame:
    """Rows of the annotation whose Ensembl id occurs once, by id."""
    table = pd.read_csv(public_file("abc/CollapsedGeneBounds.hg19.bed"), sep="\t")
    return table.drop_duplicates("Ensembl_ID", keep=False).set_index("Ensembl_ID")


def test_equals_the_numpy_oracle_on_200_random_genes(e116, public_file, mean_signal):
    peaks = {mark: broad_peaks(public_file(_peak_files("GM12878")[mark])) for mark in CORE_MARKS}
    chosen = np.random.default_rng(0).choice(e116.n_obs, 200, replace=False)
    expected = mean_signal(peaks, e116.obs.iloc[chosen], [sct.pp.Window.TSS, sct.pp.Window.BODY])
    np.testing.assert_allclose(e116.X[chosen], expected, rtol=1e-4, atol=1e-4)
    assert (e116.X[chosen] == 0)[expected == 0].all()
    assert {"+", "-"} == set(e116.obs["strand"].iloc[chosen])


def test_shape_and_values(e116):
    assert e116.shape == (18_483, 600)
    assert e116.X.dtype == np.float32
    assert np.isfinite(e116.X).all()
    assert (e116.X >= 0).all()
    assert e116.obs_names.is_unique
    assert set(e116.obs["cell_type"]) == {"E116"}
    assert e116.obs["annotated"].all()
    assert list(e116.var["mark"].cat.categories) == list(CORE_MARKS)


def test_genes_lie_where_the_published_tables_say(e116, gene_bounds, public_file):
    listed = pd.read_csv(public_file("shallowchrome/GeneFile.txt"), sep="\t", header=None)
    listed = listed.set_index(listed[3].str.split("_").str[0])
    listed = listed[~listed.index.duplicated()].loc[e116.obs_names]
    counted_from_one = e116.obs["tss"] + (e116.obs["strand"] == "+")
    assert (listed[1] + 10_000 == counted_from_one).all()
    assert (listed[0] == e116.obs["chrom"]).all()

    known = gene_bounds.index.intersection(e116.obs_names)
    assert len(known) > 18_000
    bounds, obs = gene_bounds.loc[known], e116.obs.loc[known]
    for ours, theirs in (("chrom", "#chr"), ("start", "start"), ("end", "end"), ("strand", "strand")):
        assert (obs[ours] == bounds[theirs]).mean() > 0.999, ours
    five_prime = np.where(obs["strand"] == "-", obs["end"], obs["start"])
    assert (obs["tss"] == five_prime).mean() > 0.3
    assert np.median(np.abs(obs["tss"] - five_prime)) < 100


def test_counts_are_logged_and_kept(real_roadmap, caplog):
    caplog.set_level("INFO")
    adata = real_roadmap("E116", marks=["H3K9me3"], windows=TSS_ONLY)
    assert adata.uns["units"] == {"signal": "peak signal", "expression": "RPKM"}
    counts = adata.uns["roadmap"]["counts"]
    assert counts["listed"] == 19_802
    assert counts["duplicate_ids"] == 7
    assert counts["annotated_by_id"] + counts["annotated_by_symbol"] == 18_483
    assert adata.n_obs == 19_795 == 18_483 + counts["unannotated"]
    assert (adata.obs["strand"] == ".").sum() == counts["unannotated"] == (~adata.obs["annotated"]).sum()
    assert "19802 genes listed, 7 rows repeat" in caplog.text
    assert "unknown for 1312" in caplog.text


def test_the_first_of_repeated_ids_is_kept_with_its_expression(real_roadmap, public_file):
    adata = real_roadmap("E116", marks=["H3K9me3"], windows=TSS_ONLY)
    lines = public_file("shallowchrome/GeneFile.txt").read_text().splitlines()
    rpkm = [float(line) for line in public_file("shallowchrome/targets/E116/T.csv").read_text().split()]
    first: dict[str, tuple[str, float]] = {}
    for line, value in zip(lines, rpkm, strict=True):
        gene, symbol = line.split()[3].split("_", 1)
        first.setdefault(gene, (symbol, value))
    found = zip(adata.obs["symbol"], adata.obs["expression"], strict=True)
    assert dict(zip(adata.obs_names, found, strict=True)) == first


def test_labels_compare_with_the_median_of_all_genes(e116, public_file):
    rpkm = np.loadtxt(public_file("shallowchrome/targets/E116/T.csv"))
    threshold = e116.uns["label_expression"]["thresholds"].loc["E116", "threshold"]
    assert threshold == pytest.approx(np.median(rpkm), abs=0.01)
    assert threshold < e116.obs["expression"].median()
    np.testing.assert_array_equal(e116.obs["label"] == "high", e116.obs["expression"] > threshold)


def test_cell_types_are_stacked(real_roadmap):
    adata = real_roadmap(["E116", "E123"], marks=["H3K27ac", "H3K4me3"], genes=["PAX5", "ENSG00000111640"])
    assert list(adata.obs_names) == [
        "ENSG00000111640:E116",
        "ENSG00000196092:E116",
        "ENSG00000111640:E123",
        "ENSG00000196092:E123",
    ]
    assert list(adata.obs["symbol"]) == ["GAPDH", "PAX5"] * 2
    assert list(adata.var["mark"].cat.categories) == ["H3K27ac", "H3K4me3"]
    assert list(adata.obs["cell_type"]) == ["E116"] * 2 + ["E123"] * 2
    pax5 = adata.obs.loc[[f"{PAX5}:E116", f"{PAX5}:E123"]]
    assert pax5["expression"].iloc[0] == 12.686
    assert list(pax5["label"]) == ["high", "low"]
    thresholds = adata.uns["label_expression"]["thresholds"]["threshold"]
    assert thresholds["E116"] == pytest.approx(1.7475, abs=0.01)
    assert pax5["expression"].iloc[1] < thresholds["E123"] != thresholds["E116"]
    assert list(adata.uns["windows"].index) == ["tss", "body"]
    alone = real_roadmap("E123", marks=["H3K27ac", "H3K4me3"], genes=["PAX5", "GAPDH"])
    np.testing.assert_array_equal(adata[adata.obs["cell_type"] == "E123"].X, alone.X)


def test_survives_a_file(e116, tmp_path):
    e116[:50].copy().write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.X, e116.X[:50])
    pd.testing.assert_frame_equal(again.var, e116.var)
    assert again.uns["roadmap"]["counts"] == e116.uns["roadmap"]["counts"]


def test_genes_that_are_not_listed_are_counted(real_roadmap, caplog):
    adata = real_roadmap("E116", marks=["H3K9me3"], genes=["PAX5", "NOTAGENE", PAX5])
    assert list(adata.obs_names) == [PAX5]
    assert "NOTAGENE" in caplog.text


def test_a_gene_list_that_matches_nothing_is_refused(real_roadmap):
    with pytest.raises(ValueError, match=r"pax5, nope.*TSPAN6"):
        real_roadmap("E116", genes=["pax5", "nope"])


def test_genes_without_a_body_are_refused_where_a_window_needs_one(real_roadmap):
    adata = real_roadmap("E116", marks=["H3K9me3"], windows=TSS_ONLY)
    bare = adata.obs_names[~adata.obs["annotated"]][:2]
    with pytest.raises(ValueError, match=r"2 genes, .*windows=\[sct\.pp\.Window\.TSS\]"):
        real_roadmap("E116", marks=["H3K9me3"], genes=bare)
    assert real_roadmap("E116", marks=["H3K9me3"], genes=bare, windows=TSS_ONLY).n_obs == 2


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (["E003"], {}, "E003; choose from E116, E117, E123"),
        ([["E116", "E116"]], {}, "each once"),
        ([[]], {}, "choose from E116, E117, E123"),
        ([], {"marks": ["H3K4me3", "H4K20me1"]}, "H4K20me1; choose from H3K4me3"),
        ([], {"marks": "most"}, "most; choose from H3K4me3"),
    ],
)
def test_unknown_cell_types_and_marks_list_the_choices(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        sct.datasets.roadmap(*args, **kwargs)


def test_every_mark_of_every_cell_type_has_one_file():
    for line in CELL_TYPES.values():
        assert set(_peak_files(line)) == set(ALL_MARKS)
