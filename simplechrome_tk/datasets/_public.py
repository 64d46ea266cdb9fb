"""Fetch the public files that the data sets are made of, once, with their checksums."""

from __future__ import annotations

import csv
import errno
import logging
import os
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pooch
from tqdm.auto import tqdm

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "SIMPLECHROME_TK_CACHE"
_CHUNK = 1 << 13  # what is lost at most where a connection breaks


class DatasetUnavailableError(OSError):
    """A public file is neither in the cache nor to be had from the network."""


def registry() -> dict[str, dict[str, str]]:
    """Read the list of public files: path below the cache folder -> ``url``, ``sha256``, ``bytes``, ``licence``."""
    with (files("simplechrome_tk.datasets") / "registry.csv").open(encoding="utf-8") as table:
        return {row["path"]: row for row in csv.DictReader(table)}


def cache_folder() -> Path:
    """Where public files are kept: ``$SIMPLECHROME_TK_CACHE`` or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("simplechrome_tk"))


def fetch(path: str) -> Path:
    """Return a public file, downloading it when it is not cached.

    Parameters
    ----------
    path
        Path of the file in the registry and below the cache folder.

    Returns
    -------
    pathlib.Path
        The file, its SHA-256 verified.

    Raises
    ------
    DatasetUnavailableError
        When the file is not cached and cannot be downloaded, or when what was downloaded has another checksum.
    """
    entry = registry()[path]
    target = cache_folder() / path
    damaged = target.exists() and not _matches(target, entry["sha256"])
    if damaged:
        try:
            target.unlink()
        except OSError as error:
            msg = f"{target} is not the file that was published (its SHA-256 differs) and cannot be removed: {error}."
            raise DatasetUnavailableError(msg) from error
    try:
        pooch.retrieve(
            entry["url"],
            known_hash=f"sha256:{entry['sha256']}",
            path=target.parent,
            fname=target.name,
            downloader=pooch.HTTPDownloader(progressbar=True, timeout=30),
        )
    except ValueError as error:  # pooch: the checksum of the download differs; it has removed the file
        msg = (
            f"{entry['url']} gave a file with another SHA-256 than {entry['sha256']}; it was removed. "
            "Try again; if it happens again, the file has changed at its source or on the way."
        )
        raise DatasetUnavailableError(msg) from error
    except OSError as error:  # requests' errors are OSErrors too
        removed = "; a damaged copy was there and was removed" if damaged else ""
        msg = (
            f"{path} is not in the cache folder {cache_folder()}{removed}, and {entry['url']} could not be downloaded "
            f"({type(error).__name__}). Connect to the network, or point {CACHE_VARIABLE} at a folder that holds the "
            "file, or use simulated data: sct.datasets.simulate()."
        )
        raise DatasetUnavailableError(msg) from error
    return target


def _matches(path: Path, sha256: str) -> bool:
    return bool(pooch.file_hash(str(path)) == sha256)


class ResumingDownloader:
    """Download over HTTP, and go on where it broke off; for :func:`pooch.retrieve`.

    Parameters
    ----------
    part
        File that keeps what has arrived, until it is complete; a later call goes on from it.
    retries
        How often in a row to try again without getting any further.
    wait
        Seconds to wait before the first of these; each wait is twice as long as the one before.
    """

    def __init__(self, part: Path, *, retries: int = 5, wait: float = 1.0) -> None:
        self.part, self.retries, self.wait = part, retries, wait

    def __call__(self, url: str, output_file: str, pooch_: object) -> None:
        """Download ``url`` to ``output_file``.

        Raises
        ------
        OSError
            When it cannot be completed; what has arrived is kept.
        """
        failures = 0
        while True:
            start = self._size()
            try:
                self._continue(url, start)
            except OSError as error:  # requests' errors are OSErrors too
                arrived = self._size()
                failures = 0 if arrived > start else failures + 1
                if failures > self.retries or not self._may_go_on(error, arrived):
                    raise
                logger.warning("%s broke off (%s); going on after %d bytes.", url, type(error).__name__, arrived)
                time.sleep(self.wait * 2**failures)
            else:
                break
        self.part.replace(output_file)

    def _continue(self, url: str, start: int) -> None:
        with self.part.open("ab") as file:

            def begin(response: Any, **_: object) -> None:
                """Start anew where the server does not send what was asked for."""
                if response.status_code == 200:
                    file.truncate(0)
                elif response.status_code == 206 and not _starts_at(response.headers.get("Content-Range", ""), start):
                    msg = f"{url}: asked for bytes from {start}, got {response.headers.get('Content-Range')}"
                    raise OSError(msg)

            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
            with tqdm(total=1, unit="B", unit_scale=True) as bar:  # pooch sets the true total
                download = pooch.HTTPDownloader(
                    progressbar=bar, chunk_size=_CHUNK, timeout=30, headers=headers, hooks={"response": begin}
                )
                download(url, file, None)

    def _may_go_on(self, error: OSError, arrived: int) -> bool:
        response = getattr(error, "response", None)
        if response is None:
            return arrived > 0 and error.errno != errno.ENOSPC
        if response.status_code == 416:  # what was kept is not a part of the file
            self.part.unlink()
            return arrived > 0
        return response.status_code in (408, 429) or response.status_code >= 500

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def _starts_at(content_range: str, start: int) -> bool:
    return content_range.replace(" ", "").startswith(f"bytes{start}-")


def fetch_doi(doi: str, path: str) -> Path:
    """Return a file that a data repository keeps under a DOI, downloading it when it is not cached.

    The checksum is the one that the repository states at the time of the download; it is kept beside the file. A
    download that breaks off is taken up where it ended, also by a later call.

    Parameters
    ----------
    doi
        Such as ``10.5281/zenodo.2652278``.
    path
        Path of the file below the cache folder; its name is that of the file in the repository.

    Returns
    -------
    pathlib.Path
        The file, its checksum verified; with a warning where the repository could not be asked for it.

    Raises
    ------
    DatasetUnavailableError
        When the file is not cached and cannot be downloaded, or when what was downloaded has another checksum.
    """
    target = cache_folder() / path
    beside = target.with_name(f"{target.name}.checksum")
    if target.exists() and beside.exists() and _has(target, beside.read_text(encoding="utf-8")):
        return target
    try:
        url, checksum = _ask(doi, target.name)
    except (OSError, KeyError, ValueError) as error:
        if target.exists() and not beside.exists():
            logger.warning("%s: used without checksum, since https://doi.org/%s is out of reach.", target, doi)
            return target
        msg = (
            f"{target} is missing or damaged, and https://doi.org/{doi} gave no address for it "
            f"({type(error).__name__}: {error}). Connect to the network, or put the file there by hand."
        )
        raise DatasetUnavailableError(msg) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or not _has(target, checksum):
        _retrieve(url, checksum, target)
    beside.write_text(checksum, encoding="utf-8")
    return target


def _ask(doi: str, name: str) -> tuple[str, str]:
    """Address and checksum (``md5:...``) of a file, from the repository's interface."""
    repository = pooch.downloaders.doi_to_repository(doi, timeout=30, headers=pooch.downloaders.REQUESTS_HEADERS)
    stated = pooch.create(path="", base_url="")
    repository.populate_registry(stated)
    return repository.download_url(name), stated.registry[name]


def _retrieve(url: str, checksum: str, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        pooch.retrieve(
            url, known_hash=checksum, path=target.parent, fname=target.name, downloader=ResumingDownloader(part)
        )
    except ValueError as error:  # pooch: the checksum of the download differs; it has removed the file
        msg = (
            f"{url} gave a file with another checksum than {checksum}; it was removed. Try again; if it happens again, "
            "the file has changed at its source or on the way."
        )
        raise DatasetUnavailableError(msg) from error
    except OSError as error:
        arrived = part.stat().st_size if part.exists() else 0
        msg = (
            f"{target} could not be downloaded from {url} ({type(error).__name__}: {error}); {arrived:,} bytes have "
            "arrived and are kept. Call again to go on."
        )
        raise DatasetUnavailableError(msg) from error


def _has(path: Path, checksum: str) -> bool:
    algorithm, _, expected = checksum.strip().rpartition(":")
    return bool(pooch.file_hash(str(path), alg=algorithm or "sha256") == expected.lower())
