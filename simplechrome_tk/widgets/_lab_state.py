"""State of the perturbation lab at one moment: genes and edits, and the predictions and pictures made from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk import pl
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import values
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.pl._figure import new_figure, subplots
from simplechrome_tk.pl._style import literal, unit
from simplechrome_tk.pl.genes._edited import draw_edited
from simplechrome_tk.pl.perturbation._dose_response import draw_dose_response
from simplechrome_tk.pl.perturbation._perturb import draw_perturb
from simplechrome_tk.tl.perturbation._dose_response import predict_factors
from simplechrome_tk.tl.perturbation._edit import GENE, NEIGHBORS, Edit
from simplechrome_tk.tl.perturbation._perturb import predict_edits
from simplechrome_tk.widgets._lab_predictions import Measured, predictions_html
from simplechrome_tk.widgets._panel import picture

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.perturbation._edit_session import EditSession
    from simplechrome_tk.widgets._lab_predictions import Scale
    from simplechrome_tk.widgets._lab_sliders import SliderTarget

_DOSES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class LabState:
    """Genes and edits at one moment; another thread computes and draws them while the controls move on."""

    adata: ad.AnnData
    model: SimpleChrome
    session: EditSession
    names: dict[str, str]
    """Names of the genes, by id."""
    editable: dict[str, frozenset[str]]
    """For each gene, the values of ``on`` that its edits can have: the gene itself, and its neighbours."""
    edits: list[Edit]
    last: SliderTarget
    """Target of the slider that was moved last."""
    last_name: str
    factor: float
    """Factor of the slider that was moved last."""

    def edits_of(self, gene: str) -> list[Edit]:
        """Return the edits that apply to a gene: those of itself, and of neighbours that it has."""
        return [edit for edit in self.edits if edit.on in self.editable[gene]]

    def by_edits(self) -> list[tuple[list[str], list[Edit]]]:
        """Group genes, by id, to which the same edits apply."""
        groups: list[tuple[list[str], list[Edit]]] = []
        for gene in self.names:
            edits = self.edits_of(gene)
            same = [genes for genes, others in groups if others == edits]
            if same:
                same[0].append(gene)
            else:
                groups.append(([gene], edits))
        return groups

    def predict(self) -> pd.DataFrame:
        """Predict the genes before and after."""
        tables = [
            predict_edits(self.session, self.model, edits or [Edit.scale(1)], genes=genes)
            for genes, edits in self.by_edits()
        ]
        return pd.concat(tables, ignore_index=True)

    def inapplicable_edits(self) -> str:
        """Return sentences about edits that do not apply to a gene."""
        sentences = []
        for gene, name in self.names.items():
            missing = [edit.on for edit in self.edits if edit.on not in self.editable[gene]]
            neighbors = ", ".join(dict.fromkeys("any neighbour" if on == NEIGHBORS else on for on in missing))
            if missing:
                sentences.append(f"{name} does not have {neighbors} in the graph: these edits do not apply to it.")
        return " ".join(sentences)

    def signal(self) -> dict[str, np.ndarray]:
        """Return the measured signal of each gene, ``(n_columns,)``, by its name."""
        rows = gene_rows(self.adata, list(self.names))
        return dict(zip(self.names.values(), values(self.adata, k.SIGNAL)[rows], strict=True))

    def numbers(self, result: pd.DataFrame, scale: Scale) -> str:
        """Return the predictions as HTML."""
        return predictions_html(result.to_dict("records"), [self._measured(gene) for gene in self.names], scale)

    def curve(self) -> str:
        """Draw the dose-response curve of the last target; return an empty text where no gene has it."""
        table = self._responses()
        alt = f"Prediction over doses of {self.last_name}, with the present dose marked"
        if table is None:
            return ""
        return picture(lambda: self._draw_curve(table, subplots(figsize=(4.8, 3.0), layout="constrained")[1]), alt)

    def tracks(self) -> str:
        """Draw the edited signal of each gene over the measured one."""
        parts = []
        for gene, name in self.names.items():
            draw = partial(pl.edited, self.adata, self._edited(gene), gene)
            drawn = picture(draw, f"Signal of {name} along the gene, measured and edited")
            parts.append(f'<div style="flex: 1 1 480px; max-width: 864px">{drawn}</div>')
        return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{"".join(parts)}</div>'

    def figure(self) -> Figure:
        """Draw predictions, dose-response curve and signal on one figure."""
        result, table = self.predict(), self._responses()
        heights = [3.4, *[0.62 * self.adata.var[k.MARK].nunique() + 1.1] * len(self.names)]
        figure = new_figure(figsize=(10.5, sum(heights)))
        top, *below = np.asarray(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))[:, 0]
        left = draw_perturb(result, value=self._value, ax=top.add_axes((0.11, 0.24, 0.24, 0.6)))
        left.set_xlabel(self._in_unit(left.get_xlabel()), fontsize="small")
        if table is not None:
            self._draw_curve(table, top.add_axes((0.6, 0.24, 0.37, 0.6)))
        for part, gene in zip(below, self.names, strict=True):
            draw_edited(part, self.adata, self._edited(gene), gene)
        return figure

    @property
    def _value(self) -> str:
        return "probability" if self.model.settings.task == "classification" else "log_expression"

    def _others(self) -> list[Edit]:
        """Return the edits except that of the last target."""
        return [edit for edit in self.edits if replace(edit, value=1.0) != self.last.edit(1.0)]

    def _responses(self) -> pd.DataFrame | None:
        """Predict over factors of the last target, with all other edits at each factor."""
        tables = []
        for gene in self.names:
            if self.last.on in self.editable[gene]:
                others = [edit for edit in self._others() if edit.on in self.editable[gene]]
                factors = sorted({*_DOSES, self.factor})
                edit = self.last.edit(1.0)
                tables.append(
                    predict_factors(self.session, self.model, edit, factors=factors, genes=gene, edits=others)
                )
        return pd.concat(tables, ignore_index=True) if tables else None

    def _draw_curve(self, table: pd.DataFrame, ax: Axes) -> None:
        draw_dose_response(table, value=self._value, factor=self.factor, ax=ax)
        ax.legend(frameon=False, fontsize="small")
        ax.set_xlabel(literal(f"{self.last_name} (times measured)"))
        ax.set_ylabel(self._in_unit(ax.get_ylabel()), fontsize="small")
        if self._others():
            ax.set_title("with the other edits at each dose", fontsize="small", loc="left")

    def _in_unit(self, label: str) -> str:
        """Return the label of an axis with the unit of expression."""
        return label.replace("(expression", f"({literal(unit(self.adata, k.EXPRESSION) or 'expression')}")

    def _edited(self, gene: str) -> ad.AnnData:
        own = [edit for edit in self.edits if edit.on == GENE]
        return self.session.to_named_adata(self.session.make_batches(gene_rows(self.adata, gene), own)[1])

    def _measured(self, gene: str) -> Measured:
        obs = self.adata.obs.loc[gene]
        settings = self.model.settings
        expression = float(obs.get(settings.expression_key, np.nan))
        label = obs.get(settings.label_key)
        label = "" if pd.isna(label) else str(label)
        return Measured(self.names[gene], expression, label, unit(self.adata, k.EXPRESSION))
