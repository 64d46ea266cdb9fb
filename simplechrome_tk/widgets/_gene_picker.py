"""Name a gene: type a symbol, and those that begin so are offered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import pandas as pd
import traitlets

from simplechrome_tk.core.require import cell_types, gene_row, symbols

if TYPE_CHECKING:
    import anndata as ad

_OFFERED = 20


class GenePicker(ipywidgets.Combobox):
    """A text box in which a gene is named by symbol or id, in capitals or not; :attr:`row` is the gene's row.

    Where a symbol names one gene in each of several cell types, they are offered as ``"PAX5 (E116)"``; where it names
    several genes, by id.
    """

    row = traitlets.Int(None, allow_none=True, help="Row of the gene named; None while no gene is.")

    def __init__(self, adata: ad.AnnData, **settings: Any) -> None:
        self._adata = adata
        symbol = pd.Series(symbols(adata))
        names = symbol.where(~symbol.duplicated(keep=False), symbol + " (" + cell_types(adata).to_numpy() + ")")
        self.names = names.where(~names.duplicated(keep=False), adata.obs_names.to_numpy(str)).to_numpy(str)
        """What each gene is offered as, ``(n_genes,)``."""
        self._upper = np.char.upper(self.names)
        self._order = np.argsort(self._upper)
        settings = {"placeholder": f"gene, such as {self.names[0]}", "continuous_update": True} | settings
        super().__init__(ensure_option=False, **settings)
        self.observe(self._typed, names="value")

    def _typed(self, change: Any) -> None:
        """Offer genes that begin as what was typed, and take the one that is named in full."""
        typed = change["new"].strip().upper()
        ordered = self._upper[self._order]
        first = np.searchsorted(ordered, typed)
        offered = [row for row in self._order[first : first + _OFFERED] if self._upper[row].startswith(typed)]
        self.options = tuple(self.names[offered].tolist()) if typed else ()
        named = np.flatnonzero(self._upper == typed)
        self.row = int(named[0]) if len(named) == 1 else self._by_id(change["new"].strip())

    def _by_id(self, name: str) -> int | None:
        found = np.flatnonzero(self._adata.obs_names == name)
        return int(found[0]) if len(found) == 1 else None

    def require(self) -> int:
        """Return the row of the gene that is named.

        Raises
        ------
        ValueError
            When no gene is named so; the closest are offered.
        """
        return gene_row(self._adata, self.value.strip()) if self.row is None else self.row
