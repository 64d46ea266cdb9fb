"""The null of a contrast and the false discovery rate, on simulated numbers."""

from __future__ import annotations

import numpy as np
import pytest

from simplechrome_tk.tl.contrast._null import false_discovery_rates, replicate_changes


def simulate(counts: tuple[int, int], planted: np.ndarray, rng: np.random.Generator):
    """Return changes between conditions, those between replicates, and the level, on which the noise depends."""
    n_genes = len(planted)
    level = rng.normal(size=n_genes)
    noise = 0.1 * np.exp(0.5 * level)
    samples = [rng.normal(size=(n, n_genes)) * noise for n in counts]
    samples[0] += planted

    def change(condition: int, replicate: int) -> np.ndarray:
        here = samples[condition]
        return here[replicate] - np.delete(here, replicate, axis=0).mean(axis=0)

    null = replicate_changes(counts, change, n_genes)
    return samples[0].mean(axis=0) - samples[1].mean(axis=0), null, level


@pytest.mark.parametrize("counts", [(2, 2), (2, 3), (3, 2), (3, 3), (2, 5)])
def test_changes_between_replicates_vary_as_those_between_conditions(counts: tuple[int, int]):
    changes, null, _ = simulate(counts, np.zeros(40_000), np.random.default_rng(0))
    assert null.std() == pytest.approx(changes.std(), rel=0.03)
    for one in null:
        assert one.std() == pytest.approx(changes.std(), rel=0.05)
    # Two replicates give one change, and three give three.
    assert len(null) == sum(1 if count == 2 else count for count in counts)


@pytest.mark.parametrize("counts", [(1, 1), (1, 3), (3, 1)])
def test_one_replicate_gives_no_null(counts: tuple[int, int]):
    assert replicate_changes(counts, lambda *_: pytest.fail("there is nothing to compare"), 5) is None


@pytest.mark.parametrize("counts", [(2, 2), (3, 3)])
def test_without_a_planted_difference_few_genes_are_found(counts: tuple[int, int]):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(50):
        changes, null, level = simulate(counts, np.zeros(1_000), rng)
        found.append((false_discovery_rates(changes, null, level) <= 0.05).sum())
    # Where nothing is planted each discovery is false: the rate is the share of simulations with any.
    assert np.mean(np.array(found) > 0) <= 0.14
    assert np.median(found) == 0


@pytest.mark.parametrize("counts", [(2, 2), (2, 3), (3, 3)])
def test_planted_differences_are_found_at_the_nominal_rate(counts: tuple[int, int]):
    rng = np.random.default_rng(2)
    false, power = [], []
    for _ in range(50):
        planted = np.where(rng.random(2_000) < 0.1, rng.choice([-1.0, 1.0], 2_000), 0.0)
        changes, null, level = simulate(counts, planted, rng)
        called = false_discovery_rates(changes, null, level) <= 0.05
        false.append((called & (planted == 0)).sum() / max(1, called.sum()))
        power.append(called[planted != 0].mean())
    assert np.mean(false) <= 0.06
    assert np.mean(power) > 0.8


def test_rates_rise_where_changes_shrink_and_lie_above_zero():
    rng = np.random.default_rng(3)
    changes, null, _ = simulate((2, 2), np.where(np.arange(150) < 30, 2.0, 0.0), rng)
    rates = false_discovery_rates(changes, null, np.zeros(150))
    assert ((rates > 0) & (rates <= 1)).all()
    order = np.argsort(-np.abs(changes))
    assert (np.diff(rates[order]) >= 0).all()
    np.testing.assert_array_equal(rates, false_discovery_rates(-changes, -null, np.zeros(150)))
