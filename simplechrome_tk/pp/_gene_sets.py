"""Graph of genes that share a gene set, or are a pair in a list such as protein interactions."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.write import to_change
from simplechrome_tk.io._gene_sets import is_gmt, read_gmt, read_pairs
from simplechrome_tk.pp._gene_names import match_genes, plain_names
from simplechrome_tk.pp._graph import Edges, check_n_neighbors, join_edges, keep_strongest, write_graph

if TYPE_CHECKING:
    import anndata as ad

GeneSets: TypeAlias = str | os.PathLike[str] | pd.DataFrame | Mapping[str, Sequence[str]]

logger = logging.getLogger(__name__)

# Genes whose links are computed at once: at most 80 MB for 20,000 genes that are all linked.
_CHUNK = 500
# Two weights that differ by a smaller fraction count as equal.
_EQUAL = 1e-6


def gene_set_neighbors(
    adata: ad.AnnData,
    sets: GeneSets,
    *,
    n_neighbors: int = 50,
    key_added: str = "gene_sets",
    copy: bool = False,
) -> ad.AnnData | None:
    """Connect genes that share a gene set, such as a pathway, or are a pair in a list, such as protein interactions.

    Such genes lie anywhere in the genome. Links have no direction, and stay within a cell type.

    Parameters
    ----------
    adata
        Genes with ``chrom``, ``tss`` and ``strand`` in ``obs``.
    sets
        Gene sets: a mapping from the name of each set to its genes, or a GMT file (``.gmt``, plain or gzipped). Or
        pairs: a table of two columns of ids and, if there is a third, the weight of the pair; or a file of such a table
        (TSV or CSV). Genes are Ensembl ids, with or without version, or symbols: all ids, or all symbols, whichever
        finds more genes.
    n_neighbors
        Largest number of neighbours of a gene: the strongest, and among equally strong ones a random choice that is the
        same in each call.
    key_added
        Name of the graph.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes two ``n_genes x n_genes`` sparse matrices, row = gene, column = neighbour in
        the same cell type:

        ``obsp["{key_added}_connectivities"]``: of gene sets the sum of ``1 / (size - 1)`` over the sets that both genes
        are in, where ``size`` counts the genes of the set that are in ``adata``, so that all links that a set gives to
        a gene weigh 1 together. Of pairs their weight, or 1; of a pair that is listed several times, in any order of
        the two genes, the largest.
        ``obsp["{key_added}_distances"]``: TSS of the neighbour minus TSS of the gene in bp, along the *gene's* strand;
        0 on another chromosome.
        ``uns["{key_added}_neighbors"]``: the parameters; ``n_sets`` or ``n_pairs``, as given; ``n_unmatched``, the
        number of ids that are no gene of ``adata``; ``n_self``, the number of pairs of a gene with itself, which are
        left out; ``n_repeated``, the number of pairs that were listed before; and ``n_capped``, the number of genes
        with more than ``n_neighbors`` links.

    Raises
    ------
    ValueError
        When ``sets`` holds no set or pair, no id is a gene of ``adata``, no two genes are linked, a table has other
        than two or three columns, or a weight is missing, infinite, negative or no number.
    TypeError
        When ``sets`` is of another type.

    Examples
    --------
    >>> first, second, third = adata.obs_names[:3]
    >>> sct.pp.gene_set_neighbors(adata, {"pathway": [first, second, third], "complex": [first, second]})
    >>> adata.obsp["gene_sets_connectivities"][:3, :3].toarray().tolist()
    [[0.0, 1.5, 0.5], [1.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    """
    check_n_neighbors(n_neighbors)
    adata = to_change(adata, copy=copy)
    where = positions(adata)
    given = _read(sets)
    ids = plain_names(given.ids)
    match = match_genes(adata, ids, source=given.source)
    # Each name is a gene of its own; in data of several cell types several rows have the same name.
    names, code = np.unique(np.where(match.known, match.names, "").astype(str), return_inverse=True)
    at = pd.Index(names).get_indexer(pd.Index(ids.astype(str)))
    at[ids == ""] = -1
    unmatched = pd.unique(ids[at < 0])
    links, record = (_of_pairs if given.weight is not None else _of_sets)(given, at, len(names))
    cells = cell_types(adata).to_numpy(str)
    parts, n_capped = [], 0
    for cell in np.unique(cells):
        rows = np.flatnonzero((cells == cell) & match.known)
        found, capped = _strongest(links, code[rows], n_neighbors)
        n_capped += capped
        parts.append(Edges(rows[found.gene], rows[found.neighbor], found.weight))
    edges = join_edges(parts)
    if not len(edges.gene):
        msg = f"{given.source}: no two of the {adata.n_obs} genes are linked; {len(unmatched)} ids are none of them."
        raise ValueError(msg)
    record = {**record, "n_unmatched": len(unmatched), "n_capped": n_capped}
    params = {"n_neighbors": n_neighbors, "source": given.source}
    write_graph(adata, edges, where, method="gene_set_neighbors", key_added=key_added, params=params, record=record)
    _report(key_added, record, len(np.unique(edges.gene)), adata.n_obs, n_neighbors, unmatched)
    return adata if copy else None


class _Given(NamedTuple):
    """Genes as they were given: of gene sets one row for each gene of each set, of pairs the two genes in turn.

    Attributes
    ----------
    ids
        Ids, ``(n_members,)`` or ``(2 * n_pairs,)``.
    group
        Number of the set, or of the pair, of each id.
    weight
        Weight of each pair, ``(n_pairs,)``; ``None`` for gene sets.
    n_groups
        Number of sets or pairs.
    source
        Name for messages.
    """

    ids: np.ndarray
    group: np.ndarray
    weight: np.ndarray | None
    n_groups: int
    source: str


def _read(sets: GeneSets) -> _Given:
    """Read gene sets or pairs from a file, a mapping or a table."""
    source = "sets"
    if isinstance(sets, str | os.PathLike):
        path = Path(sets)
        source = str(path)
        sets = read_gmt(path) if is_gmt(path) else read_pairs(path)
    if isinstance(sets, pd.DataFrame):
        return _read_table(sets, source)
    if not isinstance(sets, Mapping):
        msg = f"sets is a {type(sets).__name__}; expected a path, a table of pairs, or a mapping from names to genes."
        raise TypeError(msg)
    if words := [str(name) for name, genes in sets.items() if isinstance(genes, str)]:
        msg = f"{source}: the genes of {shorten(words)} are one string; expected a list of ids."
        raise ValueError(msg)
    members = [list(genes) for genes in sets.values()]
    ids = np.array([gene for genes in members for gene in genes], dtype=object)
    if not len(ids):
        msg = f"{source}: {len(sets)} gene sets without any gene; expected a mapping such as {{'name': ['PAX5', ...]}}."
        raise ValueError(msg)
    return _Given(ids, np.repeat(np.arange(len(members)), [len(genes) for genes in members]), None, len(sets), source)


def _read_table(table: pd.DataFrame, source: str) -> _Given:
    """Read pairs of genes, and check their weights."""
    if table.shape[1] not in (2, 3) or not len(table):
        msg = (
            f"{source}: {len(table)} rows of {table.shape[1]} columns ({shorten(table.columns)}); expected pairs: two "
            "columns of ids and an optional weight. Choose them, as in table[['gene1', 'gene2', 'score']]."
        )
        raise ValueError(msg)
    weight = np.ones(len(table))
    if table.shape[1] == 3:
        weight = pd.to_numeric(table.iloc[:, 2], errors="coerce").to_numpy(float, na_value=np.nan)
        wrong = ~(np.isfinite(weight) & (weight >= 0))
        if wrong.any():
            msg = (
                f"{source}: {int(wrong.sum())} of {len(table)} pairs have a weight that is no number from 0 on, the "
                f"first in row {int(wrong.argmax()) + 1} ({table.iloc[int(wrong.argmax()), 2]!r}). Leave such pairs "
                "out, or leave the column out for equal weights."
            )
            raise ValueError(msg)
    ids = table.iloc[:, :2].to_numpy(dtype=object).ravel()
    return _Given(ids, np.repeat(np.arange(len(table)), 2), weight, len(table), source)


class _Links(NamedTuple):
    """Weights between names as a product of two sparse matrices, ``left @ right``; the second is ``None`` for pairs."""

    left: sparse.csr_matrix
    right: sparse.csr_matrix | None


def _of_sets(given: _Given, at: np.ndarray, n_names: int) -> tuple[_Links, dict[str, int]]:
    """Return which names are in which sets, ``(n_names, n_sets)``, each once."""
    known = at >= 0
    shape = (n_names, given.n_groups)
    member = sparse.csr_matrix((np.ones(known.sum(), np.float32), (at[known], given.group[known])), shape=shape)
    member.data[:] = 1
    return _Links(member, member), {"n_sets": given.n_groups, "n_self": 0, "n_repeated": 0}


def _of_pairs(given: _Given, at: np.ndarray, n_names: int) -> tuple[_Links, dict[str, int]]:
    """Return the largest weight of each pair in both directions, ``(n_names, n_names)``."""
    pairs = pd.DataFrame(np.sort(at.reshape(-1, 2), axis=1), columns=["low", "high"]).assign(weight=given.weight)
    pairs = pairs[pairs["low"] >= 0]
    own = pairs["low"] == pairs["high"]
    listed = pairs[~own]
    once = listed.groupby(["low", "high"], as_index=False)["weight"].max()
    low, high, weight = once["low"].to_numpy(), once["high"].to_numpy(), once["weight"].to_numpy(np.float32)
    one_way = sparse.csr_matrix((weight, (low, high)), shape=(n_names, n_names))
    record = {"n_pairs": given.n_groups, "n_self": int(own.sum()), "n_repeated": len(listed) - len(once)}
    return _Links(sparse.csr_matrix(one_way + one_way.T), None), record


def _strongest(links: _Links, code: np.ndarray, n_neighbors: int) -> tuple[Edges, int]:
    """Return the strongest links between the genes of a cell type, and the number of genes that had more.

    ``code`` is the name of each gene as a row of ``links``, ``(n_genes,)``.
    """
    left, right = links.left[code], None
    if links.right is None:
        left = left[:, code]
    else:
        # A set of one gene links none, and has no weight.
        size = np.asarray(left.sum(axis=0)).ravel()
        weight = np.divide(1, size - 1, out=np.zeros(len(size)), where=size > 1).astype(np.float32)
        right = sparse.csc_matrix(links.right[code] @ sparse.diags(weight)).T
    rng = np.random.default_rng(0)
    parts, n_capped = [], 0
    for start in range(0, len(code), _CHUNK):
        part = np.arange(start, min(start + _CHUNK, len(code)))
        # The product is made for some genes at a time: between all genes of huge sets it would be dense.
        block = sparse.csr_matrix(left[part] if right is None else left[part] @ right).tocoo()
        other = (code[part[block.row]] != code[block.col]) & (block.data > 0)
        row, column, value = block.row[other], block.col[other], block.data[other]
        crowded = np.bincount(row, minlength=len(part)) > n_neighbors
        n_capped += int(crowded.sum())
        alone = ~crowded[row]
        parts.append(Edges(part[row[alone]], column[alone], value[alone]))
        if crowded.any():
            rows = np.flatnonzero(crowded)
            dense = np.zeros((len(part), len(code)), np.float32)
            dense[row, column] = value
            # Equal weights are told apart at random: their order in the data would favour long-known genes.
            shuffled = dense[rows] * (1 + _EQUAL * rng.random((len(rows), len(code))))
            best = keep_strongest(shuffled, n_neighbors)
            parts.append(Edges(part[rows[best.gene]], best.neighbor, dense[rows[best.gene], best.neighbor]))
    return join_edges(parts), n_capped


def _report(
    key_added: str, record: Mapping[str, int], n_linked: int, n_genes: int, n_neighbors: int, unmatched: np.ndarray
) -> None:
    """Say in the log what was linked and what was left out."""
    given = f"{record['n_sets']} gene sets" if "n_sets" in record else f"{record['n_pairs']} pairs"
    logger.info("%s: %s; %d of %d genes have a neighbour.", key_added, given, n_linked, n_genes)
    if len(unmatched):
        logger.info("%s: %d ids are no gene of adata: %s.", key_added, len(unmatched), shorten(unmatched))
    if record["n_self"] or record["n_repeated"]:
        logger.info(
            "%s: %d pairs of a gene with itself are left out, and %d pairs were listed before.",
            key_added,
            record["n_self"],
            record["n_repeated"],
        )
    if record["n_capped"]:
        logger.info(
            "%s: %d genes had more than %d neighbours and keep the strongest.",
            key_added,
            record["n_capped"],
            n_neighbors,
        )
