"""Attributions that an earlier call has stored: kept as long as they are of the same model, settings and inputs."""

from __future__ import annotations

import copy
import logging

import numpy as np
import pytest
from builders import prepared, trained

import simplechrome_tk as sct
from simplechrome_tk.tl.attribution import _attribute
from simplechrome_tk.tl.attribution._fingerprint import fingerprint_genes
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._target import choose_target

FEW = {"n_steps": 4, "progress": False}


@pytest.fixture(scope="module")
def model() -> sct.SimpleChrome:
    return trained(300, n_neighbors=4, n_models=2)[1]


@pytest.fixture
def adata():
    return prepared(300, n_neighbors=4)


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """Ids of the genes that were computed since."""
    found: list[str] = []
    original = _attribute.compute_batch

    def compute(result, explained, method, baselines, rows):
        found.extend(prepared(300, n_neighbors=4).obs_names[rows])
        original(result, explained, method, baselines, rows)

    monkeypatch.setattr(_attribute, "compute_batch", compute)
    monkeypatch.setattr(_attribute, "_LARGE_BATCH", 1)
    return found


def attribute(adata, model, genes, **options) -> None:
    sct.tl.attribute(adata, model, genes=adata.obs_names[genes], **{**FEW, **options})


def n_attributed(adata) -> int:
    return int(adata.obs["attribution_total"].count())


def test_an_interrupted_call_keeps_what_it_has_computed(adata, model, monkeypatch):
    whole = adata.copy()
    attribute(whole, model, slice(60))
    original, calls = _attribute.compute_batch, []

    def compute(*arguments):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(arguments)
        original(*arguments)

    monkeypatch.setattr(_attribute, "compute_batch", compute)
    monkeypatch.setattr(_attribute, "_LARGE_BATCH", 1)
    with pytest.raises(KeyboardInterrupt):
        attribute(adata, model, slice(60), batch_size=20)
    assert n_attributed(adata) == 40
    calls.clear()
    attribute(adata, model, slice(60), batch_size=20)
    assert len(calls) == 1, "the rest alone was computed"
    np.testing.assert_allclose(adata.layers["attribution"], whole.layers["attribution"], atol=1e-6)
    assert abs(adata.obsp["attribution_neighbors"] - whole.obsp["attribution_neighbors"]).max() < 1e-6


def test_other_genes_are_added(adata, model, computed):
    attribute(adata, model, slice(8))
    computed.clear()
    attribute(adata, model, slice(5, 12))
    assert sorted(computed) == sorted(adata.obs_names[8:12])
    assert n_attributed(adata) == 12


def test_the_same_genes_are_added_in_a_file(adata, model, computed, round_trip):
    attribute(adata, model, slice(4))
    read = round_trip(adata)
    computed.clear()
    attribute(read, model, slice(5))
    assert computed == [adata.obs_names[4]]


@pytest.mark.parametrize(
    "options", [{"n_steps": 5}, {"method": "occlusion"}, {"baseline": "low"}, {"target": "log_expression"}]
)
def test_other_settings_start_again(adata, model, options):
    attribute(adata, model, slice(8))
    attribute(adata, model, slice(3), **options)
    assert n_attributed(adata) == 3


def test_functions_of_the_same_name_are_told_apart(adata, model):
    def make(sign):
        return lambda output: sign * output.logit

    totals = []
    for sign in (1, -1):
        attribute(adata, model, slice(3), target=make(sign))
        totals.append(adata.obs["attribution_total"].iloc[:3].to_numpy())
    np.testing.assert_allclose(totals[0], -totals[1])


def test_a_function_is_known_again(adata, model, computed):
    for genes in (slice(3), slice(5)):
        computed.clear()
        attribute(adata, model, genes, target=lambda output: 2 * output.logit)
    assert sorted(computed) == sorted(adata.obs_names[3:5])


def test_another_network_starts_again(adata, model):
    attribute(adata, model, slice(8))
    other = copy.deepcopy(model)
    next(other.module.parameters()).data.mul_(1.01)
    attribute(adata, other, slice(3))
    assert n_attributed(adata) == 3


def test_half_a_result_is_none(adata, model):
    attribute(adata, model, slice(8))
    del adata.obsp["attribution_neighbors"]
    attribute(adata, model, slice(2))
    assert n_attributed(adata) == 2


def test_genes_whose_marks_or_neighbours_have_changed_are_dropped(adata, model, computed, caplog):
    attribute(adata, model, slice(8))
    adata.X[3] += 1
    reached = {3} | {row for row in range(8) if 3 in adata.obsp["tss_connectivities"][row].indices}
    computed.clear()
    with caplog.at_level(logging.INFO):
        attribute(adata, model, slice(8, 9))
    assert f"of {len(reached)} genes have changed" in caplog.text
    assert computed == [adata.obs_names[8]]
    assert set(np.flatnonzero(adata.obs["attribution_total"].isna())[: len(reached)]) == reached


def test_the_fingerprint_of_a_gene_is_the_same_among_few_genes(adata, model):
    small = sct.get.neighborhood(adata, adata.obs_names[[200, 7]], neighbors_key="tss")
    all_genes, few = (
        fingerprint_genes(choose_target(read_inputs(data, model), model, "logit"), rows)
        for data, rows in ((adata, np.array([200, 7])), (small, np.arange(2)))
    )
    np.testing.assert_array_equal(all_genes, few)
    assert all_genes[0] != all_genes[1]
