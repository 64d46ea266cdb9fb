"""Predictions for batches of edited genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.perturbation._edit_session import EditSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anndata as ad

    from simplechrome_tk.tl.perturbation._batch import Batch

# Genes predicted at a time: of 600 columns each, 2,048 genes with their neighbours take some tens of MB.
_CHUNK = 2_048


def open_session(adata: ad.AnnData, model: object) -> EditSession:
    """Return a session to edit these genes in, after checking that the model can read them."""
    if not isinstance(model, SimpleChrome):
        msg = (
            f"the model is a {type(model).__name__}; expected a SimpleChrome. For any other model use "
            "sct.get.before_and_after(adata, model, edits, func), with a func(model, adata) that predicts."
        )
        raise TypeError(msg)
    require_trained(model)
    data = model.read(adata)
    settings = model.settings
    return EditSession(
        data.adata, neighbors_key=settings.neighbors_key, reference_key=settings.reference_key, layout=data.layout
    )


def predict_batch(model: SimpleChrome, session: EditSession, batch: Batch) -> pd.DataFrame:
    """Predict the genes of a batch: the columns of ``model.predict``, and ``log_odds`` beside the probability."""
    columns = model.predict_columns(model.read(session.to_numbered_adata(batch)))
    n_genes = len(batch.genes.rows)
    return pd.DataFrame({name: values[:n_genes] for name, values in columns.items()})


def cut_into_chunks(session: EditSession, rows: np.ndarray, *, progress: bool) -> Iterator[np.ndarray]:
    """Yield places among ``rows``, chunk by chunk, with a progress bar where there are several chunks.

    Genes with the same neighbours share a chunk, so that few neighbours are read twice.
    """
    order = session.order(rows) if len(rows) > _CHUNK else np.arange(len(rows))
    chunks = np.split(order, range(_CHUNK, len(rows), _CHUNK))
    return iter(tqdm(chunks, disable=not progress or len(chunks) == 1))
