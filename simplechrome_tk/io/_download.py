"""Downloads of public files, which are stored whole and verified, also when several processes download them."""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pooch
from tqdm.auto import tqdm

from simplechrome_tk.core.files import locked

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "SIMPLECHROME_TK_CACHE"
"""Environment variable with the path of the cache folder."""

# Bytes that are written at once, and lost at most when a connection breaks.
_CHUNK = 1 << 13


class DatasetUnavailableError(OSError):
    """A public file is not in the cache and cannot be downloaded."""


def has_checksum(file: Path, checksum: str) -> bool:
    """Whether a file exists and has a checksum such as ``md5:...``; a checksum without a prefix is SHA-256."""
    algorithm, _, expected = checksum.rpartition(":")
    try:
        if file.is_dir():
            msg = f"{file} is a folder; a file is expected there. Move the folder away."
            raise DatasetUnavailableError(msg)
        return file.exists() and bool(pooch.file_hash(str(file), alg=algorithm or "sha256") == expected.lower())
    except PermissionError as error:
        msg = f"{file} cannot be read: {error}. Make it readable, or point {CACHE_VARIABLE} at another folder."
        raise DatasetUnavailableError(msg) from error


def download(url: str, checksum: str, target: Path, *, otherwise: str = "") -> None:
    """Download a file, and replace the target in one step once the checksum is right.

    When a download breaks off, the bytes that have arrived are kept beside the target, and the next call continues
    after them. Other threads and processes that want the same file wait, and then find it.

    Parameters
    ----------
    url
        Address.
    checksum
        Checksum with its algorithm, such as ``md5:...``.
    target
        Path to which the file is written.
    otherwise
        What the user can do without a network, for the error message.

    Raises
    ------
    DatasetUnavailableError
        When the file cannot be downloaded, has another checksum, or cannot be written; the message says which.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock")) as alone:
            # While this call waited for the lock, another one may have downloaded the file.
            if has_checksum(target, checksum):
                return
            # Without locks, others may write at the same time: each then has a part of its own.
            if not alone:
                part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
            try:
                _complete_part(url, checksum, part)
                part.replace(target)
            finally:
                # A later call can use a part that it can find and that holds something.
                if part.exists() and not (alone and part.stat().st_size):
                    part.unlink()
    except DatasetUnavailableError:
        raise
    except OSError as error:  # The errors of requests are OSErrors, too.
        raise DatasetUnavailableError(_describe_failure(error, url, target, part, otherwise)) from error


def _describe_failure(error: OSError, url: str, target: Path, part: Path, otherwise: str) -> str:
    """Return the message for a file that could not be downloaded or written."""
    arrived = part.stat().st_size if part.exists() else 0
    state = f"; {arrived:,} bytes have arrived and are kept" if arrived else ""
    if target.exists():
        state += "; the file that is there has another checksum"
    if _is_local(error):
        return (
            f"{target} cannot be written ({error}){state}. Free space, make its folder writable, or point "
            f"{CACHE_VARIABLE} at another folder."
        )
    again = "call again to continue" if arrived else "call again"
    ways = f"Connect to the network and {again}, or point {CACHE_VARIABLE} at a folder that holds the file"
    if otherwise:
        ways += f", or {otherwise}"
    return f"{target} could not be downloaded from {url} ({type(error).__name__}: {error}){state}. {ways}."


def _complete_part(url: str, checksum: str, part: Path) -> None:
    """Download what is missing of a part; remove it and raise when its checksum is another one."""
    if not has_checksum(part, checksum):
        ResumingDownloader(part)(url)
    if not has_checksum(part, checksum):
        part.unlink()
        msg = (
            f"{url} gave a file with another checksum than {checksum}; it was removed. Try again; if it happens again, "
            "the file has changed at its source or on the way."
        )
        raise DatasetUnavailableError(msg)


def _is_local(error: OSError) -> bool:
    """Whether an error comes from the files of this machine; errors of requests have no number."""
    return error.errno is not None and not isinstance(error, ConnectionError | TimeoutError)


class ResumingDownloader:
    """Download a file over HTTP into a part, and continue after the connection has broken off.

    Parameters
    ----------
    part
        File that keeps the bytes that have arrived, until it is complete; a later call continues after them.
    retries
        How many times in a row a download without a new byte is tried again.
    wait
        Seconds to wait before the first of these; each wait is twice as long as the one before.
    """

    def __init__(self, part: Path, *, retries: int = 5, wait: float = 1.0) -> None:
        self.part, self.retries, self.wait = part, retries, wait

    def __call__(self, url: str) -> None:
        """Download ``url`` into the part.

        Raises
        ------
        OSError
            When the file cannot be completed; the bytes that have arrived are kept.
        """
        failures = 0
        while True:
            start = self._size()
            try:
                self._continue(url, start)
            except OSError as error:  # The errors of requests are OSErrors, too.
                arrived = self._size()
                failures = 0 if arrived > start else failures + 1
                if failures > self.retries or not self._may_continue(error, arrived):
                    raise
                logger.info("%s broke off (%s); continuing after %d bytes.", url, type(error).__name__, arrived)
                time.sleep(self.wait * 2**failures)
            else:
                return

    def _continue(self, url: str, start: int) -> None:
        """Ask the server for the bytes from ``start`` on, and add them to the part."""
        with self.part.open("ab") as file, ExitStack() as connections:

            def check_start(response: Any, **_: object) -> None:
                """Empty the part when the server sends the whole file; raise when it sends other bytes."""
                connections.callback(response.close)
                if response.status_code == 200:
                    file.truncate(0)
                elif response.status_code == 206 and not _starts_at(response.headers.get("Content-Range", ""), start):
                    msg = f"{url}: requested bytes from {start}, received {response.headers.get('Content-Range')}"
                    raise OSError(msg)

            # Bytes of a file that is packed on the way could not be counted.
            headers = {"Accept-Encoding": "identity"}
            if start:
                headers["Range"] = f"bytes={start}-"
            # pooch replaces the total of the progress bar by the true one.
            with tqdm(total=1, unit="B", unit_scale=True) as bar:
                fetch = pooch.HTTPDownloader(
                    progressbar=bar, chunk_size=_CHUNK, timeout=30, headers=headers, hooks={"response": check_start}
                )
                fetch(url, file, None)

    def _may_continue(self, error: OSError, arrived: int) -> bool:
        """Whether another try may succeed after an error."""
        response = getattr(error, "response", None)
        if response is None:
            return arrived > 0 and not _is_local(error)
        # 416: the file has no bytes from there on, so that the part does not belong to it.
        if response.status_code == 416:
            self.part.unlink()
            return arrived > 0
        # Timeout, too many requests, and errors of the server may pass.
        return response.status_code in (408, 429) or response.status_code >= 500

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def _starts_at(content_range: str, start: int) -> bool:
    return content_range.replace(" ", "").startswith(f"bytes{start}-")
