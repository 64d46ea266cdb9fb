from __future__ import annotations

import gzip
import logging
import re
from itertools import combinations

import anndata as ad
import bioframe
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk.datasets._roadmap import CELL_TYPES, CORE_MARKS
from simplechrome_tk.pp._qc_findings import SHAPES, shape_of

CORE = list(CORE_MARKS)
TSS = sct.pp.Window("tss", anchor="tss", upstream=5_000, downstream=5_000, n_bins=10)
BODY = sct.pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=2)


def genes(n: int, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    tss, length = rng.integers(31_000, 330_000, n), rng.integers(500, 30_000, n)
    minus = rng.random(n) < 0.5
    table = {
        "chrom": rng.choice(["chr1", "chr2"], n),
        "start": tss - length * minus,
        "end": tss + length * ~minus,
        "strand": np.where(minus, "-", "+"),
        "tss": tss,
    }
    return pd.DataFrame(table, index=[f"g{i}" for i in range(n)])


def binned(values: dict[str, np.ndarray], *, windows=(TSS,), obs: pd.DataFrame | None = None) -> ad.AnnData:
    """Genes by bins of the values of each mark, all windows side by side."""
    obs = genes(len(next(iter(values.values())))) if obs is None else obs
    nowhere = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": 0, "end": 10**7, "signal": 1.0})
    adata = sct.pp.bin_peaks(dict.fromkeys(values, nowhere), obs, windows=windows)
    for mark, matrix in values.items():
        adata.X[:, columns(adata, mark)] = matrix
    return adata


def columns(adata: ad.AnnData, mark: str) -> np.ndarray:
    return np.flatnonzero((adata.var["mark"] == mark).to_numpy())


def swap(adata: ad.AnnData, first: str, second: str) -> None:
    a, b = columns(adata, first), columns(adata, second)
    adata.X[:, a], adata.X[:, b] = adata.X[:, b].copy(), adata.X[:, a].copy()


def turn(adata: ad.AnnData, rows: np.ndarray) -> None:
    """Reverse the bins of some genes, in each region."""
    for _, block in adata.var.groupby(["region", "mark"], observed=True):
        at = adata.var_names.get_indexer(block.index)
        adata.X[np.ix_(rows, at)] = adata.X[np.ix_(rows, at[::-1])]


def shuffle(adata: ad.AnnData) -> None:
    """Put the bins of each region in one random order, each mark's own."""
    rng = np.random.default_rng(0)
    for _, block in adata.var.groupby(["region", "mark"], observed=True):
        at = adata.var_names.get_indexer(block.index)
        adata.X[:, at] = adata.X[:, rng.permutation(at)]


def problems(adata: ad.AnnData) -> dict[str, str]:
    """Problems of each mark that has some, and the findings."""
    sct.pp.qc(adata)
    marks = adata.uns["qc"]["marks"]
    return {mark: found for mark, found in zip(marks["mark"], marks["problems"], strict=True) if found}


def marks_table(adata: ad.AnnData) -> pd.DataFrame:
    return adata.uns["qc"]["marks"].set_index("mark")


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    return sct.datasets.simulate(1_000, marks="all")


# Figures


def test_figures_by_hand():
    # bins in the middle of -4.5, -3.5, ..., 4.5 kb
    k4 = np.array([[1, 0, 0, 0, 6, 10, 4, 0, 0, 1], [0] * 10, [3, 0, 0, 2, 20, 4, 0, 0, 2, 1]])
    k36 = np.array([[2] * 10, [2] * 10, [2] * 9 + [6]])
    obs = genes(3).assign(strand=["+", "-", "-"])
    adata = binned({"H3K4me3": k4, "H3K36me3": k36}, obs=obs)
    before = adata.X.copy()
    assert sct.pp.qc(adata) is None
    np.testing.assert_array_equal(adata.X, before)
    marks = marks_table(adata)
    row = marks.loc["H3K4me3"]
    assert row["cell_type"] == "all"
    assert row["n_genes"] == 3
    assert row["coverage"] == pytest.approx(2 / 3)
    assert row["zeros"] == pytest.approx(19 / 30)
    assert row["lowest"] == 0
    assert row["highest"] == 20
    assert row["highest_gene"] == "g2"
    assert row["median"] == 3  # of 1 1 1 2 2 3 4 4 6 10 20
    assert row["p99"] == pytest.approx(19)  # nine tenths of the way from 10 to 20
    assert row["dynamic_range"] == pytest.approx(19 / 3)
    assert row["top_share"] == pytest.approx(20 / k4.sum())
    # within 1 kb: bins 4 and 5; 3 to 5 kb away: bins 0, 1, 8, 9; 1 to 5 kb down: 6 to 9, up: 0 to 3
    assert row["tss"] == pytest.approx((6 + 10 + 20 + 4) / 2 / ((1 + 1 + 3 + 2 + 1) / 4))
    assert row["downstream"] == pytest.approx((4 + 1 + 2 + 1) / (1 + 3 + 2))
    assert row["downstream_plus"] == pytest.approx(5 / 1)
    assert row["downstream_minus"] == pytest.approx(3 / 5)
    assert marks.loc["H3K36me3", "downstream_minus"] == pytest.approx(20 / 16)
    assert (marks["tss_low"] == 0).all()
    assert np.isinf(marks["tss_high"]).all()
    np.testing.assert_array_equal(adata.obs["marks_with_signal"], [2, 1, 2])

    profiles = adata.uns["qc"]["profiles"]
    minus = profiles[(profiles["mark"] == "H3K4me3") & (profiles["strand"] == "-")]
    np.testing.assert_array_equal(minus["position"], np.arange(-4_500, 5_000, 1_000))
    np.testing.assert_array_equal(minus["mean"], k4[1:].mean(axis=0))
    assert set(minus["n_genes"]) == {2}
    correlations = adata.uns["qc"]["correlations"]
    assert correlations[["mark", "other"]].to_numpy().tolist() == [["H3K4me3", "H3K36me3"]]
    # ranks of the means 22, 0, 32 are 2, 1, 3, of 20, 20, 24 they are 1.5, 1.5, 3
    assert correlations["spearman"].item() == pytest.approx(np.corrcoef([2, 1, 3], [1.5, 1.5, 3])[0, 1])
    assert adata.uns["qc"]["left_out"].empty
    assert adata.uns["qc"]["blacklist"] == {}


def test_intervals_are_three_standard_errors_of_the_log_ratio(simulated):
    sct.pp.qc(simulated)
    row = marks_table(simulated).loc["H3K36me3"]
    signal = sct.get.region(simulated, "tss")[:, CORE.index("H3K36me3")].astype(float)
    up, down = signal[:, :40].mean(axis=1), signal[:, 60:].mean(axis=1)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(up), len(up)) for _ in range(2_000)]
    errors = np.std([np.log(down[draw].mean() / up[draw].mean()) for draw in draws])
    assert row["downstream"] == pytest.approx(down.mean() / up.mean(), rel=1e-5)
    assert np.log(row["downstream_high"] / row["downstream"]) == pytest.approx(3 * errors, rel=0.1)
    assert np.log(row["downstream"] / row["downstream_low"]) == pytest.approx(3 * errors, rel=0.1)


def test_the_signal_before_normalisation_is_read(simulated):
    adata = simulated[:, simulated.var["mark"].isin(CORE).to_numpy()].copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.qc(adata)
    raw = adata.uns["qc"]["marks"]
    sct.pp.normalize(adata)
    sct.pp.qc(adata)
    pd.testing.assert_frame_equal(adata.uns["qc"]["marks"], raw)


def test_a_missing_strand_counts_as_unknown(simulated):
    adata, unknown = simulated.copy(), simulated.copy()
    for data, strand in ((adata, None), (unknown, ".")):
        strands = data.obs["strand"].astype(object)
        strands.iloc[:9] = strand
        data.obs["strand"] = strands
        sct.pp.qc(data)
    for name in ("marks", "profiles"):
        pd.testing.assert_frame_equal(adata.uns["qc"][name], unknown.uns["qc"][name])


def test_copy_leaves_the_data_as_they_are():
    adata = binned({"H3K4me3": np.ones((3, 10))})
    copy = sct.pp.qc(adata, copy=True)
    assert "qc" in copy.uns
    assert "qc" not in adata.uns
    assert "marks_with_signal" not in adata.obs


def test_the_record_can_be_written_and_read(simulated, tmp_path):
    swapped = simulated.copy()
    swap(swapped, "H3K4me3", "H3K9me3")
    for adata in (simulated, swapped):
        sct.pp.qc(adata, blacklist=pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10**6]}))
        adata.write_h5ad(tmp_path / "qc.h5ad")
        again = ad.read_h5ad(tmp_path / "qc.h5ad").uns["qc"]
        assert list(again["findings"]) == adata.uns["qc"]["findings"]
        for name in ("marks", "correlations", "profiles"):
            pd.testing.assert_frame_equal(again[name], adata.uns["qc"][name], check_dtype=False, check_index_type=False)
        assert len(again["left_out"]) == 0
        assert again["blacklist"]["n_regions"] == 1


def test_windows_that_do_not_show_the_tss_are_not_judged(caplog):
    rng = np.random.default_rng(0)
    values = {"H3K4me3": rng.random((200, 2)), "H3K36me3": rng.random((200, 2))}
    adata = binned(values, windows=(BODY,))
    assert problems(adata) == {}
    assert marks_table(adata)["tss"].isna().all()
    assert adata.uns["qc"]["profiles"].empty
    assert "no window reaches 5 kb to both sides of the TSS" in caplog.text
    narrow = sct.pp.Window("tss", anchor="tss", upstream=4_000, downstream=5_000, n_bins=2)
    assert problems(binned(values, windows=(narrow,))) == {}


def test_a_window_of_another_name_is_found_by_its_anchor(simulated):
    window = sct.pp.Window("around", anchor="tss", upstream=8_000, downstream=6_000, n_bins=140)
    adata = sct.datasets.simulate(500, windows=[sct.pp.Window.BODY, window])
    assert problems(adata) == {}
    assert marks_table(adata).loc["H3K4me3", "tss"] > 10
    assert adata.uns["qc"]["profiles"]["position"].agg(["min", "max"]).tolist() == [-7_950, 5_950]


def test_left_out_genes_are_listed_with_the_reason():
    adata = binned({"H3K4me3": np.ones((3, 10))})
    adata.uns["roadmap"] = {"counts": {"duplicate_ids": 7, "unannotated": 1_312}}
    sct.pp.qc(adata)  # a window on the TSS alone: genes without strand and body are kept
    assert adata.uns["qc"]["left_out"].to_numpy().tolist() == [["rows that repeat an id (the first is kept)", 7]]
    adata = binned({"H3K4me3": np.ones((3, 12))}, windows=(TSS, BODY))
    adata.uns["roadmap"] = {"counts": {"duplicate_ids": 0, "unannotated": 1_312}}
    adata.uns["from_tracks"] = {"counts": {"left_out": 0, "annotation_other_types": 40, "annotation_genes": 99}}
    sct.pp.qc(adata)
    assert adata.uns["qc"]["left_out"].to_numpy().tolist() == [
        ["strand or body unknown, and the windows need them", 1_312],
        ["of other types than gene_types", 40],
    ]


# Findings


def test_simulated_data_give_no_finding(simulated, caplog):
    assert problems(simulated) == {}
    assert simulated.uns["qc"]["findings"] == []
    assert "qc" not in caplog.text
    for seed in range(3):
        adata = sct.datasets.simulate(300, rng=seed)
        assert problems(adata) == {}, adata.uns["qc"]["findings"]


LIKE = [("H3K4me3", "H3K4me2", "H3K27ac", "H3K9ac"), ("H3K4me1", "H3K79me2")]


@pytest.mark.parametrize(
    "pair", [pair for pair in combinations(SHAPES, 2) if not any(set(pair) <= set(alike) for alike in LIKE)]
)
def test_swapped_marks_are_found(simulated, pair):
    adata = simulated.copy()
    swap(adata, *pair)
    assert problems(adata) == dict.fromkeys(sorted(pair, key=list(marks_table(adata).index).index), "swapped")
    (sentence,) = adata.uns["qc"]["findings"]
    assert "look exchanged: each has the other's shape" in sentence
    assert all(mark in sentence for mark in pair)


@pytest.mark.parametrize("value", [0.0, 0.15])
@pytest.mark.parametrize("mark", ["H3K4me3", "H3K27me3"])
def test_dead_marks_are_found(simulated, caplog, mark, value):
    adata = simulated.copy()
    adata.X[:, columns(adata, mark)] = value
    assert problems(adata) == {mark: "dead"}
    state = "every bin holds 0.15" if value else "there is no signal in any bin"
    assert adata.uns["qc"]["findings"] == [
        f"{mark} looks dead: {state}. Check the file, its chromosome names and the assay."
    ]
    assert f"qc: {mark} looks dead" in caplog.text
    assert adata.uns["qc"]["correlations"]["spearman"].isna().sum() == 8


def test_a_mark_that_reaches_hardly_any_gene_is_dead(simulated):
    adata = simulated.copy()
    adata.X[49:, columns(adata, "H3K9me3")] = 0
    assert problems(adata) == {"H3K9me3": "dead"}
    assert "4.9% of the genes have signal" in adata.uns["qc"]["findings"][0]


ORIENTED = ["H3K4me3", "H3K4me1", "H3K36me3", "H3K27ac", "H3K9ac", "H3K4me2", "H3K79me2"]


def test_genes_left_unflipped_are_found(simulated):
    adata = simulated.copy()
    turn(adata, np.flatnonzero(adata.obs["strand"] == "-"))
    assert problems(adata) == dict.fromkeys(ORIENTED, "unoriented")
    (sentence,) = adata.uns["qc"]["findings"]
    assert sentence.startswith("Genes on the minus strand look unoriented")
    assert re.search(r"H3K36me3 7\.\d\d on \+ and 0\.1\d on -", sentence)
    swap(adata, "H3K36me3", "H3K27me3")
    found = problems(adata)
    assert found["H3K36me3"] == "swapped"
    assert found["H3K27me3"] == "unoriented, swapped"


def test_genes_read_backwards_are_found(simulated):
    adata = simulated.copy()
    turn(adata, np.arange(adata.n_obs))
    assert problems(adata) == dict.fromkeys(ORIENTED, "unoriented")
    assert adata.uns["qc"]["findings"][0].startswith("All genes look read backwards")


def test_strands_that_are_unknown_are_found(simulated):
    adata = simulated.copy()
    adata.obs["strand"] = "."
    assert problems(adata) == {}
    assert adata.uns["qc"]["findings"][0].startswith("The strand of 100% of the genes is unknown")
    del adata.obs["strand"]
    sct.pp.qc(adata)
    assert len(adata.uns["qc"]["findings"]) == 1


def test_shuffled_bins_are_found(simulated):
    adata = simulated.copy()
    shuffle(adata)
    assert {"H3K4me3", "H3K27ac", "H3K9ac", "H3K4me2"} <= set(problems(adata))


def test_flat_signal_is_misplaced():
    rng = np.random.default_rng(0)
    adata = binned({mark: rng.random((1_000, 10)) for mark in CORE})
    assert problems(adata) == dict.fromkeys(["H3K4me3", "H3K4me1", "H3K36me3"], "misplaced")
    assert "Do tracks and annotation have the same assembly" in adata.uns["qc"]["findings"][0]


def test_a_mark_of_no_shape_is_named(simulated):
    adata = simulated.copy()
    rng = np.random.default_rng(0)
    at = columns(adata, "H3K4me3")
    adata.X[:, at] = rng.poisson(2, (adata.n_obs, len(at)))
    assert problems(adata) == {"H3K4me3": "shape"}
    (sentence,) = adata.uns["qc"]["findings"]
    assert sentence.startswith("H3K4me3 does not look like H3K4me3: its signal is 1.0")
    assert "expected 2.05 or more" in sentence
    assert "this is how H3K27me3 or H3K9me3 would look" in sentence


@pytest.mark.parametrize("factor", [1, 3])
def test_duplicated_marks_are_found(simulated, factor):
    adata = simulated.copy()
    adata.X[:, columns(adata, "H3K27ac")] = factor * adata.X[:, columns(adata, "H3K9ac")]
    assert problems(adata) == {"H3K27ac": "duplicated", "H3K9ac": "duplicated"}
    assert (
        "H3K27ac and H3K9ac look like one track (rank correlation over genes 1.0000" in adata.uns["qc"]["findings"][0]
    )


def test_outliers_are_found(simulated):
    adata = simulated.copy()
    adata.X[17, columns(adata, "H3K4me1")[3]] = 1e7
    assert problems(adata) == {"H3K4me1": "outliers"}
    (sentence,) = adata.uns["qc"]["findings"]
    assert f"1e+07, is on gene {adata.obs_names[17]}" in sentence


def test_a_chromosome_without_signal_is_found(simulated):
    adata = simulated.copy()
    adata.X[np.ix_((adata.obs["chrom"] == "chr1").to_numpy(), columns(adata, "H3K27me3"))] = 0
    assert problems(adata) == {"H3K27me3": "missing"}
    assert "H3K27me3 has no signal at all on chr1, where other marks have" in adata.uns["qc"]["findings"][0]
    adata.X[(adata.obs["chrom"] == "chr1").to_numpy()] = 0  # no mark has: a chromosome that these cells lack
    assert problems(adata) == {}


def test_marks_are_known_whatever_the_case_and_others_are_left_alone(simulated):
    assert shape_of("h3k4Me3") is SHAPES["H3K4me3"]
    assert shape_of("H2A.Z") is None
    adata = simulated.copy()
    swap(adata, "H3K4me3", "H3K9me3")
    adata.var["mark"] = adata.var["mark"].cat.rename_categories(lambda mark: mark.upper())
    assert problems(adata) == {"H3K4ME3": "swapped", "H3K9ME3": "swapped"}
    adata.var["mark"] = adata.var["mark"].cat.rename_categories(lambda mark: f"other {mark}")
    assert problems(adata) == {}


def test_few_genes_are_measured_and_not_judged(simulated, caplog):
    adata = simulated[:99].copy()
    swap(adata, "H3K4me3", "H3K9me3")
    assert problems(adata) == {}
    assert "qc: 99 genes are too few to judge marks; 100 are needed" in caplog.text


def test_stacked_cell_types_are_judged_one_by_one():
    parts = [sct.datasets.simulate(400, rng=seed) for seed in (0, 1, 2)]
    obs = parts[0].obs
    for cell, part in zip("ABC", parts, strict=True):
        part.obs = obs.assign(cell_type=cell).set_axis([f"{name}:{cell}" for name in obs.index])
    swap(parts[1], "H3K4me3", "H3K9me3")
    parts[2].X[:, columns(parts[2], "H3K27me3")] = parts[0].X[:, columns(parts[0], "H3K27me3")]
    one = sct.pp.qc(parts[1], copy=True).uns["qc"]
    order = np.random.default_rng(0).permutation(1_200)
    adata = ad.concat(parts, merge="same", uns_merge="same")[order].copy()
    sct.pp.qc(adata)
    marks = adata.uns["qc"]["marks"].set_index(["cell_type", "mark"])
    found = marks["problems"]
    assert found[found != ""].to_dict() == {
        ("B", "H3K4me3"): "swapped",
        ("B", "H3K9me3"): "swapped",
        ("A", "H3K27me3"): "duplicated",
        ("C", "H3K27me3"): "duplicated",
    }
    first, second = sorted(adata.uns["qc"]["findings"], key=len)
    assert {first.split(":")[0], second.split(":")[0]} in ({"A and C", "B"}, {"C and A", "B"})
    alone = one["marks"].set_index("mark")
    pd.testing.assert_frame_equal(
        marks.loc["B"].drop(columns=["highest_gene"]),
        alone.drop(columns=["highest_gene", "cell_type"]),
        rtol=1e-5,
    )
    assert len(adata.uns["qc"]["correlations"]) == 30


# Blacklist


def shares(obs: pd.DataFrame, windows: list, blacklist: pd.DataFrame) -> np.ndarray:
    """Oracle: bioframe's coverage of what a gene's windows cover, gene by gene."""
    found = []
    for _, gene in obs.iterrows():
        minus = gene["strand"] == "-"
        stretches = []
        for window in windows:
            at = {"tss": gene["tss"], "tes": gene["start"] if minus else gene["end"]}.get(window.anchor)
            before, after = (window.downstream, window.upstream) if minus else (window.upstream, window.downstream)
            ends = (gene["start"], gene["end"]) if at is None else (at - before, at + after)
            if ends[1] > 0:  # what lies before the start of the chromosome does not count
                stretches.append((gene["chrom"], max(int(ends[0]), 0), int(ends[1])))
        merged = bioframe.merge(pd.DataFrame(stretches, columns=["chrom", "start", "end"]))
        covered = bioframe.coverage(merged, blacklist)["coverage"].sum()
        found.append(covered / (merged["end"] - merged["start"]).sum())
    return np.array(found)


def artefacts(n: int = 15) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    start = rng.integers(0, 300_000, n)
    return pd.DataFrame(
        {"chrom": rng.choice(["chr1", "chr2"], n), "start": start, "end": start + rng.integers(0, 8_000, n)}
    )


@pytest.mark.parametrize("kind", ["table", "bed", "gzip"])
def test_blacklist_overlap_equals_bioframe(tmp_path, kind):
    windows = [sct.pp.Window.TES, TSS, BODY, sct.pp.Window("far", "tss", upstream=-2_000, downstream=9_000, n_bins=1)]
    blacklist, source = artefacts(), "the blacklist table"
    given = blacklist
    if kind != "table":
        given = tmp_path / ("list.bed" + ".gz" * (kind == "gzip"))
        text = "# made up\n" + blacklist.assign(name="High Signal Region", score=1_000).to_csv(
            sep="\t", header=False, index=False
        )
        with (gzip.open if kind == "gzip" else open)(given, "wt") as handle:
            handle.write(text)
        source = str(given)
    obs = genes(60)
    adata = binned({"H3K4me3": np.ones((60, 33))}, windows=windows, obs=obs)
    sct.pp.qc(adata, blacklist=given)
    truth = shares(obs, windows, blacklist)
    np.testing.assert_allclose(adata.obs["blacklist_overlap"], truth, atol=1e-12)
    assert 5 < (truth == 0).sum() < 55
    assert adata.uns["qc"]["blacklist"] == {
        "source": source,
        "n_regions": 15,
        "n_genes": int((truth > 0).sum()),
        "n_genes_half": int((truth >= 0.5).sum()),
    }


def test_blacklist_of_some_chromosomes_only():
    obs = genes(20).assign(chrom="chr7")
    nowhere = pd.DataFrame({"chrom": ["chr7"], "start": [0], "end": [10**7], "signal": [1.0]})
    adata = sct.pp.bin_peaks({"H3K4me3": nowhere}, obs, windows=[TSS])
    sct.pp.qc(adata, blacklist=artefacts())
    assert (adata.obs["blacklist_overlap"] == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="end"), r"has no column end \(found: chrom, start\)"),
        (lambda table: table.iloc[:0], "expected intervals on chromosomes .*; the list is empty"),
        (lambda table: table.assign(end=table["start"] - 1), r"row 1 is chr\d \d+ \d+\."),
        (lambda table: table.assign(start="x"), r"row 1 is chr\d x \d+\."),
        (
            lambda table: table.assign(chrom=table["chrom"].str.removeprefix("chr")),
            r"genes: chr1, chr2; blacklist: 1, 2\).*set table\['chrom'\] = 'chr' \+ table\['chrom'\]",
        ),
    ],
)
def test_a_blacklist_that_is_none_is_refused(change, message):
    adata = binned({"H3K4me3": np.ones((5, 10))})
    with pytest.raises(ValueError, match=message):
        sct.pp.qc(adata, blacklist=change(artefacts().astype({"start": object, "end": int}).infer_objects()))
    assert "qc" not in adata.uns


@pytest.mark.parametrize("text", ["", "chr1 1\n", "chrom\tstart\tend\nchr1\t1\t2\n", "chr1\t1\tinf\n", "\x00\n"])
def test_a_file_that_is_no_bed_is_refused(tmp_path, text):
    path = tmp_path / "list.bed"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"list\.bed: (no regions at all|expected intervals|line 1 holds a NUL byte)"):
        sct.pp.qc(binned({"H3K4me3": np.ones((5, 10))}), blacklist=path)


def test_lines_for_a_genome_browser_are_passed_over(tmp_path):
    path = tmp_path / "list.bed"
    path.write_text("track name=x\n#chrom\tstart\tend\nchr1\t1\t2\n")
    adata = binned({"H3K4me3": np.ones((5, 10))})
    sct.pp.qc(adata, blacklist=path)
    assert adata.uns["qc"]["blacklist"]["n_regions"] == 1


def test_a_damaged_gzip_is_refused(tmp_path):
    path = tmp_path / "list.bed.gz"
    path.write_bytes(gzip.compress(b"chr1\t1\t2\n" * 1_000)[:-20])
    with pytest.raises(ValueError, match=r"list\.bed\.gz: the gzip file is truncated or damaged"):
        sct.pp.qc(binned({"H3K4me3": np.ones((5, 10))}), blacklist=path)


def test_blacklist_needs_positions():
    adata = binned({"H3K4me3": np.ones((5, 10))})
    del adata.uns["windows"]
    with pytest.raises(ValueError, match=r"uns\['windows'\] does not describe the windows tss"):
        sct.pp.qc(adata, blacklist=artefacts())
    adata = binned({"H3K4me3": np.ones((5, 10))})
    del adata.obs["tss"]
    with pytest.raises(ValueError, match="obs has no column 'tss'"):
        sct.pp.qc(adata, blacklist=artefacts())


# Errors


def test_bad_signal_is_refused():
    adata = binned({"H3K4me3": np.ones((5, 10))})
    adata.X[2, 3] = np.nan
    with pytest.raises(ValueError, match="1 missing or infinite values, the first for gene 'g2'"):
        sct.pp.qc(adata)
    adata.X[2, 3] = -1
    with pytest.raises(ValueError, match="1 negative values"):
        sct.pp.qc(adata)
    adata.uns["normalize"] = {}
    with pytest.raises(ValueError, match=r"expected it in layers\['signal'\]"):
        sct.pp.qc(adata)
    bare = ad.AnnData(obs=adata.obs, var=adata.var)
    with pytest.raises(ValueError, match="no signal before normalisation; expected it in X"):
        sct.pp.qc(bare)


# Real data


def test_real_cells_give_no_finding(real_roadmap, caplog):
    cells = list(CELL_TYPES)
    window = sct.pp.Window("tss", anchor="tss", upstream=5_000, downstream=5_000, n_bins=20)
    adata = real_roadmap(cells, marks="all", windows=[window])
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        sct.pp.qc(adata)
    assert adata.uns["qc"]["findings"] == []
    assert caplog.text == ""
    marks = adata.uns["qc"]["marks"].set_index(["mark", "cell_type"])
    assert marks["coverage"].min() > 0.3
    assert marks["top_share"].max() < 0.03
    assert marks.loc[["H3K4me3", "H3K27ac", "H3K9ac", "H3K4me2"], "tss"].min() > 2.4
    assert marks.loc[["H3K4me1", "H3K79me2", "H3K27me3", "H3K9me3"], "tss"].max() < 1.7
    assert marks.loc["H3K36me3", "tss"].max() < 0.95
    assert marks.loc["H3K36me3", "downstream"].min() > 1.2
    assert marks.loc[["H3K27me3", "H3K9me3"], "downstream"].max() < 1.1
    assert adata.uns["qc"]["correlations"]["spearman"].max() < 0.97


def test_real_blacklist(e116, public_file, caplog):
    adata = e116.copy()
    with caplog.at_level(logging.INFO):
        sct.pp.qc(adata, blacklist="hg19")
    assert adata.uns["qc"]["findings"] == []
    assert adata.uns["qc"]["left_out"]["n_genes"].tolist() == [7, 1_312]
    by_path = sct.pp.qc(e116, blacklist=public_file("abc/wgEncodeHg19ConsensusSignalArtifactRegions.bed"), copy=True)
    np.testing.assert_array_equal(by_path.obs["blacklist_overlap"], adata.obs["blacklist_overlap"])
    touched = np.flatnonzero(adata.obs["blacklist_overlap"])
    assert 10 < len(touched) < 200
    assert f"touches the windows of {len(touched)} of 18483 genes" in caplog.text
    chosen = adata.obs.iloc[[*touched[::3], *range(3)]]
    regions = pd.read_csv(
        public_file("abc/wgEncodeHg19ConsensusSignalArtifactRegions.bed"), sep="\t", header=None, usecols=[0, 1, 2]
    ).set_axis(["chrom", "start", "end"], axis=1)
    truth = shares(chosen, [sct.pp.Window.TSS, sct.pp.Window.BODY], regions)
    np.testing.assert_allclose(chosen["blacklist_overlap"], truth, atol=1e-12)


@pytest.mark.parametrize("pair", [("H3K4me3", "H3K4me1"), ("H3K27me3", "H3K36me3"), ("H3K4me3", "H3K9me3")])
def test_real_marks_swapped_are_found(e116, pair):
    adata = e116.copy()
    swap(adata, *pair)
    assert problems(adata) == dict.fromkeys(sorted(pair, key=CORE.index), "swapped")


def test_real_genes_left_unflipped_are_found(e116):
    adata = e116.copy()
    turn(adata, np.flatnonzero(adata.obs["strand"] == "-"))
    assert problems(adata) == dict.fromkeys(["H3K4me3", "H3K4me1", "H3K36me3"], "unoriented")
    adata.obs["strand"] = "+"  # as if strands had never been asked for
    assert problems(adata) == dict.fromkeys(["H3K4me3", "H3K4me1", "H3K36me3"], "unoriented")
    assert "The bins look unoriented" in adata.uns["qc"]["findings"][0]


def test_real_bins_shuffled_are_found(e116):
    adata = e116.copy()
    shuffle(adata)
    assert problems(adata) == dict.fromkeys(["H3K4me3", "H3K4me1", "H3K36me3"], "misplaced")
