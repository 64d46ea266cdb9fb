"""Graph of genes that chromatin loops of a Hi-C map connect."""

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

    Genes at the same end of a loop are not connected: they lie next to each other on the chromosome, and
    :func:`tss_neighbors` connects them without Hi-C. So the two graphs can be compared.

    Parameters
    ----------
    adata
        Genes with ``chrom``, ``tss`` and ``strand`` in ``obs``.
    loops
        Loops of the cell type in ``adata``: a file for :func:`simplechrome_tk.io.read_loops`, or the table that it
        returns. For several cell types, a mapping from each cell type to its loops. Where the names of chromosomes in
        loops and genes differ by the prefix ``chr``, those of the loops are changed, which is logged.
    window
        Number of bp by which each anchor is widened on both sides. HiCCUPS places an anchor to about 10 kb (the median
        radius of its clusters of pixels is 5 kb, that of the largest tenth 15-19 kb).
    n_neighbors
        Largest number of neighbours of a gene: the strongest, and among equally strong ones the nearest.
    key_added
        Name of the graph.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes two ``n_genes x n_genes`` sparse matrices, row = gene, column = neighbour:

        ``obsp["{key_added}_connectivities"]``: ``count / (count + median)``, 0 to 1, where ``count`` is the number of
        contacts observed in the loop (the strongest loop, where several connect two genes) and ``median`` that of all
        loops. A typical loop has weight one half, whatever the depth of sequencing.
        ``obsp["{key_added}_distances"]``: as :func:`tss_neighbors`: TSS of the neighbour minus TSS of the gene in bp
        along the *gene's* strand, negative upstream; 0 where a loop joins two chromosomes.
        ``uns["{key_added}_neighbors"]``: the parameters, and ``cell_types``, a table with a row for each cell type:
        ``source`` of the loops, and the numbers of ``loops``, of loops with a gene at one end at least
        (``loops_at_genes``) and at both ends (``loops_between_genes``), of ``genes``, of genes with a neighbour
        (``genes_connected``) and of genes with more than ``n_neighbors`` (``genes_capped``).

    Raises
    ------
    ValueError
        When the loops of a cell type are missing, a cell type of the loops is unknown, a line is not a loop, loops and
        genes share no chromosome, or no loop connects two genes.

    Notes
    -----
    Measured on all but the test chromosomes of E116, E123 and E117: log expression correlates between genes at
    the two ends of a loop (r = .27, .23, .17 with anchors widened by 5 kb), and less between a gene and the gene at the
    same distance on its other side (-.05, -.09, .09). Pairs that are found only with anchors widened by more than 10 kb
    (.04 to .13) hardly differ from such controls (.03 to .16).

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
    for cell, source in _loops_by_cell_type(loops, list(cells.unique())).items():
        members = np.flatnonzero(cells == cell)
        links, records[cell] = _connect(source, where, members, window=window, n_neighbors=n_neighbors, cell=cell)
        parts.append(links)
    edges = Edges(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    params = {"window": window, "n_neighbors": n_neighbors}
    record = {"cell_types": pd.DataFrame.from_dict(records, orient="index")}
    write_graph(adata, edges, where, method="contact_neighbors", key_added=key_added, params=params, record=record)
    return adata if copy else None


def _loops_by_cell_type(loops: Loops | Mapping[str, Loops], cells: list[str]) -> dict[str, Loops]:
    """Return the loops of each cell type; raise when cell types of loops and genes differ."""
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
            "Give loops for each cell type, or select the cell types with loops in adata."
        )
        raise ValueError(msg)
    return {cell: loops[cell] for cell in cells}


def _connect(
    source: Loops, where: Positions, members: np.ndarray, *, window: int, n_neighbors: int, cell: str
) -> tuple[Edges, dict[str, object]]:
    """Return the links between the genes ``members`` of a cell type, as rows of ``adata``, and their record."""
    name = f"the loops of {cell}" if isinstance(source, pd.DataFrame) else str(source)
    table = check_loops(source, source=name) if isinstance(source, pd.DataFrame) else read_loops(source)
    of_cell = Positions(*(values[members] for values in where))
    table, renamed = _rename(table, set(of_cell.chrom), source=name)
    first, second = (_genes_at(table, end, of_cell, window) for end in (1, 2))
    n_ends = np.stack([first.number, second.number]) > 0
    weight = (table["count"] / (table["count"] + table["count"].median())).to_numpy()
    links = _link_ends(first, second, weight)
    if not len(links.gene):
        msg = (
            f"{name}: none of {len(table)} loops connects two of the {len(members)} genes of {cell}; "
            f"{int(n_ends.any(axis=0).sum())} loops have a TSS within window={window} bp of an "
            "anchor. Are loops and genes of one genome assembly? Widen the anchors with window."
        )
        raise ValueError(msg)
    kept = _keep_strongest(links, of_cell, n_neighbors)
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
    logger.info(
        "contact_neighbors: %s: %d loops%s, %d with a gene at one end at least, %d at both; %d of %d genes have a "
        "neighbour, %d had more than %d and keep the strongest.",
        cell,
        len(table),
        renamed,
        record["loops_at_genes"],
        record["loops_between_genes"],
        record["genes_connected"],
        len(members),
        record["genes_capped"],
        n_neighbors,
    )
    return Edges(members[kept.gene], members[kept.neighbor], kept.weight), record


def _rename(table: pd.DataFrame, chroms: set[str], *, source: str) -> tuple[pd.DataFrame, str]:
    """Return the loops with the chromosome names of the genes, and a phrase for the log if names were changed."""
    ends = ["chrom1", "chrom2"]
    listed = set(table["chrom1"]) | set(table["chrom2"])
    if listed & chroms:
        return table, ""
    for renamed, change in (
        (table[ends].map(lambda name: f"chr{name}"), "added to"),
        (table[ends].map(lambda name: name.removeprefix("chr")), "removed from"),
    ):
        if (set(renamed["chrom1"]) | set(renamed["chrom2"])) & chroms:
            return table.assign(**renamed), f" ('chr' {change} the names of their chromosomes)"
    msg = (
        f"{source}: loops and genes share no chromosome (loops: {', '.join(sorted(listed)[:4])}; genes: "
        f"{', '.join(sorted(chroms)[:4])}). Rename chrom1 and chrom2 in the table that "
        "sct.io.read_loops(path) returns, and pass the table."
    )
    raise ValueError(msg)


class _Runs(NamedTuple):
    """Genes at one end of each loop: ``order[start : start + number]``; ``start`` and ``number`` are ``(n_loops,)``."""

    order: np.ndarray
    start: np.ndarray
    number: np.ndarray


def _genes_at(table: pd.DataFrame, end: int, where: Positions, window: int) -> _Runs:
    """Find the genes with their TSS in an anchor. Both bounds count, since a TSS is an edge between two bases."""
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


def _link_ends(first: _Runs, second: _Runs, weight: np.ndarray) -> Edges:
    """Link every gene at one end to every gene at the other, in both directions, once with the largest weight."""
    # Loop i stands for n_pairs[i] pairs; the nth of them is counted like a number of two digits.
    n_pairs = first.number * second.number
    loop = np.repeat(np.arange(len(n_pairs)), n_pairs)
    nth = np.arange(len(loop)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    one = first.order[first.start[loop] + nth // second.number[loop]]
    other = second.order[second.start[loop] + nth % second.number[loop]]
    both = {"gene": np.concatenate([one, other]), "neighbor": np.concatenate([other, one])}
    links = pd.DataFrame({**both, "weight": np.tile(weight[loop], 2)})
    links = links[links["gene"] != links["neighbor"]].groupby(["gene", "neighbor"], as_index=False)["weight"].max()
    return Edges(*(links[name].to_numpy() for name in Edges._fields))


def _keep_strongest(links: Edges, where: Positions, n_neighbors: int) -> Edges:
    """Keep the ``n_neighbors`` strongest links of each gene, the nearer of two equally strong ones."""
    away = np.abs(where.distance(links.gene, links.neighbor))
    order = np.lexsort([links.neighbor, away, -links.weight, links.gene])
    gene = links.gene[order]
    place = np.arange(len(gene)) - np.searchsorted(gene, gene, side="left")
    kept = order[place < n_neighbors]
    return Edges(links.gene[kept], links.neighbor[kept], links.weight[kept])
