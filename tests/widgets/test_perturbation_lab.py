"""The perturbation lab, driven through its traits: what it says is what `tl` says, whatever is done to it."""

from __future__ import annotations

import ast
import html
import re
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from builders import assert_same_table

import simplechrome_tk as sct
from simplechrome_tk.pl._style import distance
from simplechrome_tk.tl import Edit
from simplechrome_tk.widgets import _perturbation_lab
from simplechrome_tk.widgets._lab_code import edit_code
from simplechrome_tk.widgets._lab_predictions import Measured, amount, expression_scale, predictions_html
from simplechrome_tk.widgets._lab_sliders import SliderTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import anndata as ad

K4, K36 = "H3K4me3", "H3K36me3"
A, B = "SIM0017", "SIM0301"
A_ID, B_ID = "ENSG00000026486", "ENSG00000162204"


def prepare(adata: ad.AnnData) -> ad.AnnData:
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    return adata


def trained(adata: ad.AnnData, **kwargs: object) -> sct.SimpleChrome:
    model = sct.SimpleChrome(adata, n_latent=6, n_hidden=32, **kwargs)
    model.train(latent_epochs=1, expression_epochs=3, progress=False)
    return model


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    return prepare(sct.datasets.simulate(600))


@pytest.fixture(scope="module")
def model(adata: ad.AnnData) -> sct.SimpleChrome:
    return trained(adata, neighbors_key="tss")


@pytest.fixture
def open_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., sct.widgets.PerturbationLab]]:
    monkeypatch.setattr(_perturbation_lab, "_PICTURE_DELAY", 0)
    monkeypatch.setattr(_perturbation_lab, "_TYPING_DELAY", 0.02)
    made = []

    def make(*args: object, **kwargs: object) -> sct.widgets.PerturbationLab:
        made.append(sct.widgets.PerturbationLab(*args, **kwargs))
        made[-1].wait(30)
        return made[-1]

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def lab(adata, model, open_lab) -> sct.widgets.PerturbationLab:
    return open_lab(adata, model, gene=A)


def text(lab: sct.widgets.PerturbationLab) -> str:
    """Return the numbers as they are read."""
    plain = re.sub(r"<(style|svg).*?</\1>", "", lab._predicted.value, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", plain))


def status(lab: sct.widgets.PerturbationLab) -> str:
    return html.unescape(re.sub("<[^>]+>", "", lab._status.value))


def predict_edited(adata: ad.AnnData, model: sct.SimpleChrome, edits: object, **kwargs: object) -> pd.DataFrame:
    return sct.tl.perturb(adata, model, edits, **kwargs, copy=True).uns["perturb"]


def nearest(adata: ad.AnnData, gene: str) -> pd.DataFrame:
    return sct.get.neighbors(adata, genes=gene)


def test_what_it_says_is_what_perturb_says(adata, model, lab):
    lab.set_factor(0.5, mark=K4, region="tss")
    lab.set_factor(2.5, mark=K36, region="body")
    lab.wait(30)
    edits = [Edit.scale(0.5, mark=K4, region="tss"), Edit.scale(2.5, mark=K36, region="body")]
    assert lab.edits == edits
    expected = predict_edited(adata, model, edits, genes=A)
    assert_same_table(lab.result, expected)
    row = expected.iloc[0]
    old, new = (amount(max(10 ** row[f"log_expression_{when}"] - 0.1, 0)) for when in ("before", "after"))
    assert f"{old} → {new}" in text(lab)
    bounds = [amount(max(10 ** row[f"log_expression_{bound}_after"] - 0.1, 0)) for bound in ("low", "high")]
    assert f"90 % interval {bounds[0]} to {bounds[1]}" in text(lab)
    assert f"{row['log_expression_before']:.2f} → {row['log_expression_after']:.2f}" in text(lab)
    assert f"{row['probability_before']:.3f} → {row['probability_after']:.3f}" in text(lab)
    assert f"interval {row['probability_low_after']:.3f} to {row['probability_high_after']:.3f}" in text(lab)
    assert status(lab) == ""


def test_opened_it_shows_the_measured_state(adata, model, lab):
    assert lab.edits == []
    predicted = model.predict().loc[A_ID]
    assert lab.result["log_expression_after"].iloc[0] == pytest.approx(predicted["log_expression"], abs=1e-5)
    assert lab.result["log_expression_change"].iloc[0] == 0
    assert "→" not in text(lab)
    assert f"measured {amount(adata.obs.loc[A_ID, 'expression'])}" in text(lab)
    assert f"labelled {adata.obs.loc[A_ID, 'label']}" in text(lab)
    assert "no edited gene was ever measured" in re.sub(r"\s+", " ", lab.children[2].value)
    for shown, name in ((lab._curve, "H3K4me3 around the TSS"), (lab._tracks, A)):
        assert name in re.search('alt="([^"]+)"', shown.value)[1]


def test_a_slider_moves_number_curve_and_tracks(lab):
    before = [lab._predicted.value, lab._curve.value, lab._tracks.value]
    lab._sliders.sliders[SliderTarget(K36, "body")].value = 0.2
    lab.wait(30)
    after = [lab._predicted.value, lab._curve.value, lab._tracks.value]
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert "H3K36me3 along the gene body" in lab._curve.value
    lab.reset()
    lab.wait(30)
    assert lab.edits == []
    assert lab._predicted.value == before[0]
    assert lab._tracks.value == before[2]


def test_the_curve_passes_through_the_number(adata, lab):
    lab.set_factor(0.3, mark=K36, region="body")
    lab.set_factor(1.7, on="neighbors")
    lab.set_factor(0.4, mark=K4, region="tss")
    lab.wait(30)
    table = lab._current_state()._responses().set_index("factor")
    assert table.loc[0.4, "log_expression"] == pytest.approx(lab.result["log_expression_after"].iloc[0], abs=1e-5)
    lab.set_factor(2.2, on=nearest(adata, A)["neighbor_symbol"].iloc[0])
    lab.wait(30)
    table = lab._current_state()._responses().set_index("factor")
    assert table["mark"].unique().tolist() == ["all marks"]
    assert table.loc[2.2, "log_expression"] == pytest.approx(lab.result["log_expression_after"].iloc[0], abs=1e-5)


def test_neighbours_are_offered_nearest_first_and_change_with_the_gene(adata, model, lab):
    table = nearest(adata, A)
    offered = [slider.description for slider in lab._sliders._neighbor_box.children]
    expected = zip(table["neighbor_symbol"], table["distance_bp"], strict=True)
    assert offered == [f"{name} ({distance(bp)})" for name, bp in expected]
    lab.set_factor(2, mark=K4, region="tss")
    lab.set_factor(0, on=table["neighbor_symbol"].iloc[1])
    lab.wait(30)
    assert table["neighbor_symbol"].iloc[1] in lab._curve.value
    expected = predict_edited(
        adata,
        model,
        [Edit.scale(2, mark=K4, region="tss"), Edit.scale(0, on=table["neighbor"].iloc[1])],
        genes=A,
    )
    assert lab.result["log_expression_after"].iloc[0] == pytest.approx(
        expected["log_expression_after"].iloc[0], abs=1e-5
    )
    lab.gene = B
    lab.wait(30)
    assert lab.edits == [Edit.scale(2, mark=K4, region="tss")], "the neighbour was the other gene's"
    assert lab.result["gene"].tolist() == [B_ID]
    assert lab._sliders._neighbor_box.children[0].description.startswith(nearest(adata, B)["neighbor_symbol"].iloc[0])
    assert status(lab) == ""
    assert "H3K4me3 around the TSS" in lab._curve.value, "what was moved last is no longer there"


def test_more_neighbours_than_sliders_are_counted(adata, open_lab):
    many = adata.copy()
    sct.pp.tss_neighbors(many, n_neighbors=13)
    lab = open_lab(many, trained(many, neighbors_key="tss"), gene=A)
    n_neighbors = len(nearest(many, A))
    assert n_neighbors > 10
    assert len(lab._sliders._neighbor_box.children) == 10
    assert f"{n_neighbors - 10} more are farther away" in lab._sliders._more_neighbors.value


def test_two_genes_take_the_same_edits(adata, model, lab):
    lab.set_factor(0.5, mark=K4, region="tss")
    lab.other = B
    lab.wait(30)
    expected = predict_edited(adata, model, lab.edits, genes=[A, B])
    assert_same_table(lab.result, expected)
    assert lab._predicted.value.count('class="sct-change"') == 2
    assert lab._tracks.value.count("<img") == 2
    own = nearest(adata, A)["neighbor_symbol"].iloc[0]
    lab.set_factor(3, on=own)
    lab.wait(30)
    assert f"{B} does not have {own}" in lab._note.value
    alone = predict_edited(adata, model, lab.edits[:1], genes=B)
    assert lab.result["log_expression_after"].iloc[1] == pytest.approx(alone["log_expression_after"].iloc[0], abs=1e-6)
    assert lab.code.count("sct.tl.perturb") == 2
    lab.other = None
    lab.wait(30)
    assert lab.result["gene"].tolist() == [A_ID]
    assert "does not have" not in lab._note.value


@pytest.mark.parametrize("with_neighbors", [False, True])
def test_the_code_does_the_same(adata, model, lab, with_neighbors):
    lab.other = B
    lab.set_factor(0.3, mark=K4, region="tss")
    if with_neighbors:
        lab.set_factor(2, on="neighbors")
        lab.set_factor(1.4, on=nearest(adata, A)["neighbor_symbol"].iloc[0])
    lab.wait(30)
    assert lab._code.value == lab.code
    scope = {"model": model, "adata": adata.copy()}
    exec(lab.code, scope)
    tables = [scope["adata"].uns[key] for key in (["perturb", "perturb_2"] if with_neighbors else ["perturb"])]
    assert_same_table(pd.concat(tables, ignore_index=True), lab.result, atol=1e-6)
    lab.reset()
    lab.wait(30)
    exec(lab.code, scope)
    assert "nothing is edited" in lab.code


HOSTILE = "X\nimport os\r\nos.system('x')  # \"\\ \x0c \u2028"


@pytest.mark.parametrize("edits", [[], [Edit.scale(0.5, mark=HOSTILE, region=HOSTILE, on=HOSTILE)]])
@pytest.mark.parametrize("genes", [[HOSTILE], [HOSTILE, "B"]])
def test_no_name_becomes_a_line_of_code(edits, genes):
    tree = ast.parse(edit_code([(genes, edits)]))
    assert len(tree.body) == (3 if edits else 1)
    assert [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names] == [
        "simplechrome_tk"
    ]
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert texts.count(HOSTILE) == (4 if edits else 0)


def test_marks_that_a_gene_does_not_carry_are_told_and_kept(adata, model, open_lab):
    silent = adata.copy()
    k4 = ((silent.var["mark"] == K4) & (silent.var["region"] == "tss")).to_numpy()
    silent.layers["signal"][adata.obs_names.get_loc(A_ID), k4] = 0
    constants = silent.uns["normalize"]
    silent.X[adata.obs_names.get_loc(A_ID), k4] = -constants["center"][0] / constants["scale"][0]
    lab = open_lab(silent, model, gene=A)
    assert f"{A} has no H3K4me3 around the TSS: scaling changes nothing there" in lab._sliders._absent.value
    slider = lab._sliders.sliders[SliderTarget(K4, "tss")]
    assert "sct-absent" in slider._dom_classes
    lab.set_factor(3, mark=K4, region="tss")
    lab.wait(30)
    assert lab.result["log_expression_change"].iloc[0] == 0
    lab.gene = B
    lab.wait(30)
    assert "sct-absent" not in slider._dom_classes
    assert "around the TSS" not in lab._sliders._absent.value


def test_genes_by_typing_and_unknown_ones(adata, lab):
    lab._pick.value = B.lower()
    lab.wait(30)
    assert lab.gene == B_ID
    assert lab._pick.value == B.lower(), "it may be typed on"
    lab._pick.value = "SIM03011"
    lab.wait(30)
    assert "no gene 'SIM03011'" in status(lab)
    assert re.search("did you mean .*SIM0301", status(lab))
    assert lab.gene == B_ID
    lab.set_factor(2, mark=K4, region="tss")
    lab.wait(30)
    assert lab.result["log_expression_change"].iloc[0] != 0, "sliders work beside the mistake"
    lab._pick.value = A
    lab._pick_other.value = B
    lab.wait(30)
    assert status(lab) == ""
    assert lab.result["gene"].tolist() == [A_ID, B_ID]
    lab._pick_other.value = ""
    lab.wait(30)
    assert lab.other is None
    lab.gene = B
    assert lab._pick.value == B
    lab._pick.value = A.lower()
    lab.wait(30)
    with pytest.raises(ValueError, match="no gene 'nobody'"):
        lab.gene = "nobody"
    assert lab.gene == A_ID


def test_sliders_that_are_not_there(lab):
    with pytest.raises(ValueError, match="H3K99"):
        lab.set_factor(2, mark="H3K99", region="tss")
    with pytest.raises(ValueError, match=r"no slider of .* on='nobody'; there are .*on='neighbors'"):
        lab.set_factor(2, on="nobody")
    with pytest.raises(ValueError, match="factor is 4"):
        lab.set_factor(4, mark=K4, region="tss")
    assert lab.edits == []


@pytest.mark.parametrize(("task", "there", "missing"), [
    ("classification", "Probability of high", "Predicted expression"),
    ("regression", "Predicted expression", "Probability of high"),
])  # fmt: skip
def test_models_of_one_task_without_neighbours(adata, open_lab, task, there, missing):
    lab = open_lab(adata, trained(adata, task=task), gene=A)
    assert there in text(lab)
    assert missing not in text(lab)
    assert {target.on for target in lab._sliders.sliders} == {"gene"}
    assert lab._curve.value.startswith("<img")
    assert len(lab.figure().axes) == 2 + 10


def test_models_and_data_that_do_not_fit(adata, model):
    with pytest.raises(RuntimeError, match="not trained"):
        sct.widgets.PerturbationLab(adata, sct.SimpleChrome(adata))
    with pytest.raises(ValueError, match="columns"):
        sct.widgets.PerturbationLab(adata[:, adata.var["mark"] != K4].copy(), model)
    lost = adata.copy()
    del lost.layers["signal"]
    with pytest.raises(ValueError, match="layers has no 'signal'"):
        sct.widgets.PerturbationLab(lost, model)
    with pytest.raises(TypeError, match="expected a SimpleChrome"):
        sct.widgets.PerturbationLab(adata, "model")
    with pytest.raises(ValueError, match="no gene 'nobody'"):
        sct.widgets.PerturbationLab(adata, model, gene="nobody")


def test_missing_signal_is_a_sentence_and_the_next_gene_works(adata, model, open_lab):
    broken = adata.copy()
    broken.layers["signal"][adata.obs_names.get_loc(A_ID), 3] = np.nan
    lab = open_lab(broken, model, gene=A)
    assert f"missing or infinite signal, such as '{A_ID}'" in status(lab)
    assert lab.result is None
    far = adata.obs_names[adata.obs["chrom"] != adata.obs.loc[A_ID, "chrom"]][0]
    lab.gene = far
    lab.wait(30)
    assert status(lab) == ""
    assert lab.result["gene"].tolist() == [far]


def test_genes_without_label_expression_or_interval(adata, model, open_lab):
    bare = adata.copy()
    bare.obs = bare.obs.drop(columns=["expression", "label"])
    lab = open_lab(bare, model, gene=A)
    assert "not measured" in text(lab)
    assert "labelled" not in text(lab)
    few = lab.result.iloc[0].to_dict() | {
        f"{v}_{b}_{w}": np.nan
        for v in ("probability", "log_expression")
        for b in ("low", "high")
        for w in ("before", "after")
    }
    card = predictions_html([few], [Measured("g <1>", np.nan, "", "")], expression_scale(np.empty(0)))
    assert card.count("no interval") == 2
    assert "g &lt;1&gt;" in card
    assert "nan" not in card


def test_the_same_gene_of_two_cell_types(open_lab):
    cells = {cell: sct.datasets.simulate(300, rng=seed) for cell, seed in (("A", 0), ("B", 1))}
    stacked = prepare(sct.pp.stack_cell_types(cells))
    lab = open_lab(stacked, trained(stacked, neighbors_key="tss"), gene=stacked.obs_names[5])
    lab._pick_other.value = lab._pick.names[305]
    lab.set_factor(0.2, mark=K4, region="tss")
    lab.wait(30)
    assert status(lab) == ""
    assert lab.result["gene"].tolist() == stacked.obs_names[[5, 305]].tolist()
    assert all(name in text(lab) for name in lab._pick.names[[5, 305]])
    assert f'genes=["{stacked.obs_names[5]}", "{stacked.obs_names[305]}"]' in lab.code


def test_two_labs_on_one_adata_leave_it_and_each_other_alone(adata, model, open_lab):
    signal, x = adata.layers["signal"].copy(), adata.X.copy()
    slots = [sorted(map(str, getattr(adata, slot))) for slot in ("obs", "var", "uns", "obsm", "obsp", "layers")]
    weights = [parameter.detach().clone() for parameter in model.module.parameters()]
    plt.close("all")
    one, two = open_lab(adata, model, gene=A), open_lab(adata, model, gene=B)
    for step in range(10):
        one.set_factor(0.1 * step, mark=K4, region="tss")
        two.set_factor(0.2 * step, mark=K36, region="body")
    one.wait(30)
    two.wait(30)
    for lab, gene, edit in (
        (one, A, Edit.scale(0.9, mark=K4, region="tss")),
        (two, B, Edit.scale(1.8, mark=K36, region="body")),
    ):
        assert lab.edits == [edit]
        assert_same_table(lab.result, predict_edited(adata, model, edit, genes=gene), atol=1e-6)
    np.testing.assert_array_equal(adata.layers["signal"], signal)
    np.testing.assert_array_equal(adata.X, x)
    assert [sorted(map(str, getattr(adata, slot))) for slot in ("obs", "var", "uns", "obsm", "obsp", "layers")] == slots
    assert all((old == new).all() for old, new in zip(weights, model.module.parameters(), strict=True))
    assert not plt.get_fignums()


def test_a_picture_where_widgets_do_not_run(lab):
    lab.set_factor(0.2, mark=K4, region="tss")
    lab.other = B
    lab.wait(30)
    bundle = lab._repr_mimebundle_()
    assert bundle["image/png"].startswith("iVBOR")
    figure = lab.figure()
    assert len(figure.axes) == 2 + 2 * 10
    plt.close("all")


@pytest.mark.parametrize(("bp", "words"), [
    (-86_059, "−86 kb"), (950, "+950 bp"), (1_250_000, "+1.2 Mb"), (np.nan, "another chromosome"),
])  # fmt: skip
def test_distances_in_words(bp, words):
    assert distance(bp) == words
