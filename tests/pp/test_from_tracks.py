from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.datasets._roadmap import CORE_MARKS
from simplechrome_tk.io._public import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARKS = list(CORE_MARKS)
GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr1", "chr2"],
        "start": [20_000, 60_000, 90_000, 20_000],
        "end": [30_000, 70_000, 91_000, 40_000],
        "strand": ["+", "-", ".", "-"],
        "symbol": ["AAA", "BBB", "CCC", "DDD"],
    },
    index=[f"ENSG0000000000{i}" for i in range(1, 5)],
)


def peaks(signal: float) -> pd.DataFrame:
    return pd.DataFrame({"chrom": ["chr1", "chr2"], "start": 0, "end": 100_000, "signal": signal})


def broad(path, signal: float):
    rows = [f"{chrom}\t0\t100000\tp\t0\t.\t{signal}\t1\t1\n" for chrom in ("chr1", "chr2")]
    path.write_text("".join(rows))
    return path


@pytest.fixture(scope="session")
def bigwig() -> Callable[[str], Path]:
    """Path of a real bigWig; these have no public address, so that nothing can fetch them."""

    def find(name: str) -> Path:
        path = cache_folder() / "bigwig" / name
        if not path.exists():
            assert os.environ.get("SIMPLECHROME_TK_REQUIRE_DATA", "0") == "0", f"{path} is not there"
            pytest.skip(f"needs real data: {path}")
        return path

    return find


@pytest.fixture
def tracks(tmp_path):
    return {"H3K4me3": broad(tmp_path / "a.broadPeak", 3.0), "H3K27me3": peaks(2.0)}


@pytest.fixture
def expression() -> pd.Series:
    return pd.Series([5.0, 1.0, 9.0, 4.0], index=["ENSG00000000004.2", "ENSG00000000001.1", "OTHER", "ENSG00000000003"])


def test_obs_is_that_of_the_public_data_sets(tracks, expression, e116):
    adata = sct.pp.from_tracks(tracks, GENES, expression, cell_type="mine")
    ours = list(adata.obs)
    assert ours[: e116.obs.shape[1]] == list(e116.obs)
    assert ours[e116.obs.shape[1] :] == ["gene_id", "transcript", "tss_rule"]
    assert adata.obs[["expression", "label", "cell_type"]].dtypes.map(str).tolist() == [
        *("float64", "category", "category")
    ]
    assert list(adata.obs_names) == [f"ENSG0000000000{i}" for i in (1, 2, 4)]
    assert list(adata.obs["tss"]) == [20_000, 70_000, 40_000]
    pd.testing.assert_frame_equal(adata.uns["windows"], e116.uns["windows"])
    assert adata.obs["expression"].isna().tolist() == [False, True, False]
    assert adata.obs["label"].astype(object).fillna("").tolist() == ["low", "", "high"]
    assert adata.uns["label_expression"]["thresholds"]["threshold"].to_dict() == {"mine": 4.0}


def test_the_log_counts_genes_and_what_does_not_match(tracks, expression, caplog):
    caplog.set_level("INFO")
    sct.pp.from_tracks(tracks, GENES, expression)
    assert "3 genes by 240 columns; 1 left out, which lack the strand or body" in caplog.text
    assert "1 genes without expression (kept, without label): ENSG00000000002; 1 ids of the exp" in caplog.text
    assert "that are not in the annotation: OTHER." in caplog.text
    assert {record.levelname for record in caplog.records if ".pp." in record.name} == {"INFO"}


def test_what_was_left_out_is_listed_and_survives_a_file(tracks, expression, tmp_path):
    adata = sct.pp.from_tracks(tracks, GENES, expression, unit="rpkm")
    assert adata.uns["units"]["expression"] == "RPKM"
    adata = sct.pp.from_tracks(tracks, GENES, expression.rename("TPM"))
    adata.write_h5ad(tmp_path / "a.h5ad")
    record = ad.read_h5ad(tmp_path / "a.h5ad").uns["from_tracks"]
    assert list(record["left_out"]) == ["ENSG00000000003"]
    assert list(record["genes_without_expression"]) == ["ENSG00000000002"]
    assert list(record["expression_without_gene"]) == ["OTHER"]
    assert list(record["marks"]) == list(tracks)
    assert list(record["tracks"]) == [str(tracks["H3K4me3"]), "a table"]
    assert (record["unit"], record["column"], record["tss"]) == ("tpm", "TPM", "canonical")
    assert record["counts"]["annotation_unknown_strand"] == record["counts"]["left_out"] == 1


def test_without_expression_there_is_no_label(tracks):
    adata = sct.pp.from_tracks(tracks, GENES, windows=[sct.pp.Window.TSS])
    assert adata.n_obs == 4
    assert not {"expression", "label", "cell_type"} & set(adata.obs)
    assert "label_expression" not in adata.uns
    assert adata.obs["annotated"].tolist() == [True, True, False, True]


def test_every_tss_of_a_gene_has_its_expression_and_counts_once(tracks):
    rows = pd.concat([GENES, GENES.iloc[[0]].assign(start=21_000), GENES.iloc[[0]].assign(start=22_000)])
    expression = pd.Series([1.0, 2.0, 3.0], index=GENES.index[[0, 1, 3]])
    adata = sct.pp.from_tracks(tracks, rows, expression, tss="all")
    assert list(adata.obs_names)[:3] == [f"ENSG00000000001:tss{i}" for i in (1, 2, 3)]
    assert list(adata.obs["expression"]) == [1, 1, 1, 2, 3]
    assert list(adata.obs["label"]) == ["low"] * 4 + ["high"]
    assert list(adata.obs["tss"])[:3] == [20_000, 21_000, 22_000]


def test_symbols_are_told_how_to_match(tracks):
    by_symbol = pd.Series([1.0, 2.0, 3.0, 4.0], index=GENES["symbol"])
    with pytest.raises(
        ValueError,
        match=r"expression: 'AAA'; annotation: 'ENSG00000000001'.*4 of its ids are symbols",
    ):
        sct.pp.from_tracks(tracks, GENES, by_symbol)
    genes = sct.io.read_annotation(GENES)
    adata = sct.pp.from_tracks(tracks, genes.set_index("symbol", drop=False), by_symbol)
    assert adata.obs["expression"].tolist() == [1.0, 2.0, 4.0]


def test_ids_that_match_nothing_are_refused(tracks):
    with pytest.raises(ValueError, match=r"expression: 'X'; annotation: 'ENSG00000000001'"):
        sct.pp.from_tracks(tracks, GENES, pd.Series([1.0], index=["X"]))


@pytest.mark.parametrize(
    ("track", "error", "message"),
    [
        ([], ValueError, "M: the list of tracks is empty"),
        (["a.bw", 5], ValueError, "M is an int"),
        (["none.bw", "nor.bw"], FileNotFoundError, r"M \(file 1 of 2\): there is no file none\.bw"),
        (["a.bw", "./a.bw"], ValueError, r"M: \./a\.bw is given twice"),
        (5, ValueError, "M is an int"),
        ("https://a.org/a.bw", ValueError, r"M: https://a\.org/a\.bw is a web address"),
        (".", ValueError, r"M: \. is a folder"),
        ("none.bw", FileNotFoundError, r"M: there is no file none\.bw"),
    ],
)
def test_tracks_that_cannot_be_read_are_named(track, error, message):
    with pytest.raises(error, match=message):
        sct.pp.from_tracks({"M": track}, GENES)


def test_no_tracks_and_no_usable_gene_are_refused(tracks):
    with pytest.raises(ValueError, match="no tracks: `tracks` is empty"):
        sct.pp.from_tracks({}, GENES)
    with pytest.raises(ValueError, match=r"4 genes.*windows=\[sct\.pp\.Window\.TSS\]"):
        sct.pp.from_tracks(tracks, GENES.assign(strand="."))


def test_the_caller_s_tables_are_left_as_found(tracks, expression):
    genes, values = GENES.copy(), expression.copy()
    sct.pp.from_tracks(tracks, GENES, expression)
    pd.testing.assert_frame_equal(GENES, genes)
    pd.testing.assert_series_equal(expression, values)


def test_formats_may_be_mixed_and_marks_keep_their_order(tracks, public_file, bigwig):
    h3k4me3 = bigwig("E116-H3K4me3.pilot.hg19.bw")
    peak = public_file("targetfinder/GM12878/peaks/wgEncodeBroadHistoneGm12878H3k36me3StdPk.broadPeak.gz")
    bounds = public_file("abc/CollapsedGeneBounds.hg19.bed")
    order = {"H3K36me3": peak, "H3K4me3": h3k4me3, "H3K27me3": tracks["H3K27me3"]}
    genes = sct.io.read_annotation(bounds).query("chrom in ('chr1', 'chr2')").head(300)
    mixed = sct.pp.from_tracks(order, genes)
    assert list(mixed.var["mark"].cat.categories) == list(order)
    assert list(mixed.var["mark"].unique()) == list(order)
    assert mixed.var_names[[0, 100, 200, 300]].tolist() == [
        *("H3K36me3:tss:-4950", "H3K4me3:tss:-4950", "H3K27me3:tss:-4950", "H3K36me3:body:0.025")
    ]
    alone = sct.pp.from_tracks({"H3K4me3": h3k4me3}, genes)
    np.testing.assert_array_equal(mixed[:, alone.var_names].X, alone.X)
    alone = sct.pp.bin_peaks({mark: order[mark] for mark in ("H3K36me3", "H3K27me3")}, mixed.obs)
    np.testing.assert_array_equal(mixed[:, alone.var_names].X, alone.X)
    pd.testing.assert_frame_equal(mixed.uns["windows"], alone.uns["windows"])
    assert list(Layout.of(mixed).blocks["mark"]) == [*order, *order]


def bam(path, starts: list[int]) -> Path:
    """An indexed BAM file of reads of 50 bp on the plus strand of chr1."""
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": "chr1", "LN": 200_000}, {"SN": "chr2", "LN": 90_000}],
    }
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for i, start in enumerate(sorted(starts)):
            read = pysam.AlignedSegment(file.header)
            read.query_name, read.reference_id, read.reference_start = f"r{i}", 0, start
            read.query_sequence, read.cigarstring, read.mapping_quality = "A" * 50, "50M", 60
            file.write(read)
    pysam.index(str(path))
    return path


def test_reads_and_their_control(tmp_path):
    chip = bam(tmp_path / "chip.bam", [20_010] * 3 + [20_110])
    background = bam(tmp_path / "input.bam", [20_010, 50_000])
    kwargs = {"windows": [sct.pp.Window.TSS], "reads": {"shift": 0}}
    adata = sct.pp.from_tracks({"H3K4me3": chip}, GENES.head(1), **kwargs)
    assert adata.uns["units"] == {"signal": "reads per bin"}
    bins = adata[:, ["H3K4me3:tss:50", "H3K4me3:tss:150"]]
    assert bins.X.tolist() == [[3, 1]]
    assert adata.X.sum() == 4
    assert list(adata.uns["reads"].index) == ["H3K4me3"]
    for control in (background, {"H3K4me3": background}):
        adata = sct.pp.from_tracks(
            {"H3K4me3": chip}, GENES.head(1), control=control, control_method="subtract", **kwargs
        )
        scale = adata.uns["subtract_control"]["scale"].item()
        assert adata.uns["units"]["signal"] == "reads per bin above control"
        assert adata[:, bins.var_names].X.tolist() == [[3 - scale, 1]]
        assert adata.uns["from_tracks"]["control"].tolist() == [str(background)]
    tag_align = tmp_path / "chip.tagAlign"
    tag_align.write_text("".join(f"chr1\t{start}\t{start + 50}\tN\t60\t+\n" for start in [20_010] * 3 + [20_110]))
    again = sct.pp.from_tracks({"H3K4me3": tag_align}, GENES.head(1), **kwargs)
    assert again[:, bins.var_names].X.tolist() == [[3, 1]]


def test_mixed_formats_keep_genes_without_expression_strand_or_body(tmp_path):
    (tmp_path / "a.bdg").write_text("chr1\t0\t100000\t3\nchr2\t0\t50000\t3\n")
    tracks = {"H3K4me3": bam(tmp_path / "chip.bam", [20_010]), "H3K27me3": tmp_path / "a.bdg"}
    genes = GENES.assign(start=GENES["start"].where(GENES["strand"] != "."), tss=[20_000, 70_000, 90_000, 40_000])
    values = pd.Series([1.0, 2.0], index=GENES.index[[0, 3]])
    windows = [sct.pp.Window.TSS]
    mixed = sct.pp.from_tracks(tracks, genes, values, windows=windows, cell_type="mine")
    alone = sct.pp.from_tracks({"H3K27me3": tracks["H3K27me3"]}, genes, values, windows=windows, cell_type="mine")
    pd.testing.assert_frame_equal(mixed.obs, alone.obs)
    np.testing.assert_array_equal(mixed[:, alone.var_names].X, alone.X)
    assert alone.X.max() == 3
    assert "signal" not in mixed.uns.get("units", {})
    told = sct.pp.from_tracks(tracks, genes, values.rename("TPM"), windows=windows)
    assert told.uns["units"] == {"expression": "TPM"}


def test_a_control_of_another_format_is_refused(tracks, tmp_path):
    (tmp_path / "input.bam").touch()
    with pytest.raises(ValueError, match=r"H3K27me3 by bin_peaks and control by bin_reads"):
        sct.pp.from_tracks(tracks, GENES, control=tmp_path / "input.bam")
    adata = sct.pp.from_tracks(tracks, GENES, control=peaks(2.0), control_method="subtract")
    assert adata[:, "H3K4me3:tss:50"].X.max() == 1
    assert adata[:, "H3K27me3:tss:50"].X.max() == 0


@pytest.mark.parametrize("cell", ["E003", "E116"])
def test_real_bigwigs_annotation_and_expression_make_what_roadmap_makes(public_file, bigwig, e116, cell, tmp_path):
    tracks = {mark: bigwig(f"{cell}-{mark}.pilot.hg19.bw") for mark in MARKS}
    pilot = pd.read_csv(bigwig("pilot_regions_hg19.csv"))
    genes = sct.io.read_annotation(public_file("abc/CollapsedGeneBounds.hg19.bed"), genome="hg19")
    inside = np.zeros(len(genes), bool)
    for region in pilot.itertuples():
        inside |= (
            (genes["chrom"] == region.chrom) & genes["tss"].between(region.start + 5_000, region.end - 5_000)
        ).array
    listed = pd.read_csv(public_file("shallowchrome/GeneFile.txt"), sep="\t", header=None)[3].str.split("_").str[0]
    rpkm = np.loadtxt(public_file(f"shallowchrome/targets/{cell}/T.csv"))
    path = tmp_path / "rpkm.csv"
    pd.DataFrame({"gene_id": listed + ".1", "RPKM": rpkm}).drop_duplicates("gene_id").to_csv(path, index=False)

    adata = sct.pp.from_tracks(tracks, genes[inside], path, cell_type=cell, genome=public_file("abc/chrom_sizes.tsv"))
    assert 300 < adata.n_obs < 500
    assert list(adata.var_names) == list(e116.var_names)
    pd.testing.assert_frame_equal(adata.var, e116.var)
    assert list(adata.obs)[: e116.obs.shape[1]] == list(e116.obs)
    assert adata.uns["from_tracks"]["unit"] == "rpkm"

    both = adata.obs_names.intersection(e116.obs_names)
    assert len(both) > 250
    ours, public = adata[both], e116[both]
    if cell == "E116":
        np.testing.assert_allclose(ours.obs["expression"], public.obs["expression"])
        mean = [np.log1p(table[:, table.var["mark"] == "H3K4me3"].X[:, 30:70].mean(axis=1)) for table in (ours, public)]
        assert np.corrcoef(*mean)[0, 1] > 0.8
    assert (adata.X >= 0).all()
    high = ours.obs["label"] == "high"
    promoter = ours[:, [name for name in ours.var_names if name.startswith("H3K4me3:tss")]].X.mean(axis=1)
    assert promoter[high].mean() > 1.5 * promoter[(ours.obs["label"] == "low").to_numpy()].mean()


def test_tracks_that_are_no_dict_are_refused(tmp_path):
    for tracks in (["a.bw"], "a.bw", tmp_path / "a.bw"):
        with pytest.raises(ValueError, match=r"tracks is of type .*\{'H3K4me3'"):
            sct.pp.from_tracks(tracks, GENES)
    with pytest.raises(FileNotFoundError, match=r"control \(file 1 of 2\): there is no file a\.bw"):
        sct.pp.from_tracks({"M": peaks(1.0)}, GENES, control=("a.bw", "b.bw"))


def wiggle(path, sizes: dict[str, int]) -> Path:
    """A bigWig file with signal 5 on the first 100 kb of chr1."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(sizes.items()))
        file.addEntries(["chr1"], [0], ends=[100_000], values=[5.0])
    return path


HG19, HG38 = 249_250_621, 248_956_422
BOTH = r"chr1 has 248,956,422 bp in {0}\S* .*\(as in GRCh38, hg38\) and 249,250,621 bp in {1}.*\(as in GRCh37, hg19\)"


def test_a_track_of_another_assembly_is_refused_with_both_lengths(tmp_path):
    old, new = wiggle(tmp_path / "19.bw", {"chr1": HG19}), wiggle(tmp_path / "38.bw", {"chr1": HG38})
    gtf = tmp_path / "v44.gtf"
    gtf.write_text('#!genome-build GRCh38.p14\nchr1\tx\tgene\t20001\t30000\t.\t+\t.\tgene_id "A";\n')
    for annotation in (gtf, sct.io.read_annotation(gtf)):
        with pytest.raises(ValueError, match=BOTH.format("", "K4")):
            sct.pp.from_tracks({"K4": old}, annotation)
        assert sct.pp.from_tracks({"K4": new}, annotation).X.max() == 5
    genes = GENES.head(2)
    with pytest.raises(ValueError, match=BOTH.format("genome", "K4")):
        sct.pp.from_tracks({"K4": old}, genes, genome="hg38")
    with pytest.raises(ValueError, match=BOTH.format("K4", "K27")):
        sct.pp.from_tracks({"K4": new, "K27": old}, genes)
    with pytest.raises(ValueError, match=BOTH.format("K4", "control")):
        sct.pp.from_tracks({"K4": new}, genes, control=old)
    reads = bam(tmp_path / "chip.bam", [20_010])
    with pytest.raises(ValueError, match=r"chr1 has 248,956,422 bp in genome .* and 200,000 bp in K9 \("):
        sct.pp.from_tracks({"K9": reads}, genes, genome="hg38")
    with pytest.raises(ValueError, match=r"chr1 has 248,956,422 bp in K4 .* and 200,000 bp in K9 \("):
        sct.pp.from_tracks({"K4": new, "K9": reads}, genes)
    for name, row in (
        ("a.narrowPeak", "chr1\t249200000\t249250000\tp\t10\t.\t5\t1\t1\t10\n"),
        ("a.tagAlign", "chr1\t249200000\t249250000\tN\t60\t+\n"),
    ):
        (tmp_path / name).write_text(row)
        for tracks, genome in (({"M": tmp_path / name}, "hg38"), ({"K4": new, "M": tmp_path / name}, None)):
            with pytest.raises(
                ValueError, match=r"M .*reach beyond the end of chr1: on chr1 to 249,250,000, and chr1 has 248,95"
            ):
                sct.pp.from_tracks(tracks, genes, genome=genome)


def test_a_gene_beyond_the_end_of_the_tracks_is_left_out_and_listed(tmp_path, caplog):
    track = wiggle(tmp_path / "a.bw", {"chr1": 100_000, "chr2": 50_000})
    genes = pd.concat([GENES, GENES.iloc[[0]].assign(start=99_000, end=120_000).set_axis(["ODD"])])
    genes = pd.concat([genes, genes.tail(1).assign(start=500, end=90).set_axis(["BACK"])])
    adata = sct.pp.from_tracks({"M": track}, genes)
    assert list(adata.obs_names) == list(GENES.index[[0, 1, 3]])
    record = adata.uns["from_tracks"]
    assert list(record["annotation_left_out"]) == [
        "BACK (chr1:500-90): backwards",
        "ODD (chr1:99,000-120,000): beyond_end",
    ]
    assert (record["counts"]["annotation_beyond_end"], record["counts"]["annotation_genes"]) == (1, 4)
    assert "1 genes beyond the end of their chromosome left out: ODD (chr1:99,000-120,000)" in caplog.text
    adata.write_h5ad(tmp_path / "a.h5ad")


def test_a_copy_on_a_haplotype_does_not_take_the_signal_away(tracks):
    copy = GENES.iloc[[0]].assign(chrom="chr1_KI270762v1_alt", start=10, end=90)
    for genes in (pd.concat([copy, GENES]), pd.concat([GENES, copy])):
        adata = sct.pp.from_tracks(tracks, genes)
        assert adata.obs.loc[GENES.index[0], "chrom"] == "chr1"
        assert adata[GENES.index[0], "H3K4me3:tss:50"].X.item() == 3
        assert list(adata.uns["from_tracks"]["annotation_left_out"]) == [
            f"{GENES.index[0]} (chr1_KI270762v1_alt:10-90): alternate_copies"
        ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [0.0, 0.0, 0.0],
            "3 of 4 genes of the annotation have a value in column 'TPM', all of them 0; expected some above",
        ),
        ([3.0, np.nan, np.nan], "1 of 4 genes .* all of them 3"),
        ([1.0, 5.0, 5.0], "3 of 4 genes .* and half of them the largest, 5; .*Choose another column with column="),
    ],
)
def test_expression_that_labels_no_gene_high_is_refused(tracks, values, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.from_tracks(tracks, GENES, pd.Series(values, index=GENES.index[:3], name="TPM"))


def test_a_tss_that_is_no_place_is_refused(tracks):
    for tss in (np.inf, -np.inf, -5.0):
        genes = GENES.assign(tss=[20_000.0, tss, 90_000, 40_000])
        with pytest.raises(ValueError, match=r"1 of 4 rows have a tss that is no whole number from 0"):
            sct.pp.from_tracks(tracks, genes)
        with pytest.raises(ValueError, match=r"1 of 4 genes lack the position.*finite numbers from 0"):
            sct.pp.bin_peaks({"M": peaks(1.0)}, genes, windows=[sct.pp.Window.TSS])


# Replicates


def bedgraph(path, signal: float):
    path.write_text("".join(f"{chrom}\t0\t100000\t{signal}\n" for chrom in ("chr1", "chr2")))
    return path


def test_reads_of_replicates_are_summed(tmp_path):
    first = bam(tmp_path / "a.bam", [20_010] * 3 + [20_110])
    second = bam(tmp_path / "b.bam", [20_010, 25_000])
    background = [bam(tmp_path / "c.bam", [20_010]), bam(tmp_path / "d.bam", [20_010, 20_110])]
    kwargs = {"windows": [sct.pp.Window.TSS], "reads": {"shift": 0}, "control_method": "subtract"}
    adata = sct.pp.from_tracks({"H3K4me3": [first, second]}, GENES.head(1), **kwargs)
    bins = ["H3K4me3:tss:50", "H3K4me3:tss:150"]
    assert adata[:, bins].X.tolist() == [[4, 1]]
    assert list(adata.uns["reads"].index) == ["H3K4me3"]
    assert adata.uns["reads"].loc["H3K4me3", ["library", "counted"]].tolist() == [6, 6]
    assert adata.uns["from_tracks"]["tracks"] == [f"{first}; {second}"]
    table = adata.uns["from_tracks"]["replicates"]
    assert table["file"].tolist() == [str(first), str(second)]
    assert set(table["combined"]) == {"sum"}
    adata = sct.pp.from_tracks({"H3K4me3": [first, second]}, GENES.head(1), control=background, **kwargs)
    # The control holds 3 reads, all of them counted, and the sample 6.
    assert adata.uns["subtract_control"]["scale"].tolist() == [2.0]
    assert adata[:, bins].X.tolist() == [[0, 0]]
    assert adata.uns["from_tracks"]["replicates"]["mark"].tolist() == ["H3K4me3"] * 2 + ["control"] * 2


def test_signal_of_replicates_is_averaged_on_one_scale(tmp_path):
    files = [bedgraph(tmp_path / "a.bdg", 1.0), bedgraph(tmp_path / "b.bdg", 3.0)]
    tracks = {"H3K27me3": broad(tmp_path / "c.broadPeak", 5.0), "H3K4me3": files, "H3K9me3": peaks(7.0)}
    adata = sct.pp.from_tracks(tracks, GENES, windows=[sct.pp.Window.TSS])
    alone = sct.pp.from_tracks(tracks | {"H3K4me3": files[0]}, GENES, windows=[sct.pp.Window.TSS])
    pd.testing.assert_frame_equal(adata.var, alone.var)
    of_mark = (adata.var["mark"] == "H3K4me3").to_numpy()
    np.testing.assert_array_equal(adata.X[:, ~of_mark], alone.X[:, ~of_mark])
    np.testing.assert_allclose(adata.X[:, of_mark], 2 * alone.X[:, of_mark])
    table = adata.uns["from_tracks"]["replicates"]
    assert table["scale"].tolist() == pytest.approx([2.0, 2 / 3])
    assert table["combined"].tolist() == ["mean", "mean"]


def test_called_peaks_are_averaged_as_they_are(tmp_path, caplog):
    caplog.set_level("INFO")
    files = [broad(tmp_path / "a.broadPeak", 1.0), broad(tmp_path / "b.broadPeak", 3.0)]
    adata = sct.pp.from_tracks({"M": [*files, broad(tmp_path / "c.broadPeak", 0.5)]}, GENES)
    assert adata.X.max() == pytest.approx(1.5)
    assert adata.uns["from_tracks"]["replicates"]["scale"].tolist() == [1.0, 1.0, 1.0]
    assert "M: the mean of 3 files." in caplog.text
    adata.write_h5ad(tmp_path / "a.h5ad")


def test_replicates_of_two_formats_are_refused(tmp_path):
    files = [broad(tmp_path / "a.broadPeak", 1.0), bedgraph(tmp_path / "b.bdg", 3.0)]
    with pytest.raises(ValueError, match=r"replicates of M differ in format: M \(file 1 of 2\) is broadPeak and M"):
        sct.pp.from_tracks({"M": files}, GENES)


def test_a_replicate_without_signal_is_refused(tmp_path):
    files = [bedgraph(tmp_path / "a.bdg", 1.0), bedgraph(tmp_path / "b.bdg", 0.0)]
    with pytest.raises(ValueError, match=r"M: .*b\.bdg has no signal in any bin"):
        sct.pp.from_tracks({"M": files}, GENES)
