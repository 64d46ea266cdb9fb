from __future__ import annotations

import logging

import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk.datasets._public import CACHE_VARIABLE, DatasetUnavailableError, cache_folder

MARKS = list(sct.datasets.CORE_MARKS)
PILOT = "E116-H3K4me3.pilot.hg19.bw"


@pytest.fixture
def nothing_there(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))
    monkeypatch.delenv("SIMPLECHROME_TK_REQUIRE_DATA", raising=False)


@pytest.mark.usefixtures("nothing_there")
def test_simulated_files_give_back_what_was_simulated(tmp_path, capsys, caplog):
    files = sct.datasets.example_tracks("E116", n_genes_simulated=200, folder=tmp_path / "files")
    printed = capsys.readouterr().out
    assert "SIMULATED DATA" in printed
    assert f"{PILOT}, E116-H3K4me1" in printed.replace("\n", " ")
    assert "connect to the network" not in printed
    assert files.simulated
    assert list(files.tracks) == MARKS
    assert all(path.parent == tmp_path / "files" for path in (*files.tracks.values(), *files[1:3]))
    with caplog.at_level(logging.WARNING):
        adata = sct.io.from_tracks(
            files.tracks, files.annotation, files.expression, cell_type="E116", windows=[sct.pp.TSS_WINDOW]
        )
    truth = sct.datasets.simulate(200, rng=116)[adata.obs_names]
    assert adata.shape == (200, 500)
    np.testing.assert_array_equal(adata.obs["tss"], truth.obs["tss"])
    np.testing.assert_allclose(adata.obs["expression"], truth.obs["expression"])
    assert (adata.obs["label"] == truth.obs["label"]).all()
    assert adata.uns["from_tracks"]["unit"] == "rpkm"
    ours, theirs = (sct.get.region(table, "tss").reshape(200, -1) for table in (adata, truth))
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.75  # 100-bp bins, up to 50 bp off; windows overlap
    sct.pp.qc(adata)
    assert adata.uns["qc"]["findings"] == []


@pytest.mark.usefixtures("nothing_there")
def test_two_cell_types_are_simulated_apart_and_a_folder_is_found_without_one(capsys):
    first, second = (sct.datasets.example_tracks(cell, n_genes_simulated=138) for cell in ("E003", "E116"))
    assert capsys.readouterr().out.count("SIMULATED DATA") == 2
    assert first.expression.read_text() != second.expression.read_text()
    assert first.annotation.parent != second.annotation.parent


@pytest.mark.usefixtures("nothing_there")
def test_real_files_can_be_required(monkeypatch):
    monkeypatch.setenv("SIMPLECHROME_TK_REQUIRE_DATA", "1")
    with pytest.raises(DatasetUnavailableError, match=f"{PILOT}.* not found in .*no public address"):
        sct.datasets.example_tracks("E116")


def test_other_cell_types_are_refused():
    with pytest.raises(ValueError, match=r"no example tracks of 'E117'; choose one of E003, E116"):
        sct.datasets.example_tracks("E117")


def test_real_files(tmp_path, monkeypatch):
    if not (cache_folder() / "bigwig" / PILOT).exists():
        pytest.skip(f"needs real data: {cache_folder() / 'bigwig' / PILOT}")
    monkeypatch.setenv("SIMPLECHROME_TK_REQUIRE_DATA", "1")
    files = sct.datasets.example_tracks("E116", folder=tmp_path)
    assert not files.simulated
    adata = sct.io.from_tracks(files.tracks, files.annotation, files.expression, cell_type="E116", genome="hg19")
    assert adata.shape == (377, 600)
    assert adata.obs["label"].notna().sum() == 338
    assert adata.uns["from_tracks"]["counts"]["genes_without_expression"] == 39
    sct.pp.qc(adata)
    assert adata.uns["qc"]["findings"] == []
