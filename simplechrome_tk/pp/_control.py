"""Comparison of a signal with its control."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized
from simplechrome_tk.core.write import to_change, write_whole

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)

ControlMethod = Literal["log_ratio", "subtract"]


def subtract_control(
    adata: ad.AnnData,
    control: ad.AnnData,
    *,
    method: ControlMethod = "log_ratio",
    pseudocount: float = 1.0,
    scale: float | Mapping[str, float] | None = None,
    copy: bool = False,
) -> ad.AnnData | None:
    """Replace the signal of each bin by its excess over a control (input DNA, IgG).

    The signal stays non-negative, as :func:`normalize` expects it: a bin at or below its control becomes 0.

    Parameters
    ----------
    adata
        Genes by bins of signal, not normalised.
    control
        The same genes and windows, binned by the same function: one control for all marks, or one for each mark in
        ``adata``, under its name.
    method
        ``"log_ratio"``: ``max(0, log2((signal + pseudocount) / (scale * control + pseudocount)))``. ``"subtract"``:
        ``max(0, signal - scale * control)``.
    pseudocount
        Number added to signal and control, which keeps ratios of small numbers small; in the unit of the signal.
    scale
        Factor of the control, one for all or one for each mark. By default the ratio of the sizes of the two libraries
        where :func:`bin_reads` counted both, and 1 for bigWig and peaks.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``X`` (float32), ``uns["units"]["signal"]`` (its name in plots) and
        ``uns["subtract_control"]``: ``method``, ``pseudocount`` and, aligned, ``mark`` and ``scale``. The scales
        and the share of bins that are now 0 are logged.

    Raises
    ------
    ValueError
        When the signal is normalised or compared already, or holds missing, infinite or negative values; the control
        has other genes, bins or marks; or a scale or the pseudocount is not positive.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> marks = sct.pp.bin_reads({"H3K4me3": "k4me3.bam"}, genes)  # doctest: +SKIP
    >>> sct.pp.subtract_control(marks, sct.pp.bin_reads({"input": "input.bam"}, genes))  # doctest: +SKIP
    """
    if method not in get_args(ControlMethod):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(ControlMethod))}."
        raise ValueError(msg)
    signal, background = _read_signals(adata, control)
    layout, control_layout = Layout.of(adata), Layout.of(control)
    controls = _control_of(layout.marks, control_layout.marks)
    scales = _scales(adata, control, controls, scale)
    _check_positive({"pseudocount": pseudocount, **{f"scale of {mark}": value for mark, value in scales.items()}})
    columns = _matching_columns(layout, control_layout, controls)
    adata = to_change(adata, copy=copy, x=True)
    signal = signal.astype(np.float32)
    for mark, own, other in columns:
        expected = scales[mark] * background[:, other].astype(float)
        found = signal[:, own].astype(float)
        if method == "subtract":
            above = found - expected
        else:
            above = np.log2((found + pseudocount) / (expected + pseudocount))
        signal[:, own] = np.maximum(above, 0.0)
    scaled = ", ".join(f"{mark} {scales[mark]:.3g}" for mark in layout.marks)
    logger.info("%.0f %% of bins are not above the control, scaled by: %s", 100 * (signal == 0).mean(), scaled)
    units = dict(adata.uns.get(k.UNITS, {}))
    before = units.get(k.SIGNAL, "signal")
    units[k.SIGNAL] = f"{before} above control" if method == "subtract" else "log2 ratio to control"
    record = {
        "method": method,
        "pseudocount": float(pseudocount),
        "mark": np.array(layout.marks, dtype=str),
        "scale": np.array([scales[mark] for mark in layout.marks], dtype=float),
    }
    write_whole(adata, [("X", "", signal), ("uns", k.UNITS, units)], records={k.SUBTRACT_CONTROL: record})
    return adata if copy else None


def _read_signals(adata: ad.AnnData, control: ad.AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Return the signals of data and control; raise when these cannot be compared."""
    # This raises when the record of a normalisation was lost, which the search for the record would miss.
    is_normalized(adata)
    is_normalized(control)
    for step in (k.NORMALIZE, k.SUBTRACT_CONTROL):
        if step in adata.uns or step in control.uns:
            msg = f"uns[{step!r}] is there already; compare with the control once, before sct.pp.normalize."
            raise ValueError(msg)
    signal, background = dense(adata), dense(control)
    _check_signal("adata", signal)
    _check_signal("control", background)
    if not adata.obs_names.equals(control.obs_names):
        msg = (
            f"adata and control hold other genes ({adata.n_obs} and {control.n_obs}), or in another order; bin both "
            "with the same table of genes."
        )
        raise ValueError(msg)
    return signal, background


def _matching_columns(layout: Layout, control: Layout, controls: Mapping[str, str]) -> list[tuple[str, slice, slice]]:
    """Return mark, own columns and columns of the control for each block; raise when their bins differ."""
    of_control = {(block.region, block.mark): slice(block.start, block.stop) for block in control.blocks.itertuples()}
    columns = []
    for block in layout.blocks.itertuples():
        own, other = slice(block.start, block.stop), of_control.get((block.region, controls[block.mark]))
        if other is None or not _same_bins(layout, own, control, other):
            msg = f"region {block.region!r} has other bins in the control; bin both with the same windows."
            raise ValueError(msg)
        columns.append((str(block.mark), own, other))
    return columns


def _control_of(marks: list[str], controls: list[str]) -> dict[str, str]:
    """Return for each mark the mark of its control."""
    if len(controls) == 1:
        return dict.fromkeys(marks, controls[0])
    if missing := [mark for mark in marks if mark not in controls]:
        msg = f"no control for {', '.join(missing)}; found {', '.join(controls)}. Give one for each or for all."
        raise ValueError(msg)
    return {mark: mark for mark in marks}


def _scales(
    adata: ad.AnnData, control: ad.AnnData, controls: dict[str, str], scale: float | Mapping[str, float] | None
) -> dict[str, float]:
    """Return for each mark the factor of its control."""
    if scale is None and k.READS in adata.uns and k.READS in control.uns:
        own, other = adata.uns[k.READS]["library"], control.uns[k.READS]["library"]
        if missing := [mark for mark in controls if mark not in own]:
            msg = (
                f"{', '.join(missing)}: not counted by sct.pp.bin_reads, as the control was; give scale= for each mark."
            )
            raise ValueError(msg)
        return {mark: own[mark] / other[of] if other[of] else np.inf for mark, of in controls.items()}
    if not isinstance(scale, Mapping):
        return dict.fromkeys(controls, 1.0 if scale is None else float(scale))
    if missing := [mark for mark in controls if mark not in scale]:
        msg = f"scale has no number for {', '.join(missing)}; found {', '.join(scale)}."
        raise ValueError(msg)
    return {mark: float(scale[mark]) for mark in controls}


def _same_bins(layout: Layout, own: slice, control: Layout, other: slice) -> bool:
    """Return whether two blocks have bins at the same positions."""
    return np.array_equal(layout.start[own], control.start[other]) and np.array_equal(
        layout.end[own], control.end[other]
    )


def _check_signal(name: str, signal: np.ndarray) -> None:
    """Raise a ``ValueError`` when signal is missing, infinite or negative."""
    for problem, wrong in (("missing or infinite", ~np.isfinite(signal)), ("negative", signal < 0)):
        if wrong.any():
            msg = f"{name} holds {int(wrong.sum())} {problem} values; expected non-negative signal."
            raise ValueError(msg)


def _check_positive(numbers: Mapping[str, float]) -> None:
    """Raise a ``ValueError`` for a number that is not finite and above 0."""
    for name, number in numbers.items():
        if not (np.isfinite(number) and number > 0):
            msg = f"{name} is {number}; expected a positive number."
            raise ValueError(msg)
