"""Files that several threads and processes write: one at a time, and never seen half-written."""

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
"""What :func:`put` adds to a name, and a dot in front, while it writes; a regular expression."""

_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def locked(file: Path) -> Iterator[bool]:
    """Wait for the lock that ``file`` stands for and hold it; the file is made, and removed in the end.

    The operating system takes the lock back when the process ends, however it ends. What is yielded says whether the
    lock is held: some file systems of clusters have none, and there the caller must not count on being alone.
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
            # The one who held the lock before has removed its file: what was opened is then a file without a name,
            # which the next in line does not see.
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
    """Write a file beside its place, and put it there when it is on the disk, with the modes that the umask leaves."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
