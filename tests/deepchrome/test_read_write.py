from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct
from simplechrome_tk.datasets import DatasetUnavailableError
from simplechrome_tk.deepchrome import _assemble, _parse_csv, _parse_header
from simplechrome_tk.deepchrome import _read as _deepchrome

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = ("train", "valid", "test")
TOY = "attentivechrome/{}.csv"


def table(genes: list[int | str], *, seed: int = 0, n_bins: int = 100, n_marks: int = 5) -> pd.DataFrame:
    """Rows of genes by bins, as the published files have them."""
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.5, 0.1, (len(genes) * n_bins, n_marks))
    frame = pd.DataFrame(counts, columns=range(2, 2 + n_marks))
    frame.insert(0, 0, np.repeat([g if isinstance(g, str) else f"{g:06d}" for g in genes], n_bins))
    frame.insert(1, 1, np.tile(np.arange(1, n_bins + 1), len(genes)))
    frame[2 + n_marks] = np.repeat(rng.integers(0, 2, len(genes)), n_bins)
    return frame


def text(frame: pd.DataFrame, *, header: list[str] | bool = False) -> str:
    return frame.to_csv(index=False, header=header, lineterminator="\n")


def save(path: Path, frame: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(frame))
    return path


def read(path: Path, **kwargs: object) -> ad.AnnData:
    return sct.deepchrome.read(path, annotate=False, **kwargs)


def matrix(frame: pd.DataFrame) -> np.ndarray:
    """Oracle: gene by gene, mark by mark, with a scan of the table for each."""
    rows = []
    for gene in frame[0].unique():
        of_gene = frame[frame[0] == gene].sort_values(1)
        rows.append(np.concatenate([of_gene[mark].to_numpy(float) for mark in frame.columns[2:-1]]))
    return np.array(rows, dtype=np.float32)


def save_cells(folder: Path, cells: dict[str, list[int]], *, inner: str = "classification") -> dict[str, pd.DataFrame]:
    """Write a folder of cell types, two genes in each file; return what each holds."""
    frames = {}
    for at, (cell, genes) in enumerate(cells.items()):
        frames[cell] = table(genes, seed=at)
        for i, split in enumerate(SPLITS):
            part = frames[cell].iloc[i * 200 : (i + 1) * 200]
            save(folder / cell / inner / f"{split}.csv", part)
    return frames


def pack(folder: Path, archive: Path, *, extra: list[tarfile.TarInfo] | None = None) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for member in extra or []:
            tar.addfile(member)
        tar.add(folder, arcname="data")
    return archive


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Stand-ins of the public tables: genes 1 (+), 2 (-) and 3 (unknown); RPKM 5, 1 and 13 of E003, median 3.33."""
    index = [f"ENSG{number:011d}" for number in (1, 2, 3, 4)]
    genes = pd.DataFrame(
        {
            "symbol": ["A", "B", "C", "D"],
            "chrom": ["chr1", "chr1", "chr8", "chr2"],
            "start": [100.0, 200.0, np.nan, 5.0],
            "end": [150.0, 280.0, np.nan, 9.0],
            "strand": ["+", "-", ".", "+"],
            "tss": [100, 280, 300, 5],
            "annotated": [True, True, False, True],
            "row": range(4),
        },
        index=index,
    )
    rpkm = pd.Series([5.0, 1.0, 13.0, 2.0], index=index)
    known = {"E003": _assemble.Expression(rpkm, 3.33)}
    monkeypatch.setattr(_deepchrome, "load_gene_table", lambda: genes)
    monkeypatch.setattr(_deepchrome, "load_cell_expression", lambda cell, _: known.get(cell))
    return genes


@pytest.mark.parametrize("numbers", [False, True])
def test_reads_genes_by_bins(tmp_path, numbers):
    frame = table([3, 419, 132963])
    adata = read(save(tmp_path / "E003.csv", frame.astype({0: int}) if numbers else frame))
    np.testing.assert_array_equal(adata.X, matrix(frame))
    assert adata.X.dtype == np.float32
    assert list(adata.obs_names) == ["ENSG00000000003", "ENSG00000000419", "ENSG00000132963"]
    assert list(adata.var["mark"].cat.categories) == list(_deepchrome.MARKS)
    assert list(adata.var_names[[0, 99, 100]]) == ["H3K27me3:tss:-4950", "H3K27me3:tss:4950", "H3K36me3:tss:-4950"]
    assert sct.get.region(adata, "tss").shape == (3, 5, 100)
    expected = ["high" if label else "low" for label in frame.groupby(0, sort=False)[7].first()]
    assert list(adata.obs["label"]) == expected
    assert set(adata.obs["strand"]) == {"."}
    assert not adata.obs["annotated"].any()
    assert list(adata.obs["cell_type"].cat.categories) == ["E003"]
    assert "split" not in adata.obs
    assert adata.uns["windows"].loc["tss"].to_dict() == {
        "anchor": "tss",
        "upstream": 5_000,
        "downstream": 5_000,
        "n_bins": 100,
    }


@pytest.mark.parametrize("size", [150, 999, 1_000, 4_096, 100_000])
@pytest.mark.parametrize("kind", ["counts", "fractions", "names", "windows line ends"])
def test_the_size_of_blocks_does_not_matter(tmp_path, monkeypatch, size, kind):
    frame = table([1, 2, 77, 300], seed=size)
    if kind == "fractions":
        frame[4] = frame[4] + 0.25
    if kind == "names":
        frame[0] = "ENSG00000" + frame[0]
    content = text(frame).replace("\n", "\r\n") if kind == "windows line ends" else text(frame)
    (tmp_path / "a.csv").write_bytes(content.encode() + b"\n\n" * (size % 2))
    monkeypatch.setattr(_parse_csv, "_BLOCK", size)
    adata = read(tmp_path / "a.csv")
    np.testing.assert_array_equal(adata.X, matrix(frame))
    assert list(adata.obs_names) == [f"ENSG{number:011d}" for number in (1, 2, 77, 300)]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("3", "ENSG00000000003"),
        ("00000000003", "ENSG00000000003"),
        ("ENSG00000000003", "ENSG00000000003"),
        ("ENSG00000000003.14", "ENSG00000000003"),
        ("ENSG00000000003_TSPAN6", "ENSG00000000003"),
        ("ENSMUSG00000000001", "ENSMUSG00000000001"),
        ("YAL001C", "YAL001C"),
    ],
)
def test_ids_become_ensembl_ids_where_they_can(tmp_path, written, expected):
    assert list(read(save(tmp_path / "a.csv", table([written]))).obs_names) == [expected]


def test_a_header_names_columns_in_any_order(tmp_path, caplog):
    frame = table([5, 6])
    names = ["GeneID", "Bin ID", "H3K27me3 count", "H3K36me3", "H3K4me1", "H3K4me3_counts", "H3K9me3", "Label"]
    frame.columns = names
    shuffled = frame[[names[i] for i in (7, 4, 1, 0, 2, 6, 5, 3)]]
    (tmp_path / "a.csv").write_text("\ufeff" + text(shuffled, header=True), encoding="utf-8")
    adata = read(tmp_path / "a.csv")
    frame.columns = range(8)
    np.testing.assert_array_equal(adata.X, matrix(frame))
    assert list(adata.var["mark"].cat.categories) == list(_deepchrome.MARKS)


def test_other_marks_are_named_by_header_or_argument(tmp_path):
    frame = table([5, 6], n_marks=2)
    save(tmp_path / "a.csv", frame)
    named = read(tmp_path / "a.csv", marks=["H3K27ac", "H3K4me3"])
    (tmp_path / "b.csv").write_text(text(frame, header=["geneid", "bin", "H3K27ac", "H3K4me3", "label"]))
    headed = read(tmp_path / "b.csv", cell_type="a")
    np.testing.assert_array_equal(named.X, headed.X)
    pd.testing.assert_frame_equal(named.var, headed.var)
    assert list(named.var["mark"].cat.categories) == ["H3K27ac", "H3K4me3"]


def mutated(line: int, content: str) -> str:
    lines = text(table([3, 419])).splitlines()
    lines[line - 1] = content
    return "\n".join(lines) + "\n"


def without(*numbers: int) -> str:
    return "".join(line for i, line in enumerate(text(table([3, 419])).splitlines(True), 1) if i not in numbers)


def swapped(first: int, second: int) -> str:
    lines = text(table([3, 419])).splitlines(True)
    lines[first - 1], lines[second - 1] = lines[second - 1], lines[first - 1]
    return "".join(lines)


BAD = {
    "empty": ("", "the file is empty"),
    "blank": ("\n\n\n", "the file is empty"),
    "header alone": ("geneid,bin,H3K4me3,label\n", "the file is empty"),
    "ragged": (mutated(7, "000003,7,0,0,0,0,0,0,1"), "line 7 has 9 fields, expected 8"),
    "short": (mutated(150, "000419,50,0,0"), "line 150 has 4 fields, expected 8"),
    "empty line": (mutated(150, ""), "line 150 is empty, expected 8"),
    "cut": (text(table([3, 419]))[:-30], r"line 199 has \d fields|line 200 has \d fields|has 9\d bins"),
    "tabs": (text(table([3])).replace(",", "\t"), "line 1 has 1 field, .* It holds tabs; write it with commas"),
    "semicolons": (text(table([3])).replace(",", ";"), "holds semicolons"),
    "not a number": (mutated(9, "000003,9,0,x,0,0,0,1"), r"line 9, column 4 \(H3K36me3\) holds 'x'; expected a number"),
    "missing": (mutated(9, "000003,9,0,,0,0,0,1"), r"line 9, column 4 \(H3K36me3\) holds ''"),
    "NA": (mutated(9, "000003,9,0,NA,0,0,0,1"), "line 9, column 4 .* holds 'NA'"),
    "nan": (mutated(9, "000003,9,0,nan,0,0,0,1"), "line 9, column 4 .* holds 'nan'"),
    "inf": (mutated(9, "000003,9,0,inf,0,0,0,1"), "line 9, column 4 .* holds 'inf'"),
    "huge": (mutated(9, "000003,9,0,1e300,0,0,0,1"), "line 9, column 4 .* holds '1e300'"),
    "negative": (mutated(9, "000003,9,0,0,-4,0,0,1"), r"line 9, column 5 \(H3K4me1\) holds '-4'; .* 0 or more"),
    "quoted": (mutated(9, '"000003",9,0,0,"1,5",0,0,1'), "line 9 has 9 fields"),
    "no gene": (mutated(9, ",9,0,0,0,0,0,1"), r"line 9, column 1 \(geneid\) holds ''; expected a gene id"),
    "label 2": (mutated(9, "000003,9,0,0,0,0,0,2"), r"line 9, column 8 \(label\) holds '2'; expected 0 or 1"),
    "label .5": (mutated(9, "000003,9,0,0,0,0,0,.5"), "column 8 .* expected 0 or 1"),
    "bin 1.5": (mutated(9, "000003,1.5,0,0,0,0,0,1"), r"line 9, column 2 \(bin\) holds '1.5'"),
    "99 bins": (without(42), r"gene 000003 has 99 bins \(lines 1 to 99\), expected 100: bin 42 is missing"),
    "99 bins at the end": (without(200), r"gene 000419 has 99 bins .*: bin 100 is missing"),
    "101 bins": (
        text(table([3, 419])).replace("000419,1,", "000003,101,", 1),
        r"gene 000003 has 101 bins \(lines 1 to 101\), expected 100: the last is bin 101",
    ),
    "bin twice": (mutated(8, "000003,7,0,0,0,0,0,0"), r"gene 000003, bin 7 occurs 2 times \(lines 7 and 8\)"),
    "labels differ": (
        text(table([3])).rsplit("\n", 2)[0] + "\n000003,100,0,0,0,0,0,5\n",
        "line 100, column 8 .* holds '5'",
    ),
    "bins out of order": (swapped(3, 5), "gene 000003: bin 5 is in line 3, where bin 3 is expected.*sort -t,"),
    "gene in two places": (
        text(table([3, 419])) + text(table([3], seed=9)),
        "gene ENSG00000000003 occurs in two places, the second time in line 201",
    ),
    "200 bins": (text(table([3], n_bins=200)), r"gene 000003 has 200 bins .*expected 100"),
    "bins first": (
        text(table([3])[[1, 0, 2, 3, 4, 5, 6, 7]]),
        "bins seem to be in column 1, .* Reorder them, or add a header",
    ),
    "label second": (text(table([3])[[0, 7, 1, 2, 3, 4, 5, 6]]), "bins seem to be in column 3"),
    "header without label": ("geneid,bin,H3K4me3\n1,1,1\n", "no column label; expected geneid,bin,H3K27me3"),
    "header with a mark twice": ("geneid,bin,H3K4me3,H3K4me3,label\n", "H3K4me3 more than once"),
    "binary": (bytes(range(256)).decode("latin-1"), "line 1 "),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_no_such_file_is_refused_by_line_or_gene(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(ValueError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("at", [0, 150])
@pytest.mark.parametrize("header", [False, True])
def test_nul_bytes_are_refused(tmp_path, at, header):
    """pandas' parser takes them for the end of a field: 7, NUL, 1 would be read as 7."""
    names = ["geneid", "bin", *_deepchrome.MARKS, "label"]
    lines = text(table([1, 2]), header=names if header else False).splitlines()
    lines[at] = lines[at].replace(",", "\x001,", 3).replace("\x001,", ",", 2)
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"a\.csv: (the header line|line 151|line 1) holds a NUL byte"):
        read(tmp_path / "a.csv")


def test_a_label_that_changes_within_a_gene_is_refused(tmp_path):
    frame = table([3, 419])
    frame.loc[120:, 7] = 1 - frame.loc[120, 7]
    with pytest.raises(
        ValueError, match=r"gene 000419 has label \d in line 101 and \d in line 121; expected one label"
    ):
        read(save(tmp_path / "a.csv", frame))


def test_bad_lines_are_counted_from_the_start_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_parse_csv, "_BLOCK", 700)
    (tmp_path / "a.csv").write_text("geneid,bin,a,b,c,d,e,label\n" + mutated(150, "000419,50,0,0,0,0,oh,1"))
    with pytest.raises(ValueError, match="line 151, column 7"):
        read(tmp_path / "a.csv")


def test_a_line_without_end_is_not_gathered_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(_parse_csv, "_BLOCK", 1_000)
    (tmp_path / "a.csv").write_text("1" * 10_000)
    with pytest.raises(ValueError, match="line 1 is longer than 1,000 bytes"):
        read(tmp_path / "a.csv")


def test_one_gene_without_end_is_not_gathered_for_ever(tmp_path):
    (tmp_path / "a.csv").write_text("1,1,0,0,0,0,0,1\n" * 60_000)
    with pytest.raises(ValueError, match="gene 000001, bin 1 occurs"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("how", ["one after the other", "line by line"])
def test_a_gene_repeated_value_for_value_is_kept_once_and_counted(tmp_path, caplog, how):
    caplog.set_level("INFO")
    frame = table([3, 419, 500])
    copy = frame[frame[0] == "000419"]
    blocks = pd.concat([frame[:200], copy, frame[200:]])
    if how == "line by line":
        blocks = blocks.sort_values([0, 1], kind="stable")
    adata = read(save(tmp_path / "a.csv", blocks))
    np.testing.assert_array_equal(adata.X, matrix(frame))
    assert list(adata.uns["deepchrome"]["repeated"]) == ["ENSG00000000419"]
    assert "1 that are repeated" in caplog.text


def test_success_is_no_warning(tmp_path, caplog):
    frame = table([3, 419])
    read(save(tmp_path / "a.csv", pd.concat([frame, frame[frame[0] == "000419"]])))
    assert caplog.text == ""


def test_the_signal_of_a_file_is_moved_out_of_it(tmp_path):
    path = save(tmp_path / "a.csv", table([3, 419]))
    columns = _parse_header.Columns(_deepchrome.MARKS, 100, joint=False)
    with path.open("rb") as stream:
        genes = _parse_csv.read_genes(stream, columns, source=str(path))
    assert sum(len(values) for values in genes.move_values()) == 2
    assert list(genes.move_values()) == []


def test_a_gene_repeated_with_other_values_is_refused(tmp_path):
    frame = table([3, 419])
    other = frame[100:].copy()
    other.iloc[50, 4] += 1
    with pytest.raises(ValueError, match=r"gene 000419, bin 1 occurs 2 times \(lines 101 and 201\)"):
        read(save(tmp_path / "a.csv", pd.concat([frame, other])))


@pytest.mark.parametrize("inner", ["classification", ""])
def test_a_cell_types_folder_gives_splits(tmp_path, inner):
    frames = save_cells(tmp_path, {"E003": [1, 2, 3, 4, 5, 6]}, inner=inner)
    adata = read(tmp_path / "E003")
    np.testing.assert_array_equal(adata.X, matrix(frames["E003"]))
    assert list(adata.obs["split"]) == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert set(adata.obs["cell_type"]) == {"E003"}
    assert set(read(tmp_path / "E003" / inner).obs["cell_type"]) == {"E003"}
    alone = read(tmp_path / "E003" / inner / "valid.csv")
    assert set(alone.obs["split"]) == {"valid"}
    assert set(alone.obs["cell_type"]) == {"E003"}
    assert set(read(tmp_path / "E003", cell_type="mine").obs["cell_type"]) == {"mine"}


def test_folder_and_archive_of_cell_types_hold_the_same(tmp_path):
    frames = save_cells(tmp_path / "data", {"E005": [1, 2, 3, 4, 5, 6], "E003": [1, 2, 3, 4, 5, 6], "E009": [9] * 6})
    (tmp_path / "data" / "E009").rename(tmp_path / "elsewhere")
    stacked = read(tmp_path / "data")
    assert list(stacked.obs_names[[0, -1]]) == ["ENSG00000000001:E003", "ENSG00000000006:E005"]
    np.testing.assert_array_equal(stacked.X, np.concatenate([matrix(frames["E003"]), matrix(frames["E005"])]))
    archive = pack(tmp_path / "data", tmp_path / "data.tar.gz")
    packed = read(archive)
    np.testing.assert_array_equal(packed.X, stacked.X)
    pd.testing.assert_frame_equal(packed.obs, stacked.obs)
    one = read(archive, cell_types="E005")
    np.testing.assert_array_equal(one.X, matrix(frames["E005"]))
    assert list(one.obs_names) == [f"ENSG{number:011d}" for number in range(1, 7)]
    ordered = read(tmp_path / "data", cell_types=["E005", "E003"])
    assert list(ordered.obs["cell_type"].unique()) == ["E005", "E003"]
    np.testing.assert_array_equal(ordered.X[:6], one.X)


def test_an_archive_is_not_read_beyond_what_is_asked_for(tmp_path):
    save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6]})
    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "data", arcname="data")
        member = tarfile.TarInfo("data/E004/classification/train.csv")
        member.size = 10_000_000
        tar.addfile(member, io.BytesIO(rng.bytes(member.size)))
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[:5_000_000])
    assert read(tmp_path / "a.tar.gz", cell_types="E003").n_obs == 6
    with pytest.raises(ValueError, match=r"a\.tar\.gz: the gzip file is truncated or damaged"):
        read(tmp_path / "a.tar.gz", cell_types="E005")


def test_nothing_is_unpacked_to_disk(tmp_path):
    save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6]})
    pack(tmp_path / "data", tmp_path / "a.tar.gz")
    before = sorted(tmp_path.rglob("*"))
    read(tmp_path / "a.tar.gz")
    assert sorted(tmp_path.rglob("*")) == before


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (tarfile.TarInfo("../E003/train.csv"), r"'\.\./E003/train\.csv' leads out of the archive"),
        (tarfile.TarInfo("/etc/train.csv"), "'/etc/train.csv' leads out of the archive"),
        (tarfile.TarInfo("data/../../x"), "leads out of the archive"),
        (tarfile.TarInfo("C:\\train.csv"), "leads out of the archive"),
        (link("data/E003/train.csv", "/etc/passwd", tarfile.SYMTYPE), "is a link to '/etc/passwd'"),
        (link("data/E003/train.csv", "other", tarfile.LNKTYPE), "is a link to 'other'"),
        (link("data/E003/train.csv", "", tarfile.FIFOTYPE), "is neither a file nor a folder"),
    ],
)
def test_an_unsafe_archive_is_refused_by_the_members_name(tmp_path, member, message):
    save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6]})
    archive = pack(tmp_path / "data", tmp_path / "a.tar.gz", extra=[member])
    with pytest.raises(ValueError, match=rf"a\.tar\.gz: .*{message}; expected files and folders alone"):
        read(archive)


@pytest.mark.parametrize("packed", ["csv.gz", "tar.gz"])
def test_what_unpacks_to_more_than_the_limit_is_refused_until_it_is_raised(tmp_path, packed):
    save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6]})
    path = tmp_path / f"train.{packed}"
    if packed == "tar.gz":
        pack(tmp_path / "data", path)
    else:
        path.write_bytes(gzip.compress((tmp_path / "data/E003/classification/train.csv").read_bytes()))
    with pytest.raises(ValueError, match=r"more than 2,000 bytes once unpacked.*raise max_bytes"):
        read(path, max_bytes=2_000)
    assert read(path, max_bytes=100_000).n_obs > 0


@pytest.mark.parametrize("name", ["train.csv.gz", "a.tar.gz"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-6] + bytes([b[-6] ^ 255]) + b[-5:]])
def test_a_damaged_gzip_file_is_refused(tmp_path, name, damage):
    save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6]})
    whole = pack(tmp_path / "data", tmp_path / "whole").read_bytes()
    if name == "train.csv.gz":
        whole = gzip.compress((tmp_path / "data/E003/classification/train.csv").read_bytes())
    (tmp_path / name).write_bytes(damage(whole))
    with pytest.raises(ValueError, match=r"truncated or damaged.*Delete it and download it again"):
        read(tmp_path / name)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"x" * 2_000)
    with pytest.raises(ValueError, match="the archive is truncated or damaged"):
        read(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("README"))
    with pytest.raises(FileNotFoundError, match=r"holds no <cell type>/classification/train\.csv"):
        read(tmp_path / "b.tar")


def test_a_gene_in_two_files_of_a_cell_type_is_refused(tmp_path):
    save(tmp_path / "E003" / "train.csv", table([1, 2]))
    save(tmp_path / "E003" / "test.csv", table([2, 3]))
    with pytest.raises(ValueError, match=r"gene ENSG00000000002 of E003 is in .*train\.csv and in .*test\.csv"):
        read(tmp_path / "E003")


def test_a_file_that_an_archive_holds_twice_is_refused(tmp_path):
    content = text(table([1, 2])).encode()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for _ in range(2):
            member = tarfile.TarInfo("E003/train.csv")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(ValueError, match=r"gene ENSG00000000001 of E003 is in .* and in"):
        read(tmp_path / "a.tar")


def test_gzipped_files_are_read_inside_folders_and_archives(tmp_path):
    frames = save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6]})
    for file in (tmp_path / "data").rglob("*.csv"):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    pack(tmp_path / "data", tmp_path / "a.tgz")
    for path in (tmp_path / "data", tmp_path / "data" / "E003", tmp_path / "a.tgz"):
        np.testing.assert_array_equal(read(path).X, matrix(frames["E003"]))
    with pytest.raises(ValueError, match=r"train\.csv\.gz: more than 2,000 bytes once unpacked"):
        read(tmp_path / "data", max_bytes=2_000)


def test_files_with_different_marks_are_refused(tmp_path):
    save(tmp_path / "E003" / "train.csv", table([1, 2]))
    (tmp_path / "E003" / "test.csv").write_text(text(table([3], n_marks=1), header=["geneid", "bin", "H2AZ", "label"]))
    with pytest.raises(ValueError, match=r"test\.csv holds the marks H2AZ, .*train\.csv holds H3K27me3"):
        read(tmp_path / "E003")


def test_a_missing_split_is_told(tmp_path, caplog):
    save(tmp_path / "E003" / "train.csv", table([1, 2]))
    read(tmp_path / "E003")
    assert "E003 holds no valid.csv and no test.csv" in caplog.text


def test_missing_paths_and_cell_types_are_named(tmp_path):
    save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6], "E004": [1, 2, 3, 4, 5, 6]})
    pack(tmp_path / "data", tmp_path / "a.tar.gz")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"holds no train\.csv.*Is it one of its folders, such as .*data"):
        read(tmp_path)
    for path in (tmp_path / "data", tmp_path / "a.tar.gz"):
        with pytest.raises(FileNotFoundError, match="no cell type E999; found E003, E004"):
            read(path, cell_types=["E003", "E999"])
    with pytest.raises(ValueError, match=r"cell_type='E003' names one, but .* holds E003, E004"):
        read(tmp_path / "data", cell_type="E003")


@pytest.mark.parametrize(
    "kwargs",
    [
        {"labels": "rpkm"},
        {"labels": "mine"},
        {"marks": "H3K4me3"},
        {"marks": []},
        {"cell_types": []},
        {"cell_types": ["a", "a"]},
    ],
)
def test_arguments_that_cannot_be_are_refused(tmp_path, kwargs):
    with pytest.raises(ValueError, match="expected"):
        read(save(tmp_path / "a.csv", table([3])), **kwargs)


def test_public_tables_add_position_strand_and_rpkm(tmp_path, public, caplog):
    frame = table([1, 2, 3, 99])
    path = save(tmp_path / "E003.csv", frame)
    adata = sct.deepchrome.read(path)
    assert list(adata.obs) == [
        *("symbol", "chrom", "start", "end", "strand", "tss", "annotated", "expression", "label", "cell_type"),
    ]
    assert list(adata.obs["strand"]) == ["+", "-", ".", "."]
    assert list(adata.obs["annotated"]) == [True, True, False, False]
    np.testing.assert_array_equal(adata.obs["expression"], [5, 1, 13, np.nan])
    assert adata.uns["units"] == {"signal": "reads per bin", "expression": "RPKM"}
    assert adata.uns["deepchrome"]["medians"].to_dict() == {"median": {"E003": 3.33}}
    assert list(adata.uns["deepchrome"]["unmatched"]) == ["ENSG00000000099"]
    assert "1 are unknown to the public tables; bins of 1 on the minus" in caplog.text
    found = sct.deepchrome.read(path, orient=False)
    np.testing.assert_array_equal(found.X, matrix(frame))
    turned = found.X.reshape(4, 5, 100).copy()
    turned[1] = turned[1, :, ::-1]
    np.testing.assert_array_equal(adata.X.reshape(4, 5, 100), turned)


def test_labels_by_rpkm_replace_the_published(tmp_path, public, caplog):
    frame = table([1, 2, 3, 99])
    frame[7] = np.repeat([1, 0, 0, 1], 100)
    path = save(tmp_path / "E003.csv", frame)
    published = sct.deepchrome.read(path)
    assert list(published.obs["label"]) == ["high", "low", "low", "high"]
    assert "E003: 1 of 3 published labels (33.3 %) contradict the median of RPKM; labels='rpkm' replaces" in caplog.text
    adata = sct.deepchrome.read(path, labels="rpkm")
    assert list(adata.obs["label"][:3]) == ["high", "low", "high"]
    assert adata.obs["label"].isna().to_list() == [False] * 3 + [True]
    assert adata.obs["label"].cat.ordered
    assert adata.uns["label_expression"]["expression_key"] == "expression"
    assert adata.uns["label_expression"]["thresholds"].to_dict() == {"threshold": {"E003": 3.33}}


def test_rpkm_of_an_unknown_cell_type_are_missing_or_refused(tmp_path, public):
    path = save(tmp_path / "mine.csv", table([1, 2, 3]))
    assert "expression" not in sct.deepchrome.read(path).obs
    with pytest.raises(ValueError, match=r"labels='rpkm' needs the RPKM of mine.*cell_type='E003'"):
        sct.deepchrome.read(path, labels="rpkm")
    assert "expression" in sct.deepchrome.read(path, cell_type="E003").obs


def test_ids_that_match_nothing_are_refused(tmp_path, public):
    with pytest.raises(ValueError, match=r"none of its 2 genes, such as 'YAL001C', is among .*annotate=False"):
        sct.deepchrome.read(save(tmp_path / "a.csv", table(["YAL001C", "YAL002W"])))


def test_without_public_tables_genes_are_read_as_found(tmp_path, monkeypatch, caplog):
    def unreachable(path: str) -> Path:
        raise DatasetUnavailableError(path)

    monkeypatch.setattr("simplechrome_tk.datasets._roadmap.fetch", unreachable)
    frame = table([1, 2, 3])
    adata = sct.deepchrome.read(save(tmp_path / "E003.csv", frame))
    np.testing.assert_array_equal(adata.X, matrix(frame))
    assert list(adata.obs) == ["strand", "annotated", "label", "cell_type"]
    assert "Genes stay without position, strand and RPKM, their bins in genome direction" in caplog.text
    with pytest.raises(ValueError, match="labels='rpkm' needs the RPKM of E003"):
        sct.deepchrome.read(tmp_path / "E003.csv", labels="rpkm")


def test_survives_a_file(tmp_path, public):
    adata = sct.deepchrome.read(save(tmp_path / "E003.csv", table([1, 2, 3, 99])))
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.X, adata.X)
    assert list(again.uns["deepchrome"]["unmatched"]) == ["ENSG00000000099"]
    assert not again.uns["deepchrome"]["repeated"].size
    read(tmp_path / "E003.csv").write_h5ad(tmp_path / "b.h5ad")


# writing


def test_what_was_read_is_written_as_it_was(tmp_path, public):
    save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6], "E004": [1, 2, 3, 4, 5, 6]})
    adata = sct.deepchrome.read(tmp_path / "data")
    assert not np.array_equal(adata.X, sct.deepchrome.read(tmp_path / "data", orient=False).X)
    sct.deepchrome.write(adata, tmp_path / "again")
    files = sorted((tmp_path / "data").rglob("*.csv"))
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "again" / file.relative_to(tmp_path / "data")).read_bytes() == file.read_bytes()
    assert not list((tmp_path / "again").rglob("*.part"))


@pytest.mark.parametrize("orient", [True, False])
def test_bins_are_turned_back_only_if_they_were_turned(tmp_path, public, orient):
    path = save(tmp_path / "E003.csv", table([1, 2, 3]))
    sct.deepchrome.write(sct.deepchrome.read(path, orient=orient), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == path.read_bytes()


def test_any_oriented_data_can_be_written(tmp_path):
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.TSS])
    before = adata.X.copy()
    sct.deepchrome.write(adata, tmp_path / "a.csv.gz")
    again = read(tmp_path / "a.csv.gz")
    np.testing.assert_array_equal(adata.X, before)
    assert list(again.obs["label"]) == list(adata.obs["label"])
    assert list(again.obs_names) == list(adata.obs_names)
    marks = list(adata.var["mark"].cat.categories)
    for mark in marks:
        ours, theirs = (d[:, d.var["mark"] == mark].X for d in (adata, again))
        minus = (adata.obs["strand"] == "-").to_numpy()
        np.testing.assert_array_equal(ours[~minus], theirs[~minus])
        np.testing.assert_array_equal(ours[minus], theirs[minus, ::-1])


def test_signal_before_normalisation_is_written(tmp_path):
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.TSS], marks=["H3K4me3", "H3K27ac"])
    sct.pp.split_by_chromosome(adata)
    sct.deepchrome.write(adata, tmp_path / "a.csv")
    sct.pp.normalize(adata)
    sct.deepchrome.write(adata, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv").read_text().startswith("geneid,bin,H3K4me3,H3K27ac,label\n")
    assert list(read(tmp_path / "b.csv").var["mark"].cat.categories) == ["H3K4me3", "H3K27ac"]
    with pytest.raises(ValueError, match=r"X holds negative or missing values.*layer='signal'"):
        sct.deepchrome.write(adata, tmp_path / "c.csv", layer=None)


def test_fractions_survive(tmp_path):
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.TSS], marks=["H3K4me3"])
    adata.X /= np.float32(3)
    adata.obs["strand"] = "+"
    sct.deepchrome.write(adata, tmp_path / "a.csv")
    np.testing.assert_array_equal(read(tmp_path / "a.csv").X, adata.X)


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "..", ".", "", " ", "a/b", "a\\b", "C:evil", ".hidden", "a\nb"]
)
def test_a_cell_type_is_no_path(tmp_path, name):
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.TSS])
    sct.pp.split_by_chromosome(adata)
    adata.obs["cell_type"] = ["A"] * 100 + [name] * 100
    folder = tmp_path / "inner" / "folder"
    with pytest.raises(ValueError, match=r"cell type .* cannot name a folder: .*Rename it: ") as error:
        sct.deepchrome.write(adata, folder)
    assert not list(tmp_path.iterdir())
    exec(str(error.value).partition("Rename it: ")[2].rstrip("."), {"adata": adata})
    sct.deepchrome.write(adata, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["A", "a_name"]


@pytest.mark.parametrize(
    ("change", "path", "kwargs", "token"),
    [
        (lambda adata: None, "folder", {}, r"no column 'split'.*pp\.split_by_chromosome"),
        (lambda adata: None, "a.csv", {"region": "body"}, "'body' has 20 bins"),
        (
            lambda adata: setattr(adata, "obs", adata.obs.assign(cell_type=["A"] * 100 + ["B"] * 100)),
            "a.csv",
            {},
            "found A, B",
        ),
        (
            lambda adata: setattr(adata, "obs", adata.obs.assign(label=None)),
            "a.csv",
            {},
            "neither low nor high for 200 genes",
        ),
        (lambda adata: setattr(adata, "obs_names", ["a,b", *adata.obs_names[1:]]), "a.csv", {}, "gene id 'a,b'"),
    ],
    ids=["no split", "other bins", "two cell types", "no labels", "comma in an id"],
)
def test_what_cannot_be_written_is_refused(tmp_path, change, path, kwargs, token):
    adata = sct.datasets.simulate(200)
    change(adata)
    with pytest.raises(ValueError, match=token):
        sct.deepchrome.write(adata, tmp_path / path, **kwargs)
    assert not list(tmp_path.iterdir())


def test_files_are_replaced_only_when_told_to(tmp_path):
    adata = sct.datasets.simulate(200)
    sct.deepchrome.write(adata, tmp_path / "a.csv")
    before = (tmp_path / "a.csv").read_bytes()
    adata.X += 1
    with pytest.raises(FileExistsError, match="overwrite=True"):
        sct.deepchrome.write(adata, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == before
    sct.deepchrome.write(adata, tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / "a.csv").read_bytes() != before


# garbage


def is_read_or_refused(path: Path) -> None:
    message = None
    try:
        adata = read(path)
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
    if message is not None:
        assert str(path) in message
        return
    assert np.isfinite(adata.X).all()
    assert (adata.X >= 0).all()
    assert adata.obs_names.is_unique


GARBAGE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
ODD = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b",", b"\n", b"\r", b"-1", b"nan", b"1e9", b'"', b"\x00", b"\xff", b" "]),
)


@GARBAGE
@given(content=st.binary(max_size=2_000))
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tar.gz", "a.tar"])
def test_garbage_is_read_or_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    is_read_or_refused(tmp_path / name)


@GARBAGE
@given(at=st.integers(0, 3_000), removed=st.integers(0, 60), inserted=ODD)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_with_a_flaw_is_read_or_refused(tmp_path, packed, at, removed, inserted):
    whole = text(table([3, 419])).encode()
    content = whole[:at] + inserted + whole[at + removed :]
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    is_read_or_refused(path)


@GARBAGE
@given(at=st.integers(0, 6_000), inserted=ODD)
def test_an_archive_with_a_flaw_is_read_or_refused(tmp_path, at, inserted):
    plain = tmp_path / "whole.tar"
    if not plain.exists():
        save_cells(tmp_path / "data", {"E003": [1, 2, 3, 4, 5, 6]})
        with tarfile.open(plain, "w") as tar:
            tar.add(tmp_path / "data", arcname="data")
    whole = plain.read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:at] + inserted + whole[at + len(inserted) :])
    is_read_or_refused(tmp_path / "a.tar")


# real data


def toy(public_file, **kwargs: object) -> ad.AnnData:
    public_file(TOY.format("train"))
    return sct.deepchrome.load(sample=True, **kwargs)


def test_published_genes_of_e003(public_file, tmp_path):
    adata = toy(public_file)
    assert adata.shape == (30, 500)
    assert list(adata.obs["split"].value_counts()) == [10, 10, 10]
    assert adata.obs.loc["ENSG00000000003", ["symbol", "chrom", "strand"]].to_list() == ["TSPAN6", "chrX", "-"]
    assert adata.obs.loc["ENSG00000000003", "expression"] == 43.985
    sct.deepchrome.write(adata, tmp_path)
    for split in SPLITS:
        written = (tmp_path / "E003" / "classification" / f"{split}.csv").read_bytes()
        assert written == public_file(TOY.format(split)).read_bytes()


def test_labels_of_e003_by_rpkm_agree_with_24_of_the_published(public_file):
    published, by_rpkm = toy(public_file), toy(public_file, labels="rpkm")
    assert (published.obs["label"] == by_rpkm.obs["label"]).sum() == 24
    high = by_rpkm.obs["expression"] > by_rpkm.uns["label_expression"]["thresholds"].loc["E003", "threshold"]
    np.testing.assert_array_equal(by_rpkm.obs["label"] == "high", high)


def test_h3k4me3_of_expressed_genes_lies_downstream_once_turned(public_file):
    """The +1 nucleosome's side carries more H3K4me3: known biology, so the turn goes the right way."""
    sides = {}
    for orient in (True, False):
        adata = toy(public_file, orient=orient)
        high = adata[(adata.obs["strand"] == "-") & (adata.obs["expression"] > 10)]
        signal = high[:, high.var["mark"] == "H3K4me3"].X
        sides[orient] = signal[:, 50:70].sum() / signal[:, 30:50].sum()
    assert sides[True] > 1.3
    assert sides[False] < 0.8
