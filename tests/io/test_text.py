from __future__ import annotations

import gzip
import time

import pandas as pd
import pytest

import simplechrome_tk as sct

GENES = pd.DataFrame({"chrom": "chr1", "start": [20_000], "end": [30_000], "strand": ["+"], "tss": [20_000]}, ["A"])
BED = "chr1\t{0}\t{0}9\n"
READERS = {
    "a.bed": (BED, sct.io.read_peaks),
    "a.bedGraph": ("chr1\t{0}0\t{0}9\t2\n", sct.io.read_peaks),
    "a.broadPeak": ("chr1\t{0}\t{0}9\tp\t0\t.\t3.5\t4\t-1\n", sct.io.read_peaks),
    "a.narrowPeak": ("chr1\t{0}\t{0}9\tp\t0\t.\t3.5\t4\t-1\t1\n", sct.io.read_peaks),
    "a.tagAlign": ("chr1\t{0}\t{0}9\tN\t7\t+\n", lambda path: sct.pp.bin_reads({"M": path}, GENES)),
    "fragments.tsv": ("chr1\t{0}\t{0}9\tAAACGTTC-1\t2\n", lambda path: sct.pp.bin_reads({"M": path}, GENES)),
    "genes.bed": ("chr1\t{0}\t{0}9\tg{0}\t0\t+\n", sct.io.read_annotation),
    "genes.gtf": ('chr1\th\tgene\t{0}\t{0}9\t.\t+\t.\tgene_id "g{0}";\n', sct.io.read_annotation),
    "expression.tsv": ("ENSG{0:011d}\t{0}\n", sct.io.read_expression),
    "loops.bedpe": ("chr1\t{0}\t{0}9\tchr1\t{0}00\t{0}99\n", sct.io.read_loops),
    "sizes.txt": ("chr{0}\t{0}\n", lambda path: sct.io.read_annotation(GENES, genome=path)),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("row", [3, 700])
def test_a_nul_byte_is_refused_by_every_reader_of_text(tmp_path, name, zipped, row):
    """The parser of pandas takes it for the end of a field: 690, NUL, 0 would be read as 690."""
    form, read = READERS[name]
    lines = [form.format(number) for number in range(1, 1_000)]
    lines[row - 1] = lines[row - 1].replace(str(row), f"{row}\x000", 1)
    path = tmp_path / (f"{name}.gz" if zipped else name)
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(ValueError, match=rf"line {row} holds a NUL byte") as error:
        read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_lines_that_end_in_a_carriage_return_alone_say_how_to_convert_them(tmp_path, name):
    form, read = READERS[name]
    (tmp_path / name).write_bytes("".join(form.format(number) for number in range(1, 9)).replace("\n", "\r").encode())
    with pytest.raises(ValueError, match=r"Run: tr '\\r' '\\n' < "):
        read(tmp_path / name)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xeb\xf2\x89\x87rest", "bigBed"),
        ("a\tb\n".encode("utf-16"), "UTF-16"),
        (b"PK\3\4rest", "Excel"),
    ],
)
def test_binary_formats_are_named_by_every_reader_of_text(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        READERS[name][1](tmp_path / name)


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \n", b"\t\n"])
@pytest.mark.parametrize("before", [b"", b"chr1\t1\t9\n"])
def test_a_gzip_file_of_blank_lines_is_refused_at_once(tmp_path, blank, before):
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(before + blank * 20_000_000, 1))
    start = time.process_time()
    with pytest.raises(ValueError, match=r"a\.bed\.gz: more than 65,000 blank lines"):
        sct.io.read_peaks(path)
    assert time.process_time() - start < 3


def test_some_blank_lines_are_left_out(tmp_path):
    (tmp_path / "a.bed").write_text("\n" * 60_000 + "chr1\t1\t9\n" + "\n" * 60_000 + "chr1\t11\t19\n")
    assert len(sct.io.read_peaks(tmp_path / "a.bed")) == 2
