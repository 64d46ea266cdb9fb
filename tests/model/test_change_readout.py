"""Calibration of predicted changes, on simulated numbers."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from simplechrome_tk.core.features import Observed
from simplechrome_tk.model._calibration import Readout
from simplechrome_tk.model._change_readout import ChangeReadout, from_reference


def changes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured changes; errors are wider, and lean outwards, where the predicted change is large."""
    rng = np.random.default_rng(seed)
    predicted = rng.standard_t(4, n) * 0.5
    predicted[: n // 5] = 0.0
    return predicted, 1.3 * predicted + rng.normal(size=n) * (0.1 + np.abs(predicted))


@pytest.fixture(scope="module")
def readout() -> ChangeReadout:
    return ChangeReadout.fit(*changes(4_000, 0), persistence=0.5, readout=Readout())


def test_intervals_hold_90_percent_of_held_out_changes_large_and_small(readout: ChangeReadout):
    predicted, measured = changes(20_000, 1)
    low, high = readout.interval(predicted)
    inside = (low <= measured) & (measured <= high)
    assert inside.mean() == pytest.approx(0.9, abs=0.01)
    for part in (predicted < -0.5, np.abs(predicted) < 0.1, predicted > 0.5):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.03)


def test_few_genes_give_wider_intervals_that_still_hold_90_percent():
    found = []
    for seed in range(40):
        few = ChangeReadout.fit(*changes(60, seed + 10), persistence=0.5, readout=Readout())
        predicted, measured = changes(2_000, 1)
        low, high = few.interval(predicted)
        found.append(((low <= measured) & (measured <= high)).mean())
    assert np.mean(found) == pytest.approx(0.9, abs=0.02)


def test_probabilities_are_calibrated(readout: ChangeReadout):
    predicted, measured = changes(20_000, 2)
    for sign in (1, -1):
        probability = readout.probability_above(sign * predicted, np.log10(2))
        assert ((probability > 0) & (probability < 1)).all()
        for low in np.arange(0, 1, 0.2):
            bin_ = (probability >= low) & (probability < low + 0.2)
            if bin_.sum() > 300:
                assert (sign * measured[bin_] > np.log10(2)).mean() == pytest.approx(probability[bin_].mean(), abs=0.06)


def test_intervals_and_probabilities_exchange_with_the_conditions(readout: ChangeReadout):
    predicted = np.append(changes(500, 3)[0], [0.0, *readout.edges])
    low, high = readout.interval(predicted)
    low_back, high_back = readout.interval(-predicted)
    np.testing.assert_array_equal(low, -high_back)
    np.testing.assert_array_equal(high, -low_back)
    up = readout.probability_above(np.array([0.0]), 0.3)
    down = readout.probability_above(-np.array([0.0]), 0.3)
    np.testing.assert_array_equal(up, down)


def test_without_change_both_directions_are_as_likely(readout: ChangeReadout):
    np.testing.assert_allclose(np.add(*readout.interval(np.zeros(1))), 0, atol=1e-12)


def test_few_genes_have_no_intervals():
    few = ChangeReadout.fit(*changes(40, 0), persistence=0.5, readout=Readout())
    assert np.isnan(few.interval(np.zeros(3))).all()
    assert np.isnan(few.probability_above(np.zeros(3), 0.3)).all()
    assert ChangeReadout.from_config(json.loads(json.dumps(dataclasses.asdict(few)))) == few


@pytest.mark.parametrize("planted", [0.0, 0.4, 0.9])
def test_persistence_is_the_share_of_a_deviation_that_is_found_again(planted: float):
    rng = np.random.default_rng(0)
    n = 4_000
    predicted = rng.normal(size=2 * n)
    deviation = rng.normal(size=n)
    other = planted * deviation + np.sqrt(1 - planted**2) * rng.normal(size=n)
    measured = predicted + np.concatenate([deviation, other])
    rows = np.arange(2 * n).reshape(2, n).T
    change = predicted[:n] - predicted[n:]
    label = (measured > 0).astype(float)
    found = ChangeReadout.of_pairs(change, predicted, Observed(label, measured), rows, Readout())
    assert found.persistence == pytest.approx(planted, abs=0.05)
    # The calibration of predictions from a reference is that of each condition from the other.
    value = from_reference(measured[n:], predicted[n:], change, found.persistence)
    low, high = found.readout.expression.apply(value)
    assert ((low <= measured[:n]) & (measured[:n] <= high)).mean() == pytest.approx(0.9, abs=0.02)
    assert torch.is_tensor(torch.as_tensor(value))


def test_with_full_persistence_the_reference_counts_as_measured():
    measured, predicted, change = np.random.default_rng(0).normal(size=(3, 50))
    np.testing.assert_allclose(from_reference(measured, predicted, change, 1.0), measured + change)
    np.testing.assert_allclose(from_reference(measured, predicted, change, 0.0), predicted + change)


def test_a_saved_readout_is_read_again(readout: ChangeReadout):
    assert ChangeReadout.from_config(json.loads(json.dumps(dataclasses.asdict(readout)))) == readout


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("edges",), [0.4, 0.2], "edges in the readout of changes"),
        (("edges", 0), -1, "expected sizes from 0"),
        (("edges", 0), "x", "edges in the readout of changes"),
        (("errors",), [[0.0, 1.0]], "errors in the readout of changes"),
        (("errors", 0), [2.0, 1.0], "errors in the readout of changes"),
        (("errors", 0, 0), 99.0, "not sorted"),
        (("persistence",), 2, "expected a share from 0 to 1"),
        (("persistence",), None, "persistence in the readout of changes"),
        (("readout", "scale"), 0, "the readout's scale"),
        (("another",), 1, "unknown 'another'"),
    ],
)
def test_damaged_readouts_are_refused(readout: ChangeReadout, place: tuple, value: object, message: str):
    config = json.loads(json.dumps(dataclasses.asdict(readout)))
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValueError, match=message):
        ChangeReadout.from_config(config)
