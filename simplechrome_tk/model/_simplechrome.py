"""The SimpleChrome model around an AnnData."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.device import resolve_device
from simplechrome_tk.core.features import reads_body
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import check_data
from simplechrome_tk.evaluation._evaluate import evaluate
from simplechrome_tk.model import _derive as derive
from simplechrome_tk.model._calibration import LOG_ODDS
from simplechrome_tk.model._change import predict_changes, predict_from_reference
from simplechrome_tk.model._inputs import (
    ModelData,
    check_cell_types,
    check_fit,
    check_new,
    condition_names,
    read_data,
    read_inputs,
    read_points,
    require_trained,
)
from simplechrome_tk.model._settings import Settings
from simplechrome_tk.model._state import ModelState
from simplechrome_tk.model._store import read_model, write_model
from simplechrome_tk.model._training import LabelledData, train
from simplechrome_tk.nn._ensemble import Ensemble
from simplechrome_tk.nn._predict import decode, encode
from simplechrome_tk.nn._recipe import context_epochs as default_context_epochs

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import anndata as ad
    import numpy as np
    import torch

    from simplechrome_tk.core.features import Task
    from simplechrome_tk.model._change import Changes
    from simplechrome_tk.model._change_readout import ChangeReadout
    from simplechrome_tk.model._settings import Likelihood, Preset
    from simplechrome_tk.model._training import OnEpoch


class SimpleChrome:
    """Latents of each gene's histone marks, and expression predicted from them and from what else is known of the gene.

    Phase 1 learns the latent with a variational autoencoder on the marks of all genes, without labels. Phase 2 trains
    the prediction from the gene's own marks, end to end on the training genes. Phase 3, of models with
    ``neighbors_key`` or ``reference_key``, trains the *context* on fixed latents: what the marks of related genes,
    found by attention, and the expression of the gene in reference samples add to that prediction. The latent therefore
    describes the gene's own marks, whatever else a model reads.

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
        Number of networks, trained from different seeds. Their mean predicts better than one network (see
        ``docs/figures.md``); training takes ``n_models`` times as long.
    gene_length
        Whether the length of the gene (``obs["end"] - obs["start"]``) is an input beside the marks. ``None`` makes it
        one where a window covers the gene's body, since bins that scale with the gene hide its length.
    likelihood
        Distribution of the signal around the decoded signal: ``"gaussian"`` for the normalised signal, or
        ``"negative_binomial"`` for read counts (:func:`simplechrome_tk.pp.bin_reads`, DeepChrome's files).
    neighbors_key
        Graph of related genes in ``obsp``, such as ``"coexpression"`` after
        :func:`simplechrome_tk.pp.coexpression_neighbors` or ``"tss"`` after
        :func:`simplechrome_tk.pp.tss_neighbors`; or the names of several graphs. ``None`` reads no other gene.
    reference_key
        Log expression of each gene in reference samples in ``obsm``, ``"reference_expression"`` after
        :func:`simplechrome_tk.pp.add_reference_expression`. ``None`` reads none. Data that the model predicts need the
        same samples.
    task
        ``"classification"`` of ``obs[label_key]``, ``"regression"`` of ``log10(obs[expression_key] + 0.1)``, or
        ``"both"`` by one network.
    preset
        ``"default"``, or ``"paper"`` for the network and settings published by Cheng et al. (arXiv 2012.08671), where
        ``n_hidden`` and ``dropout`` have no effect. That preset needs one region and ``normalize(method="paper")``.
    condition_key
        Column of ``obs``, such as ``"cell_type"`` or a batch, whose value is an input of the decoder beside the latent.
        The latent then need not describe differences in signal that all genes of two cell types, or batches, share.
        Encoder and prediction do not read this column. Values that the model was not trained with are decoded as the
        mean of those it was trained with. ``None`` decodes from the latent alone.
    label_key, expression_key, split_key
        Columns of ``obs``.
    rng
        Seed of weights, batches and dropout; further networks use the seeds that follow. On CPU the same seed and data
        give the same bits, whatever the number of threads.
    device
        Where to compute; ``None`` uses CUDA, MPS or CPU, the first that is available.

    Attributes
    ----------
    adata
        The model's data, which it predicts when no other data are given; ``None`` for a model loaded without data.
    card
        Data, splits, figures and limits of a model from :func:`simplechrome_tk.load_pretrained`, as Markdown; ``None``
        for any other model, also for one that was fine-tuned or adapted.
    device
        Where the model computes.

    Examples
    --------
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
        neighbors_key: str | Sequence[str] | None = None,
        reference_key: str | None = None,
        task: Task = "both",
        preset: Preset = "default",
        condition_key: str | None = None,
        label_key: str = k.LABEL,
        expression_key: str = k.EXPRESSION,
        split_key: str = k.SPLIT,
        rng: int = 0,
        device: str | torch.device | None = None,
    ) -> None:
        # 10 latents were published.
        if n_latent is None:
            n_latent = 10 if preset == "paper" else 32
        check_data(adata)
        if gene_length is None:
            gene_length = preset != "paper" and reads_body(adata)
        settings = Settings(
            n_latent=n_latent,
            n_hidden=n_hidden,
            dropout=dropout,
            neighbors_key=neighbors_key,
            reference_key=reference_key,
            references=() if reference_key is None else tuple(read_reference(adata, reference_key).samples),
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
        state = ModelState.of(adata, settings)
        device = resolve_device(device)
        check_new(adata, settings)
        self._set(state, Ensemble(state.new_networks(device)), adata, device)

    @classmethod
    def _from_state(
        cls, state: ModelState, networks: Ensemble, adata: ad.AnnData | None, device: torch.device
    ) -> SimpleChrome:
        """Return a model with networks that exist already, such as those of a saved model."""
        model = cls.__new__(cls)
        model._set(state, networks, adata, device)
        return model

    def _set(self, state: ModelState, networks: Ensemble, adata: ad.AnnData | None, device: torch.device) -> None:
        """Set all attributes; every model is built by this method."""
        self._state = state
        self._net = networks
        self.adata = adata
        self.device = device
        self.card: str | None = None

    def train(
        self,
        *,
        latent_epochs: int | None = None,
        expression_epochs: int | None = None,
        context_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        patience: int | None = None,
        progress: bool = True,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        """Train all phases, from new weights.

        Phase 2 stops early when the validation score (mean of AUROC and Pearson) no longer rises; the weights of its
        best epoch are kept. Phase 3, of models with related genes or reference samples, trains what these add, on fixed
        latents; its weights are kept if they raise that score.

        A second call does not continue the first: it starts again from the weights that the seed gives, and replaces
        networks and :attr:`history`. With the same arguments and data it therefore gives the same model. To continue
        from the present weights, use :meth:`fine_tune`. A training that is interrupted, or that fails, leaves the model
        as it was before. The caller's random state is left as it was.

        Parameters
        ----------
        latent_epochs, expression_epochs, context_epochs
            Epochs of each phase; in phases 2 and 3 the largest number. ``None``, here and below, is the value of the
            preset.
        batch_size
            Genes in a batch, in all phases. When it is smaller than the preset's, the learning rate of phase 1 is
            lowered with its square root.
        learning_rate
            Learning rate in phases 1 and 2.
        patience
            Epochs without a better validation score after which phase 2 ends.
        progress
            Whether to show a progress bar.
        on_epoch
            Called after each epoch with its row of :attr:`history` and three more values: ``phase_epoch``, the number
            of the epoch in its phase; ``plan``, the number of epochs of each phase; and ``n_models``. When it returns
            something true the phase ends as in early stopping. After phase 1 phase 2 begins, since nothing can be
            predicted without it; in phase 2 or 3 the network keeps its best weights so far, and the training of the
            next network begins.

        Raises
        ------
        ValueError
            When the data have changed since the model was made, a split has no genes or one class only, or the loss
            is no longer finite.
        """
        shared = {"batch_size": batch_size, "learning_rate": learning_rate}
        # New networks are trained, and replace those of the model once all has gone well.
        before = derive.without_contrast(self._parts).state
        data = self.read()
        genes = LabelledData.of(data, self.settings)
        check_cell_types(data.adata, genes.observed, genes.split)
        if context_epochs is None:
            context_epochs = default_context_epochs(genes.n_train)
        recipe = self.settings.recipe(
            latent={"epochs": latent_epochs, **shared},
            expression={"epochs": expression_epochs, "patience": patience, **shared},
            context={"epochs": context_epochs, "batch_size": batch_size},
        )
        trained = train(
            before.new_networks(self.device),
            genes,
            recipe,
            seeds=self.settings.seeds,
            phases=self.settings.phases,
            progress=progress,
            on_epoch=on_epoch,
        )
        state = dataclasses.replace(before, readout=trained.readout, history=trained.history)
        self._set(state, trained.ensemble, self.adata, self.device)

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
        """Continue the training of all weights on the labels of other data, and return the new model.

        This model stays as it was. Fine-tuning needs about a thousand labels; with fewer, :meth:`adapt` is safer. A
        model of several cell types that is fine-tuned on one of them predicts that one better than a model of all or of
        one (see ``docs/figures.md``).

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants, labelled and split as for :meth:`train`.
        epochs, batch_size, learning_rate, patience, progress
            As for phase 2 of :meth:`train`; a quarter of its learning rate by default. Phase 3 follows as in
            :meth:`train` where the model has a context.

        Returns
        -------
        SimpleChrome
            The new model, with ``adata`` as its data.

        Raises
        ------
        ValueError
            When the data do not fit the model, a split has no genes or one class only.
        """
        require_trained(self)
        data = self.read(adata)
        recipe = self.settings.fine_tuning_recipe(
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, patience=patience
        )
        return self._derived(
            derive.fine_tune(self._parts, LabelledData.of(data, self.settings), recipe, progress=progress), data.adata
        )

    def add_context(
        self,
        adata: ad.AnnData | None = None,
        *,
        neighbors_key: str | Sequence[str] | None = None,
        reference_key: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        progress: bool = True,
    ) -> SimpleChrome:
        """Train what related genes and reference samples add to this model's predictions, and return the new model.

        This is phase 3 of :meth:`train` alone, on the latents of this model, which stays as it was. In this way several
        contexts can be compared on the same predictions of the genes' own marks, and a model that was trained
        elsewhere, such as one that comes with the package, can read what is known of the genes of your data.

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants, labelled and split as for :meth:`train`;
            the training data by default.
        neighbors_key, reference_key
            As for the class; they replace those of this model.
        epochs, batch_size, progress
            As for phase 3 of :meth:`train`.

        Returns
        -------
        SimpleChrome
            The new model, with ``adata`` as its data.

        Raises
        ------
        ValueError
            When neither key is given, the model was adapted, or the data do not fit the model.

        Examples
        --------
        >>> with_context = model.add_context(neighbors_key="tss", epochs=1, progress=False)
        >>> bool((with_context.get_latent_representation() == model.get_latent_representation()).all())
        True
        """
        require_trained(self)
        adata = self._given_or_own(adata)
        parts = derive.add_context(
            self._parts,
            adata,
            self.device,
            neighbors_key=neighbors_key,
            reference_key=reference_key,
            epochs=epochs,
            batch_size=batch_size,
            progress=progress,
        )
        return self._derived(parts, adata)

    def add_contrast(
        self,
        adata: ad.AnnData | None = None,
        *,
        key: str = k.CELL_TYPE,
        epochs: int | None = None,
        batch_size: int | None = None,
        progress: bool = True,
    ) -> SimpleChrome:
        """Train changes of expression between conditions, and return the new model.

        The difference of two predictions is a change, but a model that reads both conditions at once predicts changes
        better. A small network is trained for it on the latents of this model, which stays as it was, and on the genes
        that were measured in two conditions. Predictions of single conditions do not change.

        Parameters
        ----------
        adata
            Genes of two conditions or more, stacked (:func:`simplechrome_tk.pp.stack_cell_types`), normalised with the
            model's constants, with expression, and split as for :meth:`train`; the training data by default.
        key
            Column of ``obs`` with the condition of each row. Every two conditions are learnt from; where there are
            replicates (``obs["sample"]``), each sample of one with each sample of the other.
        epochs, batch_size
            Epochs at most, and changes in a batch; by default about 1,700 batches in all.
        progress
            Whether to show a progress bar.

        Returns
        -------
        SimpleChrome
            The new model, with ``adata`` as its data, for :func:`simplechrome_tk.tl.contrast` and for
            ``predict(reference=...)``.

        Raises
        ------
        ValueError
            When the model was adapted or predicts no expression, there are no two conditions, a gene has several rows
            in a sample of a condition, or no change of a training or validation gene is known.
        """
        require_trained(self)
        data = self.read(adata)
        parts = derive.add_contrast(self._parts, data, key=key, epochs=epochs, batch_size=batch_size, progress=progress)
        return self._derived(parts, data.adata)

    def adapt(self, adata: ad.AnnData) -> SimpleChrome:
        """Correct the predictions with a few labels of another cell type, and return the new model.

        This model and its networks stay as they were. The new model corrects their output by a linear function, which
        also reads the latents if cross-validation among the labelled genes shows that this helps. From 50 labels on,
        probabilities are calibrated to the new cell type. The correction of fewer than 300 labels is built to do no
        harm: it did not measurably improve a model of two other cell types (E116: AUROC .965 and Pearson .875 without
        labels and with 30). It needs at least ten labelled genes; with a thousand, :meth:`fine_tune` may learn more.

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants. Genes of the splits ``train`` and
            ``valid`` that have a label or expression are learnt from, those of ``test`` never. Set labels that must not
            be used to missing values.

        Returns
        -------
        SimpleChrome
            The new model, with ``adata`` as its data. Its probabilities and intervals are calibrated by the labelled
            genes, each predicted without its own label; with fewer than 50 of them this model's calibration stays.

        Raises
        ------
        ValueError
            When fewer than ten genes have a label or expression, or labels are of one class.
        """
        require_trained(self)
        data = self.read(adata)
        return self._derived(derive.adapt(self._parts, LabelledData.of(data, self.settings)), data.adata)

    @property
    def settings(self) -> Settings:
        """Arguments of the model, checked."""
        return self._state.settings

    @property
    def is_trained(self) -> bool:
        """Whether the weights have been trained."""
        return bool(self._state.history)

    @property
    def module(self) -> Ensemble:
        """The torch networks, on :attr:`device`. Their output is not calibrated."""
        return self._net

    @property
    def output_units(self) -> dict[str, float]:
        """Size of one unit of the networks' output: of ``logit`` in log-odds, of ``log_expression`` in log10."""
        return self._state.readout.units

    @property
    def change_readout(self) -> ChangeReadout | None:
        """Calibration of predicted changes between conditions; ``None`` before :meth:`add_contrast`."""
        return self._state.change_readout

    @property
    def normalization(self) -> dict[str, np.ndarray]:
        """Constants of the training data, for ``sct.pp.normalize(other, reference=model.normalization)``."""
        return self._state.normalization

    @property
    def history(self) -> pd.DataFrame:
        """One row for each epoch of each network.

        The columns are ``model``, the number of the network from 0; ``epoch``; ``phase`` (``latent``, ``expression``,
        ``context`` or ``contrast``); ``train_loss`` and ``valid_loss``; in the latent phase ``reconstruction`` (mean
        squared error, or nats of the negative binomial) and ``kl`` (nats) of the validation genes; in the other phases
        ``valid_auroc`` and ``valid_pearson``, which in the phase ``contrast`` is the correlation of predicted and
        measured changes; and ``best``, true for the epoch whose weights predict single conditions.
        """
        return self._state.history_table()

    def get_latent_representation(self, adata: ad.AnnData | None = None) -> np.ndarray:
        """Return the mean of each gene's latent.

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants; the training data by default.

        Returns
        -------
        numpy.ndarray
            ``(n_genes, n_latent)`` float32, as :func:`simplechrome_tk.tl.embed` stores them in
            ``obsm["X_simplechrome"]``. With several networks, the latents of the first.
        """
        require_trained(self)
        adata = self._given_or_own(adata)
        check_fit(adata, self._state)
        return encode(self._net.first, read_inputs(adata, self._state, self.device)).mean.cpu().numpy()

    def decode(self, latents: np.ndarray, *, conditions: Sequence[str] | None = None) -> np.ndarray:
        """Decode latents to marks, in units of the normalised signal.

        Parameters
        ----------
        latents
            ``(n_points, n_latent)``.
        conditions
            Value of ``condition_key`` for each point, such as its cell type. ``None``, and values that the model was
            not trained with, are decoded as the mean of those it was trained with. Without effect on a model that has
            no ``condition_key``.

        Returns
        -------
        numpy.ndarray
            ``(n_points, n_columns)`` float32, to be compared with ``X``. With several networks, those of the first.

        Raises
        ------
        ValueError
            When the latents have another number of dimensions than the model's, or there is not one condition for each.
        """
        points, weights = read_points(latents, conditions, self.settings)
        return decode(self._net.first, points.to(self.device), weights.to(self.device)).cpu().numpy()

    def read(self, adata: ad.AnnData | None = None) -> ModelData:
        """Read the inputs of :attr:`module` from an AnnData, after checking that it fits the model.

        Parameters
        ----------
        adata
            As for :meth:`predict`.

        Returns
        -------
        ModelData
            ``adata``; ``layout``, the layout of its columns; ``x`` ``(n_genes, n_inputs)`` on :attr:`device`, which
            holds the normalised signal and, where the model reads them, expression in reference samples, the gene's
            length and condition; and ``graph``, a :class:`simplechrome_tk.nn.Graph`, or ``None`` without neighbours.

        Raises
        ------
        ValueError
            When ``adata`` has other columns than the training data, was normalised with other constants, holds missing
            values, or lacks the graph of neighbours.
        """
        return read_data(self._given_or_own(adata), self._state, self.device)

    def predict(self, adata: ad.AnnData | None = None, *, reference: ad.AnnData | None = None) -> pd.DataFrame:
        """Predict every gene.

        Parameters
        ----------
        adata
            Genes by the same columns, normalised with the model's constants, with the same kind of graph of neighbours;
            the training data by default.
        reference
            The same genes in another condition, with marks and measured expression, normalised with the model's
            constants. Log expression is then predicted as what was measured there plus the predicted change; the part
            of the measured value that the model does not predict there counts in part, as learnt by
            :meth:`add_contrast`. Genes without a row or a measured value there are predicted without it, and counted.

        Returns
        -------
        pandas.DataFrame
            One row for each gene: the ``probability`` that the gene is high, and ``log_expression``, which is
            ``log10(expression + 0.1)`` in the unit of the training data; one of them if the model's task covers only
            one. Each has an interval. ``probability_low`` and ``probability_high`` bound the share of high genes among
            genes with the same prediction (Venn-Abers). Between ``log_expression_low`` and ``log_expression_high`` lies
            the measured value of 90 % of genes (conformal prediction). The intervals are fitted to the validation genes
            of the training, and are NaN if there were fewer than 50. They hold for genes of the same kind, and are not
            guaranteed for another cell type or pipeline.

        Raises
        ------
        ValueError
            When the data do not fit the model, or there is a reference and the model has learnt no changes, or the
            reference has no expression.
        """
        require_trained(self)
        data = self.read(adata)
        table = self._table(data)
        if reference is not None:
            rows, columns = predict_from_reference(self._net, self._state, data, self.read(reference))
            for name in table:
                table[name] = table[name].astype(float)
                table.iloc[rows, table.columns.get_loc(name)] = columns[name]
        return table

    def predict_columns(self, data: ModelData) -> dict[str, np.ndarray]:
        """Predict genes that were read already.

        Parameters
        ----------
        data
            The result of :meth:`read`.

        Returns
        -------
        dict
            The columns of :meth:`predict`, and ``log_odds`` of the probability, ``(n_genes,)`` each.
        """
        return self._state.readout.columns(self._net.predict_all(data.x, graph=data.graph), self.settings.task)

    def predict_change(self, of: Sequence[torch.Tensor], against: Sequence[torch.Tensor]) -> Changes:
        """Predict the change of log expression between two conditions of the same genes.

        Parameters
        ----------
        of, against
            Both conditions, as ``simplechrome_tk.model._change.describe_networks`` describes them.

        Returns
        -------
        Changes
            ``change``, and ``there``, the predicted log expression in ``against``, ``(n_genes,)`` each.
        """
        return predict_changes(self._net, self._state.readout, of, against)

    def evaluate(self, adata: ad.AnnData | None = None, **kwargs: Any) -> pd.DataFrame:
        """Score the predictions on each split with :func:`simplechrome_tk.evaluation.evaluate`.

        Parameters
        ----------
        adata
            As for :meth:`predict`, with labels or expression and splits.
        **kwargs
            Further arguments of that function.

        Returns
        -------
        pandas.DataFrame
            One row for each metric and split.
        """
        require_trained(self)
        data = self.read(adata)
        keys = {key: getattr(self.settings, key) for key in ("label_key", "expression_key", "split_key")}
        return evaluate(data.adata, self._table(data), **{**keys, **kwargs})

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write ``config.json`` and the weights, ``model-<hash>.safetensors``, to a folder.

        If the call is interrupted or killed, a folder that held a model still holds a whole one, the old or the new.
        Files that an interrupted call has left are removed by the next call. Several processes may save to a folder and
        load from it at the same time. Do not edit the files: checksums protect them.

        Parameters
        ----------
        path
            The folder; ``~`` is the user's home.
        overwrite
            Whether to replace a model in the folder. Only files that this method has written are replaced or removed;
            others, such as a card beside the model, stay.

        Raises
        ------
        FileExistsError
            When ``path`` holds a model and ``overwrite`` is false. In any case when ``path`` is a file, when it holds a
            ``config.json`` that this method has not written, or when it holds other files and no model.
        ValueError
            When the weights are not finite.

        Notes
        -----
        The AnnData is not saved. A pickle of a model would contain it, and reading a pickle can execute code.
        """
        require_trained(self)
        write_model(path, self._net.state_dict(), self._state, overwrite=overwrite)

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
            The model's data, which it predicts when no other data are given. They are checked against the model's
            columns and normalisation.
        device
            Where to compute; ``None`` uses CUDA, MPS or CPU, the first that is available.

        Returns
        -------
        SimpleChrome
            The trained model.

        Raises
        ------
        FileNotFoundError
            When the folder holds no model.
        ValueError
            When a file is damaged or was changed after it was saved, the folder was written by a version with another
            format, or ``adata`` does not fit the model. Nothing in the files is imported or executed.
        """
        device = resolve_device(device)
        state, networks = read_model(path)
        if adata is not None:
            check_fit(adata, state)
        return cls._from_state(state, networks.to(device), adata, device)

    def __repr__(self) -> str:
        n_weights = sum(parameter.numel() for parameter in self._net.first.parameters())
        n_models, n_epochs = self.settings.n_models, len(self._state.history)
        models = f"{n_models} models of " if n_models > 1 else ""
        training = f"trained for {n_epochs} epochs" if self.is_trained else "not trained"
        return f"{self._state.describe()}\n{models}{n_weights:,} weights on {self.device}, {training}"

    def _given_or_own(self, adata: ad.AnnData | None) -> ad.AnnData:
        """Return the AnnData that was given, or else the model's own."""
        adata = self.adata if adata is None else adata
        if adata is None:
            msg = "the model was loaded without data: give an AnnData here or to SimpleChrome.load(path, adata)."
            raise ValueError(msg)
        return adata

    @property
    def _parts(self) -> derive.Parts:
        return derive.Parts(self._state, self._net)

    def _derived(self, parts: derive.Parts, adata: ad.AnnData) -> SimpleChrome:
        """Return a new model with other weights, on the same device."""
        return self._from_state(parts.state, parts.ensemble, adata, self.device)

    def _table(self, data: ModelData) -> pd.DataFrame:
        """Return the table of :meth:`predict`."""
        columns = self.predict_columns(data)
        columns.pop(LOG_ODDS, None)
        return pd.DataFrame(columns, index=data.adata.obs_names)
