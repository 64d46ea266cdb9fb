"""Which columns an edit changes, and how."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd

    from simplechrome_tk.tl.perturbation._edit import Edit


class Layout(NamedTuple):
    """Where the bins lie, shape ``(n_columns,)`` each, and the columns of each mark in each region."""

    mark: np.ndarray
    region: np.ndarray
    start: np.ndarray
    end: np.ndarray
    blocks: pd.DataFrame

    @classmethod
    def of(cls, adata: ad.AnnData) -> Layout:
        """Read the layout of an AnnData."""
        table = blocks(adata)
        widths = table["stop"] - table["start"]
        mark, region = (np.repeat(table[name].to_numpy(object), widths) for name in (k.MARK, k.REGION))
        return cls(mark, region, adata.var[k.START_BP].to_numpy(float), adata.var[k.END_BP].to_numpy(float), table)

    @property
    def marks(self) -> list[str]:
        """Names of the marks, in order."""
        return list(dict.fromkeys(self.blocks["mark"]))

    @property
    def regions(self) -> list[str]:
        """Names of the regions, in order."""
        return list(dict.fromkeys(self.blocks["region"]))

    def window(self, region: str) -> tuple[float, float]:
        """Where a region starts and ends."""
        inside = self.region == region
        return float(self.start[inside].min()), float(self.end[inside].max())

    def describe(self) -> str:
        """Say where each region reaches."""
        spans = {region: self.window(region) for region in self.regions}
        return ", ".join(
            f"{region} ({low:g} to {high:g}{'' if self.is_scaled(region) else ' bp'})"
            for region, (low, high) in spans.items()
        )

    def is_scaled(self, region: str) -> bool:
        """Whether positions in a region are fractions of the gene body, of which bp say nothing."""
        return self.window(region) == (0.0, 1.0)

    def columns(self, edit: Edit) -> np.ndarray:
        """Which columns an edit changes, shape ``(n_columns,)``.

        Raises
        ------
        ValueError
            When the mark or region is unknown, the stretch leaves the window or holds no bin.
        """
        marks = [edit.mark, edit.value] if edit.action == "swap" else [] if edit.mark is None else [edit.mark]
        for kind, asked, known in (("mark", marks, self.marks), ("region", [edit.region], self.regions)):
            for name in asked:
                if name is not None and name not in known:
                    msg = f"no {kind} {name!r}; choose one of {', '.join(known)}."
                    raise ValueError(msg)
        chosen = np.ones(len(self.mark), dtype=bool)
        if edit.mark is not None:
            chosen &= self.mark == edit.mark
        if edit.region is not None:
            chosen &= self.region == edit.region
        if edit.action == "shift":
            self._check_shift(edit)
        elif edit.start is not None or edit.end is not None:
            chosen &= self._stretch(edit)
        return chosen

    def _stretch(self, edit: Edit) -> np.ndarray:
        region = self._one_region(edit, "start and end")
        low, high = self.window(region)
        start, end = low if edit.start is None else edit.start, high if edit.end is None else edit.end
        middle = (self.start + self.end) / 2
        inside = (middle >= start) & (middle < end)
        if start < low or end > high or not (inside & (self.region == region)).any():
            reason = "outside the window" if start < low or end > high else "between the middles of two bins"
            msg = f"the stretch {start:g} to {end:g} lies {reason}; regions here: {self.describe()}."
            raise ValueError(msg)
        return inside

    def _check_shift(self, edit: Edit) -> None:
        regions = self.regions if edit.region is None else [edit.region]
        if len({self.is_scaled(region) for region in regions}) > 1:
            self._one_region(edit, "a shift")
        for region in regions:
            low, high = self.window(region)
            if abs(float(edit.value)) >= high - low:
                msg = (
                    f"a shift by {edit.value:g} moves everything out of the window; regions here: {self.describe()}. "
                    "Remove the mark if that is meant."
                )
                raise ValueError(msg)

    def _one_region(self, edit: Edit, what: str) -> str:
        if edit.region is None and len(self.regions) > 1:
            msg = f"{what} of which region? Name it with region: {self.describe()}."
            raise ValueError(msg)
        return self.regions[0] if edit.region is None else edit.region

    def apply(self, edit: Edit, signal: np.ndarray, donor: np.ndarray | None = None) -> np.ndarray:
        """Return edited signal ``(n_genes, n_columns)``; ``donor``, as large, is what a transplant takes from."""
        chosen = self.columns(edit)
        edited = signal.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            match edit.action:
                case "set":
                    edited[:, chosen] = float(edit.value)
                case "scale":
                    edited[:, chosen] *= float(edit.value)
                case "swap":
                    other = self.columns(dataclasses.replace(edit, mark=str(edit.value), value=str(edit.mark)))
                    edited[:, chosen], edited[:, other] = signal[:, other], signal[:, chosen]
                case "shift":
                    for row in self.blocks[chosen[self.blocks["start"]]].itertuples():
                        low, high = self.window(row.region)
                        n_bins = float(edit.value) / (high - low) * (row.stop - row.start)
                        edited[:, row.start : row.stop] = _shifted(signal[:, row.start : row.stop], n_bins)
                case "transplant" if donor is not None:
                    edited[:, chosen] = donor[:, chosen]
        if not np.isfinite(edited).all():
            msg = f"{edit.action} by {edit.value} makes the signal infinite; expected a smaller number."
            raise ValueError(msg)
        return edited


def _shifted(signal: np.ndarray, n_bins: float) -> np.ndarray:
    """Move ``(n_genes, n_bins)`` along the bins, each spread evenly; the edge bins are repeated."""
    whole = math.floor(n_bins)
    part = n_bins - whole
    source = np.arange(signal.shape[1]) - whole
    last = signal.shape[1] - 1
    return (1 - part) * signal[:, source.clip(0, last)] + part * signal[:, (source - 1).clip(0, last)]
