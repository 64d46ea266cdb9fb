from __future__ import annotations

import gzip

import pytest

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
        ("chrom\tstart\tend\tname\tscore\tstrand\tsignalValue\tp\tq\n" + PEAK, "is there a header line"),
        ("#only\ntrack type=broadPeak\n", "no peaks at all"),
        (PEAK + "track type=broadPeak\n", r"1 of 2 peaks have no start or end .*, the first in row 2"),
        (PEAK + PEAK.replace("3.5", "NA"), "1 of 2 peaks have a missing or infinite signal, the first in row 2"),
        (PEAK.replace("3.5", "inf"), "missing or infinite signal"),
        (PEAK.replace("3.5", "-3.5"), r"1 of 1 peaks have a negative signal.*chr1 10 20 -3.5"),
        (PEAK.replace("3.5", "high"), "column 'signal' holds object"),
        (PEAK.replace("20", "10"), "an end that is not after its start"),
        (PEAK.replace("chr1", "") + PEAK, "1 of 2 peaks have no chromosome name"),
        ("chr1\t10\t20\n", "missing or infinite signal"),
        (PEAK.replace("\t", " "), "no start or end"),
    ],
)
def test_what_is_no_peak_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "bad.broadPeak"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        sct.io.read_peaks(path)
    assert str(path) in str(error.value)


def cut(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def flip(packed: bytes) -> bytes:
    return packed[:-6] + bytes([packed[-6] ^ 255]) + packed[-5:]


@pytest.mark.parametrize("damage", [cut, flip, gzip.decompress])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    path = tmp_path / "a.broadPeak.gz"
    path.write_bytes(damage(gzip.compress("".join(PEAK.replace("10", str(i)) for i in range(20)).encode())))
    with pytest.raises(ValueError, match=r"truncated or damaged.*Delete it and download it again"):
        sct.io.read_peaks(path)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a name that ends in \.broadPeak, \.narrowPeak, \.bed, \.bedGraph"):
        sct.io.read_peaks(tmp_path / "peaks.txt.gz")


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
        ("a.bedGraph", "chr1\t10\t20\t1\nchr1\t20\t30\thigh\n", "'signal' holds object, such as 'high' in row 2"),
        ("a.bedGraph", "chr1\t10\t20\n", "1 of 1 peaks have a missing or infinite signal"),
        ("a.bedGraph", "chr1\t10\t20\t1\nchr1\t10\n", "1 of 2 peaks have no start or end.* row 2"),
        ("a.bed", "chr1\t10\t20\tn\t5\nchr1\t10\t20\tn\n", "1 of 2 peaks have a missing or infinite signal.* row 2"),
        ("a.bed", "chr1\t10\t20\tn\t.\n", r"'signal' holds object, such as '\.' in row 1"),
        ("a.bed", "\x00\x01\n", "a.bed"),
        ("a.bed", "chr1\t99999999999999999999\t20\n", "a.bed"),
    ],
)
def test_what_is_no_bed_or_bedgraph_is_refused_by_name(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        sct.io.read_peaks(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
