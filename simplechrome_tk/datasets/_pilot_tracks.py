"""Tracks of the ENCODE pilot regions, written as bigWig from the arrays that the Avocado project publishes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyBigWig

from simplechrome_tk.core import keys as k
from simplechrome_tk.io._public import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# bp in one value of an array.
_RESOLUTION = 25


def pilot_regions() -> pd.DataFrame:
    """Read the 42 pilot regions of ENCODE, in the order of the arrays.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start`` and ``end`` in bp of hg19, and ``exact_to``: to how many bp the start is known, about 25,
        and 500 in six regions with few genes. The arrays come without coordinates.
    """
    with (files("simplechrome_tk.datasets") / "pilot_regions_hg19.csv").open(encoding="utf-8") as table:
        return pd.read_csv(table)


def write_pilot_tracks(cell_type: str, marks: Sequence[str], folder: Path) -> dict[str, Path]:
    """Write the signal of each mark in the pilot regions as bigWig, downloading its array when it is not cached.

    Parameters
    ----------
    cell_type
        Roadmap epigenome id: ``"E003"`` or ``"E116"``.
    marks
        Histone marks.
    folder
        Where to write; it exists.

    Returns
    -------
    dict
        Mark -> path of its bigWig: -log10 p of enrichment over the control, hg19, in steps of 25 bp.

    Raises
    ------
    DatasetUnavailableError
        When an array or the table of chromosome lengths is neither cached nor to be downloaded.
    ValueError
        When an array does not have one value for each 25 bp of the pilot regions.
    """
    sizes = pd.read_csv(fetch("abc/chrom_sizes.tsv"), sep="\t", names=[k.CHROM, "length"])
    arrays = {mark: fetch(f"avocado/{cell_type}.{mark}.pilot.arcsinh.npz") for mark in marks}
    regions = pilot_regions()
    stops = ((regions[k.END] - regions[k.START]) // _RESOLUTION).cumsum()
    tracks = {}
    for mark, path in arrays.items():
        # The published values are the inverse hyperbolic sine of the signal, which shrinks its tallest peaks.
        with np.load(path) as stored:
            signal = np.sinh(stored["arr_0"].astype(np.float64))
        if signal.shape != (stops.iloc[-1],):
            msg = f"{path}: found an array of shape {signal.shape}; expected ({stops.iloc[-1]},), in the pilot regions."
            raise ValueError(msg)
        tracks[mark] = folder / f"{cell_type}-{mark}.pilot.hg19.bw"
        with replacing(tracks[mark]) as part, pyBigWig.open(str(part), "w") as track:
            track.addHeader(list(sizes.itertuples(index=False, name=None)))
            for region, values in zip(regions.itertuples(), np.split(signal, stops[:-1]), strict=True):
                track.addEntries(region.chrom, region.start, values=values.tolist(), span=_RESOLUTION, step=_RESOLUTION)
    return tracks


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, whose file replaces ``path`` when the block ends without an error."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
