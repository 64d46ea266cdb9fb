"""Data and a model for the examples in docstrings, which pytest runs."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _example_namespace(request: pytest.FixtureRequest) -> None:
    """Give each example ``sct``, ``adata`` (300 simulated genes with the graph "tss") and ``model``, briefly trained.

    Both are copies: an example may write to them.
    """
    if isinstance(request.node, pytest.DoctestItem):
        namespace: dict[str, Any] = request.getfixturevalue("doctest_namespace")
        namespace.update(_example())


def _example() -> dict[str, Any]:
    from builders import trained

    import simplechrome_tk as sct

    adata, model = trained(300, n_neighbors=4)
    return {"sct": sct, "adata": adata, "model": model}
