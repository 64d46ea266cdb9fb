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
        (
            "track type=broadPeak\n" + PEAK,
            r"1 of 2 peaks have no start or end \(is it a header line\?\), the first in row 1",
        ),
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
    with pytest.raises(ValueError, match=r"a name that ends in \.broadPeak or \.narrowPeak"):
        sct.io.read_peaks(tmp_path / "peaks.bed.gz")
