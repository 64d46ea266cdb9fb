from __future__ import annotations

import hashlib
import http.server
import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from simplechrome_tk.io import _public
from simplechrome_tk.io._public import DatasetUnavailableError, fetch, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENT = b"chr1\t10\t20\n" * 1_000
PATH = "some/folder/peaks.bed"
NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files quietly; `/short` breaks off half-way."""

    def do_GET(self) -> None:
        if self.path != "/short":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:500])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "good").write_bytes(CONTENT)
    (folder / "other").write_bytes(CONTENT[:-1])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIMPLECHROME_TK_CACHE", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the registry say that CONTENT is published as PATH at an address."""

    def at(url: str) -> None:
        entry = {"url": url, "sha256": hashlib.sha256(CONTENT).hexdigest()}
        monkeypatch.setattr(_public, "registry", lambda: {PATH: entry})

    return at


def store(cache: Path, content: bytes) -> Path:
    (cache / PATH).parent.mkdir(parents=True)
    (cache / PATH).write_bytes(content)
    return cache / PATH


def left(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_downloads_into_the_cache_then_needs_no_network(cache, published, server):
    published(f"{server}/good")
    assert fetch(PATH) == cache / PATH
    assert (cache / PATH).read_bytes() == CONTENT
    published(NOWHERE)
    assert fetch(PATH).read_bytes() == CONTENT


def test_a_download_with_another_checksum_is_removed_and_named(cache, published, server):
    published(f"{server}/other")
    with pytest.raises(DatasetUnavailableError, match=r"/other gave a file with another checksum .*it was removed"):
        fetch(PATH)
    assert left(cache) == []


@pytest.mark.parametrize("answer", ["short", "missing"])
def test_a_download_that_breaks_off_leaves_nothing(cache, published, server, answer):
    published(f"{server}/{answer}")
    with pytest.raises(DatasetUnavailableError, match=rf"could not be downloaded from .*/{answer}"):
        fetch(PATH)
    assert left(cache) == []


def test_a_damaged_cached_copy_is_replaced(cache, published, server):
    store(cache, CONTENT[:100])
    published(f"{server}/good")
    assert fetch(PATH).read_bytes() == CONTENT


def test_a_damaged_cached_copy_that_cannot_be_replaced_is_named(cache, published):
    store(cache, CONTENT[:100])
    published(NOWHERE)
    with pytest.raises(DatasetUnavailableError, match="is there has another checksum"):
        fetch(PATH)


def test_offline_names_the_file_the_cache_folder_and_the_way_out(cache, published):
    published(NOWHERE)
    with pytest.raises(DatasetUnavailableError) as error:
        fetch(PATH)
    for part in (PATH, str(cache), NOWHERE, "SIMPLECHROME_TK_CACHE", "sct.datasets.simulate()"):
        assert part in str(error.value)


def test_what_this_machine_cannot_store_is_not_blamed_on_the_network(cache, published, server):
    published(f"{server}/good")
    cache.write_bytes(b"a file where the folder should be")
    with pytest.raises(DatasetUnavailableError, match=r"peaks\.bed cannot be written .*at another folder") as error:
        fetch(PATH)
    assert "network" not in str(error.value)
    cache.unlink()
    (cache / PATH).mkdir(parents=True)
    with pytest.raises(DatasetUnavailableError, match=r"peaks\.bed is a folder; a file is expected there"):
        fetch(PATH)


@pytest.mark.parametrize("kept", [0, 8192])
def test_a_full_disk_is_named(cache, published, server, kept):
    published(f"{server}/good")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(1, kept), before[1]))
    try:
        with pytest.raises(DatasetUnavailableError, match=r"cannot be written \(.*File too large.*Free space") as error:
            fetch(PATH)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "network" not in str(error.value)
    assert fetch(PATH).read_bytes() == CONTENT
    assert left(cache) == [cache / PATH]


def test_threads_that_want_one_file_get_it_whole_from_one_download(cache, published, server):
    published(f"{server}/good")
    store(cache, CONTENT[:100])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: fetch(PATH).read_bytes(), range(24)))
    assert set(found) == {CONTENT}
    assert left(cache) == [cache / PATH]


def test_files_of_a_shared_cache_have_the_modes_that_the_umask_leaves(cache, published, server):
    published(f"{server}/good")
    before = os.umask(0o027)
    try:
        assert fetch(PATH).stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_the_home_in_the_name_of_the_cache_is_expanded(tmp_path, monkeypatch, published, server):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SIMPLECHROME_TK_CACHE", "~/kept here")
    monkeypatch.chdir(tmp_path)
    published(f"{server}/good")
    assert fetch(PATH) == tmp_path / "kept here" / PATH
    assert not (tmp_path / "~").exists()


def test_the_registry_is_complete():
    listed = registry()
    assert len(listed) > 100
    for path, entry in listed.items():
        assert entry["url"].startswith("https://"), path
        assert len(entry["sha256"]) == 64, path
        assert entry["licence"], path
