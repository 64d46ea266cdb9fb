"""Training that is watched and stopped, driven through the monitor's traits, without a browser."""

from __future__ import annotations

import signal
import threading
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

import simplechrome_tk as sct
from simplechrome_tk.widgets import TrainingMonitor
from simplechrome_tk.widgets._training_progress import TrainingProgress

EPOCHS = {"latent_epochs": 2, "expression_epochs": 4, "context_epochs": 3}


@pytest.fixture(scope="module")
def adata():
    made = sct.datasets.simulate(300)
    sct.pp.split_by_chromosome(made)
    sct.pp.normalize(made)
    sct.pp.tss_neighbors(made, n_neighbors=4)
    return made


def untrained(adata, **settings):
    return sct.SimpleChrome(adata, **{"n_latent": 4, "neighbors_key": "tss", "device": "cpu", **settings})


@pytest.fixture(scope="module")
def whole(adata):
    model = untrained(adata)
    model.train(**EPOCHS, progress=False)
    return model


@pytest.fixture
def monitor(adata):
    made = TrainingMonitor(untrained(adata))
    yield made
    made.close()
    plt.close("all")


def stop_at(phase, phase_epoch):
    return lambda row: (row["phase"], row["phase_epoch"]) == (phase, phase_epoch)


def phases(model):
    return model.history.groupby("phase", sort=False)["epoch"].count().to_dict()


@pytest.mark.parametrize(
    ("phase", "left"),
    [
        ("latent", {"latent": 1, "expression": 4, "context": 3}),
        ("expression", {"latent": 2, "expression": 1}),
        ("context", {"latent": 2, "expression": 4, "context": 1}),
    ],
)
def test_a_stop_ends_the_phase(adata, phase, left):
    model = untrained(adata)
    model.train(**EPOCHS, progress=False, on_epoch=stop_at(phase, 1))
    assert phases(model) == left
    assert np.isfinite(model.predict()["log_expression"]).all()


@pytest.mark.parametrize(("phase", "after"), [("expression", 3), ("neighbors", 2)])
def test_a_stop_keeps_the_weights_of_the_best_epoch(adata, phase, after):
    """The score of what was kept, measured again, is the best that history has up to the stop."""
    model = untrained(adata, task="classification")
    model.train(**EPOCHS, learning_rate=0.02, progress=False, on_epoch=stop_at(phase, after))
    valid = (adata.obs["split"] == "valid").to_numpy()
    high = (adata.obs["label"] == "high").to_numpy()[valid]
    measured = roc_auc_score(high, model.predict()["probability"].to_numpy()[valid])
    assert measured == pytest.approx(model.history["valid_auroc"].max(), abs=1e-6)


def test_watching_changes_no_bit(adata, whole):
    model = untrained(adata)
    state = torch.random.get_rng_state()
    rows = []
    model.train(**EPOCHS, progress=False, on_epoch=rows.append)
    assert torch.equal(torch.random.get_rng_state(), state)
    pd.testing.assert_frame_equal(model.predict(), whole.predict(), check_exact=True)
    pd.testing.assert_frame_equal(model.history, whole.history, check_exact=True)
    table = model.history
    assert [row["epoch"] for row in rows] == table["epoch"].tolist()
    assert [row["train_loss"] for row in rows] == table["train_loss"].tolist()
    assert rows[2]["plan"] == {"latent": 2, "expression": 4, "context": 3}
    assert [row["phase_epoch"] for row in rows] == [1, 2, 1, 2, 3, 4, 1, 2, 3]


def test_monitor_trains_the_same_model_in_its_thread(monitor, whole):
    monitor.train(**EPOCHS)
    assert monitor._start_button.disabled
    monitor.wait()
    pd.testing.assert_frame_equal(monitor._model.predict(), whole.predict(), check_exact=True)
    assert monitor._bar.value == monitor._bar.max == 9
    best = whole.history[whole.history["best"]].iloc[0]
    assert f"The weights of epoch {best['epoch']} of 9, the best on validation (AUROC" in monitor._line.value
    assert monitor._picture.value.startswith('<img alt="Loss and validation scores after 9 epochs."')
    assert monitor._stop_button.disabled
    assert not monitor._start_button.disabled
    assert not plt.get_fignums()
    assert len(monitor.figure().axes) == 5
    assert "image/png" in monitor._repr_mimebundle_()


def test_stop_button_keeps_the_best_and_says_what(monitor):
    def press(row):
        if (row["phase"], row["phase_epoch"]) == ("expression", 2):
            monitor._stop_button.click()
            assert "Stopping at the end of this epoch" in monitor._line.value

    monitor.train(**EPOCHS, on_epoch=press)
    monitor.wait()
    model = monitor._model
    assert phases(model) == {"latent": 2, "expression": 2}
    best = model.history.loc[model.history["best"], "epoch"].item()
    words = monitor._line.value
    assert "Phase 2, prediction of expression: stopped after 2 of 4 epochs." in words
    assert f"The weights of epoch {best} of 4, the best on validation" in words


def test_stop_in_the_latent_goes_on_to_the_prediction(monitor):
    monitor.train(**EPOCHS, on_epoch=lambda row: monitor.stop() if row["epoch"] == 1 else None)
    monitor.wait()
    assert phases(monitor._model) == {"latent": 1, "expression": 4, "context": 3}
    assert "Phase 1, latent of the marks: stopped after 1 of 2 epochs. The weights of epoch" in monitor._line.value


@pytest.fixture
def _received_interrupts():
    """Raise KeyboardInterrupt on SIGINT, which what a shell runs in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_received_interrupts")
def test_an_interrupt_while_waiting_is_a_stop(monitor):
    def interrupt(row):
        if (row["phase"], row["phase_epoch"]) == ("expression", 1):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            for _ in range(100):
                if monitor._stop_requested.is_set():
                    return
                time.sleep(0.05)

    monitor.train(**EPOCHS, on_epoch=interrupt)
    monitor.wait()
    assert phases(monitor._model) == {"latent": 2, "expression": 1}
    assert "stopped after 1 of 4 epochs." in monitor._line.value


def test_of_several_networks_the_next_is_trained(adata):
    monitor = TrainingMonitor(untrained(adata, n_models=2, neighbors_key=None))
    monitor.train(latent_epochs=1, expression_epochs=3, on_epoch=lambda row: row["model"] == 0 and row["epoch"] == 2)
    monitor.wait()
    assert monitor._model.history.groupby("model")["epoch"].count().tolist() == [2, 4]
    assert "Network 1, phase 2, prediction of expression: stopped after 1 of 3 epochs." in monitor._line.value
    assert "The weights of network 2 of epoch" in monitor._line.value
    monitor.close()


def test_a_closed_monitor_trains_nothing(adata):
    monitor = TrainingMonitor(untrained(adata))
    monitor.close()
    with pytest.raises(RuntimeError, match="widget is closed"):
        monitor.train(**EPOCHS)
    monitor._start_button.click()
    monitor.stop()
    monitor.wait(5)
    assert not monitor._model.is_trained


def test_the_model_is_as_it_was_until_training_has_ended(adata, whole):
    model = untrained(adata)
    seen = []
    monitor = TrainingMonitor(model)
    monitor.train(**EPOCHS, on_epoch=lambda row: seen.append(model.is_trained))
    with pytest.raises(RuntimeError, match="training is running"):
        monitor.train()
    monitor.wait()
    assert seen == [False] * 9
    assert model.is_trained
    before = model.predict()
    monitor.train(**EPOCHS, on_epoch=lambda row: monitor.close() if row["epoch"] == 3 else None)
    monitor.wait()
    pd.testing.assert_frame_equal(model.predict(), before, check_exact=True)


def test_what_cannot_be_trained_is_a_sentence_and_corrected_data_train(adata):
    broken = adata.copy()
    labels = broken.obs[["label", "expression"]].copy()
    broken.obs["label"] = pd.Categorical(["high"] * broken.n_obs, categories=["low", "high"])
    monitor = TrainingMonitor(untrained(broken))
    monitor._start_button.click()
    monitor.wait()
    assert "the train split holds high genes only; expected low and high genes." in monitor._status.value
    assert "The training did not finish" in monitor._line.value
    assert not monitor._start_button.disabled
    broken.obs[["label", "expression"]] = labels
    monitor.train(latent_epochs=1, expression_epochs=1, context_epochs=1)
    monitor.wait()
    assert "sct-error" not in monitor._status.value
    assert monitor._model.is_trained
    monitor.close()


def test_progress_counts_spared_epochs_and_estimates_what_is_left():
    progress = TrainingProgress()
    plan = {"latent": 4, "expression": 10}
    row = {"model": 0, "plan": plan, "n_models": 2, "train_loss": 1.0}
    progress.add({**row, "phase": "latent", "phase_epoch": 1, "epoch": 1})
    assert (progress.done, progress.total, progress.best) == (1, 28, None)
    scores = {"valid_auroc": 0.9, "valid_pearson": np.nan}
    progress.add({**row, "phase": "expression", "phase_epoch": 1, "epoch": 2, **scores})
    assert (progress.done, progress.best) == (5, 2)
    progress._seconds = {"latent": [1.0], "expression": [2.0]}
    assert progress.seconds_left() == 9 * 2.0 + 4 * 1.0 + 10 * 2.0
    assert progress.line() == (
        "network 1 of 2 · phase 2 of 2: prediction of expression · epoch 2, 1 of 10 in this phase · about 42 s left · "
        "best so far: epoch 2 (AUROC 0.900)"
    )
