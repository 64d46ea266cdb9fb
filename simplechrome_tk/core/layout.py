"""Layout of the columns of an AnnData: the mark, region and position of each bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import check_data, layer_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad


def window_anchors(adata: ad.AnnData) -> pd.Series:
    """Return the anchor of each region, ``"tss"``, ``"tes"`` or ``"body"``; empty without ``uns["windows"]``.

    Raises
    ------
    ValueError
        When ``uns["windows"]`` is not a table of windows.
    """
    windows = adata.uns.get(k.WINDOWS)
    if windows is None:
        return pd.Series(dtype=object)
    if not isinstance(windows, pd.DataFrame) or "anchor" not in windows:
        found = type(windows).__name__
        if isinstance(windows, pd.DataFrame):
            found = f"a table of {', '.join(map(str, windows))}"
        msg = (
            f"uns['windows'] is {found}; expected a table with a column 'anchor' and one row for each region. Copy it "
            "from the AnnData as it was read: adata.uns['windows'] = other.uns['windows']."
        )
        raise ValueError(msg)
    return windows["anchor"].astype(str)


def _read_blocks(adata: ad.AnnData) -> pd.DataFrame:
    """Return one row for each mark of each region, in column order: ``region``, ``mark``, ``start``, ``stop``.

    Such a block holds the bins of the mark in the region, in the columns from ``start`` to ``stop`` of ``X``.
    :meth:`Layout.of` reads more, and is what other modules use.
    """
    check_data(adata)
    if not adata.n_obs or not adata.n_vars:
        msg = (
            f"adata has {adata.n_obs} genes and {adata.n_vars} columns; expected at least one of each. Select "
            "other genes and marks."
        )
        raise ValueError(msg)
    missing = [column for column in (k.REGION, k.MARK) if column not in adata.var]
    if missing:
        msg = (
            f"var has no column {', '.join(missing)}: build the AnnData with sct.pp.bin_peaks or sct.datasets, and "
            "concatenate with sct.pp.stack_cell_types or ad.concat(..., merge='same', uns_merge='same'), which keep "
            "them."
        )
        raise ValueError(msg)
    # A block begins where region or mark differ from those of the column before.
    region, mark = adata.var[k.REGION].astype(str).to_numpy(), adata.var[k.MARK].astype(str).to_numpy()
    starts = np.flatnonzero(np.append(True, (region[1:] != region[:-1]) | (mark[1:] != mark[:-1])))
    table = pd.DataFrame(
        {
            "region": region[starts],
            "mark": mark[starts],
            "start": starts,
            "stop": np.append(starts[1:], adata.n_vars),
        }
    )
    # Each region can be viewed as genes x marks x bins only if its blocks are adjacent, equally wide, and of the same
    # marks in the same order as in the other regions.
    widths = table["stop"] - table["start"]
    for name, group in table.groupby("region", sort=False):
        marks = list(group["mark"])
        adjacent = np.all(np.diff(group.index) == 1)
        equally_wide = widths[group.index].nunique() == 1
        each_mark_once = len(set(marks)) == len(marks) and marks == list(table["mark"].unique())
        if not (adjacent and equally_wide and each_mark_once):
            msg = (
                f"columns of region {name!r} are not mark-major: expected every mark once, in the same order in every "
                f"region, each with its bins side by side; found {', '.join(marks)}. Select columns by mark or region, "
                "and keep their order."
            )
            raise ValueError(msg)
    return table


class Layout(NamedTuple):
    """The columns of an AnnData, read and checked once.

    A function reads it first, and hands it on to the functions that it calls.

    Attributes
    ----------
    blocks
        One row for each mark of each region, in column order: ``region``, ``mark``, and ``start`` and ``stop``, the
        columns that hold its bins.
    mark, region
        Mark and region of each column, ``(n_columns,)``.
    start, end
        Where each bin starts and ends, in bp from the anchor along the gene, or as fractions of a scaled body,
        ``(n_columns,)``.
    """

    blocks: pd.DataFrame
    mark: np.ndarray
    region: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, adata: ad.AnnData) -> Layout:
        """Read the layout of an AnnData.

        Raises
        ------
        ValueError
            When ``var`` lacks mark, region or position of the columns, or columns are not mark-major.
        """
        table = _read_blocks(adata)
        missing = [column for column in (k.START_BP, k.END_BP) if column not in adata.var]
        if missing:
            msg = (
                f"var has no column {', '.join(missing)}, the position of each bin: build the AnnData with "
                "sct.pp.bin_peaks or sct.datasets, or copy the columns from the AnnData as it was read."
            )
            raise ValueError(msg)
        widths = table["stop"] - table["start"]
        mark, region = (np.repeat(table[name].to_numpy(object), widths) for name in ("mark", "region"))
        start, end = (adata.var[column].to_numpy(float) for column in (k.START_BP, k.END_BP))
        return cls(table, mark, region, start, end)

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.mark)

    @property
    def marks(self) -> list[str]:
        """Names of the marks, in column order."""
        return list(dict.fromkeys(self.blocks["mark"]))

    @property
    def regions(self) -> list[str]:
        """Names of the regions, in column order."""
        return list(dict.fromkeys(self.blocks["region"]))

    @property
    def middle(self) -> np.ndarray:
        """Middle of each bin, ``(n_columns,)``, in the unit of ``start`` and ``end``."""
        return (self.start + self.end) / 2

    @property
    def block(self) -> np.ndarray:
        """Number of the block that each column belongs to, ``(n_columns,)``."""
        return self.expand(np.arange(len(self.blocks)))

    def expand(self, values: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Return one value for each column, ``(n_columns,)``, from one value for each block, ``(n_blocks,)``."""
        return np.repeat(np.asarray(values), self.blocks["stop"] - self.blocks["start"])

    def block_sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the bins of each block, ``(n_genes, n_blocks)``, of ``(n_genes, n_columns)``."""
        return np.add.reduceat(values, self.blocks["start"].to_numpy(), axis=1)

    def window(self, region: str) -> tuple[float, float]:
        """Return start and end of a region, in the unit of its bins."""
        inside = self.region == region
        return float(self.start[inside].min()), float(self.end[inside].max())

    def is_scaled(self, region: str) -> bool:
        """Return whether positions in a region are fractions of the gene body, which have no length in bp."""
        return self.window(region) == (0.0, 1.0)

    def view(self, values: np.ndarray, region: str) -> np.ndarray:
        """Return one region of ``(n_genes, n_columns)`` as ``(n_genes, n_marks, n_bins)``, without a copy.

        Raises
        ------
        ValueError
            When the layout has no such region.
        """
        inside = self.blocks[self.blocks["region"] == region]
        if not len(inside):
            msg = f"no region {region!r}; regions here: {', '.join(self.regions)}."
            raise ValueError(msg)
        columns = slice(inside["start"].iloc[0], inside["stop"].iloc[-1])
        return values[:, columns].reshape(len(values), len(inside), -1)


def region_shapes(blocks: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the number of marks and of bins of each region, in column order."""
    return [
        (len(group), int(group["stop"].iloc[0] - group["start"].iloc[0]))
        for _, group in blocks.groupby("region", sort=False)
    ]


def region(adata: ad.AnnData, region: str, *, layer: str | None = None) -> np.ndarray:
    """View one region as genes by marks by bins, without a copy.

    Parameters
    ----------
    adata
        Genes by bins, mark-major within each region.
    region
        Name in ``var["region"]``.
    layer
        Layer to read; ``None`` reads ``X``. ``"signal"`` is the signal before normalisation, which is ``X`` of an
        AnnData that is not normalised.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_genes, n_marks, n_bins)``. It shares memory with ``adata``, so that writing to it changes ``adata``,
        unless ``adata`` is a view such as ``adata[genes]``.

    Raises
    ------
    ValueError
        When ``adata`` has no such region or layer, or the matrix is sparse.

    Examples
    --------
    >>> sct.get.region(adata, "tss").shape
    (300, 5, 100)
    """
    return Layout.of(adata).view(values(adata, layer), region)


def values(adata: ad.AnnData, layer: str | None) -> np.ndarray:
    """Return ``X`` or a layer, shape ``(n_genes, n_columns)``; ``"signal"`` is ``X`` before normalisation."""
    check_data(adata)
    if layer is None or (layer == k.SIGNAL and layer not in adata.layers and k.NORMALIZE not in adata.uns):
        return dense(adata)
    if layer not in adata.layers:
        msg = f"no layer {layer!r} (found: {layer_names(adata)}); layer=None reads X."
        raise ValueError(msg)
    return dense(adata, layer)
