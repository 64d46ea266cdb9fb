"""Genes and their neighbours with edited marks, as small AnnData that a model reads."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.core.layout import values
from simplechrome_tk.core.require import cell_types, check_selectable, gene_rows
from simplechrome_tk.pp._renormalize import Renormalizer
from simplechrome_tk.tl.perturbation._edit import GENE, NEIGHBORS, Edit
from simplechrome_tk.tl.perturbation._edited_columns import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)


class Chromatin(NamedTuple):
    """Marks of genes: row numbers ``(n,)``, signal and ``X`` ``(n, n_columns)``."""

    rows: np.ndarray
    signal: np.ndarray
    x: np.ndarray

    def take(self, places: np.ndarray) -> Chromatin:
        """Return some of them, also several times."""
        return Chromatin(self.rows[places], self.signal[places], self.x[places])


class Links(NamedTuple):
    """Who hears whom: place among the genes, place among the neighbours, weight, distance; ``(n_links,)`` each."""

    gene: np.ndarray
    neighbor: np.ndarray
    weight: np.ndarray
    distance: np.ndarray


class Scene(NamedTuple):
    """Genes to predict, those that they hear, and who hears whom."""

    genes: Chromatin
    neighbors: Chromatin
    links: Links


class Bench:
    """Where genes of an AnnData are edited, each by itself; the AnnData is read and never changed.

    Parameters
    ----------
    adata
        Normalised genes by bins, with their signal.
    neighbors_key
        Graph that the model hears; ``None`` where it hears none.
    """

    def __init__(self, adata: ad.AnnData, *, neighbors_key: str | None) -> None:
        check_selectable(adata)
        self.adata = adata
        self.layout = Layout.of(adata)
        self._renormalizer = Renormalizer(adata)
        self._key = neighbors_key
        self._graph = None if neighbors_key is None else neighbor_matrices(adata, neighbors_key)

    def check(self, edits: Sequence[Edit]) -> None:
        """Raise ``TypeError`` for what is no edit, ``ValueError`` when an edit cannot be made here."""
        strange = [type(edit).__name__ for edit in edits if not isinstance(edit, Edit)]
        if strange:
            msg = f"edits hold a {strange[0]}; expected edits such as sct.tl.Edit.scale(0.5, mark='H3K4me3')."
            raise TypeError(msg)
        if not edits:
            msg = "there are no edits; expected one at least, such as sct.tl.Edit.scale(0.5, mark='H3K4me3')."
            raise ValueError(msg)
        for edit in edits:
            self.layout.columns(edit)
            if edit.of != GENE and self._graph is None:
                msg = (
                    f"an edit is of {edit.of!r}, but the model hears no neighbours: edit the gene itself (of='gene'), "
                    "or train with neighbors_key, such as SimpleChrome(adata, neighbors_key='tss')."
                )
                raise ValueError(msg)

    def scene(self, rows: np.ndarray, edits: Sequence[Edit] = ()) -> tuple[Scene, Scene]:
        """Return genes and neighbours as they are and as edited, row by row the same."""
        own = self.read(rows)
        position, neighbor, weight, distance = self.links(rows)
        of_neighbors = [edit for edit in edits if edit.of != GENE]
        acts = [self.chosen(edit, rows, position, neighbor) for edit in of_neighbors]
        kinds, place = np.unique(np.column_stack([neighbor, *acts]), axis=0, return_inverse=True)
        around = self.read(kinds[:, 0])
        links = Links(position, place.ravel(), weight, distance)
        edited_own, edited_around = own, around
        for edit in edits:
            if edit.of == GENE:
                edited_own = self.edit(edited_own, edit)
            else:
                touched = np.flatnonzero(kinds[:, 1 + of_neighbors.index(edit)])
                edited_around = self._put(edited_around, touched, self.edit(edited_around.take(touched), edit))
        return Scene(own, around, links), Scene(edited_own, edited_around, links)

    def read(self, rows: np.ndarray) -> Chromatin:
        """Read the marks of genes, each row once.

        Raises
        ------
        ValueError
            When signal is missing, infinite or negative, or ``X`` is not what it was normalised to.
        """
        once, place = np.unique(rows, return_inverse=True)
        # where the arrays are at hand, taking their rows spares a view of the AnnData, the slowest step of one gene
        whole = not (self.adata.is_view or self.adata.isbacked)
        part, places = (self.adata, once) if whole else (self.adata[once], slice(None))
        signal, x = (values(part, layer)[places].astype(np.float32) for layer in (k.SIGNAL, None))
        for problem, wrong in (
            ("missing or infinite signal", ~np.isfinite(signal)),
            ("negative signal", signal < 0),
            ("X that is missing or infinite", ~np.isfinite(x)),
            ("X that is not what its signal is normalised to", ~self._renormalizer.agrees(x, signal)),
        ):
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                gene = self.adata.obs_names[once[row]]
                msg = (
                    f"{int(wrong.any(axis=1).sum())} of the genes that are needed hold {problem}, such as "
                    f"{gene!r} in {self.adata.var_names[column]!r}. Mend the signal at its source and normalise again, "
                    "or leave these genes out."
                )
                raise ValueError(msg)
        return Chromatin(rows, signal[place], x[place])

    def edit(self, chromatin: Chromatin, edit: Edit) -> Chromatin:
        """Return the marks after one edit; ``X`` stays, to the bit, where the signal does."""
        donor = self._donor(chromatin.rows, str(edit.value)) if edit.action == "transplant" else None
        signal = self.layout.apply(edit, chromatin.signal, donor)
        x = chromatin.x.copy()
        self._renormalizer.fill(x, signal, where=signal != chromatin.signal, rows=chromatin.rows)
        return Chromatin(chromatin.rows, signal, x)

    def chosen(self, edit: Edit, rows: np.ndarray, position: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
        """Return which links lead to a neighbour that the edit is of, ``(n_links,)``.

        Raises
        ------
        ValueError
            When a gene does not have this neighbour, or none has any.
        """
        named = edit.of != NEIGHBORS
        meant = np.isin(neighbor, gene_rows(self.adata, edit.of)) if named else np.ones(len(neighbor), dtype=bool)
        without = np.flatnonzero(np.bincount(position[meant], minlength=len(rows)) == 0)
        if len(without) and (named or len(without) == len(rows)):
            gene = rows[without[0]]
            heard = [self.name(row) for row in neighbor[position == without[0]]]
            msg = (
                f"{edit.of!r} is no neighbour of {len(without)} of {len(rows)} genes asked for, such as "
                f"{self.name(gene)}, which hears {', '.join(heard) or 'none'}."
            )
            raise ValueError(msg)
        if len(without):
            logger.warning("%d of %d genes have no neighbours and stay as they are.", len(without), len(rows))
        return meant

    def order(self, rows: np.ndarray) -> np.ndarray:
        """Order the rows so that genes which hear the same neighbours stand together, ``(n,)`` places among them."""
        if self._graph is None:
            return np.arange(len(rows))
        rank = np.empty(self.adata.n_obs, dtype=int)
        rank[reverse_cuthill_mckee(self._graph[0])] = np.arange(self.adata.n_obs)
        return np.argsort(rank[rows], kind="stable")

    def name(self, row: int) -> str:
        """Symbol of a gene, or its id."""
        return str(self.adata.obs[k.SYMBOL].iloc[row] if k.SYMBOL in self.adata.obs else self.adata.obs_names[row])

    def links(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return place among ``rows``, row of the neighbour, weight and distance of each link, ``(n_links,)`` each."""
        if self._graph is None:
            return np.empty(0, int), np.empty(0, int), np.empty(0), np.empty(0)
        connectivities, distances = (matrix[rows] for matrix in self._graph)
        pairs = connectivities.tocoo()
        kept = pairs.data != 0
        position, neighbor = pairs.row[kept].astype(int), pairs.col[kept].astype(int)
        distance = np.asarray(distances[position, neighbor], dtype=float).ravel() if len(position) else np.empty(0)
        return position, neighbor, pairs.data[kept], distance

    def _donor(self, rows: np.ndarray, name: str) -> np.ndarray:
        """Signal of the gene to transplant from, in the cell type of each row, ``(n, n_columns)``."""
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

    @staticmethod
    def _put(chromatin: Chromatin, places: np.ndarray, new: Chromatin) -> Chromatin:
        signal, x = chromatin.signal.copy(), chromatin.x.copy()
        signal[places], x[places] = new.signal, new.x
        return Chromatin(chromatin.rows, signal, x)

    def adata_of(self, scene: Scene, *, named: bool) -> ad.AnnData:
        """Return genes, then those that they hear, as an AnnData that the model reads.

        ``named`` ones have their ids and all records of ``uns``, for any function; else they are numbered.
        """
        n_genes = len(scene.genes.rows)
        rows = np.concatenate([scene.genes.rows, scene.neighbors.rows])
        obs = self.adata.obs.iloc[rows].copy()
        if named:
            heard = obs.index[n_genes:].astype(str).to_series()
            again = heard.groupby(heard.to_numpy()).cumcount()
            named_as = [
                f"{name} (neighbour)" if n == 0 else f"{name} (neighbour {n + 1})"
                for name, n in zip(heard, again, strict=True)
            ]
            obs.index = [*obs.index[:n_genes], *named_as]
            obs["perturbed"] = np.arange(len(rows)) < n_genes
        else:
            obs.index = np.arange(len(rows)).astype(str)
        parts = scene.genes, scene.neighbors
        stack = ad.AnnData(
            np.concatenate([part.x for part in parts]),
            obs=obs,
            var=self.adata.var.copy(),
            layers={k.SIGNAL: np.concatenate([part.signal for part in parts])},
            uns=copy.deepcopy(dict(self.adata.uns)) if named else {"normalize": self.adata.uns["normalize"]},
        )
        if self._graph is not None:
            where = scene.links.gene, n_genes + scene.links.neighbor
            slots = (k.CONNECTIVITIES, k.DISTANCES)
            for slot, data in zip(slots, (scene.links.weight, scene.links.distance), strict=True):
                stack.obsp[slot.format(self._key)] = sparse.csr_matrix((data, where), shape=(len(rows), len(rows)))
        return stack
