"""Genes by bins of several samples, from a sample sheet."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr2", "chr1"],
        "start": [20_000, 60_000, 20_000, 90_000],
        "end": [30_000, 70_000, 40_000, 91_000],
        "strand": ["+", "-", "-", "."],
        "symbol": ["AAA", "BBB", "CCC", "DDD"],
    },
    index=[f"ENSG0000000000{i}" for i in range(1, 5)],
)
SAMPLES = ["A1", "A2", "B1", "B2"]


def bedgraph(path, signal: float):
    path.write_text("".join(f"{chrom}\t0\t100000\t{signal}\n" for chrom in ("chr1", "chr2")))
    return path


def tag_align(path, starts):
    path.write_text("".join(f"chr1\t{start}\t{start + 50}\tN\t60\t+\n" for start in starts))
    return path


@pytest.fixture
def sheet(tmp_path) -> pd.DataFrame:
    """Two conditions of two samples with two marks, whose signal is a number of its own everywhere."""
    rows = [
        (sample, sample[0], int(sample[1]), mark, bedgraph(tmp_path / f"{sample}_{mark}.bdg", 1 + i + 10 * j).name)
        for i, sample in enumerate(SAMPLES)
        for j, mark in enumerate(["H3K4me3", "H3K27me3"])
    ]
    return pd.DataFrame(rows, columns=["sample", "condition", "replicate", "mark", "path"])


@pytest.fixture
def path(sheet, tmp_path):
    sheet.to_csv(tmp_path / "sheet.csv", index=False)
    return tmp_path / "sheet.csv"


def expression(columns) -> pd.DataFrame:
    return pd.DataFrame({name: [1.0 + i, 2.0, 9.0] for i, name in enumerate(columns)}, index=GENES.index[:3])


def write(sheet, path):
    sheet.to_csv(path, index=False)
    return path


def test_rows_are_genes_in_samples(path, tmp_path):
    adata = sct.pp.from_sample_sheet(path, GENES, cell_type="K562")
    assert adata.n_obs == 4 * 3
    assert adata.obs["sample"].tolist() == np.repeat(SAMPLES, 3).tolist()
    assert list(adata.obs["sample"].cat.categories) == SAMPLES
    assert list(adata.obs["condition"].cat.categories) == ["A", "B"]
    assert list(adata.obs["replicate"].cat.categories) == ["1", "2"]
    assert set(adata.obs["cell_type"]) == {"K562"}
    assert adata.obs_names[[0, 3]].tolist() == ["ENSG00000000001:A1", "ENSG00000000001:A2"]
    assert list(adata.var["mark"].cat.categories) == ["H3K4me3", "H3K27me3"]
    assert adata.uns["from_tracks"]["left_out"].tolist() == ["ENSG00000000004"]
    assert adata.uns["sample_sheet"]["path"].tolist()[0] == str(tmp_path / "A1_H3K4me3.bdg")
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    assert again.uns["sample_sheet"]["sample"].tolist() == np.repeat(SAMPLES, 2).tolist()


def test_each_sample_is_what_from_tracks_reads(path, tmp_path):
    adata = sct.pp.from_sample_sheet(path, GENES)
    for sample in SAMPLES:
        tracks = {mark: tmp_path / f"{sample}_{mark}.bdg" for mark in ("H3K4me3", "H3K27me3")}
        alone = sct.pp.from_tracks(tracks, GENES)
        own = adata[adata.obs["sample"] == sample]
        np.testing.assert_array_equal(own.X, alone.X)
        pd.testing.assert_frame_equal(own.var, alone.var)
        shared = [column for column in own.obs if column in alone.obs]
        assert shared == list(alone.obs)
        pd.testing.assert_frame_equal(own.obs[shared].set_axis(alone.obs_names), alone.obs)
    assert adata.uns["units"] == alone.uns["units"]
    pd.testing.assert_frame_equal(adata.uns["windows"], alone.uns["windows"])


def test_marks_may_come_in_any_order(sheet, tmp_path):
    turned = pd.concat([sheet.iloc[:2], sheet.iloc[2:][::-1]])
    adata = sct.pp.from_sample_sheet(write(turned, tmp_path / "t.csv"), GENES)
    straight = sct.pp.from_sample_sheet(write(sheet, tmp_path / "s.csv"), GENES)
    assert list(adata.obs["sample"].cat.categories) == ["A1", "B2", "B1", "A2"]
    np.testing.assert_array_equal(adata[straight.obs_names].X, straight.X)


def test_expression_has_a_column_for_each_sample(path):
    adata = sct.pp.from_sample_sheet(path, GENES, expression(SAMPLES), unit="tpm")
    values = [[1, 2, 9], [2, 2, 9], [3, 2, 9], [4, 2, 9]]
    assert adata.obs["expression"].tolist() == np.concatenate(values).tolist()
    assert adata.uns["label_expression"]["thresholds"]["threshold"].to_dict() == {
        sample: np.median(own) for sample, own in zip(SAMPLES, values, strict=True)
    }
    above = [value > np.median(own) for own in values for value in own]
    assert (adata.obs["label"] == "high").tolist() == above
    assert adata.uns["units"]["expression"] == "TPM"
    assert adata.uns["from_tracks"]["columns"].tolist() == SAMPLES


def test_expression_may_be_of_conditions(path, tmp_path):
    table = expression(["A", "B", "B2"])
    adata = sct.pp.from_sample_sheet(path, GENES, table)
    assert adata.uns["from_tracks"]["columns"].tolist() == ["A", "A", "B", "B2"]
    table.rename_axis("gene_id").to_csv(tmp_path / "e.csv")
    again = sct.pp.from_sample_sheet(path, GENES, tmp_path / "e.csv")
    assert again.obs["expression"].tolist() == adata.obs["expression"].tolist()
    each = {"A": table["A"], "B": table["B"], "B2": table["B2"]}
    assert sct.pp.from_sample_sheet(path, GENES, each).obs["expression"].tolist() == adata.obs["expression"].tolist()


def test_a_condition_without_expression_is_counted(path, caplog, tmp_path):
    adata = sct.pp.from_sample_sheet(path, GENES, expression(["A"]))
    assert "2 of 4 samples have no expression, and their genes no label: B1, B2" in caplog.text
    in_b = adata.obs["condition"] == "B"
    assert adata.obs.loc[in_b, ["expression", "label"]].isna().all().all()
    assert adata.obs.loc[~in_b, ["expression", "label"]].notna().all().all()
    adata.write_h5ad(tmp_path / "a.h5ad")


def test_expression_without_a_sample_or_condition_is_refused(path):
    with pytest.raises(ValueError, match=r"expression holds TPM; expected columns .*samples \(A1, A2, B1 and 1 more\)"):
        sct.pp.from_sample_sheet(path, GENES, expression(["TPM"]))
    with pytest.raises(ValueError, match=r"expression differs in unit \(A: tpm, B: counts\)"):
        sct.pp.from_sample_sheet(
            path, GENES, {"A": expression(["TPM"])["TPM"].to_frame(), "B": expression(["counts"])["counts"].to_frame()}
        )


def test_a_sample_without_a_mark_is_named(sheet, tmp_path, caplog):
    caplog.set_level("INFO")
    path = write(sheet.drop(index=7), tmp_path / "s.csv")
    with pytest.raises(
        ValueError, match=r"samples hold different marks \(shared by all: H3K4me3; beyond them A1: H3K27"
    ):
        sct.pp.from_sample_sheet(path, GENES)
    adata = sct.pp.from_sample_sheet(path, GENES, marks="shared")
    assert list(adata.var["mark"].cat.categories) == ["H3K4me3"]
    assert "Marks that not all samples have are left out (A1: H3K27me3; A2: H3K27me3; B1: H3K27me3)" in caplog.text


def test_a_condition_with_one_sample_is_counted(sheet, tmp_path, caplog):
    caplog.set_level("INFO")
    sct.pp.from_sample_sheet(write(sheet, tmp_path / "s.csv"), GENES)
    assert "Samples of each condition: A 2, B 2." in caplog.text
    assert "have one sample" not in caplog.text
    sct.pp.from_sample_sheet(write(sheet.head(6), tmp_path / "t.csv"), GENES)
    assert "1 of 2 conditions have one sample (B): without replicates" in caplog.text


def test_scale_factors_are_applied_once(sheet, path, tmp_path):
    plain = sct.pp.from_sample_sheet(path, GENES)
    factors = sheet["mark"].map({"H3K4me3": np.nan, "H3K27me3": 1.0}) * [1, 1, 1, 2, 1, 3, 1, 4]
    adata = sct.pp.from_sample_sheet(write(sheet.assign(scale_factor=factors), tmp_path / "s.csv"), GENES)
    of_mark = (adata.var["mark"] == "H3K27me3").to_numpy()
    np.testing.assert_array_equal(adata.X[:, ~of_mark], plain.X[:, ~of_mark])
    expected = plain.X[:, of_mark] * np.repeat([1, 2, 3, 4], 3)[:, None]
    np.testing.assert_array_equal(adata.X[:, of_mark], expected)
    record = adata.uns["scale_samples"]
    assert record["factors"]["H3K27me3"].to_dict() == {"A1": 1.0, "A2": 2.0, "B1": 3.0, "B2": 4.0}
    assert set(record["factors"]["H3K4me3"]) == {1.0}
    with pytest.raises(ValueError, match="scaled already"):
        sct.pp.scale_samples(adata)


def test_controls_are_subtracted_before_the_factor(tmp_path):
    marks = ["H3K4me3", "H3K27me3"]
    rows = []
    for sample, n in (("A1", 4), ("B1", 6)):
        for mark in marks:
            tag_align(tmp_path / f"{sample}{mark}.tagAlign", [20_010] * n + [25_000 + ord(mark[3])] * 4)
            rows.append((sample, mark, f"{sample}{mark}.tagAlign"))
    sheet = pd.DataFrame(rows, columns=["sample", "mark", "path"]).assign(control="input.tagAlign", scale_factor=2)
    tag_align(tmp_path / "input.tagAlign", [20_010] + [80_000] * 9)
    path = write(sheet, tmp_path / "s.csv")
    settings = {"windows": [sct.pp.Window.TSS], "reads": {"shift": 0}}
    with pytest.raises(ValueError, match="control_method is 'log_ratio'"):
        sct.pp.from_sample_sheet(path, GENES.head(1), **settings)
    adata = sct.pp.from_sample_sheet(path, GENES.head(1), control_method="subtract", **settings)
    # Libraries of 8 and 10 reads against 10 of the control, which has one read in the bin.
    assert adata[:, "H3K4me3:tss:50"].X.ravel().tolist() == pytest.approx([2 * (4 - 0.8), 2 * (6 - 1)])
    record = adata.uns["subtract_control"]
    assert record["sample"].tolist() == ["A1", "A1", "B1", "B1"]
    assert record["scale"].tolist() == pytest.approx([0.8, 0.8, 1.0, 1.0])
    reads = adata.uns["from_tracks"]["reads"]
    assert reads["library"].tolist() == [8, 8, 10, 10]
    adata.write_h5ad(tmp_path / "a.h5ad")


def test_files_of_one_row_are_combined(tmp_path):
    for name, starts in {"a": [20_010], "b": [20_010, 20_110], "c": [20_010]}.items():
        tag_align(tmp_path / f"{name}.tagAlign", starts)
    rows = {"sample": ["A", "B"], "mark": "M", "path": ["a.tagAlign;b.tagAlign", "c.tagAlign"]}
    path = write(pd.DataFrame(rows), tmp_path / "s.csv")
    adata = sct.pp.from_sample_sheet(path, GENES.head(1), reads={"shift": 0})
    assert adata[:, "M:tss:50"].X.ravel().tolist() == [2, 1]
    assert adata.uns["from_tracks"]["replicates"]["sample"].tolist() == ["A", "A"]


def test_samples_are_prepared_apart(tmp_path):
    """Graphs, splits and models treat a sample as they treat a cell type."""
    adata = sct.datasets.simulate_conditions(300, n_replicates=1)
    sct.pp.tss_neighbors(adata, n_neighbors=3)
    gene, neighbor = adata.obsp["tss_connectivities"].nonzero()
    sample = adata.obs["sample"].to_numpy()
    assert (sample[gene] == sample[neighbor]).all()
    assert len(gene) == 3 * adata.n_obs
    sct.pp.split_by_chromosome(adata)
    assert adata.obs["split"].tolist()[:300] == adata.obs["split"].tolist()[300:]
