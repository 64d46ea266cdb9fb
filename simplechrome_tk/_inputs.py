"""From an AnnData to what a network reads, with every mismatch named."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from simplechrome_tk import _keys as k
from simplechrome_tk import nn
from simplechrome_tk._matrix import as_dense, dense
from simplechrome_tk._normalization import normalization
from simplechrome_tk._require import (
    blocks,
    cell_types,
    check_data,
    check_unique,
    label_truth,
    obs_column,
    obs_numbers,
    window_anchors,
)
from simplechrome_tk.pp._label import expression_truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import torch


logger = logging.getLogger(__name__)

_FEWEST_LABELS, _FEWEST_OF_A_CLASS = 10, 5  # five folds, with both classes in each
_LOG_LENGTH, _LOG_LENGTH_SD = 4.33, 0.63  # of log10(bp), over the 18,483 genes of `datasets.roadmap`


class Inputs(NamedTuple):
    """What networks read: ``x`` ``(n_genes, n_columns + n_covariates)`` and the graph of neighbours, if they attend."""

    x: torch.Tensor
    graph: nn.Graph | None


class Observed(NamedTuple):
    """What is known of each gene: ``label`` (0, 1) and ``log10(expression + 0.1)``, ``(n_genes,)``, NaN where unknown.

    Both are NaN throughout where the task does not ask for them.
    """

    label: np.ndarray
    expression: np.ndarray

    def expression_units(self, rows: np.ndarray) -> tuple[float, float]:
        """Return mean and standard deviation of the expression known of ``rows``; 0 and 1 where none is."""
        measured = self.expression[rows]
        known = measured[~np.isnan(measured)]
        return (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)

    def known(self, split: np.ndarray) -> np.ndarray:
        """Return row numbers of the genes outside the test split of which something is known.

        Raises
        ------
        ValueError
            When they are fewer than ten, or have labels of one class only.
        """
        rows = np.flatnonzero((split != "test") & (~np.isnan(self.label) | ~np.isnan(self.expression)))
        labels = self.label[rows]
        counts = {name: int((labels == code).sum()) for code, name in enumerate(k.LABELS)}
        if len(rows) < _FEWEST_LABELS or (0 < max(counts.values()) and min(counts.values()) < _FEWEST_OF_A_CLASS):
            msg = (
                f"{len(rows)} genes outside the test split have a label or expression "
                f"({counts['low']} low, {counts['high']} high); expected at least {_FEWEST_LABELS}, and "
                f"{_FEWEST_OF_A_CLASS} of each class. Bring more labels, or predict without them."
            )
            raise ValueError(msg)
        return rows

    def rows(self, split: np.ndarray) -> dict[str, np.ndarray]:
        """Return row numbers of the training and validation genes of which something is known.

        Raises
        ------
        ValueError
            When a split has no such genes, or labels of one class only.
        """
        known = ~np.isnan(self.label) | ~np.isnan(self.expression)
        rows = {name: np.flatnonzero((split == name) & known) for name in ("train", "valid")}
        for name, genes in rows.items():
            found = [k.LABELS[int(code)] for code in np.unique(self.label[genes]) if not np.isnan(code)]
            if len(genes) < 2 or len(found) == 1:
                held = f"{len(genes)} genes with a label or expression" if len(found) != 1 else f"{found[0]} genes only"
                msg = (
                    f"the {name} split holds {held}; expected low and high genes. Choose other chromosomes for it with "
                    "sct.pp.split_by_chromosome, or bring more genes."
                )
                raise ValueError(msg)
        return rows


def region_shapes(adata: ad.AnnData) -> list[nn.RegionShape]:
    """Return marks and bins of each region, in column order."""
    return [
        nn.RegionShape(len(group), int(group["stop"].iloc[0] - group["start"].iloc[0]))
        for _, group in blocks(adata).groupby("region", sort=False)
    ]


def read_features(adata: ad.AnnData, use_rep: str | None = None) -> np.ndarray:
    """Return ``X``, or what ``obsm`` holds, shape ``(n_genes, n_features)``, or raise where it is not all finite."""
    check_data(adata)
    if use_rep is not None and use_rep not in adata.obsm:
        msg = f"obsm has no {use_rep!r} (found: {', '.join(adata.obsm) or 'none'}); use_rep=None predicts from X."
        raise ValueError(msg)
    check_unique(adata)
    where = "X" if use_rep is None else f"obsm[{use_rep!r}]"
    features = dense(adata) if use_rep is None else as_dense(adata.obsm[use_rep], where)
    bad = ~np.isfinite(features)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        name = repr(adata.var_names[column]) if use_rep is None else f"column {column}"
        msg = (
            f"{where} holds {int(bad.sum())} missing or infinite values, the first for gene {adata.obs_names[row]!r} "
            f"in {name}; expected numbers. Fix them at their source or leave out the genes."
        )
        raise ValueError(msg)
    return features


def reads_body(adata: ad.AnnData) -> bool:
    """Whether a region is placed by the gene's body or end; a warning in the log says where that is not known."""
    regions = blocks(adata)["region"].unique()
    anchors = window_anchors(adata).reindex(regions)
    if anchors.isna().any():
        logger.warning(
            "uns['windows'] does not say how %s was cut (ad.concat leaves uns out by default): taken as windows around "
            "the TSS. Concatenate with ad.concat(..., merge='same', uns_merge='same'), or copy it from the AnnData as "
            "it was read: adata.uns['windows'] = other.uns['windows'].",
            ", ".join(map(repr, regions[anchors.isna()])),
        )
    return bool((anchors.fillna("tss") != "tss").any())


def gene_length(adata: ad.AnnData) -> np.ndarray:
    """Return ``log10`` of the length in bp around that of a typical gene, float32, shape ``(n_genes,)``.

    Raises
    ------
    ValueError
        When a gene's start or end is missing, or its end does not lie behind its start.
    """
    fix = "the model reads the gene's length; store it there, or train with gene_length=False"
    start, end = (obs_numbers(adata, key, fix=fix) for key in (k.START, k.END))
    wrong = ~((end > start) & np.isfinite(end - start))
    if wrong.any():
        msg = (
            f"{int(wrong.sum())} genes have no length, such as {adata.obs_names[wrong][0]!r} (start "
            f"{start[wrong][0]:g}, end {end[wrong][0]:g}); expected start below end. Leave them out, or train with "
            "gene_length=False."
        )
        raise ValueError(msg)
    return ((np.log10(end - start) - _LOG_LENGTH) / _LOG_LENGTH_SD).astype(np.float32)


def condition_names(adata: ad.AnnData, key: str) -> tuple[str, ...]:
    """Return the values of ``obs[key]`` in order of appearance.

    Raises
    ------
    ValueError
        When there is no such column, a gene has no value, or all have the same.
    """
    column = obs_column(adata, key, fix="name another with condition_key, or leave it out")
    names = tuple(dict.fromkeys(column.dropna().astype(str)))
    if column.isna().any() or len(names) < 2:
        msg = (
            f"condition_key={key!r}: {int(column.isna().sum())} genes have no value, and the others {len(names)}; "
            "expected two values at least, and one for each gene. Leave condition_key out for one cell type."
        )
        raise ValueError(msg)
    return names


def conditions_of(adata: ad.AnnData, key: str, names: Sequence[str]) -> np.ndarray:
    """Return :func:`one_hot` of ``obs[key]``; values that are none of ``names`` are counted in the log."""
    fix = "the model's decoder reads it: store the cell type, or batch, of each gene there"
    values = obs_column(adata, key, fix=fix).astype(str)
    unknown = ~values.isin(names)
    if unknown.any():
        logger.info(
            "%d genes are of a %s that the decoder has not seen, such as %s: decoded as the mean of %s.",
            unknown.sum(),
            key,
            values[unknown].iloc[0],
            ", ".join(names),
        )
    return one_hot(values.tolist(), names)


def one_hot(values: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Return which of ``names`` each value is, float32 ``(n_values, n_names)``; other values share them equally."""
    known = np.array([[value == name for name in names] for value in values], dtype=np.float32)
    known = known.reshape(len(values), len(names))
    known[known.sum(axis=1) == 0] = 1 / max(1, len(names))
    return known


def neighbor_matrices(adata: ad.AnnData, key: str) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return connectivities and distances of the graph ``key`` in ``obsp``, CSR, after checking every link."""
    check_data(adata)
    slots = (k.CONNECTIVITIES.format(key), k.DISTANCES.format(key))
    missing = [slot for slot in slots if slot not in adata.obsp]
    if missing:
        msg = (
            f"obsp has no {' and '.join(missing)} (found: {', '.join(adata.obsp) or 'none'}): run "
            f"sct.pp.tss_neighbors(adata, key_added={key!r}) or sct.pp.contact_neighbors first."
        )
        raise ValueError(msg)
    connectivities, distances = (sparse.csr_matrix(adata.obsp[slot]) for slot in slots)
    for slot, matrix in zip(slots, (connectivities, distances), strict=True):
        _check_links(adata, slot, matrix, "missing or infinite values", ~np.isfinite(matrix.data))
    _check_links(adata, slots[0], connectivities, "negative weights", connectivities.data < 0)
    pairs = connectivities.tocoo()
    own = (pairs.row == pairs.col) & (pairs.data != 0)
    _check_links(adata, slots[0], connectivities, "links of a gene to itself", own)
    return connectivities, distances


def _check_links(adata: ad.AnnData, slot: str, matrix: sparse.csr_matrix, what: str, wrong: np.ndarray) -> None:
    """Raise ``ValueError`` when any link of a graph, in the order in which it is stored, is wrong."""
    if wrong.any():
        gene = np.searchsorted(matrix.indptr, np.flatnonzero(wrong)[0], side="right") - 1
        msg = (
            f"obsp[{slot!r}] holds {int(wrong.sum())} {what}, the first of gene {adata.obs_names[gene]!r}; expected "
            "for each neighbour of a gene a positive weight and a distance in bp. Make the graph again with "
            "sct.pp.tss_neighbors or sct.pp.contact_neighbors, or correct it at its source."
        )
        raise ValueError(msg)


def neighbor_graph(adata: ad.AnnData, key: str) -> nn.Graph:
    """Read the graph ``key`` from ``obsp``."""
    connectivities, distances = neighbor_matrices(adata, key)
    _check_distances(adata, distances, key)
    return nn.Graph(connectivities, distances)


def _check_distances(adata: ad.AnnData, distances: sparse.spmatrix, key: str) -> None:
    """Raise ``ValueError`` when the graph's distances are not those between these genes."""
    if k.TSS not in adata.obs:
        return
    pairs = distances.tocoo()
    tss = obs_numbers(adata, k.TSS, fix="store each gene's position there")
    between = tss[pairs.col] - tss[pairs.row]
    wrong = (pairs.data != 0) & (np.abs(np.abs(between) - np.abs(pairs.data)) > 1)
    if wrong.any():
        gene, neighbor = pairs.row[wrong][0], pairs.col[wrong][0]
        msg = (
            f"the graph {key!r} is not of these genes: {int(wrong.sum())} of its distances are not those between their "
            f"TSS, such as {pairs.data[wrong][0]:g} bp from {adata.obs_names[gene]!r} to "
            f"{adata.obs_names[neighbor]!r}, which are {between[wrong][0]:g} bp apart. Make the graph again on "
            "this AnnData."
        )
        raise ValueError(msg)


def observe(adata: ad.AnnData, *, task: str, label_key: str, expression_key: str) -> Observed:
    """Read labels and expression, as far as the task asks for them."""
    unknown = np.full(adata.n_obs, np.nan)
    label = unknown if task == "regression" else label_truth(adata, label_key)
    expression = unknown if task == "classification" else expression_truth(adata, expression_key)
    return Observed(label, expression)


def report_unlabelled(adata: ad.AnnData, observed: Observed, split: np.ndarray) -> None:
    """Of several cell types log those of which nothing is known; raise where all labels of one are of one class."""
    members = cell_types(adata).groupby(cell_types(adata)).indices
    for cell, genes in members.items() if len(members) > 1 else ():
        train = genes[split[genes] == "train"]
        label = observed.label[train]
        found = np.unique(label[~np.isnan(label)])
        if len(found) == 1:
            msg = (
                f"cell type {cell!r}: all {int((~np.isnan(label)).sum())} labelled training genes are "
                f"{k.LABELS[int(found[0])]}; expected both classes. Label them with sct.pp.label_expression, which "
                "takes each cell type's own median."
            )
            raise ValueError(msg)
        if not len(found) and np.isnan(observed.expression[train]).all():
            logger.warning(
                "Cell type %r has no label or expression to train on: its marks train the latent only.", cell
            )


def check_counts(adata: ad.AnnData) -> None:
    """Raise ``ValueError`` unless the signal was counts before its logarithm was normalised."""
    signal = dense(adata, k.SIGNAL) if k.SIGNAL in adata.layers else None
    method = normalization(adata)["method"]
    if signal is None or method != "log1p":
        msg = (
            "likelihood='negative_binomial' needs read counts in layers['signal'] and X normalised from them with "
            f"method='log1p'; found {'no such layer' if signal is None else f'method={method!r}'}."
        )
        raise ValueError(msg)
    broken = signal % 1 != 0
    if broken.any():
        row, column = np.argwhere(broken)[0]
        msg = (
            f"likelihood='negative_binomial' needs read counts; found {signal[row, column]:g} for gene "
            f"{adata.obs_names[row]!r} in {adata.var_names[column]!r}. Count reads with sct.pp.bin_reads, or use "
            "likelihood='gaussian'."
        )
        raise ValueError(msg)


def check_columns(found: Sequence[str], expected: Sequence[str]) -> None:
    """Raise ``ValueError`` that names the columns in which the data differ from what the model was trained on."""
    if list(found) == list(expected):
        return
    present, known = set(found), set(expected)
    missing = [name for name in expected if name not in present]
    unknown = [name for name in found if name not in known]
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in ((missing, "missing"), (unknown, "unknown to the model"))
        if names
    ]
    fix = "bin the same marks with the same windows" if parts else "reorder with adata[:, names]"
    difference = "; ".join(parts) or "same names in another order"
    msg = f"columns differ from those the model was trained on: {difference}. Please {fix}."
    raise ValueError(msg)


def check_normalization(adata: ad.AnnData, expected: dict[str, np.ndarray]) -> None:
    """Raise ``ValueError`` unless ``X`` was normalised with the model's constants."""
    fix = "sct.pp.normalize(adata, reference=model.normalization) on its raw signal"
    found = normalization(adata, fix=f"run {fix}")
    if not all(key in found and np.array_equal(np.asarray(found[key]), value) for key, value in expected.items()):
        msg = f"X was normalised with other constants than the model's: run {fix} (adata.layers['signal'])."
        raise ValueError(msg)
