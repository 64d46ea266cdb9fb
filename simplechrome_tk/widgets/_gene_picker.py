"""Text box that completes names of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import pandas as pd
import traitlets

from simplechrome_tk.core.require import cell_types, gene_row, symbols

if TYPE_CHECKING:
    import anndata as ad

_MOST_OFFERED = 20


class GenePicker(ipywidgets.Combobox):
    """Text box that takes the symbol or the id of a gene, in any case; :attr:`row` is the row of the gene.

    A symbol in several cell types is offered as ``"PAX5 (E116)"`` for each of them; genes that share a symbol are
    offered by their ids.
    """

    row = traitlets.Int(None, allow_none=True, help="Row of the named gene; None while the text names no gene.")

    def __init__(self, adata: ad.AnnData, **settings: Any) -> None:
        self._adata = adata
        symbol = pd.Series(symbols(adata))
        names = symbol.where(~symbol.duplicated(keep=False), symbol + " (" + cell_types(adata).to_numpy() + ")")
        self.names = names.where(~names.duplicated(keep=False), adata.obs_names.to_numpy(str)).to_numpy(str)
        """Name under which each gene is offered, ``(n_genes,)``."""
        self._upper = np.char.upper(self.names)
        self._order = np.argsort(self._upper)
        settings = {"placeholder": f"gene, such as {self.names[0]}", "continuous_update": True} | settings
        super().__init__(ensure_option=False, **settings)
        self.observe(self._complete, names="value")

    def _complete(self, change: Any) -> None:
        """Offer the genes whose names begin with the text, and find the gene that it names in full."""
        typed = change["new"].strip().upper()
        ordered = self._upper[self._order]
        # Names are sorted, so those that begin with the text follow each other.
        first = np.searchsorted(ordered, typed)
        offered = [row for row in self._order[first : first + _MOST_OFFERED] if self._upper[row].startswith(typed)]
        self.options = tuple(self.names[offered].tolist()) if typed else ()
        named = np.flatnonzero(self._upper == typed)
        self.row = int(named[0]) if len(named) == 1 else self._by_id(change["new"].strip())

    def _by_id(self, name: str) -> int | None:
        found = np.flatnonzero(self._adata.obs_names == name)
        return int(found[0]) if len(found) == 1 else None

    def require(self) -> int:
        """Return the row of the named gene.

        Raises
        ------
        ValueError
            When there is no such gene; the message offers similar names.
        """
        return gene_row(self._adata, self.value.strip()) if self.row is None else self.row
