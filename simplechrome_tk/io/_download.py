"""Download public files: whole and verified, or not at all, whoever else downloads them at the same time."""

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
_CHUNK = 1 << 13  # what is lost at most where a connection breaks


class DatasetUnavailableError(OSError):
    """A public file is neither in the cache nor to be had from the network."""


def has(file: Path, checksum: str) -> bool:
    """Whether a file is there and has the checksum, such as ``md5:...``; without a name it is SHA-256."""
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
    """Download a file and put it in its place when its checksum is right; what is there is replaced in one step.

    A download that breaks off is kept beside it for the next call. Others that want the same file wait and find it.

    Parameters
    ----------
    url
        Address.
    checksum
        Such as ``md5:...``.
    target
        Where the file belongs.
    otherwise
        What else a user can do without a network.

    Raises
    ------
    DatasetUnavailableError
        When the file cannot be downloaded, has another checksum, or cannot be written; the message says which.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock")) as alone:
            if has(target, checksum):  # another process has just downloaded it
                return
            if not alone:
                part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
            try:
                if not has(part, checksum):
                    ResumingDownloader(part)(url)
                _accept(part, checksum, url)
                part.replace(target)
            finally:
                if part.exists() and not (alone and part.stat().st_size):
                    part.unlink()
    except DatasetUnavailableError:
        raise
    except OSError as error:  # requests' errors are OSErrors too
        damaged = "; what is there has another checksum" if target.exists() else ""
        arrived = part.stat().st_size if part.exists() else 0
        kept = f"; {arrived:,} bytes have arrived and are kept" if arrived else ""
        if _is_local(error):
            msg = (
                f"{target} cannot be written ({error}){kept}{damaged}. Free space, make its folder writable, or point "
                f"{CACHE_VARIABLE} at another folder."
            )
        else:
            msg = (
                f"{target} could not be downloaded from {url} ({type(error).__name__}: {error}){kept}{damaged}. "
                f"Connect to the network and call again{' to go on' if arrived else ''}, or point {CACHE_VARIABLE} at "
                f"a folder that holds the file{', or ' + otherwise if otherwise else ''}."
            )
        raise DatasetUnavailableError(msg) from error


def _accept(part: Path, checksum: str, url: str) -> None:
    """Remove a complete download that has another checksum, and raise."""
    if not has(part, checksum):
        part.unlink()
        msg = (
            f"{url} gave a file with another checksum than {checksum}; it was removed. Try again; if it happens again, "
            "the file has changed at its source or on the way."
        )
        raise DatasetUnavailableError(msg)


def _is_local(error: OSError) -> bool:
    """Whether an error is of this machine's files. Those of requests have no number."""
    return error.errno is not None and not isinstance(error, ConnectionError | TimeoutError)


class ResumingDownloader:
    """Download over HTTP, and go on where it broke off; into a part.

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

    def __call__(self, url: str) -> None:
        """Download ``url`` into the part.

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
                return

    def _continue(self, url: str, start: int) -> None:
        with self.part.open("ab") as file, ExitStack() as connections:

            def begin(response: Any, **_: object) -> None:
                """Start again where the server does not send what was asked for."""
                connections.callback(response.close)
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
            return arrived > 0 and not _is_local(error)
        if response.status_code == 416:  # what was kept is not a part of the file
            self.part.unlink()
            return arrived > 0
        return response.status_code in (408, 429) or response.status_code >= 500

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def _starts_at(content_range: str, start: int) -> bool:
    return content_range.replace(" ", "").startswith(f"bytes{start}-")
