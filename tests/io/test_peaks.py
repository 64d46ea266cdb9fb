from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct

PEAK = "chr1\t10\t20\tname\t0\t.\t3.5\t4\t-1\n"


@pytest.mark.parametrize(("name", "end"), [("a.broadPeak", ""), ("a.narrowPeak", "\t7"), ("a.BROADPEAK", "")])
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_the_signal_of_each_peak(tmp_path, name, end, zipped):
    text = (PEAK.rstrip("\n") + end + "\n" + PEAK.replace("3.5", "8").rstrip("\n") + end + "\n").encode()
    path = tmp_path / (name + ".gz" * zipped)
    path.write_bytes(gzip.compress(text) if zipped else text)
    peaks = sct.io.read_peaks(path)
    assert peaks.to_dict("list") == {"chrom": ["chr1"] * 2, "start": [10] * 2, "end": [20] * 2, "signal": [3.5, 8.0]}


def test_chromosome_names_are_text_even_where_they_are_numbers(tmp_path):
    (tmp_path / "a.broadPeak").write_text(PEAK.replace("chr1", "1"))
    assert list(sct.io.read_peaks(tmp_path / "a.broadPeak")["chrom"]) == ["1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no peaks at all"),
        ("chrom\tstart\tend\tname\tscore\tstrand\tsignalValue\tp\tq\n" + PEAK, "header line"),
        ("#only\ntrack type=broadPeak\n", "no peaks at all"),
        (PEAK + "track type=broadPeak\n", r"no start or end .* row 2"),
        (PEAK + PEAK.replace("3.5", "NA"), "missing or infinite signal.* row 2"),
        (PEAK.replace("3.5", "inf"), "missing or infinite signal"),
        (PEAK.replace("3.5", "-3.5"), r"1 of 1 peaks .*negative signal.*chr1 10 20 -3.5"),
        (PEAK.replace("3.5", "high"), "'signal' holds text, such as 'high' in row 1"),
        (PEAK.replace("20", "10"), "not after its start"),
        (PEAK.replace("chr1", "") + PEAK, "1 of 2 peaks .*no chromosome name"),
        ("chr1\t10\t20\n", r"column 7, where broadPeak .*kind='bed3'"),
    ],
)
def test_rows_that_are_no_peaks_are_refused_with_the_path(tmp_path, text, message):
    path = tmp_path / "bad.broadPeak"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        sct.io.read_peaks(path)
    assert str(path) in str(error.value)


def cut(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def flip(packed: bytes) -> bytes:
    return packed[:-6] + bytes([packed[-6] ^ 255]) + packed[-5:]


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    path = tmp_path / "a.broadPeak.gz"
    path.write_bytes(damage(gzip.compress("".join(PEAK.replace("10", str(i)) for i in range(20)).encode())))
    with pytest.raises(ValueError, match="truncated or damaged"):
        sct.io.read_peaks(path)


def test_an_unknown_format_is_refused(tmp_path):
    (tmp_path / "peaks.txt").write_text("chr1\t10\t20\t1\t5\n")
    with pytest.raises(ValueError, match=r"peaks\.txt: columns 4 and 5 hold numbers.* kind='bedGraph'"):
        sct.io.read_peaks(tmp_path / "peaks.txt")
    with pytest.raises(ValueError, match="kind is 'BED'; choose one of bigWig, BAM"):
        sct.io.read_peaks(tmp_path / "peaks.txt", kind="BED")


@pytest.mark.parametrize(
    ("name", "text", "signal"),
    [
        ("a.bed", "chr1\t10\t20\n", 1.0),
        ("a.bed", "chr1\t10\t20\tname\n", 1.0),
        ("a.bed", "chr1\t10\t20\tname\t7\n", 7.0),
        ("a.bed", "chr1\t10\t20\tname\t7.5\t+\t10\t20\t0,0,0\t1\t10,\t0,\n", 7.5),
        ("a.bed", "chr1\t10\t20\tname\t7.5\t+" + "\tmore" * 8 + "\n", 7.5),
        ("a.bedGraph", "browser position chr1\ntrack type=bedGraph\n#comment\nchr1\t10\t20\t0.25\n", 0.25),
        ("a.bed", 'chr1\t10\t20\t5" exon\t3\n', 3.0),
        ("a.bdg", "chr1\t10\t20\t0.25\n", 0.25),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_bed_and_bedgraph(tmp_path, name, text, signal, zipped):
    path = tmp_path / (name + ".gz" * zipped)
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert sct.io.read_peaks(path).to_dict("list") == {
        "chrom": ["chr1"],
        "start": [10],
        "end": [20],
        "signal": [signal],
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bedGraph", "chr1\t10\t20\t1\nchr1\t20\t30\thigh\n", "'signal' holds text, such as 'high' in row 2"),
        ("a.bedGraph", "chr1\t10\t20\n", "no signal in column 4, where bedGraph"),
        ("a.bedGraph", "chr1\t10\t20\t1\nchr1\t10\n", "1 of 2 peaks have no start or end.* row 2"),
        ("a.bed", "chr1\t10\t20\tn\t5\nchr1\t10\t20\tn\n", "1 of 2 peaks have a missing or infinite signal.* row 2"),
        ("a.bed", "chr1\t10\t20\tn\t7\nchr1\t10\t20\tn\t.\n", r"'signal' holds text, such as '\.' in row 2"),
        ("a.bed", "\x00\x01\n", "a.bed"),
        ("a.bed", "chr1\t99999999999999999999\t20\n", "a.bed"),
        ("a.bedGraph", "chr1\t10\tinf\t1\n", "1 of 1 peaks have a start or end that is no whole number from 0"),
        ("a.bedGraph", "chr1\t10\t1e300\t1\n", "no whole number from 0"),
        ("a.bedGraph", "chr1\t10.5\t20\t1\n", "no whole number from 0"),
        ("a.bedGraph", "chr1\t-5\t20\t1\n", "no whole number from 0"),
        ("a.bedGraph", "10\t20\tchr1\t1\n", "'end' holds text, such as 'chr1' in row 1"),
    ],
)
def test_rows_that_are_no_bed_or_bedgraph_are_refused_with_the_path(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        sct.io.read_peaks(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_the_content_says_whether_a_file_is_gzipped_and_blank_lines_are_left_out(tmp_path):
    (tmp_path / "a.bed").write_bytes(gzip.compress(b"\n#comment\n\nchr1\t1e+05\t100010\n\nchr1\t20\t30\n"))
    (tmp_path / "b.bed.gz").write_bytes(b"chr1\t1e+05\t100010\nchr1\t20\t30\n")
    for name in ("a.bed", "b.bed.gz"):
        peaks = sct.io.read_peaks(tmp_path / name)
        assert peaks["start"].dtype == np.int64
        assert peaks["start"].tolist() == [100_000, 20]


@pytest.mark.parametrize("size", [1, 7, 40])
def test_how_much_is_read_at_once_does_not_matter(tmp_path, monkeypatch, size):
    path = tmp_path / "a.broadPeak"
    path.write_text("track\n\n" + "".join(PEAK.replace("3.5", str(i)) for i in range(20)))
    monkeypatch.setattr("simplechrome_tk.io._text._BLOCK", size)
    assert sct.io.read_peaks(path)["signal"].tolist() == list(range(20))
    path.write_text(path.read_text() + PEAK.replace("3.5", "-1"))
    with pytest.raises(ValueError, match=r"negative signal.* row 21"):
        sct.io.read_peaks(path)


@pytest.mark.parametrize("name", ["a.broadPeak.gz", "a.broadPeak"])
def test_what_unpacks_to_more_than_the_limit_is_refused_until_it_is_raised(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(PEAK.encode() * 1_000))
    genes = {"chrom": ["chr1"], "start": [10], "end": [5_000], "strand": ["+"], "id": ["g"]}
    for read in (
        sct.io.read_peaks,
        lambda path, **limit: sct.pp.bin_peaks({"M": path}, pd.DataFrame(genes, ["g"]).assign(tss=10), **limit),
        lambda path, **limit: sct.pp.from_tracks({"M": path}, pd.DataFrame(genes), **limit),
    ):
        with pytest.raises(ValueError, match=rf"{name}: more than 10,000 bytes once unpacked.*raise max_bytes"):
            read(path, max_bytes=10_000)
        assert len(read(path, max_bytes=100_000))


def test_a_bomb_without_line_ends_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("simplechrome_tk.io._text._BLOCK", 1_000)
    monkeypatch.setattr("simplechrome_tk.io._text._LONGEST_LINE", 10_000)
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(b"\t" * 100_000))
    with pytest.raises(ValueError, match=r"a\.bed\.gz: a line is longer than"):
        sct.io.read_peaks(path)


field = st.sampled_from(
    ["chr1", "1", "10", "20", "-3", "2.5", "", ".", "+", "nan", "inf", "1e9", "1e300", "True", "x", '"']
)
row = st.tuples(field, field, field, field).map("\t".join)
garbage = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=100).map(gzip.compress),
    st.text('\t\n\r\x00"#. +-0129aéEchr', max_size=200).map(str.encode),
    st.lists(st.lists(field).map("\t".join) | row).map(lambda rows: "\n".join(rows).encode()),
    st.lists(field, max_size=8).map(lambda fields: PEAK.encode() + "\t".join(["chr1", "10", "20", *fields]).encode()),
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=garbage,
    name=st.sampled_from(["a.broadPeak", "a.narrowPeak.gz", "a.bed", "a.bed.gz", "a.bedGraph", "a.bdg.gz"]),
)
def test_garbage_is_refused_with_the_path_or_read(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    message = None
    try:
        peaks = sct.io.read_peaks(path)
    except ValueError as error:
        message = str(error)
    if message is not None:
        assert str(path) in message
        return
    assert list(peaks) == ["chrom", "start", "end", "signal"]
    assert len(peaks)
    assert (peaks["chrom"].str.len() > 0).all()
    assert peaks[["start", "end"]].dtypes.tolist() == [np.int64, np.int64]
    assert ((peaks["start"] >= 0) & (peaks["start"] < peaks["end"])).all()
    assert (np.isfinite(peaks["signal"]) & (peaks["signal"] >= 0)).all()
