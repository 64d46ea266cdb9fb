"""Heat maps of the marks of one gene."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from simplechrome_tk import datasets, get, pl, pp

MARKS = ["H3K4me3", "H3K27me3", "H3K36me3"]


def meshes(axes):
    return [next(c for c in ax.collections if isinstance(c, QuadMesh)) for ax in axes]


@pytest.mark.parametrize("name", ["GAPDH", "g0"])
def test_gene_draws_its_marks_on_one_scale(adata, name):
    axes = pl.gene(adata, name)
    assert axes.shape == (3,)
    for mesh, region in zip(meshes(axes), ["tss", "body", "tes"], strict=True):
        np.testing.assert_array_equal(mesh.get_array(), get.region(adata, region)[0])
        assert mesh.get_clim() == (adata.X[0].min(), adata.X[0].max())
    edges = meshes(axes)[0].get_coordinates()[0, :, 0]
    np.testing.assert_allclose(edges, np.linspace(-2, 2, 9))
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == MARKS
    assert axes[0].yaxis_inverted()
    figure = axes[0].figure
    assert figure.get_suptitle() == "GAPDH  ·  chr1:20,000-29,000 (+)  ·  expression 3,882 TPM  ·  high"
    assert [ax.get_ylabel() for ax in figure.axes][-1] == "fold enrichment"


def test_gene_of_normalised_values_is_white_at_zero(adata):
    signal = adata.X.copy()
    pp.normalize(adata)
    axes = pl.gene(adata, "ACTB", layer=None)
    for row in ((adata.X.max(axis=1) + adata.X.min(axis=1)).argmax(), adata.X.max(axis=1).argmin()):
        low, high = meshes(pl.gene(adata, f"g{row}", layer=None))[0].get_clim()
        assert -low == high == pytest.approx(np.abs(adata.X[row]).max())
    assert axes[0].figure.axes[-1].get_ylabel() == "normalised signal"
    before = pl.gene(adata, "ACTB", layer="signal")
    np.testing.assert_array_equal(meshes(before)[0].get_array().ravel(), signal[1, :24])
    assert before[0].figure.axes[-1].get_ylabel() == "fold enrichment"


def test_without_units_plots_claim_none(adata):
    del adata.uns["units"]
    axes = pl.gene(adata, "GAPDH")
    assert axes[0].figure.get_suptitle() == "GAPDH  ·  chr1:20,000-29,000 (+)  ·  expression 3,882  ·  high"
    assert axes[0].figure.axes[-1].get_ylabel() == "signal"
    assert pl.mark_profiles(adata)[0, 0].figure.get_supylabel() == "mean signal"


def test_gene_of_which_little_is_known(adata):
    adata.X[4] = 0
    adata.obs = adata.obs.drop(columns=["symbol", "label", "start"]).assign(expression=np.nan, cell_type="E116")
    assert pl.gene(adata, "g4")[0].figure.get_suptitle() == "g4  ·  E116  ·  expression unknown"


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("gapd", "no gene 'gapd' .*GAPDH"),
        ("Xist!", "no gene 'Xist!' .*GAPDH or g0"),
        ("GENE2", "'GENE2' names 2 rows: g2, g29"),
    ],
)
def test_a_name_of_no_gene_or_several_is_named(adata, name, token):
    with pytest.raises(ValueError, match=token):
        pl.gene(adata, name)


def test_a_gene_of_a_sample_is_titled_with_it():
    adata = datasets.simulate_conditions(150, n_replicates=1)
    adata.obs["cell_type"] = "K562"
    title = pl.gene(adata, adata.obs_names[150])[0].get_figure().get_suptitle()
    assert "·  B1  ·" in title
