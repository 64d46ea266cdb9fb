"""Fetch the public files that the data sets are made of, once, with their checksums."""

from __future__ import annotations

import csv
import logging
import os
import re
from importlib.resources import files
from pathlib import Path

import pooch

from simplechrome_tk.core.files import put
from simplechrome_tk.io._download import CACHE_VARIABLE, DatasetUnavailableError, download, has

__all__ = ["CACHE_VARIABLE", "DatasetUnavailableError", "cache_folder", "fetch", "fetch_doi", "registry"]

logger = logging.getLogger(__name__)

_ALGORITHMS = ("", "md5", "sha1", "sha224", "sha256", "sha384", "sha512")  # none named: SHA-256


def registry() -> dict[str, dict[str, str]]:
    """Read the list of public files: path below the cache folder -> ``url``, ``sha256``, ``bytes``, ``licence``."""
    with (files("simplechrome_tk.io") / "registry.csv").open(encoding="utf-8") as table:
        return {row["path"]: row for row in csv.DictReader(table)}


def cache_folder() -> Path:
    """Where public files are kept: ``$SIMPLECHROME_TK_CACHE``, with ``~`` for the home, or the user's cache folder."""
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
        When the file is not cached and cannot be downloaded, or when what was downloaded has another checksum.
    """
    entry = registry()[path]
    target, checksum = cache_folder() / path, f"sha256:{entry['sha256']}"
    if not has(target, checksum):
        download(entry["url"], checksum, target, otherwise="use simulated data: sct.datasets.simulate()")
    return target


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
    known = _read_checksum(beside)
    if known is not None and has(target, known):
        return target
    try:
        url, checksum = _ask(doi, target.name)
    except (OSError, KeyError, ValueError) as error:
        if target.is_file() and not beside.exists():
            logger.warning("%s: used without checksum, since https://doi.org/%s is out of reach.", target, doi)
            return target
        cause = f"{target} is missing or damaged"
        if target.is_file() and known is None:
            cause = f"{beside} is damaged, so that {target.name} beside it cannot be verified (without it, it is used)"
        msg = (
            f"{cause}, and https://doi.org/{doi} gave no address for it "
            f"({type(error).__name__}: {error}). Connect to the network, or put the file there by hand."
        )
        raise DatasetUnavailableError(msg) from error
    if not has(target, checksum):
        download(url, checksum, target)
    try:
        put(beside, checksum.encode())
    except OSError as error:
        logger.info("%s is verified, but its checksum cannot be kept beside it: %s.", target, error)
    return target


def _read_checksum(file: Path) -> str | None:
    """Return the checksum that a file holds; ``None`` where there is no such file, or it holds something else."""
    if file.is_dir():
        msg = f"{file} is a folder; a file is expected there. Move the folder away."
        raise DatasetUnavailableError(msg)
    try:
        checksum = file.read_bytes().decode("ascii", "replace").strip()
    except OSError:
        return None
    algorithm, _, digits = checksum.rpartition(":")
    return checksum if algorithm in _ALGORITHMS and re.fullmatch("[0-9a-fA-F]+", digits) else None


def _ask(doi: str, name: str) -> tuple[str, str]:
    """Address and checksum (``md5:...``) of a file, from the repository's interface."""
    repository = pooch.downloaders.doi_to_repository(doi, timeout=30, headers=pooch.downloaders.REQUESTS_HEADERS)
    stated = pooch.create(path="", base_url="")
    repository.populate_registry(stated)
    return repository.download_url(name), stated.registry[name]
