"""The SimpleChrome model around an AnnData."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from simplechrome_tk import nn
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.device import resolve_device
from simplechrome_tk.core.features import gene_length, observe, one_hot, read_features, reads_body
from simplechrome_tk.core.layout import Layout, blocks, region_shapes
from simplechrome_tk.core.model_checks import check_columns, check_normalization
from simplechrome_tk.core.normalization import normalization
from simplechrome_tk.core.require import check_data, check_unique, split_of
from simplechrome_tk.evaluation._evaluate import evaluate
from simplechrome_tk.model._calibration import Readout
from simplechrome_tk.model._inputs import (
    ModelData,
    check_counts,
    condition_names,
    conditions_of,
    neighbor_graph,
    report_unlabelled,
)
from simplechrome_tk.model._saved import Saved, read_columns, read_normalization
from simplechrome_tk.model._settings import Settings
from simplechrome_tk.model._store import read_model, write_model
from simplechrome_tk.model._training import Genes, adapt, train

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.features import Task
    from simplechrome_tk.model._settings import Likelihood, Preset
    from simplechrome_tk.model._training import OnEpoch, Trained


class SimpleChrome:
    """Learn latents of each gene's histone marks; predict expression from the gene's own and its neighbours'.

    Phase 1 learns the latent with a variational autoencoder on the marks of all genes, without labels. Phase 2 trains
    the prediction from the gene's latent and, with a neighbour graph, attention over its neighbours' latents and
    distances, end to end on the training genes; phase 3 goes on with attention alone.

    Parameters
    ----------
    adata
        Genes by bins, normalised (:func:`simplechrome_tk.pp.normalize`) and split
        (:func:`simplechrome_tk.pp.split_by_chromosome`).
    n_latent
        Dimensions of the latent; 32 by default, 10 in the ``paper`` preset.
    n_hidden
        Width of the network.
    dropout
        Fraction of units dropped in training.
    n_models
        Networks to train from different seeds. Their mean predicts better than one (see the README) and takes as many
        times as long.
    gene_length
        Whether the length of the gene (``obs["end"] - obs["start"]``) is an input beside the marks; ``None`` takes it
        where a window reads the gene's body, since bins that scale with the gene hide it.
    likelihood
        How the signal scatters around what the decoder expects: ``"gaussian"`` on the normalised signal, or
        ``"negative_binomial"`` on read counts (:func:`simplechrome_tk.pp.bin_reads`, DeepChrome's files).
    neighbors_key
        Graph of neighbouring genes in ``obsp`` (``"tss"`` after :func:`simplechrome_tk.pp.tss_neighbors`); ``None``
        predicts from the gene alone.
    task
        ``"classification"`` of ``obs[label_key]``, ``"regression"`` of ``log10(obs[expression_key] + 0.1)``, or both
        from one network.
    preset
        ``"paper"`` takes the network and settings published by Cheng et al. (arXiv 2012.08671); ``n_hidden`` and
        ``dropout`` have no effect there. It needs one region and ``normalize(method="paper")``.
    condition_key
        Column of ``obs`` (``"cell_type"``) that the decoder is told, so that the latent need not tell by how much a
        mark differs between all genes of two cell types, or batches. Encoder and prediction do not read it. Cell types
        that the model has not seen are decoded as the mean of those it has.
    label_key, expression_key, split_key
        Columns of ``obs``.
    rng
        Seed of weights, batches and dropout; members of an ensemble take the seeds that follow. On CPU the same seed
        and data give the same bits, whatever the number of threads.
    device
        Where to compute; ``None`` takes CUDA, MPS or CPU, the first there is.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> model = sct.SimpleChrome(adata, n_latent=4)
    >>> model.train(latent_epochs=1, expression_epochs=1, progress=False)
    >>> model.predict().columns.tolist()
    ['probability', 'probability_low', 'probability_high',
     'log_expression', 'log_expression_low', 'log_expression_high']
    """

    def __init__(
        self,
        adata: ad.AnnData,
        *,
        n_latent: int | None = None,
        n_hidden: int = 128,
        dropout: float = 0.4,
        n_models: int = 1,
        gene_length: bool | None = None,
        likelihood: Likelihood = "gaussian",
        neighbors_key: str | None = None,
        task: Task = "both",
        preset: Preset = "default",
        condition_key: str | None = None,
        label_key: str = k.LABEL,
        expression_key: str = k.EXPRESSION,
        split_key: str = k.SPLIT,
        rng: int = 0,
        device: str | torch.device | None = None,
    ) -> None:
        if n_latent is None:
            n_latent = 10 if preset == "paper" else 32
        check_data(adata)
        if gene_length is None:
            gene_length = preset != "paper" and reads_body(adata)
        self.settings = Settings(
            n_latent=n_latent,
            n_hidden=n_hidden,
            dropout=dropout,
            neighbors_key=neighbors_key,
            task=task,
            preset=preset,
            label_key=label_key,
            expression_key=expression_key,
            split_key=split_key,
            rng=rng,
            gene_length=gene_length,
            n_models=n_models,
            likelihood=likelihood,
            condition_key=condition_key,
            conditions=() if condition_key is None else condition_names(adata, condition_key),
        )
        constants = normalization(adata)
        self._regions = [nn.RegionShape(*shape) for shape in region_shapes(blocks(adata))]
        self._columns = read_columns(list(adata.var_names), self._regions)
        self._normalization = read_normalization("uns['normalize']", constants, self._regions)
        self.settings.check_normalization(str(self._normalization["method"]))
        self._readout = Readout()
        self._history: list[dict[str, Any]] = []
        self.device = resolve_device(device)
        self.adata: ad.AnnData | None = adata
        check_unique(adata)
        if likelihood == "negative_binomial":
            check_counts(adata)
        if neighbors_key is not None:
            neighbor_graph(adata, neighbors_key)
        self._net = nn.Ensemble(self._networks())

    def train(
        self,
        *,
        latent_epochs: int | None = None,
        expression_epochs: int | None = None,
        neighbor_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        patience: int | None = None,
        progress: bool = True,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        """Train all phases from new weights; what is not given comes from the preset.

        Phase 2 stops early when the validation score (mean of AUROC and Pearson) no longer rises; the weights of its
        best epoch are kept. Phase 3, of models with neighbours, trains attention and head on fixed latents, and is
        kept where it raises that score. The caller's random state is left as it was. A training that is interrupted
        leaves the model as it was before.

        Parameters
        ----------
        latent_epochs, expression_epochs, neighbor_epochs
            Epochs of each phase (at most, in phase 2).
        batch_size
            Genes in a batch, in all phases. Where it is smaller than the preset's, the learning rate of phase 1 falls
            with its square root.
        learning_rate
            Learning rate, in phases 1 and 2.
        patience
            Epochs without a better validation score after which phase 2 ends.
        progress
            Show a progress bar.
        on_epoch
            Called after each epoch with its row of :attr:`history`, and ``phase_epoch``, its number in the phase,
            ``plan``, the epochs of each phase, and ``n_models``. If it returns something true the phase ends as in
            early stopping: after phase 1 phase 2 begins, since without it nothing is predicted; in phase 2 or 3 the
            network is done, with its best weights so far, and the next of ``n_models`` begins.

        Raises
        ------
        ValueError
            When the data have changed since the model was made, a split has no genes or one class only, or the loss
            is no longer finite.
        """
        shared = {"batch_size": batch_size, "learning_rate": learning_rate}
        recipe = self.settings.recipe(
            latent={"epochs": latent_epochs, **shared},
            expression={"epochs": expression_epochs, "patience": patience, **shared},
            neighbors={"epochs": neighbor_epochs, "batch_size": batch_size},
        )
        data = self.read()
        genes = self._genes(data)
        report_unlabelled(data.adata, genes.observed, genes.split)
        self._take(
            train(
                self._networks(),
                genes,
                recipe,
                seeds=self.settings.seeds,
                phases=self.settings.phases,
                progress=progress,
                on_epoch=on_epoch,
            )
        )

    def fine_tune(
        self,
        adata: ad.AnnData,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        patience: int | None = None,
        progress: bool = True,
    ) -> SimpleChrome:
        """Go on training all weights on the labels of other data; return the new model, leave this one as it was.

        For a thousand labels and more; with fewer, :meth:`adapt` is safer. A model of several cell types, fine-tuned on
        one of them, predicts that one better than a model of either (see the README).

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants, labelled and split as for :meth:`train`.
        epochs, batch_size, learning_rate, patience, progress
            As for phase 2 of :meth:`train`; a quarter of its learning rate by default.

        Returns
        -------
        SimpleChrome
            The new model, with ``adata`` as its data.

        Raises
        ------
        ValueError
            When the data do not fit the model, a split has no genes or one class only.
        """
        self.require_trained()
        data = self.read(adata)
        recipe = self.settings.recipe(
            latent={},
            expression={
                "epochs": epochs,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
                "patience": patience,
            },
        )
        if learning_rate is None:
            slower = dataclasses.replace(recipe.expression, learning_rate=recipe.expression.learning_rate / 4)
            recipe = dataclasses.replace(recipe, expression=slower)
        networks = copy.deepcopy(self._net.networks)
        trained = train(
            networks,
            self._genes(data),
            recipe,
            seeds=self.settings.seeds,
            phases=("expression",),
            progress=progress,
        )
        return self._with(data.adata, trained, self.settings)

    def adapt(self, adata: ad.AnnData) -> SimpleChrome:
        """Correct the predictions by a few labels of another cell type; return the new model.

        The networks stay as they are. A linear correction of their output is added, and of their latents if
        cross-validation among the labelled genes says that it helps. With fewer than 300 labels it adds nothing that
        was measured to a model of two other cell types (E116: AUROC .965 and Pearson .875 without labels and with 30),
        and is there to do no harm; from 50 labels on, probabilities are calibrated to the new cell type. Ten labelled
        genes are the least; from a thousand on :meth:`fine_tune` may learn more.

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants. Genes of the splits ``train`` and
            ``valid`` with a label or expression are learnt from, those of ``test`` never. Labels not to be used are
            missing values.

        Returns
        -------
        SimpleChrome
            With the networks of this one, what was learnt, and probabilities and intervals calibrated by the labelled
            genes, each predicted without itself; where fewer than 50 are labelled this model's calibration stays.

        Raises
        ------
        ValueError
            When fewer than ten genes have a label or expression, or labels are of one class.
        """
        self.require_trained()
        data = self.read(adata)
        trained = adapt(self._net.networks, self._genes(data), self._readout, seeds=self.settings.seeds)
        return self._with(data.adata, trained, dataclasses.replace(self.settings, adapted=True))

    @property
    def is_trained(self) -> bool:
        """Whether the weights have been trained."""
        return bool(self._history)

    @property
    def module(self) -> nn.Ensemble:
        """The torch networks, on :attr:`device`; what they answer is not yet calibrated."""
        return self._net

    @property
    def output_units(self) -> dict[str, float]:
        """What one unit of the networks' output is worth: ``logit`` in log-odds, ``log_expression`` in log10."""
        calibration = self._readout.probability
        return {"logit": 1.0 if calibration is None else calibration.slope, "log_expression": self._readout.scale}

    @property
    def normalization(self) -> dict[str, np.ndarray]:
        """Constants of the training data, for ``sct.pp.normalize(other, reference=model.normalization)``."""
        return self._normalization

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch of each model.

        ``model`` (0 for the first), ``epoch``, ``phase`` (``latent``, ``expression``, ``neighbors``), ``train_loss``,
        ``valid_loss``; in the latent phase ``reconstruction`` (mean squared error, or nats of the negative binomial)
        and ``kl`` (nats) on validation genes; in the others ``valid_auroc`` and ``valid_pearson``; ``best`` marks the
        epoch whose weights were kept.
        """
        losses = ["train_loss", "valid_loss", "reconstruction", "kl", "valid_auroc", "valid_pearson"]
        table = pd.DataFrame(self._history, columns=["model", "epoch", "phase", *losses])
        score = table[["valid_auroc", "valid_pearson"]].mean(axis=1)
        table["best"] = table.index.isin(score.dropna().groupby(table["model"]).idxmax())
        return table

    def get_latent_representation(self, adata: ad.AnnData | None = None) -> np.ndarray:
        """Return the mean of each gene's latent.

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants; the training data by default.

        Returns
        -------
        numpy.ndarray
            ``(n_genes, n_latent)`` float32; by custom stored in ``obsm["X_simplechrome"]``. Of the first model, where
            there are several.
        """
        self.require_trained()
        return nn.encode(self._net.first, self._tensor(self._checked(adata))).mean.cpu().numpy()

    def decode(self, latents: np.ndarray, *, conditions: Sequence[str] | None = None) -> np.ndarray:
        """Return the marks that the decoder expects for latents, in units of the normalised signal.

        Parameters
        ----------
        latents
            ``(n_points, n_latent)``.
        conditions
            Value of ``condition_key`` for each point, such as its cell type. ``None``, and values that the model has
            not seen, are decoded as the mean of those it has. It has no effect on a model without ``condition_key``.

        Returns
        -------
        numpy.ndarray
            ``(n_points, n_columns)`` float32, to be compared with ``X``. With several models, that of the first.

        Raises
        ------
        ValueError
            When the latents have another number of dimensions than the model's, or there is not one condition for each.
        """
        net, n_latent = self._net.first, self.settings.n_latent
        if latents.ndim != 2 or latents.shape[1] != n_latent:
            msg = f"latents have shape {latents.shape}; expected (n_points, {n_latent}), as this model's are."
            raise ValueError(msg)
        names = [""] * len(latents) if conditions is None else list(conditions)
        if len(names) != len(latents):
            msg = f"{len(names)} conditions for {len(latents)} points; expected one for each."
            raise ValueError(msg)
        known = torch.as_tensor(one_hot(names, self.settings.conditions), device=self.device)
        points = torch.as_tensor(latents, dtype=torch.float32, device=self.device)
        return nn.decode(net, points, known).cpu().numpy()

    def read(self, adata: ad.AnnData | None = None) -> ModelData:
        """Read the inputs of :attr:`module` from an AnnData, after checking that it fits the model.

        Parameters
        ----------
        adata
            As for :meth:`predict`.

        Returns
        -------
        ModelData
            ``adata``; ``layout``, its columns; ``x`` ``(n_genes, n_columns + n_covariates)`` on :attr:`device`, the
            normalised signal and, with ``gene_length``, the gene's length; ``graph``, a
            :class:`simplechrome_tk.nn.Graph`, or ``None`` without neighbours.

        Raises
        ------
        ValueError
            When ``adata`` has other columns than the training data, was normalised with other constants, holds missing
            values, or lacks the graph of neighbours.
        """
        adata = self._checked(adata)
        key = self.settings.neighbors_key
        graph = None if key is None else neighbor_graph(adata, key).to(self.device)
        return ModelData(adata, Layout.of(adata), self._tensor(adata), graph)

    def predict(self, adata: ad.AnnData | None = None) -> pd.DataFrame:
        """Predict every gene.

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants, with the same kind of neighbour graph;
            the training data by default.

        Returns
        -------
        pandas.DataFrame
            Indexed by gene: ``probability`` of being high and ``log_expression``, ``log10(expression + 0.1)`` in the
            unit of the data, those that the model's task covers. Each has an interval: ``probability_low`` and
            ``probability_high`` bound the share of high genes among genes predicted like this one (Venn-Abers);
            ``log_expression_low`` and ``log_expression_high`` hold the measured value of 90 % of genes (conformal).
            Both are learnt from the validation genes that the model was trained with, and NaN where those are fewer
            than 50. They hold for genes like those: not for another cell type or pipeline.
        """
        self.require_trained()
        data = self.read(adata)
        columns = self.predict_columns(data)
        return pd.DataFrame(columns, index=data.adata.obs_names).drop(columns="log_odds", errors="ignore")

    def predict_columns(self, data: ModelData) -> dict[str, np.ndarray]:
        """Predict genes that were read: the columns of :meth:`predict`, and ``log_odds`` beside the probability.

        Parameters
        ----------
        data
            What :meth:`read` returned.

        Returns
        -------
        dict
            Name of a column to its values, ``(n_genes,)``.
        """
        output = self._net.predict_all(data.x, graph=data.graph)
        columns = {"log_odds": self._readout.log_odds(output), **self._readout.read(output)}
        absent = {"classification": k.LOG_EXPRESSION, "regression": k.PROBABILITY}.get(self.settings.task)
        if absent is None:
            return columns
        if absent == k.PROBABILITY:
            columns.pop("log_odds")
        return {name: values for name, values in columns.items() if not name.startswith(absent)}

    def evaluate(self, adata: ad.AnnData | None = None, **kwargs: Any) -> pd.DataFrame:
        """Score the predictions on each split with :func:`simplechrome_tk.evaluation.evaluate`.

        Parameters
        ----------
        adata
            As for :meth:`predict`, with labels or expression and splits.
        **kwargs
            Passed on.
        """
        adata = self._checked(adata)
        keys = {key: getattr(self.settings, key) for key in ("label_key", "expression_key", "split_key")}
        return evaluate(adata, self.predict(adata), **{**keys, **kwargs})

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write ``config.json`` and the weights, ``model-<hash>.safetensors``, to a folder.

        Whatever interrupts or kills it, a folder that held a model holds a whole one, the old or the new; what is left
        of an interrupted call is removed by the next. Processes may save to one folder and load from it at the same
        time. The files carry checksums: neither is to be edited.

        Parameters
        ----------
        path
            The folder; ``~`` is the user's home.
        overwrite
            Replace the model that is there. Only files that this method has written are replaced or removed; others,
            such as a card beside the model, stay.

        Raises
        ------
        FileExistsError
            When ``path`` holds a model and ``overwrite`` is false. With either, when it is a file, or holds a
            ``config.json`` that this method has not written, or other files and no model.
        ValueError
            When the weights are not finite.

        Notes
        -----
        No AnnData is saved. A pickle of a model carries :attr:`adata` along, and code is run when a pickle is read.
        """
        self.require_trained()
        saved = Saved(self.settings, self._regions, self._columns, self._normalization, self._readout, self._history)
        write_model(path, self._net.state_dict(), saved, overwrite=overwrite)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        adata: ad.AnnData | None = None,
        *,
        device: str | torch.device | None = None,
    ) -> SimpleChrome:
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path
            The folder.
        adata
            Data to predict when none are given; checked against the model's columns and normalisation.
        device
            Where to compute; ``None`` takes what is there.

        Raises
        ------
        FileNotFoundError
            When the folder holds no model.
        ValueError
            When a file is damaged or was changed after it was saved, the folder was written by a version with another
            format, or ``adata`` does not fit the model. Nothing in the files is imported or executed.
        """
        device = resolve_device(device)
        saved, networks = read_model(path)
        model = cls.__new__(cls)
        model.settings, model._regions, model._columns = saved.settings, saved.regions, saved.columns
        model._normalization, model._readout, model._history = saved.normalization, saved.readout, saved.history
        model.device = device
        model._net = networks.to(device)
        model.adata = None
        if adata is not None:
            model.adata = model._checked(adata)
        return model

    def __repr__(self) -> str:
        s = self.settings
        regions = " + ".join(f"{shape.n_marks} marks x {shape.n_bins} bins" for shape in self._regions)
        graph = f"neighbours {s.neighbors_key!r}" if s.neighbors_key else "no neighbours"
        told = f", decoder told of {s.condition_key!r}" if s.condition_key else ""
        state = f"trained for {len(self._history)} epochs" if self.is_trained else "not trained"
        length = " + gene length" if s.gene_length else ""
        n_weights = sum(parameter.numel() for parameter in self._net.first.parameters())
        models = f"{s.n_models} models of " if s.n_models > 1 else ""
        return (
            f"SimpleChrome ({s.preset}, {s.task}): {regions}{length} -> {s.n_latent} latents -> expression, "
            f"{graph}{told}\n"
            f"{models}{n_weights:,} weights on {self.device}, {state}"
        )

    def _networks(self) -> list[nn.SimpleChromeNet]:
        return [
            self.settings.network(self._regions, self._normalization, seed=seed).to(self.device)
            for seed in self.settings.seeds
        ]

    def _with(self, adata: ad.AnnData, trained: Trained, settings: Settings) -> SimpleChrome:
        """Return a model like this one that was trained on other data."""
        model = copy.copy(self)
        model.adata, model.settings = adata, settings
        model._take(trained)
        return model

    def _take(self, trained: Trained) -> None:
        self._net, self._readout = trained.ensemble, trained.readout
        self._history = trained.history or self._history

    def _genes(self, data: ModelData) -> Genes:
        s = self.settings
        observed = observe(data.adata, task=s.task, label_key=s.label_key, expression_key=s.expression_key)
        return Genes(data.x, data.graph, observed, split_of(data.adata, s.split_key))

    def require_trained(self) -> None:
        """Raise ``RuntimeError`` unless the weights have been trained."""
        if not self.is_trained:
            msg = "the model is not trained: run model.train() first."
            raise RuntimeError(msg)

    def _checked(self, adata: ad.AnnData | None) -> ad.AnnData:
        """Return the AnnData to work on after checking that it fits the model."""
        adata = self.adata if adata is None else adata
        if adata is None:
            msg = "the model was loaded without data: give an AnnData here or to SimpleChrome.load(path, adata)."
            raise ValueError(msg)
        check_data(adata)
        check_columns(list(adata.var_names), self._columns)
        check_normalization(adata, self._normalization)
        return adata

    def _tensor(self, adata: ad.AnnData) -> torch.Tensor:
        columns = [read_features(adata)]
        if self.settings.gene_length:
            columns.append(gene_length(adata)[:, None])
        if self.settings.condition_key is not None:
            columns.append(conditions_of(adata, self.settings.condition_key, self.settings.conditions))
        return torch.as_tensor(np.concatenate(columns, axis=1), dtype=torch.float32, device=self.device)
