"""Edits of histone marks, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Action = Literal["set", "scale", "shift", "swap", "transplant"]

GENE, NEIGHBORS = "gene", "neighbors"
"""Values of :attr:`Edit.on`: the gene itself, and all of its neighbours."""

_NUMBERS = {"set": "signal to set", "scale": "factor", "shift": "distance to shift by"}
"""Actions with a number as their value, and what the number is."""
_NAMES = {"swap": "mark", "transplant": "gene"}
"""Actions with a name as their value, and what it names."""


@dataclass(frozen=True)
class Edit:
    """A change of histone marks: what is done, to which mark, in which part of the gene, and on which gene.

    An edit is made by :meth:`set`, :meth:`scale`, :meth:`remove`, :meth:`shift`, :meth:`swap` or :meth:`transplant`.
    :func:`simplechrome_tk.tl.perturb` takes one edit or several, which act one after the other. An edit changes the
    signal in its own linear units (``layers["signal"]``): ``Edit.scale(0.5)`` halves it.

    Parameters
    ----------
    action
        ``"set"``, ``"scale"``, ``"shift"``, ``"swap"`` or ``"transplant"``.
    value
        The signal to set, the factor, the distance to shift by, the mark to swap with, or the gene to transplant from.
    mark
        Mark to edit; ``None`` edits every mark.
    region
        Region to edit, as in ``var["region"]``; ``None`` edits every region. Two regions may show the same DNA: the
        window around the TSS shows the start of the gene body. An edit of one region leaves the other as it is.
    start, end
        Part of the region to edit, in the units of ``var``: bp from the anchor along the gene, or fractions of the gene
        body. Bins whose middle lies in it are edited; ``None`` reaches to the edge of the window. ``region`` is
        required where the data have several.
    on
        The gene that carries the edited marks. ``"gene"``: each perturbed gene itself. ``"neighbors"``: all of its
        neighbours in the model's graph. Otherwise the id or symbol of one neighbour.

    Examples
    --------
    >>> sct.tl.Edit.scale(0.5, mark="H3K4me3", region="tss", start=-1_000, end=1_000)
    Edit(action='scale', value=0.5, mark='H3K4me3', region='tss', start=-1000, end=1000, on='gene')
    """

    action: Action
    value: float | str
    mark: str | None = None
    region: str | None = None
    start: float | None = None
    end: float | None = None
    on: str = GENE

    def __post_init__(self) -> None:
        if self.action in _NUMBERS:
            self._check_number()
        elif self.action in _NAMES:
            self._check_name()
        else:
            msg = f"action is {self.action!r}; choose one of set, scale, shift, swap, transplant."
            raise ValueError(msg)
        for name, position in (("start", self.start), ("end", self.end)):
            if position is not None and not math.isfinite(position):
                msg = f"{name} is {position}; expected a position within the region, or None for its edge."
                raise ValueError(msg)
        if self.start is not None and self.end is not None and self.start >= self.end:
            msg = f"the edit reaches from {self.start:g} to {self.end:g}; expected start below end."
            raise ValueError(msg)

    def _check_number(self) -> None:
        is_number = isinstance(self.value, int | float | np.number) and math.isfinite(self.value)
        may_be_negative = self.action == "shift"
        if not is_number or (float(self.value) < 0 and not may_be_negative):
            expected = "a finite number" if may_be_negative else "a finite number of at least 0"
            msg = f"the {_NUMBERS[self.action]} is {self.value!r}; expected {expected}."
            raise ValueError(msg)

    def _check_name(self) -> None:
        if not isinstance(self.value, str):
            msg = f"the value of a {self.action} is {self.value!r}; expected the name of a {_NAMES[self.action]}."
            raise ValueError(msg)
        if self.action == "swap" and (self.mark is None or self.value == self.mark):
            msg = f"a swap of {self.mark!r} with {self.value!r}; expected two marks."
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
        on: str = GENE,
    ) -> Edit:
        """Set the signal of every bin to ``value``, at least 0.

        ``mark``, ``region``, ``start``, ``end`` and ``on`` are those of :class:`Edit`.
        """
        return cls("set", value, mark, region, start, end, on)

    @classmethod
    def scale(
        cls,
        factor: float,
        *,
        mark: str | None = None,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        on: str = GENE,
    ) -> Edit:
        """Multiply the signal by ``factor``, at least 0.

        ``mark``, ``region``, ``start``, ``end`` and ``on`` are those of :class:`Edit`.
        """
        return cls("scale", factor, mark, region, start, end, on)

    @classmethod
    def remove(
        cls,
        *,
        mark: str | None = None,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        on: str = GENE,
    ) -> Edit:
        """Set the signal to 0.

        ``mark``, ``region``, ``start``, ``end`` and ``on`` are those of :class:`Edit`.
        """
        return cls("set", 0.0, mark, region, start, end, on)

    @classmethod
    def shift(cls, by: float, *, mark: str | None = None, region: str | None = None, on: str = GENE) -> Edit:
        """Move the signal along the gene, downstream where ``by`` is positive, within each region.

        The unit of ``by`` is that of the region: bp, or a fraction of the gene body. The signal of a bin counts as
        spread evenly over the bin, so that a shift by half a bin moves half of it into the next one. Signal that leaves
        the window is lost. Bins that become free at the edge take the signal of the outermost bin, the nearest that
        was measured.
        """
        return cls("shift", by, mark, region, on=on)

    @classmethod
    def swap(
        cls,
        mark: str,
        other: str,
        *,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        on: str = GENE,
    ) -> Edit:
        """Exchange the signal of two marks, bin by bin, in the units in which it was measured.

        ``region``, ``start``, ``end`` and ``on`` are those of :class:`Edit`. Some marks have a higher signal than
        others, so that a swapped mark may exceed everything that the model has seen of it; scale it where that
        matters.
        """
        return cls("swap", other, mark, region, start, end, on)

    @classmethod
    def transplant(
        cls,
        gene: str,
        *,
        mark: str | None = None,
        region: str | None = None,
        start: float | None = None,
        end: float | None = None,
        on: str = GENE,
    ) -> Edit:
        """Take the signal of another gene (id or symbol), as it is in the data, bin by bin.

        ``mark``, ``region``, ``start``, ``end`` and ``on`` are those of :class:`Edit`. A symbol means the gene in the
        same cell type. A stacked id (``gene:cell_type``) takes the signal from another cell type, also that of
        the same gene.
        """
        return cls("transplant", gene, mark, region, start, end, on)


def list_edits(edits: Edit | Sequence[Edit]) -> list[Edit]:
    """Return one edit or several as a list."""
    return [edits] if isinstance(edits, Edit) else list(edits)
