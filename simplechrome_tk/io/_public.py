"""Public files of the data sets, downloaded once and verified by their checksums."""

from __future__ import annotations

import csv
import logging
import os
import re
from importlib.resources import files
from pathlib import Path

import pooch

from simplechrome_tk.core.files import put
from simplechrome_tk.io._download import CACHE_VARIABLE, DatasetUnavailableError, download, has_checksum

__all__ = ["CACHE_VARIABLE", "DatasetUnavailableError", "cache_folder", "fetch", "fetch_doi", "registry"]

logger = logging.getLogger(__name__)

# Prefixes of checksums; a checksum without a prefix is SHA-256.
_ALGORITHMS = ("", "md5", "sha1", "sha224", "sha256", "sha384", "sha512")


def registry() -> dict[str, dict[str, str]]:
    """Return the list of public files: path below the cache folder -> ``url``, ``sha256``, ``bytes``, ``licence``."""
    with (files("simplechrome_tk.io") / "registry.csv").open(encoding="utf-8") as table:
        return {row["path"]: row for row in csv.DictReader(table)}


def cache_folder() -> Path:
    """Return the folder of public files: ``$SIMPLECHROME_TK_CACHE`` (``~`` is the home), or the user's cache folder."""
    return Path(os.path.expanduser(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("simplechrome_tk")))


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
        When the file is not cached and cannot be downloaded, or when the download has another checksum.
    """
    entry = registry()[path]
    target, checksum = cache_folder() / path, f"sha256:{entry['sha256']}"
    if not has_checksum(target, checksum):
        download(entry["url"], checksum, target, otherwise="use simulated data: sct.datasets.simulate()")
    return target


def fetch_doi(doi: str, path: str) -> Path:
    """Return a file that a data repository keeps under a DOI, downloading it when it is not cached.

    The checksum is the one that the repository states at the time of the download; it is kept beside the file. A
    download that broke off is continued, also by a later call.

    Parameters
    ----------
    doi
        The DOI, such as ``10.5281/zenodo.2652278``.
    path
        Path of the file below the cache folder; its name is that of the file in the repository.

    Returns
    -------
    pathlib.Path
        The file, its checksum verified. A cached file whose checksum cannot be looked up is returned with a warning.

    Raises
    ------
    DatasetUnavailableError
        When the file is not cached and cannot be downloaded, or when the download has another checksum.
    """
    target = cache_folder() / path
    beside = target.with_name(f"{target.name}.checksum")
    known = _read_checksum(beside)
    if known is not None and has_checksum(target, known):
        return target
    try:
        url, checksum = _look_up(doi, target.name)
    except (OSError, KeyError, ValueError) as error:
        # A file that the user put there by hand is used without a network, too.
        if target.is_file() and not beside.exists():
            logger.warning("%s is used without checksum, since https://doi.org/%s is out of reach.", target, doi)
            return target
        cause = f"{target} is missing or damaged"
        if target.is_file() and known is None:
            cause = (
                f"{beside} is damaged, so that {target.name} beside it cannot be verified (delete {beside.name} to use "
                "it without)"
            )
        msg = (
            f"{cause}, and https://doi.org/{doi} gave no address for it "
            f"({type(error).__name__}: {error}). Connect to the network, or put the file there by hand."
        )
        raise DatasetUnavailableError(msg) from error
    if not has_checksum(target, checksum):
        download(url, checksum, target)
    try:
        put(beside, checksum.encode())
    except OSError as error:
        logger.info("%s is verified, but its checksum cannot be kept beside it: %s.", target, error)
    return target


def _read_checksum(file: Path) -> str | None:
    """Return the checksum that a file holds; ``None`` when the file is missing or holds no checksum."""
    if file.is_dir():
        msg = f"{file} is a folder; a file is expected there. Move the folder away."
        raise DatasetUnavailableError(msg)
    try:
        checksum = file.read_bytes().decode("ascii", "replace").strip()
    except OSError:
        return None
    algorithm, _, digits = checksum.rpartition(":")
    return checksum if algorithm in _ALGORITHMS and re.fullmatch("[0-9a-fA-F]+", digits) else None


def _look_up(doi: str, name: str) -> tuple[str, str]:
    """Return address and checksum (``md5:...``) of a file, as its repository states them."""
    repository = pooch.downloaders.doi_to_repository(doi, timeout=30, headers=pooch.downloaders.REQUESTS_HEADERS)
    stated = pooch.create(path="", base_url="")
    repository.populate_registry(stated)
    return repository.download_url(name), stated.registry[name]
