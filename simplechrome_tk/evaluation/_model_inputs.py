"""Inputs of a comparison model: read from an AnnData, and checked against the data that the model was fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.features import gene_length as length_of
from simplechrome_tk.core.features import read_features, reads_body
from simplechrome_tk.core.layout import Layout, region_shapes
from simplechrome_tk.core.model_checks import check_columns, check_normalization
from simplechrome_tk.core.normalization import is_normalized, normalization

if TYPE_CHECKING:
    from typing import Any

    import anndata as ad


class ModelInputs(NamedTuple):
    """What a fitted comparison model reads of each gene, to read the same of other data.

    Attributes
    ----------
    use_rep
        Key of ``obsm``, or ``None`` for ``X``.
    columns
        Names of the columns of ``X``; empty for a representation, whose columns have no names.
    n_columns
        Number of columns, without the gene's length.
    shapes
        Marks and bins of each region, as a network reads the columns. The columns of a representation, and those
        of an ``X`` that does not hold bins, are marks of one bin.
    normalization
        Constants that ``X`` was normalised with; ``None`` where it was not.
    gene_length
        Whether the gene's length is the last column.
    """

    use_rep: str | None
    columns: list[str]
    n_columns: int
    shapes: list[tuple[int, int]]
    normalization: dict[str, Any] | None
    gene_length: bool

    @classmethod
    def of(cls, adata: ad.AnnData, x: np.ndarray, *, use_rep: str | None, gene_length: bool | None) -> ModelInputs:
        """Describe ``x`` ``(n_genes, n_columns)``, which is what ``adata`` holds.

        ``gene_length=None`` adds the length where a window reads the gene's body, as SimpleChrome does.
        """
        n_columns = x.shape[1]
        if use_rep is not None:
            return cls(use_rep, [], n_columns, [(n_columns, 1)], None, bool(gene_length))
        columns = list(adata.var_names)
        # A table of any other features, without marks and regions, can be predicted from as well.
        if k.REGION not in adata.var:
            return cls(None, columns, n_columns, [(n_columns, 1)], None, bool(gene_length))
        shapes = region_shapes(Layout.of(adata).blocks)
        constants = normalization(adata) if is_normalized(adata) else None
        if gene_length is None:
            gene_length = reads_body(adata)
        return cls(None, columns, n_columns, shapes, constants, gene_length)

    def read(self, adata: ad.AnnData) -> np.ndarray:
        """Return what the model reads of other data, ``(n_genes, n_columns)``, with the gene's length as last column.

        Raises
        ------
        ValueError
            When columns or normalisation differ from those of the data that the model was fitted to, values are missing
            or infinite, or a gene has no length.
        """
        x = read_features(adata, self.use_rep)
        if self.use_rep is None:
            check_columns(list(adata.var_names), self.columns)
            self._check_normalization(adata)
        elif x.shape[1] != self.n_columns:
            msg = (
                f"obsm[{self.use_rep!r}] has {x.shape[1]} columns; expected {self.n_columns}, as the model was fitted "
                "to. Compute it in the same way for both."
            )
            raise ValueError(msg)
        return self.add_length(adata, x)

    def add_length(self, adata: ad.AnnData, x: np.ndarray) -> np.ndarray:
        """Return ``x`` with the gene's length as one more column, where the model reads it."""
        return np.column_stack([x, length_of(adata)]) if self.gene_length else x

    def _check_normalization(self, adata: ad.AnnData) -> None:
        """Raise ``ValueError`` unless ``X`` was normalised as that of the training data was."""
        if self.normalization is not None:
            check_normalization(adata, self.normalization)
        elif k.REGION in adata.var and is_normalized(adata):
            msg = (
                "X is normalised, and the model was fitted to raw signal: give it the raw signal, "
                "adata.X = adata.layers.pop('signal'); del adata.uns['normalize']."
            )
            raise ValueError(msg)
