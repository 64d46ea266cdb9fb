"""Tell the kind of a track by its content, by its name where the content leaves a choice, or as the caller says."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from simplechrome_tk.io._columns import Content, TrackKind, content_of
from simplechrome_tk.io._magic import HEAD, magic_of
from simplechrome_tk.io._text import MAX_BYTES, check_text, opened

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping

logger = logging.getLogger(__name__)

READS: tuple[TrackKind, ...] = ("BAM", "tagAlign", "fragments")
CALLED: tuple[TrackKind, ...] = ("narrowPeak", "broadPeak", "gappedPeak")
PEAKS: tuple[TrackKind, ...] = (*CALLED, "SEACR", "bedGraph", "bed", "bed3")
_BINARY: dict[str, TrackKind] = {"a bigWig file": "bigWig", "a BAM file": "BAM"}

_NAMES: dict[str, tuple[TrackKind, ...]] = {
    r"narrowpeak": ("narrowPeak",),
    r"broadpeak": ("broadPeak",),
    r"gappedpeak": ("gappedPeak",),
    r"bedgraph|bdg|bg|wig": ("bedGraph",),
    r"tagalign|bam|sam": ("tagAlign", "fragments"),
    r".*fragments\.tsv": ("fragments",),
}
"""End of a name, in lower case and without ``.gz`` -> what it says where the content leaves a choice."""

_ROWS, _LINES, _LONGEST = 500, 50_000, 1 << 16


class Found(NamedTuple):
    """The kind of a track, and how it was found."""

    kind: TrackKind
    why: str
    """What tells it, for the log and messages."""

    given: bool = False
    """Whether the caller has said it."""

    named: bool = False
    """Whether the name says the same as the content."""

    content: Content = Content((), "", level="plain")
    """What the columns look like, of text."""


def kind_of(
    path: str | os.PathLike[str],
    kind: str | None = None,
    *,
    expected: Collection[TrackKind] = get_args(TrackKind),
) -> Found:
    """Return the kind of a track.

    Parameters
    ----------
    path
        The file, plain or gzipped. Its first bytes, or its first 500 rows, are looked at.
    kind
        What the caller says it is; overrules what its columns look like.
    expected
        What the caller can read.

    Raises
    ------
    ValueError
        When the kind is unknown, not expected or left open by content and name, or the file is damaged.
    """
    path = Path(path)
    if kind is not None and kind not in get_args(TrackKind):
        msg = f"{path}: kind is {kind!r}; choose one of {', '.join(get_args(TrackKind))}."
        raise ValueError(msg)
    head, comments, rows = _beginning(path)
    binary = magic_of(head)
    if binary is not None:
        found = Found(_BINARY[binary.name], f"{binary.name} by its content") if binary.name in _BINARY else None
        if found is None or (kind is not None and kind != found.kind):
            fix = f"Leave kind={kind!r} out" if found else binary.fix.format(path)
            msg = f"{path}: this is {binary.name} by its content; expected a track of signal or reads. {fix}."
            raise ValueError(msg)
    elif kind is not None:
        found = Found(kind, "as given", given=True)  # type: ignore[arg-type]  # one of the literal's, as checked above
    else:
        found = _of_text(path, content_of(comments, rows), expected)
    if found.kind not in expected:
        raise ValueError(_elsewhere(path, found))
    return found


def report_kind(path: str | os.PathLike[str], found: Found) -> None:
    """Log as what a file is read: at INFO, and at DEBUG where the caller or the file's name has said so, too."""
    level = logging.DEBUG if found.given or found.named else logging.INFO
    logger.log(level, "%s: read as %s (%s).", path, found.kind, found.why)


def kind_for(mark: str, kinds: str | Mapping[str, str] | None) -> str | None:
    """Return what the caller says of a mark's track: ``kinds`` is for all marks, or by mark."""
    return kinds if kinds is None or isinstance(kinds, str) else kinds.get(mark)


def check_kinds(kinds: str | Mapping[str, str] | None, marks: Collection[str]) -> None:
    """Raise ``ValueError`` where ``kinds`` names what is no mark, which would else pass unnoticed."""
    if kinds is not None and not isinstance(kinds, str) and (unknown := [mark for mark in kinds if mark not in marks]):
        msg = f"kinds names {', '.join(map(str, unknown))}, of which there is no track; found {', '.join(marks)}."
        raise ValueError(msg)


def _beginning(path: Path) -> tuple[bytes, list[str], list[list[str]]]:
    """Return the first bytes, the lines before the first row, and the fields of the first rows."""
    comments: list[str] = []
    rows: list[list[str]] = []
    with opened(path, MAX_BYTES) as handle:
        head = handle.peek(HEAD)[:HEAD]
        if magic_of(head) is not None:
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


def _of_text(path: Path, content: Content, expected: Collection[TrackKind]) -> Found:
    """Choose among what the columns allow: by the name, or by what the caller can read."""
    if content.refusal:
        msg = f"{path}: {content.refusal.format(path)}."
        raise ValueError(msg)
    claimed = _claimed(path)
    if fits := [kind for kind in claimed if kind in content.kinds]:
        return Found(fits[0], f"{content.why}, and its name", content=content, named=True)
    if claimed and content.level != "sure" and (content.level != "open" or "tagAlign" in claimed):
        return Found(claimed[0], "its name", content=content)
    left = [kind for kind in content.kinds if kind in expected]
    if content.level in ("plain", "open") and "bedGraph" not in content.kinds and not left and "tagAlign" in expected:
        return Found("tagAlign", "rows without signal", content=content)
    if content.level == "open" and not set(left) <= set(READS):
        choice = ", ".join(f"kind={kind!r} for {_MEANING[kind]}" for kind in content.kinds)
        msg = f"{path}: {content.why}. Say what it is: {choice} (kinds={{mark: ...}} of several tracks)."
        raise ValueError(msg)
    return Found(left[0] if left else content.kinds[0], content.why, content=content)


_MEANING: dict[str, str] = {
    "tagAlign": "reads",
    "fragments": "fragments of cells",
    "broadPeak": "signal in column 7",
    "narrowPeak": "signal in column 7",
    "bedGraph": "signal in column 4",
    "bed": "signal in column 5",
    "bed3": "signal 1 on each interval",
}


def _claimed(path: Path) -> tuple[TrackKind, ...]:
    """Return what the name says."""
    name = re.sub(r"\.(gz|bgz)$", "", path.name.lower())
    return next((kinds for end, kinds in _NAMES.items() if re.fullmatch(rf"(.*\.)?({end})", name)), ())


def _elsewhere(path: Path, found: Found) -> str:
    """Say which function reads a track of this kind."""
    if found.kind == "bigWig":
        fix = "sct.pp.bin_bigwig"
    elif found.kind in READS:
        fix = "sct.pp.bin_reads"
    else:
        fix = "sct.pp.bin_peaks"
    forced = "kind='tagAlign' counts its rows as reads" if found.kind in PEAKS else "kind='bed3' takes its coverage"
    also = "" if found.kind in _BINARY.values() or found.given else f", or {forced} all the same (kinds= for marks)"
    return f"{path}: this is {found.kind} ({found.why}). Use {fix} or sct.pp.from_tracks{also}."
