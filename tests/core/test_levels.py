"""Mean signal of each mark, in regions and where it is typically found."""

from __future__ import annotations

import numpy as np
import pytest
from builders import prepared

from simplechrome_tk.core.levels import mark_levels, typical_levels


def test_levels_of_regions():
    adata = prepared()
    levels = mark_levels(adata)
    own = (adata.var["mark"] == "H3K27me3") & (adata.var["region"] == "body")
    expected = np.log1p(adata.layers["signal"][:, own]).mean(axis=1, dtype=float)
    np.testing.assert_allclose(levels["H3K27me3:body"], expected)
    assert levels.shape == (adata.n_obs, 10)


def columns_of(adata, mark, region, low=-np.inf, high=np.inf):
    middle = (adata.var["start_bp"] + adata.var["end_bp"]) / 2
    inside = (middle >= low) & (middle <= high)
    return ((adata.var["mark"] == mark) & (adata.var["region"] == region) & inside).to_numpy()


@pytest.mark.parametrize(
    ("mark", "regions", "stretch", "phrase"),
    [
        ("H3K4me3", ["tss", "body"], ("tss", -1_000, 1_000), "within 1 kb of the TSS"),
        ("H3K27ac", ["tss", "body"], ("tss", -1_000, 1_000), "within 1 kb of the TSS"),
        ("H3K36me3", ["tss", "body"], ("body",), "along the gene body"),
        ("H3K36me3", ["tss"], ("tss", 1, np.inf), "downstream of the TSS"),
        ("H3K27me3", ["tss", "body"], ("tss",), "in the window around the TSS"),
        ("H3K27me3", ["body"], ("body",), "in all bins"),
    ],
)
def test_levels_where_a_mark_is_typically_found(mark, regions, stretch, phrase):
    adata = prepared()
    adata.var["mark"] = adata.var["mark"].cat.rename_categories({"H3K9me3": "H3K27ac"})
    adata = adata[:, adata.var["region"].isin(regions)].copy()
    levels, phrases = typical_levels(adata)
    signal = adata.layers["signal"][:, columns_of(adata, mark, *stretch)]
    np.testing.assert_allclose(levels[mark], np.log1p(signal).mean(axis=1, dtype=float))
    assert phrases[mark] == phrase
