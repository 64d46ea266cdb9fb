"""Tracks of any format, several files of a mark among them, binned together."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.io._kind import PEAKS, READS, detect_kind, given_kind
from simplechrome_tk.io._paths import as_path
from simplechrome_tk.pp._bigwig import bin_bigwig
from simplechrome_tk.pp._bin import bin_peaks
from simplechrome_tk.pp._control import subtract_control
from simplechrome_tk.pp._reads import bin_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simplechrome_tk.core.window import Window
    from simplechrome_tk.pp._control import ControlMethod

    Track: TypeAlias = str | os.PathLike[str] | pd.DataFrame
    Files: TypeAlias = dict[str, list[Track]]

logger = logging.getLogger(__name__)

_BINNERS: dict[str, Callable[..., ad.AnnData]] = {
    "bin_bigwig": bin_bigwig,
    "bin_peaks": bin_peaks,
    "bin_reads": bin_reads,
}
_BINNER_OF = {"bigWig": "bin_bigwig", **dict.fromkeys(PEAKS, "bin_peaks"), **dict.fromkeys(READS, "bin_reads")}
"""Format of a track -> name of the function that bins it."""

_IN_UNITS_OF_DEPTH = ("bigWig", "bedGraph", "SEACR")
"""Formats whose signal may depend on the depth of sequencing. Called peaks have a fold enrichment, which does not."""


def as_files(name: str, track: object) -> list[Track]:
    """Return the files of one mark as a list; raise for what is neither a track nor a list of tracks.

    Parameters
    ----------
    name
        Mark, for messages.
    track
        Path or table of peaks, or a list or tuple of several.
    """
    files: list[Any] = list(track) if isinstance(track, list | tuple) else [track]
    if not files:
        msg = f"{name}: the list of tracks is empty; expected the path of one track, or of several replicates."
        raise ValueError(msg)
    for file in files:
        _check_track(name, file)
    seen: dict[str, object] = {}
    for file in files:
        if isinstance(file, pd.DataFrame):
            continue
        place = os.path.realpath(file)
        if place in seen:
            msg = f"{name}: {file} is given twice among its replicates; expected each file once."
            raise ValueError(msg)
        seen[place] = file
    return files


def _check_track(name: str, track: object) -> None:
    """Raise a ``ValueError`` for what is no path of a file and no table."""
    if isinstance(track, pd.DataFrame):
        return
    path = as_path(track, name=name, expected="the path of one track, a list of replicates, or a table of peaks")
    if "://" in str(track):
        msg = f"{name}: {track} is a web address; download the file first, and pass its path."
        raise ValueError(msg)
    if path.is_dir():
        msg = f"{name}: {path} is a folder; expected the path of one track."
        raise ValueError(msg)


def name_files(files: Files) -> dict[str, Track]:
    """Return each file under a name for messages: the mark, or ``"mark (file 1 of 2)"`` where it has several."""
    return {name: track for group in _names(files).values() for name, track in group.items()}


def _names(files: Files) -> dict[str, dict[str, Track]]:
    """Return for each mark its files by name."""
    return {
        mark: {mark if len(own) == 1 else f"{mark} (file {i} of {len(own)})": one for i, one in enumerate(own, 1)}
        for mark, own in files.items()
    }


def describe(track: Track) -> str:
    """Return the path of a track, or ``"a table"``."""
    return "a table" if isinstance(track, pd.DataFrame) else str(track)


def _binner(mark: str, track: Track, kind: str | None) -> tuple[str, str]:
    """Return the name of the function that bins a track, and its format; raise when there is no such file."""
    if isinstance(track, pd.DataFrame):
        return "bin_peaks", "table"
    if not Path(track).exists():
        msg = f"{mark}: there is no file {track}; check its name and the folder you are in ({Path.cwd()})."
        raise FileNotFoundError(msg)
    found = detect_kind(track, kind).kind
    return _BINNER_OF[found], found


def check_formats(files: Files, controls: Files, kinds: str | Mapping[str, str] | None) -> None:
    """Raise when a file is missing or of unknown format, before the slow reading starts.

    Replicates of a mark need one format, and so do a mark and its control.
    """
    binners = {}
    for group in (files, controls):
        for mark, own in group.items():
            formats = {}
            for name, track in _names({mark: own})[mark].items():
                binner, found = _binner(name, track, given_kind(mark, kinds))
                binners[binner] = mark
                formats[found] = name
            if len(formats) > 1:
                shown = " and ".join(f"{name} is {found}" for found, name in formats.items())
                msg = f"replicates of {mark} differ in format: {shown}; expected one format for all of them."
                raise ValueError(msg)
    if controls and len(binners) > 1:
        shown = " and ".join(f"{mark} by {binner}" for binner, mark in binners.items())
        msg = (
            f"marks and control differ in format: sct.pp would bin {shown}. Give all of them in one format, or bin "
            "marks and control yourself and compare them with sct.pp.subtract_control."
        )
        raise ValueError(msg)


def bin_sample(
    files: Files,
    controls: Files,
    genes: pd.DataFrame,
    *,
    windows: Sequence[Window],
    arguments: Mapping[str, Mapping[str, Any]],
    kinds: str | Mapping[str, str] | None,
    control_method: ControlMethod,
) -> tuple[ad.AnnData, pd.DataFrame]:
    """Bin the marks of one sample, and compare them with their controls.

    Parameters
    ----------
    files, controls
        Files of each mark, as :func:`as_files` returns them, and of the controls, of which there may be none.
    genes, windows
        As in :func:`simplechrome_tk.pp.bin_peaks`.
    arguments
        Further arguments of each function that bins, by its name.
    kinds, control_method
        As in :func:`simplechrome_tk.pp.from_tracks`.

    Returns
    -------
    tuple[anndata.AnnData, pandas.DataFrame]
        Genes by bins, and one row for each file of a mark or control that has several: ``mark``, ``file``,
        ``combined`` (``"sum"`` or ``"mean"``) and ``scale``, the factor of the file in the mean.
    """
    adata, combined = _bin(files, genes, windows, arguments, kinds)
    if controls:
        background, of_controls = _bin(controls, genes, windows, arguments, kinds)
        subtract_control(adata, background, method=control_method)
        named = {mark: mark if mark == "control" else f"control of {mark}" for mark in controls}
        combined = pd.concat([combined, of_controls.assign(mark=of_controls["mark"].map(named))], ignore_index=True)
    for (mark, how), rows in combined.groupby(["mark", "combined"], sort=False):
        logger.info("%s: the %s of %d files.", mark, how, len(rows))
    return adata, combined


def _bin(
    files: Files,
    genes: pd.DataFrame,
    windows: Sequence[Window],
    arguments: Mapping[str, Mapping[str, Any]],
    kinds: str | Mapping[str, str] | None,
) -> tuple[ad.AnnData, pd.DataFrame]:
    """Bin the marks of each format together, and put the columns in the order of ``files``."""
    groups: dict[str, dict[str, str]] = {}
    for mark, own in files.items():
        binner, found = _binner(mark, own[0], given_kind(mark, kinds))
        groups.setdefault(binner, {})[mark] = found
    parts, tables = [], []
    for binner, formats in groups.items():
        settings = dict(arguments[binner])
        group = _names({mark: files[mark] for mark in formats})
        if binner != "bin_bigwig":
            settings["kinds"] = {
                name: kind for mark, tracks in group.items() for name in tracks if (kind := given_kind(mark, kinds))
            }
        tracks = {name: track for of_mark in group.values() for name, track in of_mark.items()}
        part = _BINNERS[binner](tracks, genes, windows=windows, **settings)
        part, table = _combine(part, group, formats, add=binner == "bin_reads")
        parts.append(part)
        tables.append(table)
    return _join(parts, list(files), windows), pd.concat(tables, ignore_index=True)


def _combine(
    adata: ad.AnnData, group: dict[str, dict[str, Track]], formats: Mapping[str, str], *, add: bool
) -> tuple[ad.AnnData, pd.DataFrame]:
    """Combine the files of each mark, which have columns of their own: add reads, and average other signal."""
    empty = pd.DataFrame({"mark": [], "file": [], "combined": [], "scale": []}).astype({"scale": float})
    if all(len(tracks) == 1 for tracks in group.values()):
        return adata, empty
    layout = Layout.of(adata)
    scales: dict[str, float] = {}
    for mark, tracks in group.items():
        scales |= _scales(mark, tracks, adata, layout, even=formats[mark] in _IN_UNITS_OF_DEPTH)
    blocks, columns = [], []
    for region in layout.regions:
        for mark, tracks in group.items():
            places = [np.flatnonzero((layout.region == region) & (layout.mark == name)) for name in tracks]
            total = sum(adata.X[:, at] * np.float32(scales[name]) for name, at in zip(tracks, places, strict=True))
            blocks.append(total if add else total / np.float32(len(tracks)))
            first = adata.var.iloc[places[0]]
            columns.append(first.set_axis([mark + name.removeprefix(next(iter(tracks))) for name in first.index]))
    var = pd.concat(columns)
    of_file = {name: mark for mark, tracks in group.items() for name in tracks}
    var[k.MARK] = pd.Categorical(var[k.MARK].astype(str).map(of_file), categories=list(group))
    uns = dict(adata.uns)
    if k.READS in uns:
        uns[k.READS] = uns[k.READS].groupby(of_file, sort=False).sum()
    rows = [
        (mark, describe(track), "sum" if add else "mean", scales[name])
        for mark, tracks in group.items()
        for name, track in tracks.items()
        if len(tracks) > 1
    ]
    table = pd.DataFrame(rows, columns=list(empty)).astype({"scale": float})
    return ad.AnnData(np.concatenate(blocks, axis=1), obs=adata.obs, var=var, uns=uns), table


def _scales(mark: str, tracks: dict[str, Track], adata: ad.AnnData, layout: Layout, *, even: bool) -> dict[str, float]:
    """Return the factor of each file in the mean of a mark: with ``even`` that which gives all files the same mean."""
    if not even or len(tracks) == 1:
        return dict.fromkeys(tracks, 1.0)
    means = np.array([adata.X[:, layout.mark == name].mean(dtype=float) for name in tracks])
    if (means == 0).any():
        silent = list(tracks.values())[int(means.argmin())]
        msg = f"{mark}: {describe(silent)} has no signal in any bin, so that it cannot be a replicate. Check it."
        raise ValueError(msg)
    return dict(zip(tracks, (means.mean() / means).tolist(), strict=True))


def _join(parts: Sequence[ad.AnnData], marks: Sequence[str], windows: Sequence[Window]) -> ad.AnnData:
    """Put the columns of several formats side by side, mark-major within each window."""
    if len(parts) == 1:
        return parts[0]
    place = {mark: part.var_names[part.var[k.MARK] == mark] for part in parts for mark in part.var[k.MARK].unique()}
    adata = ad.concat(parts, axis="var", merge="same", uns_merge="unique")
    region = adata.var[k.REGION].astype(str)
    ordered = [name for window in windows for mark in marks for name in place[mark] if region[name] == window.name]
    adata = adata[:, ordered].copy()
    for column, names in ((k.MARK, list(marks)), (k.REGION, [window.name for window in windows])):
        adata.var[column] = pd.Categorical(adata.var[column], categories=names)
    return adata
