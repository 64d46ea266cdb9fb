"""Models on disk: weights as safetensors beside a readable config."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    import os

    import torch

FORMAT = 2
_WEIGHTS, _CONFIG = "model.safetensors", "config.json"


def write_model(
    path: str | os.PathLike[str], weights: dict[str, torch.Tensor], config: dict[str, Any], *, overwrite: bool
) -> None:
    """Write to a temporary folder beside ``path`` and rename it, so that no half-written model is left."""
    path = Path(path)
    if path.exists() and not overwrite:
        msg = f"{path} exists: choose another folder, or overwrite=True to replace it."
        raise FileExistsError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, new / _WEIGHTS)
        versions = {name: version(name) for name in ("simplechrome-tk", "torch", "anndata", "numpy")}
        text = json.dumps({"format": FORMAT, "versions": versions, **config}, indent=1)
        (new / _CONFIG).write_text(text, encoding="utf-8")
        if path.exists():
            shutil.move(path, old)
        new.rename(path)


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return weights on CPU and config."""
    path = Path(path)
    missing = [name for name in (_WEIGHTS, _CONFIG) if not (path / name).is_file()]
    if missing:
        msg = f"{path} holds no {' and no '.join(missing)}; expected a folder written by SimpleChrome.save()."
        raise FileNotFoundError(msg)
    config = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
    if config.get("format") != FORMAT:
        written = config.get("versions", {}).get("simplechrome-tk", "unknown")
        msg = (
            f"{path} is in format {config.get('format')} (written by simplechrome-tk {written}); this version reads "
            f"format {FORMAT}. Upgrade simplechrome-tk, or train again if the model is of before 0.1.0."
        )
        raise ValueError(msg)
    return load_file(path / _WEIGHTS), config
