"""Expression of the genes in reference samples, such as other cell types."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.write import to_change, write_whole
from simplechrome_tk.io._reference import read_public_reference
from simplechrome_tk.pp._gene_names import match_genes, plain_names, report_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)

# Lowest and highest log10(expression + 0.1) that any unit of expression comes near.
_LOWEST, _HIGHEST = -1.0, 7.0
# Correlation with the sample's own expression above which a reference sample counts as the sample itself or as a
# replicate of it. Of the 1,540 pairs of Roadmap epigenomes, half correlate below .76, and only pairs of the same tissue
# above .95 (left and right ventricle .99). The closest to E116, E123, E117 and E122 reach .80, .83, .88 and .90. The
# expression of E116 correlates with itself at .98 after a noise of twofold (standard deviation .3 in log10).
_REPLICATE = 0.95
# Genes that a correlation needs.
_FEWEST_GENES = 30


def add_reference_expression(
    adata: ad.AnnData,
    table: pd.DataFrame | None = None,
    *,
    exclude: str | Sequence[str] | None = None,
    key_added: str = k.REFERENCE_EXPRESSION,
    copy: bool = False,
) -> ad.AnnData | None:
    """Add the expression of each gene in reference samples, such as other cell types.

    What is known of a gene from elsewhere often predicts its expression better than its marks do. It is kept apart from
    the marks: models read it with ``reference_key``, scores of the *deviation* are measured against its mean, and
    :func:`coexpression_neighbors` finds related genes by it.

    The sample's own expression must not be among the references, or a model would read what it has to predict.
    Reference samples with the name of a cell type, sample or condition in ``adata`` are therefore left out, and one
    that looks like a replicate is an error.

    Parameters
    ----------
    adata
        Genes; in data of several cell types each row gets the values of its gene.
    table
        Log expression, ``log10(expression + 0.1)``, genes by samples. The index holds Ensembl ids, with or without
        version, or symbols. ``None`` takes :func:`simplechrome_tk.datasets.reference_expression`. Of rows with the same
        id the first is taken.
    exclude
        Name of a sample, or several, to leave out beside the cell types of ``adata``.
    key_added
        Name of the result.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes, with ``key_added="reference_expression"``,

        ``obsm["reference_expression"]``: float32 ``(n_genes, n_references)``, NaN for genes that the table lacks.
        ``uns["reference_expression"]``: ``samples``, the names of the columns; ``excluded``, the names left out, those
        of samples that are the same for all genes among them; and ``n_unmatched``, the number of genes that the table
        lacks.

    Raises
    ------
    ValueError
        When the table shares no gene with ``adata``, does not hold logarithms, has no sample left, a name in
        ``exclude`` is unknown, or a sample correlates above .95 with the expression of a cell type in ``adata``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> level = np.log10(adata.obs["expression"] + 0.1)
    >>> noise = np.random.default_rng(0).normal(size=(adata.n_obs, 3))
    >>> table = pd.DataFrame(level.to_numpy()[:, None] + noise, adata.obs_names, ["A", "B", "C"]).clip(lower=-1)
    >>> sct.pp.add_reference_expression(adata, table)
    >>> adata.obsm["reference_expression"].shape
    (300, 3)
    """
    adata = to_change(adata, copy=copy)
    table = read_public_reference() if table is None else table
    _check_table(table)
    table = table.set_axis(table.columns.astype(str), axis=1)
    kept, excluded = _choose_samples(table, _names_of_own(adata), exclude)
    matched = _match(adata, table[kept])
    varying = _find_varying(matched.values, kept)
    values = matched.values[:, varying].astype(np.float32)
    excluded += [name for name, varies in zip(kept, varying, strict=True) if not varies]
    kept = [name for name, varies in zip(kept, varying, strict=True) if varies]
    _check_replicates(adata, values, kept)
    record = {"samples": kept, "excluded": excluded, "n_unmatched": matched.n_unmatched}
    write_whole(adata, [("obsm", key_added, values)], records={key_added: record})
    logger.info(
        "%s: %d reference samples%s; %d of %d genes found.",
        key_added,
        len(kept),
        f", without {shorten(excluded)}" if excluded else "",
        adata.n_obs - matched.n_unmatched,
        adata.n_obs,
    )
    return adata if copy else None


def _check_table(table: pd.DataFrame) -> None:
    """Raise an error unless the table holds the logarithm of expression, genes by samples."""
    if not isinstance(table, pd.DataFrame):
        msg = f"table is a {type(table).__name__}; expected a pandas.DataFrame, genes by samples."
        raise TypeError(msg)
    words = [str(name) for name, kind in table.dtypes.items() if kind.kind not in "fiu"]
    if words or not table.size:
        what = f"columns that hold no numbers ({shorten(words)})" if words else "no values"
        msg = f"table has {what}; expected log10(expression + 0.1) of genes by samples, with gene ids in the index."
        raise ValueError(msg)
    names = table.columns.astype(str)
    if names.has_duplicates:
        twice = names[names.duplicated()].unique()
        msg = f"table has several columns named {shorten(twice)}; expected one for each sample."
        raise ValueError(msg)
    values = table.to_numpy(float, na_value=np.nan)
    lowest, highest = np.nanmin(values, initial=0), np.nanmax(values, initial=0)
    # The logarithm of 0.1 is -1, up to rounding.
    if not np.isfinite([lowest, highest]).all() or lowest < _LOWEST - 1e-3 or highest > _HIGHEST:
        msg = (
            f"table holds values from {lowest:g} to {highest:g}; expected log10(expression + 0.1), from {_LOWEST:g} to "
            f"{_HIGHEST:g}. For linear values, such as RPKM or TPM, pass numpy.log10(table + 0.1)."
        )
        raise ValueError(msg)


def _names_of_own(adata: ad.AnnData) -> set[str]:
    """Return the names of samples, conditions and cell types in ``adata``, whose expression must not be read."""
    columns = [key for key in (k.SAMPLE, k.CONDITION, k.CELL_TYPE) if key in adata.obs]
    return set().union(set(cell_types(adata)), *(adata.obs[key].dropna().astype(str).unique() for key in columns))


def _choose_samples(
    table: pd.DataFrame, own: set[str], exclude: str | Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the names of the samples that are kept, and of those that are left out."""
    named = [exclude] if isinstance(exclude, str) else [str(name) for name in exclude or ()]
    samples = list(table.columns)
    unknown = [name for name in named if name not in samples]
    if unknown:
        msg = f"exclude names {shorten(unknown)}, which the table lacks; it holds {shorten(samples, limit=20)}."
        raise ValueError(msg)
    left_out = {*named, *own}
    kept = [name for name in samples if name not in left_out]
    if not kept:
        msg = f"all {len(samples)} samples of the table are left out; expected one at least that is no sample of adata."
        raise ValueError(msg)
    if len(kept) == 1:
        logger.warning(
            "There is one reference sample, %s: related genes cannot be found by co-expression, which needs several.",
            kept[0],
        )
    return kept, [name for name in samples if name in left_out]


class _Matched(NamedTuple):
    """Values of the genes of an AnnData, ``(n_genes, n_samples)``, and the number of genes that the table lacks."""

    values: np.ndarray
    n_unmatched: int


def _match(adata: ad.AnnData, table: pd.DataFrame) -> _Matched:
    """Find the genes in the table by Ensembl id or by symbol, whichever finds more of them."""
    names = plain_names(table.index)
    match = match_genes(adata, names, source="table")
    table = table.set_axis(pd.Index(names), axis=0)
    # Rows without an id are no gene, and match none.
    repeated = table.index.duplicated() & (names != "")
    if repeated.any():
        twice = shorten(table.index[repeated].unique())
        logger.warning("%d rows of the table repeat the id of another: %s; the first is taken.", repeated.sum(), twice)
    values = table[~table.index.duplicated()].reindex(pd.Index(match.names)).to_numpy(float, na_value=np.nan)
    # The array may be a view of the table, which pandas 3 does not let anyone write to.
    values = np.where(match.known[:, None], values, np.nan)
    return _Matched(values, report_missing(adata, match, source="The table"))


def _find_varying(values: np.ndarray, samples: list[str]) -> np.ndarray:
    """Return which samples differ between genes, ``(n_samples,)``; the others are named in the log, as is missing data.

    Raises
    ------
    ValueError
        When no sample differs between genes.
    """
    known = ~np.isnan(values)
    # A column without any value has the range from infinity to minus infinity, and does not vary either.
    lowest, highest = np.where(known, values, np.inf).min(axis=0), np.where(known, values, -np.inf).max(axis=0)
    varying = highest > lowest
    flat = [name for name, varies in zip(samples, varying, strict=True) if not varies]
    if len(flat) == len(samples):
        msg = "no reference sample differs between the genes of adata; expected log expression of these genes."
        raise ValueError(msg)
    if flat:
        logger.warning(
            "%d reference samples are the same for all genes, or unknown, and are left out: %s.",
            len(flat),
            shorten(flat),
        )
    known = known[:, varying]
    partly = int((known.any(axis=1) & ~known.all(axis=1)).sum())
    if partly:
        logger.warning("%d genes have a value in some reference samples only.", partly)
    return varying


def _check_replicates(adata: ad.AnnData, values: np.ndarray, samples: list[str]) -> None:
    """Raise ``ValueError`` when reference samples look like the sample itself or a replicate of it."""
    if k.EXPRESSION not in adata.obs:
        logger.warning(
            "obs has no %r: whether the sample itself is among the reference samples was not checked.", k.EXPRESSION
        )
        return
    expression = expression_truth(adata, k.EXPRESSION)
    cells = cell_types(adata)
    for cell, rows in cells.groupby(cells).indices.items():
        found = {name: _likeness(expression[rows], values[rows, i]) for i, name in enumerate(samples)}
        alike = [name for name in samples if found[name] > _REPLICATE]
        if alike:
            msg = (
                f"{len(alike)} reference samples ({shorten(alike)}) correlate with the expression of {cell} above "
                f"{_REPLICATE}, {alike[0]!r} at {found[alike[0]]:.3f}. They seem to be the same sample or replicates, "
                "which a model must not read: sct.pp.add_reference_expression(adata, table, "
                f"exclude={alike})."
            )
            raise ValueError(msg)


def _likeness(own: np.ndarray, reference: np.ndarray) -> float:
    """Return the correlation of two samples, or that of their ranks where it is higher; 0 where it is not defined."""
    both = ~np.isnan(own) & ~np.isnan(reference)
    own, reference = own[both], reference[both]
    if len(own) < _FEWEST_GENES or np.ptp(own) == 0 or np.ptp(reference) == 0:
        return 0.0
    # Ranks find a replicate in another unit, whose logarithm is no linear function of this one.
    pairs = ((own, reference), (stats.rankdata(own), stats.rankdata(reference)))
    return max(float(np.corrcoef(*pair)[0, 1]) for pair in pairs)
