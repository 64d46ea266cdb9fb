"""Sample sheets: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simplechrome_tk.io._sample_sheet import read_sample_sheet


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with the files a.bed, b.bed, ..., of different content."""
    for name in "abcdxy":
        (tmp_path / f"{name}.bed").write_text(f"chr1\t0\t{ord(name)}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sheet(**columns) -> pd.DataFrame:
    """Two conditions of two samples, one mark; columns replace or add to it."""
    table = {
        "sample": ["A1", "A2", "B1", "B2"],
        "condition": ["A", "A", "B", "B"],
        "replicate": [1, 2, 1, 2],
        "mark": ["H3K4me3"] * 4,
        "path": ["a.bed", "b.bed", "c.bed", "d.bed"],
    }
    return pd.DataFrame(table | columns)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_a_file_and_a_table_say_the_same(folder, separator, monkeypatch):
    (folder / "sheets").mkdir()
    table = sheet(path=["../a.bed", "../b.bed", "../c.bed", "../d.bed"], scale_factor=[1.5, 1, 1, 2])
    table.to_csv(folder / "sheets" / "sheet.txt", sep=separator, index=False)
    found = read_sample_sheet(folder / "sheets" / "sheet.txt")
    assert found.source.endswith("sheet.txt")
    assert [path.resolve().name for own in found.rows["path"] for path in own] == ["a.bed", "b.bed", "c.bed", "d.bed"]
    monkeypatch.chdir(folder / "sheets")
    again = read_sample_sheet(table)
    pd.testing.assert_frame_equal(found.rows.drop(columns="path"), again.rows.drop(columns="path"))
    assert again.rows["replicate"].tolist() == ["1", "2", "1", "2"]
    assert again.rows["scale_factor"].tolist() == [1.5, 1, 1, 2]
    assert found.samples.loc["B1"].to_dict() == {"condition": "B", "replicate": "1"}


def test_columns_without_values_count_as_absent(folder):
    found = read_sample_sheet(sheet(control=[None] * 4, scale_factor=[""] * 4))
    assert list(found.rows) == ["sample", "condition", "replicate", "mark", "path"]


def test_a_cell_may_name_several_files(folder):
    paths = ["a.bed; b.bed", ["c.bed", Path("d.bed")]]
    table = pd.DataFrame({"sample": ["A", "B"], "mark": "M", "path": paths})
    assert read_sample_sheet(table).rows["path"].tolist() == [
        [Path("a.bed"), Path("b.bed")],
        [Path("c.bed"), Path("d.bed")],
    ]


def test_samples_may_share_a_control(folder):
    found = read_sample_sheet(sheet(control=["x.bed", "x.bed", "y.bed", "y.bed"]))
    assert found.rows["control"].tolist() == [[Path("x.bed")]] * 2 + [[Path("y.bed")]] * 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (sheet().drop(columns="mark"), "no column mark"),
        (sheet(antibody="x"), "column antibody is unknown"),
        (sheet(replicat="x"), r"column replicat is unknown.*Did you mean replicate\?"),
        (sheet(Sample="x"), "two columns are called sample"),
        (sheet().head(0), "no rows"),
        (sheet(mark=["H3K4me3", "", "H3K4me3", "H3K4me3"]), r"mark is empty in 1 of 4 rows \(A2\)"),
        (sheet(condition=["A", None, "B", "B"]), r"condition is empty in 1 of 4 rows \(A2 H3K4me3\)"),
        (sheet(control=["x.bed", "", "x.bed", ""]), r"control is empty in 2 of 4 rows.*for each, or for none"),
        (sheet(sample=["A1", "A1", "B1", "B2"]), r"2 rows are of H3K4me3 in sample 'A1'.*\(A1_1 and A1_2\)"),
        (sheet(sample=["A1", "A1", "B1", "B2"], replicate=1), r"2 rows are of H3K4me3.*leave one of them out"),
        (
            sheet(
                sample=["A1", "A1", "B1", "B2"],
                mark=["M", "N", "M", "M"],
                replicate=[1, 1, 1, 2],
                condition=list("ABBB"),
            ),
            "sample 'A1' has the condition A, B",
        ),
        (sheet(replicate=[1, 1, 1, 2]), "samples A1, A2 are all replicate 1 of condition A"),
        (sheet(scale_factor=[1, 2, None, 1]), "H3K4me3 has a scale_factor in some samples and none in B1"),
        (sheet(scale_factor=[1, 2, 0, 1]), "scale_factor of H3K4me3 in B1 is '0'; expected a number above 0"),
        (sheet(scale_factor=["1", "2", "much", "1"]), "scale_factor of H3K4me3 in B1 is 'much'"),
        (sheet(path=["a.bed", "b.bed", "./a.bed", "d.bed"]), "a.bed is given for A1 H3K4me3 and for B1 H3K4me3"),
        (sheet(control="a.bed"), "a.bed is a control and also A1 H3K4me3"),
        (sheet(path=["https://a.org/a.bw", "b.bed", "c.bed", "d.bed"]), "is a web address"),
        (sheet(path=[".", "b.bed", "c.bed", "d.bed"]), "is a folder"),
        (sheet(path=[5, "b.bed", "c.bed", "d.bed"]), "path is an int"),
    ],
)
def test_what_is_wrong_is_named(folder, table, message):
    with pytest.raises(ValueError, match=message):
        read_sample_sheet(table)


def test_files_that_do_not_exist_are_counted(folder):
    with pytest.raises(FileNotFoundError, match=r"2 files do not exist: none\.bed, nor\.bed"):
        read_sample_sheet(sheet(path=["a.bed", "none.bed", "c.bed", "nor.bed"]))
    with pytest.raises(FileNotFoundError, match="there is no sample sheet"):
        read_sample_sheet("sheet.csv")
    with pytest.raises(ValueError, match="sheet is a list"):
        read_sample_sheet(["a.bed"])


def test_a_link_to_a_file_is_the_same_file(folder):
    (folder / "link.bed").symlink_to(folder / "a.bed")
    with pytest.raises(ValueError, match=r"link\.bed is given for A1 H3K4me3 and for B2 H3K4me3"):
        read_sample_sheet(sheet(path=["a.bed", "b.bed", "c.bed", "link.bed"]))


def test_a_copy_of_a_file_is_named_in_the_log(folder, caplog):
    (folder / "copy.bed").write_bytes((folder / "a.bed").read_bytes())
    read_sample_sheet(sheet(path=["a.bed", "b.bed", "c.bed", "copy.bed"]))
    assert "1 pairs of files have the same content: A1 H3K4me3 and B2 H3K4me3" in caplog.text
