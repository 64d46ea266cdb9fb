from __future__ import annotations

import gzip
import logging
import subprocess

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest

import simplechrome_tk as sct
from simplechrome_tk.io._kind import detect_kind

GENES = pd.DataFrame(
    {"chrom": "chr1", "start": [20_000, 60_000], "end": [30_000, 70_000], "strand": ["+", "-"]}, index=["A", "B"]
)
WINDOWS = [sct.pp.Window.TSS]
SUBMITTED = (
    "chr1\t19900\t20100\tPeak_1\t1000\t.\t52.75\t800.1\t795.3\t88\n"
    "chr1\t69900\t70000\tPeak_2\t1000\t.\t4.1\t90.2\t88.0\t10\n"
)
BROAD = SUBMITTED.replace("\t88\n", "\n").replace("\t10\n", "\n")
IDR = SUBMITTED.replace("\n", "\t2.1\t2.0\t19900\t20100\t50.1\t88\t19900\t20100\t55.4\t90\n")
GAPPED = "chr1\t19900\t20100\tPeak_1\t10\t.\t19900\t20100\t0\t2\t50,50\t0,150\t52.75\t8.1\t7.3\n"
SEACR = "chr1\t19900\t20100\t10550\t60\tchr1:19950-19960\nchr1\t69900\t70000\t410\t9\tchr1:69950-69960\n"
READS = "chr1\t19950\t19986\tread1/1\t42\t+\nchr1\t20050\t20086\tread1/2\t0\t-\n"
FRAGMENTS = "chr1\t19950\t20010\tAAACGTTC-1\t1\nchr1\t19990\t20090\tAAACGTTC-1\t3\nchr1\t20010\t20070\tAAAGTTGC-1\t2\n"
PAIRS = "chr1\t19960\t19985\tchr1\t20025\t20050\tr1\t42\t+\t-\nchr1\t69975\t70000\tchr1\t69900\t69925\tr2\t42\t-\t+\n"
TRANSCRIPTS = "chr1\t20000\t30000\tT1\t0\t+\t20000\t30000\t0\t2\t100,200,\t0,9800,\n"
STATES = "".join(f"chr1\t{i}00\t{i + 1}00\tE{i % 4}\t0\t.\t{i}00\t{i + 1}00\t255,0,{i}\n" for i in range(30))


def many(form: str, n: int = 30) -> str:
    return "".join(form.format(i=i, start=19_000 + 100 * i, end=19_000 + 100 * i + 50) + "\n" for i in range(n))


def written(tmp_path, text, name="a.bed"):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return tmp_path / name


def binned(track, **kwargs):
    """Bins around the TSS that are not 0: gene -> {bin: value}."""
    adata = sct.pp.from_tracks({"M": track}, GENES, windows=WINDOWS, **kwargs)
    names = [name.rpartition(":")[2] for name in adata.var_names]
    return {
        gene: {name: round(float(value), 4) for name, value in zip(names, row, strict=True) if value}
        for gene, row in zip(adata.obs_names, adata.X, strict=True)
    }


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SUBMITTED, "narrowPeak"),
        (IDR, "narrowPeak"),
        (SUBMITTED.replace("\t", " "), "narrowPeak"),
        (SUBMITTED.replace("1000\t.", ".\t+"), "narrowPeak"),
        (BROAD, "broadPeak"),
        ("track type=broadPeak\n" + BROAD, "broadPeak"),
        (GAPPED, "gappedPeak"),
        (SEACR, "SEACR"),
        (READS, "tagAlign"),
        (READS.replace("/1", "").replace("/2", ""), None),
        (READS.replace("read1/", "SRR1234.56 "), "tagAlign"),
        (READS.replace("read1/", "A00123:45:HXXX:1:1101:1234:5678_"), "tagAlign"),
        (READS.replace("+\n", "+\t36M\n").replace("-\n", "-\t36M\n"), "tagAlign"),
        ("chr1\t19950\t19986\tN\t1000\t+\n", "tagAlign"),
        (many("chr1\t{start}\t{end}\tr{i}\t37\t+"), "tagAlign"),
        (many("chr1\t{start}\t{end}\t{i}\t37\t+"), "tagAlign"),
        (many("chr1\t{start}\t{end}\tr{i}/1\t37\t+\t{start}\t{end}\t0\t1\t50,\t0,"), "tagAlign"),
        (FRAGMENTS, "fragments"),
        (FRAGMENTS.replace("AAACGTTC-1", "plate_AAACGTTC_7"), "fragments"),
        ("# primary_contig=chr1\n" + FRAGMENTS.replace("AAACGTTC-1", "cell7"), "fragments"),
        ("chr1\t10\t22\tGATTACAGATTA\n", "bed3"),
        ("chr1\t10\t20\n", "bed3"),
        ("chr1\t10\t20\tname\n", "bed3"),
        ("chr1\t10\t20\tname\t7.5\n", "bed"),
        ("chr1\t10\t20\tname\t700\t+\n", "bed"),
        ("chr1\t10\t20\tname\t7\t.\t12\t18\t255,0,0\n", "bed"),
        ("chr1\t10\t20\t25\nchr1\t30\t40\t713\n", "bedGraph"),
        ("chr1\t10\t20\t2.5\nchr1\t30\t40\t.\n", "bedGraph"),
        ("chr1\t10\t20\t1\nchr1\t30\t40\t2\nchr1\t50\t60\t3\n", None),
        ("chr1\t10\t20\t1\t5\n", None),
        ("chr1\t10\t20\t1\t5\t9.5\n", None),
        ("chr1\t10\t20\t3\t8\t10\t0.8000000\n", None),  # of bedtools coverage
        (STATES, None),
        ("".join("\t".join(line.split("\t")[:4]) + "\n" for line in STATES.splitlines()), None),
        (many("chr1\t{start}\t{end}\tpromoter{i}\t0\t+"), None),
        (many("chr1\t{start}\t{end}\tcage{i}\t{start}\t+"), "bed"),
        (many("chr1\t{i}000\t{end}00\tgene{i}\t0\t+"), None),
        (many("chr1\t{i}000\t{end}00\tgene{i}\t.\t+"), None),
        (many("chr1\t{start}\t{end}\tgene{i}\t0\t+\t{start}\t{end}\t0\t1\t50,\t0,"), None),
        (many("chr1\t{i}\t{i}1\tctss{i}\t{i}\t+").replace("\t0\t01", "\t0\t1"), None),
        (many("chr1\t{start}\t{end}\tN\t{start}\t+"), "tagAlign"),
        ("chr1\t10\t20\t2,5\n", None),
        ("chr1\t10\t20\t25%\n", None),
        ("".join(f"chr1\t{i}0\t{i}9\tcell{i % 3}\t{1 + i % 4}\n" for i in range(1, 30)), None),
    ],
)
@pytest.mark.parametrize("name", ["a.bed", "ENCFF001AAA.bed.gz", "a.tsv"])
def test_the_columns_say_what_a_file_is(tmp_path, text, kind, name):
    path = written(tmp_path, text, name)
    if kind is None:
        with pytest.raises(ValueError, match=r"kind='.*kinds=\{mark: \.\.\.\}"):
            detect_kind(path)
    else:
        assert detect_kind(path).kind == kind
    for given in ("bed3", "tagAlign", "broadPeak"):
        assert detect_kind(path, given).kind == given


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.narrowPeak", BROAD, "broadPeak"),
        ("a.tagAlign.gz", FRAGMENTS, "fragments"),
        ("a.bedGraph", SUBMITTED, "narrowPeak"),
        ("a.bdg", "chr1\t10\t20\t1\nchr1\t30\t40\t2\nchr1\t50\t60\t3\n", "bedGraph"),
        ("a.bg.gz", "chr1\t10\t20\t1\t5\n", "bedGraph"),
        ("a.tagAlign", "chr1\t10\t20\n", "tagAlign"),
        ("a.tagAlign", "chr1\t10\t20\tx\t7\t+\n", "tagAlign"),
        ("pbmc_fragments.tsv.gz", "chr1\t10\t20\tcell7\t2\n", "fragments"),
        ("a.broadPeak", "chr1\t10\t20\tp\t7\t.\t12\t18\t0\n", "broadPeak"),
    ],
)
def test_a_name_decides_what_the_columns_leave_open(tmp_path, name, text, kind):
    assert detect_kind(written(tmp_path, text, name)).kind == kind


@pytest.mark.parametrize("name", ["a.bed", "a.narrowPeak.gz", "a.tagAlign", "a.bam", "a.bw"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PAIRS, r"this is BEDPE: .*awk -v OFS='\\t' '\$1==\$4 \{print \$1, \(\$2<\$5\?\$2:\$5\)"),
        (PAIRS.replace("chr1\t20025\t20050", ".\t-1\t-1"), "this is BEDPE"),
        (PAIRS.replace("chr1\t19960\t19985", ".\t-1\t-1"), "this is BEDPE"),
        (TRANSCRIPTS, r"BED12.*kind='bed3'"),
        ("chr1\t10\t20\tchr1:50-60,7\t1\t.\n", "WashU"),
        ("chr1,10,20,2.5\nchr1,30,40,1\n", r"Run: tr ',' '\\t' <"),
        ("fixedStep chrom=chr1 start=1 step=10\n1\n2\n", "Run: wigToBigWig"),
        ("track type=wiggle_0\nvariableStep chrom=chr1\n10\t2\n", "Run: wigToBigWig"),
        ("# This file is generated by MACS version 2.2\nchr\tstart\tend\n", r"the table \(\.xls\) of MACS"),
        ("chr\tstart\tend\tlength\tabs_summit\nchr1\t1\t9\t9\t5\n", r"the table \(\.xls\) of MACS"),
        ("@SQ\tSN:chr1\tLN:1000\n", "Run: samtools sort"),
        ("r\t0\tchr1\t1\t30\t4M\t*\t0\t0\tACGT\tIIII\n", "Run: samtools sort"),
        ("##fileformat=VCFv4.2\n", "this is VCF"),
        ('chr1\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "A";\n', "pass them as annotation"),
        (b"CRAM\x03\x00rest", "CRAM.*Run: samtools view -b -T"),
        (b"\xeb\xf2\x89\x87rest", "Run: bigBedToBed"),
        (b"PK\x03\x04rest", "Excel"),
        (gzip.compress(b"chr1\t1\t2\n", mtime=0), "pack"),
        (b"BAI\x01rest", "an index"),
        (b"BZh91AY&SY", "Run: bunzip2"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("\ufeffchr1\t1\t2\n".encode("utf-16-le"), "iconv -f UTF-16"),
        ("chr1\t1\t2\n".encode("utf-16-le"), "line 1 holds a NUL byte"),
        ("<!DOCTYPE html><html>404", "a web page"),
        ("chr1\t10\t20\rchr1\t30\t40\r", r"Run: tr '\\r' '\\n'"),
        ("chr1\t10\t20\nchr1\t3\x000\t40\n", "line 2 holds a NUL byte"),
    ],
)
def test_files_that_are_no_tracks_are_recognised_under_any_name(tmp_path, name, content, message):
    if message == "pack":
        content, message = (gzip.compress(content), "a gzip file within a gzip file")
        content = content if not name.endswith(".gz") else gzip.decompress(content)
    path = written(tmp_path, content, name)
    for read in (
        lambda: sct.pp.from_tracks({"M": path}, GENES),
        lambda: sct.io.read_peaks(path),
        lambda: sct.pp.bin_reads({"M": path}, GENES.assign(tss=GENES["start"])),
    ):
        with pytest.raises(ValueError, match=message) as error:
            read()
        assert str(path) in str(error.value)


def test_peaks_of_encode_are_recognised_in_bed_files(tmp_path):
    for text, name in ((SUBMITTED, "ENCFF001AAA.bed.gz"), (BROAD, "ENCFF001BBB.bed.gz"), (SUBMITTED, "a.narrowPeak")):
        assert binned(written(tmp_path, text, name)) == {"A": {"-50": 52.75, "50": 52.75}, "B": {"50": 4.1}}
    path = written(tmp_path, SUBMITTED, "ENCFF001AAA.bed.gz")
    assert binned(path, kinds="bed")["B"] == {"50": 1000.0}
    assert binned(path, kinds={"M": "bed3"})["B"] == {"50": 1.0}
    assert sct.pp.bin_peaks({"M": path}, GENES.assign(tss=[20_000, 70_000])).uns["units"] == {"signal": "peak signal"}


def test_gapped_peaks_and_those_of_seacr_keep_the_total(tmp_path):
    assert sct.io.read_peaks(written(tmp_path, GAPPED))["signal"].tolist() == [52.75]
    seacr = sct.io.read_peaks(written(tmp_path, SEACR))
    assert seacr["signal"].tolist() == [52.75, 4.1]
    np.testing.assert_allclose(seacr["signal"] * (seacr["end"] - seacr["start"]), [10_550, 410])
    assert sct.io.read_peaks(written(tmp_path, SEACR), kind="bed")["signal"].tolist() == [60, 9]


def test_reads_and_fragments_are_counted_whatever_they_are_called(tmp_path):
    for name in ("a.bed", "a.tagAlign", "a.txt.gz"):
        reads = written(tmp_path, READS, name)
        assert binned(reads, reads={"shift": 0}) == {"A": {"-50": 1.0, "50": 1.0}, "B": {}}
        assert binned(written(tmp_path, FRAGMENTS, name)) == {"A": {"-50": 1.0, "50": 2.0}, "B": {}}
    plain = written(tmp_path, FRAGMENTS, "fragments.tsv")
    pysam.tabix_compress(str(plain), str(tmp_path / "fragments.tsv.gz"))
    assert binned(tmp_path / "fragments.tsv.gz")["A"] == {"-50": 1.0, "50": 2.0}
    for text in (READS, FRAGMENTS):
        with pytest.raises(ValueError, match=r"sct\.pp\.bin_reads.* kind='bed3'"):
            sct.io.read_peaks(written(tmp_path, text))
    assert sct.io.read_peaks(written(tmp_path, READS), kind="bed")["signal"].tolist() == [42, 0]
    with pytest.raises(ValueError, match="min_mapq=10"):
        binned(plain, reads={"min_mapq": 10})


def test_the_command_that_is_named_for_pairs_makes_fragments(tmp_path):
    path = written(tmp_path, PAIRS)
    with pytest.raises(ValueError, match="BEDPE") as error:
        binned(path)
    command = str(error.value).partition("counts): ")[2].partition(" > fragments.bed")[0]
    made = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    assert made == "chr1\t19960\t20050\nchr1\t69900\t70000\n"
    assert binned(written(tmp_path, made, "f.bed")) == {"A": {"-50": 0.4, "50": 0.5}, "B": {"50": 1.0}}


@pytest.mark.parametrize("name", ["a.bed", "a.narrowPeak", "a.bam", "a.txt", "a.bw", "a.tagAlign"])
def test_binary_tracks_are_known_by_content(tmp_path, name):
    track = pyBigWig.open(str(tmp_path / name), "w")
    track.addHeader([("chr1", 100_000)])
    track.addEntries(["chr1"], [20_000], ends=[20_100], values=[7.0])
    track.close()
    assert binned(tmp_path / name)["A"] == {"50": 7.0}
    with pytest.raises(ValueError, match=r"Use sct\.pp\.bin_bigwig"):
        sct.io.read_peaks(tmp_path / name)
    with pytest.raises(ValueError, match="Leave kind='bed' out"):
        binned(tmp_path / name, kinds="bed")
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr1", "LN": 100_000}]}
    with pysam.AlignmentFile(str(tmp_path / name), "wb", header=header) as bam:
        read = pysam.AlignedSegment(bam.header)
        read.query_name, read.reference_id, read.reference_start = "r", 0, 20_010
        read.query_sequence, read.cigarstring, read.mapping_quality = "A" * 36, "36M", 60
        bam.write(read)
    pysam.index(str(tmp_path / name))
    assert binned(tmp_path / name, reads={"shift": 0})["A"] == {"50": 1.0}


def test_the_recognised_kind_is_logged_at_info(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        sct.io.read_peaks(written(tmp_path, SUBMITTED))
    assert "a.bed: read as narrowPeak" in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_a_value_in_column_4_is_read_with_a_warning(tmp_path, caplog):
    text = "chr1\t19900\t20000\t25\nchr1\t20000\t20100\t713\nchr1\t69900\t70000\t96\n"
    assert binned(written(tmp_path, text)) == {"A": {"-50": 25.0, "50": 713.0}, "B": {"50": 96.0}}
    assert "column 4 holds numbers and is read as signal" in caplog.text
    caplog.clear()
    assert binned(written(tmp_path, text), kinds="bed3")["A"] == {"-50": 1.0, "50": 1.0}
    assert binned(written(tmp_path, text, "a.bedGraph"))["A"] == {"-50": 25.0, "50": 713.0}
    assert "column 4" not in caplog.text


def test_numbers_that_begin_further_down_are_not_taken_for_presence(tmp_path):
    rows = [f"chr1\t{i}0\t{i}9\t{'.' if i < 600 else 2.5}\n" for i in range(1, 700)]
    with pytest.raises(ValueError, match=r"column 4 .*kind='bedGraph'"):
        sct.io.read_peaks(written(tmp_path, "".join(rows)))
    assert sct.io.read_peaks(written(tmp_path, "".join(rows)), kind="bed3")["signal"].eq(1).all()


def test_scores_that_are_all_zero_are_read_as_presence_with_a_warning(tmp_path, caplog):
    text = "chr1\t19900\t20100\t.\t0\t.\nchr1\t69900\t70000\t.\t0\t.\n"
    assert binned(written(tmp_path, text)) == {"A": {"-50": 1.0, "50": 1.0}, "B": {"50": 1.0}}
    assert "all 2 scores, column 5, are 0" in caplog.text
    caplog.clear()
    assert binned(written(tmp_path, text.replace("\t0\t", "\t.\t")))["B"] == {"50": 1.0}
    assert "scores" not in caplog.text
    assert binned(written(tmp_path, text), kinds="bed") == {"A": {}, "B": {}}
    assert "all 2 signals, column 5 of bed, are 0" in caplog.text
    zero = SUBMITTED.replace("52.75", "0").replace("4.1", "0")
    with pytest.raises(ValueError, match=r"all 2 signals, column 7 of narrowPeak, are 0.* kind='bed'"):
        binned(written(tmp_path, zero))
    assert binned(written(tmp_path, "chr1\t10\t20\t0\n", "a.bdg"), kinds="bedGraph") == {"A": {}, "B": {}}
    assert "all 1 signals, column 4 of bedGraph, are 0" in caplog.text


def test_rows_of_a_bedgraph_that_overlap_are_refused(tmp_path):
    rows = ["chr1\t20000\t20060\t1\n", "chr1\t20040\t20100\t1\n", "chr2\t20000\t20060\t2\n"]
    for text in ("".join(rows), "".join([rows[0], rows[2], rows[1]]), rows[0] * 2, "".join(reversed(rows))):
        with pytest.raises(ValueError, match=r"1 of \d rows .*chr1:20000-20060 and chr1:20.*-o mean"):
            sct.io.read_peaks(written(tmp_path, text, "a.bdg"))
    apart = rows[1].replace("20040", "20060")
    for text in (rows[0] + rows[2] + apart, apart + rows[0], rows[2] + rows[0] + apart):
        assert len(sct.io.read_peaks(written(tmp_path, text, "a.bdg"))) == text.count("\n")


def test_rows_with_more_fields_than_the_first_are_refused(tmp_path):
    with pytest.raises(ValueError, match="row 2 has 5 fields, the first 3"):
        sct.io.read_peaks(written(tmp_path, "chr1\t10\t20\n\nchr1\t30\t40\tp\t7\n"))
    assert len(sct.io.read_peaks(written(tmp_path, "chr1\t10\t20\nchr1\t30\t40\t\t\n"))) == 2


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text.replace("\t", " "),
        lambda text: text.replace("\t", "  "),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\ufefftrack name=x\n" + text,
        lambda text: "browser position chr1\n\n# comment\ntrack name=x\n" + text,
        lambda text: text.replace("\n", "\t\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\r\n").rstrip("\n"),
    ],
)
@pytest.mark.parametrize("name", ["a.bed", "a.bed.gz", "a.bedGraph"])
def test_every_way_to_write_the_same_rows_gives_the_same_signal(tmp_path, spell, name):
    ends = ("3", "7") if name == "a.bedGraph" else ("p1\t3\t.", "p2\t7\t.")
    text = f"chr1\t19900\t20000\t{ends[0]}\nchr1\t20000\t20100\t{ends[1]}\n"
    assert binned(written(tmp_path, spell(text), name))["A"] == {"-50": 3.0, "50": 7.0}


def test_kinds_that_name_no_mark_are_refused(tmp_path):
    path = written(tmp_path, SUBMITTED)
    for call in (
        lambda kinds: binned(path, kinds=kinds),
        lambda kinds: sct.pp.bin_peaks({"M": path}, GENES.assign(tss=20_000), kinds=kinds),
        lambda kinds: sct.pp.bin_reads({"M": path}, GENES.assign(tss=20_000), kinds=kinds),
    ):
        with pytest.raises(ValueError, match=r"kinds names H3K4me3.*found M"):
            call({"H3K4me3": "bed"})
        with pytest.raises(ValueError, match="kind is 'peaks'; choose one of bigWig, BAM"):
            call({"M": "peaks"})


def test_kinds_may_be_given_by_mark_and_for_the_control(tmp_path):
    counted, scored = written(tmp_path, READS, "a.bed"), written(tmp_path, "chr1\t19900\t20100\tp\t7\t+\n", "b.bed")
    kinds = {"reads": "tagAlign", "peaks": "bed"}
    adata = sct.pp.from_tracks({"reads": counted, "peaks": scored}, GENES, windows=WINDOWS, kinds=kinds)
    assert adata[:, "peaks:tss:50"].X.tolist() == [[7.0], [0.0]]
    assert adata.X[:, :100].sum() == 2
    with pytest.raises(ValueError, match=r"b\.bed: strand \+ or -.*column 5"):
        sct.pp.from_tracks({"peaks": scored}, GENES)
    adata = sct.pp.from_tracks(
        {"M": counted}, GENES, windows=WINDOWS, control=scored, kinds={"control": "tagAlign"}, control_method="subtract"
    )
    assert np.isfinite(adata.X).all()
