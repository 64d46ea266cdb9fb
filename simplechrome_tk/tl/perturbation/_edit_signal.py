"""Edits of signal: the columns that an edit changes, and their new values."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from simplechrome_tk.core.layout import Layout
    from simplechrome_tk.tl.perturbation._edit import Edit


def find_columns(layout: Layout, edit: Edit) -> np.ndarray:
    """Return which columns an edit changes, shape ``(n_columns,)``.

    Raises
    ------
    ValueError
        When the mark or region is unknown, or the part of the region leaves the window or holds no bin.
    """
    marks = [edit.mark, str(edit.value)] if edit.action == "swap" else [edit.mark]
    _check_names("mark", marks, layout.marks)
    _check_names("region", [edit.region], layout.regions)
    chosen = np.ones(layout.n_columns, dtype=bool)
    if edit.mark is not None:
        chosen &= layout.mark == edit.mark
    if edit.region is not None:
        chosen &= layout.region == edit.region
    if edit.action == "shift":
        _check_shift(layout, edit)
    elif edit.start is not None or edit.end is not None:
        chosen &= _find_part(layout, edit)
    return chosen


def edit_signal(layout: Layout, edit: Edit, signal: np.ndarray, donor: np.ndarray | None = None) -> np.ndarray:
    """Return edited signal ``(n_genes, n_columns)``.

    ``donor``, of the same shape, is the signal that a transplant takes.
    """
    chosen = find_columns(layout, edit)
    edited = signal.copy()
    # A factor may exceed what float32 holds; the check below says so in words.
    with np.errstate(over="ignore", invalid="ignore"):
        match edit.action:
            case "set":
                edited[:, chosen] = float(edit.value)
            case "scale":
                edited[:, chosen] *= float(edit.value)
            case "swap":
                other = find_columns(layout, dataclasses.replace(edit, mark=str(edit.value), value=str(edit.mark)))
                edited[:, chosen], edited[:, other] = signal[:, other], signal[:, chosen]
            case "shift":
                for block in layout.blocks[chosen[layout.blocks["start"]]].itertuples():
                    low, high = layout.window(block.region)
                    n_bins = float(edit.value) / (high - low) * (block.stop - block.start)
                    columns = slice(block.start, block.stop)
                    edited[:, columns] = _shift_bins(signal[:, columns], n_bins)
            case "transplant" if donor is not None:
                edited[:, chosen] = donor[:, chosen]
    if not np.isfinite(edited).all():
        msg = f"{edit.action} by {edit.value} makes the signal infinite; expected a smaller number."
        raise ValueError(msg)
    return edited


def _check_names(kind: str, names: list[str | None], known: list[str]) -> None:
    """Raise ``ValueError`` for a mark or region that the data do not have; ``None`` stands for all."""
    unknown = [name for name in names if name is not None and name not in known]
    if unknown:
        msg = f"no {kind} {unknown[0]!r}; choose one of {', '.join(known)}."
        raise ValueError(msg)


def _find_part(layout: Layout, edit: Edit) -> np.ndarray:
    """Return the columns, of any region, whose middle lies between ``start`` and ``end``."""
    region = _one_region(layout, edit, "start and end")
    low, high = layout.window(region)
    start = low if edit.start is None else edit.start
    end = high if edit.end is None else edit.end
    inside = (layout.middle >= start) & (layout.middle < end)
    leaves_window = start < low or end > high
    if leaves_window or not (inside & (layout.region == region)).any():
        reason = "outside the window" if leaves_window else "between the middles of two bins"
        msg = f"the edit from {start:g} to {end:g} lies {reason}; regions here: {_describe_regions(layout)}."
        raise ValueError(msg)
    return inside


def _check_shift(layout: Layout, edit: Edit) -> None:
    regions = layout.regions if edit.region is None else [edit.region]
    # One distance cannot be both bp and a fraction of the gene body.
    if len({layout.is_scaled(region) for region in regions}) > 1:
        _one_region(layout, edit, "a shift")
    for region in regions:
        low, high = layout.window(region)
        if abs(float(edit.value)) >= high - low:
            msg = (
                f"a shift by {edit.value:g} moves everything out of the window; regions here: "
                f"{_describe_regions(layout)}. Use Edit.remove to remove the mark."
            )
            raise ValueError(msg)


def _one_region(layout: Layout, edit: Edit, argument: str) -> str:
    """Return the region that an edit names, or the only one of the data."""
    if edit.region is not None:
        return edit.region
    if len(layout.regions) > 1:
        msg = f"{argument} of which region? Name it with region: {_describe_regions(layout)}."
        raise ValueError(msg)
    return layout.regions[0]


def _describe_regions(layout: Layout) -> str:
    """Say where each region starts and ends."""
    described = []
    for region in layout.regions:
        low, high = layout.window(region)
        unit = "" if layout.is_scaled(region) else " bp"
        described.append(f"{region} ({low:g} to {high:g}{unit})")
    return ", ".join(described)


def _shift_bins(signal: np.ndarray, n_bins: float) -> np.ndarray:
    """Move ``(n_genes, n_bins)`` along the bins, each spread evenly; the outermost bins are repeated at the edges."""
    whole = math.floor(n_bins)
    part = n_bins - whole
    source = np.arange(signal.shape[1]) - whole
    last = signal.shape[1] - 1
    # A shift by 2.3 bins puts 70 % of a bin's signal two bins away, and 30 % three bins away.
    return (1 - part) * signal[:, source.clip(0, last)] + part * signal[:, (source - 1).clip(0, last)]
