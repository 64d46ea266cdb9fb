"""The README's code runs as it is written, block after block in one session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad
    import pytest

README = Path(__file__).parents[1] / "README.md"
TRAIN = "model.train()"


def test_blocks_run_in_order(
    real_roadmap: Callable[..., ad.AnnData], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    roadmap = sct.datasets.roadmap
    real_roadmap("E116")  # skips where the files are out of reach

    def one_gene_in_six(cell_type: str) -> ad.AnnData:
        adata = roadmap(cell_type)
        return adata[(np.arange(adata.n_obs) % 6 == 0) | (adata.obs["symbol"] == "PAX5").to_numpy()].copy()

    monkeypatch.setattr(sct.datasets, "roadmap", one_gene_in_six)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    code = "\n".join(blocks)
    assert code.count(TRAIN) == 1
    code = code.replace(TRAIN, "model.train(latent_epochs=1, expression_epochs=2, progress=False)")
    session: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), session)
    adata = session["adata"]
    assert np.isfinite(adata[adata.obs["symbol"] == "PAX5"].layers["attribution"]).all()
    assert "X_simplechrome" in adata.obsm
    assert adata.obs["state"].notna().all()
    assert session["pretrained"].is_trained
    capsys.readouterr()
