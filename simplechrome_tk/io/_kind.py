"""Kinds of tracks: detected by content, by name where the content allows several kinds, or given by the caller."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from simplechrome_tk.io._columns import Content, TrackKind, recognise_columns
from simplechrome_tk.io._magic import HEAD_BYTES, detect_format
from simplechrome_tk.io._text import MAX_BYTES, check_text, open_unpacked

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping

    from simplechrome_tk.io._magic import FileFormat

logger = logging.getLogger(__name__)

READS: tuple[TrackKind, ...] = ("BAM", "tagAlign", "fragments")
"""Kinds whose rows are reads or fragments, which are counted."""

CALLED: tuple[TrackKind, ...] = ("narrowPeak", "broadPeak", "gappedPeak")
"""Kinds that peak callers write."""

PEAKS: tuple[TrackKind, ...] = ("narrowPeak", "broadPeak", "gappedPeak", "SEACR", "bedGraph", "bed", "bed3")
"""Kinds whose rows are intervals with a signal."""

# Name of a format -> kind of track.
_BINARY: dict[str, TrackKind] = {"a bigWig file": "bigWig", "a BAM file": "BAM"}

_NAMES: dict[str, tuple[TrackKind, ...]] = {
    r"narrowpeak": ("narrowPeak",),
    r"broadpeak": ("broadPeak",),
    r"gappedpeak": ("gappedPeak",),
    r"bedgraph|bdg|bg|wig": ("bedGraph",),
    r"tagalign|bam|sam": ("tagAlign", "fragments"),
    r".*fragments\.tsv": ("fragments",),
}
"""End of a file name, in lower case and without ``.gz`` -> kinds to choose where the content allows several."""

# How much of a file is looked at: rows, lines, and bytes of one line.
_ROWS, _LINES, _LONGEST = 500, 50_000, 1 << 16


class DetectedKind(NamedTuple):
    """The kind of a track, and how it was detected."""

    kind: TrackKind
    reason: str
    """How it was detected, for the log and messages."""

    given: bool = False
    """Whether the caller gave the kind."""

    named: bool = False
    """Whether the name of the file agrees with the content."""

    content: Content = Content((), "", level="plain")
    """What the columns of a text allow."""


def detect_kind(
    path: str | os.PathLike[str],
    kind: str | None = None,
    *,
    expected: Collection[TrackKind] = get_args(TrackKind),
) -> DetectedKind:
    """Return the kind of a track.

    Parameters
    ----------
    path
        The file, plain or gzipped. Its first bytes, or its first 500 rows, are looked at.
    kind
        The kind that the user gives; it overrules the columns.
    expected
        The kinds that the caller can read.

    Raises
    ------
    ValueError
        When the kind is unknown or not expected, when content and name allow several kinds, or when the file is
        damaged.
    """
    path = Path(path)
    if kind is not None and kind not in get_args(TrackKind):
        msg = f"{path}: kind is {kind!r}; choose one of {', '.join(get_args(TrackKind))}."
        raise ValueError(msg)
    head, comments, rows = _beginning(path)
    file_format = detect_format(head)
    if file_format is not None:
        found = _of_format(path, file_format, kind)
    elif kind is not None:
        found = DetectedKind(kind, "as given", given=True)  # type: ignore[arg-type]  # a TrackKind, as checked above
    else:
        found = _of_text(path, recognise_columns(comments, rows), expected)
    if found.kind not in expected:
        raise ValueError(_other_reader(path, found))
    return found


def report_kind(path: str | os.PathLike[str], found: DetectedKind) -> None:
    """Log the kind of a file at INFO; at DEBUG where the caller or the name of the file gives the same kind."""
    level = logging.DEBUG if found.given or found.named else logging.INFO
    logger.log(level, "%s: read as %s (%s).", path, found.kind, found.reason)


def given_kind(mark: str, kinds: str | Mapping[str, str] | None) -> str | None:
    """Return the kind that the user gives for the track of a mark; ``kinds`` is one for all marks, or one by mark."""
    if kinds is None or isinstance(kinds, str):
        return kinds
    return kinds.get(mark)


def check_kinds(kinds: str | Mapping[str, str] | None, marks: Collection[str]) -> None:
    """Raise ``ValueError`` when ``kinds`` has a name that is no mark."""
    if kinds is None or isinstance(kinds, str):
        return
    unknown = [mark for mark in kinds if mark not in marks]
    if unknown:
        msg = f"kinds names {', '.join(map(str, unknown))}, of which there is no track; found {', '.join(marks)}."
        raise ValueError(msg)


def _beginning(path: Path) -> tuple[bytes, list[str], list[list[str]]]:
    """Return the first bytes, the lines before the first row, and the fields of the first rows."""
    comments: list[str] = []
    rows: list[list[str]] = []
    with open_unpacked(path, MAX_BYTES) as handle:
        head = handle.peek(HEAD_BYTES)[:HEAD_BYTES]
        if detect_format(head) is not None:
            return head, comments, rows
        for number in range(_LINES):
            line = handle.readline(_LONGEST)
            if not line or len(rows) == _ROWS:
                break
            check_text(line, path, number)
            text = line.decode("utf-8" if number else "utf-8-sig", errors="replace").rstrip("\r\n")
            if not rows and (not text.strip() or re.match(r"#|(track|browser)(\s|$)", text)):
                comments.append(text)
            elif text.strip():
                rows.append(text.split("\t") if "\t" in text else text.split())
    return head, comments, rows


def _of_format(path: Path, file_format: FileFormat, kind: str | None) -> DetectedKind:
    """Return the kind of a binary file; raise when it is no track, or when the user gives another kind."""
    found = _BINARY.get(file_format.name)
    if found is not None and kind in (None, found):
        return DetectedKind(found, f"{file_format.name} by its content")
    fix = file_format.fix.format(path) if found is None else f"Leave kind={kind!r} out"
    msg = f"{path}: this is {file_format.name} by its content; expected a track of signal or reads. {fix}."
    raise ValueError(msg)


def _of_text(path: Path, content: Content, expected: Collection[TrackKind]) -> DetectedKind:
    """Choose among the kinds that the columns allow: by the name of the file, or by what the caller can read."""
    if content.refusal:
        msg = f"{path}: {content.refusal.format(path)}."
        raise ValueError(msg)
    # The name decides among the kinds that the columns allow, and overrules columns that are not certain.
    of_name = _kinds_of_name(path)
    agreeing = [kind for kind in of_name if kind in content.kinds]
    if agreeing:
        return DetectedKind(agreeing[0], f"{content.reason}, and its name", content=content, named=True)
    if of_name and content.level != "certain" and (content.level != "ambiguous" or "tagAlign" in of_name):
        return DetectedKind(of_name[0], "its name", content=content)

    # A reader of reads takes plain BED for reads. Where several kinds remain, the user has to choose.
    readable = [kind for kind in content.kinds if kind in expected]
    without_signal = content.level in ("plain", "ambiguous") and "bedGraph" not in content.kinds
    if without_signal and not readable and "tagAlign" in expected:
        return DetectedKind("tagAlign", "rows without signal", content=content)
    if content.level == "ambiguous" and not set(readable) <= set(READS):
        choice = ", ".join(f"kind={kind!r} for {_MEANING[kind]}" for kind in content.kinds)
        msg = f"{path}: {content.reason}. Say what it is: {choice} (kinds={{mark: ...}} of several tracks)."
        raise ValueError(msg)
    return DetectedKind(readable[0] if readable else content.kinds[0], content.reason, content=content)


# How each kind is read, for messages.
_MEANING: dict[str, str] = {
    "tagAlign": "reads",
    "fragments": "fragments of cells",
    "broadPeak": "signal in column 7",
    "narrowPeak": "signal in column 7",
    "bedGraph": "signal in column 4",
    "bed": "signal in column 5",
    "bed3": "signal 1 on each interval",
}


def _kinds_of_name(path: Path) -> tuple[TrackKind, ...]:
    """Return the kinds that the name of a file allows; none for a name that says nothing."""
    name = re.sub(r"\.(gz|bgz)$", "", path.name.lower())
    return next((kinds for end, kinds in _NAMES.items() if re.fullmatch(rf"(.*\.)?({end})", name)), ())


def _other_reader(path: Path, found: DetectedKind) -> str:
    """Return the message that names the function for a track of this kind."""
    if found.kind == "bigWig":
        fix = "sct.pp.bin_bigwig"
    elif found.kind in READS:
        fix = "sct.pp.bin_reads"
    else:
        fix = "sct.pp.bin_peaks"
    also = ""
    if found.kind not in _BINARY.values() and not found.given:
        # The user may still have it read in the other way.
        forced = "kind='bed3' takes its coverage"
        if found.kind in PEAKS:
            forced = "kind='tagAlign' counts its rows as reads"
        also = f", or {forced} all the same (kinds= for marks)"
    return f"{path}: this is {found.kind} ({found.reason}). Use {fix} or sct.pp.from_tracks{also}."
