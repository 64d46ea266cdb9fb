"""Genes and their neighbours, read from an AnnData and edited."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names, join_graphs
from simplechrome_tk.core.layout import Layout, values
from simplechrome_tk.core.require import cell_types, check_selectable, gene_rows
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.pp._renormalize import Renormalizer
from simplechrome_tk.tl.perturbation._batch import Batch, GeneSignal, NeighborEdges
from simplechrome_tk.tl.perturbation._edit import GENE, NEIGHBORS, Edit
from simplechrome_tk.tl.perturbation._edit_signal import edit_signal, find_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

_EXAMPLE = "sct.tl.Edit.scale(0.5, mark='H3K4me3')"


class EditSession:
    """An AnnData whose genes are edited, each by itself; the AnnData is read and never changed.

    Genes are read when they are needed, so that a session sees what was written to the AnnData since. The layout and
    the graph are read once.

    Parameters
    ----------
    adata
        Normalised genes by bins, with their signal.
    neighbors_key
        Graph of the neighbours that the model reads, or names of several; ``None`` where it reads each gene alone.
    reference_key
        Slot of ``obsm`` with the reference samples that the model reads; ``None`` where it reads none.
    layout
        Columns of ``adata``, where they were read before.
    """

    def __init__(
        self,
        adata: ad.AnnData,
        *,
        neighbors_key: str | Sequence[str] | None,
        reference_key: str | None = None,
        layout: Layout | None = None,
    ) -> None:
        check_selectable(adata)
        self.adata = adata
        self.layout = Layout.of(adata) if layout is None else layout
        self._renormalizer = Renormalizer(adata)
        self._reference_key = reference_key
        self._graph_names = graph_names(neighbors_key)
        self._graph = join_graphs(adata, self._graph_names) if self._graph_names else None

    def check(self, edits: Sequence[Edit]) -> None:
        """Raise ``TypeError`` when ``edits`` hold something else, ``ValueError`` when an edit cannot be made here."""
        others = [type(edit).__name__ for edit in edits if not isinstance(edit, Edit)]
        if others:
            msg = f"edits hold a {others[0]}; expected edits such as {_EXAMPLE}."
            raise TypeError(msg)
        if not edits:
            msg = f"there are no edits; expected one at least, such as {_EXAMPLE}."
            raise ValueError(msg)
        for edit in edits:
            find_columns(self.layout, edit)
            if edit.on != GENE and self._graph is None:
                msg = (
                    f"an edit has on={edit.on!r}, and no graph of neighbours is read here: edit the gene itself "
                    "(on='gene'), train a model with SimpleChrome(adata, neighbors_key='tss'), or name the graph in "
                    "sct.tl.apply_edits(adata, edits, neighbors_key='tss')."
                )
                raise ValueError(msg)

    def make_batches(self, rows: np.ndarray, edits: Sequence[Edit] = ()) -> tuple[Batch, Batch]:
        """Return genes and their neighbours before and after the edits; both batches hold the same genes in order."""
        genes, edges = self.read(rows), self.neighbor_edges(rows)
        neighbor_edits = [edit for edit in edits if edit.on != GENE]
        # A gene that is the neighbour of several may be edited for one of them and not for another. It is therefore
        # read once for each combination of edits: the first column holds its row, each further one whether an edit
        # applies.
        applies = [self.find_edited(edit, rows, edges) for edit in neighbor_edits]
        versions, place = np.unique(np.column_stack([edges.neighbor, *applies]), axis=0, return_inverse=True)
        edges = edges._replace(neighbor=place.ravel())
        neighbors = self.read(versions[:, 0])
        edited_genes, edited_neighbors = genes, neighbors
        for edit in edits:
            if edit.on == GENE:
                edited_genes = self.edit(edited_genes, edit)
            else:
                places = np.flatnonzero(versions[:, 1 + neighbor_edits.index(edit)])
                edited = self.edit(edited_neighbors.take(places), edit)
                edited_neighbors = edited_neighbors.replace_at(places, edited)
        return Batch(genes, neighbors, edges), Batch(edited_genes, edited_neighbors, edges)

    def read(self, rows: np.ndarray) -> GeneSignal:
        """Read the marks of genes; a row may occur several times.

        Raises
        ------
        ValueError
            When signal is missing, infinite or negative, or ``X`` is not what it was normalised to.
        """
        distinct, place = np.unique(rows, return_inverse=True)
        # Taking rows of arrays in memory avoids a view of the AnnData, the slowest step for one gene.
        in_memory = not (self.adata.is_view or self.adata.isbacked)
        part, places = (self.adata, distinct) if in_memory else (self.adata[distinct], slice(None))
        signal, x = (values(part, layer)[places].astype(np.float32) for layer in (k.SIGNAL, None))
        self._check_marks(distinct, signal, x)
        return GeneSignal(rows, signal[place], x[place])

    def _check_marks(self, rows: np.ndarray, signal: np.ndarray, x: np.ndarray) -> None:
        for problem, wrong in (
            ("missing or infinite signal", ~np.isfinite(signal)),
            ("negative signal", signal < 0),
            ("X that is missing or infinite", ~np.isfinite(x)),
            ("X that is not what its signal is normalised to", ~self._renormalizer.agrees(x, signal)),
        ):
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                msg = (
                    f"{int(wrong.any(axis=1).sum())} of the genes that are needed hold {problem}, such as "
                    f"{self.adata.obs_names[rows[row]]!r} in {self.adata.var_names[column]!r}. Correct the signal at "
                    "its source and normalise again, or leave these genes out."
                )
                raise ValueError(msg)

    def edit(self, genes: GeneSignal, edit: Edit) -> GeneSignal:
        """Return the marks after one edit; ``X`` stays, to the bit, where the signal does."""
        donor = self._read_donor(genes.rows, str(edit.value)) if edit.action == "transplant" else None
        signal = edit_signal(self.layout, edit, genes.signal, donor)
        x = genes.x.copy()
        self._renormalizer.fill(x, signal, where=signal != genes.signal, rows=genes.rows)
        return GeneSignal(genes.rows, signal, x)

    def find_edited(self, edit: Edit, rows: np.ndarray, edges: NeighborEdges) -> np.ndarray:
        """Return which edges lead to a neighbour whose marks are edited, ``(n_edges,)``.

        ``edges`` are those of :meth:`neighbor_edges` for these rows.

        Raises
        ------
        ValueError
            When a gene does not have the neighbour that the edit names, or no gene has any neighbour.
        """
        one_neighbor = edit.on != NEIGHBORS
        if one_neighbor:
            edited = np.isin(edges.neighbor, gene_rows(self.adata, edit.on))
        else:
            edited = np.ones(len(edges.neighbor), dtype=bool)
        without = np.flatnonzero(np.bincount(edges.gene[edited], minlength=len(rows)) == 0)
        if len(without) and (one_neighbor or len(without) == len(rows)):
            found = shorten(map(self._name, edges.neighbor[edges.gene == without[0]]), limit=20)
            msg = (
                f"{edit.on!r} is no neighbour of {len(without)} of the {len(rows)} genes, such as "
                f"{self._name(rows[without[0]])}, whose neighbours are: {found}."
            )
            raise ValueError(msg)
        if len(without):
            logger.warning("%d of %d genes have no neighbours and are not edited.", len(without), len(rows))
        return edited

    def order(self, rows: np.ndarray) -> np.ndarray:
        """Return the places of ``rows`` in an order in which genes with the same neighbours follow each other."""
        if self._graph is None:
            return np.arange(len(rows))
        rank = np.empty(self.adata.n_obs, dtype=int)
        rank[reverse_cuthill_mckee(self._graph[0])] = np.arange(self.adata.n_obs)
        return np.argsort(rank[rows], kind="stable")

    def neighbor_edges(self, rows: np.ndarray) -> NeighborEdges:
        """Return the edges from genes to their neighbours, which are given by their rows."""
        if self._graph is None:
            return NeighborEdges(np.empty(0, int), np.empty(0, int), np.empty((0, 0)), np.empty(0))
        connectivities, distances = (matrix[rows] for matrix in self._graph)
        pairs = connectivities.tocoo()
        kept = pairs.data != 0
        gene, neighbor = pairs.row[kept].astype(int), pairs.col[kept].astype(int)
        if len(self._graph_names) == 1:
            weights = [pairs.data[kept]]
        else:
            slots = (k.CONNECTIVITIES.format(name) for name in self._graph_names)
            weights = [_select(sparse.csr_matrix(self.adata.obsp[slot])[rows], gene, neighbor) for slot in slots]
        return NeighborEdges(gene, neighbor, np.stack(weights, axis=1), _select(distances, gene, neighbor))

    def name_genes(self, rows: np.ndarray) -> pd.DataFrame:
        """Return ``gene`` and ``symbol`` of rows."""
        names = self.adata.obs_names[rows]
        symbols = self.adata.obs[k.SYMBOL].iloc[rows].astype(str) if k.SYMBOL in self.adata.obs else names
        return pd.DataFrame({"gene": np.asarray(names, dtype=object), "symbol": np.asarray(symbols, dtype=object)})

    def _name(self, row: int) -> str:
        return str(self.name_genes(np.array([row]))["symbol"].iloc[0])

    def _read_donor(self, rows: np.ndarray, name: str) -> np.ndarray:
        """Read the signal of the gene to transplant from, in the cell type of each row, ``(n, n_columns)``."""
        donors = gene_rows(self.adata, name)
        if len(donors) == 1:
            donors = np.repeat(donors, len(rows))
        else:
            cells = cell_types(self.adata).to_numpy()
            by_cell = dict(zip(cells[donors], donors, strict=True))
            missing = set(cells[rows]) - set(by_cell)
            if missing or len(by_cell) < len(donors):
                found = ", ".join(self.adata.obs_names[donors][:4])
                msg = f"{name!r} names {len(donors)} genes ({found}); name the one to transplant from by its id."
                raise ValueError(msg)
            donors = np.array([by_cell[cell] for cell in cells[rows]])
        return self.read(donors).signal

    def to_numbered_adata(self, batch: Batch) -> ad.AnnData:
        """Return the genes of a batch, then their neighbours, as an AnnData that a model reads, with numbers as names.

        ``uns`` holds what the model needs alone, since copying all of it would take longer than the prediction.
        """
        obs = self.adata.obs.iloc[_all_rows(batch)].copy()
        obs.index = np.arange(len(obs)).astype(str)
        needed = [key for key in (k.NORMALIZE, self._reference_key) if key is not None and key in self.adata.uns]
        return self._to_adata(batch, obs, {key: self.adata.uns[key] for key in needed})

    def to_named_adata(self, batch: Batch) -> ad.AnnData:
        """Return the genes of a batch by their ids, then their neighbours as ``"id (neighbour)"``, as an AnnData.

        ``obs["perturbed"]`` tells them apart. ``uns`` is a copy, so that any function may write to it.
        """
        n_genes = len(batch.genes.rows)
        obs = self.adata.obs.iloc[_all_rows(batch)].copy()
        neighbors = obs.index[n_genes:].astype(str).to_series()
        # A neighbour occurs several times where an edit applies to it for one gene and not for another.
        occurrence = neighbors.groupby(neighbors.to_numpy()).cumcount()
        names = [
            f"{name} (neighbour)" if number == 0 else f"{name} (neighbour {number + 1})"
            for name, number in zip(neighbors, occurrence, strict=True)
        ]
        obs.index = [*obs.index[:n_genes], *names]
        obs["perturbed"] = np.arange(len(obs)) < n_genes
        return self._to_adata(batch, obs, copy.deepcopy(dict(self.adata.uns)))

    def _to_adata(self, batch: Batch, obs: pd.DataFrame, uns: dict[str, object]) -> ad.AnnData:
        data = ad.AnnData(
            np.concatenate([batch.genes.x, batch.neighbors.x]),
            obs=obs,
            var=self.adata.var.copy(),
            layers={k.SIGNAL: np.concatenate([batch.genes.signal, batch.neighbors.signal])},
            uns=uns,
        )
        if self._reference_key is not None:
            data.obsm[self._reference_key] = self.adata.obsm[self._reference_key][_all_rows(batch)]
        gene, neighbor = batch.edges.gene, len(batch.genes.rows) + batch.edges.neighbor
        shape = data.n_obs, data.n_obs
        for name, weights in zip(self._graph_names, batch.edges.weights.T, strict=True):
            # A pair of another graph has a weight of 0 here, and is no link of this graph.
            linked = weights != 0
            pairs = gene[linked], neighbor[linked]
            for slot, stored in ((k.CONNECTIVITIES, weights), (k.DISTANCES, batch.edges.distance)):
                data.obsp[slot.format(name)] = sparse.csr_matrix((stored[linked], pairs), shape=shape)
        return data


def _select(matrix: sparse.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return single values of a matrix, ``(n,)``; with empty arrays scipy returns a matrix instead of an array."""
    return np.asarray(matrix[rows, columns], dtype=float).ravel() if len(rows) else np.empty(0)


def _all_rows(batch: Batch) -> np.ndarray:
    """Return the rows of the genes of a batch, then those of their neighbours."""
    return np.concatenate([batch.genes.rows, batch.neighbors.rows])
