from __future__ import annotations

import gzip
import os
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct
from simplechrome_tk.io._bigwig import BigWig
from simplechrome_tk.io._public import cache_folder
from simplechrome_tk.pp import _bigwig

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"chr1": 400_000, "chr2": 350_000, "chr3": 1_000}
WINDOWS = [
    sct.pp.Window.TSS,
    sct.pp.Window.BODY,
    sct.pp.Window("end", anchor="tes", upstream=2_000, downstream=3_000, n_bins=7),
]
KINDS = ["bedgraph", "variable", "fixed"]


def random_intervals(rng: np.random.Generator, kind: str) -> pd.DataFrame:
    """Intervals with gaps, on two of three chromosomes; 25 bp long and, of kind "fixed", in runs of 25-bp steps."""
    tables = []
    for chrom in ("chr1", "chr2"):
        step = rng.integers(1, 60, 9_000) if kind == "bedgraph" else np.full(9_000, 25)
        gap = rng.integers(0, 300, 9_000) * (rng.random(9_000) < 0.05)
        start = np.cumsum(step + gap) - step
        start = start[start + step < SIZES[chrom]]
        signal = rng.gamma(0.5, 4.0, len(start)).astype(np.float32)
        end = start + step[: len(start)]
        tables.append(pd.DataFrame({"chrom": chrom, "start": start, "end": end, "signal": signal}))
    return pd.concat(tables, ignore_index=True)


def write_bigwig(path: Path, table: pd.DataFrame, kind: str = "bedgraph", sizes: dict[str, int] = SIZES) -> Path:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(sizes.items()))
        for chrom, group in table.groupby("chrom", sort=False):
            start, end = group["start"].to_numpy(np.int64), group["end"].to_numpy(np.int64)
            signal = group["signal"].to_numpy(float)
            if kind == "bedgraph":
                file.addEntries([chrom] * len(start), start, ends=end, values=signal)
            elif kind == "variable":
                file.addEntries(chrom, start, values=signal, span=25)
            else:
                for run in np.split(np.arange(len(start)), np.flatnonzero(np.diff(start) != 25) + 1):
                    file.addEntries(chrom, int(start[run[0]]), values=signal[run], span=25, step=25)
    return path


def one_gene(**columns: object) -> pd.DataFrame:
    gene = {"chrom": "chr1", "start": 10_000, "end": 14_000, "strand": "+", "tss": 10_000} | columns
    return pd.DataFrame(gene, index=["g"])


def one_interval(start: int, end: int, signal: float, chrom: str = "chr1") -> pd.DataFrame:
    return pd.DataFrame({"chrom": [chrom], "start": [start], "end": [end], "signal": [signal]})


@pytest.mark.parametrize("kind", KINDS)
def test_equals_an_oracle_peaks_and_bedgraph(tmp_path, genes, mean_signal, kind):
    rng = np.random.default_rng(0)
    tables = {mark: random_intervals(rng, kind) for mark in ("H3K4me3", "H3K27me3")}
    files = {mark: write_bigwig(tmp_path / f"{mark}.bw", table, kind) for mark, table in tables.items()}
    found = sct.pp.bin_bigwig(files, genes, windows=WINDOWS)
    assert found.X.dtype == np.float32
    np.testing.assert_allclose(found.X, mean_signal(tables, genes, WINDOWS), rtol=1e-5, atol=1e-5)
    peaks = sct.pp.bin_peaks(tables, genes, windows=WINDOWS)
    np.testing.assert_allclose(found.X, peaks.X, rtol=1e-6, atol=1e-6)
    pd.testing.assert_frame_equal(found.var, peaks.var)
    pd.testing.assert_frame_equal(found.obs, peaks.obs)
    assert list(found.uns) == list(peaks.uns)
    pd.testing.assert_frame_equal(found.uns["windows"], peaks.uns["windows"])
    for mark, table in tables.items():
        table.to_csv(tmp_path / f"{mark}.bedGraph.gz", sep="\t", header=False, index=False)
    bedgraph = sct.pp.bin_peaks({mark: tmp_path / f"{mark}.bedGraph.gz" for mark in tables}, genes, windows=WINDOWS)
    np.testing.assert_allclose(bedgraph.X, peaks.X, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_pybigwig_around_the_tss(tmp_path, genes, kind):
    path = write_bigwig(tmp_path / "a.bw", random_intervals(np.random.default_rng(2), kind), kind)
    found = sct.pp.bin_bigwig({"M": path}, genes, windows=[sct.pp.Window.TSS]).X
    with pyBigWig.open(str(path)) as file:
        for row, gene in zip(found, genes.itertuples(), strict=True):
            place = gene.chrom, gene.tss - 5_000, min(gene.tss + 5_000, SIZES[gene.chrom])
            sums = file.stats(*place, type="sum", nBins=100, exact=True)
            expected = np.array([value or 0.0 for value in sums]) / 100
            np.testing.assert_allclose(row, expected[:: -1 if gene.strand == "-" else 1], rtol=1e-5, atol=1e-5)


def test_equals_pybigwig_on_public_tracks():
    folder = cache_folder() / "bigwig"
    path = folder / "E116-H3K4me3.pilot.hg19.bw"
    if not path.exists() and os.environ.get("SIMPLECHROME_TK_REQUIRE_DATA", "0") == "0":
        pytest.skip(f"needs real data: {path} is not there")
    regions = pd.read_csv(folder / "pilot_regions_hg19.csv")
    rng = np.random.default_rng(0)
    middle = (regions["start"] + rng.integers(0, 400_000, len(regions))).to_numpy()
    genes = pd.DataFrame({"chrom": regions["chrom"], "tss": middle, "strand": rng.choice(["+", "-"], len(regions))})
    genes.index = genes.index.astype(str)
    found = sct.pp.bin_bigwig({"H3K4me3": path}, genes, windows=[sct.pp.Window.TSS]).X
    assert found.max() > 10
    with pyBigWig.open(str(path)) as file:
        for row, gene in zip(found, genes.itertuples(), strict=True):
            sums = file.stats(gene.chrom, gene.tss - 5_000, gene.tss + 5_000, type="sum", nBins=100, exact=True)
            expected = np.array([value or 0.0 for value in sums]) / 100
            np.testing.assert_allclose(row, expected[:: -1 if gene.strand == "-" else 1], rtol=1e-5, atol=1e-5)


def test_a_mirrored_genome_gives_the_same_bins(tmp_path, genes):
    length = SIZES["chr1"]
    table = random_intervals(np.random.default_rng(3), "bedgraph")
    mirrored = table.assign(start=length - table["end"], end=length - table["start"]).iloc[::-1]
    turned = genes.assign(
        start=length - genes["end"],
        end=length - genes["start"],
        tss=length - genes["tss"],
        strand=genes["strand"].map({"+": "-", "-": "+"}),
    )
    files = [
        write_bigwig(tmp_path / f"{i}.bw", t, sizes={"chr1": length, "chr2": length})
        for i, t in enumerate([table, mirrored.sort_values("chrom", kind="stable")])
    ]
    np.testing.assert_allclose(
        sct.pp.bin_bigwig({"M": files[1]}, turned, windows=WINDOWS).X,
        sct.pp.bin_bigwig({"M": files[0]}, genes, windows=WINDOWS).X,
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(("gap", "piece"), [(0, 997), (50_000, 1_000), (0, 10**9)])
def test_how_much_is_read_at_once_does_not_matter(tmp_path, genes, monkeypatch, gap, piece):
    path = write_bigwig(tmp_path / "a.bw", random_intervals(np.random.default_rng(4), "bedgraph"))
    expected = sct.pp.bin_bigwig({"M": path}, genes, windows=WINDOWS).X
    monkeypatch.setattr(_bigwig, "_GAP", gap)
    monkeypatch.setattr(_bigwig, "_PIECE", piece)
    some = genes.iloc[[40, 3, 17]]
    np.testing.assert_allclose(
        sct.pp.bin_bigwig({"M": path}, some, windows=WINDOWS).X, expected[[40, 3, 17]], rtol=1e-6, atol=1e-6
    )


def test_an_edge_within_a_base_and_a_gap_by_hand(tmp_path):
    path = write_bigwig(tmp_path / "a.bw", one_interval(10_000, 10_003, 6.0))
    gene = one_gene(start=10_000, end=10_010, tss=10_000)
    body = sct.pp.Window("b", anchor="body", upstream=0, downstream=0, n_bins=4)
    np.testing.assert_allclose(sct.pp.bin_bigwig({"M": path}, gene, windows=[body]).X, [[6, 1.2, 0, 0]], rtol=1e-6)


def test_beyond_either_end_of_the_chromosome_is_zero_and_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write_bigwig(tmp_path / "a.bw", one_interval(0, 1_000, 2.0, "chr3"))
    genes = pd.concat([one_gene(chrom="chr3", tss=150), one_gene(chrom="chr3", tss=950)]).set_index(
        pd.Index(["a", "b"])
    )
    window = sct.pp.Window("w", anchor="tss", upstream=300, downstream=100, n_bins=4)
    np.testing.assert_allclose(
        sct.pp.bin_bigwig({"M": path, "N": path}, genes, windows=[window])[:, "M:w:-250":"M:w:50"].X,
        [[0, 1, 2, 2], [2, 2, 2, 1]],
    )
    assert "2 gene windows reach beyond the start or end of their chromosome" in caplog.text


def test_a_chromosome_without_data_is_zero_and_counted(tmp_path, genes, caplog):
    path = write_bigwig(tmp_path / "a.bw", random_intervals(np.random.default_rng(5), "bedgraph"))
    genes = pd.concat([genes, one_gene(chrom="chr3", tss=500, start=500, end=700), one_gene(chrom="chrY")])
    genes.index = [f"g{i}" for i in range(len(genes))]
    adata = sct.pp.bin_bigwig({"H3K4me3": path}, genes)
    assert not adata.X[-2:].any()
    assert "2 genes for H3K4me3" in caplog.text


def test_missing_numbers_count_as_zero_and_are_logged(tmp_path, caplog):
    table = pd.concat([one_interval(10_000, 10_050, np.nan), one_interval(10_050, 10_100, 4.0)])
    path = write_bigwig(tmp_path / "a.bw", table)
    adata = sct.pp.bin_bigwig({"M": path}, one_gene(), windows=[sct.pp.Window.TSS])
    assert adata[:, "M:tss:50"].X.item() == 2.0
    assert f"M: 1 intervals in {path} have no value" in caplog.text


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [True, False])
def test_reads_either_byte_order_and_sections_that_are_not_compressed(tmp_path, order, compressed):
    """As UCSC's tools write them on big-endian machines, and with -unc."""
    path = tmp_path / "a.bw"
    path.write_bytes(tiny_bigwig(order, compressed=compressed))
    with BigWig(path) as file:
        assert file.sizes == {"chr1": 20_000, "chr2": 500}
        assert file.chroms == {"chr1"}
        start, end, signal = file.intervals("chr1", 0, 20_000)
        assert [start.tolist(), end.tolist(), signal.tolist()] == [[10_000], [10_100], [2.5]]
    assert sct.pp.bin_bigwig({"M": path}, one_gene())[:, "M:tss:50"].X.item() == 2.5


def tiny_bigwig(order: str = "<", *, compressed: bool = True, end: int | None = None) -> bytes:
    """A bigWig file with one interval, its tree of chromosomes two levels high; `end` cuts the section."""
    section = struct.pack(order + "IIIIIBBHIIf", 0, 10_000, 10_100, 0, 0, 1, 0, 1, 10_000, 10_100, 2.5)
    section = zlib.compress(section)[:end] if compressed else section
    chroms = 64
    leaf = chroms + 32 + 4 + 12
    data = leaf + 4 + 2 * 12
    index = data + 4 + len(section)
    return b"".join(
        [
            struct.pack(order + "IHHQQQHHQQIQ", 0x888FFC26, 4, 0, chroms, data, index, 0, 0, 0, 0, 999 * compressed, 0),
            struct.pack(order + "IIIIQQ", 0x78CA8C91, 2, 4, 8, 2, 0),
            struct.pack(order + "BBH4sQ", 0, 0, 1, b"chr1", leaf),
            struct.pack(order + "BBH4sII4sII", 1, 0, 2, b"chr1", 0, 20_000, b"chr2", 1, 500),
            struct.pack(order + "I", 1),
            section,
            struct.pack(order + "IIQIIIIQII", 0x2468ACE0, 256, 1, 0, 10_000, 0, 10_100, index, 1, 0),
            struct.pack(order + "BBHIIIIQQ", 1, 0, 1, 0, 10_000, 0, 10_100, data + 4, len(section)),
        ]
    )


TINY = tiny_bigwig(compressed=False)
DATA, INDEX = struct.unpack_from("<QQ", TINY, 16)


@pytest.mark.parametrize(
    ("offset", "form", "value", "message"),
    [
        (8, "Q", 2**63, "ends before byte"),
        (64, "I", 1, "no list of chromosomes"),
        (64 + 8, "I", 2**31, "no list of chromosomes"),
        (64 + 32 + 4 + 4, "Q", 64 + 32, "has no end"),
        (64 + 32 + 4 + 12 + 4 + 12, "4s", b"chr1", "share a name"),
        (64 + 32 + 4 + 12 + 4, "4s", b"\xff\xff", "name is no text"),
        (INDEX, "I", 1, "no index"),
        (INDEX + 48 + 2, "H", 9, "has no end"),
        (INDEX + 48 + 4, "I", 9, "number 9"),
        (INDEX + 48 + 28, "Q", 2**40, "ends before byte"),
        (INDEX + 48 + 28, "Q", 3, "chr1 is too short"),
        (DATA + 4, "I", 1, "kind 1, for chromosome number 1"),
        (DATA + 4 + 20, "B", 7, "of kind 7"),
        (DATA + 4 + 22, "H", 9, "fewer than its 9 values"),
        (DATA + 4 + 24, "I", 10_100, "chr1 are empty, overlap"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, offset, form, value, message):
    damaged = bytearray(TINY)
    struct.pack_into("<" + form, damaged, offset, value)
    (tmp_path / "a.bw").write_bytes(damaged)
    with pytest.raises(ValueError, match=message) as error:
        sct.pp.bin_bigwig({"M": tmp_path / "a.bw"}, one_gene())
    assert f"{tmp_path / 'a.bw'}: the bigWig file is truncated or damaged" in str(error.value)


@pytest.mark.parametrize("data", [b"", b"chr1\t1\t2\n", b"BAM\1", struct.pack("<I", 0x8789F2EB) + bytes(100)])
def test_another_format_is_refused(tmp_path, data):
    (tmp_path / "a.bw").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.bw: .* sct\.pp\.bin_peaks"):
        sct.pp.bin_bigwig({"M": tmp_path / "a.bw"}, one_gene())


def test_the_error_for_a_gzipped_file_says_how_to_unpack_it(tmp_path):
    (tmp_path / "a.bw").write_bytes(gzip.compress(TINY))
    with pytest.raises(ValueError, match=r"gunzip .*a\.bw"):
        sct.pp.bin_bigwig({"M": tmp_path / "a.bw"}, one_gene())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bw"):
        sct.pp.bin_bigwig({"M": tmp_path / "nowhere.bw"}, one_gene())


@pytest.mark.parametrize(("value", "problem"), [(-0.5, "negative"), (np.inf, "infinite")])
def test_negative_and_infinite_signal_is_refused(tmp_path, value, problem):
    (tmp_path / "a.bw").write_bytes(TINY.replace(struct.pack("<f", 2.5), struct.pack("<f", value)))
    with pytest.raises(ValueError, match=rf"a\.bw holds {problem} signal, such as {value:g} at chr1:10000-10100"):
        sct.pp.bin_bigwig({"M": tmp_path / "a.bw"}, one_gene())


def test_a_file_without_data_is_refused(tmp_path):
    empty = bytearray(TINY)
    struct.pack_into("<H", empty, INDEX + 48 + 2, 0)
    (tmp_path / "a.bw").write_bytes(empty)
    with pytest.raises(ValueError, match=r"a\.bw: no signal at all"):
        sct.pp.bin_bigwig({"M": tmp_path / "a.bw"}, one_gene())


def test_genes_of_another_assembly_are_refused(tmp_path, genes):
    path = write_bigwig(tmp_path / "a.bw", one_interval(0, 10, 1.0))
    moved = genes.assign(end=genes["end"] + (genes["chrom"] == "chr1") * 400_000)
    on_first = int((genes["chrom"] == "chr1").sum())
    with pytest.raises(ValueError, match=rf"a.bw\): {on_first} of 60 genes .* 400,000 bp"):
        sct.pp.bin_bigwig({"M": path}, moved)
    assert sct.pp.bin_bigwig({"M": path}, moved, windows=[sct.pp.Window.TSS]).n_obs == 60


@pytest.mark.parametrize(("in_file", "in_genes"), [("chr1", "1"), ("1", "chr1")])
def test_other_chromosome_names_say_how_to_rename_and_that_works(tmp_path, in_file, in_genes):
    path = write_bigwig(tmp_path / "a.bw", one_interval(10_000, 10_100, 3.0, in_file), sizes={in_file: 20_000})
    genes = one_gene(chrom=in_genes)
    with pytest.raises(ValueError, match=f"genes: {in_genes}; the track: {in_file}") as error:
        sct.pp.bin_bigwig({"M": path}, genes)
    exec(str(error.value).partition("sct.io.read_annotation(path)): ")[2].rstrip("."), {"genes": genes})
    assert sct.pp.bin_bigwig({"M": path}, genes)[:, "M:tss:50"].X.item() == 3


def test_no_tracks_are_refused():
    with pytest.raises(ValueError, match="no marks"):
        sct.pp.bin_bigwig({}, one_gene())


def test_a_track_without_the_chromosomes_of_the_genes_is_refused(tmp_path):
    path = write_bigwig(tmp_path / "a.bw", one_interval(0, 10, 1.0, "chr2"))
    with pytest.raises(ValueError, match=r"\(genes: chr1; the track: chr2\)"):
        sct.pp.bin_bigwig({"M": path}, one_gene())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    table = random_intervals(np.random.default_rng(6), "bedgraph")
    return write_bigwig(tmp_path_factory.mktemp("whole") / "a.bw", table)


@pytest.fixture(scope="module")
def undamaged(whole) -> np.ndarray:
    """The bins that are read from the whole file."""
    return sct.pp.bin_bigwig({"M": whole}, one_gene()).X


def read_or_refuse(path: Path, content: bytes) -> np.ndarray | None:
    """Return the bins that a file gives, or None when it is refused by its name."""
    path.write_bytes(content)
    try:
        return sct.pp.bin_bigwig({"M": path}, one_gene()).X
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
        return None


NUMBER = st.sampled_from([0, 1, 255, 2**16, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_changes_no_value(tmp_path, whole, undamaged, data):
    """Damage to the header, the chromosomes and the sections, whose checksums tell it; what follows is the index."""
    content = bytearray(whole.read_bytes())
    (index,) = struct.unpack_from("<Q", content, 24)
    for place in data.draw(st.lists(st.integers(0, 600) | st.integers(0, index - 4), max_size=4)):
        content[place : place + 4] = struct.pack("<I", data.draw(NUMBER))
    end = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    found = read_or_refuse(tmp_path / "a.bw", bytes(content[:end]))
    if found is not None:
        np.testing.assert_array_equal(found, undamaged)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_to_the_index_loses_sections_at_most(tmp_path, whole, undamaged, data):
    """The index has no checksum: a section that it no longer lists is missing without a trace, and its bins are 0."""
    content = bytearray(whole.read_bytes())
    (index,) = struct.unpack_from("<Q", content, 24)
    place = data.draw(st.integers(index, index + 48 + 4 + 8 * 32))
    content[place : place + 4] = struct.pack("<I", data.draw(NUMBER))
    found = read_or_refuse(tmp_path / "a.bw", bytes(content))
    if found is not None:
        assert ((found == undamaged) | (found < undamaged)).all()


@pytest.mark.parametrize("end", [-1, -4, -5])
def test_a_section_without_its_checksum_is_refused(tmp_path, end):
    """Damage near the end of a section may hide that end: then zlib neither compares the checksum nor raises."""
    (tmp_path / "a.bw").write_bytes(tiny_bigwig(end=end))
    with pytest.raises(ValueError, match="its end is missing"):
        sct.pp.bin_bigwig({"M": tmp_path / "a.bw"}, one_gene())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=400))
def test_garbage_is_refused(tmp_path, rest):
    assert read_or_refuse(tmp_path / "a.bw", struct.pack("<IHH", 0x888FFC26, 4, 0) + rest) is None


def test_tracks_of_two_assemblies_are_refused(tmp_path):
    first = write_bigwig(tmp_path / "a.bw", one_interval(10, 20, 1.0))
    other = write_bigwig(tmp_path / "b.bw", one_interval(10, 20, 1.0), sizes=SIZES | {"chr1": SIZES["chr1"] + 7})
    gene = one_gene()
    with pytest.raises(ValueError, match=r"chr1 has .* bp in A \(.*a\.bw\) and .* bp in B \("):
        sct.pp.bin_bigwig({"A": first, "B": other}, gene)
    with pytest.raises(ValueError, match=r"chr1 has .* bp in genome and .* bp in B \("):
        sct.pp.bin_bigwig({"B": other}, gene, genome=SIZES)
    assert sct.pp.bin_bigwig({"A": first}, gene, genome=SIZES).n_obs == 1
