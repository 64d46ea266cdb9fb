"""Fetch the public files that the data sets are made of, once, with their checksums."""

from __future__ import annotations

import csv
import os
from importlib.resources import files
from pathlib import Path

import pooch

CACHE_VARIABLE = "SIMPLECHROME_TK_CACHE"


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
