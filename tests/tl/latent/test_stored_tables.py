"""Tables of the latent space in ``uns``: stored, read from files, drawn, and never in place of something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from builders import embedded

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad

TOOLS: dict[str, Callable[..., ad.AnnData | None]] = {
    "latent_dimensions": sct.tl.latent_dimensions,
    "latent_quality": lambda adata, _, **settings: sct.tl.latent_quality(adata, device="cpu", **settings),
    "mixing": lambda adata, _, **settings: sct.tl.mixing(adata, groupby="label", **settings),
    "reconstruction": sct.tl.reconstruction,
    "traverse": sct.tl.traverse,
}


@pytest.fixture(scope="module")
def analysed() -> ad.AnnData:
    adata, model = embedded()
    for tool in TOOLS.values():
        tool(adata, model)
    sct.tl.name_states(adata)
    return adata


def test_everything_survives_a_file(analysed: ad.AnnData, round_trip: Callable[[ad.AnnData], ad.AnnData]):
    again = round_trip(analysed)
    for name in TOOLS:
        pd.testing.assert_frame_equal(
            again.uns[name].reset_index(drop=True), analysed.uns[name], check_dtype=False, check_exact=True
        )
        assert getattr(sct.pl, name)(again) is not None
    assert again.uns["simplechrome"]["embed"]["model"] == analysed.uns["simplechrome"]["embed"]["model"]
    model = embedded()[1]
    sct.tl.place(again[:5].copy(), again, model, device="cpu")


@pytest.mark.parametrize("name", TOOLS)
def test_a_copy_leaves_the_data_as_they_were(name: str):
    adata, model = embedded()
    copied = TOOLS[name](adata, model, copy=True)
    assert name not in adata.uns
    assert name in copied.uns


@pytest.mark.parametrize("name", TOOLS)
def test_a_table_never_replaces_something_else(analysed: ad.AnnData, name: str):
    with pytest.raises(ValueError, match="key_added is 'normalize'"):
        TOOLS[name](analysed, embedded()[1], key_added="normalize")
    other = "mixing" if name != "mixing" else "traverse"
    with pytest.raises(ValueError, match=f"key_added is '{other}'"):
        TOOLS[name](analysed, embedded()[1], key_added=other)
