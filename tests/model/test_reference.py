"""Models that read reference samples: other, missing and reordered samples, missing values, and several graphs."""

from __future__ import annotations

import numpy as np
import pytest
from builders import BRIEF, prepared

import simplechrome_tk as sct

SAMPLES = ["x", "y", "z"]


@pytest.fixture(scope="module")
def _trained():
    adata = prepared(300, n_neighbors=4)
    values = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    adata.obsm["reference_expression"] = values
    adata.uns["reference_expression"] = {"samples": SAMPLES}
    sct.pp.coexpression_neighbors(adata, 5)
    graphs = ["tss", "coexpression"]
    model = sct.SimpleChrome(
        adata, neighbors_key=graphs, reference_key="reference_expression", n_latent=4, device="cpu"
    )
    model.train(context_epochs=1, **BRIEF)
    return adata, model


@pytest.fixture
def data(_trained):
    return _trained[0].copy()


@pytest.fixture
def model(_trained):
    return _trained[1]


def test_the_order_of_samples_does_not_matter(data, model):
    expected = model.predict(data)
    data.obsm["reference_expression"] = data.obsm["reference_expression"][:, [2, 0, 1]]
    data.uns["reference_expression"] = {"samples": ["z", "x", "y"]}
    np.testing.assert_array_equal(model.predict(data).to_numpy(), expected.to_numpy())


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (["x", "y", "w"], r"1 missing \(z\), 1 more \(w\)"),
        (["x", "y"], r"1 missing \(z\)"),
        (["x", "y", "z", "w"], r"1 more \(w\)"),
    ],
)
def test_other_samples_are_named(data, model, samples, message):
    data.obsm["reference_expression"] = np.zeros((300, len(samples)), np.float32)
    data.uns["reference_expression"] = {"samples": samples}
    with pytest.raises(ValueError, match=f"not those that the model was trained with: {message}"):
        model.predict(data)


@pytest.mark.parametrize(("slot", "key"), [("obsp", "coexpression_connectivities"), ("obsm", "reference_expression")])
def test_data_without_the_reference_or_a_graph_are_named(data, model, slot, key):
    del getattr(data, slot)[key]
    with pytest.raises(ValueError, match=f"{slot} has no .*{key}"):
        model.predict(data)


def test_unknown_genes_are_read_as_average_ones_and_counted(data, model, caplog):
    values = data.obsm["reference_expression"].copy()
    data.obsm["reference_expression"][:7] = np.nan
    found = model.predict(data)
    assert "7 of 300 genes have no reference expression" in caplog.text
    assert found["log_expression"].notna().all()
    values[:7] = model._state.reference_constants.center
    data.obsm["reference_expression"] = values
    np.testing.assert_allclose(found.to_numpy(float), model.predict(data).to_numpy(float), rtol=1e-5, atol=1e-6)


def test_a_graph_with_the_gene_itself_is_named(data, model):
    links = data.obsp["coexpression_connectivities"].tolil()
    links[4, 4] = 1
    data.obsp["coexpression_connectivities"] = links.tocsr()
    with pytest.raises(ValueError, match=f"1 links of a gene to itself.*{data.obs_names[4]}"):
        model.predict(data)


def test_a_saved_model_names_its_samples_and_predicts_the_same(data, model, tmp_path):
    model.save(tmp_path / "model")
    again = sct.SimpleChrome.load(tmp_path / "model", device="cpu")
    assert list(again.settings.references) == SAMPLES
    np.testing.assert_allclose(again.predict(data).to_numpy(float), model.predict(data).to_numpy(float), rtol=1e-6)


def test_a_reference_of_no_training_gene_is_refused(data):
    data.obsm["reference_expression"][:] = np.nan
    with pytest.raises(ValueError, match="knows the expression of no training gene"):
        sct.SimpleChrome(data, reference_key="reference_expression", n_latent=4, device="cpu")
