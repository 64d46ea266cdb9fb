from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyBigWig
import pytest

import simplechrome_tk as sct
from simplechrome_tk.datasets import _example_tracks, _pilot_tracks
from simplechrome_tk.datasets._pilot_tracks import pilot_regions as _pilot_regions
from simplechrome_tk.datasets._roadmap import CORE_MARKS
from simplechrome_tk.io._public import CACHE_VARIABLE, DatasetUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from simplechrome_tk.datasets._example_tracks import ExampleTracks

MARKS = list(CORE_MARKS)
PILOT = "E116-H3K4me3.pilot.hg19.bw"
FETCHERS = (_example_tracks, _pilot_tracks)


@pytest.fixture
def nothing_there(tmp_path, monkeypatch):
    """No cache, no network."""

    def fetch(path: str) -> Path:
        msg = f"{path} is not in the cache folder, and https://somewhere/{path} could not be downloaded."
        raise DatasetUnavailableError(msg)

    for module in FETCHERS:
        monkeypatch.setattr(module, "fetch", fetch)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))
    monkeypatch.delenv("SIMPLECHROME_TK_REQUIRE_DATA", raising=False)


@pytest.fixture
def published(tmp_path, monkeypatch) -> np.ndarray:
    """A small stand-in for the public files: two genes in two short regions, arrays of known signal ``(60,)``."""
    regions = pd.DataFrame(
        {"chrom": ["chr1", "chr2"], "start": [20_000, 50_000], "end": [41_000, 71_000], "exact_to": [25, 500]}
    )
    signal = np.random.default_rng(0).gamma(0.5, 4, 1_680)
    files = tmp_path / "public"
    files.mkdir()
    for mark in MARKS:
        np.savez(files / f"E116.{mark}.pilot.arcsinh.npz", np.arcsinh(signal).astype(np.float32))
    (files / "chrom_sizes.tsv").write_text("chr1\t100000\nchr2\t90000\n")
    (files / "CollapsedGeneBounds.hg19.bed").write_text(
        "#chr\tstart\tend\tname\tscore\tstrand\tEnsembl_ID\tgene_type\n"
        "chr1\t30000\t35000\tONE\t0\t+\tENSG01\tprotein_coding\n"
        "chr2\t55000\t60000\tTWO\t0\t-\tENSG02\tprotein_coding\n"
        "chr2\t10000\t52000\tOUT\t0\t-\tENSG03\tprotein_coding\n"
    )
    (files / "GeneFile.txt").write_text("chr1\t1\t2\tENSG01_ONE\nchr2\t1\t2\tENSG02_TWO\nchr2\t1\t2\tENSG02_TWO\n")
    (files / "T.csv").write_text("1.5\n0.25\n9\n")
    for module in FETCHERS:
        monkeypatch.setattr(module, "fetch", lambda path: files / path.rsplit("/", 1)[1])
        monkeypatch.setattr(module, "pilot_regions", lambda: regions)
    return signal


@pytest.mark.usefixtures("nothing_there")
def test_simulated_files_give_back_what_was_simulated(tmp_path, capsys, caplog):
    files = sct.datasets.example_tracks("E116", n_genes_simulated=200, folder=tmp_path / "files")
    printed = capsys.readouterr().out
    assert "SIMULATED DATA" in printed
    assert "Reason: abc/CollapsedGeneBounds.hg19.bed is not in the cache folder" in printed
    assert "connect to the network and run this again (about 15 MB" in printed
    assert files.simulated
    assert list(files.tracks) == MARKS
    assert all(path.parent == tmp_path / "files" for path in (*files.tracks.values(), *files[1:3]))
    with caplog.at_level(logging.WARNING):
        adata = sct.pp.from_tracks(
            files.tracks, files.annotation, files.expression, cell_type="E116", windows=[sct.pp.Window.TSS]
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
    with pytest.raises(DatasetUnavailableError, match=r"CollapsedGeneBounds.* could not be downloaded"):
        sct.datasets.example_tracks("E116")


def test_other_cell_types_are_refused():
    with pytest.raises(ValueError, match=r"no example tracks of 'E117'; choose one of E003, E116"):
        sct.datasets.example_tracks("E117")


def test_arrays_become_tracks_on_the_genome(tmp_path, published, capsys):
    files = sct.datasets.example_tracks("E116", folder=tmp_path / "files")
    assert (files.simulated, capsys.readouterr().out) == (False, "")
    assert list(files.tracks) == MARKS
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == sorted(path.name for path in _all(files))
    with pyBigWig.open(str(files.tracks["H3K9me3"])) as track:
        assert track.chroms() == {"chr1": 100_000, "chr2": 90_000}
        for region, values in (
            (("chr1", 20_000, 41_000), published[:840]),
            (("chr2", 50_000, 71_000), published[840:]),
        ):
            found = np.array(track.values(*region))
            np.testing.assert_allclose(found.reshape(-1, 25), np.repeat(values[:, None], 25, axis=1), rtol=1e-5)
        assert np.isnan(track.values("chr1", 19_900, 20_000)).all()
        assert track.header()["nBasesCovered"] == 42_000
    annotation = pd.read_csv(files.annotation, sep="\t", index_col="gene_id")
    assert annotation["symbol"].tolist() == ["ONE", "TWO"]
    assert pd.read_csv(files.expression, sep="\t", index_col="gene_id")["RPKM"].to_dict() == {
        "ENSG01": 1.5,
        "ENSG02": 0.25,
    }


def test_an_array_of_another_length_is_refused(tmp_path, published, monkeypatch):
    monkeypatch.setattr(_pilot_tracks, "pilot_regions", lambda: _pilot_regions().iloc[:1])
    with pytest.raises(ValueError, match=r"arcsinh.npz: found an array of shape \(1680,\); expected \(20002,\)"):
        sct.datasets.example_tracks("E116", folder=tmp_path / "files")


def test_what_was_there_stays_until_the_new_file_is_complete(tmp_path, published, monkeypatch):
    files = sct.datasets.example_tracks("E116", folder=tmp_path / "files")
    before = {path: path.read_bytes() for path in _all(files)}
    regions = _example_tracks.pilot_regions()
    monkeypatch.setattr(_pilot_tracks, "pilot_regions", lambda: regions.assign(chrom=["chr1", "chr3"]))
    with pytest.raises(RuntimeError):  # pyBigWig, of a chromosome that the header does not have
        sct.datasets.example_tracks("E116", folder=tmp_path / "files")
    assert {path: path.read_bytes() for path in (tmp_path / "files").iterdir()} == before


def test_the_pilot_regions_have_a_value_for_each_25_bp_of_the_arrays():
    regions = _pilot_regions()
    length = regions["end"] - regions["start"]
    assert len(regions) == 42
    assert (length % 25 == 0).all()
    assert length.sum() == 25 * 1_126_469
    assert regions["exact_to"].value_counts().to_dict() == {25: 36, 500: 6}
    for _, region in regions.groupby("chrom"):
        assert (region["start"].to_numpy()[1:] > region["end"].to_numpy()[:-1]).all()


def _all(files: ExampleTracks) -> list[Path]:
    return [*files.tracks.values(), files.annotation, files.expression]


def test_real_files(tmp_path, public_file, monkeypatch):
    public_file("avocado/E116.H3K4me3.pilot.arcsinh.npz")
    monkeypatch.setenv("SIMPLECHROME_TK_REQUIRE_DATA", "1")
    files = sct.datasets.example_tracks("E116", folder=tmp_path)
    assert not files.simulated
    adata = sct.pp.from_tracks(files.tracks, files.annotation, files.expression, cell_type="E116", genome="hg19")
    assert adata.shape == (377, 600)
    assert adata.obs["label"].notna().sum() == 338
    assert adata.uns["from_tracks"]["counts"]["genes_without_expression"] == 39
    sct.pp.qc(adata)
    assert adata.uns["qc"]["findings"] == []
