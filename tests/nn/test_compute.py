"""Threads and random state: the user's settings are restored, and the number of threads changes no result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import builders
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

import simplechrome_tk as sct
from simplechrome_tk.nn._compute import seeded
from simplechrome_tk.nn._vae import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import anndata as ad


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch have two threads, as it has on the smallest machines of users."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def genes() -> ad.AnnData:
    """Simulated genes, normalised and split."""
    return builders.prepared()


def trained(adata: ad.AnnData, *, seed: int = 0, on_epoch: Callable[..., object] | None = None) -> sct.SimpleChrome:
    """Return a small network after two epochs of each phase."""
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, rng=seed, device="cpu")
    model.train(latent_epochs=2, expression_epochs=2, progress=False, on_epoch=on_epoch)
    return model


def weights(model: sct.SimpleChrome) -> np.ndarray:
    """Return all weights of the networks, one after the other."""
    return torch.cat([value.double().ravel() for value in model.module.state_dict().values()]).numpy()


@pytest.mark.usefixtures("two_threads")
def test_training_takes_one_thread_and_restores_the_callers(genes: ad.AnnData) -> None:
    meanwhile = []
    trained(genes, on_epoch=lambda row: meanwhile.append(torch.get_num_threads()))
    assert set(meanwhile) == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_training_that_fails_restores_the_callers_threads(genes: ad.AnnData) -> None:
    def interrupt(row: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(genes, on_epoch=interrupt)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    "call",
    [
        lambda adata, model: model.predict(),
        lambda adata, model: model.get_latent_representation(),
        lambda adata, model: sct.tl.attribute(adata, model, genes=adata.obs_names[:3], n_steps=4, progress=False),
    ],
    ids=["predict", "get_latent_representation", "attribute"],
)
def test_computing_takes_one_thread_and_restores_the_callers(
    call: Callable[[ad.AnnData, sct.SimpleChrome], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    adata, model = builders.trained()
    meanwhile = []
    features = Encoder.features

    def count_threads(self: Encoder, x: torch.Tensor) -> torch.Tensor:
        meanwhile.append(torch.get_num_threads())
        return features(self, x)

    monkeypatch.setattr(Encoder, "features", count_threads)
    call(adata, model)
    assert set(meanwhile) == {1}
    assert torch.get_num_threads() == 2


def test_the_number_of_threads_does_not_change_a_bit(genes: ad.AnnData) -> None:
    one = weights(trained(genes))
    torch.set_num_threads(2)
    two = weights(trained(genes))
    torch.set_num_threads(1)
    np.testing.assert_array_equal(one, two)


class _CountsThreads(LogisticRegression):
    """A classifier that notes how many threads the libraries below it may take while it is fitted."""

    seen: list[int] = []  # noqa: RUF012  shared with the copies that ComparisonModel makes

    def fit(self, x: np.ndarray, y: np.ndarray) -> _CountsThreads:
        self.seen.extend(library["num_threads"] for library in threadpool_info())
        return super().fit(x, y)


def test_comparison_models_are_fitted_on_one_thread(genes: ad.AnnData) -> None:
    with threadpool_limits(2):
        before = [library["num_threads"] for library in threadpool_info()]
        sct.evaluation.ComparisonModel(_CountsThreads()).fit(genes)
        after = [library["num_threads"] for library in threadpool_info()]
    assert set(_CountsThreads.seen) == {1}
    assert before == after


def test_two_trainings_at_once_give_the_bits_of_their_seeds(genes: ad.AnnData) -> None:
    alone = [weights(trained(genes, seed=seed)) for seed in (1, 2)]
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: weights(trained(genes, seed=seed)), (1, 2)))
    np.testing.assert_array_equal(np.stack(together), np.stack(alone))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_may_be_entered_twice_by_the_same_thread() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with seeded(1):
        outer = torch.rand(2)
        with seeded(2):
            torch.rand(1)
        rest = torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(4), torch.cat([outer, rest]))
