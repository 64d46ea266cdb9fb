"""Chromosome lengths in the headers of bigWig and BAM files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.io._bam import open_bam
from simplechrome_tk.io._bigwig import BigWig, is_bigwig
from simplechrome_tk.io._text import MAX_BYTES, open_unpacked

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


def read_header_lengths(tracks: Mapping[str, str | os.PathLike[str] | pd.DataFrame]) -> dict[str, dict[str, int]]:
    """Return the chromosome lengths in bp from the headers of bigWig and BAM files; other tracks have none.

    The content of a file says what it is, whatever its name.

    Returns
    -------
    dict[str, dict[str, int]]
        Name of the track in messages -> chromosome -> length in bp.
    """
    lengths: dict[str, dict[str, int]] = {}
    for mark, track in tracks.items():
        if isinstance(track, pd.DataFrame):
            continue
        path = Path(track)
        if is_bigwig(path):
            with BigWig(path) as file:
                lengths[f"{mark} ({track})"] = dict(file.sizes)
        elif _is_bam(path):
            with open_bam(path) as bam:
                lengths[f"{mark} ({track})"] = dict(zip(bam.references, bam.lengths, strict=True))
    return lengths


def _is_bam(path: Path) -> bool:
    with open_unpacked(path, MAX_BYTES) as handle:
        return handle.peek(4).startswith(b"BAM\x01")
