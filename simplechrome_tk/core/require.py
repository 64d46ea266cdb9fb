"""Requirements of a step on an AnnData, and errors that name the call that fulfils them."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Genes: TypeAlias = str | Sequence[str] | np.ndarray | pd.Series | None

logger = logging.getLogger(__name__)

_NOWHERE = frozenset(("", "nan", "NaN", "None", "NA", "<NA>"))
"""Missing chromosomes in columns that were converted to strings."""


def check_data(adata: object) -> None:
    """Raise ``TypeError`` for another type than AnnData, ``ValueError`` when its tables are not in memory."""
    if not isinstance(adata, ad.AnnData):
        msg = f"adata is a {type(adata).__name__}; expected an AnnData of genes by bins."
        raise TypeError(msg)
    if not isinstance(adata.obs, pd.DataFrame):
        msg = "adata is lazy: its tables and matrices are still in the file. Run adata = adata.to_memory() first."
        raise ValueError(msg)


def check_selectable(adata: ad.AnnData) -> None:
    """Raise ``ValueError`` for a view of a file, from which AnnData cannot select genes again."""
    check_data(adata)
    if adata.is_view and adata.isbacked:
        msg = f"adata is a view of the file {adata.filename}: run adata = adata.to_memory() first."
        raise ValueError(msg)


def check_order(adata: object, model: object, call: str) -> None:
    """Raise ``TypeError`` that shows the right ``call`` when data and model are exchanged, or ``adata`` is neither."""
    if isinstance(adata, ad.AnnData) and not isinstance(model, ad.AnnData):
        return
    found = f"adata is a {type(adata).__name__} and model a {type(model).__name__}"
    msg = f"{found}; expected {call}, with an AnnData and a model in this order."
    raise TypeError(msg)


def check_unique(adata: ad.AnnData) -> None:
    """Raise ``ValueError`` when several genes have the same name in ``obs_names``."""
    names = adata.obs_names
    if names.is_unique:
        return
    twice = names[names.duplicated()]
    msg = (
        f"obs_names repeat: {len(twice)} of {len(names)} genes have the name of another, such as {twice[0]!r}; "
        "expected each name once. Run adata.obs_names_make_unique() where they are different genes, "
        "adata = adata[~adata.obs_names.duplicated()].copy() where they are the same, or stack cell types with "
        "sct.pp.stack_cell_types."
    )
    raise ValueError(msg)


def layer_names(adata: ad.AnnData) -> str:
    """Return the names of the layers for a message; since anndata 0.13 they contain ``None``, which is ``X``."""
    return ", ".join(str(name) for name in adata.layers if name is not None) or "none"


def obs_column(adata: ad.AnnData, key: str, *, fix: str) -> pd.Series:
    """Return ``obs[key]``; without it raise a ``ValueError`` that ends with ``fix``."""
    check_data(adata)
    if key not in adata.obs:
        msg = f"obs has no column {key!r} (found: {shorten(adata.obs, limit=20)}): {fix}."
        raise ValueError(msg)
    return adata.obs[key]


def obs_numbers(adata: ad.AnnData, key: str, *, fix: str) -> np.ndarray:
    """Return ``obs[key]`` as float, NaN where missing, ``(n_genes,)``; raise a ``ValueError`` for other values."""
    column = obs_column(adata, key, fix=fix)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiu":
        return column.to_numpy(float)
    numbers = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(float, na_value=np.nan)
    if (wrong := np.isnan(numbers) & column.notna().to_numpy()).any():
        msg = (
            f"obs[{key!r}] holds {int(wrong.sum())} values that are not numbers, such as {column[wrong].iloc[0]!r} for "
            f"gene {adata.obs_names[wrong][0]!r}; expected numbers: adata.obs[{key!r}] = "
            f"pandas.to_numeric(adata.obs[{key!r}], errors='coerce') makes the others missing."
        )
        raise ValueError(msg)
    return numbers


def chromosomes(adata: ad.AnnData, *, fix: str) -> pd.Series:
    """Return the chromosome of each gene as a string; raise a ``ValueError`` when a gene has none."""
    column = obs_column(adata, k.CHROM, fix=fix)
    chrom = column.astype(str)
    nowhere = (column.isna() | chrom.str.strip().isin(_NOWHERE)).to_numpy()
    if nowhere.any():
        msg = (
            f"{int(nowhere.sum())} of {adata.n_obs} genes have no chrom, such as {adata.obs_names[nowhere][0]!r}: "
            "leave them out, or fill in their chromosome in obs['chrom']."
        )
        raise ValueError(msg)
    return chrom


def split_of(adata: ad.AnnData, split_key: str = k.SPLIT) -> np.ndarray:
    """Return the split of each gene, strings of shape ``(n_genes,)``."""
    split = obs_column(adata, split_key, fix="run sct.pp.split_by_chromosome(adata) first").astype(str).to_numpy()
    unknown = set(split) - set(k.SPLITS)
    if unknown:
        msg = f"obs[{split_key!r}] holds {shorten(sorted(unknown))}; expected {', '.join(k.SPLITS)}."
        raise ValueError(msg)
    return split


def held_out(adata: ad.AnnData, splits: Sequence[str] | None, split_key: str = k.SPLIT) -> np.ndarray:
    """Return which genes belong to these splits, a mask ``(n_genes,)``; all genes when ``splits`` is ``None``.

    Data without splits, such as those that a model trained on other genes predicts, have no column ``"split"``. For the
    default ``("test",)`` all their genes are taken, which is logged.
    """
    if splits is None:
        return np.ones(adata.n_obs, dtype=bool)
    wanted = [splits] if isinstance(splits, str) else list(splits)
    if wanted == ["test"] and split_key == k.SPLIT and split_key not in adata.obs:
        logger.info("obs has no column %r: all %d genes are taken.", split_key, adata.n_obs)
        return np.ones(adata.n_obs, dtype=bool)
    chosen = np.isin(split_of(adata, split_key), wanted)
    if not chosen.any():
        msg = (
            f"no gene has obs[{split_key!r}] in {', '.join(map(str, wanted)) or 'an empty list'}; name other splits, "
            "or take all genes with splits=None."
        )
        raise ValueError(msg)
    return chosen


def label_truth(adata: ad.AnnData, label_key: str = k.LABEL) -> np.ndarray:
    """Return 1 for high, 0 for low, NaN without a label, shape ``(n_genes,)``."""
    fix = "run sct.pp.label_expression(adata) first, or name the column with label_key"
    label = obs_column(adata, label_key, fix=fix)
    known = label.notna().to_numpy()
    unknown = set(label[known].astype(str)) - set(k.LABELS)
    if unknown:
        msg = f"obs[{label_key!r}] holds {shorten(sorted(unknown), limit=5)}; expected {' and '.join(k.LABELS)}: {fix}."
        raise ValueError(msg)
    return np.where(known, (label.astype(object) == "high").to_numpy(float), np.nan)


def cell_type_key(adata: ad.AnnData) -> str | None:
    """Return the column of ``obs`` that names where a gene was measured: ``"sample"``, else ``"cell_type"``, or none.

    Raises
    ------
    ValueError
        When there are both columns, and a sample holds genes of several cell types.
    """
    check_data(adata)
    if k.SAMPLE not in adata.obs:
        return k.CELL_TYPE if k.CELL_TYPE in adata.obs else None
    if k.CELL_TYPE in adata.obs:
        pairs = adata.obs[[k.SAMPLE, k.CELL_TYPE]].drop_duplicates()
        if (several := pairs[k.SAMPLE].duplicated()).any():
            sample = pairs.loc[several, k.SAMPLE].iloc[0]
            cells = pairs.loc[pairs[k.SAMPLE] == sample, k.CELL_TYPE]
            msg = (
                f"obs['sample'] is {sample!r} for genes of the cell types {shorten(cells)}; expected each sample to be "
                "of one cell type. Give each of them a name of its own, or rename the column where it means something "
                "else: adata.obs = adata.obs.rename(columns={'sample': 'batch'})."
            )
            raise ValueError(msg)
    return k.SAMPLE


def cell_types(adata: ad.AnnData) -> pd.Series:
    """Return the sample or cell type of each gene as a string, ``"all"`` without a column that says it.

    It is ``obs["sample"]`` where there are samples (:func:`simplechrome_tk.pp.from_sample_sheet`), of which several may
    be of one cell type, and ``obs["cell_type"]`` otherwise. A gene occurs once in each of them.
    """
    key = cell_type_key(adata)
    return pd.Series("all", index=adata.obs_names) if key is None else adata.obs[key].astype(str)


def gene_ids(adata: ad.AnnData) -> pd.Index:
    """Return ``obs_names`` without the suffix that names the sample or cell type of stacked genes, ``(n_genes,)``."""
    groups = cell_types(adata)
    if k.SAMPLE in adata.obs and k.CELL_TYPE in adata.obs:
        # A stack of cell types, to which a column of samples was added later, has names that end in the cell type.
        in_sample = any(str(name).endswith(f":{one}") for name, one in zip(adata.obs_names, groups, strict=True))
        groups = groups if in_sample else adata.obs[k.CELL_TYPE].astype(str)
    names = zip(adata.obs_names, groups, strict=True)
    return pd.Index([str(name).removesuffix(f":{group}") for name, group in names])


def gene_rows(adata: ad.AnnData, genes: Genes) -> np.ndarray:
    """Return row numbers of ``genes``: names in ``obs_names`` or symbols, a mask ``(n_genes,)``, ``None`` for all.

    A symbol selects all rows of the gene, one in each cell type. Rows are in the order of ``genes``, each once.

    Raises
    ------
    ValueError
        When a name is unknown (the error suggests similar names), a mask has another length, or no gene is selected.
    """
    check_data(adata)
    if genes is None:
        return np.arange(adata.n_obs)
    wanted = np.atleast_1d(np.asarray(genes))
    if wanted.dtype == bool:
        if wanted.shape != (adata.n_obs,):
            msg = f"the mask of genes has shape {wanted.shape}; expected ({adata.n_obs},)."
            raise ValueError(msg)
        rows = np.flatnonzero(wanted)
    else:
        check_unique(adata)
        names = wanted.astype(str).tolist()
        found = _rows_of(names, adata.obs_names.to_numpy())
        others = [name for name in names if name not in found]
        found |= _rows_of(others, symbols(adata)) if others else {}
        unknown = [name for name in names if name not in found]
        if unknown:
            raise ValueError(_no_gene(adata, unknown))
        rows = np.array(list(dict.fromkeys(row for name in names for row in found[name])), dtype=int)
    if not len(rows):
        msg = f"no gene is selected of {adata.n_obs}; expected at least one, or genes=None for all."
        raise ValueError(msg)
    return rows


def gene_row(adata: ad.AnnData, gene: str) -> int:
    """Return the row of the one gene with this name in ``obs_names``, or with this symbol."""
    rows = gene_rows(adata, gene)
    if len(rows) > 1:
        found = shorten(adata.obs_names[rows], limit=4)
        msg = f"{gene!r} names {len(rows)} rows: {found}; name one of them by its id."
        raise ValueError(msg)
    return int(rows[0])


def _rows_of(names: list[str], column: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows of each name that is in the column."""
    # Grouping the found rows alone, not all 18,000 genes, saves a widget 60 ms at each change.
    rows = np.flatnonzero(pd.Index(column).isin(names))
    found = pd.Series(column[rows])
    return {name: rows[places] for name, places in found.groupby(found).indices.items()}


def symbols(adata: ad.AnnData) -> np.ndarray:
    """Return the symbol of each gene, or its id where the symbol is missing or ``"NA"``, shape ``(n_genes,)``."""
    if k.SYMBOL not in adata.obs:
        return adata.obs_names.to_numpy(str)
    symbol = adata.obs[k.SYMBOL].astype(object)
    missing = symbol.isna() | (symbol == "NA")
    return np.where(missing, adata.obs_names, symbol).astype(str)


def _no_gene(adata: ad.AnnData, unknown: Sequence[str]) -> str:
    """Return the error for unknown names of genes, with similar names of known genes."""
    named = symbols(adata)
    known = {name.upper(): name for name in (*adata.obs_names, *named)}
    close = [known[name] for name in difflib.get_close_matches(unknown[0].upper(), known, n=5)]
    hint = f"expected a name such as {named[0]} or {adata.obs_names[0]}."
    if close:
        hint = f"did you mean {', '.join(close)}?"
    others = f" (nor {len(unknown) - 1} others that were given)" if len(unknown) > 1 else ""
    return f"no gene {unknown[0]!r} among {adata.n_obs}{others}: {hint}"
