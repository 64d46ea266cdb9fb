"""Names of genes, marks and cell types in every plot are drawn letter by letter."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import cbook
from matplotlib.text import Text

import simplechrome_tk as sct
from simplechrome_tk.pl._style import literal
from simplechrome_tk.widgets._explorer_colors import color
from simplechrome_tk.widgets._explorer_panes import map_figure

MARKS = ("$\\frac{$", "_H3^{K}4", "50%$x_1$")
"""What the first three marks are called; the other two keep their names."""
CELLS = ("$a_{$", "_b^% $")
GENE = "$G\\alpha_0{$"


@pytest.fixture(scope="module")
def named():
    """Two cell types, one model, attributions and all that plots need, under names that look like mathematics."""
    windows = [sct.pp.Window("tss", "tss", 6_000, 6_000, n_bins=12), sct.pp.Window("body", "body", 0, 0, n_bins=4)]
    one = sct.datasets.simulate(200, windows=windows)
    kept = ("H3K4me3", "H3K27me3")
    other = [mark for mark in one.var["mark"].cat.categories if mark not in kept]
    one.var["mark"] = one.var["mark"].cat.rename_categories(dict(zip(other, MARKS, strict=True)))
    one.var_names = [f"{mark}:{n}" for n, mark in enumerate(one.var["mark"].astype(str))]
    one.obs["symbol"] = [f"$G\\alpha_{n}{{$" for n in range(one.n_obs)]
    adata = sct.pp.stack_cell_types(dict.fromkeys(CELLS, one))
    adata.obs["expression"] *= np.repeat([1.0, 3.0], one.n_obs)
    adata.obs["group_$x_{$"] = pd.Categorical(np.tile(CELLS, one.n_obs))
    adata.uns["units"] = {"signal": "reads_$\\frac{$", "expression": "$R_{$PKM"}
    sct.pp.qc(adata)
    sct.pp.split_by_chromosome(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=3)
    sct.pp.normalize(adata)
    model = sct.SimpleChrome(adata, n_latent=4, neighbors_key="tss")
    model.train(latent_epochs=1, expression_epochs=1, context_epochs=1, progress=False)
    sct.tl.attribute(adata, model, n_steps=2, progress=False)
    sct.tl.interactions(adata, model, progress=False)
    sct.tl.embed(adata, model)
    sct.tl.name_states(adata, groupby=None)
    sct.tl.latent_dimensions(adata, model)
    sct.tl.latent_quality(adata, groupby=GROUP, splits=None)
    sct.tl.mixing(adata)
    sct.tl.reconstruction(adata, model)
    sct.tl.traverse(adata, model)
    sct.tl.contrast(adata, model, of=CELLS[0], against=CELLS[1], n_explained=200, n_steps=2, progress=False)
    sct.tl.place(placed := adata.copy(), adata, model)
    return adata, model, placed


GROUP = "group_$x_{$"
CALLS = {
    "attribution_shares": (lambda a, m, p: sct.pl.attribution_shares(a, groupby=GROUP), CELLS),
    "browser": (lambda a, m, p: sct.pl.browser(a, gene(a)), (*MARKS, GENE)),
    "calibration": (lambda a, m, p: sct.pl.calibration(a, {CELLS[1]: m.predict(a)}), CELLS[1:]),
    "check_attributions": (
        lambda a, m, p: sct.pl.check_attributions(sct.tl.check_attributions(a, m, n_genes=16, copy=True)),
        (),
    ),
    "compare": (
        lambda a, m, p: sct.pl.compare(
            sct.evaluation.compare(a, {MARKS[0]: m.predict(a), MARKS[1]: m.predict(a)}, reference=MARKS[1])
        ),
        (*MARKS[:2], *CELLS),
    ),
    "contrast": (lambda a, m, p: sct.pl.contrast(a), (*CELLS, "$R_{$PKM")),
    "contrast_browser": (lambda a, m, p: sct.pl.contrast_browser(a, gene(a)), (*MARKS, *CELLS, GENE)),
    "contrast_marks": (lambda a, m, p: sct.pl.contrast_marks(a), (*MARKS, *CELLS, "$R_{$PKM")),
    "dose_response": (
        lambda a, m, p: sct.pl.dose_response(sct.tl.dose_response(a, m, MARKS[0], genes=gene(a), copy=True)),
        (MARKS[0], GENE),
    ),
    "edited": (
        lambda a, m, p: sct.pl.edited(a, sct.tl.apply_edits(a, sct.tl.Edit.scale(2), copy=True), gene(a)),
        (*MARKS, GENE),
    ),
    "effect_map": (lambda a, m, p: sct.pl.effect_map(a, groupby=GROUP), (*MARKS, *CELLS, GROUP)),
    "gene": (lambda a, m, p: sct.pl.gene(a, gene(a)), (*MARKS, GENE, CELLS[0])),
    "history": (lambda a, m, p: sct.pl.history(m.history.assign(phase=MARKS[0])), MARKS[:1]),
    "interactions": (lambda a, m, p: sct.pl.interactions(a, groupby=GROUP), (*MARKS, *CELLS, GROUP)),
    "latent_correlations": (lambda a, m, p: sct.pl.latent_correlations(a), MARKS),
    "latent_dimensions": (lambda a, m, p: sct.pl.latent_dimensions(a), ()),
    "latent_quality": (lambda a, m, p: sct.pl.latent_quality(a), (GROUP,)),
    "mark_effects": (lambda a, m, p: sct.pl.mark_effects(a, groupby=GROUP), (*MARKS, *CELLS, GROUP)),
    "mark_profiles": (lambda a, m, p: sct.pl.mark_profiles(a, groupby=GROUP), (*MARKS, *CELLS, GROUP)),
    "mixing": (lambda a, m, p: sct.pl.mixing(a), CELLS),
    "movement": (lambda a, m, p: sct.pl.movement(a, *CELLS, n_named=400), CELLS),
    "neighbor_effects": (lambda a, m, p: sct.pl.neighbor_effects(a, gene(a)), (GENE,)),
    "perturb": (
        lambda a, m, p: sct.pl.perturb(sct.tl.perturb(a, m, sct.tl.Edit.scale(2), genes=gene(a), copy=True)),
        (GENE,),
    ),
    "place": (lambda a, m, p: sct.pl.place(p, a, color=GROUP), (*CELLS, GROUP)),
    "qc": (lambda a, m, p: sct.pl.qc(a), (*MARKS, *CELLS)),
    "reconstruction": (lambda a, m, p: sct.pl.reconstruction(a), (*MARKS, *CELLS)),
    "roc_and_precision_recall": (
        lambda a, m, p: sct.pl.roc_and_precision_recall(a, {CELLS[1]: m.predict(a)}),
        CELLS[1:],
    ),
    "saturate": (
        lambda a, m, p: sct.pl.saturate(sct.tl.saturate(a, m, gene(a), copy=True)),
        (*MARKS, GENE),
    ),
    "state_changes": (lambda a, m, p: sct.pl.state_changes(a, *CELLS), CELLS),
    "states": (lambda a, m, p: sct.pl.states(a, groupby=GROUP), CELLS),
    "traverse": (lambda a, m, p: sct.pl.traverse(a), MARKS),
    "traverse, one dimension": (lambda a, m, p: sct.pl.traverse(a, 0), MARKS),
}


def gene(adata):
    return str(adata.obs_names[0])


def written():
    """What all figures say, and of it what is taken for mathematics."""
    words, mathematics = [], []
    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.draw_without_rendering()
        for text in figure.findobj(Text):
            words.append(text.get_text().replace(r"\$", "$"))
            if cbook.is_math_text(text.get_text()) and r"\mathdefault" not in text.get_text():
                mathematics.append(text.get_text())
    return words, mathematics


def test_every_plot_is_tried():
    assert {name.split(",")[0] for name in CALLS} == set(sct.pl.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_names_are_drawn_letter_by_letter(named, name):
    draw, expected = CALLS[name]
    draw(*named)
    words, mathematics = written()
    assert mathematics == []
    for part in expected:
        assert any(part in word for word in words), part


def test_the_map_of_the_explorer_is_drawn_letter_by_letter():
    groups = pd.Series(pd.Categorical(np.tile(["$a_{$", "_b"], 5)))
    map_figure(np.random.default_rng(0).normal(size=(10, 2)), "$x_{$", color(groups), np.array([1]))
    words, mathematics = written()
    assert mathematics == []
    assert {"$x_{$", "$a_{$ (5)", " _b (5)"} <= set(words)


@pytest.mark.parametrize("name", ["$", "$$", "\\$", "a$b$c", "\\\\$x$", "_x", "", "plain", "100 %", "{}", "$\\frac{$"])
def test_literal_text_is_what_it_was(name):
    text = plt.figure().text(0, 0, literal(name))
    assert not cbook.is_math_text(text.get_text())
    assert text._preprocess_math(text.get_text())[0].removeprefix(" ") == name
