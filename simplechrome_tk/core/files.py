"""Files that several threads and processes write: locks, and writing a file whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PART = r"\.[0-9a-f]{16}\.part"
"""Regular expression of the suffix of the temporary file that :func:`put` writes; its name starts with a dot."""

_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def locked(file: Path) -> Iterator[bool]:
    """Wait for the lock on ``file``, and hold it; the file is created, and removed at the end.

    The operating system releases the lock when the process ends, even when it is killed. The value in ``with ... as``
    says whether the lock is held: some file systems of clusters have no locks, and several processes may write there.
    """
    while True:
        with file.open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _WITHOUT_LOCKS:
                    raise
                yield False
                return
            # The previous holder may have removed the file after it was opened here. Then this lock is on a file
            # without a name, which other processes do not see, and the file has to be opened again.
            if not _is_at(file, handle.fileno()):
                continue
            try:
                yield True
            finally:
                file.unlink(missing_ok=True)
            return


def _is_at(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def put(file: Path, content: bytes) -> None:
    """Write a file under a temporary name, and rename it when its content is on the disk.

    So nobody sees a part of it. Its permissions are those of the umask.
    """
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
