"""Which genes touch each other in the nucleus, by the loops of a Hi-C map."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from simplechrome_tk.core.graph import Positions, positions
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.write import to_change
from simplechrome_tk.io._loops import check_loops, read_loops
from simplechrome_tk.pp._graph import Edges, check_n_neighbors, write_graph

if TYPE_CHECKING:
    import anndata as ad

Loops: TypeAlias = str | os.PathLike[str] | pd.DataFrame

logger = logging.getLogger(__name__)


def contact_neighbors(
    adata: ad.AnnData,
    loops: Loops | Mapping[str, Loops],
    *,
    window: int = 10_000,
    n_neighbors: int = 10,
    key_added: str = "hic",
    copy: bool = False,
) -> ad.AnnData | None:
    """Connect genes whose TSS lie at opposite ends of a chromatin loop, in the same cell type.

    Genes at the same end are not connected: they lie next to each other on the chromosome, which
    :func:`tss_neighbors` knows without Hi-C, and the two graphs could not be told apart in a comparison.

    Parameters
    ----------
    adata
        Genes with ``chrom``, ``tss`` and ``strand`` in ``obs``.
    loops
        Loops of the one cell type in ``adata``: a file, as :func:`simplechrome_tk.io.read_loops` reads it, or the table
        that it returns. With several cell types stacked, a mapping from each cell type to its loops. Where a prefix
        ``chr`` is all that tells the chromosomes of the loops from those of the genes they are renamed, which is
        logged.
    window
        Widen each anchor by this many bp either way. HiCCUPS places an anchor to about 10 kb (its clusters of pixels
        have a median radius of 5 kb, 15-19 kb in one of ten).
    n_neighbors
        Keep the strongest neighbours of each gene, at most this many; of two as strong the nearer one.
    key_added
        Name of the graph.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes two ``n_genes x n_genes`` sparse matrices, row = gene, column = neighbour:

        ``obsp["{key_added}_connectivities"]``: ``count / (count + median)``, 0 to 1, of the contacts observed in the
        loop, the strongest where several connect two genes, and their median over all loops of the list: one half for
        a loop like most, whatever the depth of sequencing.
        ``obsp["{key_added}_distances"]``: as :func:`tss_neighbors`: TSS of the neighbour minus TSS of the gene in bp
        along the *gene's* strand, negative upstream; 0 where a loop joins two chromosomes.
        ``uns["{key_added}_neighbors"]``: the parameters, and ``cell_types``, a table with the ``source`` of the loops
        of each cell type, the numbers of ``loops``, of those with a gene at one end at least (``loops_at_genes``) and
        at both (``loops_between_genes``), of ``genes``, of those with a neighbour (``genes_connected``) and of those
        that had more than ``n_neighbors`` (``genes_capped``).

    Raises
    ------
    ValueError
        When the loops of a cell type are missing or are of an unknown one, a line is no loop, loops and genes share no
        chromosome, or no loop connects two genes.

    Notes
    -----
    Measured on all but the test chromosomes of E116, E123 and E117: log expression correlates between genes across a
    loop (r = .27, .23, .17 with anchors widened by 5 kb), and less or not between a gene and the one as far away on its
    other side (-.05, -.09, .09). Pairs that come in only when anchors are widened by more than 10 kb (.04 to .13)
    hardly differ from those (.03 to .16).

    Examples
    --------
    >>> import anndata as ad, pandas as pd, simplechrome_tk as sct
    >>> obs = pd.DataFrame({"chrom": "chr1", "tss": [1_000, 200_000, 400_000], "strand": ["+", "-", "+"]})
    >>> adata = ad.AnnData(obs=obs.set_index(pd.Index(list("abc"))))
    >>> loops = pd.DataFrame({"chrom1": ["chr1"], "start1": 0, "end1": 5_000, "count": 30})
    >>> loops = loops.assign(chrom2="chr1", start2=205_000, end2=210_000)
    >>> sct.pp.contact_neighbors(adata, loops)
    >>> adata.obsp["hic_connectivities"].toarray().tolist()
    [[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]
    >>> adata.obsp["hic_distances"].toarray()[:2].tolist()
    [[0.0, 199000.0, 0.0], [199000.0, 0.0, 0.0]]
    """
    check_n_neighbors(n_neighbors)
    if window < 0:
        msg = f"window is {window}; expected 0 bp or more."
        raise ValueError(msg)
    adata = to_change(adata, copy=copy)
    where = positions(adata)
    cells = cell_types(adata)
    parts, records = [], {}
    for cell, source in _of_each(loops, list(cells.unique())).items():
        members = np.flatnonzero(cells == cell)
        links, records[cell] = _connect(source, where, members, window=window, n_neighbors=n_neighbors, cell=cell)
        parts.append(links)
    edges = Edges(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    params = {"window": window, "n_neighbors": n_neighbors}
    record = {"cell_types": pd.DataFrame.from_dict(records, orient="index")}
    write_graph(adata, edges, where, method="contact_neighbors", key_added=key_added, params=params, record=record)
    return adata if copy else None


def _of_each(loops: Loops | Mapping[str, Loops], cells: list[str]) -> dict[str, Loops]:
    """Loops of each cell type, or a ``ValueError`` where they do not match."""
    if not isinstance(loops, Mapping):
        if len(cells) > 1:
            msg = (
                f"one list of loops for {len(cells)} cell types ({', '.join(cells)}); expected one for each: "
                "{" + ", ".join(f"{cell!r}: ..." for cell in cells[:3]) + "}."
            )
            raise ValueError(msg)
        return {cells[0]: loops}
    unknown, missing = [cell for cell in loops if cell not in cells], [cell for cell in cells if cell not in loops]
    if unknown or missing:
        msg = (
            f"loops are of {', '.join(map(str, loops)) or 'no cell type'}; obs['cell_type'] holds {', '.join(cells)} "
            f"(unknown: {', '.join(map(str, unknown)) or 'none'}; without loops: {', '.join(missing) or 'none'}). "
            "Give loops for each cell type, or subset adata to those that have some."
        )
        raise ValueError(msg)
    return {cell: loops[cell] for cell in cells}


def _connect(
    source: Loops, where: Positions, members: np.ndarray, *, window: int, n_neighbors: int, cell: str
) -> tuple[Edges, dict[str, object]]:
    """Links between the genes ``members`` of a cell type, in rows of ``adata``, and what there is to record."""
    name = f"the loops of {cell}" if isinstance(source, pd.DataFrame) else str(source)
    table = check_loops(source, source=name) if isinstance(source, pd.DataFrame) else read_loops(source)
    of_cell = Positions(*(values[members] for values in where))
    table, renamed = _rename(table, set(of_cell.chrom), source=name)
    first, second = (_genes_at(table, end, of_cell, window) for end in (1, 2))
    n_ends = np.stack([first.number, second.number]) > 0
    weight = (table["count"] / (table["count"] + table["count"].median())).to_numpy()
    links = _across(first, second, weight)
    if not len(links.gene):
        msg = (
            f"{name}: none of {len(table)} loops connects two of the {len(members)} genes of {cell}; "
            f"{int(n_ends.any(axis=0).sum())} loops have a TSS within window={window} bp of an "
            "anchor. Are loops and genes of one genome assembly? Widen the anchors with window."
        )
        raise ValueError(msg)
    kept = _strongest(links, of_cell, n_neighbors)
    degree = np.bincount(links.gene, minlength=len(members))
    record = {
        "source": name,
        "loops": len(table),
        "loops_at_genes": int(n_ends.any(axis=0).sum()),
        "loops_between_genes": int(n_ends.all(axis=0).sum()),
        "genes": len(members),
        "genes_connected": int((degree > 0).sum()),
        "genes_capped": int((degree > n_neighbors).sum()),
    }
    logger.warning(
        "contact_neighbors: %s: %d loops%s, %d with a gene at one end at least, %d at both; %d of %d genes have a "
        "neighbour, %d had more than %d and keep the strongest.",
        cell,
        len(table),
        renamed,
        *list(record.values())[2:4],
        record["genes_connected"],
        len(members),
        record["genes_capped"],
        n_neighbors,
    )
    return Edges(members[kept.gene], members[kept.neighbor], kept.weight), record


def _rename(table: pd.DataFrame, chroms: set[str], *, source: str) -> tuple[pd.DataFrame, str]:
    """Give the chromosomes of the loops the names they have for the genes; say what was done."""
    ends = ["chrom1", "chrom2"]
    listed = set(table["chrom1"]) | set(table["chrom2"])
    if listed & chroms:
        return table, ""
    for renamed, what in (
        (table[ends].map(lambda name: f"chr{name}"), "added to"),
        (table[ends].map(lambda name: name.removeprefix("chr")), "taken from"),
    ):
        if (set(renamed["chrom1"]) | set(renamed["chrom2"])) & chroms:
            return table.assign(**renamed), f" ('chr' {what} the names of their chromosomes)"
    msg = (
        f"{source}: loops and genes share no chromosome (loops: {', '.join(sorted(listed)[:4])}; genes: "
        f"{', '.join(sorted(chroms)[:4])}). Rename chrom1 and chrom2 in the table that "
        "sct.io.read_loops(path) returns, and pass the table."
    )
    raise ValueError(msg)


class _Runs(NamedTuple):
    """Genes at one end of each loop: ``number`` of them from place ``start`` of ``order`` on, ``(n_loops,)``."""

    order: np.ndarray
    start: np.ndarray
    number: np.ndarray


def _genes_at(table: pd.DataFrame, end: int, where: Positions, window: int) -> _Runs:
    """Find the genes whose TSS lies in an anchor, both bounds included, since a TSS is an edge between two bases."""
    order = np.lexsort([where.tss, where.chrom])
    start, number = np.zeros(len(table), dtype=int), np.zeros(len(table), dtype=int)
    for chrom, rows in table.groupby(f"chrom{end}").indices.items():
        on = np.flatnonzero(where.chrom[order] == chrom)
        if len(on):
            low, high = (table[f"{edge}{end}"].to_numpy()[rows] for edge in ("start", "end"))
            line = where.tss[order[on]]
            left = np.searchsorted(line, low - window, side="left")
            start[rows] = on[0] + left
            number[rows] = np.searchsorted(line, high + window, side="right") - left
    return _Runs(order, start, number)


def _across(first: _Runs, second: _Runs, weight: np.ndarray) -> Edges:
    """Every gene at one end with every gene at the other, both ways, each pair once with its largest weight."""
    n_pairs = first.number * second.number
    loop = np.repeat(np.arange(len(n_pairs)), n_pairs)
    nth = np.arange(len(loop)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    one = first.order[first.start[loop] + nth // second.number[loop]]
    other = second.order[second.start[loop] + nth % second.number[loop]]
    both = {"gene": np.concatenate([one, other]), "neighbor": np.concatenate([other, one])}
    links = pd.DataFrame({**both, "weight": np.tile(weight[loop], 2)})
    links = links[links["gene"] != links["neighbor"]].groupby(["gene", "neighbor"], as_index=False)["weight"].max()
    return Edges(*(links[name].to_numpy() for name in Edges._fields))


def _strongest(links: Edges, where: Positions, n_neighbors: int) -> Edges:
    away = np.abs(where.distance(links.gene, links.neighbor))
    order = np.lexsort([links.neighbor, away, -links.weight, links.gene])
    gene = links.gene[order]
    place = np.arange(len(gene)) - np.searchsorted(gene, gene, side="left")
    kept = order[place < n_neighbors]
    return Edges(links.gene[kept], links.neighbor[kept], links.weight[kept])
