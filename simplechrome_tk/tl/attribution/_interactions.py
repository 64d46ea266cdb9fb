"""Interactions of marks: what two marks do to a prediction beyond the sum of their effects."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.write import to_change, write_whole
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._target import choose_target, freeze_networks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline, Baselines
    from simplechrome_tk.tl.attribution._readout import TargetFunction
    from simplechrome_tk.tl.attribution._target import ExplainedTarget

    Pair = tuple[int, int]


def interactions(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module,
    *,
    genes: Genes = None,
    target: str | TargetFunction = "logit",
    baseline: Baseline | np.ndarray = "zero",
    batch_size: int = 2_048,
    key_added: str = k.ATTRIBUTION,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    r"""Measure for each pair of the gene's own marks how much they do together beyond what each does alone.

    Let :math:`f_{AB}` be the prediction of the gene as it is, :math:`f_A` that without mark ``B`` (replaced by the
    baseline in all its bins), :math:`f_B` that without ``A``, and :math:`f` that without both. The interaction is
    :math:`f_{AB} - f_A - f_B + f`. It is 0 where the effects of the two marks add up, above 0 where both together do
    more (synergy), and below 0 where one mark does less beside the other (redundancy, antagonism). It equals the
    integral of the mixed second derivatives of the two marks between the baseline and the gene's marks, and is computed
    without numerical derivatives. Other marks and the neighbours stay as they are.

    Parameters
    ----------
    adata, model, genes, target, baseline
        As for :func:`attribute`.
    batch_size
        Genes that go through the networks at once.
    key_added
        Name of the result.
    progress
        Show a progress bar.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obsm["attribution_interactions"]``: a table with a column for each pair,
        such as ``"H3K4me3 x H3K27me3"``, in the unit of the target; NaN for genes that were not computed; and
        ``uns["attribution_interactions"]``: ``target``, ``unit`` and ``baseline``. A slash and a space within the name
        of a mark are written as ``%2F`` and ``%20``, since files take a slash for a folder;
        :func:`simplechrome_tk.get.interactions` gives the names as they are.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the data have one mark only, or as for :func:`attribute`.

    Examples
    --------
    >>> sct.tl.interactions(adata, model, genes="SIM0007", progress=False)
    >>> adata.obsm["attribution_interactions"].shape
    (300, 10)
    """
    check_order(adata, model, "sct.tl.interactions(adata, model)")
    adata = to_change(adata, copy=copy)
    # Read.
    data = read_inputs(adata, model)
    explained = choose_target(data, model, target)
    rows = gene_rows(adata, genes)
    baselines = make_baselines(data, baseline)
    marks = data.layout.marks
    if len(marks) < 2:
        msg = f"the data have one mark only ({marks[0]}); expected two at least."
        raise ValueError(msg)
    mark = torch.as_tensor(pd.Index(marks).get_indexer(data.layout.mark))
    pairs = list(combinations(range(len(marks)), 2))
    # Compute.
    found = np.full((adata.n_obs, len(pairs)), np.nan, dtype=np.float32)
    with freeze_networks(explained.networks), tqdm(total=len(rows), disable=not progress, unit="gene") as bar:
        for part in np.array_split(rows, max(1, -(-len(rows) // batch_size))):
            found[part] = _compute_batch(explained, baselines, part, mark, pairs)
            bar.update(len(part))
    # Write. A space within a mark would be taken for the one around the x when the column is split again.
    named = [k.as_column(name).replace(" ", "%20") for name in marks]
    names = [f"{named[first]} x {named[second]}" for first, second in pairs]
    slot = k.INTERACTIONS.format(key_added)
    table = pd.DataFrame(found, index=adata.obs_names, columns=names)
    record = {"target": explained.name, "unit": explained.unit, "baseline": baselines.name}
    write_whole(adata, [("obsm", slot, table)], records={slot: record})
    return adata if copy else None


def _compute_batch(
    explained: ExplainedTarget, baselines: Baselines, rows: np.ndarray, mark: torch.Tensor, pairs: Sequence[Pair]
) -> np.ndarray:
    """Return the interaction of each pair of marks on the genes in ``rows``, ``(len(rows), n_pairs)``.

    ``mark`` ``(n_columns,)`` holds the number of the mark of each column.
    """
    batch = explained.gather(rows, baselines)
    predict = explained.fix_neighbors(batch)
    own, absent = batch.x[batch.genes], batch.baseline[batch.genes]
    # One prediction without each set of marks serves all pairs that it belongs to.
    without = {}
    for removed in [(), *((number,) for number in range(int(mark.max()) + 1)), *pairs]:
        x = own.clone()
        columns = torch.isin(mark, torch.tensor(removed, dtype=torch.long)).nonzero().squeeze(1)
        x[:, columns] = absent[:, columns]
        without[removed] = predict(x)
    found = [without[()] - without[first,] - without[second,] + without[first, second] for first, second in pairs]
    return torch.stack(found, dim=1).cpu().numpy()
