"""The columns of an AnnData: which mark, region and bin each one holds."""

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
    """Return what each region is placed by, ``"tss"``, ``"tes"`` or ``"body"``; empty without ``uns["windows"]``.

    Raises
    ------
    ValueError
        When ``uns["windows"]`` is no table of windows.
    """
    windows = adata.uns.get(k.WINDOWS)
    if windows is None:
        return pd.Series(dtype=object)
    if not isinstance(windows, pd.DataFrame) or "anchor" not in windows:
        is_table = isinstance(windows, pd.DataFrame)
        found = f"a table of {', '.join(map(str, windows))}" if is_table else type(windows).__name__
        msg = (
            f"uns['windows'] is {found}; expected a table with a column 'anchor' and one row for each region. Copy it "
            "from the AnnData as it was read: adata.uns['windows'] = other.uns['windows']."
        )
        raise ValueError(msg)
    return windows["anchor"].astype(str)


def blocks(adata: ad.AnnData) -> pd.DataFrame:
    """Return one row per mark of each region, in column order: ``region``, ``mark``, ``start``, ``stop``.

    ``start`` and ``stop`` are the columns of ``X`` that hold the bins of the block.
    """
    check_data(adata)
    if not adata.n_obs or not adata.n_vars:
        msg = (
            f"adata has {adata.n_obs} genes and {adata.n_vars} columns; expected one of each at least. Select genes "
            "and marks that are there."
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
    widths = table["stop"] - table["start"]
    for name, group in table.groupby("region", sort=False):
        marks = list(group["mark"])
        tidy = len(set(marks)) == len(marks) and widths[group.index].nunique() == 1
        if not tidy or np.any(np.diff(group.index) != 1) or marks != list(table["mark"].unique()):
            msg = (
                f"columns of region {name!r} are not mark-major: expected every mark once, in the same order in every "
                f"region, each with its bins side by side; found {', '.join(marks)}. Select columns by mark or region, "
                "and keep their order."
            )
            raise ValueError(msg)
    return table


class Layout(NamedTuple):
    """The columns of an AnnData, read once and handed on.

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
            When ``var`` does not say which mark, region and stretch each column holds, or columns are not mark-major.
        """
        table = blocks(adata)
        missing = [column for column in (k.START_BP, k.END_BP) if column not in adata.var]
        if missing:
            msg = (
                f"var has no column {', '.join(missing)}, where each bin lies: build the AnnData with sct.pp.bin_peaks "
                "or sct.datasets, or copy the columns from the AnnData as it was read."
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
        """Return where a region starts and ends."""
        inside = self.region == region
        return float(self.start[inside].min()), float(self.end[inside].max())

    def is_scaled(self, region: str) -> bool:
        """Whether positions in a region are fractions of the gene body, which cannot be given in bp."""
        return self.window(region) == (0.0, 1.0)

    def view(self, values: np.ndarray, region: str) -> np.ndarray:
        """Return one region of ``(n_genes, n_columns)`` as ``(n_genes, n_marks, n_bins)``, without a copy.

        Raises
        ------
        ValueError
            When there is no such region.
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
        Layer to read; ``None`` reads ``X``. ``"signal"`` is the signal before normalisation: of an AnnData that is not
        normalised, ``X``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_genes, n_marks, n_bins)``. It shares memory with ``adata``, so writing to it changes ``adata``; a
        subset such as ``adata[genes]`` that was not copied is the exception.

    Raises
    ------
    ValueError
        When there is no such region or layer, or the matrix is sparse.

    Examples
    --------
    >>> tss = sct.get.region(adata, "tss")  # doctest: +SKIP
    >>> tss.shape  # doctest: +SKIP
    (18483, 5, 100)
    """
    return Layout.of(adata).view(values(adata, layer), region)


def values(adata: ad.AnnData, layer: str | None) -> np.ndarray:
    """``X`` or a layer, shape ``(n_genes, n_columns)``; ``"signal"`` is ``X`` until that is normalised."""
    check_data(adata)
    if layer is None or (layer == k.SIGNAL and layer not in adata.layers and k.NORMALIZE not in adata.uns):
        return dense(adata)
    if layer not in adata.layers:
        msg = f"no layer {layer!r} (found: {layer_names(adata)}); layer=None reads X."
        raise ValueError(msg)
    return dense(adata, layer)
