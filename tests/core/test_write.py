"""What belongs together is written whole or not at all, wherever an interrupt falls."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import simplechrome_tk as sct
from simplechrome_tk.core.write import ABSENT, to_change, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOWS = [sct.pp.Window("tss", anchor="tss", upstream=5_000, downstream=5_000, n_bins=10)]


def small() -> ad.AnnData:
    adata = ad.AnnData(np.zeros((3, 2), dtype=np.float32), obs=pd.DataFrame({"a": [1, 2, 3]}, index=list("xyz")))
    adata.layers["of"] = np.ones((3, 2))
    adata.obsp["pairs"] = sparse.eye_array(3).tocsr()
    adata.uns["of"] = {"target": "old"}
    return adata


def write(adata: ad.AnnData) -> None:
    slots = [
        ("layers", "of", np.full((3, 2), 2.0)),
        ("X", "", np.full((3, 2), 3.0, dtype=np.float32)),
        ("obs", "a", [4, 5, 6]),
        ("obs", "b", [7, 8, 9]),
        ("obsp", "pairs", ABSENT),
    ]
    write_whole(adata, slots, records={"of": {"target": "new"}, "gone": ABSENT})


def test_whole_or_not_at_all_wherever_an_interrupt_falls(interrupted, state):
    old, new = small(), small()
    write(new)
    assert new.uns["of"] == {"target": "new"}
    assert new.obs["b"].tolist() == [7, 8, 9]
    assert "pairs" not in new.obsp
    line = 0
    while True:
        adata = small()
        if not interrupted(lambda adata=adata: write(adata), line):
            break
        assert state(adata) in (state(old), state(new)), line
        line += 1
    assert line > 20


def test_two_interrupts_leave_no_record_of_a_mixture(interrupted, state):
    old, new = state(small()), small()
    write(new)
    for first in range(6, 40, 4):
        for second in range(first + 1, first + 30, 2):
            adata = small()
            if not interrupted(lambda adata=adata: write(adata), first, second):
                break
            assert state(adata) in (old, state(new)) or "of" not in adata.uns, (first, second)


def test_an_error_puts_everything_back(state):
    adata = small()
    with pytest.raises(ValueError, match="shape"):
        write_whole(
            adata,
            [("layers", "of", np.zeros((3, 2))), ("obsm", "short", np.zeros((2, 2)))],
            records={"of": {"target": "new"}},
        )
    assert state(adata) == state(small())


def test_a_view_is_made_its_own_before_it_is_written_to():
    whole = small()
    view = whole[:2]
    assert to_change(view, copy=False) is view
    assert not view.is_view
    view.X = np.ones((2, 2), dtype=np.float32)
    assert not whole.X.any()


def test_a_file_is_not_written_to(tmp_path):
    small().write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"a\.h5ad.*adata\.to_memory\(\)"):
        to_change(backed, copy=False, x=True)
    with pytest.raises(ValueError, match=r"view .*a\.h5ad.*adata\.to_memory\(\)"):
        to_change(backed[:2], copy=False)
    assert to_change(backed, copy=False) is backed
    assert not to_change(backed, copy=True, x=True).isbacked
    backed.file.close()


def raw() -> ad.AnnData:
    return sct.datasets.simulate(138, marks=("H3K4me3", "H3K27me3"), windows=WINDOWS)


def prepared() -> ad.AnnData:
    adata = raw()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    return adata


@cache
def model() -> sct.SimpleChrome:
    adata = prepared()
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    model = sct.SimpleChrome(adata, n_latent=2, n_hidden=8, neighbors_key="tss", device="cpu")
    model.train(latent_epochs=1, expression_epochs=1, context_epochs=1, progress=False)
    return model


def attributed() -> ad.AnnData:
    adata = model().adata.copy()
    sct.tl.attribute(adata, model(), genes=["SIM0001", "SIM0002"], n_steps=50, progress=False)
    return adata


STEPS: dict[str, tuple[Callable[[], ad.AnnData], Callable[[ad.AnnData], object]]] = {
    "split": (prepared, lambda adata: sct.pp.split_random(adata)),
    "label": (prepared, lambda adata: sct.pp.label_expression(adata, threshold=3.0)),
    "normalize": (lambda: sct.pp.split_by_chromosome(raw(), copy=True), lambda adata: sct.pp.normalize(adata)),
    "control": (raw, lambda adata: sct.pp.subtract_control(adata, raw(), scale=0.5)),
    "graph": (
        lambda: sct.pp.tss_neighbors(raw(), n_neighbors=4, copy=True),
        lambda adata: sct.pp.tss_neighbors(adata, n_neighbors=2, max_distance=10**7),
    ),
    "states": (
        prepared,
        lambda adata: sct.tl.name_states(adata, groupby="label"),
    ),
    "attribute": (
        attributed,
        lambda adata: sct.tl.attribute(
            adata, model(), genes=["SIM0001"], target="log_expression", method="occlusion", progress=False
        ),
    ),
    "attribute without neighbours": (
        attributed,
        lambda adata: sct.tl.attribute(
            adata, model(), genes=["SIM0001"], target="latent:0", method="occlusion", progress=False
        ),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_leave_the_old_or_the_new_state(name: str, interrupted, state):
    make, step = STEPS[name]
    start = make()
    new = start.copy()
    step(new)
    states = state(start), state(new)
    assert states[0] != states[1]
    line = 0
    while True:
        adata = start.copy()
        if not interrupted(lambda adata=adata: step(adata), line):
            break
        assert state(adata) in states, line
        line += 1
    assert line > 10
    assert state(adata) == states[1]


def test_a_call_that_fails_before_its_first_result_leaves_those_of_another(state):
    adata = attributed()
    before = state(adata)

    def fails(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sct.tl.attribute(adata, model(), genes=["SIM0001"], target=fails, method="occlusion", progress=False)
    assert state(adata) == before
