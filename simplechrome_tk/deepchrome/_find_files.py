"""CSV files of cell types, found in a folder, a folder of folders, or a tar archive that stays packed."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, cast

from simplechrome_tk.core import keys as k
from simplechrome_tk.io._text import BUFFER, GZIP, LimitedReader, open_unpacked

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

# Folder between a cell type's name and its files, in the published archive.
_FOLDER = "classification"
_SPLIT_FILE = re.compile(rf"({'|'.join(k.SPLITS)})\.csv(\.gz)?", re.IGNORECASE)


class CellFile(NamedTuple):
    """An open CSV file, its cell type, and its split, ``None`` where the name of the file does not say it."""

    cell: str
    split: str | None
    source: str
    stream: io.BufferedReader


def open_cells(path: Path, cells: Sequence[str] | None, *, max_bytes: int) -> Generator[CellFile]:
    """Open each CSV file in turn: one, those of a cell type's folder, of a folder of these, or of a tar archive.

    Parameters
    ----------
    path
        File, folder or archive.
    cells
        Cell types to read, of several; ``None`` for all.
    max_bytes
        Largest size of a compressed file once it is unpacked, in bytes.

    Yields
    ------
    CellFile
        Open until the next one is yielded. Files of one folder come as train, valid, test; those of an archive in its
        order, and it is not read beyond the last file that is needed.

    Raises
    ------
    FileNotFoundError
        When there is nothing at ``path``, no such file below it, or not every one of ``cells``.
    ValueError
        When an archive is damaged, holds links or paths that leave it, or more than ``max_bytes``.
    """
    if not path.exists():
        msg = f"{path} does not exist; expected a CSV file, a folder of these, or the archive of Zenodo record 2652278."
        raise FileNotFoundError(msg)
    if path.is_dir():
        yield from _from_folders(path, cells, max_bytes)
    elif re.search(r"\.(tar|tar\.gz|tgz)$", path.name, re.IGNORECASE):
        yield from _from_archive(path, cells, max_bytes)
    else:
        cell, split = _name_parts(path)
        _check_found([cell], cells, path)
        with open_unpacked(path, max_bytes) as stream:
            yield CellFile(cell, split, str(path), stream)


def _name_parts(path: Path | PurePosixPath) -> tuple[str, str | None]:
    """Return the cell type and the split that the path of a file names."""
    found = _SPLIT_FILE.fullmatch(path.name)
    if not found:
        return re.sub(r"\.csv(\.gz)?$", "", path.name, flags=re.IGNORECASE), None
    folder = path.parent.parent if path.parent.name == _FOLDER else path.parent
    return folder.name or (folder.resolve().name if isinstance(folder, Path) else ""), found[1].lower()


def _from_folders(path: Path, cells: Sequence[str] | None, max_bytes: int) -> Generator[CellFile]:
    """Open the files of one folder of a cell type, or of all such folders below ``path``."""
    own = path.resolve()
    folders = {(own.parent if own.name == _FOLDER else own).name: path}
    if not _split_files(path):
        folders = {child.name: child for child in sorted(path.iterdir()) if child.is_dir() and _split_files(child)}
    if not folders:
        inside = [child for child in sorted(path.iterdir()) if child.is_dir()]
        hint = f" Is it one of its folders, such as {inside[0]}?" if inside else ""
        msg = (
            f"{path} holds no train.csv, valid.csv or test.csv, nor folders that do; expected <cell type>/"
            f"{_FOLDER}/train.csv and so on, or <cell type>/train.csv.{hint}"
        )
        raise FileNotFoundError(msg)
    _check_found(list(folders), cells, path)
    for name in folders if cells is None else cells:
        for split, file in _split_files(folders[name]).items():
            with open_unpacked(file, max_bytes) as stream:
                yield CellFile(name, split, str(file), stream)


def _split_files(folder: Path) -> dict[str, Path]:
    """Return the train, valid and test file of a cell type's folder, those that exist."""
    for parent in (folder / _FOLDER, folder):
        inside = {file.name.lower(): file for file in parent.iterdir()} if parent.is_dir() else {}
        found = {
            split: inside[name] for split in k.SPLITS for name in (f"{split}.csv.gz", f"{split}.csv") if name in inside
        }
        if found:
            return found
    return {}


def _from_archive(path: Path, cells: Sequence[str] | None, max_bytes: int) -> Generator[CellFile]:
    """Open the files of a tar archive as a stream, in the order in which they lie there."""
    wanted = None if cells is None else {(cell, split) for cell in cells for split in k.SPLITS}
    found: dict[str, None] = {}
    with path.open("rb") as raw:
        zipped = raw.peek(2).startswith(GZIP)
        limited = LimitedReader(gzip.GzipFile(fileobj=raw) if zipped else raw, max_bytes, str(path))
        try:
            with tarfile.open(fileobj=limited, mode="r|", bufsize=BUFFER) as archive:
                for member in archive:
                    _check_member(member, path)
                    name = PurePosixPath(member.name)
                    cell, split = _name_parts(name)
                    if not member.isfile() or split is None:
                        continue
                    found[cell] = None
                    if wanted is not None and (cell, split) not in wanted:
                        continue
                    source = f"{path}: {member.name}"
                    inside = cast("io.BufferedReader", archive.extractfile(member))
                    if inside.peek(2).startswith(GZIP):
                        inside = io.BufferedReader(
                            LimitedReader(gzip.GzipFile(fileobj=inside), max_bytes, source), BUFFER
                        )
                    yield CellFile(cell, split, source, inside)
                    if wanted is not None:
                        # The rest of the archive is not unpacked once all that is wanted has been read.
                        wanted.discard((cell, split))
                        if not wanted:
                            return
        except tarfile.TarError as error:
            msg = f"{path}: the archive is truncated or damaged ({error}). Delete it and download it again."
            raise ValueError(msg) from error
    _check_found(list(found), cells, path)
    if not found:
        msg = f"{path} holds no <cell type>/{_FOLDER}/train.csv, valid.csv or test.csv."
        raise FileNotFoundError(msg)


def _check_member(member: tarfile.TarInfo, path: Path) -> None:
    """Raise ``ValueError`` for a member that could reach beyond the archive.

    Nothing is ever written, but an archive with such a member is not to be trusted.
    """
    if not (member.isfile() or member.isdir()):
        kind = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
        problem = f"{member.name!r} is {kind}" + (f" to {member.linkname!r}" if member.linkname else "")
    elif member.name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", member.name) or ":" in member.name:
        problem = f"{member.name!r} leads out of the archive"
    else:
        return
    msg = f"{path}: {problem}; expected files and folders alone. Do not unpack it; download it again from its source."
    raise ValueError(msg)


def _check_found(found: Sequence[str], cells: Sequence[str] | None, path: Path) -> None:
    """Raise ``FileNotFoundError`` where a cell type to read is not among those found."""
    missing = [cell for cell in cells or [] if cell not in found]
    if missing:
        some = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
        msg = (
            f"{path} holds no cell type {', '.join(missing)}; found {some or 'none'}. Name some of these with "
            "cell_types=."
        )
        raise FileNotFoundError(msg)
