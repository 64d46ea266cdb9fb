"""Ask an AnnData for what a step needs; say what to call when it is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk import _keys as k

if TYPE_CHECKING:
    import anndata as ad


def obs_column(adata: ad.AnnData, key: str, *, fix: str) -> pd.Series:
    """Return ``obs[key]``, or raise a ``ValueError`` that says ``fix``."""
    if key not in adata.obs:
        msg = f"obs has no column {key!r} (found: {', '.join(map(str, adata.obs)) or 'none'}): {fix}."
        raise ValueError(msg)
    return adata.obs[key]


def split_of(adata: ad.AnnData, split_key: str = k.SPLIT) -> np.ndarray:
    """Return the split of each gene, shape ``(n_genes,)``, strings."""
    split = obs_column(adata, split_key, fix="run sct.pp.split_by_chromosome(adata) first").astype(str).to_numpy()
    strange = set(split) - set(k.SPLITS)
    if strange:
        msg = f"obs[{split_key!r}] holds {', '.join(sorted(strange))}; expected {', '.join(k.SPLITS)}."
        raise ValueError(msg)
    return split


def label_truth(adata: ad.AnnData, label_key: str = k.LABEL) -> np.ndarray:
    """Return 1 for high, 0 for low, NaN without a label, shape ``(n_genes,)``."""
    fix = "run sct.pp.label_expression(adata) first, or name the column with label_key"
    label = obs_column(adata, label_key, fix=fix)
    known = label.notna().to_numpy()
    strange = set(label[known].astype(str)) - set(k.LABELS)
    if strange:
        msg = f"obs[{label_key!r}] holds {', '.join(sorted(strange)[:5])}; expected {' and '.join(k.LABELS)}: {fix}."
        raise ValueError(msg)
    return np.where(known, (label.astype(object) == "high").to_numpy(float), np.nan)


def cell_types(adata: ad.AnnData) -> pd.Series:
    """Return the cell type of each gene as strings: ``obs["cell_type"]``, or one unnamed cell type for all."""
    if k.CELL_TYPE in adata.obs:
        return adata.obs[k.CELL_TYPE].astype(str)
    return pd.Series("all", index=adata.obs_names)


def blocks(adata: ad.AnnData) -> pd.DataFrame:
    """Return one row per mark of each region, in column order: ``region``, ``mark``, ``start``, ``stop``.

    ``start`` and ``stop`` are the columns of ``X`` that hold the bins of the block.
    """
    missing = [column for column in (k.REGION, k.MARK) if column not in adata.var]
    if missing:
        msg = f"var has no column {', '.join(missing)}: build the AnnData with sct.pp.bin_peaks or sct.datasets."
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
