"""What can be done to a mark, as a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Action = Literal["set", "scale", "shift", "swap", "transplant"]

_NAMED = {"swap": "mark", "transplant": "gene"}

GENE, NEIGHBORS = "gene", "neighbors"


@dataclass(frozen=True)
class Edit:
    """A change of histone marks: what is done, to which mark, along which stretch, on whom.

    Made by :meth:`set`, :meth:`scale`, :meth:`remove`, :meth:`shift`, :meth:`swap` and :meth:`transplant`; handed to
    :func:`simplechrome_tk.tl.perturb`, one or several, which act one after the other. An edit acts on the signal, in
    its own linear units (``layers["signal"]``): ``Edit.scale(0.5)`` halves it.

    Parameters
    ----------
    action
        Which of these.
    value
        The signal to set, the factor, how far to shift, the mark to swap with, or the gene to transplant from.
    mark
        Mark to edit; ``None`` is every mark.
    region
        Region to edit, as in ``var["region"]``; ``None`` is every region. Regions may show the same DNA, as the window
        around the TSS shows the start of the gene body: an edit of one leaves the other as it is.
    start, end
        Stretch of the region, in its units as in ``var``: bp from the anchor along the gene, or fraction of the gene
        body. Bins whose middle lies in it are edited; ``None`` reaches to the edge of the window. Needs ``region``
        where there are several.
    of
        ``"gene"``: each perturbed gene itself. ``"neighbors"``: all of its neighbours in the model's graph. Else one
        neighbour, by id or symbol.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> sct.tl.Edit.scale(0.5, mark="H3K4me3", region="tss", start=-1_000, end=1_000)
    Edit(action='scale', value=0.5, mark='H3K4me3', region='tss', start=-1000, end=1000, of='gene')
    """

    action: Action
    value: float | str
    mark: str | None = None
    region: str | None = None
    start: float | None = None
    end: float | None = None
    of: str = GENE

    def __post_init__(self) -> None:
        if self.action in ("set", "scale", "shift"):
            what = {"set": "signal to set", "scale": "factor", "shift": "distance to shift by"}[self.action]
            number = isinstance(self.value, int | float | np.number) and math.isfinite(self.value)
            if not number or (self.action != "shift" and float(self.value) < 0):
                kind = "a finite number" if self.action == "shift" else "a finite number of at least 0"
                msg = f"the {what} is {self.value!r}; expected {kind}."
                raise ValueError(msg)
        elif self.action not in _NAMED:
            msg = f"action is {self.action!r}; choose one of set, scale, shift, swap, transplant."
            raise ValueError(msg)
        elif not isinstance(self.value, str):
            msg = f"a {self.action} names {self.value!r}; expected the name of a {_NAMED[self.action]}."
            raise ValueError(msg)
        if self.action == "swap" and (self.mark is None or self.value == self.mark):
            msg = f"a swap of {self.mark!r} with {self.value!r}; expected two marks."
            raise ValueError(msg)
        for name, bound in (("start", self.start), ("end", self.end)):
            if bound is not None and not math.isfinite(bound):
                msg = f"{name} is {bound}; expected a position within the region, or None for its edge."
                raise ValueError(msg)
        if self.start is not None and self.end is not None and self.start >= self.end:
            msg = f"the stretch runs from {self.start:g} to {self.end:g}; expected start below end."
            raise ValueError(msg)

    @classmethod
    def set(
        cls,
        value: float,
        *,
        mark: str | None = None,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        of: str = GENE,
    ) -> Edit:
        """Give every bin the signal ``value``, at least 0."""
        return cls("set", value, mark, region, start, end, of)

    @classmethod
    def scale(
        cls,
        factor: float,
        *,
        mark: str | None = None,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        of: str = GENE,
    ) -> Edit:
        """Multiply the signal by ``factor``, at least 0."""
        return cls("scale", factor, mark, region, start, end, of)

    @classmethod
    def remove(
        cls,
        *,
        mark: str | None = None,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        of: str = GENE,
    ) -> Edit:
        """Set the signal to 0."""
        return cls("set", 0.0, mark, region, start, end, of)

    @classmethod
    def shift(cls, by: float, *, mark: str | None = None, region: str | None = None, of: str = GENE) -> Edit:
        """Move the signal along the gene, downstream where ``by`` is positive, within each region.

        In the units of the region: bp, or fraction of the gene body. A bin's signal is its mean, spread evenly, so that
        a shift by half a bin gives two bins a half each. What moves out of the window is gone; what moves in is the
        signal of the edge bin, the nearest that is known.
        """
        return cls("shift", by, mark, region, None, None, of)

    @classmethod
    def swap(
        cls,
        mark: str,
        other: str,
        *,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        of: str = GENE,
    ) -> Edit:
        """Exchange the signal of two marks, bin by bin, in the units in which it was measured.

        Marks differ in how high their signal runs, so that a swapped mark may lie above anything that the model has
        seen of it; scale it where that matters.
        """
        return cls("swap", other, mark, region, start, end, of)

    @classmethod
    def transplant(
        cls,
        gene: str,
        *,
        mark: str | None = None,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        of: str = GENE,
    ) -> Edit:
        """Take the signal of another gene (id or symbol), as it is in the data, bin by bin.

        A symbol stands for the gene in the same cell type; a stacked id (``gene:cell_type``) brings another's, such as
        the same gene's in another cell type.
        """
        return cls("transplant", gene, mark, region, start, end, of)
