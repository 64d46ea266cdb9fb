"""Calibrated probabilities and intervals: right where the truth is known, and valid for other genes."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from scipy.special import expit

from simplechrome_tk.model._calibration import ExpressionCalibration, ProbabilityCalibration, Readout
from simplechrome_tk.nn._network import Output


def overconfident(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Logits three times too large, shifted by one, and labels drawn from the probability that they should say."""
    logit = rng.normal(0, 1.5, n)
    return 3 * logit + 1, (rng.random(n) < expit(logit)).astype(float)


def test_probabilities_are_the_share_of_high_genes():
    rng = np.random.default_rng(0)
    calibration = ProbabilityCalibration.fit(*overconfident(20_000, rng))
    assert calibration.slope == pytest.approx(1 / 3, abs=0.02)
    assert calibration.shift == pytest.approx(-1 / 3, abs=0.05)
    logit, label = overconfident(20_000, rng)
    probability, low, high = calibration.apply(logit)
    assert np.array_equal(np.argsort(probability), np.argsort(logit)), "the order of genes stays"
    assert (low <= probability).all()
    assert (probability <= high).all()
    for members in np.array_split(np.argsort(logit), 10):
        assert label[members].mean() == pytest.approx(probability[members].mean(), abs=0.03)


def test_probability_intervals_narrow_with_more_genes():
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1.5, 5_000)
    widths = []
    for n in (200, 2_000, 20_000):
        _, low, high = ProbabilityCalibration.fit(*overconfident(n, rng)).apply(3 * truth + 1)
        widths.append((high - low).mean())
    assert widths[0] > 2 * widths[1] > 2 * widths[2]


@pytest.mark.parametrize("n", [60, 1_000])
def test_expression_intervals_hold_nine_in_ten_genes(n: int):
    rng = np.random.default_rng(2)

    def genes(size: int) -> tuple[np.ndarray, np.ndarray]:
        predicted = rng.uniform(-1, 2, size)
        return predicted, predicted + rng.exponential(0.2 + np.clip(predicted, 0, None)) - 0.3

    held = []
    for _ in range(30):
        calibration = ExpressionCalibration.fit(*genes(n))
        predicted, measured = genes(2_000)
        low, high = calibration.apply(predicted)
        inside = (low <= measured) & (measured <= high)
        held.append(inside.mean())
        if n == 1_000:
            widths = high - low
            assert widths[predicted > 1.5].mean() > 2 * widths[predicted < 0].mean(), "wider where expression scatters"
    assert np.mean(held) == pytest.approx(0.9, abs=0.04 if n == 60 else 0.015)


@pytest.mark.parametrize("share", [0.195, 0.25, 0.6, 1.0])
def test_equal_predictions_of_many_genes_make_no_empty_strata(share: float):
    rng = np.random.default_rng(0)
    predicted = np.where(np.arange(2_000) < 2_000 * share, -1.0, rng.normal(size=2_000))
    measured = predicted + rng.normal(size=2_000)
    low, high = ExpressionCalibration.fit(predicted[::2], measured[::2]).apply(predicted)
    assert (low < high).all()
    assert ((low <= measured) & (measured <= high))[1::2].mean() == pytest.approx(0.9, abs=0.04)


def test_an_earlier_calibration_changes_with_evidence():
    rng = np.random.default_rng(3)
    before = ProbabilityCalibration.fit(*overconfident(20_000, rng))
    assert ProbabilityCalibration.fit(*overconfident(49, rng), before=before) is before
    errors = []
    for _ in range(20):
        few = overconfident(60, rng)
        fits = ProbabilityCalibration.fit(*few, before=before), ProbabilityCalibration.fit(*few)
        errors.append([abs(calibration.slope - before.slope) for calibration in fits])
    beside, alone = np.mean(errors, axis=0)
    assert beside < 0.6 * alone, "few genes that say the same change little"
    logit = rng.normal(0, 2, 20_000)
    other = ProbabilityCalibration.fit(logit, (rng.random(20_000) < expit(logit)).astype(float), before=before)
    assert (other.slope, other.shift) == pytest.approx((1, 0), abs=0.06)


def test_few_genes_are_warned_of_and_leave_no_interval(caplog: pytest.LogCaptureFixture):
    output = Output(torch.randn(20), torch.randn(20))
    label, measured = (np.arange(20) % 2).astype(float), np.full(20, np.nan)
    with caplog.at_level(logging.WARNING):
        readout = Readout.fit(output, label, measured, center=1.0, scale=2.0)
    assert "label (20); at least 50" in caplog.text
    columns = readout.columns(output, "both")
    np.testing.assert_allclose(columns["probability"], torch.sigmoid(output.logit), rtol=1e-6)
    np.testing.assert_allclose(columns["log_expression"], output.log_expression * 2 + 1, rtol=1e-6)
    assert np.isnan(columns["probability_low"]).all()
    assert np.isnan(columns["log_expression_high"]).all()


def test_few_genes_leave_an_earlier_calibration(caplog: pytest.LogCaptureFixture):
    rng = np.random.default_rng(4)
    many = Output(torch.randn(500), torch.randn(500))
    before = Readout.fit(many, (rng.random(500) < 0.5).astype(float), rng.normal(size=500), center=1.0, scale=2.0)
    few = Output(torch.randn(20), torch.randn(20))
    with caplog.at_level(logging.WARNING):
        after = Readout.fit(few, (np.arange(20) % 2.0), rng.normal(size=20), center=1.0, scale=2.0, before=before)
    assert "The earlier calibration is kept" in caplog.text
    assert after == before
