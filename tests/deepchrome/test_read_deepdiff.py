from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct
from simplechrome_tk.deepchrome._read import MARKS
from simplechrome_tk.deepchrome._read_deepdiff import DEEPDIFF_MARKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import anndata as ad

SPLITS = ("train", "valid", "test")
NAMES = {"Cell1": "E123", "Cell2": "E003"}


def table(genes: list[str], *, seed: int = 0, n_bins: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.negative_binomial(0.5, 0.1, (len(genes) * n_bins, 5)), columns=range(1, 6))
    frame.insert(0, 0, [f"{gene}_{number}" for gene in genes for number in range(1, n_bins + 1)])
    return frame


def text(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, header=False, lineterminator="\n")


def read(path: Path | list[Path], **kwargs: object) -> ad.AnnData:
    return sct.deepchrome.read_deepdiff(path, annotate=False, **kwargs)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for cell in NAMES:
        for i, split in enumerate(SPLITS):
            (tmp_path / f"{cell}.{split}.csv").write_text(text(table([f"ENSG{i:011d}_A_B{i}"], seed=i)))
        (tmp_path / f"{cell}.expr.csv").write_text("ENSG00000000000,7\nENSG00000000001,0\nENSG00000000002,12\n")
    return tmp_path


def test_reads_cell_types_splits_and_counts(folder):
    adata = read(folder, cell_types=NAMES)
    assert adata.shape == (6, 1_000)
    assert list(adata.obs_names[:3]) == [f"ENSG{number:011d}:E123" for number in range(3)]
    assert list(adata.obs["split"]) == list(SPLITS) * 2
    assert list(adata.obs["cell_type"]) == ["E123"] * 3 + ["E003"] * 3
    assert list(adata.obs["expression"]) == [7, 0, 12] * 2
    assert "label" not in adata.obs
    assert adata.uns["units"] == {"signal": "reads per bin", "expression": "counts"}
    expected = table(["g"], seed=1).iloc[:, 1:].to_numpy(np.float32).T
    np.testing.assert_array_equal(sct.get.region(adata, "tss")[1], expected)
    assert list(adata.var["mark"].cat.categories) == list(DEEPDIFF_MARKS)
    assert adata.var_names[0] == "H3K4me1:tss:-9950"
    adata.write_h5ad(folder / "a.h5ad")


def test_some_files_are_read_alone(folder):
    one = read(folder / "Cell2.valid.csv")
    assert list(one.obs_names) == ["ENSG00000000001"]
    assert list(one.obs["expression"]) == [0]
    two = read([folder / "Cell2.valid.csv", folder / "Cell2.train.csv"])
    assert list(two.obs["split"]) == ["train", "valid"]


def test_missing_expression_is_told(folder, caplog):
    (folder / "Cell1.expr.csv").unlink()
    (folder / "Cell2.expr.csv").write_text("ENSG00000000000,7\nENSG00000000002,12\n")
    adata = read(folder)
    np.testing.assert_array_equal(adata.obs["expression"], [np.nan, np.nan, np.nan, 7, np.nan, 12])
    assert "no expression, since there is no Cell1.expr.csv" in caplog.text
    assert "1 of 3 genes of Cell2 have no count" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        (text(table(["ENSG00000000007_A"], n_bins=199)), "gene ENSG00000000007_A has 199 bins .*expected 200"),
        (text(table(["ENSG00000000007_A"], n_bins=201)), "has 201 bins .*the last is bin 201"),
        (text(table(["ENSG00000000007_A"])).replace("_A_9,", "_A_8,", 1), r"bin 8 occurs 2 times \(lines 8 and 9\)"),
        (text(table(["ENSG00000000007_A"])).replace("_A_9,", "_A_x,", 1), r"line 9, column 1 \(gene_bin\) holds"),
        (text(table(["A"])).replace("\nA_9,", "\nA_9,-", 1), r"line 9, column 2 \(H3K4me1\) holds '-\d+'"),
        (text(table(["A"])).replace("\nA_9,", "\nA_9,x", 1), "expected a number of 0 or more"),
        (text(table(["A"])).replace("\nA_9,", "\nA_9,1,", 1), "line 9 has 7 fields, expected 6: gene_bin,H3K4me1"),
        (text(table(["A"]).drop(columns=5)), "line 1 has 5 fields, expected 6"),
    ],
)
def test_what_is_no_such_file_is_refused_by_line_or_gene(tmp_path, content, message):
    (tmp_path / "Cell1.train.csv").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path)
    assert str(tmp_path / "Cell1.train.csv") in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "No columns"),
        ("ENSG00000000000\n", "1 columns; expected lines of a gene id and a count"),
        ("ENSG00000000000,1,2\n", "3 columns"),
        ("gene,count\nENSG00000000000,1\n", "line 1 is gene,count; .*without header"),
        ("a,1\na,2\n", "line 2 is a,2; .*each gene once"),
        ("a,1\nb,-2\n", "line 2 is b,-2"),
        ("a,1\nb,\n", "line 2 is b,"),
        ("a,1\nb,inf\n", "line 2 is b,inf"),
        ("a,1\n\n\nb,x\n\n", "line 4 is b,x"),
    ],
)
def test_what_is_no_expression_is_refused_by_line(folder, content, message):
    (folder / "Cell1.expr.csv").write_text(content)
    with pytest.raises(ValueError, match=rf"Cell1\.expr\.csv: {message}"):
        read(folder)


def test_paths_and_names_that_are_not_there_are_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no file named like Cell1\.train\.csv"):
        read(folder / "Cell1.expr.csv")
    with pytest.raises(ValueError, match="renames Cell3, which is not here; found Cell1, Cell2"):
        read(folder, cell_types={"Cell3": "E003"})


def test_a_gene_in_two_files_of_a_cell_type_is_refused(folder):
    (folder / "Cell1.test.csv").write_text((folder / "Cell1.train.csv").read_text())
    with pytest.raises(ValueError, match=r"gene ENSG00000000000 of Cell1 is in .*train\.csv and in .*test\.csv"):
        read(folder)


def test_what_unpacks_to_more_than_the_limit_is_refused_until_it_is_raised(folder):
    path = folder / "Cell1.train.csv.gz"
    path.write_bytes(gzip.compress((folder / "Cell1.train.csv").read_bytes()))
    with pytest.raises(ValueError, match=r"more than 1,000 bytes once unpacked.*raise max_bytes"):
        read([path], max_bytes=1_000)
    assert read([path], max_bytes=100_000).n_obs == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(at=st.integers(0, 3_000), removed=st.integers(0, 40), inserted=st.binary(max_size=30))
@pytest.mark.parametrize("name", ["Cell1.train.csv", "Cell1.train.csv.gz", "Cell1.expr.csv"])
def test_garbage_is_read_or_refused(tmp_path, name, at, removed, inserted):
    whole = {"train": text(table(["ENSG00000000007_A"])), "expr": "ENSG00000000007,1\nb,2\n"}
    for part, content in whole.items():
        (tmp_path / f"Cell1.{part}.csv").write_text(content)
    content = whole[name.split(".")[1]].encode()
    at %= len(content)
    content = content[:at] + inserted + content[at + removed :]
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    message = None
    try:
        adata = read(tmp_path)
    except ValueError as error:
        message = str(error)
    if message is not None:
        assert str(tmp_path) in message
        return
    assert np.isfinite(adata.X).all()
    assert (adata.X >= 0).all()


@pytest.fixture
def published(public_file: Callable[[str], Path]) -> ad.AnnData:
    files = [public_file(f"deepdiff/{cell}.{part}.csv") for cell in NAMES for part in (*SPLITS, "expr")]
    return sct.deepchrome.read_deepdiff(files[0].parent, cell_types=NAMES)


def test_published_genes(published):
    assert published.shape == (1_200, 1_000)
    assert published.obs["split"].value_counts().to_dict() == {"train": 400, "valid": 400, "test": 400}
    assert published.obs["expression"].notna().all()
    assert published.obs["annotated"].mean() > 0.98


def test_the_central_bins_of_e003_are_those_of_the_deepchrome_file(published, public_file):
    """All ten genes that both files hold: four marks equal, H3K4me3 exactly twice as high in the DeepChrome file."""
    files = [public_file(f"attentivechrome/{split}.csv") for split in SPLITS]
    deepchrome = sct.deepchrome.read(files[0].parent, cell_type="E003")
    theirs = {name.removesuffix(":E003"): i for i, name in enumerate(published.obs_names) if name.endswith(":E003")}
    shared = [name for name in deepchrome.obs_names if name in theirs]
    assert len(shared) == 10
    wide = sct.get.region(published, "tss")[[theirs[name] for name in shared]][:, :, 50:150]
    narrow = sct.get.region(deepchrome[shared].copy(), "tss")
    assert wide.sum() > 10_000
    for i, mark in enumerate(MARKS):
        other = wide[:, DEEPDIFF_MARKS.index(mark)]
        np.testing.assert_array_equal(narrow[:, i], other * (2 if mark == "H3K4me3" else 1))


@pytest.mark.parametrize("name", ["Cell1.train.csv", "Cell1.expr.csv"])
def test_nul_bytes_are_refused(folder, name):
    """pandas' parser takes them for the end of a field: 7, NUL, 1 would be read as 7."""
    content = (folder / name).read_text().replace("\n", "\x001\n", 2)
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name}: line 1 holds a NUL byte"):
        read(folder)
