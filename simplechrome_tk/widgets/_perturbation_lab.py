"""Sliders that edit the marks of a gene and show the prediction that follows."""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import traitlets

from simplechrome_tk import get
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import check_order, gene_row, gene_rows, symbols
from simplechrome_tk.tl.perturbation._edit import GENE, NEIGHBORS
from simplechrome_tk.tl.perturbation._predict import open_session
from simplechrome_tk.widgets._gene_picker import GenePicker
from simplechrome_tk.widgets._lab_code import edit_code
from simplechrome_tk.widgets._lab_predictions import expression_scale
from simplechrome_tk.widgets._lab_sliders import Sliders, SliderTarget
from simplechrome_tk.widgets._lab_state import LabState
from simplechrome_tk.widgets._panel import Panel

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl import Edit

_NOTE = """<p style="margin: 0 0 6px 0; line-height: 1.4; max-width: 110ch"><b>An experiment on the model, not on
cells.</b> The numbers are predictions for a gene with such marks. The model has learnt which marks correlate with
expression, not which of them cause it. The intervals come from measured genes; no edited gene was ever measured.
</p>"""
_PICTURE_DELAY = 0.2
"""Seconds without another step of a slider before the dose-response curve is drawn."""
_TYPING_DELAY = 0.3
"""Seconds without another key before a typed gene is shown: the beginning of a symbol can be a symbol (T, TP53)."""
_PICTURES, _NAMES = "pictures", "names"
"""Threads of the widget, besides the default one."""


class PerturbationLab(Panel):
    """Scale the marks of a gene and of its neighbours with sliders, and see how the prediction changes.

    Beside the sliders are the predicted expression and probability before and after the edits, each with its interval,
    and the dose-response curve of the slider that was moved last. Below them is the edited signal over the measured
    signal. The same edits can be applied to a second gene for comparison. Data and model stay as they are.

    Parameters
    ----------
    adata
        Normalised genes by bins with ``layers["signal"]``, and with the graph that the model attends to, if any.
    model
        A trained model of these columns.
    gene
        Id or symbol of the gene that is shown first; ``None`` shows the first gene of ``adata``.

    Attributes
    ----------
    gene : str
        Id of the gene. It can be set, to a symbol too.
    other : str or None
        Id of the gene to compare with. It can be set, to a symbol too.
    edits : list of Edit
        The edits of the sliders, without those of sliders at 1.
    result : pandas.DataFrame
        The latest predictions, the table of :func:`simplechrome_tk.tl.perturb`, one row for each gene.
    code : str
        Python code that makes the same predictions.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the data do not fit the model, the signal was not kept, or the gene is unknown.

    Examples
    --------
    >>> lab = sct.widgets.PerturbationLab(adata, model, gene="SIM0007")
    >>> lab.set_factor(0.5, mark="H3K4me3", region="tss")
    >>> lab.edits
    [Edit(action='scale', value=0.5, mark='H3K4me3', region='tss', start=None, end=None, on='gene')]
    """

    gene = traitlets.Unicode()
    other = traitlets.Unicode(None, allow_none=True)

    def __init__(self, adata: ad.AnnData, model: SimpleChrome, *, gene: str | None = None) -> None:
        check_order(adata, model, "sct.widgets.PerturbationLab(adata, model)")
        session = open_session(adata, model)
        first = 0 if gene is None else gene_row(adata, gene)
        super().__init__()
        self._adata, self._model, self._session = adata, model, session
        self._key = model.settings.neighbors_key
        expression = model.settings.expression_key
        known = expression_truth(adata, expression) if expression in adata.obs else np.empty(0)
        self._scale = expression_scale(known)
        self._is_typing = False
        self._unique_names: dict[str, str] = {}
        self._editable_by_gene: dict[str, frozenset[str]] = {}
        self.result: pd.DataFrame | None = None
        self._sliders = Sliders(adata, has_neighbors=self._key is not None, on_change=self._on_slider)
        self._last = self._sliders.first()
        self._make_controls()
        self.observe(self._on_gene, names="gene")
        self.observe(self._on_other, names="other")
        self.gene = str(adata.obs_names[first])

    def _make_controls(self) -> None:
        self._pick = GenePicker(self._adata, description="Gene")
        self._pick_other = GenePicker(self._adata, description="Compare with", placeholder="no other gene")
        self._pick.style.description_width = self._pick_other.style.description_width = "auto"
        reset = ipywidgets.Button(description="Reset", tooltip="Move every slider back to 1, the measured signal")
        reset.on_click(lambda _: self.reset())
        self._predicted, self._curve, self._tracks, self._note = (ipywidgets.HTML() for _ in range(4))
        self._code = ipywidgets.Textarea(
            description="As code",
            tooltip="Python code that makes the same predictions, to copy",
            layout=ipywidgets.Layout(width="99%"),
        )
        wrapped = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        self._sliders.layout = ipywidgets.Layout(flex="1 1 400px", min_width="380px")
        shown = ipywidgets.VBox(
            [self._predicted, self._note, self._curve], layout=ipywidgets.Layout(flex="1 1 330px", min_width="300px")
        )
        beside = ipywidgets.Layout(flex_flow="row wrap", grid_gap="20px")
        self._fill(
            ipywidgets.HTML(_NOTE),
            ipywidgets.HBox([self._pick, self._pick_other, reset], layout=wrapped),
            ipywidgets.HBox([self._sliders, shown], layout=beside),
            self._tracks,
            self._code,
        )
        self._pick.observe(partial(self._on_typed, self._pick, "gene"), names="value")
        self._pick_other.observe(partial(self._on_typed, self._pick_other, "other"), names="value")

    @traitlets.validate("gene", "other")
    def _validate_gene(self, proposal: Any) -> str | None:
        name = proposal["value"]
        return None if name is None else str(self._adata.obs_names[gene_row(self._adata, name)])

    @property
    def edits(self) -> list[Edit]:
        """The edits of the sliders, without those of sliders at 1."""
        return self._sliders.edits

    @property
    def code(self) -> str:
        """Python code that makes the same predictions."""
        return edit_code(
            [([self._unique_name(gene) for gene in genes], edits) for genes, edits in self._current_state().by_edits()]
        )

    def set_factor(
        self, factor: float, *, mark: str | None = None, region: str | None = None, on: str = "gene"
    ) -> None:
        """Move the slider of a mark in a region, of all neighbours, or of one neighbour.

        Parameters
        ----------
        factor
            Factor of the measured signal, from 0 to 3.
        mark, region
            Mark and region of the slider; ``None`` for neighbours, whose marks are all scaled.
        on
            ``"gene"``, ``"neighbors"``, or the symbol of a neighbour that has a slider.

        Raises
        ------
        ValueError
            When there is no such slider, or the factor is outside its range.
        """
        self._sliders.set_factor(SliderTarget(mark, region, on), factor)

    def reset(self) -> None:
        """Move every slider back to 1."""
        self._sliders.reset()

    def figure(self) -> Figure:
        """Draw the predictions, the latest dose-response curve and the edited signal with matplotlib."""
        return self._current_state().figure()

    def _on_typed(self, picker: GenePicker, trait: str, change: Any) -> None:
        """Show the gene that is named in full, or similar names where no name begins with the text."""
        if picker.row is not None or not change["new"].strip():
            name = None if picker.row is None else str(self._adata.obs_names[picker.row])
            set_gene = partial(self._set_gene, trait)
            self._do(trait, "Reading the gene", lambda: name, set_gene, thread=_NAMES, settle=_TYPING_DELAY)
        elif not picker.options:
            self._do(trait, "Looking for the gene", picker.require, lambda _: None, thread=_NAMES, settle=_TYPING_DELAY)

    def _set_gene(self, trait: str, name: str | None) -> None:
        """Set the gene that was typed, and leave the text as it is, because the user may go on typing."""
        if name is not None or trait == "other":
            self._is_typing = True
            try:
                setattr(self, trait, name)
            finally:
                self._is_typing = False

    def _show_name(self, picker: GenePicker, gene: str | None) -> None:
        """Show the name of a gene that was set from Python."""
        if not self._is_typing:
            picker.value = "" if gene is None else picker.names[self._adata.obs_names.get_loc(gene)]

    def _on_gene(self, _: Any) -> None:
        """Show the sliders of the neighbours of the new gene."""
        self._show_name(self._pick, self.gene)
        if self._key is not None:
            self._sliders.show_neighbors(get.neighbors(self._adata, neighbors_key=self._key, genes=self.gene))
        if self._last not in self._sliders.sliders:  # it was a neighbour of the previous gene
            self._last = self._sliders.first()
        self._on_other(None)

    def _on_other(self, _: Any) -> None:
        """Show which marks the genes do not have, and predict the genes."""
        self._show_name(self._pick_other, self.other)
        state = self._current_state()
        self._sliders.show_absent_marks(state.signal())
        self._predict(state)

    def _on_slider(self, target: SliderTarget | None) -> None:
        self._last = self._last if target is None else target
        self._predict(self._current_state())

    def _current_state(self) -> LabState:
        """Return the genes and edits of the controls at this moment."""
        genes = [gene for gene in dict.fromkeys((self.gene, self.other)) if gene is not None]
        rows = self._adata.obs_names.get_indexer(genes)
        return LabState(
            adata=self._adata,
            model=self._model,
            session=self._session,
            names=dict(zip(genes, self._pick.names[rows], strict=True)),
            editable={gene: self._editable(gene) for gene in genes},
            edits=self.edits,
            last=self._last,
            last_name=self._sliders.name(self._last),
            factor=self._sliders.factor(self._last),
        )

    def _editable(self, gene: str) -> frozenset[str]:
        """Return the values of ``on`` that edits of this gene can have; cached, because every step needs them."""
        if self._key is None:
            return frozenset({GENE})
        if gene not in self._editable_by_gene:
            table = get.neighbors(self._adata, neighbors_key=self._key, genes=gene)
            together = [NEIGHBORS] if len(table) else []
            self._editable_by_gene[gene] = frozenset({GENE, *together, *table["neighbor"], *table["neighbor_symbol"]})
        return self._editable_by_gene[gene]

    def _unique_name(self, gene: str) -> str:
        """Return the symbol of a gene where it names only this gene, or else its id."""
        if gene not in self._unique_names:
            symbol = str(symbols(self._adata)[self._adata.obs_names.get_loc(gene)])
            self._unique_names[gene] = symbol if len(gene_rows(self._adata, symbol)) == 1 else gene
        return self._unique_names[gene]

    def _predict(self, state: LabState) -> None:
        self._do("number", "Predicting", state.predict, partial(self._show, state))

    def _show(self, state: LabState, result: pd.DataFrame) -> None:
        """Show the numbers, and request the pictures."""
        self.result = result
        self._predicted.value = state.numbers(result, self._scale)
        self._note.value = f"<p>{html.escape(state.inapplicable_edits())}</p>"
        self._code.value = self.code
        self._code.rows = self._code.value.count("\n") + 2
        for pane, draw, widget in (("curve", state.curve, self._curve), ("tracks", state.tracks, self._tracks)):
            settle = _PICTURE_DELAY if pane == "curve" else 0
            self._do(pane, "Drawing", draw, partial(setattr, widget, "value"), thread=_PICTURES, settle=settle)
