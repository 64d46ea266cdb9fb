from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

LENGTH = 400_000
WINDOWS = [
    sct.pp.Window.TSS,
    sct.pp.Window.BODY,
    sct.pp.Window("end", anchor="tes", upstream=2_000, downstream=3_000, n_bins=25),
]


def random_peaks(rng: np.random.Generator, n: int = 1_500) -> pd.DataFrame:
    """Peaks that overlap, nest and touch, on two chromosomes."""
    start = np.sort(rng.integers(0, LENGTH, n))
    end = start + rng.integers(1, 2_000, n)
    end[::7] = np.maximum(np.append(start[1:], LENGTH)[::7], start[::7] + 1)
    return pd.DataFrame(
        {
            "chrom": rng.choice(["chr1", "chr2"], n),
            "start": start,
            "end": np.minimum(end, LENGTH),
            "signal": rng.gamma(2.0, 3.0, n) * (rng.random(n) < 0.9),
        }
    ).query("start < end")


@pytest.fixture
def peaks() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    return {mark: random_peaks(rng) for mark in ("H3K4me3", "H3K27me3")}


def one_gene(**columns: object) -> pd.DataFrame:
    gene = {"chrom": "chr1", "start": 10_000, "end": 14_000, "strand": "+", "tss": 10_000} | columns
    return pd.DataFrame(gene, index=["g"])


def one_peak(start: int, end: int, signal: float = 1.0, chrom: object = "chr1") -> dict[str, pd.DataFrame]:
    return {"M": pd.DataFrame({"chrom": [chrom], "start": [start], "end": [end], "signal": [signal]})}


def test_equals_a_loop_over_bins_and_peaks(peaks, genes, mean_signal):
    found = sct.pp.bin_peaks(peaks, genes, windows=WINDOWS).X
    expected = mean_signal(peaks, genes, WINDOWS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (expected == 0).any()
    assert (found >= 0).all()


def test_is_exactly_zero_outside_peaks(genes, mean_signal):
    sparse = {"M": random_peaks(np.random.default_rng(2), 40)}
    empty = mean_signal(sparse, genes, WINDOWS) == 0
    assert 0.2 < empty.mean() < 1
    assert not sct.pp.bin_peaks(sparse, genes, windows=WINDOWS).X[empty].any()


@pytest.mark.parametrize("signals", [(0.1, 0.2, 0.3), (0.1, 0.7, 0.2), (0.3, 0.1, 0.2), (0.7, 0.1, 0.3)])
@pytest.mark.parametrize("beneath", [False, True])
def test_rounding_leaves_no_trace_where_the_signal_is_zero(signals, beneath):
    """Sums such as .1 + .2 + .3 - .1 - .2 - .3 are not 0; a peak of signal 0 over the whole length changes nothing."""
    peaks = [(i, 10 + i, signal) for i, signal in enumerate(signals)] + [(0, 900_000, 0.0)] * beneath
    peaks.append((950_000, 950_010, 1.0))
    table = pd.DataFrame(peaks, columns=["start", "end", "signal"]).assign(chrom="chr1")
    far = one_gene(start=100_000, end=900_000, tss=100_000)
    values = sct.pp.bin_peaks({"M": table}, far, windows=[sct.pp.Window.BODY]).X
    assert (values >= 0).all()
    assert (values < 1e-12).all()
    assert beneath or not values.any()


def test_a_mirrored_genome_gives_the_same_bins(peaks, genes):
    mirrored = {
        mark: table.assign(start=LENGTH - table["end"], end=LENGTH - table["start"]) for mark, table in peaks.items()
    }
    turned = genes.assign(
        start=LENGTH - genes["end"],
        end=LENGTH - genes["start"],
        tss=LENGTH - genes["tss"],
        strand=genes["strand"].map({"+": "-", "-": "+"}),
    )
    np.testing.assert_allclose(
        sct.pp.bin_peaks(mirrored, turned, windows=WINDOWS).X,
        sct.pp.bin_peaks(peaks, genes, windows=WINDOWS).X,
        rtol=1e-5,
        atol=1e-5,
    )


def test_gene_order_and_other_genes_do_not_matter(peaks, genes):
    whole = sct.pp.bin_peaks(peaks, genes, windows=WINDOWS)
    some = sct.pp.bin_peaks(peaks, genes.iloc[[40, 3, 17]], windows=WINDOWS)
    np.testing.assert_array_equal(some.X, whole[some.obs_names].X)


def test_bins_by_hand():
    tss = sct.pp.Window("w", anchor="tss", upstream=200, downstream=200, n_bins=4)
    overlapping = {"M": pd.concat([one_peak(10_000, 10_050, 2.0)["M"], one_peak(10_000, 10_100, 3.0)["M"]])}
    np.testing.assert_allclose(sct.pp.bin_peaks(overlapping, one_gene(), windows=[tss]).X, [[0, 0, 4, 0]])
    minus = one_gene(strand="-", tss=14_000)
    np.testing.assert_allclose(sct.pp.bin_peaks(one_peak(14_100, 14_200), minus, windows=[tss]).X, [[1, 0, 0, 0]])
    body = sct.pp.Window("b", anchor="body", upstream=0, downstream=0, n_bins=4)
    np.testing.assert_allclose(sct.pp.bin_peaks(one_peak(13_500, 20_000), minus, windows=[body]).X, [[0.5, 0, 0, 0]])
    tes = sct.pp.Window("e", anchor="tes", upstream=100, downstream=100, n_bins=2)
    np.testing.assert_allclose(sct.pp.bin_peaks(one_peak(14_000, 14_100), one_gene(), windows=[tes]).X, [[0, 1]])
    np.testing.assert_allclose(sct.pp.bin_peaks(one_peak(10_000, 10_100), minus, windows=[tes]).X, [[1, 0]])


def test_unknown_strand_is_read_along_the_genome(peaks, genes):
    unknown = sct.pp.bin_peaks(peaks, genes.assign(strand="."), windows=[sct.pp.Window.TSS])
    plus = sct.pp.bin_peaks(peaks, genes.assign(strand="+"), windows=[sct.pp.Window.TSS])
    np.testing.assert_array_equal(unknown.X, plus.X)
    with pytest.raises(ValueError, match=r"60 of 60 genes .* 'g0'"):
        sct.pp.bin_peaks(peaks, genes.assign(strand="."))


def test_beyond_the_start_of_the_chromosome_is_zero_and_counted(caplog):
    caplog.set_level("INFO")
    window = sct.pp.Window("w", anchor="tss", upstream=300, downstream=100, n_bins=4)
    adata = sct.pp.bin_peaks(one_peak(0, 1_000), one_gene(tss=150), windows=[window])
    np.testing.assert_allclose(adata.X, [[0, 0.5, 1, 1]])
    assert "1 gene windows reach beyond the start" in caplog.text


def test_a_chromosome_without_peaks_is_zero_and_counted(peaks, genes, caplog):
    lonely = genes.assign(chrom=np.where(np.arange(len(genes)) < 5, "chrY", genes["chrom"]))
    adata = sct.pp.bin_peaks(peaks, lonely)
    assert not adata.X[:5].any()
    assert adata.X[5:].any()
    assert "5 genes for H3K4me3, 5 genes for H3K27me3" in caplog.text


def test_layout(peaks, genes):
    adata = sct.pp.bin_peaks(peaks, genes.assign(note="kept"))
    assert list(adata.var_names[[0, 99, 100, 200, 239]]) == [
        "H3K4me3:tss:-4950",
        "H3K4me3:tss:4950",
        "H3K27me3:tss:-4950",
        "H3K4me3:body:0.025",
        "H3K27me3:body:0.975",
    ]
    first, scaled = adata.var.iloc[0], adata.var.iloc[201]
    assert (first["mark"], first["region"], first["bin"]) == ("H3K4me3", "tss", 0)
    assert (first["start_bp"], first["end_bp"]) == (-5_000, -4_900)
    assert (scaled["bin"], scaled["start_bp"], scaled["end_bp"]) == (1, 0.05, 0.1)
    assert list(adata.obs["note"]) == ["kept"] * len(genes)
    assert list(adata.uns["windows"].index) == ["tss", "body"]
    for region, n_bins in (("tss", 100), ("body", 20)):
        columns = np.flatnonzero(adata.var["region"] == region)
        view = adata.X[:, columns[0] : columns[-1] + 1].reshape(len(genes), 2, n_bins)
        assert np.shares_memory(view, adata.X)
        np.testing.assert_array_equal(view[:, 1, 3], adata.X[:, columns[n_bins + 3]])


@pytest.mark.parametrize(
    ("name", "unit"), [("a.broadPeak", "peak signal"), ("a.bdg", "signal"), ("a.bed", "signal"), (None, "signal")]
)
def test_says_what_the_values_are(tmp_path, name, unit):
    sources = one_peak(10_000, 10_100)
    if name:
        columns = {"a.broadPeak": "p\t3\t.\t3\t1\t1", "a.bdg": "3", "a.bed": "p\t3\t."}[name]
        (tmp_path / name).write_text(f"chr1\t10000\t10100\t{columns}\n")
        sources = {"M": tmp_path / name}
    assert sct.pp.bin_peaks(sources, one_gene()).uns["units"] == {"signal": unit}


@pytest.mark.parametrize("written", [["chr1"], [1], ["1"]])
def test_other_chromosome_names_say_how_to_rename_and_that_works(written, tmp_path):
    path = tmp_path / "a.broadPeak"
    path.write_text("".join(f"{chrom}\t10000\t10100\t.\t0\t.\t3\t1\t1\n" for chrom in written))
    genes = one_gene(chrom="1" if written == ["chr1"] else "chr1")
    with pytest.raises(ValueError, match="genes and peaks share no chromosome name") as error:
        sct.pp.bin_peaks({"M": path}, genes)
    advice = re.search(r"table = .*?\(path\), set (table.*?), and pass", str(error.value))
    own = one_peak(10_000, 10_100, 3.0, chrom=1)["M"]  # a table of one's own may hold numbers
    namespace = {"table": own if written == [1] else sct.io.read_peaks(path)}
    exec(advice[1], namespace)
    assert sct.pp.bin_peaks({"M": namespace["table"]}, genes)[:, "M:tss:50"].X.item() == 3


def test_no_rename_is_advised_where_none_would_help():
    with pytest.raises(ValueError, match=r"\(genes: chr1; peaks: chrI\)"):
        sct.pp.bin_peaks(one_peak(0, 10, chrom="chrI"), one_gene())


@pytest.mark.parametrize(
    ("genes", "windows", "message"),
    [
        (one_gene().iloc[:0], WINDOWS, "no genes: the gene table is empty"),
        (pd.concat([one_gene(), one_gene()]), WINDOWS, "1 gene ids occur more than once, such as 'g'"),
        (one_gene().drop(columns="end"), WINDOWS, "no column end"),
        (one_gene(strand="?"), WINDOWS, r"strand holds \['\?'\]"),
        (one_gene(end=10_000), WINDOWS, "1 of 1 genes lack"),
        (one_gene(tss=np.nan), [sct.pp.Window.TSS], "1 of 1 genes lack"),
        (one_gene(), [], r"windows are named \[\]"),
        (one_gene(), [sct.pp.Window.TSS] * 2, "each with a name of its own"),
    ],
)
def test_bad_genes_or_windows_are_refused(genes, windows, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.bin_peaks(one_peak(0, 10), genes, windows=windows)


@pytest.mark.parametrize(
    ("peaks", "message"),
    [
        ({}, "no marks"),
        (one_peak(0, 10, -1.0), "M: 1 of 1 peaks have a negative signal"),
        (one_peak(0, 10, np.nan), "M: 1 of 1 peaks have a missing or infinite signal"),
        (one_peak(10, 10), "M: 1 of 1 peaks have an end that is not after its start"),
        ({"M": one_peak(0, 10)["M"].iloc[:0]}, "M: no peaks at all"),
        ({"M": one_peak(0, 10)["M"].drop(columns="signal")}, "M: no column signal"),
    ],
)
def test_bad_peaks_are_refused(peaks, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.bin_peaks(peaks, one_gene())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"anchor": "middle"}, "anchor is 'middle'; choose one of tss, tes, body"),
        ({"name": "a:b"}, "without ':'"),
        ({"n_bins": 0}, "n_bins is 0"),
        ({"upstream": -10, "downstream": 10}, "is empty"),
        ({"anchor": "body"}, "expected upstream=0 and downstream=0"),
    ],
)
def test_impossible_windows_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.Window(**{"name": "w", "anchor": "tss", "upstream": 10, "downstream": 10, "n_bins": 2, **changed})
