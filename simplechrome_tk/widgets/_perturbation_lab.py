"""Change the marks of a gene by hand and watch the prediction move."""

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
from simplechrome_tk.tl.perturbation._perturb import bench_of
from simplechrome_tk.widgets._gene_picker import GenePicker
from simplechrome_tk.widgets._lab_code import edit_code
from simplechrome_tk.widgets._lab_numbers import expression_scale
from simplechrome_tk.widgets._lab_sliders import Dose, Doses
from simplechrome_tk.widgets._lab_trial import Trial
from simplechrome_tk.widgets._panel import Panel

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl import Edit

_WHAT_IT_IS = """<p style="margin: 0 0 6px 0; line-height: 1.4; max-width: 110ch"><b>An experiment on the model, not on
cells.</b> The numbers say what the model expects of a gene with such marks. It has learnt which marks go along with
expression, not which of them cause it. Intervals were learnt from measured genes; no edited gene was ever measured.
</p>"""
_SETTLE = 0.2  # seconds without another step, before pictures are drawn
_TYPING = 0.3  # seconds without another key: on the way to TP53 lies T, also a gene
_PICTURES, _NAMES = "pictures", "names"


class PerturbationLab(Panel):
    """Scale the marks of a gene and of its neighbours with sliders, and see the prediction move.

    Beside the sliders are predicted expression and probability, from the measured to the edited state, each with its
    interval, and the dose-response curve of what was moved last; beneath is the edited signal over the measured. A
    second gene takes the same edits beside the first. Nothing is written to the data or the model.

    Parameters
    ----------
    adata
        Normalised genes by bins with ``layers["signal"]``, and the graph of a model that hears neighbours.
    model
        A trained model of these columns.
    gene
        Id or symbol to begin with; ``None`` begins with the first gene.

    Attributes
    ----------
    gene : str
        Id of the gene. May be set, also to a symbol.
    other : str or None
        Id of the gene to compare with. May be set, also to a symbol.
    edits : list of Edit
        What the sliders do, without those that stand at 1.
    result : pandas.DataFrame
        What :func:`simplechrome_tk.tl.perturb` said last, one row per gene.
    code : str
        The Python that does the same.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the data do not fit the model, the signal was not kept, or the gene is unknown.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> model = sct.SimpleChrome(adata, n_latent=4)
    >>> model.train(latent_epochs=1, expression_epochs=1, progress=False)
    >>> lab = sct.widgets.PerturbationLab(adata, model, gene="SIM0007")
    >>> lab.set_factor(0.5, mark="H3K4me3", region="tss")
    >>> lab.edits
    [Edit(action='scale', value=0.5, mark='H3K4me3', region='tss', start=None, end=None, of='gene')]
    """

    gene = traitlets.Unicode()
    other = traitlets.Unicode(None, allow_none=True)

    def __init__(self, adata: ad.AnnData, model: SimpleChrome, *, gene: str | None = None) -> None:
        check_order(adata, model, "sct.widgets.PerturbationLab(adata, model)")
        bench_of(model, adata)
        first = 0 if gene is None else gene_row(adata, gene)
        super().__init__()
        self._adata, self._model = adata, model
        self._key = model.settings.neighbors_key
        expression = model.settings.expression_key
        known = expression_truth(adata, expression) if expression in adata.obs else np.empty(0)
        self._scale = expression_scale(known)
        self._typed = False
        self._calls: dict[str, str] = {}
        self._reaches: dict[str, frozenset[str]] = {}
        self.result: pd.DataFrame | None = None
        self._doses = Doses(adata, hears=self._key is not None, changed=self._moved)
        self._last = self._doses.first()
        self._make_controls()
        self.observe(self._turn, names="gene")
        self.observe(self._compared, names="other")
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
            tooltip="Python that does the same: select all of it and copy",
            layout=ipywidgets.Layout(width="99%"),
        )
        wrapped = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        self._doses.layout = ipywidgets.Layout(flex="1 1 400px", min_width="380px")
        shown = ipywidgets.VBox(
            [self._predicted, self._note, self._curve], layout=ipywidgets.Layout(flex="1 1 330px", min_width="300px")
        )
        beside = ipywidgets.Layout(flex_flow="row wrap", grid_gap="20px")
        self._fill(
            ipywidgets.HTML(_WHAT_IT_IS),
            ipywidgets.HBox([self._pick, self._pick_other, reset], layout=wrapped),
            ipywidgets.HBox([self._doses, shown], layout=beside),
            self._tracks,
            self._code,
        )
        self._pick.observe(partial(self._named, self._pick, "gene"), names="value")
        self._pick_other.observe(partial(self._named, self._pick_other, "other"), names="value")

    @traitlets.validate("gene", "other")
    def _one(self, proposal: Any) -> str | None:
        name = proposal["value"]
        return None if name is None else str(self._adata.obs_names[gene_row(self._adata, name)])

    @property
    def edits(self) -> list[Edit]:
        """What the sliders do, without those that stand at 1."""
        return self._doses.edits

    @property
    def code(self) -> str:
        """The Python that does the same."""
        return edit_code([([self._call(gene) for gene in genes], edits) for genes, edits in self._trial().by_edits()])

    def set_factor(
        self, factor: float, *, mark: str | None = None, region: str | None = None, of: str = "gene"
    ) -> None:
        """Move a slider: that of a mark in a region, or with ``of`` that of ``"neighbors"`` or of one, by its symbol.

        Parameters
        ----------
        factor
            Times the measured signal, from 0 to 3.
        mark, region
            Which slider; ``None`` for neighbours, all of whose marks are scaled.
        of
            ``"gene"``, ``"neighbors"`` or a neighbour that has a slider.

        Raises
        ------
        ValueError
            When there is no such slider, or the factor lies outside.
        """
        self._doses.set_factor(Dose(mark, region, of), factor)

    def reset(self) -> None:
        """Move every slider back to 1."""
        self._doses.reset()

    def figure(self) -> Figure:
        """Draw the predictions, the curve of what was moved last and the edited signal with matplotlib."""
        return self._trial().figure()

    def _named(self, picker: GenePicker, trait: str, change: Any) -> None:
        """Turn to the gene that is named in full; where none begins so, say which are close."""
        if picker.row is not None or not change["new"].strip():
            name = None if picker.row is None else str(self._adata.obs_names[picker.row])
            turn = partial(self._set, trait)
            self._do(trait, "Turning to the gene", lambda: name, turn, thread=_NAMES, settle=_TYPING)
        elif not picker.options:
            self._do(trait, "Looking for the gene", picker.require, lambda _: None, thread=_NAMES, settle=_TYPING)

    def _set(self, trait: str, name: str | None) -> None:
        """Turn to a gene that was typed, and leave the text as it is, since it may be typed on."""
        if name is not None or trait == "other":
            self._typed = True
            try:
                setattr(self, trait, name)
            finally:
                self._typed = False

    def _write(self, picker: GenePicker, gene: str | None) -> None:
        """Show which gene was set from Python."""
        if not self._typed:
            picker.value = "" if gene is None else picker.names[self._adata.obs_names.get_loc(gene)]

    def _turn(self, _: Any) -> None:
        """Show the sliders of the gene's neighbours."""
        self._write(self._pick, self.gene)
        if self._key is not None:
            self._doses.show_neighbors(get.neighbors(self._adata, neighbors_key=self._key, genes=self.gene))
        if self._last not in self._doses.sliders:  # a neighbour of the gene before
            self._last = self._doses.first()
        self._compared(None)

    def _compared(self, _: Any) -> None:
        """Say which marks the genes carry, and predict them."""
        self._write(self._pick_other, self.other)
        trial = self._trial()
        self._doses.show_carried(trial.signal())
        self._ask(trial)

    def _moved(self, dose: Dose | None) -> None:
        self._last = self._last if dose is None else dose
        self._ask(self._trial())

    def _trial(self) -> Trial:
        """Return what the controls ask for now."""
        genes = [gene for gene in dict.fromkeys((self.gene, self.other)) if gene is not None]
        rows = self._adata.obs_names.get_indexer(genes)
        return Trial(
            self._adata,
            self._model,
            dict(zip(genes, self._pick.names[rows], strict=True)),
            {gene: self._reach(gene) for gene in genes},
            self.edits,
            self._last,
            self._doses.name(self._last),
            self._doses.factor(self._last),
        )

    def _reach(self, gene: str) -> frozenset[str]:
        """Return whom edits can be of when this gene is predicted; kept, since every step of a slider asks."""
        if self._key is None:
            return frozenset({GENE})
        if gene not in self._reaches:
            table = get.neighbors(self._adata, neighbors_key=self._key, genes=gene)
            everyone = [NEIGHBORS] if len(table) else []
            self._reaches[gene] = frozenset({GENE, *everyone, *table["neighbor"], *table["neighbor_symbol"]})
        return self._reaches[gene]

    def _call(self, gene: str) -> str:
        """Return the symbol of a gene where it names this gene alone, else its id."""
        if gene not in self._calls:
            symbol = str(symbols(self._adata)[self._adata.obs_names.get_loc(gene)])
            self._calls[gene] = symbol if len(gene_rows(self._adata, symbol)) == 1 else gene
        return self._calls[gene]

    def _ask(self, trial: Trial) -> None:
        self._do("number", "Predicting", trial.predict, partial(self._show, trial))

    def _show(self, trial: Trial, result: pd.DataFrame) -> None:
        """Show the numbers, and ask for the pictures."""
        self.result = result
        self._predicted.value = trial.numbers(result, self._scale)
        self._note.value = f"<p>{html.escape(trial.left_out())}</p>"
        self._code.value = self.code
        self._code.rows = self._code.value.count("\n") + 2
        for pane, draw, shown in (("curve", trial.curve, self._curve), ("tracks", trial.tracks, self._tracks)):
            settle = _SETTLE if pane == "curve" else 0
            self._do(pane, "Drawing", draw, partial(setattr, shown, "value"), thread=_PICTURES, settle=settle)
