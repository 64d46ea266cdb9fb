"""Windows: the stretches of DNA around a gene that are divided into bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from simplechrome_tk.core import keys as k

if TYPE_CHECKING:
    import pandas as pd

Anchor = Literal["tss", "tes", "body"]


@dataclass(frozen=True)
class Window:
    """A stretch of DNA around a gene, divided into equal bins from 5' to 3' of the gene.

    Parameters
    ----------
    name
        Name of the region in ``var["region"]``.
    anchor
        ``"tss"`` or ``"tes"``: a window of fixed width around the gene's start or end. ``"body"``: the whole gene
        from its 5' to its 3' end, so that a bin's width scales with the gene (deepTools' ``scale-regions``).
    upstream, downstream
        Distance in bp from the anchor to the ends of the window, against and along the direction of transcription.
    n_bins
        Number of bins.

    Attributes
    ----------
    TSS
        100 bins of 100 bp around the TSS, as in DeepChrome (Singh et al. 2016).
    BODY
        20 bins that together cover the transcribed gene, whatever its length.
    TES
        20 bins of 1 kb around the gene's end.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> sct.pp.Window("promoter", anchor="tss", upstream=2_000, downstream=500, n_bins=25).bin_names()[:2]
    ['-1950', '-1850']

    The windows that are often used are ready-made:

    >>> sct.pp.Window.TSS
    Window(name='tss', anchor='tss', upstream=5000, downstream=5000, n_bins=100)
    """

    TSS: ClassVar[Window]
    BODY: ClassVar[Window]
    TES: ClassVar[Window]

    name: str
    anchor: Anchor
    upstream: int
    downstream: int
    n_bins: int

    def __post_init__(self) -> None:
        if self.anchor not in get_args(Anchor):
            msg = f"Window {self.name!r}: anchor is {self.anchor!r}; choose one of {', '.join(get_args(Anchor))}."
            raise ValueError(msg)
        if not self.name or ":" in self.name:
            msg = (
                f"Window name {self.name!r}: expected a non-empty name without ':', which separates parts of var names."
            )
            raise ValueError(msg)
        if self.n_bins < 1:
            msg = f"Window {self.name!r}: n_bins is {self.n_bins}; expected at least 1."
            raise ValueError(msg)
        if self.anchor != "body" and self.upstream + self.downstream <= 0:
            msg = f"Window {self.name!r} is empty: upstream={self.upstream} and downstream={self.downstream} bp."
            raise ValueError(msg)
        if self.anchor == "body" and (self.upstream or self.downstream):
            msg = (
                f"Window {self.name!r}: a body window runs from the gene's start to its end; expected upstream=0 and "
                "downstream=0. Add a window anchored at 'tss' or 'tes' for what lies beyond."
            )
            raise ValueError(msg)

    @property
    def needs_body(self) -> bool:
        """Whether the window needs start, end and strand of the gene, and not only its TSS."""
        return self.anchor != "tss"

    def bounds(self) -> np.ndarray:
        """Return the bin boundaries relative to the anchor, shape ``(n_bins + 1,)``: bp, or fractions of the body."""
        if self.anchor == "body":
            return np.linspace(0.0, 1.0, self.n_bins + 1)
        return np.linspace(-self.upstream, self.downstream, self.n_bins + 1)

    def bin_names(self) -> list[str]:
        """Return the name of each bin in ``var_names``: its middle."""
        bounds = self.bounds()
        return [f"{middle:g}" for middle in (bounds[:-1] + bounds[1:]) / 2]

    def edges(self, genes: pd.DataFrame) -> np.ndarray:
        """Return the edges of the bins of every gene on its chromosome.

        Parameters
        ----------
        genes
            ``obs``-like table with ``start``, ``end``, ``strand`` and ``tss`` (0-based, half-open, in bp). Genes of
            unknown strand (``"."``) are read in the direction of the genome.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_genes, n_bins + 1)``, genome coordinates from 5' to 3' of the gene: descending on the minus
            strand.
        """
        # On the minus strand the gene starts at its largest coordinate, and bins run against the genome.
        minus = (genes[k.STRAND] == "-").to_numpy()
        if self.anchor == "tss":
            anchor = genes[k.TSS].to_numpy(float)
            width = np.ones(len(genes))
        else:
            start, end = genes[k.START].to_numpy(float), genes[k.END].to_numpy(float)
            anchor = np.where(minus != (self.anchor == "tes"), end, start)
            width = end - start if self.anchor == "body" else np.ones(len(genes))
        direction = np.where(minus, -1.0, 1.0)
        return anchor[:, None] + (direction * width)[:, None] * self.bounds()[None, :]


Window.TSS = Window("tss", anchor="tss", upstream=5_000, downstream=5_000, n_bins=100)
Window.BODY = Window("body", anchor="body", upstream=0, downstream=0, n_bins=20)
Window.TES = Window("tes", anchor="tes", upstream=10_000, downstream=10_000, n_bins=20)

DEFAULT_WINDOWS = (Window.TSS, Window.BODY)
