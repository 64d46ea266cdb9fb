from __future__ import annotations

import errno
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pooch
import pytest

import simplechrome_tk as sct
from simplechrome_tk.datasets import DatasetUnavailableError
from simplechrome_tk.deepchrome import _load
from simplechrome_tk.io._download import _CHUNK, ResumingDownloader
from simplechrome_tk.io._public import fetch_doi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOI = "10.5281/zenodo.2652278"
CELLS = ("E003", "E005")


def archive() -> bytes:
    """A tar.gz as published, two cell types of six genes, and noise after them that makes it large."""
    packed = io.BytesIO()
    rng = np.random.default_rng(0)
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for cell in CELLS:
            for start, split in ((1, "train"), (3, "valid"), (5, "test")):
                rows = [
                    f"{gene:06d},{number},{','.join(map(str, rng.integers(0, 90, 5)))},{gene % 2}\n"
                    for gene in (start, start + 1)
                    for number in range(1, 101)
                ]
                content = "".join(rows).encode()
                member = tarfile.TarInfo(f"data/{cell}/classification/{split}.csv")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        noise = tarfile.TarInfo("data/noise")
        noise.size = 200_000
        tar.addfile(noise, io.BytesIO(rng.bytes(noise.size)))
    return packed.getvalue()


CONTENT = archive()


@dataclass
class Zenodo:
    """How the local server behaves, and what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    checksum: str = "md5:" + hashlib.md5(CONTENT).hexdigest()
    breaks_after: int | None = None
    """Bytes after which every answer breaks off."""

    ranges: bool = True
    wrong_range: bool = False
    answers: list[int] = field(default_factory=list)
    """Statuses to answer first, before the file is sent."""

    asked: list[str | None] = field(default_factory=list)
    """``Range`` of each request for the file."""

    reachable: bool = True


class _Handler(http.server.BaseHTTPRequestHandler):
    zenodo: Zenodo

    def do_GET(self) -> None:
        if self.path == "/api/2652278":
            file = {
                "key": "data.tar.gz",
                "checksum": self.zenodo.checksum,
                "links": {"self": f"{self.zenodo.url}/file"},
            }
            self._send(200, json.dumps({"id": 2652278, "files": [file]}).encode())
            return
        asked = self.headers.get("Range")
        self.zenodo.asked.append(asked)
        if self.zenodo.answers:
            self._send(self.zenodo.answers.pop(0), b"later")
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.zenodo.ranges else 0
        size = len(self.zenodo.content)
        if start >= size:
            self._send(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        told = start + 7 if self.zenodo.wrong_range else start
        headers = {"Content-Range": f"bytes {told}-{size - 1}/{size}"} if start else {}
        self._send(206 if start else 200, self.zenodo.content[start:], headers, cut=self.zenodo.breaks_after)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def zenodo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zenodo]:
    """A local stand-in for Zenodo, an empty cache, and no waiting between tries."""
    state = Zenodo()
    handler = type("Handler", (_Handler,), {"zenodo": state})

    def resolve(doi: str, **_: object) -> str:
        if not state.reachable:
            raise OSError("no network")
        assert doi == DOI
        return "https://zenodo.org/records/2652278"

    monkeypatch.setenv("SIMPLECHROME_TK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("simplechrome_tk.io._download.time.sleep", lambda _: None)
    monkeypatch.setattr(pooch.downloaders, "doi_to_url", resolve)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(pooch.downloaders.ZenodoRepository, "base_api_url", f"{state.url}/api")
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    return tmp_path / "cache" / _load._ARCHIVE


def fetch() -> Path:
    return fetch_doi(DOI, _load._ARCHIVE)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_reads_one_cell_type_of_the_archive(zenodo, cached, monkeypatch):
    monkeypatch.setattr("simplechrome_tk.deepchrome._read.load_gene_table", lambda: None)
    adata = sct.deepchrome.load("E005")
    assert adata.shape == (6, 500)
    assert set(adata.obs["cell_type"]) == {"E005"}
    assert list(adata.obs["split"]) == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert left(cached.parent) == {"data.tar.gz", "data.tar.gz.checksum"}
    zenodo.reachable = False
    both = sct.deepchrome.load(["E005", "E003"])
    np.testing.assert_array_equal(both.X[:6], adata.X)
    assert zenodo.asked == [None]


def test_the_sample_of_another_cell_type_than_its_own_is_refused():
    with pytest.raises(ValueError, match=r"cell_types is E004; the sample holds E003"):
        sct.deepchrome.load("E004", sample=True)


def test_unknown_cell_types_are_refused_before_anything_is_downloaded(zenodo):
    for cells in ("E001", [], ["E003", "E003"]):
        with pytest.raises(ValueError, match="choose from E003, E004"):
            sct.deepchrome.load(cells)
    assert zenodo.asked == []


@pytest.mark.parametrize("breaks_after", [_CHUNK, 60_000, 131_072])
def test_a_download_that_breaks_off_goes_on_where_it_was(zenodo, cached, caplog, breaks_after):
    caplog.set_level("INFO")
    zenodo.breaks_after = breaks_after
    assert fetch().read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in zenodo.asked[1:]]
    kept = breaks_after // _CHUNK * _CHUNK
    assert starts == list(range(kept, kept * len(zenodo.asked), kept))
    assert f"continuing after {kept} bytes" in caplog.text
    assert left(cached.parent) == {"data.tar.gz", "data.tar.gz.checksum"}


def test_a_later_call_goes_on_too(zenodo, cached):
    zenodo.answers = [404]
    cached.parent.mkdir(parents=True)
    (cached.parent / ".data.tar.gz.part").write_bytes(CONTENT[:70_000])
    with pytest.raises(DatasetUnavailableError, match=r"404.*70,000 bytes have arrived.*again to continue"):
        fetch()
    assert left(cached.parent) == {".data.tar.gz.part"}
    assert fetch().read_bytes() == CONTENT
    assert zenodo.asked == ["bytes=70000-"] * 2


def test_it_gives_up_where_nothing_more_arrives(zenodo, cached):
    zenodo.answers = [503] * 20
    with pytest.raises(DatasetUnavailableError, match=r"could not be downloaded from .*503"):
        fetch()
    assert len(zenodo.asked) == 6
    zenodo.answers = [503, 429, 408]
    assert fetch().read_bytes() == CONTENT


def test_without_ranges_it_starts_anew(zenodo, cached):
    zenodo.ranges = False
    cached.parent.mkdir(parents=True)
    (cached.parent / ".data.tar.gz.part").write_bytes(b"x" * 70_000)
    assert fetch().read_bytes() == CONTENT
    zenodo.breaks_after = 50_000
    cached.unlink()
    with pytest.raises(DatasetUnavailableError, match="49,152 bytes have arrived"):
        fetch()


def test_a_part_that_is_longer_than_the_file_is_thrown_away(zenodo, cached):
    cached.parent.mkdir(parents=True)
    (cached.parent / ".data.tar.gz.part").write_bytes(b"x" * (len(CONTENT) + 1))
    assert fetch().read_bytes() == CONTENT
    assert zenodo.asked == [f"bytes={len(CONTENT) + 1}-", None]


def test_another_range_than_asked_for_is_not_taken(zenodo, cached):
    zenodo.wrong_range = True
    cached.parent.mkdir(parents=True)
    (cached.parent / ".data.tar.gz.part").write_bytes(CONTENT[:70_000])
    with pytest.raises(DatasetUnavailableError, match=r"bytes from 70000, received bytes 70007-"):
        fetch()
    assert (cached.parent / ".data.tar.gz.part").read_bytes() == CONTENT[:70_000]


def test_another_checksum_than_stated_is_refused_and_nothing_is_left(zenodo, cached):
    zenodo.content = CONTENT[:-1] + b"!"
    with pytest.raises(DatasetUnavailableError, match=r"another checksum than md5:[0-9a-f]{32}; it was removed"):
        fetch()
    assert left(cached.parent) == set()


def test_a_part_of_another_file_is_found_out_by_the_checksum(zenodo, cached):
    cached.parent.mkdir(parents=True)
    (cached.parent / ".data.tar.gz.part").write_bytes(b"x" * 70_000)
    with pytest.raises(DatasetUnavailableError, match="another checksum"):
        fetch()
    assert fetch().read_bytes() == CONTENT


def test_a_damaged_cached_file_is_downloaded_again(zenodo, cached):
    fetch()
    cached.write_bytes(CONTENT[:100])
    assert fetch().read_bytes() == CONTENT
    cached.write_bytes(CONTENT[:100])
    zenodo.reachable = False
    with pytest.raises(DatasetUnavailableError, match=r"data\.tar\.gz is missing or damaged, and .*no network"):
        fetch()


def test_a_file_put_there_by_hand_is_used(zenodo, cached, caplog):
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    zenodo.reachable = False
    assert fetch() == cached
    assert "used without checksum" in caplog.text
    zenodo.reachable = True
    assert fetch() == cached
    assert zenodo.asked == []
    assert (cached.parent / "data.tar.gz.checksum").read_text() == zenodo.checksum


def test_offline_names_the_address_and_the_way_out(zenodo):
    zenodo.reachable = False
    with pytest.raises(DatasetUnavailableError) as error:
        fetch()
    for part in ("data.tar.gz", f"https://doi.org/{DOI}", "no network", "put the file there by hand"):
        assert part in str(error.value)


def test_processes_that_want_one_file_get_it_whole_from_one_download(zenodo, cached):
    children = []
    for _ in range(6):
        if (pid := os.fork()) == 0:
            try:
                os._exit(0 if fetch().read_bytes() == CONTENT else 1)
            except BaseException:  # noqa: BLE001 - a child must not go on with the tests
                os._exit(2)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 6
    assert zenodo.asked == [None]
    assert left(cached.parent) == {"data.tar.gz", "data.tar.gz.checksum"}


def test_without_locks_each_has_a_part_of_its_own(zenodo, cached, monkeypatch):
    def without(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr("simplechrome_tk.core.files.fcntl.flock", without)
    cached.parent.mkdir(parents=True)
    (cached.parent / ".data.tar.gz.part").write_bytes(b"of another call")
    assert fetch().read_bytes() == CONTENT
    assert (cached.parent / ".data.tar.gz.part").read_bytes() == b"of another call"
    zenodo.breaks_after, zenodo.ranges = 50_000, False
    cached.unlink()
    with pytest.raises(DatasetUnavailableError, match="could not be downloaded"):
        fetch()
    assert [name for name in left(cached.parent) if name.endswith(".part")] == [".data.tar.gz.part"]


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"crc7:12", b"md5:", b"no checksum"])
def test_a_damaged_checksum_is_asked_for_again(zenodo, cached, damage):
    fetch()
    beside = cached.parent / "data.tar.gz.checksum"
    beside.write_bytes(damage)
    zenodo.reachable = False
    with pytest.raises(DatasetUnavailableError, match=r"data\.tar\.gz\.checksum is damaged, so that data\.tar\.gz"):
        fetch()
    zenodo.reachable = True
    assert fetch() == cached
    assert beside.read_text() == zenodo.checksum
    assert zenodo.asked == [None], "what is there is verified, not downloaded again"


def test_a_folder_in_the_place_of_a_file_is_named(zenodo, cached):
    beside = cached.parent / "data.tar.gz.checksum"
    beside.mkdir(parents=True)
    with pytest.raises(DatasetUnavailableError, match=r"data\.tar\.gz\.checksum is a folder; a file is expected"):
        fetch()
    beside.rmdir()
    cached.mkdir()
    with pytest.raises(DatasetUnavailableError, match=r"data\.tar\.gz is a folder; a file is expected there"):
        fetch()


def test_a_record_without_the_file_is_told(zenodo, monkeypatch):
    with pytest.raises(DatasetUnavailableError, match=r"other\.csv is missing"):
        fetch_doi(DOI, "deepchrome/other.csv")


def test_a_refused_connection_is_not_tried_again(tmp_path):
    downloader = ResumingDownloader(tmp_path / "part", wait=60)
    with pytest.raises(OSError, match="refused"):
        downloader("http://127.0.0.1:9/x")


def test_published_expression_and_scores(public_file):
    public_file("shallowchrome/GeneFile.txt")
    expression, scores = sct.deepchrome.load_expression(), sct.deepchrome.load_scores()
    assert expression.shape == (19_795, 56)
    assert expression.index.is_unique
    assert list(expression.columns) == list(scores.index) == sorted(scores.index)
    assert expression.loc["ENSG00000196092", "E116"] == 12.686
    assert scores["E116"] == 0.91
    every = sct.deepchrome.load_expression(repeated=True)
    assert every.shape == (19_802, 56)
    pd.testing.assert_frame_equal(every.groupby(level=0).last(), expression, check_names=False)
