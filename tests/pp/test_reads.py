from __future__ import annotations

import gzip
import os
import shutil
import struct
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct
from simplechrome_tk.io import _bam, _text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SIZES = {"chr1": 400_000, "chr2": 350_000, "chr3": 1_000}
LENGTH = 36
WINDOWS = [
    sct.pp.Window.TSS,
    sct.pp.Window.BODY,
    sct.pp.Window("end", anchor="tes", upstream=2_000, downstream=3_000, n_bins=7),
]
PAIRED, PROPER, UNMAPPED, REVERSE, FIRST, SECOND, SECONDARY, FAILED, DUPLICATE, SUPPLEMENTARY = (
    0x1, 0x2, 0x4, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
)  # fmt: skip


# pysam closes a file that it could not read a second time, in vain, when it is collected
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. 'pysam:pytest.PytestUnraisableExceptionWarning")


def read(start: int, flag: int = 0, *, chrom: str = "chr1", mapq: int = 30, length: int = 0, cigar: str | None = None):
    """Where a read is mapped, and what else the tests look at; ``length`` is that of the fragment, with its sign."""
    return {
        "chrom": chrom,
        "start": start,
        "flag": flag,
        "mapq": mapq,
        "length": length,
        "cigar": cigar or f"{LENGTH}M",
    }


def write_bam(path: Path, reads: Iterable[dict], *, order: str = "coordinate", sizes: dict[str, int] = SIZES) -> Path:
    names = list(sizes)
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6", "SO": order}, "SQ": [{"SN": name, "LN": size} for name, size in sizes.items()]}
    )
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for i, one in enumerate(sorted(reads, key=lambda r: (names.index(r["chrom"]), r["start"]))):
            segment = pysam.AlignedSegment(header)
            segment.query_name = f"r{i}"
            segment.flag = one["flag"]
            segment.reference_id = names.index(one["chrom"])
            segment.reference_start = one["start"]
            segment.mapping_quality = one["mapq"]
            segment.cigarstring = None if one["cigar"] == "*" else one["cigar"]
            segment.template_length = one["length"]
            segment.query_sequence = "A" * LENGTH
            bam.write(segment)
    if order == "coordinate":
        pysam.index(str(path))
    return path


def one_gene(**columns: object) -> pd.DataFrame:
    gene = {"chrom": "chr1", "start": 10_000, "end": 14_000, "strand": "+", "tss": 10_000} | columns
    return pd.DataFrame(gene, index=["g"])


def random_reads(rng: np.random.Generator, n: int = 6_000) -> list[dict]:
    """Single reads on two chromosomes, of both strands."""
    start = rng.integers(0, 340_000, n)
    flag = rng.choice([0, REVERSE], n)
    chrom = rng.choice(["chr1", "chr2"], n)
    return [read(int(s), int(f), chrom=str(c)) for s, f, c in zip(start, flag, chrom, strict=True)]


def position(one: dict, shift: int) -> float:
    """Middle of the base at which a single read counts."""
    return one["start"] + LENGTH - 0.5 - shift if one["flag"] & REVERSE else one["start"] + 0.5 + shift


def count(positions: Iterable[tuple[str, float]], genes: pd.DataFrame, windows: list) -> np.ndarray:
    """Bin by bin, position by position; exact arithmetic in units of half a bp times the number of bins."""
    by_chrom: dict[str, np.ndarray] = {}
    for chrom, place in positions:
        by_chrom[chrom] = np.append(by_chrom.get(chrom, []), place)
    rows = []
    for gene in genes.itertuples():
        row = []
        for window in windows:
            minus = gene.strand == "-"
            sign = -1 if minus else 1
            if window.anchor == "body":
                first, length = (gene.end if minus else gene.start), gene.end - gene.start
            else:
                anchor = gene.tss if window.anchor == "tss" else (gene.start if minus else gene.end)
                first, length = anchor - sign * window.upstream, window.upstream + window.downstream
            along = sign * (np.asarray(by_chrom.get(gene.chrom, [])) - first)  # bp downstream of the window's 5' edge
            along = (2 * along[(along >= 0) & (along < length)]).astype(int)
            row.append(np.bincount(along * window.n_bins // (2 * length), minlength=window.n_bins))
        rows.append(np.concatenate(row))
    return np.array(rows)


@pytest.mark.parametrize("shift", [0, 73, -20, 3_000])
def test_counts_of_known_reads_are_exact_in_bam_bed_and_tagalign(tmp_path, genes, shift):
    reads = random_reads(np.random.default_rng(0))
    expected = count(((one["chrom"], position(one, shift)) for one in reads), genes, WINDOWS)
    assert expected.sum() > 5_000
    bam = sct.pp.bin_reads({"M": write_bam(tmp_path / "a.bam", reads)}, genes, windows=WINDOWS, shift=shift)
    assert bam.X.dtype == np.float32
    np.testing.assert_array_equal(bam.X, expected)
    rows = [
        f"{one['chrom']}\t{one['start']}\t{one['start'] + LENGTH}\tN\t1000\t{'-' if one['flag'] else '+'}\n"
        for one in reads
    ]
    (tmp_path / "a.bed").write_text("track name=reads\n" + "".join(rows))
    (tmp_path / "a.tagAlign.gz").write_bytes(gzip.compress("".join(rows).encode()))
    for name in ("a.bed", "a.tagAlign.gz"):
        bed = sct.pp.bin_reads({"M": tmp_path / name}, genes, windows=WINDOWS, shift=shift)
        np.testing.assert_array_equal(bed.X, expected)
        on_chromosome = sum(position(one, shift) > 0 for one in reads)
        assert bed.uns["reads"].loc["M", ["library", "counted"]].tolist() == [on_chromosome] * 2


def test_layout_is_that_of_peaks(tmp_path, genes):
    path = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(2), 100))
    peak = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": 0, "end": 10, "signal": 1.0})
    found = sct.pp.bin_reads({"H3K4me3": path, "input": path}, genes)
    peaks = sct.pp.bin_peaks({"H3K4me3": peak, "input": peak}, genes)
    pd.testing.assert_frame_equal(found.var, peaks.var)
    pd.testing.assert_frame_equal(found.obs, peaks.obs)
    pd.testing.assert_frame_equal(found.uns["windows"], peaks.uns["windows"])
    assert list(found.uns["reads"].index) == ["H3K4me3", "input"]
    found.write_h5ad(tmp_path / "a.h5ad")


def test_a_mirrored_genome_gives_the_same_counts(tmp_path, genes):
    """Also for fragments whose middle lies between two bases, on the edge of a bin."""
    length = SIZES["chr1"]
    rng = np.random.default_rng(3)
    reads = random_reads(rng, 3_000)
    start = rng.integers(0, 330_000, 3_000)
    fragments = list(zip(start.tolist(), (start + rng.integers(1, 400, 3_000)).tolist(), strict=True))
    turned_genes = genes.assign(
        start=length - genes["end"],
        end=length - genes["start"],
        tss=length - genes["tss"],
        strand=genes["strand"].map({"+": "-", "-": "+"}),
    )
    turned_reads = [one | {"start": length - one["start"] - LENGTH, "flag": one["flag"] ^ REVERSE} for one in reads]
    sizes = {"chr1": length, "chr2": length}
    for name, one in (("a", fragments), ("b", [(length - end, length - start) for start, end in fragments])):
        (tmp_path / f"{name}.bed").write_text("".join(f"chr1\t{start}\t{end}\n" for start, end in one))
    there = {"M": write_bam(tmp_path / "a.bam", reads, sizes=sizes), "fragments": tmp_path / "a.bed"}
    back = {"M": write_bam(tmp_path / "b.bam", turned_reads, sizes=sizes), "fragments": tmp_path / "b.bed"}
    for window in (*WINDOWS, sct.pp.Window("odd", anchor="body", upstream=0, downstream=0, n_bins=7)):
        expected = sct.pp.bin_reads(there, genes, windows=[window]).X
        assert expected.any()
        np.testing.assert_array_equal(sct.pp.bin_reads(back, turned_genes, windows=[window]).X, expected)


@pytest.mark.parametrize(
    ("shift", "plus", "minus"),
    [(0, [0, 2, 2, 0], [0, 2, 2, 0]), (100, [1, 1, 1, 1], [1, 1, 1, 1]), (99, [0, 2, 2, 0], [0, 2, 2, 0])],
)
def test_bins_by_hand(tmp_path, shift, plus, minus):
    """5' ends at 9,999 and 10,000 on each strand, in bins of 100 bp."""
    window = sct.pp.Window("w", anchor="tss", upstream=200, downstream=200, n_bins=4)
    ends = [read(9_999), read(10_000), read(10_000 - LENGTH, REVERSE), read(10_001 - LENGTH, REVERSE)]
    path = write_bam(tmp_path / "a.bam", ends)
    for strand, expected in (("+", plus), ("-", minus)):
        found = sct.pp.bin_reads({"M": path}, one_gene(strand=strand), windows=[window], shift=shift)
        np.testing.assert_array_equal(found.X, [expected])


def test_what_does_not_count_is_left_out_and_told(tmp_path, caplog):
    caplog.set_level("INFO")
    reads = [
        read(10_000),
        read(10_000, DUPLICATE),
        read(10_010, UNMAPPED),
        read(10_020, SECONDARY),
        read(10_030, SUPPLEMENTARY | DUPLICATE),
        read(10_040, FAILED),
        read(10_050, mapq=5),
        read(10_060, PAIRED | FIRST, length=200),
        read(10_070, PAIRED | PROPER | FIRST, length=2_001),
        read(300_000),  # nowhere near a window
    ]
    path = write_bam(tmp_path / "a.bam", reads)
    windows = [sct.pp.Window.TSS]
    adata = sct.pp.bin_reads({"M": path}, one_gene(), windows=windows, min_mapq=10)
    assert adata.X.sum() == 1
    assert adata.uns["reads"].loc["M"].to_dict() == {
        "library": 1,  # 9 mapped x 1 of 9 seen
        "seen": 9,
        "counted": 1,
        "duplicate": 1,
        "failing quality control": 1,
        "not in a proper pair": 1,
        "in fragments of 0 or above 2,000 bp": 1,
        "of low mapping quality": 1,
        "secondary": 1,
        "supplementary": 1,
        "unmapped": 1,
    }
    assert "M: 1 of 9 reads counted; left out: 1 " in caplog.text
    kept = sct.pp.bin_reads({"M": path}, one_gene(), windows=windows, duplicates="keep")
    assert kept.X.sum() == 3
    assert "duplicate" not in kept.uns["reads"]


def test_a_proper_pair_counts_once_in_the_middle_of_its_fragment(tmp_path):
    pairs = [
        read(10_000, PAIRED | PROPER | FIRST, length=201),  # 10,000-10,201: 10,100.5
        read(10_201 - LENGTH, PAIRED | PROPER | SECOND | REVERSE, length=-201),
        read(10_600, PAIRED | PROPER | SECOND, length=200),  # 10,600-10,800: 10,700
        read(10_800 - LENGTH, PAIRED | PROPER | FIRST | REVERSE, length=-200),
    ]
    path = write_bam(tmp_path / "a.bam", pairs)
    adata = sct.pp.bin_reads({"M": path}, one_gene(), windows=[sct.pp.Window.TSS])
    assert adata.var_names[adata.X[0] == 1].tolist() == ["M:tss:150", "M:tss:750"]
    assert adata.X.sum() == 2
    assert adata.uns["reads"].loc["M", "second of a pair"] == 2
    minus = sct.pp.bin_reads({"M": path}, one_gene(strand="-"), windows=[sct.pp.Window.TSS])
    assert minus.var_names[minus.X[0] == 1].tolist() == ["M:tss:-650", "M:tss:-150"]  # downstream of the edge at 10,700


def test_a_pair_is_found_though_its_first_mate_lies_outside_the_window(tmp_path):
    window = sct.pp.Window("w", anchor="tss", upstream=10, downstream=10, n_bins=1)
    path = write_bam(tmp_path / "a.bam", [read(9_000, PAIRED | PROPER | FIRST, length=2_000)])
    assert sct.pp.bin_reads({"M": path}, one_gene(), windows=[window]).X.item() == 1


def test_the_end_of_a_read_follows_its_cigar(tmp_path):
    window = sct.pp.Window("w", anchor="tss", upstream=0, downstream=2_000, n_bins=20)
    reads = [read(10_000, REVERSE, cigar="18M1000N18M"), read(10_250, REVERSE, cigar="*")]
    path = write_bam(tmp_path / "a.bam", reads)
    adata = sct.pp.bin_reads({"M": path}, one_gene(), windows=[window], shift=0)
    assert np.flatnonzero(adata.X[0]).tolist() == [2, 10]


def test_a_read_between_two_stretches_is_seen_once(tmp_path):
    reads = [read(start) for start in range(0, 300_000, 100)]
    path = write_bam(tmp_path / "a.bam", reads)
    genes = pd.concat([one_gene(tss=tss) for tss in range(20_000, 280_000, 22_123)]).reset_index(drop=True)
    genes.index = genes.index.astype(str)
    adata = sct.pp.bin_reads({"M": path}, genes, windows=[sct.pp.Window.TSS])
    record = adata.uns["reads"].loc["M"]
    assert record["seen"] == record["counted"] <= record["library"] == len(reads)
    assert adata.X.sum() == 100 * len(genes)


def test_beyond_the_ends_and_chromosomes_without_reads_are_zero_and_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write_bam(tmp_path / "a.bam", [read(960, chrom="chr3"), read(950, REVERSE, chrom="chr3")])
    genes = pd.concat([one_gene(chrom="chr3", tss=900), one_gene()]).set_index(pd.Index(["a", "b"]))
    window = sct.pp.Window("w", anchor="tss", upstream=100, downstream=300, n_bins=4)
    adata = sct.pp.bin_reads({"M": path}, genes, windows=[window])
    np.testing.assert_array_equal(adata.X, [[0, 1, 0, 0], [0, 0, 0, 0]])  # the other is moved to 1,033
    assert adata.uns["reads"].loc["M", ["seen", "counted", "moved beyond the end of the chromosome"]].tolist() == [
        2,
        1,
        1,
    ]
    assert "1 gene windows reach beyond the start or end" in caplog.text
    assert "1 genes for M" in caplog.text


@pytest.mark.parametrize("name", ["a.bam", "a.bed"])
def test_what_is_moved_before_the_start_of_the_chromosome_counts_nowhere(tmp_path, name):
    if name == "a.bam":
        path = write_bam(tmp_path / name, [read(10, REVERSE), read(50, REVERSE)])
    else:
        path = tmp_path / name
        path.write_text("".join(f"chr1\t{start}\t{start + LENGTH}\tN\t30\t-\n" for start in (10, 50)))
    window = sct.pp.Window("w", anchor="tss", upstream=300, downstream=100, n_bins=4)
    adata = sct.pp.bin_reads({"M": path}, one_gene(tss=100), windows=[window])
    np.testing.assert_array_equal(adata.X, [[0, 0, 1, 0]])  # at 12.5; the other is moved to -27.5
    assert adata.uns["reads"].loc["M", "moved beyond the end of the chromosome"] == 1


def test_a_read_that_reaches_from_one_stretch_into_another_counts_once(tmp_path):
    path = write_bam(tmp_path / "a.bam", [read(10_000, cigar="18M60000N18M"), read(69_000)])
    genes = pd.concat([one_gene(), one_gene(tss=70_000)]).set_index(pd.Index(["a", "b"]))
    adata = sct.pp.bin_reads({"M": path}, genes, windows=[sct.pp.Window.TSS])
    assert adata.X.sum(axis=1).tolist() == [1, 1]
    assert adata.uns["reads"].loc["M", ["seen", "counted"]].tolist() == [2, 2]


def test_a_warning_tells_that_no_read_counts(tmp_path, caplog):
    path = write_bam(tmp_path / "a.bam", [read(10_000, mapq=5)])
    sct.pp.bin_reads({"M": path}, one_gene(), windows=[sct.pp.Window.TSS], min_mapq=10)
    (tmp_path / "a.bed").write_text("chr1\t10000\t10036\tN\t5\t+\n")
    sct.pp.bin_reads({"M": tmp_path / "a.bed"}, one_gene(), windows=[sct.pp.Window.TSS], min_mapq=10)
    assert caplog.text.count("M: 0 of 1 reads counted; left out: 1 of low mapping quality.") == 2


def test_a_mapping_quality_that_a_bed_file_does_not_have_is_refused(tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t10000\t10036\n")
    with pytest.raises(ValueError, match=r"a\.bed: 1 reads .* min_mapq=10"):
        sct.pp.bin_reads({"M": tmp_path / "a.bed"}, one_gene(), min_mapq=10)


def test_what_unpacks_to_more_than_the_limit_is_refused_until_it_is_raised(tmp_path):
    path = tmp_path / "a.tagAlign.gz"
    path.write_bytes(gzip.compress(b"chr1\t10000\t10036\tN\t5\t+\n" * 1_000))
    with pytest.raises(ValueError, match=r"a\.tagAlign\.gz: .*2,000 bytes.*max_bytes"):
        sct.pp.bin_reads({"M": path}, one_gene(), max_bytes=2_000)
    assert sct.pp.bin_reads({"M": path}, one_gene(), windows=[sct.pp.Window.TSS], max_bytes=100_000).X.sum() == 1_000


def test_reads_in_bed_without_a_strand_are_fragments(tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t10000\t10201\nchr1\t10600\t10800\n")
    (tmp_path / "b.bed.gz").write_bytes(gzip.compress(b"chr1\t10000\t10201\tf\t7\t.\nchr1\t10600\t10800\tf\t3\t.\n"))
    for name in ("a.bed", "b.bed.gz"):
        adata = sct.pp.bin_reads({"M": tmp_path / name}, one_gene(), windows=[sct.pp.Window.TSS])
        assert adata.var_names[adata.X[0] == 1].tolist() == ["M:tss:150", "M:tss:750"]
    adata = sct.pp.bin_reads({"M": tmp_path / "b.bed.gz"}, one_gene(), windows=[sct.pp.Window.TSS], min_mapq=5)
    assert adata.X.sum() == adata.uns["reads"].loc["M", "of low mapping quality"] == 1


def test_how_many_rows_are_read_at_once_does_not_matter(tmp_path, monkeypatch):
    rows = [f"chr1\t{start}\t{start + 1}\n" for start in range(9_000, 11_000, 7)]
    (tmp_path / "a.bed").write_text("".join(rows))
    expected = sct.pp.bin_reads({"M": tmp_path / "a.bed"}, one_gene()).X
    monkeypatch.setattr(_text, "_BLOCK", 200)
    np.testing.assert_array_equal(sct.pp.bin_reads({"M": tmp_path / "a.bed"}, one_gene()).X, expected)
    (tmp_path / "a.bed").write_text("".join(rows[:15]) + "chr1\t5\t5\n")
    with pytest.raises(ValueError, match=r"1 of \d reads have an end that is not after its start, the first in row 16"):
        sct.pp.bin_reads({"M": tmp_path / "a.bed"}, one_gene())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no reads at all"),
        ("chr1\t10\t20\tN\t0\t?\n", r"1 of 1 reads have a strand other than \+, - and \."),
        ("chr1\t10\t20\tN\thigh\t+\n", "1 of 1 reads have a score that is no number"),
        ("chr1\t10\tfar\n", "'end' holds text, such as 'far' in row 1"),
        ("chr1 10\n", "no start or end"),
    ],
)
def test_what_is_no_bed_is_refused_by_name(tmp_path, text, message):
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        sct.pp.bin_reads({"M": tmp_path / "a.bed"}, one_gene())
    assert str(tmp_path / "a.bed") in str(error.value)


def test_a_bam_file_without_index_order_or_reads_says_what_to_run(tmp_path):
    path = write_bam(tmp_path / "a.bam", [read(10_000)])
    (tmp_path / "a.bam.bai").unlink()
    with pytest.raises(ValueError, match=r"a\.bam: .* samtools index .*a\.bam, or pysam\.index\("):
        sct.pp.bin_reads({"M": path}, one_gene())
    pysam.index(str(path))
    assert sct.pp.bin_reads({"M": path}, one_gene())[:, "M:tss:50"].X.item() == 1
    for order in ("unsorted", "queryname"):
        unsorted = write_bam(tmp_path / f"{order}.bam", [read(10_000)], order=order)
        with pytest.raises(ValueError, match=rf"not sorted by position \(the header says {order}\).* samtools sort -o"):
            sct.pp.bin_reads({"M": unsorted}, one_gene())
    with pytest.raises(ValueError, match=r"none\.bam: .*no mapped reads"):
        sct.pp.bin_reads({"M": write_bam(tmp_path / "none.bam", [])}, one_gene())


def test_a_csi_index_will_do(tmp_path):
    path = write_bam(tmp_path / "a.bam", [read(10_000)])
    (tmp_path / "a.bam.bai").unlink()
    pysam.index("-c", str(path))
    assert sct.pp.bin_reads({"M": path}, one_gene())[:, "M:tss:50"].X.item() == 1


def test_a_damaged_index_or_one_of_another_file_is_refused(tmp_path):
    path = write_bam(tmp_path / "a.bam", [read(10_000)])
    other = write_bam(tmp_path / "b.bam", [read(10_000)], sizes={"chr1": 400_000})
    index = tmp_path / "a.bam.bai"
    content = index.read_bytes()
    for damaged in (
        b"",
        b"garbage",
        content[:-20],
        content.replace(struct.pack("<I", 4681), struct.pack("<I", 40_000)),
    ):
        index.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.bam\.bai: the index is truncated or damaged .* run: samtools index"):
            sct.pp.bin_reads({"M": path}, one_gene())
    shutil.copy(other.with_name("b.bam.bai"), index)
    with pytest.raises(ValueError, match=r"a\.bam: its index .*a\.bam\.bai is of another file"):
        sct.pp.bin_reads({"M": path}, one_gene())


@pytest.mark.parametrize("version", ["-b", "-c"])
@pytest.mark.parametrize("n", [1_000, 30_000])
def test_an_index_of_an_older_version_is_refused(tmp_path, version, n):
    """Same chromosomes, other reads: htslib would look in the wrong places, and return less or nothing."""
    end = ".csi" if version == "-c" else ".bai"
    path = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(8), n))
    (tmp_path / "a.bam.bai").unlink()
    pysam.index(version, str(path))
    index = (tmp_path / f"a.bam{end}").read_bytes()
    assert sct.pp.bin_reads({"M": path}, one_gene()).X.sum() > 0
    for newer in (
        random_reads(np.random.default_rng(9), n),
        random_reads(np.random.default_rng(8), n) + random_reads(np.random.default_rng(9), n // 2),
        random_reads(np.random.default_rng(8), n)[: n // 2],
    ):
        write_bam(path, newer)
        (tmp_path / "a.bam.bai").unlink()
        (tmp_path / f"a.bam{end}").write_bytes(index)
        with pytest.raises(ValueError, match=r"a\.bam: .*its index .*is of another .*samtools index .*a\.bam"):
            sct.pp.bin_reads({"M": path}, one_gene())


def test_an_index_older_than_its_file_is_warned_of(tmp_path, caplog):
    path = write_bam(tmp_path / "a.bam", [read(10_000)])
    os.utime(tmp_path / "a.bam.bai", (1, 1))
    assert sct.pp.bin_reads({"M": path}, one_gene())[:, "M:tss:50"].X.item() == 1
    assert "a.bam.bai is older than the BAM file" in caplog.text


def test_a_damaged_index_never_changes_the_counts(tmp_path):
    rng = np.random.default_rng(10)
    path = write_bam(tmp_path / "a.bam", random_reads(rng))
    genes = pd.concat([one_gene(tss=tss) for tss in range(20_000, 320_000, 30_000)])
    genes = genes.set_index(genes["tss"].astype(str).rename(None))
    expected = sct.pp.bin_reads({"M": path}, genes, windows=[sct.pp.Window.TSS]).X
    index = (tmp_path / "a.bam.bai").read_bytes()
    refused = 0
    for place in rng.integers(0, len(index), 150):
        damaged = bytearray(index)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "a.bam.bai").write_bytes(damaged)
        try:
            found = sct.pp.bin_reads({"M": path}, genes, windows=[sct.pp.Window.TSS]).X
        except ValueError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, expected)
    assert 50 < refused < 150


@pytest.mark.parametrize("score", ["99999999999999999999", "1e300", "7.5", "."])
def test_scores_of_any_size_are_read(tmp_path, score):
    (tmp_path / "a.tagAlign").write_text(f"chr1\t10000\t10036\tN\t{score}\t+\nchr1\t10000\t10036\tN\t3\t+\n")
    adata = sct.pp.bin_reads({"M": tmp_path / "a.tagAlign"}, one_gene(), windows=[sct.pp.Window.TSS])
    assert adata[:, "M:tss:50"].X.item() == 2
    assert adata.uns["reads"].loc["M", "counted"] == 2


def test_an_index_that_unpacks_to_more_than_an_index_holds_is_refused(tmp_path, monkeypatch):
    path = write_bam(tmp_path / "a.bam", [read(10_000)])
    (tmp_path / "a.bam.csi").write_bytes(gzip.compress(b"CSI\1" + bytes(100_000)))
    monkeypatch.setattr(_bam, "_LARGEST_INDEX", 10_000)
    with pytest.raises(ValueError, match=r"a\.bam\.csi: the index is truncated or damaged \(more than 10,000 bytes"):
        sct.pp.bin_reads({"M": path}, one_gene())


def test_another_format_is_refused(tmp_path):
    (tmp_path / "a.bam").write_text("chr1\t10000\t10020\n")  # a text is read as what it is, whatever its name
    adata = sct.pp.bin_reads({"M": tmp_path / "a.bam"}, one_gene(), windows=[sct.pp.Window.TSS])
    assert adata.X.sum() == 1
    with pytest.raises(ValueError, match=r"a\.bam: this is no BAM file"):
        sct.pp.bin_reads({"M": tmp_path / "a.bam"}, one_gene(), kinds="BAM")
    (tmp_path / "b.bam").write_text("@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:20000\nr\t0\tchr1\t1\t30\t4M\t*\t0\t0\tACGT\tIIII\n")
    with pytest.raises(ValueError, match=r"b\.bam: this is a SAM file, reads as text\. Run: samtools sort"):
        sct.pp.bin_reads({"M": tmp_path / "b.bam"}, one_gene())
    (tmp_path / "a.bed").write_text("chr1\t10\t20\t2.5\n")
    with pytest.raises(
        ValueError, match=r"a\.bed: this is bedGraph .*Use sct\.pp\.bin_peaks or .* kind='tagAlign' counts"
    ):
        sct.pp.bin_reads({"M": tmp_path / "a.bed"}, one_gene())
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bam"):
        sct.pp.bin_reads({"M": tmp_path / "nowhere.bam"}, one_gene())
    with pytest.raises(ValueError, match="duplicates is 'yes'; choose one of drop, keep"):
        sct.pp.bin_reads({"M": tmp_path / "a.bam"}, one_gene(), duplicates="yes")


def test_a_truncated_bam_file_is_refused_by_name(tmp_path, random_genes):
    rng = np.random.default_rng(5)
    path = write_bam(tmp_path / "a.bam", random_reads(rng, 30_000))
    content = path.read_bytes()
    eof = 28
    for kept in (content[: len(content) // 2], content[: len(content) // 2] + content[-eof:]):
        path.write_bytes(kept)
        with pytest.raises(ValueError, match=r"a\.bam: the BAM file is truncated or damaged"):
            sct.pp.bin_reads({"M": path}, random_genes(rng))


def test_genes_of_another_assembly_or_naming_are_refused(tmp_path, genes):
    path = write_bam(tmp_path / "a.bam", random_reads(np.random.default_rng(6), 100))
    with pytest.raises(ValueError, match=r"M \(.*a\.bam\): \d+ of 60 genes lie beyond the end"):
        sct.pp.bin_reads({"M": path}, genes.assign(end=genes["end"] + 400_000))
    numbers = genes.assign(chrom=genes["chrom"].str.removeprefix("chr"))
    with pytest.raises(ValueError, match="genes: 1, 2; the track: chr1, chr2") as error:
        sct.pp.bin_reads({"M": path}, numbers)
    exec(str(error.value).partition("sct.io.read_annotation(path)): ")[2].rstrip("."), {"genes": numbers})
    assert sct.pp.bin_reads({"M": path}, numbers).n_obs == 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write_bam(tmp_path_factory.mktemp("whole") / "a.bam", random_reads(np.random.default_rng(7), 300))


@pytest.fixture(scope="module")
def undamaged(whole) -> np.ndarray:
    """The bins that are counted from the whole file."""
    return sct.pp.bin_reads({"M": whole}, one_gene()).X


def count_or_refuse(path: Path) -> np.ndarray | None:
    """Return the bins that a file gives, or None when it is refused by its name."""
    try:
        return sct.pp.bin_reads({"M": path}, one_gene()).X
    except (ValueError, OSError) as error:
        assert str(path) in str(error)  # noqa: PT017
        return None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_to_a_bam_file_or_its_index_is_refused_or_changes_no_count(tmp_path, whole, undamaged, data):
    for suffix in ("", ".bai"):
        content = bytearray((whole.parent / f"a.bam{suffix}").read_bytes())
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
            content[place] = data.draw(st.integers(0, 255))
        (tmp_path / f"a.bam{suffix}").write_bytes(
            content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]
        )
    found = count_or_refuse(tmp_path / "a.bam")
    if found is not None:
        np.testing.assert_array_equal(found, undamaged)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["a.bam", "a.bed", "a.bed.gz", "a.tagAlign"]), content=st.binary(max_size=300))
def test_garbage_is_refused(tmp_path, whole, name, content):
    shutil.copy(whole.parent / "a.bam.bai", tmp_path)
    (tmp_path / name).write_bytes(content)
    assert count_or_refuse(tmp_path / name) is None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.text('chr12\t\n +-.0e"#N', max_size=200))
def test_text_that_is_nearly_bed_is_refused_or_read(tmp_path, content):
    (tmp_path / "a.bed").write_text(content)
    found = count_or_refuse(tmp_path / "a.bed")
    assert found is None or (np.isfinite(found).all() and (found >= 0).all())
