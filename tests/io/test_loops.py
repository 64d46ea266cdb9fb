from __future__ import annotations

import contextlib
import gzip

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct

HICCUPS = "chr1\tx1\tx2\tchr2\ty1\ty2\tcolor\to\te_bl\n10\t100\t200\t10\t900\t950\t0,255,255\t95\t27.5\n"
JUICER = (
    "#chr1\tx1\tx2\tchr2\ty1\ty2\tname\tscore\tstrand1\tstrand2\tcolor\tobserved\n# juicer_tools version 1.22.01\n"
    "chr10\t100\t200\tchr10\t900\t950\t.\t.\t.\t.\t0,255,255\t95.0\n"
)
COOLTOOLS = "chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tcount\nchr10\t100\t200\tchr10\t900\t950\t95\n"
BEDPE = "chr10\t100\t200\tchr10\t900\t950\tname\t95\t.\t.\n"


def written(tmp_path, text, name="loops.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("text", [HICCUPS, JUICER, COOLTOOLS, BEDPE, "track name=loops\n#c\n" + BEDPE + "\n"])
def test_reads_each_format(tmp_path, text, zipped):
    path = written(tmp_path, gzip.compress(text.encode()) if zipped else text)
    (loop,) = sct.io.read_loops(path).to_dict("records")
    assert loop.pop("chrom1") == loop.pop("chrom2") == ("10" if text == HICCUPS else "chr10")
    assert loop == {"start1": 100, "end1": 200, "start2": 900, "end2": 950, "count": 95.0}


@pytest.mark.parametrize(
    "text",
    [
        "chr1\t1\t2\tchr1\t5\t9\n",
        BEDPE.replace("95\t.", ".\t."),
        BEDPE.replace("95\t.", "0\t."),
        "chr1 1 2 chr1 5 9 name\n",
        "chr1\tx1\tx2\tchr2\ty1\ty2\tcolor\tfdr\n1\t1\t2\t1\t5\t9\t0,0,0\t0.5\n",
    ],
)
def test_without_counts_each_loop_counts_one(tmp_path, text):
    assert sct.io.read_loops(written(tmp_path, text))["count"].tolist() == [1.0]


@pytest.mark.parametrize(("cell_type", "n"), [("E116", 9_448), ("E117", 3_094), ("E123", 6_057)])
def test_real_lists(public_file, cell_type, n):
    public_file("shallowchrome/GeneFile.txt")
    loops = sct.io.read_loops(sct.datasets.hic_loops(cell_type))
    assert len(loops) == n
    assert (loops["start1"] < loops["start2"]).all()
    assert loops["count"].min() >= 12


def test_a_cell_type_without_a_list_is_refused():
    with pytest.raises(ValueError, match="'E003'; choose from E116"):
        sct.datasets.hic_loops("E003")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no loops at all"),
        ("#only\ntrack\n\n", "no loops at all"),
        (HICCUPS.splitlines()[0], "no loops at all"),
        (BEDPE + "chr10\t100\t200\n", "line 2 has 3 fields, expected 10"),
        ("chr1\t10\t20\n", "line 1 has 3 fields, expected 6"),
        ("gene\tvalue\nPAX5\t3\n", "line 1 has a header, expected 6"),
        ("c\ts\te\tc\ts\te\n" + BEDPE, "line 2 has 10 fields, expected 6"),
        (HICCUPS + HICCUPS.splitlines()[1].replace("900", "9x0"), "1 of 2 loops .* line 3 \\(10 100"),
        (HICCUPS.replace("100\t", "-100\t"), "no position.* line 2"),
        (HICCUPS.replace("100\t", "100.5\t"), "no position"),
        (HICCUPS.replace("950", "99999999999999999999"), "no position"),
        (HICCUPS.replace("950", "900"), "not after its start"),
        (HICCUPS.replace("\t95\t", "\tmany\t"), "count .* line 2"),
        (HICCUPS.replace("\t95\t", "\t-1\t"), "above 0"),
        (HICCUPS.replace("\t95\t", "\tinf\t"), "above 0"),
        (BEDPE + BEDPE.replace("\t95\t", "\t.\t"), "above 0.* line 2"),
        (BEDPE.replace("chr10", "", 1), "without chromosome"),
        (b"\xff\xfe\x00", "iconv -f UTF-16 -t UTF-8"),
        (b"chr\xe9\t1\t2\tchr1\t5\t9\n", "line 1 is no UTF-8"),
        (gzip.compress(BEDPE.encode() * 99, mtime=0)[:-9], "truncated or damaged"),
    ],
)
def test_what_is_no_list_of_loops_is_refused_by_line(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as error:
        sct.io.read_loops(path)
    assert str(path) in str(error.value)


FIELDS = st.sampled_from(
    ["chr1", "10", "", ".", "x1", "o", "1e3", "nan", "-1", "1" * 400, "٣", "1_0", "0x1f", "\x00", "#"]
)
LINES = st.lists(st.lists(FIELDS | st.text(max_size=5), max_size=9).map("\t".join), max_size=6).map("\n".join)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=80) | LINES.map(str.encode) | LINES.map(lambda text: (HICCUPS + text).encode()))
@example(b"\x1f\x8b")
def test_garbage_is_read_as_loops_or_refused(tmp_path, content):
    path = written(tmp_path, content)
    with contextlib.suppress(ValueError):
        loops = sct.io.read_loops(path)
        assert (loops["end1"] > loops["start1"]).all()
        assert (loops["count"] > 0).all()
